"""Examples of peaks and background regions: a pure function of (seed, epoch, index)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.sampling.digest import digest
from bigwig_loader.sampling.interleave import counts_of_shares, interleave
from bigwig_loader.sampling.permutation import permute, shuffled_walk
from bigwig_loader.sampling.rng import Stream, check_seed, random_below, random_u64
from bigwig_loader.types import check_choice

Int64 = npt.NDArray[np.int64]
NegativesPer = Literal["epoch", "batch"]

# Examples are drawn in runs of so many and the last run is kept: drawing costs about the same for
# one example as for a thousand.
RUN = 4096


@dataclass(frozen=True, eq=False)
class PeakExamples:
    """n examples of a plan.

    Parameters
    ----------
    is_peak : (n,) bool
        Whether an example is a peak; the others are negatives.
    locus : (n,) int
        Which of the kept peaks, or of the kept negatives.
    jitter : (n,) int
        Bases by which the window is moved, -J to J.
    reverse : (n,) bool
        Whether it is delivered as reverse complement.
    """

    is_peak: npt.NDArray[np.bool_]
    locus: npt.NDArray[np.integer]
    jitter: npt.NDArray[np.integer]
    reverse: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.is_peak)

    def take(self, which: Int64) -> PeakExamples:
        """The examples at the given places, in that order."""
        return PeakExamples(
            self.is_peak[which], self.locus[which], self.jitter[which], self.reverse[which]
        )


class PeakPlan(Protocol):
    """What decides which example is which.

    Attributes
    ----------
    n_examples : int
        Examples of an epoch.
    """

    n_examples: int

    def draw(self, epoch: int, indices: Int64) -> PeakExamples:
        """The examples at `indices`, each in [0, n_examples), of an epoch."""

    def fingerprint(self) -> str:
        """Hash of all that decides what is drawn."""


@dataclass(frozen=True)
class NegativeOptions:
    """How background regions are drawn.

    Parameters
    ----------
    n_drawn : int
        Of an epoch.
    per : {"epoch", "batch"}
        "epoch": exactly `n_drawn` an epoch, anywhere in it. "batch": spread evenly, so that any
        run of examples, and so any batch, has its share of them to within one.
    replacement : bool
        Draw each independently; otherwise all are drawn equally often in an epoch, to within one,
        and with "batch" none comes again before all others did.
    jitter : bool
        Whether they are moved as peaks are.
    """

    n_drawn: int
    per: NegativesPer = "epoch"
    replacement: bool = True
    jitter: bool = False

    def __post_init__(self) -> None:
        check_choice("negatives_per", self.per, get_args(NegativesPer))


class PhiloxPlan:
    """Examples of peaks and negatives by the counter generator; nothing is kept per example.

    Every peak comes once an epoch, unless files have weights: then an epoch has as many examples
    of peaks as there are peaks, shared out over the files in proportion to weight times number of
    peaks, and all peaks of a file come equally often, to within one.

    Parameters
    ----------
    file_of_peak : (n_peaks,) int32
        File of each kept peak; only looked at with `weights`.
    n_negatives : int
        Negatives to draw from.
    negatives : NegativeOptions
    max_jitter : int
        Windows are moved by -max_jitter to max_jitter bp, both included, uniformly.
    reverse_complement : bool
        Half of the examples, each by itself.
    shuffle : bool
        Peaks in a new order every epoch. Otherwise in the order given, with the negatives spread
        evenly between them; negatives too are in the order given where each is drawn once.
    seed : int
    weights : sequence of float, optional
        One for each file of peaks.
    """

    def __init__(
        self,
        file_of_peak: npt.NDArray[np.int32],
        n_negatives: int,
        negatives: NegativeOptions,
        max_jitter: int,
        reverse_complement: bool,
        shuffle: bool,
        seed: int,
        weights: Sequence[float] | None = None,
    ) -> None:
        self.seed = check_seed(seed)
        self.negatives = negatives
        self.n_negatives = n_negatives
        self.max_jitter = max_jitter
        self.reverse_complement = reverse_complement
        self.shuffle = shuffle
        n_peaks = len(file_of_peak)
        self.n_examples = n_peaks + negatives.n_drawn
        self._run: tuple[int, int, PeakExamples] | None = None
        # Peaks of each source; None for "all, as numbered".
        self._members: list[Int64 | None] = [None]
        self._sizes = [n_peaks]
        self._drawn = [n_peaks]
        if weights is not None:
            members = [np.flatnonzero(file_of_peak == f) for f in range(len(weights))]
            self._members = [*members]
            self._sizes = [len(m) for m in members]
            self._drawn = share_out(n_peaks, np.array(self._sizes) * np.asarray(weights))

    def fingerprint(self) -> str:
        """Hash of all that decides what is drawn, but the seed."""
        return digest(
            type(self).__name__,
            self.n_negatives,
            self.negatives,
            self.max_jitter,
            self.reverse_complement,
            self.shuffle,
            self._sizes,
            self._drawn,
        )

    def draw(self, epoch: int, indices: Int64) -> PeakExamples:
        """The examples at the given indices of an epoch."""
        run = int(indices[0]) // RUN if len(indices) else 0
        if not ((indices // RUN) == run).all():
            return self._draw(epoch, indices)
        first = run * RUN
        kept = self._run
        if kept is None or kept[:2] != (epoch, run):
            drawn = self._draw(epoch, np.arange(first, min(first + RUN, self.n_examples)))
            kept = (epoch, run, drawn)
            self._run = kept
        return kept[2].take(indices - first)

    def _draw(self, epoch: int, indices: Int64) -> PeakExamples:
        n_peaks = sum(self._drawn)
        mixed = self.shuffle and self.negatives.per == "epoch"
        if mixed:
            slot = permute(self.n_examples, indices, self.seed, epoch, stream=Stream.ORDER)
            is_peak = slot < n_peaks
            rank = np.where(is_peak, slot, slot - n_peaks)
        else:
            # Peaks of all files are one source here, so that any run has its share of negatives.
            source, rank = interleave(indices, [n_peaks, self.negatives.n_drawn])
            is_peak = source == 0
        locus = np.empty(len(indices), np.int64)
        locus[is_peak] = self._peaks(rank[is_peak], epoch, mixed)
        locus[~is_peak] = self._negatives(rank[~is_peak], epoch)
        return PeakExamples(
            is_peak, locus, self._jitter(epoch, indices, is_peak), self._reverse(epoch, indices)
        )

    def _peaks(self, rank: Int64, epoch: int, mixed: bool) -> Int64:
        """Which peak is the rank-th of an epoch; `mixed` ranks are in a random order already."""
        if not len(rank):
            return rank
        if mixed:
            drawn = np.array(self._drawn, np.int64)
            ends = np.cumsum(drawn)
            source = np.searchsorted(ends, rank, side="right").astype(np.int32)
            rank = rank - (ends - drawn)[source]
        else:
            source, rank = interleave(rank, self._drawn)
        result = np.empty(len(rank), np.int64)
        for s in np.unique(source).tolist():
            at = np.flatnonzero(source == s)
            size, members, step = self._sizes[s], self._members[s], rank[at]
            if self.shuffle and not (mixed and self._drawn[s] == size):
                # Lane 0 orders the epoch as a whole.
                step = shuffled_walk(size, step, self.seed, epoch, stream=Stream.ORDER, lane=s + 1)
            place = step % size
            result[at] = place if members is None else members[place]
        return result

    def _negatives(self, rank: Int64, epoch: int) -> Int64:
        if not len(rank):
            return rank
        n, seed = self.n_negatives, self.seed
        if self.negatives.replacement:
            return random_below(n, seed, epoch, rank, stream=Stream.NEGATIVE)
        if not self.shuffle and self.negatives.n_drawn == n:
            return rank
        return shuffled_walk(n, rank, seed, epoch, stream=Stream.NEGATIVE)

    def _jitter(self, epoch: int, indices: Int64, is_peak: npt.NDArray[np.bool_]) -> Int64:
        if self.max_jitter == 0:
            return np.zeros(len(indices), np.int64)
        width = 2 * self.max_jitter + 1
        moved = random_below(width, self.seed, epoch, indices, stream=Stream.JITTER)
        moved -= self.max_jitter
        return moved if self.negatives.jitter else np.where(is_peak, moved, 0)

    def _reverse(self, epoch: int, indices: Int64) -> npt.NDArray[np.bool_]:
        if not self.reverse_complement:
            return np.zeros(len(indices), np.bool_)
        words = random_u64(self.seed, epoch, indices, stream=Stream.STRAND)
        return (words & np.uint64(1)).astype(np.bool_)


def share_out(total: int, weights: npt.NDArray[np.float64]) -> list[int]:
    """`total` as whole numbers in proportion to `weights`, by the largest remainders.

    Raises
    ------
    InvalidInputError
        If a weight is negative or not finite, or all are 0.
    """
    if not np.isfinite(weights).all() or (weights < 0).any() or not weights.sum() > 0:
        raise InvalidInputError(
            "argument peak_weights: expected numbers >= 0, and one above 0 whose file has kept "
            f"peaks; got weights times peaks of {weights.tolist()}"
        )
    return [int(n) for n in counts_of_shares(weights.tolist(), total)]
