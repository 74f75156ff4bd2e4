"""Interval algebra: merge, subtract, intersect, pad, clip, and choosing contigs.

Intervals are 0-based and half-open. An operation sees an interval as the set of bases it covers,
so an empty one (start == end) covers nothing: it is no part of any result of `merge`, `subtract`
and `intersect`. The array functions work on one coordinate line; the frame functions lay all
contigs out along one line, end to end, and call them once. Inputs are never changed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.frames import region_frame, row_name
from bigwig_loader.types import check_choice

if TYPE_CHECKING:
    import pandas as pd

Positions = npt.NDArray[np.int64]

_STANDARD = re.compile(r"(chr)?([1-9][0-9]?|X|Y)")


# --------------------------------------------------------------------------------- arrays ----


def merge_arrays(start: Positions, end: Positions, gap: int = 0) -> tuple[Positions, Positions]:
    """Union of intervals on one coordinate line.

    Parameters
    ----------
    start, end : (K,) int64
        In any order; may overlap and nest.
    gap : int
        Intervals at most this many bases apart become one; 0 joins touching ones.

    Returns
    -------
    start, end : (M,) int64
        Sorted, more than `gap` bases apart.
    """
    filled = end > start
    order = np.argsort(start[filled], kind="stable")
    start, end = start[filled][order], end[filled][order]
    # The farthest end so far, not the last one: a nested interval must not cut its parent short.
    reach = np.maximum.accumulate(end)
    first = np.ones(start.size, dtype=np.bool_)
    first[1:] = start[1:] > reach[:-1] + gap
    last = np.append(first[1:], True)[: start.size]
    return start[first], reach[last]


def intersect_arrays(
    start: Positions, end: Positions, other_start: Positions, other_end: Positions
) -> tuple[Positions, Positions, Positions]:
    """Parts of each interval (K,) that lie in the union of the others (M,).

    Returns
    -------
    row, start, end : (P,) int64
        The pieces and the interval that each comes from, in the order of the intervals.
    """
    return _pieces(start, end, *merge_arrays(other_start, other_end))


def subtract_arrays(
    start: Positions, end: Positions, other_start: Positions, other_end: Positions
) -> tuple[Positions, Positions, Positions]:
    """Parts of each interval (K,) outside the union of the others (M,); as `intersect_arrays`."""
    merged_start, merged_end = merge_arrays(other_start, other_end)
    limits = np.iinfo(np.int64)
    return _pieces(
        start, end, np.append(limits.min, merged_end), np.append(merged_start, limits.max)
    )


def _pieces(
    start: Positions, end: Positions, within_start: Positions, within_end: Positions
) -> tuple[Positions, Positions, Positions]:
    """Pieces of intervals inside sorted, disjoint stretches."""
    first = np.searchsorted(within_end, start, side="right")
    stop = np.searchsorted(within_start, end, side="left")
    count = np.maximum(stop - first, 0)
    row = np.repeat(np.arange(start.size), count)
    before = np.cumsum(count) - count
    which = first[row] + np.arange(row.size) - before[row]
    piece_start = np.maximum(start[row], within_start[which])
    piece_end = np.minimum(end[row], within_end[which])
    filled = piece_end > piece_start
    return row[filled], piece_start[filled], piece_end[filled]


# --------------------------------------------------------------------------------- frames ----


def merge(regions: pd.DataFrame, gap: int = 0) -> pd.DataFrame:
    """Union of regions, contig by contig.

    Parameters
    ----------
    regions : DataFrame
        Columns ``chrom``, ``start``, ``end``; in any order, may overlap and nest.
    gap : int
        Regions at most this many bp apart become one; 0 joins touching ones.

    Returns
    -------
    DataFrame
        ``chrom``, ``start``, ``end``: contigs in the order of their first region, sorted by start
        within. Other columns have no meaning for a union and are left out.

    Raises
    ------
    InvalidInputError
        If the frame is not one of regions (see `region_frame`), or `gap` is negative.
    """
    _check_bp("gap", gap)
    frame = region_frame(regions)
    line = _Line([frame], gap)
    start, end = merge_arrays(*line.place(frame), gap=gap)
    return line.frame(start, end)


def subtract(regions: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """What is left of each region without the bases of `other`.

    Returns
    -------
    DataFrame
        One row per remaining piece, in the order of the regions, with all their columns and a new
        index. Regions that are covered as a whole have none.
    """
    return _cut(regions, other, subtract_arrays)


def intersect(regions: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """The parts of each region that some interval of `other` covers; rows as in `subtract`.

    Overlapping intervals of `other` count once: the result has no duplicate pieces of a region.
    """
    return _cut(regions, other, intersect_arrays)


def pad(
    regions: pd.DataFrame, bp: int, contig_lengths: Mapping[str, int] | None = None
) -> pd.DataFrame:
    """Widen every region by `bp` on either side, cut off at the contig's ends.

    Without `contig_lengths` only the first base of a contig is known, and regions are cut off
    there. Errors as in `clip`.
    """
    _check_bp("bp", bp)
    frame = region_frame(regions)
    if contig_lengths is not None:
        frame = clip(frame, contig_lengths)
    frame["start"] = np.maximum(frame["start"].to_numpy() - bp, 0)
    frame["end"] = frame["end"].to_numpy() + bp
    return frame if contig_lengths is None else clip(frame, contig_lengths)


def clip(
    regions: pd.DataFrame,
    contig_lengths: Mapping[str, int],
    outside: Literal["raise", "drop"] = "raise",
) -> pd.DataFrame:
    """Cut regions off at the ends of their contigs.

    Parameters
    ----------
    regions : DataFrame
    contig_lengths : mapping of str to int
        Length of every contig that occurs, in bp.
    outside : {"raise", "drop"}
        What to do with a region that starts at or past the end of its contig: usually the sign
        of another assembly.

    Returns
    -------
    DataFrame
        All columns, index kept.

    Raises
    ------
    NotFoundError
        For a contig that `contig_lengths` lacks.
    InvalidInputError
        For a region outside its contig, with ``outside="raise"``.
    """
    check_choice("outside", outside, ("raise", "drop"))
    frame = region_frame(regions)
    codes, names = _codes(frame["chrom"])
    for name in names:
        if name not in contig_lengths:
            raise NotFoundError.among("contig", name, contig_lengths, "contig_lengths")
    lengths = np.array([contig_lengths[name] for name in names], dtype=np.int64)[codes]
    start = frame["start"].to_numpy()
    beyond = np.flatnonzero(start >= lengths)
    if beyond.size and outside == "raise":
        k = int(beyond[0])
        raise InvalidInputError(
            f"{row_name(frame, k)} lies outside its contig: expected start < {lengths[k]}, the "
            f"length of {frame['chrom'].iloc[k]!r}; got {start[k]}. Is it of another assembly?"
        )
    frame["end"] = np.minimum(frame["end"].to_numpy(), lengths)
    return frame[start < lengths].copy() if beyond.size else frame


def standard_contigs(names: Iterable[str]) -> list[str]:
    """The chromosomes among contig names: a number, X or Y, with or without ``chr`` before it.

    That is chr1 to chr22, chrX and chrY in human, and leaves out mitochondria, unplaced, random,
    alternative and decoy contigs. The order of `names` is kept.

    Examples
    --------
    >>> standard_contigs(["chr1", "chr1_KI270706v1_random", "chrX", "chrM", "19"])
    ['chr1', 'chrX', '19']
    """
    return [name for name in names if _STANDARD.fullmatch(name)]


def split_by_contig(
    regions: pd.DataFrame,
    *,
    validation: Iterable[str],
    test: Iterable[str],
    train: Iterable[str] | None = None,
) -> dict[str, pd.DataFrame]:
    """Regions for training, validation and test, told apart by whole contigs.

    Parameters
    ----------
    regions : DataFrame
    validation, test : iterable of str
        Contigs to hold out.
    train : iterable of str, optional
        All other contigs by default.

    Returns
    -------
    dict
        ``"train"``, ``"validation"``, ``"test"``: frames with all columns, index kept.

    Raises
    ------
    NotFoundError
        For a contig without any region.
    InvalidInputError
        If a contig is in two parts.
    """
    frame = region_frame(regions)
    _, names = _codes(frame["chrom"])
    parts = {"validation": _name_set(validation), "test": _name_set(test)}
    held_out = parts["validation"] | parts["test"]
    parts["train"] = set(names) - held_out if train is None else _name_set(train)
    owner: dict[str, str] = {}
    for part, contigs in parts.items():
        for name in sorted(contigs):
            if name not in names:
                raise NotFoundError.among("contig", name, names, "the regions")
            if name in owner:
                raise InvalidInputError(
                    f"contig {name!r}: expected to be in one part; got {owner[name]} and {part}"
                )
            owner[name] = part
    return {
        part: frame[frame["chrom"].isin(sorted(parts[part]))].copy()
        for part in ("train", "validation", "test")
    }


def _check_bp(argument: str, value: object) -> None:
    if not isinstance(value, (int, np.integer)) or value < 0:
        raise InvalidInputError(f"argument {argument}: expected an integer >= 0; got {value!r}")


def _codes(column: pd.Series[str]) -> tuple[npt.NDArray[np.intp], list[str]]:
    """Number of each row's contig, and the names by number."""
    import pandas as pd

    codes, names = pd.factorize(column)
    return codes, [str(name) for name in names]


