"""Worker processes of a torch `DataLoader`: which epoch they make, and whether they can."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from bigwig_loader.errors import BackendUnavailableError, InvalidInputError

if TYPE_CHECKING:
    from bigwig_loader.dataset.bigwig import BigWigDataset
    from bigwig_loader.dataset.peaks import PeakDataset

MAX_WORKERS = 128


def check_no_worker(dataset: BigWigDataset | PeakDataset) -> None:
    """Raise, for worker processes of a `DataLoader`, where batches are made on a GPU.

    Raises
    ------
    BackendUnavailableError
    """
    device = dataset.backend.status.name
    if device != "cpu":
        raise BackendUnavailableError(
            f"batches of device={device!r} cannot come out of worker processes. Use num_workers=0: "
            "reading runs in threads, and batches are made ahead. Or use device='cpu'"
        )


class WorkerPasses:
    """Which epoch a worker process is to make, in memory shared by all processes.

    A `DataLoader` does not tell a data set that a new epoch begins: workers live for one pass, each
    with a fresh copy of the data set, or for all passes, out of reach. So every worker counts its
    own passes, in a place that only workers of its number write: pass k makes epoch start + k.
    """

    def __init__(self) -> None:
        self._start = torch.zeros(2, dtype=torch.int64)
        # A row of W counters for each number of workers W.
        self._begun = torch.zeros(MAX_WORKERS * (MAX_WORKERS + 1) // 2, dtype=torch.int64)
        self._share()

    def _share(self) -> None:
        for counters in (self._start, self._begun):
            counters.share_memory_()  # type: ignore[no-untyped-call]

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        # Tensors arrive shared in a spawned worker, but plain in an ordinary copy.
        self._share()

    def start_at(self, epoch: int, batch: int) -> None:
        """Where the next pass begins."""
        self._start[0], self._start[1] = epoch, batch
        self._begun.zero_()

    def n_begun(self) -> int:
        """Passes begun since `start_at`."""
        return int(self._begun.max())

    def epoch_begun(self) -> int:
        """The epoch of the pass that was begun last."""
        return int(self._start[0]) + self.n_begun() - 1

    def begin(self, worker: int, n_workers: int) -> tuple[int, int]:
        """Epoch and first batch of a worker's next pass."""
        mine = _first_counter(n_workers) + worker
        n_before = int(self._begun[mine])
        self._begun[mine] += 1
        epoch, batch = self._start.tolist()
        return epoch + n_before, batch if n_before == 0 else 0

    def resume(self, epoch: int, worker: int, n_workers: int) -> None:
        """Make a worker's next pass that of an epoch; all workers have to say the same."""
        self._start[0], self._start[1] = epoch, 0
        row = _first_counter(n_workers)
        self._begun[:row] = 0
        self._begun[row + n_workers :] = 0
        self._begun[row + worker] = 0


def _first_counter(n_workers: int) -> int:
    """Where the row of counters for a number of workers begins."""
    if n_workers > MAX_WORKERS:
        raise InvalidInputError(
            f"num_workers: expected at most {MAX_WORKERS}; got {n_workers}. One process reads "
            "with n_threads threads"
        )
    return n_workers * (n_workers - 1) // 2
