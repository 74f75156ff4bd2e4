"""The loci of a peak loader: all of them with their reasons, and a small table of those kept."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bigwig_loader.sampling.loci import Loci

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class KeptLoci:
    """What is needed of the loci that are kept: 24 bytes each.

    Parameters
    ----------
    contig : (n,) int32
        Counts the contigs of the sequences.
    middle : (n,) int64
    source : (n,) int32
        Number of the file.
    row : (n,) int64
        Number of the locus in its file.
    """

    contig: npt.NDArray[np.int32]
    middle: npt.NDArray[np.int64]
    source: npt.NDArray[np.int32]
    row: npt.NDArray[np.int64]

    @classmethod
    def of(cls, loci: Loci | None) -> KeptLoci:
        """Those of `loci`; none of None."""
        if loci is None:
            none = np.zeros(0, np.int64)
            return cls(none.astype(np.int32), none, none.astype(np.int32), none)
        which = loci.kept
        return cls(loci.contig[which], loci.middle[which], loci.source[which], loci.row[which])

    def __len__(self) -> int:
        return len(self.middle)


@dataclass(frozen=True, eq=False)
class PeakLoci:
    """Peaks and negatives.

    Parameters
    ----------
    peaks, negatives : Loci or None
    draw_peaks : bool
        Whether examples are drawn from the peaks.
    """

    peaks: Loci | None
    negatives: Loci | None
    draw_peaks: bool = True

    @cached_property
    def kept_peaks(self) -> KeptLoci:
        """The peaks that examples are drawn from."""
        return KeptLoci.of(self.peaks if self.draw_peaks else None)

    @cached_property
    def kept_negatives(self) -> KeptLoci:
        """The negatives that examples are drawn from."""
        return KeptLoci.of(self.negatives)

    @property
    def n_peak_files(self) -> int:
        """Number of files of peaks."""
        return 0 if self.peaks is None else len(self.peaks.paths)

    def table(self) -> pd.DataFrame:
        """The reason table of both, with a first column ``kind``: "peak" or "negative"."""
        import pandas as pd

        tables = []
        for kind, loci in (("peak", self.peaks), ("negative", self.negatives)):
            if loci is not None:
                table = loci.table()
                table.insert(0, "kind", kind)
                tables.append(table)
        return pd.concat(tables, ignore_index=True)

    def summary(self) -> str:
        """How many are kept, and how many are dropped for which reason; a line each."""
        lines = []
        for name, loci in (("peaks", self.peaks), ("negatives", self.negatives)):
            if loci is not None:
                dropped = {r.name.lower(): n for r, n in loci.counts().items() if n}
                kept = dropped.pop("kept", 0)
                listed = ", ".join(f"{reason} {n}" for reason, n in dropped.items())
                lines.append(f"{name}: {kept} of {len(loci)} kept ({listed or 'none dropped'})")
        return "\n".join(lines)
