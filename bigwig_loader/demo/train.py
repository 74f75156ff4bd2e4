"""Training and evaluation of the demo's model."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from rich.console import Console

    from bigwig_loader.demo.model import SignalModel
    from bigwig_loader.pytorch import PytorchBigWigDataset


@contextmanager
def one_core_left_to_the_loader() -> Iterator[None]:
    """On two cores, two threads of torch would wait for each other whenever the loader works."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(max(1, before - 1))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def loading_speed(dataset: Iterable[Any]) -> float:
    """Windows per second without a model; the first batch, which opens things, is left out."""
    batches = iter(dataset)
    next(batches)
    began = time.perf_counter()
    n_windows = sum(len(batch) for batch in batches)
    return n_windows / (time.perf_counter() - began)


def train(
    model: SignalModel, dataset: PytorchBigWigDataset, out: Console
) -> tuple[list[float], float]:
    """Train on one epoch of the data set; loss of every batch, and the seconds it took."""
    import torch
    from rich import progress

    from bigwig_loader.demo.model import poisson_loss

    optimizer = torch.optim.AdamW(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1e-2, total_steps=len(dataset), pct_start=0.05
    )
    columns = (
        progress.TextColumn("training"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TextColumn(
            "batches, loss {task.fields[loss]:.3f}, {task.fields[rate]:,.0f} win/s"
        ),
        progress.TimeRemainingColumn(),
    )
    losses: list[float] = []
    n_windows = 0
    began = time.perf_counter()
    with progress.Progress(*columns, console=out, disable=not out.is_terminal) as bar:
        task = bar.add_task("training", total=len(dataset), loss=float("nan"), rate=0.0)
        for batch in torch.utils.data.DataLoader(dataset, num_workers=0, batch_size=None):
            loss = poisson_loss(model(batch.sequences), batch.values)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
            n_windows += len(batch)
            recent, rate = np.mean(losses[-50:]), n_windows / (time.perf_counter() - began)
            bar.update(task, advance=1, loss=recent, rate=rate)
            # A bar is drawn on terminals only; a log gets ten lines instead.
            if not out.is_terminal and len(losses) % max(1, len(dataset) // 10) == 0:
                share = len(losses) / len(dataset)
                out.print(f"training {share:4.0%}: loss {recent:.3f}, {rate:,.0f} windows/s")
    return losses, time.perf_counter() - began


@dataclass(frozen=True)
class Predictions:
    """True and predicted signal (B, N, T), the bp that the bins cover, names of the tracks."""

    true: npt.NDArray[np.float32]
    predicted: npt.NDArray[np.float32]
    places: list[tuple[str, int, int]]
    tracks: tuple[str, ...]

    def correlations(self) -> dict[str, float]:
        """Pearson r over all bins, per track."""
        return {
            name: float(np.corrcoef(self.true[..., i].flat, self.predicted[..., i].flat)[0, 1])
            for i, name in enumerate(self.tracks)
        }

    def most_signal(self, n_windows: int) -> Predictions:
        """The windows with the strongest peak of each track in turn, all different."""
        chosen: list[int] = []
        peaks = self.true.max(axis=1)
        for i in range(min(n_windows, len(peaks))):
            order = np.argsort(-peaks[:, i % len(self.tracks)]).tolist()
            chosen.append(next(window for window in order if window not in chosen))
        places = [self.places[i] for i in chosen]
        return Predictions(self.true[chosen], self.predicted[chosen], places, self.tracks)


def predict(model: SignalModel, dataset: Iterable[Any]) -> Predictions:
    """What the model makes of every window of a data set."""
    import torch

    true, predicted = [], []
    places: list[tuple[str, int, int]] = []
    tracks: tuple[str, ...] = ()
    model.eval()
    with torch.inference_mode():
        for batch in dataset:
            true.append(batch.values.float().cpu().numpy())
            predicted.append(model(batch.sequences).float().cpu().numpy())
            starts, ends = batch.value_starts.tolist(), batch.value_ends.tolist()
            places += zip(batch.chromosomes.tolist(), starts, ends, strict=True)
            tracks = batch.track_names
    return Predictions(np.concatenate(true), np.concatenate(predicted), places, tracks)
