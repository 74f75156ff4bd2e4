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
    from collections.abc import Sequence

    from bigwig_loader.config import Inflate
    from bigwig_loader.formats.genome import Genome
    from bigwig_loader.formats.variants.table import Genotypes, VariantTable
    from bigwig_loader.plan.blocks import SignalPlan
    from bigwig_loader.plan.fills import Fill
    from bigwig_loader.plan.haplotypes import HaplotypeOptions, HaplotypeWindows, Overlap
    from bigwig_loader.plan.overlap import OverlapIndex, Queries
    from bigwig_loader.plan.realign import Draws, RealignOptions, Track
    from bigwig_loader.plan.sequence import SequenceOptions
    from bigwig_loader.plan.signal import SignalOptions
    from bigwig_loader.plan.smooth import SmoothOptions
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


class Pending(Protocol):
    """Work that was asked for and may not be done yet."""

    def wait(self) -> None:
        """Return when it is done; raises what went wrong, every time."""


class Done:
    """Nothing left to wait for."""

    def wait(self) -> None:
        """Return at once."""


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
        wait: bool = True,
    ) -> None:
        """Read, inflate and rasterize what `plan` says into `out`.

        `transforms` has a record per track of the plan (`plan.signal.pack_transforms`);
        `out` has the shape ``options.shape(B, length_bp, T)`` and any strides. Without `wait` the
        values, and what is raised, may come later: see `Backend.pending`.

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
class InflatedStreams:
    """What n zlib streams hold.

    Parameters
    ----------
    data : (M,) uint8 array
        In the backend's memory.
    offset, n_bytes : (n,) int64
        Where what a stream holds stands in `data`, and how much it is.
    status : (n,) int32
        `backend.status.Status` of each stream; the bytes of one that failed are not to be used.
    detail : (n, 2) int64
        Of the status.
    """

    data: Array
    offset: npt.NDArray[np.int64]
    n_bytes: npt.NDArray[np.int64]
    status: npt.NDArray[np.int32]
    detail: npt.NDArray[np.int64]

    def __getitem__(self, i: int) -> Array:
        """The bytes of stream i, as a view."""
        first = int(self.offset[i])
        return self.data[first : first + int(self.n_bytes[i])]


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


@dataclass(frozen=True)
class RealignedTracks:
    """Signal of T tracks in B windows on P haplotypes, N bins each.

    Parameters
    ----------
    data : ndarray
        (B, T, P, N), or (B, T, N) along the reference; with the layout ``"BPNT"`` (B, P, N, T) or
        (B, N, T). Without a `length_bp` all rows (b, t, p) one after the other.
    offsets : (B * T * P + 1,) int64, optional
        Where the rows begin; None for windows of one length.
    """

    data: Array
    offsets: npt.NDArray[np.int64] | None = None


class HaplotypeReader(Protocol):
    """The variants of a data set and who carries them, on one backend."""

    @property
    def genome(self) -> Genome:
        """Where the reference bases come from."""

    @property
    def table(self) -> VariantTable:
        """The variants."""

    @property
    def genotypes(self) -> Genotypes:
        """Who carries them."""

    @property
    def overlap(self) -> Overlap:
        """Which of the variants that overlap on one haplotype are applied."""

    @property
    def keep(self) -> npt.NDArray[np.bool_] | None:
        """Variants that count at all, (V,); None for all of them."""

    @property
    def free(self) -> npt.NDArray[np.bool_]:
        """Whether no variant before each one reaches its position, (V,)."""

    @property
    def ploidy(self) -> int:
        """P: haplotypes of a sample."""

    @property
    def resolved(self) -> Genotypes:
        """The lists of what is applied; `plan.haplotypes.WITHOUT_ANCHOR` marks entries."""

    def with_variants(
        self,
        table: VariantTable,
        genotypes: Genotypes,
        overlap: Overlap,
        keep: npt.NDArray[np.bool_] | None = None,
    ) -> HaplotypeReader:
        """A reader of other variants on the same genome.

        With the policy ``"window"`` entries of `genotypes` may have the bit
        `plan.haplotypes.WITHOUT_ANCHOR`: all but the anchor of that variant is applied.
        """

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
        wait: bool = True,
    ) -> HaplotypeArrays:
        """Bases of the haplotypes; with `annotate` also where each of them comes from.

        `wait` as for signal.
        """


class OverlapSearch(Protocol):
    """A universe of regions, on one backend; finds those that overlap queries."""

    def count(self, queries: Queries) -> tuple[npt.NDArray[np.int32], Array]:
        """Hits of every query, (n,), and what `write` wants to know of them."""

    def write(
        self,
        queries: Queries,
        found: tuple[npt.NDArray[np.int32], Array],
        offsets: npt.NDArray[np.int64],
        ids: npt.NDArray[np.int32],
        unknown: int = -1,
    ) -> None:
        """Write the ids of the hits into host memory.

        Parameters
        ----------
        queries : Queries
        found : (counts, object)
            As `count` of this object has returned them for the same queries.
        offsets : (n + 1,) or (n,) int64
            Where in `ids` those of each query begin. They are in order of start, end and id.
        ids : int32
            Has room for them; nothing else of it is written.
        unknown : int
            What to write for a query without a hit, if not negative.
        """


class Backend(Protocol):
    """A machine that executes plans."""

    n_threads: int
    # Batches worth having asked for while one is waited for.
    lookahead: int

    @property
    def status(self) -> BackendStatus:
        """What runs here and why."""

    def pending(self) -> Pending:
        """What this thread has asked for with ``wait=False`` since it last called this.

        Arrays that were made so may be looked at when `Pending.wait` has returned.
        """

    def hand_over(self, *arrays: Array, stream: int | None = None) -> None:
        """Say that arrays of this backend belong to a consumer from now on.

        Their memory is not used again before what that consumer's stream has been asked to do
        by the time they are dropped is done. `stream` is a `cudaStream_t`; None for the calling
        thread's current one.
        """

    def to_host(self, array: Array) -> npt.NDArray[Any]:
        """The array in host memory, when its values are there; itself where it is there."""

    def to_device(self, array: npt.NDArray[Any]) -> Array:
        """The array in the backend's memory; itself on the CPU."""

    def empty(self, shape: tuple[int, ...], dtype: str) -> Array:
        """An uninitialised array in the backend's memory; `dtype` as `types.numpy_dtype`."""

    def inflate(
        self,
        streams: Sequence[npt.NDArray[np.uint8]],
        room: npt.NDArray[np.int64],
        route: Inflate = "auto",
    ) -> InflatedStreams:
        """Inflate zlib streams (RFC 1950) and compare their checksums.

        `room` is the most that each stream may hold, in bytes. `route` says what inflates on a
        GPU; the CPU has one way only. Nothing is raised for a stream that fails: see its status.
        """

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

    def open_overlaps(self, index: OverlapIndex) -> OverlapSearch:
        """A universe of regions, ready to be searched; it stays in the backend's memory."""

    def realign(
        self,
        reader: HaplotypeReader,
        windows: HaplotypeWindows,
        tracks: Sequence[Track],
        fills: Sequence[Fill],
        options: RealignOptions | None = None,
        draws: Draws | None = None,
        out: Array | None = None,
        wait: bool = True,
    ) -> RealignedTracks:
        """Signal along haplotypes: every base has the value at its reference position.

        The segments are those of the sequence of the same windows (`HaplotypeReader.encode`).
        The bases of an insertion are filled, see `plan.fills`; bases outside the contig, and
        those without data, have the values of `options`. A reversed window is delivered from its
        end.

        Parameters
        ----------
        reader : HaplotypeReader
            Of this backend.
        windows : HaplotypeWindows
            B windows. Without `length_bp` their rows have their natural lengths.
        tracks : sequence of T TrackRows or DenseRows
        fills : sequence of T Fill
        options : RealignOptions, optional
        draws : Draws, optional
            Needed for `FlankSample`.
        out : ndarray, optional
            Written and returned as ``data``: contiguous, of its shape and dtype.
        wait : bool
            As for signal.

        Raises
        ------
        InvalidInputError
            If an argument does not fit the others, or a haplotype reaches out of the `DenseRows`.
        """

    def along_reference(
        self,
        contigs: ContigTable,
        windows: HaplotypeWindows,
        tracks: Sequence[Track],
        options: RealignOptions | None = None,
        out: Array | None = None,
        wait: bool = True,
    ) -> RealignedTracks:
        """Signal along the reference, whatever the samples carry.

        `contigs` is what ``windows.contig_index`` counts. Windows with `length_bp` have so many
        bases from `start` on. A shift, which counts haplotype bases, is left out. Everything else
        is as for `realign`.
        """

    def smooth(
        self,
        signal: Array,
        options: SmoothOptions,
        reverse: npt.NDArray[np.bool_] | None = None,
    ) -> Array:
        """Moving average and bin means, (B, N, T), of base-resolution signal that is there.

        Parameters
        ----------
        signal : (B, T, M) float32
            Of this backend, C-contiguous: B windows with their `plan.smooth.margins`, on the
            forward strand.
        options : SmoothOptions
        reverse : (B,) bool, optional
            Windows that are delivered as reverse complement.
        """

    def encode_one_hot(
        self,
        genome: Genome,
        contigs: ContigTable,
        windows: Windows,
        options: SequenceOptions,
        out: Array | None = None,
        wait: bool = True,
    ) -> Array:
        """One-hot sequence of the windows, (B, L, 4) or (B, 4, L); `wait` as for signal."""

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
