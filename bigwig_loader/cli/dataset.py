"""``bigwig-loader dataset``: what is in a prepared data set, and what became of its variants."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

EXAMPLES = """
Examples:

bigwig-loader dataset info cohort.gvl

bigwig-loader dataset explain cohort.gvl 17 NA12878

bigwig-loader dataset show cohort.gvl 17 NA12878 --out picture.png
"""
INFO_EXAMPLES = """
Examples:

bigwig-loader dataset info cohort.gvl

bigwig-loader dataset info --json cohort.gvl | jq '.tracks'
"""
EXPLAIN_EXAMPLES = """
Examples:

bigwig-loader dataset explain cohort.gvl 17 NA12878 --reference hg38.fa

bigwig-loader dataset explain cohort.gvl peak_7 NA12878 --region-names name --haplotype 1
--overlap bcftools --reference hg38.fa
"""
SHOW_EXAMPLES = """
Examples:

bigwig-loader dataset show cohort.gvl 17 NA12878 --reference hg38.fa

bigwig-loader dataset show cohort.gvl peak_7 NA12878 --region-names name --track atac
--length 500 --reference hg38.fa --out peak_7.png
"""

_PATH = typer.Argument(metavar="DATASET", help="Folder of a prepared data set.")
_REGION = typer.Argument(
    help="Number of a region, from 0 in the order of its BED file; or its name, with "
    "--region-names."
)
_SAMPLE = typer.Argument(help="Name of a sample.")
_REFERENCE = typer.Option(help="FASTA (default: the one that the data set was written with).")
_NAMES = typer.Option(metavar="COLUMN", help="Column of the regions that names them.")
_OVERLAP = typer.Option(
    metavar="first|bcftools|window", help="Which variants count where they overlap."
)
_LENGTH = typer.Option(min=1, help="Bases from the start of the region (default: as stored).")

commands = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Look into a prepared data set: info, explain, show.",
    epilog=EXAMPLES,
)


@commands.command("info", epilog=INFO_EXAMPLES)
def info(
    path: Annotated[Path, _PATH],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Regions, samples, variants, tracks and size of a prepared data set."""
    from bigwig_loader.cli.dataset_info import describe, table

    report = describe(path)
    if as_json:
        typer.echo(json.dumps(report, indent=2))
        return
    from rich.console import Console

    Console().print(table(report))


@commands.command("explain", epilog=EXPLAIN_EXAMPLES)
def explain(  # noqa: PLR0913 - the options of a view
    path: Annotated[Path, _PATH],
    region: Annotated[str, _REGION],
    sample: Annotated[str, _SAMPLE],
    reference: Annotated[Path | None, _REFERENCE] = None,
    haplotype: Annotated[
        int | None, typer.Option(min=0, help="Number of a haplotype (default: all).")
    ] = None,
    region_names: Annotated[str | None, _NAMES] = None,
    length: Annotated[int | None, _LENGTH] = None,
    overlap: Annotated[str | None, _OVERLAP] = None,
    min_af: Annotated[float | None, typer.Option(help="Lowest allele frequency.")] = None,
    max_af: Annotated[float | None, typer.Option(help="Highest allele frequency.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Which variants a person's haplotypes apply in a region, which not, and why."""
    from bigwig_loader.cli.dataset_views import explanations, open_view

    settings = {"length": length, "overlap": overlap, "min_af": min_af, "max_af": max_af}
    view = open_view(path, reference, region_names, settings)
    found = explanations(view, region, sample, haplotype)
    if as_json:
        import dataclasses

        typer.echo(json.dumps([dataclasses.asdict(one) for one in found], indent=2))
        return
    typer.echo("\n\n".join(map(str, found)))


@commands.command("show", epilog=SHOW_EXAMPLES)
def show(  # noqa: PLR0913 - the options of a view
    path: Annotated[Path, _PATH],
    region: Annotated[str, _REGION],
    sample: Annotated[str, _SAMPLE],
    reference: Annotated[Path | None, _REFERENCE] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Picture: .png, .pdf, .svg (default: named after both)."),
    ] = None,
    track: Annotated[
        list[str] | None,
        typer.Option(help="Track to draw; may be given several times (default: all)."),
    ] = None,
    region_names: Annotated[str | None, _NAMES] = None,
    length: Annotated[int | None, _LENGTH] = None,
    overlap: Annotated[str | None, _OVERLAP] = None,
) -> None:
    """Draw both haplotypes of a person in a region: tracks as they follow them, and sequence.

    Values are those that Dataset delivers. Variants that are applied are marked. Needs matplotlib.
    """
    from bigwig_loader.cli.dataset_views import haplotype_views, open_view
    from bigwig_loader.cli.picture import draw_examples, require_matplotlib

    require_matplotlib()
    settings: dict[str, Any] = {"length": length, "overlap": overlap}
    view = open_view(path, reference, region_names, settings)
    if track:
        view = view.with_tracks(track)
    views, name = haplotype_views(view, region, sample)
    typer.echo(draw_examples(out or Path(name), views, f"{Path(path).name}: sample {sample}"))
