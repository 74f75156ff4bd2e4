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
    """Fields of the region lines, and what is needed to say where one stands."""

    path: str
    n_columns: int
    fields: list[str]  # row after row
    lines: list[int]  # number of the line of each row, from 1
    track_type: str

    def columns(self, n: int) -> list[list[str]]:
        """The first n columns."""
        return [self.fields[k :: self.n_columns] for k in range(n)]

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
    rows: list[str] = []
    lines: list[int] = []
    n_first, track_type = 0, ""
    needed = n_columns or 3
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.rstrip("\r")
        if line[:1] == "#" or not line.strip():
            continue
        if line[0] in "tb" and _SETTING.match(line):
            kind = re.search(r"\btype=[\"']?(\w+)", line)
            track_type = kind.group(1) if kind else track_type
            continue
        row = line if "\t" in line else "\t".join(line.split())
        n = row.count("\t") + 1
        if n < needed:
            raise _bad_line(path, number, "columns", f"at least {needed} columns", line)
        if n_columns is not None:
            row, n = "\t".join(row.split("\t", n_columns)[:n_columns]), n_columns
        if n != (n_first := n_first or n):
            first = f"{n_first} columns, as in line {lines[0]}"
            raise _bad_line(path, number, "columns", first, f"{n}: {line}")
        rows.append(row)
        lines.append(number)
    # One split for all lines: a list per line would cost more than all the rest.
    fields = "\t".join(rows).split("\t") if rows else []
    return _Table(path, n_first or needed, fields, lines, track_type)


def _column_names(table: _Table, n_columns: int | None) -> tuple[str, ...]:
    kind = table.track_type.lower() or os.fspath(table.path).lower().removesuffix(".gz")
    kind = kind.removesuffix(".bgz")
    narrow, broad = kind.endswith("narrowpeak"), kind.endswith("broadpeak")
    if table.lines:
        n = table.n_columns
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
    if max(map(len, values), default=0) > 18:
        row = next(i for i, v in enumerate(values) if len(v) > 18)
        raise table.error(row, name, "a position of a genome", values[row])
    return np.array(list(map(int, values)), dtype=np.int64)


def _floats(table: _Table, name: str, values: Sequence[str]) -> npt.NDArray[np.float64]:
    numbers = ["nan" if value == "." else value for value in values]
    try:
        return np.array(list(map(float, numbers)), dtype=np.float64)
    except ValueError:
        row = next(i for i, value in enumerate(numbers) if not _is_number(value))
        raise table.error(row, name, "a number or '.'", values[row]) from None


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


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
    names = table.fields[:: table.n_columns]
    strands = table.fields[5 :: table.n_columns] if "strand" in columns else []
    if "" in names:
        raise table.error(names.index(""), "chrom", "a contig name", "")
    if not _STRANDS.issuperset(strands):
        row = next(i for i, strand in enumerate(strands) if strand not in _STRANDS)
        raise table.error(row, "strand", "one of + - . *", strands[row])
