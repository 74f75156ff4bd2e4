"""Random orders that are never stored: bijections, fair, and equal to a slow oracle."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.sampling.permutation import MAX_N, MAX_STEP, permute, shuffled_walk
from bigwig_loader.sampling.rng import Stream
from tests.oracles.sampling import permuted, philox4

seeds = st.integers(0, 2**64 - 1)
epochs = st.integers(0, 2**32 - 1)
small_n = st.one_of(st.integers(1, 70), st.sampled_from([99, 100, 101, 127, 128, 1023, 1024, 1025]))
near_squares = st.builds(
    lambda root, more: root * root + more, st.integers(2**26, 2**31 - 1), st.integers(-1, 2)
)
any_n = st.one_of(small_n, st.integers(1, MAX_N), st.sampled_from([MAX_N, 2**61 + 1]), near_squares)


def words(order: int, seed: int, epoch: int, stream: Stream, lane: int) -> list[int]:
    """Word i of an order has index ``64 * order + i``."""
    result = []
    for index in range(64 * order, 64 * order + 64):
        counter = (index & 0xFFFFFFFF, index >> 32, epoch, stream << 28 | lane << 8)
        low, high, _, _ = philox4(counter, (seed & 0xFFFFFFFF, seed >> 32), 32)
        result.append(high << 32 | low)
    return result


def deviation(counts: np.ndarray) -> float:
    """How many standard deviations a chi-square of equal chances lies above its mean."""
    expected, n_free = counts.sum() / counts.size, counts.size - 1
    chi_square = ((counts - expected) ** 2 / expected).sum()
    return float((chi_square - n_free) / np.sqrt(2 * n_free))


@given(small_n, seeds, epochs)
def test_every_number_occurs_once(n: int, seed: int, epoch: int) -> None:
    assert sorted(permute(n, np.arange(n), seed, epoch).tolist()) == list(range(n))


@given(any_n, st.lists(st.integers(0, MAX_N), min_size=1, max_size=40), seeds)
def test_huge_orders_keep_numbers_apart(n: int, indices: list[int], seed: int) -> None:
    index = sorted({0, n - 1, *(i % n for i in indices)})
    image = permute(n, index, seed, 0)
    assert image.dtype == np.int64
    assert len(set(image.tolist())) == len(index)
    assert 0 <= image.min() <= image.max() < n


@given(any_n, st.data(), seeds, epochs, st.sampled_from(Stream), st.integers(0, 2**20 - 1))
def test_equals_the_oracle(
    n: int, data: st.DataObject, seed: int, epoch: int, stream: Stream, lane: int
) -> None:
    index = data.draw(st.one_of(st.integers(0, n - 1), st.sampled_from([0, min(1, n - 1), n - 1])))
    expected = permuted(n, index, words(0, seed, epoch, stream, lane))
    assert permute(n, index, seed, epoch, stream=stream, lane=lane).tolist() == [expected]
    order = data.draw(st.integers(0, max(0, (MAX_STEP - 1 - index) // n)))
    step = order * n + index
    if step < MAX_STEP:
        expected = permuted(n, index, words(order, seed, epoch, stream, lane))
        assert shuffled_walk(n, step, seed, epoch, stream=stream, lane=lane).tolist() == [expected]


@given(any_n, st.lists(st.integers(0, 2**62), max_size=30), st.randoms(), seeds)
def test_elements_do_not_depend_on_what_they_are_asked_with(
    n: int, indices: list[int], random: object, seed: int
) -> None:
    index = np.array([i % n for i in indices], np.int64)
    together = permute(n, index, seed, 3, lane=5)
    order = np.argsort([random.random() for _ in indices])  # type: ignore[attr-defined]
    apart = [int(permute(n, int(i), seed, 3, lane=5)[0]) for i in index[order]]
    assert apart == together[order].tolist()


@given(small_n, seeds, st.integers(0, 10**6))
def test_every_round_of_a_walk_visits_each_number_once(n: int, seed: int, round_: int) -> None:
    steps = np.arange(round_ * n, (round_ + 3) * n)
    together = shuffled_walk(n, steps, seed, 1)
    for k in range(3):
        assert sorted(together[k * n : (k + 1) * n].tolist()) == list(range(n))
    backwards = shuffled_walk(n, steps[::-1], seed, 1)[::-1]
    assert (together == backwards).all()


def test_a_walk_begins_with_the_permutation_and_goes_on_in_other_orders() -> None:
    walk = shuffled_walk(100, np.arange(300), 7, 2, lane=4)
    assert walk[:100].tolist() == permute(100, np.arange(100), 7, 2, lane=4).tolist()
    assert len({tuple(part.tolist()) for part in np.split(walk, 3)}) == 3


@given(
    st.lists(any_n, min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(0, 7), st.integers(0, MAX_STEP - 1)), max_size=30),
    seeds,
)
def test_many_walks_at_once_are_those_walks(
    sizes: list[int], asked: list[tuple[int, int]], seed: int
) -> None:
    lane = np.array([which % len(sizes) for which, _ in asked], np.int64)
    step = np.array([s for _, s in asked], np.int64)
    together = shuffled_walk(np.array(sizes)[lane], step, seed, 3, lane=lane)
    apart = [
        int(shuffled_walk(sizes[g], s, seed, 3, lane=g)[0])
        for g, s in zip(lane.tolist(), step.tolist(), strict=True)
    ]
    assert together.tolist() == apart


@pytest.mark.parametrize("sizes", [[10, 20], [100, 200]])
def test_one_walk_of_two_sizes_is_refused(sizes: list[int]) -> None:
    with pytest.raises(InvalidInputError, match="one n in each lane"):
        shuffled_walk(np.array(sizes), [0, 0], 0, 0, lane=np.array([3, 3]))


@pytest.mark.parametrize("n", [10, 1000])
def test_every_argument_gives_another_order(n: int) -> None:
    base = {"seed": 1, "epoch": 2, "stream": Stream.ORDER, "lane": 3}
    changes = [{}, {"seed": 2}, {"seed": 1 + 2**32}, {"epoch": 3}, {"lane": 4}]
    changes.append({"stream": Stream.NEGATIVE})
    orders = {
        tuple(permute(n, np.arange(n), **{**base, **change}).tolist())  # type: ignore[arg-type]
        for change in changes
    }
    assert len(orders) == len(changes)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6])
def test_all_orders_of_a_few_numbers_are_equally_likely(n: int) -> None:
    orders = list(itertools.permutations(range(n)))
    walk = shuffled_walk(n, np.arange(n * 100 * len(orders)), 3, 1).reshape(-1, n)
    counts = dict.fromkeys(orders, 0)
    for order in walk.tolist():
        counts[tuple(order)] += 1
    assert abs(deviation(np.array(list(counts.values())))) < 3


@pytest.mark.parametrize("n", [5, 65, 100, 257])
def test_seeds_and_epochs_make_fair_orders(n: int) -> None:
    """Every number is equally likely at every place, whether seeds or epochs change."""
    for keys in ([(seed, 0) for seed in range(1000)], [(9, epoch) for epoch in range(1000)]):
        orders = np.stack([permute(n, np.arange(n), *key) for key in keys])
        at = np.bincount((orders + np.arange(n) * n).ravel(), minlength=n * n)
        assert abs(deviation(at)) < 4


@pytest.mark.parametrize("n", [7, 30, 64, 65, 66, 100, 129])
def test_pairs_of_places_are_independent(n: int) -> None:
    orders = shuffled_walk(n, np.arange(n * 10_000), 3, 1).reshape(-1, n)
    apart = ~np.eye(n, dtype=bool)
    for a, b in ((0, 1), (0, n - 1), (1, n // 2), (n - 2, n - 1)):
        pairs = np.bincount(orders[:, a] * n + orders[:, b], minlength=n * n).reshape(n, n)
        assert not pairs[~apart].any()
        assert abs(deviation(pairs[apart])) < 4


@pytest.mark.parametrize("n", [4, 65, 100, 1024])
def test_both_signs_are_equally_likely(n: int) -> None:
    orders = shuffled_walk(n, np.arange(n * 1000), 5, 0).reshape(-1, n)
    n_odd = sum(is_odd(order) for order in orders.tolist())
    assert abs(n_odd - 500) < 4 * np.sqrt(250)


def is_odd(order: list[int]) -> bool:
    """Every cycle of even length changes the sign."""
    seen: set[int] = set()
    odd = False
    for start in range(len(order)):
        length, i = 0, start
        while i not in seen:
            seen.add(i)
            i, length = order[i], length + 1
        odd ^= length > 0 and length % 2 == 0
    return odd


def test_long_orders_have_no_pattern() -> None:
    """Differences of neighbours and the elements of a short run are spread over everything."""
    n = 1_000_003
    image = permute(n, np.arange(100_000), 1, 0)
    assert abs(deviation(np.histogram(image, 100, (0, n))[0])) < 4
    steps = np.diff(image) % n
    assert abs(deviation(np.histogram(steps, 100, (0, n))[0])) < 4
    assert abs(deviation(np.bincount(image[::2] % 16, minlength=16))) < 4
    # Rank correlation of place and number.
    assert abs(np.corrcoef(np.arange(len(image)), image)[0, 1]) < 4 / np.sqrt(len(image))


@pytest.mark.parametrize("n", [0, -1, MAX_N + 1])
def test_bad_n_is_refused(n: int) -> None:
    with pytest.raises(InvalidInputError, match=r"n in \[1, 2\*\*62\]"):
        permute(n, [0], 0, 0)
    with pytest.raises(InvalidInputError, match=r"n in \[1, 2\*\*62\]"):
        shuffled_walk(n, [0], 0, 0)


@pytest.mark.parametrize("index", [-1, 10])
def test_indices_out_of_range_are_refused(index: int) -> None:
    with pytest.raises(InvalidInputError, match=r"indices in \[0, 10\)"):
        permute(10, [0, index], 0, 0)


@pytest.mark.parametrize("step", [-1, MAX_STEP])
def test_steps_out_of_range_are_refused(step: int) -> None:
    with pytest.raises(InvalidInputError, match="steps in"):
        shuffled_walk(10, [0, step], 0, 0)


def test_no_index_is_no_element() -> None:
    assert permute(10, [], 0, 0).shape == (0,)
    assert shuffled_walk(100, [], 0, 0).dtype == np.int64
