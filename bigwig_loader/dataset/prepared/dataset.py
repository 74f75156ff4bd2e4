"""A prepared data set as a grid of regions x samples, seen under some settings."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import numpy.typing as npt

from bigwig_loader.dataset.prepared.indexing import Cells, IndexKind, cells_of
from bigwig_loader.dataset.prepared.layout import open_prepared
from bigwig_loader.dataset.prepared.outputs import with_batch_axes
from bigwig_loader.dataset.prepared.selection import matching_rows
from bigwig_loader.dataset.prepared.settings import (
    Length,
    SequenceKind,
    VariantFilter,
    changed,
    default_settings,
    seed_of,
)
from bigwig_loader.dataset.prepared.sources import Sources, fingerprint_of
from bigwig_loader.dataset.prepared.spliced import SplicedView
from bigwig_loader.dataset.prepared.splicing import SpliceInfo
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.formats.genome import Genome
from bigwig_loader.plan.fills import Fill
from bigwig_loader.plan.haplotypes import Overlap
from bigwig_loader.plan.signal import TrackTransform
from bigwig_loader.sampling.digest import digest, function_name
from bigwig_loader.types import PathLike

if TYPE_CHECKING:
    pass


class PreparedDataset(SplicedView):
    """A prepared data set: R regions x S samples, each of them one cell.

    Open one with `open`. A data set never changes: `with_settings`, `subset_to` and the other
    ``with_`` methods return another view of the same files, and share memory with this one. Views
    are pickled as the path of the data set, so they may go to worker processes.

    Indexing gives cells, as arrays whose first axes are those of the index. ``ds[99]`` is the
    100th cell, counted region by region; ``ds[r, s]`` takes what numpy takes as an index of two
    axes: integers, slices, lists, arrays, masks, and names of samples. With ``index="region"``
    ``ds[r]`` is the region with all samples instead.

    What comes out is a tuple of sequences and tracks, or the one of them that is asked for:

    ===============  ================================================
    sequences        (batch, ploidy, length); reference (batch, length)
    tracks           (batch, track, ploidy, length); in reference coordinates (batch, track, length)
    ===============  ================================================

    One cell, ``ds[0, 9]``, is without its batch axis. One-hot sequences have one axis more. Rows of
    natural length are `Ragged`, variants `RaggedVariants`, and annotated sequences
    `AnnotatedHaplotypes`. ``return_sequences=False`` with a single track is without the axis of
    tracks; ``with_seqs(None)`` keeps it.
    """

    @classmethod
    def open(  # noqa: PLR0913 - the arguments of two generations of a published façade
        cls,
        path: PathLike,
        reference: PathLike | Genome | None = None,
        jitter: int = 0,
        rng: int | np.random.Generator | Literal[False] | None = False,
        deterministic: bool = True,
        rc_neg: bool = True,
        min_af: float | None = None,
        max_af: float | None = None,
        var_fields: Sequence[str] | None = None,
        region_names: str | None = None,
        *,
        splice_info: SpliceInfo | None = None,
        var_filter: VariantFilter | None = None,
        return_sequences: SequenceKind | Literal[False] | None = None,
        return_tracks: bool | str | Sequence[str] | None = None,
        transform: Callable[..., Any] | None = None,
        return_indices: bool = False,
        seed: int | None = None,
        length: Length | None = None,
        encoding: str | None = None,
        dtype: str | None = None,
        layout: str | None = None,
        overlap: Overlap | None = None,
        index: IndexKind | None = None,
        n_threads: int | None = None,
    ) -> Self:
        """Open a data set that `bigwig_loader.write` wrote.

        Parameters
        ----------
        path : path-like
        reference : path-like or Genome, optional
            FASTA. Without one there is no sequence, and tracks are not re-aligned.
        region_names : str, optional
            Column of the regions that names them, for ``ds["peak_7", :]``.
        n_threads : int, optional
            Threads of one call; by default as many as there are cores.
        splice_info, var_filter
            See `with_settings`.
        jitter, rng, deterministic, rc_neg, min_af, max_af, var_fields, return_sequences, \
        return_tracks, transform, return_indices, seed, length, encoding, dtype, layout, overlap, \
        index
            See `with_settings`. By default all tracks are returned, and of the sequences the
            haplotypes; the reference where no variants were written. Regions that were brought to
            one length when they were written are returned with that length, others ragged.

        Raises
        ------
        NotFoundError
            If there is no such data set, track, or column, or a contig is not in the reference.
        InvalidDataError
            If it is damaged, or of a later version.
        InvalidInputError
            If it cannot give what is asked for.
        """
        data = open_prepared(path)
        genome = Genome(reference) if isinstance(reference, (str, os.PathLike)) else reference
        sources = Sources(data, genome, n_threads)
        given = {
            "jitter": jitter,
            "deterministic": deterministic,
            "rc_neg": rc_neg,
            "min_af": min_af,
            "max_af": max_af,
            "var_fields": var_fields,
            "return_sequences": return_sequences,
            "return_tracks": return_tracks,
            "transform": transform,
            "return_indices": return_indices,
            "seed": seed,
            "length": length,
            "encoding": encoding,
            "dtype": dtype,
            "layout": layout,
            "overlap": overlap,
            "index": index,
            "var_filter": var_filter,
        }
        if rng is not False and seed is None:
            given["seed"] = seed_of(rng)
        settings = changed(default_settings(sources.facts, data.metadata), given)
        whole = (np.arange(data.n_regions), np.arange(data.n_samples))
        return cls(sources, settings, *whole, region_names=region_names)._spliced(splice_info)

    def with_settings(  # noqa: PLR0913 - the settings of two generations of a published façade
        self,
        jitter: int | None = None,
        rng: int | np.random.Generator | None = None,
        deterministic: bool | None = None,
        rc_neg: bool | None = None,
        min_af: float | Literal[False] | None = None,
        max_af: float | Literal[False] | None = None,
        var_fields: Sequence[str] | None = None,
        *,
        regions: Any = None,
        samples: Any = None,
        splice_info: SpliceInfo | Literal[False] | None = None,
        var_filter: VariantFilter | Literal[False] | None = None,
        return_sequences: SequenceKind | Literal[False] | None = None,
        return_tracks: bool | str | Sequence[str] | None = None,
        transform: Callable[..., Any] | Literal[False] | None = None,
        return_indices: bool | None = None,
        seed: int | None = None,
        epoch: int | None = None,
        length: Length | None = None,
        encoding: str | None = None,
        dtype: str | None = None,
        layout: str | None = None,
        unknown: str | None = None,
        tokens: Sequence[int] | None = None,
        overlap: Overlap | None = None,
        realign_tracks: bool | None = None,
        insertion_fill: Fill | Mapping[str, Fill] | None = None,
        track_transform: TrackTransform | Mapping[str, TrackTransform] | None = None,
        track_axis: bool | None = None,
        bin_size: int | None = None,
        statistic: str | None = None,
        track_dtype: str | None = None,
        uncovered: float | None = None,
        out_of_bounds: float | None = None,
        index: IndexKind | None = None,
    ) -> Self:
        """A view with some settings changed; None leaves a setting as it is.

        Parameters
        ----------
        jitter : int
            Move the window of every cell by -jitter to jitter bp, drawn from (seed, epoch, cell).
        rng : int or Generator
            Other name of `seed`; a generator is drawn from once.
        deterministic : bool
            Whether a fixed length is the first bases of the window. If not, every haplotype leaves
            out as many leading bases as chance says of those it has too many; its tracks too.
        rc_neg : bool
            Deliver regions of the minus strand as reverse complement.
        min_af, max_af : float, or False for none
            Variants outside these allele frequencies (column AF) are as if nobody carried them.
        var_fields : sequence of str
            Columns that variants come with besides alt, start and ilen; ``"ref"`` is one.
        regions, samples
            As in `subset_to`.
        splice_info : str, (str, str), mapping, or False for none
            Make the rows transcripts, each of several regions joined in order: the column that
            names the transcript of each region, or that and a column of numbers that order them
            (exon numbers), or the regions of each transcript by name; see `splice`. Regions of the
            minus strand are turned one by one. Needs a length of "ragged" or "variable", no jitter
            and no random shift. Transcripts are rows by number and name.
        var_filter : {"exonic"}, or False for none
            Only variants whose whole reference span lies in the region.
        return_sequences : {"reference", "haplotypes", "annotated", "variants"} or False
        return_tracks : str, sequence of str, True for all, or False
        transform : function, or False for none
            Gets what would be returned as its arguments, ``(haplotypes, tracks)``, and its result
            is returned instead.
        return_indices : bool
            Return three arrays more: cell, region and sample, counted in the whole data set.
        seed : int
            In [0, 2**64); 0 at first.
        epoch : int
            What an index draws jitter and shift for; data loaders say themselves.
        length : int, "ragged" or "variable"
            An integer: so many bases from the start of the window, over its end where a haplotype
            has fewer. ``"ragged"``: what lies in the window. ``"variable"``: the same, padded at
            the right to the longest of the batch, with N or 0.
        encoding : {"bytes", "onehot", "codes", "tokens"}
        dtype, layout, unknown, tokens
            See `HaplotypeOptions`.
        overlap : {"first", "bcftools", "window"}
            Which variants of one haplotype count where they overlap; see `HaplotypeReader`.
        realign_tracks : bool
            Whether tracks follow haplotypes. If not, they are in reference coordinates.
        insertion_fill : Fill or mapping by track
            What the bases of insertions have in a track; `Repeat5p` at first.
        track_transform : TrackTransform or mapping by track
        track_axis : bool
            Whether tracks keep their axis if there is one.
        bin_size, statistic, track_dtype, uncovered, out_of_bounds
            See `RealignOptions`.
        index : {"cell", "region"}
            What ``ds[key]`` means.

        Raises
        ------
        InvalidInputError, NotFoundError
            For what the data set cannot give.
        """
        apart = ("self", "regions", "samples", "splice_info")
        given = {k: v for k, v in locals().items() if k not in (*apart, "apart")}
        made = self._view(_settings=changed(self._settings, given))._spliced(splice_info)
        return made.subset_to(regions, samples)

    def with_seqs(self, kind: SequenceKind | None) -> Self:
        """A view with another kind of sequence; None for none."""
        made = self.with_settings(return_sequences=False if kind is None else kind)
        return made.with_settings(track_axis=True)

    def with_tracks(self, tracks: bool | str | Sequence[str] | None = None) -> Self:
        """A view with other tracks, in the order asked for; False for none."""
        return self.with_settings(return_tracks=tracks)

    def with_len(self, output_length: Length) -> Self:
        """A view with rows of another length: see `with_settings`."""
        return self.with_settings(length=output_length)

    def with_insertion_fill(self, fill: Fill | Mapping[str, Fill]) -> Self:
        """A view in which bases of insertions have other values in the tracks."""
        return self.with_settings(insertion_fill=fill)

    # ----------------------------------------------------------------------------- indexing ----

    def __getitem__(self, key: Any) -> Any:
        cells, shape = cells_of(key, *self._both_axes(), self._settings.index)
        return self._finished(cells, shape, self._settings.epoch)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def isel(self, regions: Any = None, samples: Any = None) -> Any:
        """``ds[regions, samples]``; None for all."""
        everything = slice(None)
        return self[
            everything if regions is None else regions, everything if samples is None else samples
        ]

    def sel(self, regions: Any = None, samples: Any = None) -> Any:
        """Cells by region and name of sample; None for all.

        Parameters
        ----------
        regions : frame or path, optional
            Some of the regions: rows of ``chrom``, ``start``, ``end``. Other lengths are brought to
            that of the data set around their middle, as `write` did it.
        samples : str or sequence of str, optional

        Raises
        ------
        NotFoundError
            For a region or sample that the view does not have.
        """
        if regions is not None and (
            isinstance(regions, os.PathLike) or hasattr(regions, "columns")
        ):
            if self.is_spliced:
                raise InvalidInputError(
                    "argument regions: expected transcripts by name or number in a spliced data "
                    "set; got intervals"
                )
            regions = matching_rows(self._sources.data, self._regions, regions)
        return self.isel(regions, samples)

    def batch_of(self, cells: npt.NDArray[np.int64], epoch: int = 0) -> Any:
        """What cells of this view hold in an epoch, as ``ds[cells]``.

        Parameters
        ----------
        cells : (B,) int64
            ``region * n_samples + sample``, in this view.
        epoch : int
            What jitter and shift are drawn for.
        """
        return self._finished(np.asarray(cells, np.int64), None, epoch)

    def fingerprint(self) -> str:
        """Hash of what decides what is in a cell: the data set and the settings."""
        settings = self._settings.named()
        transform = settings.pop("transform")
        if transform is not None:
            settings["transform"] = function_name(transform)
        rows = (self._regions, self._samples, *self._row_key())
        return digest(fingerprint_of(self._sources.data), settings, *rows)

    def _finished(self, cells: Cells, shape: tuple[int, ...] | None, epoch: int) -> Any:
        """Cells as they are returned; their batch axis becomes the axes `shape`."""
        out: list[Any] = list(self._read(cells, epoch))
        regular = shape is None or shape == cells.shape
        if not regular:
            out = [with_batch_axes(part, shape or ()) for part in out]
        transform = self._settings.transform
        if transform is not None:
            result = transform(*out)
            out = list(result) if isinstance(result, tuple) else [result]
        if self._settings.return_indices:
            full = self.full_cells(cells)
            indices = (full, *np.divmod(full, self.full_shape[1]))
            out += [i if regular else i.reshape(shape or ()) for i in indices]
        if not out:
            raise InvalidInputError(
                "data set: expected sequences or tracks to be asked for; got neither. Use "
                "with_settings(return_sequences=..., return_tracks=...)"
            )
        return out[0] if len(out) == 1 else tuple(out)

    def write_transformed_track(
        self,
        new_track: str,
        existing_track: str,
        transform: Callable[..., Any],
        max_mem: int | str = "4g",
        overwrite: bool = False,
        progress: bool = True,
    ) -> Self:
        """Store what a function makes of a track of all cells as another track.

        Parameters
        ----------
        new_track, existing_track : str
        transform : function
            Of ``(dataset_indices, region_indices, sample_indices, tracks)``; see
            `bigwig_loader.dataset.prepared.transformed.write_transformed_track`.
        max_mem, overwrite, progress
            See there.

        Returns
        -------
        PreparedDataset
            This view of the data set with the new track available.
        """
        from bigwig_loader.dataset.prepared.transformed import write_transformed_track

        write_transformed_track(
            self.path,
            new_track,
            existing_track,
            transform,
            overwrite=overwrite,
            max_mem=max_mem,
            progress=progress,
        )
        sources = self._sources.reopened()
        return self._view(_sources=sources, _settings=replace(self._settings, facts=sources.facts))
