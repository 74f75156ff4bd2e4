"""BigWig files byte by byte, illegal ones included: what no honest writer makes.

Layout after Kent et al. 2010, doi:10.1093/bioinformatics/btq351, supplement.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BED_GRAPH, VARIABLE_STEP, FIXED_STEP = 1, 2, 3
Bounds = tuple[int, int, int, int]
Label = bytes | Bounds


@dataclass(frozen=True)
class Section:
    """One section.

    `items` are (start, end, value) for bedGraph, (start, value) for variableStep and values for
    fixedStep. `n_items` is what the header claims, if not the truth.
    """

    chrom_id: int
    kind: int
    items: tuple[object, ...]
    start: int = 0
    step: int = 0
    span: int = 0
    n_items: int | None = None

    def intervals(self) -> list[tuple[int, int]]:
        """Start and end of every item."""
        if self.kind == BED_GRAPH:
            return [(i[0], i[1]) for i in self.items]  # type: ignore[index]
        if self.kind == VARIABLE_STEP:
            return [(i[0], i[0] + self.span) for i in self.items]  # type: ignore[index]
        return [
            (self.start + i * self.step, self.start + i * self.step + self.span)
            for i in range(len(self.items))
        ]

    def packed(self, order: str) -> bytes:
        """The section's bytes."""
        intervals = self.intervals()
        start = self.start if self.kind == FIXED_STEP else min((s for s, _ in intervals), default=0)
        end = min(max((e for _, e in intervals), default=0), 0xFFFFFFFF)
        count = len(self.items) if self.n_items is None else self.n_items
        head = struct.pack(
            order + "5IBBH", self.chrom_id, start, end, self.step, self.span, self.kind, 0, count
        )
        if self.kind == BED_GRAPH:
            return head + b"".join(struct.pack(order + "IIf", *i) for i in self.items)  # type: ignore[misc]
        if self.kind == VARIABLE_STEP:
            return head + b"".join(struct.pack(order + "If", *i) for i in self.items)  # type: ignore[misc]
        return head + struct.pack(f"{order}{len(self.items)}f", *self.items)


@dataclass(frozen=True)
class Block:
    """One data block: its sections, or the bytes that stand in the file for them.

    `bounds` is what the R-tree says, (first id, start, last id, end); by default the truth.
    """

    sections: tuple[Section, ...] = ()
    bounds: Bounds | None = None
    stored: bytes | None = None

    def true_bounds(self) -> Bounds:
        """The stretch that the items cover, with empty ones."""
        if self.bounds is not None:
            return self.bounds
        ends = [(s.chrom_id, a, b) for s in self.sections for a, b in s.intervals()]
        if not ends:
            first = self.sections[0].chrom_id if self.sections else 0
            return first, 0, first, 0
        low = min((c, a) for c, a, _ in ends)
        high = max((c, max(a, b)) for c, a, b in ends)
        return (*low, high[0], min(high[1], 0xFFFFFFFF))


@dataclass(frozen=True)
class Shape:
    """How the file is laid out."""

    order: str = "<"
    version: int = 4
    compress: Callable[[bytes], bytes] | None = zlib.compress
    buf_size: int | None = None
    fanout: int = 3
    node_padding: int = 0  # unused items at the end of every node
    data_at: int | None = None  # where the first data block stands; by default after the trees


def build_bigwig(
    contigs: Mapping[str, tuple[int, int]], blocks: Sequence[Block], shape: Shape | None = None
) -> bytes:
    """The bytes of a file; `contigs` is name -> (id, length), in tree order."""
    head, data, at = _layout(contigs, blocks, shape or Shape())
    return head + bytes(at - len(head)) + data


def write_bigwig_bytes(
    path: Path,
    contigs: Mapping[str, tuple[int, int]],
    blocks: Sequence[Block],
    shape: Shape | None = None,
) -> Path:
    """The same in a file, with a hole before the data where `data_at` is far away."""
    head, data, at = _layout(contigs, blocks, shape or Shape())
    with path.open("wb") as file:
        file.write(head)
        file.seek(at)
        file.write(data)
    return path


