"""Random orders that stay near each other in a file: shuffled within pools of bounded size.

A pool is a number of blocks of consecutive examples, from all over the file. The order of the
blocks is random, and so is the order of all examples of a pool: while an epoch works through one
pool, it reads in so many places of the file and in no other. Where a pool holds all examples, the
order is a random permutation, every order as likely as `permute` makes it.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.ragged import offsets_of
from bigwig_loader.sampling.permutation import permute, shuffled_walk
from bigwig_loader.sampling.rng import MAX_LANES, Stream

I64 = npt.NDArray[np.int64]

BLOCKS_PER_POOL = 64


def pooled_permute(n: int, bound: int | None, index: I64, seed: int, epoch: int) -> I64:
    """Elements `index` of a random order of 0..n-1 with bounded pools.

    For fixed n, bound, seed and epoch this is a bijection of 0..n-1.

    Parameters
    ----------
    n : int
        At least 1.
    bound : int or None
        Examples of a pool, at most; None for all of them.
    index : (k,) int64
        In [0, n).
    seed, epoch : int

    Returns
    -------
    (k,) int64

    Raises
    ------
    InvalidInputError
        If `bound` is so small that there are more than 2**20 pools.
    """
    if bound is None or bound >= n:
        return permute(n, index, seed, epoch) if len(index) else index
    blocks = _blocks(n, bound, seed, epoch)
    pool = np.searchsorted(blocks.pool_stops, index, side="right")
    starts = blocks.pool_stops - blocks.pool_sizes
    sizes, within = blocks.pool_sizes[pool], index - starts[pool]
    # Lane 0 has the order of the blocks.
    place = starts[pool] + shuffled_walk(sizes, within, seed, epoch, lane=pool + 1)
    block = np.searchsorted(blocks.stops, place, side="right")
    result: I64 = blocks.first[block] + place - (blocks.stops[block] - blocks.sizes[block])
    return result


class _Blocks:
    """The blocks of an epoch, in its order, and the pools that they make."""

    def __init__(self, n: int, bound: int, seed: int, epoch: int) -> None:
        # Sizes that differ by at most 1, so that any so many blocks fit in a pool.
        n_blocks = -(-n // max(1, bound // BLOCKS_PER_POOL))
        largest = -(-n // n_blocks)
        per_pool = bound // largest
        n_pools = -(-n_blocks // per_pool)
        if n_pools >= MAX_LANES:
            raise InvalidInputError(
                f"argument shuffle_bound: expected at least {-(-n // (MAX_LANES // 2))} for {n} "
                f"documents; got {bound}"
            )
        edges = _edges(n, n_blocks, np.arange(n_blocks + 1))
        order = permute(n_blocks, np.arange(n_blocks), seed, epoch, stream=Stream.ORDER)
        self.first = edges[order]
        self.sizes = np.diff(edges)[order]
        self.stops = np.cumsum(self.sizes)
        ends = offsets_of(self.sizes)[np.minimum(np.arange(1, n_pools + 1) * per_pool, n_blocks)]
        self.pool_stops = ends
        self.pool_sizes = np.diff(ends, prepend=0)


def _edges(n: int, n_blocks: int, block: I64) -> I64:
    """Where blocks begin; ``block * n // n_blocks`` without overflow."""
    size, rest = divmod(n, n_blocks)
    return block * size + np.minimum(block, rest)


@lru_cache(maxsize=4)
def _blocks(n: int, bound: int, seed: int, epoch: int) -> _Blocks:
    return _Blocks(n, bound, seed, epoch)
