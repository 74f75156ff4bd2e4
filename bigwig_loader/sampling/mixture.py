"""Several samplers as one, in shares that may change from epoch to epoch."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.sampling.digest import digest, sampler_fingerprint
from bigwig_loader.sampling.interleave import counts_of_shares, interleave
from bigwig_loader.sampling.permutation import permute, shuffled_walk
from bigwig_loader.sampling.positions import Positions
from bigwig_loader.sampling.rng import Stream, check_seed, random_u64
from bigwig_loader.sampling.sampler import Indices, Sampler, with_strand
from bigwig_loader.sampling.schedule import WeightSchedule
from bigwig_loader.types import check_positive

BLOCK = 64
# Lanes of Stream.MIXTURE; those from LATER_PASSES on are one for each source.
FULL_BLOCKS, LAST_BLOCK, LATER_PASSES = 0, 1, 2
FIRST_LATER_EPOCH = np.uint64(1 << 31)


class Mixture:
    """Examples of several samplers, in fixed shares, exactly and evenly spread.

    Every sampler is walked through from its beginning in each epoch: its examples are 0, 1, 2, ...
    of that epoch. A finite one that is used up before the epoch ends begins again, with an epoch
    number of its own for each further pass (a random one, 2**31 or more), so that a shuffled
    sampler has a new order in every pass. A sampler whose own weights change by epoch should
    therefore have no end (``n_examples=None``).

    Parameters
    ----------
    samplers : sequence of Sampler
    weights : sequence of float, mapping, or callable
        The share of each sampler: finite, >= 0, not all 0; they need not add up to 1. Or by epoch:
        a mapping of epochs to shares, of which the last at or before an epoch holds, or a function
        of the epoch, see `WeightSchedule`.
    seed : int
        In [0, 2**64).
    n_examples : int, optional
        Examples of an epoch, in which the shares are exact up to rounding; by default there is no
        natural end, see `counts_of_shares`.
    shuffle : bool
        Without, the sources follow each other as `interleave` spreads them. With, every 64
        examples in a row (0-63, 64-127, ...) are those 64 in a random order.

    Notes
    -----
    `Positions.source` says which sampler an example is from, `Positions.region` which region of
    that sampler (-1 where its regions have no numbers). With `with_strand`, samplers whose regions
    have no strands are delivered as they are, as long as some have.
    """

    def __init__(
        self,
        samplers: Sequence[Sampler],
        weights: Any,
        seed: int,
        n_examples: int | None = None,
        shuffle: bool = True,
    ) -> None:
        if not len(samplers):
            raise InvalidInputError("argument samplers: expected at least one sampler; got none")
        for number, sampler in enumerate(samplers):
            if not isinstance(sampler, Sampler):
                raise InvalidInputError(
                    f"argument samplers: expected item {number} to be a Sampler; got "
                    f"{type(sampler).__name__}"
                )
            if sampler.n_examples == 0:
                raise InvalidInputError(
                    f"argument samplers: expected samplers with examples; got none in item {number}"
                )
        if n_examples is not None:
            check_positive("n_examples", n_examples)
        self.samplers = tuple(samplers)
        self.weights = WeightSchedule(weights, len(self.samplers), "weights")
        self.seed = check_seed(seed)
        self.n_examples = n_examples
        self.shuffle = shuffle
        names = {name: None for sampler in self.samplers for name in sampler.contig_names}
        self.contig_names = tuple(names)
        number_of = {name: i for i, name in enumerate(names)}
        self._contigs = [
            np.array([number_of[name] for name in sampler.contig_names], np.int32)
            for sampler in self.samplers
        ]

    def draw(self, epoch: int, indices: Indices, attempt: int = 0) -> Positions:
        spread = np.asarray(indices, np.int64)
        if self.shuffle:
            spread = self._shuffled(epoch, spread)
        counts = counts_of_shares(self.weights.at(epoch).tolist(), self.n_examples)
        source, rank = interleave(spread, counts)
        places, parts = [np.zeros(0, np.intp)], [_NOTHING]
        for s in np.unique(source).tolist():
            where = np.flatnonzero(source == s)
            end = self.samplers[s].n_examples
            passes = rank[where] // end if end else np.zeros(len(where), np.int64)
            for pass_ in np.unique(passes).tolist():
                here = where[passes == pass_]
                part = self.samplers[s].draw(
                    self._epoch_of(s, epoch, pass_), rank[here] - pass_ * (end or 0), attempt
                )
                if len(part) != len(here):
                    raise InvalidInputError(
                        f"{type(self.samplers[s]).__name__}.draw: expected {len(here)} positions; "
                        f"got {len(part)}"
                    )
                places.append(here)
                parts.append(self._with_all_fields(s, part))
        return _joined(parts).take(np.argsort(np.concatenate(places)))

    def with_strand(self) -> Mixture:
        """The same of samplers that reverse examples of minus-strand regions.

        Raises
        ------
        InvalidInputError
            If no sampler has strands.
        """
        samplers: list[Sampler] = []
        errors = []
        for sampler in self.samplers:
            try:
                samplers.append(with_strand(sampler))
            except InvalidInputError as error:
                samplers.append(sampler)
                errors.append(error)
        if len(errors) == len(samplers):
            raise errors[0]
        stranded = copy.copy(self)
        stranded.samplers = tuple(samplers)
        return stranded

    def fingerprint(self) -> str:
        """Hash of what decides what is drawn; of weights that are a function, its name."""
        return digest(
            "Mixture",
            *map(sampler_fingerprint, self.samplers),
            self.weights.fingerprint(),
            self.seed,
            self.n_examples,
            self.shuffle,
        )

    def _shuffled(self, epoch: int, indices: Indices) -> Indices:
        """Indices in a random order within each block; the last of an epoch may be shorter."""
        stream = Stream.MIXTURE
        last = np.iinfo(np.int64).max
        if self.n_examples is not None:
            last = self.n_examples - self.n_examples % BLOCK
        full = indices < last
        result = indices - indices % BLOCK
        result[full] += shuffled_walk(
            BLOCK, indices[full], self.seed, epoch, stream=stream, lane=FULL_BLOCKS
        )
        if self.n_examples is not None and not full.all():
            result[~full] += permute(
                self.n_examples - last,
                indices[~full] - last,
                self.seed,
                epoch,
                stream=stream,
                lane=LAST_BLOCK,
            )
        return result

    def _epoch_of(self, source: int, epoch: int, pass_: int) -> int:
        """The epoch that a sampler is asked for in a pass through it."""
        if pass_ == 0:
            return epoch
        lane = LATER_PASSES + source
        word = random_u64(self.seed, epoch, pass_, stream=Stream.MIXTURE, lane=lane)[0]
        return int(FIRST_LATER_EPOCH | word >> np.uint64(33))

    def _with_all_fields(self, source: int, part: Positions) -> Positions:
        n = len(part)
        return Positions(
            self._contigs[source][part.contig],
            part.position,
            reverse=np.zeros(n, np.bool_) if part.reverse is None else part.reverse,
            source=np.full(n, source, np.int32),
            region=np.full(n, -1) if part.region is None else part.region,
            jitter=np.zeros(n, np.int64) if part.jitter is None else part.jitter,
        )


_NOTHING = Positions(
    np.zeros(0, np.int32),
    np.zeros(0, np.int64),
    np.zeros(0, np.bool_),
    np.zeros(0, np.int32),
    np.zeros(0, np.int64),
    np.zeros(0, np.int64),
)


def _joined(parts: list[Positions]) -> Positions:
    """Positions with all fields, one after the other."""
    names = [field.name for field in fields(Positions) if field.name != "sample"]
    return Positions(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
