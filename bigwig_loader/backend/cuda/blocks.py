"""From a plan to the data blocks that a batch has to read and inflate, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.cuda.reads import Reads
from bigwig_loader.backend.cuda.records import (
    BLOCK,
    SECTION_ALIGN,
    SECTION_SLACK,
    BlockCheck,
    BlockKind,
)
from bigwig_loader.backend.cuda.slots import aligned
from bigwig_loader.plan.blocks import MAX_EXPANSION, SignalPlan
from bigwig_loader.plan.track_index import POSITION_MASK, TrackIndex

# What is known of a data block (as BlockState of cuda_kernels/host/request.h).
UNVERIFIED, IN_ORDER, IRREGULAR = 0, 1, 2

Int64Array = npt.NDArray[np.int64]


@dataclass
class BlockWork:
    """The K data blocks of a batch.

    Parameters
    ----------
    records : (K,) BLOCK
        `bytes` is relative to the staging memory, and `section`, where `in_scratch`, to the
        scratch, until `place` is called.
    in_scratch : (K,) bool
        Blocks that are decoded to scratch; the others have their place in the cache.
    lacking : (K,) bool
        Blocks that the cache does not have.
    deflated : (D,) int32
        Blocks to inflate, those with most to do first: lanes of a warp wait for each other.
    reads : Reads
    read_block : (R,) int64
        First block of each read.
    staging_bytes, scratch_bytes : int
    """

    records: npt.NDArray[Any]
    in_scratch: npt.NDArray[np.bool_]
    lacking: npt.NDArray[np.bool_]
    deflated: npt.NDArray[np.int32]
    reads: Reads
    read_block: Int64Array
    staging_bytes: int
    scratch_bytes: int

    def place(self, staging: int, scratch: int) -> None:
        """Give addresses to what is relative."""
        self.records["bytes"][self.lacking] += np.uint64(staging)
        self.records["section"][self.in_scratch] += np.uint64(scratch)


def block_capacity(index: TrackIndex, block: Int64Array) -> Int64Array:
    """Most bytes that each block may inflate to; those of the file where it is not compressed."""
    track = index.track_of(block)
    n_bytes = np.minimum(index.n_bytes[block].astype(np.int64), index.file_bytes[track])
    buf_size = index.buf_size[track].astype(np.int64)
    return np.where(buf_size > 0, np.minimum(buf_size, n_bytes * MAX_EXPANSION), n_bytes)


def block_checks(
    state: npt.NDArray[np.uint8],
    spans: npt.NDArray[np.uint8],
    reserved: npt.NDArray[np.bool_],
    verify: str,
) -> npt.NDArray[np.uint8]:
    """How each block is to be read: whole and verified, or only as far as a window needs.

    A stream that is left early cannot be verified; so `verify` ("once") wants each block whole the
    first time. A block of unknown order is read whole, too, unless nothing is to be verified.
    """
    in_order = state == IN_ORDER
    whole = (state == IRREGULAR) | (spans != 0) | reserved
    forgive = np.zeros(len(state), np.bool_)
    if verify == "always":
        whole[:] = True
        in_order = np.zeros_like(in_order)
    elif verify == "once":
        whole |= ~in_order
    else:
        forgive = state != IRREGULAR
    checks = np.where(whole, BlockCheck.ADLER, BlockCheck.MAY_STOP).astype(np.uint8)
    checks[in_order] |= np.uint8(BlockCheck.KNOWN_IN_ORDER)
    checks[forgive] |= np.uint8(BlockCheck.FORGIVE_BEHIND)
    return checks


def plan_work(
    index: TrackIndex,
    plan: SignalPlan,
    checks: npt.NDArray[np.uint8],
    kept: npt.NDArray[np.uint64],
    n_section: npt.NDArray[np.int32],
    reserved: npt.NDArray[np.uint64],
) -> BlockWork:
    """What has to be done for the blocks of a plan.

    Parameters
    ----------
    index : TrackIndex
    plan : SignalPlan
    checks : (K,) uint8
        Bits of `BlockCheck`.
    kept, n_section : (K,)
        Address and bytes of the sections that the cache has; 0 for the others.
    reserved : (K,) uint64
        Addresses in the cache where blocks are to be decoded to; 0 for the others.
    """
    block = plan.block
    track = index.track_of(block)
    records = np.zeros(len(block), BLOCK)
    n_bytes = index.n_bytes[block].astype(np.int64)
    is_deflated = index.buf_size[track] > 0
    lacking = kept == 0
    in_scratch = lacking & (reserved == 0)

    records["n_bytes"] = n_bytes
    records["capacity"] = block_capacity(index, block)
    records["n_section"] = n_section
    records["wanted_start"] = plan.wanted_start
    records["wanted_end"] = plan.wanted_end
    records["written"] = index.offset[block]
    records["chrom_id"] = index.chrom_ids[track, index.contig_of(block)]
    records["kind"] = np.where(is_deflated, BlockKind.DEFLATED, BlockKind.PLAIN)
    records["kind"][~lacking] = BlockKind.RESIDENT
    records["checks"] = checks
    records["swap"] = index.swap[track]
    records["spans"] = index.spans[block]
    records["section"] = np.where(lacking, reserved, kept)
    room = np.where(in_scratch, records["capacity"] + SECTION_SLACK, 0)
    room = -(-room // SECTION_ALIGN) * SECTION_ALIGN
    ends = np.cumsum(room)
    records["section"][in_scratch] = (ends - room)[in_scratch]

    reads, first, staging_bytes = _plan_reads(index, plan, lacking, records)
    deflated = np.flatnonzero(lacking & is_deflated)
    longest_first = np.argsort(-_effort(index, plan, checks)[deflated], kind="stable")
    return BlockWork(
        records,
        in_scratch,
        lacking,
        deflated[longest_first].astype(np.int32),
        reads,
        first,
        staging_bytes,
        int(ends[-1]) if len(ends) else 0,
    )


def _effort(
    index: TrackIndex, plan: SignalPlan, checks: npt.NDArray[np.uint8]
) -> npt.NDArray[np.float64]:
    """Bytes of each block that are likely to be inflated, where it may be left early."""
    block = plan.block
    start = (index.start_key[block] & POSITION_MASK).astype(np.float64)
    end = (index.end_key[block] & POSITION_MASK).astype(np.float64)
    share = (plan.wanted_end - start) / np.maximum(end - start, 1)
    share[(checks & np.uint8(BlockCheck.MAY_STOP)) == 0] = 1
    return np.asarray(index.n_bytes[block] * np.clip(share, 0, 1))


def _plan_reads(
    index: TrackIndex, plan: SignalPlan, lacking: npt.NDArray[np.bool_], records: npt.NDArray[Any]
) -> tuple[Reads, Int64Array, int]:
    """Reads that fetch what is lacking, their first blocks, and the bytes of them all.

    A read begins at its first lacking block and ends with the last one. Sets `bytes`.
    """
    at = np.flatnonzero(lacking)
    read_of = np.repeat(np.arange(plan.n_reads), np.diff(plan.read_block))[at]
    begins = np.flatnonzero(np.diff(read_of, prepend=-1))
    first = at[begins]
    last = at[np.append(begins[1:], len(at)) - 1] if len(at) else at
    offset = index.offset[plan.block]
    begin = offset[first]
    n_bytes = offset[last] + index.n_bytes[plan.block[last]].astype(np.int64) - begin
    room = np.array([aligned(int(n), SECTION_ALIGN) for n in n_bytes], np.int64)
    to = np.cumsum(room) - room
    which = np.repeat(np.arange(len(first)), np.diff(np.append(begins, len(at))))
    records["bytes"][at] = (to[which] + offset[at] - begin[which]).astype(np.uint64)
    reads = Reads(index.track_of(plan.block[first]), begin, n_bytes, to)
    return reads, first, int(room.sum())
