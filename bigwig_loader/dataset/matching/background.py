"""Background windows: where they lie, and which of them may be chosen."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.protocol import Backend
from bigwig_loader.dataset.matching.options import MatchOptions
from bigwig_loader.dataset.matching.signal import SignalSums
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.formats.genome import Genome
from bigwig_loader.intervals import merge_arrays
from bigwig_loader.plan.windows import ContigTable, Windows
from bigwig_loader.sampling.locus_filters import Exclusion

Int64 = npt.NDArray[np.int64]

# Sets of base codes of `Genome`, bit c for code c.
GC_CODES = 1 << 2 | 1 << 4
N_CODES = 1 << 15

# So many windows, if all may be chosen, take about 4 GB of memory.
MAX_WINDOWS = 1 << 27
_PART_WINDOWS = 1 << 20
# Contigs packed together, in bases (two to a byte); the human genome at once would take 1.5 GB.
_GROUP_BASES = 1 << 28


class Cause(IntEnum):
    """Why a window is no background; the first that applies, in this order."""

    CANDIDATE = 0
    NEAR_LOCI = 1
    EXCLUDED = 2
    UNKNOWN_BASES = 3
    NO_SIGNAL = 4
    SIGNAL = 5


CAUSES = {
    Cause.CANDIDATE: "may be chosen",
    Cause.NEAR_LOCI: "overlap loci",
    Cause.EXCLUDED: "overlap an exclusion list",
    Cause.UNKNOWN_BASES: "have too many unknown bases",
    Cause.NO_SIGNAL: "lie on contigs that the bigWig lacks",
    Cause.SIGNAL: "have too much signal",
}


class Stretches:
    """The bases of some regions, contig by contig.

    Parameters
    ----------
    contig : (n,) int32
    start, end : (n,) int64
    """

    def __init__(self, contig: npt.NDArray[np.int32], start: Int64, end: Int64) -> None:
        self._of_contig: dict[int, tuple[Int64, Int64]] = {}
        for i in np.unique(contig).tolist():
            on_contig = contig == i
            self._of_contig[i] = merge_arrays(start[on_contig], end[on_contig])

    def overlap(self, contig: int, start: Int64, end: Int64) -> npt.NDArray[np.bool_]:
        """Which windows [start, end) of a contig overlap one of the regions."""
        if contig not in self._of_contig:
            return np.zeros(len(start), np.bool_)
        first, last = self._of_contig[contig]
        # They are disjoint, so the last one that starts before the window's end decides.
        before = np.searchsorted(first, end, side="left")
        return np.append(0, last)[before] > start


class WindowGrid:
    """The windows of each contig: every `stride` bases, wholly inside, numbered through.

    The window of the signal has to lie inside the contig too where it is the wider one.

    Parameters
    ----------
    contigs : ContigTable
        With the lengths of the genome.
    options : MatchOptions
    """

    def __init__(self, contigs: ContigTable, options: MatchOptions) -> None:
        self.contigs = contigs
        self.stride = options.stride
        left, right = 0, options.in_window
        if options.out_window > options.in_window and not options.compatible:
            left, right = -options.signal_shift, options.signal_shift + options.out_window
        self.first = -(-left // self.stride)
        self.n_windows = np.maximum((contigs.lengths - right) // self.stride - self.first + 1, 0)
        # The gap keeps windows of different contigs from seeming to overlap.
        self.number = np.cumsum(self.n_windows + options.apart) - self.n_windows - options.apart
        total = int((self.n_windows + options.apart).sum())
        if total > MAX_WINDOWS:
            raise InvalidInputError(
                f"argument stride: expected at most {MAX_WINDOWS:,} windows; stride={self.stride} "
                f"gives {total:,}. Use a larger stride"
            )

    def starts(self, contig: int, place: slice) -> Int64:
        """First bases of some of a contig's windows, counted from its first window."""
        n = int(self.n_windows[contig])
        return (np.arange(*place.indices(n)) + self.first) * self.stride

    def locate(self, number: Int64) -> tuple[npt.NDArray[np.intp], Int64]:
        """Contig and first base of windows by their number."""
        # A contig without windows shares its number with none, thanks to the gap.
        contig = np.searchsorted(self.number, number, side="right") - 1
        return contig, (number - self.number[contig] + self.first) * self.stride


@dataclass
class Candidates:
    """Windows that may be chosen, and how many may not.

    Parameters
    ----------
    number : (n,) int32
        Ascending; see `WindowGrid`.
    n_gc : (n,) int32
        G and C of each.
    causes : dict of Cause to int
        How many windows each cause applies to first.
    """

    number: npt.NDArray[np.int32]
    n_gc: npt.NDArray[np.int32]
    causes: dict[Cause, int]


