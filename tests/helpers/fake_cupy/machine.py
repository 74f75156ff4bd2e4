"""The machine that the fake CuPy drives: devices, memory, streams, what has gone wrong."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tests.helpers.emulator import KernelFault
from tests.helpers.fake_cupy.errors import CUDARuntimeError
from tests.helpers.fake_cupy.memory import HOST, Area, Memory, MemoryFault
from tests.helpers.fake_cupy.queues import Operation, Queue, Scheduler

LEGACY, PER_THREAD = 1, 2  # cudaStreamLegacy (also 0), cudaStreamPerThread
# Of the device, by what the emulator says.
_STATUS = {
    ": illegal memory access": 700,
    "written outside of": 700,
    ": misaligned access": 716,
    ": does not end": 702,
}


@dataclass(frozen=True)
class DeviceSpec:
    """What a fake device has. Small, so that grids sized after it are quickly emulated."""

    name: str = "Fake GPU"
    compute_capability: str = "90"
    total_bytes: int = 1 << 30
    n_multiprocessors: int = 2
    shared_bytes: int = 48 << 10  # of a block, without asking
    shared_bytes_optin: int = 227 << 10


@dataclass(frozen=True)
class Options:
    """How the machine behaves."""

    mode: str = "late"  # of streams: late, eager or random
    seed: int = 0
    schedule: str = "forward"  # of emulated kernels
    devices: tuple[DeviceSpec, ...] = (DeviceSpec(), DeviceSpec())
    driver_version: int = 13000
    dlpack_as_cpu: bool = False  # arrays are exported as if they were on the CPU
    kernel_seconds: float = 60.0


@dataclass
class Event:
    """What a cudaEvent_t stands for."""

    device: int
    timed: bool
    recorded: Operation | None = None


@dataclass(frozen=True)
class State:
    """Counts for tests."""

    device_bytes: tuple[int, ...]  # allocated, by device
    pinned_bytes: int
    n_allocations: int  # ever, of both kinds
    n_operations: int  # that have been done
    n_waiting: int  # that have not
    n_pageable_copies: int  # from or to host memory that is not pinned
    n_implicit_waits: int  # for the whole device, as cudaFree does
    n_streams: int  # made and not destroyed
    n_events: int
    launched: dict[str, int]  # launches that have run, by kernel


class _PerThread(threading.local):
    device = 0


@dataclass
class Machine:
    """Everything behind the fake's functions; its methods are called with the lock held."""

    options: Options = field(default_factory=Options)

    def __post_init__(self) -> None:
        self.lock = threading.RLock()
        self.memory = Memory()
        self.scheduler = Scheduler(self.options.mode, self.options.seed, self._keep)
        self.failure: CUDARuntimeError | None = None
        self._reported = False
        self.events: dict[int, Event] = {}
        self.n_pageable_copies = 0
        self.n_implicit_waits = 0
        self.launched: Counter[str] = Counter()
        self.process = 0  # that uses the devices
        self._thread = _PerThread()
        self._next_handle = 0x1000
        for device in range(len(self.options.devices)):
            # Handles of streams are unique; 0 stands for the legacy stream of the current device.
            self.scheduler.queues[-1 - device] = Queue(0, device, blocking=True)

    @property
    def device(self) -> int:
        """The calling thread's current device."""
        return self._thread.device

    @device.setter
    def device(self, number: int) -> None:
        if not 0 <= number < len(self.options.devices):
            raise CUDARuntimeError(101, f"device {number}")
        self._thread.device = number

    def state(self) -> State:
        """Counts as they are now."""
        devices = range(len(self.options.devices))
        return State(
            device_bytes=tuple(self.memory.n_bytes(device) for device in devices),
            pinned_bytes=self.memory.n_bytes(HOST),
            n_allocations=self.memory.n_allocations,
            n_operations=self.scheduler.n_done,
            n_waiting=sum(len(queue.waiting) for queue in self.scheduler.queues.values()),
            n_pageable_copies=self.n_pageable_copies,
            n_implicit_waits=self.n_implicit_waits,
            n_streams=sum(handle > 0 for handle in self.scheduler.queues),
            n_events=len(self.events),
            launched=dict(self.launched),
        )

    def enter(self) -> None:
        """A process uses the devices: those forked from it cannot.

        Raises
        ------
        CUDARuntimeError
            In such a process.
        """
        self.process = self.process or os.getpid()
        if self.process != os.getpid():
            raise CUDARuntimeError(3, "forked from a process that uses CUDA")

    def check(self) -> None:
        """Raise what went wrong on a device: CUDA answers every later call with it."""
        if self.failure is not None:
            self._reported = True
            raise self.failure

    # ----------------------------------------------------------------------------------- streams

    def new_queue(self, blocking: bool) -> int:
        """Handle of a new stream of the current device."""
        handle = self._new_handle()
        self.scheduler.queues[handle] = Queue(handle, self.device, blocking)
        return handle

    def queue(self, handle: int) -> Queue:
        """The stream of a handle."""
        if handle in (0, LEGACY):
            return self.scheduler.queues[-1 - self.device]
        if handle == PER_THREAD:
            key = -1000 * (1 + threading.get_ident()) - self.device
            if key not in self.scheduler.queues:
                self.scheduler.queues[key] = Queue(key, self.device, blocking=True)
            return self.scheduler.queues[key]
        if handle not in self.scheduler.queues or handle < 0:
            raise CUDARuntimeError(400, f"{handle:#x} is no stream")
        return self.scheduler.queues[handle]

    def forget_queue(self, handle: int) -> None:
        """A stream is destroyed: what it has to do is still done."""

        def forget() -> None:
            queue = self.scheduler.queues.get(handle)
            if queue is not None:
                self.scheduler.complete_queue(queue)
                self.scheduler.queues.pop(handle, None)

        with self.lock:
            self.scheduler.between(forget)

    def enqueue(
        self, handle: int, action: Callable[[], None] | None, after: Iterable[Operation | None] = ()
    ) -> Operation:
        """Put an operation in a stream. After a failure nothing is done any more."""

        def unless_failed() -> None:
            if self.failure is None and action is not None:
                action()

        return self.scheduler.add(self.queue(handle), unless_failed, after)

    def new_event(self, timed: bool) -> int:
        """Handle of a new event of the current device."""
        handle = self._new_handle()
        self.events[handle] = Event(self.device, timed)
        return handle

    def event(self, handle: int) -> Event:
        """The event of a handle."""
        if handle not in self.events:
            raise CUDARuntimeError(400, f"{handle:#x} is no event")
        return self.events[handle]

    def forget_event(self, handle: int) -> None:
        """An event is destroyed; what waits for it goes on waiting."""
        with self.lock:
            self.events.pop(handle, None)

    # ------------------------------------------------------------------------------------ memory

    def allocate(self, n_bytes: int, device: int) -> Area:
        """Memory of a device, or pinned memory (HOST)."""
        if device != HOST:
            total = self.options.devices[device].total_bytes
            if self.memory.n_bytes(device) + n_bytes > total:
                raise CUDARuntimeError(2, f"{n_bytes} bytes asked for, {total} in all")
        return self.memory.allocate(n_bytes, device)

    def free(self, address: int) -> None:
        """Give memory back, after all work of the devices (as cudaFree and cudaFreeHost wait)."""

        def free() -> None:
            if any(queue.waiting for queue in self.scheduler.queues.values()):
                self.n_implicit_waits += 1
                self.scheduler.complete_all()
            try:
                self.memory.free(address)
            except MemoryFault as error:
                self._keep(error)

        with self.lock:
            self.scheduler.between(free)

    def area_of(self, address: int, n_bytes: int, what: str, device: int | None = None) -> Area:
        """The allocation of a range of device memory.

        Raises
        ------
        CUDARuntimeError
            It is of no device, or of another one than `device`.
        """
        area = self.memory.find(address, n_bytes)
        if area is None or area.device == HOST or (device is not None and area.device != device):
            where = "no allocation" if area is None else f"memory of device {area.device}"
            expected = "device memory" if device is None else f"memory of device {device}"
            raise CUDARuntimeError(
                1, f"{what}: expected {expected}, got {n_bytes} bytes at {address:#x}, {where}"
            )
        return area

    def verify(self) -> None:
        """Finish all work; raise what has gone wrong unnoticed, writes out of bounds included."""
        with self.lock:
            self.scheduler.complete_all()
            for area in self.memory.damaged():
                self._keep(
                    MemoryFault(f"written outside of the {area.n_bytes} bytes at {area.address:#x}")
                )
            if not self._reported:
                self.check()

    def _keep(self, error: Exception) -> None:
        if self.failure is not None:
            return
        if isinstance(error, CUDARuntimeError):
            self.failure = error
        elif isinstance(error, KernelFault | MemoryFault):
            text = str(error)
            status = next((code for words, code in _STATUS.items() if words in text), 719)
            self.failure = CUDARuntimeError(status, text)
        else:
            raise error

    def _new_handle(self) -> int:
        self._next_handle += 0x10
        return self._next_handle


_machine = Machine()


def _new_lock() -> None:
    _machine.lock = threading.RLock()


os.register_at_fork(after_in_child=_new_lock)


def machine() -> Machine:
    """The machine that there is now."""
    return _machine


def new_machine(options: Options) -> Machine:
    """A new machine in place of the one before."""
    global _machine
    _machine = Machine(options)
    return _machine
