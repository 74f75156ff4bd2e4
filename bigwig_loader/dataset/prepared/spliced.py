"""A view whose rows may be transcripts, and whose variants may have to lie within a region."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import numpy.typing as npt

from bigwig_loader.dataset.prepared.batch import CellReader
from bigwig_loader.dataset.prepared.changed_cells import ExonicCells, exonic, exonic_lists
from bigwig_loader.dataset.prepared.explain import Explanation, explain_haplotype
from bigwig_loader.dataset.prepared.indexing import Axis, Cells, cells_of
from bigwig_loader.dataset.prepared.inspected import InspectedView
from bigwig_loader.dataset.prepared.outputs import RIGHT_PAD, AnnotatedHaplotypes, Output, Rows
from bigwig_loader.dataset.prepared.settings import Settings
from bigwig_loader.dataset.prepared.splicing import SpliceInfo, Splicing, join_rows, splice
from bigwig_loader.dataset.prepared.window_lists import I64, span_ends
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.ragged import Ragged

if TYPE_CHECKING:
    import pandas as pd

_CUT = "reaches out of the region (var_filter='exonic')"


class SplicedView(InspectedView):
    """A view with or without splicing; see `PreparedDataset`."""

    _splicing: Splicing | None = None
    _splice_info: SpliceInfo | None = None
    _transcripts: Cells = np.empty(0, np.int64)  # rows of the splicing that the view has

    def _spliced(self, info: SpliceInfo | Literal[False] | None) -> Self:
        """The view with transcripts as its rows; None leaves as it is, False ends it."""
        if info is False:
            return self._view(_splicing=None, _splice_info=None, _transcripts=self._transcripts[:0])
        if info is not None:
            made = splice(self.get_bed(), info, self._settings.rc_neg)
            everything = np.arange(len(made))
            view = self._view(_splicing=made, _splice_info=info, _transcripts=everything)
        elif self._splicing is not None and self._splice_info is not None:
            # rc_neg may have changed, and with it the order along transcripts.
            made = splice(self.get_bed(), self._splice_info, self._settings.rc_neg)
            view = self._view(_splicing=made)
        else:
            return self
        _check(view.settings)
        return view

    @property
    def is_spliced(self) -> bool:
        """Whether the rows are transcripts."""
        return self._splicing is not None

    @property
    def spliced_regions(self) -> pd.DataFrame:
        """A row per transcript: ``splice_id`` and, as lists, all columns of its regions in order.

        Raises
        ------
        InvalidInputError
            Without splicing.
        """
        if self._splicing is None:
            raise InvalidInputError(
                "spliced_regions: expected a data set opened with splice_info=; got one without"
            )
        frame = self._splicing.frame(self.get_bed())
        return frame.iloc[self._transcripts].reset_index(drop=True)

    # -------------------------------------------------------------------------- rows and cells --

    @property
    def n_regions(self) -> int:
        """Rows of this view: regions or, spliced, transcripts."""
        return len(self._regions) if self._splicing is None else len(self._transcripts)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and samples of this view."""
        return self.n_regions, self.n_samples

    @property
    def full_shape(self) -> tuple[int, int]:
        """Rows and samples of the whole data set."""
        n_regions, n_samples = super().full_shape
        return n_regions if self._splicing is None else len(self._splicing), n_samples

    @property
    def is_subset(self) -> bool:
        """Whether the view has other rows or samples than the data set, or another order."""
        if self._splicing is None:
            return super().is_subset
        others = self._transcripts, np.arange(len(self._splicing))
        samples = self._samples, np.arange(self.full_shape[1])
        return not (np.array_equal(*others) and np.array_equal(*samples))

    def subset_to(self, regions: Any = None, samples: Any = None) -> Self:
        """A view of some regions (transcripts, where spliced) and samples, in the order asked for.

        Parameters
        ----------
        regions : optional
            Indices, a mask or a slice; names of transcripts, or of regions with ``region_names``;
            or intervals, as a path or a frame: then all regions that overlap one of them, in their
            own order.
        samples : optional
            Names, indices, a mask or a slice.
        """
        if self._splicing is None or regions is None:
            return super().subset_to(regions, samples)
        if hasattr(regions, "columns"):
            raise InvalidInputError(
                "argument regions: expected transcripts by name or number in a spliced data set; "
                "got a frame. Choose regions before splice_info= is set"
            )
        rows = np.atleast_1d(self._both_axes()[0].rows(np.asarray(regions)))
        if not len(rows):
            raise InvalidInputError("subset: expected at least one transcript; got none")
        return self._view(_transcripts=self._transcripts[rows]).subset_to(None, samples)

    def to_full_dataset(self) -> Self:
        """The view with all rows and samples again."""
        if self._splicing is None:
            return super().to_full_dataset()
        return self._view(
            _transcripts=np.arange(len(self._splicing)), _samples=np.arange(self.full_shape[1])
        )

    def _both_axes(self) -> tuple[Axis, Axis]:
        if self._splicing is not None and self._axes is None:
            names = [self._splicing.names[k] for k in self._transcripts.tolist()]
            samples = {name: i for i, name in reversed(list(enumerate(self.samples)))}
            self._axes = (
                Axis("transcript", self.n_regions, {name: i for i, name in enumerate(names)}),
                Axis("sample", self.n_samples, samples),
            )
        return super()._both_axes()

    def full_cells(self, cells: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Cells of this view, counted in the data set as it was written, or as it was spliced."""
        if self._splicing is None:
            return super().full_cells(cells)
        row, column = np.divmod(cells, self.n_samples)
        full: I64 = self._transcripts[row] * self.full_shape[1] + self._samples[column]
        return full

    def _elements(self, cells: Cells) -> tuple[Cells, I64]:
        """Cells of the regions of spliced cells, one after the other, and offsets."""
        assert self._splicing is not None
        row, column = np.divmod(cells, self.n_samples)
        regions, offsets = self._splicing.elements(self._transcripts[row])
        return regions * self.n_samples + np.repeat(column, np.diff(offsets)), offsets

    def _row_key(self) -> tuple[Any, ...]:
        """What decides which regions a row is made of."""
        if self._splicing is None:
            return ()
        return self._splicing.regions, self._splicing.offsets, self._transcripts

    # --------------------------------------------------------------------------------- reading --

    @property
    def reader(self) -> CellReader:
        """What reads the regions of this view."""
        if self._batches is None:
            kind = ExonicCells if self._settings.var_filter == "exonic" else CellReader
            settings = self._settings
            if self._splicing is not None:
                # Rows are padded when they are joined.
                settings = replace(
                    settings, length="ragged", options=replace(settings.options, layout="BPLA")
                )
            self._batches = kind(self._sources, settings, self._regions, self._samples)
        return self._batches

    def _read(self, cells: Cells, epoch: int) -> list[Output]:
        """What cells hold: the sequences, then the tracks."""
        if self._splicing is None:
            return self.reader.read(cells, epoch)
        elements, offsets = self._elements(cells)
        out = [join_rows(part, offsets) for part in self.reader.read(elements, epoch)]
        if self._settings.length == "ragged":
            return out
        first = self._settings.sequences is not None
        return [self._padded(part, first and k == 0) for k, part in enumerate(out)]

    def _padded(self, part: Output, is_sequence: bool) -> Output:
        options = self._settings.options
        if isinstance(part, AnnotatedHaplotypes):
            haps = self._padded(part.haps, True)
            assert isinstance(haps, np.ndarray)
            return AnnotatedHaplotypes(
                haps, _pad(part.var_idxs, -1), _pad(part.ref_coords, RIGHT_PAD)
            )
        assert isinstance(part, Ragged)
        if not is_sequence:
            return part.to_padded(0)
        padded = part.to_padded(options.tokens[0] if options.encoding == "tokens" else None)
        if options.encoding == "onehot" and options.layout == "BPAL":
            return np.ascontiguousarray(padded.swapaxes(-1, -2))
        return padded

    # -------------------------------------------------------------------------------- counting --

    def _summed(self, name: str, regions: Any, samples: Any) -> npt.NDArray[np.int64]:
        """What a method counts in regions, for transcripts."""
        everything = slice(None)
        key = [everything if x is None else x for x in (regions, samples)]
        cells, shape = cells_of(tuple(key), *self._both_axes())
        elements, offsets = self._elements(cells)
        plain = self._spliced(False)
        counts = getattr(plain, name)(*np.divmod(elements, self.n_samples))
        total = np.concatenate([np.zeros((1, *counts.shape[1:]), np.int64), counts.cumsum(axis=0)])
        summed: npt.NDArray[np.int64] = total[offsets[1:]] - total[offsets[:-1]]
        return summed.reshape(*shape, *counts.shape[1:])

    def haplotype_lengths(self, regions: Any = None, samples: Any = None) -> npt.NDArray[np.int64]:
        """Natural lengths of the haplotypes in their windows, (..., ploidy)."""
        if self._splicing is not None:
            return self._summed("haplotype_lengths", regions, samples)
        if self._settings.var_filter is None:
            return super().haplotype_lengths(regions, samples)
        windows, shape = self._windows(regions, samples)
        made = exonic(self.haplotypes, windows)
        return made.reader.lengths(made.windows).reshape(*shape, -1)

    def n_variants(self, regions: Any = None, samples: Any = None) -> npt.NDArray[np.int64]:
        """Variants that haplotypes carry in their windows, applied or not, (..., ploidy)."""
        if self._splicing is not None:
            return self._summed("n_variants", regions, samples)
        if self._settings.var_filter is None:
            return super().n_variants(regions, samples)
        windows, shape = self._windows(regions, samples)
        counts = np.diff(exonic_lists(self.haplotypes, windows).offsets)
        return counts.reshape(*shape, self.haplotypes.ploidy)

    def n_intervals(self, regions: Any = None, samples: Any = None) -> npt.NDArray[np.int64]:
        """Stored intervals that overlap the windows, of each active track, (..., track)."""
        if self._splicing is not None:
            return self._summed("n_intervals", regions, samples)
        return super().n_intervals(regions, samples)

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

        Raises
        ------
        InvalidInputError
            For a spliced view: its regions are explained one by one.
        """
        if self._splicing is not None:
            raise InvalidInputError(
                "explain: expected a region; the rows of this view are transcripts. Use "
                "with_settings(splice_info=False), and the regions of spliced_regions"
            )
        if self._settings.var_filter is None:
            return super().explain(region, sample, ploid)
        return self._explain_exonic(region, sample, ploid)

    def _explain_exonic(self, region: int | str, sample: int | str, ploid: int) -> Explanation:
        (row, column), base = self._cell_of(region, sample), self.haplotypes
        window = self.reader.windows(np.array([row * self.n_samples + column]))
        table = base.table
        every = np.arange(len(table))
        inside = (table.position >= window.start[0]) & (span_ends(table, every) <= window.end[0])
        known = self._sources.keep(self._settings.min_af, self._settings.max_af)
        keep = inside if known is None else inside & known
        reader = base.with_variants(table, base.genotypes, base.overlap, keep)
        title = f"region {region!r}, sample {self.samples[column]!r}, haplotype {ploid}"
        found = explain_haplotype(reader, window, ploid, keep, title)
        start, end = int(window.start[0]), int(window.end[0])
        variants = tuple(
            v
            if v.position >= start and v.position + max(1, 1 - v.ilen) <= end
            else replace(v, why=_CUT)
            for v in found.variants
        )
        return replace(found, variants=variants)

    def _cell_of(self, region: int | str, sample: int | str) -> tuple[int, int]:
        regions, samples = self._both_axes()
        return int(regions.rows(region)), int(samples.rows(sample))


def _pad(rows: Rows, value: int) -> npt.NDArray[Any]:
    assert isinstance(rows, Ragged)
    return rows.to_padded(value)


def _check(settings: Settings) -> None:
    """Raise unless rows can be joined."""
    for is_wrong, expected, got in (
        (
            settings.length not in ("ragged", "variable"),
            "length='ragged' or 'variable'",
            settings.length,
        ),
        (settings.jitter != 0, "jitter=0", settings.jitter),
        (not settings.deterministic, "deterministic=True", settings.deterministic),
        (settings.sequences == "variants", "sequences or none", settings.sequences),
        (settings.track_options.bin_size != 1, "bin_size=1", settings.track_options.bin_size),
    ):
        if is_wrong:
            raise InvalidInputError(
                f"splicing: expected {expected}, since rows are joined from several regions; "
                f"got {got!r}"
            )
