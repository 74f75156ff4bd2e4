"""The made cohort: its VCF is what a VCF has to be, and signal follows its variants."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pyBigWig
import pytest

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.example_cohort import ExampleCohort, make_example_cohort
from bigwig_loader.example_data import _MOTIFS
from bigwig_loader.formats.genome import Genome

CONTIGS = {"chr1": 90_000, "chr2": 12_000, "chr3": 12_000}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> ExampleCohort:
    return make_example_cohort(tmp_path_factory.mktemp("cohort"), seed=3, contigs=CONTIGS)


def records(cohort: ExampleCohort) -> list[list[str]]:
    lines = cohort.variants.read_text().splitlines()
    return [line.split("\t") for line in lines if not line.startswith("#")]


def test_records(cohort: ExampleCohort) -> None:
    genome = Genome(cohort.data.reference_genome)
    rows = records(cohort)
    assert len(rows) > 150
    kinds = {(len(r[3]) > 1) - (len(r[4]) > 1) for r in rows}
    assert kinds == {-1, 0, 1}
    for contig, pos, _, ref, alt, *_ in rows:
        start = int(pos) - 1
        assert genome.sequence(contig, start, start + len(ref)) == ref
        assert len(ref) == 1 or len(alt) == 1
        assert len(ref) == len(alt) or (ref[0] == alt[0] and ref[-1] != alt[-1])
    genotypes = {g for r in rows for g in r[9:]}
    assert genotypes == {"0|0", "0|1", "1|0", "1|1"}
    assert cohort.samples == ["person1", "person2", "person3", "person4"]


@pytest.mark.skipif(shutil.which("bcftools") is None, reason="needs bcftools")
def test_bcftools_has_nothing_to_normalize(cohort: ExampleCohort) -> None:
    command = ["bcftools", "norm", "-c", "e", "-a", "-m-", "-f", cohort.data.reference_genome]
    done = subprocess.run([*command, cohort.variants], capture_output=True, text=True, check=True)
    rows = [line.split("\t") for line in done.stdout.splitlines() if not line.startswith("#")]
    assert [r[:5] for r in rows] == [r[:5] for r in records(cohort)]


def test_signal_is_lost_where_a_motif_is_broken(cohort: ExampleCohort) -> None:
    genome = Genome(cohort.data.reference_genome)
    text = genome.sequence("chr1", 0, CONTIGS["chr1"])
    turned = {motif.translate(str.maketrans("ACGT", "TGCA"))[::-1] for motif in _MOTIFS}
    files = [pyBigWig.open(str(cohort.bigwigs[name])) for name in cohort.samples]
    ratios = []
    for contig, pos, _, ref, alt, _, _, _, _, *genotypes in records(cohort):
        start = int(pos) - 1
        in_motif = any(m in text[start - len(m) + 1 : start + len(m)] for m in {*_MOTIFS, *turned})
        if contig != "chr1" or len(ref) != len(alt) or not in_motif:
            continue
        values = [np.nan_to_num(f.values("chr1", start - 20, start + 20)).mean() for f in files]
        by_dosage: dict[int, list[float]] = {}
        for value, genotype in zip(values, genotypes, strict=True):
            by_dosage.setdefault(genotype.count("1"), []).append(float(value))
        if len(by_dosage) > 1:
            most, least = max(by_dosage), min(by_dosage)
            ratios.append(np.mean(by_dosage[most]) / np.mean(by_dosage[least]))
    for file in files:
        file.close()
    assert len(ratios) > 5
    assert np.median(ratios) < 0.85


def test_kept_and_made_anew(cohort: ExampleCohort, tmp_path: Path) -> None:
    before = cohort.variants.stat().st_mtime_ns
    folder = cohort.data.directory
    assert make_example_cohort(folder, seed=3, contigs=CONTIGS) == cohort
    assert cohort.variants.stat().st_mtime_ns == before
    other = make_example_cohort(tmp_path, seed=3, contigs=CONTIGS, n_samples=2)
    assert other.samples == ["person1", "person2"]
    table = other.track_table.read_text().splitlines()
    assert table[0] == "sample,path"
    assert table[2] == f"person2,{other.bigwigs['person2'].resolve()}"
    with pytest.raises(InvalidInputError, match="n_samples"):
        make_example_cohort(tmp_path, n_samples=0)
