"""Zoom levels: summaries of fixed numbers of bases."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from bigwig_loader._bigwig_writer.options import Arrays, WriterOptions
from bigwig_loader._bigwig_writer.sections import Blocks, write_block

_RECORD = [
    *(("chrom_id", "u4"), ("start", "u4"), ("end", "u4"), ("valid_count", "u4")),
    *(("min", "f4"), ("max", "f4"), ("sum", "f4"), ("sum_squares", "f4")),
]


def write_zoom_level(
    out: io.BytesIO,
    blocks: Blocks,
    data: Mapping[str, Arrays],
    ids: Mapping[str, int],
    reduction: int,
    opts: WriterOptions,
) -> int:
    n_records = 0
    for name, arrays in data.items():
        records = _zoom_records(arrays, reduction)
        records["chrom_id"] = ids[name]
        records = records.astype(records.dtype.newbyteorder(opts.byte_order))
        n_records += len(records)
        for i in range(0, len(records), opts.items_per_block):
            part = records[i : i + opts.items_per_block]
            bounds = ids[name], int(part["start"].min()), int(part["end"].max())
            write_block(out, blocks, part.tobytes(), bounds, opts)
    return n_records


def _zoom_records(arrays: Arrays, reduction: int) -> npt.NDArray[np.void]:
    """Summaries of the covered bins of `reduction` bp; bin edges are multiples of it."""
    starts, ends, values = arrays[0].astype(np.int64), arrays[1].astype(np.int64), arrays[2]
    kept = ends > starts
    starts, ends, values = starts[kept], ends[kept], values[kept].astype(np.float64)
    # One piece for every bin that an interval touches.
    n_pieces = (ends - 1) // reduction - starts // reduction + 1
    owner = np.repeat(np.arange(len(starts)), n_pieces)
    nth = np.arange(len(owner)) - np.repeat(np.cumsum(n_pieces) - n_pieces, n_pieces)
    bins = starts[owner] // reduction + nth
    low = np.maximum(starts[owner], bins * reduction)
    high = np.minimum(ends[owner], (bins + 1) * reduction)
    first = np.flatnonzero(np.diff(bins, prepend=-1))
    records = np.zeros(len(first), _RECORD)
    if len(first):
        bases, value = high - low, values[owner]
        last = np.append(first[1:], len(bins)) - 1
        records["start"], records["end"] = low[first], high[last]
        records["valid_count"] = np.add.reduceat(bases, first)
        records["min"] = np.minimum.reduceat(value, first)
        records["max"] = np.maximum.reduceat(value, first)
        records["sum"] = np.add.reduceat(bases * value, first)
        records["sum_squares"] = np.add.reduceat(bases * value**2, first)
    return records
