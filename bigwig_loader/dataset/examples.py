"""Which windows make up which batch of an epoch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bigwig_loader.dataset.options import BatchOptions, WindowOptions
from bigwig_loader.dataset.unknown import UnknownFilter
from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.plan.windows import ContigTable, Windows
from bigwig_loader.sampling.listed import PositionParser, is_one_shot
from bigwig_loader.sampling.positions import Positions
from bigwig_loader.sampling.sampler import Sampler
from bigwig_loader.sampling.tracks import TrackIndices, TrackSampler

MAX_ATTEMPTS = 1000
# Positions of small batches are drawn for several batches in one call, so that a batch costs
# microseconds; no more of them than can be looked through before anyone waits.
MAX_DRAWN = 1024
MAX_DRAWN_BP = 4 << 20


@dataclass(frozen=True, eq=False)
class BatchPlan:
    """One batch before anything is read: B windows and the tracks to read there."""

    epoch: int
    index: int
    windows: Windows
    tracks: TrackIndices | None


class Examples(Protocol):
    """The windows of an epoch, batch by batch."""

    @property
    def n_batches(self) -> int | None:
        """Batches of an epoch; None where only walking through them can tell."""
        ...

    def batches(self, epoch: int, first: int, step: int) -> Iterator[Windows]:
        """Sequence windows of batches first, first + step, ... to the end of the epoch."""
        ...


class IndexedExamples:
    """Examples of a `Sampler`: any batch can be made without those before it.

    Parameters
    ----------
    sampler : Sampler
    contigs : ContigTable
        The contigs that the windows count.
    window : WindowOptions
    batch_size, n_batches : int
    n_examples : int, optional
        Where the sampler has an end, the number of its examples: the last batch is shorter.
    unknown : UnknownFilter, optional
        An example that it refuses is drawn again with attempt 1, 2, ... up to `MAX_ATTEMPTS`.
    """

    def __init__(
        self,
        sampler: Sampler,
        contigs: ContigTable,
        window: WindowOptions,
        batch_size: int,
        n_batches: int,
        unknown: UnknownFilter | None = None,
    ) -> None:
        self.sampler = sampler
        self.contigs = contigs
        self.window = window
        self.batch_size = batch_size
        self.n_batches = n_batches
        self.unknown = unknown
        known = {name: i for i, name in enumerate(contigs.names)}
        self._contig_index = np.array([known.get(n, -1) for n in sampler.contig_names], np.int32)

    def batches(self, epoch: int, first: int, step: int) -> Iterator[Windows]:
        wanted = range(first, self.n_batches, step)
        at_once = max(
            1, min(MAX_DRAWN, MAX_DRAWN_BP // self.window.sequence_length) // self.batch_size
        )
        for i in range(0, len(wanted), at_once):
            run = [self._indices(batch) for batch in wanted[i : i + at_once]]
            try:
                windows = self.windows(epoch, np.concatenate(run))
            except Exception:
                # One by one, so that the batches before the bad one are delivered.
                yield from (self.windows(epoch, indices) for indices in run)
                continue
            stops = np.cumsum([len(indices) for indices in run])
            for indices, stop in zip(run, stops.tolist(), strict=True):
                yield windows.take(slice(stop - len(indices), stop))

    def _indices(self, batch: int) -> npt.NDArray[np.int64]:
        """Indices of the examples of a batch; fewer in the last."""
        first, end = batch * self.batch_size, self.sampler.n_examples
        stop = first + self.batch_size
        return np.arange(first, stop if end is None else min(stop, end))

    def windows(self, epoch: int, indices: npt.NDArray[np.int64]) -> Windows:
        """Sequence windows of the examples at the given indices of an epoch.

        Raises
        ------
        InvalidInputError
            If an example still has too many unknown bases after `MAX_ATTEMPTS` draws.
        """
        positions = self._draw(epoch, indices, 0)
        if self.unknown is None:
            return self.window.sequence_windows(positions)
        pending = np.arange(len(indices))
        for attempt in count(1):
            windows = self.window.sequence_windows(positions.take(pending))
            fraction = self.unknown.fraction(windows)
            refused = fraction > self.unknown.maximum_fraction
            pending = pending[refused]
            if not len(pending):
                break
            if attempt == MAX_ATTEMPTS:
                last = int(np.flatnonzero(refused)[0])
                worst = self.unknown.describe(windows, fraction, last)
                raise InvalidInputError(
                    f"no position found for example {indices[pending[0]]} of epoch {epoch} in "
                    f"{MAX_ATTEMPTS} draws; the last was {worst}. Leave such regions out of "
                    "regions_of_interest, or raise maximum_unknown_bases_fraction"
                )
            positions = positions.put(pending, self._draw(epoch, indices[pending], attempt))
        return self.window.sequence_windows(positions)

    def _draw(self, epoch: int, indices: npt.NDArray[np.int64], attempt: int) -> Positions:
        drawn = self.sampler.draw(epoch, indices, attempt)
        if len(drawn) != len(indices):
            raise InvalidInputError(
                f"{type(self.sampler).__name__}.draw: expected {len(indices)} positions; "
                f"got {len(drawn)}"
            )
        contig = self._contig_index[drawn.contig]
        if len(contig) and contig.min() < 0:
            name = self.sampler.contig_names[int(drawn.contig[int(np.argmin(contig))])]
            raise NotFoundError.among("contig", name, self.contigs.names, self.contigs.where)
        outside = np.flatnonzero(
            (drawn.position < 0) | (drawn.position >= self.contigs.lengths[contig])
        )
        if len(outside):
            i = int(outside[0])
            raise InvalidInputError(
                f"{type(self.sampler).__name__}.draw: expected positions within the contig; got "
                f"{self.contigs.names[contig[i]]}:{drawn.position[i]} for example {indices[i]}, "
                f"where the contig has {self.contigs.lengths[contig[i]]} bp"
            )
        return Positions(contig, drawn.position)


class StreamedExamples:
    """Examples of an iterable of (chrom, position), walked through once per epoch.

    Parameters
    ----------
    iterable : iterable of (str, int)
    parser : PositionParser
    contigs : ContigTable
        The contigs that the windows count.
    window : WindowOptions
    batch : BatchOptions
        `batches_per_epoch` ends an epoch before the iterable does; no item beyond it is taken.
    unknown : UnknownFilter, optional
        Positions that it refuses are left out, and counted in `n_left_out`.
    """

    n_batches = None

    def __init__(
        self,
        iterable: Iterable[Any],
        parser: PositionParser,
        contigs: ContigTable,
        window: WindowOptions,
        batch: BatchOptions,
        unknown: UnknownFilter | None = None,
    ) -> None:
        self.iterable = iterable
        self.parser = parser
        self.window = window
        self.batch = batch
        self.unknown = unknown
        self.n_left_out = 0
        self._contig_index = contigs.index_of(parser.contigs.names)

    def batches(self, epoch: int, first: int, step: int) -> Iterator[Windows]:
        if first and is_one_shot(self.iterable):
            raise InvalidInputError(
                f"custom_position_sampler: epoch {epoch} cannot go on at batch {first}, because a "
                f"{type(self.iterable).__name__} cannot be walked through again from its "
                "beginning. Pass a list or an object with __iter__, or start over with set_epoch"
            )
        numbered = enumerate(self.iterable)
        limit = self.batch.batches_per_epoch
        for index in count():
            if limit is not None and index >= limit:
                return
            windows = self._take(numbered)
            whole = len(windows) == self.batch.batch_size
            if not len(windows) or (self.batch.drop_last and not whole):
                if index == 0:
                    raise InvalidInputError(
                        f"custom_position_sampler: expected at least one batch in epoch {epoch}; "
                        f"got {len(windows)} usable positions for batch_size "
                        f"{self.batch.batch_size} with drop_last={self.batch.drop_last}. "
                        "A generator is used up after one epoch; pass a list or an object with "
                        "__iter__ for more"
                    )
                return
            if index >= first and (index - first) % step == 0:
                yield windows
            if not whole:
                return

    def _take(self, numbered: Iterator[tuple[int, Any]]) -> Windows:
        """The next `batch_size` windows that are not refused; fewer at the end."""
        taken = [self.window.sequence_windows(Positions(np.array([]), np.array([])))]
        missing = self.batch.batch_size
        while missing:
            items = [item for _, item in zip(range(missing), numbered, strict=False)]
            if not items:
                break
            positions = self.parser.parse((item for _, item in items), items[0][0])
            contig = self._contig_index[positions.contig]
            windows = self.window.sequence_windows(Positions(contig, positions.position))
            if self.unknown is not None:
                accepted = self.unknown.accepts(windows)
                self.n_left_out += int((~accepted).sum())
                windows = windows.take(np.flatnonzero(accepted))
            taken.append(windows)
            missing -= len(windows)
        return join_windows(taken)


def join_windows(parts: list[Windows]) -> Windows:
    """All windows of several sets of the same width, in order."""
    return Windows(
        np.concatenate([p.contig_index for p in parts]),
        np.concatenate([p.start for p in parts]),
        parts[0].length_bp,
    )


def plan_batches(
    examples: Examples, tracks: TrackSampler, epoch: int, first: int, step: int
) -> Iterator[BatchPlan]:
    """Plans of batches first, first + step, ... to the end of an epoch.

    Raises
    ------
    InvalidInputError
        If there are no tracks for the very first batch of an epoch: a generator that is used up.
    """
    chosen = tracks.tracks(epoch, first, step)
    index = first
    for windows in examples.batches(epoch, first, step):
        track_indices = next(chosen, _EXHAUSTED)
        if track_indices is _EXHAUSTED:
            if index == 0:
                raise InvalidInputError(
                    f"custom_track_sampler: expected track indices for every batch; got none in "
                    f"epoch {epoch}. A generator is used up after one epoch; pass a list or an "
                    "object with __iter__ for more"
                )
            return
        yield BatchPlan(epoch, index, windows, track_indices)
        index += step


_EXHAUSTED: Any = object()


def group_plans(plans: Iterator[BatchPlan], size: int) -> Iterator[list[BatchPlan]]:
    """Runs of `size` plans; the last may be shorter.

    If `plans` raises, the plans before the error come first.
    """
    group: list[BatchPlan] = []
    try:
        for plan in plans:
            group.append(plan)
            if len(group) == size:
                yield group
                group = []
    except Exception:
        if group:
            yield group
        raise
    if group:
        yield group
