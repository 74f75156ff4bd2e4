"""Tracks that belong together, such as the two strands of one experiment.

A window that is delivered as reverse complement shows the other strand first, so the tracks of a
stranded pair have to change places in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError

# What names of the two strands are told apart by, plus strand first.
STRAND_WORDS = (
    ("plus", "minus"),
    ("positive", "negative"),
    ("pos", "neg"),
    ("forward", "reverse"),
    ("fwd", "rev"),
    ("watson", "crick"),
    ("sense", "antisense"),
)
_OTHER_STRAND = dict(STRAND_WORDS)
# A word of its own ("x_plus.bw", "PLUS-2"), or begun by a capital within one ("signalPlus").
_ANY_WORD, _CAPITALIZED = ("|".join(w) for w in (_OTHER_STRAND, map(str.title, _OTHER_STRAND)))
_PLUS_WORD = re.compile(
    rf"(?<![A-Za-z])(?i:{_ANY_WORD})(?![A-Za-z])|(?<=[a-z])(?:{_CAPITALIZED})(?![a-z])"
)


def strand_pairs(names: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of names that look like the two strands of one thing.

    Two names do if they are the same but for one word of `STRAND_WORDS`, or one ``+`` and ``-``,
    in any case.

    Parameters
    ----------
    names : sequence of str

    Returns
    -------
    list of (int, int)
        Numbers of the plus and of the minus strand's name, ascending; no number occurs twice.

    Examples
    --------
    >>> strand_pairs(["ctcf", "pro.plus", "pro.minus", "x+", "x-"])
    [(1, 2), (3, 4)]
    """
    place: dict[str, int] = {}
    for i, name in enumerate(names):
        place.setdefault(name.lower(), i)
    pairs: list[tuple[int, int]] = []
    used: set[int] = set()
    for i, name in enumerate(names):
        for other in _other_strand(name):
            j = place.get(other.lower())
            if j is not None and not {i, j} & used:
                pairs.append((i, j))
                used |= {i, j}
    return pairs


def _other_strand(name: str) -> Iterable[str]:
    """What the minus strand of `name` might be called; nothing if `name` is not a plus strand."""
    for found in _PLUS_WORD.finditer(name):
        yield name[: found.start()] + _OTHER_STRAND[found.group().lower()] + name[found.end() :]
    for found in re.finditer(r"\+", name):
        yield name[: found.start()] + "-" + name[found.end() :]


@dataclass(frozen=True)
class TrackGroups:
    """Groups of tracks; the tracks of a group are reversed in place on reverse complement.

    Parameters
    ----------
    groups : tuple of tuple of int
        Track numbers. Tracks in no group stay where they are.
    names : tuple of str
        Name of every track, for messages.

    Raises
    ------
    InvalidInputError
        If a track is in two groups or twice in one.
    """

    groups: tuple[tuple[int, ...], ...]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        members = [track for group in self.groups for track in group]
        twice = sorted({track for track in members if members.count(track) > 1})
        if twice:
            raise InvalidInputError(
                "argument track_groups: expected every track in one group at most; got "
                f"{self.names[twice[0]]!r} more than once"
            )

    @cached_property
    def partners(self) -> dict[int, int]:
        """The track that each track of a group changes places with; itself in the middle."""
        pairs = (zip(group, reversed(group), strict=True) for group in self.groups)
        return {track: partner for pair in pairs for track, partner in pair}

    def swap(self, tracks: npt.NDArray[np.int64] | None = None) -> tuple[int, ...]:
        """Where each track goes on reverse complement, as `SignalOptions.track_swap` has it.

        Parameters
        ----------
        tracks : (K,) int64, optional
            The tracks that are read, in their order; None for all. A track that occurs several
            times changes places with as many of its partner, in order.

        Returns
        -------
        tuple of K int

        Raises
        ------
        InvalidInputError
            If there is a track without its partner.
        """
        return self._swap_of_all if tracks is None else self._swap(tracks.tolist())

    @cached_property
    def _swap_of_all(self) -> tuple[int, ...]:
        return self._swap(list(range(len(self.names))))

    def _swap(self, chosen: list[int]) -> tuple[int, ...]:
        places: dict[int, list[int]] = {}
        for place, track in enumerate(chosen):
            places.setdefault(track, []).append(place)
        partners = self.partners
        swapped = list(range(len(chosen)))
        for track, of_track in places.items():
            partner = partners.get(track, track)
            of_partner = places.get(partner, [])
            if len(of_track) != len(of_partner):
                raise self._torn(track, chosen)
            for place, other in zip(of_track, of_partner, strict=True):
                swapped[place] = other
        return tuple(swapped)

    def _torn(self, track: int, chosen: list[int]) -> InvalidInputError:
        group = next(group for group in self.groups if track in group)
        return InvalidInputError(
            "argument track_groups: expected each batch to hold a track together with the one it "
            f"changes places with; the group {[self.names[t] for t in group]} is torn apart by the "
            f"tracks {[self.names[t] for t in chosen]}. Choose tracks by whole groups"
        )
