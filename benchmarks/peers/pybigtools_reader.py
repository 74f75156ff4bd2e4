"""pybigtools: one window of one file per call, and it keeps the GIL."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from benchmarks.peers import Float32Array
from benchmarks.peers.request import Request


class PybigtoolsReader:
    """Open files, read into a kept buffer; bins by its own exact summary, or from its values."""

    name = "pybigtools"
    one_by_one = True
    variants = ("bins of its own", "bins from values")

    def __init__(self, paths: list[str]) -> None:
        import pybigtools

        self._files = [pybigtools.open(path) for path in paths]
        self._buffer: npt.NDArray[np.float64] = np.empty(0)

    def read(self, request: Request, out: Float32Array, variant: str) -> None:
        """Window by window."""
        own_bins = request.bin_size > 1 and variant == "bins of its own"
        buffer = self._buffer_of(request.n_bins if own_bins else request.binned_bp)
        options = (
            {"bins": request.n_bins, "exact": True, "uncovered": 0.0} if own_bins else {}
        )
        for track, file in enumerate(self._files):
            for i, (chrom, start) in enumerate(_places(request)):
                end = start + request.binned_bp
                file.values(chrom, start, end, fillna=0.0, arr=buffer, **options)
                values = buffer
                if request.bin_size > 1 and not own_bins:
                    values = buffer.reshape(-1, request.bin_size).mean(1)
                out[i, :, track] = values

    def read_raw(self, request: Request, variant: str = "") -> None:
        """The values alone."""
        buffer = self._buffer_of(request.length_bp)
        for file in self._files:
            for chrom, start in _places(request):
                file.values(chrom, start, start + request.length_bp, fillna=0.0, arr=buffer)

    def _buffer_of(self, n: int) -> npt.NDArray[np.float64]:
        if len(self._buffer) != n:
            self._buffer = np.empty(n)
        return self._buffer


def _places(request: Request) -> list[tuple[str, int]]:
    return list(zip(request.chroms.tolist(), request.starts.tolist(), strict=True))
