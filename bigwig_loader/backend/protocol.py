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
    from bigwig_loader.formats.variants.table import Genotypes, VariantTable
    from bigwig_loader.plan.blocks import SignalPlan
    from bigwig_loader.plan.haplotypes import HaplotypeOptions, HaplotypeWindows, Overlap
    from bigwig_loader.plan.sequence import SequenceOptions
    from bigwig_loader.plan.signal import SignalOptions
    from bigwig_loader.plan.track_index import TrackIndex
    from bigwig_loader.plan.windows import ContigTable, Windows

# Sets of the 16 codes that a base of a `Genome` may have: bit c stands for code c, and a code is
# itself a set of letters, bit 0 A, bit 1 C, bit 2 G, bit 3 T.
ALL_CODES = 0xFFFF
UNKNOWN_CODES = ALL_CODES & ~(1 << 1 | 1 << 2 | 1 << 4 | 1 << 8)

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
    """What reading signal has taken since the files were opened.

    Parameters
    ----------
    n_batches : int
        Requests.
    n_blocks : int
        Data blocks that were wanted, each counted once per request.
    n_reads : int
        Reads made.
    bytes_read, bytes_inflated : int
    n_intervals : int
        Stored intervals that lie in what was wanted of the blocks.
    n_cached_blocks : int
        Those of `n_blocks` that the cache had.
    cached_bytes : int
        What the blocks in the cache take now.
    seconds_read, seconds_inflate, seconds_rasterize : float
        Wall time of the stages, summed over their threads: they may add up to more than has
        passed. Sections are parsed, and blocks added to the cache, in "inflate".
    """

    n_batches: int = 0
    n_blocks: int = 0
    n_reads: int = 0
    bytes_read: int = 0
    bytes_inflated: int = 0
    n_intervals: int = 0
    n_cached_blocks: int = 0
    cached_bytes: int = 0
    seconds_read: float = 0.0
    seconds_inflate: float = 0.0
    seconds_rasterize: float = 0.0


class SignalReader(Protocol):
    """The open files of one collection, on one backend."""

    @property
    def counts(self) -> SignalCounts:
        """What reading has taken so far; a copy."""

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
        """Close the files and free the cache."""


@dataclass(frozen=True)
class HaplotypeArrays:
    """Bases of B windows on P haplotypes.

    Parameters
    ----------
    data : ndarray
        Windows of one length L: (B, P, L), or for one-hot (B, P, L, 4) or (B, P, 4, L). Else all
        rows one after the other, (sum of lengths,) or (sum of lengths, 4).
    offsets : (B * P + 1,) int64, optional
        Bases where the rows begin; None for windows of one length.
    var_idxs : int32, optional
        Number of the record that each base comes from, -1 for the reference; shaped as `data`
        without letters.
    ref_coords : int32, optional
        Reference position of each base: that of its variant for the bases of an ALT allele, -1
        to the left of the contig and 2147483647 to the right.
    """

    data: Array
    offsets: npt.NDArray[np.int64] | None = None
    var_idxs: Array | None = None
    ref_coords: Array | None = None


class HaplotypeReader(Protocol):
    """The variants of a data set and who carries them, on one backend."""

    @property
    def ploidy(self) -> int:
        """P: haplotypes of a sample."""

    def lengths(self, windows: HaplotypeWindows) -> npt.NDArray[np.int64]:
        """Natural lengths (B, P) of windows in haplotype bases, whatever their `length_bp`."""

    def ends(self, windows: HaplotypeWindows) -> npt.NDArray[np.int64]:
        """Reference base after the last that each window stands for, (B, P)."""

    def encode(
        self,
        windows: HaplotypeWindows,
        options: HaplotypeOptions | None = None,
        annotate: bool = False,
        out: Array | None = None,
    ) -> HaplotypeArrays:
        """Bases of the haplotypes; with `annotate` also where each of them comes from."""


class Backend(Protocol):
    """A machine that executes plans."""

    n_threads: int

    @property
    def status(self) -> BackendStatus:
        """What runs here and why."""

    def empty(self, shape: tuple[int, ...], dtype: str) -> Array:
        """An uninitialised array in the backend's memory; `dtype` as `types.numpy_dtype`."""

    def open_signal(self, index: TrackIndex, cache_bytes: int = 0) -> SignalReader:
        """Open the files of an index for reading; nothing is read yet.

        Up to `cache_bytes` of decoded data blocks are kept in memory; see `BigWigCollection`.
        """

    def open_haplotypes(
        self,
        genome: Genome,
        table: VariantTable,
        genotypes: Genotypes,
        overlap: Overlap = "first",
        keep: npt.NDArray[np.bool_] | None = None,
    ) -> HaplotypeReader:
        """Sequence of the haplotypes that carry the variants of a table.

        Of variants that overlap on one haplotype, `overlap` says which are applied; `keep` (V,)
        says which count at all.
        """

    def encode_one_hot(
        self,
        genome: Genome,
        contigs: ContigTable,
        windows: Windows,
        options: SequenceOptions,
        out: Array | None = None,
    ) -> Array:
        """One-hot sequence of the windows, (B, L, 4) or (B, 4, L)."""

    def count_bases(
        self, genome: Genome, contigs: ContigTable, windows: Windows, codes: int
    ) -> npt.NDArray[np.int64]:
        """Bases of each window whose code is in `codes`, (B,); outside the contig it is 0.

        `codes` is a set of 4-bit codes, bit c for code c, as `UNKNOWN_CODES`.
        """

    def count_unknown(
        self, genome: Genome, contigs: ContigTable, windows: Windows
    ) -> npt.NDArray[np.int64]:
        """Bases of each window that are not A, C, G or T or lie outside the contig, (B,)."""
