"""What genvarloader 0.43.1 gets wrong, one test each: D1 to D17 of the written comparison.

The made data set has two contigs, two samples with two tracks each, and values that tell where
they come from: the position, the sample and the track.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from bigwig_loader import BigWigs, Dataset, write
from bigwig_loader._bigwig_writer import write_bigwig
from bigwig_loader.dataset.prepared.sites import DatasetWithSites
from bigwig_loader.errors import InvalidDataError, InvalidInputError
from bigwig_loader.plan.fills import FlankSample, Interpolate
from tests.helpers.haplotypes import World
from tests.oracles import haplotypes as oracle
from tests.oracles.haplotypes import Variant

CONTIG_BP = 3_000
SAMPLES = ("s0", "s1")
_RNG = np.random.default_rng(9)
SEQUENCE = "".join(_RNG.choice(list("ACGT"), CONTIG_BP))


def snp(position: int) -> Variant:
    return Variant(position, SEQUENCE[position], "CGTA"["ACGT".index(SEQUENCE[position])])


def insertion(position: int, n: int) -> Variant:
    anchor = SEQUENCE[position]
    return Variant(position, anchor, anchor + n * "CGTA"["ACGT".index(anchor)])


def deletion(position: int, n: int) -> Variant:
    """Of n bases or the next few more, so that it is left-aligned."""
    while SEQUENCE[position + n] == SEQUENCE[position]:
        n += 1
    return Variant(position, SEQUENCE[position : position + 1 + n], SEQUENCE[position])


@dataclass(frozen=True)
class Made:
    """A data set, and what it was made of."""

    world: World
    path: Path
    fasta: Path

    def open(self, **settings: Any) -> Dataset:
        return Dataset.open(self.path, reference=self.fasta, **settings)

    def whole(self, sample: int, ploid: int, policy: str = "first") -> str:
        carried = self.world.carried.get(("c", SAMPLES[sample], ploid), [])
        return oracle.whole(SEQUENCE, carried, policy)


def make(
    folder: Path,
    regions: Sequence[tuple[int, int, str]],
    carried: dict[tuple[int, int], list[Variant]],
    **options: Any,
) -> Made:
    """Write a data set of haplotypes (sample, ploid) with some variants, numbered as records."""
    found = sorted({v for variants in carried.values() for v in variants}, key=_file_order)
    numbered = {v: v._replace(record=i) for i, v in enumerate(found)}
    lists = {
        ("c", SAMPLES[sample], ploid): [numbered[v] for v in sorted(variants, key=_file_order)]
        for (sample, ploid), variants in carried.items()
    }
    sequences = {"c": SEQUENCE, "d": "ACGT" * 100}
    variants = {"c": [numbered[v] for v in found], "d": []}
    world = World(sequences, SAMPLES, 2, variants, lists)
    fasta, vcf = world.write(folder)
    bed = folder / "regions.bed"
    bed.write_text("".join(f"c\t{a}\t{b}\t.\t0\t{strand}\n" for a, b, strand in regions))
    path = folder / "made.gvl"
    with mock.patch("os.fsync"):  # waiting for the disk takes most of the time
        write(
            path, bed, variants=vcf, bigwigs=[track(folder, 0), track(folder, 1)],
            reference=fasta, progress=False, **options,
        )  # fmt: skip
    return Made(world, path, fasta)


def _file_order(variant: Variant) -> tuple[int, bool]:
    """SNPs before indels of one position, as ``bcftools norm`` has them."""
    return variant.position, variant.ilen != 0


def track(folder: Path, number: int) -> BigWigs:
    """Value of a base: its position + 1, + 10,000 by sample, + 100,000 by track."""
    paths = {}
    starts = np.arange(CONTIG_BP)
    for i, sample in enumerate(SAMPLES):
        paths[sample] = folder / f"t{number}.{sample}.bw"
        values = starts + 1 + 10_000 * i + 100_000 * number
        write_bigwig(paths[sample], {"c": CONTIG_BP, "d": 400}, {"c": (starts, starts + 1, values)})
    return BigWigs(f"t{number}", paths)


def value(coordinates: np.ndarray, sample: int, number: int) -> np.ndarray:
    """The track at reference positions."""
    return (coordinates + 1 + 10_000 * sample + 100_000 * number).astype(np.float32)


INDELS = {
    (0, 0): [deletion(1_005, 3), snp(1_020), insertion(1_030, 4), deletion(1_060, 6)],
    (0, 1): [insertion(1_002, 7), snp(1_040)],
    (1, 0): [],
    (1, 1): [snp(1_001), deletion(1_010, 9), insertion(1_055, 3)],
}


@pytest.fixture(scope="module")
def indels(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Two regions with indels on three of four haplotypes, none of which overlap."""
    folder = tmp_path_factory.mktemp("indels")
    regions = [(1_000, 1_070, "+"), (1_000, 1_070, "-"), (985, 1_055, "+")]
    return make(folder, regions, INDELS, max_jitter=20)


