"""Tokens in a Lightning trainer: the data set and `GenomicDataModule`, and nothing besides."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.token_documents import make_documents

torch = pytest.importorskip("torch")
pl = pytest.importorskip("pytorch_lightning", reason="needs pytorch-lightning")

from torch.utils.data import DataLoader  # noqa: E402

from bigwig_loader.lightning import GenomicDataModule  # noqa: E402
from bigwig_loader.tokens import PretokenizedDataset, mask_tokens  # noqa: E402

pytestmark = [
    # Lightning's own, with recent versions of PyTorch.
    pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning"),
    # A machine with one core; and, from Python 3.12 on, any fork while threads are alive.
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
    # Of the resumed run saving elsewhere.
    pytest.mark.filterwarnings("ignore:The dirpath has changed:UserWarning"),
]

U = 30
DOCUMENTS = make_documents(11, 9, vocab=U)
N_BATCHES = 3


def dataset(**changes: Any) -> PretokenizedDataset:
    options = {"seed": 5, "pad_id": U + 1, "transform": partial(mask_tokens, n_regions=U)}
    return PretokenizedDataset(DOCUMENTS, 4, **(options | changes))


class Stop(Exception):
    """What interrupts training."""


class Model(pl.LightningModule):  # type: ignore[misc]
    """Remembers which batches it was given."""

    def __init__(self, stop_after: int | None = None) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(U + 7, 4)
        self.out = torch.nn.Linear(4, U + 7)
        self.seen: list[Any] = []
        self.validated: list[Any] = []
        self.stop_after = stop_after

    def training_step(self, batch: Any, _: int) -> Any:
        if len(self.seen) == self.stop_after:
            raise Stop
        self.seen.append((batch.epoch, batch.example_ids.tolist(), batch.input_ids.tolist()))
        scores = self.out(self.embed(batch["input_ids"]))
        return torch.nn.functional.cross_entropy(scores.flatten(0, 1), batch["labels"].flatten())

    def validation_step(self, batch: Any, _: int) -> None:
        self.validated.append((batch.epoch, batch.example_ids.tolist()))

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=1e-3)


def fit(model: Model, train: Any, folder: Path, checkpoint: Any = None) -> Model:
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    saving = pl.callbacks.ModelCheckpoint(
        dirpath=folder, every_n_train_steps=1, save_top_k=-1, filename="{step}"
    )
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=3,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[saving],
        num_sanity_val_steps=0,
    )
    data = GenomicDataModule(train=train, valid=lambda: dataset(seed=9))
    trainer.fit(model, datamodule=data, ckpt_path=checkpoint, weights_only=False)
    return model


@pytest.mark.parametrize("n_workers", [0, 2])
def test_resumed_training_sees_the_same_batches(tmp_path: Path, n_workers: int) -> None:
    alone = dataset()
    expected = [
        (b.epoch, b.example_ids.tolist(), b.input_ids.tolist()) for _ in range(3) for b in alone
    ]

    def train() -> Any:
        if not n_workers:
            return dataset()
        return DataLoader(dataset(), batch_size=None, num_workers=n_workers)

    whole = fit(Model(), train, tmp_path / "whole")
    assert whole.seen == expected
    assert len(whole.validated) == 3 * N_BATCHES
    assert {epoch for epoch, _ in whole.validated} == {0}
    stopped = Model(stop_after=4)
    with pytest.raises(Stop):
        fit(stopped, train, tmp_path / "stopped")
    resumed = fit(Model(), train, tmp_path / "again", tmp_path / "stopped" / "step=4.ckpt")
    assert stopped.seen + resumed.seen == expected
