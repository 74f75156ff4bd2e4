"""Whether windows of one split reach into another: overlaps found by sorting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.frames import row_name
from bigwig_loader.sampling.columns import read_frame
from bigwig_loader.types import PathLike, check_positive

if TYPE_CHECKING:
    import pandas as pd

I64 = npt.NDArray[np.int64]


def check_leaks(
    splits: Mapping[str, pd.DataFrame | PathLike],
    window_bp: int,
    max_jitter: int = 0,
    contigs: Mapping[str, int] | None = None,
) -> None:
    """Raise if a window of one split shares a base with a window of another.

    Every region stands for the window around its central base that a data set reads, from
    ``centre - window_bp // 2`` on, widened by the jitter on both sides.

    Parameters
    ----------
    splits : mapping of str to DataFrame or path-like
        The regions of each split, e.g. ``{"train": ..., "valid": ..., "test": ...}``.
    window_bp : int
        Width of the window of the sequence in bp: everything an example sees.
    max_jitter : int
        The data set's, in bp.
    contigs : mapping of str to int, optional
        Contig lengths in bp, to check that all regions are of these contigs and centred on them.

    Raises
    ------
    InvalidInputError
        If windows overlap: for the first two such splits, how many windows of each, and the first
        of them. Or if a region is not centred on its contig.
    NotFoundError
        For a contig that is not among `contigs`.
    """
    check_positive("window_bp", window_bp)
    if isinstance(max_jitter, bool) or not isinstance(max_jitter, (int, np.integer)):
        raise InvalidInputError(f"argument max_jitter: expected an integer; got {max_jitter!r}")
    if max_jitter < 0:
        raise InvalidInputError(f"argument max_jitter: expected >= 0; got {max_jitter}")
    frames = {split: read_frame(regions) for split, regions in splits.items()}
    if contigs is not None:
        for split, frame in frames.items():
            _check_centres(split, frame, contigs)
    width = int(window_bp) + 2 * int(max_jitter)
    windows = {}
    for split, frame in frames.items():
        start = _centres(frame) - int(window_bp) // 2 - int(max_jitter)
        windows[split] = frame[["chrom"]].assign(start=start, end=start + width)
    for one, other in combinations(windows, 2):
        leaks = _leaks(windows[one], windows[other])
        if leaks is None:
            continue
        (n_one, n_other), (i, j) = leaks
        raise InvalidInputError(
            f"splits {one!r} and {other!r}: expected no window in common, with windows of "
            f"{window_bp} bp moved by up to {max_jitter} bp; got {n_one} of {len(frames[one])} "
            f"windows of {one!r} and {n_other} of {len(frames[other])} of {other!r} that overlap, "
            f"the first around {_named(frames[one], i)} and {_named(frames[other], j)}. "
            "Leave such regions out of one of them, or split by chromosome"
        )


def overlapping_split(
    intervals: Mapping[str, pd.DataFrame],
) -> tuple[str, str, str, str] | None:
    """The first two splits with overlapping intervals, and the first two such intervals."""
    for one, other in combinations(intervals, 2):
        leaks = _leaks(intervals[one], intervals[other])
        if leaks is not None:
            i, j = leaks[1]
            return one, other, _named(intervals[one], i), _named(intervals[other], j)
    return None


class Line:
    """The contigs of some frames one after the other, too far apart to touch.

    Parameters
    ----------
    frames : sequence of DataFrame
        Columns chrom, start, end; starts may be negative.
    """

    def __init__(self, frames: Sequence[pd.DataFrame]) -> None:
        import pandas as pd

        names = pd.unique(pd.concat([frame["chrom"] for frame in frames], ignore_index=True))
        self._number = pd.Series(np.arange(len(names)), index=names)
        filled = [frame for frame in frames if len(frame)]
        lowest = min((int(frame["start"].min()) for frame in filled), default=0)
        highest = max((int(frame["end"].max()) for frame in filled), default=0)
        self._span = highest - min(lowest, 0) + 1
        if self._span * (len(names) + 1) > np.iinfo(np.int64).max:
            raise InvalidInputError(
                f"regions: expected coordinates of a genome; got an end at {highest}"
            )

    def place(self, frame: pd.DataFrame, side: str) -> I64:
        """Where each row's start or end lies on the line."""
        number = self._number.reindex(frame["chrom"]).to_numpy(np.int64)
        return np.asarray(number * self._span + frame[side].to_numpy(np.int64), np.int64)


def _leaks(
    one: pd.DataFrame, other: pd.DataFrame
) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """How many intervals of each overlap one of the other, and the first such pair of rows."""
    line = Line([one, other])
    sides = [(line.place(frame, "start"), line.place(frame, "end")) for frame in (one, other)]
    here, there = _overlapping(*sides[0], *sides[1]), _overlapping(*sides[1], *sides[0])
    if not here.any():
        return None
    i = int(np.argmax(here))
    (start, end), (other_start, other_end) = sides
    j = int(np.argmax((other_start < end[i]) & (start[i] < other_end)))
    return (int(here.sum()), int(there.sum())), (i, j)


def _overlapping(start: I64, end: I64, other_start: I64, other_end: I64) -> npt.NDArray[np.bool_]:
    """Whether each interval shares a base with any other; all may overlap among themselves."""
    # An empty interval has no base to share.
    filled = other_end > other_start
    begun = np.searchsorted(np.sort(other_start[filled]), end, side="left")
    ended = np.searchsorted(np.sort(other_end[filled]), start, side="right")
    return (begun > ended) & (end > start)


def _centres(frame: pd.DataFrame) -> I64:
    start, end = frame["start"].to_numpy(np.int64), frame["end"].to_numpy(np.int64)
    return np.asarray(start + (end - start) // 2, np.int64)


def _check_centres(split: str, frame: pd.DataFrame, contigs: Mapping[str, int]) -> None:
    for name in frame["chrom"].unique():
        if name not in contigs:
            raise NotFoundError.among("contig", name, contigs, "argument contigs")
    lengths = frame["chrom"].map(dict(contigs)).to_numpy(np.int64)
    centre = _centres(frame)
    outside = np.flatnonzero(centre >= lengths)
    if len(outside):
        k = int(outside[0])
        raise InvalidInputError(
            f"split {split!r}, {row_name(frame, k)}: expected a region centred on its contig; got "
            f"{frame['chrom'].iloc[k]}:{centre[k]}, where the contig has {lengths[k]} bp"
        )


def _named(frame: pd.DataFrame, row: int) -> str:
    chrom, start, end = (frame[name].iloc[row] for name in ("chrom", "start", "end"))
    return f"{chrom}:{start}-{end}"
