"""What there is in the cells of a view: lengths, numbers, and what became of each variant."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.dataset.prepared.batch import CellReader
from bigwig_loader.dataset.prepared.explain import Explanation, explain_haplotype
from bigwig_loader.dataset.prepared.indexing import cells_of
from bigwig_loader.dataset.prepared.variants_view import rows_in
from bigwig_loader.dataset.prepared.view import GridView
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.plan.haplotypes import HaplotypeWindows

if TYPE_CHECKING:
    from bigwig_loader.backend.protocol import HaplotypeReader


class InspectedView(GridView):
    """A view with its reader, and what can be counted; see `PreparedDataset`."""

    @property
    def reader(self) -> CellReader:
        """What reads the cells of this view."""
        if self._batches is None:
            self._batches = CellReader(self._sources, self._settings, self._regions, self._samples)
        return self._batches

    @property
    def haplotypes(self) -> HaplotypeReader:
        """Haplotypes of all samples, with the view's filters and policy for overlaps."""
        return self.reader.reader

    def full_cells(self, cells: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Cells of this view, counted in the data set as it was written."""
        return self.reader.full_cells(cells)

    def _windows(self, regions: Any, samples: Any) -> tuple[HaplotypeWindows, tuple[int, ...]]:
        everything = slice(None)
        key = (
            everything if regions is None else regions,
            everything if samples is None else samples,
        )
        cells, shape = cells_of(key, *self._both_axes())
        windows = self.reader.windows(cells, self._settings.epoch)
        return replace(windows, shift=None), shape

    def haplotype_lengths(self, regions: Any = None, samples: Any = None) -> npt.NDArray[np.int64]:
        """Natural lengths of the haplotypes in their windows, (..., ploidy)."""
        windows, shape = self._windows(regions, samples)
        return self.haplotypes.lengths(windows).reshape(*shape, -1)

    def n_variants(self, regions: Any = None, samples: Any = None) -> npt.NDArray[np.int64]:
        """Variants that haplotypes carry in their windows, applied or not, (..., ploidy)."""
        data, settings = self._sources.data, self._settings
        if data.table is None or data.genotypes is None:
            raise InvalidInputError("n_variants: expected a data set with variants")
        windows, shape = self._windows(regions, samples)
        keep = self._sources.keep(settings.min_af, settings.max_af)
        _, offsets = rows_in(data.table, data.genotypes, windows, keep)
        return np.diff(offsets).reshape(*shape, data.ploidy)

    def n_intervals(self, regions: Any = None, samples: Any = None) -> npt.NDArray[np.int64]:
        """Stored intervals that overlap the windows, of each active track, (..., track)."""
        windows, shape = self._windows(regions, samples)
        counts = self.reader.count_intervals(windows)
        return counts.reshape(*shape, len(self._settings.tracks))

    def explain(self, region: int | str, sample: int | str, ploid: int = 0) -> Explanation:
        """Which variants a haplotype applies in a region, and which not, and why.

        Parameters
        ----------
        region, sample : int or str
        ploid : int

        Returns
        -------
        Explanation
            A table when printed.
        """
        regions, samples = self._both_axes()
        row, column = int(regions.rows(region)), int(samples.rows(sample))
        cell = np.array([row * self.n_samples + column])
        return explain_haplotype(
            self.haplotypes,
            self.reader.windows(cell, self._settings.epoch),
            ploid,
            keep=self._sources.keep(self._settings.min_af, self._settings.max_af),
            title=f"region {region!r}, sample {self.samples[column]!r}, haplotype {ploid}",
        )
