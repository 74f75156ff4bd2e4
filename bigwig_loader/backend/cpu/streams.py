"""Whole zlib streams inflated by the CPU library, on threads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.cpu import library as native
from bigwig_loader.backend.protocol import InflatedStreams

Bytes = npt.NDArray[np.uint8]


def inflate_streams(
    streams: Sequence[Bytes], room: npt.NDArray[np.int64], n_threads: int
) -> InflatedStreams:
    """Inflate zlib streams and compare their checksums; see `Backend.inflate`."""
    n = len(streams)
    offset = np.cumsum(room) - room
    data = np.empty(int(room.sum()), np.uint8)
    produced, detail = np.zeros(n, np.int64), np.zeros((n, 2), np.int64)
    status = np.zeros(n, np.int32)
    addresses = np.array([stream.ctypes.data for stream in streams], np.uint64)
    n_bytes = np.array([stream.size for stream in streams], np.int64)
    out = np.uint64(data.ctypes.data) + offset.astype(np.uint64)
    arrays = (addresses, n_bytes, out, np.ascontiguousarray(room), produced, status, detail)
    native.library().bwl_inflate_zlib(n, *(array.ctypes.data for array in arrays), n_threads)
    return InflatedStreams(data, offset, produced, status, detail)
