"""Decoded data blocks, kept in memory by the CPU library (`cuda_kernels/host/cache.h`)."""

from __future__ import annotations

import ctypes

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError


class BlockCache:
    """What the library keeps of the data blocks of one index.

    Parameters
    ----------
    library : ctypes.CDLL
    n_blocks : int
        Of the index.
    cache_bytes : int
        Most that the blocks may take; 0 for no cache.

    Attributes
    ----------
    address : int or None
        For the library; None without a cache, and when it is closed.

    Raises
    ------
    InvalidInputError
        If this process cannot have so much memory. It is taken only as the cache fills.
    """

    def __init__(self, library: ctypes.CDLL, n_blocks: int, cache_bytes: int) -> None:
        self._library = library
        self.address: int | None = None
        if cache_bytes > 0:
            self.address = library.bwl_cache_open(n_blocks, min(cache_bytes, 1 << 62))
            if self.address is None:
                raise InvalidInputError(
                    f"argument cache_bytes: expected no more than this process may have; got "
                    f"{cache_bytes} bytes, which the system refuses. Give fewer"
                )

    @property
    def n_bytes(self) -> int:
        """Bytes of the blocks it has."""
        return self._library.bwl_cache_bytes(self.address) if self.address else 0

    def has(self, blocks: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Whether it has some blocks (K,) of the index; those that it has it keeps."""
        found = np.zeros(len(blocks), np.bool_)
        if self.address:
            self._library.bwl_cache_find(
                self.address, blocks.ctypes.data, len(blocks), found.ctypes.data
            )
        return found

    def close(self) -> None:
        """Free the memory; safe to call twice."""
        if self.address:
            self._library.bwl_cache_close(self.address)
            self.address = None
