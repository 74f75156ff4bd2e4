"""Samplers of whole regions: shuffled, weighted, grouped."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.sampling import (
    GroupedRegions,
    Regions,
    Sampler,
    SequentialRegions,
    ShuffledRegions,
    WeightedRegions,
)
from tests.helpers.samplers import check_pure, chi_square_deviation, made_regions

seeds = st.integers(0, 2**64 - 1)
epochs = st.integers(0, 2**31)


def even_then_odd(epoch: int) -> np.ndarray:
    return np.arange(40) % 2 == epoch % 2


SAMPLERS: dict[str, Sampler] = {
    "sequential": SequentialRegions(made_regions(40)),
    "shuffled": ShuffledRegions(made_regions(40), 1),
    "shuffled, stranded": ShuffledRegions(made_regions(40, strands="+-."), 1).with_strand(),
    "weighted": WeightedRegions(made_regions(40), np.arange(40), 1),
    "weighted, uniform": WeightedRegions(made_regions(40), np.arange(40), 1, within="uniform"),
    "weighted by epoch": WeightedRegions(made_regions(40), even_then_odd, 1),
    "grouped": GroupedRegions(made_regions(40), ["a", "b", "b", "c"] * 10, 1),
    "grouped, with an end": GroupedRegions(
        made_regions(40), ["a", "b", "b", "c"] * 10, 1, {"a": 0.5, "b": 0.25, "c": 0}, 40
    ),
}


@pytest.mark.parametrize("name", SAMPLERS)
@given(
    epoch=epochs,
    indices=st.lists(st.integers(0, 39), min_size=1, max_size=30),
    attempt=st.integers(0, 1000),
    data=st.data(),
)
@settings(max_examples=25)
def test_draws_are_pure(
    name: str, epoch: int, indices: list[int], attempt: int, data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(len(indices))))
    assert isinstance(SAMPLERS[name], Sampler)
    check_pure(SAMPLERS[name], epoch, indices, attempt, order)


@pytest.mark.parametrize("name", SAMPLERS)
def test_positions_lie_in_the_region_they_name(name: str) -> None:
    sampler = SAMPLERS[name]
    drawn = sampler.draw(3, np.arange(40))
    regions = made_regions(40)
    assert drawn.region is not None
    assert (drawn.contig == regions.contig[drawn.region]).all()
    offset = drawn.position - regions.start[drawn.region]
    if "uniform" in name:
        assert offset.min() >= 0
        assert offset.max() < 11
        assert len(set(offset.tolist())) > 5
    else:
        assert (offset == 5).all()


def test_what_decides_is_in_the_fingerprint() -> None:
    regions, more = made_regions(6), made_regions(7)
    stranded = made_regions(6, strands="+-")
    labels = ["a", "a", "b", "b", "b", "b"]
    samplers: list[Any] = [
        SequentialRegions(regions),
        SequentialRegions(more),
        SequentialRegions(stranded).with_strand(),
        ShuffledRegions(regions, 1),
        ShuffledRegions(regions, 2),
        ShuffledRegions(more, 1),
        ShuffledRegions(stranded, 1),
        ShuffledRegions(stranded, 1).with_strand(),
        WeightedRegions(regions, np.ones(6), 1),
        WeightedRegions(regions, np.arange(6), 1),
        WeightedRegions(regions, {0: np.ones(6), 2: np.arange(6)}, 1),
        WeightedRegions(regions, even_then_odd, 1),
        WeightedRegions(regions, np.ones(6), 1, n_examples=4),
        WeightedRegions(regions, np.ones(6), 1, within="uniform"),
        GroupedRegions(regions, labels, 1),
        GroupedRegions(regions, labels[::-1], 1),
        GroupedRegions(regions, labels, 1, {"a": 2, "b": 1}),
        GroupedRegions(regions, labels, 2),
    ]
    assert len({s.fingerprint() for s in samplers}) == len(samplers)
    again = ShuffledRegions(made_regions(6), 1)
    assert again.fingerprint() == ShuffledRegions(regions, 1).fingerprint()


# ----------------------------------------------------------------------- sequential, shuffled ----


@given(st.integers(1, 200))
def test_sequential_regions_are_the_centres_in_order(n: int) -> None:
    regions = made_regions(n)
    sampler = SequentialRegions(regions)
    assert sampler.n_examples == n
    drawn = sampler.draw(5, np.arange(n), attempt=2)
    assert drawn.position.tolist() == (regions.start + 5).tolist()
    assert drawn.region is not None
    assert drawn.region.tolist() == list(range(n))


def test_some_of_the_sequential_regions_keep_their_numbers_and_strands() -> None:
    kept = SequentialRegions(made_regions(6, strands="+-")).take(np.array([1, 2, 5]))
    drawn = kept.with_strand().draw(0, np.arange(3))
    assert drawn.region is not None
    assert drawn.region.tolist() == [1, 2, 5]
    assert drawn.reverse is not None
    assert drawn.reverse.tolist() == [True, False, True]


@given(st.integers(1, 200), seeds, epochs)
def test_shuffled_regions_come_once_an_epoch(n: int, seed: int, epoch: int) -> None:
    sampler = ShuffledRegions(made_regions(n), seed)
    assert sampler.n_examples == n
    drawn = sampler.draw(epoch, np.arange(n))
    assert drawn.region is not None
    assert sorted(drawn.region.tolist()) == list(range(n))


def test_epochs_and_seeds_shuffle_differently() -> None:
    regions = made_regions(100)
    orders = {
        tuple(ShuffledRegions(regions, seed).draw(epoch, np.arange(100)).position.tolist())
        for seed in range(3)
        for epoch in range(3)
    }
    assert len(orders) == 9


def test_strands_are_used_only_where_asked_for() -> None:
    regions = made_regions(9, strands="+-.")
    plain = ShuffledRegions(regions, 1)
    drawn = plain.draw(0, np.arange(9))
    assert drawn.reverse is None
    stranded = plain.with_strand().draw(0, np.arange(9))
    assert stranded.region is not None
    assert stranded.reverse is not None
    assert stranded.position.tolist() == drawn.position.tolist()
    assert stranded.reverse.tolist() == (stranded.region % 3 == 1).tolist()


@pytest.mark.parametrize("kind", [ShuffledRegions, SequentialRegions])
def test_strands_of_regions_without_are_refused(kind: Any) -> None:
    sampler = kind(made_regions(3), 1) if kind is ShuffledRegions else kind(made_regions(3))
    with pytest.raises(InvalidInputError, match=r"use_strand: expected .* with strands"):
        sampler.with_strand()


def test_frames_and_files_are_read(tmp_path: Any) -> None:
    frame = pd.DataFrame({"chrom": ["chr1", "chr2"], "start": [0, 10], "end": [4, 30]})
    path = tmp_path / "regions.bed"
    path.write_text("chr1\t0\t4\nchr2\t10\t30\n")
    for source in (frame, path, Regions.read(path)):
        assert ShuffledRegions(source, 1).draw(0, np.arange(2)).position.tolist() in (
            [2, 20],
            [20, 2],
        )


# ----------------------------------------------------------------------------------- weighted ----


@pytest.mark.parametrize("attempt", [0, 1])
def test_regions_are_as_likely_as_their_weights(attempt: int) -> None:
    weights = np.array([0, 1, 2, 3.5, 0.001, 10, 0, 0.25, 100, 0])
    sampler = WeightedRegions(made_regions(10), weights, 3)
    assert sampler.n_examples is None
    n = 200_000
    drawn = sampler.draw(0, np.arange(n), attempt)
    assert drawn.region is not None
    observed = np.bincount(drawn.region, minlength=10)
    assert abs(chi_square_deviation(observed, n * weights / weights.sum())) < 4


def test_bases_within_a_region_are_equally_likely() -> None:
    regions = Regions.read(pd.DataFrame({"chrom": "a", "start": [0, 500], "end": [7, 700]}))
    sampler = WeightedRegions(regions, [1, 3], 3, within="uniform")
    drawn = sampler.draw(0, np.arange(100_000))
    observed = np.bincount(drawn.position, minlength=700)
    expected = np.zeros(700)
    expected[:7], expected[500:] = 25_000 / 7, 75_000 / 200
    assert abs(chi_square_deviation(observed, expected)) < 4


@given(st.lists(st.floats(0, 1e308), min_size=1, max_size=30).filter(any))
def test_every_region_has_its_share_of_the_numbers(weights: list[float]) -> None:
    """The integers that stand for each region, counted exactly."""
    sampler = WeightedRegions(made_regions(len(weights)), weights, 0)
    stops = [0, *map(int, sampler._stops(0))]
    total = sum(map(Fraction, weights))
    for i, weight in enumerate(weights):
        share = Fraction(stops[i + 1] - stops[i], stops[-1])
        wanted = Fraction(weight) / total
        assert abs(share - wanted) <= wanted / 2**51 + Fraction(len(weights) + 1, 2**62)
        assert weight > 0 or share == 0


def test_weights_change_by_epoch() -> None:
    by_epoch = {0: [1, 0, 0], 2: [0, 1, 0], 5: [0, 0, 1]}
    sampler = WeightedRegions(made_regions(3), by_epoch, 0)
    chosen = [set(_regions_of(sampler, epoch)) for epoch in range(7)]
    assert chosen == [{0}, {0}, {1}, {1}, {1}, {2}, {2}]
    function = WeightedRegions(made_regions(40), even_then_odd, 0)
    # Back and forth, as an old iterator beside a new one does.
    for epoch in (0, 1, 0, 7, 1, 4):
        assert {r % 2 for r in _regions_of(function, epoch)} == {epoch % 2}


def _regions_of(sampler: Sampler, epoch: int) -> list[int]:
    drawn = sampler.draw(epoch, np.arange(50))
    assert drawn.region is not None
    return list(drawn.region.tolist())


def test_weights_of_a_column_or_of_the_regions() -> None:
    frame = pd.DataFrame({"chrom": "a", "start": [0, 10], "end": [5, 15], "score": [0, 3]})
    samplers = [
        WeightedRegions(frame, "score", 1),
        WeightedRegions(Regions.read(frame, weight="score"), None, 1),
    ]
    for sampler in samplers:
        assert set(_regions_of(sampler, 0)) == {1}
    with pytest.raises(NotFoundError, match=r"column 'scor'.*score"):
        WeightedRegions(frame, "scor", 1)
    with pytest.raises(InvalidInputError, match="have columns"):
        WeightedRegions(Regions.read(frame), "score", 1)
    with pytest.raises(InvalidInputError, match="the regions have none"):
        WeightedRegions(frame, None, 1)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1, 2], r"expected 3 numbers; got an array of shape \(2,\)"),
        ([1, -1, 2], r"numbers >= 0; got -1.0 at place 1"),
        ([1, float("nan"), 2], "finite"),
        ([0, 0, 0], "above 0"),
        (["a", "b", "c"], "expected 3 numbers"),
        ({1: [1, 1, 1]}, "entry for epoch 0"),
        ({0: [1, 1, 1], 3: [1]}, "expected 3 numbers"),
    ],
)
def test_bad_weights_are_refused(weights: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        WeightedRegions(made_regions(3), weights, 0)


def test_bad_weights_of_a_function_are_named_with_their_epoch() -> None:
    sampler = WeightedRegions(made_regions(3), lambda epoch: [1, 1, -epoch], 0)
    assert len(sampler.draw(0, np.arange(5))) == 5
    with pytest.raises(InvalidInputError, match=r"weights\(4\).*-4.0 at place 2"):
        sampler.draw(4, np.arange(5))


# ------------------------------------------------------------------------------------ grouped ----

label_lists = st.lists(st.sampled_from("abcd"), min_size=1, max_size=40)


@given(label_lists, st.integers(1, 500), seeds, st.data())
def test_groups_have_exact_shares_and_regions_take_turns(
    labels: list[str], n: int, seed: int, data: st.DataObject
) -> None:
    names = list(dict.fromkeys(labels))
    shares = data.draw(
        st.fixed_dictionaries({name: st.floats(0, 10) for name in names}).filter(
            lambda s: any(s.values())
        )
    )
    sampler = GroupedRegions(made_regions(len(labels)), labels, seed, shares, n)
    assert sampler.labels == names
    assert sampler.n_examples == n
    drawn = sampler.draw(2, np.arange(n))
    assert drawn.region is not None
    assert drawn.source is not None
    total = sum(map(Fraction, shares.values()))
    assert [labels[r] for r in drawn.region] == [names[s] for s in drawn.source]
    for number, name in enumerate(names):
        members = [i for i, label in enumerate(labels) if label == name]
        chosen = drawn.region[drawn.source == number].tolist()
        assert abs(len(chosen) - Fraction(shares[name]) * n / total) < 1
        # Each once before any again.
        for first in range(0, len(chosen), len(members)):
            turn = chosen[first : first + len(members)]
            assert len(set(turn)) == len(turn)
            assert set(turn) <= set(members)


def test_groups_are_evenly_spread_and_reshuffled() -> None:
    labels = ["rare"] * 3 + ["common"] * 97
    sampler = GroupedRegions(made_regions(100), labels, 1, {"rare": 1, "common": 3})
    assert sampler.n_examples is None
    drawn = sampler.draw(0, np.arange(4000))
    assert drawn.source is not None
    assert drawn.region is not None
    in_four = (drawn.source == 0).reshape(-1, 4).sum(1)
    assert in_four.tolist() == [1] * 1000
    turns = drawn.region[drawn.source == 0][:999].reshape(-1, 3)
    assert {tuple(sorted(t)) for t in turns.tolist()} == {(0, 1, 2)}
    # All six orders of the three, about equally often.
    counts = np.array(list(Counter(map(tuple, turns.tolist())).values()))
    assert len(counts) == 6
    assert abs(chi_square_deviation(counts, np.full(6, counts.sum() / 6))) < 4


def test_groups_of_a_column_have_equal_shares() -> None:
    frame = pd.DataFrame(
        {"chrom": "a", "start": range(10), "end": range(1, 11), "cell": ["x"] * 9 + ["y"]}
    )
    drawn = GroupedRegions(frame, "cell", 1).draw(0, np.arange(100))
    assert drawn.source is not None
    assert np.bincount(drawn.source).tolist() == [50, 50]


@pytest.mark.parametrize(
    ("labels", "shares", "error", "message"),
    [
        (["a"], None, InvalidInputError, "a label for each of 3 regions; got 1"),
        (["a", None, "b"], None, InvalidInputError, r"missing one for region 1 \(chr2"),
        (["a", "b", "b"], {"a": 1}, InvalidInputError, "got none for 'b'"),
        (["a", "b", "b"], {"a": 1, "b": 1, "bb": 1}, NotFoundError, "group 'bb'"),
        (["a", "b", "b"], {"a": 0, "b": 0}, InvalidInputError, "at least one above 0"),
    ],
)
def test_bad_groups_are_refused(labels: Any, shares: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        GroupedRegions(made_regions(3), labels, 0, shares)
