"""Random numbers that are a pure function of (seed, epoch, index): no state, no order.

The generator is Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy
as 1, 2, 3", SC'11; constants of their Random123 library). It maps a 128-bit counter and a 64-bit
key to 128 random bits, so example 1,000,000 costs the same as example 0, and any set of examples
is drawn in one vectorised call.

This file alone says what the counter means:

====  ==========================================================================
word  content
====  ==========================================================================
0, 1  index of the example or batch, low and high half
2     epoch
3     stream (4 bits) | lane (20 bits) | redraw (8 bits), highest bits first
====  ==========================================================================

The key is the seed, low and high half. `stream` keeps different uses apart, `lane` counts
attempts (or tracks) within one index, `redraw` the rejections that make bounded integers unbiased.
"""

from __future__ import annotations

import secrets
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError

U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]

N_ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
MAX_LANES = 1 << 20
MAX_REDRAWS = 1 << 8
MASK_32 = np.uint64(0xFFFFFFFF)
SHIFT_32 = np.uint64(32)


class Stream(IntEnum):
    """What a random number is used for; each use has numbers of its own."""

    POSITION = 0
    TRACKS = 1
    ORDER = 2
    JITTER = 3
    STRAND = 4
    CHOICE = 5
    NEGATIVE = 6
    MIXTURE = 7
    FLANK = 8  # drawn by the kernels (cuda_kernels/philox.cuh)
    SHIFT = 9
    SAMPLE = 10
    CONTEXT = 11  # drawn by the C library (cuda_kernels/host/token_rows.cpp)
    WINDOW = 12
    TOKEN = 13  # drawn in torch too (bigwig_loader/token_masking.py)


def new_seed() -> int:
    """A seed of 63 bits from the operating system."""
    return secrets.randbits(63)


def check_seed(seed: object) -> int:
    """`seed` as an int, if it is one in [0, 2**64).

    Raises
    ------
    InvalidInputError
        For anything else.
    """
    return _unsigned("seed", seed, 64)


def check_epoch(epoch: object) -> int:
    """`epoch` as an int, if it is one in [0, 2**32).

    Raises
    ------
    InvalidInputError
        For anything else.
    """
    return _unsigned("epoch", epoch, 32)


def _unsigned(name: str, value: Any, bits: int) -> int:
    integer = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not integer or not 0 <= int(value) < 1 << bits:
        raise InvalidInputError(
            f"argument {name}: expected an int in [0, 2**{bits}); got {value!r}"
        )
    return int(value)


def philox4x32(counter: U32, key: tuple[int, int]) -> U32:
    """Philox4x32-10: the random words of many counters under one key.

    Parameters
    ----------
    counter : (n, 4) uint32
    key : (int, int)
        Two 32-bit words.

    Returns
    -------
    (n, 4) uint32
    """
    # 32-bit words held in 64 bits, so that a product keeps its high half.
    c0, c1, c2, c3 = (counter[:, i].astype(np.uint64) for i in range(4))
    m0, m1 = (np.uint64(m) for m in MULTIPLIERS)
    k0, k1 = key
    for _ in range(N_ROUNDS):
        p0, p1 = c0 * m0, c2 * m1
        c0, c1, c2, c3 = (
            (p1 >> SHIFT_32) ^ c1 ^ np.uint64(k0),
            p1 & MASK_32,
            (p0 >> SHIFT_32) ^ c3 ^ np.uint64(k1),
            p0 & MASK_32,
        )
        k0, k1 = (k0 + WEYL[0]) & 0xFFFFFFFF, (k1 + WEYL[1]) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=1).astype(np.uint32)


