"""The inflate kernels under the emulator, on streams in memory of exact sizes."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.cuda.inflate_launch import BLOCK_BYTES, STREAM_BYTES
from bigwig_loader.backend.cuda.records import BLOCK, OUTCOME, SECTION_ALIGN, SECTION_SLACK
from tests.helpers.emulator import Program, load
from tests.helpers.shared import REPOSITORY

KERNELS = REPOSITORY / "cuda_kernels"
VARIANTS = (32, 13, 8, 1)
_GARBAGE = 0xA5
_GUARD = 64


class Stream(NamedTuple):
    """A data block: a zlib stream, how much it may inflate to, and how far it is wanted."""

    block: bytes
    capacity: int
    checks: int = 0
    wanted_end: int = 0
    swap: bool = False


class Inflated(NamedTuple):
    """What became of a block."""

    status: int
    output: bytes
    whole: bool
    detail: tuple[int, int]


@functools.cache
def program() -> Program:
    """The kernels of inflate.cu."""
    return load((KERNELS / "inflate.cu").read_text(), include=[KERNELS])


def wrapped(stream: bytes, data: bytes = b"") -> bytes:
    """A zlib stream of raw deflate data, with the checksum of what it inflates to."""
    return b"\x78\x9c" + stream + zlib.adler32(data).to_bytes(4, "big")


class _Memory:
    """Blocks in host memory, as the kernels see them, with guards around what may be written."""

    def __init__(self, streams: Sequence[Stream]) -> None:
        self.blocks = np.zeros(len(streams), BLOCK)
        self._kept: list[npt.NDArray[np.uint8]] = []
        self._places: list[tuple[npt.NDArray[np.uint8], int, int]] = []
        for i, (record, stream) in enumerate(zip(self.blocks, streams, strict=True)):
            content = np.frombuffer(stream.block, np.uint8)
            given = np.full(len(content) + 32, _GARBAGE, np.uint8)
            at = -given.ctypes.data % 8 + i % 8  # every alignment comes up
            given[at : at + len(content)] = content
            room = stream.capacity + SECTION_SLACK
            section = np.full(room + 2 * _GUARD + SECTION_ALIGN, _GARBAGE, np.uint8)
            start = _GUARD + -(section.ctypes.data + _GUARD) % SECTION_ALIGN
            record["bytes"] = given.ctypes.data + at
            record["n_bytes"] = len(content)
            record["section"] = section.ctypes.data + start
            record["capacity"] = stream.capacity
            record["checks"] = stream.checks
            record["wanted_end"] = stream.wanted_end
            record["swap"] = stream.swap
            self._kept.append(given)
            self._places.append((section, start, start + room))

    def output(self, i: int, n_bytes: int) -> bytes:
        """What was written of a block; fails if a guard was."""
        section, start, end = self._places[i]
        assert (section[:start] == _GARBAGE).all(), f"block {i}: bytes before its section"
        assert (section[end:] == _GARBAGE).all(), f"block {i}: bytes behind its section"
        assert 0 <= n_bytes <= end - start - SECTION_SLACK
        return section[start : start + n_bytes].tobytes()


def inflate_blocks(
    streams: Sequence[Stream],
    per_warp: int,
    schedule: str = "forward",
    grid: int = 2,
    warps: int = 2,
) -> list[Inflated]:
    """Inflate blocks, then compare the checksums of those that ask for it."""
    memory = _Memory(streams)
    n = len(streams)
    rng = np.random.default_rng(n)
    order = rng.permutation(n).astype(np.int32)
    outcomes = np.zeros(n, OUTCOME)
    outcomes["status"] = 99
    counter = np.zeros(1, np.uint32)
    program().launch(
        "bwl_inflate_blocks",
        grid,
        32 * warps,
        [memory.blocks, order, n, counter, outcomes, per_warp],
        shared_bytes=BLOCK_BYTES + warps * per_warp * STREAM_BYTES,
        schedule=schedule,
    )
    check_adler(memory.blocks, order, outcomes, schedule)
    return [_inflated(memory, i, outcome) for i, outcome in enumerate(outcomes)]


def check_adler(
    blocks: npt.NDArray[Any],
    order: npt.NDArray[np.int32],
    outcomes: npt.NDArray[Any],
    schedule: str = "forward",
) -> None:
    """Run `bwl_check_adler`."""
    args = [blocks, order, len(order), outcomes]
    program().launch("bwl_check_adler", 2, 64, args, schedule=schedule)


def _inflated(memory: _Memory, i: int, outcome: np.void) -> Inflated:
    output = memory.output(i, int(outcome["produced"]))
    detail = (int(outcome["detail"][0]), int(outcome["detail"][1]))
    return Inflated(int(outcome["status"]), output, bool(outcome["whole"]), detail)
