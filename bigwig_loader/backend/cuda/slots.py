"""Slots: the stream and the memory that one batch in flight works with.

A slot's memory only grows, so that a steady run allocates nothing. A batch has its slot until it
has been waited for; a batch that finds no slot free finishes the oldest one in flight first.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.cuda.device import Device, DeviceMemory, Event, PinnedMemory
from bigwig_loader.errors import InvalidInputError, LoaderError

_Memory = TypeVar("_Memory", DeviceMemory, PinnedMemory)

# What every part of a slot's memory begins at a multiple of: that of cudaMalloc.
PART_ALIGN = 256
# Memory grows by this factor at least, so that batches of slowly growing size settle soon.
_GROWTH = 1.25


def aligned(n_bytes: int, align: int = PART_ALIGN) -> int:
    """The next multiple of `align`."""
    return -(-n_bytes // align) * align


class Unfinished(Protocol):
    """A batch in flight that holds a slot."""

    def finish(self) -> None:
        """Wait for it and give its slot back; keeps what went wrong for its own `wait`."""


class Slot:
    """A stream with pinned and device memory of its own.

    Parameters
    ----------
    device : Device
    sizes : dict of str to int
        Largest memory of each kind that a slot of the ring has had: a slot that has to grow
        grows to that, so that all of them settle as soon as one does.

    Attributes
    ----------
    stream : Stream
        All work of the batch that has the slot is queued here.
    done : Event
        To be recorded behind the batch's last piece of work.
    """

    def __init__(self, device: Device, sizes: dict[str, int]) -> None:
        self._device = device
        self._sizes = sizes
        self.stream = device.stream()
        self.done: Event = device.event()
        self.marks = [device.event(timed=True) for _ in range(3)]
        self._pinned: PinnedMemory | None = None
        self._staging: PinnedMemory | None = None
        self._memory: DeviceMemory | None = None

    @property
    def n_bytes(self) -> int:
        """Memory that the slot holds, on the device and pinned."""
        parts = (self._pinned, self._staging, self._memory)
        return sum(part.n_bytes for part in parts if part is not None)

    def lay_out(self, parts: Mapping[str, int]) -> dict[str, int]:
        """Device addresses of parts of the given sizes, in bytes; contents undefined."""
        total = sum(aligned(n_bytes) for n_bytes in parts.values())
        if self._memory is None or self._memory.n_bytes < total:
            self._memory = None  # freed before more is asked for
            self._memory = self._more("memory", total, self._device.memory)
        addresses, at = {}, self._memory.address
        for name, n_bytes in parts.items():
            addresses[name] = at
            at += aligned(n_bytes)
        return addresses

    def staging(self, n_bytes: int) -> PinnedMemory:
        """Pinned memory of at least so many bytes, for what is read from files."""
        if self._staging is None or self._staging.n_bytes < n_bytes:
            self._staging = None
            self._staging = self._more("staging", n_bytes, self._device.pinned)
        return self._staging

    def upload(self, arrays: Sequence[npt.NDArray[Any]], address: int) -> None:
        """Queue one copy of arrays to `address`, each at the place that `offsets_of` gives."""
        offsets = offsets_of(arrays)
        pinned = self._small(offsets[-1])
        for array, offset in zip(arrays, offsets, strict=False):
            flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
            pinned.array[offset : offset + flat.size] = flat
        self._device.upload(address, pinned.address, offsets[-1], self.stream)

    def download(self, address: int, n_bytes: int, offset: int) -> npt.NDArray[np.uint8]:
        """Queue a copy from the device; what is returned is valid once `done` is.

        `offset` is where it goes in the slot's small pinned memory, behind what was uploaded.
        """
        pinned = self._small(offset + n_bytes)
        self._device.download(pinned.address + offset, address, n_bytes, self.stream)
        return pinned.array[offset : offset + n_bytes]

    def reserve(self, n_bytes: int) -> None:
        """Have so much small pinned memory, for all uploads and downloads of the batch."""
        self._small(n_bytes)

    def _small(self, n_bytes: int) -> PinnedMemory:
        if self._pinned is None or self._pinned.n_bytes < n_bytes:
            self._pinned = None
            self._pinned = self._more("pinned", n_bytes, self._device.pinned)
        return self._pinned

    def _more(self, kind: str, n_bytes: int, allocate: Callable[[int], _Memory]) -> _Memory:
        """Memory for `n_bytes`, and with some to spare where there is that much."""
        size = self._sizes.get(kind, 0)
        if size < n_bytes:
            size = max(int(n_bytes * _GROWTH), PART_ALIGN)
        try:
            memory = allocate(size)
        except LoaderError:
            if size == n_bytes:
                raise
            return allocate(n_bytes)
        self._sizes[kind] = max(size, self._sizes.get(kind, 0))
        return memory


def offsets_of(arrays: Sequence[npt.NDArray[Any]]) -> list[int]:
    """Where each of some arrays goes, one after the other, and the end of the last."""
    offsets = [0]
    for array in arrays:
        offsets.append(offsets[-1] + aligned(array.nbytes))
    return offsets


class SlotRing:
    """The slots of one reader; thread-safe.

    Parameters
    ----------
    device : Device
    n_slots : int
        Batches that may be in flight at once.
    """

    def __init__(self, device: Device, n_slots: int) -> None:
        self._device = device
        self._n_slots = n_slots
        self._sizes: dict[str, int] = {}
        self._free: list[Slot] = []
        self._n_made = 0
        self._in_flight: deque[Unfinished] = deque()
        self._is_closed = False
        self._changed = threading.Condition()

    @property
    def n_bytes(self) -> int:
        """Memory of the slots that are free now."""
        with self._changed:
            return sum(slot.n_bytes for slot in self._free)

    def take(self) -> Slot:
        """A free slot; where there is none, the oldest batch in flight is finished first.

        Raises
        ------
        InvalidInputError
            If the ring is closed.
        """
        while True:
            with self._changed:
                if self._is_closed:
                    raise InvalidInputError("the collection is closed; open it again")
                if self._free:
                    return self._free.pop()
                if self._n_made < self._n_slots:
                    self._n_made += 1
                    break
                if not self._in_flight:  # other threads are about to queue theirs
                    self._changed.wait()
                    continue
                oldest = self._in_flight[0]
            oldest.finish()
        try:
            return Slot(self._device, self._sizes)
        except BaseException:
            with self._changed:
                self._n_made -= 1
                self._changed.notify_all()
            raise

    def started(self, batch: Unfinished) -> None:
        """A batch with a slot has been queued."""
        with self._changed:
            self._in_flight.append(batch)
            self._changed.notify_all()

    def give_back(self, slot: Slot, batch: Unfinished | None = None) -> None:
        """A slot is free again: all work on its stream is done."""
        with self._changed:
            if batch is not None:
                self._in_flight.remove(batch)
            self._free.append(slot)
            self._changed.notify_all()

    def close(self) -> None:
        """Finish what is in flight, wait for what is being queued, and free the memory."""
        while True:
            with self._changed:
                self._is_closed = True
                if not self._in_flight:
                    if len(self._free) < self._n_made:  # other threads are about to queue theirs
                        self._changed.wait()
                        continue
                    self._n_made = 0
                    self._free.clear()
                    self._changed.notify_all()
                    return
                oldest = self._in_flight[0]
            oldest.finish()
