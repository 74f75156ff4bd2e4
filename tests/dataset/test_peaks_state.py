"""The peak loader goes on where it was saved, on any number of processes, in little memory."""

from __future__ import annotations

import json
import pickle
from itertools import islice
from typing import Any

import numpy as np
import pytest

from bigwig_loader.dataset import Batch
from bigwig_loader.dataset.peaks import PeakDataset
from bigwig_loader.errors import InvalidInputError
from tests.helpers.peaks import PeakWorld, frame_of

FIELDS = ("sequences", "values", "controls", "labels", "starts", "reverse", "jitter", "regions")
WORLDS = (1, 2, 4, 8)


def make(world: PeakWorld, **changes: Any) -> PeakDataset:
    return PeakDataset(**world.usual(**({"controls": [world.bw("control")]} | changes)))


def as_bytes(batch: Batch) -> tuple[bytes, ...]:
    return tuple(np.ascontiguousarray(getattr(batch, name)).tobytes() for name in FIELDS)


def epochs_of(dataset: PeakDataset, n: int) -> list[list[tuple[bytes, ...]]]:
    return [[as_bytes(batch) for batch in dataset] for _ in range(n)]


def joined(batches: list[Batch]) -> tuple[bytes, ...]:
    """One batch of the parts of all ranks, in their order."""
    return tuple(np.concatenate([getattr(b, name) for b in batches]).tobytes() for name in FIELDS)


@pytest.mark.parametrize("rng", ["philox", "cherimoya-0.3"])
@pytest.mark.parametrize("done", [0, 1, 4, 9, 13, 18])
def test_resuming(peak_world: PeakWorld, rng: str, done: int) -> None:
    """After any number of batches, of which 9 are an epoch."""
    expected = [b for epoch in epochs_of(make(peak_world, rng=rng), 4) for b in epoch]
    dataset = make(peak_world, rng=rng)
    epoch, batch = divmod(done, 9)
    for _ in range(epoch):
        list(dataset)
    if batch:
        list(islice(iter(dataset), batch))
    text = json.dumps(dataset.state_dict())
    assert len(text) < 1000
    other = make(peak_world, rng=rng, n_threads=1, prefetch=0, cache_bytes=0)
    other.load_state_dict(json.loads(text))
    assert (other.epoch, other.state_dict()) == (epoch, dataset.state_dict())
    rest = [as_bytes(b) for b in other]
    assert rest == expected[done : (epoch + 1) * 9]
    assert [as_bytes(b) for b in other] == expected[(epoch + 1) * 9 :][:9]


def test_a_state_at_the_end_of_an_epoch(peak_world: PeakWorld) -> None:
    dataset = make(peak_world)
    batches = iter(dataset)
    for _ in range(9):
        next(batches)
    state = dataset.state_dict()
    assert (state["epoch"], state["batch"]) == (0, 9)
    other = make(peak_world)
    other.load_state_dict(state)
    assert list(other) == []
    assert next(iter(other)).epoch == 1


def test_epochs(peak_world: PeakWorld) -> None:
    dataset = make(peak_world)
    assert len(dataset) == 9
    first = next(iter(dataset))
    assert (first.epoch, first.index, dataset.epoch) == (0, 0, 0)
    assert next(iter(dataset)).epoch == 1  # a loop that was left early is over
    dataset.set_epoch(7)
    assert {b.epoch for b in dataset} == {7}
    assert [b.index for b in dataset] == list(range(9))
    assert dataset.epoch == 9
    whole = epochs_of(make(peak_world), 1)[0]
    assert [as_bytes(batch) for batch in dataset.batches(0, 3, 2)] == whole[3::2]
    some = dataset.examples(0, [61, 3])
    alone = [dataset.examples(0, [i]) for i in (61, 3)]
    assert joined(alone) == as_bytes(some)


def test_drop_last(peak_world: PeakWorld) -> None:
    whole, cut = make(peak_world), make(peak_world, drop_last=True)
    assert (len(whole), len(cut)) == (9, 8)
    assert epochs_of(cut, 1)[0] == epochs_of(whole, 1)[0][:8]


OTHERS: dict[str, dict[str, Any]] = {
    "random_state": {"random_state": 2},
    "batch_size": {"batch_size": 4},
    "windows": {"in_window": 61},
    "plan": {"negatives_per": "batch"},
    "mode": {"mode": "validation"},
    "count_target": {"count_target": "log1p"},
    "tracks": {"controls": None},
    "peaks": {"chroms": ["chr1"]},
    "n_examples": {"negative_ratio": 0.4},
    "drop_last": {"drop_last": True},
}


@pytest.mark.parametrize("what", sorted(OTHERS))
def test_other_batches_refuse_a_state(peak_world: PeakWorld, what: str) -> None:
    state = make(peak_world).state_dict()
    other = make(peak_world, **OTHERS[what])
    with pytest.raises(InvalidInputError, match=rf"state: .*{what}"):
        other.load_state_dict(state)
    assert other.epoch == 0
    with pytest.raises(InvalidInputError, match="state: "):
        other.load_state_dict({"epoch": 1})


