"""What the bases of an insertion have as signal: tracks know the reference only.

An insertion of m bases puts out m + 1 bases that stand for one reference base, its anchor at `pos`.
All of them are filled, the anchor included. What a fill looks at is clamped to the window that was
asked for; for an insertion behind the window's end, where a fixed length goes on past it, to the
stretch that the haplotype reaches.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.types import check_not_negative, check_number

MAX_FLANK_WIDTH = 1 << 20


@dataclass(frozen=True)
class Repeat5p:
    """Every base has ``track[pos]``."""


@dataclass(frozen=True)
class Repeat5pNormalized:
    """Every base has ``track[pos] / (m + 1)``, so that their sum is ``track[pos]``."""


@dataclass(frozen=True)
class Constant:
    """Every base has `value`, the anchor too. It is not scaled by a track's transform.

    Parameters
    ----------
    value : float
        NaN by default.
    """

    value: float = math.nan

    def __post_init__(self) -> None:
        check_number("Constant value", self.value)


@dataclass(frozen=True)
class FlankSample:
    """Every base has the value of a random reference base from ``pos - w`` to ``pos + w``.

    Draws are independent and depend on (seed, epoch, cell, ploid, pos, base of the insertion)
    alone, and on the window only where that cuts the stretch: not on the batch, nor on shifts.
    All tracks of a cell draw the same bases.

    Parameters
    ----------
    flank_width : int
        w, in bp.
    """

    flank_width: int = 5

    def __post_init__(self) -> None:
        check_not_negative("FlankSample flank_width", self.flank_width)
        if self.flank_width > MAX_FLANK_WIDTH:
            raise InvalidInputError(
                f"FlankSample flank_width: expected at most {MAX_FLANK_WIDTH}; "
                f"got {self.flank_width}"
            )


@dataclass(frozen=True)
class Interpolate:
    """A polynomial through the reference bases on both sides.

    With k = 1 for order 1 and 2 for orders 2 and 3, through k points on each side: the bases
    ``pos, pos - 1, ...`` at x = 0, -1, ..., and ``pos + 1, ...`` at x = m + 1, ...; base x of the
    insertion has its value at x, so the anchor keeps ``track[pos]``.

    Parameters
    ----------
    order : {1, 2, 3}
    """

    order: int = 1

    def __post_init__(self) -> None:
        if self.order not in (1, 2, 3) or isinstance(self.order, bool):
            raise InvalidInputError(f"Interpolate order: expected 1, 2 or 3; got {self.order!r}")


Fill = Repeat5p | Repeat5pNormalized | Constant | FlankSample | Interpolate


def packed_fill(fill: Fill) -> tuple[int, int, float]:
    """Kind, width or order, and value: the record of the kernels (`cuda_kernels/realign.cuh`)."""
    if isinstance(fill, Repeat5p):
        return 0, 0, 0.0
    if isinstance(fill, Repeat5pNormalized):
        return 1, 0, 0.0
    if isinstance(fill, Constant):
        return 2, 0, float(fill.value)
    if isinstance(fill, FlankSample):
        return 3, int(fill.flank_width), 0.0
    if isinstance(fill, Interpolate):
        return 4, int(fill.order), 0.0
    raise InvalidInputError(
        "insertion fill: expected Repeat5p, Repeat5pNormalized, Constant, FlankSample or "
        f"Interpolate; got {fill!r}"
    )
