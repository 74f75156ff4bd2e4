"""``bigwig-loader write``: regions, variants and signal of many samples to a prepared data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from bigwig_loader.track_sources import BigWigs

EXAMPLES = """
Examples:

bigwig-loader write cohort.gvl peaks.bed --variants cohort.vcf.gz --reference hg38.fa \
--bigwig-table atac.csv --length 2048 --max-jitter 128

bigwig-loader write cohort.gvl peaks.bed --variants cohort.pgen --samples NA12878,NA12891 \
--overwrite --max-mem 2g

bigwig-loader write signal.gvl peaks.bed --bigwig-table atac=atac.csv --bigwig-table rna=rna.tsv \
--annotation phylop=phylop.bw --jobs -1
"""

_VARIANTS = "How variants are read"
_RUNNING = "How it is run"


def write(  # noqa: PLR0913 - the options of bigwig_loader.write
    output: Annotated[Path, typer.Argument(help="Folder of the data set.")],
    bed: Annotated[Path, typer.Argument(help="Regions: BED, narrowPeak, or a table.")],
    variants: Annotated[
        str | None, typer.Option(help="VCF, BCF or PGEN; a VCF or BCF with an index.")
    ] = None,
    bigwig_table: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]TABLE",
            help="CSV or TSV with columns sample and path; several times for several tracks.",
        ),
    ] = None,
    track_name: Annotated[
        str, typer.Option(help="Name of the track of a table without a name.")
    ] = "signal",
    annotation: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FILE", help="BigWig or BED that is the same for all samples."),
    ] = None,
    samples: Annotated[
        list[str] | None,
        typer.Option(help="Names with commas between, or a file of one name per line."),
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="FASTA; REF alleles are checked against it.")
    ] = None,
    length: Annotated[
        int | None, typer.Option(min=1, help="Bring all regions to this length, in bp.")
    ] = None,
    max_jitter: Annotated[
        int, typer.Option(min=0, help="Store so many bp on either side as well.")
    ] = 0,
    extend: Annotated[
        bool,
        typer.Option(
            "--extend/--no-extend", help="Store what haplotypes with deletions reach past the end."
        ),
    ] = True,
    normalize: Annotated[
        str,
        typer.Option(
            metavar="check|atomize|drop",
            help="Variants that are not bi-allelic, atomic and left-aligned.",
            rich_help_panel=_VARIANTS,
        ),
    ] = "check",
    alignment: Annotated[
        str, typer.Option(metavar="report|error", rich_help_panel=_VARIANTS)
    ] = "report",
    unphased: Annotated[
        str, typer.Option(metavar="as_written|error", rich_help_panel=_VARIANTS)
    ] = "as_written",
    missing: Annotated[
        str, typer.Option(metavar="reference|error", rich_help_panel=_VARIANTS)
    ] = "reference",
    haploid: Annotated[
        str, typer.Option(metavar="reference|repeat|error", rich_help_panel=_VARIANTS)
    ] = "reference",
    min_af: Annotated[
        float | None, typer.Option(help="Lowest allele frequency.", rich_help_panel=_VARIANTS)
    ] = None,
    max_af: Annotated[
        float | None, typer.Option(help="Highest allele frequency.", rich_help_panel=_VARIANTS)
    ] = None,
    pass_only: Annotated[
        bool,
        typer.Option("--pass-only", help="Only records of FILTER PASS.", rich_help_panel=_VARIANTS),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a data set that is there.")
    ] = False,
    max_mem: Annotated[
        str, typer.Option(help="Memory, e.g. 500m or 4g.", rich_help_panel=_RUNNING)
    ] = "4g",
    jobs: Annotated[
        int, typer.Option(help="Tasks at a time; -1 is all cores.", rich_help_panel=_RUNNING)
    ] = 1,
) -> None:
    """Write a prepared data set: what bigwig_loader.Dataset.open reads.

    A run that is interrupted leaves nothing at OUTPUT; the same command goes on where it was.
    """
    from bigwig_loader.dataset.prepared.write import write as write_data_set

    options: dict[str, Any] = {
        "normalize": normalize,
        "alignment": alignment,
        "unphased": unphased,
        "missing": missing,
        "haploid": haploid,
    }
    try:
        report = write_data_set(
            output,
            bed,
            variants,
            _tracks(bigwig_table or [], track_name),
            samples=_names(samples),
            length=length,
            max_jitter=max_jitter,
            overwrite=overwrite,
            max_mem=max_mem,
            annot_tracks=dict(_named(one, "--annotation") for one in annotation or []),
            reference=reference,
            extend_to_length=extend,
            min_af=min_af,
            max_af=max_af,
            filters=("PASS",) if pass_only else None,
            n_jobs=jobs,
            **options,
        )
    except BaseException as error:
        for note in getattr(error, "__notes__", ()):
            typer.echo(note, err=True)
        raise
    typer.echo(str(report))


def _tracks(tables: Sequence[str], default: str) -> list[BigWigs]:
    from bigwig_loader.track_sources import BigWigs

    tracks = []
    for table in tables:
        name, path = _split(table)
        tracks.append(BigWigs.from_table(name or default, path))
    return tracks


def _split(given: str) -> tuple[str, str]:
    """Name and path of ``NAME=PATH``; a path may have a ``=`` of its own where it exists."""
    name, equals, path = given.partition("=")
    return ("", given) if not equals or Path(given).exists() else (name, path)


def _named(given: str, option: str) -> tuple[str, str]:
    name, path = _split(given)
    if not name:
        raise typer.BadParameter(f"expected NAME=FILE; got {given!r}", param_hint=option)
    return name, path


def _names(given: list[str] | None) -> list[str] | None:
    if given is None:
        return None
    names: list[str] = []
    for one in given:
        if Path(one).is_file():
            names += Path(one).read_text(encoding="utf-8").splitlines()
        else:
            names += [name for name in one.split(",") if name]
    return names
