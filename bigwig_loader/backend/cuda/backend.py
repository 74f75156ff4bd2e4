"""The CUDA backend: plans executed on a GPU, results in its memory."""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import cupy
import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.cpu.haplotypes import HaplotypeReader as HostHaplotypeReader
from bigwig_loader.backend.cuda.device import LEGACY_STREAM, Device, Stream
from bigwig_loader.backend.cuda.genomes import DeviceGenomes
from bigwig_loader.backend.cuda.haplotypes import CudaHaplotypeReader
from bigwig_loader.backend.cuda.outputs import OutputPool, array_dtype
from bigwig_loader.backend.cuda.overlap import CudaOverlapSearch
from bigwig_loader.backend.cuda.probe import probe, version_text
from bigwig_loader.backend.cuda.realign import CudaRealigner
from bigwig_loader.backend.cuda.sequence import CudaSequence
from bigwig_loader.backend.cuda.smooth import CudaSmoother
from bigwig_loader.backend.cuda.streams import StreamInflater
from bigwig_loader.backend.protocol import (
    UNKNOWN_CODES,
    BackendStatus,
    Done,
    HaplotypeReader,
    InflatedStreams,
    Pending,
    RealignedTracks,
)
from bigwig_loader.backend.threads import available_threads
from bigwig_loader.config import Inflate, config
from bigwig_loader.errors import BackendUnavailableError, LoaderError

if TYPE_CHECKING:
    from bigwig_loader.backend.cuda.signal import CudaSignalReader
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

# Of a device's memory, and of a declared budget, what memory of dropped results may take.
_KEPT_OF_DEVICE = 16
_KEPT_OF_BUDGET = 4
# Begins what `status` says of something that is set and cannot be had.
NONE = "none"


