"""Intervals with values in tables: frames of any kind, CSV, TSV, Parquet, Arrow, BED, bedGraph."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidDataError, InvalidInputError, NotFoundError
from bigwig_loader.formats.bed import read_bed
from bigwig_loader.types import PathLike

COLUMNS = ("sample_id", "chrom", "start", "end", "value")
# Other names that are understood where a column is not there by its own.
_OTHER_NAMES = {
    "sample_id": ("sample",),
    "chrom": ("contig", "chr", "chromosome"),
    "start": ("chromStart",),
    "end": ("chromEnd",),
    "value": ("score", "signalValue"),
}
_PACKED = (".gz", ".bgz", ".bz2", ".zst", ".xz")
_BEDGRAPH = (".bedgraph", ".bdg", ".bg")
_BED = (".bed", ".narrowpeak", ".broadpeak")
_LAST = np.iinfo(np.uint32).max

Part = tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class IntervalFrame:
    """Intervals of a table, checked, in the order of its rows.

    Parameters
    ----------
    where : str
        What the table is, for error messages.
    contigs : dict of str to (k,) int64
        Rows of each contig.
    start, end : (K,) uint32
    value : (K,) float32
    sample : (K,) str, optional
    """

    where: str
    contigs: dict[str, npt.NDArray[np.int64]]
    start: npt.NDArray[np.uint32]
    end: npt.NDArray[np.uint32]
    value: npt.NDArray[np.float32]
    sample: npt.NDArray[Any] | None = None

    def of_contig(self, contig: str) -> Part:
        """Start, end and value of the rows of a contig."""
        rows = self.contigs[contig]
        return self.start[rows], self.end[rows], self.value[rows]

    def by_sample(self) -> dict[str, IntervalFrame]:
        """A frame per sample, sorted by name."""
        if self.sample is None:
            return {"": self}
        row_contig = np.empty(len(self.start), np.int64)
        for number, rows in enumerate(self.contigs.values()):
            row_contig[rows] = number
        frames = {}
        for sample, rows in _rows_of(self.sample).items():
            contigs = {
                contig: np.flatnonzero(row_contig[rows] == number)
                for number, contig in enumerate(self.contigs)
            }
            frames[sample] = IntervalFrame(
                f"{self.where}, sample {sample!r}",
                {contig: found for contig, found in contigs.items() if len(found)},
                self.start[rows],
                self.end[rows],
                self.value[rows],
            )
        return dict(sorted(frames.items()))


def read_frame(
    frame: Any,
    where: str,
    column_map: Mapping[str, str] | None = None,
    samples: bool = False,
) -> IntervalFrame:
    """Check a table of intervals.

    Parameters
    ----------
    frame : DataFrame
        pandas, polars, or whatever has `columns` and gives columns that `numpy.asarray` takes.
    where : str
        What it is, for error messages.
    column_map : mapping of str to str, optional
        Names in `frame` of the columns ``sample_id``, ``chrom``, ``start``, ``end``, ``value``.
    samples : bool
        Whether a column ``sample_id`` is needed.

    Raises
    ------
    InvalidInputError
        For a missing column, and for the first row with a position that is none, an end before
        its start, a missing name or a value that is no number. A missing value is NaN.
    """
    if hasattr(frame, "collect"):  # a lazy polars frame
        frame = frame.collect()
    if not hasattr(frame, "columns"):
        raise InvalidInputError(f"{where}: expected a DataFrame; got {type(frame).__name__}")
    unknown = set(column_map or {}) - set(COLUMNS)
    if unknown:
        raise InvalidInputError(
            f"argument column_map: expected names among {', '.join(COLUMNS)}; "
            f"got {', '.join(sorted(unknown))}"
        )
    names = {c: _column_name(frame, c, where, column_map) for c in COLUMNS[0 if samples else 1 :]}
    start = _positions(frame, names["start"], where)
    end = _positions(frame, names["end"], where)
    if (end < start).any():
        row = int(np.argmax(end < start))
        raise InvalidInputError(
            f"{where}: row {row}: expected end >= start; got start={start[row]}, end={end[row]}"
        )
    return IntervalFrame(
        where,
        _rows_of(_texts(frame, names["chrom"], where)),
        start,
        end,
        _values(frame, names["value"], where),
        _texts(frame, names["sample_id"], where) if samples else None,
    )


def read_frame_file(path: PathLike) -> Any:
    """A table file as a pandas frame, read as the end of its name says.

    Raises
    ------
    NotFoundError
        If there is no such file.
    InvalidDataError
        If it cannot be read as what its name says.
    InvalidInputError
        For Parquet or Arrow without pyarrow.
    """
    import pandas as pd

    text = os.fspath(path)
    kind = text.lower()
    for packed in _PACKED:
        kind = kind.removesuffix(packed)
    if kind.endswith(_BEDGRAPH):
        frame = read_bed(path, n_columns=4, columns=("chrom", "start", "end", "name"))
        return frame.rename(columns={"name": "value"})
    if kind.endswith(_BED):
        frame = read_bed(path)
        for column in ("signalValue", "score"):
            if column in frame and not frame[column].isna().all():
                return frame[["chrom", "start", "end"]].assign(value=frame[column])
        return frame[["chrom", "start", "end"]].assign(value=np.float32(1))
    try:
        if kind.endswith((".parquet", ".pq")):
            return pd.read_parquet(path)
        if kind.endswith((".arrow", ".feather", ".ipc")):
            return pd.read_feather(path)
        tabs = kind.endswith((".tsv", ".txt", ".tab"))
        types = {"sample": str, "sample_id": str, "chrom": str}
        return pd.read_csv(path, sep="\t" if tabs else ",", dtype=types)
    except FileNotFoundError as error:
        raise NotFoundError(f"cannot open {text}: no such file") from error
    except ImportError as error:
        raise InvalidInputError(
            f"{text}: reading it needs pyarrow, which is not here; pip install pyarrow, or give "
            "a CSV file"
        ) from error
    except (ValueError, OSError, EOFError) as error:
        raise InvalidDataError(f"cannot be read as a table: {error}", path=text) from error


def _column_name(frame: Any, column: str, where: str, column_map: Mapping[str, str] | None) -> str:
    columns = [str(name) for name in frame.columns]
    given = (column_map or {}).get(column)
    for name in (given,) if given is not None else (column, *_OTHER_NAMES[column]):
        if name in columns:
            return name
    raise InvalidInputError(
        f"{where}: expected a column {given or column!r}; got the columns "
        f"{', '.join(map(repr, columns))}. column_map says which column is which"
    )


def _positions(frame: Any, name: str, where: str) -> npt.NDArray[np.uint32]:
    given = np.asarray(frame[name])
    if given.dtype.kind not in "iu":
        try:
            numbers = given.astype(np.float64)
        except (TypeError, ValueError):
            numbers = np.full(len(given), np.nan)
        bad = ~(numbers == np.floor(numbers))
    else:
        numbers, bad = given, np.zeros(len(given), np.bool_)
    bad |= (numbers < 0) | (numbers > _LAST)
    if bad.any():
        row = int(np.argmax(bad))
        raise InvalidInputError(
            f"{where}: row {row}, column {name!r}: expected a whole number of 0 to {_LAST}; "
            f"got {given[row]!r}"
        )
    return numbers.astype(np.uint32)


def _values(frame: Any, name: str, where: str) -> npt.NDArray[np.float32]:
    given = np.asarray(frame[name])
    if given.dtype.kind in "iufb":
        return given.astype(np.float32)
    values = np.empty(len(given), np.float32)
    for row, value in enumerate(given):
        try:
            values[row] = np.nan if value is None else float(value)
        except (TypeError, ValueError):
            raise InvalidInputError(
                f"{where}: row {row}, column {name!r}: expected a number; got {value!r}"
            ) from None
    return values


def _texts(frame: Any, name: str, where: str) -> npt.NDArray[Any]:
    given = np.asarray(frame[name]).astype(object)
    if len(given) and not all(isinstance(value, (str, int, np.integer)) for value in set(given)):
        row = next(i for i, v in enumerate(given) if not isinstance(v, (str, int, np.integer)))
        raise InvalidInputError(
            f"{where}: row {row}, column {name!r}: expected a name; got {given[row]!r}"
        )
    names = np.empty(len(given), dtype=object)
    names[:] = [str(value) for value in given]
    return names


def _rows_of(names: npt.NDArray[Any]) -> dict[str, npt.NDArray[np.int64]]:
    """Rows of each name, names in order of first appearance, rows ascending."""
    number: dict[str, int] = {}
    codes = np.fromiter((number.setdefault(x, len(number)) for x in names), np.int64, len(names))
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(len(number) + 1))
    return {name: order[bounds[code] : bounds[code + 1]] for name, code in number.items()}
