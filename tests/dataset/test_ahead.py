"""Batches that a backend makes behind our back: the same, in order, and none left over."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from bigwig_loader.backend.cpu.backend import CpuBackend
from bigwig_loader.backend.protocol import Done
from bigwig_loader.dataset.ahead import Begun, begin, begun_ahead
from bigwig_loader.dataset.peaks import PeakDataset
from bigwig_loader.errors import InvalidDataError, InvalidInputError, LoaderError
from tests.dataset.conftest import MakeDataset
from tests.dataset.test_failures import DAMAGED, LISTED, damaged, options
from tests.helpers.batches import assert_same
from tests.helpers.late_backend import LateBackend
from tests.helpers.peaks import PeakWorld

__all__ = ["damaged"]  # a fixture


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> LateBackend:
    """One backend for all, in place of the selected ones."""
    backend = LateBackend(2)

    def select(*_: Any) -> LateBackend:
        return backend

    for module in ("collection", "backend.select"):
        monkeypatch.setattr(f"bigwig_loader.{module}.select_backend", select)
    return backend


PARAMETERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "super batches": {"super_batch_size": 8},
    "single windows": {"batch_size": 1},
    "moving average": {"moving_average_window_size": 7, "window_size": 4},
    "turned": {"reverse_complement": True, "track_groups": [["a", "c"]], "window_size": 3},
    "some tracks": {"sub_sample_tracks": 2, "super_batch_size": 8},
    "sequence": {"collection": None},
    "values": {"reference_genome_path": None, "maximum_unknown_bases_fraction": None},
    "letters": {"sequence_encoder": None, "super_batch_size": 8},
    "bfloat16": {"dtype": "bfloat16", "center_bin_to_predict": 20},
}


@pytest.mark.parametrize("parameters", PARAMETERS.values(), ids=PARAMETERS.keys())
@pytest.mark.parametrize("prefetch", [0, 2])
def test_batches_are_the_same(
    make: MakeDataset, monkeypatch: pytest.MonkeyPatch, parameters: dict[str, Any], prefetch: int
) -> None:
    wanted = list(make(**parameters))
    backend = LateBackend(2)
    for module in ("collection", "backend.select"):
        monkeypatch.setattr(f"bigwig_loader.{module}.select_backend", lambda *_: backend)
    dataset = make(**parameters, prefetch=prefetch)
    assert dataset.backend is backend
    for one, other in zip(dataset, wanted, strict=True):
        assert_same(one, other)
    assert backend.n_in_flight == 0
    assert backend.most_in_flight == (backend.lookahead + 1 if prefetch else 1)


def test_batches_are_handed_over_by_the_consumer(make: MakeDataset, late: LateBackend) -> None:
    dataset = make(batches_per_epoch=3)
    for n, batch in enumerate(dataset, start=1):
        assert len(late.handed_over) == 2 * n
        for array, stream, thread in late.handed_over[-2:]:
            assert any(array is given for given in (batch.values, batch.sequences))
            assert (stream, thread) == (None, threading.get_ident())
    dataset.hand_over(batch, 1234)
    assert [stream for _, stream, _ in late.handed_over[-2:]] == [1234, 1234]


@pytest.mark.parametrize("prefetch", [0, 1, 20])
@pytest.mark.parametrize("super_batch_size", [None, 6, 1000])
def test_a_damaged_block(
    make: MakeDataset,
    damaged: Path,
    late: LateBackend,
    prefetch: int,
    super_batch_size: int | None,
) -> None:
    how = {"prefetch": prefetch, "super_batch_size": super_batch_size}
    iterator = iter(make(**options(damaged, **how)))
    assert [b.index for b in islice(iterator, 3)] == [0, 1, 2]
    for _ in range(2):
        with pytest.raises(LoaderError, match=r"batch 3 of epoch 0.*b\.bw") as caught:
            next(iterator)
        assert isinstance(caught.value.__cause__, InvalidDataError)
        assert f"chr1:{LISTED[DAMAGED][1]}-{LISTED[DAMAGED][2]}" in str(caught.value)
    assert late.n_in_flight == 0


@pytest.mark.parametrize("prefetch", [0, 2])
@pytest.mark.parametrize("drop", [True, False])
def test_leaving_early_waits_for_what_is_in_flight(
    make: MakeDataset, late: LateBackend, prefetch: int, drop: bool
) -> None:
    iterator = iter(make(batches_per_epoch=50, prefetch=prefetch))
    next(iterator)
    if drop:
        threads = [t for t in threading.enumerate() if t.name == "bigwig-loader"]
        del iterator
        gc.collect()
        for thread in threads:
            thread.join()
    else:
        iterator.close()
    assert late.n_in_flight == 0
    assert late.pending()._work == []


@pytest.mark.parametrize("count_target", [None, "log1p"])
@pytest.mark.parametrize("in_memory", [False, True])
def test_peaks(
    peak_world: PeakWorld,
    monkeypatch: pytest.MonkeyPatch,
    count_target: Any,
    in_memory: bool,
) -> None:
    def dataset(**more: Any) -> PeakDataset:
        world = peak_world
        tracks = [[world.bw("plus"), world.bw("minus")]]
        return PeakDataset(
            world.bed("peaks.narrowPeak"),
            world.bed("negatives.bed"),
            world.fasta,
            tracks,
            [world.bw("control")],
            in_window=40,
            out_window=20,
            max_jitter=3,
            random_state=1,
            batch_size=4,
            negative_ratio=0.5,
            count_target=count_target,
            in_memory=in_memory,
            n_threads=2,
            **more,
        )

    wanted = list(dataset())
    backend = LateBackend(2)
    for module in ("collection", "backend.select"):
        monkeypatch.setattr(f"bigwig_loader.{module}.select_backend", lambda *_: backend)
    for prefetch in (0, 2):
        for one, other in zip(dataset(prefetch=prefetch), wanted, strict=True):
            assert_same(one, other)
        assert backend.n_in_flight == 0
        assert in_memory or backend.most_in_flight == (1, None, 3)[prefetch]


class Work:
    """Counts waiting."""

    def __init__(self, error: Exception | None = None) -> None:
        self.n_waits = 0
        self.error = error

    def wait(self) -> None:
        self.n_waits += 1
        if self.error is not None:
            raise self.error


class Asked(CpuBackend):
    """A backend whose work is given."""

    def __init__(self, *work: Work) -> None:
        self.work = list(work)

    def pending(self) -> Any:
        return self.work.pop(0) if self.work else Done()


def test_what_was_begun_is_finished_when_it_is_there() -> None:
    work = Work()
    begun = begin(lambda: [1], lambda asked: [*asked, work.n_waits], [Asked(work)])
    assert work.n_waits == 0
    assert begun.result() == [1, 1]


def test_all_is_waited_for_before_an_error_is_raised() -> None:
    works = [Work(), Work(InvalidInputError("late")), Work(), Work(ValueError("another"))]
    with pytest.raises(InvalidInputError, match="late"):
        begin(lambda: 1, lambda asked: asked, [Asked(work) for work in works]).result()
    assert [work.n_waits for work in works] == [1, 1, 1, 1]


def test_an_error_of_asking_comes_with_the_result() -> None:
    work = Work()

    def make() -> int:
        raise InvalidInputError("asked for too much")

    begun = begin(make, lambda asked: asked, [Asked(work)])
    assert work.n_waits == 0
    with pytest.raises(InvalidInputError, match="too much"):
        begun.result()
    assert work.n_waits == 1


def test_an_interrupt_while_asking_leaves_nothing() -> None:
    work = Work(ValueError("whatever"))

    def make() -> int:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        begin(make, lambda asked: asked, [Asked(work)])
    assert work.n_waits == 1


@pytest.mark.parametrize("lookahead", [0, 1, 3])
def test_no_more_is_begun_than_is_needed(lookahead: int) -> None:
    works: list[Work] = []

    def start(item: int) -> Begun[int]:
        works.append(Work())
        return begin(lambda: item, lambda asked: asked, [Asked(works[-1])])

    ahead = begun_ahead(start, range(10), lookahead)
    assert next(ahead)[1].result() == 0
    assert len(works) == 1 + lookahead
    assert next(ahead)[0] == 1
    assert len(works) == 2 + lookahead
    ahead.close()
    # What was handed out is the consumer's.
    assert [work.n_waits for work in works] == [1, 0] + [1] * lookahead
    assert len(works) == 2 + lookahead


def test_an_error_of_the_items_comes_after_those_before_it() -> None:
    def items() -> Iterator[int]:
        yield from (0, 1)
        raise LoaderError("no more of these")

    ahead = begun_ahead(lambda i: begin(lambda: i, lambda asked: asked, []), items(), 5)
    assert [begun.result() for _, begun in islice(ahead, 2)] == [0, 1]
    with pytest.raises(LoaderError, match="no more"):
        next(ahead)
