"""Epochs over the cells of a data set: order, reading ahead, saving and resuming, ranks."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bigwig_loader.dataset.iterator import BatchIterator
from bigwig_loader.dataset.loader import Prefetcher
from bigwig_loader.dataset.prepared.loader_options import CellOptions, Finish
from bigwig_loader.dataset.state import Progress, check_state, make_state
from bigwig_loader.dataset.stats import LoaderStats, Meter
from bigwig_loader.errors import InvalidInputError, LoaderError
from bigwig_loader.sampling.cells import CellOrder
from bigwig_loader.sampling.ranks import Shard
from bigwig_loader.sampling.rng import check_epoch

# Cells of small batches are drawn for several batches in one call.
MAX_DRAWN = 4096


class CellSource(Protocol):
    """What epochs need of a data set of regions x samples."""

    def batch_of(self, cells: npt.NDArray[np.int64], epoch: int = 0) -> Any:
        """What the cells hold in an epoch; a pure function of both."""
        ...


@dataclass(frozen=True, eq=False)
class CellBatch:
    """One batch.

    Parameters
    ----------
    epoch, index : int
    cells : (B,) int64
        In the order of the rows.
    data : Any
        What is in them; None before it was read.
    """

    epoch: int
    index: int
    cells: npt.NDArray[np.int64]
    data: Any = None

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.cells)


class BatchEpochs(ABC):
    """Where an epoch stands, and what decides its batches.

    What a batch holds depends on (seed, epoch, index) only. Every iteration is an epoch of its
    own: epoch 0 first, then the next one, also after a loop that was left early.

    Parameters
    ----------
    n_examples : int
        Of an epoch.
    options : CellOptions
    fingerprint : mapping
        What else decides what is in the batches, by name.
    seed_given : bool
        Whether the seed is one that was asked for: a saved state cannot replace it then.

    Raises
    ------
    InvalidInputError
        If an epoch would hold no batch.
    """

    def __init__(
        self,
        n_examples: int,
        options: CellOptions,
        fingerprint: Mapping[str, Any],
        seed_given: bool,
    ) -> None:
        self.n_examples = n_examples
        self.options = options
        self.n_batches = options.n_batches(n_examples)
        self.progress = Progress()
        self.meter = Meter()
        self._seed_given = seed_given
        self._fingerprint = {
            **fingerprint,
            "batch_size": options.batch_size,
            "drop_last": options.drop_last,
        }

    @property
    def seed(self) -> int:
        """The seed, given or drawn."""
        return self.options.seed

    @property
    def epoch(self) -> int:
        """The current epoch, which the next or present iteration runs through."""
        return self.progress.epoch

    @property
    def shard(self) -> Shard:
        """Which part of every batch this process makes."""
        return self.options.shard

    def __len__(self) -> int:
        """Batches of an epoch, the same for all processes."""
        return self.n_batches

    def __iter__(self) -> BatchIterator:
        """The next epoch from its beginning; after `load_state_dict`, the rest of that epoch."""
        self.progress = self.progress.following()
        batches = self.batches(self.progress.epoch, self.progress.batch)
        return BatchIterator(batches, self.progress, as_objects=True)  # type: ignore[arg-type]

    def batches(self, epoch: int, first: int = 0, step: int = 1) -> Prefetcher[CellBatch]:
        """Batches first, first + step, ... of any epoch, made ahead in a thread."""
        made = self.make(check_epoch(epoch), first, step)
        return Prefetcher(made, self.options.prefetch, meter=self.meter)

    @abstractmethod
    def make(self, epoch: int, first: int = 0, step: int = 1) -> Iterator[CellBatch]:
        """Those batches, one when it is asked for."""

    @abstractmethod
    def plans(self, epoch: int, first: int = 0, step: int = 1) -> Iterator[Any]:
        """Those batches before anything is read: small, to be sent to a worker process."""

    @abstractmethod
    def read(self, plan: Any) -> CellBatch:
        """The batch of a plan, with its data."""

    def stats(self) -> LoaderStats:
        """What making batches took in this process so far; ``print()`` shows it as a table."""
        return self.meter.snapshot()

    def set_epoch(self, epoch: int) -> None:
        """Go to the beginning of an epoch."""
        self.progress = Progress(check_epoch(epoch))

    def state_dict(self) -> dict[str, Any]:
        """Where the epoch stands, by the batches delivered: a small dictionary for JSON."""
        return self.make_state(self.progress.epoch, self.progress.batch)

    def make_state(self, epoch: int, batch: int) -> dict[str, Any]:
        """The state after `batch` batches of an epoch."""
        return make_state(self.seed, epoch, batch, self._fingerprint)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was called, with the very batches that would have followed.

        Raises
        ------
        InvalidInputError
            If the state is that of a loader that would make other batches.
        """
        seed, epoch, batch = check_state(state, self._fingerprint)
        if seed != self.seed:
            if self._seed_given:
                raise InvalidInputError(
                    f"state: expected seed {self.seed}, which this loader was given; got {seed}"
                )
            self.options = dataclasses.replace(self.options, seed=seed)
        self.progress = Progress(epoch, batch, resumed=True)


