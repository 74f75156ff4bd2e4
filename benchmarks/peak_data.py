"""Made data for peak loaders: a genome, stranded counts of reads with controls, and loci."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.made import fasta_lines, make_once
from bigwig_loader._bigwig_writer import write_bigwig

READS_PER_BP = {"plus": 0.01, "minus": 0.01, "ctl_plus": 0.02, "ctl_minus": 0.02}
PEAK_READS = 150
PEAK_SD_BP = 75
EDGE_BP = 3000
LINE_BP = 60


@dataclass(frozen=True)
class PeakData:
    """Files for one comparison.

    Parameters
    ----------
    folder : Path
    contigs : dict of str to int
    n_peaks : int
        Peaks that the signal was made with.
    """

    folder: Path
    contigs: dict[str, int]
    n_peaks: int

    @property
    def genome(self) -> str:
        """FASTA."""
        return str(self.folder / "genome.fa")

    def track(self, name: str) -> str:
        """A BigWig file, one of `READS_PER_BP`."""
        return str(self.folder / f"{name}.bw")

    def loci(self, kind: str, n: int) -> str:
        """The first `n` peaks or negatives, as BED."""
        path = self.folder / f"{kind}_{n}.bed"
        if not path.exists():
            starts = self._positions(0 if kind == "peaks" else 1)[:n]
            with path.open("w") as out:
                for contig, position in starts:
                    out.write(f"{contig}\t{position - 250}\t{position + 250}\n")
        return str(path)

    def _positions(self, key: int) -> list[tuple[str, int]]:
        contig, position = self.places(key)
        names = list(self.contigs)
        return [(names[c], p) for c, p in zip(contig.tolist(), position.tolist(), strict=True)]

    def places(self, key: int) -> tuple[np.ndarray, np.ndarray]:
        """Contig number and middle of peaks (0) or negatives (1), in random order."""
        rng = np.random.default_rng([7, key])
        lengths = np.array(list(self.contigs.values()))
        contig = rng.choice(len(lengths), self.n_peaks, p=lengths / lengths.sum())
        return contig, rng.integers(EDGE_BP, lengths[contig] - EDGE_BP)


def make_peak_data(folder: Path, contigs: dict[str, int], n_peaks: int) -> PeakData:
    """The data, made where it is not there yet."""
    data = PeakData(folder, contigs, n_peaks)

    def make() -> None:
        jobs = [(data, name) for name in READS_PER_BP]
        with ProcessPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            written = [pool.submit(_write_track, *job) for job in jobs]
            written.append(pool.submit(_write_genome, data))
            for each in written:
                each.result()

    make_once(folder, {"peaks": 1, "contigs": contigs, "n": n_peaks}, make)
    return data


def _write_genome(data: PeakData) -> None:
    rng = np.random.default_rng(5)
    letters = np.frombuffer(b"ACGT", np.uint8)
    with open(data.genome, "wb") as fasta, open(data.genome + ".fai", "w") as index:
        for name, length in data.contigs.items():
            fasta.write(f">{name}\n".encode())
            index.write(f"{name}\t{length}\t{fasta.tell()}\t{LINE_BP}\t{LINE_BP + 1}\n")
            fasta.write(fasta_lines(letters[rng.integers(0, 4, length, np.uint8)], LINE_BP))


def _write_track(data: PeakData, name: str) -> None:
    """Reads by their 5' end: a background everywhere, and a pile at every peak of the signals."""
    rng = np.random.default_rng([3, *name.encode()])
    contig, position = data.places(0)
    intervals = {}
    for number, (contig_name, length) in enumerate(data.contigs.items()):
        reads = rng.integers(0, length, int(length * READS_PER_BP[name]))
        if not name.startswith("ctl"):
            middles = position[contig == number]
            n_reads = rng.gamma(1.0, PEAK_READS, len(middles)).astype(np.int64)
            ends = rng.normal(middles.repeat(n_reads), PEAK_SD_BP).astype(np.int64)
            reads = np.concatenate([reads, ends[(ends >= 0) & (ends < length)]])
        base, count = np.unique(reads, return_counts=True)
        intervals[contig_name] = (base, base + 1, count.astype(np.float32))
    write_bigwig(data.track(name), data.contigs, intervals)
