"""A track of several data sets as one: lists put together, checked where they meet."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.dataset.prepared.arrays import NpyReader, NpyWriter, save_array
from bigwig_loader.dataset.prepared.layout import TRACK_ARRAYS, PreparedData
from bigwig_loader.dataset.prepared.making.target import Target
from bigwig_loader.dataset.prepared.making.track_parts import track_folder
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.formats.interval_table import Intervals
from bigwig_loader.intervals import intersect_arrays, merge_arrays, subtract_arrays

Indices = npt.NDArray[np.int64]


def join_track(
    target: Target,
    name: str,
    sets: Sequence[PreparedData],
    contig_maps: Sequence[Indices],
    sample_maps: Sequence[Indices],
) -> dict[str, Any]:
    """Write one track of several data sets as that of one; what the metadata say of it.

    Where two data sets store the same bases of a sample, values must be equal.

    Parameters
    ----------
    target : Target
    name : str
        Of a track that all have, of one kind.
    sets : sequence of PreparedData
    contig_maps, sample_maps : sequence of int64 arrays
        Index in the result of each contig and sample of each data set.

    Raises
    ------
    InvalidInputError
        If values differ, with the place.
    """
    kind = sets[0].tracks[name].kind
    maps = list(sample_maps) if kind == "sample" else [np.zeros(1, np.int64)] * len(sets)
    samples = target.samples if kind == "sample" else ("",)
    lists = [_Lists(data, name, maps[k], contig_maps[k]) for k, data in enumerate(sets)]
    folder = track_folder(name, ())
    home = target.work.result / folder
    home.mkdir(parents=True)
    ends = [0]
    with ExitStack() as stack:
        writers = {
            column: stack.enter_context(NpyWriter(home / f"{column}.npy", dtype))
            for column, dtype in TRACK_ARRAYS.items()
        }
        for contig, sample in np.ndindex(len(target.contig_names), len(samples)):
            where = f"track {name!r} of sample {samples[sample]!r}, {target.contig_names[contig]}"
            joined = _joined(lists, contig, sample, where)
            for column, writer in writers.items():
                writer.append(getattr(joined, column))
            ends.append(ends[-1] + len(joined.start))
    save_array(home / "offsets.npy", np.array(ends, np.int64))
    return {"kind": kind, "folder": folder, "n_intervals": ends[-1]}


class _Lists:
    """A track of one data set, by contig and sample of the result."""

    def __init__(self, data: PreparedData, name: str, samples: Indices, contigs: Indices) -> None:
        self.path = data.path
        self._home = data.path / data.metadata["tracks"][name]["folder"]
        self._offsets = np.asarray(data.tracks[name].table.offsets)
        self._samples = {int(sample): k for k, sample in enumerate(samples)}
        self._contigs = {int(contig): k for k, contig in enumerate(contigs)}
        self._data = data

    def of(self, contig: int, sample: int) -> Intervals | None:
        """Intervals; None where the data set does not have the contig or the sample."""
        if contig not in self._contigs or sample not in self._samples:
            return None
        row = self._contigs[contig] * len(self._samples) + self._samples[sample]
        at = int(self._offsets[row]), int(self._offsets[row + 1])
        return Intervals(*(NpyReader(self._home / f"{c}.npy").read(*at) for c in TRACK_ARRAYS))

    @functools.cache  # noqa: B019 - lives as long as the call
    def stored(self, contig: int) -> tuple[Indices, Indices]:
        """Stretches of the contig that are stored whatever haplotypes reach."""
        data = self._data
        mine = data.contig_index == self._contigs[contig]
        start = np.asarray(data.start[mine]) - data.max_jitter
        return merge_arrays(start, np.asarray(data.end[mine]) + data.max_jitter)


def _joined(lists: Sequence[_Lists], contig: int, sample: int, where: str) -> Intervals:
    """One list of all data sets; raises where they differ."""
    joined = Intervals.join([])
    before: list[tuple[Indices, Indices]] = []
    for data in lists:
        mine = data.of(contig, sample)
        if mine is None:
            continue
        for stored in before:
            at = _first_difference(joined, mine, stored, data.stored(contig))
            if at is not None:
                raise InvalidInputError(
                    f"{where}: expected equal values where data sets overlap; got {at[1]:g} and, "
                    f"in {data.path}, {at[2]:g} at position {at[0]}. Are they of the same source?"
                )
        joined = _union(joined, mine)
        before.append(data.stored(contig))
    return joined


def _first_difference(
    one: Intervals,
    other: Intervals,
    one_stored: tuple[Indices, Indices],
    other_stored: tuple[Indices, Indices],
) -> tuple[int, float, float] | None:
    """First base that both store with different values: position and both values."""
    _, start, end = intersect_arrays(*one_stored, *other_stored)
    edges = [start, *(a.astype(np.int64) for x in (one, other) for a in (x.start, x.end))]
    points = np.unique(np.concatenate(edges))
    within = np.searchsorted(start, points, side="right") - 1
    points = points[(within >= 0) & (points < np.append(end, 0)[within])]
    values = _values_at(one, points), _values_at(other, points)
    differ = np.flatnonzero(values[0].view(np.uint32) != values[1].view(np.uint32))
    if not len(differ):
        return None
    k = int(differ[0])
    return int(points[k]), float(values[0][k]), float(values[1][k])


def _values_at(intervals: Intervals, points: Indices) -> npt.NDArray[np.float32]:
    values = np.zeros(len(points), np.float32)
    if len(intervals.start):
        k = np.searchsorted(intervals.start, points, side="right") - 1
        inside = (k >= 0) & (points < intervals.end[k])
        values[inside] = intervals.value[k[inside]]
    return values


def _union(one: Intervals, other: Intervals) -> Intervals:
    """Intervals of one list, and of the other one where that has none."""
    if not len(one.start) or not len(other.start):
        return other if not len(one.start) else one
    row, start, end = subtract_arrays(
        *(a.astype(np.int64) for a in (other.start, other.end, one.start, one.end))
    )
    further = Intervals(start.astype(np.int32), end.astype(np.int32), other.value[row])
    joined = Intervals.join([one, further])
    order = np.argsort(joined.start, kind="stable")
    return Intervals(joined.start[order], joined.end[order], joined.value[order])
