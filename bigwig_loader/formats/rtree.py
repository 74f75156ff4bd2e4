"""The R-tree of a BigWig file: from the tree's nodes to one flat table of data blocks.

Layout after Kent et al. 2010 (supplement, tables 14 to 17). Every count and offset is checked
against the file before it is used, and a node is visited once, so that a damaged tree ends in an
error instead of a crash, an endless walk or a huge allocation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidDataError
from bigwig_loader.formats.source import Source

RTREE_MAGIC = 0x2468ACE0
HEADER_BYTES = 48
NODE_HEADER_BYTES = 4
LEAF_ITEM_BYTES = 32
BRANCH_ITEM_BYTES = 24


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
    leaves = _walk(source, index_offset + HEADER_BYTES, byte_order)
    return _check_order(source, leaves)


def _walk(source: Source, root: int, byte_order: str) -> npt.NDArray[Any]:
    leaf_type = np.dtype(
        [(name, f"{byte_order}u4") for name in ("first", "start", "last", "end")]
        + [("offset", f"{byte_order}u8"), ("n_bytes", f"{byte_order}u8")]
    )
    branch_type = np.dtype(leaf_type.descr[:-1])
    parts = []
    stack = [root]
    seen = {root}
    room = source.n_bytes
    while stack:
        offset = stack.pop()
        head = source.read(offset, NODE_HEADER_BYTES)
        is_leaf = head[0]
        count = int.from_bytes(head[2:4], "little" if byte_order == "<" else "big")
        if is_leaf > 1:
            raise InvalidDataError(
                "R-tree node is neither leaf nor branch",
                path=source.path,
                offset=offset,
                field="isLeaf",
                expected="0 or 1",
                got=is_leaf,
            )
        node_type = leaf_type if is_leaf else branch_type
        n_bytes = count * node_type.itemsize
        if offset + NODE_HEADER_BYTES + n_bytes > source.n_bytes:
            raise InvalidDataError(
                "R-tree node runs past the end of the file",
                path=source.path,
                offset=offset,
                field="count",
                expected=f"at most {source.n_bytes - offset - NODE_HEADER_BYTES} bytes of items",
                got=f"{count} items of {node_type.itemsize} bytes",
            )
        room -= NODE_HEADER_BYTES + n_bytes
        if room < 0:
            raise InvalidDataError(
                "R-tree nodes overlap",
                path=source.path,
                offset=offset,
                field="childOffset",
                expected=f"nodes of {source.n_bytes} bytes together, the size of the file",
                got="more",
            )
        items = np.frombuffer(source.read(offset + NODE_HEADER_BYTES, n_bytes), dtype=node_type)
        if is_leaf:
            parts.append(items)
            continue
        children = items["offset"].tolist()
        if not seen.isdisjoint(children) or len(set(children)) != len(children):
            raise InvalidDataError(
                "R-tree node is reached twice",
                path=source.path,
                offset=offset,
                field="childOffset",
                expected="a tree",
                got="a cycle or a shared node",
            )
        seen.update(children)
        stack.extend(reversed(children))
    return np.concatenate(parts) if parts else np.zeros(0, leaf_type)


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
