"""The two indices of a BigWig file: chromosome B+ tree and R-tree."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Mapping

from bigwig_loader._bigwig_writer.options import WriterOptions
from bigwig_loader._bigwig_writer.sections import Blocks

_CHROM_TREE_MAGIC, _RTREE_MAGIC = 0x78CA8C91, 0x2468ACE0


def write_chrom_tree(
    out: io.BytesIO,
    names: list[str],
    contigs: Mapping[str, int],
    ids: Mapping[str, int],
    opts: WriterOptions,
) -> int:
    order, size, offset = opts.byte_order, opts.chrom_block_size, out.tell()
    keys = [name.encode() for name in names]
    key_bytes = max(map(len, keys), default=1)
    keys = [key.ljust(key_bytes, b"\0") for key in keys]
    header = (_CHROM_TREE_MAGIC, size, key_bytes, 8, len(keys), 0)
    out.write(struct.pack(f"{order}IIIIQQ", *header))
    leaves = [
        key + struct.pack(f"{order}II", ids[name], contigs[name])
        for key, name in zip(keys, names, strict=True)
    ]
    _write_tree_levels(out, leaves, order, size, lambda low, _: keys[low], key_bytes + 8)
    return offset


def write_rtree(out: io.BytesIO, blocks: Blocks, opts: WriterOptions) -> int:
    order, size, offset = opts.byte_order, opts.rtree_block_size, out.tell()

    def bounds(low: int, high: int) -> bytes:
        inside = blocks.bounds[low:high] or [(0, 0, 0)]
        first = min((chrom, start) for chrom, start, _ in inside)
        last = max((chrom, end) for chrom, _, end in inside)
        return struct.pack(f"{order}4I", *first, *last)

    leaves = [
        bounds(i, i + 1) + struct.pack(f"{order}QQ", *blocks.ranges[i])
        for i in range(len(blocks.ranges))
    ]
    out.write(struct.pack(f"{order}IIQ", _RTREE_MAGIC, size, len(leaves)))
    out.write(bounds(0, len(leaves)))
    out.write(struct.pack(f"{order}QII", offset, opts.items_per_block, 0))
    _write_tree_levels(out, leaves, order, size, bounds, 24)
    return offset


def _write_tree_levels(
    out: io.BytesIO,
    leaves: list[bytes],
    byte_order: str,
    size: int,
    label: Callable[[int, int], bytes],
    inner_bytes: int,
) -> None:
    """Write the nodes of a tree, root first, each padded to `size` entries.

    `label(low, high)` is what an entry says of the leaves it stands for, before the child's offset.
    """
    spans = [size]  # leaves under one node, per level from the bottom
    while spans[-1] < len(leaves):
        spans.append(spans[-1] * size)
    next_level = out.tell()
    for depth, span in enumerate(reversed(spans)):
        is_leaf = depth == len(spans) - 1
        node_bytes = 4 + size * (len(leaves[0]) if is_leaf and leaves else inner_bytes)
        starts = range(0, max(1, len(leaves)), span)
        next_level += len(starts) * node_bytes
        child_is_leaf = depth == len(spans) - 2
        child_bytes = 4 + size * (len(leaves[0]) if child_is_leaf else inner_bytes)
        child = next_level
        for low in starts:
            high = min(low + span, len(leaves))
            if is_leaf:
                entries = leaves[low:high]
            else:
                under = span // size
                entries = []
                for first in range(low, high, under):
                    at = struct.pack(f"{byte_order}Q", child)
                    entries.append(label(first, min(first + under, high)) + at)
                    child += child_bytes
            node = struct.pack(f"{byte_order}BBH", is_leaf, 0, len(entries)) + b"".join(entries)
            out.write(node.ljust(node_bytes, b"\0"))
