"""Examples cut out of arrays in memory: widened windows of all loci, extracted beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class LocusArrays:
    """Extracted windows of n loci, each `margin` bp wider than an example on both sides.

    Parameters
    ----------
    sequences : (n, 4, W + 2 * margin) array
    signals : (n, T, V + 2 * margin) array
    controls : (n, C, W + 2 * margin) array or None
    margin : int
        How far a window can be moved either way.
    """

    sequences: Array
    signals: Array
    controls: Array | None
    margin: int

    def __len__(self) -> int:
        return len(self.sequences)


@dataclass(frozen=True, eq=False)
class PeakArrays:
    """Peaks and negatives in memory, and how examples are cut out of them.

    Parameters
    ----------
    peaks, negatives : LocusArrays
    in_window, out_window : int
    signal_swap, control_swap : (T,) or (C,) int64, optional
        Place of each track on reverse complement; None leaves tracks in place.
    """

    peaks: LocusArrays
    negatives: LocusArrays
    in_window: int
    out_window: int
    signal_swap: npt.NDArray[np.int64] | None = None
    control_swap: npt.NDArray[np.int64] | None = None

    def cut(
        self,
        is_peak: npt.NDArray[np.bool_],
        locus: npt.NDArray[np.integer],
        jitter: npt.NDArray[np.integer],
        reverse: npt.NDArray[np.bool_],
    ) -> tuple[Array, Array, Array | None]:
        """Sequences (k, 4, W), signals (k, T, V) and controls (k, C, W) of k examples.

        Parameters
        ----------
        is_peak : (k,) bool
        locus : (k,) int
            Number of the peak or of the negative.
        jitter : (k,) int
            Bases by which the window is moved; at most the margin of the locus' arrays.
        reverse : (k,) bool
            Deliver as reverse complement.
        """
        parts = [
            (np.flatnonzero(chosen), arrays)
            for chosen, arrays in ((is_peak, self.peaks), (~is_peak, self.negatives))
            if chosen.any()
        ]
        where = [(at, arrays, locus[at], arrays.margin + jitter[at]) for at, arrays in parts]
        n = len(locus)
        sequences = _cut([(w[0], w[1].sequences, w[2], w[3]) for w in where], n, self.in_window)
        signals = _cut([(w[0], w[1].signals, w[2], w[3]) for w in where], n, self.out_window)
        controls = None
        if self.peaks.controls is not None:
            controls = _cut([(w[0], w[1].controls, w[2], w[3]) for w in where], n, self.in_window)
        at = np.flatnonzero(reverse)
        if len(at):
            sequences[at] = sequences[at][:, ::-1, ::-1]
            _reverse_tracks(signals, at, self.signal_swap)
            if controls is not None:
                _reverse_tracks(controls, at, self.control_swap)
        return sequences, signals, controls


def _cut(where: list[tuple[Any, Any, Any, Any]], n: int, width: int) -> Array:
    """Windows (n, C, width) of (places in the result, arrays, loci, first bases)."""
    out: Array | None = None
    for at, array, locus, start in where:
        windows = sliding_window_view(array, width, axis=2)[locus, :, start]
        if len(at) == n:
            return windows
        if out is None:
            out = np.empty((n, *windows.shape[1:]), windows.dtype)
        out[at] = windows
    assert out is not None
    return out


def _reverse_tracks(
    values: Array, at: npt.NDArray[np.int64], swap: npt.NDArray[np.int64] | None
) -> None:
    chosen = values[at] if swap is None else values[at][:, swap]
    values[at] = chosen[:, :, ::-1]
