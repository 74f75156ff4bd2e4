"""Epochs of a streaming loader: which examples, out of which buffer, in which batch."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np

from bigwig_loader.dataset.personal.buffers import Buffer, BufferReader
from bigwig_loader.dataset.personal.encode import Arrays, Encoder, join_rows
from bigwig_loader.dataset.personal.pieces import I64
from bigwig_loader.dataset.prepared.epochs import MAX_DRAWN, BatchEpochs, CellBatch, batch_error
from bigwig_loader.dataset.prepared.loader_options import CellOptions
from bigwig_loader.errors import LoaderError
from bigwig_loader.sampling.cells import GridCells
from bigwig_loader.sampling.rng import MAX_LANES

# Of a batch as a dictionary, with its index: what is delivered.
FinishBatch = Callable[[Arrays, I64], Any]


@dataclass(frozen=True)
class StreamPlan:
    """Which batch of which epoch."""

    epoch: int
    index: int


@dataclass(frozen=True, eq=False)
class StreamSettings:
    """All that decides what batches hold.

    Parameters
    ----------
    encoder : Encoder
    reader : BufferReader
    shuffle : bool
    region_weights, column_weights : (R,), (K,) array, optional
        How often examples come; see `GridCells`.
    finish : function
    """

    encoder: Encoder
    reader: BufferReader
    shuffle: bool
    region_weights: Any
    column_weights: Any
    finish: FinishBatch

    def grid(self, regions: I64, number: int) -> GridCells:
        """The examples of the regions of a buffer."""
        weights = None if self.region_weights is None else self.region_weights[regions]
        return GridCells(
            len(regions),
            self.encoder.n_columns,
            self.shuffle,
            weights,
            self.column_weights,
            lane=number % (MAX_LANES - 1),
        )

    def all_examples(self) -> GridCells:
        """The examples of an epoch, in no order."""
        return self.grid(np.arange(len(self.encoder.regions)), 0)


class StreamEpochs(BatchEpochs):
    """Epochs over regions that are read buffer by buffer.

    Examples are shuffled within a buffer; with all regions in one, that is a whole shuffle.

    Parameters
    ----------
    settings : StreamSettings
    options : CellOptions
    fingerprint : mapping
        What decides what is in the batches, by name.
    seed_given : bool
    """

    def __init__(
        self,
        settings: StreamSettings,
        options: CellOptions,
        fingerprint: Mapping[str, Any],
        seed_given: bool,
    ) -> None:
        super().__init__(settings.all_examples().n_examples, options, fingerprint, seed_given)
        self.settings = settings
        # Of the present epoch: first example, place and number of each buffer that was begun.
        self._begun: tuple[int, list[tuple[int, int, int]]] = (-1, [])
        self._walk: _Walk | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_walk": None}

    def replace_by(self, other: StreamEpochs) -> None:
        """Become another one; iterators made before go on as they are."""
        if self._walk is not None:
            self._walk.close()
        meter = self.meter
        self.__dict__.update(other.__dict__)
        self.meter = meter

    def make(self, epoch: int, first: int = 0, step: int = 1) -> Iterator[CellBatch]:
        """Batches first, first + step, ... of an epoch, one when it is asked for."""
        wanted = range(first, self.n_batches, step)
        if not wanted:
            return
        with closing(_Walk(self, epoch, first, ahead=self.options.prefetch > 0)) as walk:
            for index in wanted:
                yield walk.batch(index)

    def plans(self, epoch: int, first: int = 0, step: int = 1) -> Iterator[StreamPlan]:
        """Those batches before anything is read."""
        return (StreamPlan(epoch, index) for index in range(first, self.n_batches, step))

    def read(self, plan: StreamPlan) -> CellBatch:
        """A batch; fast where batches of an epoch are asked for in order."""
        walk = self._walk
        if walk is None or walk.epoch != plan.epoch or plan.index < walk.next_index:
            if walk is not None:
                walk.close()
            walk = self._walk = _Walk(self, plan.epoch, plan.index, ahead=True)
        return walk.batch(plan.index)

    def begin_buffer(self, epoch: int, begun: tuple[int, int, int]) -> None:
        """Note where a buffer begins: first example, place, number."""
        if self._begun[0] != epoch:
            self._begun = (epoch, [(0, 0, 0)])
        if begun[0] > self._begun[1][-1][0]:
            self._begun[1].append(begun)

    def buffer_before(self, epoch: int, example: int) -> tuple[int, int, int]:
        """The last buffer known to begin at or before an example."""
        if self._begun[0] != epoch:
            return (0, 0, 0)
        return max(begun for begun in [(0, 0, 0), *self._begun[1]] if begun[0] <= example)

    def make_state(self, epoch: int, batch: int) -> dict[str, Any]:
        """The state after `batch` batches of an epoch."""
        begun = self.buffer_before(epoch, batch * self.options.batch_size)
        return {**super().make_state(epoch, batch), "buffer": list(begun)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was called, with the very batches that would have followed.

        Raises
        ------
        InvalidInputError
            If the state is that of a loader that would make other batches.
        """
        super().load_state_dict(state)
        first, place, number = (int(x) for x in state.get("buffer", (0, 0, 0)))
        self._begun = (self.progress.epoch, [(first, place, number)])


