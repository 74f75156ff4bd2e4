"""A torch DataLoader of peaks and background regions; `bigwig_loader.io.PeakGenerator` makes it."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, DistributedSampler, get_worker_info

from bigwig_loader.assemble.batch import Batch
from bigwig_loader.dataset.peaks import PeakDataset
from bigwig_loader.dataset.state import Progress
from bigwig_loader.dataset.stats import LoaderStats
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.sampling.rng import check_epoch
from bigwig_loader.torch_arrays import consumer_stream, pinned, to_tensor
from bigwig_loader.torch_workers import check_no_worker
from bigwig_loader.types import check_not_negative

Index = int | tuple[int, int]


class EpochIndexed(Dataset[Any]):
    """What a map-style data set needs to know which epoch ``ds[i]`` is of.

    An index is a number, an example of the epoch of `set_epoch`, or (epoch, number). Indexing
    never changes the epoch.
    """

    def __init__(self) -> None:
        # In shared memory, so that worker processes that live on see `set_epoch`.
        self._epoch = torch.zeros(1, dtype=torch.int64)
        self._epoch.share_memory_()  # type: ignore[no-untyped-call]

    @property
    def epoch(self) -> int:
        """The epoch that plain indices are of."""
        return int(self._epoch.item())

    def set_epoch(self, epoch: int) -> None:
        """Make plain indices those of another epoch; also in worker processes."""
        self._epoch[0] = check_epoch(epoch)

    def split(self, index: Index, n_examples: int) -> tuple[int, int]:
        """Epoch and number of an index; negative numbers count from the end.

        Raises
        ------
        IndexError
            If there is no such example.
        TypeError
            If it is not a whole number.
        """
        epoch, number = index if isinstance(index, tuple) else (self.epoch, index)
        number = operator.index(number)
        if not -n_examples <= number < n_examples:
            raise IndexError(f"index of an example: expected 0 to {n_examples - 1}; got {number}")
        return check_epoch(epoch), number % n_examples


class ExampleList(Sequence[Any]):
    """The examples of one batch, each a tuple of its parts; `batch` is the batch they are from.

    What `PeakExamples` gives for several indices: a DataLoader of one's own collates the examples,
    and `PeakLoader` takes the batch as it was read.
    """

    def __init__(self, batch: tuple[Any, ...]) -> None:
        self.batch = batch

    def __len__(self) -> int:
        return len(self.batch[0])

    def __getitem__(self, number: Any) -> Any:
        return tuple(_part_of(part, number) for part in self.batch)


class PeakExamples(EpochIndexed):
    """The examples of a `PeakDataset`, for a DataLoader that makes the batches.

    ``len(examples)`` is the number of examples of an epoch; ``examples[i]`` is
    ``(X, [X_ctl,] y, [counts,] label, [coordinates])``, and depends on (random_state, epoch, i)
    only. ``examples[(epoch, i)]`` names the epoch.

    Parameters
    ----------
    dataset : PeakDataset
    return_coordinates : bool
        Whether examples end with a dictionary of where they come from.
    """

    def __init__(self, dataset: PeakDataset, return_coordinates: bool = False) -> None:
        super().__init__()
        self.dataset = dataset
        self.return_coordinates = return_coordinates

    @property
    def n_peaks(self) -> int:
        """Peaks that are kept."""
        return self.dataset.n_peaks

    @property
    def n_negatives(self) -> int:
        """Background regions that are kept."""
        return self.dataset.n_negatives

    @property
    def reasons(self) -> Any:
        """The reason table; see `PeakDataset.reasons`."""
        return self.dataset.reasons

    def stats(self) -> LoaderStats:
        """What making batches took in this process; see `PeakDataset.stats`."""
        return self.dataset.stats()

    def __len__(self) -> int:
        return self.dataset.n_examples

    def __getitem__(self, index: Index) -> Any:
        epoch, number = self.split(index, len(self))
        return self._read(epoch, [number])[0]

    def __getitems__(self, indices: Sequence[Index]) -> ExampleList:
        """Several examples, all of one epoch, read at once."""
        where = [self.split(index, len(self)) for index in indices]
        epochs = {epoch for epoch, _ in where}
        if len(epochs) != 1:
            raise InvalidInputError(
                f"batch of examples: expected indices of one epoch; got epochs {sorted(epochs)}"
            )
        numbers = [number for _, number in where]
        return self._read(epochs.pop(), numbers)

    def _read(self, epoch: int, numbers: list[int]) -> ExampleList:
        if get_worker_info() is not None:
            check_no_worker(self.dataset)
        return ExampleList(self.as_tuple(self.dataset.read_batch(epoch, numbers)))

    def as_tuple(self, batch: Batch) -> tuple[Any, ...]:
        """A batch as tensors, in the order that training loops take them apart.

        All are on the device that makes the batches, but for coordinates.
        """
        parts = [batch.sequences, batch.controls, batch.values, batch.counts]
        tensors = [to_tensor(part) for part in parts if part is not None]
        stream = consumer_stream(tensors)
        if stream is not None:
            self.dataset.hand_over(batch, stream)
        if batch.values is not None:
            tensors.append(to_tensor(batch.labels).to(tensors[0].device))
        if self.return_coordinates:
            tensors.append(_coordinates(batch))
        return tuple(tensors)


def _part_of(part: Any, number: int) -> Any:
    """What one example has of a part of a batch."""
    if isinstance(part, dict):
        return {name: value[number] for name, value in part.items()}
    return part[number] if part.ndim > 1 else part[number].item()


def _coordinates(batch: Batch) -> dict[str, Any]:
    assert batch.chromosomes is not None
    arrays = {
        "start": batch.starts,
        "end": batch.ends,
        "reverse": batch.reverse,
        "jitter": batch.jitter,
        "source": batch.sources,
        "row": batch.regions,
    }
    return {
        "chrom": batch.chromosomes.tolist(),
        **{name: to_tensor(array) for name, array in arrays.items()},
    }


class PeakSampler(DistributedSampler[Any]):
    """The examples of one rank, batch after batch, as (epoch, index) pairs.

    Every iteration is the next epoch, unless `set_epoch` or `start_at` said otherwise. A global
    batch is the same for any number of ranks; each takes a contiguous part of it.

    Parameters
    ----------
    dataset : PeakDataset
    """

    def __init__(self, dataset: PeakDataset) -> None:
        shard = dataset.shard
        # A DistributedSampler, so that frameworks that shard loaders themselves leave it alone.
        examples = range(dataset.n_examples)
        super().__init__(
            examples,  # type: ignore[arg-type]
            num_replicas=shard.world_size,
            rank=shard.rank,
            shuffle=False,
        )
        self._peaks = dataset
        self.progress = Progress()
        # Whether the loader counts what it delivers; else what is drawn counts as delivered.
        self.counted_by_loader = False

    def set_epoch(self, epoch: int) -> None:
        """Go to the beginning of an epoch; a resumed epoch goes on where it stands."""
        if self.progress.following().epoch != check_epoch(epoch):
            self.progress = Progress(epoch)

    def start_at(self, epoch: int, batch: int) -> None:
        """Go to a batch of an epoch."""
        self.progress = Progress(epoch, batch, resumed=True)

    def state_dict(self) -> dict[str, int]:
        """Where the epoch stands; what torchdata's `StatefulDataLoader` saves."""
        return {"epoch": self.progress.epoch, "batch": self.progress.batch}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on where the state was saved."""
        self.start_at(state["epoch"], state["batch"])

    def begin(self) -> Progress:
        """Go to where the next iteration starts."""
        self.progress = self.progress.following()
        return self.progress

    def __len__(self) -> int:
        """Examples of an epoch that this rank makes."""
        whole = self._peaks.n_batches - 1
        return whole * len(self._peaks.indices(0)) + len(self._peaks.indices(whole))

    def __iter__(self) -> Iterator[tuple[int, int]]:
        progress = self.progress if self.counted_by_loader else self.begin()
        epoch = progress.epoch
        for batch in range(progress.batch, self._peaks.n_batches):
            indices = self._peaks.indices(batch).tolist()
            for n, i in enumerate(indices, start=1):
                # Before the last of a batch is handed out: whoever holds the batch asks then.
                if n == len(indices) and not self.counted_by_loader:
                    progress.batch = batch + 1
                yield epoch, i
        if not self.counted_by_loader:
            progress.epoch, progress.batch = epoch + 1, 0


def _whole(examples: Any) -> Any:
    """The batch that examples are from."""
    return examples.batch


class PeakLoader(DataLoader[Any]):
    """A DataLoader of a peak loader's batches; made by `PeakGenerator`.

    Every iteration is the next epoch. Batches are made ahead in a background thread, whose reading
    needs no interpreter lock; with ``num_workers`` of 2 or more in as many processes. The batches
    are the same.

    Parameters
    ----------
    dataset : PeakDataset
    num_workers : int
    pin_memory : bool
        Without effect where there is no CUDA, and on tensors that are on a GPU already.
    return_coordinates : bool

    Raises
    ------
    BackendUnavailableError
        For worker processes where batches are made on a GPU.

    Attributes
    ----------
    dataset : PeakExamples
    """

    def __init__(
        self, dataset: PeakDataset, num_workers: int, pin_memory: bool, return_coordinates: bool
    ) -> None:
        check_not_negative("num_workers", num_workers)
        # One worker makes batches beside the training loop, and that is what the thread does,
        # without copying them out of another process.
        n_processes = num_workers if num_workers > 1 else 0
        if n_processes:
            check_no_worker(dataset)
        sampler = PeakSampler(dataset)
        sampler.counted_by_loader = True
        super().__init__(
            PeakExamples(dataset, return_coordinates),
            batch_size=dataset.batch_size // dataset.shard.world_size,
            sampler=sampler,
            num_workers=n_processes,
            collate_fn=_whole,
            pin_memory=pin_memory and torch.cuda.is_available(),
            persistent_workers=n_processes > 0,
        )
        self._peaks = dataset

    @property
    def _progress(self) -> Progress:
        assert isinstance(self.sampler, PeakSampler)
        return self.sampler.progress

    @property
    def epoch(self) -> int:
        """The current epoch, which the next or present iteration runs through."""
        return self._progress.epoch

    def __len__(self) -> int:
        """Batches of an epoch, the same for all ranks."""
        return self._peaks.n_batches

    def __iter__(self) -> Any:
        """The next epoch from its beginning; after `load_state_dict`, the rest of that epoch."""
        assert isinstance(self.sampler, PeakSampler)
        progress = self.sampler.begin()
        if progress.batch >= self._peaks.n_batches:
            return iter(())
        return self._deliver(progress)

    def _deliver(self, progress: Progress) -> Iterator[Any]:
        for batch in self._in_thread(progress) if self.num_workers == 0 else super().__iter__():
            progress.batch += 1
            yield batch
        progress.epoch, progress.batch = progress.epoch + 1, 0

    def _in_thread(self, progress: Progress) -> Iterator[Any]:
        examples = self.dataset
        assert isinstance(examples, PeakExamples)
        for batch in self._peaks.batches(progress.epoch, progress.batch):
            tensors = examples.as_tuple(batch)
            yield tuple(map(_pin, tensors)) if self.pin_memory else tensors

    def set_epoch(self, epoch: int) -> None:
        """Go to the beginning of an epoch."""
        self.sampler.set_epoch(epoch)  # type: ignore[attr-defined]

    def state_dict(self) -> dict[str, Any]:
        """Where the epoch stands, by the batches delivered: a small dictionary."""
        return self._peaks.make_state(self._progress.epoch, self._progress.batch)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where the state was saved, with the very batches that would have followed.

        Raises
        ------
        InvalidInputError
            If it is the state of a loader that makes other batches.
        """
        self.sampler.start_at(*self._peaks.check_state(state))  # type: ignore[attr-defined]

    def stats(self) -> LoaderStats:
        """What making batches took in this process; see `PeakDataset.stats`."""
        return self._peaks.stats()


def _pin(part: Any) -> Any:
    if isinstance(part, dict):
        return {name: _pin(value) for name, value in part.items()}
    return pinned(part)
