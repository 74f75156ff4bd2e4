"""Torch loaders of cells: tensors, ranks, worker processes, states."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bigwig_loader.dataset.prepared.epochs import CellEpochs  # noqa: E402
from bigwig_loader.dataset.prepared.loader_options import CellOptions  # noqa: E402
from bigwig_loader.errors import InvalidInputError, LoaderError  # noqa: E402
from bigwig_loader.personal_loader import CellLoader, as_tensors  # noqa: E402
from bigwig_loader.sampling.cells import GridCells, ListedCells  # noqa: E402
from tests.helpers.fake_cells import FakeCells, cells_of, flat  # noqa: E402


def tensors(data: Any, cells: Any) -> Any:
    return as_tensors(data)


def make(
    num_workers: int = 0, bad_cell: int = -1, sampler: Any = None, **options: Any
) -> CellLoader:
    source = FakeCells(bad_cell=bad_cell)
    order: Any = GridCells(*source.shape, True)
    if sampler is not None:
        order = ListedCells(sampler, source.n_cells)
    fingerprint = {"dataset": source.fingerprint()}
    epochs = CellEpochs(source, order, CellOptions(5, batch_size=4), fingerprint, tensors)
    return CellLoader(epochs, num_workers, **options)


def cells(batches: Any) -> list[list[int]]:
    return [cells_of(batch) for batch in batches]


def test_batches_are_tensors_and_letters() -> None:
    loader = make()
    assert (len(loader), len(loader.dataset), loader.epoch) == (6, 21, 0)
    letters, tracks = next(iter(loader))
    assert letters.dtype == "S1"
    assert letters.shape == (4, 1, 4)
    assert torch.is_tensor(tracks)
    assert tracks.shape == (4, 1, 1, 2)


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_worker_processes_make_the_same_batches(context: str) -> None:
    plain, workers = make(), make(2, multiprocessing_context=context, persistent_workers=True)
    # The parent has used threads before it forks, and a worker has no part in epochs.
    expected = [cells(plain) for _ in range(3)]
    assert [cells(workers) for _ in range(2)] == expected[:2]
    workers.load_state_dict({**workers.state_dict(), "epoch": 1, "batch": 2})
    assert cells(workers) == expected[1][2:]
    assert cells(workers) == expected[2]


def test_states_count_what_was_delivered() -> None:
    expected = cells(make()) + cells_of_epoch(1)
    for n_workers in (0, 2):
        loader = make(n_workers)
        assert cells(islice(iter(loader), 4)) == expected[:4]
        state = loader.state_dict()
        assert (state["epoch"], state["batch"]) == (0, 4)
        other = make()
        other.load_state_dict(state)
        other.set_epoch(0)  # as a training loop says that goes on in epoch 0
        assert cells(other) == expected[4:6]
        assert cells(other) == expected[6:]


def cells_of_epoch(epoch: int) -> list[list[int]]:
    loader = make()
    loader.set_epoch(epoch)
    return cells(loader)


def test_every_iteration_is_the_next_epoch() -> None:
    loader = make()
    first = cells(loader)
    cells(islice(iter(loader), 2))
    assert loader.epoch == 1
    assert cells(loader) == cells_of_epoch(2)
    loader.set_epoch(0)
    assert cells(loader) == first


def test_samplers_are_asked_in_this_process() -> None:
    sampler = torch.utils.data.SubsetRandomSampler(range(10), torch.Generator().manual_seed(1))
    twice = torch.utils.data.SubsetRandomSampler(range(10), torch.Generator().manual_seed(1))
    assert sorted(flat(cells(make(sampler=sampler)))) == list(range(10))
    again = make(2, sampler=twice)
    torch_order = list(
        torch.utils.data.SubsetRandomSampler(range(10), torch.Generator().manual_seed(1))
    )
    assert flat(cells(again)) == torch_order
    with pytest.raises(InvalidInputError, match="DistributedSampler"):
        make(sampler=torch.utils.data.DistributedSampler(range(4), 2, 0))


def test_no_thread_is_left() -> None:
    before = set(threading.enumerate())
    batches = iter(make())
    next(batches)
    del batches
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive()


@pytest.mark.parametrize("n_workers", [0, 2])
def test_errors_reach_the_loop(n_workers: int) -> None:
    with pytest.raises(LoaderError, match=r"epoch 0 \(cells .*cell 9 is bad"):
        cells(make(n_workers, bad_cell=9))


@pytest.mark.parametrize(
    "data",
    [
        {"a": np.arange(3), "b": np.array([b"A"])},
        (np.zeros(2, np.float32), [np.ones(1), "text"], None),
    ],
)
def test_numbers_become_tensors(data: Any) -> None:
    converted = as_tensors(data)
    assert type(converted) is type(data)
    if isinstance(data, dict):
        assert torch.equal(converted["a"], torch.arange(3))
        assert converted["b"] is data["b"]
    else:
        assert converted[0].data_ptr() == data[0].ctypes.data
        assert torch.is_tensor(converted[1][0])
        assert converted[1][1:] == ["text"]


def test_in_a_lightning_data_module() -> None:
    pytest.importorskip("pytorch_lightning")
    from bigwig_loader.lightning import GenomicDataModule

    module: Callable[..., Any] = GenomicDataModule
    data = module(train=make(), valid=make())
    data.setup("fit")
    train = data.train_dataloader()
    expected = cells(make())
    assert cells(islice(iter(train), 4)) == expected[:4]
    state = data.state_dict()
    other = module(train=make(2), valid=make())
    other.load_state_dict(state)
    other.setup("fit")
    assert cells(other.train_dataloader()) == expected[4:]
    valid = data.val_dataloader()
    assert cells(valid) == cells(valid) == expected


def test_unknown_options() -> None:
    with pytest.raises(InvalidInputError, match="argument prefetch: unknown"):
        make(prefetch=3)