class CudaBackend:
    """Executes plans on a CUDA device, from any thread of the process that made it.

    Parameters
    ----------
    number : int, optional
        The device; None for the one that is current in the calling thread.
    n_threads : int, optional
        Threads that read from files; None for the cores available.
    reason : str
        Why this backend was chosen; shown in `status`.
    memory_budget : int, optional
        Bytes that a call may take; at most a quarter of it is kept between calls.

    Raises
    ------
    BackendUnavailableError
        If the device cannot be opened.
    """

    lookahead = 2

    def __init__(
        self,
        number: int | None = None,
        n_threads: int | None = None,
        reason: str = "asked for",
        memory_budget: int | None = None,
    ) -> None:
        try:
            self.device = Device(int(cupy.cuda.Device().id) if number is None else number)
        except (LoaderError, cupy.cuda.runtime.CUDARuntimeError) as error:
            raise BackendUnavailableError(
                f"the GPU cannot be opened: {error}. `nvidia-smi` shows what uses it"
            ) from error
        self.n_threads = available_threads() if n_threads is None else n_threads
        self._reason = reason
        kept = self.device.total_bytes // _KEPT_OF_DEVICE
        if memory_budget is not None:
            kept = min(kept, memory_budget // _KEPT_OF_BUDGET)
        self.outputs = OutputPool(self.device, kept)
        self._asked = _Asked()
        self._genomes = DeviceGenomes(self.device)
        self._sequence = CudaSequence(self, self._genomes)
        self._realigner = CudaRealigner(self)
        self._smoother = CudaSmoother(self)

    @property
    def status(self) -> BackendStatus:
        """What runs here and why."""
        found, device = probe(), self.device
        details = {
            "device": f"{device.name}, sm_{device.compute_capability}",
            "memory": f"{device.total_bytes / 1e9:.0f} GB",
            "driver": f"CUDA {version_text(found.driver)}",
            "runtime": f"CUDA {version_text(found.runtime)}",
            "cupy": found.cupy,
            "reads": describe_reads(),
            "inflate": describe_inflate(device),
            "genome": f"{self._genomes.n_bytes / 1e9:.3f} GB on the device",
            "threads": str(self.n_threads),
        }
        return BackendStatus(repr(device), self._reason, details)

    @functools.cached_property
    def _streams(self) -> StreamInflater:
        return StreamInflater(self.device, self.outputs)

    def defer(self, pending: Pending) -> None:
        """Remember work of the calling thread that is not done yet, for `pending`."""
        self._asked.pending.append(pending)

    def pending(self) -> Pending:
        """What this thread has asked for with ``wait=False`` since it last called this."""
        asked, self._asked.pending = self._asked.pending, []
        if not asked:
            return Done()
        return asked[0] if len(asked) == 1 else AllPending(asked)

    def writing(self, out: Any, stream: Stream) -> None:
        """Let `stream`, which is about to write `out`, wait for whoever used that before.

        A result that nobody outside has seen yet is free. Any other array may be in use by its
        consumers, and by what the calling thread has queued on its own stream.
        """
        lease = self.outputs.lease_of(out)
        if lease is None or lease.is_handed_over:
            users = {LEGACY_STREAM, self._current_stream().ptr}
            users |= set() if lease is None else lease.streams.keys()
            for user in users - {stream.pointer}:
                event = self.device.event()
                event.record(user)
                stream.wait(event)
        if lease is not None:
            lease.streams[stream.pointer] = stream

    def hand_over(self, *arrays: Any, stream: int | None = None) -> None:
        """Say that arrays belong to a consumer from now on; see `protocol.Backend`."""
        keep = self._current_stream() if stream is None else None
        pointer = stream if keep is None else keep.ptr
        assert pointer is not None
        for array in arrays:
            self.outputs.hand_over(array, pointer, keep)

    def to_host(self, array: Any) -> npt.NDArray[Any]:
        """The array in host memory, when its values are there."""
        if isinstance(array, np.ndarray):
            return array
        stream = self.device.stream()
        lease = self.outputs.lease_of(array)
        writers = set() if lease is None else set(lease.streams)
        for writer in {LEGACY_STREAM, self._current_stream().ptr, *writers}:
            event = self.device.event()
            event.record(writer)
            stream.wait(event)
        with self.device.current(), stream.as_current():
            return np.asarray(cupy.asnumpy(array))

    def to_device(self, array: npt.NDArray[Any]) -> Any:
        """The array in memory of the device, C-contiguous; bfloat16 as uint16."""
        if isinstance(array, cupy.ndarray):
            return array
        source = np.ascontiguousarray(array)
        if source.dtype.name == "bfloat16":
            source = source.view(np.uint16)
        made = self.outputs.empty(source.shape, source.dtype)
        stream = self.device.stream()
        self.device.upload(made.data.ptr, source.ctypes.data, source.nbytes, stream)
        stream.synchronize()  # the source is not pinned and may go when this returns
        return made

    def empty(self, shape: tuple[int, ...], dtype: str) -> Any:
        """An uninitialised array in memory of the device; bfloat16 as uint16."""
        return self.outputs.empty(shape, array_dtype(dtype))

    def inflate(
        self,
        streams: Sequence[npt.NDArray[np.uint8]],
        room: npt.NDArray[np.int64],
        route: Inflate = "auto",
    ) -> InflatedStreams:
        """Inflate zlib streams into memory of the device; see `protocol.Backend`."""
        self.device.require_usable()
        return self._streams.inflate(streams, room, config.inflate if route == "auto" else route)

    def open_signal(self, index: TrackIndex, cache_bytes: int = 0) -> CudaSignalReader:
        """Open the files of an index for reading."""
        self.device.require_usable()
        from bigwig_loader.backend.cuda.signal import CudaSignalReader

        return CudaSignalReader(self.device, index, self.n_threads, self, cache_bytes)

    def open_haplotypes(
        self,
        genome: Genome,
        table: VariantTable,
        genotypes: Genotypes,
        overlap: Overlap = "first",
        keep: npt.NDArray[np.bool_] | None = None,
    ) -> CudaHaplotypeReader:
        """Sequence of the haplotypes that carry the variants of a table."""
        self.device.require_usable()
        host = HostHaplotypeReader(
            genome, table, genotypes, overlap=overlap, keep=keep, n_threads=self.n_threads
        )
        return CudaHaplotypeReader(self, self._genomes, host)

    def open_overlaps(self, index: OverlapIndex) -> CudaOverlapSearch:
        """A universe of regions, ready to be searched."""
        self.device.require_usable()
        return CudaOverlapSearch(self, index)

    def realign(
        self,
        reader: HaplotypeReader,
        windows: HaplotypeWindows,
        tracks: Sequence[Track],
        fills: Sequence[Fill],
        options: RealignOptions | None = None,
        draws: Draws | None = None,
        out: Any = None,
        wait: bool = True,
    ) -> RealignedTracks:
        """Signal along haplotypes."""
        self.device.require_usable()
        return self._realigner.realign(reader, windows, tracks, fills, options, draws, out, wait)

    def along_reference(
        self,
        contigs: ContigTable,
        windows: HaplotypeWindows,
        tracks: Sequence[Track],
        options: RealignOptions | None = None,
        out: Any = None,
        wait: bool = True,
    ) -> RealignedTracks:
        """Signal along the reference, whatever the samples carry."""
        self.device.require_usable()
        return self._realigner.along_reference(contigs, windows, tracks, options, out, wait)

    def smooth(
        self,
        signal: Any,
        options: SmoothOptions,
        reverse: npt.NDArray[np.bool_] | None = None,
    ) -> Any:
        """Moving average and bin means of base-resolution signal."""
        self.device.require_usable()
        return self._smoother.smooth(signal, options, reverse)

    def encode_one_hot(
        self,
        genome: Genome,
        contigs: ContigTable,
        windows: Windows,
        options: SequenceOptions,
        out: Any = None,
        wait: bool = True,
    ) -> Any:
        """One-hot sequence of the windows."""
        self.device.require_usable()
        return self._sequence.encode_one_hot(genome, contigs, windows, options, out, wait)

    def count_bases(
        self, genome: Genome, contigs: ContigTable, windows: Windows, codes: int
    ) -> npt.NDArray[np.int64]:
        """Bases of each window that are among some codes."""
        self.device.require_usable()
        return self._sequence.count_bases(genome, contigs, windows, codes)

    def count_unknown(
        self, genome: Genome, contigs: ContigTable, windows: Windows
    ) -> npt.NDArray[np.int64]:
        """Unknown bases of each window."""
        return self.count_bases(genome, contigs, windows, UNKNOWN_CODES)

    def _current_stream(self) -> Any:
        """The calling thread's stream, as CuPy has it."""
        with self.device.current():
            return cupy.cuda.get_current_stream()


class _Asked(threading.local):
    """What a thread has asked for and not been told of."""

    def __init__(self) -> None:
        self.pending: list[Pending] = []


class AllPending:
    """Several pieces of work as one.

    Parameters
    ----------
    parts : sequence of Pending
    """

    def __init__(self, parts: Sequence[Pending]) -> None:
        self._parts = parts

    def wait(self) -> None:
        """Return when all are done; raises what went wrong first, every time."""
        first: Exception | None = None
        for part in self._parts:
            try:
                part.wait()
            except Exception as error:
                first = first or error
        if first is not None:
            raise first


def describe_inflate(device: Device) -> str:
    """What inflates data blocks on the device, and why."""
    from bigwig_loader.backend.cuda.inflate import Inflater

    try:
        inflater = Inflater(device, config.inflate)
    except BackendUnavailableError as error:
        return f"{NONE}: {error}"
    return f"{inflater.route} ({inflater.reason})"


def describe_reads() -> str:
    """How data blocks come to the device, and why; remote files by host threads in any case."""
    from bigwig_loader.backend.cuda.kvikio_reads import find_kvikio
    from bigwig_loader.backend.cuda.reads import LARGE_READ_BYTES

    plain = "host threads, page-locked memory"
    if config.read == "host":
        return f"{plain} (BIGWIG_LOADER_READ=host)"
    found = find_kvikio()
    if isinstance(found, str):
        return f"{NONE}: {found}" if config.read == "kvikio" else f"{plain} ({found})"
    if config.read == "kvikio":
        return f"kvikio (BIGWIG_LOADER_READ=kvikio; {found.reason})"
    if not found.has_gds:
        return f"{plain} ({found.reason})"
    return f"kvikio from {LARGE_READ_BYTES >> 10} KiB a read on, else {plain} ({found.reason})"
