"""normalize="atomize" beside bcftools norm, on random and on real files."""

from __future__ import annotations

import subprocess
import warnings
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from bigwig_loader.formats.genome import Genome
from bigwig_loader.formats.variants.read import ReadVariants, VariantOptions, read_variants
from tests.helpers.shared import shared_data
from tests.helpers.vcf_files import tool, variants_of, write_vcf
from tests.oracles import variant_normalize as oracle

pytest.importorskip("cyvcf2")

ATOMIZE = VariantOptions(normalize="atomize")

# Variants that each haplotype (sample, ploid) carries, by contig; indels that substitute their
# anchor as two, since versions of bcftools differ there.
Haplotypes = dict[tuple[str, str, int], list[oracle.Variant]]


def _bcftools(path: Path, fasta: Path) -> Haplotypes:
    run = [tool("bcftools"), "norm", "-f", str(fasta)]
    split = subprocess.run([*run, "-a", "-m-", path], check=True, capture_output=True).stdout
    kept = [line for line in split.splitlines(True) if line[:1] == b"#" or b"\t*\t" not in line]
    aligned = subprocess.run([*run, "-"], input=b"".join(kept), check=True, capture_output=True)
    samples, records = oracle.parse_vcf(aligned.stdout.decode())
    found: Haplotypes = defaultdict(list)
    for sample, ploid, number in oracle.carried(samples, records):
        r = records[number]
        found[r.contig, sample, ploid].append((r.position, r.ref, r.alts[0]))
    return {key: oracle.separate(variants) for key, variants in found.items()}


def _ours(read: ReadVariants) -> Haplotypes:
    variants = variants_of(read.table)
    found: Haplotypes = {}
    for c in np.flatnonzero(np.diff(read.table.contig_offsets)).tolist():
        name = read.table.contig_names[c]
        for s, sample in enumerate(read.genotypes.samples):
            for ploid in range(2):
                rows = read.genotypes.carried(c, s, ploid).tolist()
                if rows:
                    carried = [variants[row][1:] for row in rows]
                    found[name, sample, ploid] = oracle.separate(carried)
    return found


def _random_files(folder: Path, seed: int, stars: bool = False) -> tuple[Path, Path]:
    """Short contigs of few letters, full of records that are neither atomic nor aligned.

    With alleles ``*``, of which bcftools leaves records as they are, one record per contig.
    """
    rng = np.random.default_rng(seed)
    fasta, rows, names = [], [], []
    for number in range(60):
        name = f"c{number}"
        letters = "ACGT" if number % 2 else "AC"
        sequence = "".join(rng.choice(list(letters), 70))
        fasta.append(f">{name}\n{sequence}\n")
        names.append(name)
        for position in np.sort(rng.integers(0, 60, 1 if stars else 7)).tolist():
            ref = sequence[position : position + int(rng.integers(1, 6))]
            alts: list[str] = []
            for _ in range(int(rng.integers(1, 4))):
                alt = "".join(rng.choice(list(letters), int(rng.integers(1, 6))))
                if rng.random() < 0.4:
                    alt = ref[: int(rng.integers(1, 4))] + alt
                if stars and rng.random() < 0.3:
                    alt = "*"
                if alt != ref and alt not in alts:
                    alts.append(alt)
            if alts:
                alleles = [*map(str, range(len(alts) + 1)), "."]
                genotypes = ["|".join(rng.choice(alleles, 2)) for _ in range(3)]
                rows.append(f"{name} {position + 1} {ref} {','.join(alts)} {' '.join(genotypes)}")
    path = write_vcf(folder / "random.vcf", rows, samples=("s0", "s1", "s2"), contigs=names)
    (folder / "random.fa").write_text("".join(fasta))
    return path, folder / "random.fa"


@pytest.mark.parametrize("seed", range(3))
def test_random_records_equal_bcftools(tmp_path: Path, seed: int) -> None:
    path, fasta = _random_files(tmp_path, seed)
    wanted = _bcftools(path, fasta)
    read = read_variants(path, Genome(fasta), options=ATOMIZE)
    found = _ours(read)
    assert found == wanted
    assert len(found) > 250
    sequences = oracle.read_fasta(fasta)
    for (contig, sample, ploid), variants in wanted.items():
        sequence = sequences[contig]
        ours = oracle.haplotype(sequence, found[contig, sample, ploid])
        assert ours == oracle.haplotype(sequence, variants)
    for c in range(len(read.table.contig_names)):
        rows = slice(*read.table.contig_offsets[c : c + 2].tolist())
        assert (np.diff(read.table.position[rows]) >= 0).all()


def test_spanning_deletions_become_reference(tmp_path: Path) -> None:
    path, fasta = _random_files(tmp_path, 7, stars=True)
    sequences, genome = oracle.read_fasta(fasta), Genome(fasta)
    found = _ours(read_variants(path, genome, options=ATOMIZE))
    wanted = _bcftools(path, fasta)
    assert set(found) == set(wanted)
    assert "*" in path.read_text()
    for (contig, sample, ploid), variants in wanted.items():
        ours = oracle.haplotype(sequences[contig], found[contig, sample, ploid])
        assert ours == oracle.haplotype(sequences[contig], variants)


def test_normalized_variants_pass_the_checks(tmp_path: Path) -> None:
    path, fasta = _random_files(tmp_path, 99)
    read = read_variants(path, Genome(fasta), options=ATOMIZE)
    rows = []
    for contig, position, ref, alt in variants_of(read.table):
        rows.append(f"{contig} {position + 1} {ref} {alt} 0|1")
    again = write_vcf(tmp_path / "again.vcf", rows, samples=("s",), contigs=read.table.contig_names)
    strict = VariantOptions(alignment="error")
    fine = read_variants(again, Genome(fasta), options=strict)
    assert variants_of(fine.table) == variants_of(read.table)


def test_regions_of_normalized_variants(tmp_path: Path) -> None:
    """What is shifted into a region comes with it, and what is shifted out of it does not."""
    sequence = "GT" + "AC" * 40 + "GGATCG"
    (tmp_path / "r.fa").write_text(f">c\n{sequence}\n")
    rows = ["c 41 A C 1|0", "c 75 ACA A 0|1", "c 83 G T 1|1"]
    path = write_vcf(tmp_path / "r.vcf", rows, samples=("s",))
    genome = Genome(tmp_path / "r.fa")
    read = read_variants(path, genome, regions={"c": np.array([[0, 4]])}, options=ATOMIZE)
    assert variants_of(read.table) == [("c", 1, "TAC", "T")]
    assert read.table.record.tolist() == [1]
    assert read.genotypes.carried(0, 0, 1).tolist() == [0]
    assert read.report.n_records == 0  # as the records stand, none is there
    later = read_variants(path, genome, regions={"c": np.array([[70, 80]])}, options=ATOMIZE)
    assert len(later.table) == 0


@pytest.mark.parametrize(
    ("vcf", "fasta"),
    [
        ("rotavirus/rotavirus_rf.freebayes.vcf.gz", "rotavirus/rotavirus_rf.fa"),
        ("vg_small/x.vcf.gz", "vg_small/x.fa"),
        ("na12878_q/q.vcf.gz", "na12878_q/q.fa"),
    ],
)
def test_real_files_equal_bcftools(vcf: str, fasta: str) -> None:
    path, reference = shared_data("sets", *vcf.split("/")), shared_data("sets", *fasta.split("/"))
    wanted = _bcftools(path, reference)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # not phased
        found = _ours(read_variants(path, Genome(reference), options=ATOMIZE))
    assert found == wanted
    assert sum(map(len, found.values())) >= 4