def random_u64(
    seed: int,
    epoch: int,
    index: npt.ArrayLike,
    *,
    stream: Stream,
    lane: npt.ArrayLike = 0,
    redraw: int = 0,
) -> U64:
    """Uniform 64-bit integers, one for each (index, lane).

    Parameters
    ----------
    seed : int
        In [0, 2**64).
    epoch : int
        In [0, 2**32).
    index : int or (n,) int
        Which example or batch, >= 0.
    stream : Stream
        What the numbers are for.
    lane : int or (n,) int
        Which number of that index, in [0, 2**20); broadcast against `index`.
    redraw : int
        Which rejection, in [0, 2**8).

    Returns
    -------
    (n,) uint64
    """
    indices, lanes = np.broadcast_arrays(
        np.atleast_1d(np.asarray(index, np.uint64)), np.atleast_1d(np.asarray(lane, np.uint64))
    )
    if lanes.size and int(lanes.max()) >= MAX_LANES:
        raise InvalidInputError(f"random lane: expected < {MAX_LANES}; got {int(lanes.max())}")
    counter = np.empty((len(indices), 4), np.uint32)
    counter[:, 0] = indices & MASK_32
    counter[:, 1] = indices >> SHIFT_32
    counter[:, 2] = check_epoch(epoch)
    counter[:, 3] = (lanes << np.uint64(8)) | np.uint64(int(stream) << 28 | redraw)
    words = philox4x32(counter, (seed & 0xFFFFFFFF, seed >> 32)).astype(np.uint64)
    return (words[:, 1] << SHIFT_32) | words[:, 0]


def random_below(
    n: npt.ArrayLike,
    seed: int,
    epoch: int,
    index: npt.ArrayLike,
    *,
    stream: Stream,
    lane: int = 0,
) -> npt.NDArray[np.int64]:
    """Unbiased integers in [0, n), one for each index.

    Multiply-high with rejection (Lemire, "Fast random integer generation in an interval", ACM
    TOMACS 2019): of the 2**64 random words, the ``2**64 % n`` that would make some results more
    likely are drawn again, so every result has exactly the same number of words.

    Parameters
    ----------
    n : int or (n_index,) int64
        In [1, 2**63); one bound for all, or one for each index.
    seed, epoch, index, stream, lane
        As for `random_u64`.

    Returns
    -------
    (n_index,) int64
    """
    indices = np.atleast_1d(np.asarray(index, np.uint64))
    bounds = np.atleast_1d(np.asarray(n))
    wrong = (bounds < 1) | (bounds > (1 << 63) - 1)
    if wrong.any():
        raise InvalidInputError(
            f"random bound: expected an int in [1, 2**63); got {bounds[wrong][0]}"
        )
    bound = np.broadcast_to(bounds.astype(np.uint64), indices.shape)
    result = np.empty(len(indices), np.int64)
    pending = np.arange(len(indices))
    first_fair = (~bound + np.uint64(1)) % bound  # 2**64 % n, in 64 bits
    for redraw in range(MAX_REDRAWS):
        words = random_u64(seed, epoch, indices[pending], stream=stream, lane=lane, redraw=redraw)
        high, low = multiply_u64(words, bound[pending])
        fair = low >= first_fair[pending]
        result[pending[fair]] = high[fair].astype(np.int64)
        pending = pending[~fair]
        if not len(pending):
            return result
    raise AssertionError("unreachable: 256 rejections in a row, each less likely than not")


def multiply_u64(x: U64, n: int | U64) -> tuple[U64, U64]:
    """High and low 64 bits of the 128-bit products ``x * n``.

    Parameters
    ----------
    x : (k,) uint64
    n : int or (k,) uint64
        In [0, 2**64).

    Returns
    -------
    high, low : (k,) uint64
    """
    factor = np.asarray(n, np.uint64)
    n_low, n_high = factor & MASK_32, factor >> SHIFT_32
    x_low, x_high = x & MASK_32, x >> SHIFT_32
    low_low, high_low = x_low * n_low, x_high * n_low
    low_high, high_high = x_low * n_high, x_high * n_high
    middle = (low_low >> SHIFT_32) + (high_low & MASK_32) + (low_high & MASK_32)
    high = high_high + (high_low >> SHIFT_32) + (low_high >> SHIFT_32) + (middle >> SHIFT_32)
    return high, (middle << SHIFT_32) | (low_low & MASK_32)


def random_subset(
    n: int, size: int, seed: int, epoch: int, index: int, *, stream: Stream
) -> npt.NDArray[np.int64]:
    """A random subset of 0..n-1, every subset of that size equally likely.

    Each of the n numbers gets a random 64-bit key, and those with the smallest keys are taken (two
    equal keys, one chance in about 2**64 / n**2, fall to the smaller number).

    Parameters
    ----------
    n : int
        In [1, 2**20].
    size : int
        In [1, n].
    seed, epoch, index, stream
        As for `random_u64`.

    Returns
    -------
    (size,) int64
        Ascending.
    """
    keys = random_u64(seed, epoch, index, stream=stream, lane=np.arange(n))
    return np.sort(np.argsort(keys, kind="stable")[:size]).astype(np.int64)
