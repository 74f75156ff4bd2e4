"""Jitter and reverse complement on top of any sampler."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.sampling.digest import digest, sampler_fingerprint
from bigwig_loader.sampling.positions import Positions
from bigwig_loader.sampling.rng import Stream, check_seed, random_below, random_u64
from bigwig_loader.sampling.sampler import Indices, Sampler, with_strand


class Augmented:
    """A sampler with its positions moved, and its examples reversed, at random.

    A position is moved by each of -max_jitter..max_jitter bp with equal chances. Of these only
    the moves that keep it on its contig are drawn, with equal chances too: a window may reach past
    the contig's end, its centre may not. Where the contigs' lengths are not given, only their
    beginning is known, and whoever makes windows of the positions refuses one past the end.

    Parameters
    ----------
    sampler : Sampler
    seed : int
        In [0, 2**64).
    max_jitter : int
        In bp. A refused example is moved anew in each attempt.
    reverse_complement : bool
        Deliver each example as reverse complement with probability 1/2, the same in each attempt.
    use_strand : bool
        Deliver examples of minus-strand regions as reverse complement; what `reverse_complement`
        reverses is turned on top of that. The sampler takes part as `with_strand` says.
    contigs : mapping of str to int, optional
        Contig name to length in bp.

    Raises
    ------
    InvalidInputError
        With `use_strand`, if the sampler has no strands: at once, or for a sampler of your own at
        the first draw.
    NotFoundError
        If a contig of the sampler is not among `contigs`.
    """

    def __init__(
        self,
        sampler: Sampler,
        seed: int,
        max_jitter: int = 0,
        reverse_complement: bool = False,
        use_strand: bool = False,
        contigs: Mapping[str, int] | None = None,
    ) -> None:
        given: object = max_jitter
        integer = isinstance(given, (int, np.integer)) and not isinstance(given, bool)
        if not integer or not 0 <= max_jitter < 1 << 40:
            raise InvalidInputError(
                f"argument max_jitter: expected bases, an integer in [0, 2**40); got {given!r}"
            )
        self.sampler = with_strand(sampler) if use_strand else sampler
        self.seed = check_seed(seed)
        self.max_jitter = int(max_jitter)
        self.reverse_complement = reverse_complement
        self.use_strand = use_strand
        self._last = None
        if contigs is not None:
            for name in self.contig_names:
                if name not in contigs:
                    raise NotFoundError.among("contig", name, contigs, "argument contigs")
            self._last = np.array([contigs[name] - 1 for name in self.contig_names], np.int64)

    @property
    def contig_names(self) -> tuple[str, ...]:
        return self.sampler.contig_names

    @property
    def n_examples(self) -> int | None:
        return self.sampler.n_examples

    def draw(self, epoch: int, indices: Indices, attempt: int = 0) -> Positions:
        drawn = self.sampler.draw(epoch, indices, attempt)
        if self.use_strand and drawn.reverse is None:
            raise InvalidInputError(
                f"use_strand: expected {type(self.sampler).__name__}.draw to set reverse, or a "
                "method with_strand(); got positions without strands"
            )
        if self.max_jitter:
            drawn = self._moved(drawn, epoch, indices, attempt)
        if self.reverse_complement:
            words = random_u64(self.seed, epoch, indices, stream=Stream.STRAND)
            turned = words >> np.uint64(63) == 1
            reverse = turned if drawn.reverse is None else turned ^ drawn.reverse
            drawn = drawn.with_fields(reverse=reverse)
        return drawn

    def with_strand(self) -> Augmented:
        """The same, with the strands of the sampler."""
        lengths = None
        if self._last is not None:
            lengths = dict(zip(self.contig_names, (self._last + 1).tolist(), strict=True))
        return Augmented(
            self.sampler, self.seed, self.max_jitter, self.reverse_complement, True, lengths
        )

    def fingerprint(self) -> str:
        """Hash of what decides what is drawn."""
        return digest(
            "Augmented",
            sampler_fingerprint(self.sampler),
            self.seed,
            self.max_jitter,
            self.reverse_complement,
            self.use_strand,
            self._last,
        )

    def _moved(self, drawn: Positions, epoch: int, indices: Indices, attempt: int) -> Positions:
        """The positions, each moved by one of the moves that keep it on its contig."""
        lowest = np.clip(-drawn.position, -self.max_jitter, 0)
        highest = np.full(len(drawn), self.max_jitter)
        if self._last is not None:
            highest = np.clip(self._last[drawn.contig] - drawn.position, 0, self.max_jitter)
        jitter = lowest + random_below(
            highest - lowest + 1, self.seed, epoch, indices, stream=Stream.JITTER, lane=attempt
        )
        before = 0 if drawn.jitter is None else drawn.jitter
        return drawn.with_fields(position=drawn.position + jitter, jitter=before + jitter)
