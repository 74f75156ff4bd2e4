"""pybigtools: one window of one file per call, and it keeps the GIL."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from benchmarks.peers import Float32Array
from benchmarks.peers.request import Request

_TOUCHES = 16
# Windows after which a few per cent of the blocks of a small made file are kept.
_KEEP_WINDOWS = 32
_OWN_BINS = "values(arr=, bins=, exact=True)"


class PybigtoolsReader:
    """Open files, read into a kept buffer; bins by its own exact summary, or from its values.

    An open file keeps its last few thousand data blocks inflated: four times as fast on windows it
    has seen, which random windows of a real genome are not. So the files are opened again between
    measurements, before that matters, and one base here and there is read, which reads most of
    the index.
    """

    name = "pybigtools"
    one_by_one = True

    def __init__(self, paths: list[str]) -> None:
        import pybigtools

        self._open, self._paths = pybigtools.open, paths
        self._files = [self._open(path) for path in paths]
        self._n_windows = _KEEP_WINDOWS
        self._buffer: npt.NDArray[np.float64] = np.empty(0)

    def variants(self, bin_size: int) -> tuple[str, ...]:
        """Its values into an array, or its own bins."""
        return ("values(arr=)",) if bin_size == 1 else ("values(arr=), averaged", _OWN_BINS)

    def prepare(self) -> None:
        """Open the files again once so many windows were read, and have their indices read."""
        if self._n_windows < _KEEP_WINDOWS:
            return
        self._n_windows = 0
        self._files = [self._open(path) for path in self._paths]
        buffer = np.empty(1)
        for file in self._files:
            for chrom, length in file.chroms().items():
                for start in np.linspace(0, length - 1, _TOUCHES).astype(int).tolist():
                    file.values(chrom, start, start + 1, fillna=0.0, arr=buffer)

    def read(self, request: Request, out: Float32Array, variant: str) -> None:
        """Window by window."""
        self._n_windows += len(request)
        own_bins = variant == _OWN_BINS
        buffer = self._buffer_of(request.n_bins if own_bins else request.binned_bp)
        options = {"bins": request.n_bins, "exact": True, "uncovered": 0.0} if own_bins else {}
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
        self._n_windows += len(request)
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
