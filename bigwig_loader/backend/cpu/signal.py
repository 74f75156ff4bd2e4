"""Reading signal on the CPU: one call into the CPU library per plan."""

from __future__ import annotations

import threading
from ctypes import addressof
from dataclasses import replace
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.cpu import library as native
from bigwig_loader.backend.cpu.cache import BlockCache
from bigwig_loader.backend.cpu.files import FileTable
from bigwig_loader.backend.fetch import fetch_ranges, open_sources
from bigwig_loader.backend.protocol import SignalCounts
from bigwig_loader.backend.status import block_error
from bigwig_loader.config import config
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.plan.blocks import (
    MAX_EXPANSION,
    READ_BYTES,
    READ_GAP_BYTES,
    SignalPlan,
    plan_signal,
)
from bigwig_loader.plan.signal import SignalOptions
from bigwig_loader.plan.track_index import TrackIndex
from bigwig_loader.plan.windows import Windows
from bigwig_loader.types import SIGNAL_DTYPES, STATISTICS

_VERIFY = ("never", "once", "always")
# Scratch of one thread: read buffer, item chunks and one output tile.
_THREAD_BYTES = 1 << 20
_ITEM_BYTES = 12
_BLOCK_BYTES = 128  # the plan's arrays and the kept block's record
# Plans that take less than this for certain are not looked at more closely.
_SMALL_BYTES = 16 << 20


