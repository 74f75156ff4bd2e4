"""`BigWigDataset`: regions, tracks and a genome to batches."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bigwig_loader.assemble.batch import Batch
from bigwig_loader.dataset.build import ExampleBuilder, read_regions
from bigwig_loader.dataset.examples import plan_batches
from bigwig_loader.dataset.iterator import BatchIterator
from bigwig_loader.dataset.loader import Prefetcher
from bigwig_loader.dataset.options import (
    BatchOptions,
    LoadOptions,
    SamplingOptions,
    SequenceEncoder,
    SourceOptions,
    ValueOptions,
    WindowOptions,
)
from bigwig_loader.dataset.reader import BatchReader
from bigwig_loader.dataset.sources import Sources, open_sources
from bigwig_loader.dataset.state import Progress, check_state, digest, make_state
from bigwig_loader.dataset.unknown import UnknownFilter
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.sampling.rng import check_epoch, check_seed, new_seed
from bigwig_loader.sampling.sampler import Sampler
from bigwig_loader.sampling.tracks import AllTracks, ListedTracks, RandomTracks, TrackSampler
from bigwig_loader.types import DtypeName, PathLike

if TYPE_CHECKING:
    import pandas as pd

    from bigwig_loader.collection import BigWigCollection
    from bigwig_loader.formats.genome import Genome


class BigWigDataset:
    """Batches of one-hot sequence and signal from regions of the genome.

    An example is a window of `sequence_length` bp around a position. ``iter(dataset)`` runs
    through one epoch of batches; what an example holds depends on (seed, epoch, index) only, so
    the same seed gives the same batches for any `n_threads`, `prefetch`, `super_batch_size` and
    number of worker processes.

    Parameters
    ----------
    regions_of_interest : DataFrame or path, or None
        Columns chrom, start, end (0-based, half-open), or a BED file. Not used, and may be None,
        with a `custom_position_sampler`.
    collection : BigWigCollection, path, list of paths, or None
        The tracks. A file, or a folder to search. None delivers sequence alone.
    reference_genome_path : path, Genome, or None
        FASTA file. None delivers values alone.
    sequence_length : int
        L, in bp. The window of position p starts at ``p - L // 2``; it may reach past the ends of
        the contig, where sequence is all zero and values are `default_value`.
    center_bin_to_predict : int, optional
        Width in bp of the central part that values cover, at most L; None for all of L. Its left
        margin is ``(L - center_bin_to_predict) // 2``; where the difference is odd, the right
        margin is one base wider.
    window_size : int
        Bases per bin; a value is the mean over a bin. Bases of the central part beyond the last
        whole bin are not read: N = center_bin_to_predict // window_size.
    moving_average_window_size : int
        Width m in bp of a box: each base's value is replaced by the mean over the m bases around
        it (from ``p - m // 2``) before binning. It uses the signal beyond the window's edges,
        leaves out NaN, and works along bp. Base-resolution transforms of the collection come
        before it. 1 for none.
    batch_size : int
        B.
    super_batch_size : int, optional
        Examples to read at once, at least B. It is rounded down to whole batches, so that no
        example is dropped or waits at its edge. With batches of differing tracks, each is read
        by itself. None for one batch.
    batches_per_epoch : int, optional
        None for as many as (bases of all regions) // L examples make with `shuffle`, at least
        one; for every region once without.
    maximum_unknown_bases_fraction : float, optional
        Windows in which a larger fraction of bases is not A, C, G or T, or lies outside the
        contig, are not delivered. With `shuffle` another position is drawn instead, up to 1,000
        times; regions (``shuffle=False``) and listed positions are left out, and counted in
        `n_regions_left_out`. None for no limit; needs a genome.
    sequence_encoder : "onehot", callable or None
        ``"onehot"``: arrays (B, L, 4), alphabet A, C, G, T, other letters all zero. A function
        gets the B windows as a list of str (upper case, N outside the contig) and returns
        something of length B, which is delivered as it is, whatever `dtype` says. None delivers
        that list of str.
    file_extensions, crawl, scale, first_n_files
        How a path is opened; see `BigWigCollection`. Only where `collection` is a path.
    default_value : float
        Value of bases without data and outside the contig. Not changed by `scale`.
    position_sampler_buffer_size : int
        With `repeat_same_positions`, how many distinct positions there are. Without it, positions
        are computed as they are needed and nothing is buffered.
    repeat_same_positions : bool
        Every epoch has the same positions: those of epoch 0, where example i has the position of
        example ``i % position_sampler_buffer_size``.
    sub_sample_tracks : int, optional
        Number of tracks in each batch: a random subset, in ascending order. `Batch` says which.
    n_threads : int
        Threads that read and decode; not of an open collection, which has its own.
    custom_position_sampler : Sampler or iterable of (str, int), optional
        Where examples lie, in place of random positions in the regions. An iterable is walked
        through once per epoch, in order, and the epoch ends where it ends; lists are read when
        the data set is made. `shuffle` does not apply.
    custom_track_sampler : iterable of int arrays, optional
        The tracks of batch 0, 1, ... of an epoch, which ends where it ends.
    return_batch_objects : bool
        Deliver `Batch` objects. Otherwise ``(sequences, values)``, or the only one of them there
        is.
    dtype : {"float32", "float16", "bfloat16", "uint8", "int8"}
        Of values and one-hot sequences; integers without tracks only. bfloat16 is that of
        `ml_dtypes`.
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda"``; not of an open collection, which has its own.
    seed : int, optional
        In [0, 2**64). None takes one from the operating system, found in `seed` afterwards.
    shuffle : bool
        True: positions drawn uniformly from the bases of all regions, with replacement; a base in
        several regions counts once for each. False: every region once, in the order given,
        the window centred on it (base ``start + (end - start) // 2``).
    drop_last : bool
        Whether a last batch of fewer than B examples is left out. Random positions do not run
        out, so their batches are all full; the default number of batches is then rounded down
        (True) or up (False).
    prefetch : int
        Batches made ahead in a background thread; 0 for none and no thread.

    Raises
    ------
    InvalidInputError
        For a parameter that cannot be used, or regions that are empty or end past their contig.
    NotFoundError
        For files that do not exist and contigs that are not in all inputs.
    LoaderError
        While iterating, for a batch that cannot be made: file and window in the message, the
        original error as ``__cause__``.

    Notes
    -----
    Every batch has memory of its own and is never written to again.

    Each iteration is an epoch of its own: epoch 0 first, then the next one, also after a loop that
    was left early. `set_epoch` chooses another; after `load_state_dict`, the next iteration is the
    rest of the epoch that was saved.
    """

    def __init__(
        self,
        regions_of_interest: pd.DataFrame | PathLike | None,
        collection: BigWigCollection | PathLike | Sequence[PathLike] | None,
        reference_genome_path: PathLike | Genome | None = None,
        sequence_length: int = 1000,
        center_bin_to_predict: int | None = None,
        window_size: int = 1,
        moving_average_window_size: int = 1,
        batch_size: int = 256,
        super_batch_size: int | None = None,
        batches_per_epoch: int | None = None,
        maximum_unknown_bases_fraction: float | None = 0.1,
        sequence_encoder: SequenceEncoder = "onehot",
        file_extensions: Sequence[str] = (".bigWig", ".bw"),
        crawl: bool = True,
        scale: Any = None,
        default_value: float = 0.0,
        first_n_files: int | None = None,
        position_sampler_buffer_size: int = 100000,
        repeat_same_positions: bool = False,
        sub_sample_tracks: int | None = None,
        n_threads: int = 4,
        custom_position_sampler: Sampler | Iterable[tuple[str, int]] | None = None,
        custom_track_sampler: Iterable[Any] | None = None,
        return_batch_objects: bool = False,
        dtype: DtypeName = "float32",
        device: str = "auto",
        seed: int | None = None,
        shuffle: bool = True,
        drop_last: bool = True,
        prefetch: int = 2,
    ) -> None:
        self._seed_given = seed is not None
        self._window = WindowOptions(
            sequence_length, center_bin_to_predict, window_size, moving_average_window_size
        )
        self._sampling = SamplingOptions(
            new_seed() if seed is None else check_seed(seed),
            shuffle,
            maximum_unknown_bases_fraction,
            position_sampler_buffer_size,
            repeat_same_positions,
        )
        self._batch = BatchOptions(
            batch_size, super_batch_size, batches_per_epoch, sub_sample_tracks, drop_last
        )
        self._value = ValueOptions(dtype, default_value, sequence_encoder)
        source = SourceOptions(file_extensions, crawl, scale, first_n_files)
        self._load = LoadOptions(n_threads, device, prefetch, return_batch_objects)
        regions = read_regions(regions_of_interest)
        self._sources = open_sources(collection, reference_genome_path, source, self._load)
        self._reader = BatchReader(self._sources, self._window, self._value, n_threads)
        self._builder = ExampleBuilder(
            regions,
            custom_position_sampler,
            self._sources,
            self._window,
            self._batch,
            _unknown_filter(self._sources, maximum_unknown_bases_fraction),
        )
        self._examples, self._n_left_out = self._builder.build(self._sampling)
        self._custom_tracks = custom_track_sampler
        self._tracks = self._track_sampler()
        self._fingerprint = self._make_fingerprint()
        self._progress = Progress()

    @property
    def seed(self) -> int:
        """The seed, given or drawn."""
        return self._sampling.seed

    @property
    def epoch(self) -> int:
        """The current epoch, which the next or present iteration runs through."""
        return self._progress.epoch

    @property
    def collection(self) -> BigWigCollection | None:
        """The tracks."""
        return self._sources.collection

    @property
    def genome(self) -> Genome | None:
        """The reference genome."""
        return self._sources.genome

    @property
    def n_regions_left_out(self) -> int:
        """Regions, or listed positions, not delivered because of too many unknown bases.

        For an iterable that is walked through, those met so far in this process.
        """
        return self._n_left_out + getattr(self._examples, "n_left_out", 0)

    def __len__(self) -> int:
        """Batches per epoch.

        Raises
        ------
        TypeError
            Where only walking through a custom sampler can tell, and `batches_per_epoch` is None.
        """
        n_batches = self._examples.n_batches
        if n_batches is None:
            n_batches = self._batch.batches_per_epoch
        if n_batches is None:
            # The only error that list() and DataLoader take for "unknown".
            raise TypeError(
                "the number of batches is unknown with an iterable as custom_position_sampler; "
                "set batches_per_epoch"
            )
        return n_batches

    def __iter__(self) -> BatchIterator:
        """The next epoch from its beginning; after `load_state_dict`, the rest of that epoch."""
        epoch, batch = self._progress.epoch, self._progress.batch
        if batch and not self._progress.resumed:
            epoch, batch = epoch + 1, 0
        self._progress = Progress(epoch, batch)
        return BatchIterator(
            self.batches(epoch, batch), self._progress, self._load.return_batch_objects
        )

    def batches(
        self, epoch: int, first: int = 0, step: int = 1, prefetch: int | None = None
    ) -> Prefetcher[Batch]:
        """Batches first, first + step, ... of any epoch; the data set's own position stays.

        This is what workers and ranks shard an epoch with: shard w of W takes ``first=w, step=W``.

        Parameters
        ----------
        epoch : int
        first, step : int
        prefetch : int, optional
            None for that of the data set.

        Returns
        -------
        iterator of Batch
            With a `close` method.
        """
        plans = plan_batches(self._examples, self._tracks, check_epoch(epoch), first, step)
        at_once = 1 if self._tracks.varies else self._batch.batches_at_once
        depth = self._load.prefetch if prefetch is None else prefetch
        return Prefetcher(self._reader.read_all(plans, at_once), depth)

    def set_epoch(self, epoch: int) -> None:
        """Go to the beginning of an epoch. Iterators made before go on as they are."""
        self._progress = Progress(check_epoch(epoch))

    def state_dict(self) -> dict[str, Any]:
        """Where the epoch stands: a small dictionary that JSON can hold.

        It counts the batches that were delivered, not those made ahead.
        """
        progress = self._progress
        return make_state(self.seed, progress.epoch, progress.batch, self._fingerprint)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was called, with the very batches that would have followed.

        Raises
        ------
        InvalidInputError
            If the state is that of a data set that would make other batches: other regions,
            tracks, lengths or, where a seed was given, seed.
        """
        seed, epoch, batch = check_state(state, self._fingerprint)
        if seed != self.seed:
            if self._seed_given:
                raise InvalidInputError(
                    f"state: expected seed {self.seed}, which this data set was given; got {seed}"
                )
            self._sampling = dataclasses.replace(self._sampling, seed=seed)
            self._examples, self._n_left_out = self._builder.build(self._sampling)
            self._tracks = self._track_sampler()
        self._progress = Progress(epoch, batch, resumed=True)

    def _track_sampler(self) -> TrackSampler:
        size, custom = self._batch.sub_sample_tracks, self._custom_tracks
        if size is None and custom is None:
            return AllTracks()
        if self.collection is None or (size is not None and custom is not None):
            raise InvalidInputError(
                "arguments sub_sample_tracks and custom_track_sampler: expected at most one of "
                f"them, and a collection to choose from; got sub_sample_tracks={size}, "
                f"custom_track_sampler={custom!r}, collection={self.collection!r}"
            )
        if size is not None:
            return RandomTracks(self.collection.n_tracks, size, self.seed)
        assert custom is not None
        return ListedTracks(custom, self.collection.n_tracks)

    def _make_fingerprint(self) -> dict[str, Any]:
        options: dict[str, Any] = {}
        for group in (self._window, self._sampling, self._batch):
            options |= dataclasses.asdict(group)
        for left_out in ("seed", "super_batch_size"):
            del options[left_out]
        encoder, collection, genome = self._value.sequence_encoder, self.collection, self.genome
        custom = self._custom_tracks
        return options | {
            "n_batches": self._examples.n_batches,
            "dtype": self._value.dtype,
            "default_value": repr(float(self._value.default_value)),
            "sequence_encoder": getattr(encoder, "__qualname__", type(encoder).__name__)
            if callable(encoder)
            else encoder,
            "transforms": None if collection is None else digest(collection.transforms),
            "tracks": None if collection is None else digest(*collection.track_names),
            "contigs": None if genome is None else digest(*sorted(genome.contigs.items())),
            "custom_track_sampler": None if custom is None else type(custom).__name__,
            **self._builder.fingerprint(),
        }


def _unknown_filter(sources: Sources, maximum_fraction: float | None) -> UnknownFilter | None:
    if sources.genome is None or maximum_fraction is None:
        return None
    return UnknownFilter(sources, maximum_fraction)
