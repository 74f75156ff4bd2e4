"""Train with Ray Train: on this machine as it is, on a cluster by its address alone.

python examples/train_ray.py [FOLDER]
"""

import sys
import tempfile
from pathlib import Path

import ray.train
import ray.train.torch
import torch
from torch.utils.data import DataLoader

from bigwig_loader.download_example_data import make_example_data
from bigwig_loader.pytorch import PytorchBigWigDataset


def train(config: dict) -> None:
    """What every worker does."""
    data = make_example_data(config["folder"])  # on a cluster: a folder that all nodes share
    context = ray.train.get_context()
    dataset = PytorchBigWigDataset(
        regions_of_interest=data.train_regions,
        collection=data.bigwig_dir,
        reference_genome_path=data.reference_genome,
        sequence_length=2000,
        center_bin_to_predict=1000,
        window_size=10,
        batch_size=32,  # of all workers together
        batches_per_epoch=config["batches_per_epoch"],
        seed=0,
        rank=context.get_world_rank(),  # each makes its part of every batch
        world_size=context.get_world_size(),
    )
    torch.manual_seed(0)
    layers = torch.nn.Sequential(
        torch.nn.Conv1d(4, 16, kernel_size=21, padding=10),
        torch.nn.ReLU(),
        torch.nn.AvgPool1d(10),
        torch.nn.Conv1d(16, len(data.bigwigs), kernel_size=1),
        torch.nn.Softplus(),
    )
    model = ray.train.torch.prepare_model(layers)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    loss_fn = torch.nn.PoissonNLLLoss(log_input=False)
    # Not through prepare_data_loader: what the data set makes is shared out already.
    for sequences, values in DataLoader(dataset, num_workers=0, batch_size=None):
        predicted = model(sequences.transpose(1, 2)).transpose(1, 2)
        loss = loss_fn(predicted[:, 50:150], values)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    states = {"model": layers.state_dict(), "data": dataset.state_dict()}
    with tempfile.TemporaryDirectory() as saved:
        torch.save(states, Path(saved) / "states.pt")
        checkpoint = ray.train.Checkpoint.from_directory(saved)
        metrics = {"loss": loss.item(), "n_examples": len(values)}
        ray.train.report(metrics, checkpoint=None if context.get_world_rank() else checkpoint)


def main(folder: str = "example_data", batches_per_epoch: int = 20, n_workers: int = 2) -> dict:
    folder = str(Path(folder).resolve())
    make_example_data(folder)
    trainer = ray.train.torch.TorchTrainer(
        train,
        train_loop_config={"folder": folder, "batches_per_epoch": batches_per_epoch},
        scaling_config=ray.train.ScalingConfig(num_workers=n_workers, use_gpu=False),
        run_config=ray.train.RunConfig(storage_path=str(Path(folder) / "ray")),
    )
    metrics = trainer.fit().metrics
    print(metrics)
    return metrics


if __name__ == "__main__":
    main(*sys.argv[1:])
