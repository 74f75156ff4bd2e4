"""Memory of results on a device, used again once nobody holds the result and no stream uses it.

A program drops an array while the GPU may still be busy with it: what it has queued on its stream
has not run yet. So a buffer whose array is gone is marked by an event on every stream that is known
to have used it, and handed out again when those are done.

Dropping an array calls nothing of CUDA: it may happen in any thread, in the middle of a garbage
collection, in a deleter of another framework, or while the interpreter ends. The buffer is put on
a list, and the next call of `OutputPool.empty` sets the events: later than could be, never too
early.
"""

from __future__ import annotations

import math
import threading
import weakref
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.cuda.device import LEGACY_STREAM, Device, DeviceMemory, Event
from bigwig_loader.errors import LoaderError
from bigwig_loader.types import DTYPES, check_choice

# What cudaMalloc gives in any case.
MIN_BYTES = 512
# Sizes of buffers have this many steps from one power of two to the next, so that batches of
# nearly one size share them and at most an eighth is lost.
SIZE_STEPS = 8
# A buffer may stand in for one of at least half its size, e.g. for the last batch of an epoch.
MAX_LOOSE = 2
_PER_THREAD_STREAM = 2  # cudaStreamPerThread


def array_dtype(name: str) -> np.dtype[Any]:
    """Dtype of CuPy arrays for a dtype name: uint16 for bfloat16, which CuPy lacks."""
    check_choice("dtype", name, DTYPES)
    return np.dtype(np.uint16 if name == "bfloat16" else name)


