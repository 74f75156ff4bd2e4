"""Names of the few closed sets that calls take as strings, and their NumPy dtypes."""

from __future__ import annotations

import functools
import os
from typing import Any, Literal, get_args

import numpy as np

from bigwig_loader.errors import InvalidInputError

PathLike = str | os.PathLike[str]
DtypeName = Literal["float32", "float16", "bfloat16", "uint8", "int8"]
SignalDtype = Literal["float32", "float16", "bfloat16"]
Layout = Literal["BNT", "BTN"]
Statistic = Literal["mean", "sum", "max", "min", "std", "coverage"]

# The same as tuples: looked up once, since options are checked for every batch.
DTYPES: tuple[str, ...] = get_args(DtypeName)
SIGNAL_DTYPES: tuple[str, ...] = get_args(SignalDtype)
LAYOUTS: tuple[str, ...] = get_args(Layout)
STATISTICS: tuple[str, ...] = get_args(Statistic)


@functools.cache
def numpy_dtype(name: str) -> np.dtype[Any]:
    """NumPy dtype of a dtype name.

    Parameters
    ----------
    name : {"float32", "float16", "bfloat16", "uint8", "int8"}
        ``"bfloat16"`` is `ml_dtypes.bfloat16`, since NumPy has none.

    Raises
    ------
    InvalidInputError
        For any other name.
    """
    check_choice("dtype", name, DTYPES)
    if name == "bfloat16":
        import ml_dtypes

        dtype: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    else:
        dtype = np.dtype(name)
    return dtype


def check_choice(argument: str, value: object, choices: tuple[str, ...]) -> None:
    """Raise `InvalidInputError` unless `value` is one of `choices`."""
    if value not in choices:
        raise InvalidInputError(
            f"argument {argument}: expected one of {', '.join(map(repr, choices))}; got {value!r}"
        )


def check_positive(argument: str, value: object) -> None:
    """Raise `InvalidInputError` unless `value` is an integer of at least 1."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise InvalidInputError(f"argument {argument}: expected an integer >= 1; got {value!r}")


def check_not_negative(argument: str, value: object) -> None:
    """Raise `InvalidInputError` unless `value` is an integer of at least 0."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
        raise InvalidInputError(f"argument {argument}: expected an integer >= 0; got {value!r}")


def check_number(argument: str, value: object) -> None:
    """Raise `InvalidInputError` unless `value` is a real number; NaN and infinities are."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise InvalidInputError(f"argument {argument}: expected a number; got {value!r}")
