"""One-hot sequence and counts of bases: every backend against the oracle."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import strategies as st

from bigwig_loader.backend.cpu import sequence as cpu
from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.formats.genome import Genome
from bigwig_loader.formats.packed import pack_bases
from bigwig_loader.plan.sequence import SequenceOptions
from bigwig_loader.plan.windows import ContigTable, Windows
from tests.helpers.on_backend import OnBackend
from tests.oracles import sequence as oracle

LETTERS = "ACGTUacgtuNnRYSWKMBDHVryswkmbdhvXx-.*5"
ALL_DTYPES = ["float32", "float16", "bfloat16", "uint8", "int8"]
FLOATS = ["float32", "float16", "bfloat16"]


def table_of(genome: Genome) -> ContigTable:
    return ContigTable(tuple(genome.contigs), np.array(list(genome.contigs.values())))


def expected_batch(sequences: list[str], windows: Windows, options: SequenceOptions) -> np.ndarray:
    fraction = options.unknown == "fraction"
    reverse = np.zeros(len(windows), bool) if windows.reverse is None else windows.reverse
    batch = np.stack(
        [
            oracle.one_hot(sequences[c], int(s), windows.length_bp, bool(r), fraction)
            for c, s, r in zip(windows.contig_index, windows.start, reverse, strict=True)
        ]
    )
    if options.layout == "BAL":
        batch = batch.transpose(0, 2, 1)
    names = {"bfloat16": ml_dtypes.bfloat16}
    return batch.astype(names.get(options.dtype, options.dtype))


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[str], Windows]:
    sequences = draw(st.lists(st.text(LETTERS, max_size=90), min_size=1, max_size=3))
    length = draw(st.integers(1, 100))
    rows = draw(
        st.lists(
            st.tuples(st.integers(0, len(sequences) - 1), st.integers(-130, 130), st.booleans()),
            min_size=1,
            max_size=6,
        )
    )
    contig, start, reverse = (np.array(column) for column in zip(*rows, strict=True))
    flags = reverse if draw(st.booleans()) else None
    return sequences, Windows(contig, start, length, flags)


EVERY_OPTION = [
    *(SequenceOptions(d, layout) for d in ALL_DTYPES for layout in ("BLA", "BAL")),  # type: ignore[arg-type]
    *(SequenceOptions(d, layout, "fraction") for d in FLOATS for layout in ("BLA", "BAL")),  # type: ignore[arg-type]
]


def test_one_hot_equals_oracle(on: OnBackend) -> None:
    @on.examples(200, case=cases(), options=st.sampled_from(EVERY_OPTION))
    def check(case: tuple[list[str], Windows], options: SequenceOptions) -> None:
        sequences, windows = case
        genome = Genome.from_arrays({f"c{i}": s for i, s in enumerate(sequences)})
        got = on.one_hot(genome, table_of(genome), windows, options)
        expected = expected_batch(sequences, windows, options)
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)


def test_count_bases_equals_oracle(on: OnBackend) -> None:
    @on.examples(100, case=cases(), codes=st.integers(0, 0xFFFF))
    def check(case: tuple[list[str], Windows], codes: int) -> None:
        sequences, windows = case
        genome = Genome.from_arrays({f"c{i}": s for i, s in enumerate(sequences)})
        got = on.backend.count_bases(genome, table_of(genome), windows, codes)
        assert got.dtype == np.int64
        assert got.tolist() == [
            oracle.count_bases(sequences[c], int(s), windows.length_bp, codes)
            for c, s in zip(windows.contig_index, windows.start, strict=True)
        ]


def test_unknown_bases_are_those_that_are_not_one_letter(on: OnBackend) -> None:
    genome = Genome.from_arrays({"c": "ACGTUacgtuNnRYSWKMBDHVx-.*5A"})
    windows = Windows(np.zeros(3), np.array([0, 10, -4]), 28)
    got = on.backend.count_unknown(genome, table_of(genome), windows)
    assert got.tolist() == [17, 17 + 10, 4 + 14]


def test_counts_of_a_long_contig_and_of_many_short_windows() -> None:
    rng = np.random.default_rng(1)
    letters = np.frombuffer(b"ACGTNS", dtype=np.uint8)[rng.integers(0, 6, 300_001)]
    genome = Genome.from_arrays({"c": letters})
    is_gc = np.isin(letters, np.frombuffer(b"CG", np.uint8))
    codes = 1 << 2 | 1 << 4
    whole = Windows(np.zeros(1), np.zeros(1), 300_001)
    assert cpu.count_bases(genome, table_of(genome), whole, codes).tolist() == [is_gc.sum()]
    starts = np.arange(300_000)
    pairs = Windows(np.zeros(300_000), starts, 2)
    for n_threads in (1, 3):
        got = cpu.count_bases(genome, table_of(genome), pairs, codes, n_threads)
        np.testing.assert_array_equal(got, is_gc[:-1].astype(int) + is_gc[1:])


@pytest.mark.parametrize("codes", [-1, 1 << 16])
def test_codes_past_the_sixteen_are_refused(on: OnBackend, codes: int) -> None:
    genome = Genome.from_arrays({"c": "ACGT"})
    with pytest.raises(InvalidInputError, match="argument codes"):
        on.backend.count_bases(genome, table_of(genome), Windows([0], [0], 4), codes)


def test_every_letter_has_its_code() -> None:
    text = bytes(range(256)).translate(None, b" \t\n\v\f\r")
    packed = np.zeros(len(text), dtype=np.uint8)
    pack_bases(text, packed, 0)
    np.testing.assert_array_equal(packed[: len(text) // 2], oracle.pack(text.decode("latin-1")))


def test_window_longer_than_a_task_is_split_without_a_seam() -> None:
    """Long windows are cut into pieces of 32,768 bases for the threads."""
    rng = np.random.default_rng(0)
    letters = np.frombuffer(b"ACGTNR", dtype=np.uint8)[rng.integers(0, 6, 150_001)]
    genome = Genome.from_arrays({"c": letters})
    row_of_letter = np.stack([oracle.one_hot(chr(letter), 0, 1)[0] for letter in range(128)])
    rows = row_of_letter[letters]
    length = 70_001
    windows = Windows(
        np.zeros(4), np.array([-5, 3, 100_000, 79_998]), length, np.array([0, 1, 1, 0], bool)
    )
    padded = np.concatenate([np.zeros((5, 4)), rows, np.zeros((length, 4))])
    expected = [padded[s + 5 : s + 5 + length] for s in windows.start]
    expected = [e[::-1, ::-1] if r else e for e, r in zip(expected, windows.reverse, strict=True)]
    got = cpu.encode_one_hot(genome, table_of(genome), windows, n_threads=2)
    np.testing.assert_array_equal(got, np.stack(expected))
    planes = cpu.encode_one_hot(
        genome, table_of(genome), windows, SequenceOptions("uint8", "BAL"), n_threads=2
    )
    np.testing.assert_array_equal(planes.transpose(0, 2, 1), got)


@pytest.mark.parametrize("start", [-(2**60), -(2**40), 2**40, 2**60])
def test_windows_far_outside_are_all_zero(on: OnBackend, start: int) -> None:
    genome = Genome.from_arrays({"c": "ACGT"})
    windows = Windows(np.zeros(2), np.array([start, start]), 7, np.array([False, True]))
    assert not on.one_hot(genome, table_of(genome), windows).any()
    for codes, n in ((1, 7), (0xFFFE, 0)):
        assert on.backend.count_bases(genome, table_of(genome), windows, codes).tolist() == [n, n]


def test_out_is_written_between_its_strides_only(on: OnBackend) -> None:
    genome = Genome.from_arrays({"c": "ACGTACGTAC"})
    windows = Windows(np.zeros(3), np.array([0, 1, 2]), 8)
    store = on.device(np.full((3, 12, 4), 7, dtype=np.uint8))
    options = SequenceOptions("uint8")
    on.one_hot(genome, table_of(genome), windows, options, out=store[:, 2:10])
    expected = on.one_hot(genome, table_of(genome), windows, options)
    found = on.host(store)
    np.testing.assert_array_equal(found[:, 2:10], expected)
    assert (found[:, :2] == 7).all()
    assert (found[:, 10:] == 7).all()


@pytest.mark.parametrize("layout", ["BLA", "BAL"])
@pytest.mark.parametrize("dtype", ALL_DTYPES)
def test_out_may_begin_anywhere(on: OnBackend, dtype: str, layout: str) -> None:
    """Also at an element that no row of letters begins at, and with windows that far apart."""
    genome = Genome.from_arrays({"c": "ACGTNRACGGTTTACGATTACAGGC"})
    windows = Windows(np.zeros(3), np.array([-3, 1, 11]), 19, np.array([True, False, True]))
    options = SequenceOptions(dtype, layout)  # type: ignore[arg-type]
    text = genome.sequence("c", 0, 25)
    expected = np.ascontiguousarray(expected_batch([text], windows, options))
    n_bytes = expected[0].nbytes
    for first, gap in ((0, 0), (1, 0), (2, 1), (3, 6), (4, 5)):
        offset, apart = first * expected.itemsize, n_bytes + gap * expected.itemsize
        store = on.device(np.full(offset + 3 * apart, 7, np.uint8))
        strides = (apart, *expected.strides[1:])
        out = on.view(store, offset, expected, strides)
        assert on.backend.encode_one_hot(genome, table_of(genome), windows, options, out) is out
        found = on.host(store)
        for window, want in enumerate(expected):
            at = offset + window * apart
            assert found[at : at + n_bytes].tobytes() == want.tobytes()
            found[at : at + n_bytes] = 7
        assert (found == 7).all()


@pytest.mark.parametrize(
    "out",
    [
        np.empty((1, 8, 4), np.float32),
        np.empty((2, 8, 4), np.float64),
        np.empty((2, 4, 8), np.float32).transpose(0, 2, 1),
        np.broadcast_to(np.empty((1, 8, 4), np.float32), (2, 8, 4)),
        np.empty((4, 8, 4), np.float32)[::-2],
        np.empty(2 * 8 * 4 * 4 + 1, np.uint8)[1:].view(np.float32).reshape(2, 8, 4),
        "no array",
    ],
    ids=["shape", "dtype", "transposed", "read-only", "negative stride", "unaligned", "type"],
)
def test_out_that_does_not_fit_is_refused(out: np.ndarray) -> None:
    genome = Genome.from_arrays({"c": "ACGTACGTAC"})
    with pytest.raises(InvalidInputError, match="argument out"):
        cpu.encode_one_hot(genome, table_of(genome), Windows([0, 0], [0, 1], 8), out=out)


def test_contig_table_may_hold_contigs_that_no_window_needs(on: OnBackend) -> None:
    genome = Genome.from_arrays({"b": "AACC"})
    contigs = ContigTable(("a", "b"), np.array([10, 4]))
    got = on.one_hot(genome, contigs, Windows([1], [0], 4), SequenceOptions("uint8"))
    assert got[0].argmax(axis=1).tolist() == [0, 0, 1, 1]
    with pytest.raises(NotFoundError, match="'a'"):
        on.one_hot(genome, contigs, Windows([0], [0], 4))


@pytest.mark.parametrize("n_windows", [1, 8, 9, 400])
@pytest.mark.parametrize("is_dense", [True, False])
def test_only_what_the_windows_need_is_loaded(
    tmp_path: Path, n_windows: int, is_dense: bool
) -> None:
    rng = np.random.default_rng(n_windows)
    letters = {name: rng.choice(list("ACGTN"), 300_000) for name in ("a", "b")}
    path = tmp_path / "genome.fa"
    lines = {name: "".join(found).encode() for name, found in letters.items()}
    path.write_bytes(b"".join(b">%s\n%s\n" % (n.encode(), s) for n, s in lines.items()))
    genome = Genome(path)
    start = 100_000 + np.arange(n_windows) * 60
    if not is_dense:
        start = np.sort(rng.integers(0, 300_000, n_windows))
        start[0] = -20
    contig = np.arange(n_windows) % 2  # not in order
    windows = Windows(contig, start, 100)
    got = cpu.count_bases(genome, table_of(genome), windows, 1 << 1, 2)
    expected = [
        (letters["ab"[c]][max(s, 0) : s + 100] == "A").sum()
        for c, s in zip(contig, start.tolist(), strict=True)
    ]
    assert got.tolist() == expected
    pages = n_windows * 2 if not is_dense else 4 + n_windows * 60 // 16_384 * 2
    assert 0 < genome.nbytes <= min(pages * 8_192, genome.nbytes_total)
    one_hot = cpu.encode_one_hot(genome, table_of(genome), windows)
    np.testing.assert_array_equal(one_hot[..., 0].sum(axis=1), got)


@pytest.mark.parametrize("index", [-1, 1])
def test_contig_index_out_of_range_is_refused(on: OnBackend, index: int) -> None:
    genome = Genome.from_arrays({"c": "ACGT"})
    windows = Windows([0, index], [0, 0], 4)
    with pytest.raises(InvalidInputError, match=f"got {index}"):
        on.one_hot(genome, table_of(genome), windows)
    with pytest.raises(InvalidInputError, match=f"got {index}"):
        on.backend.count_bases(genome, table_of(genome), windows, 1)


def test_empty_batch(on: OnBackend) -> None:
    genome = Genome.from_arrays({"c": "ACGT"})
    windows = Windows(np.empty(0), np.empty(0), 5)
    assert on.one_hot(genome, table_of(genome), windows).shape == (0, 5, 4)
    assert on.backend.count_bases(genome, table_of(genome), windows, 1).shape == (0,)


@pytest.mark.parametrize("dtype", FLOATS)
def test_fractions_are_rounded_to_nearest_even(dtype: str) -> None:
    table = cpu.one_hot_table(SequenceOptions(dtype, "BLA", "fraction"))  # type: ignore[arg-type]
    assert table[15].tolist() == [0.25] * 4
    bits = {"float32": 0x3EAAAAAB, "float16": 0x3555, "bfloat16": 0x3EAB}[dtype]
    third = table[14, 1:].view(f"u{table.itemsize}")
    assert third.tolist() == [bits] * 3
    assert table[3].tolist() == [0.5, 0.5, 0, 0]


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_fractions_need_a_float_dtype(dtype: str) -> None:
    with pytest.raises(InvalidInputError, match="fraction"):
        SequenceOptions(dtype, "BLA", "fraction")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "value"), [("dtype", "float64"), ("layout", "BNT"), ("unknown", "n")]
)
def test_options_are_checked(field: str, value: str) -> None:
    with pytest.raises(InvalidInputError, match=f"argument {field}"):
        SequenceOptions(**{field: value})  # type: ignore[arg-type]