def test_d01_several_tracks_and_samples_in_one_batch(indels: Made) -> None:
    dataset = indels.open(return_sequences="reference", length=70)
    _, tracks = dataset[[0, 0, 2], [0, 1, 1]]
    assert tracks.shape == (3, 2, 70)
    for row, (start, sample) in enumerate([(1_000, 0), (1_000, 1), (985, 1)]):
        for number in (0, 1):
            expected = value(np.arange(start, start + 70), sample, number)
            np.testing.assert_array_equal(tracks[row, number], expected)


@pytest.mark.parametrize("sample", [0, 1])
def test_d02_random_shift_moves_tracks_and_sequence_alike(indels: Made, sample: int) -> None:
    """Also on the haplotype without variants, sample 1's first."""
    dataset = indels.open(
        return_sequences="annotated", length=40, deterministic=False, seed=5, jitter=20
    )
    shifts = set()
    for epoch in range(20):
        found, tracks = dataset.with_settings(epoch=epoch)[:, sample]
        assert tracks.shape == (3, 2, 2, 40)
        for region, ploid in np.ndindex(3, 2):
            coordinates = found.ref_coords[region, ploid]
            # The bases of an insertion repeat the value at its anchor.
            for number in (0, 1):
                np.testing.assert_array_equal(
                    tracks[region, number, ploid], value(coordinates, sample, number)
                )
            shifts.add(int(coordinates[0]))
    assert len(shifts) > 10


def test_d03_random_shift_drops_haplotype_bases(indels: Made) -> None:
    """Also where it begins within an insertion or behind a deletion."""
    dataset = indels.open(
        return_sequences="annotated", return_tracks=False, length=40, deterministic=False
    )
    natural = {
        (sample, ploid): oracle.letters(
            oracle.window(SEQUENCE, indels.world.carried["c", SAMPLES[sample], ploid], 1_000, 1_070)
        )
        for sample, ploid in np.ndindex(2, 2)
    }
    starts = set()
    for epoch in range(60):
        found = dataset.with_settings(epoch=epoch)[[0, 0], [0, 1]]
        for (sample, ploid), whole in natural.items():
            text = found.haps[sample, ploid].tobytes().decode()
            shift = [k for k in range(len(whole) - 39) if whole[k : k + 40] == text]
            assert len(shift) == 1
            starts.add((sample, ploid, shift[0]))
    within_insertion = {(0, 1, shift) for shift in range(4, 10)}
    assert len(starts & within_insertion) > 3
    assert len(starts) > 60


def test_d04_tracks_go_on_behind_deletions(indels: Made) -> None:
    found, tracks = indels.open(return_sequences="annotated", length=70)[0, 0]
    coordinates = found.ref_coords
    assert coordinates[0, -1] >= 1_070
    for number, ploid in np.ndindex(2, 2):
        np.testing.assert_array_equal(tracks[number, ploid], value(coordinates[ploid], 0, number))


def test_d05_substitution_and_indel_at_one_position(tmp_path: Path) -> None:
    """Sequence and tracks follow one and the same rule, "first" or that of bcftools."""
    variants = [snp(1_010), insertion(1_010, 3), snp(1_030), deletion(1_030, 4)]
    made = make(tmp_path, [(1_000, 1_050, "+")], {(0, 0): variants})
    for policy, length in (("first", 50), ("bcftools", 50 + 3 + variants[3].ilen)):
        found, tracks = made.open(return_sequences="annotated", overlap=policy)[0, 0]
        text = found.haps[0].tobytes().decode()
        whole = made.whole(0, 0, policy)
        assert text == whole[1_000 : 1_000 + length]
        np.testing.assert_array_equal(tracks[0, 0], value(found.ref_coords[0], 0, 0))


@pytest.mark.parametrize("policy", ["first", "bcftools", "window"])
def test_d06_two_deletions_over_the_start_of_a_region(tmp_path: Path, policy: str) -> None:
    variants = [deletion(990, 14), deletion(993, 20), deletion(1_020, 5)]
    made = make(tmp_path, [(1_000, 1_050, "+")], {(0, 0): variants[:2], (0, 1): variants})
    dataset = made.open(return_sequences="annotated", return_tracks=False, overlap=policy)
    for length in (None, 50):
        found = dataset.with_len(length or "ragged")[0, 0]
        for ploid in (0, 1):
            carried = made.world.carried["c", "s0", ploid]
            bases = oracle.window(SEQUENCE, carried, 1_000, 1_050, policy, length)
            assert found.haps[ploid].tobytes().decode() == oracle.letters(bases)
            assert found.ref_coords[ploid].tolist() == [base.position for base in bases]
            if length is None:
                assert dataset.haplotype_lengths(0, 0)[ploid] == len(bases)