def test_loaders_of_the_same_batches_take_a_state(peak_world: PeakWorld) -> None:
    dataset = make(peak_world, random_state=np.int64(1))
    next(iter(dataset))
    state = json.loads(json.dumps(dataset.state_dict()))
    same = [
        {"in_memory": True},
        {"n_threads": 3, "prefetch": 5, "cache_bytes": 1},
        {"peaks": frame_of(peak_world.loci["peaks.narrowPeak"])},
        {"rank": 1, "world_size": 2},
    ]
    for change in same:
        other = make(peak_world, **change)
        other.load_state_dict(state)
        assert next(iter(other)).index == 1


@pytest.mark.parametrize("rng", ["philox", "cherimoya-0.3"])
def test_a_drawn_seed_gives_way_to_a_saved_one(peak_world: PeakWorld, rng: str) -> None:
    dataset = make(peak_world, rng=rng, random_state=None)
    batches = iter(dataset)
    next(batches)
    state = json.loads(json.dumps(dataset.state_dict()))
    rest = [as_bytes(b) for b in batches]
    other = make(peak_world, rng=rng, random_state=None)
    assert other.random_state != dataset.random_state
    other.load_state_dict(state)
    assert other.random_state == dataset.random_state
    assert [as_bytes(b) for b in other] == rest


def test_a_seed_is_drawn(peak_world: PeakWorld) -> None:
    one, two = (make(peak_world, random_state=None) for _ in range(2))
    assert one.random_state != two.random_state
    again = make(peak_world, random_state=one.random_state)
    assert epochs_of(again, 1) == epochs_of(one, 1) != epochs_of(two, 1)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"rng": "cherimoya-0.3"},
        {"mode": "negatives", "peaks": None},
        {"mode": "validation"},
        {"in_memory": True},
    ],
    ids=str,
)
def test_ranks_share_the_same_batches(peak_world: PeakWorld, change: dict[str, Any]) -> None:
    alone = list(make(peak_world, **change).batches(1))
    for n in WORLDS[1:]:
        ranks = [make(peak_world, rank=r, world_size=n, **change) for r in range(n)]
        for batch, *parts in zip(alone, *(r.batches(1) for r in ranks), strict=True):
            assert len({len(part) for part in parts}) == 1
            if len(batch) == 8:
                assert joined(parts) == as_bytes(batch)


@pytest.mark.parametrize("n", WORLDS)
def test_uneven_ends(peak_world: PeakWorld, n: int) -> None:
    """The last batch has 5 of 8 examples."""
    last = [as_rows(b) for b in make(peak_world).batches(0)][-1]
    assert len(last) == 5
    for uneven, size in (("pad", -(-5 // n)), ("drop", 5 // n)):
        found = []
        for r in range(n):
            dataset = make(peak_world, rank=r, world_size=n, uneven=uneven)
            batches = list(dataset)
            assert len(batches) == len(dataset) == (9 if size else 8)
            if size:
                assert len(batches[-1]) == size
                found += as_rows(batches[-1])
        assert found == (last + last)[: size * n]


def as_rows(batch: Batch) -> list[tuple[int, ...]]:
    columns = (batch.labels, batch.sources, batch.regions, batch.jitter, batch.reverse)
    return [tuple(map(int, row)) for row in zip(*columns, strict=True)]  # type: ignore[arg-type]


def test_resuming_on_another_number_of_ranks(peak_world: PeakWorld) -> None:
    four = [make(peak_world, rank=r, world_size=4) for r in range(4)]
    for dataset in four:
        list(islice(iter(dataset), 3))
    states = [dataset.state_dict() for dataset in four]
    assert states[1:] == states[:-1]
    expected = [as_bytes(b) for b in make(peak_world).batches(0, 3)]
    two = [make(peak_world, rank=r, world_size=2) for r in range(2)]
    for dataset in two:
        dataset.load_state_dict(states[0])
    for batch, *parts in zip(expected[:-1], *two, strict=False):
        assert joined(parts) == batch


def test_ranks_of_the_environment(peak_world: PeakWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    dataset = make(peak_world)
    assert (dataset.shard.rank, dataset.shard.world_size) == (1, 2)
    assert [len(b) for b in dataset][:2] == [4, 4]


def test_pickling(peak_world: PeakWorld) -> None:
    dataset = make(peak_world)
    expected = epochs_of(dataset, 1)
    content = pickle.dumps(dataset)
    assert len(content) < 40_000
    copy = pickle.loads(content)
    copy.set_epoch(0)
    assert epochs_of(copy, 1) == expected


def test_what_is_kept_of_many_loci_is_small(peak_world: PeakWorld) -> None:
    """24 bytes for a kept locus, and little more for the reasons."""

    def size_of(n: int) -> int:
        rng = np.random.default_rng(0)
        start = rng.integers(100, 3800, n)
        frame = frame_of([("chr1", int(s), int(s) + 2, 1) for s in start])
        dataset = make(peak_world, peaks=frame, controls=None)
        assert dataset.n_peaks == n
        next(dataset.batches(0, len(dataset) - 1, prefetch=0))
        return len(pickle.dumps(dataset))

    few, many = size_of(2_000), size_of(12_000)
    assert (many - few) / 10_000 < 90


def test_stats(peak_world: PeakWorld) -> None:
    dataset = make(peak_world)
    list(dataset)
    stats = dataset.stats().as_dict()
    assert stats["n_examples"] == dataset.n_examples
    assert "sequence" in str(dataset.stats())
