"""Reading with kvikio: from files straight into device memory, where there is GPUDirect Storage.

kvikio's Python interface lets the host wait for the default stream of the device before a read of
16 KiB or more, and so for whatever the user has queued there. Reads of batches in flight hide that.
Its pool of threads and its settings belong to the process. We make the pool larger, never smaller,
and not where the environment says how large it shall be.
"""

from __future__ import annotations

import errno
import importlib
import importlib.util
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import numpy as np

from bigwig_loader.backend.cpu.files import open_files_limit
from bigwig_loader.backend.cuda.device import Device, PinnedMemory, Stream
from bigwig_loader.backend.cuda.reads import ReadFailure, Reads
from bigwig_loader.backend.status import Status
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.plan.track_index import TrackIndex

# kvikio cuts reads into tasks of this size for its threads; by itself it takes 4 MiB.
TASK_BYTES = 1 << 20
# Handles to keep; each is registered with the driver, and takes two file descriptors.
_MAX_HANDLES = 1024
# What sets the size of kvikio's pool of threads.
_THREAD_VARIABLES = ("KVIKIO_NTHREADS", "KVIKIO_NUM_THREADS")
_SETTING = threading.Lock()


class Kvikio(NamedTuple):
    """The package, and what it can do here.

    Parameters
    ----------
    module : module
    has_gds : bool
        Whether it has GPUDirect Storage.
    reason : str
        Why, or why not.
    """

    module: Any
    has_gds: bool
    reason: str


def find_kvikio() -> Kvikio | str:
    """kvikio, or why it cannot be used; never raises."""
    if importlib.util.find_spec("kvikio") is None:
        return "kvikio is not installed; install kvikio-cu12 or kvikio-cu13"
    try:
        kvikio = importlib.import_module("kvikio")
        defaults = importlib.import_module("kvikio.defaults")
        driver = importlib.import_module("kvikio.cufile_driver")
        version = str(kvikio.__version__)
        if defaults.is_compat_mode_preferred():
            reason = (
                f"kvikio {version} is in compatibility mode: KVIKIO_COMPAT_MODE says so, or there "
                "is no libcufile, or /run/udev cannot be read"
            )
            return Kvikio(kvikio, False, reason)
        if not driver.get("is_gds_available"):
            reason = f"kvikio {version} finds no driver for GPUDirect Storage (nvidia-fs)"
            return Kvikio(kvikio, False, reason)
    except Exception as error:  # missing libraries show in many ways; there is another reader
        said = " ".join(str(error).split())
        return f"kvikio cannot be used ({type(error).__name__}: {said}); {_remedy(said)}"
    return Kvikio(kvikio, True, f"kvikio {version} has GPUDirect Storage")


def _remedy(said: str) -> str:
    if "libcufile" in said:
        return "install nvidia-cufile-cu12 (CUDA 12) or nvidia-cufile, or add it to LD_LIBRARY_PATH"
    return "install kvikio-cu12 or kvikio-cu13 again"


