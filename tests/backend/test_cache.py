"""Decoded blocks kept in memory: the same answers with less work."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from bigwig_loader._bigwig_writer import WriterOptions, write_bigwig
from bigwig_loader.errors import InvalidDataError, InvalidInputError
from bigwig_loader.plan.blocks import plan_signal
from bigwig_loader.types import SIGNAL_DTYPES, STATISTICS
from tests.helpers.bigwig_bytes import Block, Section, write_bigwig_bytes
from tests.helpers.made_bigwigs import file_sets, requests
from tests.helpers.shared import SHARED
from tests.helpers.signal import OpenFiles, verifying, windows_of
from tests.oracles import signal as oracle
from tests.oracles.signal import Request

AS_FOUND = (Phase.explicit, Phase.generate)
AMPLE = 1 << 24
# What a block takes besides 12 bytes an item: its head and its place in the table.
BLOCK_BYTES = 16


@st.composite
def cases(draw: st.DrawFn, legal: bool | None = None) -> tuple[list[bytes], Request]:
    genome, data = draw(file_sets(legal))
    contigs = sorted({name for one in data for name in oracle.parse(one).contigs})
    return data, draw(requests(genome, contigs, len(data)))


def write_all(data: list[bytes], folder: str) -> list[Path]:
    paths = [Path(folder) / f"{i}.bw" for i in range(len(data))]
    for path, content in zip(paths, data, strict=True):
        path.write_bytes(content)
    return paths


@settings(max_examples=100, phases=AS_FOUND)
@given(cases(), st.sampled_from(["once", "always"]), st.integers(0, 4_000), st.integers(1, 3))
def test_nothing_changes_with_a_cache(
    case: tuple[list[bytes], Request], mode: str, few_bytes: int, n_threads: int
) -> None:
    data, request = case
    with tempfile.TemporaryDirectory() as folder, verifying(mode):
        paths = write_all(data, folder)
        with OpenFiles(paths) as files:
            want = files.read(request).tobytes()
            alone = [files.read(replace(request, windows=[w])).tobytes() for w in request.windows]
        for cache_bytes in (AMPLE, few_bytes):
            with OpenFiles(paths, n_threads=n_threads, cache_bytes=cache_bytes) as files:
                for _ in range(3):
                    assert files.read(request).tobytes() == want
                    assert files.reader.counts.cached_bytes <= cache_bytes
            # Window by window, so that some of the blocks of a read are kept and some are not.
            with OpenFiles(paths, n_threads=n_threads, cache_bytes=cache_bytes) as files:
                for window, expected in zip(request.windows, alone, strict=True):
                    one = replace(request, windows=[window])
                    assert files.read(one, one_call=True).tobytes() == expected
                assert files.read(request).tobytes() == want


@settings(max_examples=40, phases=AS_FOUND)
@given(cases(legal=True))
def test_nothing_changes_for_legal_files_that_are_never_verified(
    case: tuple[list[bytes], Request],
) -> None:
    data, request = case
    with tempfile.TemporaryDirectory() as folder, verifying("never"):
        paths = write_all(data, folder)
        with OpenFiles(paths) as files:
            want = files.read(request).tobytes()
        with OpenFiles(paths, cache_bytes=AMPLE) as files:
            assert [files.read(request).tobytes() for _ in range(2)] == [want] * 2


def real_files() -> list[Path]:
    folders = (SHARED / "data" / name for name in ("bigwig", "bigwig_derived"))
    return [path for folder in folders for path in sorted(folder.glob("*")) if path.is_file()]


@pytest.mark.parametrize("path", real_files(), ids=lambda path: path.name)
def test_nothing_changes_for_real_files(path: Path) -> None:
    rng = np.random.default_rng(3)
    with OpenFiles([path]) as plain, OpenFiles([path], cache_bytes=1 << 28) as cached:
        index = plain.index
        if index.n_blocks == 0:
            pytest.skip("a file without data")
        chosen = rng.integers(0, index.n_blocks, 24)
        first = (index.start_key[chosen] & 0xFFFFFFFF).astype(np.int64)
        last = (index.end_key[chosen] & 0xFFFFFFFF).astype(np.int64)
        starts = first + (rng.random(24) * (last - first + 400)).astype(np.int64) - 400
        names = [index.contigs.names[c] for c in index.contig_of(chosen)]
        windows = list(zip(names, starts.tolist(), (rng.random(24) < 0.5).tolist(), strict=True))
        for statistic, dtype, bin_size in itertools.product(STATISTICS, SIGNAL_DTYPES, (1, 32)):
            request = Request(windows, 640, [0, 0], bin_size, statistic, dtype, uncovered=np.nan)
            want = plain.read(request).tobytes()
            assert cached.read(request).tobytes() == want
            assert cached.read(request, n_threads=1).tobytes() == want
        counts = cached.reader.counts
        assert counts.n_blocks == plain.reader.counts.n_blocks * 2
        n_unique = counts.n_blocks // counts.n_batches
        assert counts.n_cached_blocks == counts.n_blocks - n_unique  # all but those of the first
        assert plain.reader.counts.n_cached_blocks == 0


N_ITEMS, PER_BLOCK = 1_000, 50


@pytest.fixture
def steps(tmp_path: Path) -> Path:
    """20 blocks of 50 items; item k is [10 k, 10 k + 8) with the value k."""
    k = np.arange(N_ITEMS)
    return write_bigwig(
        tmp_path / "steps.bw",
        {"a": 10 * N_ITEMS},
        {"a": (10 * k, 10 * k + 8, k)},
        WriterOptions(items_per_block=PER_BLOCK, section="bedGraph"),
    )


def at(*starts: int) -> list[tuple[str, int, bool]]:
    return [("a", start, False) for start in starts]


EVERYTHING = Request(at(0), 10 * N_ITEMS, [0])


def test_what_is_kept_is_not_read_again_and_counted_exactly(steps: Path) -> None:
    with OpenFiles([steps], cache_bytes=AMPLE) as files:
        assert files.reader.counts.cached_bytes == 0
        files.read(Request(at(0, 100, 510), 40, [0]))  # blocks 0 and 1
        first = files.reader.counts
        assert (first.n_blocks, first.n_cached_blocks, first.n_reads) == (2, 0, 1)
        assert first.cached_bytes == 2 * (BLOCK_BYTES + 12 * PER_BLOCK)
        assert first.n_intervals == 14 + 4  # of 0 to 140, and of 510 to 550
        files.read(Request(at(450, 600), 40, [0]))
        second = files.reader.counts
        assert (second.n_blocks, second.n_cached_blocks, second.n_reads) == (4, 2, 1)
        assert second.bytes_read == first.bytes_read
        assert second.bytes_inflated == first.bytes_inflated
        files.read(EVERYTHING)
        third = files.reader.counts
        assert third.n_cached_blocks == 4
        assert third.cached_bytes == 20 * (BLOCK_BYTES + 12 * PER_BLOCK)
    with OpenFiles([steps]) as files:
        files.read(EVERYTHING)
        files.read(EVERYTHING)
        assert files.reader.counts.bytes_read == 2 * third.bytes_read  # each block once, cached
        assert files.reader.counts.cached_bytes == 0


def test_only_what_lies_between_missing_blocks_is_read(steps: Path) -> None:
    n_bytes = []
    with OpenFiles([steps], cache_bytes=AMPLE) as files:
        for starts, length in (((0, 9_600), 300), ((4_600,), 300), ((0,), 10_000)):
            before = files.reader.counts.bytes_read
            files.read(Request(at(*starts), length, [0]))
            n_bytes.append(files.reader.counts.bytes_read - before)
        sizes = files.index.n_bytes.astype(int)
    ends, middle, rest = n_bytes
    assert (ends, middle) == (sizes.sum(), sizes[9])  # one read from the first to the last block
    assert rest == sizes[1:19].sum()


def test_a_full_cache_stays_as_it_is(steps: Path) -> None:
    of_block = BLOCK_BYTES + 12 * PER_BLOCK
    room = 3 * of_block  # what a block may take at most, before it is inflated
    with OpenFiles([steps], cache_bytes=5 * of_block + room) as files:
        for _ in range(2):
            files.read(EVERYTHING)
        full = files.reader.counts
        assert 5 * of_block <= full.cached_bytes <= 5 * of_block + room
        n_kept = full.cached_bytes // of_block
        assert full.n_cached_blocks == n_kept
        # The others are verified by now, and inflated no further than needed.
        last = Request(at(9_500), 20, [0])
        files.read(last)
        after = files.reader.counts
        assert after.bytes_inflated - full.bytes_inflated < 12 * PER_BLOCK
        assert after.cached_bytes == full.cached_bytes


def test_blocks_that_were_verified_before_are_kept_when_read_again(steps: Path) -> None:
    with OpenFiles([steps], cache_bytes=AMPLE) as files:
        windows = windows_of(files.index.contigs, EVERYTHING)
        plan = plan_signal(files.index, windows, np.zeros(1, np.int64))
        start, end, value = files.reader.intervals(plan)
        assert files.reader.counts.cached_bytes == 0  # listing intervals fills nothing
        files.read(EVERYTHING)
        assert files.reader.counts.cached_bytes == 20 * (BLOCK_BYTES + 12 * PER_BLOCK)
        before = files.reader.counts.bytes_read
        again = files.reader.intervals(plan)
        assert files.reader.counts.bytes_read == before  # but it uses what is there
        for got, want in zip(again, (start, end, value), strict=True):
            np.testing.assert_array_equal(got, want)


@settings(max_examples=60, phases=AS_FOUND)
@given(cases())
def test_intervals_are_the_same(case: tuple[list[bytes], Request]) -> None:
    data, request = case
    with tempfile.TemporaryDirectory() as folder:
        paths = write_all(data, folder)
        with OpenFiles(paths) as plain, OpenFiles(paths, cache_bytes=AMPLE) as cached:
            windows = windows_of(plain.index.contigs, request)
            plan = plan_signal(plain.index, windows, np.array(request.tracks))
            cached.read(request)
            want = [array.tobytes() for array in plain.reader.intervals(plan)]
            assert [array.tobytes() for array in cached.reader.intervals(plan)] == want
            assert cached.reader.counts.n_cached_blocks == plan.n_blocks
            assert cached.reader.counts.n_intervals == 2 * plain.reader.counts.n_intervals


def test_intervals_that_only_touch_a_window_are_left_out(steps: Path) -> None:
    with OpenFiles([steps], cache_bytes=AMPLE) as files:
        for _ in range(2):  # [10 k, 10 k + 8) for k of 11 to 19
            before = files.reader.counts.n_intervals
            files.read(Request(at(108), 92, [0]))
            assert files.reader.counts.n_intervals - before == 9
        assert files.reader.counts.n_cached_blocks == 1


def test_items_past_the_last_position_there_can_be(tmp_path: Path) -> None:
    last = 0xFFFFFFFF
    values = tuple(float(i) for i in range(1, 8))
    block = Block((Section(0, 3, values, start=last - 35, step=10, span=3),))
    path = write_bigwig_bytes(tmp_path / "a.bw", {"a": (0, last)}, [block])
    want = np.repeat([1, 0, 2, 0, 3, 0, 4, 0], [3, 7, 3, 7, 3, 7, 3, 2])
    with OpenFiles([path], cache_bytes=AMPLE) as files:
        for _ in range(2):
            got = files.read(Request(at(last - 35), 35, [0]))[0, :, 0]
            np.testing.assert_array_equal(got, want)
        assert files.reader.counts.n_cached_blocks == 1
        np.testing.assert_array_equal(files.read(Request(at(0), 100, [0])), 0)


@pytest.mark.parametrize("mode", ["once", "always"])
def test_what_is_kept_needs_no_file(steps: Path, mode: str) -> None:
    with OpenFiles([steps], cache_bytes=AMPLE) as files, verifying(mode):
        want = files.read(EVERYTHING).tobytes()
        content = bytearray(steps.read_bytes())
        offset = int(files.index.offset[0])
        content[offset : offset + int(files.index.n_bytes.sum())] = bytes(
            int(files.index.n_bytes.sum())
        )
        steps.write_bytes(content)
        assert files.read(EVERYTHING).tobytes() == want


@pytest.mark.parametrize("mode", ["once", "always", "never"])
def test_damaged_blocks_are_reported_every_time_and_never_kept(tmp_path: Path, mode: str) -> None:
    good = Block((Section(0, 1, ((0, 10, 1.0),)),))
    bad = Block((Section(0, 1, ((20, 30, 1.0),)),), stored=b"\x78\x9cnonsense")
    path = write_bigwig_bytes(tmp_path / "a.bw", {"a": (0, 100)}, [good, bad])
    place = path.stat().st_size - len(bad.stored or b"")
    with OpenFiles([path], cache_bytes=AMPLE) as files, verifying(mode):
        for _ in range(2):
            with pytest.raises(InvalidDataError, match=r"does not inflate.*a:5-25") as caught:
                files.read(Request(at(5), 20, [0]))
            assert caught.value.offset == place
        assert files.reader.counts.cached_bytes == BLOCK_BYTES + 12
        assert files.read(Request(at(0), 20, [0])).sum() == 10


def test_never_verifying_does_not_mind_what_lies_behind(tmp_path: Path) -> None:
    k = np.arange(4_000)
    data = {"a": (10 * k, 10 * k + 10, np.sin(k))}
    path = write_bigwig(
        tmp_path / "a.bw", {"a": 40_000}, data, WriterOptions(items_per_block=4_000)
    )
    with OpenFiles([path]) as files:
        want = files.read(Request(at(100), 500, [0])).tobytes()
        end = int(files.index.offset[0]) + int(files.index.n_bytes[0])
    content = bytearray(path.read_bytes())
    content[end - 1] ^= 1  # the checksum
    path.write_bytes(content)
    with OpenFiles([path], cache_bytes=AMPLE) as files, verifying("never"):
        for _ in range(2):
            assert files.read(Request(at(100), 500, [0])).tobytes() == want
        assert files.reader.counts.cached_bytes == 0


def test_threads_share_a_cache(steps: Path) -> None:
    of_block = BLOCK_BYTES + 12 * PER_BLOCK
    with OpenFiles([steps]) as files:
        want = files.read(EVERYTHING).tobytes()
    for cache_bytes in (AMPLE, 9 * of_block):
        with OpenFiles([steps], cache_bytes=cache_bytes) as files, ThreadPoolExecutor(6) as pool:
            answers = pool.map(lambda _: files.read(EVERYTHING).tobytes(), range(24))
            assert set(answers) == {want}
            counts = files.reader.counts
            assert counts.cached_bytes % of_block == 0  # no block twice, none in part
            assert counts.cached_bytes <= cache_bytes
            assert counts.n_blocks == 24 * 20
            if cache_bytes == AMPLE:
                assert counts.cached_bytes == 20 * of_block


def test_counts_are_copies_and_seconds_add_up(steps: Path) -> None:
    with OpenFiles([steps], cache_bytes=AMPLE) as files:
        empty = files.reader.counts
        files.read(EVERYTHING)
        first = files.reader.counts
        assert (empty.n_batches, first.n_batches) == (0, 1)
        assert min(first.seconds_read, first.seconds_inflate, first.seconds_rasterize) > 0
        files.read(EVERYTHING)
        second = files.reader.counts
        assert second.seconds_read == first.seconds_read  # nothing was read or inflated
        assert second.seconds_inflate == first.seconds_inflate
        assert second.seconds_rasterize > first.seconds_rasterize


@pytest.fixture
def starved() -> Iterator[None]:
    """A process whose address space is nearly used up."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (1 << 42, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.usefixtures("starved")
def test_more_memory_than_there_can_be_is_refused(steps: Path) -> None:
    for cache_bytes in (1 << 43, 1 << 80):
        with pytest.raises(InvalidInputError, match=rf"argument cache_bytes.*got {cache_bytes}"):
            OpenFiles([steps], cache_bytes=cache_bytes)
