"""Interval algebra against sets of bases."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigwig_loader import intervals
from bigwig_loader.errors import InvalidInputError, NotFoundError
from tests.oracles import intervals as oracle

REGIONS = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 30), st.integers(0, 12)).map(
        lambda r: (r[0], r[1], r[1] + r[2])
    ),
    max_size=12,
)


def frame(regions: list[oracle.Interval], **columns: Any) -> pd.DataFrame:
    made = pd.DataFrame(regions, columns=["chrom", "start", "end"])
    return made.astype({"start": "int64", "end": "int64"}).assign(**columns)


def rows(regions: pd.DataFrame) -> list[oracle.Interval]:
    assert (regions["start"].dtype, regions["end"].dtype) == (np.int64, np.int64)
    columns = (regions[name].tolist() for name in ("chrom", "start", "end"))
    return list(zip(*columns, strict=True))


@given(REGIONS, st.integers(0, 5))
def test_merge(regions: list[oracle.Interval], gap: int) -> None:
    merged = intervals.merge(frame(regions), gap=gap)
    assert sorted(rows(merged)) == oracle.merge(regions, gap)
    assert merged.index.tolist() == list(range(len(merged)))
    again = intervals.merge(merged, gap=gap)
    pd.testing.assert_frame_equal(again, merged)


@given(REGIONS, REGIONS)
def test_subtract_and_intersect(
    regions: list[oracle.Interval], other: list[oracle.Interval]
) -> None:
    ours, theirs = frame(regions, number=range(len(regions))), frame(other)
    before = ours.copy(), theirs.copy()
    left, shared = intervals.subtract(ours, theirs), intervals.intersect(ours, theirs)
    assert rows(left) == oracle.subtract(regions, other)
    assert rows(shared) == oracle.intersect(regions, other)
    for piece in [*left.itertuples(), *shared.itertuples()]:
        chrom, start, end = regions[piece.number]
        assert (piece.chrom, start <= piece.start < piece.end <= end) == (chrom, True)
    pd.testing.assert_frame_equal(ours, before[0])
    pd.testing.assert_frame_equal(theirs, before[1])


@given(REGIONS)
def test_subtract_and_intersect_share_the_bases(regions: list[oracle.Interval]) -> None:
    whole = frame(regions)
    half = whole.iloc[::2]
    left = oracle.bases(rows(intervals.subtract(whole, half)))
    shared = oracle.bases(rows(intervals.intersect(whole, half)))
    assert left | shared == oracle.bases(regions)
    assert not left & shared


def test_nested_interval_does_not_cut_its_parent_short() -> None:
    merged = intervals.merge(frame([("a", 0, 100), ("a", 10, 20), ("a", 30, 40), ("a", 50, 110)]))
    assert rows(merged) == [("a", 0, 110)]


def test_merge_keeps_the_order_of_contigs() -> None:
    merged = intervals.merge(frame([("chr10", 5, 6), ("chr2", 9, 10), ("chr2", 1, 2)]))
    assert rows(merged) == [("chr10", 5, 6), ("chr2", 1, 2), ("chr2", 9, 10)]


def test_neighbouring_contigs_never_touch() -> None:
    """Contigs lie end to end on one line; a gap must not reach from one into the next."""
    regions = [("a", 0, 100), ("b", 0, 100), ("c", 100, 100)]
    assert rows(intervals.merge(frame(regions), gap=1_000_000)) == regions[:2]


@pytest.mark.parametrize("gap", [-1, 1.5, None])
def test_gap_is_checked(gap: Any) -> None:
    with pytest.raises(InvalidInputError, match="argument gap"):
        intervals.merge(frame([]), gap=gap)


def test_positions_that_are_no_genome_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="coordinates of a genome"):
        intervals.merge(frame([("a", 0, 2**62), ("b", 0, 1)]))


@given(REGIONS, st.integers(0, 20))
def test_pad(regions: list[oracle.Interval], bp: int) -> None:
    lengths = {"a": 31, "b": 40, "c": 100}
    padded = intervals.pad(frame(regions), bp)
    assert rows(padded) == [(c, max(0, s - bp), e + bp) for c, s, e in regions]
    inside = intervals.pad(frame(regions), bp, lengths)
    assert rows(inside) == [(c, max(0, s - bp), min(lengths[c], e + bp)) for c, s, e in regions]


def test_pad_is_checked() -> None:
    with pytest.raises(InvalidInputError, match="argument bp"):
        intervals.pad(frame([]), -1)
    with pytest.raises(InvalidInputError, match="lies outside its contig"):
        intervals.pad(frame([("a", 10, 12)]), 5, {"a": 10})


def test_clip() -> None:
    given_frame = frame([("a", 0, 5), ("b", 2, 9), ("b", 4, 4)], x=[1, 2, 3])
    given_frame.index = pd.Index([9, 8, 7])
    clipped = intervals.clip(given_frame, {"a": 10, "b": 5})
    assert rows(clipped) == [("a", 0, 5), ("b", 2, 5), ("b", 4, 4)]
    assert (clipped["x"].tolist(), clipped.index.tolist()) == ([1, 2, 3], [9, 8, 7])
    assert rows(given_frame)[1] == ("b", 2, 9)


def test_clip_of_a_region_outside() -> None:
    outside = frame([("a", 0, 5), ("a", 10, 12)])
    with pytest.raises(InvalidInputError, match=r"row 1 .*expected start < 10.*got 10"):
        intervals.clip(outside, {"a": 10})
    assert rows(intervals.clip(outside, {"a": 10}, outside="drop")) == [("a", 0, 5)]
    with pytest.raises(NotFoundError, match="unknown contig 'a'"):
        intervals.clip(outside, {"b": 10})
    with pytest.raises(InvalidInputError, match="argument outside"):
        intervals.clip(outside, {"a": 10}, outside="keep")  # type: ignore[arg-type]


def test_standard_contigs() -> None:
    human = [f"chr{n}" for n in [*range(1, 23), "X", "Y"]]
    others = ["chrM", "chrUn_KI270302v1", "chr1_KI270706v1_random", "chrEBV", "chr6_GL000250v2_alt"]
    assert intervals.standard_contigs(human[:5] + others + human[5:]) == human
    bare = [name.removeprefix("chr") for name in human]
    assert intervals.standard_contigs([*bare, "MT", "GL000207.1", "hs37d5"]) == bare
    mouse = [f"chr{n}" for n in [*range(1, 20), "X", "Y"]]
    assert intervals.standard_contigs([*mouse, "chrM", "chr4_GL456216_random"]) == mouse
    assert intervals.standard_contigs(["chr", "chr0", "chr01", "Chr1", "chrXY", "chr1 "]) == []


def test_split_by_contig() -> None:
    regions = frame([(c, i, i + 1) for i, c in enumerate("abcdab")], x=range(6))
    parts = intervals.split_by_contig(regions, validation=["b"], test="c")
    assert list(parts) == ["train", "validation", "test"]
    assert [part["x"].tolist() for part in parts.values()] == [[0, 3, 4], [1, 5], [2]]
    chosen = intervals.split_by_contig(regions, validation=["b"], test=["c"], train=["d"])
    assert chosen["train"]["x"].tolist() == [3]


def test_split_by_contig_is_checked() -> None:
    regions = frame([("chr1", 0, 1), ("chr2", 0, 1)])
    with pytest.raises(NotFoundError, match="unknown contig '1' in the regions; near names: chr1"):
        intervals.split_by_contig(regions, validation=["1"], test=["chr2"])
    with pytest.raises(InvalidInputError, match="'chr1': expected to be in one part"):
        intervals.split_by_contig(regions, validation=["chr1"], test=["chr1"])
    with pytest.raises(InvalidInputError, match="got test and train"):
        intervals.split_by_contig(regions, validation=[], test=["chr1"], train=["chr1"])


def test_array_functions_need_no_frame() -> None:
    start, end = np.array([5, 0, 8]), np.array([7, 6, 9])
    merged = intervals.merge_arrays(start, end)
    assert [a.tolist() for a in merged] == [[0, 8], [7, 9]]
    cut = intervals.subtract_arrays(start, end, np.array([6]), np.array([7]))
    assert [a.tolist() for a in cut] == [[0, 1, 2], [5, 0, 8], [6, 6, 9]]
