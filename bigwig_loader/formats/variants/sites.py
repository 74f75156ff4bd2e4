"""Where the records of a file lie: which ones a reading wants, and their numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidDataError
from bigwig_loader.formats.variants.block import Spans

_Bool = npt.NDArray[np.bool_]
_Int = npt.NDArray[np.integer]


@dataclass(frozen=True)
class ContigSites:
    """Records of one contig: those numbered `first` and on.

    Parameters
    ----------
    first : int
        0-based number of the first one in the file.
    start, end : (n,) int32
        Spans of REF, sorted by start.
    """

    first: int
    start: npt.NDArray[np.int32]
    end: npt.NDArray[np.int32]


@dataclass(frozen=True)
class Sites:
    """All records of a file, by contig, in the order of the file."""

    contigs: Mapping[str, ContigSites]

    def wanted(self, spans: Spans) -> dict[str, npt.NDArray[np.int64]]:
        """Rows, within their contig, of the records that spans ask for; see `Request.spans`."""
        found = {}
        for name, sites in self.contigs.items():
            if name in spans:
                overlap = overlapping(sites.start, sites.end, spans[name])
                rows = np.flatnonzero(in_stretches(sites.start, sites.end, overlap))
                if rows.size:
                    found[name] = rows
        return found


class SortedContigs:
    """Checks, block by block, that records are sorted by position and contigs in one piece."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._done: set[str] = set()
        self._contig: str | None = None
        self._last = -1

    def check(self, contig: str, first_record: int, start: _Int) -> None:
        """Records of one contig that follow those checked before.

        Raises
        ------
        InvalidDataError
            With the number and position of the first record out of order.
        """
        if contig != self._contig:
            if contig in self._done:
                raise self._error(
                    f"contig {contig} comes twice, again at record {first_record:,}",
                    "all records of a contig together",
                )
            self._done.add(contig)
            self._contig, self._last = contig, -1
        if len(start) == 0:
            return
        before = np.concatenate([[self._last], start[:-1]])
        wrong = np.flatnonzero(start < before)
        if wrong.size:
            row = int(wrong[0])
            raise self._error(
                f"records are not sorted: record {first_record + row:,} is at "
                f"{contig}:{int(start[row]) + 1}",
                f"a position of {int(before[row]) + 1} or more",
            )
        self._last = int(start[-1])

    def _error(self, what: str, expected: str) -> InvalidDataError:
        return InvalidDataError(
            what, path=self._path, expected=expected, hint="Sort the file: bcftools sort"
        )


def overlapping(start: _Int, end: _Int, spans: npt.NDArray[np.int64]) -> _Bool:
    """(n,) which of n intervals overlap any of sorted spans (m, 2) that do not touch."""
    if len(spans) == 0:
        return np.zeros(len(start), dtype=np.bool_)
    row = np.searchsorted(spans[:, 1], start, side="right")
    inside = row < len(spans)
    inside[inside] = spans[row[inside], 0] < end[inside]
    return inside


def stretches(start: _Int, end: _Int) -> npt.NDArray[np.int64]:
    """(n,) number of the stretch of overlapping intervals that each of n sorted ones is in."""
    if len(start) == 0:
        return np.zeros(0, dtype=np.int64)
    opens = np.zeros(len(start), dtype=np.int64)
    opens[1:] = start[1:] >= np.maximum.accumulate(end)[:-1]
    return np.cumsum(opens)


def in_stretches(start: _Int, end: _Int, wanted: _Bool) -> _Bool:
    """(n,) which of n sorted intervals are in a stretch with a wanted one."""
    if wanted.all() or not wanted.any():
        return wanted
    number = stretches(start, end)
    has = np.zeros(int(number[-1]) + 1, dtype=np.bool_)
    has[number[wanted]] = True
    return has[number]


def with_upstream(start: _Int, end: _Int, wanted: _Bool) -> _Bool:
    """(n,) the wanted ones of n sorted intervals, and all before that overlap one of these.

    An interval before one that comes in by this comes in too if they overlap, and so on.
    """
    maybe = np.flatnonzero(in_stretches(start, end, wanted) & ~wanted)
    if maybe.size == 0:
        return wanted
    kept = wanted.copy()
    # The nearest kept interval that follows has the smallest start of those that do.
    following = np.minimum.accumulate(np.where(wanted, start, np.iinfo(np.int64).max)[::-1])[::-1]
    added = np.iinfo(np.int64).max  # the smallest start of those added so far, going down
    for row in maybe[::-1].tolist():
        if min(int(following[row]), added) < end[row]:
            kept[row] = True
            added = int(start[row])
    return kept
