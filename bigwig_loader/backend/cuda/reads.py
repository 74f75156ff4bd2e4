"""What is in files, to device memory: read by threads into page-locked memory and copied, or by
kvikio.

Reads are coalesced before they come here: one is a stretch of a file with one data block or many.
Remote files are fetched into page-locked memory, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.cpu.files import FileTable
from bigwig_loader.backend.cuda.device import Device, PinnedMemory, Stream
from bigwig_loader.backend.fetch import fetch_ranges, open_sources
from bigwig_loader.config import Read, config
from bigwig_loader.errors import BackendUnavailableError, InvalidInputError
from bigwig_loader.formats.source import is_url
from bigwig_loader.plan.track_index import TrackIndex

# Starting a thread takes as long as this many reads from the page cache do.
_READS_PER_THREAD = 4
# From this many bytes a read on average, kvikio with GPUDirect Storage is used. kvikio reads less
# than 16 KiB without it, in the calling thread; near that, most of a read is its fixed cost.
LARGE_READ_BYTES = 64 << 10

Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Reads:
    """R stretches of files.

    Parameters
    ----------
    track : (R,) int64
        Number of the file.
    offset, n_bytes : (R,) int64
        In it; within the file.
    to : (R,) int64
        Where each goes, in bytes from the start of the memory given; they do not overlap.
    """

    track: Int64Array
    offset: Int64Array
    n_bytes: Int64Array
    to: Int64Array

    def __len__(self) -> int:
        return len(self.track)

    @property
    def total_bytes(self) -> int:
        """Bytes of all reads."""
        return int(self.n_bytes.sum())

    @property
    def extent(self) -> tuple[int, int]:
        """First byte of the memory given that is written, and the one past the last."""
        if not len(self):
            return 0, 0
        return int(self.to.min()), int((self.to + self.n_bytes).max())


class ReadFailure(Exception):
    """A read that failed.

    Parameters
    ----------
    read : int
        The lowest one of those that failed.
    status : int
        READ_FAILED or PAST_END of `backend.status.Status`.
    detail : (int, int)
        Of the status: errno and bytes read, or the ends of the read and of the file.
    """

    def __init__(self, read: int, status: int, detail: tuple[int, int]) -> None:
        super().__init__(f"read {read} failed: status {status}, {detail}")
        self.read = read
        self.status = status
        self.detail = detail


class Reader(Protocol):
    """A way from the files of one collection to the memory of one device.

    Attributes
    ----------
    name : str
        What reads.
    reason : str
        Why this one.
    """

    name: str
    reason: str

    def fetch(self, reads: Reads, pinned: PinnedMemory, to_address: int, stream: Stream) -> int:
        """Bring reads to the device; returns how many bytes have been read.

        Nothing may be using the memory at `to_address`, or `pinned`, when this is called: reading
        is not in order of any stream. What the stream is given afterwards finds the bytes there,
        and `pinned` is in use until the stream has come as far.

        Parameters
        ----------
        reads : Reads
        pinned : PinnedMemory
            At least up to the end of ``reads.extent``.
        to_address : int
            Of device memory of that size.
        stream : Stream

        Raises
        ------
        ReadFailure
            If a local file cannot be read. No read is under way any more.
        InvalidDataError
            If a remote file cannot be read.
        """

    def close(self) -> None:
        """Close the files; safe to call twice."""


class HostReader:
    """Reads with threads of the C library into page-locked memory, then one copy.

    Parameters
    ----------
    device : Device
    index : TrackIndex
    n_threads : int
    max_open : int, optional
        Files open at once; by default as many as the process may have.
    """

    name = "host threads"

    def __init__(
        self, device: Device, index: TrackIndex, n_threads: int, max_open: int | None = None
    ) -> None:
        self.reason = ""
        self._device = device
        self._n_threads = n_threads
        self._sources = open_sources(index.paths)
        self._files = FileTable(index.paths, index.file_bytes, max_open)

    def fetch(self, reads: Reads, pinned: PinnedMemory, to_address: int, stream: Stream) -> int:
        """As `Reader.fetch`."""
        low, high = reads.extent
        if low < 0 or high > pinned.n_bytes:
            raise InvalidInputError(
                f"reads into bytes {low} to {high} of page-locked memory: expected 0 to "
                f"{pinned.n_bytes}"
            )
        if self._files.address is None:
            raise InvalidInputError("the collection is closed; open it again")
        if not len(reads):
            return 0
        if self._sources:
            parts = fetch_ranges(self._sources, reads.track, reads.offset, reads.n_bytes)
            for to, part in zip(reads.to.tolist(), parts, strict=True):
                pinned.array[to : to + len(part)] = np.frombuffer(part, np.uint8)
        else:
            n_threads = min(self._n_threads, len(reads) // _READS_PER_THREAD + 1)
            addresses = reads.to + pinned.address
            failure = self._files.read(
                reads.track, reads.offset, reads.n_bytes, addresses, n_threads
            )
            if failure is not None:
                raise ReadFailure(*failure)
        self._device.upload(to_address + low, pinned.address + low, high - low, stream)
        return reads.total_bytes

    def close(self) -> None:
        """Close the files; safe to call twice."""
        self._files.close()
        for source in self._sources:
            source.close()


class LargeReadsReader:
    """One reader for batches of large reads, another for the others.

    Parameters
    ----------
    large, other : Reader
    """

    def __init__(self, large: Reader, other: Reader) -> None:
        self.name = f"{large.name} from {LARGE_READ_BYTES >> 10} KiB a read on, else {other.name}"
        self.reason = large.reason
        self._large = large
        self._other = other

    def fetch(self, reads: Reads, pinned: PinnedMemory, to_address: int, stream: Stream) -> int:
        """As `Reader.fetch`."""
        is_large = reads.total_bytes >= LARGE_READ_BYTES * max(len(reads), 1)
        reader = self._large if is_large else self._other
        return reader.fetch(reads, pinned, to_address, stream)

    def close(self) -> None:
        """Close the files of both; safe to call twice."""
        self._large.close()
        self._other.close()


def choose_reader(
    device: Device, index: TrackIndex, n_threads: int, how: Read | None = None
) -> Reader:
    """The reader of a collection, with the reason for it.

    Parameters
    ----------
    device : Device
    index : TrackIndex
    n_threads : int
    how : {"auto", "kvikio", "host"}, optional
        None for `config.read`. ``"auto"``: kvikio for large reads, where it has GPUDirect Storage;
        without that it copies through page-locked memory as we do, in more and smaller steps.
        Remote files are fetched to the host in any case.

    Raises
    ------
    BackendUnavailableError
        For ``"kvikio"`` where that cannot be used.
    """
    from bigwig_loader.backend.cuda.kvikio_reads import KvikioReader, find_kvikio

    how = how or config.read
    if how == "host":
        return _host(device, index, n_threads, "read='host'")
    if any(map(is_url, index.paths)):
        return _host(device, index, n_threads, "there are remote files")
    found = find_kvikio()
    if isinstance(found, str):
        if how == "auto":
            return _host(device, index, n_threads, found)
        raise BackendUnavailableError(f"read='kvikio': {found}, or set BIGWIG_LOADER_READ=host")
    if how == "auto" and not found.has_gds:
        return _host(device, index, n_threads, found.reason)
    reader = KvikioReader(device, index, n_threads, found)
    if how == "kvikio":
        reader.reason = f"read='kvikio'; {found.reason}"
        return reader
    # Both keep files open: half of what the process may have open is for each.
    other = HostReader(device, index, n_threads, reader.max_open * 2)
    return LargeReadsReader(reader, other)


def _host(device: Device, index: TrackIndex, n_threads: int, reason: str) -> HostReader:
    reader = HostReader(device, index, n_threads)
    reader.reason = reason
    return reader
