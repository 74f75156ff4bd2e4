"""Kernels around nvCOMP: what goes in stands aligned and whole, what comes out is judged."""

from __future__ import annotations

import zlib
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from bigwig_loader.backend.cuda.records import BLOCK, OUTCOME, BlockCheck
from bigwig_loader.backend.status import Status
from tests.helpers.emulator import SCHEDULES, Program, load
from tests.helpers.shared import REPOSITORY

KERNELS = REPOSITORY / "cuda_kernels"
ALIGN = 16
GUARD = 0xA5


@pytest.fixture(scope="module")
def program() -> Program:
    return load((KERNELS / "nvcomp.cu").read_text(), include=[KERNELS])


class Batch(NamedTuple):
    """Streams of a batch, as the kernels see them, and the bytes each was made of."""

    streams: list[bytes]
    memory: npt.NDArray[np.uint8]
    blocks: npt.NDArray[Any]
    order: npt.NDArray[np.int32]
    place: npt.NDArray[np.int64]
    scratch: npt.NDArray[np.uint8]
    arrays: dict[str, npt.NDArray[Any]]
    outcomes: npt.NDArray[Any]


def aligned_bytes(n: int) -> npt.NDArray[np.uint8]:
    memory = np.full(n + ALIGN, GUARD, np.uint8)
    start = -memory.ctypes.data % ALIGN
    return memory[start : start + n]


def make_batch(streams: list[bytes], rng: np.random.Generator, n_other: int = 3) -> Batch:
    """Each stream at any address, in a table that has blocks of other kinds, too."""
    n = len(streams)
    gaps = rng.integers(0, 9, n)
    sizes = np.array([len(stream) for stream in streams], np.int64)
    at = np.cumsum(sizes + gaps) - sizes
    memory = np.full(int(at[-1] + sizes[-1]), GUARD, np.uint8)
    for stream, start in zip(streams, at.tolist(), strict=True):
        memory[start : start + len(stream)] = np.frombuffer(stream, np.uint8)
    order = rng.permutation(n + n_other)[:n].astype(np.int32)
    blocks = np.zeros(n + n_other, BLOCK)
    blocks["bytes"][order] = memory.ctypes.data + at
    blocks["n_bytes"][order] = sizes
    blocks["capacity"][order] = 1_000 + np.arange(n)
    blocks["section"][order] = 1 << 40 | np.arange(n)
    blocks["checks"] = rng.integers(0, 2, n + n_other) * BlockCheck.MAY_STOP
    room = (np.maximum(sizes - 6, 1) + ALIGN - 1) // ALIGN * ALIGN
    place = 32 + np.concatenate([[0], np.cumsum(room)])
    names = {"inputs": 8, "input_bytes": 8, "outputs": 8, "capacities": 8, "produced": 8}
    arrays: dict[str, npt.NDArray[Any]] = {name: np.full(n, -7, np.int64) for name in names}
    arrays["statuses"] = np.full(n, 77, np.int32)
    outcomes = np.zeros(n + n_other, OUTCOME)
    outcomes["status"] = 99
    scratch = aligned_bytes(int(place[-1]) + 32)
    return Batch(streams, memory, blocks, order, place, scratch, arrays, outcomes)


def align(program: Program, batch: Batch, grid: int = 2, schedule: str = "forward") -> None:
    program.launch(
        "bwl_align_streams",
        grid,
        64,
        [
            batch.blocks,
            batch.order,
            len(batch.order),
            batch.place,
            batch.scratch,
            *batch.arrays.values(),
            batch.outcomes,
        ],
        schedule=schedule,
    )


def compressed(rng: np.random.Generator, n: int, level: int) -> bytes:
    return zlib.compress(rng.integers(0, 9, n, np.uint8).tobytes(), level)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_streams_are_aligned(program: Program, schedule: str) -> None:
    rng = np.random.default_rng(len(schedule))
    sizes = [0, 1, 2, 3, 4, 5, 29, 30, 31, 200, 400, *rng.integers(0, 700, 20)]
    streams = [compressed(rng, int(n), i % 10) for i, n in enumerate(sizes)]
    batch = make_batch(streams, rng)
    before = batch.memory.copy(), batch.blocks.copy()
    align(program, batch, schedule=schedule)
    for i, stream in enumerate(streams):
        begin, end = batch.place[i : i + 2].tolist()
        padded = stream[2:-4] + bytes(end - begin - (len(stream) - 6))
        assert batch.scratch[begin:end].tobytes() == padded
        assert batch.arrays["inputs"][i] == batch.scratch.ctypes.data + begin
    of = batch.blocks[batch.order]
    np.testing.assert_array_equal(batch.arrays["input_bytes"], of["n_bytes"] - 6)
    np.testing.assert_array_equal(batch.arrays["outputs"], of["section"].astype(np.int64))
    np.testing.assert_array_equal(batch.arrays["capacities"], of["capacity"])
    assert not batch.arrays["produced"].any()
    assert (batch.arrays["statuses"] != 0).all()  # none has succeeded yet
    assert (batch.scratch[:32] == GUARD).all()
    assert (batch.scratch[-32:] == GUARD).all()
    assert not batch.outcomes["status"][batch.order].any()

    # Of the blocks, only `checks` of those inflated has changed; other blocks are left alone.
    others = np.setdiff1d(np.arange(len(batch.blocks)), batch.order)
    assert (batch.outcomes["status"][others] == 99).all()
    expected = before[1].copy()
    expected["checks"][batch.order] |= int(BlockCheck.ADLER)
    np.testing.assert_array_equal(batch.blocks, expected)
    np.testing.assert_array_equal(batch.memory, before[0])


