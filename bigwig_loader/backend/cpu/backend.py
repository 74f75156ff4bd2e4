"""The CPU backend: plans executed by the CPU library, one call per batch."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.cpu import library as native
from bigwig_loader.backend.cpu.haplotypes import HaplotypeReader
from bigwig_loader.backend.cpu.pool import MAX_KEPT_BYTES, ArrayPool
from bigwig_loader.backend.cpu.sequence import count_bases, encode_one_hot
from bigwig_loader.backend.cpu.signal import CpuSignalReader
from bigwig_loader.backend.protocol import UNKNOWN_CODES, BackendStatus
from bigwig_loader.types import numpy_dtype

if TYPE_CHECKING:
    from bigwig_loader.formats.genome import Genome
    from bigwig_loader.formats.variants.table import Genotypes, VariantTable
    from bigwig_loader.plan.haplotypes import Overlap
    from bigwig_loader.plan.sequence import SequenceOptions
    from bigwig_loader.plan.track_index import TrackIndex
    from bigwig_loader.plan.windows import ContigTable, Windows


def available_threads() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class CpuBackend:
    """Executes plans on the CPU.

    Parameters
    ----------
    n_threads : int, optional
        Threads per call; None for the cores available.
    reason : str
        Why this backend was chosen; shown in `status`.
    max_kept_bytes : int
        Memory of dropped arrays that is kept for new ones.
    """

    def __init__(
        self,
        n_threads: int | None = None,
        reason: str = "asked for",
        max_kept_bytes: int = MAX_KEPT_BYTES,
    ) -> None:
        self._library = native.library()
        self.n_threads = available_threads() if n_threads is None else n_threads
        self._reason = reason
        self._pool = ArrayPool(max_kept_bytes)

    @property
    def status(self) -> BackendStatus:
        """What runs here and why."""
        details = {
            "inflate": native.use_libdeflate(self._library),
            "threads": str(self.n_threads),
            "library": str(native.library_path()),
        }
        return BackendStatus("cpu", self._reason, details)

    def empty(self, shape: tuple[int, ...], dtype: str) -> npt.NDArray[Any]:
        """An uninitialised array."""
        return self._pool.empty(shape, numpy_dtype(dtype))

    def open_signal(self, index: TrackIndex, cache_bytes: int = 0) -> CpuSignalReader:
        """Open the files of an index for reading."""
        return CpuSignalReader(index, self.n_threads, cache_bytes)

    def open_haplotypes(
        self,
        genome: Genome,
        table: VariantTable,
        genotypes: Genotypes,
        overlap: Overlap = "first",
        keep: npt.NDArray[np.bool_] | None = None,
    ) -> HaplotypeReader:
        """Sequence of the haplotypes that carry the variants of a table."""
        return HaplotypeReader(
            genome, table, genotypes, overlap=overlap, keep=keep, n_threads=self.n_threads
        )

    def encode_one_hot(
        self,
        genome: Genome,
        contigs: ContigTable,
        windows: Windows,
        options: SequenceOptions,
        out: npt.NDArray[Any] | None = None,
    ) -> npt.NDArray[Any]:
        """One-hot sequence of the windows."""
        if out is None:
            out = self.empty(options.shape(len(windows), windows.length_bp), options.dtype)
        return encode_one_hot(genome, contigs, windows, options, out, self.n_threads)

    def count_bases(
        self, genome: Genome, contigs: ContigTable, windows: Windows, codes: int
    ) -> npt.NDArray[np.int64]:
        """Bases of each window that are among some codes."""
        return count_bases(genome, contigs, windows, codes, self.n_threads)

    def count_unknown(
        self, genome: Genome, contigs: ContigTable, windows: Windows
    ) -> npt.NDArray[np.int64]:
        """Unknown bases of each window."""
        return self.count_bases(genome, contigs, windows, UNKNOWN_CODES)
