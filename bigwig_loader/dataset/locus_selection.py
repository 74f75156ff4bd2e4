"""Choosing loci: which peaks and background regions are usable, with a reason for the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.dataset.peak_sequences import PeakSequences
from bigwig_loader.dataset.peak_tracks import PeakTracks, warn_caller
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.plan.windows import Windows
from bigwig_loader.sampling.loci import Loci, Reason
from bigwig_loader.sampling.locus_filters import (
    Edges,
    Exclusion,
    OutlierRule,
    Reach,
    apply_count_limits,
    apply_edges,
    check_contigs,
)
from bigwig_loader.types import check_positive

Advance = Callable[[int], None]

# Loci that are counted in one call: enough for all threads, and small in memory.
COUNTED_AT_ONCE = 4096
# Codes of bases that are none of A, C, G and T.
UNKNOWN_CODES = 0xFFFF & ~(1 << 1 | 1 << 2 | 1 << 4 | 1 << 8)


@dataclass(frozen=True)
class PeakWindows:
    """The windows of an example, all centred on one base.

    Parameters
    ----------
    in_window : int
        W, of sequence and controls, in bp: [c - W // 2, c - W // 2 + W) around base c.
    out_window : int
        V, of the signal, likewise.
    max_jitter : int
        J: how far the base may be moved from the middle of the locus.
    """

    in_window: int = 2114
    out_window: int = 1000
    max_jitter: int = 0

    def __post_init__(self) -> None:
        check_positive("in_window", self.in_window)
        check_positive("out_window", self.out_window)
        given: Any = self.max_jitter
        if isinstance(given, bool) or not isinstance(given, (int, np.integer)) or given < 0:
            raise InvalidInputError(
                f"argument max_jitter: expected an integer >= 0; got {self.max_jitter!r}"
            )

    def reach(self, jitter: int, with_signal: bool = True) -> Reach:
        """How far the windows reach, moved by up to `jitter`."""
        widths = (self.in_window, self.out_window) if with_signal else (self.in_window,)
        return Reach.of(*widths, max_jitter=jitter)


def centred(
    contig: npt.NDArray[np.int32],
    centre: npt.NDArray[np.int64],
    width_bp: int,
    reverse: npt.NDArray[np.bool_] | None = None,
) -> Windows:
    """Windows of `width_bp` around base `centre`: [c - w // 2, c - w // 2 + w)."""
    return Windows(contig, centre - width_bp // 2, width_bp, reverse)


@dataclass(frozen=True)
class CountRule:
    """What a locus' counts are, and what they have to be.

    Parameters
    ----------
    tracks : tuple of int, optional
        Tracks whose signal is added up for the limits; None for all.
    minimum, maximum : float, optional
        Loci with fewer or more counts are dropped; equal ones stay.
    outliers : OutlierRule, optional
        Applied to each track group by itself, after the limits.
    widened : bool
        Count the window widened by the jitter on both sides, rather than the window.
    """

    tracks: tuple[int, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None
    outliers: OutlierRule | None = None
    widened: bool = False

    @property
    def is_needed(self) -> bool:
        """Whether anything has to be counted."""
        return not (self.minimum is None and self.maximum is None and self.outliers is None)


@dataclass(frozen=True)
class SelectionRules:
    """Which loci are kept; applied in the order of the parameters.

    Parameters
    ----------
    edges : {"drop", "pad", "shift"}
    exclusion : Exclusion, optional
    maximum_unknown_bases_fraction : float, optional
        Of the window of sequence, jitter not counted in.
    counts : CountRule
    n_loci : int, optional
        Keep the first so many of those that are left.
    """

    edges: Edges = "drop"
    exclusion: Exclusion | None = None
    maximum_unknown_bases_fraction: float | None = None
    counts: CountRule = CountRule()
    n_loci: int | None = None


def select_loci(
    loci: Loci,
    rules: SelectionRules,
    windows: PeakWindows,
    jitter: int,
    sequences: PeakSequences,
    tracks: PeakTracks | None,
    advance: Advance | None = None,
) -> Loci:
    """Give every locus that cannot be used its reason.

    Parameters
    ----------
    loci : Loci
        As read; its reasons are written.
    rules : SelectionRules
    windows : PeakWindows
    jitter : int
        By how much windows of these loci may be moved: ``windows.max_jitter``, or 0.
    sequences : PeakSequences
    tracks : PeakTracks, optional
        Without, `out_window` plays no part.
    advance : callable, optional
        Told the number of loci counted, as counting goes on.

    Returns
    -------
    Loci
        With contigs as `sequences` counts them.

    Raises
    ------
    NotFoundError
        If a locus lies on a contig that is not in the sequences.
    """
    contig_bp = check_contigs(loci, _lengths(sequences), sequences.contigs.where)
    reach = windows.reach(jitter, tracks is not None)
    loci = apply_edges(loci, contig_bp, reach, rules.edges)
    if rules.exclusion is not None:
        rules.exclusion.apply(loci, reach)
    loci = on_contigs(loci, sequences)
    limit = rules.maximum_unknown_bases_fraction
    if limit is not None:
        which = loci.kept
        found = centred(loci.contig[which], loci.middle[which], windows.in_window)
        unknown = sequences.count_bases(found, UNKNOWN_CODES)
        loci.drop(which[unknown > limit * windows.in_window], Reason.UNKNOWN_BASES)
    if rules.counts.is_needed:
        if tracks is None:
            raise InvalidInputError(
                "arguments min_counts and max_counts: are counted in signals, so signals must be "
                "given; got None"
            )
        _apply_counts(loci, rules.counts, windows, jitter, tracks, advance)
    if rules.n_loci is not None:
        loci.drop(loci.kept[rules.n_loci :], Reason.LIMIT)
    return loci


def on_contigs(loci: Loci, sequences: PeakSequences) -> Loci:
    """The same loci; `contig` counts the contigs of the sequences, and then unknown ones."""
    known = {name: i for i, name in enumerate(sequences.contigs.names)}
    place = np.array([known.get(name, -1) for name in loci.contig_names], np.int32)
    unknown = [name for name in loci.contig_names if name not in known]
    place[place < 0] = len(known) + np.arange(len(unknown))
    names = (*sequences.contigs.names, *unknown)
    return Loci(**{**vars(loci), "contig_names": names, "contig": place[loci.contig]})


def count_signal(
    loci: Loci,
    which: npt.NDArray[np.int64],
    tracks: PeakTracks,
    width_bp: int,
    advance: Advance | None = None,
) -> npt.NDArray[np.float32]:
    """Sum of the signal of each track over the `width_bp` around each locus, (k, T)."""
    counts = np.empty((len(which), tracks.n_tracks), np.float32)
    # In order of the genome, so that neighbours share data blocks.
    order = np.lexsort((loci.middle[which], loci.contig[which]))
    for first in range(0, len(which), COUNTED_AT_ONCE):
        at = order[first : first + COUNTED_AT_ONCE]
        of_part = which[at]
        found = centred(loci.contig[of_part], loci.middle[of_part], width_bp)
        counts[at] = tracks.sums(found)
        if advance is not None:
            advance(len(at))
    return counts


def add_groups(counts: npt.NDArray[np.float32], groups: Sequence[int]) -> npt.NDArray[np.float32]:
    """Counts (n, T) of tracks added up to those of track groups (n, G)."""
    first = np.cumsum([0, *groups[:-1]])
    return np.add.reduceat(counts.astype(np.float64), first, axis=1).astype(np.float32)


def _apply_counts(
    loci: Loci,
    rule: CountRule,
    windows: PeakWindows,
    jitter: int,
    tracks: PeakTracks,
    advance: Advance | None,
) -> None:
    which = loci.kept
    width = windows.out_window + (2 * jitter if rule.widened else 0)
    counts = count_signal(loci, which, tracks, width, advance)
    chosen = list(range(tracks.n_tracks)) if rule.tracks is None else list(rule.tracks)
    total = add_groups(counts[:, chosen], [len(chosen)])[:, 0]
    apply_count_limits(loci, which, total, rule.minimum, rule.maximum)
    if rule.outliers is not None:
        left = loci.reason[which] == Reason.KEPT
        over = rule.outliers.outliers(add_groups(counts[left], tracks.groups))
        loci.drop(which[left][over], Reason.OUTLIER)


def warn_of_missing_contigs(loci: Sequence[Loci], tracks: PeakTracks) -> None:
    """Warn, once, of contigs with loci that a track has no data for."""
    used: dict[str, None] = {}
    for each in loci:
        for i in np.unique(each.contig[each.kept]):
            used[each.contig_names[i]] = None
    missing = tracks.missing_contigs(list(used))
    if missing:
        listed = "; ".join(
            f"{name} lacks {', '.join(contigs[:5])}{', ...' if len(contigs) > 5 else ''}"
            for name, contigs in missing.items()
        )
        warn_caller(
            f"signal is 0 on contigs that a track lacks: {listed}. If the names are spelled in "
            "another way there, make them agree"
        )


def _lengths(sequences: PeakSequences) -> dict[str, int]:
    contigs = sequences.contigs
    return dict(zip(contigs.names, contigs.lengths.tolist(), strict=True))
