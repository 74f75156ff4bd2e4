"""Reading signal on a GPU: one stream of work per batch, and no wait before it is delivered."""

from __future__ import annotations

import threading
from dataclasses import replace
from time import perf_counter
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.cpu.signal import CpuSignalReader
from bigwig_loader.backend.cuda.blocks import (
    IN_ORDER,
    IRREGULAR,
    BlockWork,
    block_capacity,
    block_checks,
    plan_work,
)
from bigwig_loader.backend.cuda.cache import DeviceBlockCache
from bigwig_loader.backend.cuda.device import Device, Stream, seconds_between
from bigwig_loader.backend.cuda.inflate import Inflater
from bigwig_loader.backend.cuda.launch import SignalKernels
from bigwig_loader.backend.cuda.rasters import RECORD as RASTER_RECORD
from bigwig_loader.backend.cuda.rasters import ROW_COUNT, ROW_FIRST, check_out, raster_arrays
from bigwig_loader.backend.cuda.reads import ReadFailure, choose_reader
from bigwig_loader.backend.cuda.records import ITEMS, OUTCOME, RECORD, SECTION_SLACK
from bigwig_loader.backend.cuda.slots import SlotRing, aligned, offsets_of
from bigwig_loader.backend.protocol import Pending, SignalCounts
from bigwig_loader.backend.status import Status, block_error
from bigwig_loader.config import config
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.plan.blocks import SignalPlan, plan_signal
from bigwig_loader.plan.signal import SignalOptions
from bigwig_loader.plan.track_index import TrackIndex
from bigwig_loader.plan.windows import Windows

# Batches in flight: one being read from the files, one on its way to the device, one there.
N_SLOTS = 3
# Besides sections and what is read: the records of a block, and of one track in one window.
_BLOCK_BYTES = 256
_ROW_BYTES = 32
_FIXED_BYTES = 1 << 16


class Owner(Protocol):
    """What a reader wants of the backend that opened it."""

    def defer(self, pending: Pending) -> None:
        """Work of the calling thread that is not done yet."""

    def writing(self, out: Any, stream: Stream) -> None:
        """`stream` is about to write `out`: let it wait for whoever used that before."""


class CudaSignalReader:
    """Open files of one collection, their kernels, and the blocks kept on the device.

    Data blocks are verified as on the CPU (`config.verify`): the first reading inflates a block
    whole, compares its checksum and looks at the order of its items; later ones stop inflating at
    the window's end. Up to `cache_bytes` of sections stay in device memory.
    """

    def __init__(
        self,
        device: Device,
        index: TrackIndex,
        n_threads: int,
        owner: Owner,
        cache_bytes: int = 0,
    ) -> None:
        self._device = device
        self._index = index
        self._n_threads = n_threads
        self._owner = owner
        self._state = np.zeros(index.n_blocks, np.uint8)
        self._cache = DeviceBlockCache(device, index.n_blocks, cache_bytes)
        # Blocks that cannot be kept: damaged, where nothing is verified, behind what was wanted.
        self._is_unfit = np.zeros(index.n_blocks if cache_bytes else 0, np.bool_)
        self._ring = SlotRing(device, N_SLOTS)
        self._inflater = Inflater(device, config.inflate)
        self._kernels = SignalKernels(device)
        self._reads = choose_reader(device, index, n_threads)
        self._counts = SignalCounts()
        self._counting = threading.Lock()
        self._on_host: CpuSignalReader | None = None
        self._closed = False

    @property
    def counts(self) -> SignalCounts:
        """What reading has taken so far; a copy. Batches count when they have been waited for."""
        with self._counting:
            return replace(self._counts, cached_bytes=self._cache.n_bytes)

    def read(
        self,
        plan: SignalPlan,
        options: SignalOptions,
        transforms: npt.NDArray[np.float32],
        out: Any,
        wait: bool = True,
    ) -> None:
        """Read, inflate and rasterize a plan into `out`, an array of this device."""
        if self._closed:
            raise InvalidInputError("the collection is closed; open it again")
        check_out(out, self._device)
        if out.size == 0:
            return
        pending = PendingRead(self, plan, options, transforms, out)
        pending.start()
        if wait:
            pending.wait()
        else:
            self._owner.defer(pending)

    def read_window(
        self,
        windows: Windows,
        tracks: npt.NDArray[np.int64],
        options: SignalOptions,
        transforms: npt.NDArray[np.float32],
        out: Any,
    ) -> None:
        """Plan and read a single window."""
        self.read(plan_signal(self._index, windows, tracks), options, transforms, out)

    def intervals(
        self, plan: SignalPlan
    ) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32], npt.NDArray[np.float32]]:
        """Start, end and value of the stored intervals a plan wants; read and decoded by the CPU.

        They go into host memory in any case.
        """
        if self._on_host is None:
            self._on_host = CpuSignalReader(self._index, self._n_threads)
        return self._on_host.intervals(plan)

    def working_bytes(self, plan: SignalPlan, options: SignalOptions) -> int:
        """Upper bound of the memory that `read` takes for a plan, besides `out`.

        On the device and page-locked together, for as many such batches as may be in flight.
        """
        sections = int(block_capacity(self._index, plan.block).sum())
        # A damaged leaf may claim any size; what lies past the end of a file is never read.
        tracks = np.unique(self._index.track_of(plan.block))
        stored = min(plan.n_read_bytes, int(self._index.file_bytes[tracks].sum()))
        one = (
            2 * stored
            + sections
            + (SECTION_SLACK + 16 + _BLOCK_BYTES) * plan.n_blocks
            + _ROW_BYTES * plan.row_first.size
            + 32 * len(plan.windows)
            + 64 * len(plan.tracks)
            + 8 * len(self._index.contigs)
            + _FIXED_BYTES
        )
        return N_SLOTS * one * 5 // 4  # memory of a slot grows by a quarter more than is asked for

    def close(self) -> None:
        """Close the files and free the memory; safe to call twice."""
        if self._closed:
            return
        self._closed = True
        if self._device.is_usable:
            self._ring.close()
        self._cache.close()
        self._reads.close()
        if self._on_host is not None:
            self._on_host.close()


