"""Bins of GC, what each bin wants, and the choice of windows."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigwig_loader.sampling.matching import choose, gc_bin_of_count, wanted_per_bin
from tests.oracles import matching as oracle


@pytest.mark.parametrize("window_bp", [1, 7, 100, 2114])
@pytest.mark.parametrize("width", [0.001, 0.02, 0.05, 0.1, 0.3, 2 / 3, 1.0])
def test_bins_round_as_one_fraction_at_a_time(window_bp: int, width: float) -> None:
    bins = gc_bin_of_count(window_bp, width)
    expected = [int((n / window_bp + width / 2.0) // width) for n in range(window_bp + 1)]
    assert bins.tolist() == expected


def test_bins_hold_the_nearest_fractions() -> None:
    assert gc_bin_of_count(100, 0.1)[[0, 4, 6, 14, 16, 100]].tolist() == [0, 0, 1, 1, 2, 10]


@given(
    st.lists(st.integers(0, 50), min_size=1, max_size=30),
    st.decimals("0.01", "9", places=2).map(str),
)
def test_wants_add_up(loci: list[int], ratio: str) -> None:
    wanted = wanted_per_bin(np.array(loci), float(ratio))
    exact = Fraction(ratio)
    assert wanted.sum() == int(sum(loci) * exact)
    assert all(abs(n - k * exact) < 1 for n, k in zip(wanted.tolist(), loci, strict=True))


def test_ratio_is_the_decimal_number_as_written() -> None:
    assert 0.29 * 100 < 29  # in double precision
    assert wanted_per_bin(np.array([100]), 0.29).tolist() == [29]


@given(st.data())
def test_choice_equals_oracle(data: st.DataObject) -> None:
    n_bins = data.draw(st.integers(1, 8))
    apart = data.draw(st.integers(1, 5))
    numbers = sorted(data.draw(st.sets(st.integers(0, 60), max_size=50)))
    bins = data.draw(
        st.lists(st.integers(0, n_bins - 1), min_size=len(numbers), max_size=len(numbers))
    )
    wanted = data.draw(st.lists(st.integers(0, 12), min_size=n_bins, max_size=n_bins))
    lists: list[list[oracle.Region]] = [[] for _ in range(n_bins)]
    for number, b in zip(numbers, bins, strict=True):
        lists[b].append(("c", number, number + apart))
    random = np.random.RandomState(9)
    for each in lists:
        random.shuffle(each)
    expected = oracle.choose(lists, wanted, oracle.Rules(1, 1), {})
    choice = choose(
        np.array(numbers, np.int32),
        np.array(bins, np.uint16),
        np.array(wanted, np.int64),
        np.random.RandomState(9),
        apart,
    )
    assert choice.number.tolist() == [start for _, start, _ in expected.windows]
    assert choice.available.tolist() == expected.available
    assert choice.taken.tolist() == expected.taken
    assert choice.missing.tolist() == expected.missing
    own = sum(expected.taken) - choice.borrowed.sum()
    assert own + choice.borrowed.sum() + choice.missing.sum() == sum(wanted)
    assert (choice.borrowed >= 0).all()


def test_highest_bin_borrows_first_and_the_higher_neighbour_lends_first() -> None:
    # Bins 1 and 3 have none of their own; bins 0, 2 and 4 can lend one each.
    choice = choose(
        np.array([10, 20, 30]),
        np.array([0, 2, 4]),
        np.array([0, 2, 0, 1, 0]),
        np.random.RandomState(0),
    )
    assert choice.taken.tolist() == [1, 0, 1, 0, 1]  # 3 got that of 4; 1 got those of 2 and 0
    assert choice.borrowed.tolist() == [0, 2, 0, 1, 0]
    assert choice.missing.tolist() == [0, 0, 0, 0, 0]


def test_many_overlapping_candidates() -> None:
    # More than are looked at together, most of them blocked by those chosen.
    n, apart = 20_000, 40
    choice = choose(
        np.arange(n), np.zeros(n, np.int64), np.array([n]), np.random.RandomState(0), apart
    )
    chosen = np.sort(choice.number)
    assert np.diff(chosen).min() >= apart
    # No room was left for another window.
    room = np.diff(np.concatenate([[-apart], chosen, [n + apart - 1]]))
    assert room.max() < 2 * apart
    assert choice.missing.tolist() == [n - len(chosen)]


def test_random_numbers_are_those_of_shuffled_lists() -> None:
    theirs, ours = np.random.RandomState(5), np.random.RandomState(5)
    for size in (3, 0, 1, 700):
        theirs.shuffle([("chr1", k) for k in range(size)])
    sizes = [3, 0, 1, 700]
    bins = np.repeat(np.arange(4), sizes)
    choose(np.arange(704), bins, np.zeros(4, np.int64), ours)
    assert theirs.randint(1 << 30) == ours.randint(1 << 30)
