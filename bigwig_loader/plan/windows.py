"""Windows: the fixed-width stretches of the genome that one batch is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError, NotFoundError

# Sums of a few positions up to here fit 64 bits.
FAR = 1 << 60


@dataclass(frozen=True)
class ContigTable:
    """The contigs that `contig_index` counts, in order.

    Parameters
    ----------
    names : tuple of str
    lengths : (C,) int64
        Length of each contig in bp.
    where : str
        What the table describes; used in error messages.
    """

    names: tuple[str, ...]
    lengths: npt.NDArray[np.int64]
    where: str = "the contig table"
    _index: dict[str, int] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "lengths", np.asarray(self.lengths, dtype=np.int64))
        self._index.update({name: i for i, name in enumerate(self.names)})
        if len(self._index) != len(self.names):
            raise InvalidInputError(f"contig names of {self.where} are not distinct")

    def __len__(self) -> int:
        return len(self.names)

    def index_of(
        self, names: str | Sequence[str] | npt.NDArray[np.generic]
    ) -> npt.NDArray[np.int32]:
        """Contig indices (B,) of contig names (B,).

        Raises
        ------
        NotFoundError
            For the first unknown name, with near names.
        """
        if isinstance(names, str):
            names = [names]
        try:
            return np.fromiter((self._index[n] for n in names), np.int32, len(names))
        except KeyError:
            unknown = next(n for n in names if n not in self._index)
            raise NotFoundError.among("contig", unknown, self.names, self.where) from None


@dataclass(frozen=True)
class Windows:
    """B windows of one width.

    Parameters
    ----------
    contig_index : (B,) int32
        Index into a `ContigTable`.
    start : (B,) int64
        First base, 0-based. May be negative, and a window may end past its contig: what lies
        outside is `out_of_bounds`.
    length_bp : int
        Width of every window in bp.
    reverse : (B,) bool, optional
        Windows to deliver as reverse complement; None for none.
    """

    contig_index: npt.NDArray[np.int32]
    start: npt.NDArray[np.int64]
    length_bp: int
    reverse: npt.NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        contig = np.ascontiguousarray(self.contig_index, dtype=np.int32)
        start = np.ascontiguousarray(self.start, dtype=np.int64)
        object.__setattr__(self, "contig_index", contig)
        object.__setattr__(self, "start", start)
        if contig.ndim != 1 or contig.shape != start.shape:
            raise InvalidInputError(
                "windows: expected contig_index and start of one length (B,); "
                f"got shapes {contig.shape} and {start.shape}"
            )
        if self.length_bp < 1:
            raise InvalidInputError(f"windows: expected length_bp >= 1; got {self.length_bp}")
        if self.length_bp > FAR or ((start > FAR) | (start < -FAR)).any():
            raise InvalidInputError(
                f"windows: expected starts and lengths of a genome; got starts from {start.min()} "
                f"to {start.max()} and {self.length_bp} bp"
            )
        if self.reverse is not None:
            reverse = np.ascontiguousarray(self.reverse, dtype=np.bool_)
            object.__setattr__(self, "reverse", reverse)
            if reverse.shape != start.shape:
                raise InvalidInputError(
                    f"windows: expected reverse of shape {start.shape}; got {reverse.shape}"
                )

    def __len__(self) -> int:
        return len(self.start)

    def take(self, which: npt.NDArray[np.integer] | slice) -> Windows:
        """The windows at the given indices, in that order."""
        reverse = None if self.reverse is None else self.reverse[which]
        return Windows(self.contig_index[which], self.start[which], self.length_bp, reverse)


def named_windows(
    contigs: ContigTable,
    chromosomes: str | Sequence[str] | npt.NDArray[Any],
    start: int | Sequence[int] | npt.NDArray[Any],
    end: int | Sequence[int] | npt.NDArray[Any],
) -> Windows:
    """Windows from contig names, starts and ends, checked to be of one length.

    Parameters
    ----------
    contigs : ContigTable
    chromosomes : (B,) str
    start, end : (B,) int
        0-based half-open.

    Raises
    ------
    InvalidInputError
        For arguments of different lengths, no window, or windows of different or no length.
    NotFoundError
        For an unknown contig.
    """
    if isinstance(chromosomes, str):
        chromosomes = [chromosomes]
    starts, ends = _integers("start", start), _integers("end", end)
    if not len(chromosomes) == len(starts) == len(ends):
        raise InvalidInputError(
            "chromosomes, start, end: expected one length; "
            f"got {len(chromosomes)}, {len(starts)}, {len(ends)}"
        )
    if len(starts) == 0:
        raise InvalidInputError("chromosomes, start, end: expected at least one window")
    lengths = ends - starts
    length = int(lengths[0])
    if length < 1 or (lengths != length).any():
        at = int(np.argmax((lengths != length) | (lengths < 1)))
        raise InvalidInputError(
            f"start, end: expected windows of one length >= 1; got {length} bp for window 0 "
            f"and {lengths[at]} bp for window {at}"
        )
    return Windows(contigs.index_of(chromosomes), starts, length)


def _integers(argument: str, values: Any) -> npt.NDArray[np.int64]:
    """One number or many as (B,) int64."""
    array = np.asarray(values)
    if array.ndim == 0:
        array = array[None]
    if array.dtype == np.int64 and array.ndim == 1:
        return array
    if array.dtype.kind in "fu" and (np.abs(array.astype(np.float64)) > FAR).any():
        raise InvalidInputError(f"argument {argument}: expected positions; got {array.max()}")
    if array.dtype.kind == "f" and bool((array == np.floor(array)).all()):
        array = array.astype(np.int64)
    if array.dtype.kind not in "iu" or array.ndim != 1:
        raise InvalidInputError(
            f"argument {argument}: expected (B,) integers; got {array.dtype} of shape {array.shape}"
        )
    return array.astype(np.int64)
