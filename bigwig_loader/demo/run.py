"""What the demo does, in order: data, loading speed, training, evaluation, picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bigwig_loader.errors import BackendUnavailableError
from bigwig_loader.example_data import ExampleData, make_example_data

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from bigwig_loader.pytorch import PytorchBigWigDataset

_SEQUENCE_BP = 2048
_CENTRE_BP = 1024
_BIN_BP = 16
_BED3 = ["chrom", "start", "end"]
_IN_ORDER = {"shuffle": False, "drop_last": False}


@dataclass(frozen=True)
class DemoOptions:
    """What the demo does.

    Parameters
    ----------
    directory : Path
        Where example data and picture go.
    n_batches : int
        Batches to train on; the default takes about a minute on two cores.
    batch_size : int
        Windows per batch.
    n_threads : int
        Threads that load data.
    seed : int
        Of the data, the model and the order of the windows.
    contigs : dict of str to int, optional
        Another size of the made genome; see `make_example_data`.
    """

    directory: Path = Path("demo")
    n_batches: int = 800
    batch_size: int = 32
    n_threads: int = 2
    seed: int = 0
    contigs: dict[str, int] | None = None


@dataclass(frozen=True)
class DemoResult:
    """What came out of it.

    Parameters
    ----------
    correlations : dict of str to float
        Pearson r between predicted and true bins of the test contig, per track.
    first_loss, last_loss : float
        Mean loss of the first and the last tenth of the training.
    windows_per_s : float
        While training.
    loading_windows_per_s : float
        The loader alone.
    picture : Path
    """

    correlations: dict[str, float]
    first_loss: float
    last_loss: float
    windows_per_s: float
    loading_windows_per_s: float
    picture: Path


def run_demo(options: DemoOptions | None = None, console: Console | None = None) -> DemoResult:
    """Make example data, train a small model on it, and draw what it predicts.

    Parameters
    ----------
    options : DemoOptions, optional
    console : rich.console.Console, optional
        Where progress is shown; standard output by default.

    Returns
    -------
    DemoResult

    Raises
    ------
    BackendUnavailableError
        If torch or matplotlib is not installed.
    """
    _require("torch", "matplotlib")
    import torch
    from rich.console import Console

    from bigwig_loader.demo.model import SignalModel
    from bigwig_loader.demo.picture import draw
    from bigwig_loader.demo.train import (
        loading_speed,
        one_core_left_to_the_loader,
        predict,
        train,
    )

    opts = options or DemoOptions()
    out = console or Console()
    torch.manual_seed(opts.seed)
    with out.status("making example data"):
        data = make_example_data(opts.directory / "data", opts.seed, opts.contigs)
    size_mb = sum(path.stat().st_size for path in data.bigwigs) / 1e6
    out.print(
        f"example data: [bold]{data.directory}[/] (one FASTA, {len(data.bigwigs)} BigWig files, "
        f"{size_mb:.1f} MB)"
    )

    n_tracks = len(data.bigwigs)
    regions = _near_peaks(data, data.train_regions, within_bp=1000)
    loading = loading_speed(_dataset(data, regions, opts, batches_per_epoch=101))
    out.print(f"loading alone: {_speed(loading, n_tracks)}, {opts.n_threads} threads")

    model = SignalModel(n_tracks, _CENTRE_BP // _BIN_BP, _BIN_BP)
    dataset = _dataset(data, regions, opts, batches_per_epoch=opts.n_batches)
    with one_core_left_to_the_loader():
        losses, seconds = train(model, dataset, out)
    tenth = max(1, len(losses) // 10)
    first, last = float(np.mean(losses[:tenth])), float(np.mean(losses[-tenth:]))
    training = len(losses) * opts.batch_size / seconds
    out.print(f"training: {_speed(training, n_tracks)}, {seconds:.0f} s")
    out.print(f"loss (Poisson deviance): {first:.3f} -> {last:.3f}")

    everywhere = predict(model, _dataset(data, _tiles(data), opts, **_IN_ORDER))
    correlations = everywhere.correlations()
    shown = ", ".join(f"{name} {r:.2f}" for name, r in correlations.items())
    n_windows = len(everywhere.true)
    out.print(f"Pearson r on a contig not trained on ({n_windows:,} windows): [bold]{shown}[/]")
    peaks = _near_peaks(data, data.test_regions)
    at_peaks = predict(model, _dataset(data, peaks, opts, **_IN_ORDER)).most_signal(4)
    picture = draw(
        opts.directory / "predicted_vs_true.png",
        at_peaks.true,
        at_peaks.predicted,
        at_peaks.places,
        list(correlations.items()),
    )
    out.print(f"picture: [bold]{picture}[/]")
    return DemoResult(correlations, first, last, training, loading, picture)


def _require(*modules: str) -> None:
    from importlib.util import find_spec

    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise BackendUnavailableError(
            f"the demo needs {' and '.join(missing)}: pip install 'bigwig-loader[demo]'"
        )


def _near_peaks(data: ExampleData, split: Path, within_bp: int = 0) -> pd.DataFrame:
    """The peaks on the contigs of a split, widened on both sides."""
    peaks, regions = _read_bed(data.peaks), _read_bed(split)
    peaks = peaks[peaks["chrom"].isin(regions["chrom"])]
    start = (peaks["start"] - within_bp).clip(lower=0)
    return peaks.assign(start=start, end=peaks["end"] + within_bp)


def _tiles(data: ExampleData) -> pd.DataFrame:
    """Windows side by side over the test regions."""
    import pandas as pd

    tiles = [
        (chrom, start, start + _CENTRE_BP)
        for chrom, low, high in _read_bed(data.test_regions).itertuples(index=False)
        for start in range(low, high - _CENTRE_BP, _CENTRE_BP)
    ]
    return pd.DataFrame(tiles, columns=_BED3)


def _read_bed(path: Path) -> pd.DataFrame:
    import pandas as pd

    return pd.read_csv(path, sep="\t", usecols=[0, 1, 2], names=_BED3)


def _dataset(
    data: ExampleData, regions: Any, opts: DemoOptions, **changes: Any
) -> PytorchBigWigDataset:
    from bigwig_loader.pytorch import PytorchBigWigDataset

    return PytorchBigWigDataset(
        regions_of_interest=regions,
        collection=data.bigwig_dir,
        reference_genome_path=data.reference_genome,
        sequence_length=_SEQUENCE_BP,
        center_bin_to_predict=_CENTRE_BP,
        window_size=_BIN_BP,
        batch_size=opts.batch_size,
        n_threads=opts.n_threads,
        return_batch_objects=True,
        seed=opts.seed,
        **changes,
    )


def _speed(windows_per_s: float, n_tracks: int) -> str:
    """Windows per second, and how many bp of signal that is."""
    mbp_tracks = windows_per_s * _CENTRE_BP * n_tracks / 1e6
    return f"[bold]{windows_per_s:,.0f}[/] windows/s, {mbp_tracks:,.1f} Mbp x tracks/s"
