"""From windows and tracks to the data blocks they need, and the reads that fetch them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bigwig_loader.plan.track_index import POSITION_BITS, TrackIndex
from bigwig_loader.plan.windows import Windows

# Blocks that follow each other within this many bytes are read together ...
READ_GAP_BYTES = 16 << 10
# ... up to this much, so that one large window still spreads over threads.
READ_BYTES = 128 << 10
# Deflate cannot expand by more: 258 bytes for two bits, and a little for headers (RFC 1951).
MAX_EXPANSION = 1032

Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SignalPlan:
    """What to read for T tracks in B windows: K unique data blocks in R reads.

    Row (t, b) stands for track ``tracks[t]`` in window b; it needs the blocks
    ``row_first[t, b] : row_first[t, b] + row_count[t, b]`` of the plan.

    Parameters
    ----------
    windows : Windows
    tracks : (T,) int64
        Track numbers, in the order of the output.
    block : (K,) int64
        Rows of the `TrackIndex`, ascending.
    wanted_start, wanted_end : (K,) int64
        The stretch of each block that some window wants, in bp.
    row_first, row_count : (T, B) int64
    read_block : (R + 1,) int64
        First block of each read; a read is one stretch of one file.
    n_read_bytes : int
        Bytes of all reads.
    """

    windows: Windows
    tracks: Int64Array
    block: Int64Array
    wanted_start: Int64Array
    wanted_end: Int64Array
    row_first: Int64Array
    row_count: Int64Array
    read_block: Int64Array
    n_read_bytes: int

    @property
    def n_blocks(self) -> int:
        """Number of unique data blocks."""
        return len(self.block)

    @property
    def n_reads(self) -> int:
        """Number of coalesced reads."""
        return len(self.read_block) - 1

    def __str__(self) -> str:
        return (
            f"{len(self.windows)} windows of {self.windows.length_bp} bp x {len(self.tracks)} "
            f"tracks: {int(self.row_count.sum())} block references, {self.n_blocks} unique data "
            f"blocks, {self.n_reads} reads of {self.n_read_bytes} bytes"
        )


def plan_signal(
    index: TrackIndex,
    windows: Windows,
    tracks: Int64Array,
    *,
    read_gap_bytes: int = READ_GAP_BYTES,
    read_bytes: int = READ_BYTES,
) -> SignalPlan:
    """Find the data blocks of all (track, window) pairs at once.

    Parameters
    ----------
    index : TrackIndex
    windows : Windows
        `contig_index` counts ``index.contigs``.
    tracks : (T,) int64
        Track numbers in any order.
    read_gap_bytes, read_bytes : int
        Blocks of one file no further apart are read together, up to about `read_bytes`.
    """
    end = windows.start + windows.length_bp
    return _plan(index, windows, end, tracks, read_gap_bytes, read_bytes)


def plan_spans(
    index: TrackIndex, track: int, contig: int, start: Int64Array, end: Int64Array
) -> SignalPlan:
    """Find the data blocks of one track in stretches of one contig, of any length each.

    The plan is for `SignalReader.intervals` alone: its windows say where the stretches start, and
    not how long they are.

    Parameters
    ----------
    index : TrackIndex
    track, contig : int
    start, end : (K,) int64
        Ascending, not overlapping.
    """
    windows = Windows(np.full(len(start), contig, np.int32), start, 1)
    tracks = np.array([track], np.int64)
    return _plan(index, windows, end, tracks, READ_GAP_BYTES, READ_BYTES)


def _plan(
    index: TrackIndex,
    windows: Windows,
    end: Int64Array,
    tracks: Int64Array,
    read_gap_bytes: int,
    read_bytes: int,
) -> SignalPlan:
    contig = windows.contig_index
    lengths = index.contigs.lengths[contig]
    start = np.minimum(np.maximum(windows.start, 0), lengths)
    end = np.minimum(np.maximum(end, 0), lengths)
    # Ascending keys: searchsorted then walks the table once, and blocks come out in file order.
    by_position = by_track = None
    if len(windows) > 1:
        # By end as well: windows that are cut off at the contig's first base start together.
        by_position = np.lexsort((end, start, contig))
        contig, start, end = contig[by_position], start[by_position], end[by_position]
    if len(tracks) > 1 and not (tracks[1:] > tracks[:-1]).all():
        tracks_ascending, by_track = np.unique(tracks, return_inverse=True)
    else:
        tracks_ascending = tracks
    first, last = _search(index, contig, start, end, tracks_ascending)
    n_rows = len(first)

    # Rows are in order, so each adds the blocks past the furthest one so far.
    new_from = first.copy()
    np.maximum(first[1:], np.maximum.accumulate(last)[:-1], out=new_from[1:])
    n_new = np.maximum(last - new_from, 0)
    owner = np.arange(n_rows).repeat(n_new)
    block = np.arange(len(owner)) + (new_from - n_new.cumsum() + n_new)[owner]
    # The row that adds a block wants it first; the last one to want it starts at or before it.
    last_row = first.searchsorted(block, "right") - 1
    row_first = block.searchsorted(first).reshape(len(tracks_ascending), -1)
    row_count = (last - first).reshape(row_first.shape)
    if by_position is not None:
        back = np.empty_like(by_position)
        back[by_position] = np.arange(len(back))
        row_first, row_count = row_first[:, back], row_count[:, back]
    if by_track is not None:
        row_first, row_count = row_first[by_track.ravel()], row_count[by_track.ravel()]
    read_block, n_read_bytes = _coalesce(index, block, read_gap_bytes, read_bytes)
    return SignalPlan(
        windows,
        tracks,
        block,
        start[owner % len(start)],
        end[last_row % len(end)],
        np.ascontiguousarray(row_first),
        np.ascontiguousarray(row_count),
        read_block,
        n_read_bytes,
    )


def _search(
    index: TrackIndex,
    contig: npt.NDArray[np.int32],
    start: Int64Array,
    end: Int64Array,
    tracks: Int64Array,
) -> tuple[Int64Array, Int64Array]:
    """First block of each row (T * B,) and the one past its last; rows ascend."""
    rows = (tracks[:, None] * len(index.contigs) + contig).astype(np.uint64) << POSITION_BITS
    first = index.end_key.searchsorted((rows | start.astype(np.uint64)).ravel(), "right")
    last = index.start_key.searchsorted((rows | end.astype(np.uint64)).ravel(), "left")
    np.maximum(last, first, out=last)
    outside = start >= end  # windows wholly outside their contig
    if outside.any():
        outside = np.tile(outside, len(tracks))
        last[outside] = first[outside]
    return first, last


def _coalesce(
    index: TrackIndex, block: Int64Array, gap_bytes: int, read_bytes: int
) -> tuple[Int64Array, int]:
    """First block of each read (R + 1,), and the bytes of all reads."""
    offset = index.offset[block]
    n_bytes = index.n_bytes[block]
    if len(block) < 2:
        return np.arange(len(block) + 1), int(n_bytes.sum())
    end = offset + n_bytes
    track = index.track_of(block)
    gap = offset[1:] - end[:-1]
    breaks = (track[1:] != track[:-1]) | (gap < 0) | (gap > gap_bytes)
    run = np.concatenate(([0], breaks.cumsum()))
    run_start = offset[np.concatenate(([0], breaks.nonzero()[0] + 1))][run]
    part = (offset - run_start) // read_bytes
    breaks |= part[1:] != part[:-1]
    firsts = np.concatenate(([0], breaks.nonzero()[0] + 1, [len(block)]))
    return firsts, int((end[firsts[1:] - 1] - offset[firsts[:-1]]).sum())
