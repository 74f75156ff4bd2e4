"""Slow, obvious versions of reading a VCF text, of normalizing, and of applying variants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

Variant = tuple[int, str, str]  # 0-based position, REF, ALT


@dataclass(frozen=True)
class Record:
    """A line of a VCF."""

    number: int
    contig: str
    position: int
    ref: str
    alts: tuple[str, ...]
    filters: tuple[str, ...]
    genotypes: tuple[str, ...]

    def alleles(self, sample: int) -> list[int | None]:
        """Allele numbers of a genotype, in written order; None for a missing one."""
        text = self.genotypes[sample].split(":")[0].replace("/", "|")
        return [None if a == "." else int(a) for a in text.split("|")]


def parse_vcf(text: str) -> tuple[list[str], list[Record]]:
    """Samples and records of VCF text; alleles in upper case."""
    samples: list[str] = []
    records: list[Record] = []
    for line in text.splitlines():
        columns = line.split("\t")
        if line.startswith("#CHROM"):
            samples = columns[9:]
        elif line and not line.startswith("#"):
            alts = () if columns[4] == "." else tuple(columns[4].upper().split(","))
            records.append(
                Record(
                    len(records),
                    columns[0],
                    int(columns[1]) - 1,
                    columns[3].upper(),
                    alts,
                    tuple(columns[6].split(";")),
                    tuple(columns[9:]),
                )
            )
    return samples, records


def carried(
    samples: Sequence[str], records: Iterable[Record], haploid: str = "reference"
) -> set[tuple[str, int, int]]:
    """(sample, ploid, record) of every first ALT allele in diploid or haploid genotypes."""
    found = set()
    for record in records:
        for i, sample in enumerate(samples):
            alleles = record.alleles(i)
            if len(alleles) == 1 and haploid == "repeat":
                alleles = alleles * 2
            found |= {(sample, ploid, record.number) for ploid, a in enumerate(alleles) if a == 1}
    return found


def read_fasta(path: Path) -> dict[str, str]:
    """Contigs of a small FASTA file, in upper case."""
    contigs: dict[str, list[str]] = {}
    name = ""
    for line in path.read_text().splitlines():
        if line.startswith(">"):
            name = line[1:].split()[0]
            contigs[name] = []
        else:
            contigs[name].append(line.strip().upper())
    return {name: "".join(parts) for name, parts in contigs.items()}


def substituted(sequence: str, variant: Variant) -> str:
    """The sequence with REF replaced by ALT."""
    position, ref, alt = variant
    assert sequence[position : position + len(ref)] == ref
    return sequence[:position] + alt + sequence[position + len(ref) :]


def leftmost(sequence: str, variant: Variant) -> Variant:
    """Of all insertions or deletions with the same result, the leftmost with its anchor before."""
    position, ref, alt = variant
    if len(ref) == len(alt):
        return variant
    wanted = substituted(sequence, variant)
    size = abs(len(ref) - len(alt))
    for at in range(position + 1):
        anchor = sequence[at]
        if len(ref) > len(alt):
            candidate = (at, sequence[at : at + size + 1], anchor)
        else:
            candidate = (at, anchor, anchor + wanted[at + 1 : at + 1 + size])
        if len(candidate[1]) == len(ref) and substituted(sequence, candidate) == wanted:
            return candidate
    return variant


def separate(variants: Iterable[Variant]) -> list[Variant]:
    """An indel with a substituted anchor as two, as some versions of bcftools have it."""
    found = []
    for position, ref, alt in variants:
        if len(ref) != len(alt) and ref[0] != alt[0]:
            found.append((position, ref[0], alt[0]))
            shared = (ref[0] + ref[1:], ref[0] + alt[1:])
            found.append((position, *shared))
        else:
            found.append((position, ref, alt))
    return sorted(found)


def haplotype(sequence: str, variants: Iterable[Variant]) -> str:
    """All variants applied, from the left; an indel after a substitution of its anchor as well.

    Others that begin before the end of one that was applied are left out.
    """
    pieces, cursor, last_snv = [], 0, -1
    for position, ref, alt in sorted(variants, key=lambda v: (v[0], len(v[1]) != len(v[2]))):
        if position < cursor:
            if position != last_snv or len(ref) == len(alt):
                continue
            pieces.append(alt[1:])
        else:
            pieces += [sequence[cursor:position], alt]
            last_snv = position if len(ref) == len(alt) == 1 else -1
        cursor = position + len(ref)
    return "".join([*pieces, sequence[cursor:]])


def with_upstream(
    spans: Sequence[tuple[int, int]], regions: Mapping[str, Sequence[tuple[int, int]]], contig: str
) -> list[int]:
    """Which of some sorted spans overlap a region, or a wanted one that follows."""
    wanted = {
        i
        for i, (start, end) in enumerate(spans)
        if any(start < e and s < end for s, e in regions.get(contig, ()))
    }
    while True:
        more = {
            i
            for i, (_, end) in enumerate(spans)
            if i not in wanted and any(j > i and spans[j][0] < end for j in wanted)
        }
        if not more:
            return sorted(wanted)
        wanted |= more
