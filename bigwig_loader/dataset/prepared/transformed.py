"""`write_transformed_track`: a track computed from another one, stored for good."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from bigwig_loader.dataset.prepared.arrays import forget, save_array
from bigwig_loader.dataset.prepared.layout import (
    TRACK_ARRAYS,
    PreparedData,
    TrackData,
    open_prepared,
)
from bigwig_loader.dataset.prepared.making.memory import parse_bytes
from bigwig_loader.dataset.prepared.making.merge import ListPart
from bigwig_loader.dataset.prepared.making.painting import Canvas, Conflict, dense_values
from bigwig_loader.dataset.prepared.making.run import Runner, progress_bar
from bigwig_loader.dataset.prepared.making.target import Target
from bigwig_loader.dataset.prepared.making.track_parts import merge_track
from bigwig_loader.dataset.prepared.making.work import WorkFolder
from bigwig_loader.dataset.prepared.update import (
    check_free,
    dataset_path,
    publish_tracks,
    taken_folders,
)
from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.formats.interval_table import Intervals
from bigwig_loader.ragged import Ragged
from bigwig_loader.types import PathLike

Transform = Callable[
    [npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64], Ragged[np.float32]],
    Ragged[Any],
]

# Per base while a batch is worked on: values before and after, the transform's own, and the
# intervals that are made of them.
_BYTES_PER_BASE = 48
_MOST_BASES = 4 << 20


def write_transformed_track(
    dataset: PathLike | object,
    new: str,
    existing: str,
    transform: Transform,
    *,
    overwrite: bool = False,
    max_mem: int | str = "4g",
    progress: bool = True,
) -> None:
    """Store what a function makes of a track as a further track of each sample.

    Parameters
    ----------
    dataset : path-like or Dataset
        All of it is transformed, also where a view of some regions or samples is given.
    new : str
        Name of the track to be written.
    existing : str
        Name of the track that it is made of.
    transform : callable
        Is called with ``(dataset_indices, region_indices, sample_indices, tracks)``: three (n,)
        int64 arrays that name the cells (``dataset_indices = region * n_samples + sample``), and
        a `Ragged` (n, None) float32 of the values of each in the coordinates of the reference,
        as they are stored: from ``stored_start`` to ``stored_end`` of the region without what
        lies outside the contig, which is the region, `max_jitter` on either side, and what
        haplotypes with deletions reach. Bases without an interval are 0. It returns a `Ragged`
        of the same lengths. How many cells a call gets, and in which order, is not specified.
    overwrite : bool
        Replace a track of that name; it may be `existing`.
    max_mem : int or str
        Memory that the call may take; what `transform` allocates beyond six arrays of the size
        of its input is not counted.
    progress : bool
        Show a progress bar, where standard error is a terminal.

    Raises
    ------
    NotFoundError
        If there is no such data set or track.
    InvalidInputError
        If the transform returns other lengths, if stored stretches of two regions overlap and
        the transform gives a base another value for each (a track has one value per base; the
        transform must then not depend on where a region begins or ends), if the name is taken,
        or if `max_mem` is too small.
    """
    path = dataset_path(dataset)
    source = open_prepared(path)
    if existing not in source.tracks:
        raise NotFoundError.among("track", existing, source.tracks, str(path))
    check_free(source, [new], overwrite)
    runner = Runner(parse_bytes(max_mem), 1, progress)
    with WorkFolder(path, overwrite=True) as work:
        data = open_prepared(path)
        target = Target(work, runner, data.contigs.names, data.samples)
        folder = work.path / "transformed"
        shutil.rmtree(folder, ignore_errors=True)
        n_bases = _bases_at_a_time(data, runner)
        run = _Run(data, data.tracks[existing], transform, folder, n_bases)
        with progress_bar(f"track {new}", None, progress) as done:
            parts = list(run.parts(done))
        about = merge_track(target, new, "sample", parts, taken_folders(data))
        publish_tracks(work, data, {new: about})


def _bases_at_a_time(data: PreparedData, runner: Runner) -> int:
    longest = int(np.max(data.stored_end - data.stored_start))
    needed = 2 * longest * _BYTES_PER_BASE
    free = runner.own_budget.per_task(needed, f"transforming {longest} bp of one sample")
    return min(free // _BYTES_PER_BASE, max(_MOST_BASES, 2 * longest))


@dataclass
class _Run:
    """One call: goes through the cells of one group of samples after the other."""

    data: PreparedData
    track: TrackData
    transform: Transform
    folder: Path
    n_bases: int

    def __post_init__(self) -> None:
        lengths = self.data.contigs.lengths[self.data.contig_index]
        known = np.where(lengths < 0, self.data.stored_end, lengths)
        self._start = np.clip(self.data.stored_start, 0, known)
        self._end = np.clip(self.data.stored_end, self._start, np.maximum(known, self._start))
        self._order = np.lexsort((self._end, self._start, self.data.contig_index))

    def parts(self, done: Callable[[int], None]) -> Iterator[ListPart]:
        """Transform all cells and write what comes out; the parts in order."""
        longest = max(int((self._end - self._start).max()), 1)
        n = max(1, min(self.data.n_samples, self.n_bases // (2 * longest)))
        for first in range(0, self.data.n_samples, n):
            samples = np.arange(first, min(first + n, self.data.n_samples))
            for contig in np.unique(self.data.contig_index).tolist():
                yield from self._contig(contig, samples)
                done(1)

    def _contig(self, contig: int, samples: npt.NDArray[np.int64]) -> Iterator[ListPart]:
        canvas = Canvas(len(samples))
        order = self._order[(self._end > self._start)[self._order]]
        rows = order[self.data.contig_index[order] == contig]
        if not len(rows):
            return
        bases = np.cumsum(self._end[rows] - self._start[rows])
        number = bases // max(self.n_bases // (2 * len(samples)), 1)
        runs = np.split(rows, np.flatnonzero(np.diff(number)) + 1)
        for k, run in enumerate(runs):
            conflict = canvas.paint(self._start[run], self._end[run], self._values(run, samples))
            if conflict is not None:
                self._refuse(conflict, run, samples)
            # Later regions may still reach into what lies behind their first base.
            until = int(self._start[runs[k + 1][0]]) if k + 1 < len(runs) else None
            yield self._save(canvas.take(until), contig, int(samples[0]))

    def _values(
        self, run: npt.NDArray[np.int64], samples: npt.NDArray[np.int64]
    ) -> list[npt.NDArray[np.float32]]:
        """What the transform makes of some regions of some samples: (S, length) for each."""
        start, end = self._start[run], self._end[run]
        lengths = np.repeat(end - start, len(samples))
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        data = np.zeros(int(offsets[-1]), np.float32)
        table = self.track.table
        contig = int(self.data.contig_index[run[0]])
        for number, sample in enumerate(samples.tolist()):
            cells = range(number, len(lengths), len(samples))
            out = [data[offsets[cell] : offsets[cell + 1]] for cell in cells]
            stored = table.list_of(contig, sample if self.track.kind == "sample" else 0)
            dense_values(stored, start, end, out)
        for array in (table.start, table.end, table.value):
            forget(array)
        regions = np.repeat(run, len(samples)).astype(np.int64)
        of_samples = np.tile(samples, len(run))
        cells_of = regions * self.data.n_samples + of_samples
        given = Ragged.from_offsets(data, len(lengths), offsets)
        made = self.transform(cells_of, regions, of_samples, given)
        values = _checked(made, lengths)
        n = len(samples)
        return [
            values[offsets[k * n] : offsets[(k + 1) * n]].reshape(n, -1) for k in range(len(run))
        ]

    def _refuse(
        self, conflict: Conflict, run: npt.NDArray[np.int64], samples: npt.NDArray[np.int64]
    ) -> NoReturn:
        region = int(run[conflict.row])
        contig = self.data.contigs.names[int(self.data.contig_index[region])]
        raise InvalidInputError(
            f"transform: expected one value per base; got {conflict.before:g} and {conflict.now:g} "
            f"for {contig}:{conflict.position} of sample "
            f"{self.data.samples[int(samples[conflict.sample])]!r}, which the stored stretch of "
            f"region {region} shares with another region. Transform each base by its own value, "
            "or write a data set of regions that lie farther apart than max_jitter"
        )

    def _save(self, lists: list[Intervals], contig: int, first: int) -> ListPart:
        folder = self.folder / uuid.uuid4().hex
        folder.mkdir(parents=True)
        counts = [len(intervals.start) for intervals in lists]
        save_array(folder / "offsets.npy", np.concatenate([[0], np.cumsum(counts)]))
        joined = Intervals.join(lists)
        for name in TRACK_ARRAYS:
            save_array(folder / f"{name}.npy", getattr(joined, name))
        return ListPart(folder, contig, first, len(lists))


def _checked(made: object, lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Values that a transform returned."""
    got = type(made).__name__
    if isinstance(made, Ragged):
        if np.array_equal(made.lengths.reshape(-1), lengths) and made.data.ndim == 1:
            return np.ascontiguousarray(made.data, np.float32)
        got = f"{made.shape}, lengths {made.lengths.reshape(-1)[:5].tolist()}, ..."
    raise InvalidInputError(
        f"transform: expected a Ragged ({len(lengths)}, None) with the lengths of its input, "
        f"{lengths[:5].tolist()}, ...; got {got}"
    )
