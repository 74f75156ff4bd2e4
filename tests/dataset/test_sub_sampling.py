"""Random subsets of tracks that keep groups whole."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.sampling.tracks import RandomTracks


def subsets(sampler: RandomTracks, n: int, epoch: int = 0) -> list[list[int]]:
    return [t.tolist() for t in islice(sampler.tracks(epoch, 0, 1), n) if t is not None]


@st.composite
def groupings(draw: st.DrawFn) -> tuple[int, list[list[int]]]:
    n_tracks = draw(st.integers(1, 12))
    order = draw(st.permutations(range(n_tracks)))
    groups, first = [], 0
    for size in draw(st.lists(st.integers(1, 4), max_size=4)):
        if first + size <= n_tracks:
            groups.append(list(order[first : first + size]))
            first += size
    return n_tracks, groups


@given(groupings(), st.integers(1, 12), st.integers(0, 2**64 - 1))
def test_groups_are_whole_and_the_number_is_exact(
    grouping: tuple[int, list[list[int]]], size: int, seed: int
) -> None:
    n_tracks, groups = grouping
    assume(size <= n_tracks)
    units = [len(g) for g in groups] + [1] * (n_tracks - sum(map(len, groups)))
    reachable = {0}
    for unit in units:
        reachable |= {total + unit for total in reachable}
    if size not in reachable:
        with pytest.raises(InvalidInputError, match="sub_sample_tracks"):
            RandomTracks(n_tracks, size, seed, groups)
        return
    for chosen in subsets(RandomTracks(n_tracks, size, seed, groups), 5):
        assert len(chosen) == len(set(chosen)) == size
        assert chosen == sorted(chosen)
        for group in groups:
            assert len(set(group) & set(chosen)) in (0, len(group))


def test_pairs_are_equally_likely() -> None:
    pairs = [[0, 1], [2, 3], [4, 5], [6, 7]]
    counts = Counter(map(tuple, subsets(RandomTracks(8, 4, 1, pairs), 3000)))
    assert len(counts) == 6
    # 500 expected, standard deviation 20.
    assert all(400 < n < 600 for n in counts.values())


def test_pure_in_seed_epoch_and_batch() -> None:
    sampler = RandomTracks(9, 5, 7, [[0, 3], [1, 8, 4]])
    whole = subsets(sampler, 12)
    for first, step in ((0, 1), (5, 1), (2, 3)):
        got = [t.tolist() for t in islice(sampler.tracks(0, first, step), 3) if t is not None]
        assert got == whole[first::step][:3]
    assert subsets(sampler, 12, epoch=1) != whole
    assert subsets(RandomTracks(9, 5, 8, [[0, 3], [1, 8, 4]]), 12) != whole


def test_without_groups_nothing_has_changed() -> None:
    plain, empty = RandomTracks(9, 4, 3), RandomTracks(9, 4, 3, ())
    assert subsets(plain, 5) == subsets(empty, 5)
    assert np.unique(subsets(plain, 50)).tolist() == list(range(9))
