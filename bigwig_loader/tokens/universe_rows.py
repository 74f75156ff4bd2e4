"""The regions of a universe as a file or table has them, checked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.threads import available_threads
from bigwig_loader.errors import InvalidDataError, InvalidInputError
from bigwig_loader.plan.overlap import OverlapIndex
from bigwig_loader.tokens.columns import number_contigs, pick_columns, positions
from bigwig_loader.tokens.regions import read_lines
from bigwig_loader.types import PathLike

if TYPE_CHECKING:
    import pandas as pd

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
Duplicates = Literal["error", "first"]
_MAX_POSITION = 2**32 - 1


@dataclass(frozen=True)
class UniverseRows:
    """U regions in the order of their source.

    Parameters
    ----------
    contig_names : tuple of str
        In order of first appearance.
    contig_index : (U,) int32
    start, end : (U,) int64
        In [0, 2**32), and not ending before they start.
    path : str, optional
        The file they are from.
    line : (U,) int64
        Their lines in it, from 1.
    """

    contig_names: tuple[str, ...]
    contig_index: I32
    start: I64
    end: I64
    path: str | None
    line: I64

    def keep(self, kept: npt.NDArray[np.bool_]) -> UniverseRows:
        """Some of the regions, and the contigs that they lie on in order of first appearance."""
        index = self.contig_index[kept]
        used, first = np.unique(index, return_index=True)
        used = used[np.argsort(first)]
        number = np.zeros(len(self.contig_names), np.int32)
        number[used] = np.arange(len(used))
        return UniverseRows(
            tuple(self.contig_names[c] for c in used),
            number[index],
            self.start[kept],
            self.end[kept],
            self.path,
            self.line[kept] if len(self.line) else self.line,
        )

    def name(self, row: int) -> str:
        """The token of a row."""
        return f"{self.contig_names[self.contig_index[row]]}:{self.start[row]}-{self.end[row]}"

    def error(self, rows: list[int], what: str, expected: str, got: str) -> Exception:
        """The error for rows that are no regions of a universe; names lines, or rows of a table."""
        if self.path is None:
            listed = " and ".join(f"row {row}" for row in rows)
            return InvalidInputError(f"universe: {what}: {listed}: expected {expected}; got {got}")
        listed = " and ".join(f"line {self.line[row]}" for row in rows)
        return InvalidDataError(
            f"universe: {what}", path=self.path, field=listed, expected=expected, got=got
        )


def read_rows(
    source: PathLike | pd.DataFrame | Mapping[str, Any], duplicates: Duplicates
) -> UniverseRows:
    """Read and check the regions of a universe, see `bigwig_loader.tokens.Universe.read`."""
    if isinstance(source, (str, os.PathLike)):
        lines = read_lines(source, n_threads=available_threads(), with_lines=True)
        rows = UniverseRows(
            lines.contig_names, lines.contig_index, lines.start, lines.end, lines.path, lines.line
        )
    else:
        rows = _from_table(source)
    wrong = np.flatnonzero((rows.end < rows.start) | (rows.end > _MAX_POSITION))
    if len(wrong):
        row = int(wrong[0])
        expected = f"start <= end <= {_MAX_POSITION}"
        raise rows.error([row], "not a region", expected, rows.name(row))
    index = OverlapIndex.build(rows.contig_index, rows.start, rows.end, len(rows.contig_names))
    pairs = repetitions(index)
    if len(pairs) and duplicates == "error":
        first, again = (int(row) for row in pairs[0])
        got = f"{rows.name(again)} twice, and {len(pairs) - 1} more such lines"
        expected = "distinct regions; duplicates='first' leaves repetitions out"
        raise rows.error([first, again], "repeated regions", expected, got)
    kept = np.ones(len(rows.start), np.bool_)
    kept[pairs[:, 1]] = False
    return rows.keep(kept)


def _from_table(source: Any) -> UniverseRows:
    if not (hasattr(source, "columns") or isinstance(source, Mapping)):
        raise InvalidInputError(
            f"universe: expected a path, a DataFrame or a mapping of columns; "
            f"got {type(source).__name__}"
        )
    contigs, start, end = pick_columns(source, "universe")
    names, index = number_contigs(contigs, "universe")
    starts, ends = positions(start, "start", "universe"), positions(end, "end", "universe")
    if not len(index) == len(starts) == len(ends):
        raise InvalidInputError(
            f"universe: expected columns of one length; got {len(index)} contigs, {len(starts)} "
            f"starts and {len(ends)} ends"
        )
    if not len(index):
        raise InvalidInputError("universe: expected regions; got a table without rows")
    return UniverseRows(names, index, starts, ends, None, np.zeros(0, np.int64))


def repetitions(index: OverlapIndex) -> I64:
    """Pairs (first id, id) of regions that are there before, (n, 2), by id."""
    regions = index.regions
    same = np.zeros(len(regions), np.bool_)
    same[1:] = (regions["start"][1:] == regions["start"][:-1]) & (
        regions["end"][1:] == regions["end"][:-1]
    )
    same[index.contig_first[index.contig_first < len(regions)]] = False
    # Equal regions stand by id, so the first of them has the lowest.
    first = np.maximum.accumulate(np.where(same, 0, np.arange(len(regions))))
    ids = index.ids.astype(np.int64)
    pairs = np.stack([ids[first[same]], ids[same]], axis=1)
    return pairs[np.argsort(pairs[:, 1])]
