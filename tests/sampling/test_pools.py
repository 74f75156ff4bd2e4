"""Orders with bounded pools: every one is a permutation, and a pool stays in its blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.sampling.permutation import permute
from bigwig_loader.sampling.pools import pooled_permute


@given(st.integers(1, 700), st.integers(1, 300), st.integers(0, 3), st.integers(0, 2))
def test_every_order_is_a_permutation(n: int, bound: int, seed: int, epoch: int) -> None:
    order = pooled_permute(n, bound, np.arange(n), seed, epoch)
    assert sorted(order.tolist()) == list(range(n))
    part = np.array([n - 1, 0, n // 2])
    assert pooled_permute(n, bound, part, seed, epoch).tolist() == order[part].tolist()


def test_what_fits_is_an_exact_permutation() -> None:
    index = np.arange(500)
    for bound in (None, 500, 10_000):
        np.testing.assert_array_equal(
            pooled_permute(500, bound, index, 3, 1), permute(500, index, 3, 1)
        )
    assert pooled_permute(500, 10, index[:0], 3, 1).tolist() == []


def test_a_pool_reads_few_stretches() -> None:
    n, bound = 100_000, 6_400
    order = pooled_permute(n, bound, np.arange(n), 5, 0)
    n_jumps, first_pools = [], []
    for start in range(0, n - bound, bound):
        pool = np.sort(order[start : start + bound])
        n_jumps.append(int((np.diff(pool) > 1).sum()))
        first_pools.append(pool.mean())
    # Pools do not begin exactly here, so parts of two may be seen.
    assert max(n_jumps) < 140
    # From all over: no pool is of one part of the file.
    assert all(0.25 * n < mean < 0.75 * n for mean in first_pools)
    epochs = [pooled_permute(n, bound, np.arange(n), 5, epoch) for epoch in (0, 1)]
    assert (epochs[0] != epochs[1]).mean() > 0.99
    # Within a pool, neighbours are not neighbours in the file.
    assert (np.abs(np.diff(order)) == 1).mean() < 0.01


def test_too_many_pools() -> None:
    with pytest.raises(InvalidInputError, match="shuffle_bound: expected at least 4"):
        pooled_permute(1 << 21, 1, np.arange(3), 0, 0)
