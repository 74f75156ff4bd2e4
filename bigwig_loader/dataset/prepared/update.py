"""`update`: further tracks for a prepared data set."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bigwig_loader.dataset.prepared.layout import (
    PreparedData,
    open_prepared,
    read_metadata,
    write_metadata,
)
from bigwig_loader.dataset.prepared.making.memory import parse_bytes
from bigwig_loader.dataset.prepared.making.neighbourhood import TRACK_FLANK_BP, Wanted
from bigwig_loader.dataset.prepared.making.report import WriteReport
from bigwig_loader.dataset.prepared.making.run import Runner
from bigwig_loader.dataset.prepared.making.samples import join_samples
from bigwig_loader.dataset.prepared.making.target import Target
from bigwig_loader.dataset.prepared.making.track_parts import TrackInputs, listed, store_tracks
from bigwig_loader.dataset.prepared.making.work import WorkFolder, force_to_disk
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.types import PathLike


def update(
    dataset: PathLike | object,
    tracks: object | Sequence[object] | None = None,
    annot_tracks: Mapping[str, object] | None = None,
    *,
    overwrite: bool = False,
    max_mem: int | str = "4g",
    n_jobs: int | None = None,
    progress: bool = True,
) -> WriteReport:
    """Add tracks to a prepared data set.

    All of them appear in one step, when they are whole. A data set that is open keeps what it
    had; open it again to see the new tracks.

    Parameters
    ----------
    dataset : path-like or Dataset
    tracks : BigWigs, Table, or several, optional
        They must have all samples of the data set; further ones are left out.
    annot_tracks : mapping of str to path or DataFrame, optional
        As for `write`.
    overwrite : bool
        Replace tracks of these names.
    max_mem, n_jobs, progress
        As for `write`.

    Raises
    ------
    NotFoundError
        If there is no data set, or a track lacks one of its samples.
    InvalidInputError
        If there is nothing to add, or a track of that name is there without `overwrite`.
    InvalidDataError
        If a file is damaged.
    """
    path = dataset_path(dataset)
    inputs = TrackInputs.read(listed(tracks), annot_tracks)
    named = [track.name for track in (*inputs.by_sample, *inputs.annotations)]
    if not named:
        raise InvalidInputError("update: expected tracks or annot_tracks; got none")
    runner = Runner(parse_bytes(max_mem), n_jobs, progress)
    read_metadata(path)  # before a folder is made beside it
    with WorkFolder(path, overwrite=True) as work:
        data = open_prepared(path)
        check_free(data, named, overwrite)
        sources = {f"track {track.name!r}": track.samples for track in inputs.by_sample}
        if sources:
            join_samples(sources, data.samples)
        target = Target(work, runner, data.contigs.names, data.samples)
        about = store_tracks(target, inputs, track_spans(data), taken_folders(data))
        publish_tracks(work, data, about)
    return WriteReport(
        path=path,
        n_regions=data.n_regions,
        n_samples=data.n_samples,
        tracks={name: track["n_intervals"] for name, track in about.items()},
    )


def dataset_path(dataset: PathLike | object) -> Path:
    """Folder of a data set that is given as such or opened."""
    given = dataset if isinstance(dataset, (str, os.PathLike)) else getattr(dataset, "path", None)
    if not isinstance(given, (str, os.PathLike)):
        raise InvalidInputError(
            f"data set: expected a path or an opened data set; got {type(dataset).__name__}"
        )
    return Path(os.path.abspath(given))


def track_spans(data: PreparedData) -> dict[str, np.ndarray[Any, Any]]:
    """Stretches that every track of a data set is stored for, by contig."""
    wanted = Wanted(
        np.asarray(data.contig_index), np.asarray(data.stored_start), np.asarray(data.stored_end)
    ).widened(TRACK_FLANK_BP)
    return wanted.spans(wanted.end, data.contigs.names)


def check_free(data: PreparedData, names: Sequence[str], overwrite: bool) -> None:
    """Raise if a track of one of these names is there, unless it may be replaced."""
    there = [name for name in names if name in data.tracks]
    if there and not overwrite:
        raise InvalidInputError(
            f"{data.path} has a track {there[0]!r}; expected a new name, or overwrite=True to "
            "replace it"
        )


def taken_folders(data: PreparedData) -> list[str]:
    """Folders of a data set's tracks."""
    return [about["folder"] for about in data.metadata["tracks"].values()]


def publish_tracks(work: WorkFolder, data: PreparedData, about: dict[str, dict[str, Any]]) -> None:
    """Move tracks from the result into a data set; the metadata, replaced at once, name them."""
    folder = work.target
    for track in about.values():
        home = folder / track["folder"]
        shutil.rmtree(home, ignore_errors=True)  # left by a run that was killed here
        home.parent.mkdir(exist_ok=True)
        force_to_disk(work.result / track["folder"])
        os.rename(work.result / track["folder"], home)
    before = data.metadata["tracks"]
    write_metadata(folder, data.metadata | {"tracks": before | about})
    for name in about:
        if name in before:
            shutil.rmtree(folder / before[name]["folder"], ignore_errors=True)
