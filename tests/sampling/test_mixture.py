"""Mixtures of samplers: exact shares, own orders, pure."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.sampling import (
    Augmented,
    ListedPositions,
    Mixture,
    Positions,
    RandomPositions,
    Sampler,
    SequentialRegions,
    ShuffledRegions,
)
from bigwig_loader.sampling.interleave import counts_of_shares
from tests.helpers.samplers import check_pure, made_regions, rows
from tests.oracles.sampling import interleaved

seeds = st.integers(0, 2**64 - 1)


def half_and_half_reversed(epoch: int) -> list[float]:
    return [1, 3] if epoch % 2 else [3, 1]


class Own:
    """A sampler as a user might write it: no strands, no regions, no fingerprint."""

    contig_names = ("chrM", "chr2")
    n_examples = None

    def draw(self, epoch: int, indices: np.ndarray, attempt: int = 0) -> Positions:
        return Positions(indices % 2, 1000 * attempt + indices)


def sources() -> list[Sampler]:
    return [
        ShuffledRegions(made_regions(7), 1),
        RandomPositions(made_regions(5, chroms=("chr9", "chr1")), 1),
        SequentialRegions(made_regions(3)),
        Augmented(ShuffledRegions(made_regions(10, strands="+-"), 2), 3, 4, True, True),
        Own(),
    ]


MIXTURES = {
    "endless": Mixture(sources(), [3, 1, 1, 2, 0.5], 1),
    "not shuffled": Mixture(sources(), [3, 1, 1, 2, 0.5], 1, shuffle=False),
    "with an end": Mixture(sources(), [3, 1, 1, 2, 0.5], 1, n_examples=100),
    "by epoch": Mixture(sources()[:2], {0: [1, 0], 1: [1, 1], 10: [0, 1]}, 1, n_examples=100),
    "by function": Mixture(sources()[1:3], half_and_half_reversed, 1),
    "nested": Mixture([Mixture(sources(), [1] * 5, 1, n_examples=30), sources()[1]], [1, 1], 1),
}


@pytest.mark.parametrize("name", MIXTURES)
@given(
    epoch=st.integers(0, 20),
    indices=st.lists(st.integers(0, 99), min_size=1, max_size=30),
    attempt=st.integers(0, 5),
    data=st.data(),
)
@settings(max_examples=25)
def test_draws_are_pure(
    name: str, epoch: int, indices: list[int], attempt: int, data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(len(indices))))
    assert isinstance(MIXTURES[name], Sampler)
    check_pure(MIXTURES[name], epoch, indices, attempt, order)


@given(
    st.lists(st.floats(0, 10), min_size=5, max_size=5).filter(any),
    st.integers(1, 200),
    st.booleans(),
    seeds,
)
def test_shares_of_an_epoch_are_exact(
    weights: list[float], n: int, shuffle: bool, seed: int
) -> None:
    sampler = Mixture(sources(), weights, seed, n, shuffle)
    drawn = sampler.draw(1, np.arange(n))
    assert drawn.source is not None
    assert np.bincount(drawn.source, minlength=5).tolist() == counts_of_shares(weights, n).tolist()


@settings(max_examples=40)
@given(st.lists(st.integers(0, 9), min_size=5, max_size=5).filter(any), st.integers(0, 3))
def test_without_shuffling_it_is_the_oracle_and_each_source_in_its_own_order(
    weights: list[int], epoch: int
) -> None:
    samplers = sources()
    drawn = Mixture(samplers, weights, 5, shuffle=False).draw(epoch, np.arange(150))
    counts = counts_of_shares(weights).tolist()
    assert drawn.source is not None
    assert drawn.source.tolist() == [s for s, _ in interleaved(counts, 150)]
    names = list(dict.fromkeys(name for s in samplers for name in s.contig_names))
    for number, sampler in enumerate(samplers):
        part = drawn.take(drawn.source == number)
        n = len(part) if sampler.n_examples is None else min(len(part), sampler.n_examples)
        alone = sampler.draw(epoch, np.arange(n))
        assert part.position[:n].tolist() == alone.position.tolist()
        assert [names[c] for c in part.contig[:n]] == [
            sampler.contig_names[c] for c in alone.contig
        ]
        assert part.reverse is not None
        assert part.region is not None
        assert part.jitter is not None
        assert part.reverse[:n].tolist() == _or(alone.reverse, False, n)
        assert part.region[:n].tolist() == _or(alone.region, -1, n)
        assert part.jitter[:n].tolist() == _or(alone.jitter, 0, n)


def _or(array: np.ndarray | None, otherwise: Any, n: int) -> list[Any]:
    return [otherwise] * n if array is None else list(array.tolist())


@settings(max_examples=40)
@given(seeds, st.integers(0, 3), st.sampled_from([None, 64, 100, 128, 129, 200]))
def test_shuffling_moves_examples_within_their_64_only(
    seed: int, epoch: int, n: int | None
) -> None:
    indices = np.arange(n or 192)
    before = Mixture(sources(), [5, 3, 2, 1, 1], seed, n, shuffle=False).draw(epoch, indices)
    after = Mixture(sources(), [5, 3, 2, 1, 1], seed, n).draw(epoch, indices)
    for first in range(0, len(after), 64):
        block = slice(first, min(first + 64, len(after)))
        assert sorted(rows(after.take(block))) == sorted(rows(before.take(block)))


def test_every_block_has_an_order_of_its_own() -> None:
    sampler = Mixture([RandomPositions(made_regions(5), 1), Own()], [1, 1], 3)
    drawn = sampler.draw(0, np.arange(640))
    assert drawn.source is not None
    assert len({tuple(block) for block in drawn.source.reshape(-1, 64).tolist()}) == 10
    again = sampler.draw(1, np.arange(640))
    assert again.source is not None
    assert again.source.tolist() != drawn.source.tolist()


def test_a_source_that_is_used_up_begins_again_in_another_order() -> None:
    shuffled, listed = ShuffledRegions(made_regions(10), 1), SequentialRegions(made_regions(10))
    sampler = Mixture([shuffled, listed], [1, 1], 1, shuffle=False)
    for epoch in (0, 1):
        drawn = sampler.draw(epoch, np.arange(200))
        assert drawn.source is not None
        passes = drawn.take(drawn.source == 0).position.reshape(10, 10)
        assert passes[0].tolist() == shuffled.draw(epoch, np.arange(10)).position.tolist()
        assert len({tuple(p) for p in passes.tolist()}) == 10
        assert {tuple(sorted(p)) for p in passes.tolist()} == {tuple(sorted(passes[0].tolist()))}
        listed_passes = drawn.take(drawn.source == 1).position.reshape(10, 10)
        assert len({tuple(p) for p in listed_passes.tolist()}) == 1
    # No pass of one epoch is a pass of another.
    later = sampler.draw(1, np.arange(200))
    both = rows(sampler.draw(0, np.arange(200)).take(slice(20, None)))
    assert rows(later.take(slice(20, None))) != both


def test_weights_change_by_epoch() -> None:
    def shares(sampler: Mixture, epoch: int) -> list[int]:
        drawn = sampler.draw(epoch, np.arange(sampler.n_examples or 128))
        assert drawn.source is not None
        return list(np.bincount(drawn.source, minlength=2).tolist())

    expected = {0: [100, 0], 1: [50, 50], 9: [50, 50], 10: [0, 100], 2**32 - 1: [0, 100]}
    assert {e: shares(MIXTURES["by epoch"], e) for e in expected} == expected  # type: ignore[arg-type]
    assert shares(MIXTURES["by function"], 4) == [96, 32]  # type: ignore[arg-type]
    assert shares(MIXTURES["by function"], 5) == [32, 96]  # type: ignore[arg-type]


def test_contigs_are_joined_by_name() -> None:
    regions = [made_regions(4, chroms=("a", "b")), made_regions(4, chroms=("b", "c", "a"))]
    sampler = Mixture([SequentialRegions(r) for r in regions], [1, 1], 0, 8, shuffle=False)
    assert sampler.contig_names == ("a", "b", "c")
    drawn = sampler.draw(0, np.arange(8))
    assert [sampler.contig_names[c] for c in drawn.contig] == [*"abbcaabb"]


def test_strands_of_those_that_have_them() -> None:
    stranded = SequentialRegions(made_regions(4, strands="-+"))
    sampler = Mixture(
        [stranded, SequentialRegions(made_regions(4)), Own()], [1, 1, 1], 0, 12, shuffle=False
    )
    drawn = sampler.draw(0, np.arange(12))
    assert drawn.reverse is not None
    assert not drawn.reverse.any()
    drawn = sampler.with_strand().draw(0, np.arange(12))
    assert drawn.reverse is not None
    assert drawn.source is not None
    assert drawn.reverse[drawn.source == 0].tolist() == [True, False, True, False]
    assert not drawn.reverse[drawn.source > 0].any()
    assert sampler.with_strand().fingerprint() != sampler.fingerprint()
    with pytest.raises(InvalidInputError, match="with strands"):
        Mixture([SequentialRegions(made_regions(4))], [1], 0).with_strand()


def test_attempts_reach_the_sources() -> None:
    drawn = Mixture([Own()], [1], 0, shuffle=False).draw(0, np.arange(3), attempt=4)
    assert drawn.position.tolist() == [4000, 4001, 4002]


def test_no_index() -> None:
    drawn = MIXTURES["endless"].draw(0, np.array([], np.int64))
    assert len(drawn) == 0
    assert drawn.reverse is not None


def test_what_decides_is_in_the_fingerprint() -> None:
    a, b = ShuffledRegions(made_regions(7), 1), ShuffledRegions(made_regions(8), 1)
    mixtures = [
        Mixture([a, b], [1, 2], 0),
        Mixture([b, a], [1, 2], 0),
        Mixture([a, b], [2, 1], 0),
        Mixture([a, b], {0: [1, 2], 3: [1, 1]}, 0),
        Mixture([a, b], half_and_half_reversed, 0),
        Mixture([a, b], [1, 2], 1),
        Mixture([a, b], [1, 2], 0, 50),
        Mixture([a, b], [1, 2], 0, shuffle=False),
        Mixture([a, Own()], [1, 2], 0),
    ]
    counts = Counter(m.fingerprint() for m in mixtures)
    assert set(counts.values()) == {1}


@pytest.mark.parametrize(
    ("samplers", "weights", "message"),
    [
        ([], [], "at least one sampler"),
        ([sources()[0], [("chr1", 1)]], [1, 1], "item 1 to be a Sampler; got list"),
        ([ListedPositions(("a",), Positions(np.array([]), np.array([])))], [1], "none in item 0"),
        (sources()[:2], [1], "argument weights: expected 2 numbers"),
        (sources()[:2], [0, 0], "above 0"),
    ],
)
def test_bad_mixtures_are_refused(samplers: Any, weights: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Mixture(samplers, weights, 0)


def test_a_source_that_draws_too_few_is_named() -> None:
    class Short(Own):
        def draw(self, epoch: int, indices: np.ndarray, attempt: int = 0) -> Positions:
            return super().draw(epoch, indices[:-1], attempt)

    with pytest.raises(InvalidInputError, match=r"Short.draw: expected 5 positions; got 4"):
        Mixture([Short()], [1], 0).draw(0, np.arange(5))
