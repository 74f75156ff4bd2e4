"""Positions and tracks that the caller lists."""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np
import pytest

from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.plan.windows import ContigTable
from bigwig_loader.sampling.listed import PositionParser, is_one_shot, is_stream
from bigwig_loader.sampling.tracks import AllTracks, ListedTracks, RandomTracks

CONTIGS = ContigTable(("chr1", "chr2"), np.array([100, 50]), "the test's contigs")


def test_items_of_many_kinds() -> None:
    items: list[Any] = [("chr1", 5), ["chr2", np.int32(0)], np.array(["chr1", 99], dtype=object)]
    parsed = PositionParser(CONTIGS).parse(items)
    assert parsed.contig.tolist() == [0, 1, 0]
    assert parsed.position.tolist() == [5, 0, 99]


@pytest.mark.parametrize(
    "item",
    ["chr1", 5, None, ("chr1",), ("chr1", 1, 2), ("chr1", 1.5), (1, "chr1"), ("chr1", True)],
)
def test_malformed_items_are_named(item: Any) -> None:
    with pytest.raises(InvalidInputError, match="item 7"):
        PositionParser(CONTIGS).parse([("chr1", 1), item], first_item=6)


@pytest.mark.parametrize("position", [-1, 50, 2**62])
def test_positions_outside_the_contig_are_named(position: int) -> None:
    with pytest.raises(InvalidInputError, match=rf"item 1 \(chr2, {position}\).*50 bp"):
        PositionParser(CONTIGS).parse([("chr2", 49), ("chr2", position)])


def test_unknown_contigs_list_near_ones() -> None:
    with pytest.raises(NotFoundError, match=r"'chr22'.*chr2"):
        PositionParser(CONTIGS).parse([("chr22", 1)])


def test_kinds_of_iterables() -> None:
    assert not is_stream([("chr1", 1)])
    assert is_stream(zip("a", "b", strict=True))
    assert is_one_shot(iter([1]))
    assert not is_one_shot(range(3))


def test_all_tracks() -> None:
    assert list(islice(AllTracks().tracks(0, 0, 1), 3)) == [None, None, None]


def test_random_tracks_are_pure() -> None:
    sampler = RandomTracks(20, 5, seed=1)
    everything = list(islice(sampler.tracks(2, 0, 1), 9))
    for shard in range(3):
        part = list(islice(sampler.tracks(2, shard, 3), 3))
        assert [p.tolist() for p in part] == [e.tolist() for e in everything[shard::3]]  # type: ignore[union-attr]
    assert len({tuple(e.tolist()) for e in everything}) > 1  # type: ignore[union-attr]


@pytest.mark.parametrize("size", [0, 21])
def test_subset_size_is_checked(size: int) -> None:
    with pytest.raises(InvalidInputError, match="expected 1 to 20"):
        RandomTracks(20, size, seed=1)


def test_listed_tracks_end_where_the_list_ends() -> None:
    sampler = ListedTracks([[0], [2, 1], np.array([1], np.uint8)], 3)
    for _ in range(2):
        assert [t.tolist() for t in sampler.tracks(0, 0, 1)] == [[0], [2, 1], [1]]  # type: ignore[union-attr]
    assert [t.tolist() for t in sampler.tracks(0, 1, 2)] == [[2, 1]]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "choice", [[], [[0]], 1, "0", [0.5], [True], [3], [-1], [[0], [1, 2]], None]
)
def test_malformed_tracks_are_named(choice: Any) -> None:
    with pytest.raises(InvalidInputError, match="item 1"):
        list(ListedTracks([[0], choice], 3).tracks(0, 0, 1))


def test_tracks_have_to_be_iterable() -> None:
    with pytest.raises(InvalidInputError, match="custom_track_sampler"):
        ListedTracks(3, 3)  # type: ignore[arg-type]
