"""Reading regions: BED (3 to 12 columns), narrowPeak, broadPeak, and DataFrames of them."""

from __future__ import annotations

import gzip
import os
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidDataError, InvalidInputError
from bigwig_loader.formats.text import open_text
from bigwig_loader.frames import region_frame
from bigwig_loader.types import PathLike, check_positive

if TYPE_CHECKING:
    import pandas as pd

_BED = ("chrom", "start", "end", "name", "score", "strand")
_PEAK = (*_BED, "signalValue", "pValue", "qValue")
_TEXT = ("chrom", "name", "strand")
_POSITIONS = ("start", "end")
_STRANDS = frozenset("+-.*")
# "track" and "browser" lines configure a viewer; a contig of that name is followed by numbers.
_SETTING = re.compile(r"(track|browser)(\s+(?!\d+\s+\d+(\s|$))|$)")


def read_bed(
    source: PathLike | pd.DataFrame | IO[Any], n_columns: int | None = None
) -> pd.DataFrame:
    """Read regions.

    Text may be plain, gzip or bgzip, with LF or CRLF line ends, with or without a last one.
    Columns are separated by tabs, or by blanks in a line without a tab. Blank lines, comments
    (``#``) and ``track`` and ``browser`` lines are passed over. Every other line must be a region
    with as many columns as the first.

    Parameters
    ----------
    source : path-like, DataFrame or file object
        A frame is checked and copied, see `bigwig_loader.frames.region_frame`.
    n_columns : int, optional
        Read only the first so many columns (at least 3), for files whose further columns are not
        those of BED. By default 10 columns are a narrowPeak, 9 are a broadPeak if the file's name
        or its track line says so, and all others are BED.

    Returns
    -------
    DataFrame
        ``chrom`` str, ``start`` and ``end`` int64, 0-based half-open; and, as far as the file has
        them, ``name`` str, ``score`` float64 (NaN for ``.``), ``strand`` str (``+ - . *``),
        ``signalValue``, ``pValue``, ``qValue`` float64 (-1 where the file says not available) and
        ``summit`` Int64: the peak's position on the contig, missing where the file has -1.
        Columns 7 to 12 of BED (drawing and exons) are not returned. Regions of length 0 are kept.

    Raises
    ------
    NotFoundError
        If there is no such file.
    InvalidDataError
        For a line that is not a region: path, line number, expected and got.
    InvalidInputError
        For a frame with a bad row, or a bad argument.
    """
    import pandas as pd

    if n_columns is not None:
        check_positive("n_columns", n_columns)
        if n_columns < 3:
            raise InvalidInputError(f"argument n_columns: expected at least 3; got {n_columns}")
    if isinstance(source, pd.DataFrame):
        return region_frame(source)
    path, raw = _read(source)
    table = _split(raw, path, n_columns)
    names = _column_names(table, n_columns)
    columns: dict[str, Any] = {}
    for name, values in zip(names, table.columns(len(names)), strict=True):
        if name in _TEXT:
            columns[name] = pd.Series(values, dtype="str")
        elif name in _POSITIONS:
            columns[name] = _positions(table, name, values)
        elif name == "peak":
            columns["summit"] = _summits(table, values, columns["start"])
        else:
            columns[name] = _floats(table, name, values)
    _check(table, columns)
    return pd.DataFrame(columns)


@dataclass(frozen=True)
class _Table:
    """Fields of every region line, and what is needed to say where one stands."""

    path: str
    rows: list[list[str]]
    lines: list[int]  # number of the line of each row, from 1
    track_type: str

    def columns(self, n: int) -> list[tuple[str, ...]]:
        """The first n columns."""
        if not self.rows:
            return [()] * n
        columns = zip(*self.rows, strict=True)
        return [column for column, _ in zip(columns, range(n), strict=False)]

    def error(self, row: int, field: str, expected: str, got: object) -> InvalidDataError:
        """The error that names a row's line."""
        return _bad_line(self.path, self.lines[row], field, expected, got)


def _read(source: PathLike | IO[Any]) -> tuple[str, bytes]:
    if isinstance(source, (str, os.PathLike)):
        text = open_text(source)
        try:
            return text.path, text.read(0, text.n_bytes)
        finally:
            text.close()
    if not hasattr(source, "read"):
        raise InvalidInputError(
            f"regions: expected a path, a DataFrame or a file object; got {type(source).__name__}"
        )
    path = str(getattr(source, "name", "<file object>"))
    content = source.read()
    raw = content.encode() if isinstance(content, str) else bytes(content)
    if raw.startswith(b"\x1f\x8b"):
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            raise InvalidDataError(f"damaged gzip data: {error}", path=path) from error
    return path, raw


