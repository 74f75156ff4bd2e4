"""Kernels queued on the stream of a slot: what they are given, and how they are waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from ctypes import Structure
from typing import Any, Protocol

import cupy
import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.cuda.device import Device, Stream
from bigwig_loader.backend.cuda.outputs import OutputPool
from bigwig_loader.backend.cuda.slots import Slot, SlotRing, aligned, offsets_of
from bigwig_loader.backend.protocol import Pending
from bigwig_loader.errors import InvalidInputError

# Batches of one kind that may be in flight: those that are prefetched, and the one being made.
N_SLOTS = 4
# What stays on the device goes there through page-locked memory of at most so many bytes.
PIECE_BYTES = 8 << 20
# Threads of a block, a number that leaves no multiprocessor of any architecture half empty.
BLOCK_THREADS = 128
MAX_GRID_Y = 65_535


class Owner(Protocol):
    """What work on a device wants of the backend that it is for."""

    @property
    def device(self) -> Device:
        """Where it runs."""

    @property
    def outputs(self) -> OutputPool:
        """Memory of results."""

    def defer(self, pending: Pending) -> None:
        """Work of the calling thread that is not done yet."""

    def writing(self, out: Any, stream: Stream) -> None:
        """`stream` is about to write `out`: let it wait for whoever used that before."""


class Stage:
    """Arrays and structures that are uploaded together, and may point at each other."""

    def __init__(self) -> None:
        self._arrays: list[npt.NDArray[Any]] = []
        self._pointers: list[tuple[Structure, str, int]] = []
        self._n_bytes = 0

    @property
    def n_bytes(self) -> int:
        """Room that they need."""
        return self._n_bytes

    def add(self, given: Any) -> int:
        """One more, an array or structure; its place, counted from where all of them will be.

        A structure is uploaded as it is then.
        """
        offset = self._n_bytes
        array = given if isinstance(given, np.ndarray) else np.frombuffer(given, np.uint8)
        self._arrays.append(array)
        self._n_bytes += aligned(array.nbytes)
        return offset

    def point(self, structure: Structure, field: str, given: Any) -> None:
        """Add what a field of a structure is to point at; None for a null pointer."""
        if given is not None:
            self._pointers.append((structure, field, self.add(given)))

    def send(self, slot: Slot, address: int) -> None:
        """Queue one copy of everything to `address`, as the stage and its structures are now."""
        for structure, field, offset in self._pointers:
            setattr(structure, field, address + offset)
        slot.upload(self._arrays, address)


class QueuedWork:
    """Kernels that were queued and may not be done.

    Parameters
    ----------
    ring : SlotRing
    slot : Slot
        Of the ring; given back when the work is done.
    check : callable, optional
        Called when it is done, while it has its slot; may raise.
    kept : object
        What has to live as long as the kernels run.
    """

    def __init__(
        self, ring: SlotRing, slot: Slot, check: Callable[[], None] | None, kept: object
    ) -> None:
        self._ring, self._slot, self._check, self._kept = ring, slot, check, kept
        self._finishing = threading.Lock()
        self._is_finished = False
        self._error: Exception | None = None

    def wait(self) -> None:
        """Return when it is done; raises what went wrong, every time."""
        self.finish()
        if self._error is not None:
            raise self._error

    def finish(self) -> None:
        """Wait for the device and give the slot back; keeps what went wrong for `wait`."""
        with self._finishing:
            if self._is_finished:
                return
            try:
                self._slot.done.synchronize()
                if self._check is not None:
                    self._check()
            except Exception as error:
                self._error = error
            self._ring.give_back(self._slot, self)
            self._check = self._kept = None
            self._is_finished = True


def queue(
    owner: Owner,
    ring: SlotRing,
    start: Callable[[Slot], Callable[[], None] | None],
    kept: object,
    wait: bool,
) -> None:
    """Queue work on a free slot's stream.

    Parameters
    ----------
    owner : Owner
    ring : SlotRing
    start : callable
        Queues the work; what it returns is called when that is done, and may raise.
    kept : object
        What has to live as long as the kernels run.
    wait : bool
        Return when it is done; else it is left to `Owner.defer`.
    """
    slot = ring.take()
    try:
        check = start(slot)
        slot.done.record(slot.stream)
    except BaseException:
        try:
            slot.stream.synchronize()
        finally:
            ring.give_back(slot)
        raise
    work = QueuedWork(ring, slot, check, kept)
    ring.started(work)
    if wait:
        work.wait()
    else:
        owner.defer(work)


class Resident:
    """Arrays that stay in device memory; there when the object is made.

    Parameters
    ----------
    owner : Owner
    arrays : sequence of ndarray
    slot : Slot
        Its stream and page-locked memory are used meanwhile.
    fill : callable, optional
        Called with the addresses before anything is copied: arrays may point at each other.

    Attributes
    ----------
    addresses : list of int
        One for each array.
    """

    def __init__(
        self,
        owner: Owner,
        arrays: Sequence[npt.NDArray[Any]],
        slot: Slot,
        fill: Callable[[list[int]], None] | None = None,
    ) -> None:
        offsets = offsets_of(arrays)
        self._memory = owner.outputs.empty((max(offsets[-1], 1),), np.uint8)
        self.n_bytes = offsets[-1]
        base = int(self._memory.data.ptr)
        self.addresses = [base + offset for offset in offsets[:-1]]
        if fill is not None:
            fill(self.addresses)
        for array, address in zip(arrays, self.addresses, strict=True):
            send(owner.device, array, address, slot)


def send(device: Device, array: npt.NDArray[Any], address: int, slot: Slot) -> None:
    """Copy an array of any size to the device; done when this returns."""
    flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    for first in range(0, flat.size, PIECE_BYTES):
        piece = flat[first : first + PIECE_BYTES]
        pinned = slot.staging(piece.size)
        pinned.array[: piece.size] = piece
        device.upload(address + first, pinned.address, piece.size, slot.stream)
        slot.stream.synchronize()


def device_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Dtype that CuPy arrays have for one of NumPy's: it lacks bfloat16 and letters."""
    return np.dtype({"bfloat16": "uint16", "bytes8": "uint8"}.get(dtype.name, dtype))


def check_out(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any], device: Device) -> None:
    """Raise `InvalidInputError` unless `out` is such an array of the device, in any layout."""
    if not isinstance(out, cupy.ndarray):
        raise InvalidInputError(
            f"argument out: expected a CuPy array {shape} {dtype} on {device}; "
            f"got {type(out).__name__}"
        )
    if out.shape != shape or out.dtype != dtype or out.device.id != device.number:
        raise InvalidInputError(
            f"argument out: expected an array {shape} {dtype} on {device}; "
            f"got {out.shape} {out.dtype} on cuda:{out.device.id}"
        )


def check_contiguous(out: Any) -> None:
    """Raise `InvalidInputError` unless an array of the device is C-contiguous."""
    if not out.flags.c_contiguous:
        raise InvalidInputError(
            f"argument out: expected a writable contiguous array; got strides {out.strides}"
        )
