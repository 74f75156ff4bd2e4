"""Signal on haplotypes on a GPU: tracks stay there, and follow the segments of the sequence."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.cpu.realign import check_contig_index, row_offsets
from bigwig_loader.backend.cuda.haplotypes import CudaHaplotypeReader
from bigwig_loader.backend.cuda.outputs import array_dtype
from bigwig_loader.backend.cuda.realign_batch import Batch, Rows
from bigwig_loader.backend.cuda.slots import Slot, SlotRing
from bigwig_loader.backend.cuda.work import (
    N_SLOTS,
    Owner,
    Resident,
    check_contiguous,
    check_out,
    queue,
)
from bigwig_loader.backend.protocol import HaplotypeReader, RealignedTracks
from bigwig_loader.backend.realign_errors import RealignStatus, realign_error
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.formats.interval_table import IntervalTable
from bigwig_loader.plan.fills import Fill, FlankSample, Repeat5p
from bigwig_loader.plan.haplotypes import HaplotypeWindows
from bigwig_loader.plan.realign import (
    Draws,
    RealignOptions,
    Track,
    TrackRows,
    check_tracks,
)
from bigwig_loader.plan.windows import ContigTable

Int64Array = npt.NDArray[np.int64]

_PLAIN = RealignOptions()
_REPEAT = Repeat5p()


class CudaRealigner:
    """Puts signal on haplotypes on one device.

    The intervals of a table are put on the device when one of its tracks is first asked for, and
    stay as long as the table does: 12 bytes an interval and 8 a list.

    Parameters
    ----------
    owner : Owner
    """

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._ring = SlotRing(owner.device, N_SLOTS)
        self._tables: weakref.WeakKeyDictionary[IntervalTable, Resident] = (
            weakref.WeakKeyDictionary()
        )
        self._lock = threading.Lock()

    def realign(
        self,
        reader: HaplotypeReader,
        windows: HaplotypeWindows,
        tracks: Sequence[Track],
        fills: Sequence[Fill],
        options: RealignOptions | None = None,
        draws: Draws | None = None,
        out: Any = None,
        wait: bool = True,
    ) -> RealignedTracks:
        """Signal along haplotypes, see `protocol.Backend.realign`; bfloat16 as uint16.

        Values of `DenseRows` in device memory have to be there already.
        """
        options = options or _PLAIN
        check_tracks(windows, tracks, fills, options, draws)
        if not isinstance(reader, CudaHaplotypeReader):
            raise InvalidInputError(
                "argument reader: expected one of this backend (Backend.open_haplotypes); "
                f"got {type(reader).__name__}"
            )
        host = reader.host
        host.request(windows)  # checks them
        rows = Rows(
            windows,
            host.table.contig_names,
            host.contig_lengths,
            None if windows.length_bp is not None else reader.lengths(windows),
            reader.ploidy,
            reader.lists,
            (len(windows), len(tracks), reader.ploidy),
        )
        drawn = draws if any(isinstance(fill, FlankSample) for fill in fills) else None
        return self._run(rows, tracks, fills, options, drawn, out, wait, [reader])

    def along_reference(
        self,
        contigs: ContigTable,
        windows: HaplotypeWindows,
        tracks: Sequence[Track],
        options: RealignOptions | None = None,
        out: Any = None,
        wait: bool = True,
    ) -> RealignedTracks:
        """Signal along the reference, see `protocol.Backend.along_reference`."""
        options = options or _PLAIN
        fills = [_REPEAT] * len(tracks)
        check_tracks(windows, tracks, fills, options, None)
        check_contig_index(windows, len(contigs))
        n = len(windows)
        # Nobody carries anything, and no base is left out.
        plain = HaplotypeWindows(
            windows.contig_index,
            windows.start,
            windows.end,
            np.full(n, -1, np.int64),
            windows.reverse,
            None,
            windows.length_bp,
        )
        lengths = None if windows.length_bp is not None else (windows.end - windows.start)[:, None]
        rows = Rows(plain, contigs.names, contigs.lengths, lengths, 1, None, (n, len(tracks)))
        return self._run(rows, tracks, fills, options, None, out, wait, [])

    def _run(
        self,
        rows: Rows,
        tracks: Sequence[Track],
        fills: Sequence[Fill],
        options: RealignOptions,
        draws: Draws | None,
        out: Any,
        wait: bool,
        kept: list[Any],
    ) -> RealignedTracks:
        windows, offsets = rows.windows, None
        if rows.lengths is not None:
            lengths = rows.lengths.reshape(len(windows), 1, *rows.axes[2:]) // options.bin_size
            offsets = row_offsets(lengths, rows.axes)
        shape = (
            (int(offsets[-1]),)
            if offsets is not None
            else options.shape(rows.axes, windows.length_bp or 0)
        )
        dtype = array_dtype(options.dtype)
        if out is None:
            out = self._owner.outputs.empty(shape, dtype)
        else:
            check_out(out, shape, dtype, self._owner.device)
            check_contiguous(out)
        made = RealignedTracks(out, offsets)
        _check_samples(rows, tracks)
        if len(windows) == 0 or not tracks:
            return made
        kept += [made, tracks]

        def start(slot: Slot) -> Callable[[], None]:
            batch = Batch(self._owner, rows, options, slot)
            for track, fill in zip(tracks, fills, strict=True):
                if isinstance(track, TrackRows):
                    batch.add_rows(track, fill, self._resident(track.table, slot))
                else:
                    kept.append(batch.add_dense(track, fill))
            if draws is not None:
                batch.add_draws(draws)
            return batch.queue(out, offsets)

        queue(self._owner, self._ring, start, kept, wait)
        return made

    def _resident(self, table: IntervalTable, slot: Slot) -> Resident:
        with self._lock:
            found = self._tables.get(table)
            if found is None:
                arrays = (table.offsets, table.start, table.end, table.value)
                found = self._tables[table] = Resident(self._owner, arrays, slot)
            return found


def _check_samples(rows: Rows, tracks: Sequence[Track]) -> None:
    """Raise for the first window that asks for a sample which its table lacks."""
    failed = []
    for number, track in enumerate(tracks):
        if isinstance(track, TrackRows):
            samples = np.asarray(track.samples, np.int64)
            bad = np.flatnonzero((samples < 0) | (samples >= len(track.table.samples)))
            failed += [(int(window), number) for window in bad[:1]]
    if failed:
        window, number = min(failed)
        status = RealignStatus.BAD_SAMPLE
        raise realign_error(status, window, number, rows.windows, rows.contig_names)
