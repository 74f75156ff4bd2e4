"""The order in which an epoch runs through cells: the (region, sample) pairs of a data set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.sampling.digest import digest
from bigwig_loader.sampling.permutation import permute
from bigwig_loader.sampling.rng import Stream

I64: TypeAlias = npt.NDArray[np.int64]
F64: TypeAlias = npt.NDArray[np.float64]

# Regions of one weight share a table of repeats; so many tables are kept.
MAX_TABLES = 64


class CellOrder(Protocol):
    """Which cell every example of an epoch is; cells are counted from 0.

    Attributes
    ----------
    n_examples : int
    """

    @property
    def n_examples(self) -> int: ...

    def batches(self, seed: int, epoch: int, runs: Iterable[I64]) -> Iterator[I64]:
        """Cells of runs of examples.

        Parameters
        ----------
        seed, epoch : int
        runs : iterable of (k,) int64
            Numbers of examples; those of a run are not below those of the run before.
        """
        ...

    def fingerprint(self) -> str:
        """What decides which cells are drawn, apart from the seed."""
        ...


class GridCells:
    """All cells of R regions x K columns (samples, or haplotypes), as often as their weights say.

    A cell is ``region * K + column``. It comes ``rint(region weight * column weight)`` times in an
    epoch: once without weights, never where that is 0. Memory is O(R + K), however many cells
    there are.

    Parameters
    ----------
    n_regions, n_columns : int
    shuffle : bool
        Every epoch in a random order of its own, or in ascending order.
    region_weights : (R,) array-like, optional
    column_weights : (K,) array-like, optional
        Finite, >= 0.
    lane : int
        Orders of the same seed and epoch in different lanes are independent.
    """

    def __init__(
        self,
        n_regions: int,
        n_columns: int,
        shuffle: bool,
        region_weights: npt.ArrayLike | None = None,
        column_weights: npt.ArrayLike | None = None,
        lane: int = 0,
    ) -> None:
        self.n_regions, self.n_columns = int(n_regions), int(n_columns)
        self.shuffle = shuffle
        self.lane = lane
        self._stops: I64 | None = None  # where each region's examples end; None: all weigh 1
        self._tables: dict[int, I64] = {}
        if region_weights is None and column_weights is None:
            self.n_examples = self.n_regions * self.n_columns
            return
        weights = check_weights("region", region_weights, self.n_regions)
        self._columns = check_weights("sample", column_weights, self.n_columns)
        self._weights, self._which = np.unique(weights, return_inverse=True)
        distinct, counts = np.unique(self._columns, return_counts=True)
        per_weight = [int(counts @ _repeats(w, distinct)) for w in self._weights.tolist()]
        if any(n >= 1 << 62 for n in per_weight):
            raise InvalidInputError(
                "argument weights: expected numbers of repeats; got a product of "
                f"{self._weights.max() * distinct.max():g}"
            )
        self._stops = np.cumsum(np.array(per_weight, np.int64)[self._which])
        self.n_examples = int(self._stops[-1]) if len(self._stops) else 0

    def batches(self, seed: int, epoch: int, runs: Iterable[I64]) -> Iterator[I64]:
        """Cells of runs of examples; any runs, in any order."""
        for run in runs:
            yield self.draw(seed, epoch, run)

    def draw(self, seed: int, epoch: int, indices: I64) -> I64:
        """Cells (k,) of examples (k,) of an epoch."""
        if self.shuffle and len(indices):
            indices = permute(
                self.n_examples, indices, seed, epoch, stream=Stream.ORDER, lane=self.lane
            )
        return indices if self._stops is None else self._locate(indices)

    def _locate(self, place: I64) -> I64:
        """The cells that 0..n_examples-1 stand for, in ascending order."""
        assert self._stops is not None
        region = np.searchsorted(self._stops, place, side="right")
        first = np.where(region, self._stops[region - 1], 0)
        column = np.empty(len(place), np.int64)
        weight = self._which[region]
        for w in np.unique(weight).tolist():
            of_weight = weight == w
            table, within = self._table(w), (place - first)[of_weight]
            column[of_weight] = np.searchsorted(table, within, side="right")
        return region * self.n_columns + column

    def _table(self, weight: int) -> I64:
        """Where each column's examples end, in regions of a weight."""
        table = self._tables.get(weight)
        if table is None:
            if len(self._tables) >= MAX_TABLES:
                self._tables.clear()
            table = np.cumsum(_repeats(self._weights[weight], self._columns))
            self._tables[weight] = table
        return table

    def fingerprint(self) -> str:
        """Hash of the shape, the weights, and whether there is a random order."""
        weights = () if self._stops is None else (self._stops, self._columns)
        return digest("GridCells", self.n_regions, self.n_columns, self.shuffle, *weights)


def _repeats(weight: float, others: F64) -> I64:
    return np.rint(weight * others).astype(np.int64)


