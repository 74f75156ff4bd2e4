"""`Batch`: the arrays of some examples, and where in the genome they come from."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

ARRAY_FIELDS = (
    "sequences",
    "values",
    "starts",
    "ends",
    "value_starts",
    "value_ends",
    "track_indices",
)


@dataclass(frozen=True, eq=False)
class Batch:
    """B examples. Coordinates are 0-based and half-open.

    Parameters
    ----------
    sequences : (B, L, 4) array, or what the sequence encoder returned, or None
        One-hot sequence, alphabet A, C, G, T. None without a genome.
    values : (B, N, T) array or None
        Signal per bin and track. None without tracks.
    chromosomes : (B,) array of str
    starts, ends : (B,) int64
        The window of `sequences`; it may reach past the ends of the contig.
    value_starts, value_ends : (B,) int64 or None
        The central part of the window that `values` covers.
    track_indices : (T,) int64 or None
        Which tracks of the collection `values` holds.
    track_names : (T,) tuple of str or None
        Their names.
    epoch, index : int or None
        Number of the epoch and of this batch in it.
    """

    sequences: Any = None
    values: Any = None
    chromosomes: npt.NDArray[np.str_] | None = None
    starts: Any = None
    ends: Any = None
    value_starts: Any = None
    value_ends: Any = None
    track_indices: Any = None
    track_names: tuple[str, ...] | None = None
    epoch: int | None = None
    index: int | None = None

    def __len__(self) -> int:
        """Number of examples."""
        for name in ("starts", "values", "sequences"):
            array = getattr(self, name)
            if array is not None:
                return len(array)
        return 0

    def map_arrays(self, function: Callable[[Any], Any]) -> dict[str, Any]:
        """All fields by name, `function` applied to each array field that is not None.

        `chromosomes` is left as it is: no framework has arrays of strings.
        """
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        for name in ARRAY_FIELDS:
            if fields[name] is not None:
                fields[name] = function(fields[name])
        return fields
