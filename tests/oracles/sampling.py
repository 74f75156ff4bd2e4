"""Slow, obvious versions of what `bigwig_loader.sampling` computes in vector form."""

from __future__ import annotations

from collections.abc import Sequence

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
