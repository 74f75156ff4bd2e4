"""Sources spread evenly, in closed form."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.sampling.interleave import (
    MAX_INDEX,
    MAX_PERIOD,
    counts_of_shares,
    interleave,
)
from tests.oracles.sampling import interleaved

count_lists = st.lists(st.integers(0, 30), min_size=1, max_size=9).filter(any)
long_counts = st.lists(st.integers(0, MAX_PERIOD // 8), min_size=1, max_size=8).filter(any)


@given(count_lists)
def test_equals_the_oracle_over_three_periods(counts: list[int]) -> None:
    n = 3 * sum(counts)
    source, rank = interleave(np.arange(n), counts)
    assert source.dtype == np.int32
    assert rank.dtype == np.int64
    assert list(zip(source.tolist(), rank.tolist(), strict=True)) == interleaved(counts, n)


@given(count_lists, st.integers(0, 10**6))
def test_every_period_holds_exactly_the_counts(counts: list[int], period: int) -> None:
    n = sum(counts)
    source, rank = interleave(np.arange(period * n, (period + 1) * n), counts)
    for s, expected in enumerate(counts):
        first = period * expected
        assert rank[source == s].tolist() == list(range(first, first + expected))


@given(count_lists)
def test_every_run_is_even(counts: list[int]) -> None:
    n = sum(counts)
    source, _ = interleave(np.arange(2 * n), counts)
    bound = max(1, ceil(log2(len(counts))))
    length = np.arange(2 * n + 1)
    for s, wanted in enumerate(counts):
        before = np.concatenate([[0], np.cumsum(source == s)])
        # All runs [i, j) at once, in n-ths.
        surplus = n * before - wanted * length
        assert np.ptp(surplus) < bound * n


@given(long_counts, st.lists(st.integers(0, MAX_INDEX - 2), min_size=1, max_size=20))
def test_long_periods_are_consistent(counts: list[int], indices: list[int]) -> None:
    """The next index of the same source has the next rank, wherever one looks."""
    index = np.array([*indices, sum(counts) - 1])
    source, rank = interleave(index, counts)
    after, rank_after = interleave(index + 1, counts)
    same = source == after
    assert (rank_after[same] == rank[same] + 1).all()
    # A source that is passed by is where its share of the indices so far puts it.
    bound = max(1, ceil(log2(len(counts))))
    for i, s, r in zip(index.tolist(), source.tolist(), rank.tolist(), strict=True):
        assert counts[s] > 0
        assert abs(r - Fraction(i * counts[s], sum(counts))) < bound


@given(long_counts, st.data())
def test_the_ends_of_a_period_are_exact(counts: list[int], data: st.DataObject) -> None:
    n = sum(counts)
    period = data.draw(st.integers(0, MAX_INDEX // n - 1))
    last, rank = interleave([period * n + n - 1], counts)
    assert rank[0] == (period + 1) * counts[last[0]] - 1
    first, rank = interleave([period * n], counts)
    assert rank[0] == period * counts[first[0]]


@given(count_lists, st.lists(st.integers(0, 10**6), min_size=1))
def test_indices_do_not_depend_on_each_other(counts: list[int], indices: list[int]) -> None:
    source, rank = interleave(indices, counts)
    for i, index in enumerate(indices):
        alone = interleave(index, counts)
        assert (alone[0][0], alone[1][0]) == (source[i], rank[i])


def test_pattern_of_two() -> None:
    assert interleave(np.arange(8), [1, 3])[0].tolist() == [1, 0, 1, 1] * 2
    assert interleave(np.arange(4), [1, 1])[0].tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(
    "counts", [[], [0, 0], [-1, 2], [0.5], [[1]], [MAX_PERIOD, 1], [2**63 - 1, 2**63 - 1]]
)
def test_bad_counts_are_refused(counts: list[int]) -> None:
    with pytest.raises(InvalidInputError, match="interleave: expected counts"):
        interleave([0], counts)


@pytest.mark.parametrize("index", [-1, MAX_INDEX])
def test_bad_indices_are_refused(index: int) -> None:
    with pytest.raises(InvalidInputError, match="interleave: expected indices"):
        interleave([0, index], [1])


def test_no_index() -> None:
    source, rank = interleave([], [1, 2])
    assert source.shape == rank.shape == (0,)


shares = st.lists(st.floats(0, 1e300), min_size=1, max_size=6).filter(any)


@given(shares, st.integers(1, 10**9))
def test_counts_sum_to_the_number_of_examples(shares: list[float], n: int) -> None:
    counts = counts_of_shares(shares, n)
    assert counts.sum() == n
    total = sum(map(Fraction, shares))
    for share, count in zip(shares, counts.tolist(), strict=True):
        assert abs(Fraction(share) * n / total - count) < 1


def test_largest_remainders_are_rounded_up() -> None:
    assert counts_of_shares([1, 1, 1], 10).tolist() == [4, 3, 3]
    assert counts_of_shares([0.5, 0.3, 0.2], 4).tolist() == [2, 1, 1]
    assert counts_of_shares([0, 1, 0], 7).tolist() == [0, 7, 0]


@pytest.mark.parametrize(
    ("shares", "counts"),
    [([1, 3], [1, 3]), ([0.25, 0.75], [1, 3]), ([10, 0, 5], [2, 0, 1]), ([1e300, 1e300], [1, 1])],
)
def test_proportions_of_whole_numbers_are_exact(shares: list[float], counts: list[int]) -> None:
    assert counts_of_shares(shares).tolist() == counts


@given(shares)
def test_proportions_without_an_end_are_nearly_exact(shares: list[float]) -> None:
    counts = counts_of_shares(shares)
    n, total = int(counts.sum()), sum(map(Fraction, shares))
    assert 1 <= n <= MAX_PERIOD
    for share, count in zip(shares, counts.tolist(), strict=True):
        assert abs(Fraction(share) / total - Fraction(count, n)) < Fraction(1, 2**39)


@pytest.mark.parametrize("bad", [[], [0, 0], [-1, 2], [float("nan"), 1], [float("inf")]])
def test_bad_shares_are_refused(bad: list[float]) -> None:
    with pytest.raises(InvalidInputError, match="shares: expected finite numbers"):
        counts_of_shares(bad)


@pytest.mark.parametrize("n", [0, -1, MAX_PERIOD + 1])
def test_bad_numbers_of_examples_are_refused(n: int) -> None:
    with pytest.raises(InvalidInputError, match="number of examples"):
        counts_of_shares([1, 2], n)
