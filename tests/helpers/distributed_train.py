"""One training process of several, started by torchrun; writes what it sees of every batch.

python -m torch.distributed.run --standalone --nproc-per-node=N \
    -m tests.helpers.distributed_train SETTINGS.json

The settings are a list of runs, one after the other, each a mapping:

folder : for what is seen and for the state
dataset, options : "bigwig" or "peaks", and its parameters
width : numbers in the values of an example
n_epochs : epochs to train
kill_after : steps after which the last rank kills itself, once the state was saved; or none
resume : file of a saved state to go on with; or none
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from bigwig_loader.io import PeakGenerator
from bigwig_loader.pytorch import PytorchBigWigDataset


def make_source(run: dict[str, Any]) -> tuple[Any, Any]:
    """What is iterated over, and what has the states."""
    if run["dataset"] == "peaks":
        loader = PeakGenerator(**run["options"])
        return loader, loader
    dataset = PytorchBigWigDataset(**run["options"])
    return torch.utils.data.DataLoader(dataset, batch_size=None), dataset


def parts_of(batch: Any) -> dict[str, torch.Tensor]:
    """The arrays of a batch that are compared; the first has an example in each row."""
    if isinstance(batch, (tuple, list)):
        return {"values": batch[1], "sequences": batch[0], "labels": batch[-1]}
    return {"values": batch.values, "sequences": batch.sequences, "starts": batch.starts}


def train(run: dict[str, Any]) -> None:
    rank, here = dist.get_rank(), Path(run["folder"])
    here.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    model = DistributedDataParallel(torch.nn.Linear(run["width"], 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    batches, source = make_source(run)
    if run.get("resume"):
        saved = torch.load(run["resume"], weights_only=True)
        model.module.load_state_dict(saved["model"])
        source.load_state_dict(saved["data"])
    first = source.state_dict()
    step = 0
    for epoch in range(first["epoch"], run["n_epochs"]):
        batch_index = first["batch"] if epoch == first["epoch"] else 0
        for batch in batches:
            parts = parts_of(batch)
            if len(parts["values"]):
                rows = parts["values"].float().flatten(1)
                loss = (model(rows).squeeze(1) - 1).square().mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            arrays = {name: tensor.numpy() for name, tensor in parts.items()}
            np.savez(here / f"{epoch}-{batch_index}-{rank}.npz", **arrays)
            batch_index, step = batch_index + 1, step + 1
            if rank == 0:
                save({"data": source.state_dict(), "model": model.module.state_dict()}, here)
            if step == run.get("kill_after"):
                dist.barrier()
                if rank == dist.get_world_size() - 1:
                    os.kill(os.getpid(), signal.SIGKILL)
        np.savez(here / f"end-{epoch}-{rank}.npz", n_batches=batch_index, **weights(model.module))


def weights(model: torch.nn.Module) -> dict[str, Any]:
    named = dict(model.named_parameters())
    grads = {f"{name}.grad": p.grad.numpy() for name, p in named.items() if p.grad is not None}
    return {name: p.detach().numpy() for name, p in named.items()} | grads


def save(state: dict[str, Any], folder: Path) -> None:
    torch.save(state, folder / "state.new")
    (folder / "state.new").rename(folder / "state.pt")


def main(settings: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    for run in json.loads(settings.read_text()):
        train(run)
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
