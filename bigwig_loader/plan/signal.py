"""What to make of the stored intervals: bins, statistic, dtype, fill values, transforms."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.types import (
    LAYOUTS,
    SIGNAL_DTYPES,
    STATISTICS,
    Layout,
    SignalDtype,
    Statistic,
    check_choice,
    check_positive,
)


@dataclass(frozen=True)
class TrackTransform:
    """What is done to the values of one track, in this order.

    0. `nan_to`: ``np.where(np.isnan(x), nan_to, x)``; stored values only, never the fill values
    1. `scale`: ``x * scale``; stored values only, never the fill values
    2. `clip`: ``np.clip(x, *clip)``
    3. `log1p`: ``np.log1p(x)``
    4. `power`: ``np.power(x, power)``
    5. `soft_clip` = c: ``np.where(x > c, c + np.sqrt(x - c), x)``

    Steps 0 and 1 are applied to each base before bins are made of them: a base with a stored NaN
    counts as one with the value `nan_to` in every statistic, "coverage" included. What a fill
    value of NaN makes of a bin is not changed. Steps 2 to 5 are applied to the finished bins,
    fill values included, in float32; steps that are None (False for `log1p`) are left out.

    ``TrackTransform(power=0.75, soft_clip=384.0)`` is
    the squashing of Borzoi (Linder et al. 2025, Methods) for values summed over 32-bp bins.

    Parameters
    ----------
    scale : float
    clip : (float, float), optional
        Lowest and highest value.
    log1p : bool
    power : float, optional
    soft_clip : float, optional
    nan_to : float, optional
        None keeps a stored NaN, which is then left out of statistics.
    """

    scale: float = 1.0
    clip: tuple[float, float] | None = None
    log1p: bool = False
    power: float | None = None
    soft_clip: float | None = None
    nan_to: float | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.scale):
            raise InvalidInputError(f"transform scale: expected a finite number; got {self.scale}")
        if self.nan_to is not None and not math.isfinite(self.nan_to):
            raise InvalidInputError(
                f"transform nan_to: expected a finite number or None; got {self.nan_to}"
            )
        if self.clip is not None and not self.clip[0] <= self.clip[1]:
            raise InvalidInputError(f"transform clip: expected (low, high); got {self.clip}")

    def packed(self) -> tuple[float, ...]:
        """The record the kernels read (`cuda_kernels/transform.cuh`): NaN means left out."""
        low, high = self.clip if self.clip is not None else (math.nan, math.nan)
        return (
            self.scale,
            low,
            high,
            1.0 if self.log1p else math.nan,
            math.nan if self.power is None else self.power,
            math.nan if self.soft_clip is None else self.soft_clip,
            math.nan if self.nan_to is None else self.nan_to,
        )


@dataclass(frozen=True)
class SignalOptions:
    """How windows of signal are delivered.

    Parameters
    ----------
    bin_size : int
        Bases per bin. The N = length_bp // bin_size whole bins of a window are delivered.
    statistic : {"mean", "sum", "max", "min", "std", "coverage"}
        Over the bases of a bin, each base having its stored value, or `uncovered`, or
        `out_of_bounds`. NaN bases are left out; a bin with none left is NaN. So with
        ``uncovered=nan`` the mean is over covered bases, with ``uncovered=0`` over all bases.
        "std" is the population standard deviation (as `numpy.nanstd`); "coverage" the fraction
        of the bin's bases that have a stored value that is not NaN.
    dtype : {"float32", "float16", "bfloat16"}
        Rounded to nearest, ties to even. Sums run in double precision.
    layout : {"BNT", "BTN"}
    uncovered : float
        Value of bases without data.
    out_of_bounds : float, optional
        Value of bases outside the contig; None for the same as `uncovered`.
    track_swap : (T,) tuple of int, optional
        Where each track goes in windows delivered as reverse complement (plus and minus strand
        tracks change places); None leaves tracks in place.
    n_threads : int, optional
        None for the backend's own number.
    """

    bin_size: int = 1
    statistic: Statistic = "mean"
    dtype: SignalDtype = "float32"
    layout: Layout = "BNT"
    uncovered: float = 0.0
    out_of_bounds: float | None = None
    track_swap: tuple[int, ...] | None = field(default=None)
    n_threads: int | None = None

    def __post_init__(self) -> None:
        check_positive("bin_size", self.bin_size)
        check_choice("statistic", self.statistic, STATISTICS)
        check_choice("dtype", self.dtype, SIGNAL_DTYPES)
        check_choice("layout", self.layout, LAYOUTS)
        if self.n_threads is not None:
            check_positive("n_threads", self.n_threads)
        if self.track_swap is not None and sorted(self.track_swap) != list(
            range(len(self.track_swap))
        ):
            raise InvalidInputError(
                f"track_swap: expected a permutation of 0..T-1; got {self.track_swap}"
            )

    @property
    def fill_out_of_bounds(self) -> float:
        """The value of bases outside the contig."""
        return self.uncovered if self.out_of_bounds is None else self.out_of_bounds

    def shape(self, n_windows: int, length_bp: int, n_tracks: int) -> tuple[int, int, int]:
        """Shape of the result: (B, N, T) or (B, T, N)."""
        n_bins = length_bp // self.bin_size
        if self.layout == "BNT":
            return n_windows, n_bins, n_tracks
        return n_windows, n_tracks, n_bins


def pack_transforms(transforms: list[TrackTransform]) -> npt.NDArray[np.float32]:
    """(T, 7) float32 records for the kernels."""
    packed = np.array([t.packed() for t in transforms], dtype=np.float32)
    return packed.reshape(-1, len(TrackTransform().packed()))
