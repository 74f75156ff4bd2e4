"""The classes of `cupy.cuda`: devices, streams, events, memory."""

from __future__ import annotations

import ctypes
import threading
import warnings
from typing import Any

from tests.helpers.fake_cupy import runtime
from tests.helpers.fake_cupy.machine import Machine, machine


class Device:
    """As `cupy.cuda.Device`."""

    def __init__(self, device: int | Device | None = None) -> None:
        self.id = runtime.getDevice() if device is None else int(device)
        self._before: list[int] = []

    def __int__(self) -> int:
        return self.id

    def __enter__(self) -> Device:
        self._before.append(runtime.getDevice())
        self.use()
        return self

    def __exit__(self, *args: object) -> None:
        machine().device = self._before.pop()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<CUDA Device {self.id}>"

    def use(self) -> None:
        runtime.setDevice(self.id)

    def synchronize(self) -> None:
        with self:
            runtime.deviceSynchronize()

    @property
    def compute_capability(self) -> str:
        properties = runtime.getDeviceProperties(self.id)
        return f"{properties['major']}{properties['minor']}"

    @property
    def mem_info(self) -> tuple[int, int]:
        with self:
            return runtime.memGetInfo()

    @property
    def attributes(self) -> dict[str, int]:
        properties = runtime.getDeviceProperties(self.id)
        return {
            "MultiProcessorCount": properties["multiProcessorCount"],
            "MaxSharedMemoryPerBlock": properties["sharedMemPerBlock"],
            "MaxSharedMemoryPerBlockOptin": properties["sharedMemPerBlockOptin"],
            "MaxSharedMemoryPerMultiprocessor": properties["sharedMemPerMultiprocessor"],
            "ReservedSharedMemoryPerBlock": properties["reservedSharedMemPerBlock"],
            "ComputeCapabilityMajor": properties["major"],
            "ComputeCapabilityMinor": properties["minor"],
            "MaxThreadsPerBlock": properties["maxThreadsPerBlock"],
            "MaxThreadsPerMultiProcessor": properties["maxThreadsPerMultiProcessor"],
            "WarpSize": properties["warpSize"],
            "L2CacheSize": properties["l2CacheSize"],
        }


# ----------------------------------------------------------------------------------------- streams


class _Current(threading.local):
    """The current streams of a thread, by device, and those before them."""

    def __init__(self) -> None:
        self.stream: dict[int, BaseStream] = {}
        self.before: list[tuple[int, BaseStream]] = []


_current = _Current()


class BaseStream:
    """As `cupy.cuda.stream._BaseStream`."""

    def __init__(self, ptr: int, device_id: int) -> None:
        self.ptr = ptr
        self.device_id = device_id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BaseStream) and self.ptr == other.ptr

    def __hash__(self) -> int:
        return self.ptr

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.ptr} (device {self.device_id})>"

    def __cuda_stream__(self) -> tuple[int, int]:
        return (0, self.ptr)

    def __enter__(self) -> BaseStream:
        device = self._checked_device()
        _current.before.append((device, get_current_stream(device)))
        _current.stream[device] = self
        return self

    def __exit__(self, *args: object) -> None:
        device, stream = _current.before.pop()
        _current.stream[device] = stream

    def use(self) -> BaseStream:
        _current.stream[self._checked_device()] = self
        return self

    @property
    def done(self) -> bool:
        return runtime.streamQuery(self.ptr) == 0

    def synchronize(self) -> None:
        runtime.streamSynchronize(self.ptr)

    def record(self, event: Event | None = None) -> Event:
        event = Event() if event is None else event
        runtime.eventRecord(event.ptr, self.ptr)
        return event

    def wait_event(self, event: Event) -> None:
        runtime.streamWaitEvent(self.ptr, event.ptr)

    def _checked_device(self) -> int:
        current = runtime.getDevice()
        if self.device_id not in (-1, current):
            raise RuntimeError(
                f"The device that the stream is created on ({self.device_id}) "
                f"does not match with the current device ({current})"
            )
        return current


class Stream(BaseStream):
    """As `cupy.cuda.Stream`."""

    null: Stream
    ptds: Stream
    _machine: Machine | None = None  # of a stream that is ours to destroy
    _foreign: object = None

    def __init__(
        self,
        null: bool = False,
        non_blocking: bool = False,
        ptds: bool = False,
        priority: int | None = None,
    ) -> None:
        if null or ptds:
            super().__init__(0 if null else runtime.streamPerThread, -1)
            return
        flags = runtime.streamNonBlocking if non_blocking else runtime.streamDefault
        super().__init__(runtime.streamCreateWithFlags(flags), runtime.getDevice())
        self._machine = machine()

    def __del__(self) -> None:
        if self._machine is not None:
            self._machine.forget_queue(self.ptr)

    @classmethod
    def from_external(cls, obj: Any) -> Stream:
        version, ptr = obj.__cuda_stream__()
        if version != 0:
            raise ValueError(f"__cuda_stream__() returned unsupported version {version}")
        stream = cls.__new__(cls)
        BaseStream.__init__(stream, ptr, runtime.getDevice())
        stream._foreign = obj
        return stream


class ExternalStream(BaseStream):
    """As `cupy.cuda.ExternalStream`, deprecated as there."""

    def __init__(self, ptr: int, device_id: int = -1) -> None:
        warnings.warn(
            "ExternalStream is deprecated. Use Stream.from_external() instead "
            "to interoperate with external streams that implement the CUDA "
            "stream protocol.",
            DeprecationWarning,
            stacklevel=2,
        )
        super().__init__(ptr, device_id)


