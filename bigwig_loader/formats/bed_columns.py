"""Columns of regions: fields of text to checked arrays, some thousand lines at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidDataError

if TYPE_CHECKING:
    import pandas as pd

BED = ("chrom", "start", "end", "name", "score", "strand")
PEAK = (*BED, "signalValue", "pValue", "qValue", "summit")
_DRAWING = ("thickStart", "thickEnd", "itemRgb", "blockCount", "blockSizes", "blockStarts")
_REGION = BED[:3]
_POSITIONS = ("start", "end")
_STRANDS = frozenset("+-.*")
_NO_SUMMIT = -1


@dataclass(frozen=True)
class Rows:
    """Fields of some region lines, and what is needed to say where one stands.

    Parameters
    ----------
    path : str
    width : int
        Fields that are kept of each line.
    fields : list of str
        Line after line.
    lines : list of int
        Number of the line of each row in the file, from 1.
    """

    path: str
    width: int
    fields: list[str]
    lines: list[int]

    @classmethod
    def split(cls, path: str, rows: list[str], lines: list[int], width: int, whole: bool) -> Rows:
        """Split lines at their tabs; `whole` where each of them has just `width` fields."""
        if whole:
            # One split for all lines: a list per line would cost more than all the rest.
            fields = "\t".join(rows).split("\t")
        else:
            fields = [field for row in rows for field in row.split("\t", width)[:width]]
        return cls(path, width, fields, lines)

    def column(self, k: int) -> list[str]:
        """Column k."""
        return self.fields[k :: self.width]

    def error(self, row: int, field: str, expected: str, got: object) -> InvalidDataError:
        """The error that names a row's line."""
        return bad_line(self.path, self.lines[row], field, expected, got)


def bad_line(path: str, line: int, field: str, expected: str, got: object) -> InvalidDataError:
    """The error for a line that is not a region."""
    return InvalidDataError(
        f"line {line} is not a region",
        path=path,
        field=f"line {line}, {field}",
        expected=expected,
        got=repr(got) if len(repr(got)) <= 100 else repr(got)[:97] + "...",
        hint="Comments and headings start with '#'; n_columns=3 reads the regions alone.",
    )


class Columns:
    """The columns of a file as arrays, which grow by some rows at a time.

    Parameters
    ----------
    names : tuple of str
        Names of the file's columns, in its order.
    wanted : tuple of str, optional
        Those to keep, in the order of the frame; all by default.
    outside : bool
        Take negative positions.

    Attributes
    ----------
    n_needed : int
        How many of the file's columns have to be split off.
    """

    def __init__(
        self, names: tuple[str, ...], wanted: tuple[str, ...] | None, outside: bool = False
    ) -> None:
        self.names = names
        self._outside = outside
        self._wanted = names if wanted is None else wanted
        self._used = [n for n in names if n in _REGION or n in self._wanted]
        self.n_needed = max(map(names.index, self._used)) + 1
        self._parts: dict[str, list[npt.NDArray[Any]]] = {n: [] for n in (*PEAK, *names)}
        self._texts: dict[str, str] = {}  # one object for all that are equal

    def lacking(self) -> list[str]:
        """Columns that are wanted and that the file does not have."""
        return [name for name in self._wanted if name not in self.names]

    def add(self, rows: Rows) -> None:
        """Convert and check some rows.

        Raises
        ------
        InvalidDataError
            For the first line that is no region.
        """
        new: dict[str, npt.NDArray[Any]] = {}
        texts = {name: rows.column(self.names.index(name)) for name in self._used}
        for name, values in texts.items():
            if name in ("chrom", "strand"):
                new[name] = self._shared(values)
            elif name == "name" or name not in PEAK:
                new[name] = _objects(values)
            elif name in _POSITIONS:
                new[name] = _positions(rows, name, values, self._outside)
            elif name == "summit":
                new[name] = _summits(rows, values, new["start"])
            else:
                new[name] = _floats(rows, name, values)
        _check(rows, texts, new["start"], new["end"])
        for name, array in new.items():
            self._parts[name].append(array)

    def frame(self) -> pd.DataFrame:
        """The rows so far."""
        import pandas as pd

        columns: dict[str, Any] = {}
        for name in self._wanted:
            values = self._joined(name)
            if name == "summit":
                columns[name] = pd.arrays.IntegerArray(values, values == _NO_SUMMIT)
            else:
                text = values.dtype == object
                columns[name] = pd.Series(values, dtype="str") if text else values
        return pd.DataFrame(columns)

    def _joined(self, name: str) -> npt.NDArray[Any]:
        dtype: type = object
        if name in (*_POSITIONS, "summit"):
            dtype = np.int64
        elif name in ("score", "signalValue", "pValue", "qValue"):
            dtype = np.float64
        return np.concatenate([np.zeros(0, dtype), *self._parts.pop(name)])

    def _shared(self, values: Sequence[str]) -> npt.NDArray[Any]:
        """Strings as an array of objects, one object for all that are equal."""
        known = self._texts
        for value in set(values):
            known.setdefault(value, value)
        return _objects([known[value] for value in values])


