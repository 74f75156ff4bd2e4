"""A small world whose every base is known, for the tests of data sets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bigwig_loader._bigwig_writer import WriterOptions, intervals_of, write_bigwig
from bigwig_loader.dataset import BigWigDataset

LENGTHS = {"chr1": 3000, "chr2": 800, "chrN": 400}
UNKNOWN = (1000, 1200)  # of chr1


@dataclass(frozen=True)
class World:
    """Files, and what is in them.

    Parameters
    ----------
    fasta, bigwig_dir : Path
    letters : dict of contig to (length,) str array
    signal : dict of contig to (length, 3) float32
        NaN where a file has no data. Tracks are a, b, c.
    """

    fasta: Path
    bigwig_dir: Path
    letters: dict[str, np.ndarray]
    signal: dict[str, np.ndarray]

    def values(self, chrom: str, start: int, end: int, default: float = 0.0) -> np.ndarray:
        """Base-resolution signal (end - start, 3), `default` where there is none."""
        window = np.full((end - start, 3), np.nan)
        inside = slice(max(start, 0), max(min(end, LENGTHS[chrom]), 0))
        known = self.signal[chrom][inside]
        window[max(-start, 0) : max(-start, 0) + len(known)] = known
        return np.where(np.isnan(window), default, window)

    def onehot(self, chrom: str, start: int, end: int) -> np.ndarray:
        """One-hot (end - start, 4)."""
        rows = np.zeros((end - start, 4))
        for base in range(max(start, 0), min(end, LENGTHS[chrom])):
            place = "ACGT".find(self.letters[chrom][base].upper())
            if place >= 0:
                rows[base - start, place] = 1
        return rows


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("world")
    rng = np.random.default_rng(0)
    letters, signal = {}, {}
    for name, length in LENGTHS.items():
        letters[name] = rng.choice(list("ACGTacgt"), length)
        # Steps of 5 bp in sixteenths: sums are exact, and intervals are longer than a base.
        steps = rng.integers(1, 200, (-(-length // 5), 3)) / 16
        signal[name] = np.repeat(steps, 5, axis=0)[:length].astype(np.float32)
        signal[name][rng.random(length) < 0.1, 1] = np.nan
        signal[name][length // 3 :, 2] = np.nan
    letters["chr1"][slice(*UNKNOWN)] = "N"
    letters["chrN"][:] = "n"
    fasta = folder / "genome.fa"
    fasta.write_text("".join(f">{n} of the test\n{''.join(s)}\n" for n, s in letters.items()))
    bigwig_dir = folder / "bigwig"
    bigwig_dir.mkdir()
    for track, name in enumerate("abc"):
        intervals = {n: intervals_of(s[:, track]) for n, s in signal.items()}
        options = WriterOptions(items_per_block=16)  # 60 to 80 bp per data block
        write_bigwig(bigwig_dir / f"{name}.bw", LENGTHS, intervals, options)
    return World(fasta, bigwig_dir, letters, signal)


def regions(*listed: tuple[str, int, int]) -> pd.DataFrame:
    return pd.DataFrame(list(listed), columns=["chrom", "start", "end"])


MakeDataset = Callable[..., BigWigDataset]


@pytest.fixture
def make(world: World) -> MakeDataset:
    """Makes a data set of the world, with parameters of the test's choice."""

    def make_dataset(**parameters: Any) -> BigWigDataset:
        usual: dict[str, Any] = {
            "regions_of_interest": regions(("chr1", 0, 3000), ("chr2", 100, 800)),
            "collection": world.bigwig_dir,
            "reference_genome_path": world.fasta,
            "sequence_length": 60,
            "batch_size": 4,
            "batches_per_epoch": 6,
            "return_batch_objects": True,
            "seed": 1,
            "n_threads": 2,
        }
        return BigWigDataset(**(usual | parameters))

    return make_dataset
