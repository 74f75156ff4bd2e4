"""Signal on haplotypes on the CPU: one call into the C library per batch."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import Structure, addressof
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.cpu import library as native
from bigwig_loader.backend.cpu.addresses import address
from bigwig_loader.backend.cpu.pool import ArrayPool
from bigwig_loader.backend.cpu.realign_records import new_record, request_template, table_arrays
from bigwig_loader.backend.protocol import RealignedTracks
from bigwig_loader.backend.realign_errors import RealignStatus, realign_error
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.plan.fills import Fill, FlankSample, Repeat5p
from bigwig_loader.plan.haplotypes import HaplotypeWindows
from bigwig_loader.plan.realign import (
    DenseRows,
    Draws,
    RealignOptions,
    Track,
    TrackRows,
    check_tracks,
)
from bigwig_loader.plan.windows import ContigTable
from bigwig_loader.types import numpy_dtype

if TYPE_CHECKING:
    from bigwig_loader.backend.cpu.haplotypes import HaplotypeReader

Int64Array = npt.NDArray[np.int64]

_PLAIN = RealignOptions()
_REPEAT = Repeat5p()
_pool = ArrayPool()


def realign_tracks(
    reader: HaplotypeReader,
    windows: HaplotypeWindows,
    tracks: Sequence[Track],
    fills: Sequence[Fill],
    options: RealignOptions | None = None,
    draws: Draws | None = None,
    out: npt.NDArray[Any] | None = None,
    n_threads: int = 1,
) -> RealignedTracks:
    """Signal along haplotypes; see `protocol.Backend.realign`."""
    options = options or _PLAIN
    check_tracks(windows, tracks, fills, options, draws)
    rows = (len(windows), len(tracks), reader.ploidy)
    offsets = None
    if windows.length_bp is None:
        lengths = reader.lengths(windows)[:, None, :] // options.bin_size
        offsets = row_offsets(lengths, rows)
    call = _Call(windows, reader.table.contig_names, reader.contig_lengths, options)
    call.add_tracks(tracks, fills)
    if draws is not None and any(isinstance(fill, FlankSample) for fill in fills):
        call.add_draws(draws)
    request = reader.request(windows)
    return call.run(reader.lists, request, rows, offsets, n_threads, out)


def reference_tracks(
    contigs: ContigTable,
    windows: HaplotypeWindows,
    tracks: Sequence[Track],
    options: RealignOptions | None = None,
    out: npt.NDArray[Any] | None = None,
    n_threads: int = 1,
) -> RealignedTracks:
    """Signal along the reference; see `protocol.Backend.along_reference`."""
    options = options or _PLAIN
    fills = [_REPEAT] * len(tracks)
    check_tracks(windows, tracks, fills, options, None)
    rows = (len(windows), len(tracks))
    offsets = None
    if windows.length_bp is None:
        lengths = (windows.end - windows.start)[:, None] // options.bin_size
        offsets = row_offsets(lengths, rows)
    call = _Call(windows, contigs.names, contigs.lengths, options)
    call.add_tracks(tracks, fills)
    lists = native.HaplotypeLists(ploidy=1)
    request = _reference_request(windows, len(contigs))
    return call.run(lists, request, rows, offsets, n_threads, out)


def _reference_request(windows: HaplotypeWindows, n_contigs: int) -> Any:
    """The C structure of the same windows of the reference; valid as long as `windows` is."""
    for_whom = ("reference", n_contigs)
    found = windows.made.get(for_whom)
    if found is not None:
        return found
    check_contig_index(windows, n_contigs)
    index = windows.contig_index
    samples = np.full(len(windows), -1, np.int64)
    request = native.HaplotypeRequest(
        n_windows=len(windows),
        contig_index=address(index),
        start=address(windows.start),
        end=address(windows.end),
        sample=address(samples),
        reverse=None if windows.reverse is None else address(windows.reverse),
        length_bp=-1 if windows.length_bp is None else windows.length_bp,
    )
    request.kept = samples
    windows.made[for_whom] = request
    return request


def check_contig_index(windows: HaplotypeWindows, n_contigs: int) -> None:
    """Raise `InvalidInputError` if a window lies on none of the contigs."""
    index = windows.contig_index
    if len(index) and index.view(np.uint32).max() >= n_contigs:
        raise InvalidInputError(
            f"haplotype windows: expected contig_index of 0 to {n_contigs - 1}; "
            f"got {index.min()} to {index.max()}"
        )


class _Call:
    """One call: its structure, and the arrays that have to live as long as it runs.

    Short windows take so little time that every address that is asked for counts.
    """

    def __init__(
        self,
        windows: HaplotypeWindows,
        contig_names: tuple[str, ...],
        contig_bp: Int64Array,
        options: RealignOptions,
    ) -> None:
        self._windows, self._contig_names, self._options = windows, contig_names, options
        self._kept: list[Any] = []
        self._addresses: dict[int, int] = {}
        self._request = native.RealignRequest.from_buffer_copy(request_template(options))
        self._request.contig_bp = self._address(contig_bp)

    def add_tracks(self, tracks: Sequence[Track], fills: Sequence[Fill]) -> None:
        """Fill the records of tracks that have been checked."""
        records = (native.RealignTrack * len(tracks))()
        for number, (track, fill) in enumerate(zip(tracks, fills, strict=True)):
            if isinstance(track, TrackRows):
                records[number] = self._rows_record(track, fill)
            else:
                records[number] = self._dense_record(track, fill)
        self._kept.append(records)
        self._request.n_tracks = len(tracks)
        self._request.tracks = addressof(records)
        source = source_tracks(self._options)
        if source is not None:
            self._request.source_track = self._address(source)

    def add_draws(self, draws: Draws) -> None:
        """Note what random numbers are drawn from."""
        self._request.seed = draws.seed
        self._request.epoch = draws.epoch
        self._request.cell = self._address(np.ascontiguousarray(draws.cells, np.int64))

    def run(
        self,
        lists: Structure,
        windows: Structure,
        rows: tuple[int, ...],
        offsets: Int64Array | None,
        n_threads: int,
        out: npt.NDArray[Any] | None,
    ) -> RealignedTracks:
        """Make the output and call the library."""
        options, length_bp, request = self._options, self._windows.length_bp, self._request
        shape = made_shape = rows
        if offsets is not None:
            shape = made_shape = (int(offsets[-1]),)
            request.row_offset = self._address(offsets)
        elif length_bp is not None:
            shape = options.shape(rows, length_bp)
            made_shape = (*rows, length_bp // options.bin_size)
        dtype = numpy_dtype(options.dtype)
        if out is not None and (out.shape != shape or out.dtype != dtype or not out.flags.carray):
            raise InvalidInputError(
                f"argument out: expected a writable contiguous array {shape} {dtype}; "
                f"got {out.shape} {out.dtype}"
            )
        made = out
        if made is None or made_shape != shape:
            made = _pool.empty(made_shape, dtype)
        request.haplotypes, request.windows = addressof(lists), addressof(windows)
        request.out = address(made)
        request.n_threads = n_threads
        native.library().bwl_realign_tracks(addressof(request))
        if request.status != RealignStatus.OK:
            raise realign_error(
                request.status,
                int(request.failed_window),
                int(request.failed_track),
                self._windows,
                self._contig_names,
            )
        if made_shape == shape:
            return RealignedTracks(made, offsets)
        if out is None:
            out = _pool.empty(shape, dtype)
        out[:] = np.moveaxis(made, 1, -1)
        return RealignedTracks(out, offsets)

    def _address(self, array: npt.NDArray[Any]) -> int:
        """Address of an array, which is kept."""
        found = self._addresses.get(id(array))
        if found is None:
            self._kept.append(array)
            found = self._addresses[id(array)] = address(array)
        return found

    def _rows_record(self, track: TrackRows, fill: Fill) -> Any:
        table = table_arrays(track.table, self._contig_names)
        self._kept.append(table)
        record = table.record(fill, track.transform)
        record.sample = self._address(np.ascontiguousarray(track.samples, np.int64))
        return record

    def _dense_record(self, track: DenseRows, fill: Fill) -> Any:
        values = np.ascontiguousarray(track.values, np.float32)
        record = new_record(fill, track.transform)
        record.dense = self._address(values)
        record.dense_start = self._address(np.ascontiguousarray(track.start, np.int64))
        record.dense_bp = values.shape[1]
        return record


def row_offsets(lengths: Int64Array, rows: tuple[int, ...]) -> Int64Array:
    """Where rows of some lengths begin that stand one after the other, and the end of the last."""
    every = np.broadcast_to(lengths, rows)
    offsets = np.zeros(every.size + 1, np.int64)
    np.cumsum(every.reshape(-1), out=offsets[1:])
    return offsets


def source_tracks(options: RealignOptions) -> npt.NDArray[np.int32] | None:
    """The track that each place of a reversed window has, (T,); None for its own."""
    swap = options.track_swap
    if swap is None:
        return None
    source = np.empty(len(swap), np.int32)
    source[list(swap)] = np.arange(len(swap))
    return source
