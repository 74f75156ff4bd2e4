"""A small made world for the peak loader: genome, tracks and loci whose every base is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bigwig_loader._bigwig_writer import WriterOptions, intervals_of, write_bigwig

LENGTHS = {"chr1": 4000, "chr2": 1500, "7": 900, "tiny": 120}
TRACKS = ("plus", "minus", "control", "short", "partial", "odd")
SHORT = 2500  # of chr1, in track "short"
LACKING = ("chr2", "tiny")  # in track "partial"

Locus = tuple[str, int, int, int]  # contig, start, end, distance of the summit from the start


@dataclass(frozen=True)
class PeakWorld:
    """Files, and what is in them.

    Parameters
    ----------
    folder : Path
        Of ``genome.fa``, a ``.bw`` of every track, ``peaks.narrowPeak``, ``more.narrowPeak``,
        ``negatives.bed`` and ``excluded.bed``.
    letters : dict of str to str
        The contigs, in either case, with N and other codes.
    signal : dict of track to dict of contig to (L,) float32
        NaN where a file has no data; contigs that it lacks are absent. Multiples of 1/16, so sums
        are exact; track "odd" has NaN and infinities besides.
    loci : dict of str to list of Locus
        By the name of the file.
    """

    folder: Path
    letters: dict[str, str]
    signal: dict[str, dict[str, np.ndarray]]
    loci: dict[str, list[Locus]] = field(default_factory=dict)

    @property
    def fasta(self) -> str:
        """Path of the genome."""
        return str(self.folder / "genome.fa")

    def bw(self, track: str) -> str:
        """Path of a track."""
        return str(self.folder / f"{track}.bw")

    def bed(self, name: str) -> str:
        """Path of a file of loci."""
        return str(self.folder / name)

    def onehot(self, dtype: str = "int8") -> dict[str, np.ndarray]:
        """The genome as arrays (4, L)."""
        return {
            name: np.array([[x == base for x in text.upper()] for base in "ACGT"]).astype(dtype)
            for name, text in self.letters.items()
        }

    def usual(self, **changes: Any) -> dict[str, Any]:
        """Arguments of a small peak loader."""
        return {
            "peaks": self.bed("peaks.narrowPeak"),
            "negatives": self.bed("negatives.bed"),
            "sequences": self.fasta,
            "signals": [[self.bw("plus"), self.bw("minus")]],
            "in_window": 60,
            "out_window": 30,
            "max_jitter": 7,
            "negative_ratio": 0.5,
            "random_state": 1,
            "batch_size": 8,
        } | changes


def frame_of(loci: Sequence[Locus], names: Sequence[str] = "abcdefghij") -> pd.DataFrame:
    """Loci as a frame of ten columns, with names that say nothing."""
    rows = [(c, s, e, ".", 0, ".", 0.0, 0.0, 0.0, summit) for c, s, e, summit in loci]
    return pd.DataFrame(rows, columns=list(names))


def write_loci(path: Path, loci: Sequence[Locus], n_columns: int = 10) -> Path:
    """Write a BED file of 3 or 10 columns."""
    lines = []
    for contig, start, end, summit in loci:
        fields = [contig, start, end, *".........."[:6], summit]
        lines.append("\t".join(map(str, fields[:n_columns])) + "\n")
    path.write_text("".join(lines))
    return path


def made_loci(rng: np.random.Generator, n: int, widths: tuple[int, int]) -> list[Locus]:
    """Loci of odd and even widths, some at the ends of their contigs."""
    loci = []
    for _ in range(n):
        contig = str(rng.choice(list(LENGTHS), p=[0.6, 0.25, 0.1, 0.05]))
        width = int(rng.integers(*widths))
        start = int(rng.integers(0, LENGTHS[contig] - min(width, LENGTHS[contig] - 1)))
        end = min(start + width, LENGTHS[contig])
        loci.append((contig, start, end, int(rng.integers(0, end - start + 1))))
    return loci


def make_signal(rng: np.random.Generator, track: str) -> dict[str, np.ndarray]:
    """Values of every contig of a track."""
    signal = {}
    for name, length in LENGTHS.items():
        if track == "short" and name == "chr1":
            length = SHORT
        if track == "partial" and name in LACKING:
            continue
        values = np.repeat(rng.integers(0, 100, -(-length // 4)) / 16, 4)[:length]
        values[rng.random(length) < 0.2] = np.nan
        values[length // 2 : length // 2 + length // 10] += 20  # counts differ
        signal[name] = values.astype(np.float32)
    if track == "odd":
        signal["chr1"][::97] = np.inf
        signal["chr1"][::89] = -np.inf
        signal["chr2"] -= 3
    return signal


def make_peak_world(folder: Path, seed: int = 0) -> PeakWorld:
    """Write all files."""
    rng = np.random.default_rng(seed)
    letters = {name: rng.choice(list("ACGTacgt"), length) for name, length in LENGTHS.items()}
    letters["chr1"][1000:1100] = "N"
    letters["chr2"][700:760] = "n"
    for place, code in zip((90, 1800, 2100, 3333), "RyKm", strict=True):
        letters["chr1"][place] = code
    text = {name: "".join(array) for name, array in letters.items()}
    lines = [f">{n} made\n" + "\n".join(_wrapped(s, 70)) + "\n" for n, s in text.items()]
    (folder / "genome.fa").write_text("".join(lines))
    world = PeakWorld(folder, text, {t: make_signal(rng, t) for t in TRACKS})
    for track, signal in world.signal.items():
        write_track(Path(world.bw(track)), signal)
    for name, n, widths in (
        ("peaks.narrowPeak", 50, (20, 90)),
        ("more.narrowPeak", 21, (1, 150)),
        ("negatives.bed", 40, (40, 41)),
    ):
        world.loci[name] = made_loci(rng, n, widths)
        write_loci(folder / name, world.loci[name], 3 if name.endswith("bed") else 10)
    excluded = [("chr1", 399, 401, 0), ("chr1", 2000, 2000, 0), ("chr1", 2555, 2600, 0)]
    world.loci["excluded.bed"] = [*excluded, ("absent", 0, 10_000, 0), ("7", 800, 900, 0)]
    write_loci(folder / "excluded.bed", world.loci["excluded.bed"], 3)
    return world


def write_track(path: Path, signal: Mapping[str, np.ndarray]) -> Path:
    """Write a BigWig file of small data blocks, infinities included."""
    lengths = {name: len(values) for name, values in signal.items()}
    intervals = {name: intervals_of(values) for name, values in signal.items()}
    with np.errstate(invalid="ignore"):  # the summary of both infinities
        return write_bigwig(path, lengths, intervals, WriterOptions(items_per_block=16))


def _wrapped(text: str, width: int) -> list[str]:
    return [text[i : i + width] for i in range(0, len(text), width)]
