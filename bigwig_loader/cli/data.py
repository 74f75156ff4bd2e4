"""The commands that make, fetch or use example data."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from bigwig_loader.download_example_data import DownloadedData, ExampleData

DEMO_EXAMPLES = """
Examples:

bigwig-loader demo

bigwig-loader demo --output /tmp/demo --batches 200 --threads 4
"""
DOWNLOAD_EXAMPLES = """
Examples:

bigwig-loader download-example-data

bigwig-loader download-example-data /data/hg38
"""
MAKE_EXAMPLES = """
Examples:

bigwig-loader make-example-data example

bigwig-loader make-example-data example --seed 7
"""
BENCH_EXAMPLES = """
Examples:

bigwig-loader bench

bigwig-loader bench --full --output results/mine.jsonl
"""


def demo(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for data and picture.")
    ] = None,
    batches: Annotated[int | None, typer.Option(min=1, help="Batches to train on.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Windows per batch.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads that load data.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of data, model and order.")] = None,
) -> None:
    """Make example data, train a small model on it, draw predicted against true signal."""
    from bigwig_loader.demo import DemoOptions, run_demo

    given: dict[str, Any] = {
        "directory": output,
        "n_batches": batches,
        "batch_size": batch_size,
        "n_threads": threads,
        "seed": seed,
    }
    # The defaults are those of DemoOptions, written once.
    run_demo(replace(DemoOptions(), **{k: v for k, v in given.items() if v is not None}))


def download_example_data(
    path: Annotated[
        Path | None,
        typer.Argument(help="Folder; by default that of BIGWIG_LOADER_EXAMPLE_DATA_DIR."),
    ] = None,
) -> None:
    """Download GRCh38 and two ENCODE tracks, about 1 GB and some; 3.3 GB unpacked."""
    from bigwig_loader.download_example_data import download_example_data as download

    _print_paths(download(path))


def make_example_data(
    path: Annotated[Path, typer.Argument(help="Folder to write into.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same data.")] = 0,
) -> None:
    """Make a small genome with four tracks, peaks and regions; needs no network."""
    from bigwig_loader.example_data import make_example_data as make

    _print_paths(make(path, seed))


def _print_paths(made: ExampleData | DownloadedData) -> None:
    for name, value in vars(made).items():
        for path in value if isinstance(value, tuple) else (value,):
            typer.echo(f"{name}\t{path}")


def bench(ctx: typer.Context) -> None:
    """Compare with pyBigWig, pybigtools and figwig on made data (1 to 2 minutes).

    Runs the benchmarks of the checkout, in quick mode unless --full is given; other options are
    theirs: 'bigwig-loader bench --list-options' shows them.
    """
    from bigwig_loader.errors import NotFoundError

    checkout = _checkout()
    if checkout is None:
        raise NotFoundError(
            "the benchmarks are not part of the installed package; expected a folder 'benchmarks' "
            "beside it or in the current folder. Clone the repository and run 'make bench' there"
        )
    arguments = ["--help" if a == "--list-options" else a for a in ctx.args]
    if "--full" in arguments:
        arguments.remove("--full")
    elif "--quick" not in arguments:
        arguments.append("--quick")
    # In the caller's folder, so that paths mean what they say; modules of that folder do not count.
    command = [sys.executable, "-P", "-m", "benchmarks", *arguments]
    paths = [str(checkout), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    raise typer.Exit(subprocess.run(command, env=environment, check=False).returncode)


def _checkout() -> Path | None:
    """The folder that holds the benchmarks: that of an editable install, or the current one."""
    for folder in (Path(__file__).resolve().parents[2], Path.cwd()):
        if (folder / "benchmarks" / "__main__.py").is_file():
            return folder
    return None