def _set_options(
    request: Any, options: SignalOptions, transforms: npt.NDArray[np.float32], out: npt.NDArray[Any]
) -> Any:
    """Fill a request from options; returns what has to live as long as it is used."""
    if not out.flags.behaved or any(stride % out.itemsize for stride in out.strides):
        raise InvalidInputError(
            "argument out: expected a writable array with strides of whole items; "
            f"got writeable={out.flags.writeable}, strides of {out.strides} bytes"
        )
    window, *by_bin = (stride // out.itemsize for stride in out.strides)
    if options.layout == "BTN":
        by_bin.reverse()
    swap = None if options.track_swap is None else np.array(options.track_swap, np.int32)
    request.transforms = transforms.ctypes.data
    request.track_swap = None if swap is None else swap.ctypes.data
    request.bin_size = options.bin_size
    request.statistic = STATISTICS.index(options.statistic)
    request.dtype = SIGNAL_DTYPES.index(options.dtype)
    request.uncovered = options.uncovered
    request.out_of_bounds = options.fill_out_of_bounds
    request.out = out.ctypes.data
    request.out_stride_window = window
    request.out_stride_bin, request.out_stride_track = by_bin
    return swap


class _Fetched(NamedTuple):
    """The reads of a plan in memory."""

    memory: npt.NDArray[np.uint8]
    offset: npt.NDArray[np.int64]  # (K,) where each block stands in it; any number if it need not
    seconds: float


class CpuSignalReader:
    """Open files of one collection, and what is known of their data blocks.

    A data block is inflated whole when it is first read, and its checksum and the order of its
    items are verified; from then on it is inflated only as far as a window needs
    (`config.verify`). Up to `cache_bytes` of blocks stay in memory decoded: as long as there is
    room for one, it is inflated whole when it is read, and not read again.
    """

    def __init__(self, index: TrackIndex, n_threads: int, cache_bytes: int = 0) -> None:
        self._library = native.library()
        self._index = index
        self._n_threads = n_threads
        self._counts = SignalCounts()
        self._counting = threading.Lock()
        # With a remote file among them, everything is fetched to memory first.
        self._sources = open_sources(index.paths)
        self._cache = BlockCache(self._library, index.n_blocks, cache_bytes)
        self._largest_block = int(index.buf_size.max(initial=0))
        if self._largest_block > _SMALL_BYTES:  # a damaged header, or blocks as large as that
            most = int(index.n_bytes.max(initial=0)) * MAX_EXPANSION
            self._largest_block = min(self._largest_block, most)
        self._files = FileTable(index.paths, index.file_bytes)
        self._arrays: dict[str, npt.NDArray[Any]] = {
            "contig_bp": index.contigs.lengths,
            "chrom_ids": np.ascontiguousarray(index.chrom_ids),
            "file_bytes": index.file_bytes,
            "swap": index.swap,
            "buf_size": index.buf_size,
            "start_key": index.start_key,
            "end_key": index.end_key,
            "offset": index.offset,
            "n_bytes": index.n_bytes,
            "spans": index.spans,
            "state": np.zeros(index.n_blocks, np.uint8),
        }
        self._native_index = native.SignalIndex(
            files=self._files.address,
            cache=self._cache.address,
            n_contigs=len(index.contigs),
            n_blocks=index.n_blocks,
            **{name: array.ctypes.data for name, array in self._arrays.items()},
        )

    @property
    def counts(self) -> SignalCounts:
        """What reading has taken so far; a copy."""
        with self._counting:
            return replace(self._counts, cached_bytes=self._cache.n_bytes)

    def read(
        self,
        plan: SignalPlan,
        options: SignalOptions,
        transforms: npt.NDArray[np.float32],
        out: npt.NDArray[Any],
        wait: bool = True,
    ) -> None:
        """Read, inflate and rasterize a plan into `out`; done when the call returns."""
        request, fetched = self._request(plan, options.n_threads)
        swap = _set_options(request, options, transforms, out)
        self._library.bwl_read_signal(addressof(request))
        del swap
        self._finish(request, plan, fetched)

    def read_window(
        self,
        windows: Windows,
        tracks: npt.NDArray[np.int64],
        options: SignalOptions,
        transforms: npt.NDArray[np.float32],
        out: npt.NDArray[Any],
    ) -> None:
        """Plan and read a single window in one call."""
        if self._sources:
            self.read(plan_signal(self._index, windows, tracks), options, transforms, out)
            return
        request = self._windows_request(windows, len(tracks), options.n_threads)
        swap = _set_options(request, options, transforms, out)
        self._library.bwl_read_window(
            addressof(request), tracks.ctypes.data, READ_GAP_BYTES, READ_BYTES
        )
        del swap
        if request.failed_block >= 0:
            start = int(windows.start[0])
            raise self._error(request, request.failed_block, start, start + windows.length_bp)
        self._count(request, None)

    def intervals(
        self, plan: SignalPlan
    ) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32], npt.NDArray[np.float32]]:
        """Start, end and value of the stored intervals a plan wants, in file order."""
        n_per_block = np.zeros(plan.n_blocks, np.int64)
        request, fetched = self._request(plan, None)
        request.fill_cache = 0  # these are all blocks, not those that come again
        kept = self._library.bwl_intervals_read(addressof(request), n_per_block.ctypes.data)
        self._finish(request, plan, fetched)
        try:
            n = int(n_per_block.sum())
            start, end = np.empty(n, np.uint32), np.empty(n, np.uint32)
            value = np.empty(n, np.float32)
            self._library.bwl_intervals_copy(
                kept, start.ctypes.data, end.ctypes.data, value.ctypes.data
            )
        finally:
            self._library.bwl_intervals_free(kept)
        offset = self._index.offset[plan.block]
        if (offset[1:] < offset[:-1]).any():  # blocks stand by start in the index
            track = self._index.track_of(plan.block)
            order = np.lexsort((offset.repeat(n_per_block), track.repeat(n_per_block)))
            start, end, value = start[order], end[order], value[order]
        return start, end, value

    def _windows_request(self, windows: Windows, n_tracks: int, n_threads: int | None) -> Any:
        """A request for windows; the plan and the options are still to be set."""
        if self._files.address is None:
            raise InvalidInputError("the collection is closed; open it again")
        return native.SignalRequest(
            index=addressof(self._native_index),
            n_windows=len(windows),
            n_tracks=n_tracks,
            window_contig=windows.contig_index.ctypes.data,
            window_start=windows.start.ctypes.data,
            window_reverse=None if windows.reverse is None else windows.reverse.ctypes.data,
            length_bp=windows.length_bp,
            n_threads=n_threads or self._n_threads,
            verify=_VERIFY.index(config.verify),
            fill_cache=1,
        )

    def _request(self, plan: SignalPlan, n_threads: int | None) -> tuple[Any, _Fetched | None]:
        """A request filled from a plan, and what has to live as long as it is used."""
        request = self._windows_request(plan.windows, len(plan.tracks), n_threads)
        request.n_blocks = plan.n_blocks
        request.block = plan.block.ctypes.data
        request.wanted_start = plan.wanted_start.ctypes.data
        request.wanted_end = plan.wanted_end.ctypes.data
        request.n_reads = plan.n_reads
        request.read_block = plan.read_block.ctypes.data
        request.row_first = plan.row_first.ctypes.data
        request.row_count = plan.row_count.ctypes.data
        if not self._sources:
            return request, None
        fetched = self._fetch(plan)
        request.memory = fetched.memory.ctypes.data
        request.memory_offset = fetched.offset.ctypes.data
        return request, fetched

    def _finish(self, request: Any, plan: SignalPlan, fetched: _Fetched | None) -> None:
        """Count what a request took, or raise what went wrong."""
        at = int(request.failed_block)
        if at >= 0:
            start, end = int(plan.wanted_start[at]), int(plan.wanted_end[at])
            raise self._error(request, int(plan.block[at]), start, end)
        self._count(request, fetched)

    def _fetch(self, plan: SignalPlan) -> _Fetched:
        """All reads of a plan in memory, but for those whose blocks the cache has."""
        begin = perf_counter()
        offset = self._index.offset[plan.block]
        end = offset + self._index.n_bytes[plan.block]
        n_lacking = np.add.reduceat(~self._cache.has(plan.block), plan.read_block[:-1], dtype=int)
        is_read = n_lacking > 0
        first, last = plan.read_block[:-1][is_read], plan.read_block[1:][is_read] - 1
        begins, ends = offset[first], end[last]
        track = self._index.track_of(plan.block[first])
        sizes = ends - begins
        parts = fetch_ranges(self._sources, track, begins, sizes)
        shift = np.zeros(plan.n_reads, np.int64)
        shift[is_read] = np.cumsum(sizes) - sizes - begins
        at = offset + np.repeat(shift, np.diff(plan.read_block))
        return _Fetched(np.frombuffer(b"".join(parts), np.uint8), at, perf_counter() - begin)

    def _error(self, request: Any, block: int, start: int, end: int) -> Exception:
        index, which = self._index, np.array([block])
        contig = index.contigs.names[int(index.contig_of(which)[0])]
        return block_error(
            request.failed_status,
            tuple(request.failed_detail),
            index.paths[int(index.track_of(which)[0])],
            int(index.offset[block]),
            f"{contig}:{start}-{end}",
        )

    def _count(self, request: Any, fetched: _Fetched | None) -> None:
        with self._counting:
            counts = self._counts
            counts.n_batches += 1
            counts.n_blocks += request.n_blocks
            counts.n_reads += request.n_reads_made
            counts.bytes_read += request.n_bytes_read if fetched is None else fetched.memory.size
            counts.bytes_inflated += request.n_bytes_inflated
            counts.n_intervals += request.n_items
            counts.n_cached_blocks += request.n_cached_blocks
            counts.seconds_read += request.seconds_read + (fetched.seconds if fetched else 0.0)
            counts.seconds_inflate += request.seconds_inflate
            counts.seconds_rasterize += request.seconds_rasterize

    def working_bytes(self, plan: SignalPlan, options: SignalOptions) -> int:
        """Upper bound of the memory that `read` takes for a plan, besides `out`."""
        n_threads = options.n_threads or self._n_threads
        fetched = plan.n_read_bytes * 2 if self._sources else 0
        fixed = (
            _BLOCK_BYTES * plan.n_blocks
            + 32 * plan.row_first.size
            + fetched
            + n_threads * (_THREAD_BYTES + self._largest_block)
        )
        # No item is smaller than 4 bytes in the file; kept, it takes _ITEM_BYTES.
        at_most = plan.n_blocks * self._largest_block * (_ITEM_BYTES // 4)
        if 0 < at_most < _SMALL_BYTES:
            return at_most + fixed
        index, block = self._index, plan.block
        track = index.track_of(block)
        # A damaged leaf may claim any size; what lies past the end of the file is never read.
        stored = np.minimum(index.n_bytes[block], index.file_bytes[track])
        sizes = np.maximum(index.buf_size[track], stored)
        # Nor are there more items than bases wanted, unless they overlap.
        items = np.minimum(plan.wanted_end - plan.wanted_start, sizes // 4)
        largest_read = int(stored.max(initial=0))
        return int(items.sum()) * _ITEM_BYTES + fixed + n_threads * largest_read

    def close(self) -> None:
        """Close the files and free the cache; safe to call twice."""
        self._files.close()
        self._cache.close()
        for source in self._sources:
            source.close()

    def __del__(self) -> None:
        if hasattr(self, "_files"):
            self.close()
