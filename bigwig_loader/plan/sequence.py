"""What one-hot sequence a caller asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.types import DtypeName, check_choice

SequenceLayout = Literal["BLA", "BAL"]
UnknownBases = Literal["zero", "fraction"]


@dataclass(frozen=True)
class SequenceOptions:
    """How windows of sequence are one-hot encoded. The alphabet is A, C, G, T, in that order.

    Parameters
    ----------
    dtype : {"float32", "float16", "bfloat16", "uint8", "int8"}
    layout : {"BLA", "BAL"}
        ``"BLA"`` is (batch, length, 4), ``"BAL"`` is (batch, 4, length).
    unknown : {"zero", "fraction"}
        What a base has that is not one of A, C, G, T (U reads as T). ``"zero"``: all four zero.
        ``"fraction"``: an IUPAC code shares 1 between the letters it stands for, so N is
        0.25 each; needs a float dtype. A position outside the contig is all zero in both.

    Raises
    ------
    InvalidInputError
        For an unknown name, or fractions in an integer dtype.
    """

    dtype: DtypeName = "float32"
    layout: SequenceLayout = "BLA"
    unknown: UnknownBases = "zero"

    def __post_init__(self) -> None:
        check_choice("dtype", self.dtype, get_args(DtypeName))
        check_choice("layout", self.layout, get_args(SequenceLayout))
        check_choice("unknown", self.unknown, get_args(UnknownBases))
        if self.unknown == "fraction" and self.dtype in ("uint8", "int8"):
            raise InvalidInputError(
                "argument unknown: expected 'zero' with an integer dtype, which has no fractions; "
                f"got 'fraction' with dtype {self.dtype!r}. Use a float dtype"
            )

    def shape(self, n_windows: int, length_bp: int) -> tuple[int, int, int]:
        """Shape of the array that `n_windows` windows of `length_bp` bases make."""
        if self.layout == "BLA":
            return (n_windows, length_bp, 4)
        return (n_windows, 4, length_bp)
