"""What is measured, with a clock that the test moves."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from bigwig_loader.backend.protocol import SignalCounts
from bigwig_loader.collection import BigWigCollection
from bigwig_loader.dataset import stats
from bigwig_loader.dataset.loader import Prefetcher
from bigwig_loader.dataset.stats import ADVICE, SIGNAL, SIGNAL_STAGES, STAGES, LoaderStats, Meter
from bigwig_loader.errors import InvalidInputError, LoaderError
from tests.dataset.conftest import MakeDataset, World


class Clock:
    """A clock that goes only when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("time.perf_counter", clock.perf_counter)
    return clock


def test_stages_add_up(clock: Clock) -> None:
    meter = Meter()
    for seconds in (1.0, 2.5):
        with meter.stage("sequence"):
            clock.now += seconds
    clock.now += 50

    def fail() -> None:
        clock.now += 4
        raise KeyError

    with pytest.raises(KeyError), meter.stage("assemble"):
        fail()
    found = meter.snapshot()
    assert found.seconds == dict.fromkeys(STAGES, 0.0) | {"sequence": 3.5, "assemble": 4.0}


def test_timed_items(clock: Clock) -> None:
    def slow() -> Iterator[int]:
        for i in range(3):
            clock.now += 2
            yield i
        clock.now += 1

    meter, seen = Meter(), []
    for item in meter.timed(slow(), "plan"):
        seen.append(item)
        clock.now += 100
    assert seen == [0, 1, 2]
    assert meter.snapshot().seconds["plan"] == 7.0


def test_the_share_waited_is_that_of_the_time_between_first_and_last_next(clock: Clock) -> None:
    def source() -> Iterator[str]:
        for item in ("four", "by", ""):
            clock.now += 3  # made when asked for
            yield item

    meter = Meter()
    for epoch in range(2):
        items = Prefetcher(source(), 0, meter=meter)
        for _ in items:
            clock.now += 1  # the model
        clock.now += 1000  # validation
        found = meter.snapshot()
        assert found.n_batches == 3 * (epoch + 1)
        assert found.n_examples == 6 * (epoch + 1)
        assert found.n_waits == 4 * (epoch + 1)
        assert found.waited_seconds == 9.0 * (epoch + 1)
        assert found.consumer_seconds == 12.0 * (epoch + 1)
        assert found.waited_share == 0.75
        assert found.n_looks == 0


def test_the_queue(clock: Clock) -> None:
    meter = Meter()
    items = Prefetcher(iter("abcdef"), 4, meter=meter)
    shared = items._shared
    for wanted in (4, 4, 4, 3):
        with shared.changed:
            assert shared.changed.wait_for(lambda n=wanted: len(shared.items) == n, timeout=60)
        next(items)
    items.close()
    found = meter.snapshot()
    assert (found.n_looks, found.mean_queue, found.max_queue) == (4, 3.75, 4)
    assert (found.n_batches, found.n_examples) == (4, 4)


def test_errors_are_waited_for_but_not_delivered() -> None:
    def source() -> Iterator[str]:
        yield "ab"
        raise ValueError("bad")

    meter = Meter()
    items = Prefetcher(source(), 0, meter=meter)
    next(items)
    with pytest.raises(LoaderError):
        next(items)
    assert (meter.snapshot().n_batches, meter.snapshot().n_waits) == (1, 2)


def test_items_without_a_length_count_as_one() -> None:
    meter = Meter()
    assert list(Prefetcher(iter([7, 8]), 0, meter=meter)) == [7, 8]
    assert meter.snapshot().n_examples == 2


def test_many_threads_lose_nothing() -> None:
    meter = Meter()

    def work() -> None:
        for _ in range(2000):
            meter.add_seconds("plan", 1.0)
            meter.delivered(2)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = meter.snapshot()
    assert (found.seconds["plan"], found.n_batches, found.n_examples) == (8000.0, 8000, 16000)


def test_a_copy_starts_from_nothing() -> None:
    meter = Meter()
    meter.delivered(3)
    assert pickle.loads(pickle.dumps(meter)).snapshot().n_batches == 0
    assert meter.snapshot().n_batches == 1


def count_in_child(meter: Meter, answers: Any) -> None:
    meter.delivered(5)
    answers.put(meter.snapshot().n_examples)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_starts_from_nothing_and_never_hangs() -> None:
    context = multiprocessing.get_context("fork")
    meter, answers = Meter(), context.SimpleQueue()
    meter.delivered(3)
    with meter._lock, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = context.Process(target=count_in_child, args=(meter, answers))
        child.start()
        assert answers.get() == 5
        child.join(timeout=60)
    assert meter.snapshot().n_examples == 3


def figures(**changed: Any) -> LoaderStats:
    usual: dict[str, Any] = {
        "seconds": dict.fromkeys(STAGES, 0.0),
        "n_batches": 10,
        "n_examples": 40,
        "consumer_seconds": 10.0,
        "waited_seconds": 5.0,
        "n_looks": 10,
        "mean_queue": 0.3,
        "max_queue": 2,
    }
    return LoaderStats(**(usual | changed))


def test_signal_is_shared_out_by_processor_seconds() -> None:
    """Eight threads that inflate for eight seconds are no slower than one that encodes for one."""
    found = figures(
        seconds={"plan": 0.5, "read": 1.0, "inflate": 7.0, "rasterize": 0.0, "sequence": 1.5},
        signal_seconds=2.0,
    )
    shares = {"plan": 0.125, "read": 0.0625, "inflate": 0.4375, "rasterize": 0, "sequence": 0.375}
    assert found.shares == pytest.approx(shares)
    assert found.slowest == "inflate"


