"""A data set of cells that says what it was asked for, and transforms of it; can be pickled."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt


class FakeCells:
    """Letters (B, 1, 4) and tracks (B, 1, 1, 2): the cell and the epoch."""

    def __init__(self, n_regions: int = 7, n_samples: int = 3, bad_cell: int = -1) -> None:
        self.full_shape = self.shape = (n_regions, n_samples)
        self.n_cells = n_regions * n_samples
        self.bad_cell = bad_cell

    def batch_of(self, cells: npt.NDArray[np.int64], epoch: int = 0) -> tuple[Any, Any]:
        if self.bad_cell in cells.tolist():
            raise ValueError(f"cell {self.bad_cell} is bad")
        letters = np.array([f"{c:04d}" for c in cells.tolist()], "S4").view("S1")
        tracks = np.stack([cells, np.full(len(cells), epoch)], axis=1).astype(np.float64)
        return letters.reshape(-1, 1, 4), tracks.reshape(-1, 1, 1, 2)

    def full_cells(self, cells: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return np.asarray(cells, np.int64)

    def fingerprint(self) -> str:
        return f"fake {self.shape}"


def cells_of(batch: Any) -> list[int]:
    """Which cells a batch of `FakeCells` holds."""
    return [int(cell) for cell in np.asarray(batch[1])[:, 0, 0, 0]]


def flat(batches: Iterable[Iterable[int]]) -> list[int]:
    """All cells of several batches."""
    return list(chain.from_iterable(batches))
