"""From regions or a custom sampler to the examples of an epoch, and to their tracks."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bigwig_loader.dataset.examples import Augment, Examples, IndexedExamples, StreamedExamples
from bigwig_loader.dataset.options import (
    BatchOptions,
    SamplingOptions,
    ShareOptions,
    WindowOptions,
)
from bigwig_loader.dataset.sources import Sources
from bigwig_loader.dataset.unknown import UnknownFilter
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.plan.windows import FAR
from bigwig_loader.sampling.augment import Augmented
from bigwig_loader.sampling.digest import digest, sampler_fingerprint
from bigwig_loader.sampling.listed import PositionParser, is_stream
from bigwig_loader.sampling.regions import Regions
from bigwig_loader.sampling.sampler import (
    ListedPositions,
    RandomPositions,
    RepeatedPositions,
    Sampler,
    SequentialRegions,
)
from bigwig_loader.sampling.samples import SampleChoice
from bigwig_loader.sampling.tracks import AllTracks, ListedTracks, RandomTracks, TrackSampler

if TYPE_CHECKING:
    from bigwig_loader.collection import BigWigCollection
    from bigwig_loader.plan.track_groups import TrackGroups


@dataclass(frozen=True, eq=False)
class ExampleBuilder:
    """Everything that decides where examples lie.

    Parameters
    ----------
    regions : Regions or None
        None only with a custom sampler.
    custom : Sampler, iterable of (str, int), or None
    sources, window, batch
        See there.
    unknown : UnknownFilter or None
    share : ShareOptions
        Which part of every batch is made here.
    n_samples : int, optional
        Samples whose haplotypes are shown; None for the reference. Regions in their order
        (``shuffle=False``) have them in turn, other examples by chance.
    """

    regions: Regions | None
    custom: Any
    sources: Sources
    window: WindowOptions
    batch: BatchOptions
    unknown: UnknownFilter | None
    share: ShareOptions
    n_samples: int | None = None

    def build(self, sampling: SamplingOptions) -> tuple[Examples, int]:
        """The examples, and how many regions or listed positions were left out of them.

        Raises
        ------
        InvalidInputError
            If an epoch would hold no batch, or options contradict each other.
        """
        if self.custom is None:
            return self._of_regions(sampling)
        if isinstance(self.custom, Sampler):
            return self._endless_or_not(self.custom, sampling), 0
        if isinstance(self.custom, (str, bytes)) or not isinstance(self.custom, Iterable):
            raise InvalidInputError(
                "argument custom_position_sampler: expected an iterable of (chrom, position) or a "
                f"Sampler; got {type(self.custom).__name__}"
            )
        if sampling.repeat_same_positions:
            raise InvalidInputError(
                "argument repeat_same_positions: expected False with an iterable as "
                "custom_position_sampler; pass the same positions as a list instead"
            )
        parser = PositionParser(self.sources.usable)
        if is_stream(self.custom):
            if sampling.use_strand:
                raise InvalidInputError(
                    "argument use_strand: expected False with an iterable of (chrom, position), "
                    "which have no strand; got True. Pass regions with strands, or a Sampler"
                )
            streamed = StreamedExamples(
                self.custom,
                parser,
                self.sources.contigs,
                self.window,
                self.batch,
                self.unknown,
                self.share,
                self._augment(sampling),
            )
            streamed.samples = self._samples(sampling)
            return streamed, 0
        listed = ListedPositions(self.sources.usable.names, parser.parse(self.custom))
        return self._listed(listed, sampling, "custom_position_sampler", "positions")

    def _of_regions(self, sampling: SamplingOptions) -> tuple[Examples, int]:
        if self.regions is None:
            raise InvalidInputError(
                "argument regions_of_interest: expected regions, unless there is a "
                "custom_position_sampler; got None"
            )
        self.sources.check_regions(self.regions)
        if sampling.shuffle:
            return self._endless_or_not(RandomPositions(self.regions, sampling.seed), sampling), 0
        return self._listed(
            SequentialRegions(self.regions), sampling, "regions_of_interest", "regions"
        )

    def _endless_or_not(self, sampler: Sampler, sampling: SamplingOptions) -> IndexedExamples:
        if sampling.repeat_same_positions:
            sampler = RepeatedPositions(sampler, sampling.position_sampler_buffer_size)
        augment = self._augment(sampling)
        if augment is not None:
            sampler = augment(sampler)
        wanted = self.batch.batches_per_epoch
        if sampler.n_examples is not None:
            n_batches = self.batch.n_batches(sampler.n_examples)
            if not n_batches:
                raise self._no_batch(type(sampler).__name__, sampler.n_examples, "examples")
            n_batches = n_batches if wanted is None else min(wanted, n_batches)
            return self._indexed(sampler, n_batches, self.unknown, sampling)
        if wanted is None:
            if self.regions is None:
                raise InvalidInputError(
                    "argument batches_per_epoch: expected a number, because neither regions nor "
                    f"{type(sampler).__name__}.n_examples say how long an epoch is; got None"
                )
            n_examples = self.regions.n_bases // self.window.sequence_length
            wanted = max(1, self.batch.n_batches(n_examples))
        return self._indexed(sampler, wanted, self.unknown, sampling)

    def _listed(
        self, sampler: ListedPositions, sampling: SamplingOptions, argument: str, what: str
    ) -> tuple[Examples, int]:
        n_given = sampler.n_examples
        if self.unknown is not None and n_given:
            positions = self._indexed(sampler, 1, None, sampling).positions(0, np.arange(n_given))
            everything = self.window.sequence_windows(positions)
            kept = self.unknown.accepts(everything)
            if not kept.any():
                fraction = self.unknown.fraction(everything.take(slice(0, 1)))
                raise InvalidInputError(
                    f"{argument}: expected a window with few enough unknown bases; all {n_given} "
                    f"have too many, as {self.unknown.describe(everything, fraction, 0)}"
                )
            sampler = sampler.take(kept)
        n_batches = self.batch.n_batches(sampler.n_examples)
        if not n_batches:
            raise self._no_batch(argument, sampler.n_examples, what)
        if self.batch.batches_per_epoch is not None:
            n_batches = min(n_batches, self.batch.batches_per_epoch)
        augment = self._augment(sampling)
        # What is left was accepted above, in every epoch; what is moved is looked at again.
        unknown = self.unknown if sampling.max_jitter else None
        indexed = self._indexed(
            sampler if augment is None else augment(sampler), n_batches, unknown, sampling
        )
        return indexed, n_given - sampler.n_examples

    def _indexed(
        self,
        sampler: Sampler,
        n_batches: int,
        unknown: UnknownFilter | None,
        sampling: SamplingOptions,
    ) -> IndexedExamples:
        contigs, size = self.sources.contigs, self.batch.batch_size
        samples = self._samples(sampling)
        indexed = IndexedExamples(
            sampler, contigs, self.window, size, n_batches, unknown, self.share, samples
        )
        if not indexed.n_batches:
            raise InvalidInputError(
                f"argument uneven: expected 'pad', because {sampler.n_examples} examples are fewer "
                f"than the {self.share.shard.world_size} processes; got {self.share.uneven!r}, "
                "which leaves no batch"
            )
        return indexed

    def _samples(self, sampling: SamplingOptions) -> SampleChoice | None:
        """Whose haplotypes examples show."""
        if self.n_samples is None:
            return None
        in_turn = self.custom is None and not sampling.shuffle
        return SampleChoice(self.n_samples, sampling.seed, in_turn)

    def _augment(self, sampling: SamplingOptions) -> Augment | None:
        """What adds jitter and strand to a sampler; None where neither is asked for."""
        if not (sampling.reverses or sampling.max_jitter):
            return None
        contigs = self.sources.contigs
        lengths = dict(zip(contigs.names, contigs.lengths.tolist(), strict=True))

        def augment(sampler: Sampler) -> Sampler:
            # A contig that the files lack is an error when, and if, it is drawn.
            known = {name: lengths.get(name, FAR) for name in sampler.contig_names}
            return Augmented(
                sampler,
                sampling.seed,
                sampling.max_jitter,
                sampling.reverse_complement,
                sampling.use_strand,
                known,
            )

        return augment

    def _no_batch(self, argument: str, n_examples: int, what: str) -> InvalidInputError:
        return InvalidInputError(
            f"{argument}: expected enough {what} for one batch of {self.batch.batch_size}; got "
            f"{n_examples}, and drop_last={self.batch.drop_last} leaves out a short last batch. "
            "Set drop_last=False or a smaller batch_size"
        )

    def fingerprint(self) -> dict[str, str | None]:
        """Hashes of the regions and positions."""
        regions = self.regions
        custom = self.custom
        listed = None if custom is None else sampler_fingerprint(custom)
        if custom is not None and not isinstance(custom, Sampler) and not is_stream(custom):
            positions = PositionParser(self.sources.usable).parse(custom)
            listed = digest(self.sources.usable.names, positions.contig, positions.position)
        return {
            "regions": None if regions is None else regions.fingerprint(),
            "custom_position_sampler": listed,
        }


@dataclass(frozen=True, eq=False)
class TrackBuilder:
    """Everything that decides which tracks a batch holds.

    Parameters
    ----------
    collection : BigWigCollection or None
    size : int or None
        Tracks of a random subset.
    custom : iterable of int arrays, or None
    groups : TrackGroups or None
        A random subset holds them whole or not at all.
    """

    collection: BigWigCollection | None
    size: int | None
    custom: Iterable[Any] | None
    groups: TrackGroups | None

    def build(self, seed: int) -> TrackSampler:
        """The sampler.

        Raises
        ------
        InvalidInputError
            If there are two rules, or there is nothing to choose from.
        """
        if self.size is None and self.custom is None:
            return AllTracks()
        if self.collection is None or (self.size is not None and self.custom is not None):
            raise InvalidInputError(
                "arguments sub_sample_tracks and custom_track_sampler: expected at most one of "
                f"them, and a collection to choose from; got sub_sample_tracks={self.size}, "
                f"custom_track_sampler={self.custom!r}, collection={self.collection!r}"
            )
        if self.size is not None:
            groups = () if self.groups is None else self.groups.groups
            return RandomTracks(self.collection.n_tracks, self.size, seed, groups)
        assert self.custom is not None
        return ListedTracks(self.custom, self.collection.n_tracks)

    def fingerprint(self) -> dict[str, str | None]:
        """Hash of the groups, and what kind of list there is."""
        return {
            "track_groups": None if self.groups is None else digest(self.groups.groups),
            "custom_track_sampler": None if self.custom is None else type(self.custom).__name__,
        }


def read_regions(regions: Any) -> Regions | None:
    """Regions of a DataFrame, BED path or `Regions`; None for None."""
    if regions is None or isinstance(regions, Regions):
        return regions
    import pandas as pd

    if not isinstance(regions, (pd.DataFrame, str, os.PathLike)):
        raise InvalidInputError(
            "argument regions_of_interest: expected a DataFrame with columns chrom, start and "
            f"end, or the path of a BED file; got {type(regions).__name__}"
        )
    return Regions.read(regions)