def check_weights(name: str, weights: npt.ArrayLike | None, n: int) -> F64:
    """Weights (n,) as floats; ones for None.

    Raises
    ------
    InvalidInputError
        Unless they are n numbers that are finite and >= 0.
    """
    if weights is None:
        return np.ones(n)
    given = np.asarray(weights)
    if given.dtype.kind not in "biuf" or given.shape != (n,):
        raise InvalidInputError(
            f"argument weights[{name!r}]: expected {n} numbers, one for each {name}; got "
            f"{given.dtype} of shape {given.shape}"
        )
    given = given.astype(np.float64)
    wrong = ~(np.isfinite(given) & (given >= 0))
    if wrong.any():
        raise InvalidInputError(
            f"argument weights[{name!r}]: expected finite numbers >= 0; got {given[wrong][0]} for "
            f"{name} {int(np.flatnonzero(wrong)[0])}"
        )
    return given


class ListedCells:
    """Given cells, in the order of a list or a sampler; the same list again in every epoch.

    Parameters
    ----------
    cells : iterable of int, with a length
        A sampler that has ``set_epoch`` is told the epoch. One that is no sequence is walked
        through from its beginning in every epoch, also to resume in the middle: then it has to
        give the same order again for the same epoch.
    n_cells : int
        Cells have to be below.
    """

    def __init__(self, cells: Any, n_cells: int) -> None:
        if hasattr(cells, "num_replicas"):
            raise InvalidInputError(
                "argument sampler: expected one of all cells, because every process takes its part "
                f"of each batch by itself (rank, world_size); got a {type(cells).__name__}. Leave "
                "it out, or use shuffle=True"
            )
        if not isinstance(cells, Iterable) or not isinstance(cells, Sized):
            raise InvalidInputError(
                "argument sampler: expected an iterable of cells that has a length; got "
                f"{type(cells).__name__}"
            )
        self.n_cells = n_cells
        self.n_examples = len(cells)
        is_list = isinstance(cells, (Sequence, np.ndarray))
        self._cells: Any = self._checked(cells) if is_list else cells
        self._is_list = is_list

    def _checked(self, cells: Any) -> I64:
        given = np.atleast_1d(np.asarray(cells))
        if given.dtype.kind not in "iu" and len(given):
            raise InvalidInputError(
                f"argument sampler: expected numbers of cells; got {given.dtype} values"
            )
        wrong = (given < -self.n_cells) | (given >= self.n_cells)
        if given.ndim != 1 or wrong.any():
            got = f"shape {given.shape}" if given.ndim != 1 else f"{given[wrong][0]}"
            raise InvalidInputError(
                f"argument sampler: expected cells from 0 to {self.n_cells - 1}, one by one; got "
                f"{got}"
            )
        return given.astype(np.int64) % max(self.n_cells, 1)

    def batches(self, seed: int, epoch: int, runs: Iterable[I64]) -> Iterator[I64]:
        """Cells of runs of examples, in ascending order."""
        if self._is_list:
            for run in runs:
                yield self._cells[run]
            return
        if hasattr(self._cells, "set_epoch"):
            self._cells.set_epoch(epoch)
        walk, n_walked = iter(self._cells), 0
        for run in runs:
            first, stop = int(run.min()), int(run.max()) + 1
            for _ in range(first - n_walked):
                next(walk, None)
            taken = [cell for _, cell in zip(range(stop - first), walk, strict=False)]
            if len(taken) < stop - first:
                raise InvalidInputError(
                    f"argument sampler: expected {self.n_examples} cells, as its length says; got "
                    f"{first + len(taken)}"
                )
            n_walked = stop
            yield self._checked(taken)[run - first]

    def fingerprint(self) -> str:
        """Hash of the list; of a sampler, its type and length."""
        if self._is_list:
            return digest("ListedCells", self._cells)
        return digest("ListedCells", type(self._cells).__qualname__, self.n_examples)


def cell_order(
    n_regions: int,
    n_samples: int,
    shuffle: bool,
    weights: Mapping[str, npt.ArrayLike] | None,
    sampler: Any,
) -> CellOrder:
    """The order that a data set's caller asks for.

    Parameters
    ----------
    n_regions, n_samples : int
    shuffle : bool
    weights : mapping, optional
        ``"region"`` and ``"sample"`` to as many weights; see `GridCells`.
    sampler : iterable of int, optional
        See `ListedCells`.

    Raises
    ------
    InvalidInputError
        If two rules contradict each other, or a weight is of something else.
    """
    if sampler is None:
        given = dict(weights or {})
        unknown = [name for name in given if name not in ("region", "sample")]
        if unknown:
            raise InvalidInputError(
                f"argument weights: expected 'region' and 'sample' as names; got {unknown[0]!r}"
            )
        return GridCells(n_regions, n_samples, shuffle, given.get("region"), given.get("sample"))
    if shuffle or weights is not None:
        raise InvalidInputError(
            "argument sampler: expected None with shuffle or weights, which say themselves which "
            f"cells come when; got a {type(sampler).__name__}"
        )
    return ListedCells(sampler, n_regions * n_samples)
