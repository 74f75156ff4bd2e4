"""Joining parts of a data set: lists of many owners (CSR), block by block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.dataset.prepared.arrays import NpyReader, NpyWriter

# Entries and their places while one block is put together, and the result.
_BYTES_PER_ENTRY = 32


@dataclass(frozen=True)
class ListPart:
    """Lists of some owners on one contig, to be put behind those of parts before it.

    Parameters
    ----------
    folder : Path
        Holds ``offsets.npy`` and one file per column.
    contig : int
    first : int
        First owner on the contig.
    n_lists : int
        Owners, one after the other.
    offset : int
        First of the part's offsets, where a file holds lists of more than one contig.
    shift : int
        Added to the values of every column that is an index.
    skip_below : int
        Entries of an index column below this one are left out.
    """

    folder: Path
    contig: int
    first: int
    n_lists: int
    offset: int = 0
    shift: int = 0
    skip_below: int = 0


def merge_lists(
    parts: Sequence[ListPart],
    shape: tuple[int, int],
    columns: Mapping[str, type[np.generic]],
    folder: Path,
    budget_bytes: int,
) -> int:
    """Write lists that are in several parts as one, in the order of contig and owner.

    Parameters
    ----------
    parts : sequence of ListPart
        Entries of one list stay in the order of the parts.
    shape : (int, int)
        Contigs and owners per contig.
    columns : mapping of str to dtype
        Files of a part, besides the offsets.
    folder : Path
        Where the files are written.
    budget_bytes : int
        For the entries of owners that are handled at a time; one owner's always are.

    Returns
    -------
    int
        Number of entries.
    """
    n_contigs, n_owners = shape
    total = 0
    with NpyWriter(folder / "offsets.npy", np.int64) as offsets:
        offsets.append(np.zeros(1, np.int64))
        writers = {name: NpyWriter(folder / f"{name}.npy", t) for name, t in columns.items()}
        for contig in range(n_contigs):
            mine = [_OpenPart(part, columns) for part in parts if part.contig == contig]
            counts = np.zeros(n_owners, np.int64)
            for part in mine:
                counts[part.owners] += part.counts
            ends = total + np.cumsum(counts)
            for start, stop in _blocks(counts, budget_bytes // _BYTES_PER_ENTRY):
                block = _join_block(mine, counts[start:stop], start, columns)
                for name, writer in writers.items():
                    writer.append(block[name])
            offsets.append(ends)
            total = int(ends[-1]) if len(ends) else total
        for writer in writers.values():
            writer.close()
    return total


class _OpenPart:
    """A part with its offsets read, and its entries that are left out found."""

    def __init__(self, part: ListPart, columns: Mapping[str, type[np.generic]]) -> None:
        self.part = part
        self.columns = tuple(columns)
        reader = NpyReader(part.folder / "offsets.npy")
        self.offsets = reader.read(part.offset, part.offset + part.n_lists + 1)
        self.owners = slice(part.first, part.first + part.n_lists)
        self.skipped = np.zeros(part.n_lists, np.int64)
        if part.skip_below:
            (name,) = columns
            file = NpyReader(part.folder / f"{name}.npy")
            self.skipped = self._count_below(file, part.skip_below)
        self.counts = np.diff(self.offsets) - self.skipped

    def _count_below(self, file: NpyReader, limit: int) -> npt.NDArray[np.int64]:
        """How many entries of each ascending list are below a limit."""
        counts = np.zeros(self.part.n_lists, np.int64)
        for start, stop in _blocks(np.diff(self.offsets), 1 << 20):
            first, last = self.offsets[start], self.offsets[stop]
            below = np.cumsum(np.append(0, file.read(int(first), int(last)) < limit))
            counts[start:stop] = np.diff(below[self.offsets[start : stop + 1] - first])
        return counts

    def has_any(self, start: int, stop: int) -> bool:
        """Whether owners [start, stop) have entries here."""
        first, last = self.part.first, self.part.first + self.part.n_lists
        return start < last and first < stop and bool(self.counts.any())

    def read(
        self, start: int, stop: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], dict[str, npt.NDArray[Any]]]:
        """Owner, number within the owner's entries, and columns, for owners [start, stop)."""
        a = min(max(start - self.part.first, 0), self.part.n_lists)
        b = min(max(stop - self.part.first, 0), self.part.n_lists)
        first, last = int(self.offsets[a]), int(self.offsets[b])
        lengths = np.diff(self.offsets[a : b + 1])
        owner = np.repeat(np.arange(a, b), lengths)
        within = np.arange(last - first) - np.repeat(self.offsets[a:b] - first, lengths)
        within -= self.skipped[owner]
        kept = within >= 0
        columns = {}
        for name in self.columns:
            values = NpyReader(self.part.folder / f"{name}.npy").read(first, last)[kept]
            columns[name] = values + self.part.shift if self.part.shift else values
        return owner[kept] + self.part.first, within[kept], columns


def _join_block(
    parts: list[_OpenPart],
    counts: npt.NDArray[np.int64],
    start: int,
    columns: Mapping[str, type[np.generic]],
) -> dict[str, npt.NDArray[Any]]:
    """Entries of owners from `start` on, each owner's in the order of the parts."""
    place = np.concatenate([[0], np.cumsum(counts)])
    block = {name: np.empty(place[-1], dtype) for name, dtype in columns.items()}
    free = place[:-1].copy()
    for part in parts:
        if not part.has_any(start, start + len(counts)):
            continue
        owner, within, values = part.read(start, start + len(counts))
        at = free[owner - start] + within
        for name, array in block.items():
            array[at] = values[name]
        free += np.bincount(owner - start, minlength=len(counts))
    return block


def _blocks(counts: npt.NDArray[np.int64], limit: int) -> Iterator[tuple[int, int]]:
    """Stretches of owners with at most `limit` entries, or one owner with more."""
    ends = np.cumsum(counts)
    start, n = 0, len(counts)
    while start < n:
        before = int(ends[start - 1]) if start else 0
        stop = int(np.searchsorted(ends, before + max(limit, 1), side="right"))
        stop = min(max(stop, start + 1), n)
        yield start, stop
        start = stop
