"""Frames of regions: the one place that takes any dtype, and says which row is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError

if TYPE_CHECKING:
    import pandas as pd

_EXACT_FLOAT = 2.0**53  # whole numbers below are exact in float64


def region_frame(regions: pd.DataFrame, *, outside: bool = False) -> pd.DataFrame:
    """A checked copy of a frame of regions, in one form whatever dtypes came in.

    Parameters
    ----------
    regions : DataFrame
        ``chrom`` (strings, categories, or integers, which become their digits), ``start`` and
        ``end`` (any integer dtype, or floats without a fraction), and any other columns.
    outside : bool
        Take negative starts and ends: regions that leave their contig.

    Returns
    -------
    DataFrame
        All columns and the index of `regions`; ``chrom`` is str, ``start`` and ``end`` int64.

    Raises
    ------
    InvalidInputError
        For a missing column, and for the first row with a missing value, a fraction, a negative
        start, or an end before its start.
    """
    import pandas as pd

    if not isinstance(regions, pd.DataFrame):
        raise InvalidInputError(f"regions: expected a DataFrame; got {type(regions).__name__}")
    columns = list(regions.columns)
    for name in ("chrom", "start", "end"):
        if columns.count(name) != 1:
            raise InvalidInputError(
                f"regions: expected one column {name!r}; got {columns.count(name)} in the columns "
                + ", ".join(map(repr, columns))
            )
    frame = regions.copy()
    frame["chrom"] = _contig_column(regions)
    for name in ("start", "end"):
        frame[name] = _integer_column(regions, name)
    start, end = frame["start"].to_numpy(), frame["end"].to_numpy()
    for column, bad, expected in (
        ("start", (start < 0) & (not outside), "start >= 0"),
        ("end", end < start, "end >= start"),
    ):
        if bad.any():
            k = int(np.flatnonzero(bad)[0])
            raise InvalidInputError(
                f"{row_name(regions, k)}, column {column!r}: expected {expected}; "
                f"got start={start[k]}, end={end[k]}"
            )
    return frame


def _contig_column(regions: pd.DataFrame) -> pd.Series[str]:
    import pandas as pd

    column = regions["chrom"]
    _check_complete(regions, "chrom")
    values = column.to_numpy(dtype=object)
    if pd.api.types.infer_dtype(values, skipna=False) not in ("string", "integer", "empty"):
        known = [isinstance(v, (str, int, np.integer)) and not isinstance(v, bool) for v in values]
        if not all(known):
            k = known.index(False)
            raise InvalidInputError(
                f"{row_name(regions, k)}, column 'chrom': expected a contig name; got {values[k]!r}"
            )
    return pd.Series([str(v) for v in values], index=regions.index, dtype="str")


def _integer_column(regions: pd.DataFrame, name: str) -> npt.NDArray[np.int64]:
    _check_complete(regions, name)
    column = regions[name]
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "iu":
        values: npt.NDArray[Any] = column.to_numpy()
        bad = values > np.iinfo(np.int64).max
    else:
        values = column.to_numpy(dtype=object)
        bad = np.fromiter((not _is_whole(v) for v in values), np.bool_, values.size)
    if bad.any():
        k = int(np.flatnonzero(bad)[0])
        raise InvalidInputError(
            f"{row_name(regions, k)}, column {name!r}: expected an integer; got {values[k]!r}"
        )
    return values.astype(np.int64)


def _is_whole(value: object) -> bool:
    if isinstance(value, (bool, np.bool_)):
        return False
    if isinstance(value, (int, np.integer)):
        return abs(int(value)) <= np.iinfo(np.int64).max
    if isinstance(value, (float, np.floating)):
        return abs(float(value)) < _EXACT_FLOAT and float(value).is_integer()
    return False


def _check_complete(regions: pd.DataFrame, name: str) -> None:
    missing = regions[name].isna().to_numpy()
    if missing.any():
        k = int(np.flatnonzero(missing)[0])
        raise InvalidInputError(
            f"{row_name(regions, k)}, column {name!r}: expected a value; got a missing one"
        )


def row_name(regions: pd.DataFrame, k: int) -> str:
    """How an error names row number k."""
    label = regions.index[k]
    label = label.item() if isinstance(label, np.generic) else label
    return f"regions: row {k}" if label == k else f"regions: row {k} (index {label!r})"
