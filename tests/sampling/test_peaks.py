"""Examples of peaks and background regions: pure, fair, and of exact numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.sampling.peaks import NegativeOptions, PeakExamples, PhiloxPlan, share_out
from tests.oracles.peaks import shared_out


def make(
    n_peaks: int = 40,
    n_pool: int = 25,
    n_drawn: int = 10,
    per: str = "epoch",
    replacement: bool = True,
    negative_jitter: bool = False,
    files: Any = None,
    **options: Any,
) -> PhiloxPlan:
    """A plan, with what is not said as usual."""
    negatives = NegativeOptions(n_drawn, per, replacement, negative_jitter)  # type: ignore[arg-type]
    usual: dict[str, Any] = {
        "max_jitter": 3,
        "reverse_complement": True,
        "shuffle": True,
        "seed": 1,
    }
    of_files = np.zeros(n_peaks, np.int32) if files is None else np.asarray(files, np.int32)
    return PhiloxPlan(of_files, n_pool, negatives, **(usual | options))


def whole(plan: PhiloxPlan, epoch: int = 0) -> PeakExamples:
    return plan.draw(epoch, np.arange(plan.n_examples))


def as_rows(examples: PeakExamples) -> list[tuple[int, ...]]:
    fields = (examples.is_peak, examples.locus, examples.jitter, examples.reverse)
    return [tuple(map(int, row)) for row in zip(*fields, strict=True)]


def deviation(counts: np.ndarray, expected: Any = None) -> float:
    """How many standard deviations a chi-square lies above its mean."""
    mean = counts.sum() / counts.size if expected is None else np.asarray(expected)
    n_free = counts.size - 1
    return float((((counts - mean) ** 2 / mean).sum() - n_free) / np.sqrt(2 * n_free))


@st.composite
def plans(draw: st.DrawFn) -> PhiloxPlan:
    """Any plan."""
    files = draw(st.lists(st.integers(0, 2), min_size=1, max_size=90))
    weights = draw(st.one_of(st.none(), st.tuples(*[st.floats(0.1, 5)] * 3)))
    return make(
        n_pool=draw(st.integers(1, 80)),
        n_drawn=draw(st.integers(0, 200)),
        per=draw(st.sampled_from(["epoch", "batch"])),
        replacement=draw(st.booleans()),
        negative_jitter=draw(st.booleans()),
        files=files,
        max_jitter=draw(st.integers(0, 9)),
        reverse_complement=draw(st.booleans()),
        shuffle=draw(st.booleans()),
        seed=draw(st.integers(0, 2**64 - 1)),
        weights=weights,
    )


@given(plans(), st.integers(0, 2**32 - 1), st.data())
def test_examples_are_pure(plan: PhiloxPlan, epoch: int, data: st.DataObject) -> None:
    rows = as_rows(whole(plan, epoch))
    index = data.draw(st.lists(st.integers(0, plan.n_examples - 1), max_size=30))
    plan.draw(data.draw(st.integers(0, 9)), np.arange(min(3, plan.n_examples)))
    assert as_rows(plan.draw(epoch, np.array(index, np.int64))) == [rows[i] for i in index]
    for i in index[:3]:
        assert as_rows(plan.draw(epoch, np.array([i]))) == [rows[i]]


def test_long_epochs_are_pure_too() -> None:
    plan = make(n_peaks=20_000, n_pool=700, n_drawn=5000)
    rows = as_rows(whole(plan, 3))
    rng = np.random.default_rng(0)
    for index in (rng.integers(0, 25_000, 500), np.arange(8000, 8400), np.arange(24_990, 25_000)):
        for epoch in (4, 3):
            drawn = as_rows(plan.draw(epoch, index))
        assert drawn == [rows[i] for i in index]


@given(plans(), st.integers(0, 2**32 - 1))
def test_numbers_of_an_epoch_are_exact(plan: PhiloxPlan, epoch: int) -> None:
    drawn = whole(plan, epoch)
    n_negatives = plan.negatives.n_drawn
    assert (~drawn.is_peak).sum() == n_negatives
    negatives = np.bincount(drawn.locus[~drawn.is_peak], minlength=plan.n_negatives)
    assert len(negatives) == plan.n_negatives
    if not plan.negatives.replacement:
        assert negatives.max() - negatives.min() <= 1
    moved = drawn.is_peak | plan.negatives.jitter
    assert (np.abs(drawn.jitter[moved]) <= plan.max_jitter).all()
    assert (drawn.jitter[~moved] == 0).all()
    assert plan.reverse_complement or not drawn.reverse.any()


@given(
    st.integers(1, 200),
    st.integers(0, 200),
    st.booleans(),
    st.sampled_from(["epoch", "batch"]),
    st.integers(0, 2**64 - 1),
)
def test_every_peak_once_an_epoch(
    n_peaks: int, n_drawn: int, shuffle: bool, per: str, seed: int
) -> None:
    plan = make(n_peaks, 7, n_drawn, per, shuffle=shuffle, seed=seed)
    orders = []
    for epoch in (0, 1):
        drawn = whole(plan, epoch)
        orders.append(drawn.locus[drawn.is_peak].tolist())
        assert sorted(orders[-1]) == list(range(n_peaks))
        if not shuffle:
            assert orders[-1] == list(range(n_peaks))
    if shuffle and n_peaks > 20:
        assert orders[0] != orders[1]


@settings(max_examples=50)
@given(plans(), st.data())
def test_any_run_has_its_share_of_negatives(plan: PhiloxPlan, data: st.DataObject) -> None:
    """With "batch", and unshuffled; also with several files of peaks."""
    if plan.shuffle and plan.negatives.per == "epoch":
        return
    n, is_peak = plan.n_examples, whole(plan).is_peak
    before = np.concatenate([[0], np.cumsum(~is_peak)])
    for batch in {1, 2, min(n, 8), data.draw(st.integers(1, n))}:
        found = before[batch:] - before[:-batch]
        assert (np.abs(found - batch * plan.negatives.n_drawn / n) < 1).all()


def test_batches_have_none_again_before_all_others() -> None:
    plan = make(30, 12, 40, "batch", replacement=False)
    drawn = whole(plan, 2)
    negatives = drawn.locus[~drawn.is_peak]
    for first in (0, 12, 24):
        assert sorted(negatives[first : first + 12].tolist()) == list(range(12))
    rounds = [negatives[i : i + 12].tolist() for i in (0, 12, 24)]
    assert rounds[0] != rounds[1] != rounds[2]


@pytest.mark.parametrize("per", ["epoch", "batch"])
@pytest.mark.parametrize("shuffle", [True, False])
def test_weights_of_files(per: str, shuffle: bool) -> None:
    files = [0] * 30 + [1] * 10 + [2] * 20 + [3] * 4
    weights = [1.0, 4.0, 0.0, 0.5]
    plan = make(files=files, n_drawn=32, per=per, shuffle=shuffle, weights=weights)
    drawn = whole(plan)
    chosen = drawn.locus[drawn.is_peak]
    n_of_file = np.bincount(np.array(files)[chosen], minlength=4).tolist()
    # 30 : 40 : 0 : 2 of 64.
    assert n_of_file == shared_out(64, [30, 40, 0, 2]) == [27, 35, 0, 2]
    times = np.bincount(chosen, minlength=64)
    for f in (0, 1, 3):
        of_file = times[np.array(files) == f]
        assert of_file.max() - of_file.min() <= 1
    assert make(files=files, weights=[1, 1, 1, 1])._drawn == [30, 10, 20, 4]


@given(st.integers(1, 10**6), st.lists(st.floats(0, 1e6), min_size=1, max_size=6))
def test_shares(total: int, weights: list[float]) -> None:
    if not any(weights):
        return
    found = share_out(total, np.array(weights))
    assert sum(found) == total
    exact = shared_out(total, weights)
    assert all(abs(a - b) <= 1 for a, b in zip(found, exact, strict=True))  # rounding
    for wrong in ([0.0, 0.0], [-1.0, 2.0], [float("nan")], [float("inf"), 1.0]):
        with pytest.raises(InvalidInputError, match="peak_weights"):
            share_out(total, np.array(wrong))


@pytest.mark.parametrize("per", ["epoch", "batch"])
def test_statistics(per: str) -> None:
    """Jitter, strand, order and negatives are uniform, and know nothing of each other."""
    plan = make(300, 20, 150, per, negative_jitter=True, max_jitter=4)
    drawn = [whole(plan, epoch) for epoch in range(40)]
    jitter = np.concatenate([d.jitter for d in drawn]) + 4
    reverse = np.concatenate([d.reverse for d in drawn]).astype(int)
    is_peak = np.concatenate([d.is_peak for d in drawn]).astype(int)
    locus = np.concatenate([d.locus for d in drawn])
    index = np.tile(np.arange(450), 40)
    assert set(jitter.tolist()) == set(range(9))
    pairs = [
        np.bincount(jitter, minlength=9),
        np.bincount(reverse, minlength=2),
        np.bincount(jitter * 2 + reverse, minlength=18),
        np.bincount(reverse * 10 + index // 45, minlength=20),
        np.bincount(locus[is_peak == 0], minlength=20),
        np.bincount(locus[is_peak == 1] // 30 * 9 + jitter[is_peak == 1], minlength=90),
        np.bincount(locus[is_peak == 1] // 30 * 2 + reverse[is_peak == 1], minlength=20),
    ]
    for counts in pairs:
        assert deviation(counts) < 4, counts
    # Where in the epoch a peak comes, by tenths of the peaks and of the epoch.
    place = locus[is_peak == 1] // 30 * 10 + index[is_peak == 1] // 45
    assert deviation(np.bincount(place, minlength=100)) < 4
    strand_of_kind = np.bincount(is_peak * 2 + reverse, minlength=4)
    assert deviation(strand_of_kind, [3000, 3000, 6000, 6000]) < 4


def test_epochs_and_seeds_differ() -> None:
    rows = [as_rows(whole(make(seed=seed), epoch)) for seed in (1, 2, 2**63) for epoch in (0, 1)]
    assert all(a != b for i, a in enumerate(rows) for b in rows[:i])


def test_negatives_of_places_in_an_epoch_vary() -> None:
    """Per epoch, how many negatives a batch has is as hypergeometric as cherimoya's."""
    plan = make(5000, 100, 1250)
    per_batch = [
        (~plan.draw(epoch, np.arange(first, first + 64)).is_peak).sum()
        for epoch in range(4)
        for first in range(0, 6250 - 64, 64)
    ]
    assert 12 < np.mean(per_batch) < 13.6
    assert min(per_batch) < 9
    assert max(per_batch) > 17


