"""Pieces of signal, read one after the other into one array."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.protocol import Array, SignalReader
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.plan.budget import Piece
from bigwig_loader.plan.signal import SignalOptions
from bigwig_loader.plan.windows import Windows

# Working memory of one call where no budget is declared.
DEFAULT_WORKING_BYTES = 2 << 30


def read_pieces(
    reader: SignalReader,
    pieces: Iterable[Piece],
    options: SignalOptions,
    transforms: npt.NDArray[np.float32],
    out: Array,
    wait: bool = True,
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
    wait : bool
        See `SignalReader.read`.
    """
    for piece in pieces:
        last_two = (piece.bins, piece.tracks)
        if options.layout == "BTN":
            last_two = (piece.tracks, piece.bins)
        part = out[(piece.windows, *last_two)]
        reader.read(piece.plan, options, transforms[piece.tracks], part, wait)


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


def check_request(windows: Windows, options: SignalOptions, n_contigs: int, n_tracks: int) -> None:
    """Raise `InvalidInputError` unless windows and options fit so many contigs and tracks."""
    if (windows.contig_index.view(np.uint32) >= n_contigs).any():
        raise InvalidInputError(
            f"windows: expected contig_index in [0, {n_contigs}); got "
            f"{windows.contig_index.min()} to {windows.contig_index.max()}"
        )
    if options.track_swap is not None and len(options.track_swap) != n_tracks:
        raise InvalidInputError(
            f"track_swap: expected {n_tracks} places; got {len(options.track_swap)}"
        )


def check_out(out: Array, shape: tuple[int, ...], like: Array) -> None:
    """Raise `InvalidInputError` unless `out` is an array of this shape, and of the kind of `like`.

    Parameters
    ----------
    out : object
    shape : tuple of int
    like : array
        Made by the backend, so in its memory and of the dtype that it has there.
    """
    if not isinstance(out, type(like)):
        expected = f"{type(like).__module__}.{type(like).__name__}"
        raise InvalidInputError(
            f"argument out: expected a {expected}, which the collection's device can write; got "
            f"{type(out).__module__}.{type(out).__name__}"
        )
    if tuple(out.shape) != shape or out.dtype != like.dtype:
        raise InvalidInputError(
            f"argument out: expected shape {shape} of {like.dtype}; "
            f"got {tuple(out.shape)} of {out.dtype}"
        )
