"""Overlap search on a GPU: a universe that stays there, queries that come in pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.cpu.library import OverlapArrays
from bigwig_loader.backend.cuda.slots import Slot, SlotRing, aligned
from bigwig_loader.backend.cuda.work import BLOCK_THREADS, N_SLOTS, Owner, Resident, Stage, queue
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.plan.overlap import OverlapIndex, Queries
from bigwig_loader.ragged import offsets_of, stretches

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

# Queries, and ids of hits, that go over at once: some 30 MB are page-locked at most, but for a
# query that has more hits by itself.
PIECE_QUERIES = 1 << 20
PIECE_IDS = 4 << 20


@dataclass(frozen=True)
class CountedPiece:
    """Queries that are on the device, and what was found for them.

    Parameters
    ----------
    first, last : int
        Which of the queries.
    memory : cupy.ndarray
        Holds what the addresses point at.
    contig, start, before, counts : int
        Addresses of the first one's.
    """

    first: int
    last: int
    memory: Any
    contig: int
    start: int
    before: int
    counts: int


class CudaOverlapSearch:
    """Finds the regions of a universe that overlap queries; see `protocol.OverlapSearch`.

    Parameters
    ----------
    owner : Owner
    index : OverlapIndex
        Put on the device, where it stays: at most 29 bytes a region.

    Raises
    ------
    LoaderError
        If the device has no memory left for it.
    """

    def __init__(self, owner: Owner, index: OverlapIndex) -> None:
        self.index = index
        self._owner = owner
        self._ring = SlotRing(owner.device, N_SLOTS)
        slot = self._ring.take()
        try:
            self._resident = _upload(owner, index, slot)
        finally:
            self._ring.give_back(slot)

    def count(self, queries: Queries) -> tuple[I32, list[CountedPiece]]:
        """Hits of every query, and the queries as they are on the device."""
        self._owner.device.require_usable()
        counts = np.empty(len(queries), np.int32)
        pieces = [
            self._count(queries, first, counts[first : first + PIECE_QUERIES])
            for first in range(0, len(queries), PIECE_QUERIES)
        ]
        return counts, pieces

    def write(
        self,
        queries: Queries,
        found: tuple[I32, list[CountedPiece]],
        offsets: I64,
        ids: I32,
        unknown: int = -1,
    ) -> None:
        """Write the ids of the hits into host memory."""
        self._owner.device.require_usable()
        counts, pieces = found
        if len(counts) != len(queries):
            raise InvalidInputError(
                f"argument found: expected counts of {len(queries)} queries; got {len(counts)}"
            )
        for piece in pieces:
            sizes = counts[piece.first : piece.last].astype(np.int64)
            if unknown >= 0:
                sizes = np.maximum(sizes, 1)
            ends = offsets_of(sizes)
            places = offsets[piece.first : piece.last]
            for first, last in _cuts(ends):
                got = self._write(piece, first, ends[first : last + 1], unknown)
                _place(ids, places[first:last], sizes[first:last], got)

    def _count(self, queries: Queries, first: int, counts: I32) -> CountedPiece:
        n = len(counts)
        part = slice(first, first + n)
        stage = Stage()
        contig, start = stage.add(queries.contig_index[part]), stage.add(queries.start[part])
        end = stage.add(queries.end[part])
        # Both results have 4 bytes a query.
        before, total = stage.n_bytes, stage.n_bytes + 2 * aligned(4 * n)
        n_hits = before + aligned(4 * n)
        memory = self._owner.outputs.empty((total,), np.uint8)
        at = int(memory.data.ptr)

        def launch(slot: Slot) -> Callable[[], None]:
            slot.reserve(stage.n_bytes + counts.nbytes)
            self._owner.writing(memory, slot.stream)
            stage.send(slot, at)
            given = [at + contig, at + start, at + end, at + before, at + n_hits]
            self._launch("bwl_count_overlaps", n, given, slot)
            found = slot.download(at + n_hits, counts.nbytes, stage.n_bytes)

            def check() -> None:
                counts[:] = found.view(np.int32)

            return check

        queue(self._owner, self._ring, launch, [memory, self._resident], wait=True)
        addresses = (at + contig, at + start, at + before, at + n_hits)
        return CountedPiece(first, first + n, memory, *addresses)

    def _write(self, piece: CountedPiece, first: int, ends: I64, unknown: int) -> I32:
        """Ids of some queries of a piece, from its `first` on, one after the other."""
        n = len(ends) - 1
        ids = np.empty(int(ends[-1] - ends[0]), np.int32)
        if not ids.size:
            return ids

        def launch(slot: Slot) -> Callable[[], None]:
            stage = Stage()
            offsets = stage.add(ends[:-1] - ends[0])
            slot.reserve(stage.n_bytes + ids.nbytes)
            at = slot.lay_out({"stage": stage.n_bytes, "ids": ids.nbytes})
            stage.send(slot, at["stage"])
            given: list[Any] = [
                piece.contig + 4 * first,
                piece.start + 8 * first,
                piece.before + 4 * first,
                piece.counts + 4 * first,
                at["stage"] + offsets,
                np.int32(unknown),
                at["ids"],
            ]
            self._launch("bwl_write_overlaps", n, given, slot)
            found = slot.download(at["ids"], ids.nbytes, stage.n_bytes)

            def check() -> None:
                ids[:] = found.view(np.int32)

            return check

        queue(self._owner, self._ring, launch, [piece, self._resident], wait=True)
        return ids

    def _launch(self, name: str, n: int, given: list[Any], slot: Slot) -> None:
        described = self._resident.addresses[-1]
        kernels = self._owner.device.kernels("overlap.cu")
        n_blocks = -(-n // BLOCK_THREADS)
        kernels.launch(name, n_blocks, BLOCK_THREADS, [described, n, *given], slot.stream)


def _upload(owner: Owner, index: OverlapIndex, slot: Slot) -> Resident:
    """The arrays of a universe, and behind them the structure that points at them."""
    arrays = {field.name: getattr(index, field.name) for field in fields(index)}
    if index.ids_in_order:
        del arrays["ids"]
    structure: Any = OverlapArrays()
    structure.n_contigs, structure.n_levels = index.n_contigs, len(index.level_first)

    def fill(addresses: list[int]) -> None:
        for name, address in zip(arrays, addresses, strict=False):
            setattr(structure, name, address)

    described = np.frombuffer(structure, np.uint8)
    return Resident(owner, [*arrays.values(), described], slot, fill)


def _cuts(ends: I64) -> Iterator[tuple[int, int]]:
    """Stretches of queries with at most `PIECE_IDS` ids together, or of one query."""
    first, n = 0, len(ends) - 1
    while first < n:
        last = int(np.searchsorted(ends, ends[first] + PIECE_IDS, side="right")) - 1
        last = min(max(last, first + 1), n)
        yield first, last
        first = last


def _place(ids: I32, places: I64, sizes: I64, got: I32) -> None:
    """Put the ids of queries, one after the other in `got`, where they belong."""
    first = int(places[0])
    if np.array_equal(places[1:] - first, np.cumsum(sizes[:-1])):
        ids[first : first + len(got)] = got
    else:
        ids[stretches(places, sizes)] = got