@dataclass
class Background:
    """Finds the candidates among all windows of a grid.

    Parameters
    ----------
    grid : WindowGrid
    options : MatchOptions
    backend : Backend
    near_loci : Stretches
    excluded : Exclusion or None
    sums : SignalSums or None
    limit : float
        Most signal of a window; used where there are `sums`.
    """

    grid: WindowGrid
    options: MatchOptions
    backend: Backend
    near_loci: Stretches
    excluded: Exclusion | None
    sums: SignalSums | None
    limit: float
    _signal_contig: npt.NDArray[np.int32] = field(init=False)

    def __post_init__(self) -> None:
        names = self.grid.contigs.names
        self._signal_contig = (
            np.zeros(len(names), np.int32) if self.sums is None else self.sums.index_of(names)
        )

    def of_contig(self, genome: Genome, contig: int, advance: Callable[[int], None]) -> Candidates:
        """Candidates on one contig; `advance` is told of the bases dealt with."""
        numbers, gc_counts = [np.empty(0, np.int32)], [np.empty(0, np.int32)]
        causes = np.zeros(len(Cause), np.int64)
        n_windows = int(self.grid.n_windows[contig])
        for at in range(0, n_windows, _PART_WINDOWS):
            place = slice(at, min(at + _PART_WINDOWS, n_windows))
            start = self.grid.starts(contig, place)
            cause = self._causes(genome, contig, start)
            causes += np.bincount(cause, minlength=len(Cause))
            kept = np.flatnonzero(cause == Cause.CANDIDATE)
            numbers.append((kept + at + self.grid.number[contig]).astype(np.int32))
            gc_counts.append(self._count(genome, contig, start, GC_CODES)[kept].astype(np.int32))
            advance(len(start) * self.grid.stride)
        counted = {cause: int(causes[cause]) for cause in Cause}
        return Candidates(np.concatenate(numbers), np.concatenate(gc_counts), counted)

    def _causes(self, genome: Genome, contig: int, start: Int64) -> npt.NDArray[np.uint8]:
        options = self.options
        cause = np.zeros(len(start), np.uint8)
        name, end = self.grid.contigs.names[contig], start + options.in_window
        cause[self.near_loci.overlap(contig, start, end)] = Cause.NEAR_LOCI
        if self.excluded is not None:
            cause[(cause == 0) & self.excluded.overlaps(name, start, end)] = Cause.EXCLUDED
        n_unknown = self._count(genome, contig, start, N_CODES)
        cause[(cause == 0) & ~options.enough_known(n_unknown, of_loci=False)] = Cause.UNKNOWN_BASES
        if self.sums is not None:
            left = np.flatnonzero(cause == 0)
            if self._signal_contig[contig] < 0:
                cause[left] = Cause.NO_SIGNAL
            else:
                cause[left[~self._is_quiet(contig, start[left])]] = Cause.SIGNAL
        return cause

    def _is_quiet(self, contig: int, start: Int64) -> npt.NDArray[np.bool_]:
        """Which windows have little enough signal."""
        assert self.sums is not None
        options = self.options
        if options.compatible and options.in_window == options.out_window:
            # There the other library sums no base at all.
            return np.full(len(start), self.limit >= 0)
        where = np.full(len(start), self._signal_contig[contig])
        return self.sums.at_most(
            where, start + options.signal_shift, options.out_window, self.limit
        )

    def _count(self, genome: Genome, contig: int, start: Int64, codes: int) -> Int64:
        """Bases of some codes in windows that follow one another on the grid."""
        width, stride = self.options.in_window, self.grid.stride
        if stride >= width:
            return self._count_at(genome, contig, start, width, codes)
        # A window is q whole strides and a rest: every base is counted once or twice, however
        # many windows it lies in.
        q, rest = divmod(width, stride)
        steps = start[0] + np.arange(len(start) + q - 1) * stride
        upto = np.cumsum(
            np.append(0, self._count_at(genome, contig, steps, stride, codes)), dtype=np.int64
        )
        counts = upto[q:] - upto[:-q]
        if rest:
            counts += self._count_at(genome, contig, start + q * stride, rest, codes)
        return counts

    def _count_at(self, genome: Genome, contig: int, start: Int64, width: int, codes: int) -> Int64:
        windows = Windows(np.full(len(start), contig, np.int32), start, width)
        return self.backend.count_bases(genome, self.grid.contigs, windows, codes)


def genome_groups(genome: Genome | str, contigs: ContigTable) -> Iterator[tuple[Genome, list[int]]]:
    """The genome in parts that fit into memory together, each with the contigs it is for.

    Parameters
    ----------
    genome : Genome or str
        One that is open is used as it is; one by its path is opened part after part, if an index
        beside it makes that cheap.
    contigs : ContigTable
    """
    everything = list(range(len(contigs)))
    if isinstance(genome, Genome):
        yield genome, everything
        return
    if not os.path.exists(genome + ".fai"):
        yield Genome(genome, contigs=contigs.names), everything
        return
    group: list[int] = []
    for i in everything:
        group.append(i)
        n_bases = int(contigs.lengths[group].sum())
        if i == everything[-1] or n_bases + contigs.lengths[i + 1] > _GROUP_BASES:
            yield Genome(genome, contigs=[contigs.names[k] for k in group]), group
            group = []
