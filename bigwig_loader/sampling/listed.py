"""Positions that the caller lists: an iterable of (chrom, position)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.plan.windows import ContigTable
from bigwig_loader.sampling.positions import Positions

ARGUMENT = "custom_position_sampler"


def is_stream(iterable: object) -> bool:
    """Whether the items are only known by walking through them.

    Lists, tuples and arrays are read once, at the start, and can then be indexed; everything else
    is walked through from its beginning in every epoch.
    """
    return not isinstance(iterable, (list, tuple, np.ndarray))


def is_one_shot(iterable: object) -> bool:
    """Whether the iterable can be walked through only once, as a generator can."""
    return isinstance(iterable, Iterator)


class PositionParser:
    """Turns (chrom, position) items into checked `Positions`.

    Parameters
    ----------
    contigs : ContigTable
        Positions have to lie within these contigs; `Positions.contig` indexes it.
    """

    def __init__(self, contigs: ContigTable) -> None:
        self.contigs = contigs

    def parse(self, items: Iterable[Any], first_item: int = 0) -> Positions:
        """Positions of the items.

        Parameters
        ----------
        items : iterable of (str, int)
        first_item : int
            Number of the first of them in the whole list, for messages.

        Raises
        ------
        InvalidInputError
            For an item that is not a pair of a name and an integer, or not within its contig.
        NotFoundError
            For an unknown contig, with near names.
        """
        pairs = [_pair(item, first_item + i) for i, item in enumerate(items)]
        contig = self.contigs.index_of([chrom for chrom, _ in pairs])
        position = np.array([p for _, p in pairs], np.int64)
        outside = np.flatnonzero((position < 0) | (position >= self.contigs.lengths[contig]))
        if len(outside):
            i = int(outside[0])
            raise InvalidInputError(
                f"{ARGUMENT}: item {first_item + i} ({pairs[i][0]}, {pairs[i][1]}) lies outside "
                f"its contig, which has {self.contigs.lengths[contig[i]]} bp in "
                f"{self.contigs.where}"
            )
        return Positions(contig, position)


def _pair(item: Any, number: int) -> tuple[str, int]:
    malformed = InvalidInputError(
        f"{ARGUMENT}: expected item {number} to be (chrom, position), a str and an int; "
        f"got {item!r}"
    )
    if isinstance(item, (str, bytes)) or not isinstance(item, Iterable):
        raise malformed
    parts = tuple(item)
    if len(parts) != 2:
        raise malformed
    chrom, position = parts
    integer = isinstance(position, (int, np.integer)) and not isinstance(position, bool)
    if not isinstance(chrom, str) or not integer:
        raise malformed
    if not -(1 << 63) <= int(position) < 1 << 63:
        raise malformed
    return str(chrom), int(position)
