"""Variants for tests of haplotypes: as arrays, as a VCF, and drawn at random."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from bigwig_loader.formats.genome import Genome
from bigwig_loader.formats.variants.table import Genotypes, VariantTable
from tests.oracles.haplotypes import Variant

# (contig, sample, ploid)
Haplotype = tuple[str, str, int]
Carried = Mapping[Haplotype, Sequence[Variant]]


@dataclass(frozen=True)
class World:
    """Made contigs, the variants on them, and who carries which.

    Parameters
    ----------
    sequences : dict of str to str
    samples : tuple of str
    ploidy : int
    variants : dict of str to list of Variant
        By contig, ascending; numbered over all contigs as records.
    carried : dict
        Variants of (contig, sample, ploid).
    """

    sequences: dict[str, str]
    samples: tuple[str, ...]
    ploidy: int
    variants: dict[str, list[Variant]]
    carried: dict[Haplotype, list[Variant]]

    def genome(self) -> Genome:
        return Genome.from_arrays(self.sequences)

    def tables(self) -> tuple[VariantTable, Genotypes]:
        return tables(self.variants, self.carried, self.samples, self.ploidy)

    def write(self, folder: Path) -> tuple[Path, Path]:
        """A FASTA and a VCF (plain text) of it."""
        fasta, vcf = folder / "made.fa", folder / "made.vcf"
        fasta.write_text("".join(f">{name}\n{s}\n" for name, s in self.sequences.items()))
        lines = ["##fileformat=VCFv4.2"]
        lines += ['##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">']
        lines += [f"##contig=<ID={name},length={len(s)}>" for name, s in self.sequences.items()]
        columns = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT"]
        lines.append("\t".join([*columns, *self.samples]))
        for contig, variants in self.variants.items():
            for v in variants:
                fields = [contig, str(v.position + 1), ".", v.ref, v.alt, ".", ".", ".", "GT"]
                lines.append(
                    "\t".join(fields + [self._genotype(contig, s, v) for s in self.samples])
                )
        vcf.write_text("\n".join(lines) + "\n")
        return fasta, vcf

    def _genotype(self, contig: str, sample: str, variant: Variant) -> str:
        lists = [self.carried.get((contig, sample, p), ()) for p in range(self.ploidy)]
        return "|".join(str(int(variant in carried)) for carried in lists)


def tables(
    variants: Mapping[str, Sequence[Variant]],
    carried: Carried,
    samples: Sequence[str],
    ploidy: int = 2,
) -> tuple[VariantTable, Genotypes]:
    """Variants by contig, and those of each haplotype, as the arrays that the package uses."""
    rows = [
        (contig, v) for contig in variants for v in sorted(variants[contig], key=lambda v: v[0])
    ]
    row_of = {(contig, v): i for i, (contig, v) in enumerate(rows)}
    refs, alts = [v.ref.upper() for _, v in rows], [v.alt.upper() for _, v in rows]
    table = VariantTable(
        contig_names=tuple(variants),
        contig_offsets=_offsets([len(variants[contig]) for contig in variants]),
        position=np.array([v.position for _, v in rows], np.int32),
        ilen=np.array([v.ilen for _, v in rows], np.int32),
        ref_offsets=_offsets([len(x) for x in refs]),
        ref=np.frombuffer("".join(refs).encode(), np.uint8),
        alt_offsets=_offsets([len(x) for x in alts]),
        alt=np.frombuffer("".join(alts).encode(), np.uint8),
        record=np.array([v.record for _, v in rows], np.int64),
    )
    lists = [
        sorted(row_of[contig, v] for v in carried.get((contig, sample, ploid), ()))
        for contig in variants
        for sample in samples
        for ploid in range(ploidy)
    ]
    flat = np.array([row for found in lists for row in found], np.int32)
    return table, Genotypes(tuple(samples), ploidy, _offsets([len(x) for x in lists]), flat)


def _offsets(lengths: Sequence[int]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)


@st.composite
def worlds(draw: st.DrawFn, letters: str = "ACGT") -> World:
    """Up to two short contigs, with variants that overlap in every way."""
    seed = draw(st.integers(0, 2**32 - 1))
    n_contigs, n_samples = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    ploidy = draw(st.integers(1, 3))
    n_variants = draw(st.integers(0, 12))
    share = draw(st.sampled_from([0.2, 0.6, 1.0]))
    rng = np.random.default_rng(seed)
    lengths = {f"c{i}": int(rng.integers(1, 60)) for i in range(n_contigs)}
    return random_world(rng, lengths, n_samples, ploidy, n_variants, share, letters)


def random_world(
    rng: np.random.Generator,
    lengths: Mapping[str, int],
    n_samples: int,
    ploidy: int,
    n_variants: int,
    share: float,
    letters: str = "ACGT",
    is_aligned: bool = False,
) -> World:
    """Contigs of random letters with up to `n_variants` each, carried with chance `share`."""
    samples = tuple(f"s{i}" for i in range(n_samples))
    sequences, variants, carried = {}, {}, {}
    record = 0
    for contig, length in lengths.items():
        sequences[contig] = "".join(rng.choice(list(letters), length))
        found = {random_variant(rng, sequences[contig]) for _ in range(n_variants)}
        if is_aligned:
            found = {v for v in found if v.ref[-1] != v.alt[-1]}
        # Of one position in any order, but the same in every process.
        ordered = sorted(found, key=lambda v: (v.position, v.alt, v.ref))
        variants[contig] = [v._replace(record=record + i) for i, v in enumerate(ordered)]
        record += len(ordered)
        for sample in samples:
            for ploid in range(ploidy):
                chosen = rng.random(len(ordered)) < share
                carried[contig, sample, ploid] = [
                    v for v, is_carried in zip(variants[contig], chosen, strict=True) if is_carried
                ]
    return World(sequences, samples, ploidy, variants, carried)


def random_variant(rng: np.random.Generator, sequence: str, longest: int = 8) -> Variant:
    """A substitution, insertion or deletion anywhere on a sequence."""
    position = int(rng.integers(0, len(sequence)))
    anchor = sequence[position]
    kind = rng.integers(0, 3)
    n = int(rng.integers(1, longest + 1))
    if kind == 0:
        return Variant(position, anchor, str(rng.choice([x for x in "ACGT" if x != anchor])))
    if kind == 1:
        return Variant(position, anchor, anchor + "".join(rng.choice(list("ACGT"), n)))
    ref = sequence[position : position + 1 + n]
    if len(ref) > 1:
        return Variant(position, ref, anchor)
    return Variant(position, anchor, anchor + "T")


def write_pgen(
    prefix: Path,
    contigs: Mapping[str, str],
    samples: Sequence[str],
    variants: Mapping[str, Sequence[Variant]],
    carried: Carried,
) -> Path:
    """PGEN, PVAR and PSAM with phased diploid genotypes; the path of the PGEN."""
    import pgenlib

    records = [(contig, v) for contig in variants for v in variants[contig]]
    path = prefix.with_name(f"{prefix.name}.pgen")
    writer = pgenlib.PgenWriter(
        bytes(path), len(samples), variant_ct=len(records), nonref_flags=False,
        hardcall_phase_present=True,
    )  # fmt: skip
    lines = [f"##contig=<ID={name},length={len(s)}>" for name, s in contigs.items()]
    lines.append("#CHROM\tPOS\tID\tREF\tALT")
    for contig, v in records:
        alleles = [
            int(v in carried.get((contig, sample, ploid), ()))
            for sample in samples
            for ploid in (0, 1)
        ]
        writer.append_alleles(np.array(alleles, np.int32), all_phased=True)
        lines.append(f"{contig}\t{v.position + 1}\t.\t{v.ref}\t{v.alt}")
    writer.close()
    prefix.with_name(f"{prefix.name}.pvar").write_text("\n".join(lines) + "\n")
    psam = "".join(f"{sample}\tNA\n" for sample in samples)
    prefix.with_name(f"{prefix.name}.psam").write_text("#IID\tSEX\n" + psam)
    return path
