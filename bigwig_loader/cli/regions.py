"""``bigwig-loader regions``: regions with signal, as BED."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import pandas as pd

EXAMPLES = """
Examples:

bigwig-loader regions tracks/ --include standard --threshold 2 --padding 500 --merge -o train.bed

bigwig-loader regions a.bw b.bw --exclude chr8 --exclude chr9 --blacklist blacklist.bed.gz --merge

bigwig-loader regions signal.bw --include chr21 | head
"""

_PANEL = "Which intervals"


def regions(  # noqa: PLR0913 - the options of BigWigCollection.intervals
    bigwigs: Annotated[
        list[str], typer.Argument(metavar="BIGWIG...", help="BigWig files, folders or URLs.")
    ],
    output: Annotated[
        str, typer.Option("--output", "-o", help="BED file, gzip if it ends in .gz; '-' prints.")
    ] = "-",
    include: Annotated[
        list[str] | None,
        typer.Option(
            help="'all', 'standard' or a contig; may be given several times (default: all).",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(help="A contig; may be given several times.", rich_help_panel=_PANEL),
    ] = None,
    blacklist: Annotated[
        str | None, typer.Option(help="BED file of what to cut out.", rich_help_panel=_PANEL)
    ] = None,
    blacklist_buffer: Annotated[
        int, typer.Option(help="Widen the blacklist, in bp.", rich_help_panel=_PANEL)
    ] = 0,
    threshold: Annotated[
        float | None, typer.Option(help="Keep values above this.", rich_help_panel=_PANEL)
    ] = None,
    padding: Annotated[int, typer.Option(help="Widen intervals at both ends, in bp.")] = 0,
    merge: Annotated[
        bool, typer.Option("--merge", help="Join overlapping intervals of all tracks.")
    ] = False,
    merge_allow_gap: Annotated[
        int, typer.Option(help="Join intervals this far apart too, in bp.")
    ] = 0,
) -> None:
    """Write the stored intervals of BigWig files as regions to train on, in BED.

    Merged regions have three columns; otherwise column 4 is the track and column 5 the value.
    """
    from rich.console import Console

    from bigwig_loader.collection import BigWigCollection

    chosen: list[str] | str = include or "all"
    if include is not None and len(include) == 1 and include[0] in ("all", "standard"):
        chosen = include[0]
    with Console(stderr=True).status("reading intervals"), BigWigCollection(bigwigs) as collection:
        frame = collection.intervals(
            include_chromosomes=chosen,
            exclude_chromosomes=exclude,
            blacklist=blacklist,
            blacklist_buffer=blacklist_buffer,
            padding=padding,
            merge=merge,
            threshold=threshold,
            merge_allow_gap=merge_allow_gap,
        )
        columns = _bed_columns(frame, collection.track_names)
    if output == "-":
        columns.to_csv(sys.stdout, sep="\t", header=False, index=False)
        return
    columns.to_csv(output, sep="\t", header=False, index=False, compression="infer")
    typer.echo(f"{len(frame):,} regions -> {os.fspath(output)}", err=True)


def _bed_columns(frame: pd.DataFrame, track_names: list[str]) -> pd.DataFrame:
    bed = frame[["chrom", "start", "end"]]
    if "track" not in frame:
        return bed
    import numpy as np

    names = np.array(track_names, dtype=object)[frame["track"].to_numpy()]
    return bed.assign(name=names, score=frame["value"])
