"""What was collected, as one table; errors for what must not be there; the report."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidDataError
from bigwig_loader.formats.variants.block import Request, Source
from bigwig_loader.formats.variants.check import Reason
from bigwig_loader.formats.variants.collect import Collector
from bigwig_loader.formats.variants.letters import Letters, offsets_of
from bigwig_loader.formats.variants.options import VariantOptions
from bigwig_loader.formats.variants.report import Dropped, VariantReport, described
from bigwig_loader.formats.variants.table import Genotypes, VariantTable
from bigwig_loader.formats.variants.variants import Variants

_LISTED = 20  # records of each reason that a report names
_NAMED = 3  # and an error
_DROP = 'normalize="drop" leaves them out'
_STEPS = "`bcftools norm -f GENOME -a -m-` does"


@dataclass(frozen=True)
class Collected:
    """A table, lists, and the variants of each contig that they were made of."""

    table: VariantTable
    genotypes: Genotypes
    parts: dict[str, Variants]
    dropped: tuple[Dropped, ...]
    reasons: dict[Reason, int]


def assemble(
    collector: Collector,
    contigs: tuple[str, ...],
    samples: tuple[str, ...],
    options: VariantOptions,
) -> Collected:
    """Join the contigs, in the order of `contigs`.

    Raises
    ------
    InvalidDataError
        If there are records that cannot be used, unless they are to be dropped.
    """
    found = {name: collector.contigs[name] for name in contigs if name in collector.contigs}
    reasons, bad = _bad_records(found)
    if bad and options.normalize != "drop":
        raise _error(collector, reasons, bad, options)
    parts = {
        name: part.take(np.flatnonzero(part.reason == Reason.NONE)) for name, part in found.items()
    }
    table = _table(contigs, parts)
    genotypes = _genotypes(contigs, parts, samples, options.ploidy)
    return Collected(table, genotypes, parts, bad, reasons)


def _table(contigs: tuple[str, ...], parts: dict[str, Variants]) -> VariantTable:
    ordered = list(parts.values())
    lengths = np.array([len(parts[name]) if name in parts else 0 for name in contigs], np.int64)
    if not ordered:
        none, empty = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int32)
        letters, start = np.zeros(0, dtype=np.uint8), np.zeros(1, dtype=np.int64)
        info: dict[str, npt.NDArray[np.generic]] = {"AF": np.zeros(0, dtype=np.float32)}
        return VariantTable(
            contigs, offsets_of(lengths), empty, empty, start, letters, start, letters, none, info
        )
    ref = Letters.concatenate([part.ref for part in ordered])
    alt = Letters.concatenate([part.alt for part in ordered])
    return VariantTable(
        contigs,
        offsets_of(lengths),
        np.concatenate([part.position for part in ordered]).astype(np.int32),
        (alt.lengths - ref.lengths).astype(np.int32),
        ref.offsets,
        ref.data,
        alt.offsets,
        alt.data,
        np.concatenate([part.record for part in ordered]),
        {
            name: np.concatenate([part.columns[name] for part in ordered])
            for name in ordered[0].columns
        },
    )


def _genotypes(
    contigs: tuple[str, ...], parts: dict[str, Variants], samples: tuple[str, ...], ploidy: int
) -> Genotypes:
    n_haplotypes = len(samples) * ploidy
    lengths = np.zeros((len(contigs), n_haplotypes), dtype=np.int64)
    carried = []
    first = 0
    for row, name in enumerate(contigs):
        if name in parts:
            lengths[row], variants = parts[name].lists(n_haplotypes)
            carried.append(variants + np.int32(first))
            first += len(parts[name])
    variants = np.concatenate(carried) if carried else np.zeros(0, dtype=np.int32)
    return Genotypes(samples, ploidy, offsets_of(lengths.reshape(-1)), variants)


def report_of(
    collector: Collector,
    result: Collected,
    source: Source,
    options: VariantOptions,
    request: Request,
    ref_compared: bool,
) -> VariantReport:
    """Count what was met; raise or warn where the options say so.

    Raises
    ------
    InvalidDataError
        For missing, unphased or haploid genotypes that were not to be there.
    """
    missing, unphased, haploid = _genotype_counts(collector.path, result.parts, options)
    if unphased and options.unphased == "as_written":
        warnings.warn(
            f"{collector.path}: {unphased:,} heterozygous genotypes are not phased; their alleles "
            'are taken in written order. unphased="error" refuses them',
            UserWarning,
            stacklevel=3,
        )
    reasons = result.reasons
    if options.normalize == "atomize":
        reasons = _reasons({name: part.was for name, part in result.parts.items()}, result.parts)
    return VariantReport(
        path=collector.path,
        n_records=collector.n_records,
        n_variants=len(result.table),
        n_carried=len(result.genotypes.variants),
        n_samples=len(result.genotypes.samples),
        counts=reasons,
        dropped=result.dropped,
        n_dropped=sum(result.reasons.values()),
        n_filtered=dict(collector.n_filtered),
        n_without_alt=collector.n_without_alt,
        n_unaligned=collector.n_unaligned,
        unaligned=tuple(collector.unaligned),
        n_duplicates=sum(_n_duplicates(part) for part in result.parts.values()),
        n_missing=missing,
        n_unphased=unphased,
        n_haploid=haploid,
        frequencies=_origin(collector, source, request),
        ref_compared=ref_compared,
    )


def _origin(collector: Collector, source: Source, request: Request) -> str:
    if "AF" not in request.fields or "AF" not in source.fields:
        return f"the genotypes of all {len(request.samples):,} samples"
    n = collector.n_other_af
    others = f"; of {n:,} variants without it, the genotypes of the {len(request.samples):,} read"
    return f"INFO/AF{others if n else ''}"


def _bad_records(found: dict[str, Variants]) -> tuple[dict[Reason, int], tuple[Dropped, ...]]:
    """How many records have which reason not to be used, and the first ones of each."""
    examples: list[Dropped] = []
    reasons = _reasons({name: part.reason for name, part in found.items()}, found)
    for why in reasons:
        examples += _first(found, why)
    return reasons, tuple(sorted(examples, key=lambda one: one.record))


def _first(found: dict[str, Variants], why: Reason) -> list[Dropped]:
    examples: list[Dropped] = []
    for contig, part in found.items():
        for row in np.flatnonzero(part.reason == why)[: _LISTED - len(examples)].tolist():
            record, position = int(part.record[row]), int(part.position[row])
            examples.append(Dropped(record, contig, position, part.ref[row], part.alt[row], why))
    return examples


def _reasons(
    by_contig: dict[str, npt.NDArray[np.uint8]], found: dict[str, Variants]
) -> dict[Reason, int]:
    """Records, each once, by reason."""
    counts = np.zeros(len(Reason), dtype=np.int64)
    for name, reason in by_contig.items():
        rows = np.flatnonzero(reason)
        _, first = np.unique(found[name].record[rows], return_index=True)
        counts += np.bincount(reason[rows[first]], minlength=len(Reason))
    return {why: int(counts[why]) for why in Reason if counts[why]}


def _error(
    collector: Collector,
    reasons: dict[Reason, int],
    bad: tuple[Dropped, ...],
    options: VariantOptions,
) -> InvalidDataError:
    can = [why for why in reasons if why.can_be_normalized]
    if Reason.PLOIDY in reasons:
        hint = f"Genotypes may have {options.ploidy} alleles at most; {_DROP}"
    elif Reason.REF in reasons or Reason.OUTSIDE in reasons:
        hint = f"Is this the genome that the variants were called on? {_DROP}"
    elif len(can) == len(reasons):
        hint = f'normalize="atomize" splits and left-aligns them, as {_STEPS}; {_DROP}'
    else:
        hint = _DROP[0].upper() + _DROP[1:]
    return InvalidDataError(
        f"{sum(reasons.values()):,} of {collector.n_records:,} records cannot be used: "
        + described(bad, reasons, _NAMED),
        path=collector.path,
        expected="bi-allelic, atomic, left-aligned variants whose REF is that of the genome",
        hint=hint,
    )


def _genotype_counts(
    path: str, parts: dict[str, Variants], options: VariantOptions
) -> tuple[int, int, int]:
    totals = np.zeros(3, dtype=np.int64)
    refused = (
        ("missing", "have a missing allele", options.missing),
        ("unphased", "are heterozygous and not phased", options.unphased),
        ("haploid", "have one allele", options.haploid if options.ploidy == 2 else None),
    )
    for contig, part in parts.items():
        _, first = np.unique(part.record, return_index=True)
        counts = part.counts[first]
        totals += counts.sum(axis=0)
        for place, (name, what, policy) in enumerate(refused):
            rows = np.flatnonzero(counts[:, place])
            if policy == "error" and rows.size:
                row = first[rows[0]]
                raise InvalidDataError(
                    f"{int(counts[rows[0], place]):,} genotypes of record "
                    f"{int(part.record[row]):,} at {contig}:{int(part.position[row]) + 1} {what}",
                    path=path,
                    expected=f'none, as {name}="error" says',
                )
    missing, unphased, haploid = totals.tolist()
    return missing, unphased, haploid


def _n_duplicates(part: Variants) -> int:
    """Variants at a position where the same one was before."""
    same = np.flatnonzero(np.diff(part.position) == 0)
    if same.size == 0:
        return 0
    rows = np.unique(np.concatenate([same, same + 1])).tolist()
    return len(rows) - len({(int(part.position[r]), part.ref[r], part.alt[r]) for r in rows})