def test_d07_deletion_in_the_region_and_an_indel_behind_it(tmp_path: Path) -> None:
    carried = {
        (0, 0): [deletion(1_040, 12), insertion(1_055, 6)],
        (0, 1): [deletion(1_040, 12), deletion(1_056, 8)],
        (1, 0): [deletion(1_045, 30), insertion(1_080, 2), snp(1_083)],
    }
    made = make(tmp_path, [(1_000, 1_050, "+"), (1_000, 1_050, "-")], carried)
    found, tracks = made.open(return_sequences="annotated", length=50)[:, :]
    for region, sample, ploid in np.ndindex(2, 2, 2):
        variants = made.world.carried.get(("c", SAMPLES[sample], ploid), [])
        bases = oracle.window(SEQUENCE, variants, 1_000, 1_050, "first", 50)
        reverse = region == 1
        text = found.haps[region, sample, ploid].tobytes().decode()
        assert text == oracle.letters(bases, reverse)
        coordinates = np.array(oracle.coordinates(bases, CONTIG_BP, reverse))
        for number in (0, 1):
            np.testing.assert_array_equal(
                tracks[region, sample, number, ploid], value(coordinates, sample, number)
            )


def test_d08_a_length_above_that_of_the_region(tmp_path: Path) -> None:
    """Either everything is there that it reaches, or it is refused."""
    variants = [snp(1_005), insertion(1_052, 4), snp(1_058), deletion(1_061, 9), snp(1_085)]
    made = make(tmp_path, [(1_000, 1_050, "+")], {(0, 0): variants}, max_jitter=15)
    dataset = made.open(return_sequences="annotated")
    for length in range(45, 66):
        found, tracks = dataset.with_len(length)[0, 0]
        carried = made.world.carried["c", "s0", 0]
        bases = oracle.window(SEQUENCE, carried, 1_000, 1_050, "first", length)
        assert found.haps[0].tobytes().decode() == oracle.letters(bases)
        coordinates = np.array([base.position for base in bases])
        np.testing.assert_array_equal(tracks[1, 0], value(coordinates, 0, 1))
    with pytest.raises(InvalidInputError, match="length"):
        _ = dataset.with_len(66)[0, 0]


@pytest.mark.parametrize(
    ("ref", "alt"), [("n", 2), ("n", 3), ("*", 1)], ids=["MNP", "complex", "star"]
)
def test_d09_what_is_not_atomic_is_refused(tmp_path: Path, ref: str, alt: int) -> None:
    two = SEQUENCE[1_010:1_012]
    other = "".join("CGTA"["ACGT".index(letter)] for letter in two)
    variant = Variant(1_010, two, (other + "A")[:alt])
    if ref == "*":
        variant = Variant(1_010, two[0], "*")
    with pytest.raises(InvalidDataError, match=r"c:1011|1,?011"):
        make(tmp_path, [(1_000, 1_050, "+")], {(0, 0): [variant]})


def test_d10_variants_behind_the_region_are_not_listed(tmp_path: Path) -> None:
    variants = [deletion(980, 30), snp(1_020), snp(1_049), snp(1_050), insertion(1_060, 2)]
    made = make(tmp_path, [(1_000, 1_050, "+")], {(0, 0): variants}, max_jitter=20)
    found = made.open(return_sequences="variants", return_tracks=False)[0, 0]
    assert found.start.to_list() == [[980, 1_020, 1_049], []]


def test_d11_regions_without_any_alternative_allele(tmp_path: Path) -> None:
    made = make(tmp_path, [(2_000, 2_050, "+")], {(0, 0): [snp(1_000)]})
    found, tracks = made.open(length=50)[:, :]
    assert {row.tobytes().decode() for row in found.reshape(4, 50)} == {SEQUENCE[2_000:2_050]}
    np.testing.assert_array_equal(tracks[0, 1, 1, 0], value(np.arange(2_000, 2_050), 1, 1))


def test_d12_strand_dot_is_plus(tmp_path: Path) -> None:
    made = make(tmp_path, [(1_000, 1_010, "."), (1_000, 1_010, "+")], {(0, 0): [snp(1_005)]})
    found = made.open(return_tracks=False, length=10)[:, 0]
    np.testing.assert_array_equal(found[0], found[1])
    assert found[0, 1].tobytes().decode() == SEQUENCE[1_000:1_010]


