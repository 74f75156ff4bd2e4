"""Draws predicted against true signal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt


def draw(
    path: Path,
    true: npt.NDArray[np.float32],
    predicted: npt.NDArray[np.float32],
    places: Sequence[tuple[str, int, int]],
    tracks: Sequence[tuple[str, float]],
) -> Path:
    """Draw small multiples: one row per track, one column per window.

    Parameters
    ----------
    path : Path
        PNG to write.
    true, predicted : (B, N, T) float32
        Signal per bin.
    places : sequence of (chrom, start, end)
        The bp that each window's bins cover, 0-based half-open.
    tracks : sequence of (name, Pearson r)

    Returns
    -------
    Path
        `path`.
    """
    from matplotlib.figure import Figure  # no pyplot: it needs no display and keeps no state

    n_windows, n_bins, n_tracks = true.shape
    figure = Figure(figsize=(3.2 * n_windows, 1.7 * n_tracks + 1.0), layout="constrained")
    axes = figure.subplots(n_tracks, n_windows, sharex="col", sharey="row", squeeze=False)
    for column, (chrom, start, end) in enumerate(places):
        edges_kb = np.linspace(start, end, n_bins + 1) / 1e3
        centres_kb = (edges_kb[1:] + edges_kb[:-1]) / 2
        for row, (name, r) in enumerate(tracks):
            axis = axes[row, column]
            axis.stairs(
                true[column, :, row], edges_kb, fill=True, color="0.72", label="true (BigWig)"
            )
            axis.plot(
                centres_kb, predicted[column, :, row], color="#c0392b", lw=1.5, label="predicted"
            )
            axis.set_ylim(0, 1.08 * max(true[:, :, row].max(), predicted[:, :, row].max()))
            axis.spines[["top", "right"]].set_visible(False)
            if column == 0:
                axis.set_ylabel(f"{name}\nr = {r:.2f}")
        axes[0, column].set_title(f"{chrom}:{start:,}-{end:,}", fontsize=9)
        axes[-1, column].set_xlabel(f"position on {chrom} (kb)")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    figure.suptitle("Signal per bp on a contig that the model has never seen")
    figure.savefig(path, dpi=130)
    return path
