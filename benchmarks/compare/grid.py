"""Which combinations of data, tracks, window length, bins and batch are compared."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

FLOAT32_BYTES = 4


@dataclass(frozen=True)
class Cell:
    """One combination."""

    tracks: int
    length_bp: int
    bin_size: int
    batch: int

    @property
    def mbp_tracks(self) -> float:
        """Bases times tracks of one batch, in millions."""
        return self.batch * self.length_bp * self.tracks / 1e6

    def as_row(self) -> dict[str, Any]:
        """For the results."""
        return asdict(self)


@dataclass(frozen=True)
class Grid:
    """All combinations of these, less those that are too large.

    Parameters
    ----------
    tracks, lengths_bp, bin_sizes, batches : tuple of int
    max_gb : float
        Largest result at base resolution; what lies above is listed as left out.
    """

    tracks: tuple[int, ...] = (1, 16, 100)
    lengths_bp: tuple[int, ...] = (1_000, 2_114, 32_768, 524_288)
    bin_sizes: tuple[int, ...] = (1, 32)
    batches: tuple[int, ...] = (1, 64, 1_024)
    max_gb: float = 2.0

    def cells(self) -> tuple[list[Cell], list[Cell]]:
        """Those that are measured, and those that are left out."""
        combinations = product(self.tracks, self.lengths_bp, self.bin_sizes, self.batches)
        cells = [Cell(*combination) for combination in combinations]
        fits = [cell.mbp_tracks * 1e6 * FLOAT32_BYTES <= self.max_gb * 1e9 for cell in cells]
        kept = [cell for cell, ok in zip(cells, fits, strict=True) if ok]
        return kept, [cell for cell, ok in zip(cells, fits, strict=True) if not ok]


FULL = Grid()
QUICK = Grid(tracks=(1, 16), lengths_bp=(2_114, 32_768), batches=(1, 64))
# Files with little data: larger batches would read all of it.
REAL = Grid(tracks=(1, 16), lengths_bp=(1_000, 2_114, 32_768), bin_sizes=(1,), batches=(1, 64))
QUICK_FEW = Grid(tracks=(16,), lengths_bp=(2_114, 32_768), batches=(64,))
TINY = Grid(tracks=(1, 3), lengths_bp=(1_000,), batches=(2,))
# Files that differ in nothing but the size of their data blocks need fewer cells.
LARGE_BLOCKS = Grid(tracks=(16,), batches=(1, 64))