def test_signal_stands_alone_where_its_stages_are_not_known() -> None:
    found = figures(seconds={"plan": 1.0}, signal_seconds=3.0)
    assert found.shares == {"plan": 0.25, "signal": 0.75}
    assert found.slowest == "signal"
    assert "3.000" in str(found)


@pytest.mark.parametrize("stage", STAGES)
def test_the_slowest_stage_is_named_with_advice(stage: str) -> None:
    found = figures(seconds=dict.fromkeys(STAGES, 0.1) | {stage: 3.0})
    assert found.slowest == stage
    assert f"waited 50% of its time. Slowest is {stage}: {ADVICE[stage]}" in str(found)


def test_a_loader_that_is_not_the_bottleneck_gets_no_advice() -> None:
    said = figures(seconds={"inflate": 3.0}, waited_seconds=0.1).verdict
    assert said == "The consumer waited 1% of its time: the loader is not the bottleneck."


def test_nothing_made_ahead_is_said() -> None:
    assert "prefetch=2" in figures(n_looks=0).verdict
    assert "prefetch" not in figures().verdict


def test_nothing_delivered_points_to_worker_processes() -> None:
    found = Meter().snapshot()
    assert (found.waited_share, found.slowest) == (0.0, None)
    assert "Worker processes" in str(found)


def test_counts_of_the_backend() -> None:
    counts = SignalCounts(n_blocks=1200, n_reads=30, bytes_read=4_500_000, bytes_inflated=12_000)
    meter = Meter()
    meter.add_seconds(SIGNAL, 2.0)
    found = meter.snapshot(counts)
    assert (found.n_blocks, found.n_reads, found.signal_seconds) == (1200, 30, 2.0)
    printed = str(found)
    assert "30 reads, 4.5 MB" in printed
    assert "1,200 data blocks" in printed
    assert "12.0 kB inflated" in printed


@pytest.mark.parametrize(
    ("n", "text"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2 * 10**9, "2.0 GB"), (10**15, "1000.0 TB")],
)
def test_sizes(n: int, text: str) -> None:
    assert stats._bytes(n) == text


def test_stages_and_cache_of_the_backend() -> None:
    counts = SignalCounts(
        n_blocks=50,
        n_cached_blocks=20,
        cached_bytes=3_000_000,
        seconds_read=1.0,
        seconds_inflate=2.0,
        seconds_rasterize=3.0,
    )
    found = Meter().snapshot(counts)
    assert [found.seconds[name] for name in SIGNAL_STAGES] == [1.0, 2.0, 3.0]
    assert found.slowest == "rasterize"
    assert "50 data blocks, 20 of them cached (3.0 MB)" in str(found)


def test_as_dict_is_json() -> None:
    found = figures(seconds={"plan": 1.0})
    again = json.loads(json.dumps(found.as_dict()))
    assert again["waited_share"] == 0.5
    assert again["slowest"] == "plan"
    assert again["seconds"] == {"plan": 1.0}


@pytest.mark.parametrize("prefetch", [0, 2])
def test_of_a_data_set(make: MakeDataset, prefetch: int) -> None:
    dataset = make(prefetch=prefetch, moving_average_window_size=3)
    assert dataset.stats().n_batches == 0
    assert len(list(dataset)) == 6
    found = dataset.stats()
    assert (found.n_batches, found.n_examples, found.n_waits) == (6, 24, 7)
    assert found.signal_seconds > 0
    assert min(found.seconds[name] for name in ("plan", "sequence", "assemble")) > 0
    assert found.n_looks == (7 if prefetch else 0)
    assert 0 < found.waited_seconds <= found.consumer_seconds
    assert min(found.n_blocks, found.bytes_read, found.bytes_inflated) > 0
    assert sum(found.seconds[name] for name in SIGNAL_STAGES) > 0
    assert found.n_cached_blocks == found.cached_bytes == 0
    list(dataset)
    assert dataset.stats().n_batches == 12


def test_the_cache_of_a_data_set(make: MakeDataset) -> None:
    dataset, plain = make(cache_bytes=1 << 20), make()
    first = list(dataset)
    assert dataset.stats().cached_bytes > 0
    dataset.set_epoch(0)
    before = dataset.stats()
    again = list(dataset)
    after = dataset.stats()
    assert after.n_cached_blocks - before.n_cached_blocks == after.n_blocks - before.n_blocks > 0
    assert after.bytes_read == before.bytes_read
    for one, two, other in zip(first, again, plain, strict=True):
        assert (one.values == two.values).all()
        assert (one.values == other.values).all()


def test_without_tracks(make: MakeDataset) -> None:
    dataset = make(collection=None)
    list(dataset)
    found = dataset.stats()
    assert (found.n_batches, found.n_blocks, found.signal_seconds) == (6, 0, 0.0)
    assert found.slowest in ("plan", "sequence", "assemble")


def test_an_open_collection_has_a_cache_of_its_own(make: MakeDataset, world: World) -> None:
    with pytest.raises(InvalidInputError, match="cache_bytes"):
        make(collection=BigWigCollection(world.bigwig_dir), cache_bytes=5)
