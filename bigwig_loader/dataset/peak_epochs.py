"""Epochs of a peak loader: which examples a batch holds, reading ahead, saving and resuming."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from functools import cached_property
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.assemble.batch import Batch
from bigwig_loader.dataset.ahead import Begun, begun_ahead
from bigwig_loader.dataset.iterator import BatchIterator
from bigwig_loader.dataset.lanes import in_lanes
from bigwig_loader.dataset.loader import Prefetcher
from bigwig_loader.dataset.peak_build import make_plan
from bigwig_loader.dataset.peak_loci import PeakLoci
from bigwig_loader.dataset.peak_options import DrawOptions
from bigwig_loader.dataset.peak_reader import PeakReader
from bigwig_loader.dataset.state import Progress, check_state, make_state
from bigwig_loader.dataset.stats import SIGNAL, LoaderStats, Meter
from bigwig_loader.errors import InvalidInputError, LoaderError
from bigwig_loader.sampling.digest import digest
from bigwig_loader.sampling.peaks import PeakExamples, PeakPlan
from bigwig_loader.sampling.ranks import Shard, Uneven
from bigwig_loader.sampling.rng import check_epoch

if TYPE_CHECKING:
    import pandas as pd

    from bigwig_loader.backend.protocol import Backend

# What is read in one call, in whole batches: a call costs as much as reading a few examples.
READ_AT_ONCE = 512
READ_AT_ONCE_BYTES = 16 << 20


class PeakEpochs:
    """What a `PeakDataset` does once it is made; its attributes are set there."""

    batch_size: int
    drop_last: bool
    prefetch: int
    n_examples: int
    _uneven: Uneven
    _shard: Shard
    _loci: PeakLoci
    _draw: DrawOptions
    _seed_given: bool
    _plan: PeakPlan
    _reader: PeakReader
    _progress: Progress

    @property
    def random_state(self) -> int:
        """The seed, given or drawn."""
        return self._draw.random_state

    @property
    def n_peaks(self) -> int:
        """Peaks that are kept and drawn."""
        return len(self._loci.kept_peaks)

    @property
    def n_negatives(self) -> int:
        """Background regions that are kept."""
        return len(self._loci.kept_negatives)

    @property
    def reasons(self) -> pd.DataFrame:
        """Why every locus is kept or dropped: the reason table.

        Columns ``kind`` ("peak" or "negative") and those of `Loci.table`; in order of the files.
        """
        return self._loci.table()

    @property
    def n_batches(self) -> int:
        """Batches of an epoch, of all ranks together.

        A last batch that is too short for each rank to have an example is none.
        """
        whole, rest = divmod(self.n_examples, self.batch_size)
        return whole + (not self.drop_last and len(self._shard.slice_of(rest, self._uneven)) > 0)

    @property
    def epoch(self) -> int:
        """The current epoch, which the next or present iteration runs through."""
        return self._progress.epoch

    @property
    def shard(self) -> Shard:
        """Which part of every batch this process makes."""
        return self._shard

    @property
    def meter(self) -> Meter:
        """What counts the time of this process' batches."""
        return self._reader.meter

    def __len__(self) -> int:
        """Batches of an epoch."""
        return self.n_batches

    def indices(self, batch: int) -> npt.NDArray[np.int64]:
        """Which examples of an epoch a batch holds, those of this rank."""
        first = batch * self.batch_size
        n = min(self.batch_size, self.n_examples - first)
        return first + self._shard.slice_of(n, self._uneven)

    def examples(self, epoch: int, indices: npt.ArrayLike, index: int | None = None) -> Batch:
        """Any examples of any epoch, whatever was read before.

        Parameters
        ----------
        epoch : int
        indices : (k,) int
            Each in [0, n_examples).
        index : int, optional
            Number of the batch they are, for `Batch.index`.
        """
        batch = self._begin(epoch, indices, index).result()
        self._reader.hand_over(batch)
        return batch

    def _begin(self, epoch: int, indices: npt.ArrayLike, index: int | None = None) -> Begun[Batch]:
        """Ask for `examples`."""
        return self._reader.begin(lambda: self._drawn(epoch, indices), epoch, index)

    def _drawn(self, epoch: int, indices: npt.ArrayLike) -> PeakExamples:
        wanted = np.atleast_1d(np.asarray(indices, np.int64))
        if not len(wanted):
            raise InvalidInputError("indices of examples: expected at least one; got none")
        outside = wanted[(wanted < 0) | (wanted >= self.n_examples)]
        if len(outside):
            raise InvalidInputError(
                f"index of an example: expected 0 to {self.n_examples - 1}; got {outside[0]}"
            )
        check_epoch(epoch)
        with self._reader.meter.stage("plan"):
            return self._plan.draw(0 if self._draw.is_fixed else epoch, wanted)

    def batches(
        self, epoch: int, first: int = 0, step: int = 1, prefetch: int | None = None
    ) -> Prefetcher[Batch]:
        """Batches first, first + step, ... of any epoch; the data set's own position stays."""
        depth = self.prefetch if prefetch is None else prefetch
        wanted = range(first, self.n_batches, step)
        source = self._make_batches(check_epoch(epoch), wanted, ahead=depth > 0)
        reader = self._reader
        return Prefetcher(source, depth, meter=reader.meter, hand_over=reader.hand_over)

    def hand_over(self, batch: Batch, stream: int | None = None) -> None:
        """Say on which CUDA stream a batch is used; as `BigWigDataset.hand_over`."""
        self._reader.hand_over(batch, stream)

    @property
    def backend(self) -> Backend:
        """What makes the batches; ``print(dataset.backend.status)`` says which and why."""
        return self._reader.inputs.sequences.backend

    def _make_batches(self, epoch: int, wanted: range, ahead: bool = True) -> Iterator[Batch]:
        """Batches, several of them read at once: slices of the same arrays that do not overlap.

        With `ahead`, several groups of batches are read at the same time: as many as there are
        lanes, or as the backend works on behind our back (`Backend.lookahead`).
        """
        # The first one is waited for, so it comes alone.
        most = self._at_once() if ahead else 1
        sizes = chain((1, 2, 4), repeat(most))
        groups, first = [], 0
        while first < len(wanted):
            size = min(next(sizes), most)
            groups.append(wanted[first : first + size])
            first += size
        # Closed by name: an error's traceback would keep the lanes, and so their threads, alive.
        with closing(self._read_groups(epoch, groups, ahead)) as made:
            for batches, error in made:
                batches.reverse()
                while batches:  # a batch that was taken is not kept alive here
                    yield batches.pop()
                if error is not None:
                    raise error

    def _read_groups(
        self, epoch: int, groups: list[range], ahead: bool
    ) -> Generator[tuple[list[Batch], Exception | None], None, None]:
        """The batches of each group, in order; at an error, those before it, and the error."""

        def start(group: range) -> Begun[Batch]:
            indices = np.concatenate([self.indices(batch) for batch in group])
            return self._begin(epoch, indices, group[0] if len(group) == 1 else None)

        reader = self._reader
        if ahead and not reader.lookahead:
            yield from in_lanes(lambda g: self._finish(epoch, g, start(g)), groups, reader.n_lanes)
            return
        with closing(begun_ahead(start, groups, reader.lookahead if ahead else 0)) as all_begun:
            for group, begun in all_begun:
                yield self._finish(epoch, group, begun)

    def _at_once(self) -> int:
        """Batches that are read in one call."""
        examples = min(READ_AT_ONCE, READ_AT_ONCE_BYTES // self._reader.example_bytes)
        return max(1, examples * self._shard.world_size // self.batch_size)

    def _finish(
        self, epoch: int, group: range, begun: Begun[Batch]
    ) -> tuple[list[Batch], Exception | None]:
        """The batches of a group; at an error, those before it, and the error."""
        joined: Batch | None = None
        try:
            with self._reader.meter.stage(SIGNAL):
                joined = begun.result()
        except Exception as error:
            if len(group) == 1:
                return [], _failure(f"batch {group[0]}", epoch, error)
        if joined is not None and len(group) == 1:
            return [joined], None
        if joined is not None:
            stops = np.cumsum([len(self.indices(batch)) for batch in group]).tolist()
            starts = [0, *stops[:-1]]
            parts = zip(group, starts, stops, strict=True)
            return [joined.rows(a, b, batch) for batch, a, b in parts], None
        # One at a time, so that those before the bad one are delivered.
        batches: list[Batch] = []
        for batch in group:
            try:
                batches.append(self.read_batch(epoch, self.indices(batch), batch))
            except LoaderError as error:
                return batches, error
        return batches, None

    def read_batch(self, epoch: int, indices: npt.ArrayLike, batch: int | None = None) -> Batch:
        """`examples`, with an error that names the batch.

        Raises
        ------
        LoaderError
            If it cannot be read; the original error is ``__cause__``.
        """
        try:
            return self.examples(epoch, indices, batch)
        except Exception as error:
            which = f"batch {batch}" if batch is not None else f"examples {np.asarray(indices)}"
            raise _failure(which, epoch, error) from error

    def __iter__(self) -> BatchIterator:
        """The next epoch from its beginning; after `load_state_dict`, the rest of that epoch."""
        self._progress = self._progress.following()
        batches = self.batches(self._progress.epoch, self._progress.batch)
        return BatchIterator(batches, self._progress, as_objects=True)

    def set_epoch(self, epoch: int) -> None:
        """Go to the beginning of an epoch."""
        self._progress = Progress(check_epoch(epoch))

    def stats(self) -> LoaderStats:
        """What making batches took in this process so far; ``print()`` shows it as a table."""
        return self._reader.meter.snapshot(self._reader.inputs.counts())

    @cached_property
    def fingerprint(self) -> dict[str, Any]:
        """What decides what is in the batches, by name."""
        inputs, loci = self._reader.inputs, self._loci
        tracks = [t for t in (inputs.signals, inputs.controls) if t is not None]
        return {
            "mode": self._draw.mode,
            "batch_size": self.batch_size,
            "drop_last": self.drop_last,
            "n_examples": self.n_examples,
            "count_target": self._reader.count_target,
            "windows": digest(self._reader.windows),
            "tracks": digest(*((t.names, t.groups) for t in tracks)),
            "peaks": digest(loci.kept_peaks.contig, loci.kept_peaks.middle),
            "negatives": digest(loci.kept_negatives.contig, loci.kept_negatives.middle),
            "plan": self._plan.fingerprint(),
        }

    def state_dict(self) -> dict[str, Any]:
        """Where the epoch stands: a small dictionary that JSON can hold."""
        progress = self._progress
        return self.make_state(progress.epoch, progress.batch)

    def make_state(self, epoch: int, batch: int) -> dict[str, Any]:
        """The state after `batch` batches of an epoch."""
        return make_state(self.random_state, epoch, batch, self.fingerprint)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was called, with the very batches that would have followed.

        Raises
        ------
        InvalidInputError
            If the state is that of a data set that would make other batches.
        """
        epoch, batch = self.check_state(state)
        self._progress = Progress(epoch, batch, resumed=True)

    def check_state(self, state: Mapping[str, Any]) -> tuple[int, int]:
        """Epoch and batch of a state, if it is one of a data set with the same batches.

        A data set that drew its seed takes that of the state.
        """
        seed, epoch, batch = check_state(state, self.fingerprint)
        if seed != self.random_state and not self._seed_given:
            self._draw = dataclasses.replace(self._draw, random_state=seed)
            self._plan = make_plan(self._loci, self._draw, self._reader.windows)
        elif seed != self.random_state:
            raise InvalidInputError(
                f"state: expected random_state {self.random_state}; got {seed}. Make this data "
                f"set with random_state={seed}"
            )
        return epoch, batch


def _failure(which: str, epoch: int, error: Exception) -> LoaderError:
    failure = LoaderError(
        f"{which} of epoch {epoch} could not be read: {type(error).__name__}: {error}"
    )
    failure.__cause__ = error
    return failure
