"""``bigwig-loader info``: what is in BigWig files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from bigwig_loader.formats.bigwig import BigWigIndex
    from bigwig_loader.formats.survey import Survey

EXAMPLES = """
Examples:

bigwig-loader info signal.bw

bigwig-loader info --check *.bigWig && echo all sound

bigwig-loader info --json signal.bw | jq '.[0].items.mean_bp'
"""

SAMPLED_BLOCKS = 256
_DAMAGED = 1
_SHOWN_FINDINGS = 20


def info(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="BigWig files or URLs.")],
    every: Annotated[
        bool, typer.Option("--all", help="Read all data blocks instead of a sample.")
    ] = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Verify all data blocks (checksums, sections, order of items); "
            "exit code 1 if one is damaged or irregular.",
        ),
    ] = False,
    sample: Annotated[
        int, typer.Option(min=1, metavar="N", help="How many data blocks to sample.")
    ] = SAMPLED_BLOCKS,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, one entry per file.")
    ] = False,
) -> None:
    """Contigs, data blocks, sections, items, zoom levels and compression of BigWig files."""
    from rich.console import Console

    from bigwig_loader.formats.bigwig import read_bigwig_index
    from bigwig_loader.formats.survey import sample_blocks

    whole = every or check
    reports, n_findings = [], 0
    for path in files:
        index = read_bigwig_index(path)
        n_wanted = len(index.blocks) if whole else sample
        which = sample_blocks(len(index.blocks), n_wanted)
        survey = _survey(index, which)
        report = _report(index, survey)
        n_findings += len(survey.findings)
        if as_json:
            reports.append(report)
            continue
        console = Console()
        console.print(_table(report))
        _print_findings(console, survey, check)
    if as_json:
        typer.echo(json.dumps(reports, indent=2))
    if check and n_findings:
        raise typer.Exit(_DAMAGED)


def _survey(index: BigWigIndex, which: Any) -> Survey:
    """Survey with a progress bar on standard error."""
    from rich.console import Console
    from rich.progress import Progress

    from bigwig_loader.formats.survey import survey_blocks

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("data blocks", total=len(which))
        return survey_blocks(index, which, lambda: progress.advance(task))


def _report(index: BigWigIndex, survey: Survey) -> dict[str, Any]:
    """Everything `info` tells of one file, as it stands in its JSON."""
    header, lengths = index.header, index.contig_lengths
    total_bp = int(lengths.sum())
    longest = int(lengths.argmax()) if len(lengths) else None
    summary = header.summary
    return {
        "path": index.path,
        "file_bytes": index.n_bytes,
        "version": header.version,
        "byte_order": "little" if header.byte_order == "<" else "big",
        "compressed": header.uncompress_buf_size > 0,
        "uncompress_buf_bytes": header.uncompress_buf_size,
        "contigs": {
            "count": len(lengths),
            "total_bp": total_bp,
            "longest": None if longest is None else index.contig_names[longest],
            "longest_bp": None if longest is None else int(lengths[longest]),
        },
        "blocks": {
            "count": len(index.blocks),
            "stored_bytes": int(index.blocks.n_bytes.sum()),
            "index_bytes": _index_bytes(index),
            "read": survey.n_blocks,
            "compression_ratio": _number(survey.compression_ratio),
        },
        "sections": dict(sorted(survey.sections.items())),
        "items": {
            "read": survey.n_items,
            "per_section": _number(survey.n_items / max(survey.n_sections, 1)),
            "mean_bp": _number(survey.mean_item_bp),
        },
        "summary": None
        if summary is None
        else {
            "covered_fraction": _number(summary.bases_covered / total_bp) if total_bp else None,
            "minimum": _number(summary.minimum),
            "maximum": _number(summary.maximum),
            "mean": _number(summary.total / summary.bases_covered)
            if summary.bases_covered
            else None,
        },
        "zoom_reduction_levels": [level.reduction_level for level in header.zoom_levels],
        "findings": [vars(finding) for finding in survey.findings],
    }


def _number(value: float) -> float | None:
    """JSON has neither NaN nor infinities."""
    import math

    return float(value) if math.isfinite(value) else None


def _index_bytes(index: BigWigIndex) -> int:
    """Bytes from the start of the R-tree to the next part of the file that the header names."""
    header = index.header
    if header.index_offset == 0:
        return 0
    zooms = [offset for z in header.zoom_levels for offset in (z.data_offset, z.index_offset)]
    parts = [header.chrom_tree_offset, header.data_offset, header.extension_offset, *zooms]
    later = [offset for offset in parts if header.index_offset < offset <= index.n_bytes]
    return min([index.n_bytes, *later]) - header.index_offset


def _table(report: dict[str, Any]) -> Any:
    """The report of one file as a rich table."""
    from rich.markup import escape
    from rich.table import Table

    contigs, blocks, items = report["contigs"], report["blocks"], report["items"]
    summary = report["summary"]
    table = Table(title=escape(report["path"]), title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column()

    def row(name: str, text: str) -> None:
        table.add_row(name, escape(text))

    n_read, n_blocks = blocks["read"], blocks["count"]
    read = f"all {n_blocks:,}" if n_read == n_blocks else f"a sample of {n_read:,} of {n_blocks:,}"
    buffer = f"buffer {report['uncompress_buf_bytes']:,} bytes"
    row(
        "file",
        f"{report['file_bytes']:,} bytes, version {report['version']}, "
        f"{report['byte_order']}-endian",
    )
    row(
        "compression",
        f"{buffer}, ratio {_text(blocks['compression_ratio'])}" if report["compressed"] else "none",
    )
    longest = f", longest {contigs['longest']} {contigs['longest_bp']:,} bp"
    row(
        "contigs",
        f"{contigs['count']:,}, {contigs['total_bp']:,} bp"
        + (longest if contigs["longest"] is not None else ""),
    )
    row(
        "data blocks",
        f"{n_blocks:,}, {blocks['stored_bytes']:,} bytes; index {blocks['index_bytes']:,} bytes",
    )
    row("looked at", f"{read} data blocks")
    row("sections", ", ".join(f"{n:,} {kind}" for kind, n in report["sections"].items()) or "none")
    row(
        "items",
        f"{items['read']:,}, {_text(items['per_section'])} per section, "
        f"{_text(items['mean_bp'])} bp each",
    )
    if summary is None:
        row("values", "no total summary in this version of the format")
    else:
        covered = summary["covered_fraction"]
        row(
            "values",
            f"min {_text(summary['minimum'])}, mean {_text(summary['mean'])}, "
            f"max {_text(summary['maximum'])} over covered bases",
        )
        share = "unknown" if covered is None else f"{_text(100 * covered)} % of all bases"
        if covered is not None and covered > 1:
            share += ": the file's summary counts more bases than its contigs have"
        row("covered", share)
    levels = report["zoom_reduction_levels"]
    row("zoom levels", f"{len(levels)}: {', '.join(map(str, levels))} bp" if levels else "none")
    return table


def _text(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.4g}"


def _print_findings(console: Any, survey: Survey, check: bool) -> None:
    n_damaged = sum(finding.kind == "damaged" for finding in survey.findings)
    n_irregular = len(survey.findings) - n_damaged
    if not survey.findings:
        if check:
            console.print(f"check: all {survey.n_blocks:,} data blocks are sound", highlight=False)
        return
    console.print(f"{n_damaged:,} damaged, {n_irregular:,} irregular:", highlight=False)
    for finding in survey.findings[:_SHOWN_FINDINGS]:
        text = f"  block {finding.block} at byte {finding.offset}, {finding.kind}: {finding.what}"
        console.print(text, highlight=False, markup=False, soft_wrap=True)
    more = len(survey.findings) - _SHOWN_FINDINGS
    if more > 0:
        console.print(f"  and {more:,} more; --json lists all", highlight=False)
