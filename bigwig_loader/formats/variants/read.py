"""Reading variants: files to a table of variants and lists of who carries them."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidDataError, InvalidInputError, NotFoundError
from bigwig_loader.formats.aliases import alias_key
from bigwig_loader.formats.genome import Genome
from bigwig_loader.formats.variants.block import Block, Request, Source, Spans
from bigwig_loader.formats.variants.collect import Collector, with_margin
from bigwig_loader.formats.variants.columns import check_fields
from bigwig_loader.formats.variants.options import VariantOptions
from bigwig_loader.formats.variants.pgen import Pgen
from bigwig_loader.formats.variants.report import VariantReport
from bigwig_loader.formats.variants.result import assemble, report_of
from bigwig_loader.formats.variants.svar import Svar
from bigwig_loader.formats.variants.table import Genotypes, VariantTable
from bigwig_loader.formats.variants.vcf import Vcf
from bigwig_loader.types import PathLike

__all__ = ["ReadVariants", "VariantOptions", "VariantReport", "open_variants", "read_variants"]

_VCF_ENDS = (".vcf", ".vcf.gz", ".vcf.bgz", ".bcf")


@dataclass(frozen=True)
class ReadVariants:
    """What `read_variants` returns: variants, who carries them, and what was found."""

    table: VariantTable
    genotypes: Genotypes
    report: VariantReport


def open_variants(source: PathLike | Source) -> Source:
    """The source of variants that a path means.

    Parameters
    ----------
    source : path-like or source
        ``.vcf``, ``.vcf.gz`` and ``.bcf`` are a `Vcf`; ``.pgen``, or what has one beside it when
        the suffix is left out, is a `Pgen`; a folder ``.svar`` is an `Svar`. A source stays itself.

    Raises
    ------
    InvalidInputError
        For another suffix.
    NotFoundError
        If there is no such file.
    """
    if not isinstance(source, (str, os.PathLike)):
        if hasattr(source, "blocks"):
            return source
        raise InvalidInputError(
            f"variants: expected a path, Vcf, Pgen or Svar; got {type(source).__name__}"
        )
    path = os.fspath(source)
    if path.endswith(_VCF_ENDS):
        return Vcf(path)
    if path.endswith(".pgen") or os.path.exists(path + ".pgen"):
        return Pgen(path)
    if path.rstrip("/").endswith(".svar"):
        return Svar(path)
    raise InvalidInputError(
        f"variants {path!r}: expected a file .vcf, .vcf.gz, .bcf or .pgen, or a folder .svar. "
        "Use Vcf(path), Pgen(path) or Svar(path) for one with another name"
    )


def read_variants(
    source: PathLike | Source,
    genome: Genome | None = None,
    *,
    regions: Mapping[str, npt.NDArray[np.int64]] | None = None,
    samples: Iterable[str] | None = None,
    options: VariantOptions | None = None,
    progress: bool = False,
) -> ReadVariants:
    """Read variants and who carries them, checked.

    Parameters
    ----------
    source : path-like, Vcf, Pgen or Svar
        See `open_variants`.
    genome : Genome, optional
        Compares REF with it. Needed for ``normalize="atomize"``.
    regions : mapping of str to (n, 2) int64, optional
        Sorted spans of contigs that do not touch, 0-based half-open. Read the variants whose
        reference span overlaps one, and those before that these overlap, and so on: so what a
        haplotype carries there is decided as it is over the whole file. By default everything.
    samples : iterable of str, optional
        Names, in the order wanted; by default all, in the order of the source. None at all, that
        is ``()``, reads the variants alone.
    options : VariantOptions, optional
    progress : bool
        Draw a progress bar.

    Returns
    -------
    ReadVariants
        `table`, `genotypes` and `report`. Contigs are those of `regions`, or of `genome`, or
        those of the source, in that order of preference. Column ``"AF"``: allele frequency,
        float32, from INFO where the source has it there, and from the genotypes of all its samples
        otherwise; NaN where nobody knows.

    Raises
    ------
    InvalidDataError
        For records that cannot be used, with counts and examples; for a damaged file.
    NotFoundError
        For an unknown file, sample, field, or a contig that is spelled differently elsewhere.
    """
    source = open_variants(source)
    options = options or VariantOptions()
    if options.normalize == "atomize" and genome is None:
        raise InvalidInputError('variants: expected a genome with normalize="atomize"; got None')
    check_fields(options, source.fields, source.path)
    names = _samples(source, samples)
    spans, absent = _spans(source, genome, regions)
    request = _request(source, names, options, spans)
    collector = Collector(source.path, source.fields, genome, options, len(names), spans)
    for block in _shown(source.blocks(request), progress):
        if genome is not None and block.contig not in genome.contigs:
            raise NotFoundError.among("contig", block.contig, genome.contigs, genome.path)
        collector.add(block)
    collector.close()
    contigs = _contig_names(source, genome, regions, collector)
    result = assemble(collector, contigs, names, options)
    report = report_of(collector, result, source, options, request, genome is not None)
    report = replace(report, absent_contigs=absent)
    return ReadVariants(result.table, result.genotypes, report)


def _samples(source: Source, wanted: Iterable[str] | None) -> tuple[str, ...]:
    known = source.samples
    if wanted is None:
        if not known:
            raise InvalidDataError(
                "no samples",
                path=source.path,
                expected="genotypes of one sample or more",
                got="0 samples",
                hint="To read the variants alone, pass samples=()",
            )
        return known
    names = (wanted,) if isinstance(wanted, str) else tuple(wanted)
    there = frozenset(known)
    for name in names:
        if name not in there:
            raise NotFoundError.among("sample", name, known, source.path)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidInputError(f"argument samples: expected each one once; got {twice!r} again")
    return names


def _spans(
    source: Source, genome: Genome | None, regions: Mapping[str, npt.NDArray[np.int64]] | None
) -> tuple[Spans | None, tuple[str, ...]]:
    """Regions as checked arrays, and the contigs that the source does not know."""
    if regions is None:
        return None, ()
    spans = {name: _checked(name, span) for name, span in regions.items()}
    for name in spans:
        if genome is not None and name not in genome.contigs:
            raise NotFoundError.among("contig", name, genome.contigs, genome.path)
    known: Collection[str] = source.contigs
    if isinstance(source, Vcf) and not spans.keys() <= set(known):
        known = {*known, *source.contigs_with_records()}  # headers need not declare them
    absent = tuple(name for name in spans if name not in known) if known else ()
    spelled = {alias_key(name) for name in known}
    for name in absent:
        # A file of other contigs is no mistake, but one with other names for them is.
        if alias_key(name) in spelled or len(absent) == len(spans):
            raise NotFoundError.among("contig", name, known, source.path)
    return spans, absent


def _checked(name: str, given: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    span = np.asarray(given, dtype=np.int64)
    if span.ndim != 2 or span.shape[1] != 2:
        raise InvalidInputError(
            f"regions of contig {name!r}: expected an array (n, 2); got shape {span.shape}"
        )
    span = span[span[:, 0] < span[:, 1]]
    if (span[1:, 0] < span[:-1, 1]).any():
        raise InvalidInputError(
            f"regions of contig {name!r}: expected sorted spans that do not overlap. "
            "See bigwig_loader.intervals.merge"
        )
    return span


def _request(
    source: Source, names: tuple[str, ...], options: VariantOptions, spans: Spans | None
) -> Request:
    fields = options.fields
    told = source.fields.get("AF", ("", ""))
    read = names
    if told[0] in ("A", "1") and told[1] == "Float":
        fields = tuple(dict.fromkeys([*fields, "AF"]))
    elif names:
        # Frequencies are those of all samples: the others follow the wanted ones.
        wanted = frozenset(names)
        read = names + tuple(name for name in source.samples if name not in wanted)
    elif options.min_af is not None or options.max_af is not None:
        raise InvalidInputError(
            f"variant options min_af, max_af: expected samples, or INFO/AF in {source.path}; "
            "got neither"
        )
    return Request(
        read,
        fields,
        None if spans is None else with_margin(spans, options),
        options.haploid == "repeat",
        len(names),
    )


def _contig_names(
    source: Source,
    genome: Genome | None,
    regions: Mapping[str, npt.NDArray[np.int64]] | None,
    collector: Collector,
) -> tuple[str, ...]:
    if regions is not None:
        return tuple(regions)
    if genome is not None:
        return tuple(genome.contigs)
    return tuple(dict.fromkeys([*source.contigs, *collector.contigs]))


def _shown(blocks: Iterator[Block], progress: bool) -> Iterator[Block]:
    """The blocks, with a bar that counts records where it is wanted."""
    if not progress:
        yield from blocks
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn

    columns = (SpinnerColumn(), TextColumn("Reading variants: {task.completed:,} records"))
    with Progress(*columns) as bar:
        task = bar.add_task("", total=None)
        for block in blocks:
            yield block
            bar.advance(task, len(block))
