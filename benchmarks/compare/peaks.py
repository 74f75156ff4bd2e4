"""`PeakGenerator` beside cherimoya's: ``python -m benchmarks.compare.peaks``.

Stranded counts on a made genome. Labels of an epoch and the first batches are compared bit for bit,
by cherimoya's rules, before any time is looked at. cherimoya may live in an environment of its own
(``--peer-python``), which then needs the package and its dependencies too: both loaders run in it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.compare.measure import NotEqualError
from benchmarks.peak_data import PeakData, make_peak_data
from benchmarks.peers.peak_loaders import PeakJob, measure
from benchmarks.record import Results, compare_with_peer, median

SEED = 0
# Epochs after the first that are timed: enough of a small set that nearly all negatives were drawn.
N_EPOCHS, N_EPOCHS_OF_MANY, MANY = 20, 2, 50_000


@dataclass(frozen=True)
class PeakScale:
    """How much data is made, and what is run on it.

    Parameters
    ----------
    contigs : dict of str to int
    n_loci : tuple of int
        Numbers of peaks, and of negatives, to compare.
    n_most : int
        The most peaks, for the growth of memory.
    """

    contigs: dict[str, int]
    n_loci: tuple[int, ...]
    n_most: int


FULL = PeakScale({f"chr{i}": 100_000_000 for i in range(1, 7)}, (5_000, 200_000), 500_000)
QUICK = PeakScale({f"chr{i}": 10_000_000 for i in range(1, 4)}, (2_000,), 20_000)
TINY = PeakScale({"chrA": 300_000, "chrB": 200_000}, (60,), 120)


def jobs(data: PeakData, n_loci: int, controls: bool, workers: int) -> dict[str, PeakJob]:
    """What is compared: cherimoya, ours by its rules, and ours by default."""
    arguments: dict[str, Any] = {
        "peaks": data.loci("peaks", n_loci),
        "negatives": data.loci("negatives", n_loci),
        "sequences": data.genome,
        "signals": [[data.track("plus"), data.track("minus")]],
        "controls": [[data.track("ctl_plus"), data.track("ctl_minus")]] if controls else None,
        "max_jitter": 50,
        "negative_ratio": 0.1,
        "random_state": SEED,
        "batch_size": 64,
        "num_workers": workers,
        "pin_memory": False,
    }
    n_epochs = N_EPOCHS_OF_MANY if n_loci > MANY else N_EPOCHS
    extracted = {"rng": "cherimoya-0.3", "in_memory": True}
    return {
        "cherimoya": PeakJob("cherimoya", arguments, n_epochs=n_epochs),
        "ours_compatible": PeakJob("ours", arguments, {"rng": "cherimoya-0.3"}, n_epochs),
        "ours_default": PeakJob("ours", arguments, n_epochs=n_epochs),
        "ours_in_memory": PeakJob("ours", arguments, extracted, n_epochs),
    }


def compare(
    data: PeakData, n_loci: int, controls: bool, workers: int, rounds: int, python: str
) -> dict[str, Any]:
    """One row of the results: all loaders on the same loci, one after the other in every round."""
    measured: dict[str, list[dict[str, Any]]] = {}
    for _ in range(rounds):
        for name, job in jobs(data, n_loci, controls, workers).items():
            measured.setdefault(name, []).append(measure(job, python))
    peer = measured["cherimoya"][0]
    for name in ("ours_compatible", "ours_in_memory"):
        for key in ("labels", "hashes", "n_examples"):
            if measured[name][0][key] != peer[key]:
                raise NotEqualError(f"{key} of {name} differ from cherimoya's, {n_loci} loci")
    for runs in measured.values():
        for each in runs:
            del each["hashes"], each["labels"]
    return {
        "kind": "peaks",
        "n_loci": n_loci,
        "controls": controls,
        "num_workers": workers,
        "equal": True,
        "readers": measured,
        "ratios": {
            name: {
                "first_batch": _ratio(measured, name, "first_batch_s"),
                "epoch": 1 / _ratio(measured, name, "examples_per_s", slice(0, 2)),
                "late_epoch": 1 / _ratio(measured, name, "examples_per_s", slice(-2, None)),
            }
            for name in measured
            if name != "cherimoya"
        },
    }


def _ratio(
    measured: dict[str, list[dict[str, Any]]], name: str, field: str, part: slice | None = None
) -> float:
    """Median over the rounds of cherimoya's figure by ours; of lists, that of a part of them."""

    def value(row: dict[str, Any]) -> float:
        return float(row[field]) if part is None else median(row[field][part])

    rounds = zip(measured["cherimoya"], measured[name], strict=True)
    return median([value(theirs) / value(ours) for theirs, ours in rounds])


