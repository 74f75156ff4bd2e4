"""One batch of signal on haplotypes: what the kernels are given, and their launches."""

from __future__ import annotations

from collections.abc import Callable
from ctypes import Structure, c_int64
from dataclasses import dataclass
from typing import Any

import cupy
import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.cpu import library as native
from bigwig_loader.backend.cpu.realign import row_offsets, source_tracks
from bigwig_loader.backend.cpu.realign_records import contigs_of_table, new_record, request_template
from bigwig_loader.backend.cuda.haplotypes import fill_request, shares_of
from bigwig_loader.backend.cuda.slots import Slot
from bigwig_loader.backend.cuda.work import (
    BLOCK_THREADS,
    MAX_GRID_Y,
    Owner,
    Resident,
    Stage,
    send,
)
from bigwig_loader.backend.realign_errors import realign_error
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.plan.fills import Fill
from bigwig_loader.plan.haplotypes import HaplotypeWindows
from bigwig_loader.plan.realign import DenseRows, Draws, RealignOptions, Track, TrackRows

Int64Array = npt.NDArray[np.int64]

# Values of bases that bins are made of, so many at a time; a window is not divided.
WORKSPACE_VALUES = 1 << 24
# Blocks of threads for each multiprocessor that are worth walking along a haplotype again.
_BLOCKS = 8
_NO_FAILURE = 2**64 - 1


class OnDevice(Structure):
    """BwlRealignOnDevice of `cuda_kernels/realign_batch.cuh`."""

    _fields_ = tuple(
        (name, c_int64)
        for name in (
            *("dense_stride", "base_offset", "window_stride", "track_stride"),
            *("ploid_stride", "bin_stride", "bases", "failure"),
        )
    )


@dataclass(frozen=True)
class Rows:
    """What is asked for, apart from the tracks.

    Parameters
    ----------
    windows : HaplotypeWindows
    contig_names : tuple of str
    contig_bp : (C,) int64
    lengths : (B, P) int64 or None
        Bases of each haplotype; None for windows of one length.
    ploidy : int
    lists : callable
        Address of the structure of variants, given a slot; or the structure itself.
    axes : tuple of int
        (B, T, P), or (B, T).
    """

    windows: HaplotypeWindows
    contig_names: tuple[str, ...]
    contig_bp: Int64Array
    lengths: Int64Array | None
    ploidy: int
    lists: Callable[[Slot], int] | None
    axes: tuple[int, ...]


