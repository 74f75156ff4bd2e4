"""Reading signal on the CPU: one call into the CPU library per plan."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import addressof, c_char_p
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.cpu import library as native
from bigwig_loader.backend.protocol import SignalCounts
from bigwig_loader.backend.status import block_error
from bigwig_loader.config import config
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.formats.source import UrlSource, is_url, open_source
from bigwig_loader.plan.blocks import SignalPlan
from bigwig_loader.plan.signal import SignalOptions
from bigwig_loader.plan.track_index import TrackIndex
from bigwig_loader.types import SIGNAL_DTYPES, STATISTICS

_VERIFY = ("never", "once", "always")
# Left to the rest of the process when many files are open.
_SPARE_FILES = 128
# Scratch of one thread: read buffer, item chunks and one output tile.
_THREAD_BYTES = 1 << 20
_ITEM_BYTES = 12
_BLOCK_BYTES = 128  # the plan's arrays and the kept block's record
# Deflate cannot expand by more (cuda_kernels/host/blocks.cpp).
_MAX_EXPANSION = 1032
# Plans that take less than this for certain are not looked at more closely.
_SMALL_BYTES = 16 << 20


def _open_files_limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 4096 if soft == resource.RLIM_INFINITY else max(soft - _SPARE_FILES, 16)


class CpuSignalReader:
    """Open files of one collection, and what is known of their data blocks.

    A data block is inflated whole when it is first read, and its checksum and the order of its
    items are verified; from then on it is inflated only as far as a window needs
    (`config.verify`).
    """

    def __init__(self, index: TrackIndex, n_threads: int) -> None:
        self._library = native.library()
        self._index = index
        self._n_threads = n_threads
        self.counts = SignalCounts()
        # One remote file, and everything is fetched to memory first, with many requests in flight.
        remote = any(is_url(path) for path in index.paths)
        self._sources = [open_source(path) for path in index.paths] if remote else []
        self._largest_block = int(index.buf_size.max(initial=0))
        if self._largest_block > _SMALL_BYTES:  # a damaged header, or blocks as large as that
            most = int(index.n_bytes.max(initial=0)) * _MAX_EXPANSION
            self._largest_block = min(self._largest_block, most)
        paths = (c_char_p * index.n_tracks)(*(os.fsencode(path) for path in index.paths))
        self._files = self._library.bwl_files_open(
            paths, index.file_bytes.ctypes.data, index.n_tracks, _open_files_limit()
        )
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
            files=self._files,
            n_contigs=len(index.contigs),
            **{name: array.ctypes.data for name, array in self._arrays.items()},
        )

    def read(
        self,
        plan: SignalPlan,
        options: SignalOptions,
        transforms: npt.NDArray[np.float32],
        out: npt.NDArray[Any],
    ) -> None:
        """Read, inflate and rasterize a plan into `out`."""
        if not out.flags.behaved or any(stride % out.itemsize for stride in out.strides):
            raise InvalidInputError(
                "argument out: expected a writable array with strides of whole items; "
                f"got writeable={out.flags.writeable}, strides of {out.strides} bytes"
            )
        by_bin = out.strides if options.layout == "BNT" else (out.strides[0], *out.strides[:0:-1])
        stride_window, stride_bin, stride_track = (s // out.itemsize for s in by_bin)
        swap = None if options.track_swap is None else np.array(options.track_swap, np.int32)
        with self._request(plan, options.n_threads) as request:
            request.transforms = transforms.ctypes.data
            request.track_swap = None if swap is None else swap.ctypes.data
            request.bin_size = options.bin_size
            request.statistic = STATISTICS.index(options.statistic)
            request.dtype = SIGNAL_DTYPES.index(options.dtype)
            request.uncovered = options.uncovered
            request.out_of_bounds = options.fill_out_of_bounds
            request.out = out.ctypes.data
            request.out_stride_window = stride_window
            request.out_stride_bin = stride_bin
            request.out_stride_track = stride_track
            self._library.bwl_read_signal(addressof(request))

    def intervals(
        self, plan: SignalPlan
    ) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32], npt.NDArray[np.float32]]:
        """Start, end and value of the stored intervals a plan wants, in file order."""
        n_per_block = np.zeros(plan.n_blocks, np.int64)
        with self._request(plan, None) as request:
            kept = self._library.bwl_intervals_read(addressof(request), n_per_block.ctypes.data)
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

    @contextmanager
    def _request(self, plan: SignalPlan, n_threads: int | None) -> Iterator[Any]:
        """A request filled from a plan; once used, its outcome is counted or raised."""
        if self._files is None:
            raise InvalidInputError("the collection is closed; open it again")
        windows = plan.windows
        memory, memory_offset = self._fetch(plan) if self._sources else (None, None)
        request = native.SignalRequest(
            index=addressof(self._native_index),
            memory=None if memory is None else memory.ctypes.data,
            memory_offset=None if memory_offset is None else memory_offset.ctypes.data,
            n_blocks=plan.n_blocks,
            block=plan.block.ctypes.data,
            wanted_start=plan.wanted_start.ctypes.data,
            wanted_end=plan.wanted_end.ctypes.data,
            n_reads=plan.n_reads,
            read_block=plan.read_block.ctypes.data,
            n_windows=len(windows),
            n_tracks=len(plan.tracks),
            row_first=plan.row_first.ctypes.data,
            row_count=plan.row_count.ctypes.data,
            window_contig=windows.contig_index.ctypes.data,
            window_start=windows.start.ctypes.data,
            window_reverse=None if windows.reverse is None else windows.reverse.ctypes.data,
            length_bp=windows.length_bp,
            n_threads=n_threads or self._n_threads,
            verify=_VERIFY.index(config.verify),
        )
        yield request
        if request.failed_block >= 0:
            raise self._error(plan, request)
        self._count(plan, request)

    def _fetch(self, plan: SignalPlan) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        """All reads of a plan in memory, and where in it each block stands."""
        offset = self._index.offset[plan.block]
        end = offset + self._index.n_bytes[plan.block]
        first, last = plan.read_block[:-1], plan.read_block[1:] - 1
        track_of = self._index.track_of(plan.block[first])
        parts: list[bytes] = []
        for track in np.unique(track_of).tolist():
            of_track = track_of == track
            starts = offset[first[of_track]].tolist()
            ends = end[last[of_track]].tolist()
            ranges = [(a, b - a) for a, b in zip(starts, ends, strict=True)]
            source = self._sources[track]
            if isinstance(source, UrlSource):
                parts += source.read_ranges(ranges)
            else:
                parts += [bytes(source.read(*byte_range)) for byte_range in ranges]
        sizes = np.array([len(part) for part in parts], np.int64)
        shift = np.repeat(np.cumsum(sizes) - sizes - offset[first], np.diff(plan.read_block))
        return np.frombuffer(b"".join(parts), np.uint8), offset + shift

    def _error(self, plan: SignalPlan, request: Any) -> Exception:
        at = int(request.failed_block)
        index, block = self._index, plan.block[at : at + 1]
        contig = index.contigs.names[int(index.contig_of(block)[0])]
        return block_error(
            request.failed_status,
            tuple(request.failed_detail),
            index.paths[int(index.track_of(block)[0])],
            int(index.offset[block[0]]),
            f"{contig}:{plan.wanted_start[at]}-{plan.wanted_end[at]}",
        )

    def _count(self, plan: SignalPlan, request: Any) -> None:
        counts = self.counts
        counts.n_batches += 1
        counts.n_blocks += plan.n_blocks
        counts.n_reads += plan.n_reads
        counts.bytes_read += request.n_bytes_read if not self._sources else plan.n_read_bytes
        counts.bytes_inflated += request.n_bytes_inflated
        counts.n_intervals += request.n_items

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
        """Close the files; safe to call twice."""
        if self._files is not None:
            self._library.bwl_files_close(self._files)
            self._files = None
        for source in self._sources:
            source.close()

    def __del__(self) -> None:
        if getattr(self, "_files", None) is not None:
            self.close()