def memory(data: PeakData, scale: PeakScale, python: str) -> dict[str, Any]:
    """How memory of ours grows with the number of peaks, after whole epochs.

    The genome is loaded before: it takes what its bases take, however many peaks there are. The
    negatives stay as many.
    """
    rows = []
    for n_loci in (*scale.n_loci, scale.n_most):
        job = jobs(data, n_loci, False, 0)["ours_default"]
        arguments = job.arguments | {"negatives": data.loci("negatives", scale.n_loci[0])}
        job = replace(job, arguments=arguments, n_epochs=1, load_genome=True)
        measured = measure(job, python)
        kept = ("memory_mb", "memory_peak_mb", "memory_before_mb", "n_examples")
        rows.append({"n_loci": n_loci} | {key: measured[key] for key in kept})
    return {
        "kind": "peaks_memory",
        "rows": rows,
        "growth": rows[-1]["memory_peak_mb"] / rows[0]["memory_peak_mb"] - 1,
    }


def run(scale: PeakScale, folder: Path, results: Results, rounds: int, python: str) -> None:
    """Make the data and measure."""
    data = make_peak_data(folder, scale.contigs, scale.n_most)
    for path in folder.iterdir():
        path.read_bytes()  # so that nobody waits for a disk
    results.add({"kind": "data", "data": "peaks", "contigs": scale.contigs})
    for n_loci in scale.n_loci:
        few = n_loci == scale.n_loci[0]
        for controls in (False, True) if few else (False,):
            for workers in (0, 1):
                row = compare(data, n_loci, controls, workers, rounds if few else 1, python)
                results.add(row)
                print(_line(row), flush=True)
    row = memory(data, scale, python)
    results.add(row)
    first, last = row["rows"][0], row["rows"][-1]
    print(
        f"memory, at its highest: {first['memory_peak_mb']:.0f} MB with {first['n_loci']} peaks, "
        f"{last['memory_peak_mb']:.0f} MB with {last['n_loci']} ({row['growth']:+.1%})"
    )


def _line(row: dict[str, Any]) -> str:
    controls = "with" if row["controls"] else "without"
    said = [f"{row['n_loci']} loci, {controls} controls, num_workers={row['num_workers']}:"]
    for name, runs in row["readers"].items():
        ratio = row["ratios"].get(name)
        first, early, late = (
            f" ({ratio[key]:.1f}x)" if ratio else ""
            for key in ("first_batch", "epoch", "late_epoch")
        )
        rates = [
            median([median(each["examples_per_s"][part]) for each in runs])
            for part in (slice(0, 2), slice(-2, None))
        ]
        said.append(
            f"{name} first batch {median([each['first_batch_s'] for each in runs]):.2f} s{first}, "
            f"examples/s {rates[0]:.0f}{early}, later {rates[1]:.0f}{late}, "
            f"{max(each['memory_peak_mb'] for each in runs):.0f} MB;"
        )
    return " ".join(said).rstrip(";")


if __name__ == "__main__":
    compare_with_peer(
        "peaks",
        "Compare PeakGenerator with cherimoya's on made data.",
        "2,000 loci on 30 Mb",
        lambda quick, folder, results, rounds, python: run(
            QUICK if quick else FULL, folder, results, rounds, python
        ),
    )
