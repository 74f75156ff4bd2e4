"""Targets against what was reached, from a file of results: `python -m benchmarks.report FILE`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.record import REPOSITORY, median, read_results

Row = dict[str, Any]
STATES = ("ours_first", "ours_steady")


@dataclass(frozen=True)
class Target:
    """At least `factor` times as fast as `peer` in the cells for which `where` holds."""

    what: str
    peer: str
    factor: float
    where: Callable[[Row], bool]


def _short(row: Row) -> bool:
    return bool(row["length_bp"] == 2_114 and row["tracks"] == 16 and row["batch"] > 1)


def _long(row: Row) -> bool:
    return bool(row["length_bp"] >= 32_768 and row["tracks"] >= 16)


def _long_single(row: Row) -> bool:
    return bool(row["length_bp"] >= 32_768 and row["tracks"] == 1)


def _small_blocks(row: Row) -> bool:
    return bool(row["block"] == "1024 items")


TARGETS = (
    Target(
        "2,114 bp x 16 tracks, 1,024-item blocks",
        "figwig",
        2.0,
        lambda r: _short(r) and _small_blocks(r),
    ),
    Target(
        "2,114 bp x 16 tracks, 1,024-item blocks",
        "pybigtools",
        5.0,
        lambda r: _short(r) and _small_blocks(r),
    ),
    Target(
        "2,114 bp x 16 tracks, 32-KB blocks",
        "pybigtools",
        3.0,
        lambda r: _short(r) and not _small_blocks(r),
    ),
    Target("32,768 bp and more, 16 and 100 tracks", "figwig", 1.5, _long),
    Target("32,768 bp and more, 16 and 100 tracks", "pybigtools", 5.0, _long),
    Target("32,768 bp and more, 1 track", "figwig", 1.5, _long_single),
    Target("32,768 bp and more, 1 track", "pybigtools", 5.0, _long_single),
)


def target_rows(rows: list[Row]) -> list[list[str]]:
    """The table of targets: one line per target, data set and bin size."""
    cells = [row for row in rows if row["kind"] == "compare"]
    table = []
    for target in TARGETS:
        chosen = [row for row in cells if target.where(row) and target.peer in _peers(row)]
        for data, bin_size in sorted({(row["data"], row["bin_size"]) for row in chosen}):
            of_kind = [r for r in chosen if (r["data"], r["bin_size"]) == (data, bin_size)]
            line = [target.what, f"{data}, {_bins(bin_size)}", target.peer, f">= {target.factor}x"]
            reached = []
            for state in STATES:
                ratios = [row["ratios"][state][target.peer] for row in of_kind]
                wall = [ratio["wall"] for ratio in ratios]
                cpu = median([ratio["cpu"] for ratio in ratios])
                spread = f"({min(wall):.2f}-{max(wall):.2f})" if len(wall) > 1 else ""
                line.append(f"{median(wall):.2f}x {spread} [{cpu:.2f}x]")
                reached.append(sum(ratio >= target.factor for ratio in wall))
            line.append(f"{reached[0]} and {reached[1]} of {len(of_kind)}")
            table.append(line)
    return table


def other_rows(rows: list[Row]) -> list[list[str]]:
    """Targets that are not ratios of the comparison: what, target, reached."""
    table = []
    for row in rows:
        if row["kind"] == "latency" and "pyBigWig" in row["microseconds"]:
            us = row["microseconds"]
            ratio = row["ratio_to_ours_collection"]["pyBigWig"]
            found = f"{us['ours_collection']:.0f} us, pyBigWig {us['pyBigWig']:.0f} us"
            table.append(
                [
                    f"one window of {row['length_bp']:,} bp, {row['data']}",
                    ">= 1x pyBigWig",
                    f"{ratio:.2f}x ({found})",
                    _reached(ratio >= 1),
                ]
            )
        if row["kind"] == "opening" and row["files"] > 1:
            s = row["seconds"]
            found = f"{s['warm_cache']:.2f} s (cold {s['cold_cache']:.2f} s)"
            # A smaller number of files says nothing about the target.
            fair = row["files"] >= 1_000
            table.append(
                [
                    f"opening {row['files']:,} files, warm index cache",
                    "< 2 s for 1,000",
                    found,
                    _reached(s["warm_cache"] < 2) if fair else "not tried",
                ]
            )
        if row["kind"] == "memory":
            grown, budget = row["grown_bytes"] / 1e6, row["budget_bytes"] / 1e6
            table.append(
                [
                    f"peak memory of a batch, {row['tracks']} tracks",
                    f"<= {budget:,.0f} MB",
                    f"{grown:,.0f} MB",
                    _reached(row["within_budget"]),
                ]
            )
    return table


def stage_rows(rows: list[Row]) -> list[list[str]]:
    """Processor time of each stage of a batch, one thread."""
    table = []
    for row in rows:
        if row["kind"] != "stages":
            continue
        ms, per_batch = row["cpu_ms"], row["per_batch"]
        stages = [f"{ms[name]:.2f}" for name in ("plan", "read", "inflate", "rasterize", "whole")]
        name = f"{row['data']}, {row['tracks']} x {row['length_bp']:,} bp x {row['batch']}"
        inflated = f"{per_batch['bytes_inflated'] / 1e6:.1f} MB"
        table.append([name, row["state"], *stages, f"{per_batch['n_blocks']:.0f}", inflated])
    return table


def print_report(rows: list[Row]) -> None:
    """All tables, as text."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 150)

    def show(title: str, columns: list[str], lines: list[list[str]]) -> None:
        if not lines:
            return
        table = Table(*columns, title=escape(title), title_justify="left")
        for line in lines:
            table.add_row(*map(escape, line))
        console.print(table)

    place = next(row for row in rows if row["kind"] == "environment")
    console.print(
        f"{place['cpu']}, {place['cores']} cores, {place['os']}, commit {place['commit']}"
    )
    ratios = ["ours_first", "ours_steady"]
    show(
        "Times as fast by the clock: median (range) over cells [in processor time]",
        ["target", "data", "against", "target", *ratios, "cells that reach it (first and steady)"],
        target_rows(rows),
    )
    show("Other targets", ["what", "target", "found", "reached"], other_rows(rows))
    show(
        "Stages of a batch: ms of processor time, one thread",
        ["batch", "state", "plan", "read", "inflate", "rasterize", "whole", "blocks", "inflated"],
        stage_rows(rows),
    )
    for row in rows:
        if row["kind"] == "one_hot":
            speed = row["gbases_per_s"]
            console.print(
                f"one-hot: {speed['ours']:.2f} Gbase/s, NumPy {speed['numpy']:.2f} Gbase/s "
                f"({row['ratio']:.1f}x)"
            )
        if row["kind"] == "dataset":
            speeds = ", ".join(
                f"{name} {speed:,.0f}" for name, speed in row["windows_per_s"].items() if speed
            )
            console.print(f"data set, {row['tracks']} tracks, windows/s: {speeds}")
    left_out = [row for row in rows if row["kind"] == "left_out"]
    for row in left_out:
        console.print(f"left out, {row['reason']}: {len(row['cells'])} cells (see the file)")


def _peers(row: Row) -> set[str]:
    return set(row["ratios"]["ours_steady"])


def _bins(bin_size: int) -> str:
    return "bases" if bin_size == 1 else f"{bin_size}-bp bins"


def _reached(ok: bool) -> str:
    return "yes" if ok else "NO"


def main(arguments: list[str]) -> None:
    """Print the report of a file, by default the newest one in results/."""
    if arguments:
        path = Path(arguments[0])
    else:
        found = sorted(
            (REPOSITORY / "benchmarks" / "results").glob("*.jsonl"), key=lambda p: p.stat().st_mtime
        )
        if not found:
            raise SystemExit("no results yet; run: python -m benchmarks --quick")
        path = found[-1]
    print_report(read_results(path))


if __name__ == "__main__":
    main(sys.argv[1:])
