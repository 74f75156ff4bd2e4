"""Ranks: which examples of a global batch one training process makes.

A batch is global: its examples are the same for any number of processes, and every process takes a
contiguous slice of each batch. So the sequence of global batches, the number of steps and a saved
state do not depend on how many processes there are.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.types import check_choice

Uneven = Literal["pad", "drop"]


@dataclass(frozen=True)
class Shard:
    """One of `world_size` processes that share every batch.

    Parameters
    ----------
    rank : int
        In [0, world_size).
    world_size : int
    """

    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        for name in ("rank", "world_size"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
                raise InvalidInputError(f"argument {name}: expected an integer; got {value!r}")
        if not 0 <= self.rank < self.world_size:
            raise InvalidInputError(
                "arguments rank and world_size: expected 0 <= rank < world_size; "
                f"got rank={self.rank}, world_size={self.world_size}"
            )

    @classmethod
    def from_environment(cls) -> Shard:
        """What RANK and WORLD_SIZE say, as torchrun and others set them; one process without.

        Raises
        ------
        InvalidInputError
            If only one of the two is set, or they are not numbers that fit together.
        """
        rank, world_size = os.environ.get("RANK"), os.environ.get("WORLD_SIZE")
        if rank is None and (world_size is None or world_size == "1"):
            return cls()
        if rank is None or world_size is None:
            raise InvalidInputError(
                "environment variables RANK and WORLD_SIZE: expected both or neither; got "
                f"RANK={rank!r}, WORLD_SIZE={world_size!r}. Set both, or give rank and world_size"
            )
        try:
            return cls(int(rank), int(world_size))
        except ValueError:
            raise InvalidInputError(
                "environment variables RANK and WORLD_SIZE: expected 0 <= RANK < WORLD_SIZE; got "
                f"RANK={rank!r}, WORLD_SIZE={world_size!r}"
            ) from None

    @classmethod
    def choose(cls, rank: int | None, world_size: int | None) -> Shard:
        """The given rank, or that of the environment where neither number is given."""
        if rank is None and world_size is None:
            return cls.from_environment()
        if rank is None or world_size is None:
            raise InvalidInputError(
                "arguments rank and world_size: expected both or neither; "
                f"got rank={rank}, world_size={world_size}"
            )
        return cls(rank, world_size)

    def check_batch_size(self, batch_size: int) -> None:
        """Raise unless a batch can be shared out evenly."""
        if batch_size % self.world_size:
            raise InvalidInputError(
                f"argument batch_size: expected a multiple of the {self.world_size} processes, "
                "because a batch is global and every process makes an equal part of it; "
                f"got {batch_size}"
            )

    def slice_of(self, n_examples: int, uneven: Uneven = "pad") -> npt.NDArray[np.int64]:
        """Which of the `n_examples` of one batch this process makes.

        Parameters
        ----------
        n_examples : int
        uneven : {"pad", "drop"}
            Where the processes cannot share them evenly (a short last batch): "pad" repeats
            examples from the batch's beginning until they can, so every example is seen and a few
            twice; "drop" leaves out the last few.

        Returns
        -------
        (k,) int64
            Places in the batch; k is the same for all processes.
        """
        check_choice("uneven", uneven, get_args(Uneven))
        rounded = n_examples if uneven == "drop" else n_examples + self.world_size - 1
        k = rounded // self.world_size
        places = np.arange(self.rank * k, (self.rank + 1) * k)
        return places % n_examples if n_examples else places[:0]