class PendingRead:
    """One batch of signal between being asked for and being there.

    Parameters
    ----------
    reader : CudaSignalReader
    plan, options, transforms, out
        As for `CudaSignalReader.read`.
    """

    def __init__(
        self,
        reader: CudaSignalReader,
        plan: SignalPlan,
        options: SignalOptions,
        transforms: npt.NDArray[np.float32],
        out: Any,
    ) -> None:
        self._reader = reader
        self._request = (options, transforms, out)
        self._plan = plan
        self._finishing = threading.Lock()
        self._is_finished = False
        self._error: Exception | None = None
        self._seconds_read = 0.0
        self._bytes_read = 0

    def start(self) -> None:
        """Queue the batch; what has been queued when this fails is undone."""
        reader = self._reader
        self._slot = reader._ring.take()
        self._batch = reader._cache.begin()
        self._reserved = np.zeros(self._plan.n_blocks, np.bool_)
        try:
            self._queue()
        except BaseException:
            nothing = np.zeros(self._plan.n_blocks, np.int64)
            try:
                self._slot.stream.synchronize()
            finally:
                self._let_go(nothing != 0, nothing)
                reader._ring.give_back(self._slot)
            raise
        reader._ring.started(self)

    def wait(self) -> None:
        """Return when the values are there."""
        self.finish()
        if self._error is not None:
            raise self._error

    def finish(self) -> None:
        """Wait for the device, take down what happened, and give the slot back."""
        with self._finishing:
            if self._is_finished:
                return
            again = False
            try:
                self._slot.done.synchronize()
                again = self._settle()
            except Exception as error:
                self._error = error
            self._reader._ring.give_back(self._slot, self)
            self._is_finished = True
            if again:
                try:
                    self._reader.read(self._plan, *self._request)
                except Exception as error:
                    self._error = error

    def _queue(self) -> None:
        reader, plan, slot = self._reader, self._plan, self._slot
        options, transforms, out = self._request
        work = self._work = self._choose_work()
        self._check_inside(work)
        arrays, fill_raster = raster_arrays(reader._index, plan, options, transforms, out)
        uploads = [work.records, work.deflated, *arrays]
        offsets = offsets_of(uploads)
        results = aligned(RECORD.itemsize) + plan.n_blocks * OUTCOME.itemsize
        at = slot.lay_out(
            {
                "uploads": offsets[-1],
                "results": results,
                "items": plan.n_blocks * ITEMS.itemsize,
                "row_kind": plan.row_first.size,
                "counter": 4,
                "staging": work.staging_bytes,
                "scratch": work.scratch_bytes,
            }
        )
        slot.reserve(offsets[-1] + results)
        work.place(at["staging"], at["scratch"])
        addresses = [at["uploads"] + offset for offset in offsets]
        fill_raster(addresses[2:], at["items"], at["row_kind"])

        self._fetch(work, at["staging"])
        stream, device = slot.stream, reader._device
        slot.upload(uploads, at["uploads"])
        device.fill(at["results"], 0, results, stream)
        device.fill(at["counter"], 0, 4, stream)
        blocks, deflated, *raster = addresses
        outcomes, items = at["results"] + aligned(RECORD.itemsize), at["items"]
        kernels, n = reader._kernels, plan.n_blocks
        slot.marks[0].record(stream)
        inflating = (blocks, deflated, at["counter"], outcomes)
        reader._inflater.run(work.records, work.deflated, inflating, slot)
        kernels.describe(n, blocks, outcomes, items, stream)
        slot.marks[1].record(stream)
        first, count = raster[ROW_FIRST], raster[ROW_COUNT]
        kernels.link(plan.row_first.size, items, first, count, at["row_kind"], stream)
        reader._owner.writing(out, stream)
        kernels.rasterize(options, plan, raster[RASTER_RECORD], stream)
        slot.marks[2].record(stream)
        kernels.first_failure(n, blocks, outcomes, items, at["results"], stream)
        self._results = slot.download(at["results"], results, offsets[-1])
        slot.done.record(stream)

    def _choose_work(self) -> BlockWork:
        """Which blocks are read, inflated and kept."""
        reader, plan = self._reader, self._plan
        index, cache, block = reader._index, reader._cache, plan.block
        kept = np.zeros(plan.n_blocks, np.uint64)
        n_section = np.zeros(plan.n_blocks, np.int32)
        reserved = np.zeros(plan.n_blocks, np.uint64)
        if cache.is_on:
            kept, n_section = cache.find(self._batch, block)
            lacking = np.flatnonzero((kept == 0) & ~reader._is_unfit[block])
            capacity = block_capacity(index, block[lacking])
            reserved[lacking] = cache.reserve(self._batch, block[lacking], capacity)
            self._reserved = reserved != 0
        checks = block_checks(
            reader._state[block], index.spans[block], reserved != 0, config.verify
        )
        return plan_work(index, plan, checks, kept, n_section, reserved)

    def _check_inside(self, work: BlockWork) -> None:
        """Raise for a block that a damaged index puts past the end of its file."""
        plan, index = self._plan, self._reader._index
        end = index.offset[plan.block] + index.n_bytes[plan.block].astype(np.int64)
        file_bytes = index.file_bytes[index.track_of(plan.block)]
        past = np.flatnonzero(work.lacking & (end > file_bytes))
        if len(past):
            at = int(past[0])
            raise self._failure(at, Status.PAST_END, (int(end[at]), int(file_bytes[at])))

    def _fetch(self, work: BlockWork, staging: int) -> None:
        """Read what is lacking from the files and queue it for the device."""
        reader = self._reader
        if not len(work.reads):
            return
        began = perf_counter()
        pinned = self._slot.staging(work.staging_bytes)
        try:
            self._bytes_read = reader._reads.fetch(work.reads, pinned, staging, self._slot.stream)
        except ReadFailure as failure:
            at = int(work.read_block[failure.read])
            raise self._failure(at, failure.status, failure.detail) from None
        self._seconds_read = perf_counter() - began

    def _settle(self) -> bool:
        """What the results say: counts, states, failures. True if it has to be read again."""
        reader, plan, work = self._reader, self._plan, self._work
        record = self._results[: RECORD.itemsize].view(np.int64)
        outcomes = self._results[aligned(RECORD.itemsize) :].view(OUTCOME)
        failed = int(record[0])
        is_good = outcomes["status"] == Status.OK
        whole = is_good & (outcomes["whole"] != 0) & work.lacking
        state = np.where(outcomes["in_order"] != 0, IN_ORDER, IRREGULAR)
        reader._state[plan.block[whole]] = state[whole]
        out_of_order = outcomes["status"] == Status.NEEDS_WHOLE
        reader._state[plan.block[out_of_order]] = IRREGULAR
        self._let_go(whole, outcomes["produced"])
        unfit = ~is_good & self._reserved & ~out_of_order
        if config.verify == "never" and unfit.any():
            # Read whole only to be kept; what is wanted of it may be in order.
            reader._is_unfit[plan.block[unfit]] = True
            return True
        if failed >= 0 and int(record[1]) != Status.NEEDS_WHOLE:
            detail = (int(record[2]), int(record[3]))
            raise self._failure(failed, Status(int(record[1])), detail)
        if failed >= 0:
            return True
        marks = self._slot.marks
        with reader._counting:
            counts = reader._counts
            counts.n_batches += 1
            counts.n_blocks += plan.n_blocks
            counts.n_reads += len(work.reads)
            counts.bytes_read += self._bytes_read
            counts.bytes_inflated += int(record[4])
            counts.n_intervals += int(record[5])
            counts.n_cached_blocks += plan.n_blocks - int(np.count_nonzero(work.lacking))
            counts.seconds_read += self._seconds_read
            counts.seconds_inflate += seconds_between(marks[0], marks[1])
            counts.seconds_rasterize += seconds_between(marks[1], marks[2])
        return False

    def _let_go(self, is_good: npt.NDArray[np.bool_], n_section: npt.NDArray[np.int64]) -> None:
        """Tell the cache which of the blocks it has made room for are there."""
        cache, mine = self._reader._cache, self._reserved
        if mine.any():
            cache.settle(self._plan.block[mine], n_section[mine], is_good[mine])
        cache.end(self._batch)

    def _failure(self, at: int, status: int, detail: tuple[int, int]) -> Exception:
        plan, index = self._plan, self._reader._index
        which = plan.block[at : at + 1]
        contig = index.contigs.names[int(index.contig_of(which)[0])]
        region = f"{contig}:{int(plan.wanted_start[at])}-{int(plan.wanted_end[at])}"
        path = index.paths[int(index.track_of(which)[0])]
        return block_error(status, detail, path, int(index.offset[which[0]]), region)
