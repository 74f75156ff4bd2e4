"""`python -m benchmarks`: everything, in order; see README.md."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import made
from benchmarks.compare import grid, measure
from benchmarks.made import DataSet
from benchmarks.plot import draw
from benchmarks.record import REPOSITORY, Results
from benchmarks.report import print_report

PARTS = ("compare", "stages", "e2e")


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    scale: made.Scale
    cells: grid.Grid
    large_blocks: grid.Grid
    real: grid.Grid
    effort: measure.Effort
    open_files: int
    dataset_s: float


QUICK = Size(made.QUICK, grid.QUICK, grid.QUICK_FEW, grid.QUICK_FEW, measure.QUICK, 200, 2.0)
FULL = Size(made.FULL, grid.FULL, grid.LARGE_BLOCKS, grid.REAL, measure.FULL, 1_000, 6.0)
TINY = Size(made.TINY, grid.TINY, grid.TINY, grid.TINY, measure.Effort(0.0, 0.01, 1, 1), 20, 0.2)


def run(size: Size, folder: Path, results: Results, parts: tuple[str, ...]) -> None:
    """Make the data and measure.

    Parameters
    ----------
    size : Size
    folder : Path
        Where made data is kept.
    results : Results
    parts : tuple of {"compare", "stages", "e2e"}
    """
    sets = made.make_all(folder, size.scale)
    for data in sets:
        results.add(
            {
                "kind": "data",
                "data": data.name,
                "note": data.note,
                "block": data.block,
                "different_files": len(data.paths),
                "contigs": data.contigs,
                "bytes": sum(Path(path).stat().st_size for path in data.paths),
            }
        )
    realistic = sets[0]
    if "stages" in parts:
        _stages(size, sets, results)
    if "e2e" in parts:
        from benchmarks.e2e.dataset import dataset

        with _shown("data set"):
            results.add(dataset(realistic, _some(size, 16), seconds=size.dataset_s))
    if "compare" in parts:
        for data in sets:
            _compare(size, data, results)


def _stages(size: Size, sets: list[DataSet], results: Results) -> None:
    from benchmarks.stages.latency import latency
    from benchmarks.stages.memory import memory
    from benchmarks.stages.one_hot import one_hot
    from benchmarks.stages.opening import opening
    from benchmarks.stages.shares import shares

    realistic, n_tracks = sets[0], _some(size, 16)
    n_rounds = 2 if size is TINY else 15
    for data in sets[:2]:
        with _shown(f"latency of one window, {data.name}"):
            results.add(latency(data, n_rounds=n_rounds))
    with _shown(f"opening {size.open_files} files"):
        for row in opening(realistic, size.open_files):
            results.add(row)
    with _shown("peak memory"):
        for budget_mb in (64, 256):
            results.add(memory(realistic, n_tracks, budget_mb))
    with _shown("one-hot"):
        results.add(one_hot(realistic, rounds=2 if size is TINY else 9))
    lengths = [length for length in (2_114, 32_768) if length in size.cells.lengths_bp]
    for length_bp in lengths or size.cells.lengths_bp:
        with _shown(f"stages of a batch, {length_bp:,} bp"):
            for row in shares(realistic, n_tracks, length_bp):
                results.add(row)


def _compare(size: Size, data: DataSet, results: Results) -> None:
    wanted = size.large_blocks if data.block == "32 KB" else size.cells
    if data.stretch is not None:
        wanted = size.real
    cells, too_large = wanted.cells()
    longest = max(end - start for start, end in data.places.values())
    too_long = [cell for cell in cells if cell.length_bp > longest]
    cells = [cell for cell in cells if cell.length_bp <= longest]
    left_out = (
        (too_large, f"the result at base resolution is above {wanted.max_gb:g} GB"),
        (too_long, "windows longer than the stretches with data"),
    )
    for some, reason in left_out:
        if some:
            rows = [cell.as_row() for cell in some]
            results.add({"kind": "left_out", "data": data.name, "reason": reason, "cells": rows})
    measure.warm_pages(data)
    for n_tracks in wanted.tracks:
        with _shown(f"{data.name}: opening {n_tracks} tracks, reading all of it once"):
            contest = measure.Contest(data, n_tracks)
        for cell in (cell for cell in cells if cell.tracks == n_tracks):
            name = f"{n_tracks} x {cell.length_bp:,} bp x {cell.batch}, {cell.bin_size}-bp bins"
            with _shown(f"{data.name}: {name}") as say:
                raw = data.name == "realistic" and cell.bin_size == 1
                row = contest.measure(cell, size.effort, raw)
                results.add(row)
                ratios = row["ratios"]["ours_steady"]
                say.extend(f"{peer} {ratio['wall']:.2f}x" for peer, ratio in ratios.items())


def _some(size: Size, n_tracks: int) -> int:
    """That many tracks, or the most there are in this size's grid."""
    return n_tracks if n_tracks in size.cells.tracks else max(size.cells.tracks)


@contextmanager
def _shown(what: str) -> Iterator[list[str]]:
    """One line per step, with its time, and what the step says."""
    said: list[str] = []
    began = time.perf_counter()
    print(f"{what} ... ", end="", flush=True)
    yield said
    print(f"{time.perf_counter() - began:.1f} s  {', '.join(said)}", flush=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Compare bigwig_loader with pyBigWig, pybigtools and figwig on made data.",
    )
    parser.add_argument(
        "--quick", action="store_true", help="a few cells on small data, 1 to 2 minutes"
    )
    parser.add_argument("--tiny", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument(
        "--data",
        type=Path,
        default=REPOSITORY / "benchmarks" / "data",
        help="folder in which made data is kept (default: benchmarks/data)",
    )
    parser.add_argument(
        "--output", type=Path, help="JSON lines (default: benchmarks/results/<size>.jsonl)"
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    chosen = parser.parse_args()
    name = "tiny" if chosen.tiny else "quick" if chosen.quick else "full"
    size = {"tiny": TINY, "quick": QUICK, "full": FULL}[name]
    output = chosen.output or REPOSITORY / "benchmarks" / "results" / f"{name}.jsonl"
    began = time.perf_counter()
    results = Results(output)
    try:
        run(size, chosen.data / name, results, tuple(chosen.parts))
    finally:
        results.close()
    picture = draw(results.rows, output.with_suffix(".png"))
    print_report(results.rows)
    print(f"{time.perf_counter() - began:.0f} s; results: {output}", flush=True)
    if picture is not None:
        print(f"picture: {picture}")


if __name__ == "__main__":
    main()
