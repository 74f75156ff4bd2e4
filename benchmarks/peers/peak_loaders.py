"""One peak loader in a process of its own: time to its first batch, epochs, and memory.

``python -m benchmarks.peers.peak_loaders JSON`` prints one JSON line. The parent compares hashes of
batches and labels before it looks at times.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.record import REPOSITORY

HASHED_BATCHES = 200


@dataclass(frozen=True)
class PeakJob:
    """What one process does.

    Parameters
    ----------
    loader : {"cherimoya", "ours"}
    arguments : dict
        Of `PeakGenerator`, the same for both.
    options : dict
        Further ones, for ours only.
    n_epochs : int
        Epochs to time, after a first one that is compared.
    load_genome : bool
        Load the whole genome first, ours only: else few loci need few pages of it.
    """

    loader: str
    arguments: dict[str, Any]
    options: dict[str, Any] = field(default_factory=dict)
    n_epochs: int = 2
    load_genome: bool = False


def measure(job: PeakJob, python: str = sys.executable) -> dict[str, Any]:
    """Run a job in a process of its own."""
    command = [python, "-m", "benchmarks.peers.peak_loaders", json.dumps(asdict(job))]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{job.loader} failed: {done.stderr[-3000:]}")
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def run(job: PeakJob) -> dict[str, Any]:
    """Build the loader, compare an epoch, time the next ones."""
    import pandas as pd
    import torch

    if job.loader == "cherimoya":
        from cherimoya.io import PeakGenerator
    else:
        from bigwig_loader.io import PeakGenerator
    arguments = dict(job.arguments)
    if job.load_genome:
        from bigwig_loader import Genome

        arguments["sequences"] = Genome(arguments["sequences"]).load()
    assert pd is not None  # both need it; importing it is no part of building a loader
    before = memory_mb("VmRSS")
    began = time.perf_counter()
    loader = PeakGenerator(**arguments, **job.options)
    built = time.perf_counter()
    batches = iter(loader)
    batch = next(batches)
    first = time.perf_counter()
    hashes, labels = [digest(batch)], [batch[-1]]
    for batch in batches:
        if len(hashes) < HASHED_BATCHES:
            hashes.append(digest(batch))
        labels.append(batch[-1])
    rates = []
    for _ in range(job.n_epochs):
        start, n = time.perf_counter(), 0
        for batch in loader:
            n += len(batch[0])
        rates.append(n / (time.perf_counter() - start))
    return {
        "build_s": built - began,
        "first_batch_s": first - began,
        "examples_per_s": rates,
        "n_examples": len(loader.dataset),
        "hashes": hashes,
        "labels": hashlib.sha256(torch.cat(labels).numpy().tobytes()).hexdigest(),
        "memory_before_mb": before,
        "memory_mb": memory_mb("VmRSS"),
        "memory_peak_mb": memory_mb("VmHWM"),
    }


def digest(batch: Any) -> str:
    """Hash of all tensors of a batch."""
    sha = hashlib.sha256()
    for part in batch:
        sha.update(part.numpy().tobytes())
    return sha.hexdigest()


def memory_mb(name: str) -> float:
    """A line of /proc/self/status."""
    text = Path("/proc/self/status").read_text()
    return int(text.split(f"{name}:")[1].split()[0]) / 1024


if __name__ == "__main__":
    sys.stdout.write("\n" + json.dumps(run(PeakJob(**json.loads(sys.argv[1])))) + "\n")