def _name_set(names: Iterable[str]) -> set[str]:
    return {names} if isinstance(names, str) else set(names)


class _Line:
    """All contigs of some frames along one coordinate line, too far apart to touch."""

    def __init__(self, frames: list[pd.DataFrame], gap: int = 0) -> None:
        import pandas as pd

        _, self.names = _codes(pd.concat([frame["chrom"] for frame in frames], ignore_index=True))
        self._code = {name: i for i, name in enumerate(self.names)}
        longest = max((int(f["end"].max()) for f in frames if len(f)), default=0)
        self._span = longest + int(gap) + 1
        if self._span * (len(self.names) + 1) > np.iinfo(np.int64).max:
            raise InvalidInputError(
                f"regions: expected coordinates of a genome; got an end at {longest}"
            )

    def place(self, frame: pd.DataFrame) -> tuple[Positions, Positions]:
        """Start and end of each row on the line."""
        codes, names = _codes(frame["chrom"])
        shift = np.array([self._code[name] for name in names], dtype=np.int64)[codes] * self._span
        return frame["start"].to_numpy() + shift, frame["end"].to_numpy() + shift

    def frame(self, start: Positions, end: Positions) -> pd.DataFrame:
        """A frame of intervals on the line."""
        import pandas as pd

        code, shift = start // self._span, start // self._span * self._span
        names = np.array(self.names, dtype=object)[code]
        chrom = pd.Series(names, dtype="str")
        return pd.DataFrame({"chrom": chrom, "start": start - shift, "end": end - shift})


def _cut(
    regions: pd.DataFrame,
    other: pd.DataFrame,
    operation: Callable[
        [Positions, Positions, Positions, Positions], tuple[Positions, Positions, Positions]
    ],
) -> pd.DataFrame:
    frame, others = region_frame(regions), region_frame(other)
    line = _Line([frame, others])
    placed = line.place(frame)
    row, start, end = operation(*placed, *line.place(others))
    shift = (placed[0] - frame["start"].to_numpy())[row]
    result = frame.iloc[row].reset_index(drop=True)
    result["start"], result["end"] = start - shift, end - shift
    return result
