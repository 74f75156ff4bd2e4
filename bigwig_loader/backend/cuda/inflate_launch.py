"""Launches of the inflate kernels: streams per warp, grids, threads and shared memory."""

from __future__ import annotations

from typing import NamedTuple

from bigwig_loader.backend.cuda.launch import WARP

# Shared memory of a stream (LaneMemory of cuda_kernels/lane_tables.cuh), and of a block of threads
# besides (kRepeatWords of cuda_kernels/lane_output.cuh).
STREAM_BYTES = 1_752
BLOCK_BYTES = 32
# Most warps of a block of threads: the launch bounds of cuda_kernels/inflate.cu.
_MOST_WARPS = 16
# Numbers of streams that share a warp worth comparing; the kernel takes any up to 32.
STREAMS_PER_WARP = (1, 8, 16, 32)
# The lanes of a warp wait for each other, so few streams are spread over eight warps of a
# multiprocessor: two for each of its four schedulers, which keeps these busy. Where so many streams
# are resident that full warps do that too, those have less to do. Counted, not measured: see
# cuda_kernels/README.md.
_SPREAD_WARPS = 8
_FULL_STREAMS = 112


class InflateLaunch(NamedTuple):
    """A launch of `bwl_inflate_blocks`.

    Parameters
    ----------
    streams_per_warp : int
        1 to 32.
    n_blocks, n_threads : int
        The grid, and the threads of each of its blocks.
    shared_bytes : int
        Dynamic shared memory of a block of threads.
    """

    streams_per_warp: int
    n_blocks: int
    n_threads: int
    shared_bytes: int


def inflate_launch(
    n: int, n_multiprocessors: int, shared_bytes: int, per_warp: int | None = None
) -> InflateLaunch:
    """How to inflate `n` >= 1 streams: the kernel is persistent, so the grid is what is resident.

    Parameters
    ----------
    n : int
        Streams.
    n_multiprocessors, shared_bytes : int
        Of the device; shared memory that a block of threads may ask for.
    per_warp : int, optional
        Streams per warp, 1 to 32; by default what is best for so many streams.
    """
    wanted = -(-n // n_multiprocessors)
    room = (shared_bytes - BLOCK_BYTES) // STREAM_BYTES
    if per_warp is None:
        resident = min(wanted, room)
        spread = min(-(-resident // _SPREAD_WARPS), max(room // _SPREAD_WARPS, 1))
        per_warp = WARP if resident > _FULL_STREAMS else spread
    warps = min(-(-wanted // per_warp), room // per_warp, _MOST_WARPS)
    streams = warps * per_warp
    n_blocks = min(-(-n // streams), n_multiprocessors)
    return InflateLaunch(per_warp, n_blocks, warps * WARP, BLOCK_BYTES + streams * STREAM_BYTES)
