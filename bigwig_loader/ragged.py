"""Arrays whose rows differ in length: all values in one array, and offsets."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeVar, cast

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError

T = TypeVar("T", bound=np.generic)


class Ragged(Generic[T]):
    """An array of shape ``(*leading, None, *inner)``: the axis ``None`` has a length per row.

    Made by `from_offsets` and `from_lengths`. Treat it as read-only; what is derived of it shares
    its memory where it can.

    Attributes
    ----------
    data : (total, *inner) array
        The values of all rows, one row after the other, in C order of the leading axes.
    offsets : (n_rows + 1,) int64
        Row r is ``data[offsets[r]:offsets[r + 1]]``.
    leading : tuple of int
        The axes before the ragged one; their product is n_rows.

    Examples
    --------
    >>> ragged = Ragged.from_lengths(np.arange(5), np.array([2, 0, 3]))
    >>> ragged.shape
    (3, None)
    >>> ragged[2]
    array([2, 3, 4])
    >>> ragged.to_padded(-1)
    array([[ 0,  1, -1],
           [-1, -1, -1],
           [ 2,  3,  4]])
    """

    __slots__ = ("data", "leading", "offsets")

    def __init__(
        self, data: npt.NDArray[T], leading: tuple[int, ...], offsets: npt.NDArray[np.int64]
    ) -> None:
        self.data = data
        self.leading = leading
        self.offsets = offsets

    @classmethod
    def from_offsets(
        cls, data: npt.NDArray[T], shape: int | Sequence[int | None], offsets: npt.ArrayLike
    ) -> Ragged[T]:
        """Rows of `data` between `offsets`.

        Parameters
        ----------
        data : (total, *inner) array
        shape : int or sequence
            The leading axes, with or without the ragged axis ``None`` and `inner` after them.
        offsets : (n_rows + 1,) int
            From 0 to total, not descending.

        Raises
        ------
        InvalidInputError
            If shape, offsets and data do not fit together.
        """
        data = np.asarray(data)
        axes = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
        if None in axes:
            inner = axes[axes.index(None) + 1 :]
            if inner not in ((), data.shape[1:]):
                raise InvalidInputError(
                    f"ragged shape: expected {data.shape[1:]} after the ragged axis, as the data "
                    f"has; got {inner}"
                )
            axes = axes[: axes.index(None)]
        leading = tuple(int(cast(int, n)) for n in axes)
        ends = np.ascontiguousarray(offsets, dtype=np.int64)
        n_rows = math.prod(leading)
        if ends.shape != (n_rows + 1,):
            raise InvalidInputError(
                f"ragged offsets: expected {n_rows + 1} for rows of shape {leading}; got "
                f"shape {ends.shape}"
            )
        if data.ndim == 0 or ends[0] != 0 or ends[-1] != len(data) or (np.diff(ends) < 0).any():
            raise InvalidInputError(
                f"ragged offsets: expected to ascend from 0 to the length of the data, "
                f"{data.shape[:1]}; got {ends[0]} to {ends[-1]}"
            )
        return cls(data, leading, ends)

    @classmethod
    def from_lengths(cls, data: npt.NDArray[T], lengths: npt.ArrayLike) -> Ragged[T]:
        """Rows of `data` that have `lengths`, an array of the leading shape."""
        sizes = np.asarray(lengths, np.int64)
        return cls.from_offsets(data, sizes.shape, offsets_of(sizes.reshape(-1)))

    @property
    def shape(self) -> tuple[int | None, ...]:
        """``(*leading, None, *inner)``."""
        return (*self.leading, None, *self.data.shape[1:])

    @property
    def dtype(self) -> np.dtype[T]:
        """Type of the values."""
        return self.data.dtype

    @property
    def ndim(self) -> int:
        """Number of axes, the ragged one included."""
        return len(self.leading) + self.data.ndim

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Length of every row, of shape `leading`."""
        return np.diff(self.offsets).reshape(self.leading)

    def __len__(self) -> int:
        if not self.leading:
            return int(self.offsets[1] - self.offsets[0])
        return self.leading[0]

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key: Any) -> Any:
        """Rows, as an array of the leading shape has them.

        `key` may be all that indexes an array of shape `leading`. One row is an array, several are
        a `Ragged` of their own.
        """
        if not self.leading:
            return self.data[key]
        rows = np.arange(len(self.offsets) - 1).reshape(self.leading)[key]
        if np.ndim(rows) == 0:
            return self.data[self.offsets[rows] : self.offsets[rows + 1]]
        return self.take(rows)

    def take(self, rows: npt.NDArray[np.intp]) -> Ragged[T]:
        """Rows by number, as a `Ragged` of the shape of `rows`."""
        flat = rows.reshape(-1)
        starts, lengths = self.offsets[flat], np.diff(self.offsets)[flat]
        if flat.size and (np.diff(flat) == 1).all():  # a stretch: no need to copy
            data = self.data[starts[0] : starts[0] + lengths.sum()]
        else:
            data = self.data[stretches(starts, lengths)]
        return Ragged(data, rows.shape, offsets_of(lengths))

    def reshape(self, *shape: int | tuple[int, ...]) -> Ragged[T]:
        """The same rows under other leading axes; one of them may be -1."""
        axes = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple) else shape
        leading = np.empty(self.leading, np.bool_).reshape(cast("tuple[int, ...]", axes)).shape
        return Ragged(self.data, leading, self.offsets)

    def to_padded(self, pad_value: Any = None, length: int | None = None) -> npt.NDArray[T]:
        """A regular array, rows padded at their end.

        Parameters
        ----------
        pad_value : scalar, optional
            By default ``b"N"`` for letters and 0 for numbers.
        length : int, optional
            At least that of the longest row, which is the default.

        Returns
        -------
        (*leading, length, *inner) array
        """
        lengths = np.diff(self.offsets)
        longest = int(lengths.max()) if lengths.size else 0
        width = longest if length is None else int(length)
        if width < longest:
            raise InvalidInputError(
                f"argument length: expected at least {longest}, the longest row; got {width}"
            )
        if pad_value is None:
            pad_value = b"N" if self.dtype.kind == "S" else 0
        inner = self.data.shape[1:]
        out = np.full((len(lengths), width, *inner), pad_value, self.dtype)
        if out.size:
            out[np.arange(width) < lengths[:, None]] = self.data
        return out.reshape(*self.leading, width, *inner)

    def to_numpy(self) -> npt.NDArray[T]:
        """A regular array of rows that all have one length, without a copy.

        Raises
        ------
        InvalidInputError
            If they have several; `to_padded` makes them equal.
        """
        lengths = np.unique(np.diff(self.offsets))
        if len(lengths) > 1:
            raise InvalidInputError(
                f"ragged array: expected rows of one length; got {lengths[0]} to {lengths[-1]}. "
                "Use to_padded"
            )
        width = int(lengths[0]) if len(lengths) else 0
        return self.data.reshape(*self.leading, width, *self.data.shape[1:])

    def to_list(self) -> list[Any]:
        """Nested lists."""
        if not self.leading:
            return cast("list[Any]", self.data.tolist())
        return [row.tolist() if isinstance(row, np.ndarray) else row.to_list() for row in self]

    def __repr__(self) -> str:
        return f"Ragged(shape={self.shape}, dtype={self.dtype}, {len(self.data)} values)"


def offsets_of(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Where rows of these lengths begin and end, (n + 1,)."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def stretches(
    starts: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """The integers ``start, start + 1, ...`` of all stretches, one after the other.

    Parameters
    ----------
    starts, lengths : (n,) int64

    Returns
    -------
    (sum of lengths,) int64
    """
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))
