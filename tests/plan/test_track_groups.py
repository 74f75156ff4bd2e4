"""Pairs of strands by name, and which tracks change places."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.plan.track_groups import TrackGroups, strand_pairs


@pytest.mark.parametrize(
    ("plus", "minus"),
    [
        ("x.plus.bw", "x.minus.bw"),
        ("x_pos", "x_neg"),
        ("x+", "x-"),
        ("a+b.bw", "a-b.bw"),
        ("coverage+.w5", "coverage-.w5"),
        ("fwd.bigWig", "rev.bigWig"),
        ("ENC_Forward_1", "ENC_reverse_1"),
        ("PRO-seq PLUS 2", "PRO-seq MINUS 2"),
        ("signalPlus", "signalMinus"),
        ("rna_positive_strand", "rna_negative_strand"),
        ("sense", "antisense"),
    ],
)
def test_pairs_are_found_in_either_order(plus: str, minus: str) -> None:
    assert strand_pairs([plus, minus]) == [(0, 1)]
    assert strand_pairs(["ctcf", minus, "input", plus]) == [(3, 1)]


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["plus"],
        ["a.plus", "b.minus"],
        ["a.plus", "a.plus2", "a"],
        ["surplus", "surminus"],
        ["compos", "comneg"],
        ["rep-1", "rep-2", "a-b"],
        ["H3K4me1", "H3K4me3"],
        ["plus.a", "plus.b"],
    ],
)
def test_what_is_no_pair(names: list[str]) -> None:
    assert strand_pairs(names) == []


def test_every_name_is_in_one_pair_at_most() -> None:
    assert strand_pairs(["x.plus", "X.PLUS", "x.minus", "y.fwd", "y.rev"]) == [(0, 2), (3, 4)]
    assert strand_pairs(["a.plus.fwd", "a.minus.fwd", "a.plus.rev"]) == [(0, 1)]


NAMES = tuple("abcdef")


def swapped(groups: list[list[int]], tracks: list[int] | None) -> list[int]:
    wanted = None if tracks is None else np.array(tracks, np.int64)
    return list(TrackGroups(tuple(map(tuple, groups)), NAMES).swap(wanted))


def test_groups_are_reversed_in_place() -> None:
    assert swapped([[0, 1]], None) == [1, 0, 2, 3, 4, 5]
    assert swapped([[5, 1, 3]], None) == [0, 1, 2, 5, 4, 3]
    assert swapped([[0, 2], [1], [3, 4]], None) == [2, 1, 0, 4, 3, 5]


def test_subsets() -> None:
    assert swapped([[0, 2]], [2, 5, 0]) == [2, 1, 0]
    assert swapped([[0, 2]], [5, 1]) == [0, 1]
    assert swapped([[0, 2]], [0, 2, 2, 0]) == [1, 0, 3, 2]
    assert swapped([[0, 1, 2]], [1]) == [0]


@pytest.mark.parametrize("tracks", [[0], [5, 2], [0, 2, 0]])
def test_a_torn_group_is_named(tracks: list[int]) -> None:
    with pytest.raises(InvalidInputError, match=r"track_groups.*\['a', 'c'\] is torn apart"):
        swapped([[0, 2]], tracks)


def test_a_track_is_in_one_group() -> None:
    for groups in ([[0, 1], [1, 2]], [[1, 1]]):
        with pytest.raises(InvalidInputError, match="'b' more than once"):
            swapped(groups, None)


@given(st.permutations(range(6)), st.integers(0, 6), st.data())
def test_swapping_twice_changes_nothing(order: list[int], cut: int, data: st.DataObject) -> None:
    groups = [order[:cut], order[cut:]]
    chosen = data.draw(st.permutations(range(6)))
    places = swapped([g for g in groups if g], chosen)
    assert [places[p] for p in places] == list(range(6))
    for group in groups:
        for track, partner in zip(group, reversed(group), strict=True):
            assert chosen[places[chosen.index(track)]] == partner
