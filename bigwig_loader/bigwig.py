"""One BigWig file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.assemble.regions import contig_intervals
from bigwig_loader.backend.select import select_backend
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.formats.bigwig import BigWigHeader, read_bigwig_index
from bigwig_loader.plan.signal import SignalOptions, TrackTransform, pack_transforms
from bigwig_loader.plan.track_index import build_track_index
from bigwig_loader.plan.windows import Windows
from bigwig_loader.types import PathLike, Statistic

if TYPE_CHECKING:
    import pandas as pd


class BigWig:
    """One BigWig file, local or remote, read on the CPU.

    Parameters
    ----------
    path : path or URL

    Attributes
    ----------
    path : str
    contigs : dict of str to int
        Length of each contig in bp, in the file's order.
    header : BigWigHeader
        Version, byte order, buffer size, zoom levels and the writer's total summary.

    Raises
    ------
    InvalidDataError
        If the file is not a BigWig file, or its header or indices are damaged.
    NotFoundError
        If there is no such file.

    Examples
    --------
    >>> with BigWig(example.bigwigs[0]) as bigwig:
    ...     bigwig.values("chr1", 1000, 1064, bin_size=16).shape
    (4,)
    """

    def __init__(self, path: PathLike) -> None:
        self._file = read_bigwig_index(path)
        self.path = self._file.path
        self.contigs: dict[str, int] = dict(
            zip(self._file.contig_names, self._file.contig_lengths.tolist(), strict=True)
        )
        self._index = build_track_index([self._file])
        self._reader = select_backend("cpu").open_signal(self._index)
        self._track = np.zeros(1, np.int64)
        self._transform = pack_transforms([TrackTransform()])

    @property
    def header(self) -> BigWigHeader:
        """The file's header."""
        return self._file.header

    def __repr__(self) -> str:
        return f"BigWig({self.path!r}, {len(self.contigs)} contigs)"

    def __enter__(self) -> BigWig:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return BigWig, (self.path,)

    def close(self) -> None:
        """Close the file; calls after that raise `InvalidInputError`."""
        self._reader.close()

    def values(
        self,
        chrom: str,
        start: int,
        end: int,
        bin_size: int = 1,
        statistic: Statistic = "mean",
        uncovered: float = np.nan,
        out_of_bounds: float = np.nan,
    ) -> npt.NDArray[np.float32]:
        """Values of [start, end) of a contig.

        Parameters
        ----------
        chrom : str
        start, end : int
            0-based half-open; may reach past either end of the contig.
        bin_size : int
            Bases per bin; the ``(end - start) // bin_size`` whole bins are returned.
        statistic : {"mean", "sum", "max", "min", "std", "coverage"}
            Over the bases of a bin whose value is not NaN; see `SignalOptions`.
        uncovered : float
            Value of bases without data.
        out_of_bounds : float
            Value of bases outside the contig.

        Returns
        -------
        (N,) float32 array

        Raises
        ------
        NotFoundError
            For an unknown contig.
        InvalidInputError
            For ``end <= start``.
        InvalidDataError
            If a data block that is needed is damaged.
        """
        options = SignalOptions(
            bin_size, statistic, uncovered=uncovered, out_of_bounds=out_of_bounds
        )
        window = self._window(chrom, start, end)
        out = np.empty(options.shape(1, window.length_bp, 1), np.float32)
        self._reader.read_window(window, self._track, options, self._transform, out)
        return out[0, :, 0]

    def intervals(self, chrom: str, start: int = 0, end: int | None = None) -> pd.DataFrame:
        """Stored intervals that overlap [start, end) of a contig.

        Intervals are given as they are stored, in file order, also where they reach out of the
        stretch that was asked for. Empty ones are left out.

        Parameters
        ----------
        chrom : str
        start : int
        end : int, optional
            None for the end of the contig.

        Returns
        -------
        DataFrame
            Columns chrom, start, end (int64, 0-based half-open) and value (float32).
        """
        import pandas as pd

        contig = int(self._index.contigs.index_of(chrom)[0])
        last = max(self.contigs[chrom], start + 1) if end is None else end
        window = self._window(chrom, start, last)
        at, to, value = contig_intervals(
            self._index, self._reader, 0, contig, start, start + window.length_bp
        )
        frame = pd.DataFrame({"start": at.astype(np.int64), "end": to.astype(np.int64)})
        frame.insert(0, "chrom", chrom)
        return frame.assign(value=value)

    def _window(self, chrom: str, start: int, end: int) -> Windows:
        if end <= start:
            raise InvalidInputError(f"start, end: expected start < end; got {start}, {end}")
        return Windows(self._index.contigs.index_of(chrom), np.array([start]), end - start)
