"""Decoded data blocks kept in device memory.

The memory is cut into pages, a page into cells of one size, and a cell holds the section of one
block as it stands in the file: 12, 8 or 4 bytes per item. Blocks are decoded straight into their
cells. Which block has which cell is known on the host, in arrays, since a batch asks for tens of
thousands of blocks at once.

A block that finds no free cell takes that of the block that was used longest ago, but only where
the newcomer itself has been asked for twice since. So blocks that come once an epoch each, in any
order, do not push each other out: what fits stays, and gives that share of hits every epoch. And a
training that moves on to other regions gets their blocks.

Pages go to the sizes of cells as they are asked for and stay with them: a size that comes when all
are given away is not kept.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.cuda.device import Device
from bigwig_loader.backend.cuda.records import SECTION_ALIGN, SECTION_SLACK

Int64Array = npt.NDArray[np.int64]

# Memory is given to a size of cells by pages of about so many bytes.
PAGE_BYTES = 1 << 20
# Sizes of cells are multiples of it, so that files of nearly one block size share them.
CELL_GRAIN_BYTES = 1024
# Larger blocks are not kept: no writer makes them, and damaged headers claim any size.
MAX_CELL_BYTES = 1 << 20

_NONE = -1


@dataclass
class _Cells:
    """All cells of one size."""

    address: npt.NDArray[np.uint64]
    block: Int64Array  # that has the cell; _NONE for none
    used: Int64Array  # batch that used it last
    ready: npt.NDArray[np.bool_]  # the section is there


def cell_bytes(capacity: Int64Array) -> Int64Array:
    """Size of the cell for a block that may inflate to `capacity` bytes."""
    needed = capacity + SECTION_SLACK
    return np.asarray(-(-needed // CELL_GRAIN_BYTES) * CELL_GRAIN_BYTES)


class DeviceBlockCache:
    """Which blocks are in device memory, and where; thread-safe.

    Parameters
    ----------
    device : Device
    n_blocks : int
        Of the index.
    capacity_bytes : int
        Memory for sections; 0 for no cache. It is taken when the first block is kept.
    """

    def __init__(self, device: Device, n_blocks: int, capacity_bytes: int) -> None:
        self._device = device
        self._capacity = capacity_bytes // PAGE_BYTES * PAGE_BYTES
        self._memory: Any = None
        self._page_top = 0
        self._sizes: dict[int, _Cells] = {}
        self._lock = threading.Lock()
        self._batch = 0
        self._in_flight: list[int] = []
        if not self._capacity:
            return
        self._size_of = np.zeros(n_blocks, np.int32)  # of the block's cell; 0: none
        self._cell_of = np.zeros(n_blocks, np.int64)
        self._n_section = np.zeros(n_blocks, np.int32)
        # Batches that asked for each block last, and the time before; 0 for none.
        self._asked = np.zeros((2, n_blocks), np.int64)

    @property
    def is_on(self) -> bool:
        """Whether there is a cache at all."""
        return self._capacity > 0

    @property
    def n_bytes(self) -> int:
        """Bytes of the cells that hold a block now."""
        with self._lock:
            return sum(
                size * int(np.count_nonzero(cells.ready)) for size, cells in self._sizes.items()
            )

    def begin(self) -> int:
        """Number of a new batch; the cells it uses stay until `end`."""
        with self._lock:
            self._batch += 1
            self._in_flight.append(self._batch)
            return self._batch

    def end(self, batch: int) -> None:
        """A batch is done with its cells."""
        with self._lock:
            self._in_flight.remove(batch)

    def find(
        self, batch: int, block: Int64Array
    ) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int32]]:
        """Address and bytes of the sections of some blocks, 0 for those that are not kept."""
        address = np.zeros(len(block), np.uint64)
        with self._lock:
            n_section = np.where(self._size_of[block] > 0, self._n_section[block], 0)
            for size, cells in self._sizes.items():
                of_size = np.flatnonzero(self._size_of[block] == size)
                cell = self._cell_of[block[of_size]]
                ready = cells.ready[cell]
                of_size, cell = of_size[ready], cell[ready]
                address[of_size] = cells.address[cell]
                cells.used[cell] = batch
        n_section[address == 0] = 0
        return address, n_section.astype(np.int32)

    def reserve(
        self, batch: int, block: Int64Array, capacity: Int64Array
    ) -> npt.NDArray[np.uint64]:
        """Addresses where blocks that were not found are to be decoded to; 0: elsewhere.

        `settle` has to follow for all that got one.
        """
        address = np.zeros(len(block), np.uint64)
        with self._lock:
            before = self._asked[1, block]
            self._asked[1, block] = self._asked[0, block]
            self._asked[0, block] = batch
            size_of = cell_bytes(capacity)
            # Another batch may be decoding it just now.
            wanted = (self._size_of[block] == 0) & (size_of <= MAX_CELL_BYTES)
            for size in np.unique(size_of[wanted]).tolist():
                which = np.flatnonzero(wanted & (size_of == size))
                cells = self._sizes.setdefault(size, _no_cells())
                free = self._free_cells(cells, size, len(which), before[which])
                which = which[: len(free)]
                address[which] = cells.address[free]
                cells.block[free] = block[which]
                cells.used[free] = batch
                self._size_of[block[which]] = size
                self._cell_of[block[which]] = free
        return address

    def settle(
        self, block: Int64Array, n_section: Int64Array, is_good: npt.NDArray[np.bool_]
    ) -> None:
        """Blocks that `reserve` gave cells are decoded, or have failed and give them back."""
        with self._lock:
            for size, cells in self._sizes.items():
                mine = self._size_of[block] == size
                good, bad = block[mine & is_good], block[mine & ~is_good]
                self._n_section[good] = n_section[mine & is_good]
                cells.ready[self._cell_of[good]] = True
                cells.block[self._cell_of[bad]] = _NONE
                self._size_of[bad] = 0

    def close(self) -> None:
        """Free the memory."""
        with self._lock:
            self._memory, self._sizes, self._page_top = None, {}, 0
            if self._capacity:
                self._size_of[:] = 0

    def _free_cells(self, cells: _Cells, size: int, n: int, before: Int64Array) -> Int64Array:
        """Up to `n` cells to be used anew: free ones, new ones, then those used longest ago."""
        while np.count_nonzero(cells.block == _NONE) < n and self._add_page(cells, size):
            pass
        free = np.flatnonzero(cells.block == _NONE)[:n]
        n_left = n - len(free)
        if n_left == 0:
            return free
        oldest = min(self._in_flight)
        taken = np.flatnonzero(cells.ready & (cells.used < oldest))
        taken = taken[np.argsort(cells.used[taken], kind="stable")][:n_left]
        # The newcomers come in the order of `before`; each has to be more recent.
        newer = before[len(free) : len(free) + len(taken)] > cells.used[taken]
        n_newer = len(newer) if newer.all() else int(np.argmin(newer))
        victims = taken[:n_newer]
        self._size_of[cells.block[victims]] = 0
        self._asked[:, cells.block[victims]] = cells.used[victims]
        cells.block[victims], cells.ready[victims] = _NONE, False
        return np.concatenate([free, victims])

    def _add_page(self, cells: _Cells, size: int) -> bool:
        """Cut another page into cells of `size`; False if there is none left."""
        n_bytes = max(PAGE_BYTES // size, 1) * size
        if self._page_top + n_bytes > self._capacity:
            return False
        if self._memory is None:
            self._memory = self._device.memory(self._capacity)
        first = self._memory.address + self._page_top
        self._page_top += -(-n_bytes // SECTION_ALIGN) * SECTION_ALIGN
        n = n_bytes // size
        cells.address = np.append(cells.address, first + size * np.arange(n, dtype=np.uint64))
        cells.block = np.append(cells.block, np.full(n, _NONE, np.int64))
        cells.used = np.append(cells.used, np.zeros(n, np.int64))
        cells.ready = np.append(cells.ready, np.zeros(n, np.bool_))
        return True


def _no_cells() -> _Cells:
    return _Cells(
        np.empty(0, np.uint64), np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.bool_)
    )
