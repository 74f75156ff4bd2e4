"""Train on several processes with PyTorch, and go on where a run was stopped.

    torchrun --nproc-per-node=2 examples/train_ddp.py [FOLDER]

Stop it and start it again, with another number of processes too: it goes on with the batch that
would have come next.
"""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from bigwig_loader.download_example_data import make_example_data
from bigwig_loader.pytorch import PytorchBigWigDataset


def main(folder: str = "example_data", n_epochs: int = 2, batches_per_epoch: int = 20) -> None:
    dist.init_process_group("gloo")  # "nccl" with a GPU for each process
    rank = dist.get_rank()
    if rank == 0:
        make_example_data(folder)
    dist.barrier()
    data = make_example_data(folder)

    # Each process makes its part of every batch: it takes its rank from torch.distributed.
    dataset = PytorchBigWigDataset(
        regions_of_interest=data.train_regions,
        collection=data.bigwig_dir,
        reference_genome_path=data.reference_genome,
        sequence_length=2000,
        center_bin_to_predict=1000,
        window_size=10,
        batch_size=32,  # of all processes together
        batches_per_epoch=batches_per_epoch,
        return_batch_objects=True,
        seed=0,
    )
    torch.manual_seed(0)
    layers = torch.nn.Sequential(
        torch.nn.Conv1d(4, 16, kernel_size=21, padding=10),
        torch.nn.ReLU(),
        torch.nn.AvgPool1d(10),
        torch.nn.Conv1d(16, len(data.bigwigs), kernel_size=1),
        torch.nn.Softplus(),
    )
    model = DistributedDataParallel(layers)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    loss_fn = torch.nn.PoissonNLLLoss(log_input=False)

    checkpoint = Path(folder) / "checkpoint.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        layers.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        dataset.load_state_dict(saved["data"])  # the same for all processes

    while dataset.epoch < n_epochs:
        for batch in DataLoader(dataset, num_workers=0, batch_size=None):
            predicted = model(batch.sequences.transpose(1, 2)).transpose(1, 2)
            loss = loss_fn(predicted[:, 50:150], batch.values)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if rank == 0:
                print(f"epoch {batch.epoch} batch {batch.index}: loss {loss.item():.3f}")
                states = {"model": layers, "optimizer": optimizer, "data": dataset}
                new = checkpoint.with_suffix(".new")
                torch.save({name: x.state_dict() for name, x in states.items()}, new)
                new.replace(checkpoint)  # never half a checkpoint
    dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
