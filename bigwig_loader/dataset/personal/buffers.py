"""Buffers: which regions are in memory together, within a budget, and reading the next ones ahead.

Regions of an epoch come in an order. A buffer is the longest run of them whose costs fit; a cost
depends on its region alone, so buffers are the same whoever reads, and however often.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bigwig_loader.dataset.personal.pieces import I64, Piece, StreamRegions, read_piece
from bigwig_loader.dataset.personal.readers import Inputs
from bigwig_loader.errors import InvalidInputError, LoaderError
from bigwig_loader.formats.genome import Genome
from bigwig_loader.formats.packed import PAGE_BP
from bigwig_loader.sampling.permutation import permute
from bigwig_loader.sampling.rng import MAX_LANES, Stream

if TYPE_CHECKING:
    from bigwig_loader.backend.protocol import Backend

# Of the budget, one part is for a buffer: another one is being read meanwhile, and reading takes
# more than what stays.
BUDGET_PARTS = 6
# Regions that are shuffled as one, because they are read together.
N_BLOCKS = 256
# Costs are not known at first. Pieces begin small, and grow as long as costs allow. Reading one
# takes several times of what stays, so a full buffer is read in some.
FIRST_PIECE, GROWTH, PIECES = 16, 4, 8
COSTS_AT_ONCE = 4096


@dataclass(frozen=True, eq=False)
class Buffer:
    """Regions that are in memory together.

    Parameters
    ----------
    number : int
        Of the epoch.
    first, stop : int
        Places in the epoch's order of regions.
    regions : (n,) int64
        The regions at these places.
    pieces : tuple of Piece
        Together they hold the regions.
    piece_of : (R,) int16
        Which piece holds a region; -1 for none.
    """

    number: int
    first: int
    stop: int
    regions: I64
    pieces: tuple[Piece, ...]
    piece_of: Any


class BufferReader:
    """Reads regions in the order of epochs, buffer by buffer.

    Parameters
    ----------
    inputs : Inputs
    regions : StreamRegions
    backend : Backend
    shuffle : bool
        Whether regions come in a random order, block by block; else as they were given.
    budget_bytes : int
        For buffers, and all that is needed to read them.
    split_ploids : bool
        See `read_piece`.
    """

    def __init__(
        self,
        inputs: Inputs,
        regions: StreamRegions,
        backend: Backend,
        shuffle: bool,
        budget_bytes: int,
        split_ploids: bool,
    ) -> None:
        self.inputs, self.regions, self.backend = inputs, regions, backend
        self.shuffle, self.split_ploids = shuffle, split_ploids
        self.capacity = self._capacity(budget_bytes)
        n_blocks = min(N_BLOCKS, len(regions))
        self._by_position = np.lexsort((regions.start, regions.contig_index)).astype(np.int64)
        self._blocks = np.linspace(0, len(regions), n_blocks + 1).astype(np.int64)
        self._costs = np.full(len(regions), -1, np.int64)
        self._kept: Buffer | None = None  # holds all regions

    def _capacity(self, budget_bytes: int) -> int:
        inputs, n_contigs = self.inputs, len(self.regions.contigs)
        lists = n_contigs * len(inputs.samples) * (2 * inputs.ploidy + len(inputs.tracks))
        own = 16 * lists + 64 * len(self.regions)
        fasta = inputs.fasta
        self._genome: Genome | None = None
        self._genome_cost = 0  # of a region
        if fasta is not None:
            self._genome_cost = PAGE_BP // 2 * (self.regions.length_bp // PAGE_BP + 2)
            genome = fasta.open()
            if fasta.in_memory or genome.nbytes_total <= budget_bytes // 8:
                self._genome, self._genome_cost = genome, 0
                own += genome.nbytes_total
        capacity = (budget_bytes - own) // BUDGET_PARTS
        if capacity <= 0:
            raise InvalidInputError(
                f"argument max_memory_gb: expected room for the lists of {len(inputs.samples)} "
                f"samples and the reference, {own} bytes; got {budget_bytes} besides the batches. "
                "Give more, or fewer samples"
            )
        return capacity

    def __getstate__(self) -> dict[str, Any]:
        # Read data stays in its process.
        return {**self.__dict__, "_kept": None, "backend": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        from bigwig_loader.backend.select import select_backend

        self.__dict__.update(state)
        self.backend = select_backend("cpu", 1)

    def order(self, seed: int, epoch: int) -> I64:
        """The regions (R,) in the order of an epoch."""
        if not self.shuffle:
            return np.arange(len(self.regions))
        n = len(self._blocks) - 1
        blocks = permute(n, np.arange(n), seed, epoch, stream=Stream.ORDER, lane=MAX_LANES - 1)
        parts = [self._by_position[self._blocks[b] : self._blocks[b + 1]] for b in blocks.tolist()]
        return np.concatenate(parts)

    def buffers(
        self, seed: int, epoch: int, place: int = 0, number: int = 0, ahead: bool = True
    ) -> Generator[Buffer, None, None]:
        """Buffers of an epoch from a place in its order on.

        Parameters
        ----------
        seed, epoch : int
        place, number : int
            Where a buffer begins, and which it is.
        ahead : bool
            Read the next one in a thread meanwhile.
        """
        order = self.order(seed, epoch)
        kept = self._kept
        if kept is not None and place == 0:
            yield Buffer(0, 0, len(order), order, kept.pieces, kept.piece_of)
            return
        stopped = threading.Event()
        made = self._in_turn(order, place, number, stopped)
        if not ahead:
            yield from made
            return
        from concurrent.futures import ThreadPoolExecutor

        pool = ThreadPoolExecutor(1, thread_name_prefix="bigwig-loader-buffer")
        try:
            following = pool.submit(next, made, None)
            while (buffer := following.result()) is not None:
                following = pool.submit(next, made, None)
                yield buffer
                del buffer
        finally:
            stopped.set()
            pool.shutdown(wait=True, cancel_futures=True)
            made.close()

    def _in_turn(
        self, order: I64, place: int, number: int, stopped: threading.Event
    ) -> Generator[Buffer, None, None]:
        held: tuple[Piece, ...] = ()
        end = place  # the places before are in the pieces held
        while place < len(order):
            held, stop, end = self._fill(order, place, held, end, stopped)
            piece_of = np.full(len(order), -1, np.int16)
            for i, piece in enumerate(held):
                piece_of[piece.rows] = i
            buffer = Buffer(number, place, stop, order[place:stop], held, piece_of)
            if stop - place == len(order):
                self._kept = buffer
            beyond = np.unique(piece_of[order[stop:end]])
            held = tuple(held[i] for i in beyond.tolist())
            place, number = stop, number + 1
            yield buffer
            del buffer

    def _fill(
        self,
        order: I64,
        place: int,
        pieces: tuple[Piece, ...],
        end: int,
        stopped: threading.Event,
    ) -> tuple[tuple[Piece, ...], int, int]:
        """Read what the buffer lacks that begins at a place.

        Returns
        -------
        pieces : tuple of Piece
        stop : int
            Where the buffer ends.
        end : int
            Where the pieces end, which may be further.
        """
        while True:
            stop = self._cut(order, place)
            if stop is not None and stop <= end:
                return pieces, stop, end
            if stopped.is_set():
                raise LoaderError("the loader was closed while it read a buffer")
            size = self._affordable(order, end, stop)
            if stop is None:
                size = min(size, max((end - place) * (GROWTH - 1), FIRST_PIECE))
            rows = np.sort(order[end : end + size])
            piece = self._read(rows)
            self._costs[rows] = piece.costs + self._genome_cost
            pieces = (*pieces, piece)
            end += len(rows)

    def _cut(self, order: I64, place: int) -> int | None:
        """Where the buffer ends that begins at a place; None where costs are not known so far."""
        total, at = 0, place
        while at < len(order):
            costs = self._costs[order[at : at + COSTS_AT_ONCE]]
            known = costs if costs.min() >= 0 else costs[: int(np.argmin(costs >= 0))]
            sums = total + np.cumsum(known)
            n = int(np.searchsorted(sums, self.capacity, side="right"))
            if n < len(known):
                if at + n == place:
                    raise self._too_large(int(order[place]))
                return at + n
            if len(known) < len(costs):
                return None
            total, at = int(sums[-1]), at + len(costs)
        return len(order)

    def _too_large(self, row: int) -> InvalidInputError:
        return InvalidInputError(
            f"argument max_memory_gb: expected room for {self.regions.describe(row)}, whose "
            f"variants and intervals take about {int(self._costs[row])} bytes; got "
            f"{self.capacity} for each buffer. Give more, or fewer samples"
        )

    def _affordable(self, order: I64, end: int, stop: int | None) -> int:
        """How many regions to read next: those that make a piece of a buffer, at least one.

        By their costs up to `stop`, where they are known; else by the mean so far.
        """
        most = self.capacity // PIECES
        if stop is not None:
            costs = np.cumsum(self._costs[order[end:stop]])
            return max(1, int(np.searchsorted(costs, most, side="right")))
        known = self._costs[self._costs >= 0]
        if not len(known):
            return FIRST_PIECE
        return max(1, int(most / max(1.0, float(known.mean()))))

    def _read(self, rows: I64) -> Piece:
        genome = self._genome
        if genome is None and self.inputs.fasta is not None:
            genome = self.inputs.fasta.open()  # whose bases go with the piece
        return read_piece(self.inputs, self.regions, rows, genome, self.backend, self.split_ploids)
