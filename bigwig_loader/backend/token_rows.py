"""Rows of tokens in host memory: the order of regions, tokens of cells, subsets of documents."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.cpu.library import library
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.plan.overlap import Matrix, check_array
from bigwig_loader.ragged import offsets_of

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]


def order_regions(group: I32, n_groups: int, start: I64, n_threads: int = 1) -> I64 | None:
    """The stable order by (group, start), (n,); None where the regions have it already.

    Parameters
    ----------
    group : (n,) int32
        In [0, n_groups).
    n_groups : int
    start : (n,) int64
        Not negative.
    n_threads : int
    """
    check_array("group", group, np.int32)
    check_array("start", start, np.int64, len(group))
    order = np.empty(len(group), np.int64)
    status = library().bwl_order_regions(
        len(group), group.ctypes.data, n_groups, start.ctypes.data, order.ctypes.data, n_threads
    )
    if status < 0:
        raise MemoryError("no memory to sort the regions")
    return None if status else order


def count_row_tokens(matrix: Matrix, token_first: I64, n_threads: int = 1) -> I64:
    """Tokens of every row, (R,): those of its columns together.

    Parameters
    ----------
    matrix : Matrix
    token_first : (C + 1,) int64
        Where the tokens of each column begin.
    n_threads : int

    Raises
    ------
    InvalidInputError
        If a column is out of range: which entry, and its value.
    """
    counts = np.empty(len(matrix.row_first) - 1, np.int64)
    n_columns = len(token_first) - 1
    bad = library().bwl_count_row_tokens(
        len(counts),
        matrix.row_first.ctypes.data,
        matrix.column.ctypes.data,
        None if matrix.kept is None else matrix.kept.ctypes.data,
        n_columns,
        token_first.ctypes.data,
        counts.ctypes.data,
        n_threads,
    )
    if bad >= 0:
        raise InvalidInputError(
            f"matrix entry {bad}: expected a column in [0, {n_columns}); got {matrix.column[bad]}"
        )
    return counts


def write_row_tokens(
    matrix: Matrix,
    column_tokens: tuple[I64, I32],
    offsets: I64,
    tokens: I32,
    n_threads: int = 1,
) -> None:
    """Write the tokens of every row from ``offsets[row]`` of `tokens` on.

    Parameters
    ----------
    matrix : Matrix
        Its columns have been checked by `count_row_tokens`.
    column_tokens : ((C + 1,) int64, int32)
        Where the tokens of each column begin, and the tokens.
    offsets : (R,) or (R + 1,) int64
    tokens : int32
        Has room for them.
    n_threads : int
    """
    token_first, ids = column_tokens
    library().bwl_write_row_tokens(
        len(matrix.row_first) - 1,
        matrix.row_first.ctypes.data,
        matrix.column.ctypes.data,
        None if matrix.kept is None else matrix.kept.ctypes.data,
        token_first.ctypes.data,
        ids.ctypes.data,
        offsets.ctypes.data,
        tokens.ctypes.data,
        n_threads,
    )


def sort_by_row(n_rows: int, column_first: I64, row: I64) -> tuple[I64, I64, I64]:
    """A matrix stored by column, stored by row.

    Parameters
    ----------
    n_rows : int
    column_first : (C + 1,) int64
    row : (n,) int64

    Returns
    -------
    row_first : (n_rows + 1,) int64
    column : (n,) int64
        Ascending in each row.
    source : (n,) int64
        Where each entry stood.

    Raises
    ------
    InvalidInputError
        If a row is out of range.
    """
    row_first = np.empty(n_rows + 1, np.int64)
    column, source = np.empty(len(row), np.int64), np.empty(len(row), np.int64)
    bad = library().bwl_sort_by_row(
        n_rows,
        len(column_first) - 1,
        column_first.ctypes.data,
        row.ctypes.data,
        row_first.ctypes.data,
        column.ctypes.data,
        source.ctypes.data,
    )
    if bad >= 0:
        raise InvalidInputError(
            f"matrix entry {bad}: expected a row in [0, {n_rows}); got {row[bad]}"
        )
    return row_first, column, source


def choose_tokens(
    tokens: I32,
    offsets: I64,
    max_length: int,
    key: tuple[int, int],
    index: I64,
    n_threads: int = 1,
) -> tuple[I32, I64]:
    """Rows cut to `max_length` tokens at random, which stay in order.

    Every subset of a row is equally likely. It depends on seed, epoch, the row's index and its
    length, and on nothing else.

    Parameters
    ----------
    tokens : int32
    offsets : (R + 1,) int64
    max_length : int
        At most 2**20.
    key : (seed, epoch)
    index : (R,) int64
    n_threads : int

    Returns
    -------
    tokens : int32
    offsets : (R + 1,) int64
    """
    check_array("tokens", tokens, np.int32)
    check_array("offsets", offsets, np.int64)
    check_array("index", index, np.int64, len(offsets) - 1)
    ends = offsets_of(np.minimum(np.diff(offsets), max_length))
    chosen = np.empty(int(ends[-1]), np.int32)
    status = library().bwl_choose_tokens(
        len(offsets) - 1,
        offsets.ctypes.data,
        tokens.ctypes.data,
        ends.ctypes.data,
        index.ctypes.data,
        *key,
        chosen.ctypes.data,
        n_threads,
    )
    if status < 0:
        raise MemoryError("no memory to choose tokens")
    return chosen, ends
