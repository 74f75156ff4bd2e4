"""What the haplotypes of a large cohort take: on disk, in memory, and for a batch.

python -m benchmarks.stages.cohort --samples 25000 --folder FOLDER [--results FILE]

The lists of a prepared data set are made directly, without genotypes of anybody: every haplotype
carries one variant in 1,000 bp of the regions, drawn from one variant in every 5 bp, which is what
cohorts of a hundred thousand people have. Batches have random regions and samples, so that on the
first pass nearly every list is read from the disk.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.record import environment, median
from bigwig_loader.backend.cpu.haplotypes import HaplotypeReader
from bigwig_loader.formats.genome import Genome
from bigwig_loader.formats.variants.table import Genotypes, VariantTable
from bigwig_loader.plan.haplotypes import HaplotypeOptions, HaplotypeWindows

LENGTH_BP, APART_BP = 2_048, 12_500
STORED_BP = 2_500  # of each region, with what jitter and deletions need
VARIANT_EVERY_BP, CARRIED_EVERY_BP = 5, 1_000
PLOIDY, BATCH_SIZE, N_BATCHES = 2, 32, 200
SAMPLES_AT_ONCE = 100


def make_table(n_regions: int, rng: np.random.Generator) -> VariantTable:
    """Variants in the regions, 5 of 100 of them deletions and as many insertions of 1 to 10 bp."""
    starts = np.arange(n_regions, dtype=np.int64)[:, None] * APART_BP
    position = (starts + np.arange(0, STORED_BP, VARIANT_EVERY_BP)).reshape(-1)
    ilen = np.zeros(len(position), np.int32)
    indel = rng.random(len(position)) < 0.1
    ilen[indel] = rng.integers(1, 11, indel.sum()) * rng.choice([-1, 1], indel.sum())
    alt_offsets = np.concatenate([[0], np.cumsum(1 + np.maximum(ilen, 0))])
    letters = np.frombuffer(b"ACGT", np.uint8)
    return VariantTable(
        contig_names=("chr1",),
        contig_offsets=np.array([0, len(position)]),
        position=position.astype(np.int32),
        ilen=ilen,
        ref_offsets=np.zeros(len(position) + 1, np.int64),
        ref=np.zeros(0, np.uint8),
        alt_offsets=alt_offsets,
        alt=rng.choice(letters, alt_offsets[-1]),
        record=np.arange(len(position)),
    )


def make_lists(
    folder: Path, n_samples: int, n_variants: int, rng: np.random.Generator
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Lists of all haplotypes, written to the disk and mapped."""
    every = CARRIED_EVERY_BP // VARIANT_EVERY_BP
    n_each = n_variants // every
    n_lists = n_samples * PLOIDY
    path = folder / "variants.npy"
    made = np.lib.format.open_memmap(path, "w+", np.int32, (n_lists * n_each,))
    rows = made.reshape(n_lists, n_each)
    base = np.arange(n_each, dtype=np.int32) * every
    for first in range(0, n_lists, SAMPLES_AT_ONCE * PLOIDY):
        part = rows[first : first + SAMPLES_AT_ONCE * PLOIDY]
        part[:] = base + rng.integers(0, every, part.shape, dtype=np.int32)
        sys.stderr.write(f"\r{first:,} of {n_lists:,} lists")
    made.flush()
    del made, rows
    return np.arange(n_lists + 1, dtype=np.int64) * n_each, np.load(path, mmap_mode="r")


def anonymous_bytes() -> int:
    """Memory of this process now, without pages of mapped files."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) * 1024


def run(folder: Path, n_samples: int, n_regions: int) -> dict[str, Any]:
    """Make a cohort, open it, and read batches twice; figures in bytes and seconds."""
    rng = np.random.default_rng(0)
    table = make_table(n_regions, rng)
    offsets, variants = make_lists(folder, n_samples, len(table), rng)
    letters = rng.choice(np.frombuffer(b"ACGT", np.uint8), n_regions * APART_BP + 10_000)
    genome = Genome.from_arrays({"chr1": letters})
    del letters
    before = anonymous_bytes()
    began = time.perf_counter()
    genotypes = Genotypes(tuple(f"s{i}" for i in range(n_samples)), PLOIDY, offsets, variants)
    reader = HaplotypeReader(genome, table, genotypes, n_threads=2)
    opened = time.perf_counter() - began
    if hasattr(os, "posix_fadvise"):
        with (folder / "variants.npy").open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    passes = []
    windows = [
        HaplotypeWindows(np.zeros(BATCH_SIZE), start, start + LENGTH_BP, sample,
                         length_bp=LENGTH_BP)
        for start, sample in zip(
            rng.integers(0, n_regions, (N_BATCHES, BATCH_SIZE)) * APART_BP + 100,
            rng.integers(0, n_samples, (N_BATCHES, BATCH_SIZE)),
            strict=True,
        )
    ]  # fmt: skip
    for _ in range(2):
        seconds = []
        for one in windows:
            began = time.perf_counter()
            reader.encode(one, HaplotypeOptions())
            seconds.append(time.perf_counter() - began)
        passes.append(median(seconds))
    return {
        "kind": "cohort",
        "n_samples": n_samples,
        "n_regions": n_regions,
        "n_variants": len(table),
        "n_carried": int(offsets[-1]),
        "list_bytes": variants.nbytes + offsets.nbytes,
        "table_bytes": table.position.nbytes + table.ilen.nbytes + table.alt_offsets.nbytes
        + table.alt.nbytes + table.record.nbytes + table.ref_offsets.nbytes,
        "open_s": opened,
        "open_bytes": anonymous_bytes() - before,
        "first_pass_s_per_batch": passes[0],
        "second_pass_s_per_batch": passes[1],
        "batch_size": BATCH_SIZE,
        "length_bp": LENGTH_BP,
    }  # fmt: skip


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--samples", type=int, default=25_000)
    parser.add_argument("--regions", type=int, default=20_000)
    parser.add_argument("--folder", type=Path, required=True, help="4 bytes x carried variants")
    parser.add_argument("--results", type=Path, help="JSON lines are added to this file")
    given = parser.parse_args()
    folder = given.folder / "cohort"
    folder.mkdir(parents=True)
    try:
        lines = [environment(), run(folder, given.samples, given.regions)]
    finally:
        shutil.rmtree(folder)
    text = "".join(json.dumps(line) + "\n" for line in lines)
    sys.stdout.write(text)
    if given.results is not None:
        with given.results.open("a") as file:
            file.write(text)


if __name__ == "__main__":
    main()
