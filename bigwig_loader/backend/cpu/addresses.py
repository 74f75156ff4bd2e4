"""Addresses of arrays for the CPU library."""

from __future__ import annotations

from ctypes import addressof, c_char
from typing import Any

import numpy.typing as npt


def address(array: npt.NDArray[Any]) -> int:
    """Address of a contiguous array's first byte; the array has to live as long as it is used.

    ``array.ctypes.data`` takes four times as long, which counts where a batch takes 50
    microseconds. Only that knows empty and read-only arrays, and dtypes that are not NumPy's own.
    """
    if array.size and array.flags.writeable and array.dtype.isbuiltin == 1:
        buffer: Any = array
        return addressof(c_char.from_buffer(buffer))
    return array.ctypes.data
