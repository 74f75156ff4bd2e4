"""How signal on haplotypes is delivered: bins, statistic, dtype, fill values."""

from __future__ import annotations

from dataclasses import dataclass

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.types import (
    SIGNAL_DTYPES,
    STATISTICS,
    SignalDtype,
    Statistic,
    check_choice,
    check_number,
    check_positive,
)


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
    """

    bin_size: int = 1
    statistic: Statistic = "mean"
    dtype: SignalDtype = "float32"
    uncovered: float = 0.0
    out_of_bounds: float = 0.0
    track_swap: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        check_positive("bin_size", self.bin_size)
        check_choice("statistic", self.statistic, STATISTICS)
        check_choice("dtype", self.dtype, SIGNAL_DTYPES)
        check_number("uncovered", self.uncovered)
        check_number("out_of_bounds", self.out_of_bounds)
        swap = self.track_swap
        if swap is not None and sorted(swap) != list(range(len(swap))):
            raise InvalidInputError(f"track_swap: expected a permutation of 0..T-1; got {swap}")
