"""Variants of a data set: read group by group of regions, then joined.

A group is a run of regions of one contig, sorted by start; one task reads it, in batches as large
as memory allows. Regions of a group may overlap those of the one before, so the same variants may
be read twice. All variants that start before the last base read for earlier groups are among
theirs: one that overlaps a later region overlaps, or lies behind, all that was read before. So
these are left out where groups are joined, and nothing else is.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.dataset.prepared.arrays import save_array
from bigwig_loader.dataset.prepared.layout import VARIANT_ARRAYS, file_name
from bigwig_loader.dataset.prepared.making.memory import format_bytes
from bigwig_loader.dataset.prepared.making.neighbourhood import Wanted, needed_ends
from bigwig_loader.dataset.prepared.making.variant_reports import save_report
from bigwig_loader.dataset.prepared.making.work import making_part
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.formats.genome import Genome
from bigwig_loader.formats.variants.options import VariantOptions
from bigwig_loader.formats.variants.read import ReadVariants, read_variants
from bigwig_loader.formats.variants.table import VariantTable

# Bases beyond a window that are read with it, since most haplotypes lack a few: reading again for
# those that lack more costs twice the time.
_MARGIN_BP = 64
_MARGIN_SHARE = 128  # and one more for so many bases of the window
# Variants per base of one haplotype that memory is planned for until something was read; a human
# haplotype has one in 1,300 bases.
_PLANNED_DENSITY = 1 / 64
# Reading holds a result several times: records as they come, lists, and lists in order.
_COPIES = 6
_GROWTH = 4
_FIXED_BYTES = 32 << 20
_LIST_BYTES = 64  # per haplotype, for its offsets


@dataclass(frozen=True)
class VariantJob:
    """One group of regions, as plain data.

    Parameters
    ----------
    folder : Path
        Where the part is to lie.
    source : path-like or object
        What `read_variants` takes.
    genome : Genome or None
    contig : str
    start, end : (R,) int64
        Windows, sorted by start.
    samples : tuple of str
    options : VariantOptions
    extend : bool
        Read as far as the longest deletions make haplotypes reach.
    budget_bytes : int
    """

    folder: Path
    source: Any
    genome: Genome | None
    contig: str
    start: npt.NDArray[np.int64]
    end: npt.NDArray[np.int64]
    samples: tuple[str, ...]
    options: VariantOptions
    extend: bool
    budget_bytes: int = field(compare=False)


def least_bytes(n_haplotypes: int, longest_bp: int) -> int:
    """Memory that a task needs at least: that of the longest region."""
    return _FIXED_BYTES + n_haplotypes * _LIST_BYTES + _bytes_of(longest_bp, n_haplotypes)


def _bytes_of(bp: int, n_haplotypes: int) -> int:
    return int(bp * _PLANNED_DENSITY * (4 * n_haplotypes + 64) * _COPIES)


def read_variant_part(job: VariantJob) -> None:
    """Read the variants of one group and write them as a part."""
    genome = job.genome
    if genome is not None and Path(genome.path).exists():
        # Its own one: the bases loaded for a group are let go of with it.
        genome = Genome(genome.path, contigs=[job.contig])
    with making_part(job.folder) as folder:
        stored = np.empty(len(job.start), np.int64)
        batches: list[dict[str, Any]] = []
        for number, (rows, read, ends, last_end) in enumerate(_batches(job, genome)):
            name = f"{number:05d}"
            (folder / name).mkdir()
            _save_batch(folder / name, read)
            stored[rows] = ends
            save_report(folder / name / "report.json", read.report)
            batches.append({"name": name, "last_end": last_end})
        save_array(folder / "stored_end.npy", stored)
        about = {"contig": job.contig, "batches": batches}
        (folder / "part.json").write_text(json.dumps(about), encoding="utf-8")


def _batches(
    job: VariantJob, genome: Genome | None
) -> Iterator[tuple[slice, ReadVariants, npt.NDArray[np.int64], int]]:
    """Runs of regions whose variants fit the budget: rows, variants, stored ends, last base."""
    n_haplotypes = len(job.samples) * job.options.ploidy
    free = job.budget_bytes - _FIXED_BYTES - n_haplotypes * _LIST_BYTES
    per_bp = _bytes_of(1 << 20, n_haplotypes) / (1 << 20)
    bp = np.cumsum(np.maximum(job.end - np.maximum(job.start, 0), 0) + _MARGIN_BP)
    first, most = 0, int(bp[-1])
    while first < len(bp):
        before = int(bp[first - 1]) if first else 0
        stop = int(np.searchsorted(bp, before + min(free / per_bp, most), side="right"))
        rows = slice(first, max(stop, first + 1))
        read, ends, last_end = _read_complete(job, genome, rows)
        n_bytes = _nbytes(read)
        _check_size(job, n_bytes, free)
        n_bp = max(int(bp[rows.stop - 1]) - before, 1)
        yield rows, read, ends, last_end
        # The next stretch may be denser.
        per_bp = max(2 * _COPIES * n_bytes / n_bp, 1e-6)
        most, first = _GROWTH * n_bp, rows.stop


def _read_complete(
    job: VariantJob, genome: Genome | None, rows: slice
) -> tuple[ReadVariants, npt.NDArray[np.int64], int]:
    """Variants of some regions as far as haplotypes reach; their stored ends; the last base."""
    contig_index = np.zeros(len(job.start[rows]), np.int32)
    wanted = Wanted(contig_index, job.start[rows], job.end[rows])
    margin = _MARGIN_BP + (wanted.end - wanted.start) // _MARGIN_SHARE
    ends = wanted.end + margin if job.extend else wanted.end
    while True:
        spans = wanted.spans(ends, (job.contig,))
        if not spans:  # all lie before the contig's first base
            spans = {job.contig: np.zeros((0, 2), np.int64)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what they tell of is counted in the reports
            read = read_variants(
                job.source, genome, regions=spans, samples=job.samples, options=job.options
            )
        read = _of_contig(read, job.contig)
        last_end = int(spans[job.contig][:, 1].max(initial=0))
        if not job.extend:
            return read, wanted.end, last_end
        needed = needed_ends(wanted, read.table, read.genotypes)
        if (needed <= ends).all():
            return read, needed, last_end
        ends = np.maximum(ends, needed + margin)


def _of_contig(read: ReadVariants, contig: str) -> ReadVariants:
    """The same with one contig alone."""
    table, genotypes = read.table, read.genotypes
    if table.contig_names == (contig,):
        return read
    c = table.contig_names.index(contig)
    first, last = (int(x) for x in table.contig_offsets[c : c + 2])
    n = genotypes.n_haplotypes
    offsets = genotypes.offsets[c * n : (c + 1) * n + 1]
    ref_at, alt_at = table.ref_offsets[first : last + 1], table.alt_offsets[first : last + 1]
    table = VariantTable(
        contig_names=(contig,),
        contig_offsets=np.array([0, last - first], np.int64),
        position=table.position[first:last],
        ilen=table.ilen[first:last],
        ref_offsets=ref_at - ref_at[0],
        ref=table.ref[ref_at[0] : ref_at[-1]],
        alt_offsets=alt_at - alt_at[0],
        alt=table.alt[alt_at[0] : alt_at[-1]],
        record=table.record[first:last],
        info={name: column[first:last] for name, column in table.info.items()},
    )
    carried = genotypes.variants[offsets[0] : offsets[-1]] - np.int32(first)
    genotypes = replace(genotypes, offsets=offsets - offsets[0], variants=carried)
    return replace(read, table=table, genotypes=genotypes)


def _nbytes(read: ReadVariants) -> int:
    table = read.table
    arrays = [getattr(table, name) for name in VARIANT_ARRAYS]
    arrays += [table.ref_offsets, table.alt_offsets, *table.info.values()]
    return sum(int(a.nbytes) for a in arrays) + read.genotypes.variants.nbytes


def _check_size(job: VariantJob, n_bytes: int, free: int) -> None:
    """Stop where one region alone has more variants than memory was planned for."""
    if n_bytes * _COPIES > free:
        more = n_bytes * _COPIES - free
        raise InvalidInputError(
            f"argument max_mem is too small for the variants of {job.contig}:"
            f"{int(job.start[0])}-{int(job.end[-1])}, which are denser than expected; give "
            f"{format_bytes(more)} more for each of the tasks that run at a time, or fewer n_jobs"
        )


def _save_batch(folder: Path, read: ReadVariants) -> None:
    table, genotypes = read.table, read.genotypes
    for name in VARIANT_ARRAYS:
        save_array(folder / f"{name}.npy", getattr(table, name))
    for allele in ("ref", "alt"):
        save_array(folder / f"{allele}_length.npy", np.diff(getattr(table, f"{allele}_offsets")))
    for name, column in table.info.items():
        save_array(folder / f"info-{file_name(name)}.npy", column)
    (folder / "info.json").write_text(json.dumps(list(table.info)), encoding="utf-8")
    save_array(folder / "offsets.npy", genotypes.offsets)
    save_array(folder / "variants.npy", genotypes.variants)
