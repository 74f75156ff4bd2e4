"""Epochs of a data set: walking through them, saving and resuming, ranks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bigwig_loader.assemble.batch import Batch
from bigwig_loader.dataset.build import ExampleBuilder, TrackBuilder
from bigwig_loader.dataset.examples import Examples, plan_batches
from bigwig_loader.dataset.iterator import BatchIterator
from bigwig_loader.dataset.loader import Prefetcher
from bigwig_loader.dataset.options import BatchOptions, LoadOptions, SamplingOptions
from bigwig_loader.dataset.reader import BatchReader
from bigwig_loader.dataset.sources import Sources
from bigwig_loader.dataset.state import Progress, check_state, make_state
from bigwig_loader.dataset.stats import LoaderStats, Meter
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.sampling.ranks import Shard
from bigwig_loader.sampling.rng import check_epoch
from bigwig_loader.sampling.tracks import TrackSampler

if TYPE_CHECKING:
    from bigwig_loader.backend.protocol import Backend
    from bigwig_loader.collection import BigWigCollection
    from bigwig_loader.dataset.personal.windows import Personal
    from bigwig_loader.formats.genome import Genome


class Epochs:
    """What a `BigWigDataset` does once it is made; its attributes are set there."""

    _sampling: SamplingOptions
    _batch: BatchOptions
    _load: LoadOptions
    _sources: Sources
    _reader: BatchReader
    _personal: Personal | None
    _builder: ExampleBuilder
    _examples: Examples
    _n_left_out: int
    _track_builder: TrackBuilder
    _tracks: TrackSampler
    _meter: Meter
    _fingerprint: dict[str, Any]
    _progress: Progress
    _seed_given: bool

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
    def backend(self) -> Backend:
        """What makes the batches; ``print(dataset.backend.status)`` says which and why."""
        return self._sources.backend

    @property
    def samples(self) -> tuple[str, ...]:
        """Samples whose haplotypes are shown, as `Batch.samples` counts them; none without."""
        return () if self._personal is None else self._personal.samples

    @property
    def n_regions_left_out(self) -> int:
        """Regions, or listed positions, not delivered because of too many unknown bases.

        For an iterable that is walked through, those met so far in this process.
        """
        return self._n_left_out + getattr(self._examples, "n_left_out", 0)

    @property
    def shard(self) -> Shard:
        """Which of how many processes this is."""
        return self._builder.share.shard

    def set_rank(self, rank: int, world_size: int) -> None:
        """Become another one of several processes, from the next iteration on.

        Raises
        ------
        InvalidInputError
            If `batch_size` is no multiple of `world_size`, or there are several processes and the
            seed was drawn: each would have drawn another one.
        """
        shard = Shard(rank, world_size)
        if shard == self.shard:
            return
        check_shared_seed(self.seed if self._seed_given else None, shard)
        shard.check_batch_size(self._batch.batch_size)
        share = dataclasses.replace(self._builder.share, shard=shard)
        self._builder = dataclasses.replace(self._builder, share=share)
        self._examples, self._n_left_out = self._builder.build(self._sampling)

    def __len__(self) -> int:
        """Batches per epoch, the same for all processes.

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
        self._progress = start = self._progress.following()
        batches = self.batches(start.epoch, start.batch)
        return BatchIterator(batches, start, self._load.return_batch_objects)

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
        made = self._reader.read_all(plans, at_once, ahead=depth > 0)
        return Prefetcher(made, depth, meter=self._meter, hand_over=self._reader.hand_over)

    def hand_over(self, batch: Batch, stream: int | None = None) -> None:
        """Say on which CUDA stream a batch is used; nothing to do where arrays are of NumPy.

        The memory of a dropped batch is used again when what that stream was given before is
        done. Batches are handed over to CuPy's current stream when they are delivered, so only
        who works on another one has to say so.

        Parameters
        ----------
        batch : Batch
        stream : int, optional
            A `cudaStream_t`; None for CuPy's current one.
        """
        self._reader.hand_over(batch, stream)

    def stats(self) -> LoaderStats:
        """What making batches took in this process so far; ``print()`` shows it as a table.

        It says how long every stage took, what was read, how often the consumer had to wait, which
        stage is slowest and what to do about that. Bytes, data blocks and the seconds of read,
        inflate and rasterize are those of the collection, whoever read from it.
        """
        return self._meter.snapshot(None if self.collection is None else self.collection.counts)

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
            self._tracks = self._track_builder.build(seed)
        self._progress = Progress(epoch, batch, resumed=True)


def check_shared_seed(seed: int | None, shard: Shard) -> None:
    """Raise if several processes would each draw a seed of their own."""
    if shard.world_size > 1 and seed is None:
        raise InvalidInputError(
            f"argument seed: expected a number, the same for all {shard.world_size} processes, "
            "because they share every batch; got None, with which each would draw its own"
        )
