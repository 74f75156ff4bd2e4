"""`cupy.cuda.runtime`: the functions of the CUDA runtime that the package calls."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from tests.helpers.fake_cupy.errors import CUDARuntimeError
from tests.helpers.fake_cupy.machine import LEGACY, PER_THREAD, Machine, machine
from tests.helpers.fake_cupy.memory import HOST

memcpyHostToHost, memcpyHostToDevice, memcpyDeviceToHost = 0, 1, 2
memcpyDeviceToDevice, memcpyDefault = 3, 4
streamDefault, streamNonBlocking = 0, 1
streamLegacy, streamPerThread = LEGACY, PER_THREAD
eventDefault, eventBlockingSync, eventDisableTiming, eventInterprocess = 0, 1, 2, 4
hostAllocDefault, hostAllocPortable = 0, 1
errorMemoryAllocation = 2
is_hip = False

_P = ParamSpec("_P")
_T = TypeVar("_T")


def call(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """A call of the runtime: one at a time, answered with the failure there has been, if any."""

    @functools.wraps(function)
    def locked(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        now = machine()
        with now.lock:
            now.enter()
            now.check()
            now.scheduler.stir()
            now.check()
            return function(*args, **kwargs)

    return locked


def then_check(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """A call that waits: what went wrong meanwhile is raised at its end."""

    @functools.wraps(function)
    def checked(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        result = function(*args, **kwargs)
        machine().check()
        return result

    return call(checked)


# ----------------------------------------------------------------------------------------- devices


def getDeviceCount() -> int:
    """Number of devices.

    Raises
    ------
    CUDARuntimeError
        There is no driver, or there are no devices.
    """
    options = machine().options
    if options.driver_version == 0:
        raise CUDARuntimeError(35)
    if not options.devices:
        raise CUDARuntimeError(100)
    machine().enter()
    return len(options.devices)


def driverGetVersion() -> int:
    return machine().options.driver_version


def runtimeGetVersion() -> int:
    return 13020


@call
def getDevice() -> int:
    getDeviceCount()
    return machine().device


@call
def setDevice(device: int) -> None:
    getDeviceCount()
    machine().device = device


@call
def getDeviceProperties(device: int) -> dict[str, Any]:
    if not 0 <= device < getDeviceCount():
        raise CUDARuntimeError(101, f"device {device}")
    spec = machine().options.devices[device]
    return {
        "name": spec.name.encode(),
        "major": int(spec.compute_capability[:-1]),
        "minor": int(spec.compute_capability[-1]),
        "totalGlobalMem": spec.total_bytes,
        "multiProcessorCount": spec.n_multiprocessors,
        "sharedMemPerBlock": spec.shared_bytes,
        "sharedMemPerBlockOptin": spec.shared_bytes_optin,
        "sharedMemPerMultiprocessor": spec.shared_bytes_optin + 1024,
        "reservedSharedMemPerBlock": 1024,
        "regsPerBlock": 65536,
        "regsPerMultiprocessor": 65536,
        "warpSize": 32,
        "maxThreadsPerBlock": 1024,
        "maxThreadsDim": (1024, 1024, 64),
        "maxGridSize": (2147483647, 65535, 65535),
        "maxThreadsPerMultiProcessor": 2048,
        "l2CacheSize": 50 << 20,
        "pciBusID": device,
        "pciDeviceID": 0,
        "pciDomainID": 0,
        "integrated": 0,
        "canMapHostMemory": 1,
        "unifiedAddressing": 1,
        "managedMemory": 1,
    }


@then_check
def deviceSynchronize() -> None:
    machine().scheduler.complete_all(machine().device)


@call
def memGetInfo() -> tuple[int, int]:
    total = machine().options.devices[machine().device].total_bytes
    return total - machine().memory.n_bytes(machine().device), total


# ------------------------------------------------------------------------------------------ memory


@call
def malloc(size: int) -> int:
    return machine().allocate(size, machine().device).address if size else 0


def free(ptr: int) -> None:
    if ptr:
        machine().free(ptr)


@call
def hostAlloc(size: int, flags: int) -> int:
    return machine().allocate(size, HOST).address if size else 0


freeHost = free


@call
def memcpyAsync(dst: int, src: int, size: int, kind: int, stream: int) -> None:
    """A copy in a stream. Host memory that is pinned is read, or written, when the copy is done."""
    if size == 0:
        return
    now, queue = machine(), machine().queue(stream)
    to_host, from_host = kind == memcpyDeviceToHost, kind == memcpyHostToDevice
    if kind not in (memcpyHostToDevice, memcpyDeviceToHost, memcpyDeviceToDevice):
        raise CUDARuntimeError(1, f"kind of copy {kind}, of which the fake knows 1, 2 and 3")
    if not to_host:
        now.area_of(dst, size, "copy to", queue.device)
    if not from_host:
        now.area_of(src, size, "copy from", queue.device)
    if to_host or from_host:
        host = dst if to_host else src
        area = now.memory.find(host, 1)
        if area is not None and area.device != HOST:
            raise CUDARuntimeError(1, f"copy: expected host memory, got device memory at {host:#x}")
        if area is not None and host + size > area.end:
            raise CUDARuntimeError(1, f"copy: {size} bytes at {host:#x} run out of pinned memory")
        if area is None:
            _copy_pageable(dst, src, size, to_host, stream)
            return
    now.enqueue(stream, lambda: _copy(now, dst, src, size))


def _copy_pageable(dst: int, src: int, size: int, to_host: bool, stream: int) -> None:
    """Read at once from pageable memory; into it the call returns when the copy is there."""
    now = machine()
    now.n_pageable_copies += 1
    if to_host:
        now.scheduler.complete(now.enqueue(stream, lambda: _copy_to_pageable(now, dst, src, size)))
        now.check()
        return
    data = ctypes.string_at(src, size)

    def copy() -> None:
        now.area_of(dst, size, "copy to")
        ctypes.memmove(dst, data, size)

    now.enqueue(stream, copy)


def _copy_to_pageable(now: Machine, dst: int, src: int, size: int) -> None:
    now.area_of(src, size, "copy from")
    ctypes.memmove(dst, src, size)


def _copy(now: Machine, dst: int, src: int, size: int) -> None:
    for address in (dst, src):
        if now.memory.find(address, size) is None:
            raise CUDARuntimeError(700, f"copy: {size} bytes at {address:#x} are freed")
    ctypes.memmove(dst, src, size)


@then_check
def memcpy(dst: int, src: int, size: int, kind: int) -> None:
    memcpyAsync(dst, src, size, kind, 0)
    machine().scheduler.complete_queue(machine().queue(0))


@call
def memsetAsync(ptr: int, value: int, size: int, stream: int) -> None:
    if size == 0:
        return
    now = machine()
    now.area_of(ptr, size, "memset", now.queue(stream).device)

    def fill() -> None:
        now.area_of(ptr, size, "memset")
        ctypes.memset(ptr, value, size)

    now.enqueue(stream, fill)


# ----------------------------------------------------------------------------------------- streams


@call
def streamCreateWithFlags(flags: int) -> int:
    return machine().new_queue(blocking=flags != streamNonBlocking)


def streamDestroy(stream: int) -> None:
    machine().forget_queue(stream)


@then_check
def streamSynchronize(stream: int) -> None:
    machine().scheduler.complete_queue(machine().queue(stream))


@then_check
def streamQuery(stream: int) -> int:
    """0 if all is done, else 600 (cudaErrorNotReady)."""
    return 0 if machine().scheduler.poll(machine().queue(stream).last) else 600


@call
def streamWaitEvent(stream: int, event: int, flags: int = 0) -> None:
    recorded = machine().event(event).recorded
    if recorded is not None and not recorded.done:
        machine().enqueue(stream, None, [recorded])


# ------------------------------------------------------------------------------------------ events


@call
def eventCreateWithFlags(flags: int) -> int:
    return machine().new_event(timed=not flags & eventDisableTiming)


def eventDestroy(event: int) -> None:
    machine().forget_event(event)


@call
def eventRecord(event: int, stream: int) -> None:
    found, queue = machine().event(event), machine().queue(stream)
    if found.device != queue.device:
        raise CUDARuntimeError(
            400, f"event of device {found.device} in a stream of device {queue.device}"
        )
    found.recorded = machine().enqueue(stream, None)


@then_check
def eventQuery(event: int) -> int:
    """0 if it is done or was never recorded, else 600 (cudaErrorNotReady)."""
    return 0 if machine().scheduler.poll(machine().event(event).recorded) else 600


@then_check
def eventSynchronize(event: int) -> None:
    machine().scheduler.complete(machine().event(event).recorded)


@call
def eventElapsedTime(start: int, end: int) -> float:
    """Milliseconds; of the host's clock."""
    first, last = machine().event(start), machine().event(end)
    if not first.timed or not last.timed or first.recorded is None or last.recorded is None:
        raise CUDARuntimeError(400, "events that are not timed, or not recorded")
    if not first.recorded.done or not last.recorded.done:
        raise CUDARuntimeError(600)
    return 1e3 * (last.recorded.finished - first.recorded.finished)
