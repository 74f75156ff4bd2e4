"""Intervals as base values see them: sorted, none overlapping; on the host, for every backend."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.cpu.library import library

UInt32Array = npt.NDArray[np.uint32]
Float32Array = npt.NDArray[np.float32]


def flatten_intervals(
    start: UInt32Array, end: UInt32Array, value: Float32Array
) -> tuple[UInt32Array, UInt32Array, Float32Array]:
    """The same values of all bases, from intervals in order of which none overlap.

    Parameters
    ----------
    start, end : (K,) uint32
        0-based half-open, in any order. Where several cover a base, the last one given has it.
        Those that end before they start, or where they start, cover nothing.
    value : (K,) float32

    Returns
    -------
    start, end, value : (M,) arrays
        Sorted; the given arrays where they are so already.
    """
    filled = end > start
    if not filled.all():
        start, end, value = start[filled], end[filled], value[filled]
    if (start[1:] >= end[:-1]).all():
        return start, end, value
    arrays = (
        np.ascontiguousarray(start, np.uint32),
        np.ascontiguousarray(end, np.uint32),
        np.ascontiguousarray(value, np.float32),
    )
    room = 2 * len(start)
    flat = np.empty(room, np.uint32), np.empty(room, np.uint32), np.empty(room, np.float32)
    n = library().bwl_flatten_intervals(
        len(start), *(array.ctypes.data for array in (*arrays, *flat))
    )
    if n < 0:
        raise MemoryError(f"no memory to sort {len(start)} intervals that overlap")
    return flat[0][:n].copy(), flat[1][:n].copy(), flat[2][:n].copy()
