"""Cells whose haplotypes are made of other variants than they carry."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np

from bigwig_loader.dataset.prepared.batch import CellReader
from bigwig_loader.dataset.prepared.indexing import Cells
from bigwig_loader.dataset.prepared.outputs import Output
from bigwig_loader.dataset.prepared.window_lists import (
    WindowLists,
    WindowReader,
    carried_in,
    join_tables,
    span_ends,
)
from bigwig_loader.plan.haplotypes import HaplotypeWindows

if TYPE_CHECKING:
    from bigwig_loader.backend.protocol import HaplotypeReader
    from bigwig_loader.plan.realign import TrackRows


class ChangedCells(CellReader):
    """A `CellReader` that takes its haplotypes from lists of each batch's own."""

    _asked: HaplotypeWindows | None = None

    def read_lists(
        self, made: WindowReader, windows: HaplotypeWindows, cells: Cells, epoch: int
    ) -> list[Output]:
        """What cells hold, with the haplotypes of `made`.

        Parameters
        ----------
        made : WindowReader
            Its windows are `windows`, once or several times over.
        windows : HaplotypeWindows
            Of the cells.
        cells : (B,) int64
        epoch : int

        Returns
        -------
        list of Output
            As `read`, with as many rows as `made` has windows.
        """
        times = len(made.windows) // max(len(windows), 1)
        again = copy.copy(self)
        again._reader = made.reader
        again._asked = repeated(windows, times)
        out: list[Output] = []
        if self._settings.sequences is not None:
            out.append(again._sequences(made.windows))
        if self._settings.tracks:
            out.append(again._tracks(made.windows, np.tile(cells, times), epoch))
        return out

    def _track_rows(self, windows: HaplotypeWindows) -> list[TrackRows]:
        # The windows of a WindowReader name lists; those asked for name samples.
        return super()._track_rows(windows if self._asked is None else self._asked)


class ExonicCells(ChangedCells):
    """Cells without the variants that do not lie in their window as a whole."""

    def read(self, cells: Cells, epoch: int = 0) -> list[Output]:
        """As `CellReader.read`."""
        if self._reader is None or self._settings.sequences == "reference":
            return super().read(cells, epoch)
        windows = self.windows(cells, epoch)
        return self.read_lists(exonic(self._reader, windows), windows, cells, epoch)


def exonic(reader: HaplotypeReader, windows: HaplotypeWindows) -> WindowReader:
    """Haplotypes whose windows have only the variants that lie in them as a whole.

    What is left out is left out before overlaps are decided.

    Parameters
    ----------
    reader : HaplotypeReader
    windows : HaplotypeWindows
        B windows; the reader's `windows` are these in its own terms.
    """
    lists = exonic_lists(reader, windows)
    table = join_tables(reader.table, None, lists.rows)
    return WindowReader(reader, windows, lists, table, reader.overlap)


def exonic_lists(reader: HaplotypeReader, windows: HaplotypeWindows) -> WindowLists:
    """What haplotypes carry that lies in its window as a whole."""
    table = reader.table
    lists = carried_in(reader, windows, np.repeat(windows.end[:, None], reader.ploidy, axis=1))
    start = np.repeat(windows.start, reader.ploidy)[lists.of_list]
    end = np.repeat(windows.end, reader.ploidy)[lists.of_list]
    whole = (table.position[lists.rows] >= start) & (span_ends(table, lists.rows) <= end)
    return lists.filtered(whole)


def repeated(windows: HaplotypeWindows, times: int) -> HaplotypeWindows:
    """All windows, then all of them again, `times` in all."""
    return HaplotypeWindows(
        np.tile(windows.contig_index, times),
        np.tile(windows.start, times),
        np.tile(windows.end, times),
        np.tile(windows.sample, times),
        None if windows.reverse is None else np.tile(windows.reverse, times),
        None if windows.shift is None else np.tile(windows.shift, (times, 1)),
        windows.length_bp,
    )
