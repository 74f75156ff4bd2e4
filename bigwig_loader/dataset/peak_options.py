"""The parameters of a peak loader, grouped, checked and frozen."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from bigwig_loader.dataset.locus_selection import CountRule, SelectionRules
from bigwig_loader.dataset.peak_tracks import warn_caller
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.plan.track_groups import strand_pairs
from bigwig_loader.sampling.locus_filters import Edges, Exclusion, OutlierRule
from bigwig_loader.sampling.peaks import NegativeOptions, NegativesPer
from bigwig_loader.types import check_choice, check_number, check_positive

Mode = Literal["train", "negatives", "validation", "attribution"]
PeakRng = Literal["philox", "cherimoya-0.3"]
CountTarget = Literal["log1p"] | None
Auto = Literal["auto"]

CHERIMOYA_OUTLIERS = OutlierRule(0.99, 1.2)
CHERIMOYA_EXCLUSION_BP = 100


@dataclass(frozen=True)
class FilterOptions:
    """What decides which loci are kept, as a caller gives it; "auto" is resolved by `rng`.

    See `bigwig_loader.dataset.peaks.PeakDataset` for the meaning of each.
    """

    min_counts: float | None = None
    max_counts: float | None = None
    negative_min_counts: float | Auto | None = "auto"
    negative_max_counts: float | Auto | None = "auto"
    negative_cap: float | None = None
    count_group: int | Auto | None = "auto"
    outliers: Any = "auto"
    exclusion_lists: Any = None
    exclusion_bp: int | Auto = "auto"
    edges: Edges = "drop"
    maximum_unknown_bases_fraction: float | None = None

    def __post_init__(self) -> None:
        check_choice("edges", self.edges, get_args(Edges))
        for name in ("min_counts", "max_counts", "negative_min_counts", "negative_max_counts"):
            value = getattr(self, name)
            if value is not None and value != "auto":
                check_number(name, value)
        if self.negative_cap is not None:
            check_number("negative_cap", self.negative_cap)
            if not self.negative_cap >= 0:
                raise InvalidInputError(
                    f"argument negative_cap: expected a number >= 0; got {self.negative_cap!r}"
                )
        if self.exclusion_bp != "auto":
            check_positive("exclusion_bp", self.exclusion_bp)
        fraction = self.maximum_unknown_bases_fraction
        if fraction is None:
            return
        check_number("maximum_unknown_bases_fraction", fraction)
        if not 0 <= fraction <= 1:
            raise InvalidInputError(
                "argument maximum_unknown_bases_fraction: expected None or a number from 0 to 1; "
                f"got {fraction!r}"
            )

    def rules(self, rng: PeakRng, groups: Sequence[int]) -> tuple[SelectionRules, SelectionRules]:
        """Rules for the peaks and for the negatives.

        Parameters
        ----------
        rng : {"philox", "cherimoya-0.3"}
        groups : sequence of int
            Sizes of the track groups.
        """
        as_peer = rng == "cherimoya-0.3"
        resolution: int = CHERIMOYA_EXCLUSION_BP if as_peer else 1
        if self.exclusion_bp != "auto":
            resolution = self.exclusion_bp
        lists = self.exclusion_lists
        exclusion = None if lists is None else Exclusion(lists, resolution)
        tracks = self._counted(as_peer, groups)
        outliers = CHERIMOYA_OUTLIERS if as_peer else None
        if self.outliers != "auto":
            outliers = OutlierRule.parse(self.outliers)
        low: float | None = self.min_counts if as_peer else None
        high: float | None = self.max_counts if as_peer else None
        if self.negative_min_counts != "auto":
            low = self.negative_min_counts
        if self.negative_max_counts != "auto":
            high = self.negative_max_counts
        edges, unknown = self.edges, self.maximum_unknown_bases_fraction
        of_peaks = CountRule(tracks, self.min_counts, self.max_counts, outliers, widened=as_peer)
        of_negatives = CountRule(tracks, low, high, None, widened=as_peer)
        return (
            SelectionRules(edges, exclusion, unknown, of_peaks),
            SelectionRules(edges, exclusion, unknown, of_negatives),
        )

    def _counted(self, as_peer: bool, groups: Sequence[int]) -> tuple[int, ...] | None:
        """Tracks whose signal counts; None for all."""
        group = self.count_group
        if group == "auto":
            return (0,) if as_peer and groups else None
        if group is None:
            return None
        if isinstance(group, bool) or not isinstance(group, (int, np.integer)):
            raise InvalidInputError(
                "argument count_group: expected the number of a track group, or None; "
                f"got {group!r}"
            )
        if not -len(groups) <= group < len(groups):
            raise InvalidInputError(
                f"argument count_group: expected one of the {len(groups)} track groups, counted "
                f"from 0; got {group}"
            )
        first = int(sum(groups[: group % len(groups)]))
        return tuple(range(first, first + groups[group]))


@dataclass(frozen=True)
class DrawOptions:
    """What decides which examples an epoch has.

    See `bigwig_loader.dataset.peaks.PeakDataset` for the meaning of each.
    """

    mode: Mode
    rng: PeakRng
    negative_ratio: float
    reverse_complement: bool
    shuffle: bool
    random_state: int
    negatives_per: NegativesPer
    negative_replacement: bool | None
    negative_jitter: bool
    peak_weights: tuple[float, ...] | None

    def __post_init__(self) -> None:
        check_choice("mode", self.mode, get_args(Mode))
        check_choice("rng", self.rng, get_args(PeakRng))
        seed: Any = self.random_state
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
            raise InvalidInputError(f"argument random_state: expected an integer; got {seed!r}")
        object.__setattr__(self, "random_state", int(seed))  # of NumPy's too, for JSON
        for weight in self.peak_weights or ():
            check_number("peak_weights", weight)
        check_number("negative_ratio", self.negative_ratio)
        if not 0 <= self.negative_ratio < np.inf:
            raise InvalidInputError(
                f"argument negative_ratio: expected a number >= 0; got {self.negative_ratio!r}"
            )
        odd = {
            "mode": self.mode not in ("train", "validation"),
            "peak_weights": self.peak_weights is not None,
            "negative_jitter": self.negative_jitter,
            "negatives_per": self.negatives_per != "epoch",
            "negative_replacement": self.negative_replacement is False,
        }
        if self.rng == "cherimoya-0.3" and any(odd.values()):
            named = ", ".join(name for name, is_odd in odd.items() if is_odd)
            raise InvalidInputError(
                f"arguments {named}: with rng='cherimoya-0.3' expected what cherimoya does, peaks "
                "and negatives, which are drawn with replacement, an epoch at a time, without "
                "jitter. Use rng='philox'"
            )

    @property
    def is_fixed(self) -> bool:
        """Whether all epochs are the same, without jitter, reverse complement and shuffling."""
        return self.mode in ("validation", "attribution")

    @property
    def is_reversed(self) -> bool:
        """Whether examples may be delivered as reverse complement."""
        return self.reverse_complement and not self.is_fixed

    def jitter(self, max_jitter: int) -> int:
        """How far peaks are moved."""
        return 0 if self.is_fixed else max_jitter

    def negatives(self, n_drawn: int) -> NegativeOptions:
        """How the `n_drawn` negatives of an epoch are drawn."""
        replacement = self.negative_replacement
        if replacement is None:
            replacement = self.mode == "train"
        jitter = self.negative_jitter and not self.is_fixed
        return NegativeOptions(n_drawn, self.negatives_per, replacement, jitter)


def flatten_groups(
    spec: Any, explicit: Sequence[int] | None, argument: str
) -> tuple[list[Any], list[int]]:
    """Tracks in order, and the sizes of their groups.

    Parameters
    ----------
    spec : sequence, or None
        An entry is a track (path, or mapping of contig name to array), or a list of tracks that
        are a group.
    explicit : sequence of int, optional
        Sizes of the groups, for tracks that are listed flat; else it has to agree with `spec`.
    argument : str
        "signals" or "controls".

    Raises
    ------
    InvalidInputError
        For anything else.
    """
    if spec is None:
        return [], []
    if isinstance(spec, (str, os.PathLike, Mapping)) or not isinstance(spec, Sequence):
        raise InvalidInputError(
            f"argument {argument}: expected a list of tracks or groups of tracks; "
            f"got {type(spec).__name__}. Write a single track as [track]"
        )
    if not len(spec):
        raise InvalidInputError(f"argument {argument}: expected at least one track; got none")
    tracks: list[Any] = []
    groups: list[int] = []
    for entry in spec:
        members = list(entry) if isinstance(entry, (list, tuple)) else [entry]
        if not members:
            raise InvalidInputError(f"argument {argument}: expected no empty group; got {spec!r}")
        tracks += members
        groups.append(len(members))
    if explicit is None:
        return tracks, groups
    sizes: list[Any] = list(explicit)
    whole = all(isinstance(s, int) and not isinstance(s, bool) and s > 0 for s in sizes)
    if not whole or sum(sizes) != len(tracks):
        raise InvalidInputError(
            f"argument {argument[:-1]}_groups: expected sizes of groups that add up to the "
            f"{len(tracks)} tracks of {argument}; got {sizes}"
        )
    if sizes != groups and max(groups) > 1:
        raise InvalidInputError(
            f"argument {argument[:-1]}_groups: expected what {argument} says, {groups}; got {sizes}"
        )
    return tracks, sizes


def warn_of_flat_strands(names: Sequence[str], groups: Sequence[int]) -> None:
    """Warn where all tracks are groups of their own, and some look like two strands."""
    if len(groups) != len(names):
        return
    pairs = strand_pairs(names)
    if pairs:
        plus, minus = (names[i] for i in pairs[0])
        warn_caller(
            f"{plus} and {minus} look like the two strands of one experiment, but each is a group "
            "of its own, so they will not change places on reverse complement. Write them as a "
            f"pair, [[{plus!r}, {minus!r}]], or rename them if they are not"
        )
