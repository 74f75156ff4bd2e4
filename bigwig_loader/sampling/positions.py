"""Positions: single bases of the genome, one for each example."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError

_DTYPES = {
    "contig": np.int32,
    "position": np.int64,
    "reverse": np.bool_,
    "source": np.int32,
    "region": np.int64,
    "jitter": np.int64,
    "sample": np.int64,
}


@dataclass(frozen=True, eq=False)
class Positions:
    """n bases; each is the centre of one example's window.

    Parameters
    ----------
    contig : (n,) int32
        Index into the `contig_names` of whoever made the positions.
    position : (n,) int64
        Base, 0-based; jitter is in it already.
    reverse : (n,) bool, optional
        Examples to deliver as reverse complement; None for none.
    source : (n,) int32, optional
        Which source of a mixture each example is from; None where there is only one.
    region : (n,) int64, optional
        Which region of its source each example is from; None where that has no meaning.
    jitter : (n,) int64, optional
        How far each position was moved from the middle of its region, in bp; None for not at all.
    sample : (n,) int64, optional
        Whose haplotypes each example shows; set by the data set, not by samplers.
    """

    contig: npt.NDArray[np.int32]
    position: npt.NDArray[np.int64]
    reverse: npt.NDArray[np.bool_] | None = None
    source: npt.NDArray[np.int32] | None = None
    region: npt.NDArray[np.int64] | None = None
    jitter: npt.NDArray[np.int64] | None = None
    sample: npt.NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        for name, dtype in _DTYPES.items():
            given = getattr(self, name)
            if given is not None:
                object.__setattr__(self, name, np.asarray(given, dtype))
        shape = self.position.shape
        for name in _DTYPES:
            array = getattr(self, name)
            if array is not None and (array.ndim != 1 or array.shape != shape):
                raise InvalidInputError(
                    "positions: expected contig and position of one length (n,), and all else of "
                    f"that length; got {name} of shape {array.shape} and positions of {shape}"
                )

    def __len__(self) -> int:
        return len(self.position)

    def with_fields(self, **changed: Any) -> Positions:
        """A copy with other arrays in some fields."""
        return replace(self, **changed)

    def take(self, which: npt.NDArray[np.integer] | npt.NDArray[np.bool_] | slice) -> Positions:
        """The positions at the given indices, in that order."""
        return self._map(lambda array, _: array[which], self)

    def put(self, which: npt.NDArray[np.integer], other: Positions) -> Positions:
        """A copy in which the positions at `which` are those of `other`."""

        def replaced(array: npt.NDArray[Any], new: npt.NDArray[Any]) -> npt.NDArray[Any]:
            result = array.copy()
            result[which] = new
            return result

        return self._map(replaced, other)

    def _map(self, function: Callable[[Any, Any], Any], other: Positions) -> Positions:
        """`function` of the two arrays of each field; fields that both lack stay None."""
        pairs = {f.name: (getattr(self, f.name), getattr(other, f.name)) for f in fields(self)}
        odd = [name for name, (a, b) in pairs.items() if (a is None) != (b is None)]
        if odd:
            raise InvalidInputError(f"positions: expected {odd} in both or in neither")
        changed = {n: function(a, b) for n, (a, b) in pairs.items() if a is not None}
        return replace(self, **changed)