def test_d13_forked_workers_after_threads_were_used(indels: Made) -> None:
    pytest.importorskip("torch")
    dataset = indels.open(length=70, encoding="onehot", n_threads=4)
    cells = np.tile(np.arange(6), 300)
    assert dataset.batch_of(cells)[0].nbytes > 1 << 20
    loader = dataset.to_dataloader(
        batch_size=3, num_workers=2, multiprocessing_context="fork", timeout=60
    )
    batches = list(loader)
    assert [len(batch[0]) for batch in batches] == [3, 3]
    here, _ = dataset.batch_of(np.arange(3))
    np.testing.assert_array_equal(batches[0][0].numpy(), here)


@pytest.mark.parametrize("num_workers", [1, 2])
def test_d14_workers_draw_other_jitter_in_every_epoch(indels: Made, num_workers: int) -> None:
    pytest.importorskip("torch")
    dataset = indels.open(return_sequences=False, return_tracks="t0", length=40, jitter=20, seed=3)
    plain = dataset.to_dataloader(batch_size=2, num_workers=0)
    workers = dataset.to_dataloader(batch_size=2, num_workers=num_workers)
    epochs = []
    for _ in range(3):
        here = np.concatenate([batch.numpy() for batch in plain])
        np.testing.assert_array_equal(here, np.concatenate([batch.numpy() for batch in workers]))
        epochs.append(here[:, 0].tolist())
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]


def test_d15_sites_on_the_minus_strand_and_deletions_as_sites(indels: Made) -> None:
    dataset = indels.open(return_sequences="haplotypes", return_tracks=False, length=60)
    wanted = [snp(1_007), snp(1_020), snp(1_045), deletion(1_050, 3)]
    sites = {
        "CHROM": ["c"] * 4,
        "POS": [v.position + 1 for v in wanted],
        "REF": [v.ref for v in wanted],
        "ALT": [v.alt for v in wanted],
    }
    both = DatasetWithSites(dataset, sites, annotate=False)
    # The last two lie behind the 60 bases of the third region.
    assert both.n_rows == 10
    for row in range(10):
        region, site = (int(both.rows[name][row]) for name in ("region_idx", "site_idx"))
        start, end, reverse = [(1_000, 1_070, False), (1_000, 1_070, True), (985, 1_055, False)][
            region
        ]
        wild, mutant, flags = both[row]
        for sample, ploid in np.ndindex(2, 2):
            carried = indels.world.carried["c", SAMPLES[sample], ploid]
            gone = {p for v in carried for p in v.span[1:]}
            here = any(v[:3] == wanted[site][:3] for v in carried)
            flag = 2 if here else int(wanted[site].position in gone)
            assert flags[sample, ploid] == flag
            for found, variants in (
                (wild, carried),
                (mutant, carried if flag else [*carried, wanted[site]]),
            ):
                bases = oracle.window(SEQUENCE, variants, start, end, "first", 60)
                text = found[sample, ploid].tobytes().decode()
                assert text == oracle.letters(bases, reverse)


@pytest.mark.parametrize("length", ["ragged", 60])
def test_d16_case_and_ambiguous_letters(tmp_path: Path, length: Any) -> None:
    upper = snp(1_010)
    lower = upper._replace(ref=upper.ref.lower(), alt=upper.alt.lower())
    made = make(tmp_path, [(1_000, 1_060, "+"), (1_000, 1_060, "-")], {(0, 0): [lower]})
    found = made.open(return_tracks=False, length=length)
    forward, backward = (found[i, 0][0].tobytes().decode() for i in (0, 1))
    whole = oracle.whole(SEQUENCE, [upper], "first")[1_000:1_060]
    assert forward == whole
    assert backward == whole[::-1].translate(str.maketrans("ACGT", "TGCA"))


@pytest.mark.parametrize("fill", [Interpolate(1), Interpolate(3), FlankSample(5)])
def test_d17_a_fill_depends_on_its_own_haplotype_alone(tmp_path: Path, fill: Any) -> None:
    """And on no other cell of the batch."""
    own = [insertion(1_047, 6)]
    alone = make(tmp_path, [(1_000, 1_050, "+")], {(0, 0): own})
    (tmp_path / "more").mkdir()
    both = make(
        tmp_path / "more", [(1_000, 1_050, "+")],
        {(0, 0): own, (0, 1): [deletion(1_045, 40)], (1, 0): [deletion(1_020, 60)]},
    )  # fmt: skip
    settings = {"return_sequences": "haplotypes", "length": "ragged", "seed": 4}
    a, b = (made.open(**settings).with_insertion_fill(fill) for made in (alone, both))
    expected = a[0, 0][1][0, 0]
    for cells in ([0], [0, 1], [1, 0, 1, 0, 0]):
        _, tracks = b.batch_of(np.array(cells))
        row = tracks[cells.index(0)][0, 0]
        np.testing.assert_array_equal(np.asarray(row), np.asarray(expected))
