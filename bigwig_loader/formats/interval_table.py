"""Signal of many samples as sorted intervals: what a prepared track is read into."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError


class Intervals(NamedTuple):
    """Intervals of one contig: 0-based half-open, sorted by start, none overlapping."""

    start: npt.NDArray[np.int32]
    end: npt.NDArray[np.int32]
    value: npt.NDArray[np.float32]

    @classmethod
    def join(cls, parts: Sequence[Intervals]) -> Intervals:
        """Intervals of consecutive stretches as one list."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            np.concatenate([np.zeros(0, np.int32), *(part.start for part in parts)]),
            np.concatenate([np.zeros(0, np.int32), *(part.end for part in parts)]),
            np.concatenate([np.zeros(0, np.float32), *(part.value for part in parts)]),
        )


# Compared and hashed by identity: two tables are the same one, or they are not.
@dataclass(frozen=True, eq=False)
class IntervalTable:
    """Intervals of S samples on C contigs, one list after the other (CSR).

    Lists are sorted by start. Intervals of one list do not overlap: where a file's did, the one
    written last has the bases. Bases between intervals are uncovered.

    Parameters
    ----------
    contig_names : tuple of str
        C contigs.
    samples : tuple of str
        S names. A track that does not depend on the sample has one, with the empty name.
    offsets : (C * S + 1,) int64
        Intervals of (contig, sample) are ``offsets[contig * S + sample]`` and on.
    start, end : int32
        0-based half-open.
    value : float32

    Raises
    ------
    InvalidInputError
        If the arrays do not fit each other.
    """

    contig_names: tuple[str, ...]
    samples: tuple[str, ...]
    offsets: npt.NDArray[np.int64]
    start: npt.NDArray[np.int32]
    end: npt.NDArray[np.int32]
    value: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        for name, dtype in (
            ("offsets", np.int64),
            ("start", np.int32),
            ("end", np.int32),
            ("value", np.float32),
        ):
            given = getattr(self, name)
            if given.dtype != dtype or not given.flags.c_contiguous:
                object.__setattr__(self, name, np.ascontiguousarray(given, dtype))
        n_lists = len(self.contig_names) * len(self.samples)
        n = len(self.start)
        if len(self.offsets) != n_lists + 1 or self.offsets[0] != 0 or self.offsets[-1] != n:
            raise InvalidInputError(
                f"interval table: expected offsets of {n_lists} lists with {n} intervals in all; "
                f"got {len(self.offsets)} offsets, the last {int(self.offsets[-1])}"
            )
        if not n == len(self.end) == len(self.value) or (np.diff(self.offsets) < 0).any():
            raise InvalidInputError(
                "interval table: expected start, end and value of one length and ascending "
                f"offsets; got lengths {n}, {len(self.end)}, {len(self.value)}"
            )

    @classmethod
    def from_lists(
        cls,
        contig_names: Sequence[str],
        samples: Sequence[str],
        lists: Iterable[Intervals],
    ) -> IntervalTable:
        """The table of C * S lists, contig by contig and sample by sample within."""
        parts = list(lists)
        lengths = np.array([len(part.start) for part in parts], np.int64)
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        return cls(tuple(contig_names), tuple(samples), offsets, *Intervals.join(parts))

    def __len__(self) -> int:
        return len(self.start)

    def list_of(self, contig: int, sample: int) -> Intervals:
        """Intervals of one sample on one contig; views."""
        row = contig * len(self.samples) + sample
        at = slice(int(self.offsets[row]), int(self.offsets[row + 1]))
        return Intervals(self.start[at], self.end[at], self.value[at])
