"""What is written down: the environment once, then one JSON line per measurement."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGES = (
    "bigwig-loader",
    "numpy",
    "pandas",
    "deflate",
    "pyBigWig",
    "pybigtools",
    "figwig",
    "isal",
    "numba",
    "pyfaidx",
    "torch",
)


@dataclass(frozen=True)
class Timing:
    """Seconds on the clock, and of processor time over all threads."""

    wall_s: float
    cpu_s: float


def timed(work: Callable[[], object]) -> Timing:
    """Call `work` once."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return Timing(time.perf_counter() - wall, time.process_time() - cpu)


def median(values: list[float]) -> float:
    """Median as a plain float."""
    return float(np.median(values))


def environment() -> dict[str, Any]:
    """Machine, software and commit."""
    from bigwig_loader.backend.select import select_backend

    versions: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    status = select_backend("cpu").status
    return {
        "kind": "environment",
        "when": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "cpu": _cpu_model(),
        "cores": status.details["threads"],
        "memory_gb": _memory_gb(),
        "os": platform.platform(),
        "python": platform.python_version(),
        "packages": versions,
        "inflate": status.details["inflate"],
        "commit": _commit(),
        "load_average": list(os.getloadavg()),
    }


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine()


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (ValueError, OSError):
        return None


def _commit() -> str | None:
    """Commit of the checkout, with a + where files differ from it."""

    def git(*arguments: str) -> str | None:
        try:
            command = ["git", "-C", str(REPOSITORY), *arguments]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    commit = git("rev-parse", "--short", "HEAD")
    return commit and commit + ("+" if git("status", "--porcelain") else "")


class Results:
    """A file of JSON lines, written as results come."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file: IO[str] = path.open("w")
        self.rows: list[dict[str, Any]] = []
        self.add(environment())

    def add(self, row: dict[str, Any]) -> None:
        """Write one line."""
        self.rows.append(row)
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def compare_with_peer(
    name: str, about: str, quick: str, run: Callable[[bool, Path, Results, int, str], None]
) -> None:
    """The command line of a comparison with one peer: ``python -m benchmarks.compare.NAME``.

    Parameters
    ----------
    name : str
        Of the module, the data and the results.
    about, quick : str
        What it does, and what ``--quick`` does.
    run : callable
        Of (quick, folder of the data, results, rounds, interpreter that has the peer).
    """
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.compare.{name}", description=about)
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--data", type=Path, default=REPOSITORY / "benchmarks" / "data")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--peer-python", default=sys.executable, help="interpreter of the peer")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    full_name = f"{name}_quick" if chosen.quick else name
    output = chosen.output or REPOSITORY / "benchmarks" / "results" / f"{full_name}.jsonl"
    results = Results(output)
    try:
        run(chosen.quick, chosen.data / full_name, results, chosen.rounds, chosen.peer_python)
    finally:
        results.close()
    print(f"results: {output}")


def read_results(path: Path) -> list[dict[str, Any]]:
    """The rows of a file of JSON lines."""
    return [json.loads(line) for line in path.read_text().splitlines() if line]
