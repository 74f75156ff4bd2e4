"""The R-tree: all leaves of a sound one, an error for every other."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigwig_loader.errors import InvalidDataError
from bigwig_loader.formats.rtree import DataBlocks, read_rtree
from tests.helpers.bigwig_bytes import Block, Shape, build_bigwig

INDEX_AT_FIELD = 24


class Bytes:
    """Bytes as a `Source`."""

    path = "made.bw"
    identity = ""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.n_bytes = len(content)

    def read(self, offset: int, n_bytes: int) -> bytes:
        if offset < 0 or offset + n_bytes > self.n_bytes:
            raise InvalidDataError("read past the end of the file", path=self.path, offset=offset)
        return self.content[offset : offset + n_bytes]

    def close(self) -> None:
        """Nothing to close."""


def tree_of(blocks: list[Block], **shape: object) -> tuple[bytearray, int, str]:
    made = Shape(compress=None, **shape)  # type: ignore[arg-type]
    content = build_bigwig({"a": (0, 1_000)}, blocks, made)
    (index_at,) = struct.unpack_from(made.order + "Q", content, INDEX_AT_FIELD)
    return bytearray(content), index_at, made.order


def read(tree: tuple[bytearray, int, str]) -> DataBlocks:
    content, index_at, order = tree
    return read_rtree(Bytes(bytes(content)), index_at, order)


BOUNDS = st.tuples(st.integers(0, 3), st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFFFFFF)).map(
    lambda b: (b[0], min(b[1:]), b[0], max(b[1:]))
)


@given(
    st.lists(st.tuples(BOUNDS, st.binary(max_size=4)), max_size=40),
    st.sampled_from("<>"),
    st.integers(2, 5),
    st.integers(0, 3),
)
def test_all_leaves_in_tree_order(
    leaves: list[tuple[tuple[int, int, int, int], bytes]], order: str, fanout: int, padding: int
) -> None:
    blocks = [Block(bounds=bounds, stored=stored) for bounds, stored in leaves]
    tree = tree_of(blocks, order=order, fanout=fanout, node_padding=padding)
    got = read(tree)
    assert len(got) == len(blocks)
    columns = (got.first_chrom_id, got.start, got.last_chrom_id, got.end)
    assert list(zip(*(c.tolist() for c in columns), strict=True)) == [b for b, _ in leaves]
    for column in (*columns, got.offset, got.n_bytes):
        assert column.dtype.isnative
    for offset, n_bytes, (_, stored) in zip(got.offset, got.n_bytes, leaves, strict=True):
        assert bytes(tree[0][int(offset) : int(offset + n_bytes)]) == stored


SIX = [Block(bounds=(0, 10 * i, 0, 10 * i + 10), stored=b"data") for i in range(6)]


def test_wrong_magic() -> None:
    tree = tree_of(SIX)
    tree[0][tree[1]] ^= 1
    with pytest.raises(InvalidDataError, match="no R-tree") as caught:
        read(tree)
    assert caught.value.offset == tree[1]


@pytest.mark.parametrize("fanout", [2, 6])
def test_node_type_other_than_0_or_1(fanout: int) -> None:
    tree = tree_of(SIX, fanout=fanout)
    tree[0][tree[1] + 48] = 2
    with pytest.raises(InvalidDataError, match="neither leaf nor branch"):
        read(tree)


@pytest.mark.parametrize("fanout", [2, 6])
def test_count_past_the_end_of_the_file(fanout: int) -> None:
    tree = tree_of(SIX, fanout=fanout)
    struct.pack_into("<H", tree[0], tree[1] + 50, 0xFFFF)
    with pytest.raises(InvalidDataError, match="runs past the end of the file") as caught:
        read(tree)
    assert caught.value.field == "count"


def child_field(tree: tuple[bytearray, int, str], child: int) -> int:
    return tree[1] + 48 + 4 + 24 * child + 16


def test_a_child_that_is_its_own_parent() -> None:
    tree = tree_of(SIX, fanout=3)
    struct.pack_into("<Q", tree[0], child_field(tree, 1), tree[1] + 48)
    with pytest.raises(InvalidDataError, match="reached twice"):
        read(tree)


def test_two_children_that_are_one() -> None:
    tree = tree_of(SIX, fanout=3)
    field = child_field(tree, 0)
    struct.pack_into("<Q", tree[0], child_field(tree, 1), *struct.unpack_from("<Q", tree[0], field))
    with pytest.raises(InvalidDataError, match="reached twice"):
        read(tree)


@pytest.mark.parametrize("offset", [1 << 63, (1 << 64) - 1, 1 << 40])
def test_a_child_outside_the_file(offset: int) -> None:
    tree = tree_of(SIX, fanout=3)
    struct.pack_into("<Q", tree[0], child_field(tree, 0), offset)
    with pytest.raises(InvalidDataError, match="past the end"):
        read(tree)


def test_nodes_that_overlap_cannot_grow_without_bound() -> None:
    # A root with children a few bytes apart, each of which reads as a leaf of nearly all the file.
    n = 500
    leaf = struct.pack("<BBH", 1, 0, 900)
    body_at = 48 + 4 + 24 * n
    children = b"".join(bytes(16) + struct.pack("<Q", body_at + 4 * i) for i in range(n))
    root = struct.pack("<I", 0x2468ACE0) + bytes(44) + struct.pack("<BBH", 0, 0, n) + children
    content = root + leaf * 8_000
    with pytest.raises(InvalidDataError, match="overlap"):
        read_rtree(Bytes(content), 0, "<")


@pytest.mark.parametrize("bounds", [(0, 20, 0, 10), (2, 0, 1, 5)])
def test_a_leaf_that_ends_before_it_starts(bounds: tuple[int, int, int, int]) -> None:
    with pytest.raises(InvalidDataError, match="ends before it starts"):
        read(tree_of([*SIX, Block(bounds=bounds, stored=b"data")]))


def test_an_empty_tree() -> None:
    blocks = read(tree_of([]))
    assert len(blocks) == 0
    assert blocks.offset.dtype == np.uint64


def test_every_truncation_is_an_error(tmp_path: Path) -> None:
    content, index_at, order = tree_of(SIX, fanout=2)
    data_at = len(content) - len(b"data") * 6 - 8
    for n_bytes in range(index_at, data_at, 3):
        with pytest.raises(InvalidDataError):
            read_rtree(Bytes(bytes(content[:n_bytes])), index_at, order)
