"""Four small made tracks whose every base is known; fixtures: tests/collection/conftest.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from bigwig_loader.collection import BigWigCollection

CONTIGS = {"chr1": 3_000, "chr2": 1_000, "chrUn_x": 400}


def signal_of(track: int, contig: str) -> np.ndarray:
    """Value of every base; NaN for none."""
    rng = np.random.default_rng([track, len(contig), CONTIGS[contig]])
    values = np.repeat(rng.integers(1, 9, CONTIGS[contig] // 5).astype(np.float32), 5)
    values[rng.random(len(values)) < 0.2] = np.nan
    return values


ORDER = ["one", "four", "three", "two"]  # of the tracks: sorted by path
TRACKS = [0, 3, 2, 1]


def expected(windows: list[tuple[str, int, int]], fill: float = 0.0) -> np.ndarray:
    """What a batch of these windows holds, (B, L, T); `fill` for bases without data."""
    rows = []
    for contig, start, end in windows:
        whole = np.full((CONTIGS[contig] + 20_000, 4), np.nan, np.float32)
        for t, track in enumerate(TRACKS):
            if (track, contig) != (2, "chr2"):
                values = signal_of(track, contig)
                whole[10_000 : 10_000 + len(values), t] = values
        rows.append(whole[10_000 + start : 10_000 + end])
    stacked = np.stack(rows)
    return np.where(np.isnan(stacked), np.float32(fill), stacked)


WINDOWS = [("chr1", 0, 400), ("chr2", 700, 1_100), ("chrUn_x", -100, 300), ("chr1", 2_900, 3_300)]


def batch(source: BigWigCollection, windows: list = WINDOWS, **options: Any) -> np.ndarray:
    """`get_batch` of (contig, start, end) windows."""
    chrom, start, end = (list(column) for column in zip(*windows, strict=True))
    return source.get_batch(chrom, start, end, **options)
