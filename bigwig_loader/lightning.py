"""`GenomicDataModule`: the data sets of this library in a Lightning trainer."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from torch.utils.data import DataLoader, IterableDataset

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.sampling.ranks import Shard

if TYPE_CHECKING:
    from pytorch_lightning import LightningDataModule, Trainer
else:
    # Lightning is published under two names with classes of their own, and a trainer accepts its
    # own only. What is in use already counts first.
    _names = [n for n in ("lightning.pytorch", "pytorch_lightning") if n in sys.modules]
    if not _names and importlib.util.find_spec("lightning") is not None:
        _names = ["lightning.pytorch"]
    _lightning = importlib.import_module((_names or ["pytorch_lightning"])[0])
    LightningDataModule = _lightning.LightningDataModule

Source = Any
STAGES = {
    "fit": ("train", "valid"),
    "validate": ("valid",),
    "test": ("test",),
    "predict": ("predict",),
}
LOADER_METHODS = ("train_dataloader", "val_dataloader", "test_dataloader", "predict_dataloader")
NEEDED = ("set_epoch", "state_dict", "load_state_dict")


class EpochLoader:
    """What the trainer iterates over: a `DataLoader`, and where its epoch stands.

    It is no `DataLoader` itself, so Lightning neither puts a distributed sampler into it (ranks
    share every batch already) nor asks for worker processes (threads read already). Having
    `state_dict`, it is what Lightning calls resumable. An attribute `dataset` would make Lightning
    warn of its length.

    Parameters
    ----------
    loader : DataLoader
        It, or its data set, has `set_epoch`, `state_dict` and `load_state_dict`.
    fixed : bool
        Every iteration is epoch 0: the same examples each time. Otherwise, the next epoch.
    trainer : Trainer, optional
        Whose rank has to be that of the data set, and whose training steps count.

    Raises
    ------
    InvalidInputError
        If neither has these methods.
    """

    def __init__(
        self, loader: DataLoader[Any], fixed: bool = False, trainer: Trainer | None = None
    ) -> None:
        self.loader = loader
        self.fixed = fixed
        self.trainer = trainer
        self._source: Any = loader if _has_all(loader) else loader.dataset
        if not _has_all(self._source):
            raise InvalidInputError(
                f"data loader: expected {', '.join(NEEDED)} as methods of it or of its data set; "
                f"got a {type(loader).__name__} of {type(loader.dataset).__name__}"
            )
        # Counting where the data set itself cannot: its copies in worker processes read ahead.
        self._counts_itself = self._source is loader.dataset and loader.num_workers > 0
        self._first = 0
        self._n_taken = 0

    @property
    def _iterator(self) -> Any:
        # The trainer ends a DataLoader's worker processes by this name.
        return self.loader._iterator

    @_iterator.setter
    def _iterator(self, iterator: Any) -> None:
        self.loader._iterator = iterator

    def __len__(self) -> int:
        """Batches per epoch; TypeError where that is unknown."""
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        """The next epoch, or the rest of a saved one; epoch 0 where `fixed`."""
        # All of this happens at the first `next`: the trainer makes iterators that it never uses.
        if self.fixed:
            self._source.set_epoch(0)
        if self._n_taken:
            self._first = 0
        self._n_taken = 0
        batches = iter(self.loader)
        self._check_rank()
        for batch in batches:
            self._n_taken += 1
            yield batch

    def _check_rank(self) -> None:
        theirs = _shard_of(self.loader)
        if self.trainer is None or theirs is None:
            return
        here = Shard(self.trainer.global_rank, self.trainer.world_size)
        # Copies in worker processes take up the rank of torch.distributed by themselves.
        if theirs != here and not (self._counts_itself and theirs == Shard()):
            raise InvalidInputError(
                f"data set: expected one of rank {here.rank} of {here.world_size}, which this "
                f"process is to the trainer; got rank {theirs.rank} of {theirs.world_size}. Give "
                "the data module a function of rank and world_size that makes the data set"
            )

    def state_dict(self) -> dict[str, Any]:
        """State of the data set after the last batch that the trainer has trained on."""
        if self._counts_itself and self._n_taken:
            n_taken = self._first + self._n_taken
            state: dict[str, Any] = self._source.state_dict(n_taken, self._source.epoch)
        else:
            state = dict(self._source.state_dict())
        if self.trainer is None or not self._n_taken:
            return state
        n_batches = self.trainer.num_training_batches
        if not math.isinf(n_batches):
            # The trainer leaves an epoch without asking whether there is more.
            is_over = state["batch"] >= n_batches
            return {**state, "epoch": state["epoch"] + 1, "batch": 0} if is_over else state
        # Without a number of batches, it takes one ahead to see whether there is another.
        is_last = self.trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        return state if is_last else {**state, "batch": state["batch"] - 1}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where the state was saved."""
        self._source.load_state_dict(state_dict)
        self._first, self._n_taken = int(state_dict["batch"]), 0


