"""pyBigWig: one window of one file per call, and it keeps the GIL."""

from __future__ import annotations

import numpy as np

from benchmarks.peers import Float32Array
from benchmarks.peers.request import Request


class PyBigWigReader:
    """Open files. Bins are means of its values: its own ones leave uncovered bases out."""

    name = "pyBigWig"
    one_by_one = True

    def __init__(self, paths: list[str]) -> None:
        import pyBigWig

        self._files = [pyBigWig.open(path) for path in paths]

    def variants(self, bin_size: int) -> tuple[str, ...]:
        """Its values as an array."""
        return ("values(numpy=True)",)

    def prepare(self) -> None:
        """Keeps no decoded data."""

    def read(self, request: Request, out: Float32Array, variant: str = "") -> None:
        """Window by window."""
        for track, file in enumerate(self._files):
            for i, (chrom, start) in enumerate(_places(request)):
                values = file.values(chrom, start, start + request.binned_bp, numpy=True)
                values[np.isnan(values)] = 0
                if request.bin_size > 1:
                    values = values.reshape(-1, request.bin_size).mean(1)
                out[i, :, track] = values

    def read_raw(self, request: Request, variant: str = "") -> None:
        """The values alone."""
        for file in self._files:
            for chrom, start in _places(request):
                file.values(chrom, start, start + request.length_bp, numpy=True)


def _places(request: Request) -> list[tuple[str, int]]:
    return list(zip(request.chroms.tolist(), request.starts.tolist(), strict=True))
