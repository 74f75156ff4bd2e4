"""A small made genome with signal on it, for the demo, the examples and the tests.

Signal is a function of the sequence: where a motif stands, on either strand, fragments pile up,
in every track with its own strength and width. So a model can learn to predict one from the other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bigwig_loader._bigwig_writer import WriterOptions, intervals_of, write_bigwig
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.types import PathLike

EXAMPLE_CONTIGS = {"chr1": 2_400_000, "chr2": 600_000, "chr3": 600_000}

_RECIPE = 1  # raise it when the same seed makes other data, so that old folders are made anew
_MOTIFS = ("CCACCAGGGGGC", "ATGACTCATC", "CAGATAAGGA", "AGGGGCGGGG")
_FRAGMENT_BP = 100
_PEAKS_PER_MB = 220
_LINE_BASES = 60
_REDUCTIONS = (64, 256, 1024)


@dataclass(frozen=True)
class _Track:
    """How many fragments each motif attracts, and how far from it they centre."""

    name: str
    fragments: tuple[float, float, float, float]
    spread_bp: float


_TRACKS = (
    _Track("atac", (110.0, 140.0, 120.0, 90.0), 70.0),
    _Track("ctcf", (320.0, 0.0, 0.0, 0.0), 35.0),
    _Track("ap1", (0.0, 260.0, 40.0, 0.0), 45.0),
    _Track("h3k27ac", (0.0, 260.0, 200.0, 300.0), 170.0),
)


@dataclass(frozen=True)
class ExampleData:
    """Where the files of a made data set lie.

    Parameters
    ----------
    directory : Path
    reference_genome : Path
        FASTA, with its ``.fai`` beside it.
    bigwig_dir : Path
        Holds the four files of `bigwigs`, and nothing else.
    bigwigs : tuple of Path
        One file per track, sorted by name.
    peaks : Path
        narrowPeak: where signal was put.
    train_regions, validation_regions, test_regions : Path
        BED files; all stretches without N of the contigs of that split. No two splits share a
        contig.
    """

    directory: Path
    reference_genome: Path
    bigwig_dir: Path
    bigwigs: tuple[Path, ...]
    peaks: Path
    train_regions: Path
    validation_regions: Path
    test_regions: Path


def make_example_data(
    path: PathLike,
    seed: int = 0,
    contigs: Mapping[str, int] | None = None,
) -> ExampleData:
    """Make a genome, four BigWig tracks, peaks and regions, in a few seconds and without a network.

    Parameters
    ----------
    path : path-like
        Folder to write into; made if it is not there. Data that was made there with the same
        `seed` and `contigs` is kept, not made again.
    seed : int
        The same seed gives the same data.
    contigs : mapping of name to length in bp, optional
        At least three: the last is for tests, the one before it for validation, all others for
        training. By default 3.6 Mb: ``EXAMPLE_CONTIGS``.

    Returns
    -------
    ExampleData
        The paths.

    Raises
    ------
    InvalidInputError
        If there are fewer than three contigs, or one is shorter than 10,000 bp.
    """
    lengths = dict(EXAMPLE_CONTIGS if contigs is None else contigs)
    if len(lengths) < 3 or min(lengths.values()) < 10_000:
        raise InvalidInputError(
            f"argument contigs: expected at least three, of 10,000 bp or more; got {lengths}"
        )
    data = _layout(Path(path))
    data.bigwig_dir.mkdir(parents=True, exist_ok=True)
    # Written last, so that data cut short by an interrupt is not taken for whole.
    recipe = data.directory / "recipe.json"
    wanted = json.dumps({"recipe": _RECIPE, "seed": seed, "contigs": lengths})
    if recipe.exists() and recipe.read_text() == wanted:
        return data
    recipe.unlink(missing_ok=True)

    children = np.random.SeedSequence(seed).spawn(len(lengths))
    made = {
        name: _make_contig(length, np.random.default_rng(child))
        for (name, length), child in zip(lengths.items(), children, strict=True)
    }
    _write_fasta(data.reference_genome, {name: contig.letters for name, contig in made.items()})
    for i, track in enumerate(_TRACKS):
        write_bigwig(
            data.bigwig_dir / f"{track.name}.bw",
            lengths,
            {name: intervals_of(contig.signal[i]) for name, contig in made.items()},
            WriterOptions(zoom_reductions=_REDUCTIONS),
        )
    _write_peaks(data.peaks, made)
    names = list(lengths)
    for bed, members in (
        (data.train_regions, names[:-2]),
        (data.validation_regions, names[-2:-1]),
        (data.test_regions, names[-1:]),
    ):
        rows = [f"{name}\t{low}\t{high}\n" for name in members for low, high in made[name].known]
        bed.write_text("".join(rows))
    recipe.write_text(wanted)
    return data


def _layout(directory: Path) -> ExampleData:
    bigwig_dir = directory / "bigwig"
    return ExampleData(
        directory=directory,
        reference_genome=directory / "genome.fa",
        bigwig_dir=bigwig_dir,
        bigwigs=tuple(sorted(bigwig_dir / f"{track.name}.bw" for track in _TRACKS)),
        peaks=directory / "peaks.narrowPeak",
        train_regions=directory / "train.bed",
        validation_regions=directory / "validation.bed",
        test_regions=directory / "test.bed",
    )


@dataclass(frozen=True)
class _Contig:
    letters: npt.NDArray[np.uint8]  # (L,) ASCII
    known: list[tuple[int, int]]  # stretches without N
    peaks: list[tuple[int, int]]
    signal: list[npt.NDArray[np.float32]]  # per track (L,), NaN where nothing piles up


def _make_contig(length: int, rng: np.random.Generator) -> _Contig:
    known = _stretches_without_n(length)
    is_known = np.zeros(length, bool)
    for low, high in known:
        is_known[low:high] = True

    gc = _domains(length, 40_000, rng.uniform(0.34, 0.56, length // 5_000 + 2), rng)
    codes = np.where(rng.random(length) < gc, 1, 0).astype(np.uint8)  # 1: C or G
    codes = np.where(rng.random(length) < 0.5, codes, 3 - codes).astype(np.uint8)  # of ACGT
    _plant_motifs(codes, known, rng)

    sites = [_find(codes, motif) for motif in _MOTIFS]
    sites = [where[is_known[where]] for where in sites]
    rate_of_background = 0.016 * (0.4 + 1.4 * gc)
    signal = []
    for track in _TRACKS:
        pile = _pile_up(_rates(track, sites, rate_of_background, is_known), rng)
        pile[~is_known] = 0
        fold = np.round(pile / (0.016 * _FRAGMENT_BP), 5).astype(np.float32)
        fold[pile == 0] = np.nan
        signal.append(fold)

    letters = np.frombuffer(b"ACGT", np.uint8)[codes]
    masked = _domains(length, 300, (rng.random(length // 40 + 2) < 0.45).astype(float), rng) > 0
    letters = np.where(masked, letters | 0x20, letters)  # bit 5 makes an ASCII letter lower case
    letters[~is_known] = ord("N")
    return _Contig(letters, known, _clusters(np.sort(np.concatenate(sites))), signal)


def _stretches_without_n(length: int) -> list[tuple[int, int]]:
    """Telomeres and one gap are N, as in an assembly."""
    end, gap, middle = min(10_000, length // 50), min(5_000, length // 100), int(length * 0.43)
    return [(end, middle), (middle + gap, length - end)]


def _domains(
    length: int, mean_bp: int, levels: npt.NDArray[np.float64], rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Piecewise constant levels over a contig, in pieces of random length."""
    pieces = 1 + rng.exponential(mean_bp, len(levels)).astype(np.int64)
    pieces[-1] += length  # the levels always reach the end
    return np.repeat(levels, np.minimum(pieces, length))[:length]


