"""Haplotypes of windows: every backend against the oracle that writes variants into strings."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigwig_loader.backend.cpu.haplotypes import HaplotypeReader
from bigwig_loader.errors import InvalidDataError, InvalidInputError, NotFoundError
from bigwig_loader.formats.genome import Genome
from bigwig_loader.plan.haplotypes import WITHOUT_ANCHOR, HaplotypeOptions, HaplotypeWindows
from tests.helpers.haplotypes import World, random_world, tables, worlds
from tests.helpers.on_backend import OnBackend
from tests.oracles import haplotypes as oracle
from tests.oracles.haplotypes import Base, Variant
from tests.oracles.sequence import COMPLEMENT, code_of, letters_of

POLICIES = ["first", "bcftools", "window"]
BYTES = HaplotypeOptions(encoding="bytes")
DTYPES = {"bfloat16": ml_dtypes.bfloat16}
FAR = 1 << 40


def open_world(world: World, policy: str = "first", **options: object) -> HaplotypeReader:
    table, genotypes = world.tables()
    return HaplotypeReader(world.genome(), table, genotypes, overlap=policy, **options)  # type: ignore[arg-type]


@st.composite
def windows_of(draw: st.DrawFn, world: World) -> HaplotypeWindows:
    """Windows anywhere, also outside the contigs, of samples and of the reference."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(1, 8))
    start = rng.integers(-30, 80, n)
    reverse = draw(st.sampled_from(["none", "all", "some"]))
    flags = {"none": None, "all": np.ones(n, bool), "some": rng.random(n) < 0.5}[reverse]
    shift = rng.integers(0, 12, (n, world.ploidy)) if draw(st.booleans()) else None
    length = draw(st.none() | st.integers(1, 70))
    return HaplotypeWindows(
        rng.integers(0, len(world.sequences), n),
        start,
        start + rng.integers(0, 50, n),
        rng.integers(-1, len(world.samples), n),
        flags,
        shift,
        length,
    )


def expected_rows(world: World, windows: HaplotypeWindows, policy: str) -> list[list[Base]]:
    """Bases of each (window, ploid) on the + strand."""
    rows = []
    contigs = list(world.sequences)
    for b in range(len(windows)):
        contig = contigs[windows.contig_index[b]]
        sample = int(windows.sample[b])
        for ploid in range(world.ploidy):
            carried = world.carried[contig, world.samples[sample], ploid] if sample >= 0 else []
            shift = 0 if windows.shift is None else int(windows.shift[b, ploid])
            rows.append(
                oracle.window(
                    world.sequences[contig], carried, int(windows.start[b]), int(windows.end[b]),
                    policy, windows.length_bp, shift,
                )
            )  # fmt: skip
    return rows


def reversed_rows(world: World, windows: HaplotypeWindows) -> list[bool]:
    flags = np.zeros(len(windows), bool) if windows.reverse is None else windows.reverse
    return np.repeat(flags, world.ploidy).tolist()


def split(array: np.ndarray, offsets: np.ndarray | None, n_rows: int) -> list[np.ndarray]:
    """Rows of a ragged result, or of a dense one (B, P, ...)."""
    if offsets is None:
        return list(array.reshape(n_rows, *array.shape[2:]))
    return [array[a:b] for a, b in pairwise(offsets)]


