"""Personal genomes beside genvarloader: ``python -m benchmarks.compare.haplotypes``.

Data sets of made phased variants are written by both libraries, and batches of random cells read
from them: letters, one-hot float32, signal on the reference and on haplotypes. What both read is
compared before any time is looked at. genvarloader may live in an environment of its own
(``--peer-python``), with seqpro and torch.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.compare.measure import NotEqualError
from benchmarks.haplotype_data import N_FILES, HaplotypeData, HaplotypeScale, make_haplotype_data
from benchmarks.peers.personal_genomes import PEER, GenomeJob, measure
from benchmarks.record import Results, compare_with_peer, median

OURS = "bigwig_loader"
# How genvarloader's documentation makes one-hot; there are quicker ways.
DOCUMENTED = "seqpro"
SEQUENCES = ("bytes", "one_hot_planes", "one_hot_rows")
SIGNAL = ("tracks", "realigned")


@dataclass(frozen=True)
class Setting:
    """Data, and the sizes of batches that are read from it."""

    name: str
    scale: HaplotypeScale
    batches: tuple[int, ...]


FULL = (
    Setting("2 kb", HaplotypeScale(20_000_000, 20_000, 64, 500, 2_048), (32, 256)),
    Setting("131 kb", HaplotypeScale(20_000_000, 200_000, 64, 100, 131_072), (32,)),
)
QUICK = (Setting("2 kb", HaplotypeScale(2_000_000, 4_000, 16, 100, 2_048), (32,)),)
TINY = (Setting("tiny", HaplotypeScale(60_000, 300, 4, 6, 512), (4,)),)


def jobs(
    data: HaplotypeData, scale: HaplotypeScale, with_signal: bool, folder: Path
) -> dict[str, GenomeJob]:
    """Writing by both libraries; with signal for the first samples only, which have some."""
    n_samples = min(scale.n_samples, N_FILES) if with_signal else scale.n_samples
    job = GenomeJob(
        library=PEER,
        task="write",
        dataset=str(folder / "theirs.gvl"),
        genome=data.genome,
        variants=data.variants,
        regions=data.regions,
        bigwigs=data.bigwigs(n_samples) if with_signal else {},
        length_bp=scale.length_bp,
        n_regions=scale.n_regions,
        n_samples=n_samples,
    )
    return {PEER: job, OURS: replace(job, library=OURS, dataset=str(folder / "ours.gvl"))}


def write(by: dict[str, GenomeJob], rounds: int, python: dict[str, str]) -> dict[str, Any]:
    """Both libraries write, in turns."""
    measured: dict[str, list[dict[str, Any]]] = {name: [] for name in by}
    for _ in range(rounds):
        for name, job in by.items():
            measured[name].append(measure(job, python[name]))
    return {
        "kind": "personal_write",
        "readers": measured,
        "ratios": {
            key: median(
                [a[key] / b[key] for a, b in zip(measured[PEER], measured[OURS], strict=True)]
            )
            for key in ("first_s", "again_s", "memory_peak_mb")
        },
    }


def read(
    by: dict[str, GenomeJob], output: str, batch: int, rounds: int, python: dict[str, str]
) -> dict[str, Any]:
    """Both libraries read the same cells, in turns; values are compared first."""
    measured: dict[str, list[dict[str, Any]]] = {name: [] for name in by}
    tails = 0
    for turn in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            for name, job in by.items():
                job = replace(job, task="read", output=output, batch=batch, checked=folder)
                measured[name].append(measure(job, python[name]))
            if turn == 0:
                tails = check(*(measured[name][0] for name in (PEER, OURS)), output, Path(folder))
    for runs in measured.values():
        for each in runs:
            del each["hashes"], each["reverse"]
    row = {
        "kind": "personal_read",
        "output": output,
        "batch": batch,
        "equal": True,
        "peer_tail_zeros": tails,
        "readers": measured,
    }
    pairs = list(zip(measured[PEER], measured[OURS], strict=True))
    row["ratio"] = median([a["ms"] / b["ms"] for a, b in pairs])
    if DOCUMENTED in measured[PEER][0]["ways_ms"]:
        row["ratio_documented"] = median([a["ways_ms"][DOCUMENTED] / b["ms"] for a, b in pairs])
    return row


def check(theirs: dict[str, Any], ours: dict[str, Any], output: str, folder: Path) -> int:
    """Raise unless both read the same.

    Where a haplotype of fixed length goes on past its region, genvarloader has no signal but 0:
    only such values, from the 3' end of the window on, may differ. Returns how many do.
    """
    if output not in SIGNAL and theirs["hashes"] != ours["hashes"]:
        raise NotEqualError(f"{output}: letters differ")
    if output == "realigned" and any(
        a[0] != b[0] for a, b in zip(theirs["hashes"], ours["hashes"], strict=True)
    ):
        raise NotEqualError(f"{output}: sequences differ")
    if output not in SIGNAL:
        return 0
    tails = 0
    for i, reverse in enumerate(theirs["reverse"]):
        them, us = (np.load(folder / f"{name}_{i}.npy") for name in (PEER, OURS))
        # With one track, ours may come without an axis for it.
        them, us = (x.reshape(len(x), -1, x.shape[-1]) for x in (them, us))
        if them.shape != us.shape:
            raise NotEqualError(f"{output}: shapes {them.shape} and {us.shape}")
        for row, their, our in zip(reverse, them, us, strict=True):
            length = their.shape[-1]
            for a, b in zip(their, our, strict=True):
                if row:
                    a, b = a[::-1], b[::-1]
                n = length - int(np.argmax(np.append(a[::-1] != 0, True)))
                if (a[:n] != b[:n]).any():
                    raise NotEqualError(f"{output}: signal differs")
                tails += int((b[n:] != 0).sum())
    return tails


def run(
    settings: tuple[Setting, ...], folder: Path, results: Results, rounds: int, peer_python: str
) -> None:
    """Make the data and measure."""
    python = {PEER: peer_python, OURS: sys.executable}
    for setting in settings:
        data = make_haplotype_data(folder / setting.name.replace(" ", "_"), setting.scale)
        for path in filter(Path.is_file, data.folder.iterdir()):
            path.read_bytes()  # so that nobody waits for a disk
        results.add({"kind": "data", "data": setting.name, **setting.scale.__dict__})
        for with_signal in (False, True):
            sets = data.folder / ("with_signal" if with_signal else "sequences")
            sets.mkdir(exist_ok=True)
            by = jobs(data, setting.scale, with_signal, sets)
            same = {"setting": setting.name, "with_signal": with_signal}
            row = same | write(by, rounds, python)
            results.add(row)
            print(_write_line(row), flush=True)
            for batch in setting.batches:
                for output in SIGNAL if with_signal else SEQUENCES:
                    row = same | read(by, output, batch, rounds, python)
                    results.add(row)
                    print(_read_line(row), flush=True)


def _write_line(row: dict[str, Any]) -> str:
    parts = [f"{row['setting']}, write{' with signal' if row['with_signal'] else ''}:"]
    for name, runs in row["readers"].items():
        first, again, memory = (
            median([each[key] for each in runs]) for key in ("first_s", "again_s", "memory_peak_mb")
        )
        parts.append(f"{name} {first:.2f} s, again {again:.2f} s, {memory:.0f} MB;")
    ratios = row["ratios"]
    parts.append(
        f"{ratios['first_s']:.1f}x, {ratios['again_s']:.1f}x, {ratios['memory_peak_mb']:.1f}x"
    )
    return " ".join(parts)


def _read_line(row: dict[str, Any]) -> str:
    parts = [f"{row['setting']}, {row['output']}, batch {row['batch']}:"]
    for name, runs in row["readers"].items():
        milliseconds = median([each["ms"] for each in runs])
        parts.append(f"{name} {milliseconds:.2f} ms ({runs[0]['way']});")
    parts.append(f"{row['ratio']:.1f}x")
    if "ratio_documented" in row:
        parts.append(f"({row['ratio_documented']:.1f}x with {DOCUMENTED})")
    return " ".join(parts)


if __name__ == "__main__":
    compare_with_peer(
        "haplotypes",
        "Compare personal genomes with genvarloader's on made data.",
        "16 samples, 4,000 variants, 100 regions of 2 kb",
        lambda quick, folder, results, rounds, python: run(
            QUICK if quick else FULL, folder, results, rounds, python
        ),
    )