def _plant_motifs(
    codes: npt.NDArray[np.uint8], known: list[tuple[int, int]], rng: np.random.Generator
) -> None:
    """Put one to three motifs at every peak; a few get a wrong base, and so no signal."""
    for low, high in known:
        centres = rng.integers(low + 500, high - 500, int((high - low) / 1e6 * _PEAKS_PER_MB) + 2)
        for centre in centres:
            for _ in range(rng.integers(1, 4)):
                motif = _encode(_MOTIFS[rng.integers(len(_MOTIFS))])
                if rng.random() < 0.5:
                    motif = 3 - motif[::-1]
                wrong = rng.random(len(motif)) < 0.02
                motif = np.where(wrong, rng.integers(0, 4, len(motif)), motif).astype(np.uint8)
                start = centre + rng.integers(-90, 90)
                codes[start : start + len(motif)] = motif


def _encode(letters: str) -> npt.NDArray[np.uint8]:
    return np.array(["ACGT".index(letter) for letter in letters], np.uint8)


def _find(codes: npt.NDArray[np.uint8], motif: str) -> npt.NDArray[np.int64]:
    """Middles of all exact matches, on both strands."""
    pattern = _encode(motif)
    n = len(codes) - len(pattern) + 1
    hits = np.zeros(n, bool)
    for strand in (pattern, 3 - pattern[::-1]):
        match = np.ones(n, bool)
        for i, code in enumerate(strand):
            match &= codes[i : i + n] == code
        hits |= match
    return np.flatnonzero(hits) + len(pattern) // 2


