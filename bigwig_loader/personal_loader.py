"""Torch loaders of cells: what `Dataset.to_dataloader` and `GVL.torch_dataloader` return."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, DistributedSampler
from torch.utils.data import Dataset as TorchDataset

from bigwig_loader.dataset.iterator import Delivered
from bigwig_loader.dataset.prepared.dataset import PreparedDataset
from bigwig_loader.dataset.prepared.epochs import BatchEpochs, CellBatch
from bigwig_loader.dataset.state import DrawnSeed, Progress
from bigwig_loader.dataset.stats import LoaderStats
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.peak_loader import EpochIndexed
from bigwig_loader.pytorch import is_distributed, shared_seed
from bigwig_loader.ragged import Ragged
from bigwig_loader.sampling.ranks import Shard
from bigwig_loader.sampling.rng import check_seed, new_seed
from bigwig_loader.torch_arrays import to_tensor
from bigwig_loader.types import check_not_negative

# The options of a DataLoader that say how its worker processes are run.
WORKER_OPTIONS = (
    "timeout",
    "worker_init_fn",
    "multiprocessing_context",
    "prefetch_factor",
    "persistent_workers",
)


def as_tensors(data: Any) -> Any:
    """Arrays of numbers as tensors that share their memory, also within what holds several.

    Anything else stays as it is: letters (S1), ragged arrays, strings.
    """
    if isinstance(data, Mapping):
        return {name: as_tensors(value) for name, value in data.items()}
    if isinstance(data, tuple):
        parts = [as_tensors(part) for part in data]
        return type(data)(*parts) if hasattr(data, "_fields") else tuple(parts)
    if isinstance(data, list):
        return [as_tensors(part) for part in data]
    if dataclasses.is_dataclass(data) and not isinstance(data, type):
        named = {f.name: as_tensors(getattr(data, f.name)) for f in dataclasses.fields(data)}
        return dataclasses.replace(data, **named)
    return to_tensor(data) if isinstance(data, np.ndarray) else data


def pinned(data: Any) -> Any:
    """The same with tensors in page-locked memory."""
    if isinstance(data, Mapping):
        return {name: pinned(value) for name, value in data.items()}
    if isinstance(data, tuple):
        parts = [pinned(part) for part in data]
        return type(data)(*parts) if hasattr(data, "_fields") else tuple(parts)
    if isinstance(data, list):
        return [pinned(part) for part in data]
    return data.pin_memory() if torch.is_tensor(data) else data


def choose_seed(seed: int | None, shard: Shard) -> tuple[int, bool]:
    """A seed, and whether it was given.

    Raises
    ------
    InvalidInputError
        If several processes would each draw their own.
    """
    if seed is not None:
        return check_seed(seed), not isinstance(seed, DrawnSeed)
    if shard.world_size > 1:
        if not is_distributed():
            raise InvalidInputError(
                f"argument seed: expected a number, the same for all {shard.world_size} processes, "
                "because they share every batch; got None, with which each would draw its own"
            )
        return shared_seed(), False
    return new_seed(), False


def to_nested_tensor(ragged: Ragged[Any]) -> torch.Tensor:
    """Rows of different lengths as a nested (jagged) tensor that shares their memory.

    Parameters
    ----------
    ragged : Ragged
        Of numbers; all axes before the ragged one become one.

    Raises
    ------
    InvalidInputError
        For letters (S1), which torch has no dtype for.
    """
    values = as_tensors(np.ascontiguousarray(ragged.data))
    if not torch.is_tensor(values):
        raise InvalidInputError(
            f"nested tensor: expected rows of numbers; got {ragged.dtype}. Use another encoding, "
            "or view the letters as uint8"
        )
    return torch.nested.nested_tensor_from_jagged(values, torch.from_numpy(ragged.offsets))


class Finish:
    """What a data set gives for cells: with indices, transformed, as tensors."""

    def __init__(
        self, dataset: PreparedDataset, return_indices: bool, transform: Callable[..., Any] | None
    ) -> None:
        self._dataset = dataset
        self._return_indices = return_indices
        self._transform = transform

    def __call__(self, data: Any, cells: npt.NDArray[np.int64]) -> Any:
        if self._return_indices:
            full = self._dataset.full_cells(cells)
            parts = data if isinstance(data, tuple) else (data,)
            data = (*parts, *np.divmod(full, self._dataset.full_shape[1]))
        if self._transform is not None:
            data = self._transform(*data) if isinstance(data, tuple) else self._transform(data)
        return as_tensors(data)


class CellExamples(EpochIndexed):
    """The cells of a data set for torch, one by one or in batches; `set_epoch` says of which epoch.

    Parameters
    ----------
    dataset : PreparedDataset
    finish : function
        Of a batch and its cells.
    """

    def __init__(
        self, dataset: PreparedDataset, finish: Callable[[Any, npt.NDArray[np.int64]], Any]
    ) -> None:
        super().__init__()
        self.dataset = dataset
        self._finish = finish

    def __len__(self) -> int:
        """Cells."""
        return self.dataset.n_cells

    def __getitem__(self, index: Any) -> Any:
        """A cell for a number; a batch for several."""
        n = len(self)
        cells = np.asarray(index)
        if cells.dtype.kind not in "iu" or cells.ndim > 1:
            raise TypeError(f"index of cells: expected an int, or several; got {index!r}")
        if cells.size and not (-n <= cells.min() and cells.max() < n):
            raise IndexError(f"index of cells: expected 0 to {n - 1}; got {index!r}")
        rows = np.atleast_1d(cells).astype(np.int64) % n
        batch = self._finish(self.dataset.batch_of(rows, self.epoch), rows)
        return batch if cells.ndim else _first(batch)


def _first(data: Any) -> Any:
    """The only example of a batch."""
    if isinstance(data, Mapping):
        return {name: _first(part) for name, part in data.items()}
    if isinstance(data, (tuple, list)):
        return type(data)(map(_first, data))
    return data[0]


class PlannedBatches(TorchDataset[Any]):
    """Plans to batches; what a worker process gets a copy of."""

    def __init__(self, epochs: BatchEpochs) -> None:
        self._epochs = epochs

    def __len__(self) -> int:
        """Examples of an epoch."""
        return self._epochs.n_examples

    def __getitem__(self, plan: Any) -> Any:
        return self._epochs.read(plan).data


class PlanSampler(DistributedSampler[Any]):
    """The plans of the rest of an epoch, one for each batch of this rank."""

    def __init__(self, epochs: BatchEpochs) -> None:
        shard = epochs.shard
        # A DistributedSampler, so that frameworks that shard loaders themselves leave it alone.
        super().__init__(
            range(epochs.n_batches),  # type: ignore[arg-type]
            num_replicas=shard.world_size,
            rank=shard.rank,
            shuffle=False,
        )
        self._epochs = epochs
        self.start = Progress()

    def __len__(self) -> int:
        """Batches of an epoch."""
        return self._epochs.n_batches

    def __iter__(self) -> Iterator[Any]:
        return self._epochs.plans(self.start.epoch, self.start.batch)

    def set_epoch(self, epoch: int) -> None:
        """Nothing: the loader says which epoch it is."""


class CellLoader(DataLoader[Any]):
    """A DataLoader of batches that resumes, shares batches out, and repeats itself exactly.

    Every iteration is the next epoch, also after a loop that was left early. Batches are made
    ahead in a background thread, whose work needs no interpreter lock; with `num_workers` of 2 or
    more, in as many processes (fork or spawn). The batches are the same.

    Parameters
    ----------
    epochs : BatchEpochs
    num_workers : int
        0 and 1 are the thread.
    pin_memory : bool
        Without effect where there is no CUDA.
    **options
        How worker processes are run; see `torch.utils.data.DataLoader`: timeout, worker_init_fn,
        multiprocessing_context, prefetch_factor, persistent_workers. Without effect on the thread.
    """

    def __init__(
        self, epochs: BatchEpochs, num_workers: int = 0, pin_memory: bool = False, **options: Any
    ) -> None:
        check_not_negative("num_workers", num_workers)
        for name in options:
            if name not in WORKER_OPTIONS:
                raise InvalidInputError(
                    f"argument {name}: unknown; expected one of {', '.join(WORKER_OPTIONS)}"
                )
        # One worker makes batches beside the training loop, and that is what the thread does,
        # without copying them out of another process.
        n_processes = num_workers if num_workers > 1 else 0
        self._epochs = epochs
        super().__init__(
            PlannedBatches(epochs),
            batch_size=None,
            sampler=PlanSampler(epochs),
            num_workers=n_processes,
            collate_fn=_as_it_is,
            pin_memory=pin_memory and torch.cuda.is_available(),
            **(options if n_processes else {}),
        )

    @property
    def seed(self) -> int:
        """The seed of the order, given or drawn."""
        return self._epochs.seed

    @property
    def epoch(self) -> int:
        """The current epoch, which the next or present iteration runs through."""
        return self._epochs.epoch

    @property
    def shard(self) -> Shard:
        """Which part of every batch this process makes."""
        return self._epochs.shard

    def __len__(self) -> int:
        """Batches of an epoch, the same for all ranks."""
        return self._epochs.n_batches

    def __iter__(self) -> Any:
        """The next epoch from its beginning; after `load_state_dict`, the rest of that epoch."""
        progress = self._epochs.progress = self._epochs.progress.following()
        if progress.batch >= len(self):
            self._epochs.progress = Progress(progress.epoch + 1)
            return iter(())
        if self.num_workers == 0:
            return Delivered(self._in_thread(progress), progress)
        assert isinstance(self.sampler, PlanSampler)
        self.sampler.start = Progress(progress.epoch, progress.batch)
        return Delivered(super().__iter__(), progress)

    def _in_thread(self, progress: Progress) -> Iterator[Any]:
        made = self._epochs.batches(progress.epoch, progress.batch)
        return _Data(made, pinned if self.pin_memory else None)

    def set_epoch(self, epoch: int) -> None:
        """Go to the beginning of an epoch; a resumed epoch goes on where it stands."""
        progress = self._epochs.progress
        if not (progress.resumed and progress.epoch == epoch):
            self._epochs.set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        """Where the epoch stands, by the batches delivered: a small dictionary for JSON."""
        return self._epochs.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where the state was saved, with the very batches that would have followed.

        Raises
        ------
        InvalidInputError
            If it is the state of a loader that makes other batches.
        """
        self._epochs.load_state_dict(state)

    def stats(self) -> LoaderStats:
        """What making batches took in this process; worker processes cannot be seen from here."""
        return self._epochs.stats()


class _Data(Iterator[Any]):
    """The data of batches, without a generator that would outlive its loop."""

    def __init__(
        self, batches: Iterator[CellBatch], pin: Callable[[Any], Any] | None = None
    ) -> None:
        self._batches = batches
        self._pin = pin

    def __next__(self) -> Any:
        data = next(self._batches).data
        return data if self._pin is None else self._pin(data)


def _as_it_is(batch: Any) -> Any:
    return batch