class _Handle:
    """An open file, and how many are reading it."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self.n_users = 0


class KvikioReader:
    """Reads with kvikio's threads into device memory; the host waits for them.

    Files are opened when first read, and closed again, those not used for longest first, when there
    are too many.

    Parameters
    ----------
    device : Device
    index : TrackIndex
    n_threads : int
        That kvikio shall have at least.
    kvikio : Kvikio
    """

    name = "kvikio"

    def __init__(self, device: Device, index: TrackIndex, n_threads: int, kvikio: Kvikio) -> None:
        self.reason = kvikio.reason
        self.max_open = max(min(_MAX_HANDLES, open_files_limit() // 4), 1)
        self._device = device
        self._paths = index.paths
        self._file_bytes = index.file_bytes
        self._kvikio = kvikio.module
        self._handles: OrderedDict[int, _Handle] = OrderedDict()
        self._opening = threading.Lock()
        self._is_closed = False
        _set_threads(kvikio.module.defaults, n_threads)

    def fetch(self, reads: Reads, pinned: PinnedMemory, to_address: int, stream: Stream) -> int:
        """As `Reader.fetch`; `pinned` is not used, and nothing is queued."""
        if self._is_closed:
            raise InvalidInputError("the collection is closed; open it again")
        if not len(reads):
            return 0
        memory = self._device.array(self, to_address, (reads.extent[1],), np.uint8)
        tracks = np.unique(reads.track)
        for first in range(0, len(tracks), self.max_open):
            together = tracks[first : first + self.max_open]
            self._fetch_from(together, reads, memory)
        return reads.total_bytes

    def close(self) -> None:
        """Close the files; safe to call twice."""
        with self._opening:
            self._is_closed = True
            for handle in self._handles.values():
                handle.file.close()
            self._handles.clear()

    def _fetch_from(self, tracks: Any, reads: Reads, memory: Any) -> None:
        """Read from some files at once. All reads have ended when this returns or raises."""
        failures: list[ReadFailure] = []
        pending: list[tuple[int, int, Any]] = []
        # A future must not outlive its file, nor a read the memory it writes to.
        with ExitStack() as open_files, self._device.current():
            try:
                for track in tracks.tolist():
                    at = np.flatnonzero((reads.track == track) & (reads.n_bytes > 0)).tolist()
                    if not at:
                        continue
                    try:
                        file = open_files.enter_context(self._open_file(track, at[0]))
                    except ReadFailure as failure:
                        failures.append(failure)
                        break
                    for read in at:
                        n_bytes, to = int(reads.n_bytes[read]), int(reads.to[read])
                        part = memory[to : to + n_bytes]
                        offset = int(reads.offset[read])
                        future = file.pread(part, n_bytes, offset, TASK_BYTES)
                        pending.append((read, n_bytes, future))
            finally:
                failures += [f for f in (_ended(*one) for one in pending) if f is not None]
        if failures:
            raise min(failures, key=lambda failure: failure.read)

    @contextmanager
    def _open_file(self, track: int, read: int) -> Iterator[Any]:
        """The open file of a track, which stays open meanwhile; `read` is for the message."""
        with self._opening:
            handle = self._handles.get(track)
            if handle is None:
                self._close_unused()
                handle = self._handles[track] = _Handle(self._open(track, read))
            self._handles.move_to_end(track)
            handle.n_users += 1
        try:
            yield handle.file
        finally:
            with self._opening:
                handle.n_users -= 1

    def _close_unused(self) -> None:
        """Make room for one more handle; where all are being read, there is one too many."""
        if len(self._handles) < self.max_open:
            return
        for track, handle in self._handles.items():
            if handle.n_users == 0:
                handle.file.close()
                del self._handles[track]
                return

    def _open(self, track: int, read: int) -> Any:
        path = self._paths[track]
        try:
            file = self._kvikio.CuFile(path, "r")
        except (RuntimeError, OSError) as error:
            raise ReadFailure(read, Status.READ_FAILED, (_errno_of(path), 0)) from error
        if os.fstat(file.fileno()).st_size != self._file_bytes[track]:
            file.close()
            raise ReadFailure(read, Status.READ_FAILED, (errno.ESTALE, 0))
        return file


def _ended(read: int, n_bytes: int, future: Any) -> ReadFailure | None:
    """Wait for a read; what was wrong with it."""
    try:
        got = int(future.get())
    except (RuntimeError, OSError) as error:  # kvikio does not tell which error of the system
        failure = ReadFailure(read, Status.READ_FAILED, (errno.EIO, 0))
        failure.__cause__ = error
        return failure
    if got == n_bytes:
        return None
    return ReadFailure(read, Status.READ_FAILED, (errno.EIO, got))


def _errno_of(path: str) -> int:
    """What the system says to opening a file."""
    try:
        os.close(os.open(path, os.O_RDONLY))
    except OSError as error:
        return error.errno or errno.EIO
    return errno.EIO


def _set_threads(defaults: Any, n_threads: int) -> None:
    """Let kvikio have at least `n_threads` threads, if the environment does not say how many."""
    if any(os.environ.get(name) for name in _THREAD_VARIABLES):
        return
    with _SETTING:
        if defaults.get("num_threads") < n_threads:
            defaults.set("num_threads", n_threads)
