"""The counter-based generator: known answers, an oracle, fairness."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.sampling import rng
from bigwig_loader.sampling.rng import (
    Stream,
    check_epoch,
    check_seed,
    multiply_u64,
    new_seed,
    philox4x32,
    random_below,
    random_subset,
    random_u64,
)
from tests.oracles.sampling import philox4

# kat_vectors of Random123 (D. E. Shaw Research): counter, key, result.
KNOWN_ANSWERS = [
    (
        "00000000 00000000 00000000 00000000",
        "00000000 00000000",
        "6627e8d5 e169c58d bc57ac4c 9b00dbd8",
    ),
    (
        "ffffffff ffffffff ffffffff ffffffff",
        "ffffffff ffffffff",
        "408f276d 41c83b0e a20bc7c6 6d5451fd",
    ),
    (
        "243f6a88 85a308d3 13198a2e 03707344",
        "a4093822 299f31d0",
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
]
# 0.1% points of the chi-square distribution: a fair generator exceeds one in 1,000 trials. The
# seeds are fixed, so a test passes always or never.
CHI_SQUARE_0_001 = {9: 27.88, 19: 43.82, 99: 148.23}

words = st.integers(0, 2**32 - 1)


def hex_words(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


def chi_square(counts: np.ndarray) -> float:
    expected = counts.sum() / len(counts)
    return float(((counts - expected) ** 2 / expected).sum())


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_philox_gives_the_published_answers(counter: str, key: str, answer: str) -> None:
    k0, k1 = hex_words(key)
    result = philox4x32(np.array([hex_words(counter)], np.uint32), (k0, k1))
    assert result[0].tolist() == hex_words(answer)
    assert philox4(hex_words(counter), (k0, k1), 32) == hex_words(answer)


@given(st.lists(st.tuples(words, words, words, words), min_size=1, max_size=5), words, words)
def test_philox_equals_the_oracle(
    counters: list[tuple[int, int, int, int]], k0: int, k1: int
) -> None:
    result = philox4x32(np.array(counters, np.uint32), (k0, k1))
    assert result.tolist() == [philox4(counter, (k0, k1), 32) for counter in counters]


@given(st.integers(0, 2**256 - 2), st.integers(0, 2**128 - 1))
def test_oracle_equals_numpy_at_64_bits(counter: int, key: int) -> None:
    # NumPy steps the counter before its first output.
    generator = np.random.Philox(counter=counter, key=key)
    stepped = [(counter + 1) >> (64 * i) & (2**64 - 1) for i in range(4)]
    keys = (key & (2**64 - 1), key >> 64)
    assert generator.random_raw(4).tolist() == philox4(stepped, keys, 64)


@given(
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**63),
    st.integers(0, 2**20 - 1),
    st.integers(0, 255),
)
def test_counter_layout(seed: int, epoch: int, index: int, lane: int, redraw: int) -> None:
    got = random_u64(seed, epoch, index, stream=Stream.TRACKS, lane=lane, redraw=redraw)
    counter = (index & 0xFFFFFFFF, index >> 32, epoch, 1 << 28 | lane << 8 | redraw)
    low, high, _, _ = philox4(counter, (seed & 0xFFFFFFFF, seed >> 32), 32)
    assert got.tolist() == [high << 32 | low]


def test_numbers_do_not_depend_on_what_is_drawn_with_them() -> None:
    together = random_below(10**9, 7, 3, np.arange(1000), stream=Stream.POSITION)
    order = np.random.default_rng(0).permutation(1000)
    apart = np.concatenate(
        [random_below(10**9, 7, 3, part, stream=Stream.POSITION) for part in np.split(order, 20)]
    )
    assert (apart == together[order]).all()


def test_every_argument_counts() -> None:
    base = {"seed": 1, "epoch": 2, "index": 3, "stream": Stream.POSITION, "lane": 4}
    changes = [{}, {"seed": 2}, {"seed": 1 + 2**32}, {"epoch": 3}, {"index": 4}, {"lane": 5}]
    changes += [{"index": 3 + 2**32}, {"stream": Stream.TRACKS}, {"redraw": 1}]
    drawn = [int(random_u64(**{**base, **change})[0]) for change in changes]  # type: ignore[arg-type]
    assert len(set(drawn)) == len(changes)


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1), st.integers(0, 2**64 - 1))
def test_multiply_equals_python(x: list[int], n: int) -> None:
    high, low = multiply_u64(np.array(x, np.uint64), n)
    assert [int(h) << 64 | int(low_) for h, low_ in zip(high, low, strict=True)] == [
        v * n for v in x
    ]


@given(st.integers(1, 2**63 - 1), st.data())
def test_every_result_has_the_same_number_of_words(n: int, data: st.DataObject) -> None:
    """The words accepted for a result are exactly 2**64 // n in a row, checked at both ends."""
    result = data.draw(st.integers(0, n - 1))
    unfair = 2**64 % n
    first = -(-(result * 2**64 + unfair) // n)
    last = ((result + 1) * 2**64 - 1) // n
    assert last - first + 1 == 2**64 // n
    script = [first - 1, first, last] if first * n >> 64 == (first - 1) * n >> 64 else [first, last]

    def scripted(*args: object, **kwargs: object) -> np.ndarray:
        return np.array([script.pop(0)], np.uint64)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rng, "random_u64", scripted)
        # The word before the first falls to the same result but is refused and drawn again.
        assert random_below(n, 0, 0, 0, stream=Stream.POSITION).tolist() == [result]
        assert random_below(n, 0, 0, 0, stream=Stream.POSITION).tolist() == [result]
    assert not script


