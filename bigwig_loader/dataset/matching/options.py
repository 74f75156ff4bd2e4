"""Parameters of a matching, checked."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.types import check_choice, check_number, check_positive

COMPATIBLE = ("tangermeme-1.6",)
AVOID = ("windows", "tiles")


@dataclass(frozen=True)
class MatchOptions:
    """What is matched to what; the façade explains each.

    Parameters
    ----------
    in_window, out_window, stride : int
        In bp.
    max_n_perc, gc_bin_width : float
        Fractions of a window.
    signal_beta, ratio : float
    avoid : {"windows", "tiles"}
    allow_overlap : bool
    has_signal : bool
        Whether there is a bigWig.
    compatible : {"tangermeme-1.6"}, optional
    """

    in_window: int
    out_window: int
    max_n_perc: float
    gc_bin_width: float
    signal_beta: float
    stride: int
    ratio: float
    avoid: str
    allow_overlap: bool
    has_signal: bool
    compatible: str | None

    def __post_init__(self) -> None:
        for name in ("in_window", "out_window", "stride"):
            check_positive(name, getattr(self, name))
        for name in ("max_n_perc", "gc_bin_width", "signal_beta", "ratio"):
            check_number(name, getattr(self, name))
        check_choice("avoid", self.avoid, AVOID)
        if not 0 <= self.max_n_perc <= 1:
            raise InvalidInputError(
                f"argument max_n_perc: expected a fraction from 0 to 1; got {self.max_n_perc}"
            )
        if not 0 < self.gc_bin_width <= 1:
            raise InvalidInputError(
                f"argument gc_bin_width: expected a fraction above 0, up to 1; "
                f"got {self.gc_bin_width}"
            )
        if not (math.isfinite(self.ratio) and self.ratio > 0):
            raise InvalidInputError(f"argument ratio: expected a number > 0; got {self.ratio}")
        if not math.isfinite(self.signal_beta):
            raise InvalidInputError(
                f"argument signal_beta: expected a finite number; got {self.signal_beta}"
            )
        if self.compatible and self.has_signal and self.out_window > self.in_window:
            raise InvalidInputError(
                f"argument out_window: compatible={self.compatible!r} expects at most in_window, "
                f"{self.in_window}, where there is a bigWig; got {self.out_window}"
            )

    @property
    def apart(self) -> int:
        """Windows whose numbers differ by less than this may not both be chosen."""
        return 1 if self.allow_overlap else -(-self.in_window // self.stride)

    @property
    def signal_shift(self) -> int:
        """Where the signal window starts, seen from the start of a background window."""
        if self.compatible:
            return (self.in_window - self.out_window) // 2
        return self.in_window // 2 - self.out_window // 2

    def enough_known(
        self, n_unknown: npt.NDArray[np.int64], of_loci: bool
    ) -> npt.NDArray[np.bool_]:
        """Which windows have few enough N, by their number."""
        fraction = n_unknown / self.in_window
        if of_loci and self.compatible:
            return np.asarray(fraction < self.max_n_perc)
        return np.asarray(fraction <= self.max_n_perc)


def check_compatible(compatible: str | None, extensions: dict[str, bool]) -> None:
    """Raise if options are used that the other library does not have."""
    if compatible is None:
        return
    check_choice("compatible", compatible, COMPATIBLE)
    used = [name for name, is_used in extensions.items() if is_used]
    if used:
        raise InvalidInputError(
            f"arguments {', '.join(used)}: compatible={compatible!r} gives exactly what that "
            "library gives, which has no such option; leave out one or the other"
        )


def contigs_of(chroms: Any) -> list[str] | None:
    """Distinct contig names, in the order given; None for None."""
    if chroms is None:
        return None
    if isinstance(chroms, str) or not isinstance(chroms, Iterable):
        raise InvalidInputError(f"argument chroms: expected a list of contig names; got {chroms!r}")
    return list(dict.fromkeys(map(str, chroms)))


def random_state_of(random_state: Any) -> np.random.RandomState:
    """A RandomState from itself, a seed or None."""
    if isinstance(random_state, np.random.RandomState):
        return random_state
    is_seed = isinstance(random_state, (int, np.integer)) and not isinstance(random_state, bool)
    if random_state is not None and not (is_seed and 0 <= random_state < 1 << 32):
        raise InvalidInputError(
            "argument random_state: expected an integer in [0, 2**32), a numpy.random.RandomState "
            f"or None; got {random_state!r}"
        )
    return np.random.RandomState(random_state)


def threads_of(n_jobs: Any, n_threads: int | None) -> int | None:
    """Threads of one call; None for the cores available. `n_threads` goes before `n_jobs`."""
    if n_threads is not None:
        check_positive("n_threads", n_threads)
        return n_threads
    if isinstance(n_jobs, bool) or not isinstance(n_jobs, (int, np.integer)) or n_jobs == 0:
        raise InvalidInputError(
            f"argument n_jobs: expected an integer >= 1, or -1 for all cores; got {n_jobs!r}"
        )
    if n_jobs > 0:
        return int(n_jobs)
    # joblib counts down from all cores: -2 is all but one.
    return None if n_jobs == -1 else max(1, (os.cpu_count() or 1) + 1 + int(n_jobs))
