"""One CUDA device: memory, streams, events, copies and kernels, from any thread of this process.

Everything the backend does on a GPU goes through here. Addresses are plain integers, sizes bytes.
Each call makes its device the current one and puts the caller's back, so devices may be used beside
each other. Streams other than our own are named by their pointer, an integer: CuPy's class for
them came and went between versions.
"""

from __future__ import annotations

import functools
import os
from types import TracebackType
from typing import TYPE_CHECKING, Any

import cupy
import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import BackendUnavailableError, LoaderError

if TYPE_CHECKING:
    from bigwig_loader.backend.cuda.kernels import Kernels

# The stream that CuPy, PyTorch and plain CUDA programs use unless told otherwise.
LEGACY_STREAM = 0
_OUT_OF_MEMORY = 2  # cudaErrorMemoryAllocation


class DeviceMemory:
    """Memory of a device, by plain cudaMalloc; freed when dropped.

    Freeing waits for the device, so what is dropped while work is going on costs a stop.

    Parameters
    ----------
    memory : cupy.cuda.Memory
    """

    def __init__(self, memory: Any) -> None:
        self._memory = memory
        self.address: int = memory.ptr
        self.n_bytes: int = memory.size


class PinnedMemory:
    """Page-locked memory of the host, which devices copy from and to while the CPU goes on.

    Parameters
    ----------
    pointer : cupy.cuda.PinnedMemoryPointer
    n_bytes : int

    Attributes
    ----------
    array : (n_bytes,) uint8
        The memory, which lives as long as the array.
    """

    def __init__(self, pointer: Any, n_bytes: int) -> None:
        self.n_bytes = n_bytes
        self.address: int = pointer.ptr
        empty = np.empty(0, np.uint8)
        self.array: npt.NDArray[np.uint8] = (
            np.frombuffer(pointer, np.uint8, n_bytes) if n_bytes else empty
        )


class Event:
    """A mark in a stream.

    Parameters
    ----------
    device : Device
    timed : bool
        Whether `seconds_between` may be asked.
    """

    def __init__(self, device: Device, timed: bool = False) -> None:
        self._device = device
        with device.current():
            self._event = cupy.cuda.Event(disable_timing=not timed)

    def record(self, stream: Stream | int) -> None:
        """Put the mark behind what `stream`, ours or a foreign one's pointer, has been given."""
        with self._device.current():
            cupy.cuda.runtime.eventRecord(self._event.ptr, _pointer(stream))

    def synchronize(self) -> None:
        """Wait until the stream has come to the mark."""
        with self._device.current():
            self._event.synchronize()

    @property
    def is_done(self) -> bool:
        """Whether the stream has come to the mark, or the event was never recorded."""
        with self._device.current():
            return bool(self._event.done)


def seconds_between(first: Event, second: Event) -> float:
    """Seconds of the device between two timed events that are done."""
    with first._device.current():
        return float(cupy.cuda.get_elapsed_time(first._event, second._event)) / 1e3


