"""Tokens that were made before, as torch tensors: `PretokenizedDataset`, `PretokenizedExamples`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from bigwig_loader.dataset.prepared.loader_options import CellOptions
from bigwig_loader.dataset.stats import LoaderStats
from bigwig_loader.dataset.tokens.epochs import DocumentOrder, TokenEpochs
from bigwig_loader.dataset.tokens.examples import (
    RowOptions,
    Truncation,
    read_documents,
)
from bigwig_loader.dataset.tokens.sources import TokenSource, open_tokens
from bigwig_loader.dataset.tokens.store import TokenStore, check_universe
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.formats.gtok import check_tokens
from bigwig_loader.peak_loader import EpochIndexed
from bigwig_loader.personal_loader import choose_seed
from bigwig_loader.pytorch import find_shard, is_distributed
from bigwig_loader.ragged import Ragged, offsets_of
from bigwig_loader.sampling.ranks import Shard, Uneven
from bigwig_loader.sampling.rng import check_seed
from bigwig_loader.token_batch import (
    Finish,
    PretokenizedBatch,
    Transform,
    as_transforms,
    check_dtype,
    transformed,
)
from bigwig_loader.tokens.vocabulary import Vocabulary
from bigwig_loader.torch_workers import WorkerPasses


class PretokenizedDataset(IterableDataset[Any]):
    """Batches of documents of tokens, for training.

    Use it as ``DataLoader(dataset, batch_size=None, num_workers=...)``, or iterate over it
    directly. What a batch holds depends on (seed, epoch, number of the batch) only: it is the same
    for any number of worker processes, which share the batches, and of ranks, each of which takes
    its slice of every batch.

    Parameters
    ----------
    data : path, list of paths, Documents or TokenSource
        A store (`write_store`), a folder or a list of ``.gtok`` files, a parquet file with a
        column ``tokens``, or documents in memory; see
        `bigwig_loader.dataset.tokens.sources.open_tokens`.
    batch_size : int or None
        Documents, or packed rows, of all ranks together. None delivers documents one by one: a
        tensor (n,) each.
    max_length, truncation, packing, separator, pad_id, pad_to
        What rows look like, see `bigwig_loader.dataset.tokens.examples.RowOptions`. `pad_id` is by
        default that of `tokenizer`, or of the store.
    tokenizer : Tokenizer, optional
        Whose ids the tokens have to be: the universe of a store is compared, and all tokens have
        to be in its vocabulary.
    vocab_size : int, optional
        Without a tokenizer: tokens have to be below. By default that of the store.
    transform : callable or sequence of callables, optional
        Of every `PretokenizedBatch`, one after the other, such as `mask_tokens`; runs where
        batches are made. With worker processes started by spawn, they have to be picklable.
    shuffle : bool
        Documents in a random order, another one in every epoch.
    shuffle_bound : int, optional
        So many documents, from stretches all over the data, are shuffled together before the next
        so many: an epoch then reads in few places at a time, for data that neither fits in memory
        nor lies on a fast disk. Where it holds all documents, as by default, the order is a random
        permutation. It is never stored.
    seed : int, optional
        Drawn by default.
    drop_last : bool
        Whether a last batch of fewer documents is left out.
    prefetch : int
        Batches made ahead in a thread; 0 for none.
    dtype : torch.dtype
        ``torch.long`` or ``torch.int32``, of all tensors.
    rank, world_size, uneven
        As of `PytorchBigWigDataset`.

    Raises
    ------
    NotFoundError, InvalidDataError
        If files are missing or damaged, here or with the batch that they are in.
    InvalidInputError
        For arguments that do not fit; and for a store of another universe than the tokenizer's.
    """

    def __init__(  # noqa: PLR0913 - all but two are named
        self,
        data: Any,
        batch_size: int | None = 32,
        *,
        max_length: int | None = None,
        truncation: Truncation = "error",
        packing: bool = False,
        separator: int | None = None,
        pad_id: int | None = None,
        pad_to: int | None = None,
        tokenizer: Vocabulary | None = None,
        vocab_size: int | None = None,
        transform: Transform | Sequence[Transform] | None = None,
        shuffle: bool = True,
        shuffle_bound: int | None = None,
        seed: int | None = None,
        drop_last: bool = False,
        prefetch: int = 2,
        dtype: torch.dtype = torch.long,
        rank: int | None = None,
        world_size: int | None = None,
        uneven: Uneven = "pad",
    ) -> None:
        super().__init__()
        source, pad_id, vocab_size = _opened(data, tokenizer, pad_id, vocab_size)
        rows = RowOptions(max_length, truncation, packing, separator, pad_id, pad_to)
        transforms = as_transforms(transform)
        if batch_size is None and (packing or transforms or pad_to):
            raise InvalidInputError(
                "argument batch_size: expected a number with packing, pad_to or transform; got "
                "None, which delivers documents as they are"
            )
        self._rank_given = rank is not None or world_size is not None
        shard = find_shard(rank, world_size)
        seed, seed_given = choose_seed(seed, shard)
        options = CellOptions(
            seed=seed,
            batch_size=shard.world_size if batch_size is None else batch_size,
            drop_last=drop_last,
            shard=shard,
            uneven=uneven,
            prefetch=prefetch,
        )
        self.epochs = TokenEpochs(
            source,
            DocumentOrder(len(source), shuffle, shuffle_bound),
            rows,
            options,
            vocab_size,
            Finish(check_dtype(dtype), transforms, batch_size is None),
            seed_given,
        )
        self._passes = WorkerPasses()
        # In a worker process: epoch and number of its next batch, and those of a loaded state.
        self._place: tuple[int, int] | None = None
        self._loaded: tuple[int, int] | None = None

    def __len__(self) -> int:
        """Batches of an epoch, of all workers together, the same for all ranks."""
        return len(self.epochs)

    @property
    def n_documents(self) -> int:
        """Documents there are."""
        return len(self.epochs.tokens)

    @property
    def seed(self) -> int:
        """The seed, given or drawn."""
        return self.epochs.seed

    @property
    def shard(self) -> Shard:
        """Which part of every batch this process makes."""
        return self.epochs.shard

    @property
    def epoch(self) -> int:
        """The current epoch; with workers, the one that was begun last."""
        return self._passes.epoch_begun() if self._passes.n_begun() else self.epochs.epoch

    def __iter__(self) -> Iterator[Any]:
        """The next epoch, or the rest of a saved one; in a worker process, its share of that."""
        self._find_rank()
        worker = get_worker_info()
        if worker is None:
            return self._deliver_here()
        epoch, batch = self._passes.begin(worker.id, worker.num_workers)
        self._place = self._loaded or (epoch, batch + worker.id)
        self._loaded = None
        return self._deliver_share(*self._place, worker.num_workers)

    def __getstate__(self) -> dict[str, Any]:
        # Into a spawned worker process, which knows nothing of torch.distributed.
        self._find_rank()
        return self.__dict__

    def _find_rank(self) -> None:
        """Take up a rank that torch.distributed has got since the data set was made."""
        if not self._rank_given and is_distributed():
            self.epochs.set_shard(find_shard())

    def stats(self) -> LoaderStats:
        """What making batches took in this process; worker processes cannot be seen from here."""
        return self.epochs.stats()

    def set_epoch(self, epoch: int) -> None:
        """Go to the beginning of an epoch; workers (persistent ones too) in their next pass."""
        self.epochs.set_epoch(epoch)
        self._share_start()

    def state_dict(self, batch: int | None = None, epoch: int | None = None) -> dict[str, Any]:
        """Where the epoch stands: a small dictionary for JSON.

        Parameters
        ----------
        batch, epoch : int, optional
            As of `PytorchBigWigDataset.state_dict`: batches that the loop has taken, needed after
            a pass with worker processes, and their epoch.
        """
        state = self.epochs.state_dict()
        if get_worker_info() is not None and self._place is not None:
            return {**state, "epoch": self._place[0], "batch": self._place[1]}
        if batch is not None:
            return {**state, "epoch": self.epoch if epoch is None else epoch, "batch": int(batch)}
        if self._passes.n_begun():
            raise InvalidInputError(
                "state_dict: expected argument batch, the number of batches taken in this epoch, "
                "because worker processes make batches and are ahead of the loop; got None"
            )
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where the state was saved, with the very batches that would have followed.

        Raises
        ------
        InvalidInputError
            If it is the state of a data set that makes other batches.
        """
        self.epochs.load_state_dict(state)
        worker = get_worker_info()
        if worker is None:
            self._share_start()
        else:
            self._loaded = (state["epoch"], state["batch"])
            self._passes.resume(state["epoch"], worker.id, worker.num_workers)

    def _deliver_here(self) -> Iterator[Any]:
        if self._passes.n_begun():
            self.set_epoch(self.epoch + 1)
        try:
            for batch in self.epochs:
                yield batch.data
        finally:
            self._share_start()

    def _deliver_share(self, epoch: int, first: int, n_workers: int) -> Iterator[Any]:
        for batch in self.epochs.batches(epoch, first, n_workers):
            first += n_workers
            self._place = (epoch, first)
            yield batch.data

    def _share_start(self) -> None:
        state = self.epochs.state_dict()
        self._passes.start_at(state["epoch"], state["batch"])


