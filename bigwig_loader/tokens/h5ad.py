"""What a `.h5ad` file holds of cells and features, read with h5py alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import (
    BackendUnavailableError,
    InvalidDataError,
    InvalidInputError,
    NotFoundError,
)
from bigwig_loader.tokens.columns import CONTIG_COLUMNS
from bigwig_loader.types import PathLike

_COLUMNS = (*CONTIG_COLUMNS, "start", "end")
_FORMATS = {"csr_matrix": "csr", "csc_matrix": "csc"}


@dataclass(frozen=True)
class CompressedMatrix:
    """A sparse matrix stored by row or by column.

    Parameters
    ----------
    format : {"csr", "csc"}
    shape : (int, int)
    first : (rows or columns + 1,) int64
        Where the entries of each row, or column, begin.
    index, value : array or h5py.Dataset
        Columns, or rows, of the entries, and their values.

    Raises
    ------
    InvalidInputError
        If they do not fit together.
    """

    format: str
    shape: tuple[int, int]
    first: npt.NDArray[np.int64]
    index: Any
    value: Any

    def __post_init__(self) -> None:
        n_entries, n_lines = len(self.index), self.shape[self.format == "csc"]
        if len(self.value) != n_entries:
            raise InvalidInputError(
                f"matrix: expected as many indices as values; got {n_entries} and {len(self.value)}"
            )
        first = self.first
        fits = len(first) == n_lines + 1 and first[0] == 0 and int(first[-1]) <= n_entries
        if not fits or (np.diff(first) < 0).any():
            raise InvalidInputError(
                f"matrix: expected an indptr of {n_lines + 1} numbers that ascend from 0 to at "
                f"most {n_entries}; got {len(first)}, {first[:3].tolist()} ... "
                f"{first[-3:].tolist()}"
            )

    @classmethod
    def of_scipy(cls, matrix: Any) -> CompressedMatrix:
        """Of a CSR or CSC matrix of scipy, sharing its memory."""
        first = np.asarray(matrix.indptr, np.int64)
        return cls(matrix.format, tuple(matrix.shape), first, matrix.indices, matrix.data)

    @classmethod
    def of_group(cls, group: Any) -> CompressedMatrix:
        """Of an HDF5 group, whose entries are read when they are asked for."""
        kind = group.attrs.get("encoding-type", group.attrs.get("h5sparse_format", ""))
        shape = group.attrs.get("shape", group.attrs.get("h5sparse_shape"))
        form = _FORMATS.get(f"{_text(kind).removesuffix('_matrix')}_matrix")
        missing = [name for name in ("indptr", "indices", "data") if name not in group]
        if form is None or shape is None or len(shape) != 2 or missing:
            raise InvalidInputError(
                f"{group.name}: expected a CSR, CSC or dense matrix; got the encoding "
                f"{_text(kind)!r}, without {missing}"
            )
        rows, columns = (int(n) for n in shape)
        first = np.asarray(group["indptr"][:], np.int64)
        return cls(form, (rows, columns), first, group["indices"], group["data"])


class H5ad:
    """An open `.h5ad` file.

    Parameters
    ----------
    file : h5py.File
    """

    def __init__(self, file: Any) -> None:
        self._file = file

    def features(self) -> dict[str, Any]:
        """Columns of ``var`` that tell where the features lie, those that there are."""
        var = self._frame("var")
        return {name: self._column(var[name]) for name in _COLUMNS if name in var}

    def cell_names(self) -> tuple[str, ...]:
        """Names of the cells."""
        obs = self._frame("obs")
        name = _text(obs.attrs.get("_index", "_index"))
        if name not in obs:
            raise InvalidInputError(f"obs: expected an index {name!r}; got {sorted(obs)}")
        return tuple(map(str, self._column(obs[name])))

    def matrix(self, layer: str | None) -> Any:
        """``X`` or a layer: a `CompressedMatrix`, or an HDF5 data set of a dense one."""
        if layer is None:
            found = self._file.get("X")
        else:
            layers = self._file.get("layers", {})
            if layer not in layers:
                raise NotFoundError.among("layer", layer, layers, self._file.filename)
            found = layers[layer]
        if found is None:
            raise InvalidInputError("X: expected a matrix; got none. Name a layer")
        return CompressedMatrix.of_group(found) if hasattr(found, "keys") else found

    def _frame(self, name: str) -> Any:
        frame = self._file.get(name)
        if not hasattr(frame, "keys"):
            raise InvalidInputError(
                f"{name}: expected a group of columns; got "
                f"{'none' if frame is None else 'a data set'}. Files of anndata before 0.7 have to "
                "be read and written by a later version"
            )
        return frame

    def _column(self, stored: Any) -> Any:
        """A column as an array of numbers or texts, None where a value is missing."""
        if hasattr(stored, "keys"):
            if "codes" in stored and "categories" in stored:
                return _decoded(stored["codes"], self._column(stored["categories"]))
            if "values" not in stored:
                kind = _text(stored.attrs.get("encoding-type", ""))
                raise InvalidInputError(
                    f"{stored.name}: expected numbers or texts; got the encoding {kind!r}"
                )
            values = self._column(stored["values"])
            missing = np.asarray(stored["mask"][:] if "mask" in stored else False, np.bool_)
            return np.where(missing, None, values.astype(object)) if missing.any() else values
        if stored.ndim != 1:
            raise InvalidInputError(f"{stored.name}: expected one dimension; got {stored.ndim}")
        reference = stored.attrs.get("categories")
        if reference is not None:
            return _decoded(stored, self._column(self._file[reference]))
        return stored.asstr()[:] if stored.dtype.kind in "OS" else stored[:]


def _decoded(codes: Any, categories: npt.NDArray[Any]) -> npt.NDArray[Any]:
    numbers = np.asarray(codes[:], np.int64)
    if len(numbers) and not -1 <= int(numbers.min()) <= int(numbers.max()) < len(categories):
        raise InvalidInputError(
            f"{codes.name}: expected codes of {len(categories)} categories; "
            f"got {numbers.min()} to {numbers.max()}"
        )
    values = np.empty(len(categories) + 1, object)
    values[:-1], values[-1] = categories, None
    return values[numbers]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


@contextmanager
def open_h5ad(path: PathLike) -> Iterator[H5ad]:
    """Open a file; what is wrong with it, also while it is read, is raised with its path.

    Raises
    ------
    NotFoundError
        If there is no such file.
    InvalidDataError
        If it is damaged, or does not have what was asked for.
    BackendUnavailableError
        If h5py is not installed.
    """
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise BackendUnavailableError(
            "reading .h5ad files needs h5py, which is not installed: "
            "pip install 'bigwig-loader[tokens]'"
        ) from error
    name = os.fspath(path)
    if not os.path.exists(name):
        raise NotFoundError(f"cannot open {name}: no such file")
    try:
        with h5py.File(name, "r") as file:
            yield H5ad(file)
    except (InvalidInputError, OSError, KeyError, RuntimeError, UnicodeDecodeError) as error:
        if isinstance(error, NotFoundError):
            raise
        raise InvalidDataError(
            f"not an .h5ad file that can be used: {error}",
            path=name,
            hint="It has to be HDF5, with obs, var and X as anndata writes them.",
        ) from error
