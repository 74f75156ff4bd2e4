"""The benchmark of personal genomes makes its data and runs; nothing here looks at a time."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.compare import haplotypes
from benchmarks.compare.measure import NotEqualError
from benchmarks.haplotype_data import HaplotypeData, make_haplotype_data
from benchmarks.peers.personal_genomes import GenomeJob, measure, run
from bigwig_loader.formats.genome import Genome
from tests.helpers.gvl_cases import read_vcf_text

SCALE = haplotypes.TINY[0].scale
pytestmark = pytest.mark.skipif(
    shutil.which("bgzip") is None or shutil.which("tabix") is None, reason="needs bgzip and tabix"
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> HaplotypeData:
    return make_haplotype_data(tmp_path_factory.mktemp("data"), SCALE)


@pytest.fixture(scope="module")
def written(data: HaplotypeData) -> dict[bool, GenomeJob]:
    """Sets without and with signal, written in this process."""
    found = {}
    for with_signal in (False, True):
        job = haplotypes.jobs(data, SCALE, with_signal, data.folder)[haplotypes.OURS]
        job = replace(job, dataset=f"{job.dataset}.{with_signal}")
        result = run(job)
        assert min(result["first_s"], result["again_s"], result["disk_mb"]) > 0
        found[with_signal] = replace(job, task="read", batch=4, round_s=0.0)
    return found


def test_variants_are_as_both_libraries_want_them(data: HaplotypeData, tmp_path: Path) -> None:
    import gzip

    plain = tmp_path / "variants.vcf"
    plain.write_bytes(gzip.decompress(Path(data.variants).read_bytes()))
    samples, carried, variants = read_vcf_text(plain, {"chr1": ""})
    genome = Genome(data.genome)
    assert len(samples) == SCALE.n_samples
    assert len(variants["chr1"]) == SCALE.n_variants
    end = -1
    for variant in variants["chr1"]:
        assert variant.position > end
        end = variant.span[-1]
        span = (variant.position, variant.position + len(variant.ref))
        assert genome.sequence("chr1", *span) == variant.ref
        assert 1 in (len(variant.ref), len(variant.alt))
        assert variant.ref[-1] != variant.alt[-1]
    assert set().union(*carried.values()) == set(variants["chr1"])


@pytest.mark.parametrize("output", haplotypes.SEQUENCES + haplotypes.SIGNAL)
def test_every_output_is_read(written: dict[bool, GenomeJob], tmp_path: Path, output: str) -> None:
    pytest.importorskip("torch")
    job = written[output in haplotypes.SIGNAL]
    found = run(replace(job, output=output, checked=str(tmp_path)))
    assert found["ms"] > 0
    assert len(found["hashes"]) == len(found["reverse"]) == 2
    if output in haplotypes.SIGNAL:
        theirs = {key: found[key] for key in ("hashes", "reverse")}
        for i in (0, 1):
            signal = np.load(tmp_path / f"{haplotypes.OURS}_{i}.npy")
            ploids = (2,) if output == "realigned" else ()
            assert signal.size == 4 * SCALE.length_bp * int(np.prod(ploids))
            np.save(tmp_path / f"{haplotypes.PEER}_{i}.npy", signal)
        assert haplotypes.check(theirs, found, output, tmp_path) == 0
        np.save(tmp_path / f"{haplotypes.PEER}_1.npy", signal + 1)
        with pytest.raises(NotEqualError, match="signal"):
            haplotypes.check(theirs, found, output, tmp_path)


def test_only_the_end_of_a_row_may_be_without_signal(tmp_path: Path) -> None:
    ours = np.arange(1, 9, dtype=np.float32).reshape(2, 4)
    found = {"hashes": [["a"]], "reverse": [[False, True]]}
    np.save(tmp_path / f"{haplotypes.OURS}_0.npy", ours)
    np.save(tmp_path / f"{haplotypes.PEER}_0.npy", ours * [[1, 1, 1, 0], [0, 0, 1, 1]])
    assert haplotypes.check(found, found, "tracks", tmp_path) == 3
    np.save(tmp_path / f"{haplotypes.PEER}_0.npy", ours * [[1, 0, 1, 1], [1, 1, 1, 1]])
    with pytest.raises(NotEqualError, match="signal"):
        haplotypes.check(found, found, "tracks", tmp_path)


def test_a_failing_job_ends_the_run(written: dict[bool, GenomeJob]) -> None:
    with pytest.raises(RuntimeError, match="nowhere"):
        measure(replace(written[False], dataset="/nowhere"), sys.executable)
