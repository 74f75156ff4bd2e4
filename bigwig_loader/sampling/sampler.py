"""Samplers: which base of the genome each example is centred on.

`Sampler` is the extension point. A sampler is a pure function of (epoch, index, attempt), so that
batches can be made in any order, by any number of threads and worker processes, and an
interrupted epoch can go on where it stopped.
"""

from __future__ import annotations

import copy
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.sampling.digest import digest, sampler_fingerprint
from bigwig_loader.sampling.positions import Positions
from bigwig_loader.sampling.regions import RegionSource, as_regions
from bigwig_loader.sampling.rng import Stream, check_seed, random_below

Indices = npt.NDArray[np.int64]


@runtime_checkable
class Sampler(Protocol):
    """What a source of positions must offer.

    Attributes
    ----------
    contig_names : tuple of str
        The contigs that the drawn `Positions.contig` count.
    n_examples : int or None
        Examples of one epoch; None where there is no natural end.
    """

    @property
    def contig_names(self) -> tuple[str, ...]: ...

    @property
    def n_examples(self) -> int | None: ...

    def draw(self, epoch: int, indices: Indices, attempt: int = 0) -> Positions:
        """Positions of the examples at `indices` of an epoch.

        Parameters
        ----------
        epoch : int
        indices : (n,) int64
            Each >= 0 and, where `n_examples` is not None, below it.
        attempt : int
            0 at first. Where the window of an example is refused (too many unknown bases), it is
            drawn again with 1, 2, ...; a sampler that has no other position to offer may return
            the same one.

        Returns
        -------
        Positions
            Of length n; the same for the same arguments, whenever and wherever it is called.
        """
        ...


def with_strand(sampler: Sampler) -> Sampler:
    """The sampler, made to deliver examples of minus-strand regions as reverse complement.

    A sampler takes part by a method ``with_strand() -> Sampler``, which all samplers of this
    package have. One without it is returned as it is: it has to set `Positions.reverse` itself.
    """
    own = getattr(sampler, "with_strand", None)
    return own() if callable(own) else sampler


R = TypeVar("R", bound="RegionSampler")


class RegionSampler:
    """What samplers of `Regions` share.

    Parameters
    ----------
    regions : Regions, DataFrame or path-like
        See `Regions.read`.
    """

    def __init__(self, regions: RegionSource) -> None:
        self.regions = as_regions(regions)
        self._use_strand = False

    @property
    def contig_names(self) -> tuple[str, ...]:
        return self.regions.contig_names

    def with_strand(self: R) -> R:
        """The same sampler, whose examples of minus-strand regions are reversed.

        Raises
        ------
        InvalidInputError
            If the regions have no strands.
        """
        if self.regions.strand is None:
            raise InvalidInputError(
                "use_strand: expected regions with strands; got regions without a column 'strand'"
            )
        stranded = copy.copy(self)
        stranded._use_strand = True
        return stranded

    def _oriented(self, positions: Positions) -> Positions:
        """The positions with `reverse`, if strands are used."""
        if not self._use_strand or positions.region is None:
            return positions
        return positions.with_fields(reverse=self.regions.minus(positions.region))

    def _fingerprint(self, *parts: object) -> str:
        return digest(type(self).__qualname__, self.regions.fingerprint(), self._use_strand, *parts)


class RandomPositions(RegionSampler):
    """Bases drawn uniformly, with replacement, from all bases of all regions.

    Parameters
    ----------
    regions : Regions, DataFrame or path-like
        A base in several regions is as many times more likely.
    seed : int
        In [0, 2**64).
    """

    n_examples: int | None = None

    def __init__(self, regions: RegionSource, seed: int) -> None:
        super().__init__(regions)
        self.seed = check_seed(seed)

    def draw(self, epoch: int, indices: Indices, attempt: int = 0) -> Positions:
        offset = random_below(
            self.regions.n_bases, self.seed, epoch, indices, stream=Stream.POSITION, lane=attempt
        )
        return self._oriented(self.regions.locate(offset))

    def fingerprint(self) -> str:
        """Hash of what decides what is drawn."""
        return self._fingerprint(self.seed)


class RepeatedPositions:
    """The first `period` positions of epoch 0 of another sampler, over and over.

    Parameters
    ----------
    sampler : Sampler
    period : int
        Number of distinct indices; index i gives what index ``i % period`` of epoch 0 gives.
    """

    def __init__(self, sampler: Sampler, period: int) -> None:
        self.sampler = sampler
        self.period = period

    @property
    def contig_names(self) -> tuple[str, ...]:
        return self.sampler.contig_names

    @property
    def n_examples(self) -> int | None:
        return self.sampler.n_examples

    def draw(self, epoch: int, indices: Indices, attempt: int = 0) -> Positions:
        return self.sampler.draw(0, np.asarray(indices) % self.period, attempt)

    def with_strand(self) -> RepeatedPositions:
        """The same with the strands of the sampler."""
        return RepeatedPositions(with_strand(self.sampler), self.period)

    def fingerprint(self) -> str:
        """Hash of what decides what is drawn."""
        return digest("RepeatedPositions", sampler_fingerprint(self.sampler), self.period)


class ListedPositions:
    """Given positions in their order, the same in every epoch and attempt.

    Parameters
    ----------
    contig_names : tuple of str
    positions : Positions
    minus : (n,) bool, optional
        Which of them `with_strand` reverses; None where they have no strands. Where the positions
        say themselves which to reverse, that holds in any case.
    """

    def __init__(
        self,
        contig_names: tuple[str, ...],
        positions: Positions,
        minus: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        self.contig_names = contig_names
        self.positions = positions
        self._minus = minus

    @property
    def n_examples(self) -> int:
        return len(self.positions)

    def draw(self, epoch: int, indices: Indices, attempt: int = 0) -> Positions:
        return self.positions.take(indices)

    def take(self, which: npt.NDArray[np.bool_] | npt.NDArray[np.integer]) -> ListedPositions:
        """The positions at the given indices, in that order, with their strands."""
        minus = None if self._minus is None else self._minus[which]
        return ListedPositions(self.contig_names, self.positions.take(which), minus)

    def with_strand(self) -> ListedPositions:
        """The same positions, those on the minus strand reversed.

        Raises
        ------
        InvalidInputError
            If neither the positions nor the regions they are from have strands.
        """
        if self.positions.reverse is not None:
            return self
        if self._minus is None:
            raise InvalidInputError(
                "use_strand: expected positions with strands; got positions that have none"
            )
        return ListedPositions(self.contig_names, self.positions.with_fields(reverse=self._minus))

    def fingerprint(self) -> str:
        """Hash of what decides what is drawn."""
        listed = self.positions
        return digest(
            "ListedPositions", self.contig_names, listed.contig, listed.position, listed.reverse
        )


class SequentialRegions(ListedPositions):
    """Every region once, in order, centred; the same in every epoch and attempt.

    Parameters
    ----------
    regions : Regions, DataFrame or path-like
    """

    def __init__(self, regions: RegionSource) -> None:
        regions = as_regions(regions)
        minus = None if regions.strand is None else regions.minus(np.arange(len(regions)))
        super().__init__(regions.contig_names, regions.centres(), minus)
