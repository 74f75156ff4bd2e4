"""Which cells an index means. A cell is one (region, sample); the cells are raveled row by row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError, NotFoundError

Cells = npt.NDArray[np.int64]
IndexKind = Literal["cell", "region"]


@dataclass(frozen=True)
class Axis:
    """One of the two axes, as an index sees it.

    Parameters
    ----------
    what : str
        ``"region"``, ``"sample"`` or ``"cell"``; used in error messages.
    n : int
        Number of rows.
    places : mapping of str to int, optional
        Row of each name; None where rows have no names.
    """

    what: str
    n: int
    places: Mapping[str, int] | None = None

    def rows(self, key: Any) -> Cells:
        """Rows that a key means, an array of the key's own shape.

        Parameters
        ----------
        key : int, str, slice, sequence or array of them, or (n,) mask
            Integers may be negative; in slices they are cut off as in a list.

        Raises
        ------
        NotFoundError
            For a row or a name that is not there.
        InvalidInputError
            For what is no index.
        """
        if isinstance(key, slice):
            return np.arange(*self._slice(key).indices(self.n), dtype=np.int64)
        given = np.asarray(key)
        if given.dtype.kind in "UTO":
            given = self._named(given)
        if given.dtype.kind == "b":
            if given.shape != (self.n,):
                raise InvalidInputError(
                    f"mask of {self.what}s: expected shape {(self.n,)}; got {given.shape}"
                )
            return np.flatnonzero(given)
        if not given.size and given.dtype.kind == "f":  # an empty list
            given = given.astype(np.int64)
        if given.dtype.kind not in "iu":
            raise InvalidInputError(
                f"index of {self.what}s: expected integers, a slice, a mask or names; got {key!r}"
            )
        rows = given.astype(np.int64)
        bad = (rows < -self.n) | (rows >= self.n)
        if bad.any():
            raise NotFoundError(
                f"{self.what} {rows[bad].flat[0]} does not exist: expected an index in "
                f"[-{self.n}, {self.n}), there are {self.n} {self.what}s"
            )
        return np.where(rows < 0, rows + self.n, rows)

    def _named(self, names: npt.NDArray[Any]) -> Cells:
        """Rows of names; an array of objects that are no strings is an index of its own kind."""
        if not all(isinstance(name, str) for name in names.flat):
            raise InvalidInputError(
                f"index of {self.what}s: expected integers, or names; got {names.tolist()!r}"
            )
        if self.places is None:
            raise NotFoundError(
                f"{self.what} {names.flat[0]!r}: {self.what}s have no names here. Choose the "
                "column that names them with region_names="
            )
        for name in names.flat:
            if name not in self.places:
                raise NotFoundError.among(self.what, name, self.places, "the data set")
        found = [self.places[name] for name in names.flat]
        return np.array(found, np.int64).reshape(names.shape)

    def _slice(self, key: slice) -> slice:
        """The slice with rows for names; as in pandas, a named end is inside."""
        start, stop = key.start, key.stop
        if isinstance(start, str):
            start = int(self.rows(start))
        if isinstance(stop, str):
            stop = int(self.rows(stop)) + 1
        return slice(start, stop, key.step)


def cells_of(
    key: Any, regions: Axis, samples: Axis, index: IndexKind = "cell"
) -> tuple[Cells, tuple[int, ...]]:
    """Cells that an index of a data set means.

    ``ds[regions, samples]`` is numpy's rule for ``grid[regions, samples]``, ``grid`` being the
    cells in their rows and columns: integers drop their axis, slices span it, and lists, masks and
    arrays of both axes pair up. What stands alone, ``ds[key]``, is the raveled cell with index
    "cell", and with "region" the region with all samples. A mask of the grid's shape works too.

    Parameters
    ----------
    key
        What stands between the brackets.
    regions, samples : Axis
    index : {"cell", "region"}

    Returns
    -------
    cells : (B,) int64
    shape : tuple of int
        Shape that the B cells have; ``()`` for one.
    """
    keys = key if isinstance(key, tuple) else (key,)
    if any(k is Ellipsis for k in keys):
        at = next(i for i, k in enumerate(keys) if k is Ellipsis)
        missing = 2 - (len(keys) - 1)
        keys = (*keys[:at], *(slice(None),) * max(missing, 0), *keys[at + 1 :])
    if len(keys) > 2 or any(k is None for k in keys):
        raise InvalidInputError(
            f"index: expected a region and a sample at most; got {len(keys)} parts: {key!r}"
        )
    if len(keys) == 1:
        only = keys[0]
        if getattr(only, "dtype", None) == np.bool_ and np.shape(only) == (regions.n, samples.n):
            cells = np.flatnonzero(only)
            return cells, cells.shape
        if index == "cell":
            cells = Axis("cell", regions.n * samples.n).rows(only)
            return cells.reshape(-1), cells.shape
        keys = (only, slice(None))
    if not keys:
        keys = (slice(None), slice(None))
    rows, columns = regions.rows(keys[0]), samples.rows(keys[1])
    if isinstance(keys[0], slice) or isinstance(keys[1], slice):
        grid = rows[(..., *(None,) * columns.ndim)] * samples.n + columns
    else:
        try:
            grid = rows * samples.n + columns
        except ValueError:
            raise InvalidInputError(
                f"index: expected lists of regions and samples that pair up; got shapes "
                f"{rows.shape} and {columns.shape}. For all pairs, use slices, or one of each as "
                "a column: regions[:, None]"
            ) from None
    return grid.reshape(-1), grid.shape
