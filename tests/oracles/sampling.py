"""Slow, obvious versions of what `bigwig_loader.sampling` computes in vector form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import count, islice, repeat
from math import floor, isqrt

PHILOX_CONSTANTS = {
    32: ((0xD2511F53, 0xCD9E8D57), (0x9E3779B9, 0xBB67AE85)),
    64: ((0xD2E7470EE14C6C93, 0xCA5A826395121157), (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)),
}


def philox4(counter: Sequence[int], key: Sequence[int], word_bits: int) -> list[int]:
    """Philox4xW-10 in Python integers, for W of 32 or 64, written from the paper's formula.

    The same lines serve both widths, so the 64-bit one, which NumPy has too, vouches for the
    32-bit one.
    """
    multipliers, weyl = PHILOX_CONSTANTS[word_bits]
    mask = (1 << word_bits) - 1
    left0, right0, left1, right1 = counter
    key0, key1 = key
    for _ in range(10):
        product0, product1 = multipliers[0] * left0, multipliers[1] * left1
        left0, right0, left1, right1 = (
            (product1 >> word_bits) ^ right0 ^ key0,
            product1 & mask,
            (product0 >> word_bits) ^ right1 ^ key1,
            product0 & mask,
        )
        key0, key1 = (key0 + weyl[0]) & mask, (key1 + weyl[1]) & mask
    return [left0, right0, left1, right1]


def bases_of_regions(regions: Sequence[tuple[str, int, int]]) -> list[tuple[str, int]]:
    """Every base of every region, in the order of the regions; shared bases once per region."""
    return [(chrom, base) for chrom, start, end in regions for base in range(start, end)]


def permuted(n: int, index: int, words: Sequence[int]) -> int:
    """Element `index` of a random order of 0..n-1, from the formula and its random words.

    Parameters
    ----------
    words : sequence of int
        64 bits each: n of them up to n = 64, else 10 for the passes of the network and one more.
    """
    if n <= 64:
        return sorted(range(n), key=lambda i: (words[i], i))[index]
    n_left = next(a for a in range(isqrt(n), isqrt(n) + 2) if a * a >= n)
    n_right = -(-n // n_left)
    x = index
    if x in (0, 1) and words[10] % 2:
        x = 1 - x
    while True:
        halves, sizes = [x // n_right, x % n_right], [n_left, n_right]
        for i, word in enumerate(words[:10]):
            moved, other = i % 2, 1 - i % 2
            mixed = (halves[other] ^ word) * 0xFF51AFD7ED558CCD % 2**64
            mixed = (mixed ^ mixed >> 32) * 0xC4CEB9FE1A85EC53 % 2**64
            step = (mixed >> 32) * sizes[moved] >> 32
            halves[moved] = (halves[moved] + step) % sizes[moved]
        x = halves[0] * n_right + halves[1]
        if x < n:
            return x


def interleaved(counts: Sequence[int], n_indices: int) -> list[tuple[int, int]]:
    """(source, rank) of indices 0..n_indices-1, one after the other.

    The sources are halved, and the half that is due next is the first one where its share of the
    places so far, rounded to the nearest (halves up), grows by one.
    """

    def pattern(sources: range) -> Iterator[int]:
        if len(sources) == 1:
            yield from repeat(sources[0])
        middle = (len(sources) + 1) // 2
        halves = (sources[:middle], sources[middle:])
        patterns = [pattern(half) for half in halves]
        first, both = (sum(counts[s] for s in part) for part in (halves[0], sources))
        for i in count():
            due = [_rounded(Fraction(j * first, both)) for j in (i, i + 1)]
            yield next(patterns[0] if due[1] > due[0] else patterns[1])

    seen = [0] * len(counts)
    result = []
    for source in islice(pattern(range(len(counts))), n_indices):
        result.append((source, seen[source]))
        seen[source] += 1
    return result


def _rounded(x: Fraction) -> int:
    # Of an odd denominator there is no half; of an even one, half is rounded up.
    return floor(x + Fraction(1, 2))


def leaking(
    one: Sequence[tuple[str, int, int]], other: Sequence[tuple[str, int, int]]
) -> tuple[int, int]:
    """How many intervals of each list share a base with any of the other: every pair is tried."""

    def shares(a: tuple[str, int, int], b: tuple[str, int, int]) -> bool:
        return a[0] == b[0] and max(a[1], b[1]) < min(a[2], b[2])

    here = sum(any(shares(a, b) for b in other) for a in one)
    return here, sum(any(shares(a, b) for a in one) for b in other)
