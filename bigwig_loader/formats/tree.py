"""The walk that the two trees of a BigWig file share: chromosome B+ tree and R-tree.

A node is a byte that says whether it is a leaf, a reserved byte, a 16-bit count, and the items;
items of a branch end with the offset of a child. Every count and offset is checked against the file
before it is used, and a node is visited once, so that a damaged tree ends in an error instead of a
crash, an endless walk or a huge allocation.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidDataError
from bigwig_loader.formats.source import Source

NODE_HEADER_BYTES = 4


def read_leaves(
    source: Source, root: int, leaf_type: np.dtype[Any], branch_type: np.dtype[Any], what: str
) -> npt.NDArray[Any]:
    """Items of all leaves of a tree, in tree order.

    Parameters
    ----------
    source : Source
    root : int
        Byte offset of the root node.
    leaf_type, branch_type : dtype
        Records, in the file's byte order; those of a branch have a field ``offset``.
    what : str
        Name of the tree, for error messages.

    Raises
    ------
    InvalidDataError
        If the nodes are no tree that fits into the file.
    """
    parts = [np.zeros(0, leaf_type)]
    stack, seen = [root], {root}
    room = source.n_bytes
    byte_order: Literal["big", "little"]
    byte_order = "big" if branch_type["offset"].byteorder == ">" else "little"
    while stack:
        offset = stack.pop()
        head = source.read(offset, NODE_HEADER_BYTES)
        if head[0] > 1:
            raise InvalidDataError(
                f"{what} node is neither leaf nor branch",
                path=source.path,
                offset=offset,
                field="isLeaf",
                expected="0 or 1",
                got=head[0],
            )
        node_type = leaf_type if head[0] else branch_type
        count = int.from_bytes(head[2:4], byte_order)
        n_bytes = count * node_type.itemsize
        if offset + NODE_HEADER_BYTES + n_bytes > source.n_bytes:
            raise InvalidDataError(
                f"{what} node runs past the end of the file",
                path=source.path,
                offset=offset,
                field="count",
                expected=f"at most {source.n_bytes - offset - NODE_HEADER_BYTES} bytes of items",
                got=f"{count} items of {node_type.itemsize} bytes",
            )
        room -= NODE_HEADER_BYTES + n_bytes
        if room < 0:
            raise InvalidDataError(
                f"{what} nodes overlap",
                path=source.path,
                offset=offset,
                field="childOffset",
                expected=f"nodes of {source.n_bytes} bytes together, the size of the file",
                got="more",
            )
        items = np.frombuffer(source.read(offset + NODE_HEADER_BYTES, n_bytes), node_type)
        if head[0]:
            parts.append(items)
            continue
        children = items["offset"].tolist()
        if not seen.isdisjoint(children) or len(set(children)) != len(children):
            raise InvalidDataError(
                f"{what} node is reached twice",
                path=source.path,
                offset=offset,
                field="childOffset",
                expected="a tree",
                got="a cycle or a shared node",
            )
        seen.update(children)
        stack.extend(reversed(children))
    return np.concatenate(parts)
