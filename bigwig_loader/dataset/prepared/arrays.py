"""``.npy`` files that are written by appending and read by stretches.

Everything numpy can open, nothing mapped: pages of a mapped file count as memory of the process
that touched them, and a data set may be larger than the memory it is to be written with.
"""

from __future__ import annotations

import mmap
import os
import tokenize
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidDataError, NotFoundError

_HEADER_BYTES = 128
_MAGIC = b"\x93NUMPY\x01\x00"


class NpyWriter:
    """Appends to a one-dimensional ``.npy`` file; the file is complete once closed.

    Parameters
    ----------
    path : Path
        Is replaced where it exists.
    dtype : dtype-like
    """

    def __init__(self, path: Path, dtype: npt.DTypeLike) -> None:
        self.path = path
        self.dtype = np.dtype(dtype)
        self.n = 0
        self._file = path.open("wb")
        self._file.write(self._header())

    def append(self, values: npt.NDArray[Any]) -> None:
        """Write values behind those written so far."""
        if len(values):
            self._file.write(np.ascontiguousarray(values, dtype=self.dtype).view(np.uint8).data)
            self.n += len(values)

    def close(self) -> None:
        """Write the length into the header."""
        self._file.seek(0)
        self._file.write(self._header())
        self._file.close()

    def _header(self) -> bytes:
        shape = f"({self.n},)"
        text = f"{{'descr': {self.dtype.str!r}, 'fortran_order': False, 'shape': {shape}, }}"
        n = _HEADER_BYTES - len(_MAGIC) - 2
        return _MAGIC + n.to_bytes(2, "little") + text.ljust(n - 1).encode("ascii") + b"\n"

    def __enter__(self) -> NpyWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._file.close()


class NpyReader:
    """Reads stretches of a one-dimensional ``.npy`` file.

    Raises
    ------
    NotFoundError
        If there is no such file.
    InvalidDataError
        If the file is no one-dimensional array, or shorter than it says.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.dtype, self.n, self._offset = _read_header(path)

    def __len__(self) -> int:
        return self.n

    def read(self, start: int = 0, stop: int | None = None) -> npt.NDArray[Any]:
        """Values [start, stop), copied into memory of their own."""
        stop = self.n if stop is None else stop
        at = self._offset + start * self.dtype.itemsize
        return np.fromfile(self.path, self.dtype, stop - start, offset=at)


def save_array(path: Path, values: npt.NDArray[Any]) -> None:
    """Write one array; strings of any length as fixed-width ones."""
    array = np.asarray(values)
    if array.dtype == object:
        array = array.astype(np.str_)
    with NpyWriter(path, array.dtype) as file:
        file.append(array)


def map_array(path: Path, dtype: npt.DTypeLike | None, n: int | None = None) -> npt.NDArray[Any]:
    """Map an array that lies on disk, read-only.

    Parameters
    ----------
    path : Path
    dtype : dtype-like, optional
        What the array must hold; anything by default.
    n : int, optional
        How many values it must have; any number by default.

    Raises
    ------
    NotFoundError, InvalidDataError
        If there is no such file, or it is not as expected.
    """
    found, length, offset = _read_header(path)
    if dtype is not None and found != np.dtype(dtype):
        raise InvalidDataError(
            "array of another type", path=path, expected=np.dtype(dtype).name, got=found.name
        )
    if n is not None and length != n:
        raise InvalidDataError(
            "array of another length", path=path, expected=f"{n} values", got=length
        )
    if not length:
        return np.zeros(0, found)
    mapped: npt.NDArray[Any] = np.memmap(path, found, "r", offset, (length,))
    return mapped


def forget(array: npt.NDArray[Any]) -> None:
    """Let go of the memory that pages of a mapped array take; they are read again on use."""
    mapped: Any = array
    while mapped is not None and not isinstance(mapped, mmap.mmap):
        mapped = getattr(mapped, "base", None)
    if mapped is not None and hasattr(mapped, "madvise"):
        mapped.madvise(mmap.MADV_DONTNEED)


def _read_header(path: Path) -> tuple[np.dtype[Any], int, int]:
    """Type, number of values, and offset of the first one in bytes."""
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            shape, _, dtype = read(file)
            offset = file.tell()
            size = os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        raise NotFoundError(f"no such file: {path}") from None
    except (ValueError, tokenize.TokenError) as error:  # NumPy parses headers as Python
        raise InvalidDataError(f"not a .npy file: {error}", path=path) from error
    if len(shape) != 1 or dtype.hasobject:
        raise InvalidDataError(
            "not a list of values", path=path, expected="one axis", got=f"{shape} of {dtype}"
        )
    n = int(shape[0])
    if offset + n * dtype.itemsize > size:
        raise InvalidDataError(
            "truncated array",
            path=path,
            offset=size,
            expected=f"{offset + n * dtype.itemsize} bytes",
            got=size,
            hint="The data set is damaged; write it again.",
        )
    return dtype, n, offset
