"""`extract_matching_loci` beside tangermeme's: ``python -m benchmarks.compare.matching``.

100,000 loci on a made genome of 100 Mb, with and without a bigWig. The windows are compared first,
all of them, by tangermeme's rules; a difference ends the run. tangermeme may live in an environment
of its own (``--peer-python``).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.compare.measure import NotEqualError
from benchmarks.made import fasta_lines, make_once
from benchmarks.peers.tangermeme_matching import MatchingJob, measure
from benchmarks.record import Results, compare_with_peer, median
from bigwig_loader._bigwig_writer import write_bigwig

_LINE_BP = 80
_WARM_UP = "chrS"


@dataclass(frozen=True)
class MatchingScale:
    """How much data is made.

    Parameters
    ----------
    contigs : dict of str to int
        Also a small one, ``chrS``, with which each library is warmed up.
    n_loci : int
    """

    contigs: dict[str, int]
    n_loci: int


FULL = MatchingScale({"chrA": 60_000_000, "chrB": 39_800_000, _WARM_UP: 200_000}, 100_000)
QUICK = MatchingScale({"chrA": 6_000_000, "chrB": 3_800_000, _WARM_UP: 200_000}, 10_000)
TINY = MatchingScale({"chrA": 600_000, _WARM_UP: 200_000}, 500)


def make(folder: Path, scale: MatchingScale) -> dict[str, str]:
    """Genome, signal and loci, made where they are not there yet; their paths.

    GC content changes from stretch to stretch, 2% of the bases are N. Loci lie in clusters, as
    real peaks do, so that there is background between them; a third of the genome has them. The
    signal has items of 50 bp on average, high at loci, and at as many others that are not listed
    that some background windows have too much signal.
    """
    paths = {"loci": "loci.bed", "fasta": "genome.fa", "bigwig": "signal.bw"}
    recipe: dict[str, object] = {"matching": 2, "contigs": scale.contigs, "loci": scale.n_loci}

    def write() -> None:
        rng = np.random.default_rng(11)
        genome_bp = sum(scale.contigs.values())
        fasta, index, lines, signal = [], "", [], {}
        for name, length in scale.contigs.items():
            fasta.append(f">{name}\n".encode())
            at = sum(map(len, fasta))
            index += f"{name}\t{length}\t{at}\t{_LINE_BP}\t{_LINE_BP + 1}\n"
            fasta.append(fasta_lines(_letters(rng, length), _LINE_BP))
            starts = _locus_starts(rng, length, max(20, scale.n_loci * length // genome_bp))
            lines += [f"{name}\t{s}\t{s + w}\n" for s, w in starts]
            others = _locus_starts(rng, length, max(5, len(starts) // 5))
            signal[name] = _intervals(rng, length, starts + others)
        (folder / paths["fasta"]).write_bytes(b"".join(fasta))
        (folder / f"{paths['fasta']}.fai").write_text(index)
        (folder / paths["loci"]).write_text("".join(lines))
        write_bigwig(folder / paths["bigwig"], scale.contigs, signal)

    make_once(folder, recipe, write)
    return {name: str(folder / file) for name, file in paths.items()}


def _letters(rng: np.random.Generator, length: int) -> npt.NDArray[np.uint8]:
    n_stretches = length // 5_000 + 1
    gc = np.repeat(rng.beta(8, 11, n_stretches), 5_000)[:length]
    is_gc, first = rng.random(length) < gc, rng.random(length) < 0.5
    codes = np.where(is_gc, np.where(first, 1, 2), np.where(first, 0, 3))
    letters = np.frombuffer(b"ACGTacgt", np.uint8)[codes + 4 * (rng.random(length) < 0.4)]
    for at in rng.integers(0, length, max(1, length // 500_000)):
        letters[at : at + 10_000] = ord("N")
    return letters


def _locus_starts(rng: np.random.Generator, length: int, n: int) -> list[tuple[int, int]]:
    """Starts and widths in clusters of 40 over 13 kb."""
    centres = rng.integers(0, length, n // 40 + 1).repeat(40)[:n]
    starts = np.clip(centres + rng.normal(0, 3_300, n).astype(np.int64), 0, length - 600)
    return list(zip(starts.tolist(), rng.integers(150, 600, n).tolist(), strict=True))


def _intervals(
    rng: np.random.Generator, length: int, loci: list[tuple[int, int]]
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    ends = np.cumsum(rng.geometric(1 / 50, int(length / 50 * 1.1) + 20))
    ends = np.append(ends[ends < length], length)
    starts = np.append(0, ends[:-1])
    counts = rng.poisson(0.4, len(ends)).astype(np.float64)
    for start, width in loci:
        first, last = np.searchsorted(ends, [start, start + width])
        counts[first : last + 1] += 8 + rng.poisson(6)
    has_data = counts > 0
    values = np.round(counts * rng.uniform(0.9, 1.1, len(counts)), 3)
    return starts[has_data], ends[has_data], values[has_data]


def compare(
    paths: dict[str, str], rounds: int, peer_python: str, folder: Path, n_jobs: int, signal: bool
) -> dict[str, Any]:
    """One row of the results: both libraries on the same job."""
    job = MatchingJob(
        library="tangermeme",
        loci=paths["loci"],
        fasta=paths["fasta"],
        bigwig=paths["bigwig"] if signal else "",
        n_jobs=n_jobs,
        output=str(folder / "tangermeme.bed"),
        compatible=True,
        warm_up=_WARM_UP,
    )
    ours = replace(job, library="bigwig_loader", output=str(folder / "bigwig_loader.bed"))
    default = replace(ours, compatible=False, output=str(folder / "default.bed"))
    jobs = {
        "tangermeme": (job, peer_python),
        "ours_compatible": (ours, sys.executable),
        "ours_default": (default, sys.executable),
    }
    # One process after the other in every round, so that what disturbs the machine disturbs all.
    measured: dict[str, list[dict[str, Any]]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, (each, python) in jobs.items():
            measured[name].append(measure(each, python))
    if Path(job.output).read_bytes() != Path(ours.output).read_bytes():
        raise NotEqualError(f"different windows: {job.output} and {ours.output}")
    return {
        "kind": "matching",
        "n_jobs": n_jobs,
        "signal": signal,
        "n_loci": sum(1 for _ in Path(paths["loci"]).open()),
        "equal": True,
        "readers": measured,
        "ratios": {
            name: {"wall": _ratio(measured, name, "wall_s"), "cpu": _ratio(measured, name, "cpu_s")}
            for name in measured
            if name != "tangermeme"
        },
    }


def _ratio(measured: dict[str, list[dict[str, Any]]], name: str, field: str) -> float:
    """Median over the rounds of tangermeme's time by ours."""
    rounds = zip(measured["tangermeme"], measured[name], strict=True)
    return median([theirs[field] / ours[field] for theirs, ours in rounds])


