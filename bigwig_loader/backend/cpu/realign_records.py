"""Records of tracks for the CPU library, and what of them stays the same from batch to batch."""

from __future__ import annotations

import functools
import weakref
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.cpu import library as native
from bigwig_loader.formats.interval_table import IntervalTable
from bigwig_loader.plan.fills import Fill, packed_fill
from bigwig_loader.plan.realign import RealignOptions
from bigwig_loader.plan.signal import TrackTransform
from bigwig_loader.types import SIGNAL_DTYPES, STATISTICS


@functools.lru_cache(maxsize=64)
def request_template(options: RealignOptions) -> bytes:
    """The structure of a call with some options."""
    request = native.RealignRequest(
        bin_size=options.bin_size,
        statistic=STATISTICS.index(options.statistic),
        dtype=SIGNAL_DTYPES.index(options.dtype),
        uncovered=options.uncovered,
        out_of_bounds=options.out_of_bounds,
    )
    return bytes(request)


def new_record(fill: Fill, transform: TrackTransform) -> Any:
    """The record of a track without its intervals or values."""
    record = native.RealignTrack()
    record.kind, record.width, record.constant = packed_fill(fill)
    record.transform = transform.packed()
    return record


def contigs_of_table(table: IntervalTable, contig_names: tuple[str, ...]) -> npt.NDArray[np.int32]:
    """The contig of a table that each of some names is, (C,); -1 where it has none."""
    place = {name: i for i, name in enumerate(table.contig_names)}
    return np.array([place.get(name, -1) for name in contig_names], np.int32)


class _TableArrays:
    """What the library gets of a table whose contigs are matched with others by name."""

    def __init__(self, table: IntervalTable, contig_names: tuple[str, ...]) -> None:
        contig = contigs_of_table(table, contig_names)
        self.contig_names = contig_names
        self._n_samples = len(table.samples)
        self._arrays = (table.offsets, table.start, table.end, table.value, contig)
        self._fields = tuple(array.ctypes.data for array in self._arrays)
        self._last: tuple[Fill, TrackTransform, bytes] | None = None

    def record(self, fill: Fill, transform: TrackTransform) -> Any:
        """A new record of the track; the samples are still to be set."""
        last = self._last
        if last is not None and last[0] is fill and last[1] is transform:
            return native.RealignTrack.from_buffer_copy(last[2])
        record = new_record(fill, transform)
        record.offsets, record.start, record.end, record.value, record.contig = self._fields
        record.n_samples = self._n_samples
        self._last = (fill, transform, bytes(record))
        return record


_tables: weakref.WeakKeyDictionary[IntervalTable, _TableArrays] = weakref.WeakKeyDictionary()


def table_arrays(table: IntervalTable, contig_names: tuple[str, ...]) -> _TableArrays:
    """As `_TableArrays`, made once as long as the contigs are the same."""
    found = _tables.get(table)
    if found is None or found.contig_names != contig_names:
        found = _tables[table] = _TableArrays(table, contig_names)
    return found