def test_what_is_no_zlib_stream_becomes_an_empty_one(program: Program) -> None:
    rng = np.random.default_rng(0)
    good = compressed(rng, 300, 6)
    bad = [
        (b"", Status.TRUNCATED_DEFLATE, (6, 0)),
        (good[:5], Status.TRUNCATED_DEFLATE, (6, 0)),
        (b"\x79" + good[1:], Status.BAD_ZLIB_HEADER, (0x79, good[1])),
        (good[:1] + b"\x00" + good[2:], Status.BAD_ZLIB_HEADER, (0x78, 0)),
        (b"\x78\xbb" + good[2:], Status.BAD_ZLIB_HEADER, (0x78, 0xBB)),  # a preset dictionary
        (bytes(6), Status.BAD_ZLIB_HEADER, (0, 0)),
    ]
    streams = [stream for stream, _, _ in bad]
    batch = make_batch([*streams, good], rng)
    align(program, batch)
    for i, (_, status, detail) in enumerate(bad):
        outcome = batch.outcomes[batch.order[i]]
        assert (outcome["status"], tuple(outcome["detail"]), outcome["whole"]) == (
            status, detail, 0,
        )  # fmt: skip
        begin = int(batch.place[i])
        raw = batch.scratch[begin : begin + int(batch.arrays["input_bytes"][i])].tobytes()
        inflater = zlib.decompressobj(-15)
        assert inflater.decompress(raw) == b""
        assert inflater.eof
    assert batch.outcomes["status"][batch.order[-1]] == Status.OK
    # nvCOMP has no complaints about empty streams: the outcomes stay what they are.
    before = batch.outcomes.copy()
    batch.arrays["statuses"][:] = 0
    batch.arrays["produced"][-1] = 300
    judge(program, batch)
    np.testing.assert_array_equal(batch.outcomes[batch.order[:-1]], before[batch.order[:-1]])
    assert batch.outcomes["produced"][batch.order[-1]] == 300


def judge(program: Program, batch: Batch) -> None:
    arrays = [batch.arrays[name] for name in ("capacities", "produced", "statuses")]
    arguments = [batch.order, len(batch.order), *arrays, batch.outcomes]
    program.launch("bwl_nvcomp_outcomes", 1, 32, arguments)


def test_what_nvcomp_says_is_judged(program: Program) -> None:
    rng = np.random.default_rng(0)
    said = [  # status, bytes made beside the capacity -> status, bytes, detail
        ((0, -1), (Status.OK, -1, (0, 0))),
        ((0, 0), (Status.OK, 0, (0, 0))),
        ((0, 1), (Status.BAD_DEFLATE, None, (0, 0))),
        ((12, -3), (Status.BAD_DEFLATE, None, (12, -3))),
        ((12, 1 << 60), (Status.BAD_DEFLATE, None, (12, 0))),
        ((-1, None), (Status.BAD_DEFLATE, None, (-1, 0))),  # never written
    ]
    batch = make_batch([compressed(rng, 50, 6)] * len(said), rng)
    align(program, batch)
    capacity = batch.arrays["capacities"]
    for i, ((status, made), _) in enumerate(said):
        batch.arrays["statuses"][i] = status
        batch.arrays["produced"][i] = 0 if made is None else capacity[i] + made
    others = np.setdiff1d(np.arange(len(batch.blocks)), batch.order)
    before = batch.outcomes[others].copy()
    judge(program, batch)
    for i, ((_, _), (status, made, detail)) in enumerate(said):
        outcome = batch.outcomes[batch.order[i]]
        assert outcome["status"] == status
        assert outcome["whole"] == (status == Status.OK)
        assert outcome["produced"] == (0 if made is None else capacity[i] + made)
        near = capacity[i] + detail[1] if detail[1] else 0
        assert tuple(outcome["detail"]) == (detail[0], near)
    np.testing.assert_array_equal(batch.outcomes[others], before)


def test_more_streams_than_warps(program: Program) -> None:
    rng = np.random.default_rng(5)
    streams = [compressed(rng, int(n), 6) for n in rng.integers(0, 40, 301)]
    batch = make_batch(streams, rng, n_other=0)
    align(program, batch, grid=3)
    for i, stream in enumerate(streams):
        begin = int(batch.place[i])
        assert batch.scratch[begin : begin + len(stream) - 6].tobytes() == stream[2:-4]
    batch.arrays["statuses"][:] = 0
    batch.arrays["produced"][:] = np.arange(301)
    judge(program, batch)
    np.testing.assert_array_equal(batch.outcomes["produced"][batch.order], np.arange(301))
    assert batch.outcomes["whole"].all()


def test_nothing_to_do(program: Program) -> None:
    rng = np.random.default_rng(0)
    batch = make_batch([compressed(rng, 9, 6)], rng)
    before = batch.outcomes.copy()
    program.launch("bwl_align_streams", 1, 32, [0, 0, 0, 0, 0, *[0] * 6, batch.outcomes])
    np.testing.assert_array_equal(batch.outcomes, before)
