"""Memory of batches, used again once nobody holds the batch any more.

The system clears every page of a fresh large allocation, which for long windows costs about as
much as filling it. So buffers of dropped arrays are kept and handed out again. An array is dropped
when it, its views, and whatever else shares its memory (torch tensors, DLPack capsules) are gone:
the buffer is tied to the array's base, not to the array.
"""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
import numpy.typing as npt

# Smaller arrays come from memory that the allocator keeps anyway.
MIN_BYTES = 1 << 20
MAX_KEPT_BYTES = 512 << 20
# Buffers are this much alike in size, so that batches of nearly one size share them.
GRAIN_BYTES = 1 << 16
# JAX and TensorFlow take over only memory that starts at such a multiple, and copy other memory.
ALIGN_BYTES = 64

Buffer = npt.NDArray[np.uint8]


class _Lease:
    """The base of an array and all its views: goes when the last of them goes.

    It is no array itself, since NumPy leaves arrays out of chains of bases.
    """

    def __init__(self, pool: ArrayPool, buffer: Buffer) -> None:
        self._pool = pool
        self._buffer = buffer
        self.__array_interface__ = buffer.__array_interface__

    def __del__(self) -> None:
        self._pool._give_back(self._buffer)


class ArrayPool:
    """Hands out uninitialised arrays; thread-safe.

    Parameters
    ----------
    max_kept_bytes : int
        Most memory that is kept for later use.
    """

    def __init__(self, max_kept_bytes: int = MAX_KEPT_BYTES) -> None:
        self._max_kept_bytes = max_kept_bytes
        self._kept: dict[int, list[Buffer]] = {}
        self._kept_bytes = 0
        # Re-entrant: a garbage collection inside a critical section may drop an array.
        self._lock = threading.RLock()

    @property
    def kept_bytes(self) -> int:
        """Memory that is kept for later use."""
        return self._kept_bytes

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        """An uninitialised C-contiguous array with memory of its own."""
        n_bytes = math.prod(shape) * dtype.itemsize
        if n_bytes < MIN_BYTES:
            return np.empty(shape, dtype)
        buffer = self._take(-(-n_bytes // GRAIN_BYTES) * GRAIN_BYTES)
        flat = np.asarray(_Lease(self, buffer))
        return flat[:n_bytes].view(dtype).reshape(shape)

    def _take(self, n_bytes: int) -> Buffer:
        with self._lock:
            kept = self._kept.get(n_bytes)
            if kept:
                self._kept_bytes -= n_bytes
                return kept.pop()
        memory = np.empty(n_bytes + ALIGN_BYTES, np.uint8)
        first = -memory.ctypes.data % ALIGN_BYTES
        return memory[first : first + n_bytes]

    def _give_back(self, buffer: Buffer) -> None:
        with self._lock:
            if self._kept_bytes + buffer.nbytes <= self._max_kept_bytes:
                self._kept.setdefault(buffer.nbytes, []).append(buffer)
                self._kept_bytes += buffer.nbytes
