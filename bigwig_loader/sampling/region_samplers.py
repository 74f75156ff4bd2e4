"""Samplers that choose whole regions: each once in a random order, or by weight."""

from __future__ import annotations

from math import fsum
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.sampling.columns import number_column
from bigwig_loader.sampling.permutation import permute
from bigwig_loader.sampling.positions import Positions
from bigwig_loader.sampling.regions import RegionSource, with_column
from bigwig_loader.sampling.rng import Stream, check_seed, random_below
from bigwig_loader.sampling.sampler import Indices, RegionSampler
from bigwig_loader.sampling.schedule import WeightSchedule
from bigwig_loader.types import check_choice, check_positive

WEIGHT_BITS = 62


class ShuffledRegions(RegionSampler):
    """Every region exactly once per epoch, centred, in an order that each epoch has for itself.

    The order is not stored: memory does not grow with the number of regions. An example that is
    refused (too many unknown bases) has no other position to offer but by jitter, see `Augmented`.

    Parameters
    ----------
    regions : Regions, DataFrame or path-like
        See `Regions.read`.
    seed : int
        In [0, 2**64).
    """

    def __init__(self, regions: RegionSource, seed: int) -> None:
        super().__init__(regions)
        self.seed = check_seed(seed)

    @property
    def n_examples(self) -> int:
        return len(self.regions)

    def draw(self, epoch: int, indices: Indices, attempt: int = 0) -> Positions:
        region = permute(len(self.regions), indices, self.seed, epoch, stream=Stream.ORDER)
        return self._oriented(self.regions.centres(region))

    def fingerprint(self) -> str:
        """Hash of what decides what is drawn."""
        return self._fingerprint(self.seed)


class WeightedRegions(RegionSampler):
    """Regions drawn with replacement, each as likely as its weight says.

    Weights become integers that sum to about 2**62, and one integer below their sum is drawn
    without bias. So a region's probability is its share of the weights to within a relative
    2**-52 and an absolute 2**-62, and a region of weight 0 is never drawn.

    Parameters
    ----------
    regions : Regions, DataFrame or path-like
    weights : (R,) array-like of float, str, mapping, callable, or None
        Finite, >= 0, not all 0; they need not add up to 1. Or the name of a column (``"score"``)
        of a frame or file. Or by epoch: a mapping of epochs, or a function of the epoch, to (R,)
        weights, see `WeightSchedule`. None takes `Regions.weight`.
    seed : int
        In [0, 2**64).
    n_examples : int, optional
        Examples of an epoch; None for no natural end.
    within : {"centre", "uniform"}
        Which base of the region: the central one, or any of them with equal chances.
    """

    def __init__(
        self,
        regions: RegionSource,
        weights: Any,
        seed: int,
        n_examples: int | None = None,
        within: Literal["centre", "uniform"] = "centre",
    ) -> None:
        found, column = with_column(regions, weights if isinstance(weights, str) else None)
        super().__init__(found)
        if column is not None:
            weights = number_column(column, weights)
        elif weights is None:
            weights = self.regions.weight
            if weights is None:
                raise InvalidInputError(
                    "argument weights: expected weights, because the regions have none; got None. "
                    "Regions.read(..., weight=column) reads them"
                )
        if n_examples is not None:
            check_positive("n_examples", n_examples)
        check_choice("within", within, ("centre", "uniform"))
        self.weights = WeightSchedule(weights, len(self.regions), "weights")
        self.seed = check_seed(seed)
        self.n_examples = n_examples
        self.within = within
        # Of the last epoch: a table for every epoch would be R numbers each.
        self._table: tuple[int, npt.NDArray[np.int64]] | None = None

    def draw(self, epoch: int, indices: Indices, attempt: int = 0) -> Positions:
        stops = self._stops(epoch)
        chosen = random_below(
            int(stops[-1]), self.seed, epoch, indices, stream=Stream.CHOICE, lane=attempt
        )
        region = np.searchsorted(stops, chosen, side="right")
        if self.within == "centre":
            return self._oriented(self.regions.centres(region))
        start = self.regions.start[region]
        offset = random_below(
            self.regions.end[region] - start,
            self.seed,
            epoch,
            indices,
            stream=Stream.POSITION,
            lane=attempt,
        )
        return self._oriented(self.regions.at(region, start + offset))

    def fingerprint(self) -> str:
        """Hash of what decides what is drawn; of weights that are a function, its name."""
        return self._fingerprint(
            self.seed, self.weights.fingerprint(), self.n_examples, self.within
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_table": None}  # worker processes make their own

    def _stops(self, epoch: int) -> npt.NDArray[np.int64]:
        """Where each region's integers end."""
        table, entry = self._table, self.weights.entry(epoch)
        if table is None or table[0] != entry:
            weights = self.weights.at(epoch)
            # The largest weight first, so that no sum overflows; an exact sum is the same on
            # every machine.
            weights = weights / weights.max()
            share = weights / fsum(weights)
            table = entry, np.cumsum(np.rint(share * 2.0**WEIGHT_BITS).astype(np.int64))
            self._table = table
        return table[1]
