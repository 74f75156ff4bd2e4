"""Cells of AnnData as documents: the features of each cell, as a file or an object has them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.token_rows import count_row_tokens, sort_by_row, write_row_tokens
from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.plan.overlap import Matrix
from bigwig_loader.ragged import offsets_of
from bigwig_loader.tokens.columns import number_contigs, pick_columns, positions
from bigwig_loader.tokens.h5ad import CompressedMatrix, open_h5ad
from bigwig_loader.tokens.outputs import Documents
from bigwig_loader.tokens.regions import RegionTable
from bigwig_loader.tokens.search import UniverseSearch, Unknown

I64 = npt.NDArray[np.int64]

# Stored values, or values of a dense matrix, that are looked at together: some 100 MB.
PIECE_VALUES = 8 << 20


def is_anndata(data: Any) -> bool:
    """Whether something is an AnnData object or the path of a ``.h5ad`` file."""
    if isinstance(data, (str, os.PathLike)):
        return os.fspath(data).lower().endswith(".h5ad")
    return all(hasattr(data, name) for name in ("X", "var", "obs_names", "layers"))


def tokenize_cells(
    search: UniverseSearch, data: Any, layer: str | None, unknown: Unknown
) -> Documents:
    """Tokens of each cell, see `bigwig_loader.tokens.Tokenizer.tokenize_anndata`."""
    if isinstance(data, (str, os.PathLike)):
        with open_h5ad(data) as file:
            cells, matrix = file.cell_names(), file.matrix(layer)
            return _tokenize(search, file.features(), cells, matrix, unknown)
    if layer is not None and layer not in data.layers:
        raise NotFoundError.among("layer", layer, data.layers.keys(), "the AnnData object")
    matrix = data.X if layer is None else data.layers[layer]
    names = tuple(map(str, data.obs_names))
    return _tokenize(search, data.var, names, matrix, unknown)


def _tokenize(
    search: UniverseSearch, var: Any, names: tuple[str, ...], matrix: Any, unknown: Unknown
) -> Documents:
    features = _features(var)
    column_tokens = search.regions(features, unknown)
    shape = tuple(int(n) for n in getattr(matrix, "shape", ()))
    if shape != (len(names), len(features)):
        raise InvalidInputError(
            f"AnnData: expected a matrix of {len(names)} cells and {len(features)} features; "
            f"got {shape}"
        )
    values, lengths = [], []
    for piece in _pieces(matrix):
        counts = count_row_tokens(piece, column_tokens[0], search.n_threads)
        empty = (counts == 0) & (unknown == "document")
        sizes = counts + empty
        offsets = offsets_of(sizes)
        ids = np.empty(int(offsets[-1]), np.int32)
        write_row_tokens(piece, column_tokens, offsets, ids, search.n_threads)
        ids[offsets[:-1][empty]] = search.universe.special_ids["unk"]
        values.append(ids)
        lengths.append(sizes)
    joined = values[0] if len(values) == 1 else np.concatenate([np.zeros(0, np.int32), *values])
    return Documents(joined, offsets_of(np.concatenate([np.zeros(0, np.int64), *lengths])), names)


def _features(var: Any) -> RegionTable:
    what = "AnnData var"
    contigs, start, end = pick_columns(var, what)
    names, index = number_contigs(contigs, what)
    starts, ends = positions(start, "start", what), positions(end, "end", what)
    return RegionTable(names, np.ascontiguousarray(index), starts, ends, np.arange(len(starts) + 1))


def _pieces(matrix: Any) -> Iterator[Matrix]:
    """Rows of a matrix, some at a time."""
    group = getattr(matrix, "group", None)
    if hasattr(group, "attrs"):  # of a backed AnnData object
        yield from _compressed_pieces(CompressedMatrix.of_group(group))
    elif isinstance(matrix, CompressedMatrix):
        yield from _compressed_pieces(matrix)
    elif hasattr(matrix, "tocsr"):
        stored = matrix if matrix.format in ("csr", "csc") else matrix.tocsr()
        yield from _compressed_pieces(CompressedMatrix.of_scipy(stored))
    elif np.dtype(getattr(matrix, "dtype", "O")).kind in "biuf":
        step = max(1, PIECE_VALUES // max(1, matrix.shape[1]))
        for at in range(0, matrix.shape[0], step):
            rows = np.asarray(matrix[at : at + step])
            in_row, column = np.nonzero(rows)
            counts = np.bincount(in_row, minlength=len(rows))
            yield Matrix(offsets_of(counts), np.ascontiguousarray(column))
    else:
        raise InvalidInputError(
            "AnnData matrix: expected numbers in a CSR, CSC or dense matrix; "
            f"got {type(matrix).__name__}"
        )


def _compressed_pieces(matrix: CompressedMatrix) -> Iterator[Matrix]:
    if matrix.format == "csc":
        yield _by_row(matrix)
        return
    row, n_rows = 0, matrix.shape[0]
    while row < n_rows:
        # As many rows as fit, and at least one.
        limit = matrix.first[row] + PIECE_VALUES
        last = int(np.searchsorted(matrix.first, limit, side="right")) - 1
        last = min(max(last, row + 1), n_rows)
        begin, end = int(matrix.first[row]), int(matrix.first[last])
        column = np.ascontiguousarray(matrix.index[begin:end], np.int64)
        first = matrix.first[row : last + 1] - begin
        yield Matrix(first, column, _not_zero(matrix.value[begin:end]))
        row = last


def _by_row(matrix: CompressedMatrix) -> Matrix:
    """A matrix stored by column, all of it."""
    n_stored = int(matrix.first[-1])
    row = np.ascontiguousarray(matrix.index[:n_stored], np.int64)
    first, column, source = sort_by_row(matrix.shape[0], matrix.first, row)
    kept = _not_zero(matrix.value[:n_stored])
    return Matrix(first, column, None if kept is None else kept[source])


def _not_zero(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_] | None:
    """Which stored values are not 0; None if all are not."""
    kept: npt.NDArray[np.bool_] = values != 0
    return None if kept.all() else kept
