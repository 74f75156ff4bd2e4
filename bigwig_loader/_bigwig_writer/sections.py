"""Data blocks: which items go into one, and its bytes."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from bigwig_loader._bigwig_writer.options import Arrays, WriterOptions

_SECTION_NUMBER = {"bedGraph": 1, "variableStep": 2, "fixedStep": 3}
_COLUMNS = {
    "bedGraph": [("start", "u4"), ("end", "u4"), ("value", "f4")],
    "variableStep": [("start", "u4"), ("value", "f4")],
    "fixedStep": [("value", "f4")],
}


@dataclass
class Blocks:
    """Data blocks written so far: what the R-tree says about each."""

    bounds: list[tuple[int, int, int]] = field(default_factory=list)  # chrom id, start, end
    ranges: list[tuple[int, int]] = field(default_factory=list)  # offset, size in bytes
    largest_bytes: int = 0


def splits(
    kind: str, starts: npt.NDArray[np.uint32], ends: npt.NDArray[np.uint32], most: int
) -> Iterator[tuple[int, int]]:
    """Index ranges of the data blocks of one contig."""
    if kind == "bedGraph":
        yield from ((i, min(i + most, len(starts))) for i in range(0, len(starts), most))
        return
    first, where, until = 0, starts.tolist(), ends.tolist()
    for i in range(1, len(where) + 1):
        same = i < len(where) and i - first < most
        same = same and until[i] - where[i] == until[first] - where[first]
        if same and kind == "fixedStep":
            same = where[i] - where[i - 1] == where[first + 1] - where[first] > 0
        if not same:
            yield first, i
            first = i


def section_bytes(chrom_id: int, kind: str, piece: Arrays, opts: WriterOptions) -> bytes:
    starts, ends, values = piece
    order = opts.byte_order
    span = int(ends[0]) - int(starts[0])
    step = int(starts[1]) - int(starts[0]) if len(starts) > 1 else span
    columns = _COLUMNS[kind]
    items = np.empty(len(starts), [(name, f"{order}{code}") for name, code in columns])
    arrays = {"start": starts, "end": ends, "value": values}
    for name, _ in columns:
        items[name] = arrays[name]
    head = struct.pack(
        f"{order}5IBBH",
        *(chrom_id, int(starts[0]), int(ends[-1])),
        step if kind == "fixedStep" else 0,
        0 if kind == "bedGraph" else span,
        *(_SECTION_NUMBER[kind], 0, len(starts)),
    )
    return head + items.tobytes()


def write_block(
    out: io.BytesIO,
    blocks: Blocks,
    raw: bytes,
    bounds: tuple[int, int, int],
    opts: WriterOptions,
) -> None:
    stored = zlib.compress(raw) if opts.compress else raw
    blocks.bounds.append(bounds)
    blocks.ranges.append((out.tell(), len(stored)))
    blocks.largest_bytes = max(blocks.largest_bytes, len(raw))
    out.write(stored)
