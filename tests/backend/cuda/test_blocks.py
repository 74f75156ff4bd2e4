"""From a plan to the blocks that are read and inflated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bigwig_loader._bigwig_writer import WriterOptions, write_bigwig
from bigwig_loader.formats.bigwig import read_bigwig_index
from bigwig_loader.plan.blocks import SignalPlan, plan_signal
from bigwig_loader.plan.track_index import TrackIndex, build_track_index
from bigwig_loader.plan.windows import Windows

STAGING, SCRATCH, CACHE = 1 << 40, 2 << 40, 3 << 40


@pytest.fixture(autouse=True)
def _fake(fake_cuda: object) -> None:
    """The modules under test import the device layer."""


@pytest.fixture
def index(tmp_path: Path) -> TrackIndex:
    k = np.arange(4_000)
    data = {"a": (10 * k, 10 * k + 10, k % 97)}
    paths = [
        write_bigwig(
            tmp_path / f"{i}.bw",
            {"a": 40_000},
            data,
            WriterOptions(items_per_block=100, compress=compress),
        )
        for i, compress in enumerate([True, False])
    ]
    return build_track_index([read_bigwig_index(path) for path in paths])


def make_plan(index: TrackIndex, starts: list[int], read_bytes: int = 128 << 10) -> SignalPlan:
    windows = Windows(np.zeros(len(starts), np.int32), np.array(starts), 1_500)
    return plan_signal(index, windows, np.arange(2), read_gap_bytes=2_000, read_bytes=read_bytes)


def fetched(index: TrackIndex, work) -> np.ndarray:
    """Staging memory after the reads."""
    memory = np.full(work.staging_bytes, 0xA5, np.uint8)
    reads = work.reads
    for track, offset, n_bytes, to in zip(
        reads.track, reads.offset, reads.n_bytes, reads.to, strict=True
    ):
        data = Path(index.paths[track]).read_bytes()[offset : offset + n_bytes]
        memory[to : to + n_bytes] = np.frombuffer(data, np.uint8)
    return memory


@pytest.mark.parametrize("kept_every", [0, 2, 3, 1])
def test_every_block_that_is_lacking_is_read_to_its_place(
    index: TrackIndex, kept_every: int
) -> None:
    from bigwig_loader.backend.cuda.blocks import plan_work

    plan = make_plan(index, [0, 700, 9_000, 30_500], read_bytes=4_000)
    at = np.arange(plan.n_blocks)
    kept = np.where(at % kept_every == 0, CACHE, 0) if kept_every else 0 * at
    nothing = np.zeros(plan.n_blocks, np.uint64)
    checks = np.ones(plan.n_blocks, np.uint8)
    work = plan_work(index, plan, checks, kept.astype(np.uint64), nothing.astype(np.int32), nothing)
    memory = fetched(index, work)
    work.place(STAGING, SCRATCH)
    lacking = np.flatnonzero(kept == 0)
    assert len(lacking) == (plan.n_blocks if not kept_every else np.count_nonzero(at % kept_every))
    for k in lacking:
        block = plan.block[k]
        path = index.paths[index.track_of(plan.block)[k]]
        offset, n_bytes = int(index.offset[block]), int(index.n_bytes[block])
        first = int(work.records["bytes"][k]) - STAGING
        assert (
            memory[first : first + n_bytes].tobytes()
            == (Path(path).read_bytes()[offset : offset + n_bytes])
        )
    assert (work.records["section"][kept != 0] == CACHE).all()


def test_places_in_scratch_do_not_overlap(index: TrackIndex) -> None:
    from bigwig_loader.backend.cuda.blocks import plan_work
    from bigwig_loader.backend.cuda.records import BlockKind

    plan = make_plan(index, [0, 700, 9_000, 30_500])
    nothing = np.zeros(plan.n_blocks, np.uint64)
    reserved = nothing.copy()
    reserved[3] = CACHE
    work = plan_work(
        index, plan, nothing.astype(np.uint8), nothing, nothing.astype(np.int32), reserved
    )
    work.place(STAGING, SCRATCH)
    records = work.records[work.in_scratch]
    begin = records["section"].astype(np.int64)
    end = begin + records["capacity"] + 16
    assert (begin % 16 == 0).all()
    assert (begin[1:] >= end[:-1]).all()
    assert begin[0] == SCRATCH
    assert end[-1] <= SCRATCH + work.scratch_bytes
    assert work.records["section"][3] == CACHE
    assert not work.in_scratch[3]
    # The blocks of the first file are compressed, those of the second are not.
    of_first = index.track_of(plan.block) == 0
    assert sorted(work.deflated.tolist()) == np.flatnonzero(of_first).tolist()
    assert (np.diff(work.records["n_bytes"][work.deflated]) <= 0).all()
    assert (work.records["kind"][~of_first] == BlockKind.PLAIN).all()


def test_blocks_that_take_longest_come_first(index: TrackIndex) -> None:
    from bigwig_loader.backend.cuda.blocks import plan_work
    from bigwig_loader.backend.cuda.records import BlockCheck

    plan = make_plan(index, [5_000])
    nothing = np.zeros(plan.n_blocks, np.uint64)
    none = nothing.astype(np.int32)
    whole = plan_work(index, plan, nothing.astype(np.uint8), nothing, none, nothing).deflated
    size = index.n_bytes[plan.block].astype(int)
    assert (np.diff(size[whole]) <= 0).all()
    checks = np.full(plan.n_blocks, BlockCheck.MAY_STOP, np.uint8)
    early = plan_work(index, plan, checks, nothing, none, nothing).deflated
    # Of the last block a half is wanted, of the others all.
    last = int(np.flatnonzero(index.track_of(plan.block) == 0)[-1])
    assert early[-1] == last
    assert sorted(early.tolist()) == sorted(whole.tolist())


def test_nothing_to_read(index: TrackIndex) -> None:
    from bigwig_loader.backend.cuda.blocks import plan_work

    plan = make_plan(index, [39_999_000])
    assert plan.n_blocks == 0
    nothing = np.zeros(0, np.uint64)
    work = plan_work(
        index, plan, nothing.astype(np.uint8), nothing, nothing.astype(np.int32), nothing
    )
    assert (len(work.reads), work.staging_bytes, work.scratch_bytes) == (0, 0, 0)


@pytest.mark.parametrize(
    ("verify", "state", "want"),
    [
        # state: never read, in order, irregular
        ("once", 0, "ADLER"),
        ("once", 1, "MAY_STOP|KNOWN_IN_ORDER"),
        ("once", 2, "ADLER"),
        ("always", 0, "ADLER"),
        ("always", 1, "ADLER"),
        ("always", 2, "ADLER"),
        ("never", 0, "MAY_STOP|FORGIVE_BEHIND"),
        ("never", 1, "MAY_STOP|KNOWN_IN_ORDER|FORGIVE_BEHIND"),
        ("never", 2, "ADLER"),
    ],
)
def test_how_a_block_is_read(verify: str, state: int, want: str) -> None:
    from bigwig_loader.backend.cuda.blocks import block_checks
    from bigwig_loader.backend.cuda.records import BlockCheck

    def checks(spans: bool = False, reserved: bool = False) -> BlockCheck:
        one = block_checks(
            np.array([state], np.uint8),
            np.array([spans], np.uint8),
            np.array([reserved]),
            verify,
        )
        return BlockCheck(int(one[0]))

    wanted = BlockCheck(0)
    for name in want.split("|"):
        wanted |= BlockCheck[name]
    assert checks() == wanted
    whole = (wanted & ~BlockCheck.MAY_STOP) | BlockCheck.ADLER
    assert checks(spans=True) == whole
    assert checks(reserved=True) == whole
