"""figwig: numba, threads, ISA-L with its extra ``isal``."""

from __future__ import annotations

import os

import numpy as np

from benchmarks.peers import Float32Array
from benchmarks.peers.request import Request

_DEFAULT_JOBS = 8


class FigwigReader:
    """Open files; by its call for many files (all on one pool), or by file."""

    name = "figwig"
    one_by_one = False

    def __init__(self, paths: list[str]) -> None:
        import figwig

        self._read_bigwig = figwig.read_bigwig
        self._files = [figwig.BigWigReader(path) for path in paths]
        self._buffer: Float32Array = np.empty(0, np.float32)

    def variants(self, bin_size: int) -> tuple[str, ...]:
        """All files in one call or one after the other; one thread, all cores, or its default."""
        jobs = sorted({1, _available(), _DEFAULT_JOBS})
        ways = ("together", "by file") if len(self._files) > 1 else ("by file",)
        return tuple(f"{way}, n_jobs={n}" for way in ways for n in jobs)

    def prepare(self) -> None:
        """Keeps no decoded data."""

    def read(self, request: Request, out: Float32Array, variant: str) -> None:
        """Read into a kept buffer, then move into place."""
        n_jobs = int(variant.rpartition("=")[2])
        if variant.startswith("together"):
            values = self._together(request, n_jobs)
            out[:] = _binned(values, request).transpose(0, 2, 1)
            return
        shape = (len(request), request.length_bp)
        buffer = self._buffer_of(shape)
        for track, file in enumerate(self._files):
            file.read(request.chroms, request.starts, request.length_bp, out=buffer, n_jobs=n_jobs)
            out[:, :, track] = _binned(buffer, request)

    def read_raw(self, request: Request, variant: str) -> None:
        """(B, T, L), as it comes."""
        n_jobs = int(variant.rpartition("=")[2])
        if variant.startswith("together"):
            self._together(request, n_jobs)
            return
        buffer = self._buffer_of((len(request), request.length_bp))
        for file in self._files:
            file.read(request.chroms, request.starts, request.length_bp, out=buffer, n_jobs=n_jobs)

    def _together(self, request: Request, n_jobs: int) -> Float32Array:
        buffer = self._buffer_of((len(request), len(self._files), request.length_bp))
        self._read_bigwig(
            self._files,
            request.chroms,
            request.starts,
            request.length_bp,
            out=buffer,
            n_jobs=n_jobs,
        )
        return buffer

    def _buffer_of(self, shape: tuple[int, ...]) -> Float32Array:
        if self._buffer.shape != shape:
            self._buffer = np.empty(shape, np.float32)
        return self._buffer


def _available() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _binned(values: Float32Array, request: Request) -> Float32Array:
    if request.bin_size == 1:
        return values
    shape = (*values.shape[:-1], request.n_bins, request.bin_size)
    means: Float32Array = values[..., : request.binned_bp].reshape(shape).mean(-1)
    return means
