"""Jitter and reverse complement: fair, pure, within the contig."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.sampling import (
    Augmented,
    ListedPositions,
    Positions,
    RandomPositions,
    RepeatedPositions,
    Sampler,
    SequentialRegions,
    ShuffledRegions,
    WeightedRegions,
)
from tests.helpers.samplers import check_pure, chi_square_deviation, made_regions

STRANDED = made_regions(30, strands="+-.")


@pytest.mark.parametrize("use_strand", [False, True])
@pytest.mark.parametrize("reverse_complement", [False, True])
@pytest.mark.parametrize("max_jitter", [0, 50])
@given(
    epoch=st.integers(0, 2**31),
    indices=st.lists(st.integers(0, 29), min_size=1, max_size=20),
    attempt=st.integers(0, 1000),
    data=st.data(),
)
@settings(max_examples=25)
def test_draws_are_pure(
    max_jitter: int,
    reverse_complement: bool,
    use_strand: bool,
    epoch: int,
    indices: list[int],
    attempt: int,
    data: st.DataObject,
) -> None:
    inner = ShuffledRegions(STRANDED, 1)
    sampler = Augmented(inner, 2, max_jitter, reverse_complement, use_strand)
    assert isinstance(sampler, Sampler)
    assert sampler.n_examples == 30
    check_pure(sampler, epoch, indices, attempt, data.draw(st.permutations(range(len(indices)))))


def test_nothing_asked_for_is_nothing_done() -> None:
    inner = ShuffledRegions(STRANDED, 1)
    drawn = Augmented(inner, 2).draw(0, np.arange(30))
    assert drawn.reverse is None
    assert drawn.jitter is None
    assert drawn.position.tolist() == inner.draw(0, np.arange(30)).position.tolist()


@pytest.mark.parametrize("max_jitter", [1, 10])
def test_every_move_is_equally_likely_and_recorded(max_jitter: int) -> None:
    inner = WeightedRegions(made_regions(30), np.ones(30), 1)
    sampler = Augmented(inner, 1, max_jitter)
    n = 50_000
    drawn, plain = sampler.draw(4, np.arange(n)), inner.draw(4, np.arange(n))
    assert drawn.jitter is not None
    assert (drawn.position - plain.position == drawn.jitter).all()
    width = 2 * max_jitter + 1
    counts = np.bincount(drawn.jitter + max_jitter, minlength=width)
    assert len(counts) == width
    assert abs(chi_square_deviation(counts, np.full(width, n / width))) < 4


@pytest.mark.parametrize("with_lengths", [False, True])
def test_moves_off_the_contig_are_not_drawn_and_the_others_stay_equally_likely(
    with_lengths: bool,
) -> None:
    """Centres 2 bp from the beginning, in the middle, and 3 bp from the end of 1000 bp."""
    listed = Positions(np.zeros(3), np.array([2, 500, 996]))  # type: ignore[arg-type]
    lengths = {"a": 1000} if with_lengths else None
    sampler = Augmented(ListedPositions(("a",), listed), 7, 10, contigs=lengths)
    jitter = np.stack([sampler.draw(epoch, np.arange(3)).jitter for epoch in range(1500)])  # type: ignore[arg-type]
    ranges = [(-2, 10), (-10, 10), (-10, 3 if with_lengths else 10)]
    for drawn, (low, high) in zip(jitter.T, ranges, strict=True):
        assert (drawn.min(), drawn.max()) == (low, high)
        width = high - low + 1
        counts = np.bincount(drawn - low, minlength=width)
        assert abs(chi_square_deviation(counts, np.full(width, len(drawn) / width))) < 4


def test_an_attempt_moves_anew_and_reaches_the_sampler() -> None:
    still = SequentialRegions(made_regions(50))
    drawn = [Augmented(still, 1, 1000).draw(0, np.arange(50), a).jitter for a in range(3)]
    assert len({tuple(d.tolist()) for d in drawn if d is not None}) == 3
    random = RandomPositions(made_regions(50), 1)
    sampler = Augmented(random, 2, 0, True)
    for attempt in range(3):
        expected = random.draw(0, np.arange(50), attempt).position.tolist()
        assert sampler.draw(0, np.arange(50), attempt).position.tolist() == expected


def test_half_of_the_examples_are_reversed_whatever_the_jitter() -> None:
    inner = WeightedRegions(made_regions(30), np.ones(30), 1)
    drawn = Augmented(inner, 1, 1, True).draw(0, np.arange(40_000))
    assert drawn.reverse is not None
    assert drawn.jitter is not None
    counts = np.bincount(drawn.reverse * 3 + drawn.jitter + 1, minlength=6)
    assert abs(chi_square_deviation(counts, np.full(6, 40_000 / 6))) < 4


def test_reverse_complement_is_on_top_of_the_strand() -> None:
    inner = ShuffledRegions(STRANDED, 1)
    index = np.arange(30)
    random = Augmented(inner, 5, 0, True).draw(2, index).reverse
    strand = Augmented(inner, 5, 0, False, True).draw(2, index).reverse
    both = Augmented(inner, 5, 0, True, True).draw(2, index).reverse
    assert random is not None
    assert strand is not None
    assert both is not None
    assert 0 < random.sum() < 30
    assert strand.sum() == 10
    assert both.tolist() == (random ^ strand).tolist()


def test_strands_through_other_samplers() -> None:
    regions = made_regions(30, strands="-")
    lengths = dict.fromkeys(regions.contig_names, 10**4)
    inner: list[Any] = [
        RandomPositions(regions, 1),
        RepeatedPositions(RandomPositions(regions, 1), 7),
        SequentialRegions(regions),
        Augmented(SequentialRegions(regions), 1, 5),
        Augmented(SequentialRegions(regions), 1, 5, contigs=lengths),
        ListedPositions(("a",), Positions(np.zeros(9), np.arange(9), np.ones(9, np.bool_))),  # type: ignore[arg-type]
    ]
    for sampler in inner:
        drawn = Augmented(sampler, 1, use_strand=True).draw(0, np.arange(9))
        assert drawn.reverse is not None
        assert drawn.reverse.all()


def test_a_sampler_of_ones_own_sets_reverse_itself() -> None:
    class Own:
        contig_names = ("a",)
        n_examples = None

        def __init__(self, reverse: np.ndarray | None) -> None:
            self.reverse = reverse

        def draw(self, epoch: int, indices: np.ndarray, attempt: int = 0) -> Positions:
            return Positions(indices * 0, indices, self.reverse)

    reverse = np.array([True, False])
    for use_strand in (False, True):
        drawn = Augmented(Own(reverse), 1, use_strand=use_strand).draw(0, np.arange(2))
        assert drawn.reverse is not None
        assert drawn.reverse.tolist() == [True, False]
    with pytest.raises(InvalidInputError, match=r"Own\.draw to set reverse"):
        Augmented(Own(None), 1, use_strand=True).draw(0, np.arange(2))


def test_missing_strands_are_refused_at_once() -> None:
    for sampler in (
        RandomPositions(made_regions(3), 1),
        ListedPositions(("a",), Positions(np.zeros(1), np.zeros(1))),  # type: ignore[arg-type]
    ):
        with pytest.raises(InvalidInputError, match="use_strand"):
            Augmented(sampler, 1, use_strand=True)


@pytest.mark.parametrize("max_jitter", [-1, 1.0, True, 2**40, "1"])
def test_bad_jitter_is_refused(max_jitter: Any) -> None:
    with pytest.raises(InvalidInputError, match="max_jitter"):
        Augmented(SequentialRegions(made_regions(3)), 1, max_jitter)


def test_unknown_contigs_are_refused() -> None:
    with pytest.raises(NotFoundError, match="'chrX'"):
        Augmented(SequentialRegions(made_regions(3)), 1, 5, contigs={"chr1": 9, "chr2": 9})


def test_what_decides_is_in_the_fingerprint() -> None:
    inner, other = ShuffledRegions(STRANDED, 1), ShuffledRegions(STRANDED, 2)
    lengths = dict.fromkeys(inner.contig_names, 10**6)
    samplers = [
        Augmented(inner, 1),
        Augmented(other, 1),
        Augmented(inner, 2),
        Augmented(inner, 1, 5),
        Augmented(inner, 1, 5, contigs=lengths),
        Augmented(inner, 1, 0, True),
        Augmented(inner, 1, 0, False, True),
        RepeatedPositions(inner, 5),
        RepeatedPositions(inner, 6),
        RandomPositions(STRANDED, 1),
        RandomPositions(STRANDED, 2),
    ]
    assert len({s.fingerprint() for s in samplers}) == len(samplers)
