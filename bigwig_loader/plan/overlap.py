"""A universe of regions, arranged so that what overlaps a query is found quickly; queries to it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

# BwlRegion of cuda_kernels/overlap.cuh.
REGION = np.dtype([("start", "<u4"), ("end", "<u4"), ("reach", "<u4"), ("back", "<u4")])
NODE_SIZE = 8  # children of a node of the tree, 1 << kNodeShift of overlap.cuh
MAX_REGIONS = 2**31 - 1
_MAX_LENGTHENINGS = 64  # more than regions at random take


@dataclass(frozen=True)
class OverlapIndex:
    """Regions by contig, start, end and id, and what leads to them; made by `build`.

    Parameters
    ----------
    regions : (U,) `REGION`
        ``reach`` is the greatest end of a region and of those before it on its contig. Where that
        is past its own end, ``back`` is a region before it, and none between them ends later.
    contig_first : (C + 1,) int64
        First region of each contig.
    bucket_first : (C + 1,) int64
        First entry of each contig in `buckets`.
    bucket_shift : (C,) int32
        A bucket of contig c is ``1 << bucket_shift[c]`` bases.
    buckets : uint32
        For each bucket, and for the end of the last one, the regions of its contig that begin
        before it. There are at most twice as many buckets as regions.
    maxima : uint32
        Levels of a tree: greatest end of every 8 regions, of every 8 of these, and so on.
    level_first : (n_levels,) int64
        First entry of each level in `maxima`.
    ids : (U,) int32
        Of the regions.
    """

    regions: npt.NDArray[np.void]
    contig_first: npt.NDArray[np.int64]
    bucket_first: npt.NDArray[np.int64]
    bucket_shift: npt.NDArray[np.int32]
    buckets: npt.NDArray[np.uint32]
    maxima: npt.NDArray[np.uint32]
    level_first: npt.NDArray[np.int64]
    ids: npt.NDArray[np.int32]

    @property
    def n_contigs(self) -> int:
        """C: contigs."""
        return len(self.contig_first) - 1

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for array in vars(self).values())

    @property
    def ids_in_order(self) -> bool:
        """Whether the ids are 0, 1, 2, ..., so that none has to be looked up."""
        return np.array_equal(self.ids, np.arange(len(self.ids)))

    @classmethod
    def build(
        cls,
        contig_index: npt.NDArray[np.integer],
        start: npt.NDArray[np.integer],
        end: npt.NDArray[np.integer],
        n_contigs: int,
    ) -> OverlapIndex:
        """Arrange U regions; the id of a region is its row.

        Parameters
        ----------
        contig_index : (U,) int
            In [0, n_contigs).
        start, end : (U,) int
            In [0, 2**32), 0-based half-open; regions of length 0 are fine.
        n_contigs : int

        Raises
        ------
        InvalidInputError
            If the arrays do not fit together or hold other values.
        """
        _check(contig_index, start, end, n_contigs)
        order = region_order(contig_index, start, end)
        regions = np.empty(len(order), REGION)
        regions["start"], regions["end"] = start[order], end[order]
        contig_first = np.zeros(n_contigs + 1, np.int64)
        np.cumsum(np.bincount(contig_index, minlength=n_contigs), out=contig_first[1:])
        shifts, buckets = [], []
        for first, last in itertools.pairwise(contig_first):
            np.maximum.accumulate(regions["end"][first:last], out=regions["reach"][first:last])
            shift, entries = _buckets(regions["start"][first:last])
            shifts.append(shift)
            buckets.append(entries)
        regions["back"] = _steps_back(regions["end"], regions["reach"])
        levels = _levels(regions["end"])
        return cls(
            regions,
            contig_first,
            _firsts([len(b) for b in buckets], last=True),
            np.array(shifts, np.int32),
            np.concatenate([*buckets, np.zeros(1, np.uint32)]),
            np.concatenate([*levels, np.zeros(1, np.uint32)]),
            _firsts([len(level) for level in levels]),
            order.astype(np.int32),
        )


@dataclass(frozen=True)
class Queries:
    """Regions to look for.

    Parameters
    ----------
    contig_index : (n,) int32
        Contigs of the universe; -1 for one that it does not have.
    start, end : (n,) int64
        0-based half-open. A query overlaps regions with ``region.start < end`` and
        ``region.end > start``, also where it is of length 0 or ends before it starts.
    """

    contig_index: I32
    start: I64
    end: I64

    def __post_init__(self) -> None:
        check_array("contig_index", self.contig_index, np.int32, len(self))
        check_array("start", self.start, np.int64, len(self))
        check_array("end", self.end, np.int64, len(self))

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True)
class Matrix:
    """Which columns each row of a sparse matrix has.

    Parameters
    ----------
    row_first : (R + 1,) int64
        Where in `column` each row begins, from 0.
    column : (n,) int64
        In stored order.
    kept : (n,) bool, optional
        False for stored values that are 0.
    """

    row_first: I64
    column: I64
    kept: npt.NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        check_array("row_first", self.row_first, np.int64)
        check_array("column", self.column, np.int64)
        if self.kept is not None:
            check_array("kept", self.kept, np.bool_)


def check_array(
    name: str, array: npt.NDArray[Any], dtype: npt.DTypeLike, length: int | None = None
) -> None:
    """Raise unless an array is as expected: its address is all that kernels get."""
    fits = array.ndim == 1 and array.dtype == dtype and array.flags.c_contiguous
    if not fits or length not in (None, len(array)):
        raise InvalidInputError(
            f"{name}: expected a contiguous array of {np.dtype(dtype)}, of shape "
            f"({'n' if length is None else length},); got {array.dtype} of shape {array.shape}"
            f"{'' if array.flags.c_contiguous else ', not contiguous'}"
        )


def region_order(
    contig_index: npt.NDArray[np.integer],
    start: npt.NDArray[np.integer],
    end: npt.NDArray[np.integer],
) -> npt.NDArray[np.int64]:
    """The stable order by contig, start and end, (U,); starts and ends are below 2**32."""
    key = start.astype(np.uint64) << np.uint64(32) | end.astype(np.uint64)
    order = np.argsort(key, kind="stable")
    return order[np.argsort(contig_index[order], kind="stable")]


def _check(
    contig_index: npt.NDArray[np.integer],
    start: npt.NDArray[np.integer],
    end: npt.NDArray[np.integer],
    n_contigs: int,
) -> None:
    if not len(contig_index) == len(start) == len(end) <= MAX_REGIONS:
        raise InvalidInputError(
            f"universe: expected as many contigs, starts and ends, at most {MAX_REGIONS}; "
            f"got {len(contig_index)}, {len(start)} and {len(end)}"
        )
    for name, values, limit in (
        ("contig index", contig_index, n_contigs),
        ("start", start, 1 << 32),
        ("end", end, 1 << 32),
    ):
        if len(values) and not 0 <= int(values.min()) <= int(values.max()) < limit:
            raise InvalidInputError(
                f"universe: expected every {name} in [0, {limit}); "
                f"got {values.min()} to {values.max()}"
            )


def _buckets(start: npt.NDArray[np.uint32]) -> tuple[int, npt.NDArray[np.uint32]]:
    """log2 of the bases of a bucket, and the regions that begin before each bucket and the end."""
    if not len(start):
        return 0, np.zeros(0, np.uint32)
    largest, n = int(start[-1]), len(start)
    shift = 0
    while largest >> shift >= 2 * n:
        shift += 1
    number = (start >> np.uint32(shift)).astype(np.int64)
    entries = np.zeros((largest >> shift) + 2, np.uint32)
    np.cumsum(np.bincount(number), out=entries[1:])
    return shift, entries


def _steps_back(end: npt.NDArray[np.uint32], reach: npt.NDArray[np.uint32]) -> npt.NDArray[Any]:
    """For regions that one before them outlasts: one before them, none between ends later.

    A step back is right from the start, to the neighbour, and is made longer where the region there
    does not end later: by its own step.
    """
    back = np.maximum(np.arange(len(end)) - 1, 0)
    rows = np.flatnonzero(reach > end)
    for _ in range(_MAX_LENGTHENINGS):
        rows = rows[end[back[rows]] <= end[rows]]
        if not len(rows):
            break
        back[rows] = back[back[rows]]
    return back


def _levels(ends: npt.NDArray[np.uint32]) -> list[npt.NDArray[np.uint32]]:
    levels: list[npt.NDArray[np.uint32]] = []
    below = np.ascontiguousarray(ends)
    while len(below) > 1:
        below = np.maximum.reduceat(below, np.arange(0, len(below), NODE_SIZE))
        levels.append(below)
    return levels


def _firsts(lengths: list[int], *, last: bool = False) -> npt.NDArray[np.int64]:
    """Where arrays of these lengths begin when laid end to end; with `last`, also their end."""
    firsts = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=firsts[1:])
    return firsts if last else firsts[:-1]
