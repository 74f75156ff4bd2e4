"""Damaged prepared data sets: refused with an error of ours, or read; never a crash.

A crash takes the test process with it, so it cannot go unnoticed.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from bigwig_loader.dataset.prepared.dataset import PreparedDataset
from bigwig_loader.dataset.prepared.write import write
from bigwig_loader.errors import BigWigLoaderError
from bigwig_loader.track_sources import BigWigs
from tests.helpers.cohort import Cohort, make_cohort

N_DAMAGED = 150
HEADER_BYTES = 128
VIEWS = (
    {"return_sequences": "annotated"},
    {"return_sequences": "variants"},
    {"return_sequences": "haplotypes", "encoding": "onehot", "length": 8, "overlap": "bcftools"},
    {"return_sequences": "haplotypes", "overlap": "window"},
)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    pytest.importorskip("cyvcf2")
    return make_cohort(tmp_path_factory.mktemp("cohort"), seed=2)


@pytest.fixture(scope="module")
def written(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("prepared") / "whole.gvl"
    signal = BigWigs("signal", cohort.bigwigs)
    write(path, cohort.bed, cohort.vcf, signal, reference=cohort.fasta, progress=False)
    return path


def damage(data: bytearray, is_array: bool, rng: random.Random) -> bytearray:
    """Some bytes changed, a number of 8 bytes replaced, or the end cut off."""
    how = rng.choice(("bytes", "bytes", "cut", "number"))
    if how == "cut":
        return data[: rng.randrange(len(data))]
    # Mostly behind the header, which is refused at once.
    low = HEADER_BYTES if is_array and len(data) > HEADER_BYTES and rng.random() < 0.9 else 0
    if how == "number":
        place = rng.randrange(low, len(data))
        number = rng.choice((2**62, -5, 2**31, 10**12))
        data[place : place + 8] = number.to_bytes(8, "little", signed=True)
        return data
    for _ in range(rng.randint(1, 4)):
        data[rng.randrange(low, len(data))] = rng.choice((0, 255, 127, 128, rng.randrange(256)))
    return data


def test_damaged_data_sets(cohort: Cohort, written: Path, tmp_path: Path) -> None:
    rng = random.Random(1)
    files = sorted(path for path in written.rglob("*") if path.is_file() and path.stat().st_size)
    for view in VIEWS:
        PreparedDataset.open(written, reference=cohort.fasta, **view)[:, :]  # type: ignore[arg-type]
    outcomes = {"read": 0, "refused": 0}
    copy = tmp_path / "damaged.gvl"
    shutil.copytree(written, copy)
    for _ in range(N_DAMAGED):
        file = rng.choice(files)
        whole = file.read_bytes()
        target = copy / file.relative_to(written)
        target.write_bytes(damage(bytearray(whole), file.suffix == ".npy", rng))
        try:
            for view in VIEWS:
                PreparedDataset.open(copy, reference=cohort.fasta, **view)[:, :]  # type: ignore[arg-type]
            outcomes["read"] += 1
        except BigWigLoaderError:
            outcomes["refused"] += 1
        target.write_bytes(whole)
    assert min(outcomes.values()) > N_DAMAGED // 10
