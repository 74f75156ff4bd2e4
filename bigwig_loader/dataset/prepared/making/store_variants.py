"""The variants of a data set: divided into tasks, read, joined."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.dataset.prepared.arrays import NpyReader
from bigwig_loader.dataset.prepared.making.neighbourhood import Wanted
from bigwig_loader.dataset.prepared.making.target import Target
from bigwig_loader.dataset.prepared.making.track_parts import merging_bytes
from bigwig_loader.dataset.prepared.making.variant_merge import merge_variants
from bigwig_loader.dataset.prepared.making.variant_parts import (
    VariantJob,
    least_bytes,
    read_variant_part,
)
from bigwig_loader.dataset.prepared.making.variant_reports import (
    add_reports,
    load_report,
    warn_unphased,
)
from bigwig_loader.dataset.prepared.making.work import part_name
from bigwig_loader.formats.genome import Genome
from bigwig_loader.formats.source import local_identity
from bigwig_loader.formats.variants.options import VariantOptions
from bigwig_loader.formats.variants.read import open_variants
from bigwig_loader.formats.variants.report import VariantReport
from bigwig_loader.plan.haplotypes import Overlap
from bigwig_loader.sampling.digest import digest
from bigwig_loader.types import PathLike

# Of the variants' file, from its begin and its end: enough to tell files apart.
_DIGEST_BYTES = 1 << 20
_GROUPS = 32
_SHORTEST_GROUP_BP = 100_000


@dataclass(frozen=True)
class VariantInputs:
    """The variants of a call and how they are read.

    Parameters
    ----------
    source : object
        An opened source: has ``samples`` and ``path``.
    options : VariantOptions
    overlap : {"first", "bcftools", "window"}
    extend : bool
        Store variants as far as the longest deletions make haplotypes reach.
    """

    source: Any
    options: VariantOptions
    overlap: Overlap
    extend: bool

    @classmethod
    def open(
        cls,
        given: PathLike | object | None,
        options: VariantOptions,
        overlap: Overlap,
        extend: bool,
    ) -> VariantInputs | None:
        """Open the variants that a call was given; None for none."""
        if given is None:
            return None
        return cls(open_variants(given), options, overlap, extend)  # type: ignore[arg-type]

    @property
    def samples(self) -> tuple[str, ...]:
        """All samples of the source."""
        return tuple(self.source.samples)

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"variants {os.fspath(self.source.path)}"

    @property
    def identity(self) -> str:
        """Changes when the file does."""
        path = os.path.abspath(self.source.path)
        return f"{path} {local_identity(path)[1]}"

    def described(self) -> dict[str, Any]:
        """What the metadata say of the source and how it was read."""
        path = Path(os.path.abspath(self.source.path))
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(_DIGEST_BYTES)
            file.seek(max(size - _DIGEST_BYTES, 0))
            tail = file.read()
        sha = hashlib.sha256(head + tail).hexdigest()
        return {
            "path": str(path),
            "source": {"n_bytes": size, "sha256_of_ends": sha},
            "options": asdict(self.options),
            "overlap": self.overlap,
            "extend_to_length": self.extend,
        }


def store_variants(
    target: Target, variants: VariantInputs, wanted: Wanted, genome: Genome | None
) -> tuple[npt.NDArray[np.int64], dict[str, Any], VariantReport]:
    """Read the variants around all regions and write them into the result.

    Parameters
    ----------
    target : Target
    variants : VariantInputs
    wanted : Wanted
        The windows of all regions.
    genome : Genome or None

    Returns
    -------
    stored_end : (R,) int64
        How far variants are stored for each region.
    about : dict
        What the metadata say of the variants.
    report : VariantReport
    """
    n_haplotypes = len(target.samples) * variants.options.ploidy
    longest = int((wanted.end - wanted.start).max())
    what = f"reading variants of {len(target.samples)} samples on {longest} bp"
    budget = target.runner.budget.per_task(least_bytes(n_haplotypes, longest), what)
    groups = list(_groups(wanted))
    jobs = [_job(target, variants, wanted, rows, genome, budget) for rows in groups]
    target.runner.run(read_variant_part, jobs, "variants")
    stored_end = wanted.end.copy()
    for rows, job in zip(groups, jobs, strict=True):
        stored_end[rows] = NpyReader(job.folder / "stored_end.npy").read()
    folders = [job.folder for job in jobs]
    about = merge_variants(folders, target, variants.options.ploidy, merging_bytes(target.runner))
    reports = [load_report(path) for f in folders for path in sorted(f.glob("*/report.json"))]
    report = add_reports(reports, about)
    warn_unphased(report)
    return stored_end, about | variants.described(), report


def _job(
    target: Target,
    variants: VariantInputs,
    wanted: Wanted,
    rows: npt.NDArray[np.int64],
    genome: Genome | None,
    budget_bytes: int,
) -> VariantJob:
    contig = target.contig_names[int(wanted.contig_index[rows[0]])]
    start, end = wanted.start[rows], wanted.end[rows]
    what = [
        variants.identity,
        None if genome is None else _genome_identity(genome),
        contig,
        digest(start, end),
        digest(target.samples),
        repr(variants.options),
        variants.extend,
    ]
    return VariantJob(
        folder=target.work.parts / part_name("variants", what),
        source=variants.source,
        genome=genome,
        contig=contig,
        start=start,
        end=end,
        samples=target.samples,
        options=variants.options,
        extend=variants.extend,
        budget_bytes=budget_bytes,
    )


def _genome_identity(genome: Genome) -> str:
    if Path(genome.path).is_file():
        return f"{os.path.abspath(genome.path)} {local_identity(genome.path)[1]}"
    parts = [part for name in genome.contigs for part in (name, genome.packed(name))]
    return digest(*parts)


def _groups(wanted: Wanted) -> Iterator[npt.NDArray[np.int64]]:
    """Rows of windows for one task each: of one contig, sorted by start, about equally long."""
    bp = wanted.end - wanted.start
    limit = max(int(bp.sum()) // _GROUPS, _SHORTEST_GROUP_BP)
    order = np.lexsort((wanted.end, wanted.start, wanted.contig_index))
    contigs = np.split(order, np.flatnonzero(np.diff(wanted.contig_index[order])) + 1)
    for rows in contigs:
        number = (np.cumsum(bp[rows]) - 1) // limit
        yield from np.split(rows, np.flatnonzero(np.diff(number)) + 1)