class Stream:
    """A queue of work that waits for no other stream by itself, not even the default one.

    Parameters
    ----------
    device : Device
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        with device.current():
            self._stream = cupy.cuda.Stream(non_blocking=True)
        self.pointer: int = self._stream.ptr

    def as_current(self) -> Any:
        """Context in which CuPy launches kernels into this stream; its device must be current."""
        return self._stream

    def wait(self, event: Event) -> None:
        """Let what comes later in this stream wait for an event; the host does not wait."""
        with self._device.current():
            self._stream.wait_event(event._event)

    def synchronize(self) -> None:
        """Wait until everything in this stream is done."""
        with self._device.current():
            self._stream.synchronize()


class Device:
    """A CUDA device, in the process that made this object.

    Parameters
    ----------
    number : int
        As CUDA counts them: ``CUDA_VISIBLE_DEVICES`` is taken into account.

    Attributes
    ----------
    name : str
        E.g. ``"NVIDIA H200"``.
    compute_capability : str
        E.g. ``"90"``.
    n_multiprocessors : int
    total_bytes : int
        Memory of the device.
    shared_bytes : int
        Most shared memory that a block of threads may ask for.
    """

    def __init__(self, number: int = 0) -> None:
        self.number = number
        self._process = os.getpid()
        with self.current():
            found = cupy.cuda.runtime.getDeviceProperties(number)
            self.compute_capability = str(cupy.cuda.Device(number).compute_capability)
        self.name = str(found["name"].decode())
        self.n_multiprocessors = int(found["multiProcessorCount"])
        self.total_bytes = int(found["totalGlobalMem"])
        self.shared_bytes = int(found["sharedMemPerBlockOptin"])

    def __repr__(self) -> str:
        return f"cuda:{self.number}"

    @property
    def is_usable(self) -> bool:
        """Whether this is the process that made the object; CUDA does not live through a fork."""
        return os.getpid() == self._process

    def current(self) -> _Current:
        """Context in which this is the thread's current device; the caller's comes back after it.

        Raises
        ------
        BackendUnavailableError
            In a process that was forked from the one that made this object.
        LoaderError
            For errors that CUDA reports inside the context.
        """
        self.require_usable()
        return _Current(self)

    def require_usable(self) -> None:
        """Raise `BackendUnavailableError` in a process forked from the one that made this."""
        if not self.is_usable:
            raise BackendUnavailableError(
                f"{self} was opened in process {self._process} and is used in process "
                f"{os.getpid()}, which was forked from it; CUDA does not work across a fork. Make "
                "batches in the process that trains (num_workers=0), or start workers with "
                "multiprocessing_context='spawn'"
            )

    def memory(self, n_bytes: int) -> DeviceMemory:
        """Uninitialised memory of this device.

        Raises
        ------
        LoaderError
            If there is not that much left.
        """
        with self.current():
            try:
                return DeviceMemory(cupy.cuda.Memory(n_bytes))
            except (MemoryError, cupy.cuda.runtime.CUDARuntimeError) as error:
                if getattr(error, "status", _OUT_OF_MEMORY) != _OUT_OF_MEMORY:
                    raise
                free, total = cupy.cuda.runtime.memGetInfo()
                raise LoaderError(
                    f"out of memory on {self} ({self.name}): expected {_gigabytes(n_bytes)} more, "
                    f"got {_gigabytes(free)} free of {_gigabytes(total)}; give the collection a "
                    "smaller memory_budget or cache_bytes, make batches smaller, or stop other "
                    "programs that use this GPU"
                ) from error

    def pinned(self, n_bytes: int) -> PinnedMemory:
        """Uninitialised page-locked memory of the host, for copies to and from any device.

        Raises
        ------
        LoaderError
            If the system refuses to lock that much.
        """
        with self.current():
            try:
                memory = cupy.cuda.PinnedMemory(n_bytes, cupy.cuda.runtime.hostAllocPortable)
            except cupy.cuda.runtime.CUDARuntimeError as error:
                if error.status != _OUT_OF_MEMORY:
                    raise
                raise LoaderError(
                    f"cannot page-lock {_gigabytes(n_bytes)} of host memory; give the collection "
                    "a smaller memory_budget, or raise the limit of locked memory (ulimit -l)"
                ) from error
        return PinnedMemory(cupy.cuda.PinnedMemoryPointer(memory, 0), n_bytes)

    def stream(self) -> Stream:
        """A new stream."""
        return Stream(self)

    def event(self, timed: bool = False) -> Event:
        """A new event; done until it is recorded."""
        return Event(self, timed)

    def upload(self, to: int, source_address: int, n_bytes: int, stream: Stream) -> None:
        """Copy from the host to the device, in order of the stream; the source must be pinned."""
        kind = cupy.cuda.runtime.memcpyHostToDevice
        self._copy(to, source_address, n_bytes, kind, stream)

    def download(self, to: int, source_address: int, n_bytes: int, stream: Stream) -> None:
        """Copy from the device to the host, in order of the stream; `to` must be pinned."""
        kind = cupy.cuda.runtime.memcpyDeviceToHost
        self._copy(to, source_address, n_bytes, kind, stream)

    def copy(self, to: int, source_address: int, n_bytes: int, stream: Stream) -> None:
        """Copy within the device, in order of the stream."""
        kind = cupy.cuda.runtime.memcpyDeviceToDevice
        self._copy(to, source_address, n_bytes, kind, stream)

    def _copy(self, to: int, source: int, n_bytes: int, kind: int, stream: Stream) -> None:
        if n_bytes:
            with self.current():
                cupy.cuda.runtime.memcpyAsync(to, source, n_bytes, kind, stream.pointer)

    def fill(self, to: int, byte: int, n_bytes: int, stream: Stream) -> None:
        """Set `n_bytes` bytes of the device, in order of the stream."""
        if n_bytes:
            with self.current():
                cupy.cuda.runtime.memsetAsync(to, byte, n_bytes, stream.pointer)

    def array(
        self,
        owner: object,
        address: int,
        shape: tuple[int, ...],
        dtype: npt.DTypeLike,
        strides: tuple[int, ...] | None = None,
    ) -> Any:
        """Memory as a CuPy array.

        Parameters
        ----------
        owner : object
            Kept alive by the array, its views and whatever shares its memory.
        address : int
            Of the first element.
        shape : tuple of int
        dtype : dtype
        strides : tuple of int, optional
            Bytes, none negative; None for C order.
        """
        kind = np.dtype(dtype)
        if 0 in shape:
            n_bytes = 0
        elif strides is None:
            n_bytes = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
        else:
            last = sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
            n_bytes = last + kind.itemsize
        memory = cupy.cuda.UnownedMemory(address, n_bytes, owner, self.number)
        pointer = cupy.cuda.MemoryPointer(memory, 0)
        return cupy.ndarray(shape, kind, memptr=pointer, strides=strides)

    @functools.cached_property
    def _kernels(self) -> dict[str, Kernels]:
        return {}

    def kernels(self, source: str) -> Kernels:
        """The kernels of one file of `cuda_kernels`, e.g. ``"inflate.cu"``; compiled once.

        Raises
        ------
        BackendUnavailableError
            If the file does not compile here: the compiler's log.
        """
        from bigwig_loader.backend.cuda.kernels import Kernels

        found = self._kernels.get(source)
        if found is None:
            found = self._kernels.setdefault(source, Kernels(self, source))
        return found


class _Current:
    """What `Device.current` returns; a class, since it is entered for every call."""

    def __init__(self, device: Device) -> None:
        self._device = device
        # One each time: CuPy's object remembers whom to return to and is no thread's own.
        self._context = cupy.cuda.Device(device.number)

    def __enter__(self) -> None:
        try:
            self._context.__enter__()
        except cupy.cuda.runtime.CUDARuntimeError as error:
            raise _reported(self._device, error) from error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._context.__exit__(kind, error, trace)
        if isinstance(error, _cuda_errors()):
            raise _reported(self._device, error) from error


def _cuda_errors() -> tuple[type[BaseException], ...]:
    return cupy.cuda.runtime.CUDARuntimeError, cupy.cuda.driver.CUDADriverError


def _reported(device: Device, error: BaseException) -> LoaderError:
    return LoaderError(
        f"{device} ({getattr(device, 'name', 'not opened')}) reports {error}; where it goes on "
        "doing so, start the process again"
    )


def _pointer(stream: Stream | int) -> int:
    return stream if isinstance(stream, int) else stream.pointer


def _gigabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:,.3f} GB"
