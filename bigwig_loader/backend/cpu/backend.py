"""The CPU backend: plans executed by the CPU library, one call per batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.cpu import library as native
from bigwig_loader.backend.cpu.haplotypes import HaplotypeReader
from bigwig_loader.backend.cpu.overlap import CpuOverlapSearch
from bigwig_loader.backend.cpu.pool import MAX_KEPT_BYTES, ArrayPool
from bigwig_loader.backend.cpu.realign import realign_tracks, reference_tracks
from bigwig_loader.backend.cpu.sequence import count_bases, encode_one_hot
from bigwig_loader.backend.cpu.signal import CpuSignalReader
from bigwig_loader.backend.cpu.smooth import smooth
from bigwig_loader.backend.cpu.streams import inflate_streams
from bigwig_loader.backend.protocol import (
    UNKNOWN_CODES,
    BackendStatus,
    Done,
    InflatedStreams,
    Pending,
    RealignedTracks,
)
from bigwig_loader.backend.threads import available_threads
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.types import numpy_dtype

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bigwig_loader.backend.protocol import HaplotypeReader as HaplotypeReaderOfAny
    from bigwig_loader.config import Inflate
    from bigwig_loader.formats.genome import Genome
    from bigwig_loader.formats.variants.table import Genotypes, VariantTable
    from bigwig_loader.plan.fills import Fill
    from bigwig_loader.plan.haplotypes import HaplotypeWindows, Overlap
    from bigwig_loader.plan.overlap import OverlapIndex
    from bigwig_loader.plan.realign import Draws, RealignOptions, Track
    from bigwig_loader.plan.sequence import SequenceOptions
    from bigwig_loader.plan.smooth import SmoothOptions
    from bigwig_loader.plan.track_index import TrackIndex
    from bigwig_loader.plan.windows import ContigTable, Windows


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

    lookahead = 0

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

    def pending(self) -> Pending:
        """Nothing: all is done when a call returns."""
        return Done()

    def hand_over(self, *arrays: npt.NDArray[Any], stream: int | None = None) -> None:
        """Nothing to do: memory is used again only when nobody holds it."""

    def to_host(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The array itself."""
        return array

    def to_device(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The array itself."""
        return array

    def empty(self, shape: tuple[int, ...], dtype: str) -> npt.NDArray[Any]:
        """An uninitialised array."""
        return self._pool.empty(shape, numpy_dtype(dtype))

    def inflate(
        self,
        streams: Sequence[npt.NDArray[np.uint8]],
        room: npt.NDArray[np.int64],
        route: Inflate = "auto",
    ) -> InflatedStreams:
        """Inflate zlib streams; see `protocol.Backend`."""
        return inflate_streams(streams, room, self.n_threads)

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

    def open_overlaps(self, index: OverlapIndex) -> CpuOverlapSearch:
        """A universe of regions, ready to be searched."""
        return CpuOverlapSearch(index, self.n_threads)

    def realign(
        self,
        reader: HaplotypeReaderOfAny,
        windows: HaplotypeWindows,
        tracks: Sequence[Track],
        fills: Sequence[Fill],
        options: RealignOptions | None = None,
        draws: Draws | None = None,
        out: npt.NDArray[Any] | None = None,
        wait: bool = True,
    ) -> RealignedTracks:
        """Signal along haplotypes; there when the call returns, whatever `wait` says."""
        if not isinstance(reader, HaplotypeReader):
            raise InvalidInputError(
                "argument reader: expected one of this backend (Backend.open_haplotypes); "
                f"got {type(reader).__name__}"
            )
        return realign_tracks(
            reader, windows, tracks, fills, options, draws, out, n_threads=self.n_threads
        )

    def along_reference(
        self,
        contigs: ContigTable,
        windows: HaplotypeWindows,
        tracks: Sequence[Track],
        options: RealignOptions | None = None,
        out: npt.NDArray[Any] | None = None,
        wait: bool = True,
    ) -> RealignedTracks:
        """Signal along the reference; there when the call returns, whatever `wait` says."""
        return reference_tracks(contigs, windows, tracks, options, out, n_threads=self.n_threads)

    def smooth(
        self,
        signal: npt.NDArray[np.float32],
        options: SmoothOptions,
        reverse: npt.NDArray[np.bool_] | None = None,
    ) -> npt.NDArray[Any]:
        """Moving average and bin means of base-resolution signal."""
        return smooth(
            signal, options, reverse, self.empty(options.shape(signal.shape), options.dtype)
        )

    def encode_one_hot(
        self,
        genome: Genome,
        contigs: ContigTable,
        windows: Windows,
        options: SequenceOptions,
        out: npt.NDArray[Any] | None = None,
        wait: bool = True,
    ) -> npt.NDArray[Any]:
        """One-hot sequence of the windows; there when the call returns, whatever `wait` says."""
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
