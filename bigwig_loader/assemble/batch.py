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
    "controls",
    "counts",
    "labels",
    "starts",
    "ends",
    "value_starts",
    "value_ends",
    "reverse",
    "jitter",
    "sources",
    "regions",
    "samples",
    "track_indices",
)


@dataclass(frozen=True, eq=False)
class Batch:
    """B examples. Coordinates are 0-based and half-open.

    Arrays are NumPy's. Where batches are made on a GPU, `sequences`, `values`, `controls` and
    `counts` are CuPy's.

    Parameters
    ----------
    sequences : (B, L, 4) array, or what the sequence encoder returned, or None
        One-hot sequence, alphabet A, C, G, T. None without a genome.
    values : (B, N, T) array or None
        Signal per bin and track. None without tracks.
    controls : array or None
        Signal of control tracks over the window of `sequences`; None without them.
    counts : (B, G) float32 or None
        What a count head predicts, for each track group; None where it is not asked for.
    labels : (B,) int64 or None
        1 for a peak, 0 for a background region; None where there is no such difference.
    chromosomes : (B,) array of str
    starts, ends : (B,) int64
        The window of `sequences`; it may reach past the ends of the contig.
    value_starts, value_ends : (B,) int64 or None
        The part of the genome that `values` covers.
    reverse : (B,) bool or None
        Examples delivered as reverse complement; None for none. Coordinates are those of the
        forward strand in any case.
    jitter : (B,) int64 or None
        Bases by which each window was moved from the middle of its region.
    sources : (B,) int32 or None
        Which source of a mixture each example is from, e.g. which file of peaks.
    regions : (B,) int64 or None
        Which region of its source.
    samples : (B,) int64 or None
        Whose haplotypes each example shows, by number; None without variants. There is an axis of
        haplotypes then: sequences (B, P, L, 4), values (B, P, N, T).
    track_indices : (T,) int64 or None
        Which tracks of the collection `values` holds.
    track_names : (T,) tuple of str or None
        Their names.
    epoch, index : int or None
        Number of the epoch and of this batch in it.
    """

    sequences: Any = None
    values: Any = None
    controls: Any = None
    counts: Any = None
    labels: Any = None
    chromosomes: npt.NDArray[np.str_] | None = None
    starts: Any = None
    ends: Any = None
    value_starts: Any = None
    value_ends: Any = None
    reverse: Any = None
    jitter: Any = None
    sources: Any = None
    regions: Any = None
    samples: Any = None
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

    def rows(self, first: int, stop: int, index: int | None = None) -> Batch:
        """Examples first to stop, as slices of the same arrays, as batch `index`."""
        whole = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        for name in (*ARRAY_FIELDS, "chromosomes"):
            if whole[name] is not None and name != "track_indices":
                whole[name] = whole[name][first:stop]
        return Batch(**{**whole, "index": index})

    def map_arrays(self, function: Callable[[Any], Any]) -> dict[str, Any]:
        """All fields by name, `function` applied to each array field that is not None.

        `chromosomes` is left as it is: no framework has arrays of strings.
        """
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        for name in ARRAY_FIELDS:
            if fields[name] is not None:
                fields[name] = function(fields[name])
        return fields
