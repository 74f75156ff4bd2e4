"""What `bigwig-loader dataset info` tells."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bigwig_loader.dataset.prepared.layout import open_prepared

if TYPE_CHECKING:
    from bigwig_loader.dataset.prepared.layout import PreparedData

_SHOWN_SAMPLES = 4


def describe(path: Path) -> dict[str, Any]:
    """Everything `info` tells of a data set, as it stands in its JSON."""
    data = open_prepared(path)
    lengths = data.end - data.start
    known = data.metadata
    return {
        "path": str(path),
        "written_by": known.get("written_by"),
        "format_version": known["version"],
        "bytes": _bytes(path),
        "regions": {
            "count": data.n_regions,
            "contigs": len(data.contigs.names),
            "shortest_bp": int(lengths.min(initial=lengths[0] if len(lengths) else 0)),
            "longest_bp": int(lengths.max(initial=0)),
            "minus_strand": int((data.strand < 0).sum()),
            "columns": list(known["region_columns"]),
        },
        "max_jitter": data.max_jitter,
        "samples": list(data.samples),
        "cells": data.n_regions * data.n_samples,
        "reference": known.get("reference"),
        "variants": _variants(data),
        "tracks": {
            name: {"kind": track.kind, "intervals": len(track.table.start)}
            for name, track in data.tracks.items()
        },
        "left_out": known.get("report", {}).get("left_out", {}),
    }


def _bytes(path: Path) -> dict[str, int]:
    """Bytes of the parts of a data set, and of all of it."""
    sizes: dict[str, int] = {}
    for file in sorted(path.rglob("*")):
        if file.is_file():
            part = file.relative_to(path).parts[0] if file.parent != path else "metadata"
            sizes[part] = sizes.get(part, 0) + file.stat().st_size
    return {**sizes, "total": sum(sizes.values())}


def _variants(data: PreparedData) -> dict[str, Any] | None:
    table, genotypes = data.table, data.genotypes
    if table is None or genotypes is None:
        return None
    about = data.metadata["variants"]
    ilen = np.asarray(table.ilen)
    return {
        "source": about.get("path"),
        "count": len(table),
        "substitutions": int((ilen == 0).sum()),
        "insertions": int((ilen > 0).sum()),
        "deletions": int((ilen < 0).sum()),
        "carried": len(genotypes.variants),
        "ploidy": genotypes.ploidy,
        "overlap": about.get("overlap"),
        "info": list(table.info),
    }


def table(report: dict[str, Any]) -> Any:
    """The report as a rich table."""
    from rich.markup import escape
    from rich.table import Table

    made = Table(title=escape(report["path"]), title_justify="left", show_header=False)
    made.add_column(style="bold")
    made.add_column()

    def row(name: str, text: str) -> None:
        made.add_row(name, escape(text))

    regions, sizes = report["regions"], report["bytes"]
    low, high = regions["shortest_bp"], regions["longest_bp"]
    row(
        "regions",
        f"{regions['count']:,} on {_count(regions['contigs'], 'contig')}, "
        + (f"{low:,} bp each" if low == high else f"{low:,} to {high:,} bp")
        + f"; {regions['minus_strand']:,} on the minus strand",
    )
    row("columns", ", ".join(regions["columns"]))
    row("jitter", f"up to {report['max_jitter']:,} bp")
    names = report["samples"]
    shown = ", ".join(names[:_SHOWN_SAMPLES]) + (", ..." if len(names) > _SHOWN_SAMPLES else "")
    row("samples", f"{len(names):,}: {shown}")
    row("cells", f"{report['cells']:,}")
    row("reference", report["reference"] or "none when it was written")
    row("variants", _variants_text(report["variants"]))
    tracks = report["tracks"]
    for name, track in tracks.items():
        kind = "of each sample" if track["kind"] == "sample" else "the same for all samples"
        row(f"track {name}", f"{track['intervals']:,} intervals, {kind}")
    if not tracks:
        row("tracks", "none")
    parts = ", ".join(f"{part} {n:,}" for part, n in sizes.items() if part != "total")
    row("bytes", f"{sizes['total']:,} ({parts})")
    for reason, left_out in report["left_out"].items():
        row("left out", f"{reason}: {_left_out(left_out)}")
    row("written by", f"{report['written_by']}, format {report['format_version']}")
    return made


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _left_out(value: Any) -> str:
    """A number, or how many names there are."""
    return f"{value if isinstance(value, int) else len(value):,}"


def _variants_text(variants: dict[str, Any] | None) -> str:
    if variants is None:
        return "none"
    return (
        f"{variants['count']:,} ({variants['substitutions']:,} substitutions, "
        f"{variants['insertions']:,} insertions, {variants['deletions']:,} deletions), carried "
        f"{variants['carried']:,} times; ploidy {variants['ploidy']}, overlap "
        f"{variants['overlap']!r}; from {variants['source']}"
    )
