"""Sums of signal over windows, as precise as decisions about them need."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.collection import BigWigCollection
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.formats.bigwig import read_header
from bigwig_loader.formats.source import open_source
from bigwig_loader.plan.signal import SignalOptions
from bigwig_loader.plan.windows import Windows
from bigwig_loader.types import PathLike

Float64 = npt.NDArray[np.float64]

_PART_BASES = 1 << 23  # of one read: 32 MB at base resolution
_PART_WINDOWS = 1 << 14
# A float32 is within 6e-8 of the sum it stands for.
_TOLERANCE = 1e-6


class SignalSums:
    """Sums of the signal of one or more bigWig files over windows.

    A sum is that of all bases in double precision, files added up; bases without data and NaN
    count 0. Windows are summed quickly first (to a float32 each). Only those so near to a level
    that rounding could decide are summed again base by base, so that comparisons with the level
    come out as they do for exact sums. That needs values that are not negative; where the
    files' summaries do not promise that, every window is summed base by base.

    Parameters
    ----------
    paths : path, or sequence of them
        Their signals are added.
    device : str
    n_threads : int, optional
    """

    def __init__(
        self, paths: PathLike | Sequence[PathLike], device: str, n_threads: int | None
    ) -> None:
        given: Any = [paths] if isinstance(paths, (str, os.PathLike)) else paths
        if (
            not isinstance(given, Sequence)
            or not given
            or not all(isinstance(path, (str, os.PathLike)) for path in given)
        ):
            raise InvalidInputError(
                f"argument bigwig: expected a path or a list of paths; got {paths!r}"
            )
        self.collection = BigWigCollection(given, device=device, n_threads=n_threads)
        self._place = {name: i for i, name in enumerate(self.collection.contigs.names)}
        self._is_positive = all(_is_positive(path) for path in self.collection.bigwig_paths)

    @property
    def contig_names(self) -> tuple[str, ...]:
        """The contigs of all files."""
        return self.collection.contigs.names

    def close(self) -> None:
        """Close the files."""
        self.collection.close()

    def index_of(self, contig_names: Sequence[str]) -> npt.NDArray[np.int32]:
        """Number of each contig in the files, -1 for contigs they do not have."""
        return np.array([self._place.get(name, -1) for name in contig_names], np.int32)

    def low_quantile(
        self, contig: npt.NDArray[np.int32], start: npt.NDArray[np.int64], length_bp: int, q: float
    ) -> float:
        """Quantile of the sums over windows, linearly interpolated between two of them.

        Parameters
        ----------
        contig : (n,) int32
            As `index_of` gives it, none -1.
        start : (n,) int64
        length_bp : int
        q : float

        Returns
        -------
        float
            NaN where no window has a sum, or infinite ones decide.
        """
        order = np.lexsort((start, contig))  # windows that share data blocks are read together
        contig, start = contig[order], start[order]
        sums = self._quick(contig, start, length_bp)
        known = np.sort(sums[~np.isnan(sums)])
        rank = q * (len(known) - 1)
        levels = known[[int(np.floor(rank)), int(np.ceil(rank))]] if len(known) else known
        self._refine(sums, contig, start, length_bp, levels)
        sums = sums[~np.isnan(sums)]
        with np.errstate(invalid="ignore"):  # infinities
            return float(np.quantile(sums, q)) if len(sums) else float("nan")

    def at_most(
        self,
        contig: npt.NDArray[np.int32],
        start: npt.NDArray[np.int64],
        length_bp: int,
        limit: float,
    ) -> npt.NDArray[np.bool_]:
        """Which windows have a sum of at most `limit`, (n,); parameters as of `low_quantile`."""
        sums = self._quick(contig, start, length_bp)
        self._refine(sums, contig, start, length_bp, np.array([limit]))
        return np.asarray(sums <= limit)

    def _quick(
        self, contig: npt.NDArray[np.int32], start: npt.NDArray[np.int64], length_bp: int
    ) -> Float64:
        """Sums (n,), each file's rounded to float32."""
        options = SignalOptions(bin_size=length_bp, statistic="sum")
        sums = np.empty(len(start), np.float64)
        if not self._is_positive:
            sums.fill(np.nan)
            return sums
        for at in range(0, len(start), _PART_WINDOWS):
            part = slice(at, at + _PART_WINDOWS)
            windows = Windows(contig[part], start[part], length_bp)
            values = self.collection.backend.to_host(self.collection.read(windows, options=options))
            sums[part] = values[:, 0, :].sum(axis=1, dtype=np.float64)
        return sums

    def _refine(
        self,
        sums: Float64,
        contig: npt.NDArray[np.int32],
        start: npt.NDArray[np.int64],
        length_bp: int,
        levels: Float64,
    ) -> None:
        """Replace quick sums near one of the levels, and those that are no number, in place."""
        unsure = ~np.isfinite(sums)
        for level in levels:
            size = np.maximum(np.abs(sums), abs(level))
            with np.errstate(invalid="ignore"):  # where both are infinite
                unsure |= np.abs(sums - level) <= _TOLERANCE * size
        unsure &= sums != 0  # of what is not negative, a sum of 0 is exact
        which = np.flatnonzero(unsure)
        n = max(1, _PART_BASES // length_bp)
        for at in range(0, len(which), n):
            part = which[at : at + n]
            windows = Windows(contig[part], start[part], length_bp)
            values = self.collection.backend.to_host(self.collection.read(windows))
            with np.errstate(invalid="ignore"):  # infinities of both signs
                sums[part] = sum(
                    np.nansum(np.ascontiguousarray(values[:, :, t], np.float64), axis=1)
                    for t in range(values.shape[2])
                )


def _is_positive(path: str) -> bool:
    """Whether a file's summary says that none of its values is negative."""
    source = open_source(path)
    try:
        summary = read_header(source).summary
    finally:
        source.close()
    return summary is not None and summary.bases_covered > 0 and summary.minimum >= 0
