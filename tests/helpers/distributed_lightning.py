"""One of several processes that train with Lightning, started by torchrun.

python -m torch.distributed.run --nproc-per-node=N -m tests.helpers.distributed_lightning DATA OUT
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from bigwig_loader.lightning import GenomicDataModule
from bigwig_loader.pytorch import PytorchBigWigDataset


class Model(pl.LightningModule):
    """Remembers which windows it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(4, 4)
        self.seen: list[list[int]] = []

    def training_step(self, batch: Any, _: int) -> torch.Tensor:
        self.seen.append(batch.starts.tolist())
        return self.layer(batch.values.float()).square().mean()

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=1e-3)


def main(data: Path, out: Path) -> None:
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    torch.set_num_threads(1)

    def make(**ranks: int) -> PytorchBigWigDataset:
        return PytorchBigWigDataset(
            regions_of_interest=data / "train.bed",
            collection=data / "bigwig",
            reference_genome_path=data / "genome.fa",
            sequence_length=128,
            center_bin_to_predict=64,
            window_size=2,
            batch_size=4,
            batches_per_epoch=5,
            return_batch_objects=True,
            n_threads=1,
            seed=5,
            **ranks,
        )

    def of_rank(rank: int, world_size: int) -> PytorchBigWigDataset:
        return make(rank=rank, world_size=world_size)

    found = {}
    for name, source in (("given", make()), ("factory", of_rank)):
        model = Model()
        trainer = pl.Trainer(
            accelerator="cpu",
            devices=int(sys.argv[3]) if len(sys.argv) > 3 else 2,
            strategy="ddp",
            max_epochs=2,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
        )
        trainer.fit(model, datamodule=GenomicDataModule(source))
        found[name] = model.seen
        (out / f"seen-{trainer.global_rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
