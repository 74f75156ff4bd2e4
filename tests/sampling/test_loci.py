"""Reading loci: files and frames, interleaved, summits, contigs, the reason table."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigwig_loader.errors import InvalidDataError, InvalidInputError, NotFoundError
from bigwig_loader.formats.bed import read_bed
from bigwig_loader.sampling.loci import MEANINGS, Loci, Reason, read_loci
from tests.helpers.peaks import Locus, PeakWorld, frame_of, write_loci
from tests.oracles.peaks import Rules, interleaved

CONTIGS = ["chr1", "chr2", "7"]


@st.composite
def some_loci(draw: st.DrawFn) -> Locus:
    start, width = draw(st.integers(0, 500)), draw(st.integers(0, 60))
    return draw(st.sampled_from(CONTIGS)), start, start + width, draw(st.integers(0, width))


files = st.lists(st.lists(some_loci(), max_size=8), min_size=1, max_size=4)
chroms = st.one_of(st.none(), st.lists(st.sampled_from([*CONTIGS, "chr3", 7]), max_size=3))


def rows_of(loci: Loci) -> list[tuple[int, int, str, int, str]]:
    columns = (loci.source, loci.row, loci.contig, loci.middle, loci.reason)
    return [
        (int(f), int(row), loci.contig_names[c], int(middle), Reason(why).name.lower())
        for f, row, c, middle, why in zip(*columns, strict=True)
    ]


@given(files, chroms, st.booleans())
def test_interleaving_and_middles(
    given_files: list[list[Locus]], wanted: list[object] | None, summits: bool
) -> None:
    loci = read_loci([frame_of(rows) for rows in given_files], wanted, summits)
    names = None if wanted is None else [str(name) for name in wanted]
    expected = interleaved(given_files, Rules(1, None, chroms=names, summits=summits))
    assert rows_of(loci) == [(c.file, c.row, c.contig, c.middle, c.reason) for c in expected]
    by_row = {(f, r): locus for f, rows in enumerate(given_files) for r, locus in enumerate(rows)}
    spans = [by_row[key][1:3] for key in zip(loci.source.tolist(), loci.row.tolist(), strict=True)]
    assert list(zip(loci.start.tolist(), loci.end.tolist(), strict=True)) == spans
    assert loci.n_wanted == sum(c.reason == "kept" for c in expected)
    assert loci.kept_mask().tolist() == [True] * loci.n_wanted
    assert loci.counts()[Reason.CONTIG] == len(loci) - loci.n_wanted


def test_files_equal_frames(peak_world: PeakWorld) -> None:
    names = ["peaks.narrowPeak", "more.narrowPeak"]
    for summits in (False, True):
        of_files = read_loci([peak_world.bed(n) for n in names], summits=summits)
        of_frames = read_loci([frame_of(peak_world.loci[n]) for n in names], summits=summits)
        assert rows_of(of_files) == rows_of(of_frames)
        assert of_files.paths == tuple(peak_world.bed(n) for n in names)
        assert of_frames.paths == ("<DataFrame 0>", "<DataFrame 1>")


def test_headings_gzip_and_numbers(tmp_path: Path) -> None:
    text = 'browser position chr1\ntrack name="a b"\n#c\ts\te\n7\t5\t10\nchr1\t0\t3\n# end\n'
    plain, packed = tmp_path / "a.bed", tmp_path / "b.bed.gz"
    plain.write_text(text)
    packed.write_bytes(gzip.compress(text.encode()))
    expected = [(0, 0, "7", 7, "kept"), (0, 1, "chr1", 1, "contig")]
    for path in (plain, str(packed)):
        assert rows_of(read_loci(path, chroms=[7])) == expected
    frame = pd.DataFrame({"x": [7, 7], "y": np.int32([5, 6]), "z": [10.0, 9.0]}, index=[3, 3])
    assert rows_of(read_loci(frame, ["7"])) == [(0, 0, "7", 7, "kept"), (0, 1, "7", 7, "kept")]


def test_the_tenth_column_counts_whatever_it_is_called(peak_world: PeakWorld) -> None:
    """ChromBPNet calls it "summit", as `read_bed` calls the position on the contig."""
    loci = peak_world.loci["peaks.narrowPeak"]
    expected = [start + summit for _, start, _, summit in loci]
    chrombpnet = ["chr", "start", "end", *"123456", "summit"]
    for frame in (frame_of(loci), frame_of(loci, chrombpnet)):
        assert read_loci(frame, summits=True).middle.tolist() == expected
    path = peak_world.bed("peaks.narrowPeak")
    positions = read_bed(path, columns=("chrom", "start", "end", "summit"))
    assert read_loci(positions, summits=True).middle.tolist() == expected


def test_more_than_ten_columns(tmp_path: Path) -> None:
    path = tmp_path / "wide.bed"
    path.write_text("chr1\t10\t20\tn\tnot a number\t?\tx\ty\tz\t4\tmore\n")
    assert read_loci(path, summits=True).middle.tolist() == [14]
    assert read_loci(path).middle.tolist() == [15]


def bad_frame(column: int, value: object) -> pd.DataFrame:
    frame = frame_of([("chr1", 10, 20, 3), ("chr1", 30, 40, 5)]).astype(object)
    frame.iloc[1, column] = value
    return frame


@pytest.mark.parametrize(
    ("given_loci", "summits", "words"),
    [
        ([], False, ["loci", "at least one file"]),
        (3, False, ["loci", "int"]),
        ([["a.bed"]], False, ["loci", "list"]),
        (pd.DataFrame({"a": ["chr1"], "b": [1]}), False, ["<DataFrame>", "at least 3", "got 2"]),
        (frame_of([("chr1", 1, 2, 0)]).iloc[:, :5], True, ["at least 10", "got 5"]),
        (bad_frame(9, -1), True, ["1 of 2", "row 1", "start 30", "-1"]),
        (bad_frame(9, 11), True, ["1 of 2", "row 1", "summit 41", "summits=False"]),
        (bad_frame(9, None), True, ["row 1", "none"]),
        (bad_frame(1, -5), False, ["row 1", "start"]),
        (bad_frame(2, 5), False, ["row 1", "end"]),
        (bad_frame(1, 1.5), False, ["row 1", "1.5"]),
        (bad_frame(0, None), False, ["row 1", "missing"]),
    ],
)
def test_bad_loci(given_loci: object, summits: bool, words: Sequence[str]) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read_loci(given_loci, summits=summits)
    assert isinstance(caught.value, ValueError)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("chroms", ["chr1", {"chr1"}, np.array(["chr1"]), 3])
def test_bad_chroms(chroms: object) -> None:
    with pytest.raises(InvalidInputError, match="argument chroms"):
        read_loci(frame_of([("chr1", 1, 2, 0)]), chroms)


def test_bad_files(tmp_path: Path) -> None:
    three = write_loci(tmp_path / "three.bed", [("chr1", 1, 5, 0)], 3)
    with pytest.raises(InvalidInputError, match=r"tenth is the summit.*three\.bed.*line 1"):
        read_loci(three, summits=True)
    broken = tmp_path / "broken.bed"
    broken.write_text("chr1\t1\t5\nchr1\tx\t5\n")
    with pytest.raises(InvalidDataError, match=r"broken\.bed.*line 2"):
        read_loci(broken)
    no_summit = write_loci(tmp_path / "none.bed", [("chr1", 1, 5, -1)])
    with pytest.raises(InvalidInputError, match=r"row 0: start 1, end 5, summit none"):
        read_loci(no_summit, summits=True)
    with pytest.raises(NotFoundError, match=r"absent\.bed"):
        read_loci(tmp_path / "absent.bed")


def test_empty_files(tmp_path: Path) -> None:
    path = tmp_path / "empty.bed"
    path.write_text("# nothing\n")
    assert len(read_loci([path, path])) == 0
    assert "the file is empty" in str(read_loci(path).why_none("argument peaks"))


def test_reasons() -> None:
    one = [("chr1", 0, 10, 0), ("chr2", 0, 10, 0), ("chr1", 5, 15, 0)]
    loci = read_loci([frame_of(one), frame_of(one[:1])], ["chr1"])
    loci.drop(np.array([0]), Reason.OUTLIER)
    loci.drop(np.array([2]), Reason.EDGE)
    table = loci.table()
    assert table["file"].tolist() == ["<DataFrame 0>"] * 3 + ["<DataFrame 1>"]
    assert table["row"].tolist() == [0, 1, 2, 0]
    assert table["reason"].tolist() == ["outlier", "contig", "edge", "kept"]
    assert table["kept"].tolist() == [False, False, False, True]
    assert table["chrom"].tolist() == ["chr1", "chr2", "chr1", "chr1"]
    assert table["middle"].tolist() == [5, 5, 10, 5]
    assert table["meaning"].tolist() == [MEANINGS[Reason[r.upper()]] for r in table["reason"]]
    assert loci.describe(0) == "<DataFrame 0> row 0 (chr1:0-10)"
    assert loci.kept_mask().tolist() == [False, True, False]
    message = str(loci.why_none("argument peaks"))
    assert "of 4 in" in message
    assert f"1 because {MEANINGS[Reason.OUTLIER]}" in message
    assert set(MEANINGS) == set(Reason)
