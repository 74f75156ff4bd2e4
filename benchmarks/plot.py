"""One picture of the comparison: `python -m benchmarks.plot FILE.jsonl`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from benchmarks.record import read_results

_STYLES = {
    "ours_steady": ("bigwig_loader", "#0b5394", "o", "-"),
    "ours_first": ("bigwig_loader, first read (checksums)", "#0b5394", "o", ":"),
    "figwig": ("figwig[isal]", "#cc5500", "s", "-"),
    "pybigtools": ("pybigtools", "#38761d", "^", "-"),
    "pyBigWig": ("pyBigWig", "#666666", "D", "-"),
}
_TITLES = {
    "realistic": "realistic tracks",
    "blocks_32kb": "realistic tracks, 32-KB blocks",
    "real_encode": "ENCODE, chr22:36-38 Mb",
    "real_h3k4me3": "H3K4me3, chr9:4-6 Mb, 32-KB blocks",
}
_BATCH = 64
_COLUMNS = 3


def draw(rows: list[dict[str, Any]], path: Path) -> Path | None:
    """Mbp x tracks per second over window length, a panel per data set; None without results."""
    from matplotlib.figure import Figure

    cells = [r for r in rows if r["kind"] == "compare" and r["bin_size"] == 1]
    if not cells:
        return None
    n_tracks = 16 if any(r["tracks"] == 16 for r in cells) else max(r["tracks"] for r in cells)
    cells = [r for r in cells if r["tracks"] == n_tracks and r["batch"] <= _BATCH]
    names = list(dict.fromkeys(r["data"] for r in cells))
    n_columns = min(len(names), _COLUMNS)
    n_rows = -(-len(names) // n_columns)
    figure = Figure(figsize=(4.6 * n_columns, 4.1 * n_rows + 0.7), layout="constrained")
    axes = figure.subplots(n_rows, n_columns, sharey=True, squeeze=False)
    for axis, name in zip(axes.flat, names, strict=False):
        _panel(axis, [r for r in cells if r["data"] == name])
        axis.set_title(_TITLES.get(name, name.replace("items_", "items of ").replace("bp", " bp")))
    for axis in axes.flat[len(names) :]:
        axis.set_axis_off()
    for axis in axes[:, 0]:
        axis.set_ylabel("Mbp x tracks / s")
    environment = next(r for r in rows if r["kind"] == "environment")
    figure.suptitle(
        f"{n_tracks} tracks, base resolution, random windows never read before, batches of up to "
        f"{_BATCH}\n{environment['cpu']}, {environment['cores']} cores; numbers: times as fast as "
        "figwig (above) and pybigtools (below)",
        fontsize=10,
    )
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    return path


def _panel(axis: Any, cells: list[dict[str, Any]]) -> None:
    # Of each window length the largest batch that was measured.
    best: dict[int, dict[str, Any]] = {}
    for row in sorted(cells, key=lambda r: r["batch"]):
        best[row["length_bp"]] = row
    lengths = sorted(best)
    for name, (label, colour, marker, line) in _STYLES.items():
        points = [(x, best[x]["readers"][name]) for x in lengths if name in best[x]["readers"]]
        if points:
            axis.plot(
                [x for x, _ in points],
                [reader["mbp_tracks_per_s"] for _, reader in points],
                line,
                color=colour,
                marker=marker,
                markersize=5,
                label=label,
            )
    for x in lengths:
        ratios = best[x]["ratios"]["ours_steady"]
        text = "\n".join(
            f"{ratios[peer]['wall']:.1f}x" for peer in ("figwig", "pybigtools") if peer in ratios
        )
        axis.annotate(
            text,
            (x, best[x]["readers"]["ours_steady"]["mbp_tracks_per_s"]),
            xytext=(0, 6),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color=_STYLES["ours_steady"][1],
        )
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xticks(lengths, [f"{x:,}" for x in lengths], rotation=20)
    axis.minorticks_off()
    axis.set_xlabel("window, bp")
    axis.margins(x=0.12, y=0.2)
    axis.grid(True, alpha=0.25)


if __name__ == "__main__":
    results = Path(sys.argv[1])
    print(draw(read_results(results), results.with_suffix(".png")))