def size_class(n_bytes: int) -> int:
    """Bytes of the buffer that an array of `n_bytes` bytes gets."""
    if n_bytes <= MIN_BYTES:
        return MIN_BYTES
    grain = max(MIN_BYTES, (1 << (n_bytes - 1).bit_length() - 1) // SIZE_STEPS)
    return -(-n_bytes // grain) * grain


class _Lent:
    """Memory that arrays have, by address, and what has come back, with the streams that used it.

    The memory stands here and not in the leases: a lease that goes in a garbage collection must
    not bring back what goes with it.
    """

    def __init__(self) -> None:
        self.memory: dict[int, DeviceMemory] = {}
        # Appended to without a lock: a lease may go while somebody has the pool's.
        self.returned: deque[tuple[int, dict[int, object]]] = deque()


class Lease:
    """What owns an array's memory: goes with the last array, view or tensor that shares it.

    Parameters
    ----------
    lent : _Lent
    address : int

    Attributes
    ----------
    streams : dict
        Pointers of the streams that use the array, and what keeps each of them alive.
    is_handed_over : bool
        Whether somebody outside the backend has the array.
    """

    __slots__ = ("__weakref__", "_address", "_lent", "is_handed_over", "streams")

    def __init__(self, lent: _Lent, address: int) -> None:
        self._lent = lent
        self._address = address
        self.streams: dict[int, object] = {}
        self.is_handed_over = False

    def __del__(self) -> None:
        self._lent.returned.append((self._address, self.streams))


@dataclass
class _Kept:
    """A buffer that nobody holds, and the events after which no stream uses it."""

    memory: DeviceMemory
    events: list[Event] = field(default_factory=list)

    def is_free(self) -> bool:
        self.events = [event for event in self.events if not event.is_done]
        return not self.events

    def wait(self) -> None:
        for event in self.events:
            event.synchronize()


class OutputPool:
    """Hands out uninitialised arrays of one device; thread-safe.

    Parameters
    ----------
    device : Device
    max_kept_bytes : int
        Most memory that is kept for later use. Where more is waiting for the GPU, `empty` waits
        too, rather than letting a host that runs ahead take ever more.
    """

    def __init__(self, device: Device, max_kept_bytes: int) -> None:
        self._device = device
        self._max_kept_bytes = max_kept_bytes
        self._kept: list[_Kept] = []  # longest unused first
        self._lent = _Lent()
        self._leases: dict[int, weakref.ref[Lease]] = {}
        self._lock = threading.Lock()

    @property
    def kept_bytes(self) -> int:
        """Memory that is kept for later use."""
        with self._lock:
            memory = self._lent.memory
            returned = sum(memory[address].n_bytes for address, _ in list(self._lent.returned))
            return returned + self._kept_bytes()

    def empty(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Any:
        """An uninitialised C-contiguous CuPy array with memory of its own.

        No stream uses that memory any more, so any may write to it at once.

        Raises
        ------
        LoaderError
            If the device has no memory left.
        """
        kind = np.dtype(dtype)
        n_bytes = math.prod(shape) * kind.itemsize
        self._device.require_usable()
        if n_bytes == 0:
            return self._device.array(None, 0, shape, kind)
        with self._lock:
            memory = self._take(size_class(n_bytes))
            self._lent.memory[memory.address] = memory
            lease = Lease(self._lent, memory.address)
            self._leases[memory.address] = weakref.ref(lease)
        return self._device.array(lease, memory.address, shape, kind)

    def lease_of(self, array: Any) -> Lease | None:
        """The owner of an array's memory, also of a view's; None for memory from elsewhere."""
        found = self._leases.get(int(array.data.mem.ptr))
        return None if found is None else found()

    def hand_over(self, array: Any, stream: int, keep: object = None) -> None:
        """Say that an array is used on a stream by somebody outside the backend.

        Parameters
        ----------
        array : cupy.ndarray
            Memory from elsewhere is its owner's business: nothing happens.
        stream : int
            Pointer. The stream has to live as long as the array.
        keep : object, optional
            What keeps the stream alive.
        """
        lease = self.lease_of(array)
        if lease is not None:
            lease.is_handed_over = True
            lease.streams[stream] = keep

    def trim(self) -> None:
        """Free what is kept."""
        with self._lock:
            self._mark_returned()
            self._free_down_to(0)

    def _take(self, n_bytes: int) -> DeviceMemory:
        self._mark_returned()
        fitting = [k for k in self._kept if n_bytes <= k.memory.n_bytes <= MAX_LOOSE * n_bytes]
        fitting.sort(key=lambda kept: kept.memory.n_bytes)  # stable: the longest unused first
        chosen = next((kept for kept in fitting if kept.is_free()), None)
        if chosen is None and fitting and self._kept_bytes() + n_bytes > self._max_kept_bytes:
            chosen = fitting[0]
            chosen.wait()
        self._kept = [kept for kept in self._kept if kept is not chosen]
        self._free_down_to(self._max_kept_bytes)
        return self._allocate(n_bytes) if chosen is None else chosen.memory

    def _allocate(self, n_bytes: int) -> DeviceMemory:
        try:
            return self._device.memory(n_bytes)
        except LoaderError:
            if not self._kept:
                raise
        self._free_down_to(0)
        return self._device.memory(n_bytes)

    def _mark_returned(self) -> None:
        """Mark the end of what streams do with buffers that came back; one event per stream."""
        returned = []
        while self._lent.returned:
            returned.append(self._lent.returned.popleft())
        marks: dict[int, Event | None] = {}
        for address, streams in returned:
            memory = self._lent.memory.pop(address)
            # What is queued on the default stream waits for all streams that wait for it, those
            # that threads have of their own among them.
            used = {LEGACY_STREAM, *streams} - {_PER_THREAD_STREAM}
            for stream in used - marks.keys():
                marks[stream] = self._mark(stream)
            events = [marks[stream] for stream in used]
            # A stream that is gone leaves nothing to wait for but the device itself, and freeing
            # does that.
            known = [event for event in events if event is not None]
            if len(known) == len(events):
                self._kept.append(_Kept(memory, known))
            else:
                self._leases.pop(address, None)

    def _mark(self, stream: int) -> Event | None:
        event = self._device.event()
        try:
            event.record(stream)
        except LoaderError:
            return None
        return event

    def _kept_bytes(self) -> int:
        return sum(kept.memory.n_bytes for kept in self._kept)

    def _free_down_to(self, n_bytes: int) -> None:
        while self._kept and self._kept_bytes() > n_bytes:
            self._leases.pop(self._kept.pop(0).memory.address, None)