def _rates(
    track: _Track,
    sites: list[npt.NDArray[np.int64]],
    background: npt.NDArray[np.float64],
    is_known: npt.NDArray[np.bool_],
) -> npt.NDArray[np.float64]:
    """Expected number of fragments that centre at each base."""
    reach = int(4 * track.spread_bp)
    bump = np.exp(-0.5 * (np.arange(-reach, reach + 1) / track.spread_bp) ** 2)
    bump /= bump.sum()
    rates = background.copy()
    for fragments, where in zip(track.fragments, sites, strict=True):
        for site in where:
            low, high = max(0, site - reach), min(len(rates), site + reach + 1)
            rates[low:high] += fragments * bump[low - site + reach : high - site + reach]
    return np.where(is_known, rates, 0.0)


def _pile_up(rates: npt.NDArray[np.float64], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Fragments over each base, when they are drawn at these rates."""
    half = _FRAGMENT_BP // 2
    centres = np.pad(rng.poisson(rates), half)
    total = np.concatenate([[0], np.cumsum(centres)])
    over: npt.NDArray[np.int64] = total[2 * half :][: len(rates)] - total[: len(rates)]
    return over


def _clusters(sites: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    """Peaks: 150 bp on either side of sites, merged where they touch."""
    if not len(sites):
        return []
    groups = np.split(sites, np.flatnonzero(np.diff(sites) > 300) + 1)
    return [(int(group[0]) - 150, int(group[-1]) + 150) for group in groups]


def _write_fasta(path: Path, contigs: Mapping[str, npt.NDArray[np.uint8]]) -> None:
    index, offset = [], 0
    with path.open("wb") as out:
        for name, letters in contigs.items():
            offset += out.write(f">{name}\n".encode())
            index.append(f"{name}\t{len(letters)}\t{offset}\t{_LINE_BASES}\t{_LINE_BASES + 1}\n")
            breaks = np.arange(_LINE_BASES, len(letters) + 1, _LINE_BASES)
            body = np.insert(letters, breaks, ord("\n")).tobytes()
            offset += out.write(body if body.endswith(b"\n") else body + b"\n")
    path.with_name(path.name + ".fai").write_text("".join(index))


def _write_peaks(path: Path, contigs: Mapping[str, _Contig]) -> None:
    rows: list[str] = []
    for name, contig in contigs.items():
        for low, high in contig.peaks:
            pile = np.nan_to_num(contig.signal[0][low:high])
            summit = int(pile.argmax())
            score = min(1000, int(20 * pile[summit]))
            place = f"{name}\t{low}\t{high}\tpeak{len(rows) + 1}"
            rows.append(f"{place}\t{score}\t.\t{pile[summit]:.5g}\t-1\t-1\t{summit}\n")
    path.write_text("".join(rows))