class Batch:
    """One batch: its structures, and the arrays that are uploaded with them."""

    def __init__(
        self,
        owner: Owner,
        rows: Rows,
        options: RealignOptions,
        slot: Slot,
    ) -> None:
        self._owner, self._rows, self._options, self._slot = owner, rows, options, slot
        self._request: Any = native.RealignRequest.from_buffer_copy(request_template(options))
        self._on: Any = OnDevice()
        self._stage = Stage()
        self._n_tracks = rows.axes[1]
        self._records: Any = (native.RealignTrack * self._n_tracks)()
        self._strides: list[int] = []
        self._at_request, self._at_on = self._stage.add(self._request), self._stage.add(self._on)

    def add_rows(self, track: TrackRows, fill: Fill, resident: Resident) -> None:
        """A track of intervals that are on the device."""
        record = self._new_record(track, fill)
        record.offsets, record.start, record.end, record.value = resident.addresses
        record.n_samples = len(track.table.samples)
        stage = self._stage
        stage.point(record, "contig", contigs_of_table(track.table, self._rows.contig_names))
        stage.point(record, "sample", np.ascontiguousarray(track.samples, np.int64))
        self._strides.append(0)

    def add_dense(self, track: DenseRows, fill: Fill) -> Any:
        """A track that was read; returns what has to live as long as the kernels run."""
        record, values = self._new_record(track, fill), track.values
        if not isinstance(values, cupy.ndarray):
            host = np.ascontiguousarray(values, np.float32)
            values = self._owner.outputs.empty(host.shape, np.float32)
            send(self._owner.device, host, int(values.data.ptr), self._slot)
        elif values.dtype != np.float32 or (values.size and values.strides[1] != values.itemsize):
            raise InvalidInputError(
                "values of DenseRows: expected float32 with the bases of a row next to each other; "
                f"got {values.dtype} with strides {values.strides}"
            )
        self._owner.writing(values, self._slot.stream)
        record.dense, record.dense_bp = int(values.data.ptr), values.shape[1]
        self._stage.point(record, "dense_start", np.ascontiguousarray(track.start, np.int64))
        self._strides.append(values.strides[0] // values.itemsize)
        return values

    def add_draws(self, draws: Draws) -> None:
        """What random numbers are drawn from."""
        self._request.seed, self._request.epoch = draws.seed, draws.epoch
        cells = np.ascontiguousarray(draws.cells, np.int64)
        self._stage.point(self._request, "cell", cells)

    def _new_record(self, track: Track, fill: Fill) -> Any:
        number = len(self._strides)
        self._records[number] = new_record(fill, track.transform)
        return self._records[number]

    def queue(self, out: Any, offsets: Int64Array | None) -> Callable[[], None]:
        """Queue everything; what is returned is called when it is done."""
        rows, stage, request, slot = self._rows, self._stage, self._request, self._slot
        stage.point(self._on, "dense_stride", np.array(self._strides, np.int64))
        stage.point(request, "tracks", self._records)
        self._stage_windows(out, offsets)
        pieces, n_values = self._pieces()
        slot.reserve(stage.n_bytes + 8)
        at = slot.lay_out({"stage": stage.n_bytes, "failure": 8, "bases": 4 * n_values})
        request.out = int(out.data.ptr)
        self._on.failure, self._on.bases = at["failure"], at["bases"]
        if rows.lists is not None:
            request.haplotypes = rows.lists(slot)
        stage.send(slot, at["stage"])
        self._owner.device.fill(at["failure"], 0xFF, 8, slot.stream)
        self._owner.writing(out, slot.stream)
        for first, n in pieces:
            self._launch(at["stage"], first, n)
        failure = slot.download(at["failure"], 8, stage.n_bytes)
        return lambda: self._check(int(failure.view(np.uint64)[0]))

    def _stage_windows(self, out: Any, offsets: Int64Array | None) -> None:
        """Stage the windows, and say where their rows are."""
        rows, stage, request = self._rows, self._stage, self._request
        windows = native.HaplotypeRequest()
        stage.point(request, "windows", windows)
        fill_request(stage, windows, rows.windows)
        if rows.lists is None:
            stage.point(request, "haplotypes", native.HaplotypeLists(ploidy=1))
        request.n_tracks = self._n_tracks
        stage.point(request, "contig_bp", np.ascontiguousarray(rows.contig_bp, np.int64))
        stage.point(request, "source_track", source_tracks(self._options))
        stage.point(request, "row_offset", offsets)
        if rows.lengths is not None:
            stage.point(self._on, "base_offset", row_offsets(rows.lengths, rows.lengths.shape))
            return
        strides = [step // out.itemsize for step in out.strides]
        is_last = self._options.layout == "BPNT"
        self._on.window_stride = strides[0]
        self._on.track_stride = strides[-1] if is_last else strides[1]
        self._on.bin_stride = strides[-2] if is_last else strides[-1]
        if len(rows.axes) > 2:
            self._on.ploid_stride = strides[1] if is_last else strides[2]

    @property
    def _is_plain(self) -> bool:
        return self._options.bin_size == 1 and self._options.statistic != "std"

    def _pieces(self) -> tuple[list[tuple[int, int]], int]:
        """Windows (first, n) that are made at a time, and values of bases in the largest piece."""
        rows = self._rows
        n = len(rows.windows)
        if self._is_plain:
            return [(0, n)], 0
        if rows.lengths is None:
            bases = np.full(n, rows.ploidy * (rows.windows.length_bp or 0), np.int64)
        else:
            bases = rows.lengths.sum(axis=1)
        ends = np.cumsum(bases * self._n_tracks)
        pieces, first, most = [], 0, 0
        while first < n:
            before = int(ends[first - 1]) if first else 0
            last = int(np.searchsorted(ends, before + WORKSPACE_VALUES, side="right"))
            last = min(max(last, first + 1), n)
            pieces.append((first, last - first))
            most = max(most, int(ends[last - 1]) - before)
            first = last
        return pieces, most

    def _launch(self, at: int, first: int, n: int) -> None:
        rows, device, n_tracks = self._rows, self._owner.device, self._n_tracks
        length = rows.windows.length_bp or int(
            rows.lengths.max() if rows.lengths is not None else 0
        )
        shares, n_rows = max(shares_of(length), 1), n * rows.ploidy
        wanted = -(-_BLOCKS * device.n_multiprocessors // (n_rows * shares))
        groups = min(n_tracks, max(wanted, 1), MAX_GRID_Y)
        arguments = [at + self._at_request, at + self._at_on, first, n]
        stream = self._slot.stream
        device.kernels("realign.cu").launch(
            "bwl_realign_bases", (n_rows, groups, shares), BLOCK_THREADS, arguments, stream
        )
        if self._is_plain:
            return
        n_bins = length // self._options.bin_size
        statistic = self._options.statistic
        device.kernels("value_bins.cu").launch(
            f"bwl_value_bins_{'mean' if statistic == 'coverage' else statistic}",
            (-(-n_bins // BLOCK_THREADS), min(n_rows * n_tracks, MAX_GRID_Y)),
            BLOCK_THREADS,
            arguments,
            stream,
        )

    def _check(self, failure: int) -> None:
        """Raise what the kernels found."""
        if failure == _NO_FAILURE:
            return
        row, status = divmod(failure, 8)
        window, track = divmod(row, self._n_tracks)
        raise realign_error(status, window, track, self._rows.windows, self._rows.contig_names)
