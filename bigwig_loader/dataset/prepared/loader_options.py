"""How the cells of a data set become batches, checked and frozen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.sampling.ranks import Shard, Uneven
from bigwig_loader.sampling.rng import check_seed
from bigwig_loader.types import check_choice, check_not_negative, check_positive


@dataclass(frozen=True)
class CellOptions:
    """How examples are gathered into batches.

    Parameters
    ----------
    seed : int
    batch_size : int
        Examples of all processes together.
    drop_last : bool
        Whether a last batch of fewer is left out.
    shard : Shard
        Which part of every batch this process makes.
    uneven : {"pad", "drop"}
        How processes share a short last batch; see `Shard.slice_of`.
    prefetch : int
        Batches made ahead in a thread; 0 for none.
    """

    seed: int
    batch_size: int = 1
    drop_last: bool = False
    shard: Shard = field(default_factory=Shard)
    uneven: Uneven = "pad"
    prefetch: int = 2

    def __post_init__(self) -> None:
        check_seed(self.seed)
        check_positive("batch_size", self.batch_size)
        check_not_negative("prefetch", self.prefetch)
        check_choice("uneven", self.uneven, get_args(Uneven))
        self.shard.check_batch_size(self.batch_size)

    def n_batches(self, n_examples: int) -> int:
        """Batches of an epoch, the same for all processes.

        A last batch that is too short for each process to have an example is none.

        Raises
        ------
        InvalidInputError
            If there is none at all.
        """
        whole, rest = divmod(n_examples, self.batch_size)
        n = whole + (not self.drop_last and len(self.shard.slice_of(rest, self.uneven)) > 0)
        if not n:
            raise InvalidInputError(
                f"argument batch_size: expected enough cells for one batch; got {n_examples} for "
                f"batch_size={self.batch_size}, drop_last={self.drop_last} and "
                f"{self.shard.world_size} processes (uneven={self.uneven!r}). Set drop_last=False "
                "or a smaller batch_size"
            )
        return n

    def indices(self, batch: int, n_examples: int) -> npt.NDArray[np.int64]:
        """Numbers of the examples of a batch that this process makes."""
        first = batch * self.batch_size
        n = min(self.batch_size, n_examples - first)
        return first + self.shard.slice_of(n, self.uneven)


# Of what a data set gives, and its cells: what is delivered. Runs where batches are made.
Finish = Callable[[Any, npt.NDArray[np.int64]], Any]
