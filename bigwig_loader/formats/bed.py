"""Reading regions: BED (3 to 12 columns), narrowPeak, broadPeak, and DataFrames of them."""

from __future__ import annotations

import gzip
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any

from bigwig_loader.errors import InvalidDataError, InvalidInputError
from bigwig_loader.formats.bed_columns import (
    BED,
    PEAK,
    Columns,
    Rows,
    bad_line,
    further_names,
)
from bigwig_loader.formats.text import read_pieces
from bigwig_loader.frames import region_frame
from bigwig_loader.types import PathLike, check_positive

if TYPE_CHECKING:
    import pandas as pd

# "track" and "browser" lines configure a viewer; a contig of that name is followed by numbers.
_SETTING = re.compile(r"(track|browser)(\s++(?!\d+\s+\d+(\s|$))|$)")
_PIECE_BYTES = 1 << 20


def read_bed(
    source: PathLike | pd.DataFrame | IO[Any],
    n_columns: int | None = None,
    columns: Sequence[str] | None = None,
    *,
    further: bool = False,
    outside: bool = False,
) -> pd.DataFrame:
    """Read regions.

    Text may be plain, gzip or bgzip, with LF or CRLF line ends, with or without a last one.
    Columns are separated by tabs, or by blanks in a line without a tab. Blank lines, comments
    (``#``) and ``track`` and ``browser`` lines are passed over. Every other line must be a region
    with as many columns as the first. A file is worked through in pieces of 1 MB of text, so
    memory is that of the result and a few MB.

    Parameters
    ----------
    source : path-like, DataFrame or file object
        A frame is checked and copied, see `bigwig_loader.frames.region_frame`.
    n_columns : int, optional
        Read only the first so many columns (at least 3), for files whose further columns are not
        those of BED. By default 10 columns are a narrowPeak, 9 are a broadPeak if the file's name
        or its track line says so, and all others are BED.
    columns : sequence of str, optional
        Names of the columns to return, in this order; the others are neither checked nor built,
        except chrom, start and end. By default all.
    further : bool
        Return all other columns of a BED as well, as text: ``thickStart`` to ``blockStarts`` for
        columns 7 to 12, ``column13`` and so on.
    outside : bool
        Take negative starts and ends: regions that leave their contig.

    Returns
    -------
    DataFrame
        ``chrom`` str, ``start`` and ``end`` int64, 0-based half-open; and, as far as the file has
        them, ``name`` str, ``score`` float64 (NaN for ``.``), ``strand`` str (``+ - . *``),
        ``signalValue``, ``pValue``, ``qValue`` float64 (-1 where the file says not available) and
        ``summit`` Int64: the peak's position on the contig, missing where the file has -1.
        Columns 7 to 12 of BED (drawing and exons) come with `further` only. Regions of length 0
        are kept.

    Raises
    ------
    NotFoundError
        If there is no such file.
    InvalidDataError
        For a line that is not a region, or without a column asked for: path, line number,
        expected and got. Of several bad lines, the one named is in the first piece that has any.
    InvalidInputError
        For a frame with a bad row, or a bad argument.

    Examples
    --------
    >>> import io
    >>> peaks = io.StringIO("chr1\\t100\\t200\\tp\\t5\\t.\\t1.5\\t-1\\t2e-3\\t50\\n")
    >>> read_bed(peaks, columns=("chrom", "start", "end", "summit"))
      chrom  start  end  summit
    0  chr1    100  200     150
    """
    import pandas as pd

    if n_columns is not None:
        check_positive("n_columns", n_columns)
        if n_columns < 3:
            raise InvalidInputError(f"argument n_columns: expected at least 3; got {n_columns}")
    if columns is not None:
        columns = _checked_names(columns)
    if isinstance(source, pd.DataFrame):
        frame = region_frame(source, outside=outside)
        return frame if columns is None else _chosen(frame, columns)
    if not set(columns or ()) <= set(PEAK):
        known = ", ".join(PEAK)
        raise InvalidInputError(f"argument columns: expected names among {known}; got {columns}")
    path, pieces = _open(source)
    reader = _Reader(path, n_columns, columns, further=further, outside=outside)
    reader.read(pieces())
    if reader.is_misread():
        kind = reader.track_type
        reader = _Reader(path, n_columns, columns, kind, further=further, outside=outside)
        reader.read(pieces())
    return reader.frame()


def _checked_names(columns: Sequence[str]) -> tuple[str, ...]:
    names = (columns,) if isinstance(columns, str) else tuple(columns)
    wrong = [name for name in names if names.count(name) > 1 or not isinstance(name, str)]
    if wrong or not names:
        got = repr(wrong[0]) if wrong else "none"
        raise InvalidInputError(f"argument columns: expected distinct names of columns; got {got}")
    return names


