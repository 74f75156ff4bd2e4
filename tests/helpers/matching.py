"""Small made genomes with loci and signal, for the tests of matching."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bigwig_loader._bigwig_writer import intervals_of, write_bigwig


@dataclass(frozen=True)
class MatchingWorld:
    """Files, and what is in them.

    Parameters
    ----------
    fasta, bigwig : Path
    sequences : dict of str to str
    signal : dict of str to (L,) float32
        NaN where there is none; lacks a contig if it was made so.
    loci : list of (chrom, start, end)
    summits : list of int
    """

    fasta: Path
    bigwig: Path
    sequences: dict[str, str]
    signal: dict[str, np.ndarray]
    loci: list[tuple[str, int, int]]
    summits: list[int]

    def frame(self) -> pd.DataFrame:
        """The loci, with columns of other names."""
        return pd.DataFrame(self.loci, columns=["seqnames", "first", "last"])

    def narrow_peaks(self) -> pd.DataFrame:
        """The loci with ten columns."""
        frame = self.frame()
        for i in range(3, 9):
            frame[f"column{i}"] = "."
        frame["peak"] = np.array(self.summits) - frame["first"]
        return frame


def make_world(
    folder: Path,
    seed: int,
    lengths: dict[str, int],
    n_loci: int,
    values: str = "sixteenths",
    missing: tuple[str, ...] = (),
    gap: float = 0.25,
) -> MatchingWorld:
    """Stretches of different GC content, N among them, upper and lower case.

    Parameters
    ----------
    folder : Path
    seed : int
    lengths : dict of str to int
    n_loci : int
    values : {"sixteenths", "floats", "signed"}
        Signal: sums of sixteenths are exact in any precision and order.
    missing : tuple of str
        Contigs that the bigWig lacks.
    gap : float
        Share of a contig that has no signal in one stretch, besides single bases.
    """
    rng = np.random.default_rng(seed)
    sequences, signal = {}, {}
    for name, length in lengths.items():
        letters: list[str] = []
        while len(letters) < length:
            gc = rng.random()
            shares = [(1 - gc) / 2, gc / 2, gc / 2, (1 - gc) / 2]
            letters += rng.choice(list("ACGT"), int(rng.integers(10, 120)), p=shares).tolist()
            if rng.random() < 0.15:
                letters += ["N"] * int(rng.integers(1, 25)) + list("RS")
        text = "".join(letters[:length])
        sequences[name] = text[: length // 2] + text[length // 2 :].lower()
        if name not in missing:
            signal[name] = _signal(rng, length, values, gap)
    fasta, bigwig = folder / "genome.fa", folder / "signal.bw"
    fasta.write_text("".join(f">{n} made\n{s}\n" for n, s in sequences.items()))
    write_bigwig(
        bigwig,
        {n: len(s) for n, s in signal.items()},
        {n: intervals_of(s) for n, s in signal.items()},
    )
    loci, summits = [], []
    names = [name for name, length in lengths.items() if length > 1]
    for name in rng.choice(names, n_loci).tolist():
        start = int(rng.integers(0, lengths[name] - 1))
        end = int(min(lengths[name], start + rng.integers(0, 60)))
        loci.append((name, start, end))
        summits.append(int(rng.integers(start, end + 1)))
    return MatchingWorld(fasta, bigwig, sequences, signal, loci, summits)


def _signal(rng: np.random.Generator, length: int, values: str, gap: float) -> np.ndarray:
    steps = rng.integers(1, 200, -(-length // 7)) / 16
    if values == "floats":
        steps = steps * rng.random(len(steps)) ** 3
    if values == "signed":
        steps = steps - 6
    signal = np.repeat(steps, 7)[:length].astype(np.float32)
    signal[rng.random(length) < 0.2] = np.nan
    at = int(rng.integers(0, length + 1))
    signal[at : at + int(length * gap)] = np.nan
    return signal
