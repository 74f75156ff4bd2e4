"""Which background windows match the loci: bins of GC, what each bin needs, and the choice."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]

# Candidates looked at together; most of them are free while few windows are chosen.
_BLOCK = 1024


def gc_bin_of_count(window_bp: int, bin_width: float) -> Int64:
    """Bin of each possible number of G and C of a window, (window_bp + 1,).

    Bin b holds the fractions nearest to ``b * bin_width``. A fraction on the edge of two bins
    falls where double precision puts it, by tangermeme's formula: matched sets are to be equal.
    """
    fraction = np.arange(window_bp + 1, dtype=np.int64) / window_bp
    return np.asarray((fraction + bin_width / 2.0) // bin_width, np.int64)


def wanted_per_bin(loci_per_bin: Int64, ratio: float) -> Int64:
    """Windows wanted in each bin: `ratio` times the loci, rounded so that the total is right.

    Bins 0 to b together want ``floor(ratio * loci in bins 0 to b)``, so no bin is off by one or
    more. `ratio` is taken as the decimal number it is written as.
    """
    exact = Fraction(repr(float(ratio)))
    upto = [int(n) * exact.numerator // exact.denominator for n in np.cumsum(loci_per_bin)]
    return np.asarray(np.diff([0, *upto]), np.int64)


@dataclass(frozen=True)
class Choice:
    """The chosen windows, and what became of each bin's wants.

    Parameters
    ----------
    number : (k,) int64
        Chosen windows, bin after bin, in the order of each bin's shuffled list.
    available : (n_bins,) int64
        Candidates of each bin.
    taken : (n_bins,) int64
        Chosen candidates of each bin, for itself or for another bin.
    borrowed : (n_bins,) int64
        Windows of other bins that each bin got.
    missing : (n_bins,) int64
        Windows that each bin wanted and did not get.
    """

    number: Int64
    available: Int64
    taken: Int64
    borrowed: Int64
    missing: Int64


def choose(
    number: npt.NDArray[np.integer],
    gc_bin: npt.NDArray[np.integer],
    wanted: Int64,
    random_state: np.random.RandomState,
    apart: int = 1,
) -> Choice:
    """Choose windows bin by bin, and from the nearest bins where a bin has too few.

    Each bin's candidates are shuffled, bin 0 first, and taken from the front. Then bins that are
    short of windows borrow, the highest bin first, from bins at distance 0, 1, 2, ..., the higher
    one of two first.

    Parameters
    ----------
    number : (n,) integer
        Candidates, ascending: windows of the same contig whose numbers differ by less than
        `apart` overlap, numbers of different contigs differ by at least `apart`.
    gc_bin : (n,) integer
        Bin of each candidate, in [0, n_bins).
    wanted : (n_bins,) int64
        Windows wanted in each bin.
    random_state : RandomState
        Advanced by one shuffle for each bin with two candidates or more.
    apart : int
        With more than 1, a window that overlaps one chosen before it is passed over.

    Returns
    -------
    Choice
    """
    n_bins = len(wanted)
    available = np.bincount(gc_bin, minlength=n_bins).astype(np.int64)
    ordered = number[np.argsort(gc_bin, kind="stable")]
    lists = [_ShuffledList(each) for each in np.split(ordered, np.cumsum(available)[:-1])]
    for each in lists:
        random_state.shuffle(each.number)
    taker = _Taker(lists, ordered, apart)
    missing = wanted.copy()
    for b in range(n_bins):
        missing[b] -= taker.take(b, int(wanted[b]))
    short = missing.copy()
    for b in np.flatnonzero(short)[::-1].tolist():
        for source in taker.nearest_open(b):
            missing[b] -= taker.take(source, int(missing[b]))
            if not missing[b]:
                break
    taken = [each.taken for each in lists]
    return Choice(
        number=np.concatenate([np.empty(0, np.int64), *(np.array(t, np.int64) for t in taken)]),
        available=available,
        taken=np.array([len(t) for t in taken], np.int64),
        borrowed=short - missing,
        missing=missing,
    )


class _ShuffledList:
    """The candidates of one bin."""

    def __init__(self, number: npt.NDArray[np.integer]) -> None:
        self.number = number
        self.at = 0  # those before were taken or passed over
        self.taken: list[int] = []


class _Taker:
    """Takes candidates from the front of lists, none that overlaps another."""

    def __init__(
        self, lists: list[_ShuffledList], number: npt.NDArray[np.integer], apart: int
    ) -> None:
        self._lists = lists
        self._apart = apart
        n = int(number.max()) + 2 * apart if apart > 1 and len(number) else 0
        self._blocked = np.zeros(n, np.bool_)  # number + apart - 1

    def nearest_open(self, b: int) -> list[int]:
        """Bins with candidates left, the nearest to `b` first."""
        bins = np.array([i for i, each in enumerate(self._lists) if each.at < len(each.number)])
        nearness = 2 * np.abs(bins - b) + (bins < b)
        return [int(i) for i in bins[np.argsort(nearness)]]

    def take(self, b: int, n: int) -> int:
        """Take up to `n` candidates of a bin; how many there were."""
        each = self._lists[b]
        before = len(each.taken)
        if self._apart > 1:
            self._take_apart(each, n)
        else:
            each.taken.extend(each.number[each.at : each.at + n].tolist())
            each.at = min(each.at + n, len(each.number))
        return len(each.taken) - before

    def _take_apart(self, each: _ShuffledList, n: int) -> None:
        blocked, reach = self._blocked, self._apart - 1
        while n and each.at < len(each.number):
            some = each.number[each.at : each.at + _BLOCK].astype(np.int64)
            free = np.flatnonzero(~blocked[some + reach]).tolist()
            each.at += len(some)
            for k in free:
                number = int(some[k])
                if blocked[number + reach]:  # by one chosen a moment ago
                    continue
                blocked[number : number + 2 * reach + 1] = True
                each.taken.append(number)
                n -= 1
                if not n:
                    each.at -= len(some) - k - 1
                    break
