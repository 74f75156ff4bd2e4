"""One matching in a process of its own, by tangermeme or by us: time and peak memory.

``python -m benchmarks.peers.tangermeme_matching JOB``, where JOB is a `MatchingJob` as JSON; it can
be run by the interpreter of another environment, which needs the library in question.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class MatchingJob:
    """A call of `extract_matching_loci`.

    Parameters
    ----------
    library : {"tangermeme", "bigwig_loader"}
    loci, fasta, bigwig : str
        Paths; `bigwig` may be empty for none.
    n_jobs : int
    output : str
        The matched windows are written here, as BED.
    compatible : bool
        For bigwig_loader: by tangermeme's rules.
    warm_up : str
        Contig that is matched once before, so that nothing is compiled or indexed while timed.
    """

    library: str
    loci: str
    fasta: str
    bigwig: str
    n_jobs: int
    output: str
    compatible: bool
    warm_up: str


def measure(job: MatchingJob, python: str = sys.executable) -> dict[str, Any]:
    """Run a job in a process of its own.

    Returns
    -------
    dict
        ``wall_s`` and ``cpu_s`` (that of children that have ended included), ``peak_bytes``
        (resident, of the process), ``peak_child_bytes`` (of its largest child), ``matched``,
        ``versions``.
    """
    done = subprocess.run(
        [python, "-m", "benchmarks.peers.tangermeme_matching", json.dumps(asdict(job))],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"the matching by {job.library} failed: {done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _run(job: MatchingJob) -> dict[str, Any]:
    match = _tangermeme() if job.library == "tangermeme" else _ours(job.compatible)
    keywords: dict[str, Any] = {"bigwig": job.bigwig or None, "random_state": 0}
    keywords["n_jobs"] = job.n_jobs
    match(job.loci, job.fasta, chroms=[job.warm_up], **keywords)
    began, cpu_began = time.perf_counter(), _cpu_s()
    frame = match(job.loci, job.fasta, **keywords)
    wall, cpu = time.perf_counter() - began, _cpu_s() - cpu_began
    frame.to_csv(job.output, sep="\t", header=False, index=False)
    own, child = (
        resource.getrusage(who).ru_maxrss * 1024
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    versions = {"numpy": np.__version__, "python": sys.version.split()[0]}
    versions["pandas"] = sys.modules["pandas"].__version__
    if job.library == "tangermeme":
        versions["tangermeme"] = importlib.metadata.version("tangermeme")
    return {
        "wall_s": wall,
        "cpu_s": cpu,
        "peak_bytes": _peak_bytes() or own,
        "peak_child_bytes": child,
        "matched": len(frame),
        "versions": versions,
    }


def _tangermeme() -> Callable[..., Any]:
    from tangermeme.match import extract_matching_loci

    return extract_matching_loci


def _ours(compatible: bool) -> Callable[..., Any]:
    from bigwig_loader.dataset.matching import extract_matching_loci

    def match(*arguments: Any, **keywords: Any) -> Any:
        return extract_matching_loci(
            *arguments, compatible="tangermeme-1.6" if compatible else None, **keywords
        )

    return match


def _cpu_s() -> float:
    """Processor seconds of this process and of its children that have ended."""
    return sum(os.times()[:4])


def _peak_bytes() -> int | None:
    """Linux: VmHWM, which does not count the process that this one was forked from."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), None)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print(json.dumps(_run(MatchingJob(**json.loads(sys.argv[1])))))
