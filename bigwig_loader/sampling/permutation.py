"""Random orders of 0..n-1 that are never stored: any element costs the same, whatever n is.

Up to n = 64, every number gets a random word and the words are sorted: all n! orders are equally
likely. Past that the order is a Feistel network over pairs (left, right) of a rectangle that is
just large enough for n numbers. In every pass one half is moved by a hash of the other, modulo its
own size, which can be undone, so that distinct numbers stay distinct whatever the hash is. Numbers
that land on the few places past n go through the network again until they land below (cycle
walking; Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002). Networks of few
numbers would need more passes for fair orders, which is why small n are sorted instead.

The words, and the keys of the network, are Philox words of (seed, epoch, stream, lane). This is
made for fair orders, not for secrets.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.sampling.rng import Stream, random_u64

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]

Key = tuple[int, int, Stream]

MAX_N = 1 << 62
MAX_STEP = 1 << 58
MAX_SORTED = 64
N_PASSES = 10
# Of one order: those of the passes, and one for the sign of the permutation.
N_WORDS = N_PASSES + 1
# Index of an order's first Philox word is its number times this; no order takes more words.
WORDS_PER_ORDER = 64
# The mixing constants of MurmurHash3's 64-bit finalizer.
MIX = (np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53))
SHIFT = np.uint64(32)
ONE = np.uint64(1)
HIGHEST = np.uint64(2**64 - 1)


def permute(
    n: int,
    index: npt.ArrayLike,
    seed: int,
    epoch: int,
    *,
    stream: Stream = Stream.ORDER,
    lane: int = 0,
) -> I64:
    """Elements `index` of a random order of 0..n-1.

    For fixed n, seed, epoch, stream and lane this is a bijection of 0..n-1. Orders of different n
    under one key are not independent: give them lanes of their own.

    Parameters
    ----------
    n : int
        In [1, 2**62].
    index : int or (k,) int
        In [0, n).
    seed, epoch, stream, lane
        As for `bigwig_loader.sampling.rng.random_u64`; one lane.

    Returns
    -------
    (k,) int64

    Raises
    ------
    InvalidInputError
        For n or an index out of range.
    """
    _check_n(n)
    indices = np.atleast_1d(np.asarray(index, np.int64))
    if len(indices) and not 0 <= int(indices.min()) <= int(indices.max()) < n:
        raise InvalidInputError(
            f"permutation: expected indices in [0, {n}); got {indices.min()} to {indices.max()}"
        )
    return _walk(np.array([n]), indices, np.array([lane]), (seed, epoch, stream))


def shuffled_walk(
    n: int | I64,
    step: npt.ArrayLike,
    seed: int,
    epoch: int,
    *,
    stream: Stream = Stream.ORDER,
    lane: int | I64 = 0,
) -> I64:
    """Elements `step` of an endless walk: 0..n-1 in a random order, then in another, and so on.

    Steps 0..n-1 are `permute`; every later round of n steps has an order of its own.

    Parameters
    ----------
    n : int or (k,) int64
        In [1, 2**62].
    step : int or (k,) int
        In [0, 2**58).
    seed, epoch, stream
        As for `permute`.
    lane : int or (k,) int64
        Each lane is a walk of its own. Steps of one lane have one n.

    Returns
    -------
    (k,) int64

    Raises
    ------
    InvalidInputError
        For n or a step out of range, or two n in a lane.
    """
    sizes, lanes = np.atleast_1d(np.asarray(n)), np.atleast_1d(np.asarray(lane))
    steps = np.atleast_1d(np.asarray(step, np.int64))
    if len(steps):
        _check_n(int(sizes.min()))
        _check_n(int(sizes.max()))
        if not 0 <= int(steps.min()) <= int(steps.max()) < MAX_STEP:
            raise InvalidInputError(
                f"shuffled walk: expected steps in [0, 2**58); got {steps.min()} to {steps.max()}"
            )
    return _walk(sizes, steps, lanes, (seed, epoch, stream))


def _check_n(n: int) -> None:
    if not 1 <= n <= MAX_N:
        raise InvalidInputError(f"permutation: expected n in [1, 2**62]; got {n}")


def _walk(n: I64, step: I64, lane: I64, key: Key) -> I64:
    """As `shuffled_walk`, checked; n and lane are (1,) or (k,)."""
    if not len(step):
        return step
    small = n <= MAX_SORTED
    if not small.all() and small.any():
        result = np.empty(len(step), np.int64)
        for part in (small, ~small):
            lanes = lane if len(lane) == 1 else lane[part]
            result[part] = _walk(n[part], step[part], lanes, key)
        return result
    round_, place = np.divmod(step, n)
    words, which = _orders(round_, lane, int(n.max()) if small.all() else N_WORDS, key)
    size = np.zeros(words.shape[1], np.int64)
    size[which] = n
    if len(n) > 1 and (size[which] != n).any():
        raise InvalidInputError("shuffled walk: expected one n in each lane; got several")
    if not small.all():
        return _shuffle(place.astype(np.uint64), n.astype(np.uint64), _each(words, which))
    # Numbers past n come last. Of two equal words, one chance in about 2**64 / n**2, the first
    # number comes first.
    words = np.where(np.arange(len(words))[:, None] < size, words, HIGHEST)
    return np.argsort(words, axis=0, kind="stable")[place, which].astype(np.int64)


def _orders(round_: I64, lane: I64, n_words: int, key: Key) -> tuple[U64, npt.NDArray[np.intp]]:
    """Random words of all orders (n_words, n_orders), and which of them each step is from."""
    if len(lane) == 1 and int(round_.min()) == int(round_.max()):
        return _words_of_one(int(round_[0]), int(lane[0]), n_words, *key), np.zeros(1, np.intp)
    rounds, which_round = np.unique(round_, return_inverse=True)
    lanes, which_lane = np.unique(lane, return_inverse=True)
    orders, which = np.unique(which_round * len(lanes) + which_lane, return_inverse=True)
    return _words(rounds[orders // len(lanes)], lanes[orders % len(lanes)], n_words, *key), which


# A draw after the other asks for the same order.
@lru_cache(maxsize=256)
def _words_of_one(
    round_: int, lane: int, n_words: int, seed: int, epoch: int, stream: Stream
) -> U64:
    words = _words(np.array([round_]), np.array([lane]), n_words, seed, epoch, stream)
    words.flags.writeable = False
    return words


def _words(round_: I64, lane: I64, n_words: int, seed: int, epoch: int, stream: Stream) -> U64:
    """Random words of orders, (n_words, n_orders)."""
    first = round_.astype(np.uint64) * np.uint64(WORDS_PER_ORDER)
    index = np.arange(n_words, dtype=np.uint64)[:, None] + first
    lanes = np.broadcast_to(lane, index.shape).ravel()
    return random_u64(seed, epoch, index.ravel(), stream=stream, lane=lanes).reshape(index.shape)


def _each(array: U64, which: npt.NDArray[np.integer]) -> U64:
    """Columns `which` of an array; as it is where one column stands for all."""
    return array if array.shape[-1] == 1 else array[..., which]


def _shuffle(x: U64, n: U64, keys: U64) -> I64:
    """The images of x (k,) under networks of n numbers; n and the keys' columns are 1 or k."""
    sides = _sides(n)
    # Nearly all networks have the same sign; whether 0 and 1 change places decides it.
    result = _network(x ^ ((x <= ONE) & keys[N_PASSES] & ONE), sides, keys)
    pending = np.flatnonzero(result >= n)
    while len(pending):
        again = _network(result[pending], _each(sides, pending), _each(keys, pending))
        result[pending] = again
        pending = pending[again >= _each(n, pending)]
    return result.astype(np.int64)


