"""From cells to what they hold: a few calls per batch, none per cell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.dataset.prepared.indexing import Cells
from bigwig_loader.dataset.prepared.outputs import RIGHT_PAD, AnnotatedHaplotypes, Output, Rows
from bigwig_loader.dataset.prepared.settings import Settings
from bigwig_loader.dataset.prepared.sources import Sources
from bigwig_loader.dataset.prepared.variants_view import variants_in
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.plan.fills import FlankSample
from bigwig_loader.plan.haplotypes import HaplotypeWindows
from bigwig_loader.plan.realign import Draws, TrackRows
from bigwig_loader.plan.windows import ContigTable
from bigwig_loader.ragged import Ragged
from bigwig_loader.sampling.rng import Stream, random_below

if TYPE_CHECKING:
    from bigwig_loader.backend.protocol import HaplotypeArrays, HaplotypeReader


class CellReader:
    """Reads the cells of a view.

    Parameters
    ----------
    sources : Sources
    settings : Settings
    regions, samples : (R,), (S,) int64
        Rows of the data set as it was written that the view has, in its order.

    Raises
    ------
    InvalidInputError
        If windows reach further than the data set was written for.
    """

    def __init__(
        self, sources: Sources, settings: Settings, regions: Cells, samples: Cells
    ) -> None:
        data = sources.data
        self._sources, self._settings = sources, settings
        self._regions, self._samples = regions, samples
        self._contig = np.ascontiguousarray(data.contig_index[regions], np.int32)
        self._start = np.ascontiguousarray(data.start[regions], np.int64)
        self._end = np.ascontiguousarray(data.end[regions], np.int64)
        reverse = np.asarray(data.strand[regions] < 0)
        self._reverse = reverse if settings.rc_neg and reverse.any() else None
        self._length = settings.fixed_length
        self._check_reach()
        self._shifts = (
            self._length is not None
            and not settings.deterministic
            and settings.sequences in ("haplotypes", "annotated")
        )
        self._stored_end: Cells | None = None
        follows = settings.realigned or settings.sequences in ("haplotypes", "annotated")
        if follows and self._length is not None and not _is_extended(data.metadata):
            self._stored_end = np.asarray(data.stored_end[regions], np.int64)
        fills = [settings.fill_of(name) for name in settings.tracks]
        self._fills = fills
        self._draws = any(isinstance(fill, FlankSample) for fill in fills)
        self._contigs = ContigTable(data.contigs.names, sources.contig_lengths)
        self._keep = sources.keep(settings.min_af, settings.max_af)
        self._reader: HaplotypeReader | None = None
        if follows:
            self._reader = sources.haplotypes(settings.overlap, settings.min_af, settings.max_af)
        elif settings.sequences == "reference":
            self._reader = sources.reference()

    def _check_reach(self) -> None:
        """Raise if variants or intervals of some window may not be stored."""
        settings, data = self._settings, self._sources.data
        stored = bool(settings.tracks) or settings.sequences in ("haplotypes", "annotated")
        if self._length is None or not stored or not len(self._start):
            return
        missing = self._start + self._length + settings.jitter - self._end - data.max_jitter
        worst = int(missing.argmax())
        if missing[worst] > 0:
            region = int(self._regions[worst])
            raise InvalidInputError(
                f"argument length: expected at most {self._length - int(missing[worst])} with "
                f"jitter={settings.jitter}, since region {region} has "
                f"{self._end[worst] - self._start[worst]} bp and was written with "
                f"max_jitter={data.max_jitter}; got {self._length}. Write the data set with "
                "length=, or a larger max_jitter"
            )

    @property
    def reader(self) -> HaplotypeReader:
        """Reader of the haplotypes of the view, whatever it delivers."""
        settings = self._settings
        return self._sources.haplotypes(settings.overlap, settings.min_af, settings.max_af)

    def full_cells(self, cells: Cells) -> Cells:
        """Cells of the view, counted in the data set as it was written."""
        region, column = np.divmod(cells, len(self._samples))
        return self._regions[region] * self._sources.data.n_samples + self._samples[column]

    def windows(self, cells: Cells, epoch: int = 0) -> HaplotypeWindows:
        """Windows of cells: jitter, strand, length and shift applied."""
        settings = self._settings
        region, column = np.divmod(cells, len(self._samples))
        start, end = self._start[region], self._end[region]
        if settings.jitter:
            moved = random_below(
                2 * settings.jitter + 1,
                settings.seed,
                epoch,
                self.full_cells(cells),
                stream=Stream.JITTER,
            )
            moved -= settings.jitter
            start, end = start + moved, end + moved
        windows = HaplotypeWindows(
            contig_index=self._contig[region],
            start=start,
            end=end,
            sample=self._samples[column],
            reverse=None if self._reverse is None else self._reverse[region],
            length_bp=self._length,
        )
        return self._shifted(windows, cells, epoch) if self._shifts else windows

    def _shifted(self, windows: HaplotypeWindows, cells: Cells, epoch: int) -> HaplotypeWindows:
        """The windows with as many leading bases left out as chance says.

        A haplotype of n bases in its window leaves out 0 to max(n - length, 0), all equally
        likely, so that every base of the window has its turn.
        """
        reader, settings = self.reader, self._settings
        spare = np.maximum(reader.lengths(windows) - (self._length or 0), 0)
        ploids = self.full_cells(cells)[:, None] * reader.ploidy + np.arange(reader.ploidy)
        shift = random_below(
            spare.reshape(-1) + 1, settings.seed, epoch, ploids.reshape(-1), stream=Stream.SHIFT
        )
        return HaplotypeWindows(
            windows.contig_index,
            windows.start,
            windows.end,
            windows.sample,
            windows.reverse,
            shift.reshape(spare.shape),
            windows.length_bp,
        )

    def read(self, cells: Cells, epoch: int = 0) -> list[Output]:
        """What cells hold: the sequences, then the tracks, as far as they are asked for.

        Parameters
        ----------
        cells : (B,) int64
            Counted in the view.
        epoch : int
        """
        windows = self.windows(cells, epoch)
        if self._stored_end is not None:
            self._check_stored(windows, cells)
        out: list[Output] = []
        if self._settings.sequences is not None:
            out.append(self._sequences(windows))
        if self._settings.tracks:
            out.append(self._tracks(windows, cells, epoch))
        return out

    def _check_stored(self, windows: HaplotypeWindows, cells: Cells) -> None:
        """Raise if haplotypes reach past what is stored of a set that was not extended."""
        if self._stored_end is None or self._reader is None:
            return
        stored = self._stored_end[cells // len(self._samples)]
        ends = self._reader.ends(windows).max(axis=1, initial=0)
        ends = np.minimum(ends, self._contigs.lengths[windows.contig_index])
        beyond = np.flatnonzero(ends > stored)
        if len(beyond):
            k = int(beyond[0])
            raise InvalidInputError(
                f"cell {int(cells[k])}: expected haplotypes that have {self._length} bases up to "
                f"position {stored[k]}, as far as variants are stored; one takes bases up to "
                f"{int(ends[k])}. The data set was written with extend_to_length=False: ask for a "
                "smaller length, or for 'ragged'"
            )

    # --------------------------------------------------------------------------- sequences ----

    def _sequences(self, windows: HaplotypeWindows) -> Output:
        settings = self._settings
        if settings.sequences == "variants":
            data = self._sources.data
            if data.table is None or data.genotypes is None:
                raise InvalidInputError("variants: expected a data set with variants")
            return variants_in(data.table, data.genotypes, windows, settings.var_fields, self._keep)
        reader = self._reader
        assert reader is not None
        annotate = settings.sequences == "annotated"
        if settings.sequences == "reference":
            windows = _of_reference(windows)
        found = reader.encode(windows, settings.options, annotate)
        bases = self._rows(found.data, found)
        if not annotate:
            return bases
        records, places = found.var_idxs, found.ref_coords
        assert records is not None
        assert places is not None
        return AnnotatedHaplotypes(
            bases, self._rows(records, found, -1), self._rows(places, found, RIGHT_PAD)
        )

    def _rows(self, data: npt.NDArray[Any], found: HaplotypeArrays, pad: Any = None) -> Rows:
        """Bases, or what stands for each of them, as they are delivered."""
        options = self._settings.options
        one = self._settings.sequences == "reference"
        if found.offsets is None:
            return data.reshape(data.shape[0], *data.shape[2:]) if one else data
        n = len(found.offsets) - 1
        assert self._reader is not None
        ploidy = self._reader.ploidy
        rows: Ragged[Any] = Ragged(data, (n,) if one else (n // ploidy, ploidy), found.offsets)
        if self._settings.length == "ragged":
            return rows
        if pad is None and options.encoding == "tokens":
            pad = options.tokens[0]  # what lies outside a contig
        padded = rows.to_padded(pad)
        if data.ndim > 1 and options.layout == "BPAL":
            return np.ascontiguousarray(padded.swapaxes(-1, -2))
        return padded

    # ------------------------------------------------------------------------------ tracks ----

    def _tracks(self, windows: HaplotypeWindows, cells: Cells, epoch: int) -> Rows:
        settings, backend = self._settings, self._sources.backend
        tracks = self._track_rows(windows)
        axes: tuple[int, ...] = (len(windows), len(tracks))
        if settings.realigned:
            assert self._reader is not None
            axes = (*axes, self._reader.ploidy)
            draws = None
            if self._draws:
                draws = Draws(settings.seed, epoch, self.full_cells(cells))
            found = backend.realign(
                self._reader, windows, tracks, self._fills, settings.track_options, draws
            )
        else:
            found = backend.along_reference(self._contigs, windows, tracks, settings.track_options)
        if len(tracks) == 1 and not settings.track_axis:
            axes = (axes[0], *axes[2:])
        if found.offsets is None:
            data: npt.NDArray[Any] = found.data.reshape(*axes, found.data.shape[-1])
            return data
        rows: Ragged[Any] = Ragged(found.data, axes, found.offsets)
        return rows if settings.length == "ragged" else rows.to_padded(0)

    def _track_rows(self, windows: HaplotypeWindows) -> list[TrackRows]:
        settings, data = self._settings, self._sources.data
        none = np.zeros(len(windows), np.int64)
        return [
            TrackRows(
                data.tracks[name].table,
                windows.sample if data.tracks[name].kind == "sample" else none,
                settings.transform_of(name),
            )
            for name in settings.tracks
        ]

    def count_intervals(self, windows: HaplotypeWindows) -> npt.NDArray[np.int64]:
        """Stored intervals of each track that overlap the windows, (B, T)."""
        counts = np.empty((len(windows), len(self._settings.tracks)), np.int64)
        for column, track in enumerate(self._track_rows(windows)):
            table = track.table
            lists = windows.contig_index * np.int64(len(table.samples)) + track.samples
            low, high = table.offsets[lists], table.offsets[lists + 1]
            # Intervals of a list do not overlap, so their ends ascend as their starts do.
            stop = first_not_below(table.start, low, high, windows.end)
            counts[:, column] = stop - first_not_below(table.end, low, high, windows.start + 1)
        return np.maximum(counts, 0)


def _is_extended(metadata: Mapping[str, Any]) -> bool:
    """Whether all that fixed lengths reach is stored."""
    return bool((metadata.get("variants") or {}).get("extend_to_length", True))


def first_not_below(
    values: npt.NDArray[Any], low: Cells, high: Cells, bound: npt.NDArray[np.int64]
) -> Cells:
    """Of the ascending stretch [low, high) of `values`, the first place >= `bound`; for (n,)."""
    low, high = low.copy(), high.copy()
    while (open_ := low < high).any():
        middle = (low + high) >> 1
        below = open_ & (values[np.where(open_, middle, 0)] < bound)
        low = np.where(below, middle + 1, low)
        high = np.where(open_ & ~below, middle, high)
    return low


def _of_reference(windows: HaplotypeWindows) -> HaplotypeWindows:
    """The windows as those of a sample that carries nothing."""
    return HaplotypeWindows(
        windows.contig_index,
        windows.start,
        windows.end,
        np.zeros(len(windows), np.int64),
        windows.reverse,
        length_bp=windows.length_bp,
    )
