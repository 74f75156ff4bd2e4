"""Joining the indices of many files."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigwig_loader.errors import InvalidDataError
from bigwig_loader.formats.bigwig import BigWigHeader, BigWigIndex
from bigwig_loader.formats.rtree import DataBlocks
from bigwig_loader.plan.track_index import NO_CHROM, TrackIndex, build_track_index

HEADER = BigWigHeader("<", 4, 0, 0, 0, 32_768, 0, (), None)
Leaf = tuple[int, int, int, int, int, int]  # first id, start, last id, end, offset, size


def made_file(
    contigs: dict[str, tuple[int, int]], leaves: list[Leaf], path: str = "a.bw", **header: object
) -> BigWigIndex:
    columns = list(zip(*leaves, strict=True)) or [()] * 6
    types = [np.uint32] * 4 + [np.uint64] * 2
    blocks = DataBlocks(*(np.array(c, t) for c, t in zip(columns, types, strict=True)))
    return BigWigIndex(
        path,
        10_000,
        "identity",
        dataclasses.replace(HEADER, **header),
        tuple(contigs),
        np.array([length for _, length in contigs.values()], np.int64),
        np.array([chrom_id for chrom_id, _ in contigs.values()], np.uint32),
        blocks,
    )


def rows(index: TrackIndex) -> list[tuple[int, str, int, int, int, int]]:
    """(track, contig, start, furthest end, offset, spans) of each block, in order."""
    every = np.arange(index.n_blocks)
    contig = [index.contigs.names[c] for c in index.contig_of(every)]
    low = [(key & np.uint64(0xFFFFFFFF)).tolist() for key in (index.start_key, index.end_key)]
    return list(
        zip(
            index.track_of(every).tolist(),
            contig,
            *low,
            index.offset.tolist(),
            index.spans.tolist(),
            strict=True,
        )
    )


def test_contigs_are_the_union_in_order_of_appearance() -> None:
    first = made_file({"b": (0, 10), "a": (1, 20)}, [])
    second = made_file({"c": (5, 30), "a": (0, 20)}, [], "b.bw", byte_order=">")
    index = build_track_index([first, second])
    assert index.contigs.names == ("b", "a", "c")
    assert index.contigs.lengths.tolist() == [10, 20, 30]
    missing = int(NO_CHROM)
    assert index.chrom_ids.tolist() == [[0, 1, missing], [missing, 0, 5]]
    assert index.swap.tolist() == [0, 1]
    assert index.paths == ("a.bw", "b.bw")
    assert str(index.n_tracks) in repr(index)


def test_files_that_disagree_about_a_length() -> None:
    files = [made_file({"a": (0, 10)}, []), made_file({"b": (0, 5), "a": (1, 11)}, [], "b.bw")]
    with pytest.raises(
        InvalidDataError, match=r"contig a has another length than in a\.bw"
    ) as error:
        build_track_index(files)
    assert (error.value.path, error.value.expected, error.value.got) == ("b.bw", "10 bp", "11 bp")


def test_blocks_are_ordered_by_track_contig_and_start() -> None:
    one = made_file(
        {"x": (7, 100), "y": (3, 100)},
        [(7, 50, 7, 60, 1, 9), (3, 5, 3, 9, 2, 9), (7, 10, 7, 20, 3, 9)],
    )
    two = made_file({"y": (0, 100)}, [(0, 0, 0, 4, 4, 9)], "b.bw")
    assert rows(build_track_index([one, two])) == [
        (0, "x", 10, 20, 3, 0),
        (0, "x", 50, 60, 1, 0),
        (0, "y", 5, 9, 2, 0),
        (1, "y", 0, 4, 4, 0),
    ]


def test_the_end_of_a_block_is_the_furthest_so_far_in_its_contig() -> None:
    file = made_file(
        {"a": (0, 999), "b": (1, 999)},
        [(0, 0, 0, 90, 1, 9), (0, 10, 0, 20, 2, 9), (0, 50, 0, 95, 3, 9), (1, 0, 1, 5, 4, 9)],
    )
    assert [row[3] for row in rows(build_track_index([file]))] == [90, 90, 95, 5]


def test_a_leaf_of_several_contigs_stands_in_each_that_has_a_name() -> None:
    file = made_file({"a": (1, 99), "b": (4, 99), "c": (5, 99)}, [(1, 30, 5, 8, 1, 9)])
    last = 0xFFFFFFFF
    assert rows(build_track_index([file])) == [
        (0, "a", 30, last, 1, 1),
        (0, "b", 0, last, 1, 1),
        (0, "c", 0, 8, 1, 1),
    ]


def test_data_of_an_id_without_a_name_is_left_out() -> None:
    file = made_file({"a": (1, 99)}, [(0, 0, 0, 5, 1, 9), (1, 0, 1, 5, 2, 9), (2, 0, 9, 5, 3, 9)])
    assert [row[4] for row in rows(build_track_index([file]))] == [2]


@pytest.mark.parametrize("contigs", [{}, {"a": (0, 5)}])
def test_files_without_data(contigs: dict) -> None:
    index = build_track_index([made_file(contigs, []), made_file(contigs, [], "b.bw")])
    assert (index.n_blocks, index.n_tracks, len(index.contigs)) == (0, 2, len(contigs))


def test_damaged_offsets_and_sizes_stay_out_of_range() -> None:
    # They must not wrap around to something inside the file.
    huge = (1 << 64) - 1
    index = build_track_index([made_file({"a": (0, 9)}, [(0, 0, 0, 5, huge, huge)])])
    assert index.offset[0] >= 1 << 62
    assert index.offset[0] + np.int64(index.n_bytes[0]) > 1 << 62


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=8))
def test_keys_ascend_whatever_the_tree_says(spans: list[tuple[int, int]]) -> None:
    leaves = [(min(s), 7 * i % 5, max(s), 9, i, 1) for i, s in enumerate(spans)]
    index = build_track_index([made_file({f"c{i}": (i, 10) for i in range(4)}, leaves)] * 2)
    for keys in (index.start_key, index.end_key):
        assert (keys[1:] >= keys[:-1]).all()
    assert (index.end_key >= index.start_key).all()