def _objects(values: Sequence[str]) -> npt.NDArray[Any]:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def further_names(n: int) -> tuple[str, ...]:
    """Names of all columns of a BED with `n` of them."""
    known = BED + _DRAWING
    return known[:n] + tuple(f"column{k}" for k in range(len(known) + 1, n + 1))


def _positions(
    rows: Rows, name: str, values: Sequence[str], outside: bool = False
) -> npt.NDArray[np.int64]:
    """Digits only: int() would also take signs, blanks, underscores and digits of any script."""
    if outside:
        minus = np.array([value.startswith("-") for value in values], dtype=np.bool_)
        magnitude = _positions(rows, name, [value.removeprefix("-") for value in values])
        return np.where(minus, -magnitude, magnitude)
    if not (all(map(str.isdigit, values)) and "".join(values).isascii()):
        row = next(i for i, v in enumerate(values) if not (v.isascii() and v.isdigit()))
        raise rows.error(row, name, "a whole number >= 0", values[row])
    if max(map(len, values), default=0) > 18:
        row = next(i for i, v in enumerate(values) if len(v) > 18)
        raise rows.error(row, name, "a position of a genome", values[row])
    return np.fromiter(map(int, values), np.int64, len(values))


def _floats(rows: Rows, name: str, values: Sequence[str]) -> npt.NDArray[np.float64]:
    numbers = ["nan" if value == "." else value for value in values]
    try:
        return np.fromiter(map(float, numbers), np.float64, len(numbers))
    except ValueError:
        row = next(i for i, value in enumerate(numbers) if not _is_number(value))
        raise rows.error(row, name, "a number or '.'", values[row]) from None


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def _summits(
    rows: Rows, values: Sequence[str], start: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Position of each peak on its contig; the file has its distance from the start, or -1."""
    known = np.array([value != "-1" for value in values], dtype=np.bool_)
    given = [v if k else "0" for v, k in zip(values, known, strict=True)]
    distances = _positions(rows, "peak", given)
    return np.where(known, start + distances, _NO_SUMMIT)


def _check(
    rows: Rows,
    texts: dict[str, list[str]],
    start: npt.NDArray[np.int64],
    end: npt.NDArray[np.int64],
) -> None:
    """What holds between columns."""
    reversed_rows = np.flatnonzero(end < start)
    if reversed_rows.size:
        row = int(reversed_rows[0])
        raise rows.error(row, "end", f"an end >= the start, {start[row]}", int(end[row]))
    names, strands = texts["chrom"], texts.get("strand", [])
    if "" in names:
        raise rows.error(names.index(""), "chrom", "a contig name", "")
    if not _STRANDS.issuperset(strands):
        row = next(i for i, strand in enumerate(strands) if strand not in _STRANDS)
        raise rows.error(row, "strand", "one of + - . *", strands[row])
