"""Lines of regions to arrays, against `read_bed` and against what each line says."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigwig_loader.backend import region_text
from bigwig_loader.backend.region_text import RegionLines, read_regions
from bigwig_loader.errors import InvalidDataError, NotFoundError
from bigwig_loader.formats.bed import read_bed
from tests.helpers.shared import SHARED, shared_data


def parse(text: str | bytes, tmp_path: Path, **options: int) -> RegionLines:
    path = tmp_path / "regions.bed"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_regions(path, **options)


def rows(lines: RegionLines) -> list[tuple[str, int, int]]:
    names = [lines.contig_names[i] for i in lines.contig_index]
    return list(zip(names, lines.start.tolist(), lines.end.tolist(), strict=True))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\t1\t2\nb\t3\t4", [("a", 1, 2), ("b", 3, 4)]),
        ("a\t1\t2\r\nb\t3\t4\r\n", [("a", 1, 2), ("b", 3, 4)]),
        ("a 1   2\n  b 3 4  \n", [("a", 1, 2), ("b", 3, 4)]),
        ("a b\t1\t2\n", [("a b", 1, 2)]),
        ("\n#x\n \t \ntrack name=x\nbrowser y\ntrack\na\t1\t2\n\n", [("a", 1, 2)]),
        ("track 1 2\nbrowser\t5\t9\ntracks\t1\t2\n", None),
        ("track\t1\t2\nbrowser\t5\t9\ntracks\t1\t2\n",
         [("track", 1, 2), ("browser", 5, 9), ("tracks", 1, 2)]),
        ("track 1 2\nbrowser 5 9", [("track", 1, 2), ("browser", 5, 9)]),
        ("a\t007\t999999999999999999\n", [("a", 7, 999999999999999999)]),
        ("a\t9\t2\n", [("a", 9, 2)]),
        (b"\xef\xbb\xbfa\t1\t2\n", [("a", 1, 2)]),
        ("chrä\t1\t2\n", [("chrä", 1, 2)]),
        ("", []),
        ("#only\n", []),
    ],
)  # fmt: skip
def test_lines(
    text: str | bytes, expected: list[tuple[str, int, int]] | None, tmp_path: Path
) -> None:
    if expected is None:  # blanks in one line, tabs in the next: both are three columns
        expected = [("track", 1, 2), ("browser", 5, 9), ("tracks", 1, 2)]
    assert rows(parse(text, tmp_path)) == expected


@pytest.mark.parametrize(
    ("text", "where", "expected", "got"),
    [
        ("a\t1\t2\nb\t3\n", "line 2, columns", "at least 3 columns", "b\\t3"),
        ("a\t1\t2\nb\t3\t4\tx\n", "line 2, columns", "3 columns", "4: b"),
        ("a\t1\t2\tx\n#\nb\t3\t4\n", "line 3, columns", "4 columns", "3: b"),
        ("\t1\t2\n", "line 1, chrom", "a contig name", "1"),
        ("a\t-1\t2\n", "line 1, start", "a whole number >= 0", "-1"),
        ("a\t1\t2\nb\t\t4\n", "line 2, start", "a whole number", "''"),
        ("a\t1\t2\nb\t3 \t4\n", "line 2, start", "a whole number", "3 "),
        ("a\t1\t2.0\n", "line 1, end", "a whole number", "2.0"),
        ("a\t1\t+2\n", "line 1, end", "a whole number", "+2"),
        ("a\t1\t1000000000000000000\n", "line 1, end", "a whole number", "1000"),
        ("a\t1\t٢\n", "line 1, end", "a whole number", "٢"),
        ("a\tnan\tNaN\n", "line 1, start", "a whole number", "nan"),
        ("a\tstart\t5\n", "line 1, start", "a whole number", "start"),
        ("a\t1\t2\nchrom\tstart\tend\n", "line 2, start", "a whole number", "start"),
        ("chrom\tstart\tend\nchrom\tstart\tend\n", "line 2, start", "a whole number", "start"),
    ],
)
def test_bad_lines(text: str, where: str, expected: str, got: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidDataError) as caught:
        parse(text, tmp_path)
    error = caught.value
    assert error.path == str(tmp_path / "regions.bed")
    assert error.field == where
    assert str(error.expected).startswith(expected)
    assert got in str(error.got)


def test_names_of_columns_are_told(tmp_path: Path) -> None:
    lines = parse("#c\nchrom\tchromStart\tchromEnd\nchr1\t1\t2\n", tmp_path, with_lines=True)
    assert lines.header == (2, "chrom\tchromStart\tchromEnd")
    assert rows(lines) == [("chr1", 1, 2)]
    assert lines.line.tolist() == [3]
    assert parse("chr1\t1\t2\n", tmp_path).header is None


def test_keys(tmp_path: Path) -> None:
    lines = parse("a\t1\t2\tx\t1\na\t1\t2\ty\t3\na\t1\t2\tx\t3\n", tmp_path, key_column=3)
    assert lines.key_names == ("x", "y")
    assert lines.key_index.tolist() == [0, 1, 0]
    with pytest.raises(InvalidDataError, match="barcode in column 4"):
        parse("a\t1\t2\n", tmp_path, key_column=3)
    with pytest.raises(InvalidDataError, match="line 1, barcode"):
        parse("a\t1\t2\t\t1\n", tmp_path, key_column=3)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_pieces(n_threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    contigs = [f"contig{i}" for i in rng.integers(0, 300, 3_000)]
    regions = [
        (c, int(s), int(s) + 9) for c, s in zip(contigs, rng.integers(0, 10**9, 3_000), strict=True)
    ]
    text = "".join(f"{c}\t{s}\t{e}\tcell{s % 700}\n" for c, s, e in regions)
    whole = parse("#start\n" + text, tmp_path, key_column=3, with_lines=True)
    monkeypatch.setattr(region_text, "PIECE_BYTES", 1_000)
    cut = parse("#start\n" + text, tmp_path, key_column=3, with_lines=True, n_threads=n_threads)
    assert rows(whole) == rows(cut) == regions
    assert cut.line.tolist() == list(range(2, 3_002))
    assert cut.contig_names == whole.contig_names == tuple(dict.fromkeys(contigs))
    keys = [f"cell{s % 700}" for _, s, _ in regions]
    assert [cut.key_names[i] for i in cut.key_index] == keys
    bad = text.replace("\n", "\r\n").replace(f"\t{regions[2_500][1]}\t", "\tx\t", 1)
    with pytest.raises(InvalidDataError, match="line 2501, start"):
        parse(bad, tmp_path, n_threads=n_threads)


def test_compressed(tmp_path: Path) -> None:
    path = tmp_path / "a.bed.gz"
    path.write_bytes(gzip.compress(b"a\t1\t2\n") + gzip.compress(b"b\t3\t4\n"))
    assert rows(read_regions(path)) == [("a", 1, 2), ("b", 3, 4)]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InvalidDataError, match="damaged gzip"):
        read_regions(path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"none\.bed"):
        read_regions(tmp_path / "none.bed")


def test_no_text(tmp_path: Path) -> None:
    with pytest.raises(InvalidDataError, match="not a text file"):
        parse(b"\xff\xfe\t1\t2\n", tmp_path)
    with pytest.raises(InvalidDataError):
        parse(bytes(range(256)) * 50, tmp_path)


def outcome(path: Path, with_read_bed: bool) -> list[tuple[str, int, int]] | str:
    """The regions of a file, or where it is wrong: for `read_bed`, also names of columns are."""
    try:
        if not with_read_bed:
            lines = read_regions(path, n_threads=2)
            return rows(lines) if lines.header is None else f"line {lines.header[0]}, start"
        frame = read_bed(path, columns=("chrom", "start", "end"))
    except InvalidDataError as error:
        return str(error.field)
    return list(zip(frame.chrom, frame.start, frame.end, strict=True))


@given(st.text("ab\t 1-90#.\r\ntrack", max_size=80))
@settings(max_examples=60)
def test_any_text(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.bed"
    path.write_bytes(text.encode())
    ours, theirs = outcome(path, False), outcome(path, True)
    if isinstance(ours, str) or not isinstance(theirs, str):
        assert isinstance(ours, str) == isinstance(theirs, str)
        assert isinstance(ours, str) or ours == theirs
    else:  # an end before its start is refused later, where it has no meaning
        assert theirs.endswith(", end")
        assert any(end < start for _, start, end in ours)


FILES = sorted((SHARED / "data" / "bed").glob("*"))


@pytest.mark.parametrize("name", [path.name for path in FILES] or ["any"])
def test_real_files(name: str) -> None:
    path = shared_data("bed", name)
    assert outcome(path, False) == outcome(path, True)
