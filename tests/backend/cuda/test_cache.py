"""Which blocks stay on the device: places, hits, who makes room for whom."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture(autouse=True)
def _fake(fake_cuda: object) -> None:
    """The cache imports the device layer."""


def make(n_blocks: int, pages: int):
    from bigwig_loader.backend.cuda.cache import PAGE_BYTES, DeviceBlockCache

    device = SimpleNamespace(memory=lambda n: SimpleNamespace(address=1 << 30, n_bytes=n))
    return DeviceBlockCache(device, n_blocks, pages * PAGE_BYTES)


CAPACITY = 250_000  # four cells of a page


def ask(cache, blocks: list[int], capacity: int = CAPACITY):
    """One batch from beginning to end; which of the blocks were found, and which got cells."""
    block = np.array(blocks, np.int64)
    batch = cache.begin()
    address, n_section = cache.find(batch, block)
    found = address != 0
    assert (n_section[found] == block[found] + 1).all()
    lacking = block[~found]
    reserved = cache.reserve(batch, lacking, np.full(len(lacking), capacity))
    got = lacking[reserved != 0]
    cache.settle(got, got + 1, np.ones(len(got), bool))
    cache.end(batch)
    return block[found].tolist(), got.tolist()


def test_what_was_decoded_is_found_again() -> None:
    cache = make(10, 1)
    assert ask(cache, [3, 4]) == ([], [3, 4])
    assert ask(cache, [4, 5]) == ([4], [5])
    assert cache.n_bytes == 3 * 250_880


def test_cells_do_not_overlap_and_stay_inside() -> None:
    from bigwig_loader.backend.cuda.cache import PAGE_BYTES, cell_bytes

    cache = make(100, 3)
    batch = cache.begin()
    capacity = np.array([12_312, 32_000, 300] * 30)
    address = cache.reserve(batch, np.arange(90), capacity).astype(np.int64)
    assert (address != 0).any()
    order = np.argsort(address)
    begin, end = address[order], (address + cell_bytes(capacity))[order]
    inside = begin > 0
    begin, end = begin[inside], end[inside]
    assert (begin % 16 == 0).all()
    assert (begin[1:] >= end[:-1]).all()
    assert begin[0] >= 1 << 30
    assert end[-1] <= (1 << 30) + 3 * PAGE_BYTES


def test_turns_do_not_push_each_other_out() -> None:
    """An epoch of eight blocks and room for four: four hits in every later epoch, in any order."""
    rng = np.random.default_rng(0)
    cache = make(8, 1)
    hits = []
    for _ in range(12):
        found = [ask(cache, [int(block)])[0] for block in rng.permutation(8)]
        hits.append(sum(map(len, found)))
    assert hits == [0] + [4] * 11


def test_a_new_region_takes_over() -> None:
    cache = make(8, 1)
    for _ in range(3):
        ask(cache, [0, 1, 2, 3])
    got = [ask(cache, [4, 5, 6, 7])[1] for _ in range(4)]
    assert got == [[], [], [4, 5, 6, 7], []]
    assert ask(cache, [0, 1, 2, 3, 4]) == ([4], [])


def test_cells_of_a_batch_in_flight_are_not_taken() -> None:
    cache = make(8, 1)
    ask(cache, [0, 1, 2, 3])
    using = cache.begin()
    assert (cache.find(using, np.arange(4))[0] != 0).all()
    for _ in range(4):
        assert ask(cache, [4, 5, 6, 7]) == ([], [])
    cache.end(using)
    assert ask(cache, [4, 5, 6, 7]) == ([], [4, 5, 6, 7])


def test_a_block_being_decoded_is_neither_found_nor_given_a_second_cell() -> None:
    cache = make(8, 1)
    one, block = cache.begin(), np.array([2])
    assert cache.reserve(one, block, np.array([CAPACITY]))[0] != 0
    other = cache.begin()
    assert cache.find(other, block)[0][0] == 0
    assert cache.reserve(other, block, np.array([CAPACITY]))[0] == 0
    cache.settle(block, np.array([3]), np.array([True]))
    assert cache.find(other, block)[0][0] != 0


def test_a_block_that_failed_gives_its_cell_back() -> None:
    cache = make(8, 1)
    batch, blocks = cache.begin(), np.arange(4)
    assert (cache.reserve(batch, blocks, np.full(4, CAPACITY)) != 0).all()
    cache.settle(blocks, blocks + 1, blocks != 2)
    cache.end(batch)
    assert ask(cache, [0, 1, 2, 3]) == ([0, 1, 3], [2])


def test_huge_claims_are_not_kept() -> None:
    cache = make(8, 8)
    assert ask(cache, [1], 1 << 20) == ([], [])
    assert ask(cache, [1], 5_000) == ([], [1])


@given(st.lists(st.lists(st.integers(0, 19), unique=True, max_size=8), max_size=30))
def test_any_sequence_keeps_its_books(batches: list[list[int]]) -> None:
    cache = make(20, 1)
    resident: set[int] = set()
    for blocks in batches:
        found, got = ask(cache, blocks, 100_000)
        assert set(found) == resident & set(blocks)
        cells = cache._sizes.get(100_352)
        resident = set() if cells is None else set(cells.block[cells.block >= 0].tolist())
        assert set(got) <= resident
        assert len(resident) <= 10
