"""Overlap search on the CPU: calls into the C library."""

from __future__ import annotations

import ctypes
from dataclasses import fields

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.cpu.library import OverlapArrays, library
from bigwig_loader.plan.overlap import OverlapIndex, Queries

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U32 = npt.NDArray[np.uint32]


class CpuOverlapSearch:
    """Finds the regions of a universe that overlap queries; see `protocol.OverlapSearch`.

    Parameters
    ----------
    index : OverlapIndex
    n_threads : int
    """

    def __init__(self, index: OverlapIndex, n_threads: int = 1) -> None:
        self.index, self.n_threads = index, n_threads
        # The addresses stay good as long as `index` lives, whose arrays never change.
        arrays: list[int | None] = [
            getattr(index, field.name).ctypes.data for field in fields(index)
        ]
        if index.ids_in_order:
            arrays[-1] = None  # one look-up less for each hit
        self._arrays = OverlapArrays(*arrays, index.n_contigs, len(index.level_first))
        self._address = ctypes.addressof(self._arrays)

    def count(self, queries: Queries) -> tuple[I32, U32]:
        """Hits of every query, and what `write` wants to know of them.

        Returns
        -------
        counts : (n,) int32
        before : (n,) uint32
        """
        counts, before = np.empty(len(queries), np.int32), np.empty(len(queries), np.uint32)
        library().bwl_count_overlaps(
            self._address,
            len(queries),
            queries.contig_index.ctypes.data,
            queries.start.ctypes.data,
            queries.end.ctypes.data,
            before.ctypes.data,
            counts.ctypes.data,
            self.n_threads,
        )
        return counts, before

    def write(
        self, queries: Queries, found: tuple[I32, U32], offsets: I64, ids: I32, unknown: int = -1
    ) -> None:
        """Write the ids of the hits."""
        counts, before = found
        library().bwl_write_overlaps(
            self._address,
            len(queries),
            queries.contig_index.ctypes.data,
            queries.start.ctypes.data,
            before.ctypes.data,
            counts.ctypes.data,
            offsets.ctypes.data,
            unknown,
            ids.ctypes.data,
            self.n_threads,
        )
