"""`GenomicDataModule`: a trainer sees what an uninterrupted one would have seen."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.example_data import ExampleData
from tests.helpers.ranks import torchrun
from tests.helpers.tiny_dataset import tiny_options

torch = pytest.importorskip("torch")
pl = pytest.importorskip("pytorch_lightning", reason="needs pytorch-lightning")

from torch.utils.data import DataLoader, IterableDataset  # noqa: E402

from bigwig_loader.lightning import EpochLoader, GenomicDataModule  # noqa: E402
from bigwig_loader.pytorch import PytorchBigWigDataset  # noqa: E402

pytestmark = [
    # Lightning's own, with recent versions of PyTorch.
    pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning"),
    # A machine with one core; and, from Python 3.12 on, any fork while threads are alive.
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
    # Of the resumed run saving elsewhere, and of a model that could validate.
    pytest.mark.filterwarnings("ignore:The dirpath has changed:UserWarning"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but:UserWarning"),
]

N_BATCHES = 5
N_VALID = 2
Seen = tuple[int, int, tuple[int, ...]]
MakeDataset = Callable[..., PytorchBigWigDataset]
MakeModule = Callable[..., GenomicDataModule]


@pytest.fixture(autouse=True)
def _quiet() -> None:
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)


@pytest.fixture
def make(tiny_data: ExampleData) -> MakeDataset:
    options = tiny_options(tiny_data, N_BATCHES)
    return lambda **changes: PytorchBigWigDataset(**(options | changes))


@pytest.fixture
def make_module(make: MakeDataset) -> MakeModule:
    def module(**changes: Any) -> GenomicDataModule:
        return GenomicDataModule(
            train=lambda: make(**changes),
            valid=lambda: make(batches_per_epoch=N_VALID, seed=9),
        )

    return module


class Stop(Exception):
    """What interrupts training."""


class Model(pl.LightningModule):  # type: ignore[misc]
    """Remembers which batches it was given."""

    def __init__(self, stop_after: int | None = None) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(4, 4)
        self.seen: list[Seen] = []
        self.validated: list[Seen] = []
        self.stop_after = stop_after

    def training_step(self, batch: Any, _: int) -> Any:
        if len(self.seen) == self.stop_after:
            raise Stop
        self.seen.append((batch.epoch, batch.index, tuple(batch.starts.tolist())))
        return self.layer(batch.values.float()).square().mean()

    def validation_step(self, batch: Any, _: int) -> None:
        self.validated.append((batch.epoch, batch.index, tuple(batch.starts.tolist())))

    def test_step(self, batch: Any, index: int) -> None:
        self.validation_step(batch, index)

    def predict_step(self, batch: Any, _: int) -> Any:
        return batch.starts

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=1e-3)


def make_trainer(**options: Any) -> Any:
    settings = {
        "accelerator": "cpu",
        "devices": 1,
        "max_epochs": 3,
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": "callbacks" in options,
    }
    return pl.Trainer(**(settings | options))


def every_step(folder: Path) -> Any:
    return pl.callbacks.ModelCheckpoint(
        dirpath=folder, every_n_train_steps=1, save_top_k=-1, filename="{step}"
    )


def fit(data: Any, model: Model | None = None, checkpoint: Any = None, **options: Any) -> Model:
    model = model or Model()
    make_trainer(**options).fit(model, datamodule=data, ckpt_path=checkpoint, weights_only=False)
    return model


def places(seen: list[Seen]) -> list[tuple[int, int]]:
    return [(epoch, index) for epoch, index, _ in seen]


def test_training_goes_through_the_epochs(make_module: MakeModule, make: MakeDataset) -> None:
    model = fit(make_module())
    assert places(model.seen) == [(e, i) for e in range(3) for i in range(N_BATCHES)]
    dataset = make()
    expected = [(b.epoch, b.index, tuple(b.starts.tolist())) for _ in range(3) for b in dataset]
    assert model.seen == expected
    # The sanity check, and after each epoch: always the same examples.
    assert len(model.validated) == N_VALID * 4
    assert set(model.validated[:N_VALID]) == set(model.validated)
    assert len(set(model.validated)) == N_VALID


@pytest.mark.parametrize("n_steps", [1, 4, 5, 6, 12])
@pytest.mark.parametrize(
    "options", [{}, {"limit_train_batches": 3}, {"val_check_interval": 2}], ids=str
)
def test_an_interrupted_run_goes_on_exactly(
    make_module: MakeModule, tmp_path: Path, options: dict[str, Any], n_steps: int
) -> None:
    whole = fit(make_module(), **options).seen
    if n_steps >= len(whole):
        n_steps = len(whole) - 1
    first = Model(stop_after=n_steps)
    with pytest.raises(Stop):
        fit(make_module(), first, callbacks=[every_step(tmp_path)], **options)
    assert first.seen == whole[:n_steps]
    again = fit(
        make_module(),
        checkpoint=tmp_path / f"step={n_steps}.ckpt",
        callbacks=[every_step(tmp_path / "again")],
        **options,
    )
    assert again.seen == whole[n_steps:]


@pytest.mark.parametrize("n_steps", [3, 5, 7])
def test_a_run_that_reached_its_steps_goes_on_exactly(
    make_module: MakeModule, tmp_path: Path, n_steps: int
) -> None:
    whole = fit(make_module()).seen
    first, trainer, data = Model(), make_trainer(max_steps=n_steps, max_epochs=-1), make_module()
    trainer.fit(first, datamodule=data)
    trainer.save_checkpoint(tmp_path / "end.ckpt")
    assert first.seen == whole[:n_steps]
    again = fit(make_module(), checkpoint=tmp_path / "end.ckpt", max_steps=15, max_epochs=-1)
    assert again.seen == whole[n_steps:]


def test_a_checkpoint_at_the_end_of_an_epoch(make_module: MakeModule, tmp_path: Path) -> None:
    def each_epoch(folder: Path) -> Any:
        return pl.callbacks.ModelCheckpoint(
            dirpath=folder, every_n_epochs=1, save_top_k=-1, filename="{epoch}"
        )

    whole = fit(make_module(), callbacks=[each_epoch(tmp_path)]).seen
    for epoch in range(2):
        again = fit(
            make_module(),
            checkpoint=tmp_path / f"epoch={epoch}.ckpt",
            callbacks=[each_epoch(tmp_path / f"again-{epoch}")],
        )
        assert again.seen == whole[N_BATCHES * (epoch + 1) :]


def test_epochs_of_unknown_length(make_module: MakeModule, tmp_path: Path) -> None:
    # Lightning then takes one batch ahead, which it has not trained on when it saves.
    class Positions:
        def __iter__(self) -> Any:
            return iter([("chr1", 3_000 + 100 * i) for i in range(12)])

    options = {
        "custom_position_sampler": Positions(),
        "batches_per_epoch": None,
        "regions_of_interest": None,
    }
    with pytest.raises(TypeError):
        len(make_module(**options)._sources["train"]())
    whole = fit(make_module(**options)).seen
    assert places(whole) == [(e, i) for e in range(3) for i in range(3)]
    for n_steps in range(1, 8):
        folder = tmp_path / str(n_steps)
        with pytest.raises(Stop):
            fit(make_module(**options), Model(n_steps), callbacks=[every_step(folder)])
        again = fit(
            make_module(**options),
            checkpoint=folder / f"step={n_steps}.ckpt",
            callbacks=[every_step(folder / "again")],
        )
        assert again.seen == whole[n_steps:], n_steps


def test_loaders_with_worker_processes(make: MakeDataset, tmp_path: Path) -> None:
    def module() -> GenomicDataModule:
        return GenomicDataModule(
            train=lambda: DataLoader(make(), batch_size=None, num_workers=2), valid=None
        )

    whole = fit(module(), max_epochs=2).seen
    assert places(whole) == [(e, i) for e in range(2) for i in range(N_BATCHES)]
    with pytest.raises(Stop):
        fit(module(), Model(7), callbacks=[every_step(tmp_path)], max_epochs=2)
    again = fit(
        module(),
        checkpoint=tmp_path / "step=7.ckpt",
        callbacks=[every_step(tmp_path / "again")],
        max_epochs=2,
    )
    assert again.seen == whole[7:]


@pytest.mark.parametrize("n_workers", [0, 1])
def test_the_peak_loader(tiny_data: ExampleData, tmp_path: Path, n_workers: int) -> None:
    from bigwig_loader.io import PeakGenerator

    def module() -> GenomicDataModule:
        make_loader = functools.partial(
            PeakGenerator,
            peaks=tiny_data.peaks,
            negatives=tiny_data.train_regions,
            sequences=tiny_data.reference_genome,
            signals=list(map(str, tiny_data.bigwigs[:2])),
            in_window=64,
            out_window=32,
            max_jitter=4,
            batch_size=8,
            random_state=7,
            num_workers=n_workers,
            reverse_complement=False,
        )
        return GenomicDataModule(
            train=make_loader, valid=functools.partial(make_loader, mode="validation")
        )

    class Peaks(Model):
        def training_step(self, batch: Any, _: int) -> Any:
            if len(self.seen) == self.stop_after:
                raise Stop
            self.seen.append((0, 0, tuple(batch[0].flatten().tolist())))
            return self.layer(batch[1].reshape(-1, 4)).square().mean()

        def validation_step(self, batch: Any, _: int) -> None:
            self.validated.append((0, 0, tuple(batch[0].flatten().tolist())))

    model = fit(module(), Peaks())
    whole = model.seen
    per_epoch = len(whole) // 3
    assert per_epoch > 2
    assert len(set(whole)) == len(whole) == 3 * per_epoch
    per_pass = len(set(model.validated))
    assert model.validated[-per_pass:] == model.validated[-2 * per_pass : -per_pass]
    n_steps = per_epoch + 1
    with pytest.raises(Stop):
        fit(module(), Peaks(n_steps), callbacks=[every_step(tmp_path)])
    again = fit(
        module(),
        Peaks(),
        checkpoint=tmp_path / f"step={n_steps}.ckpt",
        callbacks=[every_step(tmp_path / "again")],
    )
    assert again.seen == whole[n_steps:]


def test_the_state_is_small_and_plain(make_module: MakeModule) -> None:
    data = make_module()
    fit(data, max_steps=2, max_epochs=-1)
    state = data.state_dict()
    assert (state["train"]["epoch"], state["train"]["batch"]) == (0, 2)
    assert len(json.dumps(state)) < 10_000
    # Loaded before the data sets are made, it waits for them.
    again = make_module()
    again.load_state_dict(state)
    assert again.state_dict() == state
    again.setup("fit")
    assert again.state_dict() == state
    assert next(iter(again.train_dataloader())).index == 2
    again.load_state_dict(state)
    assert next(iter(again.train_dataloader())).index == 2


def test_validation_of_a_checkpoint_leaves_training_where_it_is(
    make_module: MakeModule, tmp_path: Path
) -> None:
    data, model = make_module(), Model()
    trainer = make_trainer(max_steps=2, max_epochs=-1)
    trainer.fit(model, datamodule=data)
    trainer.save_checkpoint(tmp_path / "two.ckpt")
    fit(data, model, max_steps=4, max_epochs=-1)
    before = data.state_dict()
    make_trainer().validate(model, datamodule=data, ckpt_path=tmp_path / "two.ckpt")
    assert data.state_dict() == before


def test_test_and_prediction(make: MakeDataset) -> None:
    data = GenomicDataModule(test=make(seed=2), predict=lambda: make(seed=3))
    model, trainer = Model(), make_trainer()
    for _ in range(2):
        trainer.test(model, datamodule=data, verbose=False)
    assert model.validated[:N_BATCHES] == model.validated[N_BATCHES:]
    expected = [b.starts.tolist() for b in make(seed=3)]
    for _ in range(2):
        assert [s.tolist() for s in trainer.predict(model, datamodule=data)] == expected
    assert list(data.datasets) == ["test", "predict"]


def test_only_what_a_stage_needs_is_made(make: MakeDataset) -> None:
    made = []

    def factory(name: str) -> PytorchBigWigDataset:
        made.append(name)
        return make()

    names = ("train", "valid", "test", "predict")
    data = GenomicDataModule(**{n: functools.partial(factory, n) for n in names})
    assert made == []
    data.setup("validate")
    data.setup("fit")
    assert made == ["valid", "train"]
    data.setup(None)
    assert made == ["valid", "train", "test", "predict"]


def test_no_validation(make: MakeDataset) -> None:
    data = GenomicDataModule(train=lambda: make())
    model = fit(data, max_epochs=1)
    assert (len(model.seen), model.validated) == (N_BATCHES, [])


def test_what_cannot_be_used(make: MakeDataset) -> None:
    # Lightning says itself that there is no data.
    with pytest.raises(pl.utilities.exceptions.MisconfigurationException, match="train_dataloader"):
        fit(GenomicDataModule(valid=lambda: make()))
    with pytest.raises(pl.utilities.exceptions.MisconfigurationException, match="test_dataloader"):
        make_trainer().test(Model(), datamodule=GenomicDataModule(train=lambda: make()))
    with pytest.raises(InvalidInputError, match="argument train: expected a torch data set"):
        GenomicDataModule(train=make().dataset).setup("fit")

    class Other(IterableDataset):  # type: ignore[type-arg]
        def __iter__(self) -> Any:
            return iter([1])

    with pytest.raises(InvalidInputError, match=r"set_epoch.*DataLoader of Other"):
        EpochLoader(DataLoader(Other()))


def test_the_rank_is_that_of_the_trainer(make: MakeDataset) -> None:
    given: list[tuple[int, int]] = []

    def factory(rank: int, world_size: int) -> PytorchBigWigDataset:
        given.append((rank, world_size))
        return make(rank=rank, world_size=world_size)

    assert len(fit(GenomicDataModule(factory), max_epochs=1).seen) == N_BATCHES
    assert given == [(0, 1)]
    with pytest.raises(InvalidInputError, match="got rank 1 of 2"):
        fit(GenomicDataModule(make(rank=1, world_size=2)), max_epochs=1)


def test_tuples_go_with_every_precision(make: MakeDataset) -> None:
    class Tuples(Model):
        def training_step(self, batch: Any, _: int) -> Any:
            self.dtypes = {x.dtype for x in batch}
            return self.layer(batch[1]).square().mean()

    data = GenomicDataModule(lambda: make(return_batch_objects=False))
    model = fit(data, Tuples(), precision="bf16-true", max_epochs=1)
    assert model.dtypes == {torch.bfloat16}


@pytest.mark.slow
def test_ranks_share_every_batch(make: MakeDataset, tiny_data: ExampleData, tmp_path: Path) -> None:
    done = torchrun(2, "tests.helpers.distributed_lightning", tiny_data.directory, tmp_path)
    assert done.returncode == 0, done.stderr[-5000:]
    seen = [json.loads((tmp_path / f"seen-{rank}.json").read_text()) for rank in range(2)]
    dataset = make()
    expected = [b for _ in range(2) for b in dataset]
    for how in ("given", "factory"):
        for batch, *parts in zip(expected, *(s[how] for s in seen), strict=True):
            assert parts[0] + parts[1] == batch.starts.tolist()
