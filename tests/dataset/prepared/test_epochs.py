"""Epochs of cells: pure in (seed, epoch, index), resumed and shared out exactly."""

from __future__ import annotations

import json
from itertools import islice
from typing import Any

import numpy as np
import pytest

from bigwig_loader.dataset.prepared.epochs import CellEpochs
from bigwig_loader.dataset.prepared.loader_options import CellOptions
from bigwig_loader.errors import InvalidInputError, LoaderError
from bigwig_loader.sampling.cells import GridCells
from bigwig_loader.sampling.ranks import Shard
from tests.helpers.fake_cells import FakeCells, cells_of, flat


def make(shuffle: bool = True, seed_given: bool = True, **options: Any) -> CellEpochs:
    source = options.pop("source", None) or FakeCells()
    options = {"seed": 5, "batch_size": 4, **options}
    order = GridCells(*source.shape, shuffle)
    fingerprint = {"dataset": source.fingerprint()}
    return CellEpochs(source, order, CellOptions(**options), fingerprint, seed_given=seed_given)


def cells(epochs: Any) -> list[list[int]]:
    result = []
    for batch in epochs:
        assert cells_of(batch.data) == batch.cells.tolist()
        assert (np.asarray(batch.data[1])[..., 1] == batch.epoch).all()
        result.append(batch.cells.tolist())
    return result


def test_an_epoch_has_every_cell_once() -> None:
    epochs = make()
    assert len(epochs) == 6
    first, second = cells(epochs), cells(epochs)
    assert [len(batch) for batch in first] == [4, 4, 4, 4, 4, 1]
    assert sorted(flat(first)) == sorted(flat(second)) == list(range(21))
    assert first != second
    assert [len(batch) for batch in cells(make(drop_last=True))] == [4] * 5
    assert flat(cells(make(shuffle=False))) == list(range(21))


@pytest.mark.parametrize("how", [{"prefetch": 0}, {"prefetch": 9}])
def test_batches_do_not_depend_on_how_they_are_made(how: dict[str, Any]) -> None:
    one, other = make(**how), make()
    assert [cells(one) for _ in range(3)] == [cells(other) for _ in range(3)]
    assert cells(one.batches(1, 1, 3)) == cells(other.batches(1))[1::3]


def test_batches_of_epochs_of_many_cells() -> None:
    epochs = make(source=FakeCells(200_000, 50_000), batch_size=32)
    assert len(epochs) == 312_500_000
    some = cells(islice(epochs.batches(0, 300_000_000), 200))
    assert some == cells(islice(epochs.batches(0, 300_000_000), 200))
    assert len(set(flat(some))) == 6400


@pytest.mark.parametrize("done", [0, 1, 5, 6, 7, 14])
def test_resuming(done: int) -> None:
    straight = make()
    expected = [batch for _ in range(4) for batch in cells(straight)]
    epoch, batch = divmod(done, 6)
    epochs = make()
    for _ in range(epoch):
        cells(epochs)
    if batch:
        cells(islice(iter(epochs), batch))
    text = json.dumps(epochs.state_dict())
    other = make(prefetch=0)
    other.load_state_dict(json.loads(text))
    assert (other.epoch, other.state_dict()) == (epoch, epochs.state_dict())
    assert cells(other) == expected[done : 6 * (epoch + 1)]
    assert cells(other) == expected[6 * (epoch + 1) :][:6]


def test_leaving_early_and_choosing_epochs() -> None:
    epochs = make()
    all_epochs = [cells(epochs) for _ in range(3)]
    epochs.set_epoch(0)
    cells(islice(iter(epochs), 2))
    assert cells(epochs) == all_epochs[1]
    epochs.set_epoch(2)
    assert cells(epochs) == all_epochs[2]


@pytest.mark.parametrize("world_size", [1, 2, 4])
@pytest.mark.parametrize("uneven", ["pad", "drop"])
def test_ranks_share_every_batch(world_size: int, uneven: str) -> None:
    options = {"uneven": uneven}
    whole = cells(make())
    ranks = [cells(make(shard=Shard(rank, world_size), **options)) for rank in range(world_size)]
    joined = [flat(parts) for parts in zip(*ranks, strict=True)]
    assert joined[:5] == whole[:5]
    if world_size == 1 or uneven == "pad":
        assert joined[5] == whole[5] * world_size
    else:
        assert len(joined) == 5


def test_a_state_of_other_batches_is_refused() -> None:
    state = make().state_dict()
    for other in (make(batch_size=5), make(shuffle=False), make(source=FakeCells(8))):
        with pytest.raises(InvalidInputError, match="other batches"):
            other.load_state_dict(state)
    with pytest.raises(InvalidInputError, match="seed 6"):
        make(seed=6).load_state_dict(state)
    drawn = make(seed=6, seed_given=False)
    drawn.load_state_dict(state)
    assert drawn.seed == 5
    assert cells(drawn) == cells(make())


def test_errors_come_with_their_batch() -> None:
    epochs = make(source=FakeCells(bad_cell=9), shuffle=False)
    batches = iter(epochs)
    assert [len(next(batches)) for _ in range(2)] == [4, 4]
    for _ in range(2):
        with pytest.raises(LoaderError, match=r"batch 2 of epoch 0 \(cells 8, 9, 10, 11\).*is bad"):
            next(batches)


def test_no_batch() -> None:
    with pytest.raises(InvalidInputError, match="got 21 for batch_size=32"):
        make(batch_size=32, drop_last=True)


def test_stats() -> None:
    epochs = make()
    cells(epochs)
    stats = epochs.stats()
    assert (stats.n_batches, stats.n_examples) == (6, 21)
    assert stats.seconds["sequence"] > 0