class _Walk:
    """Batches of one epoch, in ascending order."""

    def __init__(self, epochs: StreamEpochs, epoch: int, first: int, ahead: bool) -> None:
        self.epoch = epoch
        self.next_index = first
        # Its owner, or that of the generator it is in: a circle would keep a thread waiting.
        self._epochs: StreamEpochs = weakref.proxy(epochs)
        self._settings, self._options = epochs.settings, epochs.options
        self._n_examples = epochs.n_examples
        begun, place, number = epochs.buffer_before(epoch, first * self._options.batch_size)
        self._buffers = self._settings.reader.buffers(
            self._options.seed, epoch, place, number, ahead
        )
        self._first = self._stop = begun  # examples of the present buffer
        self._buffer: Buffer | None = None
        self._grid: GridCells | None = None
        self._drawn = (0, np.zeros(0, np.int64))

    def close(self) -> None:
        """Stop reading ahead, and let go of the buffer."""
        self._buffer = self._grid = None
        self._buffers.close()

    def batch(self, index: int) -> CellBatch:
        """A batch; later than those before."""
        self.next_index = index + 1
        wanted = self._options.indices(index, self._n_examples)
        try:
            data, cells = self._read(wanted)
        except LoaderError:
            raise
        except Exception as error:
            raise batch_error(self.epoch, index, wanted, error) from error
        return CellBatch(self.epoch, index, cells, data)

    def _read(self, wanted: I64) -> tuple[Any, I64]:
        meter, encoder = self._epochs.meter, self._settings.encoder
        parts: list[tuple[I64, Arrays]] = []
        cells = np.empty(len(wanted), np.int64)
        missing = np.ones(len(wanted), np.bool_)
        while missing.any():
            at = np.flatnonzero(missing & (wanted >= self._first) & (wanted < self._stop))
            if len(at):
                buffer, grid = self._buffer, self._grid
                assert buffer is not None
                assert grid is not None
                seed = self._options.seed
                with meter.stage("plan"):
                    drawn = self._draw(grid, wanted[at] - self._first)
                    region, column = np.divmod(drawn, encoder.n_columns)
                    region = buffer.regions[region]
                with meter.stage("sequence"):
                    parts.append((at, encoder.encode(buffer, region, column, seed, self.epoch)))
                cells[at] = region * encoder.n_columns + column
                missing[at] = False
                del buffer, grid
            if missing.any():
                with meter.stage("read"):
                    self._advance()
        with meter.stage("assemble"):
            return self._settings.finish(join_rows(parts, len(wanted)), cells), cells

    def _draw(self, grid: GridCells, places: I64) -> I64:
        """The cells at some places of the buffer's order; drawn for several batches at once."""
        low, high = int(places.min()), int(places.max()) + 1
        first, drawn = self._drawn
        if not first <= low < high <= first + len(drawn):
            stop = min(max(high, low + MAX_DRAWN), grid.n_examples)
            first, drawn = low, grid.draw(self._options.seed, self.epoch, np.arange(low, stop))
            self._drawn = (first, drawn)
        return drawn[places - first]

    def _advance(self) -> None:
        self._buffer = self._grid = None  # room for the one after the next
        self._drawn = (0, np.zeros(0, np.int64))
        buffer = next(self._buffers)
        grid = self._settings.grid(buffer.regions, buffer.number)
        self._first, self._stop = self._stop, self._stop + grid.n_examples
        self._epochs.begin_buffer(self.epoch, (self._first, buffer.first, buffer.number))
        self._buffer, self._grid = buffer, grid
