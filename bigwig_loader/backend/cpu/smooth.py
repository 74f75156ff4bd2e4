"""Moving average and binning of base-resolution signal, along bp, by NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.plan.smooth import SmoothOptions

Float64 = npt.NDArray[np.float64]

# Double-precision working memory of one step; examples are smoothed in groups that stay in cache.
WORKING_BYTES = 4 << 20


def smooth(
    signal: npt.NDArray[np.float32],
    options: SmoothOptions,
    reverse: npt.NDArray[np.bool_] | None,
    out: npt.NDArray[Any],
) -> npt.NDArray[Any]:
    """Centred moving average along bp, then the mean of each bin.

    Parameters
    ----------
    signal : (B, T, M) float32
        Base-resolution signal of windows with their `plan.smooth.margins`, on the forward strand;
        bp last, so that what is averaged lies side by side in memory.
    options : SmoothOptions
    reverse : (B,) bool, optional
        Windows delivered as reverse complement; None for none.
    out : (B, N, T) array
        Written; `SmoothOptions.shape`.

    Returns
    -------
    ndarray
        `out`.
    """
    n_windows, n_tracks, padded_bp = signal.shape
    # Five arrays of this size are alive at once in `moving_sum`.
    group = max(1, WORKING_BYTES // max(1, 5 * 8 * padded_bp * n_tracks))
    # Infinities may meet (inf - inf) and sums may leave the range of the dtype; both have a value.
    with np.errstate(over="ignore", invalid="ignore"):
        for first in range(0, n_windows, group):
            part = moving_average(signal[first : first + group], options.width_bp)
            # By way of float32, as the kernels round.
            binned = bin_mean(part, options.bin_size).astype(np.float32)
            out[first : first + group] = binned.swapaxes(1, 2)
    return _reverse_rows(out, reverse, options.track_swap)


def _reverse_rows(
    values: npt.NDArray[Any],
    reverse: npt.NDArray[np.bool_] | None,
    track_swap: tuple[int, ...] | None,
) -> npt.NDArray[Any]:
    """Turn round the examples (B, N, T) that are delivered as reverse complement, in place."""
    if reverse is None or not reverse.any():
        return values
    turned = values[reverse][:, ::-1]
    if track_swap is None:
        values[reverse] = turned
    else:
        swapped = np.empty_like(turned)
        swapped[:, :, list(track_swap)] = turned
        values[reverse] = swapped
    return values


def moving_average(signal: npt.NDArray[np.floating[Any]], width_bp: int) -> Float64:
    """Mean of every `width_bp` neighbouring values along the last axis.

    Parameters
    ----------
    signal : (..., M)
    width_bp : int
        At most M.

    Returns
    -------
    (..., M - width_bp + 1) float64
        NaN values are left out; NaN where there is nothing else.
    """
    unknown = np.isnan(signal)
    if not unknown.any():
        return moving_sum(signal, width_bp) / width_bp
    total = moving_sum(np.where(unknown, 0, signal), width_bp)
    return _divide(total, moving_sum(~unknown, width_bp))


def moving_sum(values: npt.NDArray[Any], width: int) -> Float64:
    """Sum of every `width` neighbouring values along the last axis, in double precision.

    The axis is cut into blocks of `width`; a box spans at most two of them, so its sum is the end
    of one running sum (from the right, in the first block) plus the end of another (from the
    left, in the second). Nothing is ever subtracted: a large value or an infinity leaves no trace
    in boxes that do not hold it, as it would with differences of one long running sum.
    """
    *outer, length = values.shape
    n_blocks = -(-length // width)
    padded = np.zeros((*outer, n_blocks * width))
    padded[..., :length] = values
    blocks = padded.reshape(*outer, n_blocks, width)
    from_left = np.cumsum(blocks, axis=-1).reshape(padded.shape)
    from_right = np.cumsum(blocks[..., ::-1], axis=-1)[..., ::-1]
    # A box that starts with a block is that block's running sum from the left alone.
    from_right[..., 0] = 0.0
    from_right = from_right.reshape(padded.shape)
    n_boxes = length - width + 1
    sums: Float64 = from_right[..., :n_boxes] + from_left[..., width - 1 : width - 1 + n_boxes]
    return sums


def bin_mean(values: Float64, bin_size: int) -> Float64:
    """Mean of each run of `bin_size` values along the last axis, NaN left out.

    Parameters
    ----------
    values : (..., L)
        Values beyond the last whole bin are not used.

    Returns
    -------
    (..., L // bin_size) float64
        NaN where a bin holds nothing else.
    """
    if bin_size == 1:
        return values
    *outer, length = values.shape
    n_bins = length // bin_size
    bins = values[..., : n_bins * bin_size].reshape(*outer, n_bins, bin_size)
    unknown = np.isnan(bins)
    # One after the other, as the kernel adds; NumPy's `sum` has an order of its own.
    if not unknown.any():
        return np.add.accumulate(bins, axis=-1)[..., -1] / bin_size
    known = bin_size - np.count_nonzero(unknown, axis=-1).astype(np.float64)
    return _divide(np.add.accumulate(np.where(unknown, 0, bins), axis=-1)[..., -1], known)


def _divide(total: Float64, count: Float64) -> Float64:
    result = np.full(total.shape, np.nan)
    np.divide(total, count, out=result, where=count > 0)
    return result
