"""Memory of the fake devices: host memory full of garbage, between pages nobody may touch."""

from __future__ import annotations

import bisect
import ctypes
import functools
import mmap
import os
from collections import deque
from dataclasses import dataclass, field

from tests.helpers.fake_cupy.errors import CUDARuntimeError

GARBAGE = 0xA5  # in new memory
_CANARY = 0xC3  # around it
_PAGE = mmap.PAGESIZE
_ALIGNMENT = 256  # of cudaMalloc
_KEPT = 64  # freed areas that stay unreadable before their addresses are used again
HOST = -1  # device number of pinned host memory

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (
    *(ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int),
    *(ctypes.c_int, ctypes.c_int, ctypes.c_long),
)
_libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_NONE, _READ_WRITE = 0, 3
_DONTNEED, _FIXED, _NORESERVE = 4, 0x10, 0x4000


_LARGE = 1 << 20


@functools.cache
def _garbage_file() -> int:
    file = os.memfd_create("garbage")
    os.write(file, bytes([GARBAGE]) * _LARGE)
    return file


def _map_garbage(address: int, n_bytes: int) -> None:
    """Garbage that takes room only where it is written to: one file's pages, again and again."""
    flags = mmap.MAP_PRIVATE | _FIXED
    for at in range(0, n_bytes, _LARGE):
        n = min(_LARGE, n_bytes - at)
        if _libc.mmap(address + at, n, _READ_WRITE, flags, _garbage_file(), 0) != address + at:
            raise CUDARuntimeError(2, f"{n_bytes} bytes of the host's memory")


class MemoryFault(Exception):
    """Memory outside every allocation was used, or written to."""


@dataclass(frozen=True)
class Area:
    """One allocation."""

    address: int
    n_bytes: int
    device: int  # or HOST
    mapped: int  # address of the mapping, a page nobody may touch
    n_mapped: int
    room: int  # bytes from the first usable page to the last

    @property
    def end(self) -> int:
        """Past the last byte."""
        return self.address + self.n_bytes

    @property
    def _usable(self) -> int:
        return self.mapped + _PAGE

    def spare(self) -> list[tuple[int, int]]:
        """Address and bytes of what lies around the allocation and may be written to unseen."""
        behind = self._usable + self.room - self.end
        return [(self._usable, self.address - self._usable), (self.end, behind)]

    def intact(self) -> bool:
        """Whether nobody has written there."""
        return all(
            ctypes.string_at(address, n) == bytes([_CANARY]) * n for address, n in self.spare()
        )


@dataclass
class Memory:
    """All allocations, of the devices and of pinned host memory."""

    live: dict[int, Area] = field(default_factory=dict)
    n_allocations: int = 0
    _addresses: list[int] = field(default_factory=list)
    _freed: deque[Area] = field(default_factory=deque)

    def allocate(self, n_bytes: int, device: int) -> Area:
        """New memory, full of garbage; it ends less than 256 bytes before a page out of bounds."""
        room = -(-max(n_bytes, 1) // _PAGE) * _PAGE
        n_mapped = room + 2 * _PAGE
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NORESERVE
        mapped = _libc.mmap(None, n_mapped, _NONE, flags, -1, 0)
        if mapped in (None, ctypes.c_void_p(-1).value):
            raise CUDARuntimeError(2, f"{n_bytes} bytes of the host's memory")
        if room < _LARGE:
            _libc.mprotect(mapped + _PAGE, room, _READ_WRITE)
            ctypes.memset(mapped + _PAGE, GARBAGE, room)
        else:
            _map_garbage(mapped + _PAGE, room)
        address = mapped + _PAGE + (room - n_bytes) // _ALIGNMENT * _ALIGNMENT
        area = Area(address, n_bytes, device, mapped, n_mapped, room)
        for start, n in area.spare():
            ctypes.memset(start, _CANARY, n)
        self.live[address] = area
        bisect.insort(self._addresses, address)
        self.n_allocations += 1
        return area

    def free(self, address: int) -> Area:
        """Take an allocation back; what uses it from now on ends with a signal.

        Raises
        ------
        MemoryFault
            Somebody has written before its first or behind its last byte.
        CUDARuntimeError
            There is no such allocation.
        """
        area = self.live.pop(address, None)
        if area is None:
            raise CUDARuntimeError(1, f"free of {address:#x}, which is no allocation")
        self._addresses.remove(address)
        intact = area.intact()
        _libc.mprotect(area.mapped, area.n_mapped, _NONE)
        _libc.madvise(area.mapped, area.n_mapped, _DONTNEED)
        self._freed.append(area)
        if len(self._freed) > _KEPT:
            oldest = self._freed.popleft()
            _libc.munmap(oldest.mapped, oldest.n_mapped)
        if not intact:
            raise MemoryFault(f"written outside of the {area.n_bytes} bytes at {address:#x}")
        return area

    def find(self, address: int, n_bytes: int = 0) -> Area | None:
        """The allocation that holds a range (which may lie at its end, if empty), or None."""
        at = bisect.bisect_right(self._addresses, address) - 1
        if at < 0:
            return None
        area = self.live[self._addresses[at]]
        return area if address + n_bytes <= area.end else None

    def n_bytes(self, device: int) -> int:
        """Bytes that are allocated on a device (or HOST)."""
        return sum(area.n_bytes for area in self.live.values() if area.device == device)

    def damaged(self) -> list[Area]:
        """Live allocations around which somebody has written."""
        return [area for area in self.live.values() if not area.intact()]
