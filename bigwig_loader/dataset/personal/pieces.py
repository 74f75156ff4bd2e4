"""Regions of a loader, and what is read for some of them: variants and intervals, sparse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.dataset.personal.readers import ANNOTATION, FastaVariants, Inputs
from bigwig_loader.dataset.prepared.making.neighbourhood import TRACK_FLANK_BP, Wanted, needed_ends
from bigwig_loader.dataset.prepared.making.regions import Regions
from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.formats.genome import Genome
from bigwig_loader.formats.interval_table import IntervalTable
from bigwig_loader.formats.variants.table import Genotypes, VariantTable
from bigwig_loader.plan.windows import ContigTable

if TYPE_CHECKING:
    from bigwig_loader.backend.protocol import Backend

I64 = npt.NDArray[np.int64]

# What the arrays of a variant, of a carried allele and of an interval take in memory, twice: as
# they were read, and as readers keep them.
VARIANT_BYTES = 128
CARRIED_BYTES = 8
INTERVAL_BYTES = 16


@dataclass(frozen=True, eq=False)
class StreamRegions:
    """R windows of L bases, in the order they were given.

    Parameters
    ----------
    contigs : ContigTable
        Those that have regions.
    contig_index : (R,) int32
    start : (R,) int64
        May lie outside the contig.
    reverse : (R,) bool
    length_bp : int
        L.
    max_jitter : int
        Bases by which windows may be moved to either side.
    """

    contigs: ContigTable
    contig_index: npt.NDArray[np.int32]
    start: I64
    reverse: npt.NDArray[np.bool_]
    length_bp: int
    max_jitter: int = 0

    def __len__(self) -> int:
        return len(self.start)

    @classmethod
    def of(
        cls, regions: Regions, length_bp: int, inputs: Inputs, genome: Genome | None, jitter: int
    ) -> StreamRegions:
        """Regions of a BED file on the contigs of a reference.

        Raises
        ------
        NotFoundError
            For a contig that the reference lacks.
        InvalidInputError
            If a region leaves its contig, and the reference says no pad.
        """
        lengths = np.full(len(regions.contig_names), np.iinfo(np.int32).max, np.int64)
        if genome is not None:
            for i, name in enumerate(regions.contig_names):
                if name not in genome.contigs:
                    raise NotFoundError.among("contig", name, genome.contigs, str(genome.path))
                lengths[i] = genome.contigs[name]
        made = cls(
            ContigTable(regions.contig_names, lengths, "the reference"),
            regions.contig_index,
            regions.start,
            regions.strand < 0,
            length_bp,
            jitter,
        )
        padded = inputs.fasta is None or inputs.fasta.pad is not None
        if not padded and all(fasta.pad is None for fasta in inputs.references):
            made._check_inside()
        return made

    def _check_inside(self) -> None:
        """Raise unless every window lies in its contig, wherever it is moved."""
        lengths = self.contigs.lengths[self.contig_index]
        end = self.start + self.length_bp + self.max_jitter
        outside = np.flatnonzero((self.start < self.max_jitter) | (end > lengths))
        if len(outside):
            first = int(outside[0])
            raise InvalidInputError(
                f"argument bed: {len(outside)} of {len(self)} regions leave their contig at "
                f"fixed_length={self.length_bp}; the first is {self.describe(first)}, of a contig "
                f"of {lengths[first]} bp (max_jitter={self.max_jitter}). Give Fasta(pad='N'), or "
                "leave them out"
            )

    def describe(self, row: int) -> str:
        """A region for a message."""
        start = int(self.start[row])
        name = self.contigs.names[self.contig_index[row]]
        return f"region {row} ({name}:{start}-{start + self.length_bp})"


@dataclass(frozen=True, eq=False)
class Piece:
    """What is read for some regions.

    Parameters
    ----------
    rows : (n,) int64
        Which regions, ascending.
    contigs : ContigTable
        Those of the tables.
    contig_index : (n,) int32
        Contig of each region, as the tables count.
    reader : HaplotypeReader or None
        None where only tracks are read.
    tracks : tuple of IntervalTable
    costs : (n,) int64
        Bytes that each region's variants and intervals take. They depend on nothing but the
        region.
    """

    rows: I64
    contigs: ContigTable
    contig_index: npt.NDArray[np.int32]
    reader: Any
    tracks: tuple[IntervalTable, ...]
    costs: I64

    def local(self, rows: I64) -> npt.NDArray[np.int32]:
        """Contigs (k,) of some of the regions (k,), as the tables count."""
        return self.contig_index[np.searchsorted(self.rows, rows)]


def read_piece(
    inputs: Inputs,
    regions: StreamRegions,
    rows: I64,
    genome: Genome | None,
    backend: Backend,
    split_ploids: bool,
) -> Piece:
    """Read variants and intervals of some regions.

    Parameters
    ----------
    inputs : Inputs
    regions : StreamRegions
    rows : (n,) int64
        Which regions, ascending.
    genome : Genome or None
    backend : Backend
    split_ploids : bool
        Make each haplotype a sample of its own, of ploidy 1.
    """
    used = np.unique(regions.contig_index[rows])
    names = tuple(regions.contigs.names[i] for i in used)
    contigs = ContigTable(names, regions.contigs.lengths[used], regions.contigs.where)
    contig_index = np.searchsorted(used, regions.contig_index[rows]).astype(np.int32)
    jitter = regions.max_jitter
    start = regions.start[rows]
    wanted = Wanted(contig_index, start - jitter, start + regions.length_bp + jitter)
    ends, costs, reader = wanted.end, np.zeros(len(rows), np.int64), None
    if inputs.haplotypes is not None:
        table, genotypes, ends = read_haplotypes(
            inputs.haplotypes, inputs.samples, wanted, contigs, genome
        )
        costs += _cost_of_variants(table, genotypes, wanted, ends)
        if split_ploids:
            genotypes = _split(genotypes)
        overlap = inputs.haplotypes.overlap
        assert genome is not None
        reader = backend.open_haplotypes(genome, table, genotypes, overlap=overlap)
    elif genome is not None:
        reader = backend.open_haplotypes(genome, *_no_variants(contigs))
    tracks = tuple(_read_track(track, inputs, wanted, ends, contigs) for track in inputs.tracks)
    for track in tracks:
        costs += _cost_of_intervals(track, wanted, ends)
    return Piece(rows, contigs, contig_index, reader, tracks, costs)


def read_haplotypes(
    source: FastaVariants,
    samples: tuple[str, ...],
    wanted: Wanted,
    contigs: ContigTable,
    genome: Genome | None,
) -> tuple[VariantTable, Genotypes, I64]:
    """Variants as far as any haplotype of some windows reaches, and where that is.

    Parameters
    ----------
    source : FastaVariants
    samples : tuple of str
    wanted : Wanted
        Counts `contigs`.
    contigs : ContigTable
        In the order of the genome.
    genome : Genome
    """
    from bigwig_loader.formats.variants.read import VariantOptions, read_variants

    # Not all genotypes are read at a time: their ploidy must not depend on which.
    options = replace(source.variant_options or VariantOptions(), ploidy=source.ploidy)
    # Deletions of a few bases are the rule: mostly what is read at first is enough.
    ends = wanted.end + 256
    while True:
        spans = _inside(wanted.spans(ends, contigs.names), contigs)
        found = read_variants(
            source.variants, genome, regions=spans, samples=samples, options=options
        )
        table, genotypes = _on_contigs(found.table, found.genotypes, contigs.names)
        needed = needed_ends(wanted, table, genotypes)
        if (needed <= ends).all():
            return table, genotypes, needed
        ends = np.maximum(ends, needed + 256)


def _inside(spans: Mapping[str, I64], contigs: ContigTable) -> dict[str, I64]:
    """The parts of spans that lie on their contigs."""
    lengths = dict(zip(contigs.names, contigs.lengths.tolist(), strict=True))
    cut = {name: np.minimum(span, lengths[name]) for name, span in spans.items()}
    return {name: span[span[:, 0] < span[:, 1]] for name, span in cut.items()}


def _on_contigs(
    table: VariantTable, genotypes: Genotypes, names: tuple[str, ...]
) -> tuple[VariantTable, Genotypes]:
    """The same on given contigs, in their order; others have no variants."""
    if table.contig_names == names:
        return table, genotypes
    n = genotypes.n_haplotypes
    place = {name: i for i, name in enumerate(table.contig_names)}
    kept = [place[name] for name in names if name in place]
    if kept != sorted(kept):
        raise InvalidInputError(
            "variants: expected contigs in the order of the reference; got "
            f"{', '.join(table.contig_names[:4])}"
        )
    counts, lists = np.zeros(len(names), np.int64), np.zeros((len(names), n), np.int64)
    per_list = np.diff(genotypes.offsets).reshape(-1, n)
    for i, name in enumerate(names):
        if name in place:
            c = place[name]
            counts[i] = table.contig_offsets[c + 1] - table.contig_offsets[c]
            lists[i] = per_list[c]
    if counts.sum() != len(table):
        raise InvalidInputError("variants: expected those of the contigs that were asked for")
    offsets = np.concatenate([[0], np.cumsum(counts)])
    starts = np.concatenate([[0], np.cumsum(lists.reshape(-1))])
    return (
        replace(table, contig_names=names, contig_offsets=offsets),
        replace(genotypes, offsets=starts),
    )


def _split(genotypes: Genotypes) -> Genotypes:
    """Every haplotype as a sample of ploidy 1; the lists stay where they are."""
    names = tuple(f"{s}/{p}" for s in genotypes.samples for p in range(genotypes.ploidy))
    return replace(genotypes, samples=names, ploidy=1)


def _no_variants(contigs: ContigTable) -> tuple[VariantTable, Genotypes]:
    """A sample that has the reference."""
    none, n = np.zeros(0, np.int32), len(contigs)
    zero, letters = np.zeros(1, np.int64), np.zeros(0, np.uint8)
    table = VariantTable(
        contigs.names, np.zeros(n + 1, np.int64), none, none, zero, letters, zero, letters,
        np.zeros(0, np.int64),
    )  # fmt: skip
    return table, Genotypes(("",), 1, np.zeros(n + 1, np.int64), none)


def _read_track(
    track: Any, inputs: Inputs, wanted: Wanted, ends: I64, contigs: ContigTable
) -> IntervalTable:
    flank = TRACK_FLANK_BP if inputs.realign else 0
    wide = replace(wanted, start=wanted.start - flank)
    spans = _inside(wide.spans(ends + flank, contigs.names), contigs)
    samples = None if tuple(track.samples) == ANNOTATION else inputs.samples
    table: IntervalTable = track.read(spans, contigs.names, samples)
    return table


def _cost_of_variants(table: VariantTable, genotypes: Genotypes, wanted: Wanted, ends: I64) -> I64:
    """Bytes of the variants of each window, and of who carries them."""
    carriers = np.bincount(genotypes.variants, minlength=len(table))
    before = np.concatenate([[0], np.cumsum(carriers)])
    first, last = _rows_between(table.contig_offsets, table.position, wanted, wanted.start, ends)
    cost: I64 = VARIANT_BYTES * (last - first) + CARRIED_BYTES * (before[last] - before[first])
    return cost


def _cost_of_intervals(table: IntervalTable, wanted: Wanted, ends: I64) -> I64:
    """Bytes of the intervals of each window, of all samples."""
    n = len(table.samples)
    bounds = table.offsets[:: max(n, 1)]
    starts = np.concatenate([np.sort(table.start[a:b]) for a, b in pairwise(bounds.tolist())])
    first, last = _rows_between(bounds, starts, wanted, wanted.start, ends)
    return INTERVAL_BYTES * (last - first + n)


def _rows_between(
    contig_offsets: I64,
    positions: npt.NDArray[np.integer],
    wanted: Wanted,
    start: I64,
    end: I64,
) -> tuple[I64, I64]:
    """First and past-last row of the positions, sorted on each contig, that lie in windows."""
    first, last = np.zeros(len(start), np.int64), np.zeros(len(start), np.int64)
    for contig in np.unique(wanted.contig_index).tolist():
        mine = wanted.contig_index == contig
        a, b = contig_offsets[contig], contig_offsets[contig + 1]
        first[mine] = a + np.searchsorted(positions[a:b], start[mine])
        last[mine] = a + np.searchsorted(positions[a:b], end[mine])
    return first, np.maximum(first, last)
