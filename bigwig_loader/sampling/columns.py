"""Columns of a frame of regions, checked: strands, weights, group labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.frames import row_name
from bigwig_loader.types import PathLike

if TYPE_CHECKING:
    import pandas as pd

STRANDS: dict[Any, int] = {"+": 1, "-": -1, ".": 0, "*": 0, 1: 1, -1: -1, 0: 0}


def read_frame(source: pd.DataFrame | PathLike) -> pd.DataFrame:
    """A checked frame of regions, see `bigwig_loader.formats.bed.read_bed`."""
    from bigwig_loader.formats.bed import read_bed

    return read_bed(source)


def complete_column(frame: pd.DataFrame, name: str) -> pd.Series[Any]:
    """A column of a frame of regions, without missing values.

    Raises
    ------
    NotFoundError
        If there is no such column; near names are listed.
    InvalidInputError
        For a missing value.
    """
    if name not in frame.columns:
        raise NotFoundError.among("column", name, frame.columns, "the regions")
    values = frame[name]
    missing = np.flatnonzero(values.isna().to_numpy())
    if len(missing):
        raise InvalidInputError(
            f"{row_name(frame, int(missing[0]))}, column {name!r}: expected a value; got a missing "
            "one"
        )
    return values


def number_column(frame: pd.DataFrame, name: str) -> npt.NDArray[np.float64]:
    """A column as (R,) float64; errors as in `complete_column`."""
    values = complete_column(frame, name)
    try:
        return values.to_numpy(np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"regions: expected numbers in column {name!r}: {error}") from error


def strand_column(frame: pd.DataFrame) -> npt.NDArray[np.int8]:
    """The column ``strand`` as (R,) int8: 1, -1, or 0 for unknown or missing.

    Raises
    ------
    InvalidInputError
        For a value that is no strand.
    """
    import pandas as pd

    codes, values = pd.factorize(frame["strand"])
    # Missing values have the code -1, the last.
    strands = np.zeros(len(values) + 1, np.int8)
    for code, value in enumerate(values):
        if value not in STRANDS:
            row = int(np.flatnonzero(codes == code)[0])
            raise InvalidInputError(
                f"{row_name(frame, row)}, column 'strand': expected one of + - . * or 1, -1, 0; "
                f"got {value!r}"
            )
        strands[code] = STRANDS[value]
    return strands[codes]
