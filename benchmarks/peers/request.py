"""What the readers are asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Request:
    """B windows of one length.

    Parameters
    ----------
    chroms : (B,) str
    starts : (B,) int64
        Every window lies inside its contig.
    length_bp : int
    bin_size : int
        Values are means over this many bases, uncovered ones counted as 0.
    """

    chroms: npt.NDArray[Any]
    starts: npt.NDArray[np.int64]
    length_bp: int
    bin_size: int = 1

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def n_bins(self) -> int:
        """Whole bins of a window."""
        return self.length_bp // self.bin_size

    @property
    def binned_bp(self) -> int:
        """Bases of a window that lie in whole bins."""
        return self.n_bins * self.bin_size

    def first(self, n_windows: int) -> Request:
        """The first so many windows."""
        return replace(self, chroms=self.chroms[:n_windows], starts=self.starts[:n_windows])


def random_request(
    places: dict[str, tuple[int, int]],
    length_bp: int,
    n_windows: int,
    bin_size: int,
    seed: list[int],
) -> Request:
    """Windows drawn evenly from all positions inside [start, end) of some contigs."""
    rng = np.random.default_rng(seed)
    names = [name for name, (start, end) in places.items() if end - start >= length_bp]
    lows = np.array([places[name][0] for name in names])
    rooms = np.array([places[name][1] for name in names]) - lows - length_bp + 1
    which = rng.choice(len(names), n_windows, p=rooms / rooms.sum())
    starts = lows[which] + (rng.random(n_windows) * rooms[which]).astype(np.int64)
    return Request(np.array(names)[which], starts, length_bp, bin_size)
