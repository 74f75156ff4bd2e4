"""Train a model on BigWig signal with PyTorch.

    python examples/train_pytorch.py [FOLDER]

Uses a small made data set; put your own BigWig folder, FASTA and regions in its place.
"""

import sys

import pandas as pd
import torch
from torch.utils.data import DataLoader

from bigwig_loader.download_example_data import make_example_data
from bigwig_loader.pytorch import PytorchBigWigDataset


class Model(torch.nn.Module):
    """(batch, 2000, 4) one-hot sequence -> (batch, 2000, n_tracks) signal."""

    def __init__(self, n_tracks: int) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Conv1d(4, 16, kernel_size=11, padding=5),
            torch.nn.ReLU(),
            torch.nn.Conv1d(16, 16, kernel_size=3, padding=32, dilation=32),
            torch.nn.ReLU(),
            torch.nn.Conv1d(16, n_tracks, kernel_size=1),
            torch.nn.Softplus(),
        )

    def forward(self, sequences: torch.Tensor) -> torch.Tensor:
        return self.layers(sequences.transpose(1, 2)).transpose(1, 2)


def main(folder: str = "example_data", batches_per_epoch: int = 20) -> float:
    data = make_example_data(folder)
    bed = pd.read_csv(data.train_regions, sep="\t", names=["chrom", "start", "end"])

    dataset = PytorchBigWigDataset(
        regions_of_interest=bed,  # where to draw positions from
        collection=data.bigwig_dir,  # all BigWig files of this folder are tracks
        reference_genome_path=data.reference_genome,
        sequence_length=2000,  # bp of sequence
        center_bin_to_predict=1000,  # bp of signal, in the middle of the sequence
        window_size=1,  # bp per bin
        batch_size=32,
        super_batch_size=128,  # examples to read at once
        batches_per_epoch=batches_per_epoch,
        maximum_unknown_bases_fraction=0.1,
        sequence_encoder="onehot",
        n_threads=4,
        return_batch_objects=True,
        dtype="bfloat16",
    )
    model = Model(n_tracks=len(data.bigwigs)).to(torch.bfloat16)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    loss_fn = torch.nn.PoissonNLLLoss(log_input=False)

    # The data set has threads of its own, so the DataLoader needs no workers.
    for step, batch in enumerate(DataLoader(dataset, num_workers=0, batch_size=None)):
        predicted = model(batch.sequences)[:, 500:1500, :]
        loss = loss_fn(predicted, batch.values)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"batch {step}: {tuple(batch.values.shape)} values, loss {loss.item():.3f}")
    return loss.item()


if __name__ == "__main__":
    main(*sys.argv[1:])
