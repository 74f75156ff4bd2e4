"""Signal of a peak loader: tracks that are BigWig files or arrays in memory.

Signal is what it is for training: bases without data, on contigs a file lacks or past its end are
0, NaN is 0, and infinities are the largest float32.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.protocol import SignalCounts
from bigwig_loader.dataset.peak_sequences import PeakLoadOptions, copy_windows
from bigwig_loader.errors import InvalidDataError, InvalidInputError
from bigwig_loader.plan.signal import SignalOptions, TrackTransform
from bigwig_loader.plan.track_groups import TrackGroups
from bigwig_loader.plan.windows import ContigTable, Windows
from bigwig_loader.types import Statistic

if TYPE_CHECKING:
    from bigwig_loader.collection import BigWigCollection

LARGEST = float(np.finfo(np.float32).max)
FINITE = TrackTransform(clip=(-LARGEST, LARGEST), nan_to=0.0)


class PeakTracks:
    """Signal of windows, (B, T, L) float32, of BigWig files and of arrays.

    Parameters
    ----------
    tracks : sequence of path or mapping of str to (L,) array
        One track each. Files that agree on the lengths of their contigs are read together.
    groups : sequence of int
        Numbers of tracks that belong together, e.g. [1, 2] for one track and a pair of strands:
        on reverse complement the tracks of a group are reversed.
    contigs : ContigTable
        What windows count.
    load : PeakLoadOptions

    Attributes
    ----------
    names : tuple of str
    groups : tuple of int
        Sizes of the groups.
    swap : (T,) int64
        Place of each track on reverse complement.
    """

    def __init__(
        self,
        tracks: Sequence[Any],
        groups: Sequence[int],
        contigs: ContigTable,
        load: PeakLoadOptions,
    ) -> None:
        self._parts = _open_parts(tracks, contigs, load)
        self.names = tuple(track_name(track, i) for i, track in enumerate(tracks))
        self.groups = tuple(groups)
        self._contigs = contigs
        self.swap = group_swap(self.groups, self.names)
        self._swap_here = bool((self.swap != np.arange(self.n_tracks)).any())
        only = self._parts[0]
        if (
            self._swap_here
            and isinstance(only, _Files)
            and only.columns == list(range(self.n_tracks))
        ):
            only.track_swap = tuple(self.swap.tolist())
            self._swap_here = False

    @property
    def n_tracks(self) -> int:
        """Number of tracks."""
        return len(self.names)

    def read(self, windows: Windows, n_threads: int | None = None) -> Any:
        """Base-resolution signal, (B, T, L) float32; reversed windows with their groups swapped."""
        return self._read(windows, 1, n_threads)

    def sums(self, windows: Windows) -> npt.NDArray[np.float32]:
        """Sum over each window, (B, T): added in double precision, then rounded."""
        return np.asarray(self._read(windows, windows.length_bp)[:, :, 0])

    def _read(self, windows: Windows, bin_size: int, n_threads: int | None = None) -> Any:
        n_bins = windows.length_bp // bin_size
        shape = (len(windows), self.n_tracks, n_bins)
        out = self._parts[0].empty(shape)
        for part in self._parts:
            part.read(windows, bin_size, out, n_threads)
        reverse = windows.reverse
        if self._swap_here and reverse is not None and reverse.any():
            out[reverse] = out[reverse][:, self.swap]
        return out

    def missing_contigs(self, names: Sequence[str]) -> dict[str, list[str]]:
        """Track name to those of the given contigs that it lacks, for tracks that lack some."""
        index = self._contigs.index_of(list(names))
        missing: dict[str, list[str]] = {}
        for part in self._parts:
            for column, has in zip(part.columns, part.has_contig(), strict=True):
                lacks = [name for name, i in zip(names, index, strict=True) if not has[i]]
                if lacks:
                    missing[self.names[column]] = lacks
        return missing

    def counts(self) -> SignalCounts:
        """What reading has taken, of all files."""
        total = SignalCounts()
        for part in self._parts:
            add_counts(total, part.counts())
        return total


class _Files:
    """Tracks of one collection."""

    def __init__(
        self, collection: BigWigCollection, columns: list[int], contigs: ContigTable
    ) -> None:
        self.columns = columns
        # Where it reads all tracks there are, the backend also lets them change places.
        self.track_swap: tuple[int, ...] | None = None
        self._collection = collection.with_transforms(FINITE)
        known = {name: i for i, name in enumerate(collection.contigs.names)}
        self._contig = np.array([known.get(name, -1) for name in contigs.names], np.int32)

    def empty(self, shape: tuple[int, ...]) -> Any:
        return self._collection.backend.empty(shape, "float32")

    def read(self, windows: Windows, bin_size: int, out: Any, n_threads: int | None = None) -> None:
        contig = self._contig[windows.contig_index]
        here = np.flatnonzero(contig >= 0)
        summed: Statistic = "mean" if bin_size == 1 else "sum"
        options = SignalOptions(
            bin_size=bin_size,
            statistic=summed,
            layout="BTN",
            track_swap=self.track_swap,
            n_threads=n_threads,
        )
        if len(here) == len(contig):
            moved = Windows(contig, windows.start, windows.length_bp, windows.reverse)
            whole = len(self.columns) == out.shape[1]
            contiguous = self.columns == list(range(self.columns[0], self.columns[-1] + 1))
            if whole or contiguous:
                part = out[:, self.columns[0] : self.columns[-1] + 1]
                self._collection.read(moved, options=options, out=part)
                return
            out[:, self.columns] = self._collection.read(moved, options=options)
            return
        rows = np.zeros((len(contig), len(self.columns), out.shape[2]), np.float32)
        if len(here):
            some = windows.take(here)
            moved = Windows(contig[here], some.start, some.length_bp, some.reverse)
            rows[here] = self._collection.read(moved, options=options)
        out[:, self.columns] = rows

    def has_contig(self) -> npt.NDArray[np.bool_]:
        has = self._collection.has_contig[:, self._contig] & (self._contig >= 0)
        return np.asarray(has, np.bool_)

    def counts(self) -> SignalCounts:
        return self._collection.counts


class _Arrays:
    """One track in memory."""

    def __init__(self, arrays: Mapping[Any, Any], column: int, contigs: ContigTable) -> None:
        self.columns = [column]
        named = {str(name): np.asanyarray(array) for name, array in arrays.items()}
        for name, array in named.items():
            if array.ndim != 1:
                raise InvalidInputError(
                    f"signal {column}[{name!r}]: expected an array (length,); got {array.shape}"
                )
        self._arrays = [named.get(name) for name in contigs.names]

    def empty(self, shape: tuple[int, ...]) -> Any:
        return np.empty(shape, np.float32)

    def read(self, windows: Windows, bin_size: int, out: Any, n_threads: int | None = None) -> None:
        values = np.zeros((len(windows), windows.length_bp), np.float32)
        with np.errstate(over="ignore"):  # numbers past the largest float32 are infinities
            copy_windows(self._arrays, windows, values)
        np.nan_to_num(values, copy=False, nan=0.0, posinf=LARGEST, neginf=-LARGEST)
        if bin_size > 1:
            values = values.sum(axis=1, dtype=np.float64, keepdims=True).astype(np.float32)
        elif windows.reverse is not None:
            values[windows.reverse] = values[windows.reverse, ::-1]
        out[:, self.columns[0]] = values

    def has_contig(self) -> npt.NDArray[np.bool_]:
        return np.array([[array is not None for array in self._arrays]])

    def counts(self) -> SignalCounts:
        return SignalCounts()


def warn_caller(message: str) -> None:
    """Warn in the name of the line outside this package that led here."""
    frame, level = sys._getframe(0).f_back, 2
    while frame is not None and frame.f_globals.get("__name__", "").startswith("bigwig_loader."):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)


def add_counts(total: SignalCounts, more: SignalCounts) -> None:
    """Add what one reader has taken to a total."""
    for name in vars(total):
        setattr(total, name, getattr(total, name) + getattr(more, name))


def group_swap(sizes: Sequence[int], names: Sequence[str]) -> npt.NDArray[np.int64]:
    """Place (T,) of each track on reverse complement; groups of these sizes follow each other."""
    ends = np.cumsum(sizes).tolist()
    groups = tuple(tuple(range(end - size, end)) for end, size in zip(ends, sizes, strict=True))
    return np.array(TrackGroups(groups, tuple(names)).swap(), np.int64)


def track_name(track: Any, number: int) -> str:
    """File name of a track, for messages."""
    if isinstance(track, Mapping):
        return f"<arrays {number}>"
    return str(os.path.basename(os.fspath(track)))


def _open_parts(
    tracks: Sequence[Any], contigs: ContigTable, load: PeakLoadOptions
) -> list[_Files | _Arrays]:
    paths: dict[str, list[int]] = {}
    parts: list[_Files | _Arrays] = []
    for column, track in enumerate(tracks):
        if isinstance(track, Mapping):
            parts.append(_Arrays(track, column, contigs))
        elif isinstance(track, (str, os.PathLike)):
            paths.setdefault(os.fspath(track), []).append(column)
        else:
            raise InvalidInputError(
                f"signal {column}: expected the path of a bigWig file or a mapping of contig name "
                f"to array; got {type(track).__name__}"
            )
    # A file that is named twice is a track of its own each time, so of a collection of its own.
    rounds = max(map(len, paths.values()), default=0)
    for k in range(rounds):
        chosen = {path: columns[k] for path, columns in paths.items() if k < len(columns)}
        parts += _collections(chosen, contigs, load)
    return parts


def _collections(
    column_of: dict[str, int], contigs: ContigTable, load: PeakLoadOptions
) -> list[_Files]:
    """One collection of all files; one for each where they disagree on a contig's length."""
    from bigwig_loader.collection import BigWigCollection

    def open_files(paths: list[str]) -> _Files:
        collection = BigWigCollection(
            paths, device=load.device, n_threads=load.n_threads, cache_bytes=load.cache_bytes
        )
        return _Files(collection, [column_of[path] for path in paths], contigs)

    paths = list(column_of)
    try:
        return [open_files(paths)]
    except InvalidDataError as error:
        if len(paths) == 1:
            raise
        parts = [open_files([path]) for path in paths]  # a damaged file is an error here too
        warn_caller(
            f"{error}. Each file is read by itself, and what lies past its contig's end is 0"
        )
        return parts
