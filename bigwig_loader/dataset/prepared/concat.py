"""`concat`: prepared data sets joined along their regions or their samples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from bigwig_loader.dataset.prepared.layout import (
    REGIONS,
    PreparedData,
    open_prepared,
    save_regions,
    write_metadata,
    write_region_table,
)
from bigwig_loader.dataset.prepared.making.join_tracks import join_track
from bigwig_loader.dataset.prepared.making.join_variants import join_variants
from bigwig_loader.dataset.prepared.making.memory import parse_bytes
from bigwig_loader.dataset.prepared.making.run import Runner
from bigwig_loader.dataset.prepared.making.target import Target
from bigwig_loader.dataset.prepared.making.track_parts import merging_bytes
from bigwig_loader.dataset.prepared.making.work import WorkFolder
from bigwig_loader.dataset.prepared.update import dataset_path
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.types import PathLike, check_choice

Axis = Literal["regions", "samples"]


def concat(
    path: PathLike,
    datasets: Sequence[PathLike | object],
    axis: Axis = "regions",
    *,
    overwrite: bool = False,
    max_mem: int | str = "4g",
) -> None:
    """Join prepared data sets into one.

    Parameters
    ----------
    path : path-like
        Where the joined data set is to lie.
    datasets : sequence of path-like or Dataset
        Written with the same `max_jitter` and the same names of tracks; their variants must come
        from one file, read with the same options, since `var_idxs` are numbers of its records.
    axis : {"regions", "samples"}
        ``"regions"``: all have the same samples; regions follow each other in the order of the
        data sets, and may overlap or repeat. ``"samples"``: all have the same regions and no
        sample in common; samples are sorted.
    overwrite : bool
        Replace what lies at `path`, which may be one of `datasets`.
    max_mem : int or str
        Memory that the call may take.

    Raises
    ------
    NotFoundError
        If there is no such data set.
    InvalidInputError
        If the data sets do not fit each other, with what differs; also if a track of two of them
        has different values where both store the same bases of the same samples.
    """
    check_choice("axis", axis, ("regions", "samples"))
    sets = [open_prepared(dataset_path(dataset)) for dataset in datasets]
    if not sets:
        raise InvalidInputError("argument datasets: expected at least one; got none")
    for other in sets[1:]:
        _check_alike(sets[0], other, axis)
    runner = Runner(parse_bytes(max_mem), 1, progress=False)
    samples = sets[0].samples
    if axis == "samples":
        samples = _joined_samples(sets)
    contigs = _joined_contigs(sets)
    with WorkFolder(Path(path), overwrite) as work:
        target = Target(work, runner, tuple(contigs), samples)
        contig_maps = [
            np.array([target.contig_names.index(n) for n in s.contigs.names]) for s in sets
        ]
        place = {name: i for i, name in enumerate(samples)}
        sample_maps = [np.array([place[name] for name in s.samples], np.int64) for s in sets]
        budget = merging_bytes(runner)
        metadata = dict(sets[0].metadata)
        if sets[0].table is not None:
            metadata["variants"] = metadata["variants"] | join_variants(
                target, sets, contig_maps, sample_maps, budget
            )
        metadata["tracks"] = {
            name: join_track(target, name, sets, contig_maps, sample_maps)
            for name in sets[0].tracks
        }
        regions = _joined_regions(sets, contig_maps, axis)
        home = work.result / REGIONS
        home.mkdir()
        frame = _joined_frame(sets, axis)
        requested = [s.metadata.get("requested_length") for s in sets]
        metadata |= {
            "region_columns": write_region_table(home, frame),
            "n_regions": len(frame),
            "samples": list(samples),
            "contigs": [{"name": name, "length": length} for name, length in contigs.items()],
            "length": _common_length(regions),
            "requested_length": requested[0] if len(set(requested)) == 1 else None,
        }
        save_regions(home, regions)
        write_metadata(work.result, metadata)
        work.publish()


def _check_alike(first: PreparedData, other: PreparedData, axis: Axis) -> None:
    """Raise unless two data sets can be joined."""

    def kinds(data: PreparedData) -> dict[str, str]:
        return {name: track.kind for name, track in sorted(data.tracks.items())}

    def source(data: PreparedData) -> Any:
        about = data.metadata["variants"] or {}
        return {k: about.get(k) for k in ("source", "options", "overlap")} if about else None

    same: list[tuple[str, Any, Any]] = [
        ("max_jitter", first.max_jitter, other.max_jitter),
        ("tracks", kinds(first), kinds(other)),
        ("variants", source(first), source(other)),
        ("ploidy", first.ploidy, other.ploidy),
    ]
    if axis == "regions":
        same.append(("samples", first.samples, other.samples))
    else:
        same.append(("regions", _region_key(first), _region_key(other)))
    for what, expected, got in same:
        if expected != got:
            raise InvalidInputError(
                f"data sets {first.path} and {other.path}: expected the same {what}; got "
                f"{_short(expected)} and {_short(got)}"
            )


def _region_key(data: PreparedData) -> list[tuple[str, int, int, int]]:
    names = [data.contigs.names[c] for c in data.contig_index.tolist()]
    rows = zip(names, data.start.tolist(), data.end.tolist(), data.strand.tolist(), strict=True)
    return list(rows)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else text[:200] + "..."


def _joined_samples(sets: list[PreparedData]) -> tuple[str, ...]:
    names = [name for data in sets for name in data.samples]
    twice = sorted(name for name in set(names) if names.count(name) > 1)
    if twice:
        raise InvalidInputError(
            f"argument datasets: expected no sample in two of them; got {_short(twice)}"
        )
    return tuple(sorted(names))


def _joined_contigs(sets: list[PreparedData]) -> dict[str, int | None]:
    """Length of every contig; those of the first data set come first."""
    contigs: dict[str, int | None] = {}
    for data in sets:
        for name, length in zip(data.contigs.names, data.contigs.lengths.tolist(), strict=True):
            known = contigs.get(name)
            if known is not None and length >= 0 and length != known:
                raise InvalidInputError(
                    f"contig {name!r} has {known} bp in one data set and {length} bp in "
                    f"{data.path}; expected data sets of one assembly"
                )
            contigs[name] = length if known is None and length >= 0 else known
    return contigs


def _joined_regions(
    sets: list[PreparedData], contig_maps: list[npt.NDArray[np.int64]], axis: Axis
) -> dict[str, npt.NDArray[Any]]:
    index = [m[np.asarray(s.contig_index)] for s, m in zip(sets, contig_maps, strict=True)]
    names = ("start", "end", "strand", "stored_start", "stored_end")
    if axis == "regions":
        joined = {name: np.concatenate([getattr(s, name) for s in sets]) for name in names}
        return joined | {"contig_index": np.concatenate(index)}
    joined = {name: np.asarray(getattr(sets[0], name)) for name in names}
    joined["stored_end"] = np.max([s.stored_end for s in sets], axis=0)
    return joined | {"contig_index": index[0]}


def _joined_frame(sets: list[PreparedData], axis: Axis) -> Any:
    import pandas as pd

    if axis == "samples":
        return sets[0].region_frame()
    return pd.concat([data.region_frame() for data in sets], ignore_index=True)


def _common_length(regions: dict[str, npt.NDArray[Any]]) -> int | None:
    lengths = regions["end"] - regions["start"]
    return int(lengths[0]) if (lengths == lengths[0]).all() else None
