"""A compact BigWig writer, for the example data and for test files of every legal shape.

Layout after Kent et al. 2010, doi:10.1093/bioinformatics/btq351, supplement. The file is built in
memory, so it is for files of up to some hundred MB.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bigwig_loader._bigwig_writer.options import (
    Arrays,
    Intervals,
    SectionType,
    WriterOptions,
    check_options,
)
from bigwig_loader._bigwig_writer.sections import Blocks, section_bytes, splits, write_block
from bigwig_loader._bigwig_writer.trees import write_chrom_tree, write_rtree
from bigwig_loader._bigwig_writer.zoom import write_zoom_level
from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.types import PathLike

__all__ = ["Intervals", "SectionType", "WriterOptions", "intervals_of", "write_bigwig"]

_BIGWIG_MAGIC = 0x888FFC26


def write_bigwig(
    path: PathLike,
    contigs: Mapping[str, int],
    intervals: Mapping[str, Intervals],
    options: WriterOptions | None = None,
) -> Path:
    """Write a BigWig file.

    Parameters
    ----------
    path : path-like
        Written over if it exists.
    contigs : mapping of name to length in bp
        All contigs of the file, with or without data.
    intervals : mapping of contig name to (starts, ends, values)
        0-based half-open, in the order in which they are to stand in the file. They are written
        as they are, overlapping or out of order too: what is illegal is the caller's business.
    options : WriterOptions, optional

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InvalidInputError
        If options contradict each other, or the three arrays of a contig differ in length.
    NotFoundError
        If `intervals` names a contig that `contigs` does not.
    """
    opts = options or WriterOptions()
    check_options(opts)
    for name in intervals:
        if name not in contigs:
            raise NotFoundError.among("contig", name, contigs, "contigs")
    names = sorted(contigs, key=str.encode)
    ids = dict(opts.chrom_ids) if opts.chrom_ids else {name: i for i, name in enumerate(names)}
    data = {name: _checked(name, intervals[name]) for name in names if name in intervals}
    data = dict(sorted(data.items(), key=lambda item: ids[item[0]]))

    out = io.BytesIO()
    out.write(bytes(64 + 24 * len(opts.zoom_reductions)))
    summary_offset = _write_summary(out, data, opts) if opts.version >= 2 else 0
    tree_offset = write_chrom_tree(out, names, contigs, ids, opts)

    data_offset = out.tell()
    out.write(bytes(8))
    blocks = Blocks()
    for name, arrays in data.items():
        kind = opts.section if isinstance(opts.section, str) else opts.section.get(name, "bedGraph")
        for low, high in splits(kind, arrays[0], arrays[1], opts.items_per_block):
            piece = arrays[0][low:high], arrays[1][low:high], arrays[2][low:high]
            bounds = ids[name], int(piece[0].min()), int(piece[1].max())
            write_block(out, blocks, section_bytes(ids[name], kind, piece, opts), bounds, opts)
    _patch(out, data_offset, struct.pack(f"{opts.byte_order}Q", len(blocks.bounds)))
    index_offset = write_rtree(out, blocks, opts)

    zoom_headers, largest = b"", blocks.largest_bytes
    for reduction in opts.zoom_reductions:
        zoom_offset, zoom_blocks = out.tell(), Blocks()
        out.write(bytes(4))
        n_records = write_zoom_level(out, zoom_blocks, data, ids, reduction, opts)
        _patch(out, zoom_offset, struct.pack(f"{opts.byte_order}I", n_records))
        zoom_index = write_rtree(out, zoom_blocks, opts)
        zoom_headers += struct.pack(f"{opts.byte_order}IIQQ", reduction, 0, zoom_offset, zoom_index)
        largest = max(largest, zoom_blocks.largest_bytes)
    out.write(struct.pack(f"{opts.byte_order}I", _BIGWIG_MAGIC))

    counts = (opts.version, len(opts.zoom_reductions), tree_offset, data_offset, index_offset)
    tail = (0, 0, 0, summary_offset, largest if opts.compress else 0, 0)
    header = struct.pack(f"{opts.byte_order}IHHQQQHHQQIQ", _BIGWIG_MAGIC, *counts, *tail)
    _patch(out, 0, header + zoom_headers)
    path = Path(path)
    path.write_bytes(out.getbuffer())
    return path


def intervals_of(values: npt.NDArray[np.floating]) -> Intervals:
    """Intervals of equal neighbouring values; NaN is no data.

    Parameters
    ----------
    values : (L,) float
        One value per base from position 0 on.

    Returns
    -------
    starts, ends : (I,) int64
    values : (I,) float32
    """
    values = np.asarray(values, np.float32)
    same = (values[1:] == values[:-1]) | (np.isnan(values[1:]) & np.isnan(values[:-1]))
    starts = np.concatenate([np.zeros(min(1, len(values)), np.int64), np.flatnonzero(~same) + 1])
    ends = np.append(starts[1:], len(values))[: len(starts)]
    covered = ~np.isnan(values[starts])
    return starts[covered], ends[covered], values[starts][covered]


def _checked(name: str, intervals: Intervals) -> Arrays:
    starts, ends, values = (np.asarray(a) for a in intervals)
    if not len(starts) == len(ends) == len(values):
        raise InvalidInputError(
            f"intervals of {name}: expected three arrays of one length; "
            f"got {len(starts)}, {len(ends)} and {len(values)}"
        )
    return starts.astype(np.uint32), ends.astype(np.uint32), values.astype(np.float32)


def _write_summary(out: io.BytesIO, data: Mapping[str, Arrays], opts: WriterOptions) -> int:
    offset = out.tell()
    arrays = [[a.astype(np.float64) for a in arrays] for arrays in data.values() if len(arrays[0])]
    bases = np.concatenate([np.zeros(0), *(end - start for start, end, _ in arrays)])
    values = np.concatenate([np.zeros(0), *(value for _, _, value in arrays)])
    low, high = (values.min(), values.max()) if len(values) else (0.0, 0.0)
    total, squares = bases @ values, bases @ values**2
    out.write(struct.pack(f"{opts.byte_order}Q4d", int(bases.sum()), low, high, total, squares))
    return offset


def _patch(out: io.BytesIO, offset: int, data: bytes) -> None:
    end = out.tell()
    out.seek(offset)
    out.write(data)
    out.seek(end)