def _layout(
    contigs: Mapping[str, tuple[int, int]], blocks: Sequence[Block], shape: Shape
) -> tuple[bytes, bytes, int]:
    order = shape.order
    raw = [b"".join(s.packed(order) for s in block.sections) for block in blocks]
    stored = [
        block.stored
        if block.stored is not None
        else (shape.compress(bytes_) if shape.compress else bytes_)
        for block, bytes_ in zip(blocks, raw, strict=True)
    ]
    buf_size = max(map(len, raw), default=0) if shape.compress else 0
    buf_size = buf_size if shape.buf_size is None else shape.buf_size
    has_summary = shape.version >= 2
    tree_at = 64 + (40 if has_summary else 0)
    keys = [name.encode() for name in contigs]
    key_bytes = max(map(len, keys), default=1)
    keys = [key.ljust(key_bytes, b"\0") for key in keys]
    leaves = [
        key + struct.pack(order + "II", *entry)
        for key, entry in zip(keys, contigs.values(), strict=True)
    ]
    tree = struct.pack(order + "IIIIQQ", 0x78CA8C91, shape.fanout, key_bytes, 8, len(keys), 0)
    tree += _nodes(leaves, keys, key_bytes + 8, tree_at + len(tree), shape)
    index_at = tree_at + len(tree)
    bounds = [block.true_bounds() for block in blocks]

    def index(first_offset: int) -> bytes:
        offset, entries = first_offset, []
        for bound, bytes_ in zip(bounds, stored, strict=True):
            entries.append(struct.pack(order + "4IQQ", *bound, offset, len(bytes_)))
            offset += len(bytes_)
        top = struct.pack(order + "IIQ", 0x2468ACE0, shape.fanout, len(entries))
        top += bytes(16) + struct.pack(order + "QII", first_offset, 1, 0)
        return top + _nodes(entries, bounds, 32, index_at + 48, shape)

    data_at = index_at + len(index(0)) + 8 if shape.data_at is None else shape.data_at
    header = struct.pack(
        order + "IHHQQQHHQQIQ",
        *(0x888FFC26, shape.version, 0, tree_at, data_at - 8, index_at, 0, 0, 0),
        *(64 if has_summary else 0, buf_size, 0),
    )
    summary = struct.pack(order + "Qdddd", 0, 0, 0, 0, 0) if has_summary else b""
    return header + summary + tree + index(data_at), b"".join(stored), data_at


def _nodes(
    leaves: list[bytes], labels: Sequence[Label], leaf_bytes: int, at: int, shape: Shape
) -> bytes:
    """The nodes of a tree, root first; `labels` say what each leaf is found by."""

    def grouped(entries: Sequence[Any], of: Sequence[Label]) -> list[tuple[Any, Label]]:
        starts = range(0, max(len(entries), 1), shape.fanout)
        return [(entries[i : i + shape.fanout], _label(of[i : i + shape.fanout])) for i in starts]

    levels = [grouped(leaves, labels)]
    while len(levels[0]) > 1:
        levels.insert(0, grouped(levels[0], [label for _, label in levels[0]]))
    inner_bytes = (len(_packed(labels[0], shape)) if labels else 0) + 8
    out, starts = b"", at
    for depth, level in enumerate(levels):
        is_leaf = depth == len(levels) - 1
        item_bytes = leaf_bytes if is_leaf else inner_bytes
        sizes = [4 + (len(e) + shape.node_padding) * item_bytes for e, _ in level]
        child = starts + sum(sizes)
        starts = child
        child_item = leaf_bytes if depth + 1 == len(levels) - 1 else inner_bytes
        for (entries, _), size in zip(level, sizes, strict=True):
            node = struct.pack(shape.order + "BBH", is_leaf, 0, len(entries))
            for entry in entries:
                if is_leaf:
                    node += entry
                    continue
                node += _packed(entry[1], shape) + struct.pack(shape.order + "Q", child)
                child += 4 + (len(entry[0]) + shape.node_padding) * child_item
            out += node.ljust(size, b"\0")
    return out


def _label(labels: Sequence[Label]) -> Label:
    """What an inner entry says of its leaves: their first key, or the hull of their bounds."""
    if not labels or isinstance(labels[0], bytes):
        return labels[0] if labels else b""
    return (*min(label[:2] for label in labels), *max(label[2:] for label in labels))  # type: ignore[return-value]


def _packed(label: Label, shape: Shape) -> bytes:
    return label if isinstance(label, bytes) else struct.pack(shape.order + "4I", *label)
