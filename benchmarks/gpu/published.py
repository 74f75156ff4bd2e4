"""The published bigwig-loader on the same windows, where it is installed in a folder of its own."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.gpu.batches import Batches
from benchmarks.gpu.clock import Bench
from benchmarks.gpu.data import GpuData
from benchmarks.gpu.peer import ask
from benchmarks.gpu.sizes import Cell
from bigwig_loader.plan.windows import Windows

_ROUNDS = 4
_SECONDS = 60.0
# Its windows are few, since it takes so long.
_CELLS = (Cell(2_114, 64), Cell(524_288, 2))


def measure_published(bench: Bench, data: GpuData, folder: Path | None) -> None:
    """A row for short and for long windows: values compared first, then the ratio of times."""
    if folder is None:
        return
    for full in _CELLS:
        cell = full if bench.size.n_tracks >= 100 else bench.size.cells[0]
        batches = Batches(bench, data, cell, bench.size.n_tracks)
        windows = [batches.windows(100 + i) for i in range(_ROUNDS)]
        names = np.array(batches.collection.contigs.names)
        with tempfile.TemporaryDirectory() as scratch:
            request: dict[str, Any] = {
                "paths": [str(path) for path in batches.collection.bigwig_paths],
                "chroms": [names[w.contig_index].tolist() for w in windows],
                "starts": [w.start.tolist() for w in windows],
                "length_bp": cell.length_bp,
                "bin_size": cell.bin_size,
                "values": str(Path(scratch) / "values.npy"),
            }
            answer = ask(folder, request, _SECONDS)
            row: dict[str, Any] = {
                "kind": "gpu_peer", "tracks": len(batches.collection), "length_bp": cell.length_bp,
                "batch": cell.batch, "bin_size": cell.bin_size,
            }  # fmt: skip
            if "ms" in answer:
                theirs = np.load(request["values"])
                order = [request["paths"].index(path) for path in answer["paths"]]
                _require_equal(batches, windows[0], theirs, order)
                ours = batches.measure(bench.size.rounds)
                row |= {"ms": answer["ms"], "ours_ms": ours["ms"], "equal": True}
                row["ratio"] = answer["ms"] / max(ours["ms"], 1e-6)
            else:
                row["reason"] = answer["reason"]
            bench.results.add(row)
        batches.close()


def _require_equal(
    batches: Batches, windows: Windows, theirs: npt.NDArray[np.float32], order: list[int]
) -> None:
    """Compare its values, in whichever order of axes it has them, with ours."""
    ours = batches.backend.to_host(batches.collection.read(windows, options=batches.options))
    ours = ours[..., order]
    for moved in (theirs, np.moveaxis(theirs, 1, 2), np.moveaxis(theirs, 0, 2)):
        if moved.shape == ours.shape and np.array_equal(moved, ours):
            return
    raise AssertionError(f"its values {theirs.shape} differ from ours {ours.shape}")
