"""The targets, what was reached, and what binds it: ``python -m benchmarks.gpu.report FILE``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Row = dict[str, Any]
Line = tuple[str, ...]
RESULTS = Path(__file__).resolve().parents[1] / "results" / "gpu.jsonl"
_MANY_STREAMS = 20_000


def target_lines(rows: list[Row]) -> list[Line]:
    """What, target, found, reached, binding term and its share."""
    of = _by_kind(rows)
    lines: list[Line] = []
    for row in of("gpu_fused"):
        ratio = row["ratio_to_nvcomp_alone"]
        found = f"{row['gb_per_s']:.1f} GB/s"
        found += f", {ratio:.2f}x nvCOMP" if ratio else ", no nvCOMP"
        is_enough = row["blocks"] >= _MANY_STREAMS
        reached = row["gb_per_s"] >= 200 or (ratio or 0) >= 4
        what = f"inflate + rasterize, {row['route']}, {row['blocks']:,.0f} streams"
        verdict = _reached(reached) if is_enough else "too few streams"
        lines.append((what, ">= 4x nvCOMP or 200 GB/s", found, verdict, _binding(row)))
    factors = {2_114: 30, 524_288: 10}
    for row in of("gpu_batch"):
        factor = factors.get(row["length_bp"]) if row["tracks"] >= 100 else None
        found = f"{row['ratio']:.1f}x ({row['ms']:.2f} ms, CPU {row['cpu_ms']:.1f} ms"
        found += f" on {row['cpu_threads']} cores)"
        target = f">= {factor}x" if factor else ""
        reached = _reached(row["ratio"] >= factor) if factor else ""
        lines.append((_batch(row), target, found, reached, _binding(row)))
    for row in of("gpu_resident"):
        speed, alone = row["gbp_tracks_per_s"], row["device_gbp_tracks_per_s"]
        found = f"{speed:.0f} Gbp x tracks/s ({alone:.0f} on the device)"
        what = f"resident: {_batch(row)}"
        lines.append((what, ">= 500", found, _reached(speed >= 500), _binding(row)))
    for row in of("gpu_latency"):
        what = f"one window, {row['tracks']} x {row['length_bp']:,} bp"
        found = f"{row['us'] / 1e3:.3f} ms (CPU {row['cpu_us'] / 1e3:.3f} ms)"
        lines.append((what, "< 1 ms", found, _reached(row["us"] < 1e3), ""))
    for row in of("gpu_training"):
        steps = row["step_ms"]
        what = f"stall of {row['model']}, {row['parameters'] / 1e6:.1f} M parameters"
        found = f"{row['stall']:.2%} ({steps['replay']:.2f} -> {steps['load']:.2f} ms a step)"
        lines.append((what, "< 1 %", found, _reached(row["stall"] < 0.01), ""))
    for row in of("gpu_peer"):
        name = "bigwig-loader 0.3.2"
        found = f"{row['ratio']:.1f}x ({row['ms']:.1f} ms there)" if "ms" in row else row["reason"]
        lines.append((f"{name}: {_batch(row)}", "", found, "", ""))
    return lines


def inflate_lines(rows: list[Row]) -> list[Line]:
    """GB/s of inflated bytes: blocks, streams, then by streams per warp, checksums and nvCOMP."""
    of = _by_kind(rows)
    cells: dict[tuple[str, int], dict[str, str]] = {}
    for row in of("gpu_inflate"):
        cell = cells.setdefault((row["blocks"], row["n"]), {})
        name, text = row["what"], f"{row['gb_per_s']:.1f}"
        if name == "kernel":
            name, text = str(row["streams_per_warp"]), text + ("*" if row["chosen"] else "")
        cell[name] = text
    columns = ("1", "8", "16", "32", "adler", "nvcomp", "nvcomp with placing and outcomes")
    return [
        (blocks, f"{n:,}", *(cell.get(name, "") for name in columns))
        for (blocks, n), cell in cells.items()
    ]


def read_lines(rows: list[Row]) -> list[Line]:
    """Reads: windows, how they are cut, reader, reads, GB/s of the blocks wanted."""
    return [
        (
            f"{row['tracks']} x {row['length_bp']:,} bp", row["cut"], row["reader"],
            f"{row['n_reads']:,}", f"{row['ms']:.2f}", f"{row['gb_per_s']:.2f}",
        )
        for row in _by_kind(rows)("gpu_read")
    ]  # fmt: skip


def other_lines(rows: list[Row]) -> list[Line]:
    """Ceilings, one-hot, and what was not measured."""
    of = _by_kind(rows)
    lines: list[Line] = [(row["what"], f"{row['gb_per_s']:.1f} GB/s") for row in of("gpu_ceiling")]
    lines += [
        (
            f"one-hot {row['dtype']} {row['layout']}",
            f"{row['gbases_per_s']:.1f} Gbases/s, {row['gb_per_s']:.0f} GB/s, "
            f"{row['share_of_write']:.0%} of device write",
        )
        for row in of("gpu_one_hot")
    ]
    lines += [(f"absent: {row['what']}", row["reason"]) for row in of("gpu_absent")]
    lines += [(f"left out: {row['what']}", row["reason"]) for row in of("left_out")]
    lines += [(f"FAILED: {row['what']}", row["error"]) for row in of("failed")]
    return lines


def step_lines(rows: list[Row]) -> list[Line]:
    """Steps of `make gpu`."""
    steps = _by_kind(rows)("gpu_step")
    return [(row["step"], row["outcome"], f"{row['seconds']:.0f} s", row["said"]) for row in steps]


def read_rows(path: Path) -> list[Row]:
    """The rows of a file of JSON lines."""
    return [json.loads(line) for line in path.read_text().splitlines() if line]


def text(rows: list[Row]) -> Iterator[str]:
    """All tables as lines of plain text."""
    for row in _by_kind(rows)("gpu"):
        yield (
            f"{row['device']}, CUDA {row['driver']} driver, CuPy {row['cupy']}, "
            f"commit {row['commit']}"
        )
    for title, columns, lines in (
        ("targets", ("what", "target", "found", "reached", "binding term"), target_lines(rows)),
        (
            "inflated GB/s (* as chosen)",
            ("blocks", "streams", "1/warp", "8", "16", "32", "adler", "nvCOMP", "with placing"),
            inflate_lines(rows),
        ),
        ("reads", ("windows", "cut", "reader", "reads", "ms", "GB/s"), read_lines(rows)),
        ("also", ("what", "found"), other_lines(rows)),
        ("steps", ("step", "outcome", "took", "said"), step_lines(rows)),
    ):
        if lines:
            yield ""
            yield f"== {title}"
            yield from _table(columns, lines)


def _table(columns: Line, lines: list[Line]) -> Iterator[str]:
    all_lines = [columns, *lines]
    widths = [max(len(line[i]) for line in all_lines) for i in range(len(columns))]
    for line in all_lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        yield "  ".join(cells).rstrip()


def _by_kind(rows: list[Row]) -> Callable[[str], list[Row]]:
    return lambda kind: [row for row in rows if row["kind"] == kind]


def _batch(row: Row) -> str:
    bins = "" if row["bin_size"] == 1 else f", {row['bin_size']}-bp bins"
    return f"{row['tracks']} x {row['length_bp']:,} bp x {row['batch']:,}{bins}"


def _binding(row: Row) -> str:
    terms = ", ".join(f"{name} {ms:.2f}" for name, ms in row["terms_ms"].items())
    return f"{row['binding']} {row['share']:.0%} (ms: {terms})"


def _reached(ok: bool) -> str:
    return "yes" if ok else "NO"


if __name__ == "__main__":
    for printed in text(read_rows(Path(sys.argv[1]) if sys.argv[1:] else RESULTS)):
        print(printed)
