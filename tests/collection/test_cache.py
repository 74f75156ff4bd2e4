"""A collection that keeps decoded blocks: the same batches, and counts that tell."""

from __future__ import annotations

import multiprocessing
import pickle
from pathlib import Path
from typing import Any
from unittest import mock

import fsspec
import numpy as np
import pytest

from bigwig_loader.backend.protocol import SignalCounts
from bigwig_loader.collection import BigWigCollection
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.formats.source import UrlSource
from bigwig_loader.plan.signal import TrackTransform
from tests.helpers.tracks import WINDOWS, batch, expected

AMPLE = 1 << 20


@pytest.fixture
def cached(folder: Path) -> BigWigCollection:
    return BigWigCollection(folder, cache_bytes=AMPLE)


def test_batches_are_the_same(cached: BigWigCollection) -> None:
    for _ in range(3):
        np.testing.assert_array_equal(batch(cached), expected(WINDOWS))
    counts = cached.counts
    assert counts.n_batches == 3
    assert counts.n_cached_blocks * 3 == counts.n_blocks * 2
    assert 0 < counts.cached_bytes <= AMPLE


def test_transforms_are_made_of_what_is_kept(cached: BigWigCollection) -> None:
    batch(cached)
    other = cached.with_transforms(TrackTransform(scale=3.0))
    for _ in range(2):
        np.testing.assert_array_equal(batch(other), 3 * expected(WINDOWS))
    assert other.counts.n_cached_blocks > 0


def test_counts_are_copies_and_zero_before_the_first_batch(cached: BigWigCollection) -> None:
    assert cached.counts == SignalCounts()
    batch(cached)
    first = cached.counts
    batch(cached, WINDOWS[:1])
    assert first.n_batches == 1
    assert cached.counts.n_batches == 2
    cached.close()
    assert cached.counts == SignalCounts()
    batch(cached)
    assert cached.counts.n_cached_blocks == 0  # closing has emptied it


def test_a_small_budget_and_a_cache(folder: Path) -> None:
    n_bytes = batch(BigWigCollection(folder)).nbytes
    small = BigWigCollection(
        folder, n_threads=1, memory_budget=n_bytes + 6_000_000, cache_bytes=AMPLE
    )
    for _ in range(2):
        np.testing.assert_array_equal(batch(small), expected(WINDOWS))
    assert small.counts.n_cached_blocks > 0


def _read_in_child(collection: BigWigCollection) -> tuple[bytes, list[int]]:
    """Two batches, and after each the blocks that the cache has had."""
    found = []
    for _ in range(2):
        got = batch(collection).tobytes()
        found.append(collection.counts.n_cached_blocks)
    return got, found


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_each_process_has_a_cache_of_its_own(cached: BigWigCollection, method: str) -> None:
    want = batch(cached).tobytes()
    n_blocks = cached.counts.n_blocks
    with multiprocessing.get_context(method).Pool(1) as pool:
        got, found = pool.apply(_read_in_child, [cached])
    assert got == want
    assert found == [0, n_blocks]
    assert cached.counts.n_batches == 1


def test_pickles_with_its_size(cached: BigWigCollection) -> None:
    other = pickle.loads(pickle.dumps(cached))
    for _ in range(2):
        np.testing.assert_array_equal(batch(other), expected(WINDOWS))
    assert other.counts.n_cached_blocks > 0


@pytest.fixture
def urls(folder: Path) -> Any:
    names = ["one.bw", "sub/four.Bw", "three.BIGWIG", "two.bigWig"]
    for name in names:
        with fsspec.open(f"memory://cached/{name}", "wb") as file:
            file.write((folder / name).read_bytes())
    yield [f"memory://cached/{name}" for name in names]
    fsspec.filesystem("memory").rm("/cached", recursive=True)


def test_remote_blocks_are_fetched_once(urls: list[str]) -> None:
    plain, cached = BigWigCollection(urls), BigWigCollection(urls, cache_bytes=AMPLE)
    batch(plain)
    np.testing.assert_array_equal(batch(cached), expected(WINDOWS))
    first = cached.counts
    assert first.bytes_read == plain.counts.bytes_read > 0
    assert first.n_reads == plain.counts.n_reads > 0
    assert first.seconds_read > 0
    with mock.patch.object(UrlSource, "read_ranges", side_effect=AssertionError("fetched again")):
        np.testing.assert_array_equal(batch(cached), expected(WINDOWS))
        np.testing.assert_array_equal(batch(cached, WINDOWS[:1]), expected(WINDOWS[:1]))
    assert cached.counts.bytes_read == first.bytes_read
    # Windows of which some blocks are kept.
    more = [("chr1", 200, 2_600), ("chr2", 0, 2_400)]
    np.testing.assert_array_equal(batch(cached, more), expected(more))
    assert cached.counts.bytes_read > first.bytes_read


@pytest.mark.parametrize("wrong", [-1, 1.5, True, "1G", None])
def test_sizes_that_cannot_be(folder: Path, wrong: Any) -> None:
    with pytest.raises(InvalidInputError, match="argument cache_bytes"):
        BigWigCollection(folder, cache_bytes=wrong)
