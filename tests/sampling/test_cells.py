"""Orders of cells: each as often as its weight says, the same whenever it is asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.sampling.cells import GridCells, ListedCells, cell_order

weights = st.lists(st.floats(0, 3), min_size=1, max_size=6)


@given(regions=weights, samples=weights, shuffle=st.booleans(), seed=st.integers(0, 2**64 - 1))
def test_each_cell_comes_as_often_as_its_weights_say(
    regions: list[float], samples: list[float], shuffle: bool, seed: int
) -> None:
    order = GridCells(len(regions), len(samples), shuffle, regions, samples)
    expected: list[int] = []
    for r, of_region in enumerate(regions):
        for s, of_sample in enumerate(samples):
            expected += [r * len(samples) + s] * round(of_region * of_sample)
    assert order.n_examples == len(expected)
    drawn = order.draw(seed, 3, np.arange(order.n_examples)).tolist()
    assert (sorted(drawn) if shuffle else drawn) == expected


def test_without_weights_an_epoch_has_every_cell_once() -> None:
    order = GridCells(50, 20, shuffle=True)
    epochs = [order.draw(1, epoch, np.arange(1000)).tolist() for epoch in range(3)]
    assert all(sorted(epoch) == list(range(1000)) for epoch in epochs)
    assert len(set(map(tuple, epochs))) == 3
    lane = GridCells(50, 20, shuffle=True, lane=1).draw(1, 0, np.arange(1000)).tolist()
    assert sorted(lane) == list(range(1000))
    assert lane != epochs[0]


def test_ten_thousand_million_cells_need_no_memory() -> None:
    order = GridCells(100_000, 100_000, shuffle=True)
    cells = order.draw(1, 0, np.arange(4_000_000_000, 4_000_001_000))
    assert len(set(cells.tolist())) == 1000
    assert cells.min() < 1 << 31
    assert cells.max() > 1 << 32
    weighted = GridCells(100_000, 100_000, True, np.arange(100_000) % 3, np.arange(100_000) % 2)
    assert weighted.n_examples == 99_999 * 50_000
    region, sample = np.divmod(weighted.draw(1, 0, np.arange(1000)), 100_000)
    assert (region % 3).min() == 1
    assert (sample % 2 == 1).all()
    twice = Counter((region % 3).tolist())
    assert 0.55 < twice[2] / 1000 < 0.78  # two of three


class Walked:
    """A sampler that is no sequence; it counts backwards, from a place that the epoch sets."""

    epoch = 0

    def __len__(self) -> int:
        return 10

    def __iter__(self) -> Iterator[int]:
        return iter([(self.epoch - i) % 10 for i in range(10)])

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch


class Short(Walked):
    def __iter__(self) -> Iterator[int]:
        return iter([1, 2, 3])


@pytest.mark.parametrize("runs", [[(0, 4), (4, 8), (8, 10)], [(3, 5), (9, 10)], [(9, 10)]])
def test_samplers_are_walked_through(runs: list[tuple[int, int]]) -> None:
    walked = ListedCells(Walked(), 10)
    listed = ListedCells([(4 - i) % 10 for i in range(10)], 10)
    indices = [np.arange(*run) for run in runs]
    got = [cells.tolist() for cells in walked.batches(0, 4, indices)]
    assert got == [cells.tolist() for cells in listed.batches(0, 9, indices)]
    assert got == [[(4 - i) % 10 for i in run.tolist()] for run in indices]


def test_what_is_no_order() -> None:
    with pytest.raises(InvalidInputError, match="shuffle"):
        cell_order(2, 2, True, None, [0, 1])
    with pytest.raises(InvalidInputError, match="'ploid'"):
        cell_order(2, 2, True, {"ploid": [1, 1]}, None)
    with pytest.raises(InvalidInputError, match="2 numbers, one for each region"):
        cell_order(2, 2, True, {"region": [1, 1, 1]}, None)
    with pytest.raises(InvalidInputError, match=r"got -1\.0 for sample 1"):
        cell_order(2, 2, True, {"sample": [1, -1]}, None)
    with pytest.raises(InvalidInputError, match="from 0 to 3"):
        cell_order(2, 2, False, None, [4])
    with pytest.raises(InvalidInputError, match="has a length"):
        cell_order(2, 2, False, None, iter([1]))
    short = cell_order(5, 2, False, None, Short()).batches(0, 0, [np.arange(4)])
    with pytest.raises(InvalidInputError, match="10 cells, as its length says; got 3"):
        next(short)
