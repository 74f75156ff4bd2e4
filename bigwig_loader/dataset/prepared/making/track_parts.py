"""Signal of a data set: one part per sample, read piece by piece, then joined."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.dataset.prepared.arrays import NpyWriter, save_array
from bigwig_loader.dataset.prepared.layout import (
    TRACK_ARRAYS,
    TRACKS,
    TrackKind,
    file_name,
)
from bigwig_loader.dataset.prepared.making.merge import ListPart, merge_lists
from bigwig_loader.dataset.prepared.making.run import Runner
from bigwig_loader.dataset.prepared.making.target import Target
from bigwig_loader.dataset.prepared.making.work import making_part, part_name
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.formats.source import is_url, local_identity
from bigwig_loader.sampling.digest import digest
from bigwig_loader.track_sources import Annotation, BigWigs, TrackSource
from bigwig_loader.types import PathLike

Spans = Mapping[str, npt.NDArray[np.int64]]

_MOST_PIECE_BYTES = 128 << 20
_LEAST_PIECE_BYTES = 16 << 20
# The index of a file, beside what is read with it.
_INDEX_BYTES = 32 << 20


@dataclass(frozen=True)
class TrackJob:
    """One sample of a track, as plain data.

    Parameters
    ----------
    folder : Path
        Where the part is to lie.
    source : TrackSource
    sample : str
        ``""`` for an annotation track.
    contig_names : tuple of str
    spans : dict of str to (n, 2) int64
        Sorted, disjoint.
    piece_bytes : int
        Memory for what is read at a time.
    """

    folder: Path
    source: TrackSource
    sample: str
    contig_names: tuple[str, ...]
    spans: dict[str, npt.NDArray[np.int64]]
    piece_bytes: int


@dataclass(frozen=True)
class TrackInputs:
    """The tracks of a call: those with samples, and those without."""

    by_sample: tuple[TrackSource, ...]
    annotations: tuple[TrackSource, ...]

    @classmethod
    def read(
        cls, tracks: Sequence[object], annotations: Mapping[str, Any | PathLike] | None
    ) -> TrackInputs:
        """Check the tracks that a call was given, and open annotations.

        Raises
        ------
        InvalidInputError
            For what is no track, and for a name that two tracks have.
        """
        by_sample: list[TrackSource] = []
        for track in tracks:
            if not callable(getattr(track, "pieces", None)):
                raise InvalidInputError(
                    "tracks: expected BigWigs or Table, e.g. BigWigs(name, {sample: path}); "
                    f"got {type(track).__name__}"
                )
            by_sample.append(track)  # type: ignore[arg-type]
        opened = tuple(Annotation(name, source) for name, source in (annotations or {}).items())
        names = [track.name for track in (*by_sample, *opened)]
        for name in names:
            if names.count(name) > 1:
                raise InvalidInputError(f"tracks: expected distinct names; got {name!r} twice")
        return cls(tuple(by_sample), opened)


def listed(given: object | Sequence[object] | None) -> list[object]:
    """One thing or several, or none, as a list."""
    if given is None:
        return []
    return list(given) if isinstance(given, (list, tuple)) else [given]


def read_track_part(job: TrackJob) -> None:
    """Read one sample of a track and write it as a part: lists of all contigs."""
    counts = np.zeros(len(job.contig_names), np.int64)
    with making_part(job.folder) as folder:
        writers = {name: NpyWriter(folder / f"{name}.npy", t) for name, t in TRACK_ARRAYS.items()}
        for contig, piece in job.source.pieces(
            job.sample, job.spans, job.contig_names, job.piece_bytes
        ):
            counts[contig] += len(piece.start)
            for name, writer in writers.items():
                writer.append(getattr(piece, name))
        for writer in writers.values():
            writer.close()
        save_array(folder / "offsets.npy", np.concatenate([[0], np.cumsum(counts)]))


def store_tracks(
    target: Target, tracks: TrackInputs, spans: Spans, taken: Sequence[str] = ()
) -> dict[str, dict[str, Any]]:
    """Read tracks and write them into the result; what the metadata say of each.

    Parameters
    ----------
    target : Target
        All tracks have its samples.
    tracks : TrackInputs
    spans : mapping of str to (n, 2) int64
        Stretches to store, by contig.
    taken : sequence of str
        Folders that the data set has already.
    """
    about = {}
    for track in (*tracks.by_sample, *tracks.annotations):
        kind: TrackKind = "annotation" if track in tracks.annotations else "sample"
        jobs = list(_jobs(target, track, kind, spans))
        if isinstance(track, BigWigs):
            target.runner.run(read_track_part, jobs, f"track {track.name}")
        else:  # in the memory of this process already
            for job in jobs:
                read_track_part(job)
        parts = [
            ListPart(job.folder, contig, number, 1, offset=contig)
            for number, job in enumerate(jobs)
            for contig in range(len(target.contig_names))
        ]
        about[track.name] = merge_track(target, track.name, kind, parts, taken)
    return about


def merge_track(
    target: Target,
    name: str,
    kind: TrackKind,
    parts: Sequence[ListPart],
    taken: Sequence[str] = (),
) -> dict[str, Any]:
    """Join the parts of a track in the result; what the metadata say of it."""
    folder = track_folder(name, taken)
    home = target.work.result / folder
    home.mkdir(parents=True)
    shape = (len(target.contig_names), len(target.samples) if kind == "sample" else 1)
    n = merge_lists(parts, shape, TRACK_ARRAYS, home, merging_bytes(target.runner))
    return {"kind": kind, "folder": folder, "n_intervals": n}


def track_folder(name: str, taken: Sequence[str]) -> str:
    """Folder for a track within its data set: a free one, named like it."""
    folder, number = f"{TRACKS}/{file_name(name)}", 1
    while folder in taken:
        number += 1
        folder = f"{TRACKS}/{file_name(name)}.{number}"
    return folder


def merging_bytes(runner: Runner) -> int:
    """Memory for joining lists, which this process does alone."""
    free = runner.own_budget.per_task(_LEAST_PIECE_BYTES, "joining parts")
    return min(free, _MOST_PIECE_BYTES)


def reading_bytes(runner: Runner) -> int:
    """Memory for what a task reads of a track at a time."""
    least = _INDEX_BYTES + _LEAST_PIECE_BYTES
    free = runner.budget.per_task(least, "reading a track")
    return min(free - _INDEX_BYTES, _MOST_PIECE_BYTES)


def _jobs(target: Target, track: TrackSource, kind: TrackKind, spans: Spans) -> Iterator[TrackJob]:
    piece_bytes = reading_bytes(target.runner)
    stored = digest(*(part for name, s in spans.items() for part in (name, s)))
    for sample in target.samples if kind == "sample" else ("",):
        source = track
        if isinstance(track, BigWigs):
            path = track.paths[sample]
            source = BigWigs(track.name, {sample: path})  # a task needs to know of no other
            what = [path, _identity(path), sample, target.contig_names, stored]
            name = part_name("track", what)
        else:
            name = f"track-{uuid.uuid4().hex[:24]}"
        folder = target.work.parts / name
        yield TrackJob(folder, source, sample, target.contig_names, dict(spans), piece_bytes)


def _identity(path: str) -> str:
    return path if is_url(path) else local_identity(path)[1]
