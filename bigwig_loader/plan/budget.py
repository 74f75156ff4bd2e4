"""Bytes before allocating: a request too large for its memory budget is split, never overrun."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.plan.blocks import SignalPlan, plan_signal
from bigwig_loader.plan.track_index import TrackIndex
from bigwig_loader.plan.windows import Windows

# First and past-last window, track and bin.
Extent = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Piece:
    """Part of a request that fits the budget: which windows, tracks and bins of the output."""

    windows: slice
    tracks: slice
    bins: slice
    plan: SignalPlan


def split_to_budget(
    index: TrackIndex,
    windows: Windows,
    tracks: npt.NDArray[np.int64],
    bin_size: int,
    budget_bytes: int,
    working_bytes: Callable[[SignalPlan], int],
    *,
    keep_tracks: bool = False,
) -> Iterator[Piece]:
    """Plans that together make up a request, each within `budget_bytes`.

    Halves the windows, then the tracks, then the bins, until a plan fits. Values do not depend
    on how a request is split.

    Parameters
    ----------
    index, windows, tracks
        As for `plan_signal`.
    bin_size : int
    budget_bytes : int
        Working memory there is, besides the output.
    working_bytes : callable
        Upper bound of the bytes a plan takes.
    keep_tracks : bool
        Do not halve the tracks: some of them change places (`SignalOptions.track_swap`).

    Raises
    ------
    InvalidInputError
        If a single bin of one track (of all, with `keep_tracks`) in one window does not fit.
    """
    n_bins = windows.length_bp // bin_size
    whole: Extent = (0, len(windows)), (0, len(tracks)), (0, n_bins)
    stack = [whole]
    while stack:
        extent = stack.pop()
        (w0, w1), (t0, t1), (n0, n1) = extent
        part = windows
        if extent != whole:
            part = _take_bins(windows.take(slice(w0, w1)), n0, n1, n_bins, bin_size)
        plan = plan_signal(index, part, tracks[t0:t1])
        needed = working_bytes(plan)
        if needed <= budget_bytes:
            yield Piece(slice(w0, w1), slice(t0, t1), slice(n0, n1), plan)
            continue
        axes = (0, 2) if keep_tracks else (0, 1, 2)
        axis = next((a for a in axes if extent[a][1] - extent[a][0] > 1), None)
        if axis is None:
            what = f"{t1 - t0} tracks" if keep_tracks else "one track"
            raise InvalidInputError(
                f"memory_budget is too small: one bin of {what} takes {needed} bytes of "
                f"working memory; got {budget_bytes}; give a larger budget or fewer threads"
            )
        low, high = extent[axis]
        middle = (low + high) // 2
        for half in ((middle, high), (low, middle)):
            parts = list(extent)
            parts[axis] = half
            stack.append((parts[0], parts[1], parts[2]))


def _take_bins(windows: Windows, first: int, last: int, n_bins: int, bin_size: int) -> Windows:
    """The windows' bins [first, last), as windows of their own."""
    if (first, last) == (0, n_bins):
        return windows
    start = windows.start + first * bin_size
    if windows.reverse is not None:  # bins of a reversed window count from its end
        from_end = windows.start + windows.length_bp - last * bin_size
        start = np.where(windows.reverse, from_end, start)
    return Windows(windows.contig_index, start, (last - first) * bin_size, windows.reverse)
