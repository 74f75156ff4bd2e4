"""Signal on haplotypes: of which tracks, and how it is delivered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.formats.interval_table import IntervalTable
from bigwig_loader.plan.fills import Fill, FlankSample
from bigwig_loader.plan.haplotypes import HaplotypeWindows
from bigwig_loader.plan.signal import TrackTransform
from bigwig_loader.types import (
    SIGNAL_DTYPES,
    STATISTICS,
    SignalDtype,
    Statistic,
    check_choice,
    check_number,
    check_positive,
)

Int64Array = npt.NDArray[np.int64]
RealignLayout = Literal["BTPN", "BPNT"]

_NO_TRANSFORM = TrackTransform()


@dataclass(frozen=True)
class TrackRows:
    """A track that stands in an interval table.

    Parameters
    ----------
    table : IntervalTable
    samples : (B,) int64
        Row of the table's samples for each window; 0 for a track that has no samples.
    transform : TrackTransform
        `nan_to` and `scale` for stored values, the rest for finished bins.
    """

    table: IntervalTable
    samples: Int64Array
    transform: TrackTransform = _NO_TRANSFORM


@dataclass(frozen=True)
class DenseRows:
    """A track that was read base by base.

    Parameters
    ----------
    values : (B, span) float32
        An array of the backend, or of NumPy. What positions outside the contig have is taken from
        here too.
    start : (B,) int64
        Position of each row's first value.
    transform : TrackTransform
        `nan_to` and `scale` do not count: `values` are taken as they are.
    """

    values: Any
    start: Int64Array
    transform: TrackTransform = _NO_TRANSFORM


Track = TrackRows | DenseRows


@dataclass(frozen=True)
class Draws:
    """What `FlankSample` draws from.

    Parameters
    ----------
    seed, epoch : int
    cells : (B,) int64
        Number of each window's (region, sample) in the data set.
    """

    seed: int
    epoch: int
    cells: Int64Array


@dataclass(frozen=True)
class RealignOptions:
    """What is made of the values of the bases of a haplotype.

    Parameters
    ----------
    bin_size : int
        Haplotype bases per bin, counted from the end that is delivered first. The whole bins of a
        row are delivered.
    statistic : {"mean", "sum", "max", "min", "std", "coverage"}
        Over the bases of a bin that are not NaN, as in `plan.signal.SignalOptions`. "coverage" is
        the share of bases with a stored value that is not NaN; the bases of an insertion count as
        their anchor, whatever they are filled with.
    dtype : {"float32", "float16", "bfloat16"}
    uncovered : float
        Value of bases without data.
    out_of_bounds : float
        Value of bases outside the contig.
    track_swap : tuple of int, optional
        Where each track goes in windows delivered as reverse complement; None leaves them.
    layout : {"BTPN", "BPNT"}
        Tracks before the haplotypes and bins, or last; of rows of one length.
    """

    bin_size: int = 1
    statistic: Statistic = "mean"
    dtype: SignalDtype = "float32"
    uncovered: float = 0.0
    out_of_bounds: float = 0.0
    track_swap: tuple[int, ...] | None = None
    layout: RealignLayout = "BTPN"

    def __post_init__(self) -> None:
        check_positive("bin_size", self.bin_size)
        check_choice("statistic", self.statistic, STATISTICS)
        check_choice("dtype", self.dtype, SIGNAL_DTYPES)
        check_choice("layout", self.layout, get_args(RealignLayout))
        check_number("uncovered", self.uncovered)
        check_number("out_of_bounds", self.out_of_bounds)
        swap = self.track_swap
        if swap is not None and sorted(swap) != list(range(len(swap))):
            raise InvalidInputError(f"track_swap: expected a permutation of 0..T-1; got {swap}")

    def shape(self, rows: tuple[int, ...], length_bp: int) -> tuple[int, ...]:
        """Shape of windows of one length; `rows` are (B, T, P), or (B, T) along the reference."""
        n_bins = length_bp // self.bin_size
        if self.layout == "BTPN":
            return (*rows, n_bins)
        return (rows[0], *rows[2:], n_bins, rows[1])


def check_tracks(
    windows: HaplotypeWindows,
    tracks: Sequence[Track],
    fills: Sequence[Fill],
    options: RealignOptions,
    draws: Draws | None,
) -> None:
    """Raise `InvalidInputError` if what is asked of T tracks does not fit together."""
    n = len(windows)
    if len(fills) != len(tracks):
        raise InvalidInputError(
            f"insertion fills: expected one for each of {len(tracks)} tracks; got {len(fills)}"
        )
    for number, track in enumerate(tracks):
        if isinstance(track, TrackRows):
            got = np.shape(track.samples)
            if got != (n,):
                raise InvalidInputError(
                    f"track {number}: expected a sample for each of {n} windows; got {got}"
                )
            continue
        values, start = tuple(track.values.shape), np.shape(track.start)
        if len(values) != 2 or values[0] != n or start != (n,):
            raise InvalidInputError(
                f"track {number}: expected values ({n}, span) and start ({n},); "
                f"got {values} and {start}"
            )
    if options.track_swap is not None and len(options.track_swap) != len(tracks):
        raise InvalidInputError(
            f"track_swap: expected {len(tracks)} places; got {len(options.track_swap)}"
        )
    if any(isinstance(fill, FlankSample) for fill in fills):
        cells = None if draws is None else np.shape(draws.cells)
        if cells != (n,):
            raise InvalidInputError(
                f"argument cells: expected the number of each window's cell, ({n},), since "
                f"FlankSample draws by cell; got {cells}"
            )
