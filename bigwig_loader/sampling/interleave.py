"""Spreading several sources evenly over the indices of an epoch, in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import floor, gcd, isfinite, lcm

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError

I64 = npt.NDArray[np.int64]

MAX_PERIOD = 1 << 40
MAX_INDEX = 1 << 60
HALF_BITS = 20


def interleave(index: npt.ArrayLike, counts: npt.ArrayLike) -> tuple[npt.NDArray[np.int32], I64]:
    """Which source each index is from, and how often that source came before.

    Within every period of ``n = sum(counts)`` indices, source s occurs exactly ``counts[s]``
    times, as evenly as possible: in any run of m indices, across periods too, two sources differ
    from ``m * counts[s] / n`` by less than 1, and S sources by less than ``ceil(log2(S))``.

    The sources are halved again and again. Of the n indices of two halves with a and b
    occurrences, the first half has had ``(i * a + n // 2) // n`` before index i, so that it is
    known where it comes next, and what the index is within the half.

    Parameters
    ----------
    index : int or (k,) int
        In [0, 2**60).
    counts : (S,) int
        Each >= 0; their sum in [1, 2**40].

    Returns
    -------
    source : (k,) int32
    rank : (k,) int64
        Occurrences of that source at the indices before, all earlier periods included.

    Raises
    ------
    InvalidInputError
        For counts or an index out of range.
    """
    indices = np.atleast_1d(np.asarray(index, np.int64))
    counted = np.asarray(counts)
    if counted.ndim != 1 or counted.dtype.kind not in "iu" or (counted < 0).any():
        raise InvalidInputError(f"interleave: expected counts (S,), integers >= 0; got {counts!r}")
    n = sum(counted.tolist())
    if not 1 <= n <= MAX_PERIOD:
        raise InvalidInputError(f"interleave: expected counts that sum to 1..2**40; got {n}")
    if len(indices) and not 0 <= int(indices.min()) <= int(indices.max()) < MAX_INDEX:
        raise InvalidInputError(
            f"interleave: expected indices in [0, 2**60); got {indices.min()} to {indices.max()}"
        )
    before = np.concatenate([[0], np.cumsum(counted.astype(np.int64))])
    period, place = np.divmod(indices, n)
    first = np.zeros(len(indices), np.int64)
    stop = np.full(len(indices), len(counted), np.int64)
    for _ in range((len(counted) - 1).bit_length()):
        # Of a single source, which is not halved any more, everything is in the first half.
        middle = (first + stop + 1) // 2
        in_first = before[middle] - before[first]
        had, chosen = _occurrences(place, in_first, before[stop] - before[first])
        place = np.where(chosen, had, place - had)
        first, stop = np.where(chosen, first, middle), np.where(chosen, middle, stop)
    return first.astype(np.int32), period * counted.astype(np.int64)[first] + place


def _occurrences(place: I64, a: I64, n: I64) -> tuple[I64, npt.NDArray[np.bool_]]:
    """Of a occurrences in n places, those before `place`, and whether there is one there.

    ``(place * a + n // 2) // n`` by long division, so that nothing is past 2**62.
    """
    high, low = place >> HALF_BITS, place & ((1 << HALF_BITS) - 1)
    quotient, rest = np.divmod(high * a, n)
    more, rest = np.divmod((rest << HALF_BITS) + low * a + n // 2, n)
    return (quotient << HALF_BITS) + more, rest + a >= n


def counts_of_shares(shares: Sequence[float], n_examples: int | None = None) -> I64:
    """Integers in proportion to shares, for `interleave`.

    Parameters
    ----------
    shares : (S,) float
        Finite, each >= 0, not all 0. They need not add up to 1.
    n_examples : int, optional
        What the integers have to sum to: each is its exact share of it rounded down, or up for
        the largest remainders (the first of equal ones). Without it the proportion is exact where
        it is one of whole numbers up to 2**40 (``[1, 3]``, ``[0.25, 0.75]``), and exact to 2**-40
        elsewhere (``[0.1, 0.9]``, which floats are not exactly).

    Returns
    -------
    (S,) int64

    Raises
    ------
    InvalidInputError
        For shares or a number out of range.
    """
    numbers = [float(s) for s in shares]
    if not all(isfinite(s) and s >= 0 for s in numbers) or not any(numbers):
        raise InvalidInputError(
            f"shares: expected finite numbers >= 0, at least one above 0; got {numbers}"
        )
    exact = [Fraction(s) for s in numbers]
    if n_examples is None:
        scale = lcm(*(s.denominator for s in exact))
        whole = [int(s * scale) for s in exact]
        divisor = gcd(*whole)
        whole = [w // divisor for w in whole]
        if sum(whole) <= MAX_PERIOD:
            return np.array(whole, np.int64)
        n_examples = MAX_PERIOD
    if not 1 <= n_examples <= MAX_PERIOD:
        raise InvalidInputError(
            f"shares: expected a number of examples in [1, 2**40]; got {n_examples}"
        )
    total = sum(exact)
    wanted = [s * n_examples / total for s in exact]
    counts = [floor(w) for w in wanted]
    by_remainder = sorted(range(len(wanted)), key=lambda i: (counts[i] - wanted[i], i))
    for i in by_remainder[: n_examples - sum(counts)]:
        counts[i] += 1
    return np.array(counts, np.int64)
