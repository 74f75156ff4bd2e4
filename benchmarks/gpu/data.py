"""The files that are read on a GPU: made once, in seconds, on all cores."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.gpu.sizes import Size
from benchmarks.made import DataSet, fasta_lines, make_once, write_fixed

ITEMS_BP = 12
# Items of 12 bytes in a block, as UCSC's tools write them and as many as fit into 32 KB.
ITEMS, LARGE_ITEMS = 1_024, 2_728


@dataclass(frozen=True)
class GpuData:
    """What is read.

    Parameters
    ----------
    tracks, large_blocks : DataSet
        Contiguous items of 12 bp on average, in blocks of 1,024 items and of 32 KB.
    """

    tracks: DataSet
    large_blocks: DataSet


def make_gpu_data(folder: Path, size: Size) -> GpuData:
    """Make the files where they are not there yet."""
    tracks = _files(folder / "tracks", size.contigs, size.n_files, ITEMS)
    large = _files(folder / "large_blocks", size.large_contigs, size.n_large_files, LARGE_ITEMS)
    genome = folder / "genome" / "genome.fa"

    def make_genome() -> None:
        rng = np.random.default_rng(1)
        with genome.open("wb") as file:
            for name, length in size.contigs.items():
                letters = np.frombuffer(b"ACGT", np.uint8)[rng.integers(0, 4, length, np.uint8)]
                file.write(f">{name}\n".encode() + fasta_lines(letters, 60))

    make_once(genome.parent, {"genome": 1, "contigs": size.contigs}, make_genome)
    note = f"items of {ITEMS_BP} bp on average, contiguous, written by bigwig_loader"
    return GpuData(
        DataSet("tracks", tracks, size.contigs, note, genome=str(genome)),
        DataSet("large_blocks", large, size.large_contigs, note, block="32 KB"),
    )


def _files(
    folder: Path, contigs: dict[str, int], n_files: int, items_per_block: int
) -> tuple[str, ...]:
    paths = [str(folder / f"track_{i:04d}.bw") for i in range(n_files)]

    def make() -> None:
        write: Callable[..., object] = write_fixed
        with ProcessPoolExecutor(min(n_files, os.cpu_count() or 1)) as pool:
            written = [
                pool.submit(write, path, ITEMS_BP, contigs, items_per_block) for path in paths
            ]
            for one in written:
                one.result()

    recipe: dict[str, object] = {"contigs": contigs, "n": n_files, "items": items_per_block}
    make_once(folder, recipe, make)
    return tuple(paths)
