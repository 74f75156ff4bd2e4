"""Regions of a data set: read from BED, tables or frames, and brought to one length."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.formats.bed import read_bed
from bigwig_loader.frames import region_frame, row_name
from bigwig_loader.plan.windows import FAR
from bigwig_loader.types import PathLike, check_positive

if TYPE_CHECKING:
    import pandas as pd

_OUR_NAMES = {"chromStart": "start", "chromEnd": "end", "chromosome": "chrom"}
_STRANDS = {"+": 1, "-": -1, ".": 1, "*": 1}
_TABLES = (".csv", ".tsv", ".parquet")


@dataclass(frozen=True)
class Regions:
    """R regions in the order they were given.

    Parameters
    ----------
    frame : DataFrame
        All columns; ``chrom``, ``start``, ``end`` first.
    contig_names : tuple of str
        Contigs with regions.
    contig_index : (R,) int32
        Into `contig_names`.
    start, end : (R,) int64
        0-based half-open; may leave their contig.
    strand : (R,) int8
        1 or -1; ``.`` and ``*`` are 1.
    """

    frame: pd.DataFrame
    contig_names: tuple[str, ...]
    contig_index: npt.NDArray[np.int32]
    start: npt.NDArray[np.int64]
    end: npt.NDArray[np.int64]
    strand: npt.NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.start)

    @property
    def length(self) -> int | None:
        """Length of all regions; None if they differ."""
        lengths = self.end - self.start
        return int(lengths[0]) if (lengths == lengths[0]).all() else None


def read_regions(
    source: PathLike | pd.DataFrame | object,
    length: int | None,
    contig_order: tuple[str, ...] | None,
) -> Regions:
    """Read the regions of a data set.

    Parameters
    ----------
    source : path-like or DataFrame
        BED or narrowPeak (gzip too); a table with a heading (``.csv``, ``.tsv``, ``.parquet``);
        a pandas or polars frame. Names of columns: ``chrom``, ``start``, ``end`` or ``chromStart``,
        ``chromEnd``; ``strand`` if there is one; others are kept as they are.
    length : int, optional
        Length of every region in bp: `with_length`. By default they stay as they are.
    contig_order : tuple of str, optional
        Known contigs, in the order of the result; the order of the regions by default.

    Raises
    ------
    NotFoundError
        If there is no such file, or for a contig that is not known.
    InvalidDataError, InvalidInputError
        For rows that are no regions, regions without bases, and if there are none.
    """
    frame = _read_frame(source)
    if not len(frame):
        raise InvalidInputError("argument bed: expected at least one region; got none")
    start, end = frame["start"].to_numpy(), frame["end"].to_numpy()
    if length is not None:
        start, end = with_length(start, end, length)
        frame["start"], frame["end"] = start, end
    _check_positions(frame)
    given = list(dict.fromkeys(frame["chrom"]))
    if contig_order is None:
        contig_order = tuple(given)
    for name in given:
        if name not in contig_order:
            raise NotFoundError.among("contig", name, contig_order, "the reference")
    here = set(given)
    names = tuple(name for name in contig_order if name in here)
    place = {name: i for i, name in enumerate(names)}
    contig_index = np.array([place[name] for name in frame["chrom"]], dtype=np.int32)
    first = ["chrom", "start", "end"]
    frame = frame[[*first, *(c for c in frame.columns if c not in first)]].reset_index(drop=True)
    return Regions(frame, names, contig_index, start, end, _strands(frame))


def with_length(
    start: npt.NDArray[np.int64], end: npt.NDArray[np.int64], length: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Regions of one length around the middle of each.

    A region starts at ``(start + end - length) // 2``: half of an even length lies on either side
    of ``(start + end) // 2``; an odd one has its further base to the left where it cannot have it
    in the middle. So genvarloader's `with_length` does it.

    Returns
    -------
    start, end : (R,) int64
        May leave the contig.
    """
    check_positive("length", length)
    new_start = (start + end - length) // 2
    return new_start, new_start + length


def _read_frame(source: PathLike | pd.DataFrame | object) -> pd.DataFrame:
    import pandas as pd

    if isinstance(source, (str, os.PathLike)):
        suffix = Path(source).suffix.lower()
        if suffix not in _TABLES:
            return read_bed(source, further=True, outside=True)
        if not Path(source).exists():
            raise NotFoundError(f"no such file: {os.fspath(source)}")
        if suffix == ".parquet":
            return _ours(pd.read_parquet(source))
        return _ours(pd.read_csv(source, sep="\t" if suffix == ".tsv" else ","))
    if not isinstance(source, pd.DataFrame) and hasattr(source, "get_columns"):
        # polars; by way of lists, since its own conversion needs pyarrow
        source = pd.DataFrame({c.name: c.to_list() for c in source.get_columns()})
    if not isinstance(source, pd.DataFrame):
        raise InvalidInputError(
            "argument bed: expected a path, a pandas or a polars frame; "
            f"got {type(source).__name__}"
        )
    return _ours(source)


def _ours(frame: pd.DataFrame) -> pd.DataFrame:
    has = {str(name) for name in frame.columns}
    names = {a: b for a, b in _OUR_NAMES.items() if a in has and b not in has}
    if "#chrom" in has and "chrom" not in has:
        names["#chrom"] = "chrom"
    return region_frame(frame.rename(columns=names), outside=True)


def _check_positions(frame: pd.DataFrame) -> None:
    start, end = frame["start"].to_numpy(), frame["end"].to_numpy()
    limit = int(np.iinfo(np.int32).max)
    for bad, expected in (
        (end <= start, "at least one base"),
        ((start < -min(limit, FAR)) | (end > limit), f"positions up to {limit}"),
    ):
        if bad.any():
            k = int(np.flatnonzero(bad)[0])
            raise InvalidInputError(
                f"{row_name(frame, k)}: expected {expected}; got start={start[k]}, end={end[k]}"
            )


def _strands(frame: pd.DataFrame) -> npt.NDArray[np.int8]:
    if "strand" not in frame:
        return np.ones(len(frame), np.int8)
    values: list[Any] = frame["strand"].tolist()
    for k, value in enumerate(values):
        if value not in _STRANDS and value == value and value is not None:
            raise InvalidInputError(
                f"{row_name(frame, k)}, column 'strand': expected one of + - . *; got {value!r}"
            )
    return np.array([_STRANDS.get(value, 1) for value in values], dtype=np.int8)
