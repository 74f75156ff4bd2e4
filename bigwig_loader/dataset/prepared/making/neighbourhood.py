"""How far around each region variants and intervals have to be stored.

A window of a region of length L starts anywhere in [start - max_jitter, ...) and takes bases until
it has as many as it asks for; where a haplotype lacks bases, it reaches further along the
reference. How far depends on which deletions of a haplotype are applied, and that on filters and
on the policy for overlaps, which are chosen when the data set is opened. So the reach is found as
if no insertion and every deletion were applied, overlapping ones as their union: whatever is
chosen later deletes no base besides these.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bigwig_loader.formats.variants.table import Genotypes, VariantTable
from bigwig_loader.intervals import merge_arrays

# Intervals are stored so far beyond what is needed, so that values interpolated or drawn around
# an insertion at an end of a window have neighbours.
TRACK_FLANK_BP = 64

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Wanted:
    """Windows whose haplotypes must be complete.

    Parameters
    ----------
    contig_index : (R,) int32
    start, end : (R,) int64
        From the first base to where a haplotype without deletions ends.
    """

    contig_index: npt.NDArray[np.int32]
    start: Positions
    end: Positions

    def take(self, rows: npt.NDArray[np.integer] | slice) -> Wanted:
        """Some of the windows."""
        return Wanted(self.contig_index[rows], self.start[rows], self.end[rows])

    def widened(self, bp: int) -> Wanted:
        """The windows with so many bases more on either side."""
        return Wanted(self.contig_index, self.start - bp, self.end + bp)

    def spans(self, end: Positions, contig_names: tuple[str, ...]) -> dict[str, Positions]:
        """Union of the windows up to the given ends: (n, 2) spans of every contig that has some.

        Parts before a contig's first base are cut off: nothing lies there.
        """
        spans = {}
        for contig, name in enumerate(contig_names):
            mine = self.contig_index == contig
            low = np.maximum(self.start[mine], 0)
            first, last = merge_arrays(low, np.maximum(end[mine], low))
            if len(first):
                spans[name] = np.stack([first, last], axis=1)
        return spans


def needed_ends(wanted: Wanted, table: VariantTable, genotypes: Genotypes) -> Positions:
    """Where the last of the bases lies that any haplotype needs for each window.

    Parameters
    ----------
    wanted : Wanted
        Contigs count those of `table`.
    table, genotypes
        All variants that overlap the windows. Where a result lies beyond what was read, further
        deletions may make it larger.

    Returns
    -------
    (R,) int64
        At least the windows' ends; may lie past the contig.
    """
    ends = wanted.end.copy()
    n_lists = genotypes.n_haplotypes
    deletes = np.asarray(table.ilen) < 0
    for contig in np.unique(wanted.contig_index).tolist():
        rows = np.flatnonzero(wanted.contig_index == contig)
        offsets = genotypes.offsets[contig * n_lists : (contig + 1) * n_lists + 1]
        carried = genotypes.variants[offsets[0] : offsets[-1]]
        at = np.flatnonzero(deletes[carried])
        haplotype = np.searchsorted(offsets - offsets[0], at, side="right") - 1
        for variants in _distinct_lists(haplotype, carried[at]):
            start = table.position[variants].astype(np.int64) + 1
            deleted = merge_arrays(start, start - table.ilen[variants])
            reach = _reach(*deleted, wanted.start[rows], wanted.end[rows])
            ends[rows] = np.maximum(ends[rows], reach)
    return ends


def _distinct_lists(
    owner: npt.NDArray[np.int64], values: npt.NDArray[np.int32]
) -> Iterator[npt.NDArray[np.int32]]:
    """Each different list among those of many owners, which are sorted; few are different."""
    if not len(owner):
        return
    first = np.flatnonzero(np.append(True, np.diff(owner) != 0))
    last = np.append(first[1:], len(owner))
    # Random keys of 128 bits per value: lists of one sum are one list.
    random = np.random.Generator(np.random.Philox(0))
    keys = random.integers(1 << 64, size=(int(values.max()) + 1, 2), dtype=np.uint64)
    sums = np.add.reduceat(keys[values], first, axis=0)
    for k in np.unique(sums, axis=0, return_index=True)[1].tolist():
        yield values[first[k] : last[k]]


def _reach(
    deleted_start: Positions, deleted_end: Positions, start: Positions, end: Positions
) -> Positions:
    """Ends of windows (R,) on a haplotype that lacks the bases of (D,) disjoint stretches."""
    before = np.concatenate([[0], np.cumsum(deleted_end - deleted_start)])
    k = np.searchsorted(deleted_start, start, side="right") - 1
    gone = np.where(k >= 0, before[k] + np.minimum(deleted_end[k], start) - deleted_start[k], 0)
    # Number, among all bases that are there, of the one behind the window's last.
    stop = end - gone
    n_before = np.searchsorted(deleted_start - before[:-1], stop, side="left")
    reach: Positions = stop + before[n_before]
    return reach
