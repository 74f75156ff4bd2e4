"""What loading costs a real training step: against the same steps on one batch over and over."""

from __future__ import annotations

import time
from contextlib import closing
from itertools import islice
from typing import Any

import pandas as pd
import torch

from benchmarks.gpu.clock import Bench
from benchmarks.gpu.data import GpuData
from benchmarks.gpu.models import Trainer
from benchmarks.gpu.sizes import TrainingSize
from benchmarks.record import median
from bigwig_loader.pytorch import PytorchBigWigDataset

_WARM_UP = 5
_ROUNDS = 3


def measure_training(bench: Bench, data: GpuData) -> None:
    """A row for each model."""
    for size in bench.size.training:
        if not bench.has_time:
            bench.results.add({"kind": "left_out", "reason": "no time", "what": size.model})
            continue
        dataset = make_dataset(size, data, str(bench.device))
        trainer = Trainer(size, _torch_device(bench))
        seconds: dict[str, list[float]] = {"replay": [], "load": []}
        stalls = []
        with closing(iter(dataset)) as batches:  # type: ignore[type-var]
            first = next(batches)
            for _ in range(min(_WARM_UP, size.steps)):
                trainer.step(*first)
            for _ in range(min(_ROUNDS, bench.size.rounds)):
                replay = _seconds_of_steps(trainer, [first] * size.steps)
                for batch in islice(batches, 3):  # what was made meanwhile
                    trainer.step(*batch)
                load = _seconds_of_steps(trainer, islice(batches, size.steps))
                seconds["replay"].append(replay)
                seconds["load"].append(load)
                stalls.append(load / max(replay, 1e-9) - 1)
        bench.results.add(
            {
                "kind": "gpu_training", "model": size.model, "tracks": size.tracks,
                "sequence_bp": size.sequence_bp, "predicted_bp": size.predicted_bp,
                "bin_size": size.bin_size, "batch": size.batch, "steps": size.steps,
                "parameters": trainer.n_parameters, "torch": torch.__version__,
                "step_ms": {name: median(s) / size.steps * 1e3 for name, s in seconds.items()},
                "stall": median(stalls), "stalls": stalls,
                "loader": str(dataset.stats),
            }
        )  # fmt: skip
        del trainer, first, batches
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def make_dataset(size: TrainingSize, data: GpuData, device: str) -> PytorchBigWigDataset:
    """Random windows of the whole genome, without end."""
    contigs = data.tracks.contigs
    regions = pd.DataFrame(
        {"chrom": list(contigs), "start": [0] * len(contigs), "end": list(contigs.values())}
    )
    return PytorchBigWigDataset(
        regions,
        data.tracks.tracks(size.tracks),
        data.tracks.genome,
        sequence_length=size.sequence_bp,
        center_bin_to_predict=size.predicted_bp,
        window_size=size.bin_size,
        batch_size=size.batch,
        batches_per_epoch=1_000_000,
        n_threads=torch.get_num_threads() if device == "cpu" else 16,
        device=device,
        seed=1,
    )


def _seconds_of_steps(trainer: Trainer, batches: Any) -> float:
    """Seconds until the last of some steps is done."""
    _synchronize()
    began = time.perf_counter()
    for sequences, values in batches:
        trainer.step(sequences, values)
    _synchronize()
    return time.perf_counter() - began


def _synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _torch_device(bench: Bench) -> torch.device:
    """PyTorch's name of the device; the CPU where PyTorch has no CUDA."""
    return torch.device(str(bench.device) if torch.cuda.is_available() else "cpu")
