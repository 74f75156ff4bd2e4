"""Train with Lightning; a checkpoint resumes in mid-epoch with the batch that would have come next.

python examples/train_lightning.py [FOLDER]
"""

import sys
from functools import partial
from pathlib import Path

import pytorch_lightning as pl
import torch

from bigwig_loader.download_example_data import make_example_data
from bigwig_loader.lightning import GenomicDataModule
from bigwig_loader.pytorch import PytorchBigWigDataset


class Model(pl.LightningModule):
    """(batch, 2000, 4) one-hot sequence -> (batch, 100, n_tracks) signal in bins of 10 bp."""

    def __init__(self, n_tracks: int) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Conv1d(4, 16, kernel_size=21, padding=10),
            torch.nn.ReLU(),
            torch.nn.AvgPool1d(10),
            torch.nn.Conv1d(16, n_tracks, kernel_size=1),
            torch.nn.Softplus(),
        )
        self.loss_fn = torch.nn.PoissonNLLLoss(log_input=False)

    def training_step(self, batch, _):
        sequences, values = batch
        predicted = self.layers(sequences.transpose(1, 2)).transpose(1, 2)
        loss = self.loss_fn(predicted[:, 50:150], values)
        self.log("train_loss" if self.training else "valid_loss", loss)
        return loss

    def validation_step(self, batch, index):
        self.training_step(batch, index)

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-2)


def main(folder: str = "example_data", max_steps: int = 40) -> float:
    data = make_example_data(folder)
    # Made by the trainer in each of its processes, which it tells their rank.
    make_dataset = partial(
        PytorchBigWigDataset,
        collection=data.bigwig_dir,
        reference_genome_path=data.reference_genome,
        sequence_length=2000,
        center_bin_to_predict=1000,
        window_size=10,
        batch_size=32,  # of all processes together
        seed=0,
    )
    datamodule = GenomicDataModule(
        train=partial(make_dataset, data.train_regions, batches_per_epoch=20),
        valid=partial(make_dataset, data.validation_regions, batches_per_epoch=2),
    )
    checkpoints = Path(folder) / "lightning"
    trainer = pl.Trainer(
        accelerator="auto",
        max_steps=max_steps,
        callbacks=[
            pl.callbacks.ModelCheckpoint(checkpoints, every_n_train_steps=5, save_last=True)
        ],
        logger=False,
        enable_progress_bar=False,
    )
    last = checkpoints / "last.ckpt"
    model = Model(n_tracks=len(data.bigwigs))
    trainer.fit(model, datamodule=datamodule, ckpt_path=last if last.exists() else None)
    return float(trainer.callback_metrics["train_loss"])


if __name__ == "__main__":
    main(*sys.argv[1:])