class PretokenizedExamples(EpochIndexed):
    """Documents of tokens one by one, by their numbers: for a DataLoader that makes the batches.

    ``DataLoader(examples, batch_size=8, shuffle=True, collate_fn=examples.collate)``. An example is
    a dictionary of ``input_ids`` (n,), ``example_id`` and ``epoch``. It depends on (seed, epoch,
    number) only; `set_epoch` says of which epoch plain numbers are, and ``examples[(epoch, i)]``
    names it.

    Parameters
    ----------
    data, max_length, truncation, pad_id, pad_to, tokenizer, vocab_size, dtype
        As of `PretokenizedDataset`.
    transform : callable or sequence of callables, optional
        Of every batch that `collate` makes.
    seed : int
        For windows and samples of long documents, and random choices made of batches.
    """

    def __init__(  # noqa: PLR0913 - all but one are named
        self,
        data: Any,
        *,
        max_length: int | None = None,
        truncation: Truncation = "error",
        pad_id: int | None = None,
        pad_to: int | None = None,
        tokenizer: Vocabulary | None = None,
        vocab_size: int | None = None,
        transform: Transform | Sequence[Transform] | None = None,
        seed: int = 0,
        dtype: torch.dtype = torch.long,
    ) -> None:
        super().__init__()
        self._source, pad_id, self._vocab_size = _opened(data, tokenizer, pad_id, vocab_size)
        self._rows = RowOptions(max_length, truncation, pad_id=pad_id, pad_to=pad_to)
        self._transforms = as_transforms(transform)
        self._dtype = check_dtype(dtype)
        self.seed = check_seed(seed)

    def __len__(self) -> int:
        """Documents."""
        return len(self._source)

    def __getitem__(self, index: Any) -> dict[str, Any]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[Any]) -> list[dict[str, Any]]:
        """Several examples, read together; what a DataLoader calls."""
        split = [self.split(index, len(self)) for index in indices]
        made: list[dict[str, Any]] = [{}] * len(split)
        for epoch in {epoch for epoch, _ in split}:
            places = [i for i, (of, _) in enumerate(split) if of == epoch]
            numbers = np.array([split[i][1] for i in places], np.int64)
            tokens = read_documents(self._source, self._rows, numbers, self.seed, epoch)
            for place, number, ids in zip(places, numbers.tolist(), tokens, strict=True):
                if self._vocab_size is not None:
                    check_tokens(ids, self._vocab_size, self._source.name(number))
                made[place] = {
                    "input_ids": torch.from_numpy(ids.copy()).to(self._dtype),
                    "example_id": number,
                    "epoch": epoch,
                }
        return made

    def collate(self, examples: Sequence[Mapping[str, Any]]) -> Any:
        """A `PretokenizedBatch` of examples of one epoch, filled up with pad and transformed."""
        lengths = np.array([len(example["input_ids"]) for example in examples], np.int64)
        width = int(lengths.max(initial=0)) if self._rows.pad_to is None else self._rows.pad_to
        values = np.concatenate([example["input_ids"].numpy() for example in examples])
        ragged: Ragged[Any] = Ragged(values, (len(lengths),), offsets_of(lengths))
        fill = 0 if bool((lengths == width).all()) else self._rows.fill
        epochs = {example["epoch"] for example in examples}
        if len(epochs) > 1:
            raise InvalidInputError(
                f"collate: expected examples of one epoch; got those of {sorted(epochs)}"
            )
        mask = torch.from_numpy(np.arange(width) < lengths[:, None])
        arrays = {
            "input_ids": torch.from_numpy(ragged.to_padded(fill, width)),
            "attention_mask": mask.to(self._dtype),
        }
        ids = torch.tensor([example["example_id"] for example in examples])
        return transformed(
            PretokenizedBatch(arrays, ids, self.seed, epochs.pop()), self._transforms
        )


def _opened(
    data: Any, tokenizer: Vocabulary | None, pad_id: int | None, vocab_size: int | None
) -> tuple[TokenSource, int | None, int | None]:
    """Documents, and the pad and size of their vocabulary as far as they are known."""
    source = open_tokens(data)
    if tokenizer is not None:
        check_universe(source, tokenizer, "argument data")
        if vocab_size not in (None, tokenizer.vocab_size):
            raise InvalidInputError(
                f"argument vocab_size: expected {tokenizer.vocab_size}, which the tokenizer has, "
                f"or None; got {vocab_size}"
            )
        vocab_size = tokenizer.vocab_size
        pad_id = tokenizer.pad_token_id if pad_id is None else pad_id
    if isinstance(source, TokenStore) and source.special_ids is not None and pad_id is None:
        pad_id = source.special_ids["pad"]
    return source, pad_id, source.vocab_size if vocab_size is None else vocab_size
