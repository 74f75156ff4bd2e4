"""BED, narrowPeak and broadPeak files, and frames of regions."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigwig_loader.errors import InvalidDataError, InvalidInputError, NotFoundError
from bigwig_loader.formats import bed
from bigwig_loader.formats.bed import read_bed
from tests.formats.test_fasta import bgzip
from tests.helpers.shared import SHARED, shared_data

TRUTH = sorted(
    path
    for pattern in ("bed/*.json", "sets/*/*.bed*.json", "sets/*/*Peak.json")
    for path in (SHARED / "data" / "truth").glob(pattern)
)
PEAK = "chr1\t100\t200\tp\t5\t.\t1.5\t-1\t2e-3\t50\n"


def rows(frame: pd.DataFrame) -> list[list[Any]]:
    return frame[["chrom", "start", "end"]].to_numpy(dtype=object).tolist()


@pytest.mark.skipif(not TRUTH, reason="needs ../shared/data, which is not there")
@pytest.mark.parametrize("truth_path", TRUTH, ids=lambda p: p.name.removesuffix(".json"))
def test_file_with_truth(truth_path: Path) -> None:
    truth = json.loads(truth_path.read_text())
    path = shared_data(*truth["file"].split("/"))
    if truth["n_bad"]:
        with pytest.raises(InvalidDataError, match=r"line \d+ is not a region") as caught:
            read_bed(path)
        assert repr(truth["bad_lines"][0])[1:-1] in str(caught.value.got)
        return
    frame = read_bed(path)
    assert len(frame) == truth["n_intervals"]
    assert sorted(set(frame["chrom"])) == truth["chroms"]
    assert (frame["start"].dtype, frame["end"].dtype) == (np.int64, np.int64)
    assert int((frame["end"] - frame["start"]).sum()) == truth["sum_lengths"]
    assert int((frame["end"] <= frame["start"]).sum()) == truth["empty_or_reversed"]
    got_rows = rows(frame)
    n = len(truth["head"])
    assert got_rows[:n] == [row[:3] for row in truth["head"]]
    assert got_rows[-1:] == [row[:3] for row in truth["tail"]]
    if truth["strands"] and "None" not in truth["strands"]:
        assert frame["strand"].value_counts().to_dict() == truth["strands"]
        assert frame["strand"].tolist()[:n] == [row[3] for row in truth["head"]]
    if truth["summit_sum"] is not None:
        offsets = (frame["summit"] - frame["start"]).fillna(-1)
        assert int(offsets.sum()) == truth["summit_sum"]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("final", [True, False])
@pytest.mark.parametrize("compressed", [True, False])
def test_line_ends_headers_and_compression(
    tmp_path: Path, newline: str, final: bool, compressed: bool
) -> None:
    lines = [
        "browser position chr1:1-2",
        'track name="x y" description="chr1 5 6"',
        "#chrom\tstart\tend",
        "chr1\t0\t10",
        "",
        "  ",
        "track\t3\t5",
        "browser   4 6",
        "# chr1\t1\t2",
        "chr2 7  9",
    ]
    data = (newline.join(lines) + newline * final).encode()
    path = tmp_path / "x.bed"
    path.write_bytes(gzip.compress(data) if compressed else data)
    expected = [["chr1", 0, 10], ["track", 3, 5], ["browser", 4, 6], ["chr2", 7, 9]]
    assert rows(read_bed(path)) == expected
    assert rows(read_bed(str(path))) == expected
    with path.open("rb") as file:
        assert rows(read_bed(file)) == expected
    assert rows(read_bed(io.StringIO(data.decode()))) == expected


@pytest.mark.parametrize("n", range(3, 13))
def test_columns_by_number(n: int) -> None:
    fields = ["chr1", "1", "9", "x y", "3.5", "-", "1", "9", "0", "1", "8,", "0,"]
    if n == 10:
        fields[9] = "-1"
    frame = read_bed(io.StringIO("\t".join(fields[:n]) + "\n"))
    expected = ["chrom", "start", "end", "name", "score", "strand"][:n]
    if n == 10:
        expected += ["signalValue", "pValue", "qValue", "summit"]
    assert frame.columns.tolist() == expected
    assert frame.iloc[0].tolist()[:6] == ["chr1", 1, 9, "x y", 3.5, "-"][:n]


def test_narrow_peak() -> None:
    text = PEAK + PEAK.replace("\t50\n", "\t-1\n").replace("\t5\t", "\t.\t")
    frame = read_bed(io.StringIO(text))
    assert frame["summit"].tolist() == [150, pd.NA]
    assert frame["summit"].dtype == "Int64"
    assert frame["qValue"].tolist() == [2e-3] * 2
    assert frame["pValue"].tolist() == [-1.0] * 2
    assert frame["score"].isna().tolist() == [False, True]


@pytest.mark.parametrize("how", ["name", "track line"])
def test_broad_peak(tmp_path: Path, how: str) -> None:
    path = tmp_path / ("x.broadPeak.gz" if how == "name" else "x.bed")
    line = "\t".join(PEAK.split("\t")[:9]) + "\n"
    path.write_text(line if how == "name" else f"track type=broadPeak\n{line}")
    assert read_bed(path).columns.tolist()[6:] == ["signalValue", "pValue", "qValue"]
    bed9 = tmp_path / "y.bed"
    bed9.write_text(line)
    assert "pValue" not in read_bed(bed9)


def test_peak_file_with_another_number_of_columns_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.narrowPeak"
    path.write_text("chr1\t1\t2\n")
    with pytest.raises(InvalidDataError, match="10 columns"):
        read_bed(path)
    assert rows(read_bed(path, n_columns=3)) == [["chr1", 1, 2]]


@pytest.mark.parametrize("name", ["x.bed", "x.narrowPeak", "x.broadPeak"])
def test_file_without_regions(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("# nothing\n")
    frame = read_bed(path)
    assert len(frame) == 0
    assert (frame["start"].dtype, frame["end"].dtype) == (np.int64, np.int64)
    assert ("summit" in frame) == (name == "x.narrowPeak")
    assert ("qValue" in frame) == (name != "x.bed")


@pytest.mark.parametrize(
    ("line", "field", "expected"),
    [
        ("chr1\t1", "columns", "at least 3 columns"),
        ("chr1", "columns", "at least 3 columns"),
        ("chr1\t1\t2\t3\t4\t5\t6", "columns", "6 columns, as in line 2"),
        ("chr1\t1\t2", "columns", "6 columns, as in line 2"),
        ("chrom\tstart\tend\tn\t1\t+", "start", "a whole number >= 0"),
        ("chr1\t-1\t2\tn\t1\t+", "start", "a whole number >= 0"),
        ("chr1\t1.0\t2\tn\t1\t+", "start", "a whole number >= 0"),
        ("chr1\t1\t1e3\tn\t1\t+", "end", "a whole number >= 0"),
        ("chr1\t1\t1_0\tn\t1\t+", "end", "a whole number >= 0"),
        ("chr1\t1\t\u0663\tn\t1\t+", "end", "a whole number >= 0"),
        ("chr1\t1\t\tn\t1\t+", "end", "a whole number >= 0"),
        ("chr1\t1\t" + "9" * 30 + "\tn\t1\t+", "end", "a position of a genome"),
        ("chr1\t5\t4\tn\t1\t+", "end", "an end >= the start, 5"),
        ("\t1\t2\tn\t1\t+", "chrom", "a contig name"),
        ("chr1\t1\t2\tn\tx\t+", "score", "a number or '.'"),
        ("chr1\t1\t2\tn\t1\tplus", "strand", "one of + - . *"),
    ],
)
def test_malformed_line(tmp_path: Path, line: str, field: str, expected: str) -> None:
    path = tmp_path / "x.bed"
    path.write_text(f"# header\nchr1\t1\t2\tn\t1\t+\n\n{line}\nchr1\t1\t2\tn\t1\t+\n")
    with pytest.raises(InvalidDataError, match="line 4 is not a region") as caught:
        read_bed(path)
    error = caught.value
    assert (error.path, error.field) == (str(path), f"line 4, {field}")
    assert error.expected == expected
    assert error.got is not None


@pytest.mark.parametrize("peak", ["-2", "", ".", "1.5"])
def test_malformed_summit(peak: str) -> None:
    with pytest.raises(InvalidDataError, match="peak"):
        read_bed(io.StringIO(PEAK.replace("\t50\n", f"\t{peak}\n")))


def test_columns_that_are_not_bed_can_be_left_unread() -> None:
    text = "chr1\t1\t2\tchr7\t10\t20\nchr2\t1\t2\tchr7\n"
    assert read_bed(io.StringIO(text), n_columns=3).columns.tolist() == ["chrom", "start", "end"]
    with pytest.raises(InvalidDataError, match="at least 5 columns"):
        read_bed(io.StringIO(text), n_columns=5)
    for n_columns in (0, 2):
        with pytest.raises(InvalidInputError, match="n_columns"):
            read_bed(io.StringIO(text), n_columns=n_columns)


def test_not_text_and_not_there(tmp_path: Path) -> None:
    path = tmp_path / "x.bed"
    path.write_bytes(b"chr1\t1\t2\nchr\xff\t1\t2\n")
    with pytest.raises(InvalidDataError, match="not a text file") as caught:
        read_bed(path)
    assert (caught.value.offset, caught.value.field) == (12, "line 2")
    with pytest.raises(NotFoundError):
        read_bed(tmp_path / "none.bed")
    with pytest.raises(InvalidInputError, match="got int"):
        read_bed(7)  # type: ignore[arg-type]
    with pytest.raises(InvalidDataError, match="damaged gzip"):
        read_bed(io.BytesIO(gzip.compress(b"chr1\t1\t2\n")[:-3]))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["chr1", "2", "x.y"]),
            st.integers(0, 2**40),
            st.integers(0, 1000),
            st.sampled_from(["+", "-", "."]),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_written_regions_read_back(regions: list[tuple[str, int, int, str]]) -> None:
    text = "".join(f"{c}\t{s}\t{s + n}\tn\t{n}\t{strand}\n" for c, s, n, strand in regions)
    frame = read_bed(io.StringIO(text))
    assert rows(frame) == [[c, s, s + n] for c, s, n, _ in regions]
    assert frame["strand"].tolist() == [strand for *_, strand in regions]
    assert frame["score"].tolist() == [n for _, _, n, _ in regions]


# ---------------------------------------------------------------------- pieces and columns ----

REGION_LINES = st.lists(
    st.sampled_from(
        [
            "chr1\t0\t10\ta\t1\t+\t1\t2\t3\t5",
            "chr22 7 9 b . - 1 2 -1 -1",
            "chr1\t3\t3\tnaïve\t2.5\t.\t0\t0\t0\t0",
            "# comment",
            "",
            "track name=x",
            "browser position chr1",
        ]
    ),
    max_size=12,
)


@given(
    lines=REGION_LINES,
    newline=st.sampled_from(["\n", "\r\n"]),
    ends=st.sampled_from(["", "\n"]),
    piece_bytes=st.integers(1, 60),
    bad=st.none() | st.sampled_from(["chr1\t1", "chr1\tx\t5\ta\t1\t+\t1\t2\t3\t5"]),
)
def test_pieces_do_not_show(
    tmp_path_factory: pytest.TempPathFactory,
    lines: list[str],
    newline: str,
    ends: str,
    piece_bytes: int,
    bad: str | None,
) -> None:
    text = newline.join([*lines, *([] if bad is None else [bad])]) + ends
    raw = text.encode("utf-8-sig")
    plain = tmp_path_factory.getbasetemp() / "pieces.bed"
    plain.write_bytes(raw)
    zipped = plain.with_name("pieces.bed.gz")
    zipped.write_bytes(gzip.compress(raw))
    blocks = plain.with_name("pieces.bed.bgz")
    blocks.write_bytes(bgzip(raw, 40)[0])
    with pytest.MonkeyPatch.context() as patch:
        if bad is None:
            expected = read_bed(io.BytesIO(raw))
            patch.setattr(bed, "_PIECE_BYTES", piece_bytes)
            for source in (io.BytesIO(raw), plain, zipped, blocks):
                pd.testing.assert_frame_equal(read_bed(source), expected)
            return
        with pytest.raises(InvalidDataError) as whole:
            read_bed(plain)
        patch.setattr(bed, "_PIECE_BYTES", piece_bytes)
        for path in (plain, zipped, blocks):
            with pytest.raises(InvalidDataError) as caught:
                read_bed(path)
            assert (caught.value.field, caught.value.got) == (whole.value.field, whole.value.got)


def test_a_track_line_in_a_later_piece_still_says_what_the_file_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = "\t".join(PEAK.split("\t")[:9]) + "\n"
    text = line * 3 + "track type=broadPeak\n" + line
    monkeypatch.setattr(bed, "_PIECE_BYTES", 16)
    frame = read_bed(io.StringIO(text))
    assert frame.columns.tolist()[6:] == ["signalValue", "pValue", "qValue"]
    assert frame["qValue"].tolist() == [2e-3] * 4


@pytest.mark.parametrize("piece_bytes", [8, 1 << 20])
def test_not_text_in_a_later_piece(monkeypatch: pytest.MonkeyPatch, piece_bytes: int) -> None:
    monkeypatch.setattr(bed, "_PIECE_BYTES", piece_bytes)
    with pytest.raises(InvalidDataError, match="not a text file") as caught:
        read_bed(io.BytesIO(b"chr1\t1\t2\n" * 5 + b"chr\xff\t1\t2\n"))
    assert (caught.value.offset, caught.value.field) == (48, "line 6")


def test_damaged_gzip_file(tmp_path: Path) -> None:
    path = tmp_path / "x.bed.gz"
    path.write_bytes(gzip.compress(b"chr1\t1\t2\n" * 1000)[:-9])
    with pytest.raises(InvalidDataError, match="damaged gzip file"):
        read_bed(path)


def test_only_the_columns_asked_for_are_built_and_checked() -> None:
    text = PEAK.replace("\t5\t.\t", "\tnot a number\tplus\t") + PEAK.replace("\t50\n", "\t-1\n")
    frame = read_bed(io.StringIO(text), columns=("summit", "chrom", "start"))
    assert frame.columns.tolist() == ["summit", "chrom", "start"]
    assert frame["summit"].tolist() == [150, pd.NA]
    with pytest.raises(InvalidDataError, match="score"):
        read_bed(io.StringIO(text), columns=("chrom", "start", "end", "score"))
    with pytest.raises(InvalidDataError, match="end >= the start"):
        read_bed(io.StringIO("chr1\t5\t4\n"), columns=("chrom",))


def test_columns_by_position_of_a_wider_file() -> None:
    text = PEAK.replace("\n", "\textra\tmore\n") + PEAK.replace("\n", "\tragged\n")
    wanted = ("chrom", "start", "end", "summit")
    frame = read_bed(io.StringIO(text), n_columns=10, columns=wanted)
    assert frame.to_numpy(dtype=object).tolist() == [["chr1", 100, 200, 150]] * 2


def test_bed12_has_no_summit_and_its_first_columns_are_read() -> None:
    text = "chr1\t1\t9\tx y\t3.5\t-\t1\t9\t0\t1\t8,\t0,\n" * 2
    assert (
        read_bed(io.StringIO(text), columns=("name", "strand")).to_numpy().tolist()
        == [["x y", "-"]] * 2
    )
    with pytest.raises(InvalidDataError, match="a column 'summit', which is column 10; got 12"):
        read_bed(io.StringIO(text), columns=("chrom", "summit"))


def test_columns_of_a_file_without_regions_and_of_a_frame() -> None:
    frame = read_bed(io.StringIO("#\n"), columns=("summit", "end", "strand"))
    assert frame.dtypes.astype(str).to_dict() == {
        "summit": "Int64",
        "end": "int64",
        "strand": "str",
    }
    given_frame = pd.DataFrame({"chrom": ["a"], "start": [1], "x": [2.5], "end": [3]})
    assert read_bed(given_frame, columns=("x", "end")).to_numpy().tolist() == [[2.5, 3.0]]
    with pytest.raises(InvalidInputError, match="expected a column 'summit'; got the columns"):
        read_bed(given_frame, columns=("summit",))


@pytest.mark.parametrize("columns", [(), ("chrom", "chrom"), ("chrom", "peak"), (3,), "chroms"])
def test_columns_that_no_file_has(columns: Any) -> None:
    with pytest.raises(InvalidInputError, match="argument columns"):
        read_bed(io.StringIO(PEAK), columns=columns)


def test_memory_is_that_of_the_result_and_of_a_piece(tmp_path: Path) -> None:
    path = tmp_path / "x.narrowPeak"
    path.write_text(
        "".join(f"chr{i % 5}\t{i}\t{i + 9}\tp{i}\t0\t.\t1\t2\t3\t4\n" for i in range(100_000))
    )
    tracemalloc.start()
    try:
        frame = read_bed(path, n_columns=3)
        now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(frame) == 100_000
    assert peak - now < 20e6  # all lines at once: 40 MB
    assert now < 4e6  # 24 bytes a row; with a string of its own for each, 70


# ------------------------------------------------------------------------------------ frames ----


def has_pyarrow() -> bool:
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        return False
    return True


INTEGERS = ["int8", "uint8", "int32", "uint32", "int64", "uint64", "Int64", "UInt16", "object"]
INTEGERS += ["float64", "Float32"] + ["int64[pyarrow]"] * has_pyarrow()


@pytest.mark.parametrize("dtype", INTEGERS)
def test_frame_with_any_integer_dtype(dtype: str) -> None:
    positions = pd.Series([0, 100], dtype=dtype)
    given_frame = pd.DataFrame({"chrom": ["a", "b"], "start": positions, "end": positions + 1})
    before = given_frame.copy()
    frame = read_bed(given_frame)
    assert rows(frame) == [["a", 0, 1], ["b", 100, 101]]
    assert (frame["start"].dtype, frame["end"].dtype) == (np.int64, np.int64)
    pd.testing.assert_frame_equal(given_frame, before)


@pytest.mark.parametrize("dtype", ["object", "string", "str", "category"])
def test_frame_with_any_kind_of_names(dtype: str) -> None:
    given_frame = pd.DataFrame(
        {"chrom": pd.Series(["a", "b"], dtype=dtype), "start": [0, 1], "end": [2, 3], "x": [1, 2]}
    )
    given_frame.index = pd.Index([7, 7])
    before = given_frame.copy()
    frame = read_bed(given_frame)
    assert rows(frame) == [["a", 0, 2], ["b", 1, 3]]
    assert frame["chrom"].dtype == pd.Series(["a"], dtype="str").dtype
    assert (frame["x"].tolist(), frame.index.tolist()) == ([1, 2], [7, 7])
    frame["start"] += 1
    pd.testing.assert_frame_equal(given_frame, before)


def test_frame_with_numbers_for_names() -> None:
    given_frame = pd.DataFrame({"chrom": [1, 22], "start": [0, 0], "end": [1, 1]})
    assert read_bed(given_frame)["chrom"].tolist() == ["1", "22"]


def test_empty_frame() -> None:
    frame = read_bed(pd.DataFrame({"chrom": [], "start": [], "end": []}))
    assert len(frame) == 0
    assert frame["start"].dtype == np.int64


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("chrom", None, "missing"),
        ("chrom", float("nan"), "missing"),
        ("chrom", 1.5, "expected a contig name; got 1.5"),
        ("chrom", True, "expected a contig name; got True"),
        ("start", None, "missing"),
        ("start", pd.NA, "missing"),
        ("start", 1.5, "expected an integer; got 1.5"),
        ("start", "1", "expected an integer; got '1'"),
        ("start", True, "expected an integer; got True"),
        ("start", float("inf"), "expected an integer; got inf"),
        ("start", Decimal(1), "expected an integer"),
        ("start", 2**63, "expected an integer"),
        ("start", 2.0**60, "expected an integer"),
        ("start", -1, "expected start >= 0; got start=-1"),
        ("end", 4, "expected end >= start; got start=5, end=4"),
    ],
)
def test_frame_with_a_bad_row(column: str, value: object, says: str) -> None:
    frame = pd.DataFrame(
        {"chrom": ["a", "b"], "start": [5, 5], "end": [6, 6]}, index=["one", "two"], dtype=object
    )
    frame.loc["two", column] = value
    with pytest.raises(InvalidInputError) as caught:
        read_bed(frame)
    message = str(caught.value)
    assert f"row 1 (index 'two'), column '{column}'" in message
    assert says in message


def test_unsigned_position_beyond_int64_is_refused() -> None:
    ends = np.array([2**63], dtype=np.uint64)
    with pytest.raises(InvalidInputError, match="column 'end': expected an integer"):
        read_bed(pd.DataFrame({"chrom": ["a"], "start": [0], "end": ends}))


def test_frame_without_a_column() -> None:
    with pytest.raises(InvalidInputError, match="one column 'end'; got 0 in the columns 'chrom'"):
        read_bed(pd.DataFrame({"chrom": ["a"], "start": [0], "stop": [1]}))
    twice = pd.DataFrame([["a", 0, 1, 2]], columns=["chrom", "start", "end", "end"])
    with pytest.raises(InvalidInputError, match="got 2 in the columns"):
        read_bed(twice)
