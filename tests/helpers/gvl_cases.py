"""The tiny data sets of ``../shared/peers/gvl`` with their exact results, parsed as text.

Nothing of the package reads them here, so that readers and kernels are judged apart.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bigwig_loader.formats.genome import Genome
from bigwig_loader.formats.variants.table import Genotypes, VariantTable
from bigwig_loader.plan.haplotypes import HaplotypeWindows
from tests.helpers.haplotypes import Haplotype, tables
from tests.helpers.shared import SHARED, shared_peers
from tests.oracles.haplotypes import Variant

FOLDER = SHARED / "peers" / "gvl"
NAMES = sorted(path.parent.name for path in FOLDER.glob("*/case.json"))
# Records that are not bi-allelic and atomic, which no reader lets through as they are.
REFUSED = ("30_multiallelic_raw", "32_star_allele", "33_symbolic", "35_complex")
CLEAN = [name for name in NAMES if name not in REFUSED]


@dataclass(frozen=True)
class Region:
    """A line of a BED file."""

    contig: str
    start: int
    end: int
    reverse: bool


@dataclass(frozen=True)
class Case:
    """One data set.

    Parameters
    ----------
    name : str
    folder : Path
    sequences : dict of str to str
        Contigs as they are in the FASTA.
    samples : tuple of str
        Sorted, as in `expected`.
    regions : tuple of Region
        In BED order.
    carried : dict
        Variants of (contig, sample, ploid) in file order, allele 1 only.
    variants : dict of str to list of Variant
        All of them by contig.
    expected : dict
        What the written rules give; empty where writing has to fail.
    options : dict
        Of ``case.json``.
    """

    name: str
    folder: Path
    sequences: dict[str, str]
    samples: tuple[str, ...]
    regions: tuple[Region, ...]
    carried: dict[Haplotype, list[Variant]]
    variants: dict[str, list[Variant]]
    expected: dict[str, Any]
    options: dict[str, Any]

    @property
    def vcf(self) -> Path:
        """Compressed and indexed."""
        return self.folder / "variants.vcf.gz"

    @property
    def fasta(self) -> Path:
        return self.folder / "ref.fa"

    @property
    def bed(self) -> Path:
        return self.folder / "regions.bed"

    def bigwigs(self, track: int) -> dict[str, Path]:
        """Files of track 0 or 1 by sample."""
        return {sample: self.folder / f"t{track}.{sample}.bw" for sample in self.samples}

    def modes(self) -> list[tuple[int | None, dict[str, Any]]]:
        """Length (None for ragged) and expected results of each output that was recorded."""
        fixed = sorted((int(n), found) for n, found in self.expected.get("fixed", {}).items())
        return [(None, self.expected["ragged"]), *fixed]

    def genome(self) -> Genome:
        return Genome.from_arrays(self.sequences)

    def tables(self) -> tuple[VariantTable, Genotypes]:
        return tables(self.variants, self.carried, self.samples)

    def windows(self, length: int | None = None) -> HaplotypeWindows:
        """All regions with all samples, region by region."""
        n = len(self.samples)
        contigs = list(self.sequences)
        return HaplotypeWindows(
            np.repeat([contigs.index(region.contig) for region in self.regions], n),
            np.repeat([region.start for region in self.regions], n),
            np.repeat([region.end for region in self.regions], n),
            np.tile(np.arange(n), len(self.regions)),
            np.repeat([region.reverse for region in self.regions], n),
            length_bp=length,
        )


@functools.cache
def read_case(name: str) -> Case:
    """Parse one of `NAMES`; the calling test is skipped where the data sets are absent."""
    folder = shared_peers("gvl", name)
    options = json.loads((folder / "case.json").read_text())["opts"]
    expected = folder / "expected_spec.json"
    found = json.loads(expected.read_text()) if expected.exists() else {}
    sequences = read_fasta(folder / "ref.fa")
    samples, carried, variants = read_vcf_text(folder / "variants.vcf", sequences)
    regions = []
    for line in (folder / "regions.bed").read_text().splitlines():
        contig, start, end, *more = line.split("\t")
        regions.append(Region(contig, int(start), int(end), more[2:] == ["-"]))
    return Case(
        name, folder, sequences, tuple(sorted(samples)), tuple(regions), carried, variants,
        found, options,
    )  # fmt: skip


def read_fasta(path: Path) -> dict[str, str]:
    """Contigs by name, case kept."""
    sequences: dict[str, str] = {}
    for part in path.read_text().split(">")[1:]:
        head, *lines = part.splitlines()
        sequences[head.split()[0]] = "".join(lines)
    return sequences


def read_vcf_text(
    path: Path, contigs: Mapping[str, object]
) -> tuple[list[str], dict[Haplotype, list[Variant]], dict[str, list[Variant]]]:
    """Samples, carried variants of each haplotype, and variants by contig.

    Allele 1 is carried, everything else is the reference; a lone allele is that of haplotype 0.
    """
    samples: list[str] = []
    carried: dict[Haplotype, list[Variant]] = {}
    variants: dict[str, list[Variant]] = {contig: [] for contig in contigs}
    record = 0
    for line in path.read_text().splitlines():
        if line.startswith("##"):
            continue
        fields = line.split("\t")
        if line.startswith("#"):
            samples = fields[9:]
            continue
        contig, position, _, ref, alt = fields[:5]
        variant = Variant(int(position) - 1, ref, alt, record)
        record += 1
        variants[contig].append(variant)
        for sample, genotype in zip(samples, fields[9:], strict=True):
            alleles = genotype.split(":")[0].replace("/", "|").split("|")
            for ploid, allele in enumerate(alleles):
                if allele == "1":
                    carried.setdefault((contig, sample, ploid), []).append(variant)
    return samples, carried, variants
