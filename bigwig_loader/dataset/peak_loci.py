"""The loci of a peak loader: all of them with their reasons, and a small table of those kept."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.sampling.loci import Loci

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class KeptLoci:
    """The loci that are kept: their places in the table of all, 4 bytes each.

    Parameters
    ----------
    loci : Loci or None
        All loci, their contigs counted as the sequences count them. None for none.
    places : (n,) int32
        Those that are kept, in order.
    """

    loci: Loci | None
    places: npt.NDArray[np.int32]

    @classmethod
    def of(cls, loci: Loci | None) -> KeptLoci:
        """Those of `loci`; none of None."""
        kept = np.zeros(0, np.int32) if loci is None else loci.kept.astype(np.int32)
        return cls(loci, kept)

    def __len__(self) -> int:
        return len(self.places)

    def column(self, name: str, which: npt.NDArray[np.integer] | slice) -> npt.NDArray[Any]:
        """A column of `Loci` for some of the loci, e.g. ``column("middle", slice(None))``."""
        if self.loci is None:
            return np.zeros(0, np.int64)[which]
        column: npt.NDArray[Any] = getattr(self.loci, name)[self.places[which]]
        return column

    @property
    def contig(self) -> npt.NDArray[np.int32]:
        """Contig of each, (n,)."""
        return self.column("contig", slice(None)).astype(np.int32, copy=False)

    @property
    def middle(self) -> npt.NDArray[np.int64]:
        """Base that the windows of each are centred on, (n,)."""
        return self.column("middle", slice(None))

    @property
    def source(self) -> npt.NDArray[np.int32]:
        """Number of the file of each, (n,)."""
        return self.column("source", slice(None)).astype(np.int32, copy=False)


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
