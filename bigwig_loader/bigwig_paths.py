"""Which files a collection is made of, and what its tracks are called."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.formats.source import is_url
from bigwig_loader.types import PathLike


def find_bigwigs(
    bigwig_path: PathLike | Iterable[PathLike],
    file_extensions: Sequence[str] = (".bigWig", ".bw"),
    crawl: bool = True,
    first_n_files: int | None = None,
) -> list[str]:
    """The BigWig files that `bigwig_path` names.

    Parameters
    ----------
    bigwig_path : path, URL, or iterable of them
        A file or URL is taken as it is; a folder stands for the files in it with one of the
        extensions, sorted by path.
    file_extensions : sequence of str
        Compared without regard to case.
    crawl : bool
        Also look into sub-folders.
    first_n_files : int, optional
        Keep the first so many.

    Raises
    ------
    NotFoundError
        If a path does not exist, or nothing is found.
    """
    given = [bigwig_path] if isinstance(bigwig_path, (str, os.PathLike)) else list(bigwig_path)
    endings = tuple(
        e.lower()
        for e in ([file_extensions] if isinstance(file_extensions, str) else file_extensions)
    )
    found: list[str] = []
    for path in given:
        if is_url(path) or os.path.isfile(path):
            found.append(os.fspath(path))
        elif os.path.isdir(path):
            pattern = "**/*" if crawl else "*"
            files = (p for p in Path(path).glob(pattern) if p.name.lower().endswith(endings))
            found += sorted(str(p) for p in files if p.is_file())
        else:
            raise NotFoundError(f"cannot open {os.fspath(path)}: no such file or folder")
    if not found:
        raise NotFoundError(
            f"no BigWig files in {', '.join(os.fspath(p) for p in given) or 'an empty list'}; "
            f"looked for names that end in {', '.join(endings)}"
            + ("" if crawl else " (crawl=False: not in sub-folders)")
        )
    if first_n_files is not None and first_n_files < 1:
        raise InvalidInputError(
            f"argument first_n_files: expected an integer >= 1 or None; got {first_n_files!r}"
        )
    return found[:first_n_files]


def track_names(paths: Sequence[str]) -> list[str]:
    """One name per file: its file name without extension, or as much of its path as tells it apart.

    Files of one folder that differ by their extension alone keep it.

    Raises
    ------
    InvalidInputError
        If one file is given twice.
    """
    parts = [Path(path.rstrip("/")).parts for path in paths]
    stems = [Path(path).stem for path in paths]
    within = Counter((part[:-1], stem) for part, stem in zip(parts, stems, strict=True))
    stems = [
        part[-1] if within[part[:-1], stem] > 1 else stem
        for part, stem in zip(parts, stems, strict=True)
    ]
    names = list(stems)
    depth = 1
    while len(set(names)) < len(names):
        depth += 1
        if depth > max(map(len, parts)):
            twice = Counter(paths).most_common(1)[0][0]
            raise InvalidInputError(f"file is given twice: {twice}")
        repeated = {name for name, count in Counter(names).items() if count > 1}
        names = [
            "/".join((*part[-depth:-1], stem)) if name in repeated else name
            for name, part, stem in zip(names, parts, stems, strict=True)
        ]
    return names


def match_scale(
    scale: Mapping[str | os.PathLike[str], float], paths: Sequence[str], names: Sequence[str]
) -> list[float]:
    """Factor of each file.

    A key is a path, a file name or a track name; a key that is none of these is looked for
    inside the paths.

    Raises
    ------
    NotFoundError
        If a key matches no file.
    InvalidInputError
        If two keys match one file.
    """
    factors = [1.0] * len(paths)
    claimed: dict[int, str] = {}
    for given, factor in scale.items():
        key = os.fspath(given)
        exact = [
            i
            for i, (path, name) in enumerate(zip(paths, names, strict=True))
            if key in (path, name, os.path.basename(path))
        ]
        matches = exact or [i for i, path in enumerate(paths) if key in path]
        if not matches:
            raise NotFoundError.among("key of scale", key, names, "the collection")
        for i in matches:
            if i in claimed:
                raise InvalidInputError(
                    f"scale: keys {claimed[i]!r} and {key!r} both match {paths[i]}"
                )
            claimed[i] = key
            factors[i] = float(factor)
    return factors


def track_numbers(
    tracks: str | Sequence[int | str] | npt.NDArray[Any], names: Sequence[str]
) -> npt.NDArray[np.int64]:
    """Track numbers (T,) from numbers or names, in the order given.

    Raises
    ------
    NotFoundError
        For an unknown name, with near names.
    InvalidInputError
        For anything but numbers and names, no track, or numbers out of range.
    """
    if isinstance(tracks, np.ndarray) and tracks.dtype.kind in "iu":
        numbers = tracks.astype(np.int64)
    else:
        given = [tracks] if isinstance(tracks, str) else list(tracks)
        whole = [t for t in given if isinstance(t, (str, int, np.integer))]
        if len(whole) < len(given) or any(isinstance(t, bool) for t in whole):
            raise InvalidInputError(
                f"argument tracks: expected track numbers or names; got {given!r}"
            )
        place = {name: i for i, name in enumerate(names)}
        unknown = [t for t in whole if isinstance(t, str) and t not in place]
        if unknown:
            raise NotFoundError.among("track", unknown[0], names, "the collection")
        numbers = np.array([place[t] if isinstance(t, str) else t for t in whole], np.int64)
    if numbers.ndim != 1 or len(numbers) == 0:
        raise InvalidInputError("argument tracks: expected at least one track, in one dimension")
    if numbers.min() < 0 or numbers.max() >= len(names):
        raise InvalidInputError(
            f"argument tracks: expected numbers in [0, {len(names)}); "
            f"got {numbers.min()} to {numbers.max()}"
        )
    return numbers
