"""``bigwig-loader profile``: how fast batches come, and what binds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from bigwig_loader.cli.profiling import Pass, Profile

EXAMPLES = """
Examples:

bigwig-loader profile --bigwig tracks/ --genome hg38.fa --regions train.bed
--sequence-length 2114 --center 1000 --batch-size 256

bigwig-loader profile --bigwig tracks/ --genome hg38.fa --regions train.bed --step-ms 40

bigwig-loader profile --bigwig tracks/ --genome hg38.fa --peaks peaks.bed --negatives gc.bed

bigwig-loader profile --bigwig tracks/ --regions train.bed --json | jq .verdict
"""

_DATA = "Data, as a training script gives it"
_PEAKS = "Peaks"
_LOADING = "How it is loaded"
_BIGWIGS = "BigWig file, folder or URL; may be given several times."


def profile(  # noqa: PLR0913 - the options of the data sets
    bigwig: Annotated[list[str] | None, typer.Option(help=_BIGWIGS, rich_help_panel=_DATA)] = None,
    genome: Annotated[str | None, typer.Option(help="FASTA file.", rich_help_panel=_DATA)] = None,
    regions: Annotated[
        str | None,
        typer.Option(
            help="BED file: windows are drawn at random from its bases.", rich_help_panel=_DATA
        ),
    ] = None,
    sequence_length: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Window in bp (default: 1000; 2114 with --peaks).",
            rich_help_panel=_DATA,
        ),
    ] = None,
    center: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Central bp that values cover (default: all; 1000 with --peaks).",
            rich_help_panel=_DATA,
        ),
    ] = None,
    window_size: Annotated[
        int | None, typer.Option(min=1, help="Bases per bin (default: 1).", rich_help_panel=_DATA)
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Examples per batch (default: 256; 32 with --peaks).",
            rich_help_panel=_DATA,
        ),
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(
            help="float32, float16 or bfloat16 (default: float32).", rich_help_panel=_DATA
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, rich_help_panel=_DATA)] = 0,
    peaks: Annotated[
        list[str] | None,
        typer.Option(
            help="BED or narrowPeak file to centre windows on, in place of --regions; may be given "
            "several times.",
            rich_help_panel=_PEAKS,
        ),
    ] = None,
    negatives: Annotated[
        list[str] | None,
        typer.Option(help="Background regions, likewise.", rich_help_panel=_PEAKS),
    ] = None,
    control: Annotated[
        list[str] | None,
        typer.Option(help="Control track; may be given several times.", rich_help_panel=_PEAKS),
    ] = None,
    max_jitter: Annotated[
        int | None,
        typer.Option(
            min=0, help="Most bp that windows are moved by (default: 50).", rich_help_panel=_PEAKS
        ),
    ] = None,
    negative_ratio: Annotated[
        float | None,
        typer.Option(min=0, help="Negatives for each peak (default: 0.1).", rich_help_panel=_PEAKS),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Threads that read and decode (default: 4; all cores with --peaks).",
            rich_help_panel=_LOADING,
        ),
    ] = None,
    prefetch: Annotated[
        int, typer.Option(min=0, help="Batches made ahead.", rich_help_panel=_LOADING)
    ] = 2,
    cache_bytes: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Memory for decoded data blocks (default: 0; 128 MiB with --peaks).",
            rich_help_panel=_LOADING,
        ),
    ] = None,
    device: Annotated[
        str, typer.Option(help="auto, cpu or cuda.", rich_help_panel=_LOADING)
    ] = "auto",
    step_ms: Annotated[
        float,
        typer.Option(
            min=0,
            help="Pretend that each training step takes so long; 0 measures the loader alone.",
        ),
    ] = 0.0,
    batches: Annotated[int, typer.Option(min=2, help="Batches to measure.")] = 100,
    warm_up: Annotated[int, typer.Option(min=0, help="Batches before them, not counted.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure how fast batches come, which stage binds, and what a perfect loader would gain.

    Reads the batches of a data set twice: data blocks are verified when they are first read, which
    is slower than every later time. Then the last batch is delivered over and over, as a loader
    that takes no time would do it.
    """
    from rich.console import Console

    from bigwig_loader.cli.profile_data import ProfileOptions, measure

    options = ProfileOptions(
        bigwigs=bigwig or (),
        genome=genome,
        regions=regions,
        peaks=peaks or (),
        negatives=negatives or (),
        controls=control or (),
        max_jitter=max_jitter,
        negative_ratio=negative_ratio,
        sequence_length=sequence_length,
        center=center,
        window_size=window_size,
        batch_size=batch_size,
        dtype=dtype,
        seed=seed,
        n_threads=threads,
        prefetch=prefetch,
        cache_bytes=cache_bytes,
        device=device,
        step_seconds=step_ms / 1e3,
        n_batches=batches,
        n_warm_up=warm_up,
    )
    with Console(stderr=True).status("reading batches"):
        measured, status = measure(options)
    if as_json:
        figures = {"options": vars(options), "backend": status, **measured.as_dict()}
        typer.echo(json.dumps(figures, indent=2))
        return
    _print(measured, status)


