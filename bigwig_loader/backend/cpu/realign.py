"""Signal on haplotypes on the CPU: one call into the C library per batch."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import Structure, addressof
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.cpu import library as native
from bigwig_loader.backend.cpu.addresses import address
from bigwig_loader.backend.cpu.pool import ArrayPool
from bigwig_loader.backend.cpu.realign_records import new_record, request_template, table_arrays
from bigwig_loader.errors import InvalidDataError, InvalidInputError
from bigwig_loader.formats.interval_table import IntervalTable
from bigwig_loader.plan.fills import Fill, FlankSample, Repeat5p
from bigwig_loader.plan.haplotypes import HaplotypeWindows
from bigwig_loader.plan.realign import RealignOptions
from bigwig_loader.plan.signal import TrackTransform
from bigwig_loader.plan.windows import ContigTable
from bigwig_loader.types import numpy_dtype

if TYPE_CHECKING:
    from bigwig_loader.backend.cpu.haplotypes import HaplotypeReader

Int64Array = npt.NDArray[np.int64]

_NO_TRANSFORM = TrackTransform()
_PLAIN = RealignOptions()
_REPEAT = Repeat5p()
# enum RealignStatus of cuda_kernels/host/realign.h
_DONE, _NO_MEMORY, _BAD_SAMPLE, _OUTSIDE_DENSE, _, _BAD_ROW = range(6)
_pool = ArrayPool()


@dataclass(frozen=True)
class TrackRows:
    """A track that stands in an interval table.

    Parameters
    ----------
    table : IntervalTable
    samples : (B,) int64
        Row of the table's samples for each window; 0 for a track that has no samples.
    transform : TrackTransform
        `nan_to` and `scale` for stored values, the rest for finished bins.
    """

    table: IntervalTable
    samples: Int64Array
    transform: TrackTransform = _NO_TRANSFORM


@dataclass(frozen=True)
class DenseRows:
    """A track that was read base by base.

    Parameters
    ----------
    values : (B, span) float32
        What positions outside the contig have is taken from here too.
    start : (B,) int64
        Position of each row's first value.
    transform : TrackTransform
        `nan_to` and `scale` do not count: `values` are taken as they are.
    """

    values: npt.NDArray[np.float32]
    start: Int64Array
    transform: TrackTransform = _NO_TRANSFORM


@dataclass(frozen=True)
class RealignedTracks:
    """Signal of T tracks in B windows on P haplotypes, N bins each.

    Parameters
    ----------
    data : ndarray
        (B, T, P, N); (B, T, N) in reference coordinates; without a `length_bp` all rows one after
        the other, in the same order.
    offsets : (B * T * P + 1,) int64, optional
        Where the rows begin; None for windows of one length.
    """

    data: npt.NDArray[Any]
    offsets: Int64Array | None = None


def realign_tracks(  # noqa: PLR0913 - what a batch of tracks depends on
    reader: HaplotypeReader,
    windows: HaplotypeWindows,
    tracks: Sequence[TrackRows | DenseRows],
    fills: Sequence[Fill],
    *,
    options: RealignOptions | None = None,
    seed: int = 0,
    epoch: int = 0,
    cells: Int64Array | None = None,
    n_threads: int = 1,
    out: npt.NDArray[Any] | None = None,
) -> RealignedTracks:
    """Signal along haplotypes: every base has the value at its reference position.

    The segments are those of the sequence of the same windows (`HaplotypeReader.encode`). The
    bases of an insertion are filled, see `plan.fills`; bases outside the contig, and those
    without data, have the values of `options`. A reversed window is delivered from its end.

    Parameters
    ----------
    reader : HaplotypeReader
    windows : HaplotypeWindows
        B windows. Without `length_bp` their rows have their natural lengths.
    tracks : sequence of T TrackRows or DenseRows
    fills : sequence of T Fill
    options : RealignOptions, optional
    seed, epoch : int
        What `FlankSample` draws from.
    cells : (B,) int64, optional
        Number of each window's (region, sample) in the data set; needed for `FlankSample`.
    n_threads : int
    out : ndarray, optional
        Written and returned as ``data``: contiguous, of its shape and dtype.

    Raises
    ------
    InvalidInputError
        If an argument does not fit the others, or a haplotype reaches out of the `DenseRows`.
    """
    options = options or _PLAIN
    rows = (len(windows), len(tracks), reader.ploidy)
    offsets = None
    if windows.length_bp is None:
        lengths = reader.lengths(windows)[:, None, :] // options.bin_size
        offsets = _offsets(np.broadcast_to(lengths, rows))
    call = _Call(windows, reader.table.contig_names, reader.contig_lengths, options)
    call.add_tracks(tracks, fills)
    if any(isinstance(fill, FlankSample) for fill in fills):
        call.add_draws(seed, epoch, cells)
    request = reader.request(windows)
    return call.run(reader.lists, request, rows, offsets, n_threads, out)


def reference_tracks(
    windows: HaplotypeWindows,
    tracks: Sequence[TrackRows | DenseRows],
    contigs: ContigTable,
    *,
    options: RealignOptions | None = None,
    n_threads: int = 1,
    out: npt.NDArray[Any] | None = None,
) -> RealignedTracks:
    """Signal along the reference, whatever the samples carry.

    Parameters
    ----------
    windows : HaplotypeWindows
        With `length_bp` the bases from `start` on, else those of the window. A shift, which
        counts haplotype bases, is left out.
    tracks : sequence of T TrackRows or DenseRows
    contigs : ContigTable
        What ``windows.contig_index`` counts.
    options, n_threads, out
        As for `realign_tracks`.

    Returns
    -------
    RealignedTracks
        ``data`` (B, T, N), or all rows one after the other.
    """
    options = options or _PLAIN
    rows = (len(windows), len(tracks))
    offsets = None
    if windows.length_bp is None:
        lengths = (windows.end - windows.start)[:, None] // options.bin_size
        offsets = _offsets(np.broadcast_to(lengths, rows))
    call = _Call(windows, contigs.names, contigs.lengths, options)
    call.add_tracks(tracks, [_REPEAT] * len(tracks))
    lists = native.HaplotypeLists(ploidy=1)
    request = _reference_request(windows, len(contigs))
    return call.run(lists, request, rows, offsets, n_threads, out)


def _reference_request(windows: HaplotypeWindows, n_contigs: int) -> Any:
    """The C structure of the same windows of the reference; valid as long as `windows` is."""
    for_whom = ("reference", n_contigs)
    found = windows.made.get(for_whom)
    if found is not None:
        return found
    index = windows.contig_index
    if len(index) and index.view(np.uint32).max() >= n_contigs:
        raise InvalidInputError(
            f"haplotype windows: expected contig_index of 0 to {n_contigs - 1}; "
            f"got {index.min()} to {index.max()}"
        )
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

    def add_tracks(self, tracks: Sequence[TrackRows | DenseRows], fills: Sequence[Fill]) -> None:
        """Check the tracks and fill their records."""
        if len(fills) != len(tracks):
            raise InvalidInputError(
                f"insertion fills: expected one for each of {len(tracks)} tracks; got {len(fills)}"
            )
        records = (native.RealignTrack * len(tracks))()
        for number, (track, fill) in enumerate(zip(tracks, fills, strict=True)):
            if isinstance(track, TrackRows):
                records[number] = self._rows_record(number, track, fill)
            else:
                records[number] = self._dense_record(number, track, fill)
        self._kept.append(records)
        self._request.n_tracks = len(tracks)
        self._request.tracks = addressof(records)
        swap = self._options.track_swap
        if swap is not None:
            if len(swap) != len(tracks):
                raise InvalidInputError(
                    f"track_swap: expected {len(tracks)} places; got {len(swap)}"
                )
            source = np.empty(len(swap), np.int32)
            source[list(swap)] = np.arange(len(swap))
            self._request.source_track = self._address(source)

    def add_draws(self, seed: int, epoch: int, cells: Int64Array | None) -> None:
        """Note what random numbers are drawn from."""
        if cells is None or cells.shape != self._windows.start.shape:
            got = None if cells is None else cells.shape
            raise InvalidInputError(
                f"argument cells: expected the number of each window's cell, "
                f"({len(self._windows)},), since FlankSample draws by cell; got {got}"
            )
        self._request.seed = seed
        self._request.epoch = epoch
        self._request.cell = self._address(np.ascontiguousarray(cells, np.int64))

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
        shape = rows
        if offsets is not None:
            shape = (int(offsets[-1]),)
            request.row_offset = self._address(offsets)
        elif length_bp is not None:
            shape = (*rows, length_bp // options.bin_size)
        dtype = numpy_dtype(options.dtype)
        if out is None:
            out = _pool.empty(shape, dtype)
        elif out.shape != shape or out.dtype != dtype or not out.flags.carray:
            raise InvalidInputError(
                f"argument out: expected a writable contiguous array {shape} {dtype}; "
                f"got {out.shape} {out.dtype}"
            )
        request.haplotypes, request.windows = addressof(lists), addressof(windows)
        request.out = address(out)
        request.n_threads = n_threads
        native.library().bwl_realign_tracks(addressof(request))
        if request.status != _DONE:
            raise self._error()
        return RealignedTracks(out, offsets)

    def _address(self, array: npt.NDArray[Any]) -> int:
        """Address of an array, which is kept."""
        found = self._addresses.get(id(array))
        if found is None:
            self._kept.append(array)
            found = self._addresses[id(array)] = address(array)
        return found

    def _rows_record(self, number: int, track: TrackRows, fill: Fill) -> Any:
        samples = np.ascontiguousarray(track.samples, np.int64)
        if samples.shape != self._windows.start.shape:
            raise InvalidInputError(
                f"track {number}: expected a sample for each of {len(self._windows)} windows; "
                f"got {samples.shape}"
            )
        table = table_arrays(track.table, self._contig_names)
        self._kept.append(table)
        record = table.record(fill, track.transform)
        record.sample = self._address(samples)
        return record

    def _dense_record(self, number: int, track: DenseRows, fill: Fill) -> Any:
        values = np.ascontiguousarray(track.values, np.float32)
        start = np.ascontiguousarray(track.start, np.int64)
        n = len(self._windows)
        if values.ndim != 2 or len(values) != n or start.shape != (n,):
            raise InvalidInputError(
                f"track {number}: expected values ({n}, span) and start ({n},); "
                f"got {values.shape} and {start.shape}"
            )
        record = new_record(fill, track.transform)
        record.dense, record.dense_start = self._address(values), self._address(start)
        record.dense_bp = values.shape[1]
        return record

    def _error(self) -> Exception:
        request, windows = self._request, self._windows
        if request.status == _NO_MEMORY:
            return MemoryError("no memory for the signal of a window on its haplotypes")
        window, track = int(request.failed_window), int(request.failed_track)
        name = self._contig_names[int(windows.contig_index[window])]
        where = f"track {track}, window {window} ({name}:{windows.start[window]}-"
        where += f"{windows.end[window]})"
        if request.status == _BAD_ROW:
            return InvalidDataError(
                f"{where}: the genotypes have a list with a number that is no row of the variants. "
                "The file is damaged, or belongs to other variants: write it again"
            )
        if request.status == _BAD_SAMPLE:
            return InvalidInputError(f"{where}: expected a sample of the interval table")
        if request.status == _OUTSIDE_DENSE:
            return InvalidInputError(
                f"{where}: a haplotype reaches further along the reference than the values that "
                "were read; read as far as HaplotypeReader.ends says"
            )
        return InvalidInputError(f"{where}: the haplotypes changed while they were read")


def _offsets(lengths: npt.NDArray[np.int64]) -> Int64Array:
    offsets = np.zeros(lengths.size + 1, np.int64)
    np.cumsum(lengths.reshape(-1), out=offsets[1:])
    return offsets
