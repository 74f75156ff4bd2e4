"""Signal of a peak loader: tracks that are BigWig files or arrays in memory.

Signal is what it is for training: bases without data, on contigs a file lacks or past its end are
0, NaN is 0, and infinities are the largest float32.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.protocol import Backend, SignalCounts
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
        # Arrays are in host memory, and tracks that change places with one of another part do so
        # there; all else is read to where it belongs.
        self._on_host = not all(part.take_swap(self.swap) for part in self._parts)

    @property
    def n_tracks(self) -> int:
        """Number of tracks."""
        return len(self.names)

    @property
    def backends(self) -> list[Backend]:
        """What reads, one for each collection."""
        return [part.backend for part in self._parts if isinstance(part, _Files)]

    def read(self, windows: Windows, n_threads: int | None = None, wait: bool = True) -> Any:
        """Base-resolution signal, (B, T, L) float32; reversed windows with their groups swapped.

        It is in the memory of the backend, or in host memory where arrays are among the tracks
        or groups are of several collections. For `wait` see `SignalReader.read`.
        """
        shape = (len(windows), self.n_tracks, windows.length_bp)
        if self._on_host:
            return self._read_on_host(windows, n_threads)
        out = self.backends[0].empty(shape, "float32")
        for part in self._parts:
            assert isinstance(part, _Files)
            part.read_into(windows, out, n_threads, wait)
        return out

    def _read_on_host(self, windows: Windows, n_threads: int | None) -> npt.NDArray[np.float32]:
        out = np.empty((len(windows), self.n_tracks, windows.length_bp), np.float32)
        for part in self._parts:
            out[:, part.columns] = part.read(windows, 1, n_threads)
        reverse = windows.reverse
        if reverse is not None and reverse.any():
            out[reverse] = out[reverse][:, self.swap]
        return out

    def sums(self, windows: Windows) -> npt.NDArray[np.float32]:
        """Sum over each window, (B, T): added in double precision, then rounded."""
        out = np.empty((len(windows), self.n_tracks), np.float32)
        for part in self._parts:
            out[:, part.columns] = part.read(windows, windows.length_bp)[:, :, 0]
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


@dataclass(frozen=True)
class _Run:
    """Tracks of a collection that stand side by side in the result.

    Parameters
    ----------
    columns : slice
        Their places in the result.
    tracks : (k,) int64 or None
        Their numbers in the collection; None for all.
    swap : tuple of int, optional
        Which of them change places in reversed windows.
    """

    columns: slice
    tracks: npt.NDArray[np.int64] | None
    swap: tuple[int, ...] | None


class _Files:
    """Tracks of one collection; `columns`, ascending, are their places in the result."""

    def __init__(
        self, collection: BigWigCollection, columns: list[int], contigs: ContigTable
    ) -> None:
        self.columns = columns
        self._collection = collection.with_transforms(FINITE)
        self._runs: list[_Run] = []
        known = {name: i for i, name in enumerate(collection.contigs.names)}
        self._contig = np.array([known.get(name, -1) for name in contigs.names], np.int32)

    @property
    def backend(self) -> Backend:
        return self._collection.backend

    def take_swap(self, swap: npt.NDArray[np.int64]) -> bool:
        """Learn where tracks go in reversed windows; False if `read_into` cannot follow."""
        columns = np.array(self.columns)
        ends = [*(np.flatnonzero(np.diff(columns) != 1) + 1).tolist(), len(columns)]
        for first, end in zip([0, *ends[:-1]], ends, strict=True):
            at = int(columns[first])
            places = swap[columns[first:end]] - at
            if sorted(places.tolist()) != list(range(end - first)):
                return False
            is_moved = bool((places != np.arange(end - first)).any())
            tracks = None if end - first == len(columns) else np.arange(first, end)
            where = slice(at, at + end - first)
            self._runs.append(_Run(where, tracks, tuple(places.tolist()) if is_moved else None))
        return len(self._collection.contigs) > 0

    def read_into(self, windows: Windows, out: Any, n_threads: int | None, wait: bool) -> None:
        """Base-resolution signal into the tracks' places of (B, T, L), groups swapped."""
        moved = self._moved(windows)
        for run in self._runs:
            options = SignalOptions(layout="BTN", track_swap=run.swap, n_threads=n_threads)
            self._collection.read(
                moved, tracks=run.tracks, options=options, out=out[:, run.columns], wait=wait
            )

    def read(
        self, windows: Windows, bin_size: int, n_threads: int | None = None
    ) -> npt.NDArray[np.float32]:
        """Signal (B, tracks, bins) in host memory, of base resolution or bin sums."""
        if not len(self._collection.contigs):
            n_bins = windows.length_bp // bin_size
            return np.zeros((len(windows), len(self.columns), n_bins), np.float32)
        summed: Statistic = "mean" if bin_size == 1 else "sum"
        options = SignalOptions(bin_size, summed, layout="BTN", n_threads=n_threads)
        values = self._collection.read(self._moved(windows), options=options)
        found: npt.NDArray[np.float32] = self.backend.to_host(values)
        return found

    def _moved(self, windows: Windows) -> Windows:
        """The windows as the collection counts contigs; on contigs it lacks there is no signal."""
        contig, start = self._contig[windows.contig_index], windows.start
        lacks = contig < 0
        if lacks.any():
            # Past the end of another contig is none either.
            start = np.where(lacks, self._collection.contigs.lengths[0], start)
            contig = np.where(lacks, np.int32(0), contig)
        return Windows(contig, start, windows.length_bp, windows.reverse)

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

    def take_swap(self, swap: npt.NDArray[np.int64]) -> bool:
        """False: arrays are in host memory."""
        return False

    def read(
        self, windows: Windows, bin_size: int, n_threads: int | None = None
    ) -> npt.NDArray[np.float32]:
        values = np.zeros((len(windows), 1, windows.length_bp), np.float32)
        with np.errstate(over="ignore"):  # numbers past the largest float32 are infinities
            copy_windows(self._arrays, windows, values)
        np.nan_to_num(values, copy=False, nan=0.0, posinf=LARGEST, neginf=-LARGEST)
        if bin_size > 1:
            total: npt.NDArray[np.float64] = values.sum(axis=2, dtype=np.float64, keepdims=True)
            return total.astype(np.float32)
        if windows.reverse is not None:
            values[windows.reverse] = values[windows.reverse, :, ::-1]
        return values

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
    if parts:
        load = replace(load, device="cpu")  # all of it is put together in host memory
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