Stream.null = Stream(null=True)
Stream.ptds = Stream(ptds=True)


def get_current_stream(device_id: int = -1) -> BaseStream:
    """As `cupy.cuda.get_current_stream`."""
    device = runtime.getDevice() if device_id == -1 else device_id
    return _current.stream.get(device, Stream.null)


def forget_current_streams() -> None:
    """The calling thread starts again with the default streams."""
    _current.stream.clear()
    _current.before.clear()


class Event:
    """As `cupy.cuda.Event`."""

    def __init__(
        self, block: bool = False, disable_timing: bool = False, interprocess: bool = False
    ) -> None:
        self.ptr = 0
        if interprocess and not disable_timing:
            raise ValueError("Timing must be disabled for interprocess events")
        flags = runtime.eventDisableTiming if disable_timing else 0
        self.ptr = runtime.eventCreateWithFlags(flags)
        self._machine = machine()

    def __del__(self) -> None:
        if self.ptr:
            self._machine.forget_event(self.ptr)

    @property
    def done(self) -> bool:
        return runtime.eventQuery(self.ptr) == 0

    def record(self, stream: BaseStream | None = None) -> None:
        stream = get_current_stream() if stream is None else stream
        runtime.eventRecord(self.ptr, stream.ptr)

    def synchronize(self) -> None:
        runtime.eventSynchronize(self.ptr)


def get_elapsed_time(start_event: Event, end_event: Event) -> float:
    """Milliseconds between two events."""
    return runtime.eventElapsedTime(start_event.ptr, end_event.ptr)


# ------------------------------------------------------------------------------------------ memory


class BaseMemory:
    """As `cupy.cuda.BaseMemory`."""

    ptr = 0
    size = 0
    device_id = -1

    def __int__(self) -> int:
        return self.ptr

    @property
    def device(self) -> Device:
        return Device(self.device_id)


class Memory(BaseMemory):
    """As `cupy.cuda.Memory`: what cudaMalloc gives, until it is collected."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.device_id = runtime.getDevice()
        self.ptr = runtime.malloc(size)
        self._machine = machine()

    def __del__(self) -> None:
        if self.ptr:
            self._machine.free(self.ptr)


class UnownedMemory(BaseMemory):
    """As `cupy.cuda.UnownedMemory`."""

    def __init__(self, ptr: int, size: int, owner: object, device_id: int = -1) -> None:
        if device_id < 0:
            device_id = machine().area_of(ptr, 0, "UnownedMemory").device if ptr else 0
        self.ptr = ptr
        self.size = size
        self.device_id = device_id
        self._owner = owner


class MemoryPointer:
    """As `cupy.cuda.MemoryPointer`."""

    def __init__(self, mem: BaseMemory, offset: int) -> None:
        if mem.ptr == 0 and offset != 0:
            raise AssertionError
        self.mem = mem
        self.ptr = mem.ptr + offset
        self.device_id = mem.device_id

    def __int__(self) -> int:
        return self.ptr

    def __add__(self, offset: int) -> MemoryPointer:
        return MemoryPointer(self.mem, self.ptr - self.mem.ptr + offset)

    def __sub__(self, offset: int) -> MemoryPointer:
        return self + -offset

    @property
    def device(self) -> Device:
        return Device(self.device_id)

    def memset_async(self, value: int, size: int, stream: BaseStream | None = None) -> None:
        stream = get_current_stream() if stream is None else stream
        runtime.memsetAsync(self.ptr, value, size, stream.ptr)


class PinnedMemory:
    """As `cupy.cuda.PinnedMemory`."""

    def __init__(self, size: int, flags: int = 0) -> None:
        self.size = size
        self.ptr = runtime.hostAlloc(size, flags) if size > 0 else 0
        self._machine = machine()

    def __int__(self) -> int:
        return self.ptr

    def __del__(self) -> None:
        if getattr(self, "ptr", 0):
            self._machine.free(self.ptr)


class PinnedMemoryPointer:
    """As `cupy.cuda.PinnedMemoryPointer`: a buffer of signed bytes."""

    def __new__(cls, mem: PinnedMemory, offset: int) -> PinnedMemoryPointer:
        # Only a ctypes array can offer a buffer at an address that it does not own.
        array = ctypes.c_byte * (mem.size - offset)
        kind = type(cls.__name__, (array, cls), {"__init__": lambda self, *args: None})
        made: PinnedMemoryPointer = kind.from_address(mem.ptr + offset)  # type: ignore[attr-defined]
        made.mem = mem
        made.ptr = mem.ptr + offset
        return made

    mem: PinnedMemory
    ptr: int

    def __int__(self) -> int:
        return self.ptr

    def __add__(self, offset: int) -> PinnedMemoryPointer:
        return PinnedMemoryPointer(self.mem, self.ptr - self.mem.ptr + offset)

    def size(self) -> int:
        return self.mem.size - (self.ptr - self.mem.ptr)


def alloc_pinned_memory(size: int) -> PinnedMemoryPointer:
    """As `cupy.cuda.alloc_pinned_memory`; its pool rounds up to 512 bytes."""
    rounded = -(-size // 512) * 512
    return PinnedMemoryPointer(PinnedMemory(rounded, runtime.hostAllocPortable), 0)
