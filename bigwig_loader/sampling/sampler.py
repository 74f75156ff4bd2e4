"""Samplers: which base of the genome each example is centred on.

`Sampler` is the extension point. A sampler is a pure function of (epoch, index, attempt), so that
batches can be made in any order, by any number of threads and worker processes, and an
interrupted epoch can go on where it stopped.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from bigwig_loader.sampling.positions import Positions
from bigwig_loader.sampling.regions import Regions
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


class RandomPositions:
    """Bases drawn uniformly, with replacement, from all bases of all regions.

    Parameters
    ----------
    regions : Regions
        A base in several regions is as many times more likely.
    seed : int
        In [0, 2**64).
    """

    n_examples: int | None = None

    def __init__(self, regions: Regions, seed: int) -> None:
        self.regions = regions
        self.seed = check_seed(seed)

    @property
    def contig_names(self) -> tuple[str, ...]:
        return self.regions.contig_names

    def draw(self, epoch: int, indices: Indices, attempt: int = 0) -> Positions:
        offset = random_below(
            self.regions.n_bases, self.seed, epoch, indices, stream=Stream.POSITION, lane=attempt
        )
        return self.regions.locate(offset)


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


class ListedPositions:
    """Given positions in their order, the same in every epoch and attempt.

    Parameters
    ----------
    contig_names : tuple of str
    positions : Positions
    """

    def __init__(self, contig_names: tuple[str, ...], positions: Positions) -> None:
        self.contig_names = contig_names
        self.positions = positions

    @property
    def n_examples(self) -> int:
        return len(self.positions)

    def draw(self, epoch: int, indices: Indices, attempt: int = 0) -> Positions:
        return self.positions.take(indices)