def _split(raw: bytes, path: str, n_columns: int | None) -> _Table:
    """Fields of the lines that are regions."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line_number = raw.count(b"\n", 0, error.start) + 1
        raise InvalidDataError(
            "not a text file",
            path=path,
            offset=error.start,
            field=f"line {line_number}",
            expected="ASCII or UTF-8",
            got=repr(raw[error.start : error.start + 8])[1:],
        ) from error
    rows: list[list[str]] = []
    lines: list[int] = []
    track_type = ""
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.rstrip("\r")
        if not line or line.startswith("#") or line.isspace():
            continue
        if line.startswith(("track", "browser")) and _SETTING.match(line):
            kind = re.search(r"\btype=[\"']?(\w+)", line)
            track_type = kind.group(1) if kind else track_type
            continue
        fields = line.split("\t") if "\t" in line else line.split()
        if len(fields) < max(3, n_columns or 3):
            needed = max(3, n_columns or 3)
            raise _bad_line(path, number, "columns", f"at least {needed} columns", line)
        if rows and len(fields) != len(rows[0]) and n_columns is None:
            first = f"{len(rows[0])} columns, as in line {lines[0]}"
            raise _bad_line(path, number, "columns", first, f"{len(fields)}: {line}")
        rows.append(fields if n_columns is None else fields[:n_columns])
        lines.append(number)
    return _Table(path, rows, lines, track_type)


def _column_names(table: _Table, n_columns: int | None) -> tuple[str, ...]:
    kind = table.track_type.lower() or os.fspath(table.path).lower().removesuffix(".gz")
    kind = kind.removesuffix(".bgz")
    narrow, broad = kind.endswith("narrowpeak"), kind.endswith("broadpeak")
    if table.rows:
        n = len(table.rows[0])
        if n_columns is None and ((narrow and n != 10) or (broad and n != 9)):
            expected = "10 columns of a narrowPeak" if narrow else "9 columns of a broadPeak"
            raise table.error(0, "columns", expected, n)
    else:
        n = min(10 if narrow else 9 if broad else 3, n_columns or 10)
    if n == 10:
        return (*_PEAK, "peak")
    if narrow or broad:
        return (*_PEAK, "peak")[:n]
    return _BED[:n]


def _bad_line(path: str, line: int, field: str, expected: str, got: object) -> InvalidDataError:
    return InvalidDataError(
        f"line {line} is not a region",
        path=path,
        field=f"line {line}, {field}",
        expected=expected,
        got=repr(got) if len(repr(got)) <= 100 else repr(got)[:97] + "...",
        hint="Comments and headings start with '#'; n_columns=3 reads the regions alone.",
    )


def _positions(table: _Table, name: str, values: Sequence[str]) -> npt.NDArray[np.int64]:
    """Digits only: int() would also take signs, blanks, underscores and digits of any script."""
    if not (all(map(str.isdigit, values)) and "".join(values).isascii()):
        row = next(i for i, v in enumerate(values) if not (v.isascii() and v.isdigit()))
        raise table.error(row, name, "a whole number >= 0", values[row])
    too_long = next((i for i, v in enumerate(values) if len(v) > 18), None)
    if too_long is not None:
        raise table.error(too_long, name, "a position of a genome", values[too_long])
    return np.array(list(map(int, values)), dtype=np.int64)


def _floats(table: _Table, name: str, values: Sequence[str]) -> npt.NDArray[np.float64]:
    numbers = np.empty(len(values), dtype=np.float64)
    for row, value in enumerate(values):
        try:
            numbers[row] = np.nan if value == "." else float(value)
        except ValueError:
            raise table.error(row, name, "a number or '.'", value) from None
    return numbers


def _summits(table: _Table, values: Sequence[str], start: npt.NDArray[np.int64]) -> Any:
    """Position of each peak on its contig; the file has its distance from the start, or -1."""
    import pandas as pd

    known = np.array([value != "-1" for value in values], dtype=np.bool_)
    given = [v if k else "0" for v, k in zip(values, known, strict=True)]
    distances = _positions(table, "peak", given)
    return pd.arrays.IntegerArray(start + distances, ~known)


def _check(table: _Table, columns: dict[str, Any]) -> None:
    """What holds between columns."""
    start, end = columns["start"], columns["end"]
    reversed_rows = np.flatnonzero(end < start)
    if reversed_rows.size:
        row = int(reversed_rows[0])
        raise table.error(row, "end", f"an end >= the start, {start[row]}", int(end[row]))
    for row, fields in enumerate(table.rows):
        if not fields[0]:
            raise table.error(row, "chrom", "a contig name", fields[0])
        if "strand" in columns and fields[5] not in _STRANDS:
            raise table.error(row, "strand", "one of + - . *", fields[5])
