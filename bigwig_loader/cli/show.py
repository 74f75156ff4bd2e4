"""``bigwig-loader show``: a picture of what a model would see."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXAMPLES = """
Examples:

bigwig-loader show chr1:10,000-12,000 --bigwig tracks/ --genome hg38.fa

bigwig-loader show chr1:11,000 --sequence-length 2114 --center 1000 --max-jitter 50
--bigwig a.bw --bigwig b.bw --genome hg38.fa --bed peaks.bed --out peak.png

bigwig-loader show --batch 3 --epoch 1 --seed 7 --regions train.bed --sequence-length 2114
--max-jitter 50 --reverse-complement --bigwig tracks/ --genome hg38.fa
"""

_EXAMPLE = "What an example is"
_BATCH = "Examples of a training batch"


def show(  # noqa: PLR0913 - the options of BigWigDataset
    region: Annotated[
        str | None,
        typer.Argument(
            metavar="[REGION]",
            help="NAME:START-END (0-based, END not included), NAME:POSITION or NAME.",
        ),
    ] = None,
    bigwig: Annotated[
        list[str] | None,
        typer.Option(help="BigWig file, folder or URL; may be given several times."),
    ] = None,
    genome: Annotated[str | None, typer.Option(help="FASTA file.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Picture: .png, .pdf, .svg (default: named after the region)."
        ),
    ] = None,
    bed: Annotated[str | None, typer.Option(help="BED file of regions to mark.")] = None,
    sequence_length: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Window in bp (default: the width of REGION).",
            rich_help_panel=_EXAMPLE,
        ),
    ] = None,
    center: Annotated[
        int | None,
        typer.Option(
            min=1, help="Central bp that values cover (default: all).", rich_help_panel=_EXAMPLE
        ),
    ] = None,
    window_size: Annotated[
        int, typer.Option(min=1, help="Bases per bin.", rich_help_panel=_EXAMPLE)
    ] = 1,
    default_value: Annotated[
        float,
        typer.Option(help="Value of bases without data; may be nan.", rich_help_panel=_EXAMPLE),
    ] = 0.0,
    max_jitter: Annotated[
        int,
        typer.Option(min=0, help="Most bp that windows are moved by.", rich_help_panel=_EXAMPLE),
    ] = 0,
    reverse_complement: Annotated[
        bool,
        typer.Option(
            "--reverse-complement",
            help="Deliver REGION as reverse complement; of a batch, a random half.",
            rich_help_panel=_EXAMPLE,
        ),
    ] = False,
    pair: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PLUS,MINUS",
            help="Tracks that change places on reverse complement; may be given several times.",
            rich_help_panel=_EXAMPLE,
        ),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(min=0, help="Draw this batch of --regions.", rich_help_panel=_BATCH),
    ] = None,
    regions: Annotated[
        str | None, typer.Option(help="BED file to train on.", rich_help_panel=_BATCH)
    ] = None,
    epoch: Annotated[int, typer.Option(min=0, rich_help_panel=_BATCH)] = 0,
    seed: Annotated[int, typer.Option(min=0, rich_help_panel=_BATCH)] = 0,
    batch_size: Annotated[int, typer.Option(min=1, rich_help_panel=_BATCH)] = 256,
    examples: Annotated[
        int, typer.Option(min=1, max=6, help="How many to draw.", rich_help_panel=_BATCH)
    ] = 3,
    shuffle: Annotated[
        bool,
        typer.Option(
            "--shuffle/--in-order",
            help="Random positions, or every region once.",
            rich_help_panel=_BATCH,
        ),
    ] = True,
) -> None:
    """Draw the tracks and the sequence of a region or a batch, as a model would see them.

    Values are those that BigWigDataset delivers. Bases without data and bases outside the contig
    are shaded, so that they can be told from a signal of 0. Needs matplotlib.
    """
    from bigwig_loader.cli.picture import draw_examples, require_matplotlib
    from bigwig_loader.cli.show_data import (
        BatchChoice,
        ShowOptions,
        picture_path,
        show_batch,
        show_region,
    )
    from bigwig_loader.errors import InvalidInputError

    require_matplotlib()
    if (region is None) == (batch is None):
        raise InvalidInputError(
            "show: expected either a REGION or --batch with --regions; got "
            f"{'neither' if region is None else 'both'}"
        )
    options = ShowOptions(
        bigwigs=bigwig or (),
        genome=genome,
        sequence_length=sequence_length,
        center=center,
        window_size=window_size,
        default_value=default_value,
        max_jitter=max_jitter,
        reverse_complement=reverse_complement,
        bed=bed,
        pairs=pair or (),
    )
    if region is not None:
        shown = show_region(region, options)
    else:
        if regions is None:
            raise InvalidInputError("option --batch: expected --regions with it; got none")
        assert batch is not None
        choice = BatchChoice(regions, batch, epoch, seed, batch_size, examples, shuffle)
        shown = show_batch(choice, options)
    if shown.note:
        typer.echo(shown.note, err=True)
    typer.echo(draw_examples(picture_path(out, shown), shown.views, shown.title))
