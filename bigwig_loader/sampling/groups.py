"""Stratified sampling: groups of regions in fixed shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.sampling.columns import complete_column
from bigwig_loader.sampling.interleave import counts_of_shares, interleave
from bigwig_loader.sampling.permutation import shuffled_walk
from bigwig_loader.sampling.positions import Positions
from bigwig_loader.sampling.regions import RegionSource, with_column
from bigwig_loader.sampling.rng import MAX_LANES, Stream, check_seed
from bigwig_loader.sampling.sampler import Indices, RegionSampler
from bigwig_loader.types import check_positive


class GroupedRegions(RegionSampler):
    """Groups of regions in fixed shares, exactly and evenly spread (stratified sampling).

    Within its share of an epoch, each region of a group comes once, centred, before any comes
    again, in an order that every such round and every epoch has for itself.

    Parameters
    ----------
    regions : Regions, DataFrame or path-like
    groups : (R,) sequence of labels, or str
        The group of each region; or the name of a column of a frame or file.
    seed : int
        In [0, 2**64).
    shares : mapping of label to float, optional
        The share of each group: finite, >= 0, not all 0; they need not add up to 1. All groups
        have equal shares by default.
    n_examples : int, optional
        Examples of an epoch, in which the shares are exact up to rounding; by default there is no
        natural end, see `counts_of_shares`.

    Attributes
    ----------
    labels : list
        The groups in the order of their first region; `Positions.source` counts them.
    """

    def __init__(
        self,
        regions: RegionSource,
        groups: Sequence[Any] | npt.NDArray[Any] | str,
        seed: int,
        shares: Mapping[Any, float] | None = None,
        n_examples: int | None = None,
    ) -> None:
        import pandas as pd

        found, frame = with_column(regions, groups if isinstance(groups, str) else None)
        super().__init__(found)
        if frame is not None and isinstance(groups, str):
            groups = complete_column(frame, groups).to_numpy(object)
        if len(groups) != len(self.regions):
            raise InvalidInputError(
                f"argument groups: expected a label for each of {len(self.regions)} regions; got "
                f"{len(groups)}"
            )
        codes, labels = pd.factorize(np.asarray(groups, object))
        if (codes < 0).any():
            raise InvalidInputError(
                "argument groups: expected a label for every region; got a missing one for "
                + self.regions.describe(int(np.flatnonzero(codes < 0)[0]))
            )
        self.labels = list(labels)
        if len(self.labels) > MAX_LANES:
            raise InvalidInputError(
                f"argument groups: expected at most {MAX_LANES} groups; got {len(self.labels)}"
            )
        if n_examples is not None:
            check_positive("n_examples", n_examples)
        self.seed = check_seed(seed)
        self.n_examples = n_examples
        self.counts = counts_of_shares(self._shares(shares), n_examples)
        self._members = np.argsort(codes, kind="stable")
        self._sizes = np.bincount(codes)
        self._first = np.cumsum(self._sizes) - self._sizes

    def draw(self, epoch: int, indices: Indices, attempt: int = 0) -> Positions:
        group, rank = interleave(indices, self.counts)
        lane = group.astype(np.int64)
        step = shuffled_walk(
            self._sizes[group], rank, self.seed, epoch, stream=Stream.ORDER, lane=lane
        )
        region = self._members[self._first[group] + step]
        return self._oriented(self.regions.centres(region).with_fields(source=group))

    def fingerprint(self) -> str:
        """Hash of what decides what is drawn."""
        return self._fingerprint(self.seed, self._members, self._sizes, self.counts)

    def _shares(self, shares: Mapping[Any, float] | None) -> list[float]:
        if shares is None:
            return [1.0] * len(self.labels)
        known = set(self.labels)
        for label in shares:
            if label not in known:
                raise NotFoundError.among("group", label, self.labels, "argument shares")
        missing = [label for label in self.labels if label not in shares]
        if missing:
            raise InvalidInputError(
                f"argument shares: expected a share for every group, 0 for none; got none for "
                f"{missing[0]!r}"
            )
        return [shares[label] for label in self.labels]