def _sides(n: U64) -> U64:
    """Sides (2, k) of the smallest nearly square rectangle with n places or more."""
    below = np.floor(np.sqrt((n - ONE).astype(np.float64))).astype(np.uint64)
    # Past 2**52, the root of a float may be one too large.
    below -= below * below > n - ONE
    n_left = below + ONE
    return np.stack([n_left, (n + below) // n_left])


def _network(x: U64, sides: U64, keys: U64) -> U64:
    """Images in the rectangle, which has fewer than n_left places past n."""
    n_left, n_right = sides
    left, right = np.divmod(x, n_right)
    for i in range(0, N_PASSES, 2):
        _move(left, right, n_left, keys[i])
        _move(right, left, n_right, keys[i + 1])
    left *= n_right
    left += right
    return left


def _move(half: U64, other: U64, size: U64, key: U64) -> None:
    """Move `half` by a hash of `other`, modulo `size`, in place."""
    mixed = other ^ key
    mixed *= MIX[0]
    mixed ^= mixed >> SHIFT
    mixed *= MIX[1]
    mixed >>= SHIFT
    mixed *= size
    mixed >>= SHIFT
    half += mixed
    # Below size, the difference wraps to a huge number.
    np.subtract(half, size, out=mixed)
    np.minimum(half, mixed, out=half)