def run(
    scale: MatchingScale, folder: Path, results: Results, peer_python: str, rounds: int
) -> None:
    """Make the data and measure."""
    paths = make(folder, scale)
    sizes = {name: Path(path).stat().st_size for name, path in paths.items()}
    for path in paths.values():
        Path(path).read_bytes()  # so that nobody waits for a disk
    row = {"kind": "data", "data": "matching", "contigs": scale.contigs, "bytes": sizes}
    results.add(row | {"n_loci": scale.n_loci})
    for signal in (False, True):
        for n_jobs in (1, 2):
            row = compare(paths, rounds, peer_python, folder, n_jobs, signal)
            results.add(row)
            print(_line(row), flush=True)


def _line(row: dict[str, Any]) -> str:
    said = [f"n_jobs={row['n_jobs']}, {'with' if row['signal'] else 'without'} signal:"]
    for name, rounds in row["readers"].items():
        peak = max(max(each["peak_bytes"], each["peak_child_bytes"]) for each in rounds) / 1e6
        ratio = row["ratios"].get(name)
        times = f" ({ratio['wall']:.1f}x, {ratio['cpu']:.1f}x processor)" if ratio else ""
        said.append(
            f"{name} {median([each['wall_s'] for each in rounds]):.2f} s{times}, {peak:.0f} MB,"
        )
    return " ".join(said).rstrip(",")


if __name__ == "__main__":
    compare_with_peer(
        "matching",
        "Compare extract_matching_loci with tangermeme's on made data.",
        "10,000 loci on 10 Mb",
        lambda quick, folder, results, rounds, python: run(
            QUICK if quick else FULL, folder, results, python, rounds
        ),
    )
