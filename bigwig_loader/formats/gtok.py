"""``.gtok`` files: the tokens of one document, as gtars writes and reads them.

======  ======  ==================================================================
offset  bytes   what
======  ======  ==================================================================
0       4       ``GTOK``
4       1       1: tokens are uint16; 2: tokens are uint32
5       2 or 4  each token, little-endian, up to the end of the file
======  ======  ==================================================================

The file says neither how many tokens it has nor of which universe they are.
"""

from __future__ import annotations

import mmap
import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidDataError, InvalidInputError, NotFoundError
from bigwig_loader.types import PathLike, check_positive

MAGIC = b"GTOK"
HEADER_BYTES = 5
DTYPES: dict[int, np.dtype[Any]] = {1: np.dtype("<u2"), 2: np.dtype("<u4")}
MAX_TOKEN = 2**32 - 1
_MAX_SHORT = 2**16 - 1
# Smaller files are read: mapping costs more, and each map holds a file open.
_MIN_MAPPED_BYTES = 1 << 18

Tokens = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]


@dataclass(frozen=True)
class GtokHeader:
    """What the beginning and the size of a file say.

    Parameters
    ----------
    dtype : dtype
        uint16 or uint32, little-endian.
    n_tokens : int
    """

    dtype: np.dtype[Any]
    n_tokens: int


def read_gtok(path: PathLike, vocab_size: int | None = None) -> Tokens:
    """Tokens of a file.

    Parameters
    ----------
    path : path-like
    vocab_size : int, optional
        Tokens have to be below.

    Returns
    -------
    (N,) uint16 or uint32
        As the file has them, read-only; those of a large file are mapped, not read. Arithmetic on
        uint16 overflows: ``.astype(int)`` first.

    Raises
    ------
    NotFoundError
        If there is no such file.
    InvalidDataError
        If it is no .gtok file, ends within a token, or has a token that is not below `vocab_size`.
    """
    with _open(path) as file:
        header = _read_header(file.fileno(), path)
        data: Any
        if header.n_tokens * header.dtype.itemsize >= _MIN_MAPPED_BYTES:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        else:
            data = os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0)
    tokens: Tokens = np.frombuffer(data, header.dtype, header.n_tokens, HEADER_BYTES)
    if vocab_size is not None:
        check_tokens(tokens, vocab_size, path)
    return tokens


def read_gtok_header(path: PathLike) -> GtokHeader:
    """Type and number of the tokens of a file; errors as of `read_gtok`."""
    with _open(path) as file:
        return _read_header(file.fileno(), path)


def read_gtok_part(
    path: PathLike, header: GtokHeader, first: int, n_tokens: int
) -> npt.NDArray[Any]:
    """Tokens [first, first + n_tokens) of a file whose header was read before.

    Raises
    ------
    NotFoundError, InvalidDataError
        If the file is gone, or is not as it was.
    """
    with _open(path) as file:
        found = _read_header(file.fileno(), path)
        if found != header:
            raise InvalidDataError(
                "file changed since it was opened",
                path=path,
                expected=f"{header.n_tokens} tokens of {header.dtype.name}",
                got=f"{found.n_tokens} of {found.dtype.name}",
            )
        size, at = header.dtype.itemsize, HEADER_BYTES + first * header.dtype.itemsize
        if n_tokens * size < _MIN_MAPPED_BYTES:
            return np.frombuffer(os.pread(file.fileno(), n_tokens * size, at), header.dtype)
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return np.frombuffer(data, header.dtype, n_tokens, at)


def check_tokens(tokens: npt.NDArray[Any], vocab_size: int, path: PathLike | None) -> None:
    """Raise `InvalidDataError` unless all tokens of a file are below `vocab_size`."""
    check_positive("vocab_size", vocab_size)
    if not len(tokens) or int(tokens.max()) < vocab_size:
        return
    place = int(np.argmax(tokens >= vocab_size))
    raise InvalidDataError(
        "token out of range",
        path=path,
        field=f"token {place}",
        expected=f"below {vocab_size}, the size of the vocabulary",
        got=int(tokens[place]),
        hint="The tokens are of another universe, or the file is damaged.",
    )


def write_gtok(path: PathLike, tokens: npt.ArrayLike, vocab_size: int | None = None) -> None:
    """Write tokens, byte for byte as gtars does.

    Tokens take 2 bytes each if all are below 65,536, and 4 otherwise. Folders that are missing are
    made. The file takes its name when it is whole, and replaces one that has it.

    Parameters
    ----------
    path : path-like
    tokens : (N,) array-like of int
        Of any type of integers, in [0, 2**32); may be empty.
    vocab_size : int, optional
        Tokens have to be below.

    Raises
    ------
    InvalidInputError
        For anything else.
    """
    ids = check_ids(tokens, vocab_size)
    flag = 2 if len(ids) and int(ids.max()) > _MAX_SHORT else 1
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        with part.open("xb") as file:
            file.write(MAGIC + bytes([flag]))
            file.write(np.ascontiguousarray(ids, DTYPES[flag]).data)
        os.replace(part, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def check_ids(
    tokens: npt.ArrayLike, vocab_size: int | None = None, argument: str = "tokens"
) -> npt.NDArray[Any]:
    """Tokens of a call as an array of integers (N,).

    Raises
    ------
    InvalidInputError
        Unless they are one axis of integers in [0, 2**32), and below `vocab_size`.
    """
    ids = np.asarray(tokens)
    if not ids.size and ids.ndim == 1:
        return ids.astype(np.uint16)
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise InvalidInputError(
            f"argument {argument}: expected one axis of integers; got {ids.dtype} of shape "
            f"{ids.shape}"
        )
    limit = MAX_TOKEN + 1
    if vocab_size is not None:
        check_positive("vocab_size", vocab_size)
        limit = min(limit, vocab_size)
    low, high = int(ids.min()), int(ids.max())
    if low < 0 or high >= limit:
        raise InvalidInputError(
            f"argument {argument}: expected token ids in [0, {limit}); got "
            f"{low if low < 0 else high}"
        )
    return ids


def _open(path: PathLike) -> Any:
    try:
        return open(path, "rb", buffering=0)
    except OSError as error:
        raise NotFoundError(
            f"cannot open {os.fspath(path)}: {error.strerror or error}; expected a .gtok file"
        ) from error


def _read_header(handle: int, path: PathLike) -> GtokHeader:
    start = os.pread(handle, HEADER_BYTES, 0)
    if not start.startswith(MAGIC):
        raise InvalidDataError("not a .gtok file", path=path, offset=0, field="magic",
                               expected=repr(MAGIC), got=repr(start[:4]))  # fmt: skip
    if len(start) < HEADER_BYTES:
        raise InvalidDataError("truncated .gtok file", path=path, offset=len(start), field="flag",
                               expected="1 or 2", got="the end of the file")  # fmt: skip
    dtype = DTYPES.get(start[4])
    if dtype is None:
        raise InvalidDataError("not a .gtok file", path=path, offset=4, field="flag",
                               expected="1 (uint16) or 2 (uint32)", got=start[4])  # fmt: skip
    n_tokens, rest = divmod(os.fstat(handle).st_size - HEADER_BYTES, dtype.itemsize)
    if rest:
        raise InvalidDataError(
            "truncated .gtok file",
            path=path,
            offset=HEADER_BYTES + n_tokens * dtype.itemsize,
            field=f"token {n_tokens}",
            expected=f"{dtype.itemsize} bytes",
            got=rest,
            hint="The file lost its end; write it again.",
        )
    return GtokHeader(dtype, n_tokens)
