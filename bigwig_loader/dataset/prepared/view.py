"""Some regions and samples of a data set, and what there is to know of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from bigwig_loader.dataset.prepared.batch import CellReader
from bigwig_loader.dataset.prepared.indexing import Axis, Cells
from bigwig_loader.dataset.prepared.selection import overlapping_rows
from bigwig_loader.dataset.prepared.settings import Length, SequenceKind, Settings
from bigwig_loader.dataset.prepared.sources import Sources
from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.formats.genome import Genome

if TYPE_CHECKING:
    from bigwig_loader.dataset.prepared.bed_frame import BedFrame


class GridView:
    """Regions and samples of a data set, under some settings; see `PreparedDataset`.

    Parameters
    ----------
    sources : Sources
    settings : Settings
    regions, samples : (R,), (S,) int64
        Rows of the data set as it was written.
    region_names : str, optional
        Column that names the regions.
    """

    def __init__(
        self,
        sources: Sources,
        settings: Settings,
        regions: Cells,
        samples: Cells,
        region_names: str | None = None,
    ) -> None:
        self._sources, self._settings = sources, settings
        self._regions, self._samples = regions, samples
        self._region_names = region_names
        self._reset()

    def _reset(self) -> None:
        self._batches: CellReader | None = None
        self._axes: tuple[Axis, Axis] | None = None

    def _view(self, **changes: Any) -> Self:
        """The same with other settings, regions or samples."""
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        made.__dict__.update(changes)
        made._reset()
        return made

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_batches": None, "_axes": None}

    def subset_to(self, regions: Any = None, samples: Any = None) -> Self:
        """A view of some regions and samples, in the order asked for.

        Parameters
        ----------
        regions : optional
            Indices, a mask or a slice; names, with ``region_names``; or intervals, as a path or a
            frame: then all regions that overlap one of them, in their own order.
        samples : optional
            Names, indices, a mask or a slice.
        """
        if regions is None and samples is None:
            return self
        mine, theirs = self._regions, self._samples
        axes = self._both_axes()
        if regions is not None:
            mine = mine[np.atleast_1d(self._region_rows(regions, axes[0]))]
        if samples is not None:
            theirs = theirs[np.atleast_1d(axes[1].rows(samples))]
        if not len(mine) or not len(theirs):
            raise InvalidInputError(
                f"subset: expected at least one region and one sample; got {len(mine)} regions "
                f"and {len(theirs)} samples"
            )
        return self._view(_regions=mine, _samples=theirs)

    def to_full_dataset(self) -> Self:
        """The view with all regions and samples again."""
        data = self._sources.data
        return self._view(_regions=np.arange(data.n_regions), _samples=np.arange(data.n_samples))

    def _region_rows(self, given: Any, axis: Axis) -> Cells:
        """Rows of regions: an index, names, or whatever overlaps intervals."""
        is_path = isinstance(given, os.PathLike) or (
            isinstance(given, str) and (axis.places is None or given not in axis.places)
        )
        if is_path or hasattr(given, "columns"):
            return overlapping_rows(self._sources.data, self._regions, given)
        return axis.rows(_values(given))

    @property
    def path(self) -> str:
        """Folder of the data set."""
        return os.fspath(self._sources.data.path)

    @property
    def samples(self) -> list[str]:
        """Names of the samples of this view."""
        return [self._sources.data.samples[i] for i in self._samples]

    @property
    def n_regions(self) -> int:
        """Regions of this view."""
        return len(self._regions)

    @property
    def n_samples(self) -> int:
        """Samples of this view."""
        return len(self._samples)

    @property
    def n_cells(self) -> int:
        """Regions x samples of this view."""
        return self.n_regions * self.n_samples

    @property
    def shape(self) -> tuple[int, int]:
        """Regions and samples of this view."""
        return self.n_regions, self.n_samples

    @property
    def full_shape(self) -> tuple[int, int]:
        """Regions and samples of the whole data set."""
        return self._sources.data.n_regions, self._sources.data.n_samples

    @property
    def is_subset(self) -> bool:
        """Whether the view has other regions or samples than the data set, or another order."""
        return any(
            len(rows) != n or (rows != np.arange(n)).any()
            for rows, n in zip((self._regions, self._samples), self.full_shape, strict=True)
        )

    def __len__(self) -> int:
        """What ``ds[i]`` runs through: cells, or regions with ``index="region"``."""
        return self.n_cells if self._settings.index == "cell" else self.n_regions

    @property
    def ploidy(self) -> int | None:
        """Haplotypes of a sample; None without variants."""
        return None if self._sources.data.genotypes is None else self._sources.data.ploidy

    @property
    def contigs(self) -> list[str]:
        """Contigs that regions lie on."""
        return list(self._sources.data.contigs.names)

    @property
    def region_length(self) -> int:
        """Length of all regions of this view in bp.

        Raises
        ------
        InvalidInputError
            If they differ.
        """
        data = self._sources.data
        lengths = np.unique(data.end[self._regions] - data.start[self._regions])
        if len(lengths) != 1:
            raise InvalidInputError(
                f"region_length: expected regions of one length; got {lengths[0]} to "
                f"{lengths[-1]} bp. Write the data set with length="
            )
        return int(lengths[0])

    @property
    def output_length(self) -> Length:
        """``"ragged"``, ``"variable"`` or a number of bases."""
        return self._settings.length

    @property
    def sequence_type(self) -> SequenceKind | None:
        """Kind of sequence that is returned."""
        return self._settings.sequences

    @property
    def available_tracks(self) -> list[str]:
        """Names of all tracks."""
        return list(self._settings.facts.tracks)

    @property
    def active_tracks(self) -> list[str]:
        """Names of the tracks that are returned, in their order."""
        return list(self._settings.tracks)

    @property
    def available_var_fields(self) -> list[str]:
        """Columns that variants may come with."""
        fields = self._settings.facts.var_fields
        return ["alt", "start", "ilen", *fields] if self.has_genotypes else []

    @property
    def active_var_fields(self) -> list[str]:
        """Columns that variants come with."""
        return ["alt", "start", "ilen", *self._settings.var_fields] if self.has_genotypes else []

    @property
    def has_reference(self) -> bool:
        """Whether a FASTA was given."""
        return self._sources.genome is not None

    @property
    def has_genotypes(self) -> bool:
        """Whether variants were written."""
        return self._sources.data.genotypes is not None

    @property
    def has_intervals(self) -> bool:
        """Whether tracks were written."""
        return bool(self._sources.data.tracks)

    @property
    def reference(self) -> Genome | None:
        """The reference."""
        return self._sources.genome

    @property
    def jitter(self) -> int:
        """Most bp that a window is moved by."""
        return self._settings.jitter

    @property
    def max_jitter(self) -> int:
        """Most jitter that the data set was written for."""
        return self._sources.data.max_jitter

    @property
    def settings(self) -> Settings:
        """All settings of this view."""
        return self._settings

    @property
    def regions(self) -> BedFrame:
        """The regions of this view: `get_bed`."""
        return self.get_bed()

    def get_bed(self) -> BedFrame:
        """The regions of this view with all columns that they were given with.

        ``chrom``, ``start`` and ``end`` are as stored. An integer takes a row: ``get_bed()[0]``.
        """
        from bigwig_loader.dataset.prepared.bed_frame import BedFrame

        frame = self._sources.data.region_frame().iloc[self._regions]
        return BedFrame(frame.reset_index(drop=True))

    def __repr__(self) -> str:
        settings = self._settings
        tracks = ", ".join(settings.tracks) or "none"
        n_regions, n_samples = self.full_shape
        of = f" of {n_regions} and {n_samples}" if self.is_subset else ""
        return (
            f"{type(self).__name__} at {self.path}\n"
            f"regions x samples: {self.n_regions} x {self.n_samples}{of}\n"
            f"sequences: {settings.sequences} ({settings.options.encoding})\n"
            f"tracks: {tracks} (available: {', '.join(self.available_tracks) or 'none'})\n"
            f"length: {settings.length}; jitter: {settings.jitter} (at most {self.max_jitter}); "
            f"deterministic: {settings.deterministic}; seed: {settings.seed}"
        )

    def _both_axes(self) -> tuple[Axis, Axis]:
        if self._axes is None:
            names = None
            if self._region_names is not None:
                frame = self.get_bed()
                if self._region_names not in frame:
                    raise NotFoundError.among(
                        "column", self._region_names, frame.columns, "the regions"
                    )
                column = frame[self._region_names].astype(str).tolist()
                names = {name: i for i, name in reversed(list(enumerate(column)))}
            samples = {name: i for i, name in reversed(list(enumerate(self.samples)))}
            self._axes = (
                Axis("region", self.n_regions, names),
                Axis("sample", self.n_samples, samples),
            )
        return self._axes


def _values(given: Any) -> Any:
    """An index without its frame: a column of pandas or polars as an array."""
    return given.to_numpy() if hasattr(given, "to_numpy") else given
