"""Arrays in device memory, without CuPy's own kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.cuda.device import Device, DeviceMemory, PinnedMemory

# Copies go through page-locked memory of so many bytes.
_PIECE_BYTES = 32 << 20


class Arrays:
    """Copies between NumPy arrays and memory of a device, done when a call returns.

    Parameters
    ----------
    device : Device
    """

    def __init__(self, device: Device) -> None:
        self.device = device
        self.stream = device.stream()
        self._pinned: PinnedMemory | None = None

    def put(self, array: npt.NDArray[Any]) -> DeviceMemory:
        """A copy of an array in memory of its own."""
        memory = self.device.memory(max(array.nbytes, 1))
        self.write(memory.address, array)
        return memory

    def write(self, address: int, array: npt.NDArray[Any]) -> None:
        """Copy an array to the device."""
        flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        for first in range(0, flat.size, _PIECE_BYTES):
            piece = flat[first : first + _PIECE_BYTES]
            pinned = self._piece(piece.size)
            pinned.array[: piece.size] = piece
            self.device.upload(address + first, pinned.address, piece.size, self.stream)
            self.stream.synchronize()

    def read(self, address: int, n_bytes: int) -> npt.NDArray[np.uint8]:
        """Bytes of the device."""
        out = np.empty(n_bytes, np.uint8)
        for first in range(0, n_bytes, _PIECE_BYTES):
            n = min(_PIECE_BYTES, n_bytes - first)
            pinned = self._piece(n)
            self.device.download(pinned.address, address + first, n, self.stream)
            self.stream.synchronize()
            out[first : first + n] = pinned.array[:n]
        return out

    def _piece(self, n_bytes: int) -> PinnedMemory:
        if self._pinned is None or self._pinned.n_bytes < n_bytes:
            self._pinned = None
            self._pinned = self.device.pinned(n_bytes)
        return self._pinned
