"""Made data for personal genomes: a genome, phased variants of many samples, regions and signal.

Variants are as both libraries want them: bi-allelic, atomic, left-aligned, apart from each other.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.made import fasta_lines, make_once
from bigwig_loader._bigwig_writer import write_bigwig

CONTIG = "chr1"
LINE_BP = 60
N_FILES = 8
_LETTERS = np.frombuffer(b"ACGT", np.uint8)
_SNP_SHARE = 0.85
_LONGEST_INDEL_BP = 20


@dataclass(frozen=True)
class HaplotypeScale:
    """How much is made.

    Parameters
    ----------
    contig_bp : int
        Length of the one contig.
    n_variants, n_samples : int
    n_regions, length_bp : int
        Regions, half of them on the - strand.
    item_bp : int
        Mean length of the intervals of a BigWig.
    """

    contig_bp: int
    n_variants: int
    n_samples: int
    n_regions: int
    length_bp: int
    item_bp: int = 25


@dataclass(frozen=True)
class HaplotypeData:
    """Files of one setting."""

    folder: Path

    @property
    def genome(self) -> str:
        """FASTA."""
        return str(self.folder / "genome.fa")

    @property
    def variants(self) -> str:
        """Compressed VCF with its index."""
        return str(self.folder / "variants.vcf.gz")

    @property
    def regions(self) -> str:
        """BED with strands."""
        return str(self.folder / "regions.bed")

    def bigwigs(self, n: int) -> dict[str, str]:
        """Signal of the first `n` samples, at most `N_FILES`."""
        return {sample_name(i): str(self.folder / f"{sample_name(i)}.bw") for i in range(n)}


def sample_name(i: int) -> str:
    """Sample i; sorted by name as by number."""
    return f"s{i:04d}"


def make_haplotype_data(folder: Path, scale: HaplotypeScale) -> HaplotypeData:
    """The data, made where it is not there yet."""
    for tool in ("bgzip", "tabix"):
        if shutil.which(tool) is None:
            raise RuntimeError(f"{tool} is needed to make a compressed VCF; install htslib")
    data = HaplotypeData(folder)

    def make() -> None:
        rng = np.random.default_rng(17)
        genome = _LETTERS[rng.integers(0, 4, scale.contig_bp, np.uint8)]
        _write_genome(data, genome)
        _write_variants(data, scale, genome, rng)
        _write_regions(data, scale, rng)
        paths = data.bigwigs(min(N_FILES, scale.n_samples)).values()
        with ProcessPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            list(pool.map(_write_signal, paths, [scale] * len(paths)))

    make_once(folder, {"haplotypes": 1, **asdict(scale)}, make)
    return data


def _write_genome(data: HaplotypeData, genome: npt.NDArray[np.uint8]) -> None:
    head = f">{CONTIG}\n".encode()
    with open(data.genome, "wb") as fasta:
        fasta.write(head + fasta_lines(genome, LINE_BP))
    index = f"{CONTIG}\t{len(genome)}\t{len(head)}\t{LINE_BP}\t{LINE_BP + 1}\n"
    Path(data.genome + ".fai").write_text(index)


def _write_variants(
    data: HaplotypeData,
    scale: HaplotypeScale,
    genome: npt.NDArray[np.uint8],
    rng: np.random.Generator,
) -> None:
    """Mostly rare variants, none of which touches another."""
    gap = scale.contig_bp // scale.n_variants
    room = max(1, gap - _LONGEST_INDEL_BP - 2)
    positions = np.arange(scale.n_variants) * gap + rng.integers(0, room, scale.n_variants)
    share = np.clip(rng.beta(0.3, 1.5, scale.n_variants), 1 / (2 * scale.n_samples), 1)
    shown = np.frombuffer(b"0|0\t0|1\t1|0\t1|1\t", np.uint8).reshape(4, 4)
    names = "\t".join(sample_name(i) for i in range(scale.n_samples))
    plain = Path(data.variants).with_suffix("")
    with plain.open("wb") as vcf:
        vcf.write(
            b'##fileformat=VCFv4.2\n##FORMAT=<ID=GT,Number=1,Type=String,Description="GT">\n'
            + f"##contig=<ID={CONTIG},length={len(genome)}>\n".encode()
            + f"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{names}\n".encode()
        )
        for position, chance in zip(positions.tolist(), share.tolist(), strict=True):
            ref, alt = _alleles(genome, position, rng)
            carried = rng.random((scale.n_samples, 2)) < chance
            carried[rng.integers(scale.n_samples), rng.integers(2)] = True
            genotypes = shown[carried[:, 0] * 2 + carried[:, 1]].tobytes()[:-1]
            head = f"{CONTIG}\t{position + 1}\t.\t{ref}\t{alt}\t.\t.\t.\tGT\t"
            vcf.write(head.encode() + genotypes + b"\n")
    subprocess.run(["bgzip", "-f", str(plain)], check=True)
    subprocess.run(["tabix", "-f", "-p", "vcf", data.variants], check=True)


def _alleles(
    genome: npt.NDArray[np.uint8], position: int, rng: np.random.Generator
) -> tuple[str, str]:
    """REF and ALT of a random variant, left-aligned: its last letters differ."""
    anchor = chr(genome[position])
    others = [letter for letter in "ACGT" if letter != anchor]
    kind = rng.random()
    if kind < _SNP_SHARE:
        return anchor, others[rng.integers(3)]
    n = min(int(rng.geometric(0.3)), _LONGEST_INDEL_BP)
    if kind < (1 + _SNP_SHARE) / 2:
        inner = _LETTERS[rng.integers(0, 4, n - 1)].tobytes().decode()
        return anchor, anchor + inner + others[rng.integers(3)]
    deleted = genome[position + 1 : position + 1 + n].tobytes().decode().rstrip(anchor)
    return (anchor + deleted, anchor) if deleted else (anchor, others[0])


def _write_regions(data: HaplotypeData, scale: HaplotypeScale, rng: np.random.Generator) -> None:
    margin = min(scale.length_bp, scale.contig_bp // 20)
    starts = rng.integers(margin, scale.contig_bp - scale.length_bp - margin, scale.n_regions)
    with open(data.regions, "w") as bed:
        for i, start in enumerate(np.sort(starts).tolist()):
            bed.write(f"{CONTIG}\t{start}\t{start + scale.length_bp}\tr{i}\t0\t{'+-'[i % 2]}\n")


def _write_signal(path: str, scale: HaplotypeScale) -> None:
    rng = np.random.default_rng([29, *Path(path).stem.encode()])
    n = int(scale.contig_bp / scale.item_bp * 1.1) + 20
    ends = np.cumsum(rng.geometric(1 / scale.item_bp, n))
    ends = np.append(ends[ends < scale.contig_bp], scale.contig_bp)
    starts = np.concatenate([[0], ends[:-1]])
    pile = np.abs(np.cumsum(rng.integers(-2, 3, len(ends)))) % 50 / 4
    write_bigwig(path, {CONTIG: scale.contig_bp}, {CONTIG: (starts, ends, pile)})
