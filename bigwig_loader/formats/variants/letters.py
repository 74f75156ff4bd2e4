"""Many short strings as one array of letters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_UPPER = np.arange(256, dtype=np.uint8)
_UPPER[ord("a") : ord("z") + 1] -= 32


@dataclass(frozen=True)
class Letters:
    """N strings: string i is ``data[offsets[i]:offsets[i + 1]]``.

    Parameters
    ----------
    data : uint8
        ASCII letters.
    offsets : (N + 1,) int64
    """

    data: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]

    @classmethod
    def of(cls, strings: Sequence[str]) -> Letters:
        """Upper-cased letters of some strings; what is not ASCII becomes ``?``."""
        text = "".join(strings).encode("ascii", "replace")
        lengths = np.fromiter(map(len, strings), dtype=np.int64, count=len(strings))
        return cls(_UPPER[np.frombuffer(text, dtype=np.uint8)], offsets_of(lengths))

    @classmethod
    def concatenate(cls, parts: Sequence[Letters]) -> Letters:
        """The strings of all parts, one after the other."""
        if len(parts) == 1:
            return parts[0]
        data = np.concatenate([p.data for p in parts]) if parts else np.empty(0, dtype=np.uint8)
        lengths = [p.lengths for p in parts] or [np.empty(0, dtype=np.int64)]
        return cls(data, offsets_of(np.concatenate(lengths)))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> str:
        return self.data[self.offsets[row] : self.offsets[row + 1]].tobytes().decode()

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """(N,) int64."""
        return np.diff(self.offsets)

    @property
    def first(self) -> npt.NDArray[np.uint8]:
        """(N,) first letter of each string, none of which may be empty."""
        return self.data[self.offsets[:-1]]

    @property
    def last(self) -> npt.NDArray[np.uint8]:
        """(N,) last letter of each string, none of which may be empty."""
        return self.data[self.offsets[1:] - 1]

    def take(self, rows: npt.NDArray[np.int64]) -> Letters:
        """The strings of some rows, in their order."""
        lengths = self.lengths[rows]
        offsets = offsets_of(lengths)
        places = np.arange(offsets[-1]) + np.repeat(self.offsets[rows] - offsets[:-1], lengths)
        return Letters(self.data[places], offsets)

    def any_of(self, flags: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """(N,) whether any letter of a string is flagged; `flags` has one value per letter."""
        before = offsets_of(flags)
        return before[self.offsets[1:]] > before[self.offsets[:-1]]


def offsets_of(lengths: npt.NDArray[np.integer] | npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """(N + 1,) int64 running sum of (N,) lengths, from 0."""
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets
