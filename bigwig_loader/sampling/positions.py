"""Positions: single bases of the genome, one for each example."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError


@dataclass(frozen=True, eq=False)
class Positions:
    """n bases; each is the centre of one example's window.

    Parameters
    ----------
    contig : (n,) int32
        Index into the `contig_names` of whoever made the positions.
    position : (n,) int64
        Base, 0-based.
    """

    contig: npt.NDArray[np.int32]
    position: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        object.__setattr__(self, "contig", np.asarray(self.contig, np.int32))
        object.__setattr__(self, "position", np.asarray(self.position, np.int64))
        if self.contig.ndim != 1 or self.contig.shape != self.position.shape:
            raise InvalidInputError(
                "positions: expected contig and position of one length (n,); "
                f"got shapes {self.contig.shape} and {self.position.shape}"
            )

    def __len__(self) -> int:
        return len(self.position)

    def take(self, which: npt.NDArray[np.integer] | npt.NDArray[np.bool_] | slice) -> Positions:
        """The positions at the given indices, in that order."""
        return Positions(self.contig[which], self.position[which])

    def put(self, which: npt.NDArray[np.integer], other: Positions) -> Positions:
        """A copy in which the positions at `which` are those of `other`."""
        contig, position = self.contig.copy(), self.position.copy()
        contig[which], position[which] = other.contig, other.position
        return Positions(contig, position)
