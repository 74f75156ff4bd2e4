"""Windows with too many unknown bases."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bigwig_loader.dataset.sources import Sources
from bigwig_loader.plan.windows import ContigTable, Windows


class UnknownFilter:
    """Refuses windows with more than a fraction of unknown bases.

    Unknown are the bases that are not A, C, G or T in either case, and those outside the contig.

    Parameters
    ----------
    sources : Sources
        With a genome.
    maximum_fraction : float
        A window with exactly this fraction is accepted.
    """

    def __init__(self, sources: Sources, maximum_fraction: float) -> None:
        self.sources = sources
        self.maximum_fraction = maximum_fraction

    def fraction(self, windows: Windows) -> npt.NDArray[np.float64]:
        """Fraction of unknown bases (B,) of each window."""
        sources = self.sources
        assert sources.genome is not None
        unknown = sources.backend.count_unknown(sources.genome, sources.contigs, windows)
        return np.asarray(unknown, np.float64) / windows.length_bp

    def accepts(self, windows: Windows) -> npt.NDArray[np.bool_]:
        """Whether each window (B,) has few enough unknown bases."""
        return self.fraction(windows) <= self.maximum_fraction

    def describe(self, windows: Windows, fraction: npt.NDArray[np.float64], index: int) -> str:
        """A refused window, for a message."""
        window = describe_window(self.sources.contigs, windows, index)
        return (
            f"{window} with {fraction[index]:.1%} unknown bases, where at most "
            f"{self.maximum_fraction:.1%} are accepted"
        )


def unknown_filter(sources: Sources, maximum_fraction: float | None) -> UnknownFilter | None:
    """The filter; None without a genome or a limit."""
    if sources.genome is None or maximum_fraction is None:
        return None
    return UnknownFilter(sources, maximum_fraction)


def describe_window(contigs: ContigTable, windows: Windows, index: int) -> str:
    """One window as ``chr1:100-1100``."""
    start = int(windows.start[index])
    name = contigs.names[int(windows.contig_index[index])]
    return f"{name}:{start}-{start + windows.length_bp}"
