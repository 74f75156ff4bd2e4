"""One variant written over haplotypes, judged by slots of bases that are written into."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigwig_loader.backend.cpu.haplotypes import HaplotypeReader
from bigwig_loader.dataset.prepared.swap import (
    APPLIED,
    DELETED,
    EXISTED,
    OUTSIDE,
    SITE_RECORD,
    swap_sites,
)
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.plan.haplotypes import HaplotypeOptions, HaplotypeWindows
from tests.helpers.haplotypes import World, random_variant, random_world, tables, worlds
from tests.oracles.haplotypes import Base, Variant, applied, coordinates, letters, records, slots

BYTES = HaplotypeOptions(encoding="bytes")


def swapped(
    sequence: str, carried: Iterable[Variant], policy: str, site: Variant
) -> tuple[list[list[Base]], int]:
    """Slots of a haplotype with a site, and the flag."""
    found = [variant for variant, _ in applied(carried, policy)]
    place = slots(sequence, carried, policy)
    if any(v[:3] == site[:3] for v in found):
        return place, EXISTED
    gone = {position for v in found for position in v.span[1:]}
    deleted = set(site.span[1:])
    if site.position in gone or (deleted and deleted <= gone):
        return place, DELETED
    at = site.position
    anchor = place[at][0]
    kinds = {np.sign(v.ilen) for v in found if v.position == at}
    new = Base(site.alt[0], at, SITE_RECORD)
    if site.ilen == 0:
        place[at][0] = new
    elif site.ilen > 0:
        inserted = [Base(letter, at, SITE_RECORD) for letter in site.alt[1:]]
        place[at] = [anchor if 0 in kinds else new._replace(letter=anchor.letter), *inserted]
    else:
        if not kinds & {0, 1}:
            place[at][0] = new._replace(letter=anchor.letter)
        for position in deleted:
            place[position] = []
    return place, APPLIED


def check(world: World, sites: list[tuple[str, Variant]], policy: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    contigs = list(world.sequences)
    by_contig = {c: [v for name, v in sites if name == c] for c in contigs}
    site_table, _ = tables(by_contig, {}, ("x",))
    ordered = [(c, v) for c in contigs for v in sorted(by_contig[c], key=lambda v: v[0])]
    which = rng.integers(0, len(ordered), 6)
    n = len(which)
    span = [ordered[k][1].span for k in which.tolist()]
    start = np.array([s[0] - rng.integers(-len(s) + 1, 12) for s in span])
    end = np.maximum(start, [s[0] for s in span]) + rng.integers(1, 12, n)
    windows = HaplotypeWindows(
        np.array([contigs.index(ordered[k][0]) for k in which.tolist()]),
        start,
        end,
        rng.integers(-1, len(world.samples), n),
        rng.random(n) < 0.5,
        length_bp=None if seed % 3 == 0 else int(rng.integers(1, 20)),
    )
    reader = HaplotypeReader(world.genome(), *world.tables(), overlap=policy)  # type: ignore[arg-type]
    got = swap_sites(reader, windows, site_table, which)
    arrays = got.made.reader.encode(got.windows, BYTES, annotate=True)
    for row in range(n):
        contig, site = ordered[which[row]]
        sequence = world.sequences[contig]
        for ploid in range(world.ploidy):
            sample = int(windows.sample[row])
            carried = (
                [] if sample < 0 else world.carried.get((contig, world.samples[sample], ploid), [])
            )
            place, flag = swapped(sequence, carried, policy, site)
            for half, slots_ in ((0, slots(sequence, carried, policy)), (1, place)):
                bases = cut(slots_, windows, row)
                reverse = bool(windows.reverse[row])  # type: ignore[index]
                i = half * n + row
                if windows.length_bp is None:
                    a, b = arrays.offsets[i * world.ploidy + ploid :][:2]  # type: ignore[index]
                    text, idx, ref = (
                        x[a:b]
                        for x in (arrays.data, arrays.var_idxs, arrays.ref_coords)  # type: ignore[index]
                    )
                else:
                    text, idx, ref = (
                        x[i, ploid]
                        for x in (arrays.data, arrays.var_idxs, arrays.ref_coords)  # type: ignore[index]
                    )
                assert text.tobytes().decode() == letters(bases, reverse)
                assert idx.tolist() == records(bases, reverse)
                assert ref.tolist() == coordinates(bases, len(sequence), reverse)
            if flag == APPLIED and windows.length_bp is not None:
                seen = {base.position for base in cut(place, windows, row)}
                reached = max(seen, default=-1) >= site.position
                flag = APPLIED if reached else OUTSIDE
            assert got.flags[row, ploid] == flag


def cut(place: list[list[Base]], windows: HaplotypeWindows, row: int) -> list[Base]:
    out: list[Base] = []
    position = int(windows.start[row])
    while (
        position < windows.end[row] if windows.length_bp is None else len(out) < windows.length_bp
    ):
        inside = 0 <= position < len(place)
        out += place[position] if inside else [Base("N", position, -1)]
        position += 1
    return out[: windows.length_bp]


@settings(max_examples=70, deadline=None)
@given(worlds(), st.sampled_from(["first", "bcftools"]), st.integers(0, 2**20))
def test_equals_slots(world: World, policy: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sites = []
    for contig, sequence in world.sequences.items():
        sites += [(contig, random_variant(rng, sequence)) for _ in range(4)]
        known = world.variants[contig]
        sites += [(contig, v) for v in known[:3]]
        # At positions of carried ones, with other alleles.
        for v in known[:3]:
            sites.append((contig, Variant(v.position, v.ref[0], v.ref[0] + "GG")))
            other = next(x for x in "ACGT" if x not in (v.ref[0], v.alt))
            sites.append((contig, Variant(v.position, v.ref[0], other)))
            if len(ref := sequence[v.position : v.position + 4]) > 1:
                sites.append((contig, Variant(v.position, ref, ref[0])))
    check(world, sites, policy, seed)


def one(carried: list[Variant], site: Variant, **options: object) -> tuple[list[str], int]:
    """Wild type, mutant and flag of one haplotype of a contig of 30 bases."""
    sequence = "ACGTACGTACGTACGTACGTACGTACGTAC"
    world = World({"c": sequence}, ("s",), 1, {"c": carried}, {("c", "s", 0): carried})
    table, _ = tables({"c": [site]}, {}, ("x",))
    reader = HaplotypeReader(world.genome(), *world.tables())
    given = {"start": [4], "end": [16], "reverse": None, "length_bp": None, **options}
    windows = HaplotypeWindows(contig_index=[0], sample=[0], **given)  # type: ignore[arg-type]
    got = swap_sites(reader, windows, table, np.array([0]))
    arrays = got.made.reader.encode(got.windows, BYTES)
    data = arrays.data.tobytes()
    middle = len(data) // 2 if arrays.offsets is None else int(arrays.offsets[1])
    return [data[:middle].decode(), data[middle:].decode()], int(got.flags[0, 0])


def test_both_strands() -> None:
    site = Variant(8, "A", "T")
    assert one([], site) == (["ACGTACGTACGT", "ACGTTCGTACGT"], APPLIED)
    # The last bases of the forward strand come first.
    assert one([], site, reverse=[True]) == (["ACGTACGTACGT", "ACGTACGAACGT"], APPLIED)


def test_substitution_on_the_anchor_of_an_insertion() -> None:
    carried = [Variant(8, "A", "AGG")]
    assert one(carried, Variant(8, "A", "T")) == (["ACGTAGGCGTACGT", "ACGTTGGCGTACGT"], APPLIED)


def test_deleted_and_existing_sites_change_nothing() -> None:
    deletion = Variant(7, "TACG", "T")
    wild = "ACGTTACGT"
    assert one([deletion], Variant(9, "C", "A")) == ([wild, wild], DELETED)
    assert one([deletion], Variant(9, "C", "CTT")) == ([wild, wild], DELETED)
    assert one([deletion], Variant(7, "TAC", "T")) == ([wild, wild], DELETED)
    assert one([deletion], deletion) == ([wild, wild], EXISTED)


def test_a_longer_deletion_takes_over() -> None:
    carried = [Variant(7, "TAC", "T"), Variant(11, "TACGT", "T")]
    assert one(carried, Variant(9, "CGT", "C"))[1] == DELETED
    found, flag = one(carried, Variant(6, "GTACGT", "G"), end=[20])
    assert (found, flag) == (["ACGTGTACGT", "ACGACGT"], APPLIED)


def test_fixed_length_goes_on_behind_a_deletion() -> None:
    site = Variant(6, "GTACG", "G")
    carried = [Variant(8, "A", "ATTTTTT"), Variant(17, "C", "G")]
    found, flag = one(carried, site, length_bp=12)
    assert (found, flag) == (["ACGTATTTTTTC", "ACGTACGTAGGT"], APPLIED)


def test_behind_the_end() -> None:
    carried = [Variant(5, "C", "CAAAAAAA")]
    found, flag = one(carried, Variant(12, "A", "G"), length_bp=8)
    assert found[0] == found[1] == "ACAAAAAA"
    assert flag == OUTSIDE


def test_the_policy_window_is_refused() -> None:
    world = random_world(np.random.default_rng(0), {"c": 30}, 1, 1, 3, 1.0)
    reader = HaplotypeReader(world.genome(), *world.tables(), overlap="window")
    windows = HaplotypeWindows([0], [0], [9], [0])  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="overlap='first' or 'bcftools'"):
        swap_sites(reader, windows, world.tables()[0], np.array([0]))