def test_only_one_kind() -> None:
    peaks = whole(make(9, 0, 0))
    assert peaks.is_peak.all()
    negatives = whole(make(0, 9, 9, replacement=False))
    assert not negatives.is_peak.any()
    assert sorted(negatives.locus.tolist()) == list(range(9))
    assert len(make().draw(0, np.zeros(0, np.int64))) == 0


def test_fingerprints() -> None:
    files = [0] * 20 + [1] * 20
    changes: list[dict[str, Any]] = [
        {},
        {"n_peaks": 41},
        {"n_pool": 26},
        {"n_drawn": 11},
        {"per": "batch"},
        {"replacement": False},
        {"negative_jitter": True},
        {"max_jitter": 4},
        {"reverse_complement": False},
        {"shuffle": False},
        {"files": files, "weights": [1, 2]},
        {"files": files, "weights": [1, 3]},
    ]
    assert len({make(**change).fingerprint() for change in changes}) == len(changes)
    assert make(seed=2).fingerprint() == make(seed=1).fingerprint()


def test_bad_arguments() -> None:
    with pytest.raises(InvalidInputError, match="negatives_per"):
        make(per="loop")
    for seed in (-1, 2**64, 1.5, "a", True):
        with pytest.raises(InvalidInputError, match="seed"):
            make(seed=seed)
    with pytest.raises(InvalidInputError, match="epoch"):
        make().draw(-1, np.arange(3))
