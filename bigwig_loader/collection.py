"""Many BigWig files as one source of arrays."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.assemble.regions import RegionFilter, stored_regions
from bigwig_loader.assemble.signals import check_out, check_request, read_pieces, working_budget
from bigwig_loader.backend.protocol import Backend, SignalCounts, SignalReader
from bigwig_loader.backend.select import select_backend
from bigwig_loader.bigwig_paths import find_bigwigs, match_scale, track_names, track_numbers
from bigwig_loader.index_cache import MIN_CACHED_BLOCKS, load_track_index
from bigwig_loader.plan.budget import split_to_budget
from bigwig_loader.plan.signal import SignalOptions, TrackTransform, pack_transforms
from bigwig_loader.plan.track_index import NO_CHROM
from bigwig_loader.plan.windows import ContigTable, Windows, named_windows
from bigwig_loader.types import (
    PathLike,
    SignalDtype,
    Statistic,
    check_not_negative,
    check_number,
    check_positive,
    numpy_dtype,
)

if TYPE_CHECKING:
    import pandas as pd

# A single window up to this size takes so little memory that it need not be planned for.
MAX_UNPLANNED_BASES = 1 << 22


class BigWigCollection:
    """Many BigWig files as one source of arrays, one track per file.

    Headers and indices are read when the collection is made (in parallel, and from a cache on
    disk the next time); data blocks are read when batches are asked for. A collection can be
    pickled and used after a fork: files are opened again where it arrives.

    Parameters
    ----------
    bigwig_path : path, URL, or iterable of them
        A folder stands for the BigWig files in it, sorted by path.
    file_extensions : sequence of str
        Which files of a folder are BigWig files; compared without regard to case.
    crawl : bool
        Also look into sub-folders.
    scale : mapping of str to float, optional
        Factors by which stored values are multiplied (fill values are not). A key is a path, a
        file name, a track name, or part of a path; keys that match no file are errors.
    first_n_files : int, optional
        Use the first so many files.
    device : {"auto", "cpu", "cuda", "cuda:N"}
        Where batches are made; `backend.status` says what was chosen and why.
    n_threads : int, optional
        Threads of one call; None for the cores available.
    memory_budget : int, optional
        Most bytes one `get_batch` may take, its result included; larger requests are worked off
        in parts, and a budget that the result alone does not fit into is an error. None bounds
        only the working memory, to 2 GiB. The index and the cache are not counted.
    cache_bytes : int
        Memory for decoded data blocks, which are then neither read nor inflated again; 0 for
        none. An interval takes 12 bytes. The cache is filled with the blocks as they come, and
        never emptied: every block comes once an epoch, so keeping another one instead gains
        nothing. What is kept was verified when it was read. `intervals` does not fill the cache.
        Each process has one of its own, empty at first, and so has the collection that
        `with_transforms` or `with_contig_names` makes.

    Raises
    ------
    InvalidDataError
        If a file is not a BigWig file or is damaged, or if two files give a contig different
        lengths.
    NotFoundError
        If a path does not exist or nothing is found, or a key of `scale` matches no file.

    Examples
    --------
    >>> collection = BigWigCollection(example.bigwig_dir)
    >>> collection.get_batch(["chr1", "chr2"], [1000, 2000], [1064, 2064]).shape
    (2, 64, 4)
    """

    def __init__(
        self,
        bigwig_path: PathLike | Iterable[PathLike],
        file_extensions: Sequence[str] = (".bigWig", ".bw"),
        crawl: bool = True,
        scale: Mapping[str | os.PathLike[str], float] | None = None,
        first_n_files: int | None = None,
        device: str = "auto",
        n_threads: int | None = None,
        memory_budget: int | None = None,
        cache_bytes: int = 0,
    ) -> None:
        check_not_negative("cache_bytes", cache_bytes)
        if memory_budget is not None:
            check_positive("memory_budget", memory_budget)
        if n_threads is not None:
            check_positive("n_threads", n_threads)
        self.bigwig_paths = find_bigwigs(bigwig_path, file_extensions, crawl, first_n_files)
        self.track_names = track_names(self.bigwig_paths)
        self.memory_budget = memory_budget
        self._cache_bytes = int(cache_bytes)
        factors = match_scale(scale or {}, self.bigwig_paths, self.track_names)
        self._set_transforms([TrackTransform(scale=factor) for factor in factors])
        self._device, self._n_threads = device, n_threads
        self.backend = self._select_backend()
        self._contig_names: tuple[str, ...] = ()
        self._index = load_track_index(self.bigwig_paths)
        self._reader: SignalReader | None = None
        self._reader_pid = 0

    def _select_backend(self) -> Backend:
        # Memory that is kept between calls would come on top of a declared budget.
        budget = self.memory_budget
        return select_backend(self._device, self._n_threads, budget is None, budget)

    def __len__(self) -> int:
        return len(self.bigwig_paths)

    def __repr__(self) -> str:
        return (
            f"BigWigCollection({len(self)} tracks, {len(self.contigs)} contigs, "
            f"device={self.backend.status.name!r})"
        )

    @property
    def n_tracks(self) -> int:
        """Number of tracks, one per file."""
        return len(self)

    @property
    def contigs(self) -> ContigTable:
        """Contigs of all files, in order of first appearance."""
        return self._index.contigs

    @property
    def has_contig(self) -> npt.NDArray[np.bool_]:
        """Whether each track has each of `contigs`, (T, C)."""
        return np.asarray(self._index.chrom_ids != NO_CHROM)

    @property
    def transforms(self) -> tuple[TrackTransform, ...]:
        """What is done to the values of each track."""
        return tuple(self._transforms)

    @property
    def reader(self) -> SignalReader:
        """The open files; opened on first use in each process."""
        if self._reader is None or self._reader_pid != os.getpid():
            self._reader = self.backend.open_signal(self._index, self._cache_bytes)
            self._reader_pid = os.getpid()
        return self._reader

    @property
    def counts(self) -> SignalCounts:
        """What reading has taken since this process opened the files; a copy. Zeros before."""
        reader = self._reader if self._reader_pid == os.getpid() else None
        return SignalCounts() if reader is None else reader.counts

    def __getstate__(self) -> dict[str, Any]:
        state = {**self.__dict__, "_reader": None, "backend": None}
        if self._index.n_blocks >= MIN_CACHED_BLOCKS:  # cheaper mapped there than sent there
            del state["_index"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.backend = self._select_backend()
        if "_index" not in state:
            self._index = load_track_index(self.bigwig_paths, self._contig_names)

    def __enter__(self) -> BigWigCollection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files; they are opened again when next needed."""
        if self._reader is not None and self._reader_pid == os.getpid():
            self._reader.close()
        self._reader = None

    def with_transforms(
        self, transforms: TrackTransform | Mapping[str, TrackTransform]
    ) -> BigWigCollection:
        """The same collection with other per-track transforms.

        Parameters
        ----------
        transforms : TrackTransform or mapping of track name to TrackTransform
            One for all tracks, or those of some; the others keep theirs. A `scale` given when
            the collection was made is replaced, not multiplied.
        """
        if isinstance(transforms, TrackTransform):
            chosen = [transforms] * len(self)
        else:
            chosen = list(self._transforms)
            for name, transform in transforms.items():
                chosen[track_numbers([name], self.track_names)[0]] = transform
        other = self._like(_index=self._index)
        other._set_transforms(chosen)
        return other

    def with_contig_names(self, names: Iterable[str]) -> BigWigCollection:
        """The same collection with its contigs spelled as in `names`.

        ``chr1`` and ``1`` name one contig, and so do ``chrM``, ``chrMT``, ``MT`` and ``M``.
        Nothing is matched that way unless asked for here, e.g. with the contigs of a genome.
        Files of the collection that spell contigs differently then share them. Contigs without
        a counterpart in `names` keep theirs.

        Parameters
        ----------
        names : iterable of str

        Raises
        ------
        InvalidInputError
            If a contig could mean two of the names, or two contigs of a file mean the same one.
        """
        wanted = tuple(dict.fromkeys(names))
        index = load_track_index(self.bigwig_paths, wanted)
        return self._like(_contig_names=wanted, _index=index)

    def _like(self, **changes: Any) -> BigWigCollection:
        """A collection of the same files on the same backend, not opened yet."""
        other = BigWigCollection.__new__(BigWigCollection)
        other.__dict__.update({**self.__dict__, "_reader": None, **changes})
        return other

    def _set_transforms(self, transforms: list[TrackTransform]) -> None:
        self._transforms = transforms
        self._all_tracks = np.arange(len(transforms))
        self._packed_transforms = pack_transforms(transforms)

    def get_batch(
        self,
        chromosomes: Sequence[str] | npt.NDArray[Any],
        start: Sequence[int] | npt.NDArray[Any],
        end: Sequence[int] | npt.NDArray[Any],
        window_size: int = 1,
        default_value: float = 0.0,
        dtype: SignalDtype = "float32",
        statistic: Statistic = "mean",
        tracks: Sequence[int | str] | npt.NDArray[Any] | None = None,
        out: Any = None,
    ) -> Any:
        """Signal of B windows of one length L, from all tracks at once.

        Parameters
        ----------
        chromosomes : (B,) str
            Contig names.
        start, end : (B,) int
            0-based half-open; all windows of one length L. A window may reach past either end
            of its contig; what lies outside has `default_value`.
        window_size : int
            Bases per bin. The ``L // window_size`` whole bins are delivered.
        default_value : float
            Value of bases without data; never scaled. NaN keeps "no data" apart from 0, and
            leaves such bases out of the statistic.
        dtype : {"float32", "float16", "bfloat16"}
        statistic : {"mean", "sum", "max", "min", "std", "coverage"}
            Over the bases of a bin; see `SignalOptions`.
        tracks : sequence of int or str, optional
            Track numbers or names, in the order of the output; None for all.
        out : array, optional
            Where to write, of the result's kind, shape and dtype, with any strides.

        Returns
        -------
        (B, L // window_size, T) array
            NumPy on the CPU, CuPy on CUDA, with bfloat16 as uint16 there (CuPy has no such type;
            the bits are the same); `out` if given.

        Raises
        ------
        InvalidInputError
            For windows of different or no length, or arguments of different lengths.
        NotFoundError
            For an unknown contig or track; near names are listed.
        InvalidDataError
            If a data block that is needed is damaged.
        """
        check_positive("window_size", window_size)
        check_number("default_value", default_value)
        options = SignalOptions(window_size, statistic, dtype, uncovered=float(default_value))
        windows = named_windows(self.contigs, chromosomes, start, end)
        result = self.read(windows, tracks=tracks, options=options, out=out)
        if out is None:
            self.backend.hand_over(result)
        return result

    def read(
        self,
        windows: Windows,
        *,
        tracks: Sequence[int | str] | npt.NDArray[Any] | None = None,
        options: SignalOptions | None = None,
        out: Any = None,
        wait: bool = True,
    ) -> Any:
        """Signal of windows: what `get_batch` does, with every option.

        Parameters
        ----------
        windows : Windows
            `contig_index` counts `contigs`.
        tracks, out
            As for `get_batch`; the result is (B, N, T) or (B, T, N).
        options : SignalOptions, optional
        wait : bool
            False returns when the work is asked for: the values, and what is raised, come with
            ``backend.pending().wait()`` in the same thread. On the CPU all is done at once.
        """
        options = options or SignalOptions()
        which = self._all_tracks if tracks is None else track_numbers(tracks, self.track_names)
        check_request(windows, options, len(self.contigs), len(which))
        shape = options.shape(len(windows), windows.length_bp, len(which))
        dtype = numpy_dtype(options.dtype)
        n_bytes = 0 if out is not None else math.prod(shape) * dtype.itemsize
        budget = working_budget(self.memory_budget, n_bytes)
        if out is None:
            out = self.backend.empty(shape, options.dtype)
        else:
            check_out(out, shape, self.backend.empty((0,), options.dtype))
        reader = self.reader
        transforms = self._packed_transforms[which]
        is_small = windows.length_bp * len(which) <= MAX_UNPLANNED_BASES
        at_once = wait or not self.backend.lookahead
        if len(windows) == 1 and is_small and at_once and self.memory_budget is None:
            reader.read_window(windows, which, options, transforms, out)
            return out
        pieces = split_to_budget(
            self._index,
            windows,
            which,
            options.bin_size,
            budget,
            lambda plan: reader.working_bytes(plan, options),
            keep_tracks=options.track_swap is not None,
        )
        read_pieces(reader, pieces, options, transforms, out, wait)
        return out

    def intervals(
        self,
        include_chromosomes: Sequence[str] | str = "all",
        exclude_chromosomes: Sequence[str] | str | None = None,
        blacklist: pd.DataFrame | PathLike | None = None,
        blacklist_buffer: int = 0,
        padding: int = 0,
        merge: bool = False,
        threshold: float | None = None,
        merge_allow_gap: int = 0,
    ) -> pd.DataFrame:
        """Stored intervals of all tracks, for choosing regions to train on.

        Parameters
        ----------
        include_chromosomes : {"all", "standard"} or sequence of str
            "standard" is the numbered chromosomes, X and Y, with or without ``chr``.
        exclude_chromosomes : str or sequence of str, optional
        blacklist : DataFrame or BED path, optional
            Regions (chrom, start, end) that are cut out; the caller's frame is not changed.
        blacklist_buffer : int
            Bases by which the blacklist's regions are widened at either end.
        padding : int
            Bases by which intervals are widened at either end, within their contig.
        merge : bool
            Join intervals of all tracks that overlap or lie no more than `merge_allow_gap` bases
            apart.
        threshold : float, optional
            Keep only intervals whose value, scaled as in batches, is above this.
        merge_allow_gap : int

        Returns
        -------
        DataFrame
            Columns chrom, start, end (int64, 0-based half-open), and value and track where they
            still mean something (``merge=False``); sorted by contig, start and end.
        """
        wanted = RegionFilter(
            include_chromosomes,
            exclude_chromosomes,
            blacklist,
            blacklist_buffer,
            padding,
            merge,
            threshold,
            merge_allow_gap,
        )
        scales = [transform.scale for transform in self._transforms]
        return stored_regions(self._index, self.reader, scales, wanted)
