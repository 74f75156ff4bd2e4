"""Samplers: uniform over bases, and pure."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.sampling import (
    ListedPositions,
    Positions,
    RandomPositions,
    Regions,
    RepeatedPositions,
    Sampler,
)
from tests.oracles.sampling import bases_of_regions

# A base in two regions, a region of one base, and one that is last.
LISTED = [("chr1", 10, 40), ("chr2", 0, 25), ("chr1", 30, 50), ("chr3", 7, 8), ("chr2", 90, 100)]
CHI_SQUARE_0_001_OF_75 = 118.6


def regions(listed: list[tuple[str, int, int]] = LISTED) -> Regions:
    return Regions.read(pd.DataFrame(listed, columns=["chrom", "start", "end"]))


def named(sampler: Sampler, positions: Positions) -> list[tuple[str, int]]:
    names = [sampler.contig_names[i] for i in positions.contig]
    return list(zip(names, positions.position.tolist(), strict=True))


def test_every_base_is_equally_likely_and_nothing_lies_outside() -> None:
    sampler = RandomPositions(regions(), seed=4)
    drawn = named(sampler, sampler.draw(0, np.arange(86_000)))
    bases = bases_of_regions(LISTED)
    weights = {base: bases.count(base) for base in bases}
    counts = dict.fromkeys(weights, 0)
    for base in drawn:
        counts[base] += 1  # a KeyError here is a base outside all regions
    observed = np.array([counts[b] for b in weights], float)
    expected = np.array([weights[b] for b in weights]) * len(drawn) / len(bases)
    assert len(weights) == 76
    assert ((observed - expected) ** 2 / expected).sum() < CHI_SQUARE_0_001_OF_75


def test_single_region_of_one_base() -> None:
    sampler = RandomPositions(regions([("chrM", 16_568, 16_569)]), seed=0)
    assert set(named(sampler, sampler.draw(0, np.arange(50)))) == {("chrM", 16_568)}


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1), st.permutations(range(30)))
def test_draws_are_pure(seed: int, epoch: int, order: list[int]) -> None:
    sampler, again = RandomPositions(regions(), seed), RandomPositions(regions(), seed)
    together = sampler.draw(epoch, np.arange(30))
    one_by_one = [again.draw(epoch, np.array([i])).position[0] for i in order]
    assert [together.position[i] for i in order] == one_by_one


def test_seeds_epochs_and_attempts_differ() -> None:
    wide = regions([("chr1", 0, 10**9)])
    indices = np.arange(20)
    drawn = [
        RandomPositions(wide, 1).draw(0, indices),
        RandomPositions(wide, 2).draw(0, indices),
        RandomPositions(wide, 1).draw(1, indices),
        RandomPositions(wide, 1).draw(0, indices, attempt=1),
    ]
    assert len({tuple(d.position.tolist()) for d in drawn}) == 4


def test_repeated_positions() -> None:
    inner = RandomPositions(regions(), 3)
    sampler = RepeatedPositions(inner, 10)
    first = inner.draw(0, np.arange(10)).position.tolist()
    for epoch in (0, 1, 17):
        assert sampler.draw(epoch, np.arange(25)).position.tolist() == first + first + first[:5]
    assert sampler.n_examples is None


def test_listed_positions() -> None:
    sampler = ListedPositions(("a", "b"), Positions(np.array([1, 0, 1]), np.array([5, 6, 7])))
    assert sampler.n_examples == 3
    assert named(sampler, sampler.draw(9, np.array([2, 0]))) == [("b", 7), ("b", 5)]


def test_samplers_follow_the_protocol() -> None:
    inner = RandomPositions(regions(), 3)
    listed = ListedPositions(inner.contig_names, regions().centres())
    assert all(isinstance(s, Sampler) for s in (inner, RepeatedPositions(inner, 2), listed))
    assert not isinstance([("chr1", 1)], Sampler)


def test_positions_have_one_length() -> None:
    with pytest.raises(InvalidInputError, match="one length"):
        Positions(np.zeros(2, np.int32), np.zeros(3, np.int64))