@given(st.lists(st.integers(1, 2**63 - 1), min_size=1, max_size=20), st.integers(0, 2**64 - 1))
def test_every_index_may_have_a_bound_of_its_own(bounds: list[int], seed: int) -> None:
    indices = np.arange(len(bounds)) + 5
    together = random_below(np.array(bounds), seed, 1, indices, stream=Stream.POSITION)
    apart = [
        int(random_below(n, seed, 1, i, stream=Stream.POSITION)[0])
        for n, i in zip(bounds, indices, strict=True)
    ]
    assert together.tolist() == apart


@given(st.integers(1, 2**63 - 1), st.integers(0, 2**64 - 1))
def test_results_are_below_the_bound(n: int, seed: int) -> None:
    drawn = random_below(n, seed, 0, np.arange(50), stream=Stream.POSITION)
    assert drawn.min() >= 0
    assert drawn.max() < n


@pytest.mark.parametrize("n", [10, 100])
def test_results_are_uniform(n: int) -> None:
    drawn = random_below(n, 11, 5, np.arange(100_000), stream=Stream.POSITION)
    assert chi_square(np.bincount(drawn, minlength=n)) < CHI_SQUARE_0_001[n - 1]


def test_results_past_32_bits_are_uniform() -> None:
    n = 3 * 2**40 + 1
    drawn = random_below(n, 11, 5, np.arange(100_000), stream=Stream.POSITION)
    assert chi_square(np.histogram(drawn, 100, (0, n))[0]) < CHI_SQUARE_0_001[99]
    assert chi_square(np.bincount(drawn % 10, minlength=10)) < CHI_SQUARE_0_001[9]


def test_subsets_are_equally_likely() -> None:
    subsets = list(itertools.combinations(range(6), 3))
    counts = dict.fromkeys(subsets, 0)
    for index in range(8000):
        drawn = random_subset(6, 3, 2, 0, index, stream=Stream.TRACKS)
        counts[tuple(drawn.tolist())] += 1  # type: ignore[index]
    assert chi_square(np.array(list(counts.values()))) < CHI_SQUARE_0_001[19]


@given(st.integers(1, 60), st.data())
def test_subsets_are_ascending_and_distinct(n: int, data: st.DataObject) -> None:
    size = data.draw(st.integers(1, n))
    drawn = random_subset(n, size, 1, 2, 3, stream=Stream.TRACKS)
    assert len(drawn) == size
    assert (np.diff(drawn) > 0).all()
    assert drawn.min() >= 0
    assert drawn.max() < n


@pytest.mark.parametrize("bad", [-1, 2**64, 1.0, "1", True, None])
def test_bad_seeds_are_refused(bad: object) -> None:
    with pytest.raises(InvalidInputError, match="seed"):
        check_seed(bad)


@pytest.mark.parametrize("bad", [-1, 2**32, 0.5])
def test_bad_epochs_are_refused(bad: object) -> None:
    with pytest.raises(InvalidInputError, match="epoch"):
        check_epoch(bad)


@pytest.mark.parametrize("bad", [0, -5, 2**63])
def test_bad_bounds_are_refused(bad: int) -> None:
    with pytest.raises(InvalidInputError, match=f"bound.*got {bad}"):
        random_below(bad, 0, 0, 0, stream=Stream.POSITION)
    with pytest.raises(InvalidInputError, match=f"bound.*got {bad}"):
        random_below(np.array([1, bad], object), 0, 0, [0, 1], stream=Stream.POSITION)


def test_too_many_lanes_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="lane"):
        random_u64(0, 0, 0, stream=Stream.POSITION, lane=2**20)


def test_new_seeds_differ_and_are_seeds() -> None:
    seeds = {check_seed(new_seed()) for _ in range(5)}
    assert len(seeds) == 5