class CellEpochs(BatchEpochs):
    """Epochs over the cells of a data set that can give any of them.

    Memory is that of the batches that wait, whatever the number of cells.

    Parameters
    ----------
    source : CellSource
    order : CellOrder
    options : CellOptions
    fingerprint : mapping
        What decides what is in a cell, by name.
    finish : function, optional
        Of what `source` gives; makes what is delivered.
    seed_given : bool
    """

    def __init__(
        self,
        source: CellSource,
        order: CellOrder,
        options: CellOptions,
        fingerprint: Mapping[str, Any],
        finish: Finish | None = None,
        seed_given: bool = True,
    ) -> None:
        decides = {**fingerprint, "order": order.fingerprint()}
        super().__init__(order.n_examples, options, decides, seed_given)
        self.source = source
        self.order = order
        self._finish = finish

    def make(self, epoch: int, first: int = 0, step: int = 1) -> Iterator[CellBatch]:
        """Batches first, first + step, ... of an epoch, one when it is asked for."""
        return map(self.read, self.meter.timed(self.plans(epoch, first, step), "plan"))

    def plans(self, epoch: int, first: int = 0, step: int = 1) -> Iterator[CellBatch]:
        """Those batches before anything is read."""
        wanted = range(first, self.n_batches, step)
        size = max(1, self.options.batch_size // self.shard.world_size)
        at_once, n = max(1, MAX_DRAWN // size), self.n_examples

        def groups() -> Iterator[range]:
            return (wanted[i : i + at_once] for i in range(0, len(wanted), at_once))

        runs = (np.concatenate([self.options.indices(batch, n) for batch in g]) for g in groups())
        drawn = self.order.batches(self.seed, epoch, runs)
        for group, cells in zip(groups(), drawn, strict=True):
            for i, batch in enumerate(group):
                yield CellBatch(epoch, batch, cells[i * size : (i + 1) * size])

    def read(self, plan: CellBatch) -> CellBatch:
        """A batch with its data.

        Raises
        ------
        LoaderError
            If it cannot be made; the original error is ``__cause__``.
        """
        try:
            with self.meter.stage("sequence"):
                data = self.source.batch_of(plan.cells, plan.epoch)
            if self._finish is not None:
                with self.meter.stage("assemble"):
                    data = self._finish(data, plan.cells)
        except Exception as error:
            raise batch_error(plan.epoch, plan.index, plan.cells, error) from error
        return dataclasses.replace(plan, data=data)


def batch_error(
    epoch: int, index: int, cells: npt.NDArray[np.int64], error: Exception
) -> LoaderError:
    """What says which batch could not be made."""
    listed = ", ".join(map(str, cells[:4].tolist())) + (", ..." if len(cells) > 4 else "")
    return LoaderError(
        f"batch {index} of epoch {epoch} (cells {listed}) could not be made: "
        f"{type(error).__name__}: {error}"
    )
