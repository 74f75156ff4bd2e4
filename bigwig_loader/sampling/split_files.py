"""Files that say what is for training, validation and test."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidDataError, InvalidInputError, NotFoundError
from bigwig_loader.sampling.leaks import overlapping_split
from bigwig_loader.types import PathLike

if TYPE_CHECKING:
    import pandas as pd

SPLITS = ("train", "valid", "test")


def name_set(split: str, names: Iterable[object]) -> frozenset[str]:
    """Distinct names of a split, from one or many."""
    given: list[object] = [names] if isinstance(names, str) else list(names)
    wrong = [name for name in given if not isinstance(name, str)]
    if wrong:
        raise InvalidInputError(f"split {split!r}: expected names; got {wrong[0]!r}")
    return frozenset(map(str, given))


def check_apart(names: Mapping[str, frozenset[str] | None], what: str) -> None:
    """Raise `InvalidInputError` if a name is in two splits."""
    owner: dict[str, str] = {}
    for split, members in names.items():
        for name in sorted(members or ()):
            if name in owner:
                raise InvalidInputError(
                    f"{what} {name!r}: expected to be in one split; got {owner[name]} and {split}"
                )
            owner[name] = split


def contigs_of_json(path: PathLike) -> dict[str, frozenset[str] | None]:
    """Contigs of each split; errors as in `Splits.from_file`."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise NotFoundError(f"no such file: {os.fspath(path)}") from error
    except ValueError as error:
        raise InvalidDataError(f"not JSON: {error}", path=path) from error
    if not isinstance(content, dict) or set(content) != set(SPLITS):
        keys = sorted(content) if isinstance(content, dict) else type(content).__name__
        raise InvalidDataError(
            "not a fold file", path=path, expected=f"one object with {SPLITS}", got=keys
        )
    contigs: dict[str, frozenset[str] | None] = {}
    for split in SPLITS:
        names = content[split]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise InvalidDataError(
                "not a fold file", path=path, field=split, expected="a list of names", got=names
            )
        contigs[split] = frozenset(names)
    try:
        check_apart(contigs, "contig")
    except InvalidInputError as error:
        raise InvalidDataError(f"splits overlap: {error}", path=path) from error
    return contigs


def intervals_of_bed(
    path: PathLike, folds: Mapping[str, Iterable[str]] | None
) -> dict[str, pd.DataFrame]:
    """Intervals of each split; errors as in `Splits.from_file`."""
    from bigwig_loader.formats.bed import read_bed

    frame = read_bed(path, n_columns=4)
    labels = list(dict.fromkeys(frame["name"]))
    split_of = _split_of_labels(path, labels, folds)
    splits = frame["name"].map(split_of)
    intervals = {split: frame[(splits == split).to_numpy(np.bool_)] for split in SPLITS}
    found = overlapping_split(intervals)
    if found is not None:
        first, second, here, there = found
        raise InvalidDataError(
            "splits overlap",
            path=path,
            expected="every base in one split",
            got=f"{here} in {first} and {there} in {second}",
        )
    return intervals


def _split_of_labels(
    path: PathLike, labels: list[str], folds: Mapping[str, Iterable[str]] | None
) -> dict[str, str]:
    """The split of each label; labels of no split are left out."""
    if folds is None:
        strange = [label for label in labels if label not in SPLITS]
        if strange:
            raise InvalidDataError(
                "the 4th column names no split",
                path=path,
                field="name",
                expected=", ".join(SPLITS),
                got=some_of(strange),
                hint="Say which folds are which split: folds={'valid': [...], 'test': [...]}.",
            )
        return {label: label for label in labels}
    if not set(folds) <= set(SPLITS) or not {"valid", "test"} <= set(folds):
        raise InvalidInputError(
            f"argument folds: expected 'valid', 'test' and perhaps 'train'; got {sorted(folds)}"
        )
    members = {split: name_set(split, names) for split, names in folds.items()}
    check_apart(members, "fold")
    for split in members:
        for name in sorted(members[split]):
            if name not in labels:
                raise NotFoundError.among("fold", name, labels, os.fspath(path))
    if "train" not in members:
        members["train"] = frozenset(labels) - members["valid"] - members["test"]
    return {name: split for split, names in members.items() for name in names}


def some_of(names: Sequence[Any] | npt.NDArray[Any]) -> str:
    """The first names, for a message."""
    listed = ", ".join(map(str, names[:5]))
    return f"{listed}, ..." if len(names) > 5 else listed or "none"
