"""Small VCF files, and what was read of them as plain sets and lists."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest

from bigwig_loader.formats.genome import Genome
from bigwig_loader.formats.variants.read import ReadVariants
from bigwig_loader.formats.variants.table import VariantTable

HEADER = """##fileformat=VCFv4.2
##FILTER=<ID=low,Description="low">
##INFO=<ID=DP,Number=1,Type=Integer,Description="depth">
##INFO=<ID=Q,Number=A,Type=Float,Description="quality, <of> an allele, ID=no">
##INFO=<ID=OK,Number=0,Type=Flag,Description="flag">
##INFO=<ID=KIND,Number=1,Type=String,Description="kind">
##INFO=<ID=TWO,Number=2,Type=Integer,Description="two">
{more}##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
##FORMAT=<ID=DP,Number=1,Type=Integer,Description="depth">
"""

SEQUENCE = "GATTTACACACAGGGTTTTACGTNACGGATCCATGCATTTTGACA"


def genome(**contigs: str) -> Genome:
    return Genome.from_arrays(contigs or {"c": SEQUENCE})


def write_vcf(
    path: Path,
    rows: Iterable[str],
    samples: Sequence[str] = ("s0", "s1"),
    contigs: Sequence[str] = ("c",),
    more: str = "",
) -> Path:
    """Rows are "CHROM POS REF ALT GT GT ...", or with FILTER=, INFO= and FORMAT= among them."""
    lines = [HEADER.format(more=more)]
    lines += [f"##contig=<ID={name},length=100000>\n" for name in contigs]
    columns = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO"]
    lines.append("\t".join(columns + (["FORMAT", *samples] if samples else [])) + "\n")
    for row in rows:
        contig, position, ref, alt, *rest = row.split()
        extra = dict(part.split("=", 1) for part in rest if part[:5] in ("FILTE", "INFO=", "FORMA"))
        genotypes = [part for part in rest if part[:5] not in ("FILTE", "INFO=", "FORMA")]
        fields = [contig, position, ".", ref, alt, "7", extra.get("FILTER", "PASS")]
        fields.append(extra.get("INFO", "."))
        if samples:
            fields += [extra.get("FORMAT", "GT"), *genotypes]
        lines.append("\t".join(fields) + "\n")
    path.write_text("".join(lines))
    return path


def tool(name: str) -> str:
    """Path of a command line tool; the test is skipped where it is absent."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name}, which is not installed")
    return found


def compressed(path: Path, index: str | None = "tbi") -> Path:
    """The same VCF compressed with bgzip, or as BCF (index "bcf"), with an index."""
    bcftools = tool("bcftools")
    kind, end = ("-Ob", ".bcf") if index == "bcf" else ("-Oz", ".vcf.gz")
    made = path.with_name(f"{path.stem}-{index}{end}")
    subprocess.run([bcftools, "view", kind, "-o", made, path], check=True, capture_output=True)
    if index is not None:
        form = "-t" if index == "tbi" else "-c"
        subprocess.run([bcftools, "index", "-f", form, made], check=True, capture_output=True)
    return made


def variants_of(table: VariantTable) -> list[tuple[str, int, str, str]]:
    """Contig, position, REF and ALT of all variants."""
    found = []
    for c, name in enumerate(table.contig_names):
        for v in range(int(table.contig_offsets[c]), int(table.contig_offsets[c + 1])):
            found.append((name, int(table.position[v]), table.ref_of(v), table.alt_of(v)))
    return found


def entries(read: ReadVariants) -> set[tuple[str, int, int]]:
    """(sample, ploid, record) of all that is carried."""
    genotypes, found = read.genotypes, set()
    for contig in np.flatnonzero(np.diff(read.table.contig_offsets)).tolist():
        for s, sample in enumerate(genotypes.samples):
            for ploid in range(genotypes.ploidy):
                rows = genotypes.carried(contig, s, ploid)
                assert (rows[1:] > rows[:-1]).all()
                first, last = read.table.contig_offsets[contig : contig + 2]
                assert ((rows >= first) & (rows < last)).all()
                found |= {(sample, ploid, int(r)) for r in read.table.record[rows]}
    return found