class GenomicDataModule(LightningDataModule):
    """The data of a training run: any of this library's data sets, resumed and shared out exactly.

    Parameters
    ----------
    train, valid, test, predict : data set, DataLoader, function, or None
        A torch data set of this library (`PytorchBigWigDataset`), a DataLoader of one
        (`PeakGenerator`), or a function that returns either, called in `setup`, in every process. A
        function with parameters `rank` and `world_size` is given those of the trainer, which is
        what distributed training needs where Lightning starts the processes by itself.

    Attributes
    ----------
    datasets : dict of str to data set
        Those that are open, by name.

    Raises
    ------
    InvalidInputError
        In `setup`, for what is no data; with the first batch, if a data set makes the examples of
        another rank than the trainer's.

    Notes
    -----
    Training epochs follow on each other, and a checkpoint holds where the epoch stands: resumed
    from it, the trainer gets the batches that it would have got, also in mid-epoch and with
    another number of processes. Each pass of validation, test and prediction is epoch 0, so it has
    the same examples every time.

    Data sets that deliver tuples go with every precision; Lightning cannot convert batch objects
    for ``precision="16-true"`` and ``"bf16-true"``. Where values are logged from batch objects,
    Lightning has to be told their number: ``self.log(..., batch_size=len(batch))``.
    """

    def __init__(
        self,
        train: Source = None,
        valid: Source = None,
        test: Source = None,
        predict: Source = None,
    ) -> None:
        super().__init__()
        self._sources = {"train": train, "valid": valid, "test": test, "predict": predict}
        self._loaders: dict[str, EpochLoader] = {}
        self._saved: Mapping[str, Any] | None = None
        for name, source in zip(LOADER_METHODS, self._sources.values(), strict=True):
            if source is None:
                # To Lightning, a method that is not that of its own class means that there is data.
                setattr(self, name, getattr(super(), name))

    @property
    def datasets(self) -> dict[str, Any]:
        """The data sets that are open, by name."""
        return {name: loader.loader.dataset for name, loader in self._loaders.items()}

    def setup(self, stage: str | None = None) -> None:
        """Make what the stage needs and is not made yet; all of it for None."""
        names = tuple(self._sources) if stage is None else STAGES[stage]
        for name in names:
            if self._sources[name] is None or name in self._loaders:
                continue
            self._loaders[name] = EpochLoader(self._open(name), name != "train", self.trainer)
        if self._saved is not None and "train" in self._loaders:
            self._loaders["train"].load_state_dict(self._saved)
            self._saved = None

    def train_dataloader(self) -> EpochLoader:
        """Batches to train on: the next epoch each time, or the rest of a saved one."""
        return self._loaders["train"]

    def val_dataloader(self) -> EpochLoader:
        """Batches to validate with, the same each time."""
        return self._loaders["valid"]

    def test_dataloader(self) -> EpochLoader:
        """Batches to test with, the same each time."""
        return self._loaders["test"]

    def predict_dataloader(self) -> EpochLoader:
        """Batches to predict for, the same each time."""
        return self._loaders["predict"]

    def state_dict(self) -> dict[str, Any]:
        """Where training stands; Lightning puts it into its checkpoints."""
        if "train" in self._loaders:
            return {"train": self._loaders["train"].state_dict()}
        return {} if self._saved is None else {"train": dict(self._saved)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where the state was saved: at once, or in `setup`.

        A trainer that loads a checkpoint to validate, test or predict leaves training where it is.
        """
        if self.trainer is not None and self.trainer.state.fn != "fit":
            return
        self._saved = state_dict.get("train")
        if self._saved is not None and "train" in self._loaders:
            self._loaders["train"].load_state_dict(self._saved)
            self._saved = None

    def _open(self, name: str) -> DataLoader[Any]:
        source = self._sources[name]
        if callable(source) and not hasattr(source, "__iter__"):
            source = self._call(source)
        if not isinstance(source, (DataLoader, IterableDataset)):
            raise InvalidInputError(
                f"argument {name}: expected a torch data set of this library, a DataLoader, or a "
                f"function that returns either; got {type(source).__name__}"
            )
        if isinstance(source, DataLoader):
            return source
        return DataLoader(source, batch_size=None, num_workers=0)

    def _call(self, factory: Callable[..., Any]) -> Any:
        if not {"rank", "world_size"} <= inspect.signature(factory).parameters.keys():
            return factory()
        shard = Shard.from_environment()
        if self.trainer is not None:
            shard = Shard(self.trainer.global_rank, self.trainer.world_size)
        return factory(rank=shard.rank, world_size=shard.world_size)


def _has_all(candidate: Any) -> bool:
    return all(callable(getattr(candidate, name, None)) for name in NEEDED)


def _shard_of(source: Any) -> Shard | None:
    """Whose examples a loader, its data set, or what that wraps makes; None if none says so."""
    while source is not None:
        shard = getattr(source, "shard", None)
        if isinstance(shard, Shard):
            return shard
        source = getattr(source, "dataset", None)
    return None
