"""The iterator behind ``iter(dataset)``: delivers batches and keeps count of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bigwig_loader.assemble.batch import Batch
from bigwig_loader.dataset.loader import Prefetcher
from bigwig_loader.dataset.state import Progress


class Delivered(Iterator[Any]):
    """Counts what is delivered of an epoch.

    Parameters
    ----------
    batches : iterator
    progress : Progress
        Counts the batches; moves to the next epoch at the end.
    """

    def __init__(self, batches: Iterator[Any], progress: Progress) -> None:
        self._batches = batches
        self._progress = progress
        self._ended = False

    def __next__(self) -> Any:
        try:
            batch = next(self._batches)
        except StopIteration:
            if not self._ended:
                self._ended = True
                self._progress.epoch += 1
                self._progress.batch = 0
            raise
        self._progress.batch += 1
        return batch


class BatchIterator(Delivered):
    """The rest of one epoch. Dropping it ends its background thread.

    Parameters
    ----------
    batches : Prefetcher of Batch
    progress : Progress
    as_objects : bool
        Deliver `Batch` objects, not tuples.
    """

    _batches: Prefetcher[Batch]

    def __init__(self, batches: Prefetcher[Batch], progress: Progress, as_objects: bool) -> None:
        super().__init__(batches, progress)
        self._as_objects = as_objects

    def __next__(self) -> Any:
        batch = super().__next__()
        return batch if self._as_objects else as_tuple(batch)

    def close(self) -> None:
        """Stop here, and wait until the background thread has ended."""
        self._ended = True
        self._batches.close()


def as_tuple(batch: Batch) -> Any:
    """``(sequences, values)``, or the only one of them that is not None."""
    if batch.values is None:
        return batch.sequences
    if batch.sequences is None:
        return batch.values
    return batch.sequences, batch.values