def test_letters_and_annotation_equal_the_oracle(on: OnBackend) -> None:
    @on.examples(100, data=st.data(), world=worlds(), policy=st.sampled_from(POLICIES))
    def check(data: st.DataObject, world: World, policy: str) -> None:
        windows = data.draw(windows_of(world))
        got = on.encode(on.open(world, policy), windows, BYTES, annotate=True)
        rows = expected_rows(world, windows, policy)
        reverse = reversed_rows(world, windows)
        assert got.data.dtype == np.dtype("S1")
        if windows.length_bp is None:
            assert np.diff(got.offsets).tolist() == [len(row) for row in rows]
        else:
            assert got.data.shape == (len(windows), world.ploidy, windows.length_bp)
        n_bases = [len(list(world.sequences.values())[c]) for c in windows.contig_index]
        for i, (text, records, coordinates) in enumerate(
            zip(
                split(got.data, got.offsets, len(rows)),
                split(got.var_idxs, got.offsets, len(rows)),
                split(got.ref_coords, got.offsets, len(rows)),
                strict=True,
            )
        ):
            assert text.tobytes().decode() == oracle.letters(rows[i], reverse[i])
            assert records.tolist() == oracle.records(rows[i], reverse[i])
            assert coordinates.tolist() == oracle.coordinates(
                rows[i], n_bases[i // world.ploidy], reverse[i]
            )


@given(st.data(), worlds(), st.sampled_from(POLICIES))
def test_lengths_and_ends_equal_the_oracle(data: st.DataObject, world: World, policy: str) -> None:
    windows = data.draw(windows_of(world))
    reader = open_world(world, policy)
    shape = (len(windows), world.ploidy)
    rows = expected_rows(world, windows, policy)
    ends = [max([base.position + 1 for base in row], default=None) for row in rows]
    starts = np.repeat(windows.start, world.ploidy).tolist()
    assert reader.ends(windows).shape == shape
    assert reader.ends(windows).reshape(-1).tolist() == [
        start if end is None else end for start, end in zip(starts, ends, strict=True)
    ]
    ragged = HaplotypeWindows(
        windows.contig_index, windows.start, windows.end, windows.sample, shift=windows.shift
    )
    natural = [len(row) for row in expected_rows(world, ragged, policy)]
    assert reader.lengths(windows).shape == shape
    assert reader.lengths(windows).reshape(-1).tolist() == natural


ENCODINGS = [
    *(HaplotypeOptions("onehot", dtype, layout, unknown)
      for dtype in ("float32", "float16", "bfloat16")
      for layout in ("BPLA", "BPAL") for unknown in ("zero", "fraction")),
    *(HaplotypeOptions("onehot", dtype, layout)
      for dtype in ("uint8", "int8") for layout in ("BPLA", "BPAL")),
    HaplotypeOptions("codes"),
    *(HaplotypeOptions("tokens", dtype, tokens=tuple(range(108, -4, -7)))
      for dtype in ("uint8", "int16", "int32", "int64")),
    HaplotypeOptions("tokens"),
]  # fmt: skip


def encoded(row: list[Base], reverse: bool, options: HaplotypeOptions) -> np.ndarray:
    """A row (L,) of codes or tokens, or (L, 4), from sets of letters."""
    # What lies outside a contig is no base at all, not an unknown one.
    sets = [letters_of(base.letter) if base.letter != "outside" else set() for base in row]
    if reverse:
        sets = [{COMPLEMENT[letter] for letter in found} for found in reversed(sets)]
    if options.encoding != "onehot":
        codes = np.array([code_of(found) for found in sets], np.int64)
        if options.encoding == "tokens":
            codes = np.array(options.tokens)[codes]
        return codes.astype(options.dtype)
    out = np.zeros((len(sets), 4), np.float32)
    for i, found in enumerate(sets):
        if len(found) == 1 or options.unknown == "fraction":
            for letter in found:
                out[i, "ACGT".index(letter)] = 1 / len(found)
    return out.astype(DTYPES.get(options.dtype, options.dtype))


def test_every_encoding_equals_the_oracle(on: OnBackend) -> None:
    @on.examples(150, data=st.data(), world=worlds("ACGTNRYK"), options=st.sampled_from(ENCODINGS))
    def check(data: st.DataObject, world: World, options: HaplotypeOptions) -> None:
        windows = data.draw(windows_of(world))
        got = on.encode(on.open(world), windows, options)
        rows = expected_rows(world, windows, "first")
        lengths = [len(list(world.sequences.values())[c]) for c in windows.contig_index]
        for i, row in enumerate(rows):
            inside = range(lengths[i // world.ploidy])
            rows[i] = [b if b.position in inside else b._replace(letter="outside") for b in row]
        assert got.var_idxs is None
        assert got.ref_coords is None
        found = split(got.data, got.offsets, len(rows))
        for row, reverse, piece in zip(rows, reversed_rows(world, windows), found, strict=True):
            expected = encoded(row, reverse, options)
            if options.encoding == "onehot" and options.layout == "BPAL" and windows.length_bp:
                expected = expected.T
            assert piece.dtype == expected.dtype
            np.testing.assert_array_equal(piece, expected)


@given(worlds())
def test_resolved_lists_are_what_the_oracle_applies(world: World) -> None:
    table, _ = world.tables()
    for policy in ("first", "bcftools"):
        resolved = open_world(world, policy).resolved
        for (contig, sample, ploid), carried in world.carried.items():
            place = (list(world.sequences).index(contig), world.samples.index(sample), ploid)
            got = resolved.carried(*place)
            expected = oracle.applied(carried, policy)
            assert table.record[got & ~(1 << 30)].tolist() == [v.record for v, _ in expected]
            assert (got >> 30).tolist() == [int(without) for _, without in expected]


def test_variants_that_are_not_kept_are_gone_before_overlaps_are_decided(on: OnBackend) -> None:
    @on.examples(100, data=st.data(), world=worlds(), policy=st.sampled_from(POLICIES))
    def check(data: st.DataObject, world: World, policy: str) -> None:
        windows = data.draw(windows_of(world))
        table, _ = world.tables()
        keep = np.random.default_rng(len(table)).random(len(table)) < 0.5
        kept = set(table.record[keep].tolist())
        fewer = World(
            world.sequences, world.samples, world.ploidy, world.variants,
            {hap: [v for v in found if v.record in kept] for hap, found in world.carried.items()},
        )  # fmt: skip
        got, expected = on.open(world, policy, keep), on.open(fewer, policy)
        a, b = (on.encode(reader, windows, BYTES, annotate=True) for reader in (got, expected))
        np.testing.assert_array_equal(a.data, b.data)
        np.testing.assert_array_equal(a.var_idxs, b.var_idxs)


def test_other_variants_on_the_same_genome(on: OnBackend) -> None:
    """Also entries of which all but the anchor is applied."""
    first = [Variant(2, "G", "C", 0)]
    world = World({"c": "ACGTACGT"}, ("s",), 1, {"c": first}, {("c", "s", 0): first})
    reader = on.open(world)
    both = [*first, Variant(2, "G", "GTT", 1)]
    table, genotypes = tables({"c": both}, {("c", "s", 0): both}, ("s",), 1)
    entries = genotypes.variants | np.array([0, WITHOUT_ANCHOR], np.int32)
    other = reader.with_variants(table, replace(genotypes, variants=entries), "window")
    windows = HaplotypeWindows([0], [0], [8], [0])
    assert on.encode(other, windows, BYTES).data.tobytes() == b"ACCTTTACGT"
    assert on.encode(reader, windows, BYTES).data.tobytes() == b"ACCTACGT"
    keep = np.array([False, True])
    fewer = reader.with_variants(table, genotypes, "first", keep)
    assert on.encode(fewer, windows, BYTES).data.tobytes() == b"ACGTTTACGT"
    assert fewer.keep is not None
    assert reader.genotypes.variants.tolist() == [0]


@pytest.fixture(scope="module")
def large() -> World:
    """Contigs long enough for several threads, with a variant every 60 bases."""
    rng = np.random.default_rng(3)
    return random_world(rng, {"a": 40_000, "b": 9_001}, 2, 2, 700, 0.3, "ACGTACGTACGTN")


def large_windows(world: World, length: int | None) -> HaplotypeWindows:
    rng = np.random.default_rng(4)
    n = 40
    start = np.append(rng.integers(-500, 38_000, n - 1), -3)
    return HaplotypeWindows(
        np.append(rng.integers(0, 2, n - 1), 0), start,
        start + np.append(rng.integers(0, 5_000, n - 1), 40_010),
        rng.integers(0, 2, n), rng.random(n) < 0.5, rng.integers(0, 100, (n, 2)), length,
    )  # fmt: skip


@pytest.fixture(scope="module")
def places(large: World) -> dict[tuple[str, str, int], list[list[Base]]]:
    return {
        haplotype: oracle.slots(large.sequences[haplotype[0]], carried, "first")
        for haplotype, carried in large.carried.items()
    }


@pytest.mark.parametrize("length", [None, 3_001])
def test_long_windows_equal_the_oracle(
    on: OnBackend,
    large: World,
    places: dict[tuple[str, str, int], list[list[Base]]],
    length: int | None,
) -> None:
    windows = large_windows(large, length)
    got = on.encode(on.open(large), windows, BYTES, annotate=True)
    contigs = list(large.sequences)
    found = split(got.data, got.offsets, 80)
    coordinates = split(got.ref_coords, got.offsets, 80)
    for i, text in enumerate(found):
        b, ploid = divmod(i, 2)
        contig = contigs[windows.contig_index[b]]
        slots = places[contig, large.samples[windows.sample[b]], ploid]
        start, shift = int(windows.start[b]), int(windows.shift[b, ploid])
        reach = int(windows.end[b]) if length is None else start + 10_000
        bases = [
            base
            for p in range(start, reach)
            for base in (slots[p] if 0 <= p < len(slots) else [Base("N", p, -1)])
        ]
        bases = bases[shift:] if length is None else bases[shift : shift + length]
        reverse = bool(windows.reverse[b])
        assert text.tobytes().decode() == oracle.letters(bases, reverse)
        assert coordinates[i].tolist() == oracle.coordinates(bases, len(slots), reverse)


@pytest.mark.parametrize("length", [None, 3_001])
@pytest.mark.parametrize("options", [BYTES, HaplotypeOptions("onehot", layout="BPAL")])
def test_threads_change_nothing(
    large: World, length: int | None, options: HaplotypeOptions
) -> None:
    windows = large_windows(large, length)
    one, *more = (
        open_world(large, "bcftools", n_threads=n).encode(windows, options, annotate=True)
        for n in (1, 2, 5)
    )
    for other in more:
        for name in ("data", "offsets", "var_idxs", "ref_coords"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("at", [-FAR, FAR])
@pytest.mark.parametrize("length", [None, 7])
def test_windows_far_outside_are_padding(on: OnBackend, at: int, length: int | None) -> None:
    world = World(
        {"c": "ACGTACGT"}, ("s",), 1, {"c": [Variant(2, "G", "GTT", 0)]},
        {("c", "s", 0): [Variant(2, "G", "GTT", 0)]},
    )  # fmt: skip
    windows = HaplotypeWindows([0], [at], [at + 7], [0], [True], length_bp=length)
    got = on.encode(on.open(world), windows, BYTES, annotate=True)
    assert got.data.tobytes() == b"NNNNNNN"
    assert (got.var_idxs == -1).all()
    assert (got.ref_coords == (-1 if at < 0 else 2_147_483_647)).all()
    one_hot = on.encode(on.open(world), windows)
    assert not one_hot.data.any()


def test_shift_is_the_haplotype_without_its_first_bases(on: OnBackend) -> None:
    """Also where the shift ends inside an insertion, or swallows a deletion."""
    variants = [Variant(3, "T", "TGGGG", 0), Variant(6, "GTAC", "G", 1), Variant(12, "A", "C", 2)]
    world = World(
        {"c": "ACGTACGTACGTACGTACGT"}, ("s",), 1, {"c": variants}, {("c", "s", 0): variants}
    )
    whole = oracle.whole(world.sequences["c"], variants, "first")
    assert whole == "ACGTGGGGACGGTCCGTACGT"
    reader = on.open(world)
    for k in range(20):
        windows = HaplotypeWindows([0], [0], [4], [0], shift=[[k]], length_bp=3)
        padded = whole + "NNNN"
        assert on.encode(reader, windows, BYTES).data.tobytes().decode() == padded[k : k + 3]


def test_no_windows(on: OnBackend, large: World) -> None:
    reader = on.open(large)
    none = np.empty(0)
    windows = HaplotypeWindows(none, none, none, none, length_bp=5)
    assert on.encode(reader, windows).data.shape == (0, 2, 5, 4)
    assert on.encode(reader, windows, HaplotypeOptions(layout="BPAL")).data.shape == (0, 2, 4, 5)
    ragged = on.encode(reader, HaplotypeWindows(none, none, none, none), BYTES)
    assert ragged.data.shape == (0,)
    assert ragged.offsets.tolist() == [0]


def test_no_variants_and_no_contigs_with_variants(on: OnBackend) -> None:
    genome = Genome.from_arrays({"c": "ACGT", "d": "GG"})
    table, genotypes = tables({"c": [], "d": []}, {}, ("s",))
    reader = on.backend.open_haplotypes(genome, table, genotypes)
    windows = HaplotypeWindows([0, 1], [0, 0], [4, 2], [0, 0])
    assert on.encode(reader, windows, BYTES).data.tobytes() == b"ACGTACGTGGGG"
    assert reader.ploidy == 2


def test_contigs_are_found_by_name(on: OnBackend) -> None:
    """The genome may hold more contigs, in another order."""
    genome = Genome.from_arrays({"x": "TTTTTT", "d": "GGGG", "c": "ACGT"})
    variant = Variant(1, "C", "CAA", 5)
    table, genotypes = tables({"c": [variant], "d": []}, {("c", "s", 1): [variant]}, ("s",))
    reader = on.backend.open_haplotypes(genome, table, genotypes)
    got = on.encode(reader, HaplotypeWindows([1, 0], [0, 0], [4, 4], [0, 0]), BYTES)
    assert got.data.tobytes() == b"GGGGGGGGACGTACAAGT"


@pytest.mark.parametrize(
    "options",
    [BYTES, HaplotypeOptions(), HaplotypeOptions(layout="BPAL"), HaplotypeOptions("codes")],
    ids=["bytes", "rows", "planes", "codes"],
)
def test_out_is_written_and_returned(
    on: OnBackend, large: World, options: HaplotypeOptions
) -> None:
    windows = large_windows(large, 100)
    reader = on.open(large)
    expected = on.encode(reader, windows, options).data
    out = on.empty_as(expected)
    assert reader.encode(windows, options, out=out).data is out
    np.testing.assert_array_equal(on.host(out, expected.dtype), expected)


@pytest.mark.parametrize(
    "out",
    [
        np.empty((1, 2, 4, 4), np.float32),
        np.empty((2, 2, 4, 4), np.float64),
        np.empty((2, 2, 4, 4), np.float32)[::-1],
        np.empty((2, 2, 4, 8), np.float32)[..., ::2],
        np.broadcast_to(np.empty((1, 2, 4, 4), np.float32), (2, 2, 4, 4)),
        "no array",
    ],
    ids=["shape", "dtype", "negative stride", "gaps", "read-only", "type"],
)
def test_out_that_does_not_fit_is_refused(large: World, out: np.ndarray) -> None:
    windows = HaplotypeWindows([0, 1], [5, 9], [9, 13], [0, 1], length_bp=4)
    with pytest.raises(InvalidInputError, match="out"):
        open_world(large).encode(windows, HaplotypeOptions(), out=out)


@pytest.mark.parametrize(
    ("windows", "field"),
    [
        (HaplotypeWindows([2], [0], [4], [0]), "contig"),
        (HaplotypeWindows([-1], [0], [4], [0]), "contig"),
        (HaplotypeWindows([0], [0], [4], [2]), "sample"),
        (HaplotypeWindows([0], [0], [4], [-2]), "sample"),
        (HaplotypeWindows([0], [0], [4], [0], shift=[[0]]), "shift"),
        (HaplotypeWindows([0], [0], [4], [0], shift=[[0, -1]]), "shift"),
    ],
)
def test_windows_out_of_range_are_refused(
    on: OnBackend, large: World, windows: HaplotypeWindows, field: str
) -> None:
    reader = on.open(large)
    for call in (lambda: reader.encode(windows, BYTES), lambda: reader.lengths(windows)):
        with pytest.raises(InvalidInputError, match=field):
            call()


def test_a_genome_without_the_contig_is_refused(on: OnBackend, large: World) -> None:
    with pytest.raises(NotFoundError, match="contig 'b'"):
        on.backend.open_haplotypes(Genome.from_arrays({"a": "ACGT"}), *large.tables())


@pytest.mark.parametrize(
    ("field", "value"),
    [("encoding", "text"), ("dtype", "float64"), ("layout", "BLA"), ("unknown", "n")],
)
def test_options_are_checked(field: str, value: str) -> None:
    with pytest.raises(InvalidInputError, match=f"argument {field}"):
        HaplotypeOptions(**{field: value})  # type: ignore[arg-type]


def test_unknown_overlap_policy_is_refused(on: OnBackend, large: World) -> None:
    with pytest.raises(InvalidInputError, match="overlap"):
        on.open(large, "last")


def test_an_entry_that_is_no_variant_is_noticed(on: OnBackend) -> None:
    variant = Variant(2, "G", "GTT", 0)
    table, genotypes = tables({"c": [variant]}, {("c", "s", 0): [variant]}, ("s",), 1)
    damaged = replace(genotypes, variants=np.array([7], np.int32))
    reader = on.backend.open_haplotypes(Genome.from_arrays({"c": "ACGTACGT"}), table, damaged)
    for length in (None, 8):
        windows = HaplotypeWindows([0], [0], [8], [0], length_bp=length)
        with pytest.raises(InvalidDataError, match="rows 0 to 0 of the variants"):
            on.encode(reader, windows, BYTES)


def test_a_reader_says_what_it_was_made_of(on: OnBackend, large: World) -> None:
    genome, (table, genotypes) = large.genome(), large.tables()
    reader = on.backend.open_haplotypes(genome, table, genotypes, overlap="bcftools")
    assert (reader.genome, reader.table, reader.genotypes) == (genome, table, genotypes)
    assert (reader.overlap, reader.keep, reader.ploidy) == ("bcftools", None, 2)
    assert reader.free.shape == (len(table),)
