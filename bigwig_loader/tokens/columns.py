"""Columns of regions in memory, of any type, to arrays; errors say which row is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError

if TYPE_CHECKING:
    import pandas as pd

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

CONTIG_COLUMNS = ("chrom", "chr")
_EXACT_FLOAT = 2.0**53  # whole numbers below are exact in float64


def pick_columns(table: Mapping[str, Any] | pd.DataFrame, what: str) -> tuple[Any, Any, Any]:
    """Columns of contigs, starts and ends: ``chrom`` or ``chr``, ``start``, ``end``.

    Raises
    ------
    InvalidInputError
        If one of them is missing, or there are several.
    """
    names = list(table.keys())
    contigs = [name for name in names if name in CONTIG_COLUMNS]
    positions = [name for name in names if name in ("start", "end")]
    if len(contigs) != 1 or sorted(positions) != ["end", "start"]:
        raise InvalidInputError(
            f"{what}: expected the columns 'chrom' (or 'chr'), 'start' and 'end', one of each; "
            f"got {', '.join(map(repr, names)) or 'none'}"
        )
    return table[contigs[0]], table["start"], table["end"]


def number_contigs(column: Any, what: str) -> tuple[tuple[str, ...], I32]:
    """Contig names in order of first appearance, and the number of each row's.

    Parameters
    ----------
    column : array, Series or sequence
        Text, categories, or integers, which become their digits.
    what : str
        What an error calls the regions.

    Returns
    -------
    names : tuple of str
        A categorical column's categories are names even if no row has them.
    index : (n,) int32
    """
    values = getattr(column, "array", column)  # of a Series; categories keep their codes
    if hasattr(values, "codes") and hasattr(values, "categories"):
        names, codes = list(values.categories), np.asarray(values.codes)
    elif isinstance(values, (list, tuple)):
        known: dict[Any, int] = {}
        try:
            codes = np.fromiter(
                (known.setdefault(name, len(known)) for name in values), np.int32, len(values)
            )
        except TypeError as error:
            raise InvalidInputError(f"{what}: expected contig names; got {error}") from error
        names = list(known)
    else:
        import pandas as pd

        is_pandas = isinstance(column, (pd.Series, pd.Index))
        codes, uniques = pd.factorize(column if is_pandas else np.asarray(column))
        names = list(uniques)
    missing = np.flatnonzero(codes < 0)
    if len(missing):
        raise InvalidInputError(
            f"{what}: row {missing[0]}: expected a contig name; got a missing value"
        )
    texts = []
    for number, name in enumerate(names):
        if isinstance(name, bool) or not isinstance(name, (str, int, np.integer)) or name == "":
            row = int(np.argmax(codes == number))
            raise InvalidInputError(f"{what}: row {row}: expected a contig name; got {name!r}")
        texts.append(str(name))
    if len(set(texts)) == len(texts):
        return tuple(texts), codes.astype(np.int32, copy=False)
    first = {name: number for number, name in reversed(list(enumerate(dict.fromkeys(texts))))}
    return tuple(first)[::-1], np.array([first[t] for t in texts], np.int32)[codes]


def positions(column: Any, name: str, what: str) -> I64:
    """A column of starts or ends as int64.

    Parameters
    ----------
    column : array, Series or sequence
        Integers, floats without a fraction, or digits.
    name : str
        ``"start"`` or ``"end"``.
    what : str

    Raises
    ------
    InvalidInputError
        For the first row that has something else, or a negative number.
    """
    array = _integers(column)
    if array is None:
        values = list(column)
        array = np.empty(len(values), np.int64)
        for row, value in enumerate(values):
            array[row] = whole = _whole(value)
            if whole < 0:
                raise _bad_position(what, row, name, value)
    elif array.dtype == np.uint64:
        array = np.minimum(array, np.iinfo(np.int64).max)  # past all that there is
    result = np.ascontiguousarray(array, np.int64)
    if len(result) and int(result.min()) < 0:
        row = int(np.argmax(result < 0))
        raise _bad_position(what, row, name, int(result[row]))
    return result


def _integers(column: Any) -> npt.NDArray[np.integer] | None:
    """The column if it is an array of integers or a sequence of them; None if it is not."""
    if isinstance(column, (list, tuple)):
        # Integers only: a list with floats, texts or booleans is looked at one by one.
        if set(map(type, column)) <= {int}:
            try:
                return np.array(column, np.int64)
            except OverflowError:
                return None
        return None
    if not isinstance(getattr(column, "dtype", None), np.dtype):
        return None
    array = np.asarray(column)
    return array if array.dtype.kind in "iu" else None


def _whole(value: Any) -> int:
    """A whole number of 63 bits; -1 for anything else."""
    whole = -1
    if isinstance(value, (str, bytes)):
        text = value.decode("ascii", "replace") if isinstance(value, bytes) else value
        whole = int(text) if text.isascii() and text.isdigit() else -1
    elif isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        whole = int(value)
    elif isinstance(value, (float, np.floating)) and 0 <= value < _EXACT_FLOAT:
        whole = int(value) if float(value).is_integer() else -1
    return whole if whole < 1 << 63 else -1


def _bad_position(what: str, row: int, name: str, got: object) -> InvalidInputError:
    return InvalidInputError(
        f"{what}: row {row}, {name}: expected a whole number >= 0; got {got!r}"
    )


def split_rows(rows: Sequence[Any], what: str) -> tuple[list[Any], list[Any], list[Any]]:
    """Contigs, starts and ends of a list of regions.

    Parameters
    ----------
    rows : sequence
        Tuples or lists that begin with contig, start and end, or objects with the attributes
        ``chr`` (or ``chrom``), ``start`` and ``end``.
    what : str

    Raises
    ------
    InvalidInputError
        For the first that is neither.
    """
    if set(map(type, rows)) <= {tuple, list}:
        try:
            return [r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows]
        except IndexError:
            pass
    parts = [_region(row, number, what) for number, row in enumerate(rows)]
    return [p[0] for p in parts], [p[1] for p in parts], [p[2] for p in parts]


def is_region(value: object) -> bool:
    """Whether an element of a list is a region, not a document."""
    if isinstance(value, (tuple, list)):
        return (
            len(value) >= 3 and isinstance(value[0], (str, int)) and not isinstance(value[1], str)
        )
    return _has_attributes(value)


def _has_attributes(value: object) -> bool:
    named = any(isinstance(getattr(value, name, None), str) for name in CONTIG_COLUMNS)
    return named and hasattr(value, "start") and hasattr(value, "end")


def _region(row: Any, number: int, what: str) -> tuple[Any, Any, Any]:
    if isinstance(row, (tuple, list)) and len(row) >= 3:
        return row[0], row[1], row[2]
    if not isinstance(row, (tuple, list)) and _has_attributes(row):
        contig = row.chr if isinstance(getattr(row, "chr", None), str) else row.chrom
        return contig, row.start, row.end
    raise InvalidInputError(
        f"{what}: row {number}: expected (contig, start, end) or an object with chr, start and "
        f"end; got {row!r:.80}"
    )