def _chosen(frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    for name in columns:
        if name not in frame:
            has = ", ".join(map(repr, frame.columns))
            raise InvalidInputError(f"regions: expected a column {name!r}; got the columns {has}")
    return frame[list(columns)]


def _open(source: PathLike | IO[Any]) -> tuple[str, Callable[[], Iterable[bytes]]]:
    """Name of a source, and a function that gives its text in pieces, at each call anew."""
    if isinstance(source, (str, os.PathLike)):
        path = os.fspath(source)
        return path, lambda: read_pieces(path, _PIECE_BYTES)
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
    return path, lambda: (raw[i : i + _PIECE_BYTES] for i in range(0, len(raw), _PIECE_BYTES))


class _Reader:
    """Goes through the text of a file and keeps the columns wanted.

    Parameters
    ----------
    path : str
    n_columns, columns
        As in `read_bed`.
    track_type : str, optional
        What the file is, where that is known; by default what its last track line says, and
        without one its name.
    further, outside
        As in `read_bed`.
    """

    def __init__(
        self,
        path: str,
        n_columns: int | None,
        columns: tuple[str, ...] | None,
        track_type: str | None = None,
        *,
        further: bool = False,
        outside: bool = False,
    ) -> None:
        self.path = path
        self._further, self._outside = further, outside
        self.track_type = ""
        self._known_type = track_type
        self._asked = n_columns
        self._wanted = columns
        self._n = 0  # columns of the first region
        self._first_line = 0
        self._columns: Columns | None = None

    def read(self, pieces: Iterable[bytes]) -> None:
        """Take all text of the file."""
        line, offset = 1, 0
        for raw in _whole_lines(pieces):
            try:
                # Only the file's first bytes can be a byte order mark.
                text = raw.decode("utf-8" if offset else "utf-8-sig")
            except UnicodeDecodeError as error:
                bad_line_number = line + raw.count(b"\n", 0, error.start)
                raise InvalidDataError(
                    "not a text file",
                    path=self.path,
                    offset=offset + error.start,
                    field=f"line {bad_line_number}",
                    expected="ASCII or UTF-8",
                    got=repr(raw[error.start : error.start + 8])[1:],
                ) from error
            self._take(text, line)
            line += raw.count(b"\n")
            offset += len(raw)

    def is_misread(self) -> bool:
        """Whether a track line behind the first regions gave the columns other names."""
        return self._columns is not None and self._columns.names != self._names()

    def frame(self) -> pd.DataFrame:
        """The regions that were read."""
        columns = self._columns or Columns(self._names(), self._wanted, self._outside)
        return columns.frame()

    def _take(self, text: str, first_line: int) -> None:
        rows: list[str] = []
        lines: list[int] = []
        needed, exact = self._asked or 3, self._asked is None
        for number, line in enumerate(text.split("\n"), start=first_line):
            line = line.rstrip("\r")
            if line[:1] == "#" or not line.strip():
                continue
            if line[0] in "tb" and _SETTING.match(line):
                kind = re.search(r"\btype=[\"']?(\w+)", line)
                self.track_type = kind.group(1) if kind else self.track_type
                continue
            row = line if "\t" in line else "\t".join(line.split())
            n = row.count("\t") + 1
            if n < needed:
                raise bad_line(self.path, number, "columns", f"at least {needed} columns", line)
            if exact and n != self._n:
                if self._n:
                    first = f"{self._n} columns, as in line {self._first_line}"
                    raise bad_line(self.path, number, "columns", first, f"{n}: {line}")
                self._n = n
            if not self._first_line:
                self._first_line, self._n = number, n if exact else needed
            rows.append(row)
            lines.append(number)
        if rows:
            if self._columns is None:
                self._columns = self._new_columns()
            width = self._columns.n_needed
            whole = exact and width == self._n
            self._columns.add(Rows.split(self.path, rows, lines, width, whole))

    def _new_columns(self) -> Columns:
        columns = Columns(self._names(), self._wanted, self._outside)
        if lacking := columns.lacking():
            expected = f"a column {lacking[0]!r}, which is column {PEAK.index(lacking[0]) + 1}"
            raise bad_line(self.path, self._first_line, "columns", expected, self._n)
        return columns

    def _names(self) -> tuple[str, ...]:
        """Names of the columns; raises where their number does not fit the kind of file."""
        track_type = self.track_type if self._known_type is None else self._known_type
        kind = track_type.lower() or self.path.lower().removesuffix(".gz")
        kind = kind.removesuffix(".bgz")
        narrow, broad = kind.endswith("narrowpeak"), kind.endswith("broadpeak")
        n = self._n
        if not n:
            n = min(10 if narrow else 9 if broad else 3, self._asked or 10)
        elif self._asked is None and ((narrow and n != 10) or (broad and n != 9)):
            expected = "10 columns of a narrowPeak" if narrow else "9 columns of a broadPeak"
            raise bad_line(self.path, self._first_line, "columns", expected, n)
        if n == 10 or narrow or broad:
            return PEAK[:n]
        return further_names(n) if self._further else BED[:n]


def _whole_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same text, cut at ends of lines; a short text stays whole."""
    held: list[bytes] = []
    for piece in pieces:
        end = held[-1].rfind(b"\n") + 1 if held else 0
        if end:
            yield b"".join([*held[:-1], held[-1][:end]])
            held = [held[-1][end:]]
        held.append(piece)
    yield b"".join(held)
