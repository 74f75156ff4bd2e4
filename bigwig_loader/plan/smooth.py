"""Moving average and binning of base-resolution signal: what is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.types import SIGNAL_DTYPES, SignalDtype, check_choice, check_positive


@dataclass(frozen=True)
class SmoothOptions:
    """A centred moving average along bp, then the mean of each bin.

    NaN values are left out of both means; a mean of nothing is NaN. Sums run in double precision,
    in a fixed order. Two infinities of different sign in a box make a NaN.

    Parameters
    ----------
    width_bp : int
        Width of the box, w.
    bin_size : int
        Bases per bin.
    dtype : {"float32", "float16", "bfloat16"}
    track_swap : (T,) tuple of int, optional
        Where each track goes in windows delivered as reverse complement; None leaves tracks in
        place.
    """

    width_bp: int
    bin_size: int = 1
    dtype: SignalDtype = "float32"
    track_swap: tuple[int, ...] | None = field(default=None)

    def __post_init__(self) -> None:
        check_positive("width_bp", self.width_bp)
        check_positive("bin_size", self.bin_size)
        check_choice("dtype", self.dtype, SIGNAL_DTYPES)

    def shape(self, signal_shape: tuple[int, ...]) -> tuple[int, int, int]:
        """Shape (B, N, T) of the result for signal (B, T, M), of which M - w + 1 bases count.

        Raises
        ------
        InvalidInputError
            If it has other axes, fewer bases than a box, or other tracks than `track_swap`.
        """
        if len(signal_shape) != 3 or signal_shape[2] < self.width_bp:
            raise InvalidInputError(
                f"argument signal: expected (B, T, M) with M of at least {self.width_bp}; "
                f"got {signal_shape}"
            )
        n_windows, n_tracks, padded_bp = signal_shape
        if self.track_swap is not None and len(self.track_swap) != n_tracks:
            raise InvalidInputError(
                f"track_swap: expected {n_tracks} places; got {len(self.track_swap)}"
            )
        return n_windows, (padded_bp - self.width_bp + 1) // self.bin_size, n_tracks


def margins(width_bp: int) -> tuple[int, int]:
    """Bases that a centred box of `width_bp` reaches to the left and right of its base.

    A box of even width reaches one base further to the left than to the right.
    """
    left = width_bp // 2
    return left, width_bp - 1 - left
