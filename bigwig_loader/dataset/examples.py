"""Which positions, and so which windows, make up which batch of an epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bigwig_loader.dataset.options import BatchOptions, ShareOptions, WindowOptions
from bigwig_loader.dataset.unknown import UnknownFilter
from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.plan.windows import ContigTable, Windows
from bigwig_loader.sampling.listed import PositionParser, is_one_shot
from bigwig_loader.sampling.positions import Positions
from bigwig_loader.sampling.sampler import Sampler
from bigwig_loader.sampling.samples import SampleChoice
from bigwig_loader.sampling.tracks import TrackIndices, TrackSampler

MAX_ATTEMPTS = 1000
# Positions of small batches are drawn for several batches in one call, so that a batch costs
# microseconds; no more of them than can be looked through before anyone waits.
MAX_DRAWN = 1024
MAX_DRAWN_BP = 4 << 20


@dataclass(frozen=True, eq=False)
class BatchPlan:
    """One batch before anything is read: B windows and the tracks to read there.

    Parameters
    ----------
    epoch, index : int
    windows : Windows
    tracks : (T,) int64 or None
        None for all.
    positions : Positions, optional
        What the windows were made from; says their sources, regions and jitter.
    """

    epoch: int
    index: int
    windows: Windows
    tracks: TrackIndices | None
    positions: Positions | None = None

    def take(self, which: slice) -> BatchPlan:
        """A batch of some of the windows."""
        positions = None if self.positions is None else self.positions.take(which)
        return replace(self, windows=self.windows.take(which), positions=positions)


class Examples(Protocol):
    """The positions of an epoch, batch by batch; of each batch, this process' share.

    Attributes
    ----------
    window : WindowOptions
    n_planned : int or None
        Batches of an epoch, the same for any number of processes; None where only walking
        through them can tell.
    n_batches : int or None
        Those of them in which every process has an example.
    """

    window: WindowOptions

    @property
    def n_planned(self) -> int | None: ...

    @property
    def n_batches(self) -> int | None: ...

    def batches(self, epoch: int, first: int, step: int) -> Iterator[Positions]:
        """Positions of batches first, first + step, ... to the end of the epoch."""
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
    unknown : UnknownFilter, optional
        An example that it refuses is drawn again with attempt 1, 2, ... up to `MAX_ATTEMPTS`.
    share : ShareOptions, optional
        Only the examples of this process are drawn and looked at.
    samples : SampleChoice, optional
        Whose haplotypes examples show.
    """

    def __init__(
        self,
        sampler: Sampler,
        contigs: ContigTable,
        window: WindowOptions,
        batch_size: int,
        n_batches: int,
        unknown: UnknownFilter | None = None,
        share: ShareOptions | None = None,
        samples: SampleChoice | None = None,
    ) -> None:
        self.sampler = sampler
        self.contigs = contigs
        self.window = window
        self.batch_size = batch_size
        self.n_planned = n_batches
        self.unknown = unknown
        self.share = share or ShareOptions()
        self.samples = samples
        known = {name: i for i, name in enumerate(contigs.names)}
        self._contig_index = np.array([known.get(n, -1) for n in sampler.contig_names], np.int32)

    @property
    def n_batches(self) -> int:
        """Batches of an epoch, without a last one that is too short to be shared out."""
        return self.n_planned - (len(self._indices(self.n_planned - 1)) == 0)

    def batches(self, epoch: int, first: int, step: int) -> Iterator[Positions]:
        wanted = range(first, self.n_batches, step)
        size = max(1, self.batch_size // self.share.shard.world_size)
        at_once = max(1, min(MAX_DRAWN, MAX_DRAWN_BP // self.window.sequence_length) // size)
        for i in range(0, len(wanted), at_once):
            run = [self._indices(batch) for batch in wanted[i : i + at_once]]
            try:
                positions = self.positions(epoch, np.concatenate(run))
            except Exception:
                # One by one, so that the batches before the bad one are delivered.
                yield from (self.positions(epoch, indices) for indices in run)
                continue
            stops = np.cumsum([len(indices) for indices in run])
            for indices, stop in zip(run, stops.tolist(), strict=True):
                yield positions.take(slice(stop - len(indices), stop))

    def _indices(self, batch: int) -> npt.NDArray[np.int64]:
        """Indices of this process' examples of a batch; fewer in the last."""
        first, end = batch * self.batch_size, self.sampler.n_examples
        stop = first + self.batch_size
        indices = np.arange(first, stop if end is None else min(stop, end))
        return indices[self.share.places(len(indices))]

    def positions(self, epoch: int, indices: npt.NDArray[np.int64]) -> Positions:
        """Positions of the examples at the given indices of an epoch.

        Raises
        ------
        InvalidInputError
            If an example still has too many unknown bases after `MAX_ATTEMPTS` draws.
        """
        positions = self._accepted(epoch, indices)
        if self.samples is None:
            return positions
        return positions.with_fields(sample=self.samples.draw(epoch, indices))

    def _accepted(self, epoch: int, indices: npt.NDArray[np.int64]) -> Positions:
        positions = self._draw(epoch, indices, 0)
        if self.unknown is None:
            return positions
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
        return positions

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
        return drawn.with_fields(contig=contig)


Augment = Callable[[Sampler], Sampler]


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
        Positions that it refuses are left out, and counted in `n_left_out`. Every process looks at
        all of them, because only so it knows which are its own.
    share : ShareOptions, optional
    augment : function of a Sampler, optional
        Adds jitter and strand. Example i of an epoch is the i-th position that was not left out.
    """

    n_planned = None
    n_batches = None
    samples: SampleChoice | None = None  # whose haplotypes examples show

    def __init__(
        self,
        iterable: Iterable[Any],
        parser: PositionParser,
        contigs: ContigTable,
        window: WindowOptions,
        batch: BatchOptions,
        unknown: UnknownFilter | None = None,
        share: ShareOptions | None = None,
        augment: Augment | None = None,
    ) -> None:
        self.iterable = iterable
        self.parser = parser
        self.contigs = contigs
        self.window = window
        self.batch = batch
        self.unknown = unknown
        self.share = share or ShareOptions()
        self.augment = augment
        self.n_left_out = 0
        self._contig_index = contigs.index_of(parser.contigs.names)

    def batches(self, epoch: int, first: int, step: int) -> Iterator[Positions]:
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
            positions = self._take(numbered)
            whole = len(positions) == self.batch.batch_size
            if not len(positions) or (self.batch.drop_last and not whole):
                if index == 0:
                    raise InvalidInputError(
                        f"custom_position_sampler: expected at least one batch in epoch {epoch}; "
                        f"got {len(positions)} usable positions for batch_size "
                        f"{self.batch.batch_size} with drop_last={self.batch.drop_last}. "
                        "A generator is used up after one epoch; pass a list or an object with "
                        "__iter__ for more"
                    )
                return
            places = self.share.places(len(positions))
            if len(places) and index >= first and (index - first) % step == 0:
                yield self._augmented(positions, epoch, index, places)
            if not whole:
                return

    def _augmented(
        self, positions: Positions, epoch: int, index: int, places: npt.NDArray[np.int64]
    ) -> Positions:
        """The positions at `places` of a batch, with jitter and strand."""
        size, contigs = self.batch.batch_size, self.contigs
        if self.augment is None:
            drawn = self.samples and self.samples.draw(epoch, index * size + places)
            return positions.take(places).with_fields(sample=drawn)
        of_batch = _BatchPositions(contigs.names, positions, index * size)
        indexed = IndexedExamples(
            self.augment(of_batch), contigs, self.window, size, index + 1, self.unknown
        )
        indexed.samples = self.samples
        return indexed.positions(epoch, index * size + places)

    def _take(self, numbered: Iterator[tuple[int, Any]]) -> Positions:
        """The next `batch_size` positions that are not refused; fewer at the end."""
        taken = [Positions(np.array([]), np.array([]))]
        missing = self.batch.batch_size
        while missing:
            items = [item for _, item in zip(range(missing), numbered, strict=False)]
            if not items:
                break
            parsed = self.parser.parse((item for _, item in items), items[0][0])
            positions = parsed.with_fields(contig=self._contig_index[parsed.contig])
            if self.unknown is not None:
                accepted = self.unknown.accepts(self.window.sequence_windows(positions))
                self.n_left_out += int((~accepted).sum())
                positions = positions.take(accepted)
            taken.append(positions)
            missing -= len(positions)
        return Positions(
            np.concatenate([p.contig for p in taken]), np.concatenate([p.position for p in taken])
        )


class _BatchPositions:
    """The positions of one batch as a sampler."""

    n_examples = None

    def __init__(self, contig_names: tuple[str, ...], positions: Positions, first: int) -> None:
        self.contig_names = contig_names
        self.positions = positions
        self.first = first

    def draw(self, epoch: int, indices: npt.NDArray[np.int64], attempt: int = 0) -> Positions:
        return self.positions.take(indices - self.first)


def join_windows(parts: list[Windows]) -> Windows:
    """All windows of several sets of the same width, in order."""
    reverse = None
    if any(p.reverse is not None for p in parts):
        forward = [np.zeros(len(p), np.bool_) if p.reverse is None else p.reverse for p in parts]
        reverse = np.concatenate(forward)
    return Windows(
        np.concatenate([p.contig_index for p in parts]),
        np.concatenate([p.start for p in parts]),
        parts[0].length_bp,
        reverse,
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
    for positions in examples.batches(epoch, first, step):
        track_indices = next(chosen, _EXHAUSTED)
        if track_indices is _EXHAUSTED:
            if index == 0:
                raise InvalidInputError(
                    f"custom_track_sampler: expected track indices for every batch; got none in "
                    f"epoch {epoch}. A generator is used up after one epoch; pass a list or an "
                    "object with __iter__ for more"
                )
            return
        windows = examples.window.sequence_windows(positions)
        yield BatchPlan(epoch, index, windows, track_indices, positions)
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
