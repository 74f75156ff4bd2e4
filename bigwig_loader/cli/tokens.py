"""``bigwig-loader tokenize`` and ``tokens info``: regions to token files, and what is in those."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

TOKENIZE_EXAMPLES = """
Examples:

bigwig-loader tokenize beds/ --universe universe.bed -o tokens

bigwig-loader tokenize atac.h5ad --universe universe.bed.gz -o atac.parquet

bigwig-loader tokenize peaks.bed --universe universe.toml -o peaks.gtok

bigwig-loader tokenize fragments.tsv.gz --universe universe.bed -o cells --format gtok
--unknown drop
"""
EXAMPLES = """
Examples:

bigwig-loader tokens info peaks.gtok

bigwig-loader tokens info tokens --universe universe.bed
"""
INFO_EXAMPLES = """
Examples:

bigwig-loader tokens info peaks.gtok

bigwig-loader tokens info tokens --universe universe.bed --check

bigwig-loader tokens info --json atac.parquet | jq '.tokens.count'
"""

_WRONG = 1
_MOSTLY = 0.5

commands = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Look into files of tokens: info.",
    epilog=EXAMPLES,
)

_UNIVERSE_HELP = "BED of the universe, or a tokenizer's TOML."
_DUPLICATES = typer.Option(
    metavar="error|first", help="What to do with regions that repeat in the universe."
)


def tokenize(  # noqa: PLR0913 - the options of a tokenizer
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUT...",
            help="BED files, fragments (.tsv, .tsv.gz), .h5ad files, or folders of these.",
        ),
    ],
    universe: Annotated[Path, typer.Option("--universe", "-u", help=_UNIVERSE_HELP)],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="A .gtok or .parquet file, or a folder for a store."),
    ],
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="store|parquet|gtok",
            help="What to write (default: as OUTPUT is named); gtok into a folder is a file for "
            "each document.",
        ),
    ] = None,
    unknown: Annotated[
        str | None,
        typer.Option(
            metavar="document|region|drop",
            help="What stands for regions without a token: one unk for a document that has none, "
            "an unk for each region, or nothing (default: region for fragments, else document).",
        ),
    ] = None,
    order: Annotated[
        str | None,
        typer.Option(
            metavar="input|sorted",
            help="Order of the regions of a document (default: sorted for BED, else input).",
        ),
    ] = None,
    duplicates: Annotated[str, _DUPLICATES] = "error",
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads (default: all cores).")
    ] = None,
    jobs: Annotated[int, typer.Option(help="Processes that write a store; -1 is all cores.")] = 1,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace OUTPUT.")] = False,
) -> None:
    """Tokenize regions: a document for each BED file, barcode or cell.

    A run that fails leaves nothing at OUTPUT. A store, which is what trains fastest, goes on where
    it was when the same command is given again.
    """
    from bigwig_loader.cli.tokenizing import Tokenizing, read_tokenizer, tokenize_files

    tokenizer = read_tokenizer(universe, duplicates, threads)
    job = Tokenizing(inputs, tokenizer, output, form, unknown, order, jobs, force)
    try:
        counts = tokenize_files(job)
    except BaseException as error:
        for note in getattr(error, "__notes__", ()):
            typer.echo(note, err=True)
        raise
    typer.echo(
        f"{output}: {counts.n_documents:,} documents, {counts.n_tokens:,} tokens of "
        f"{tokenizer.universe.n_regions:,} regions (universe {tokenizer.hash[:12]})"
    )
    if counts.n_unknown:
        typer.echo(
            f"unknown: {counts.n_unknown:,} tokens; {counts.n_without:,} documents have no other"
        )
    if counts.n_without > _MOSTLY * counts.n_documents:
        named = ", ".join(tokenizer.universe.contig_names[:3])
        typer.echo(
            "warning: most documents have no region of the universe. Are they of the same genome, "
            f"with the same contig names? The universe has {named}, ...",
            err=True,
        )


@commands.command("info", epilog=INFO_EXAMPLES)
def info(
    path: Annotated[
        Path,
        typer.Argument(metavar="FILE|DIR", help="A .gtok or .parquet file, a store, a folder."),
    ],
    universe: Annotated[
        Path | None,
        typer.Option("--universe", "-u", help=f"{_UNIVERSE_HELP} Are the tokens of it?"),
    ] = None,
    duplicates: Annotated[str, _DUPLICATES] = "error",
    check: Annotated[
        bool, typer.Option("--check", help="Compare the checksums of a store too.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Documents and tokens of a file, their range and type, and whether they fit a universe.

    Exit code 1 if they do not.
    """
    from bigwig_loader.cli.tokenizing import read_tokenizer
    from bigwig_loader.cli.tokens_info import describe, table

    tokenizer = None if universe is None else read_tokenizer(universe, duplicates)
    report = describe(path, tokenizer, check)
    if as_json:
        typer.echo(json.dumps(report, indent=2))
    else:
        from rich.console import Console

        Console().print(table(report))
    if report["universe"]["fits"] is False:
        raise typer.Exit(_WRONG)
