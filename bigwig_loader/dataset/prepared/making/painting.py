"""Values of overlapping stretches put together base by base, and made into intervals."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from bigwig_loader.formats.interval_table import Intervals
from bigwig_loader.intervals import merge_arrays

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Conflict:
    """Two rows that give a base of a sample different values."""

    row: int
    sample: int
    position: int
    before: float
    now: float


@dataclass
class Canvas:
    """Values of S samples on stretches of a contig that are not finished yet.

    Parameters
    ----------
    n_samples : int
    start, end : (K,) int64
        Stretches, sorted and disjoint.
    values : (S, N) float32
        Values of all stretches, one after the other.
    """

    n_samples: int
    start: Positions = field(default_factory=lambda: np.zeros(0, np.int64))
    end: Positions = field(default_factory=lambda: np.zeros(0, np.int64))
    values: npt.NDArray[np.float32] = field(init=False)

    def __post_init__(self) -> None:
        self.values = np.zeros((self.n_samples, int((self.end - self.start).sum())), np.float32)

    def paint(
        self, start: Positions, end: Positions, rows: list[npt.NDArray[np.float32]]
    ) -> Conflict | None:
        """Take the values of further stretches; the first base that has another one already.

        Parameters
        ----------
        start, end : (R,) int64
            Sorted by start, none before what is there.
        rows : list of R arrays (S, end - start) float32
        """
        old = self.start, self.end, self.values
        self.start, self.end = merge_arrays(np.append(old[0], start), np.append(old[1], end))
        offsets = _offsets(self.start, self.end)
        self.values = np.zeros((self.n_samples, int(offsets[-1])), np.float32)
        painted = np.zeros(int(offsets[-1]), np.bool_)
        at = self._places(old[0], offsets)
        for k, place in enumerate(_offsets(old[0], old[1])[:-1].tolist()):
            n = int(old[1][k] - old[0][k])
            self.values[:, at[k] : at[k] + n] = old[2][:, place : place + n]
            painted[at[k] : at[k] + n] = True
        for k, place in enumerate(self._places(start, offsets).tolist()):
            stretch = slice(place, place + int(end[k] - start[k]))
            here = self.values[:, stretch]
            differs = (here.view(np.uint32) != rows[k].view(np.uint32)) & painted[stretch]
            if differs.any():
                sample, base = (int(x) for x in np.argwhere(differs)[0])
                values = float(here[sample, base]), float(rows[k][sample, base])
                return Conflict(k, sample, int(start[k]) + base, *values)
            here[...] = rows[k]
            painted[stretch] = True
        return None

    def take(self, until: int | None) -> list[Intervals]:
        """Intervals of each sample up to a position, which are then gone; all by default."""
        stop = int(self.end[-1]) if len(self.end) and until is None else until or 0
        offsets = _offsets(self.start, self.end)
        low, high = np.minimum(self.start, stop), np.minimum(self.end, stop)
        # Bases of the canvas that are finished, and their positions.
        lengths = np.maximum(high - low, 0)
        within = np.arange(int(lengths.sum())) - np.repeat(_offsets(low, high)[:-1], lengths)
        base = np.repeat(offsets[:-1], lengths) + within
        position = np.repeat(low, lengths) + within
        intervals = [_intervals(row[base], position) for row in self.values]
        self._keep_from(stop, offsets)
        return intervals

    def _places(self, position: Positions, offsets: Positions) -> Positions:
        """Where bases lie among the values."""
        k = np.searchsorted(self.start, position, side="right") - 1
        places: Positions = offsets[k] + position - self.start[k]
        return places

    def _keep_from(self, stop: int, offsets: Positions) -> None:
        kept = self.end > stop
        start = np.maximum(self.start[kept], stop)
        first = int(offsets[:-1][kept][0] + start[0] - self.start[kept][0]) if kept.any() else None
        self.start, self.end = start, self.end[kept]
        self.values = self.values[:, first:] if first is not None else self.values[:, :0]


def _offsets(start: Positions, end: Positions) -> Positions:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(end - start)])


def _intervals(values: npt.NDArray[np.float32], position: Positions) -> Intervals:
    """Runs of one value on adjacent bases; those of 0 are left out, as bases without any are 0."""
    bits = values.view(np.uint32)
    new = np.ones(len(values), np.bool_)
    new[1:] = (bits[1:] != bits[:-1]) | (position[1:] != position[:-1] + 1)
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(values))[: len(first)] - 1
    filled = bits[first] != 0
    first, last = first[filled], last[filled]
    return Intervals(
        position[first].astype(np.int32), (position[last] + 1).astype(np.int32), values[first]
    )


def dense_values(
    intervals: Intervals, start: Positions, end: Positions, out: list[npt.NDArray[np.float32]]
) -> None:
    """Values of every base of some stretches, 0 between intervals.

    Parameters
    ----------
    intervals : Intervals
    start, end : (R,) int64
    out : list of R arrays (end - start,) float32
        Written.
    """
    first = np.searchsorted(intervals.end, start, side="right")
    last = np.searchsorted(intervals.start, end, side="left")
    for k, row in enumerate(out):
        row[...] = 0
        part = slice(int(first[k]), int(last[k]))
        low = np.maximum(intervals.start[part], start[k]) - start[k]
        high = np.minimum(intervals.end[part], end[k]) - start[k]
        lengths = high - low
        before = np.cumsum(lengths) - lengths
        at = np.arange(int(lengths.sum())) - np.repeat(before - low, lengths)
        row[at] = np.repeat(intervals.value[part], lengths)
