"""`write`: regions, variants and signal of many samples, made into a prepared data set."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bigwig_loader.dataset.prepared.layout import (
    FORMAT,
    REGIONS,
    VERSION,
    save_regions,
    write_metadata,
    write_region_table,
)
from bigwig_loader.dataset.prepared.making.memory import parse_bytes
from bigwig_loader.dataset.prepared.making.neighbourhood import TRACK_FLANK_BP, Wanted
from bigwig_loader.dataset.prepared.making.regions import Regions, read_regions
from bigwig_loader.dataset.prepared.making.report import WriteReport
from bigwig_loader.dataset.prepared.making.run import Runner
from bigwig_loader.dataset.prepared.making.samples import join_samples
from bigwig_loader.dataset.prepared.making.store_variants import VariantInputs, store_variants
from bigwig_loader.dataset.prepared.making.target import Target
from bigwig_loader.dataset.prepared.making.track_parts import (
    TrackInputs,
    listed,
    reading_bytes,
    store_tracks,
)
from bigwig_loader.dataset.prepared.making.work import WorkFolder
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.formats.genome import Genome
from bigwig_loader.formats.variants.options import VariantOptions
from bigwig_loader.plan.haplotypes import Overlap
from bigwig_loader.types import PathLike, check_choice, check_not_negative, check_positive

if TYPE_CHECKING:
    import pandas as pd


def write(  # noqa: PLR0913 - a published list of parameters, of three generations
    path: PathLike,
    bed: PathLike | pd.DataFrame | object,
    variants: PathLike | object | None = None,
    bigwigs: object | Sequence[object] | None = None,
    samples: Iterable[str] | None = None,
    length: int | None = None,
    max_jitter: int | None = 0,
    overwrite: bool = False,
    max_mem: int | str = "4g",
    *,
    tracks: object | Sequence[object] | None = None,
    annot_tracks: Mapping[str, object] | None = None,
    reference: PathLike | Genome | None = None,
    extend_to_length: bool = True,
    overlap: Overlap = "first",
    normalize: Literal["check", "atomize", "drop"] = "check",
    alignment: Literal["report", "error"] = "report",
    unphased: Literal["as_written", "error"] = "as_written",
    missing: Literal["reference", "error"] = "reference",
    haploid: Literal["reference", "repeat", "error"] = "reference",
    ploidy: Literal[1, 2] = 2,
    min_af: float | None = None,
    max_af: float | None = None,
    filters: Sequence[str] | None = None,
    info: Sequence[str] = (),
    info_filter: Mapping[str, tuple[float | None, float | None]] | None = None,
    n_jobs: int | None = None,
    progress: bool = True,
) -> WriteReport:
    """Write a prepared data set: what `Dataset.open` reads.

    The data set appears at `path` when it is whole; until then its parts lie in a folder
    ``.NAME.writing`` beside it. Where a run is interrupted or killed, the same call goes on from
    the parts that were finished.

    Parameters
    ----------
    path : path-like
        Where the data set is to lie; a folder.
    bed : path-like or DataFrame
        Regions: BED or narrowPeak, a table with a heading (``.csv``, ``.tsv``, ``.parquet``), a
        pandas or polars frame with ``chrom``, ``start``, ``end`` (or ``chromStart``,
        ``chromEnd``) and ``strand``. Other columns are kept. Regions may overlap, repeat, leave
        their contig and differ in length. Strand ``.`` is ``+``.
    variants : path-like, Vcf or Pgen, optional
        VCF or BCF with an index, or PGEN.
    bigwigs, tracks : BigWigs, Table, or several, optional
        Signal of each sample; two names of one parameter.
    samples : iterable of str, optional
        Take only these samples. By default those that variants and all tracks have. Samples are
        stored sorted by name.
    length : int, optional
        Bring every region to this length in bp around its middle: see `with_length`.
    max_jitter : int
        Store so many bp on either side of a region as well, for windows that are moved.
    overwrite : bool
        Replace what lies at `path`, in one step, when the new one is whole.
    max_mem : int or str
        Memory that the call may take, all its processes together: bytes, or e.g. ``"4g"``.
    annot_tracks : mapping of str to path or DataFrame, optional
        Signal that does not depend on the sample, by name: BigWig, BED or a frame.
    reference : path-like or Genome, optional
        FASTA. REF alleles are checked against it, and it says which contigs there are and how
        long. Needed for ``normalize="atomize"``.
    extend_to_length : bool
        Store variants and signal as far past each region as haplotypes with deletions reach to
        have the length of the region.
    overlap : {"first", "bcftools", "window"}
        What `Dataset.open` does by default with variants of one haplotype that overlap. All are
        stored.
    normalize, alignment, unphased, missing, haploid, ploidy : str, int
    min_af, max_af, filters, info, info_filter : optional
        How variants are read: see `VariantOptions`.
    n_jobs : int, optional
        Tasks at a time, by joblib: 1 here and now, -1 as many as there are cores. By default what
        ``joblib.parallel_config`` says (a Dask or Ray cluster too), and 1 without that.
    progress : bool
        Show progress bars, where standard error is a terminal.

    Returns
    -------
    WriteReport
        What was stored and left out; `print` it.

    Raises
    ------
    NotFoundError
        For a file, contig or sample that does not exist.
    InvalidInputError
        If `path` exists without `overwrite`, sources have no sample in common, `max_mem` is too
        small (with the smallest that would do), or arguments do not fit each other.
    InvalidDataError
        If a file is damaged, or its variants are not as they must be.
    """
    if isinstance(samples, Mapping):
        raise InvalidInputError(
            "argument samples: expected names of samples; got a mapping. Give annotation tracks "
            "by name: annot_tracks={...}"
        )
    options = VariantOptions(
        normalize=normalize,
        alignment=alignment,
        unphased=unphased,
        missing=missing,
        haploid=haploid,
        ploidy=ploidy,
        min_af=min_af,
        max_af=max_af,
        filters=None if filters is None else tuple(filters),
        info=tuple(info),
        info_filter=dict(info_filter or {}),
    )
    max_jitter = 0 if max_jitter is None else max_jitter
    check_not_negative("max_jitter", max_jitter)
    check_choice("overlap", overlap, ("first", "bcftools", "window"))
    if length is not None:
        check_positive("length", length)
    genome = Genome(reference) if isinstance(reference, (str, os.PathLike)) else reference
    runner = Runner(parse_bytes(max_mem), n_jobs, progress)
    with WorkFolder(Path(path), overwrite) as work:
        order = None if genome is None else tuple(genome.contigs)
        task = _Task(
            work=work,
            regions=read_regions(bed, length, order),
            genome=genome,
            max_jitter=int(max_jitter),
            runner=runner,
            requested_length=length,
        )
        inputs = VariantInputs.open(variants, options, overlap, extend_to_length)
        track_inputs = TrackInputs.read([*listed(bigwigs), *listed(tracks)], annot_tracks)
        return task.run(inputs, track_inputs, samples)


@dataclass(frozen=True)
class _Task:
    """One call of `write` with its arguments read."""

    work: WorkFolder
    regions: Regions
    genome: Genome | None
    max_jitter: int
    runner: Runner
    requested_length: int | None

    def run(
        self,
        variants: VariantInputs | None,
        tracks: TrackInputs,
        asked: Iterable[str] | None,
    ) -> WriteReport:
        sources = {} if variants is None else {variants.name: variants.samples}
        sources |= {f"track {t.name!r}": t.samples for t in tracks.by_sample}
        if not sources and asked is not None:
            samples, left_out = join_samples({"argument samples": asked}, None)
        else:
            samples, left_out = join_samples(sources, asked)
        target = Target(self.work, self.runner, self.regions.contig_names, samples)
        wanted = Wanted(
            self.regions.contig_index,
            self.regions.start - self.max_jitter,
            self.regions.end + self.max_jitter,
        )
        if tracks.by_sample or tracks.annotations:
            reading_bytes(self.runner)  # raises now rather than after the variants
        stored_end, about_variants, read_report = wanted.end, None, None
        if variants is not None:
            stored = store_variants(target, variants, wanted, self.genome)
            stored_end, about_variants, read_report = stored
        spans = wanted.widened(TRACK_FLANK_BP).spans(
            stored_end + TRACK_FLANK_BP, target.contig_names
        )
        about_tracks = store_tracks(target, tracks, spans)
        metadata = self._metadata(samples, variants, about_variants, about_tracks)
        self._store_regions(wanted, stored_end, metadata)
        notes = self._notes(variants)
        metadata["report"] = {"left_out": left_out, "notes": list(notes)}
        if read_report is not None:
            metadata["report"]["variants"] = str(read_report).splitlines()
        write_metadata(self.work.result, metadata)
        self.work.publish()
        return WriteReport(
            path=self.work.target,
            n_regions=len(self.regions),
            n_samples=len(samples),
            n_variants=about_variants["n_variants"] if about_variants else 0,
            n_carried=about_variants["n_carried"] if about_variants else 0,
            tracks={name: about["n_intervals"] for name, about in about_tracks.items()},
            left_out=left_out,
            notes=notes,
            variants=read_report,
        )

    def _notes(self, variants: VariantInputs | None) -> tuple[str, ...]:
        if variants is None or self.genome is not None:
            return ()
        return (
            "not checked, since no reference was given: REF alleles against the FASTA, and whether "
            "indels are left-aligned",
        )

    def _metadata(
        self,
        samples: tuple[str, ...],
        variants: VariantInputs | None,
        about_variants: dict[str, Any] | None,
        about_tracks: dict[str, dict[str, Any]],
    ) -> dict[str, Any]:
        from bigwig_loader import __version__

        lengths = {} if self.genome is None else self.genome.contigs
        names = self.regions.contig_names
        return {
            "format": FORMAT,
            "version": VERSION,
            "written_by": f"bigwig_loader {__version__}",
            "n_regions": len(self.regions),
            "samples": list(samples),
            "ploidy": 1 if variants is None else variants.options.ploidy,
            "max_jitter": self.max_jitter,
            "length": self.regions.length,
            "requested_length": self.requested_length,
            "contigs": [{"name": name, "length": lengths.get(name)} for name in names],
            "reference": None if self.genome is None else self.genome.path,
            "variants": about_variants,
            "tracks": about_tracks,
        }

    def _store_regions(
        self, wanted: Wanted, stored_end: np.ndarray[Any, Any], metadata: dict[str, Any]
    ) -> None:
        home = self.work.result / REGIONS
        home.mkdir()
        metadata["region_columns"] = write_region_table(home, self.regions.frame)
        save_regions(
            home,
            {
                "contig_index": self.regions.contig_index,
                "start": self.regions.start,
                "end": self.regions.end,
                "strand": self.regions.strand,
                "stored_start": wanted.start,
                "stored_end": stored_end,
            },
        )
