"""``bigwig-loader check``: whether files are of one genome, before training."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from bigwig_loader.cli.contig_check import FileReport

EXAMPLES = """
Examples:

bigwig-loader check genome.fa tracks/ peaks.narrowPeak calls.vcf.gz

bigwig-loader check genome.fa signal.bw --bed regions.txt && echo all fit

bigwig-loader check --json genome.fa tracks/ | jq '.[] | select(.usable | not).path'
"""

_UNFIT = 1


def check(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE]...",
            help="FASTA, BigWig, BED and VCF files, known by their names; a folder stands for its "
            "BigWig files.",
        ),
    ] = None,
    genome: Annotated[str | None, typer.Option(help="A FASTA file of any name.")] = None,
    bigwig: Annotated[
        list[str] | None,
        typer.Option(help="A BigWig file, folder or URL; may be given several times."),
    ] = None,
    bed: Annotated[
        list[str] | None, typer.Option(help="A BED file; may be given several times.")
    ] = None,
    vcf: Annotated[
        list[str] | None, typer.Option(help="A VCF file; may be given several times.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, one entry per file.")
    ] = False,
) -> None:
    """Compare contig names and lengths of the files that a model is to be trained with.

    All are compared with the FASTA file, or with the first BigWig file where there is none.
    Exit code 0 if they can be used together, 1 if not.
    """
    from rich.console import Console

    from bigwig_loader.cli.contig_check import check_files
    from bigwig_loader.cli.contig_files import sort_files

    sorted_files = sort_files(
        files or (),
        {
            "FASTA": [] if genome is None else [genome],
            "BigWig": bigwig or [],
            "BED": bed or [],
            "VCF": vcf or [],
        },
    )
    with Console(stderr=True).status("reading contigs"):
        reports = check_files(sorted_files)
    if as_json:
        typer.echo(json.dumps([_entry(report) for report in reports], indent=2))
    else:
        _print(reports)
    if not all(report.is_usable for report in reports):
        raise typer.Exit(_UNFIT)


def _entry(report: FileReport) -> dict[str, Any]:
    findings = [vars(finding) for finding in report.findings]
    return {**vars(report), "usable": report.is_usable, "findings": findings}


def _print(reports: list[FileReport]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    table = Table(box=None, pad_edge=False)
    for heading in ("file", "kind", "contigs", "total bp", "assembly", "shared", ""):
        numeric = heading in ("contigs", "total bp", "shared")
        table.add_column(heading, justify="right" if numeric else "left", overflow="fold")
    groups = _alike(reports)
    for group in groups:
        report = group[0]
        table.add_row(
            escape(_title(group)),
            report.kind,
            f"{report.n_contigs:,}",
            "" if report.total_bp is None else f"{report.total_bp:,}",
            report.assembly or "",
            f"{report.n_shared:,}",
            "[green]ok[/]" if report.is_usable else "[red]does not fit[/]",
        )
    console.print(table)
    for group in groups:
        # As plain text, so that it can be copied whole and brackets stay.
        if group[0].findings:
            typer.echo(f"\n{_title(group)}")
        for finding in group[0].findings:
            typer.echo(f"  {'problem' if finding.is_problem else 'note'}: {finding.what}")
            if finding.advice:
                typer.echo(f"    {finding.advice}")
    unfit = sum(not report.is_usable for report in reports)
    n = len(reports)
    verdict = f"all {n} files can be used together"
    if unfit:
        verdict = f"{unfit} of {n} files {'does' if unfit == 1 else 'do'} not fit"
    typer.echo(f"\n{verdict}")


def _alike(reports: list[FileReport]) -> list[list[FileReport]]:
    """BigWigs that differ by their paths alone, together: a folder may hold thousands."""
    groups: dict[tuple[Any, ...], list[FileReport]] = {}
    for i, report in enumerate(reports):
        # The first is what the others are compared with, and stands alone.
        key: list[Any] = [i == 0, *report.findings]
        key += [v for k, v in vars(report).items() if k not in ("path", "findings")]
        alone = "" if report.kind == "BigWig" else report.path
        groups.setdefault((alone, *key), []).append(report)
    return list(groups.values())


def _title(group: list[FileReport]) -> str:
    more = len(group) - 1
    return group[0].path + (f" and {more:,} more" if more else "")
