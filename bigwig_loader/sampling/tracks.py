"""Which tracks each batch holds: all of them, a random subset, or what the caller lists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, repeat
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.sampling.rng import Stream, check_seed, random_subset, random_u64

TrackIndices = npt.NDArray[np.int64]


class TrackSampler(Protocol):
    """Chooses the tracks of each batch."""

    @property
    def varies(self) -> bool:
        """Whether batches can differ in their tracks (they are then read one by one)."""
        ...

    def tracks(self, epoch: int, first: int, step: int) -> Iterator[TrackIndices | None]:
        """Track indices (K,) of batches first, first + step, ... of an epoch; None for all."""
        ...


class AllTracks:
    """Every batch holds every track, in order."""

    varies = False

    def tracks(self, epoch: int, first: int, step: int) -> Iterator[TrackIndices | None]:
        return repeat(None)


class RandomTracks:
    """Every batch holds a random subset of the tracks, in ascending order.

    Parameters
    ----------
    n_tracks : int
    size : int
        Tracks per batch, in [1, n_tracks].
    seed : int
        The subset is a pure function of (seed, epoch, index of the batch).
    groups : sequence of sequence of int
        Tracks that are taken together or not at all. Groups and the tracks in none are gone
        through in random order; one is taken if it fits and what comes after can fill the rest.
    """

    varies = True

    def __init__(
        self, n_tracks: int, size: int, seed: int, groups: Sequence[Sequence[int]] = ()
    ) -> None:
        if not 1 <= size <= n_tracks:
            raise InvalidInputError(
                f"argument sub_sample_tracks: expected 1 to {n_tracks}, the number of tracks; "
                f"got {size}"
            )
        self.n_tracks = n_tracks
        self.size = size
        self.seed = check_seed(seed)
        grouped = {track for group in groups for track in group}
        alone = [(track,) for track in range(n_tracks) if track not in grouped]
        self._units = sorted([*map(tuple, groups), *alone], key=min) if grouped else []
        if grouped and not _sums([len(unit) for unit in self._units])[0] >> size & 1:
            raise InvalidInputError(
                "argument sub_sample_tracks: expected a number that whole groups of track_groups "
                f"and the tracks in none can add up to; got {size}, with groups of "
                f"{sorted({len(group) for group in groups})} and {len(alone)} tracks in none"
            )

    def tracks(self, epoch: int, first: int, step: int) -> Iterator[TrackIndices | None]:
        batch = first
        while True:
            if self._units:
                yield self._whole_units(epoch, batch)
            else:
                yield random_subset(
                    self.n_tracks, self.size, self.seed, epoch, batch, stream=Stream.TRACKS
                )
            batch += step

    def _whole_units(self, epoch: int, batch: int) -> TrackIndices:
        lanes = np.arange(len(self._units))
        keys = random_u64(self.seed, epoch, batch, stream=Stream.TRACKS, lane=lanes)
        units = [self._units[i] for i in np.argsort(keys, kind="stable").tolist()]
        possible = _sums([len(unit) for unit in units])
        taken: list[int] = []
        for unit, after in zip(units, possible[1:], strict=True):
            left = self.size - len(taken) - len(unit)
            if left >= 0 and after >> left & 1:
                taken += unit
        return np.array(sorted(taken), np.int64)


def _sums(sizes: list[int]) -> list[int]:
    """For each i in 0..n, which sums some of ``sizes[i:]`` make; bit s stands for the sum s."""
    possible = [1]
    for size in reversed(sizes):
        possible.append(possible[-1] | possible[-1] << size)
    return possible[::-1]


class ListedTracks:
    """Batch i holds the tracks of item i of an iterable; the epoch ends where it ends.

    Parameters
    ----------
    choices : iterable of (K,) int arrays
        Walked through once per epoch, from its beginning (a generator from where it stands).
    n_tracks : int
    """

    varies = True

    def __init__(self, choices: Iterable[Any], n_tracks: int) -> None:
        if isinstance(choices, (str, bytes)) or not hasattr(choices, "__iter__"):
            raise InvalidInputError(
                "argument custom_track_sampler: expected an iterable of arrays of track indices; "
                f"got {type(choices).__name__}"
            )
        self.choices = choices
        self.n_tracks = n_tracks

    def tracks(self, epoch: int, first: int, step: int) -> Iterator[TrackIndices | None]:
        for number, choice in islice(enumerate(self.choices), first, None, step):
            yield check_tracks(choice, self.n_tracks, f"custom_track_sampler: item {number}")


def check_tracks(choice: Any, n_tracks: int, what: str) -> TrackIndices:
    """`choice` as (K,) int64 track indices.

    Raises
    ------
    InvalidInputError
        Unless it is a one-dimensional, not empty array of integers in [0, n_tracks).
    """
    try:
        indices = np.asarray(choice)
    except ValueError as error:
        raise InvalidInputError(f"{what}: expected track indices; got {choice!r}") from error
    if indices.ndim != 1 or not len(indices) or indices.dtype.kind not in "iu":
        raise InvalidInputError(
            f"{what}: expected a one-dimensional array of at least one track index; got {choice!r}"
        )
    outside = indices[(indices < 0) | (indices >= n_tracks)]
    if len(outside):
        raise InvalidInputError(
            f"{what}: expected track indices in [0, {n_tracks}); got {int(outside[0])}"
        )
    return indices.astype(np.int64)
