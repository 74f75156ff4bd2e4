"""Epochs over documents of tokens: order, reading ahead, saving and resuming, ranks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.dataset.prepared.epochs import CellBatch, CellEpochs
from bigwig_loader.dataset.prepared.loader_options import CellOptions
from bigwig_loader.dataset.tokens.examples import RowOptions, Rows, padded_rows
from bigwig_loader.dataset.tokens.packing import PackedRows
from bigwig_loader.dataset.tokens.sources import TokenSource
from bigwig_loader.errors import InvalidDataError, InvalidInputError, LoaderError
from bigwig_loader.sampling.digest import digest
from bigwig_loader.sampling.pools import pooled_permute
from bigwig_loader.sampling.ranks import Shard
from bigwig_loader.types import check_positive

I64 = npt.NDArray[np.int64]


class DocumentOrder:
    """The order in which an epoch runs through documents; see `bigwig_loader.sampling.cells`.

    Parameters
    ----------
    n_examples : int
    shuffle : bool
    bound : int, optional
        See `bigwig_loader.sampling.pools`.
    """

    def __init__(self, n_examples: int, shuffle: bool, bound: int | None = None) -> None:
        if bound is not None:
            check_positive("shuffle_bound", bound)
        self.n_examples = n_examples
        self.shuffle = shuffle
        # All that hold everything are the same.
        self.bound = None if bound is None or bound >= n_examples else int(bound)

    def draw(self, seed: int, epoch: int, index: I64) -> I64:
        """Documents (k,) that have places `index` (k,) in an epoch."""
        if not self.shuffle:
            return index
        return pooled_permute(self.n_examples, self.bound, index, seed, epoch)

    def batches(self, seed: int, epoch: int, runs: Iterable[I64]) -> Iterator[I64]:
        """Documents of runs of places."""
        return (self.draw(seed, epoch, run) for run in runs)

    def fingerprint(self) -> str:
        """Hash of the number of documents and how they are shuffled."""
        return digest("DocumentOrder", self.n_examples, self.shuffle, self.bound)


class TokenEpochs(CellEpochs):
    """Batches of documents, or of packed rows.

    What a batch holds depends on (seed, epoch, number of the batch) only.

    Parameters
    ----------
    tokens : TokenSource
    order : DocumentOrder
    rows : RowOptions
    options : CellOptions
    vocab_size : int, optional
        Tokens have to be below; every batch is checked.
    finish : callable, optional
        Of `Rows`, seed and epoch; makes what is delivered.
    seed_given : bool

    Raises
    ------
    InvalidInputError
        If there are no documents, or none has a token where rows are packed.
    """

    def __init__(
        self,
        tokens: TokenSource,
        order: DocumentOrder,
        rows: RowOptions,
        options: CellOptions,
        vocab_size: int | None = None,
        finish: Callable[[Rows, int, int], Any] | None = None,
        seed_given: bool = True,
    ) -> None:
        if not len(tokens) or (rows.packing and not tokens.n_tokens):
            raise InvalidInputError(
                f"argument data: expected documents with tokens; got {len(tokens)} documents with "
                f"{tokens.n_tokens} tokens"
            )
        if vocab_size is not None:
            check_positive("vocab_size", vocab_size)
        self.tokens = tokens
        self.rows = rows
        self._packed = PackedRows(tokens, rows, order.draw) if rows.packing else None
        self._vocab_size = vocab_size
        self._finish_rows = finish
        n_rows = None if self._packed is None else self._packed.n_rows
        decides = {
            "tokens": tokens.fingerprint(),
            "shuffle": order.fingerprint(),
            **dataclasses.asdict(rows),
        }
        super().__init__(
            source=None,  # type: ignore[arg-type]
            order=order if n_rows is None else DocumentOrder(n_rows, shuffle=False),
            options=options,
            fingerprint=decides,
            seed_given=seed_given,
        )

    def set_shard(self, shard: Shard) -> None:
        """Become another one of several processes, from the next iteration on.

        Raises
        ------
        InvalidInputError
            If batches cannot be shared out, or each process would have drawn a seed of its own.
        """
        if shard == self.shard:
            return
        if shard.world_size > 1 and not self._seed_given:
            raise InvalidInputError(
                f"argument seed: expected a number, the same for all {shard.world_size} processes, "
                "because they share every batch; got None"
            )
        self.options = dataclasses.replace(self.options, shard=shard)
        self.n_batches = self.options.n_batches(self.n_examples)

    def make_rows(self, index: I64, epoch: int) -> Rows:
        """Rows of documents, or packed rows, of an epoch.

        Raises
        ------
        InvalidDataError
            For a damaged file, a document that is too long, and a token that is out of range.
        """
        if self._packed is not None:
            made = self._packed.rows(index, self.seed, epoch)
        else:
            made = padded_rows(self.tokens, self.rows, index, self.seed, epoch)
        self._check(made)
        return made

    def read(self, plan: CellBatch) -> CellBatch:
        """A batch with its data.

        Raises
        ------
        LoaderError
            If it cannot be made; the original error is ``__cause__``.
        """
        try:
            with self.meter.stage("read"):
                data: Any = self.make_rows(plan.cells, plan.epoch)
            if self._finish_rows is not None:
                with self.meter.stage("assemble"):
                    data = self._finish_rows(data, self.seed, plan.epoch)
        except Exception as error:
            what = "documents" if self._packed is None else "rows"
            listed = ", ".join(map(str, plan.cells[:4].tolist()))
            more = ", ..." if len(plan.cells) > 4 else ""
            raise LoaderError(
                f"batch {plan.index} of epoch {plan.epoch} ({what} {listed}{more}) could not be "
                f"made: {type(error).__name__}: {error}"
            ) from error
        return dataclasses.replace(plan, data=data)

    def _check(self, made: Rows) -> None:
        limit = self._vocab_size
        if limit is None:
            return
        wrong = (made.input_ids >= limit) & (made.attention_mask != 0)
        if not wrong.any():
            return
        row, column = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
        number = int(made.index[row])
        raise InvalidDataError(
            "token out of range",
            path=self.tokens.name(number) if self._packed is None else None,
            field=f"token {column}" if self._packed is None else f"packed row {number}",
            expected=f"below {limit}, the size of the vocabulary",
            got=int(made.input_ids[row, column]),
            hint="The tokens are of another universe, or the file is damaged.",
        )
