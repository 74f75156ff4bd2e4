"""Whole haplotypes beside `bcftools consensus`: live on made and real files, and its own cases."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from bigwig_loader.backend.cpu.haplotypes import HaplotypeReader
from bigwig_loader.formats.genome import Genome
from bigwig_loader.formats.variants.options import VariantOptions
from bigwig_loader.formats.variants.read import read_variants
from bigwig_loader.plan.haplotypes import HaplotypeOptions, HaplotypeWindows
from tests.helpers.gvl_cases import CLEAN, read_case, read_fasta
from tests.helpers.haplotypes import World, random_world, tables
from tests.helpers.shared import shared_data
from tests.oracles import haplotypes as oracle
from tests.oracles.haplotypes import Variant

needs_bcftools = pytest.mark.skipif(
    shutil.which("bcftools") is None or shutil.which("bgzip") is None,
    reason="needs bcftools and bgzip",
)


def compress(vcf: Path, folder: Path) -> Path:
    """A bgzip-compressed and indexed copy of a VCF."""
    out = folder / f"{vcf.name}.gz"
    out.write_bytes(subprocess.run(["bgzip", "-c", vcf], capture_output=True, check=True).stdout)
    subprocess.run(["bcftools", "index", "-t", out], check=True)
    return out


def consensus(vcf: Path, fasta: Path, *arguments: str) -> dict[str, str]:
    """What ``bcftools consensus`` makes of each contig, in upper case."""
    command = ["bcftools", "consensus", "-f", str(fasta), *arguments, str(vcf)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2_000:]
    parts = (part.splitlines() for part in done.stdout.split(">")[1:])
    return {head.split()[0]: "".join(lines).upper() for head, *lines in parts}


def whole_contigs(reader: HaplotypeReader) -> dict[tuple[str, str, int], str]:
    """Every haplotype of every sample from end to end."""
    samples = reader.genotypes.samples
    names = reader.table.contig_names
    lengths = [reader.genome.contigs[name] for name in names]
    n = len(samples)
    windows = HaplotypeWindows(
        np.repeat(np.arange(len(names)), n),
        np.zeros(len(names) * n),
        np.repeat(lengths, n),
        np.tile(np.arange(n), len(names)),
    )
    got = reader.encode(windows, HaplotypeOptions(encoding="bytes"))
    text, offsets = got.data.tobytes().decode(), got.offsets.tolist()
    rows = [text[a:b] for a, b in pairwise(offsets)]
    keys = [(c, s, p) for c in names for s in samples for p in range(reader.ploidy)]
    return dict(zip(keys, rows, strict=True))


def open_world(world: World, policy: str) -> HaplotypeReader:
    table, genotypes = world.tables()
    return HaplotypeReader(world.genome(), table, genotypes, overlap=policy)  # type: ignore[arg-type]


@needs_bcftools
@pytest.mark.parametrize("n_variants", [4, 20])
def test_made_variants_that_overlap(tmp_path: Path, n_variants: int) -> None:
    rng = np.random.default_rng(n_variants)
    lengths = {f"c{i}": int(n) for i, n in enumerate(rng.integers(12, 50, 100))}
    world = random_world(rng, lengths, 3, 2, n_variants, 0.6)
    fasta, vcf = world.write(tmp_path)
    vcf = compress(vcf, tmp_path)
    got = whole_contigs(open_world(world, "bcftools"))
    first = whole_contigs(open_world(world, "first"))
    differ = 0
    for sample in world.samples:
        for ploid, phased in enumerate(("1pIu", "2pIu")):
            theirs = consensus(vcf, fasta, "-s", sample, "-H", phased)
            for contig, carried in ((c, world.carried[c, sample, ploid]) for c in lengths):
                sequence = world.sequences[contig]
                assert got[contig, sample, ploid] == theirs[contig], carried
                assert oracle.whole(sequence, carried, "bcftools") == theirs[contig]
                differ += first[contig, sample, ploid] != theirs[contig]
    # The two rules are not the same, so this would have been noticed.
    assert differ > 10


@needs_bcftools
def test_made_variants_that_do_not_overlap(tmp_path: Path) -> None:
    """Then the rule "first" equals it too."""
    rng = np.random.default_rng(0)
    world = random_world(rng, {f"c{i}": 300 for i in range(20)}, 2, 2, 60, 0.7)
    apart = {}
    for contig, variants in world.variants.items():
        kept: list[Variant] = []
        for variant in variants:
            if not kept or variant.position > kept[-1].span[-1]:
                kept.append(variant)
        apart[contig] = kept
    carried = {
        (contig, *more): [v for v in found if v in apart[contig]]
        for (contig, *more), found in world.carried.items()
    }
    world = World(world.sequences, world.samples, 2, apart, carried)  # type: ignore[arg-type]
    fasta, vcf = world.write(tmp_path)
    vcf = compress(vcf, tmp_path)
    for policy in ("first", "bcftools"):
        got = whole_contigs(open_world(world, policy))
        for sample in world.samples:
            for ploid in (0, 1):
                theirs = consensus(vcf, fasta, "-s", sample, "-H", str(ploid + 1))
                assert {c: got[c, sample, ploid] for c in theirs} == theirs


@needs_bcftools
@pytest.mark.parametrize("name", CLEAN)
def test_cases_of_genvarloader(name: str) -> None:
    case = read_case(name)
    table, genotypes = case.tables()
    got = whole_contigs(HaplotypeReader(case.genome(), table, genotypes, overlap="bcftools"))
    for sample in case.samples:
        theirs = consensus(case.vcf, case.fasta, "-s", sample, "-H", "1")
        assert {c: got[c, sample, 0] for c in theirs} == theirs
        if name != "29_haploid_gt":  # it has no second haplotype to apply
            theirs = consensus(case.vcf, case.fasta, "-s", sample, "-H", "2")
            assert {c: got[c, sample, 1] for c in theirs} == theirs


def own_case(
    vcf: str, fasta: str, choose: Callable[[list[str]], int]
) -> tuple[HaplotypeReader, dict[str, str]]:
    """One haplotype made of a case of bcftools; `choose` names the allele by genotypes.

    A contig that is called NAME:START-END holds that part of NAME.
    """
    folder = shared_data("bcftools_consensus")
    sequences = {name: s.upper() for name, s in read_fasta(folder / fasta).items()}
    carried: dict[str, list[Variant]] = {name: [] for name in sequences}
    for record, line in enumerate((folder / vcf).read_text().splitlines()):
        if line.startswith("#"):
            continue
        contig, position, _, ref, alts, *more = line.split("\t")
        allele = choose(more[4:])
        if allele == 0:
            continue
        alt = alts.split(",")[allele - 1]
        for name in sequences:
            base, first, last = name, 1, 1 << 40
            if found := re.fullmatch(r"(.+):(\d+)-(\d+)", name):
                base, first, last = found[1], int(found[2]), int(found[3])
            if base == contig and first <= int(position) <= last:
                variant = Variant(int(position) - first, ref.upper(), alt.upper(), record)
                carried[name].append(variant)
    table, genotypes = tables(
        carried, {(name, "s", 0): found for name, found in carried.items()}, ("s",), 1
    )
    genome = Genome.from_arrays(sequences)
    return HaplotypeReader(genome, table, genotypes, overlap="bcftools"), sequences


def first_allele(genotypes: list[str]) -> int:
    return int(re.split("[/|]", genotypes[0])[0])


def second_allele(genotypes: list[str]) -> int:
    return int(re.split("[/|]", genotypes[0])[-1])


def of_second_sample(genotypes: list[str]) -> int:
    return first_allele(genotypes[1:])


def always(genotypes: list[str]) -> int:
    return 1


@pytest.mark.parametrize(
    ("vcf", "fasta", "expected", "choose"),
    [
        ("consensus2.vcf", "consensus2.fa", "consensus2.1.out", first_allele),
        ("consensus2.vcf", "consensus2.fa", "consensus2.2.out", second_allele),
        ("consensus4.vcf", "consensus2.fa", "consensus4.out", always),
        ("consensus6.vcf", "consensus6.fa", "consensus6.out", first_allele),
        ("consensus.9.vcf", "consensus.9.1.fa", "consensus.9.1.out", second_allele),
        ("consensus.9.vcf", "consensus.9.2.fa", "consensus.9.2.out", second_allele),
        ("consensus.10.vcf", "consensus.9.1.fa", "consensus.9.1.out", second_allele),
        ("consensus.10.vcf", "consensus.9.2.fa", "consensus.9.2.out", second_allele),
        ("consensus.20.vcf", "consensus.20.fa", "consensus20.1.out", always),
        ("consensus.overlaps.1.vcf", "consensus.overlaps.1.fa", "consensus.overlaps.1.1.out",
         first_allele),
        ("consensus.overlaps.1.vcf", "consensus.overlaps.2.fa", "consensus.overlaps.1.1.out",
         first_allele),
        ("consensus.overlaps.1.vcf", "consensus.overlaps.1.fa", "consensus.overlaps.1.2.out",
         of_second_sample),
    ],
)  # fmt: skip
def test_cases_of_bcftools(
    vcf: str, fasta: str, expected: str, choose: Callable[[list[str]], int]
) -> None:
    reader, sequences = own_case(vcf, fasta, choose)
    folder = shared_data("bcftools_consensus")
    theirs = {name: s.upper() for name, s in read_fasta(folder / expected).items()}
    got = {contig: text for (contig, _, _), text in whole_contigs(reader).items()}
    assert set(theirs) <= set(sequences)
    assert {name: got[name] for name in theirs} == theirs


# VCF and FASTA below the shared data.
REAL = [
    ("sets/chrM/1kg_2020_chrM.vcf.gz", "sets/chrM/Homo_sapiens_assembly38.chrM.fasta"),
    ("sets/vg_small/x.vcf.gz", "sets/vg_small/x.fa"),
    ("sets/vg_small/xy2.vcf.gz", "sets/vg_small/xy.fa"),
    ("sets/rotavirus/rotavirus_rf.vcf.gz", "sets/rotavirus/rotavirus_rf.fa"),
    ("sets/rotavirus/rotavirus_rf.freebayes.vcf.gz", "sets/rotavirus/rotavirus_rf.fa"),
    ("sets/na12878_q/q.vcf.gz", "sets/na12878_q/q.fa"),
    ("sets/volvox/volvox.filtered.vcf.gz", "sets/volvox/volvox.fa"),
]


@needs_bcftools
@pytest.mark.filterwarnings("ignore:.*not phased:UserWarning")
@pytest.mark.parametrize(("vcf", "fasta"), REAL, ids=lambda path: Path(path).name)
def test_real_files(tmp_path: Path, vcf: str, fasta: str) -> None:
    """Multi-allelic and complex records too, which we split and bcftools takes as they are."""
    source, genome = shared_data(vcf), Genome(shared_data(fasta))
    # In upper case: bcftools 1.16 to 1.24 loses a substitution before an insertion at one position
    # where the FASTA is in lower case.
    upper = tmp_path / "upper.fa"
    upper.write_text(
        "".join(f">{name}\n{genome.sequence(name, 0, n)}\n" for name, n in genome.contigs.items())
    )
    read = read_variants(source, genome, options=VariantOptions(normalize="atomize"))
    samples = read.genotypes.samples[:2]
    genotypes = read.genotypes.take_samples(samples)
    got = whole_contigs(HaplotypeReader(genome, read.table, genotypes, overlap="bcftools"))
    for sample in samples:
        for ploid in (0, 1):
            theirs = consensus(source, upper, "-s", sample, "-H", str(ploid + 1))
            for contig in read.table.contig_names:
                assert got[contig, sample, ploid] == theirs[contig]


# One haplotype on a soft-masked FASTA, where bcftools does that (see above).
SOFT_MASKED = ("HG03311", 1)


@pytest.mark.filterwarnings("ignore:.*not phased:UserWarning")
@pytest.mark.parametrize(
    "name",
    [
        "chrM__1kg_2020_chrM",
        "hg38_chr1__1kGP_30x_chr1_10390-66441",
        "rotavirus__rotavirus_rf.freebayes",
        "vg_small__x",
    ],
)
def test_recorded_haplotypes(name: str) -> None:
    """Windows of real haplotypes that bcftools made from the FASTA cut to the window."""
    known = json.loads(shared_data("truth", "haplotypes", f"{name}.json").read_text())
    genome = Genome(shared_data(known["fasta"]))
    wanted = known["haplotypes"]
    samples = sorted({found["sample"] for found in wanted})
    read = read_variants(
        shared_data(known["vcf"]), genome, samples=samples,
        options=VariantOptions(normalize="atomize"),
    )  # fmt: skip
    reader = HaplotypeReader(genome, read.table, read.genotypes, overlap="bcftools")
    for found in wanted:
        contig, _, span = found["region"].partition(":")
        first, last = map(int, (span or f"1-{found['reference_length']}").split("-"))
        place = read.table.contig_names.index(contig), samples.index(found["sample"])
        windows = HaplotypeWindows([place[0]], [first - 1], [last], [place[1]])
        got = reader.encode(windows, HaplotypeOptions(encoding="bytes"))
        a, b = got.offsets[found["haplotype"] - 1 : found["haplotype"] + 1]
        text = got.data[a:b].tobytes()
        assert len(text) == found["length"]
        same = hashlib.sha256(text).hexdigest() == found["sha256_upper"]
        assert same == ((found["sample"], found["haplotype"]) != SOFT_MASKED)


@needs_bcftools
@pytest.mark.parametrize("name", ["30_multiallelic_raw", "32_star_allele", "35_complex"])
def test_records_that_we_split(name: str) -> None:
    case = read_case(name)
    genome = Genome(case.fasta)
    read = read_variants(case.vcf, genome, options=VariantOptions(normalize="atomize"))
    got = whole_contigs(HaplotypeReader(genome, read.table, read.genotypes, overlap="bcftools"))
    for sample in case.samples:
        for ploid in (0, 1):
            theirs = consensus(case.vcf, case.fasta, "-s", sample, "-H", str(ploid + 1))
            # Where no deletion was applied that it is part of, an allele * is the reference to
            # us; bcftools writes the asterisk.
            theirs = {contig: text.replace("*", "A") for contig, text in theirs.items()}
            assert {c: got[c, sample, ploid] for c in theirs} == theirs
