"""What reading variants found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from bigwig_loader.formats.variants.check import DESCRIPTIONS, Reason

_EXAMPLES = 5


@dataclass(frozen=True)
class Dropped:
    """A record that was left out, or is to be named.

    Parameters
    ----------
    record : int
        0-based number in the source.
    contig : str
    position : int
        0-based.
    ref, alt : str
        As in the file, upper case; several ALT alleles with commas.
    reason : Reason
    """

    record: int
    contig: str
    position: int
    ref: str
    alt: str
    reason: Reason

    def __str__(self) -> str:
        alleles = f"{_shortened(self.ref)}>{_shortened(self.alt)}"
        return f"record {self.record:,} {self.contig}:{self.position + 1} {alleles}"


@dataclass(frozen=True)
class VariantReport:
    """Counts of what was read of one source, and of what was not taken as it stood.

    Parameters
    ----------
    path : str
    n_records : int
        Records in the regions that passed the filters on FILTER and INFO, and have an ALT.
    n_variants : int
        Variants in the table.
    n_carried : int
        Entries of all haplotypes together.
    n_samples : int
    counts : dict of Reason to int
        Records by what was wrong with them: left out (``normalize="drop"``), or made usable
        (``"atomize"``).
    dropped : tuple of Dropped
        The first records that were left out, at most 20 of each reason.
    n_dropped : int
    n_filtered : dict of str to int
        What each filter removed: records (FILTER, INFO) or variants (allele frequency).
    n_without_alt : int
        Records without an ALT allele, passed over.
    n_unaligned : int
        Insertions and deletions that could be written further to the left, taken as they are.
    unaligned : tuple of Dropped
        The first of them.
    n_duplicates : int
        Variants that are there more than once; all were kept.
    n_missing, n_unphased, n_haploid : int
        Genotypes with a missing allele; heterozygous and not phased; with one allele.
    frequencies : str
        Where the allele frequencies come from.
    ref_compared : bool
        Whether REF was compared with a genome.
    absent_contigs : tuple of str
        Contigs asked for that the source does not know.
    """

    path: str
    n_records: int = 0
    n_variants: int = 0
    n_carried: int = 0
    n_samples: int = 0
    counts: dict[Reason, int] = field(default_factory=dict)
    dropped: tuple[Dropped, ...] = ()
    n_dropped: int = 0
    n_filtered: dict[str, int] = field(default_factory=dict)
    n_without_alt: int = 0
    n_unaligned: int = 0
    unaligned: tuple[Dropped, ...] = ()
    n_duplicates: int = 0
    n_missing: int = 0
    n_unphased: int = 0
    n_haploid: int = 0
    frequencies: str = "genotypes"
    ref_compared: bool = False
    absent_contigs: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [
            f"Variants of {self.path}",
            f"  {self.n_records:,} records -> {self.n_variants:,} variants, carried "
            f"{self.n_carried:,} times by {self.n_samples:,} samples",
            f"  REF {'equals the genome' if self.ref_compared else 'not compared (no genome)'}; "
            f"allele frequencies from {self.frequencies}",
        ]
        fate = "left out" if self.n_dropped else "normalized"
        lines += [f"  {n:,} {DESCRIPTIONS[why]}: {fate}" for why, n in self.counts.items()]
        lines += [f"  {n:,} removed by {name}" for name, n in self.n_filtered.items() if n]
        for n, what in (
            (self.n_without_alt, "records without ALT: passed over"),
            (
                self.n_unaligned,
                "insertions or deletions not left-aligned, taken as they are, for example "
                + "; ".join(str(one) for one in self.unaligned),
            ),
            (self.n_duplicates, "variants that are there before: kept, the first one applies"),
            (self.n_missing, "genotypes with a missing allele: reference"),
            (self.n_unphased, "heterozygous genotypes not phased: as written"),
            (self.n_haploid, "haploid genotypes"),
        ):
            if n:
                lines.append(f"  {n:,} {what}")
        if self.absent_contigs:
            lines.append(f"  no variants on {', '.join(self.absent_contigs)}: not in this source")
        if self.dropped:
            lines += ["  left out, for example:", *_examples(self.dropped)]
        return "\n".join(lines)


def _shortened(allele: str) -> str:
    return allele if len(allele) <= 24 else f"{allele[:20]}... ({len(allele):,} bp)"


def described(bad: Iterable[Dropped], counts: dict[Reason, int], n: int) -> str:
    """What is wrong with some records: counts by reason, each with its first n examples."""
    bad = list(bad)
    parts = []
    for why, count in counts.items():
        examples = [str(one) for one in bad if one.reason == why][:n]
        more = "; ..." if count > len(examples) else ""
        parts.append(f"{count:,} {DESCRIPTIONS[why]} ({'; '.join(examples)}{more})")
    return ", ".join(parts)


def _examples(dropped: Iterable[Dropped]) -> list[str]:
    lines, seen = [], dict.fromkeys(Reason, 0)
    for one in dropped:
        seen[one.reason] += 1
        if seen[one.reason] <= _EXAMPLES:
            lines.append(f"    {one}: {DESCRIPTIONS[one.reason]}")
    return lines
