"""The R-tree of a BigWig file: from the tree's nodes to one flat table of data blocks.

Layout after Kent et al. 2010 (supplement, tables 14 to 17).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidDataError
from bigwig_loader.formats.source import Source
from bigwig_loader.formats.tree import read_leaves

RTREE_MAGIC = 0x2468ACE0
HEADER_BYTES = 48


@dataclass(frozen=True)
class DataBlocks:
    """The data blocks of one file, in tree order; K of them.

    A block covers (first_chrom_id, start) up to (last_chrom_id, end), 0-based half-open.
    """

    first_chrom_id: npt.NDArray[np.uint32]
    start: npt.NDArray[np.uint32]
    last_chrom_id: npt.NDArray[np.uint32]
    end: npt.NDArray[np.uint32]
    offset: npt.NDArray[np.uint64]
    n_bytes: npt.NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.start)


def no_blocks() -> DataBlocks:
    """The table of a file without data."""
    position, place = np.zeros(0, np.uint32), np.zeros(0, np.uint64)
    return DataBlocks(position, position, position, position, place, place)


def read_rtree(source: Source, index_offset: int, byte_order: str) -> DataBlocks:
    """Read all leaves of the R-tree at `index_offset`.

    Parameters
    ----------
    source : Source
    index_offset : int
        Byte offset of the tree's header.
    byte_order : {"<", ">"}

    Raises
    ------
    InvalidDataError
        If the tree cannot be what its header says.
    """
    header = np.frombuffer(source.read(index_offset, HEADER_BYTES), dtype=f"{byte_order}u4")
    if header[0] != RTREE_MAGIC:
        raise InvalidDataError(
            "no R-tree where the header says there is one",
            path=source.path,
            offset=index_offset,
            field="fullIndexOffset",
            expected=f"magic {RTREE_MAGIC:#010x}",
            got=f"{int(header[0]):#010x}",
        )
    leaf_type = np.dtype(
        [(name, f"{byte_order}u4") for name in ("first", "start", "last", "end")]
        + [("offset", f"{byte_order}u8"), ("n_bytes", f"{byte_order}u8")]
    )
    branch_type = np.dtype(leaf_type.descr[:-1])
    root = index_offset + HEADER_BYTES
    return _check_order(source, read_leaves(source, root, leaf_type, branch_type, "R-tree"))


def _check_order(source: Source, leaves: npt.NDArray[Any]) -> DataBlocks:
    wrong = (leaves["first"] > leaves["last"]) | (
        (leaves["first"] == leaves["last"]) & (leaves["start"] > leaves["end"])
    )
    if wrong.any():
        at = leaves[int(np.argmax(wrong))]
        raise InvalidDataError(
            "R-tree leaf ends before it starts",
            path=source.path,
            field="startChromIx, startBase, endChromIx, endBase",
            expected="start <= end",
            got=f"({at['first']}, {at['start']}) to ({at['last']}, {at['end']})",
        )
    native = {
        name: np.ascontiguousarray(leaves[name].astype(leaves[name].dtype.newbyteorder("=")))
        for name in leaves.dtype.names or ()
    }
    return DataBlocks(
        first_chrom_id=native["first"],
        start=native["start"],
        last_chrom_id=native["last"],
        end=native["end"],
        offset=native["offset"],
        n_bytes=native["n_bytes"],
    )
