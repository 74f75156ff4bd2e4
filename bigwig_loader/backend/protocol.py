"""The seam between what is to be read and the machine that reads it.

A backend executes plans. It is the only thing that differs between a machine with a GPU and one
without; everything above it (collection, datasets, adapters) is written once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from bigwig_loader.formats.genome import Genome
    from bigwig_loader.plan.blocks import SignalPlan
    from bigwig_loader.plan.sequence import SequenceOptions
    from bigwig_loader.plan.signal import SignalOptions
    from bigwig_loader.plan.track_index import TrackIndex
    from bigwig_loader.plan.windows import ContigTable, Windows

Array = Any  # numpy.ndarray on the CPU, cupy.ndarray on CUDA


@dataclass(frozen=True)
class BackendStatus:
    """What a backend is, and why it was chosen; `str()` of it is for people.

    Parameters
    ----------
    name : str
        ``"cpu"`` or ``"cuda:0"``.
    reason : str
        Why this backend, e.g. ``"device='auto': no CUDA driver found"``.
    details : dict
        Library versions, inflate route, threads.
    """

    name: str
    reason: str
    details: dict[str, str]

    def __str__(self) -> str:
        details = ", ".join(f"{key}: {value}" for key, value in self.details.items())
        return f"{self.name} ({self.reason}; {details})"


@dataclass
class SignalCounts:
    """What reading signal has taken so far."""

    n_batches: int = 0
    n_blocks: int = 0
    n_reads: int = 0
    bytes_read: int = 0
    bytes_inflated: int = 0
    n_intervals: int = 0


class SignalReader(Protocol):
    """The open files of one collection, on one backend."""

    counts: SignalCounts

    def read(
        self,
        plan: SignalPlan,
        options: SignalOptions,
        transforms: npt.NDArray[np.float32],
        out: Array,
    ) -> None:
        """Read, inflate and rasterize what `plan` says into `out`.

        `transforms` has a record per track of the plan (`plan.signal.pack_transforms`);
        `out` has the shape ``options.shape(B, length_bp, T)`` and any strides.

        Raises
        ------
        InvalidDataError
            If a data block is damaged: path, byte offset, field, expected, got and region.
        """

    def read_window(
        self,
        windows: Windows,
        tracks: npt.NDArray[np.int64],
        options: SignalOptions,
        transforms: npt.NDArray[np.float32],
        out: Array,
    ) -> None:
        """What planning and reading a single window does, where the cost of a call counts."""

    def intervals(
        self, plan: SignalPlan
    ) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32], npt.NDArray[np.float32]]:
        """Start, end and value of the stored intervals a plan wants, in file order."""

    def working_bytes(self, plan: SignalPlan, options: SignalOptions) -> int:
        """Upper bound of the memory `read` takes for `plan`, besides `out`."""

    def close(self) -> None:
        """Close the files."""


class Backend(Protocol):
    """A machine that executes plans."""

    n_threads: int

    @property
    def status(self) -> BackendStatus:
        """What runs here and why."""

    def empty(self, shape: tuple[int, ...], dtype: str) -> Array:
        """An uninitialised array in the backend's memory; `dtype` as `types.numpy_dtype`."""

    def open_signal(self, index: TrackIndex) -> SignalReader:
        """Open the files of an index for reading; nothing is read yet."""

    def encode_one_hot(
        self,
        genome: Genome,
        contigs: ContigTable,
        windows: Windows,
        options: SequenceOptions,
        out: Array | None = None,
    ) -> Array:
        """One-hot sequence of the windows, (B, L, 4) or (B, 4, L)."""

    def count_unknown(
        self, genome: Genome, contigs: ContigTable, windows: Windows
    ) -> npt.NDArray[np.int64]:
        """Bases of each window that are not A, C, G or T or lie outside the contig, (B,)."""
