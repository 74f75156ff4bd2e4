"""Pieces of signal, read one after the other into one array."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.protocol import Array, SignalReader
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.plan.budget import Piece
from bigwig_loader.plan.signal import SignalOptions

# Working memory of one call where no budget is declared.
DEFAULT_WORKING_BYTES = 2 << 30


def read_pieces(
    reader: SignalReader,
    pieces: Iterable[Piece],
    options: SignalOptions,
    transforms: npt.NDArray[np.float32],
    out: Array,
) -> None:
    """Read each piece of a request to where it belongs.

    Parameters
    ----------
    reader : SignalReader
    pieces : iterable of Piece
    options : SignalOptions
    transforms : (T, 7) float32
        Records of the request's tracks (`plan.signal.pack_transforms`).
    out : (B, N, T) or (B, T, N) array
    """
    for piece in pieces:
        last_two = (piece.bins, piece.tracks)
        if options.layout == "BTN":
            last_two = (piece.tracks, piece.bins)
        part = out[(piece.windows, *last_two)]
        reader.read(piece.plan, options, transforms[piece.tracks], part)


def working_budget(memory_budget: int | None, result_bytes: int) -> int:
    """Bytes that reading may take besides its result.

    Parameters
    ----------
    memory_budget : int, optional
        Of both together; None where none is declared.
    result_bytes : int

    Raises
    ------
    InvalidInputError
        If nothing is left.
    """
    if memory_budget is None:
        return DEFAULT_WORKING_BYTES
    if memory_budget <= result_bytes:
        raise InvalidInputError(
            f"memory_budget is too small: the result alone takes {result_bytes} bytes; "
            f"got {memory_budget}; read fewer windows at once"
        )
    return memory_budget - result_bytes


def check_out(out: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Raise `InvalidInputError` unless `out` is an array of this shape and dtype."""
    if not hasattr(out, "dtype"):
        raise InvalidInputError(f"argument out: expected an array; got {type(out).__name__}")
    if tuple(out.shape) != shape or out.dtype != dtype:
        raise InvalidInputError(
            f"argument out: expected shape {shape} of {dtype}; "
            f"got {tuple(out.shape)} of {out.dtype}"
        )
