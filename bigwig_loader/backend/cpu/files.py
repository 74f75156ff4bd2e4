"""The files of a collection, read by the CPU library (`cuda_kernels/host/files.h`)."""

from __future__ import annotations

import os
import resource
from collections.abc import Sequence
from ctypes import c_char_p

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.cpu import library as native

# Left to the rest of the process when many files are open.
_SPARE_FILES = 128

Int64Array = npt.NDArray[np.int64]


def open_files_limit() -> int:
    """Files that may be open at once, with some left to the rest of the process."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 4096 if soft == resource.RLIM_INFINITY else max(soft - _SPARE_FILES, 16)


class FileTable:
    """Local files, each opened when it is first read, those not used lately closed again.

    Parameters
    ----------
    paths : sequence of str
    file_bytes : (T,) int64
        What each file has to have; one that has another size has changed.
    max_open : int, optional
        Files open at once; by default as many as the process may have.

    Attributes
    ----------
    address : int or None
        For the library; None when it is closed.
    """

    def __init__(
        self, paths: Sequence[str], file_bytes: Int64Array, max_open: int | None = None
    ) -> None:
        self.address: int | None = None
        self._library = native.library()
        names = (c_char_p * len(paths))(*(os.fsencode(path) for path in paths))
        self.address = self._library.bwl_files_open(
            names, file_bytes.ctypes.data, len(paths), max_open or open_files_limit()
        )

    def read(
        self,
        file: Int64Array,
        offset: Int64Array,
        n_bytes: Int64Array,
        to: Int64Array,
        n_threads: int,
    ) -> tuple[int, int, tuple[int, int]] | None:
        """Read R ranges to addresses, by threads and without the GIL.

        Parameters
        ----------
        file, offset, n_bytes, to : (R,) int64
            Number of the file, range in it, and address of as much writable memory.
        n_threads : int

        Returns
        -------
        None, or (read, status, details)
            The first read that failed, as `backend.status` wants it; those behind it may not have
            been made.
        """
        failure = np.zeros(4, np.int64)
        arrays = [np.ascontiguousarray(array, np.int64) for array in (file, offset, n_bytes, to)]
        self._library.bwl_files_read(
            self.address,
            len(arrays[0]),
            *(array.ctypes.data for array in arrays),
            n_threads,
            failure.ctypes.data,
        )
        read, status, *details = failure.tolist()
        return None if read < 0 else (read, status, (details[0], details[1]))

    def close(self) -> None:
        """Close the files; safe to call twice."""
        if self.address is not None:
            self._library.bwl_files_close(self.address)
            self.address = None

    def __del__(self) -> None:
        if getattr(self, "address", None) is not None:
            self.close()
