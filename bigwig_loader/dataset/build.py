"""From regions or a custom sampler to the examples of an epoch."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bigwig_loader.dataset.examples import Examples, IndexedExamples, StreamedExamples
from bigwig_loader.dataset.options import BatchOptions, SamplingOptions, WindowOptions
from bigwig_loader.dataset.sources import Sources
from bigwig_loader.dataset.state import digest
from bigwig_loader.dataset.unknown import UnknownFilter
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.sampling.listed import PositionParser, is_stream
from bigwig_loader.sampling.regions import Regions
from bigwig_loader.sampling.sampler import (
    ListedPositions,
    RandomPositions,
    RepeatedPositions,
    Sampler,
)


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
    """

    regions: Regions | None
    custom: Any
    sources: Sources
    window: WindowOptions
    batch: BatchOptions
    unknown: UnknownFilter | None

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
            streamed = StreamedExamples(
                self.custom, parser, self.sources.contigs, self.window, self.batch, self.unknown
            )
            return streamed, 0
        listed = ListedPositions(self.sources.usable.names, parser.parse(self.custom))
        return self._listed(listed, "custom_position_sampler", "positions")

    def _of_regions(self, sampling: SamplingOptions) -> tuple[Examples, int]:
        if self.regions is None:
            raise InvalidInputError(
                "argument regions_of_interest: expected regions, unless there is a "
                "custom_position_sampler; got None"
            )
        self.sources.check_regions(self.regions)
        if sampling.shuffle:
            return self._endless_or_not(RandomPositions(self.regions, sampling.seed), sampling), 0
        centres = ListedPositions(self.regions.contig_names, self.regions.centres())
        return self._listed(centres, "regions_of_interest", "regions")

    def _endless_or_not(self, sampler: Sampler, sampling: SamplingOptions) -> IndexedExamples:
        if sampling.repeat_same_positions:
            sampler = RepeatedPositions(sampler, sampling.position_sampler_buffer_size)
        wanted = self.batch.batches_per_epoch
        if sampler.n_examples is not None:
            n_batches = self.batch.n_batches(sampler.n_examples)
            if not n_batches:
                raise self._no_batch(type(sampler).__name__, sampler.n_examples, "examples")
            n_batches = n_batches if wanted is None else min(wanted, n_batches)
            return self._indexed(sampler, n_batches, self.unknown)
        if wanted is None:
            if self.regions is None:
                raise InvalidInputError(
                    "argument batches_per_epoch: expected a number, because neither regions nor "
                    f"{type(sampler).__name__}.n_examples say how long an epoch is; got None"
                )
            n_examples = self.regions.n_bases // self.window.sequence_length
            wanted = max(1, self.batch.n_batches(n_examples))
        return self._indexed(sampler, wanted, self.unknown)

    def _listed(self, sampler: ListedPositions, argument: str, what: str) -> tuple[Examples, int]:
        n_given = sampler.n_examples
        if self.unknown is not None and n_given:
            everything = self._indexed(sampler, 1, None).windows(0, np.arange(n_given))
            kept = self.unknown.accepts(everything)
            if not kept.any():
                fraction = self.unknown.fraction(everything.take(slice(0, 1)))
                raise InvalidInputError(
                    f"{argument}: expected a window with few enough unknown bases; all {n_given} "
                    f"have too many, as {self.unknown.describe(everything, fraction, 0)}"
                )
            sampler = ListedPositions(sampler.contig_names, sampler.positions.take(kept))
        n_batches = self.batch.n_batches(sampler.n_examples)
        if not n_batches:
            raise self._no_batch(argument, sampler.n_examples, what)
        if self.batch.batches_per_epoch is not None:
            n_batches = min(n_batches, self.batch.batches_per_epoch)
        # What is left was accepted above, in every epoch.
        return self._indexed(sampler, n_batches, None), n_given - sampler.n_examples

    def _indexed(
        self, sampler: Sampler, n_batches: int, unknown: UnknownFilter | None
    ) -> IndexedExamples:
        contigs, size = self.sources.contigs, self.batch.batch_size
        return IndexedExamples(sampler, contigs, self.window, size, n_batches, unknown)

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
        listed = None if custom is None else type(custom).__name__
        if custom is not None and not isinstance(custom, Sampler) and not is_stream(custom):
            positions = PositionParser(self.sources.usable).parse(custom)
            listed = digest(self.sources.usable.names, positions.contig, positions.position)
        return {
            "regions": None
            if regions is None
            else digest(regions.contig_names, regions.contig, regions.start, regions.end),
            "custom_position_sampler": listed,
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