def _print(profile: Profile, status: str) -> None:
    from rich.console import Console
    from rich.markup import escape

    console, steady = Console(highlight=False), profile.steady_state
    console.print(_table(profile))
    console.print(f"backend: {escape(status)}", soft_wrap=True)
    console.print(
        f"Each pass: {steady.stats.n_batches:,} batches, after {profile.n_warm_up:,} batches of "
        "warm-up that are not counted. Steady state is the same batches again, with every data "
        "block verified and their sequence loaded. Seconds of read, inflate and rasterize are "
        "summed over threads."
    )
    step = profile.setting.step_seconds
    if step:
        console.print(
            f"With a step of {1e3 * step:g} ms: {1e3 * steady.seconds_per_batch:.4g} ms a batch; "
            f"{1e3 * profile.replay_seconds_per_batch:.4g} ms with one cached batch, replayed."
        )
    console.print(f"[bold]{escape(profile.verdict)}[/]")


def _table(profile: Profile) -> Any:
    from rich.table import Table

    passes = (profile.first_pass, profile.steady_state)
    table = Table()
    table.add_column("")
    table.add_column("first pass", justify="right")
    table.add_column("steady state", justify="right")
    shares = [p.stats.shares for p in passes]
    stages = list(dict.fromkeys(stage for each in shares for stage in each))
    for stage in stages:
        cells = []
        for stats, share in zip((p.stats for p in passes), shares, strict=True):
            seconds = stats.seconds.get(stage, stats.signal_seconds)
            cells.append(f"{seconds:.3f} s  {share.get(stage, 0):4.0%}")
        table.add_row(stage, *cells)
    table.add_section()
    columns = [_figures(p) for p in passes]
    for name in columns[0]:
        table.add_row(name, *(column[name] for column in columns))
    return table


def _figures(p: Pass) -> dict[str, str]:
    """The rows below the stages."""
    s = p.stats
    return {
        "reads": f"{s.n_reads:,}",
        "bytes read": f"{s.bytes_read / 1e6:,.1f} MB",
        "data blocks": f"{s.n_blocks:,}",
        "of them from the cache": f"{s.n_cached_blocks:,}",
        "the cache holds": f"{s.cached_bytes / 1e6:,.1f} MB",
        "bytes inflated": f"{s.bytes_inflated / 1e6:,.1f} MB",
        "batches ready on average": f"{s.mean_queue:.1f}",
        "first batch after": f"{1e3 * p.first_batch_seconds:.4g} ms",
        "one batch every": f"{1e3 * p.seconds_per_batch:.4g} ms",
        "waited": f"{s.waited_share:.1%}",
        "examples/s": f"{p.examples_per_second:,.0f}",
        "Mbp x tracks/s": f"{p.mbp_per_second:,.1f}",
    }
