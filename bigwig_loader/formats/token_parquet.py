"""Parquet files with a column ``tokens``, a list of integers in each row: one document a row.

This is what geniml trains on. Other columns say what the documents are. Needs pyarrow, which is
imported when a file is read or written.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import (
    BackendUnavailableError,
    InvalidDataError,
    InvalidInputError,
    NotFoundError,
)
from bigwig_loader.formats.gtok import check_ids
from bigwig_loader.ragged import Ragged
from bigwig_loader.types import PathLike

if TYPE_CHECKING:
    import pandas as pd

COLUMN = "tokens"
_MAX_INT32 = 2**31 - 1


@dataclass(frozen=True)
class TokenTable:
    """What a file holds.

    Parameters
    ----------
    tokens : Ragged of int32
        (D, None): those of each document.
    columns : DataFrame or None
        The other columns, D rows; None if they were not asked for.
    """

    tokens: Ragged[np.int32]
    columns: pd.DataFrame | None = None


def read_token_parquet(
    path: PathLike, vocab_size: int | None = None, columns: bool = False
) -> TokenTable:
    """Read a file, all of it into memory: 4 bytes a token.

    Parameters
    ----------
    path : path-like
    vocab_size : int, optional
        Tokens have to be below.
    columns : bool
        Read the other columns too.

    Raises
    ------
    NotFoundError
        If there is no such file.
    InvalidDataError
        If it is no parquet file or lacks the column; and for a row without a list, and a token
        that is no integer in [0, 2**31), or not below `vocab_size`: row and value.
    BackendUnavailableError
        If pyarrow is not installed.
    """
    pa, parquet = _pyarrow()
    if not os.path.isfile(path):
        raise NotFoundError(f"cannot open {os.fspath(path)}: no such file; expected a parquet file")
    try:
        with parquet.ParquetFile(os.fspath(path)) as file:
            names = file.schema_arrow.names
            if COLUMN not in names:
                raise InvalidDataError(
                    "no column of tokens", path=path, expected=repr(COLUMN), got=", ".join(names)
                )
            column = file.read(columns=[COLUMN]).column(0)
            others = [name for name in names if name != COLUMN] if columns else None
            frame = None if others is None else file.read(columns=others).to_pandas()
    except (pa.ArrowException, OSError) as error:
        raise InvalidDataError(f"not a parquet file: {error}", path=path) from error
    limit = _MAX_INT32 + 1 if vocab_size is None else min(vocab_size, _MAX_INT32 + 1)
    return TokenTable(_lists(column, limit, path), frame)


def write_token_parquet(
    path: PathLike,
    tokens: Ragged[Any],
    columns: pd.DataFrame | Mapping[str, Any] | None = None,
    vocab_size: int | None = None,
) -> None:
    """Write documents, a row each: ``tokens`` as list<int32>, and other columns beside it.

    Folders that are missing are made. The file takes its name when it is whole.

    Parameters
    ----------
    path : path-like
    tokens : Ragged of int
        (D, None); of `Documents`, ``documents.to_ragged()``.
    columns : DataFrame or mapping, optional
        D rows, named otherwise.
    vocab_size : int, optional
        Tokens have to be below.

    Raises
    ------
    InvalidInputError
        For tokens that are no integers in [0, 2**31), and columns that do not fit.
    BackendUnavailableError
        If pyarrow is not installed.
    """
    pa, parquet = _pyarrow()
    limit = _MAX_INT32 + 1 if vocab_size is None else min(vocab_size, _MAX_INT32 + 1)
    ids = check_ids(tokens.data, limit).astype(np.int32, copy=False)
    arrays: dict[str, Any] = {COLUMN: _list_array(pa, ids, tokens.offsets)}
    for name in () if columns is None else columns:
        if name == COLUMN:
            raise InvalidInputError(f"argument columns: expected names other than {COLUMN!r}")
        column = pa.array(columns[name])  # type: ignore[index]
        if len(column) != len(tokens):
            raise InvalidInputError(
                f"argument columns: expected {len(tokens)} values of {name!r}, one for each "
                f"document; got {len(column)}"
            )
        arrays[str(name)] = column
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        parquet.write_table(pa.table(arrays), part)
        os.replace(part, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _list_array(pa: Any, ids: npt.NDArray[np.int32], offsets: npt.NDArray[np.int64]) -> Any:
    """Documents as Arrow's list<int32>, in pieces whose offsets fit 32 bits."""
    pieces: list[Any] = []
    first, n = 0, len(offsets) - 1
    while first < n or not pieces:
        last = int(np.searchsorted(offsets, offsets[first] + _MAX_INT32, "right")) - 1
        if last == first and n:
            raise InvalidInputError(
                f"argument tokens: expected at most {_MAX_INT32} in a document; got "
                f"{offsets[first + 1] - offsets[first]}"
            )
        last = min(max(last, first), n)
        ends = (offsets[first : last + 1] - offsets[first]).astype(np.int32)
        values = ids[offsets[first] : offsets[last]]
        pieces.append(pa.ListArray.from_arrays(pa.array(ends), pa.array(values)))
        first = last
    return pa.chunked_array(pieces, pa.list_(pa.int32()))


def _lists(column: Any, limit: int, path: PathLike) -> Ragged[np.int32]:
    """Arrow's lists of integers as one array and offsets."""
    pa, _ = _pyarrow()
    kind = column.type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if not (is_list and pa.types.is_integer(kind.value_type)):
        raise InvalidDataError(
            "tokens are not token ids",
            path=path,
            field=f"column {COLUMN}",
            expected="lists of integers",
            got=str(kind),
            hint="Tokens as text become ids with Tokenizer.encode.",
        )
    values, lengths = [np.zeros(0, np.int32)], [np.zeros(0, np.int64)]
    row = 0
    for piece in column.chunks:
        flat = piece.flatten()
        if piece.null_count or flat.null_count:
            raise InvalidDataError(
                "missing value", path=path, field=f"column {COLUMN}, rows {row} to "
                f"{row + len(piece) - 1}", expected="a list of integers in each row", got="null"
            )  # fmt: skip
        ids = flat.to_numpy(zero_copy_only=False)
        ends = piece.offsets.to_numpy().astype(np.int64)
        wrong = (ids < 0) | (ids >= limit)
        if wrong.any():
            place = int(np.argmax(wrong))
            document = int(np.searchsorted(ends - ends[0], place, "right")) - 1
            raise InvalidDataError(
                "token out of range",
                path=path,
                field=f"column {COLUMN}, row {row + document}",
                expected=f"an integer in [0, {limit})",
                got=int(ids[place]),
                hint="The tokens are of another universe, or the file is damaged.",
            )
        values.append(ids.astype(np.int32, copy=False))
        lengths.append(np.diff(ends))
        row += len(piece)
    joined = values[1] if len(values) == 2 else np.concatenate(values)
    return Ragged.from_lengths(joined, np.concatenate(lengths))


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise BackendUnavailableError(
            "parquet files need pyarrow, which is not installed: "
            "pip install 'bigwig-loader[tokens]'"
        ) from error
    return pyarrow, pyarrow.parquet
