"""`python -m benchmarks.gpu`: everything that is measured on a GPU; see benchmarks/README.md."""

from __future__ import annotations

import argparse
import importlib.metadata
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.gpu.batches import (
    Batches,
    measure_cells,
    measure_fused,
    measure_latency,
    measure_resident,
)
from benchmarks.gpu.ceilings import measure_ceilings
from benchmarks.gpu.clock import Bench
from benchmarks.gpu.data import GpuData, make_gpu_data
from benchmarks.gpu.inflating import measure_inflating
from benchmarks.gpu.published import measure_published
from benchmarks.gpu.reading import measure_reading
from benchmarks.gpu.report import RESULTS, text
from benchmarks.gpu.sequences import measure_one_hot
from benchmarks.gpu.sizes import FULL, TINY, Cell, Size
from benchmarks.gpu.trace import trace
from benchmarks.record import REPOSITORY, Results
from bigwig_loader.backend.cuda.backend import CudaBackend
from bigwig_loader.backend.cuda.nvcomp import Nvcomp
from bigwig_loader.backend.cuda.probe import probe, version_text

_PACKAGES = ("numpy", "torch", "nvidia-nvcomp", "kvikio")


def device_row(backend: CudaBackend, commit: str | None) -> dict[str, Any]:
    """Device, driver, versions and commit."""
    found = probe()
    versions = {
        distribution.name: distribution.version
        for distribution in importlib.metadata.distributions()
        if distribution.name and distribution.name.startswith(_PACKAGES)
    }
    device = backend.device
    return {
        "kind": "gpu",
        "device": device.name,
        "sm": device.compute_capability,
        "multiprocessors": device.n_multiprocessors,
        "memory_gb": device.total_bytes / 1e9,
        "driver": version_text(found.driver),
        "runtime": version_text(found.runtime),
        "cupy": found.cupy,
        "packages": versions,
        "status": str(backend.status),
        "commit": commit,
    }


def parts(
    data: GpuData, nvcomp: Nvcomp | str, peer: Path | None
) -> dict[str, Callable[[Bench], None]]:
    """The measurements, in order: what decides the design first."""

    def train(bench: Bench) -> None:
        from benchmarks.gpu.training import measure_training

        measure_training(bench, data)

    return {
        "ceilings": measure_ceilings,
        "inflate": lambda bench: measure_inflating(bench, data, nvcomp),
        "read": lambda bench: measure_reading(bench, data),
        "fused": lambda bench: measure_fused(bench, data),
        "cells": lambda bench: measure_cells(bench, data),
        "resident": lambda bench: measure_resident(bench, data),
        "latency": lambda bench: measure_latency(bench, data),
        "one-hot": lambda bench: measure_one_hot(bench, data),
        "training": train,
        "published": lambda bench: measure_published(bench, data, peer),
    }


PARTS = tuple(parts(None, "", None))  # type: ignore[arg-type]


def run(
    bench: Bench, data: GpuData, wanted: tuple[str, ...] = PARTS, peer: Path | None = None
) -> bool:
    """Measure; whether nothing has failed. What fails is a row, and the next part goes on."""
    nvcomp = Nvcomp.find()
    for name, part in parts(data, nvcomp, peer).items():
        if name not in wanted and name != "ceilings":  # its figures are what others are put to
            continue
        if not bench.has_time:
            bench.results.add({"kind": "left_out", "reason": "no time", "what": name})
            continue
        began = time.monotonic()
        print(f"{name} ... ", end="", flush=True)
        try:
            part(bench)
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            bench.results.add({"kind": "failed", "what": name, "error": said})
            traceback.print_exc()
        print(f"{time.monotonic() - began:.1f} s", flush=True)
    return not any(row["kind"] == "failed" for row in bench.results.rows)


def show_trace(bench: Bench, data: GpuData, cell: Cell, cache_bytes: int) -> None:
    """Print where the time of a batch goes, when all of its blocks have been verified."""
    batches = Batches(bench, data, cell, bench.size.n_tracks, cache_bytes=cache_bytes)
    batches.read(1)
    batches.read(1)
    for line in trace(lambda: batches.read(1)):
        print(line)
    batches.close()


def main(arguments: list[str] | None = None) -> int:
    """The command line; 1 if anything failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--tiny", action="store_true", help=argparse.SUPPRESS)
    folder = REPOSITORY / "benchmarks" / "data" / "gpu"
    parser.add_argument("--data", type=Path, default=folder, help="folder of the made files")
    parser.add_argument("--output", type=Path, default=RESULTS, help="JSON lines")
    parser.add_argument("--seconds", type=float, default=600.0, help="nothing begins after that")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--commit", help="to write down, where there is no git")
    parser.add_argument("--peer", type=Path, help="folder with the published bigwig-loader")
    parser.add_argument(
        "--trace",
        metavar="BPxBATCH[xBIN]",
        help="only print where the time of such a batch goes, e.g. 524288x8 or 524288x8x32",
    )
    parser.add_argument("--resident", action="store_true", help="trace with blocks kept decoded")
    chosen = parser.parse_args(arguments)
    ends = time.monotonic() + chosen.seconds
    size: Size = TINY if chosen.tiny else FULL
    # Before CUDA is in use: it does not live through the forks that make files.
    data = make_gpu_data(chosen.data, size)
    from bigwig_loader.backend.select import select_backend

    backend = select_backend(chosen.device)
    assert isinstance(backend, CudaBackend)
    if chosen.trace:
        results = Results(chosen.output.with_name("trace.jsonl"))
        bench = Bench(backend, size, results, ends)
        cell = Cell(*map(int, chosen.trace.split("x")))
        show_trace(bench, data, cell, size.cache_bytes if chosen.resident else 0)
        results.close()
        results.path.unlink()
        return 0
    results = Results(chosen.output)
    results.add(device_row(backend, chosen.commit or results.rows[0]["commit"]))
    is_good = run(Bench(backend, size, results, ends), data, tuple(chosen.only), chosen.peer)
    for line in text(results.rows):
        print(line)
    print(f"results: {results.path}")
    results.close()
    return 0 if is_good else 1


if __name__ == "__main__":
    raise SystemExit(main())
