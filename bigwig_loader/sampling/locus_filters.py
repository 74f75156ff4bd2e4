"""Which loci fit: within their contig, outside the exclusion lists, within limits of counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError, NotFoundError, UnknownContigError
from bigwig_loader.intervals import merge_arrays
from bigwig_loader.sampling.loci import Int64, Loci, LociSource, Reason, read_loci
from bigwig_loader.types import check_choice, check_positive

Edges = Literal["drop", "pad", "shift"]
Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Reach:
    """How far the windows of a locus reach from its middle m: they lie in [m - left, m + right).

    Parameters
    ----------
    left, right : int
        In bp.
    """

    left: int
    right: int

    @classmethod
    def of(cls, *widths: int, max_jitter: int = 0) -> Reach:
        """That of windows of these widths, moved by up to `max_jitter` in either direction.

        A window of width w starts at ``m - w // 2``, so one of odd width reaches one base
        further to the right.
        """
        left = max(w // 2 for w in widths) + max_jitter
        return cls(left, max(w - w // 2 for w in widths) + max_jitter)


def check_contigs(loci: Loci, lengths: Mapping[str, int], where: str) -> Int64:
    """Length of every contig of the loci, (C,); 0 for those that no wanted locus lies on.

    Raises
    ------
    UnknownContigError
        If a wanted locus lies on a contig that is not in `lengths`; a NotFoundError and an
        InvalidInputError.
    """
    used = np.unique(loci.contig[loci.reason != Reason.CONTIG])
    result = np.zeros(len(loci.contig_names), np.int64)
    missing = [loci.contig_names[i] for i in used if loci.contig_names[i] not in lengths]
    if missing:
        near = NotFoundError.among("contig", missing[0], lengths, where)
        raise UnknownContigError(
            f"loci lie on {len(missing)} contigs that are not in the sequences: "
            f"{', '.join(missing[:5])}{', ...' if len(missing) > 5 else ''}; {near}. "
            "Pass `chroms` to select the contigs to use"
        )
    for i in used:
        result[i] = lengths[loci.contig_names[i]]
    return result


def apply_edges(loci: Loci, contig_bp: Int64, reach: Reach, edges: Edges) -> Loci:
    """Treat loci whose windows reach past an end of their contig.

    Parameters
    ----------
    loci : Loci
    contig_bp : (C,) int64
        Length of each contig.
    reach : Reach
    edges : {"drop", "pad", "shift"}
        "drop" drops them; "pad" keeps them if their middle lies on the contig (what is outside
        has no base and signal 0); "shift" moves the middle as little as needed, and drops loci
        of contigs shorter than the windows.

    Returns
    -------
    Loci
        The same object, or for "shift" one with other middles.
    """
    check_choice("edges", edges, get_args(Edges))
    which = loci.kept
    middle, length = loci.middle[which], contig_bp[loci.contig[which]]
    if edges == "pad":
        loci.drop(which[(middle < 0) | (middle >= length)], Reason.EDGE)
        return loci
    if edges == "shift":
        fits = length >= reach.left + reach.right
        moved = loci.middle.copy()
        moved[which] = np.clip(middle, reach.left, np.maximum(length - reach.right, reach.left))
        loci.drop(which[~fits], Reason.EDGE)
        return Loci(**{**vars(loci), "middle": moved})
    outside = (middle - reach.left < 0) | (middle + reach.right > length)
    loci.drop(which[outside], Reason.EDGE)
    return loci


class Exclusion:
    """Regions that no window may overlap.

    Parameters
    ----------
    lists : path, DataFrame, or list of them
        BED. Regions without a base exclude nothing, nor do contigs that no locus lies on.
    resolution_bp : int
        1 compares bases. A larger number rounds regions and windows outwards to multiples of it:
        tangermeme's rule is 100.
    """

    def __init__(self, lists: LociSource, resolution_bp: int = 1) -> None:
        check_positive("exclusion_bp", resolution_bp)
        self._unit = resolution_bp
        regions = read_loci(lists)
        self._by_contig: dict[str, tuple[Int64, Int64]] = {}
        filled = regions.end > regions.start
        for i, name in enumerate(regions.contig_names):
            of_contig = filled & (regions.contig == i)
            start = regions.start[of_contig] // self._unit
            end = (regions.end[of_contig] - 1) // self._unit + 1
            self._by_contig[name] = merge_arrays(start, end)

    def overlaps(self, contig_name: str, start: Int64, end: Int64) -> npt.NDArray[np.bool_]:
        """Whether each window [start, end) of a contig overlaps an excluded region."""
        first, last = self._by_contig.get(contig_name, (None, None))
        if first is None or last is None or not len(first):
            return np.zeros(len(start), np.bool_)
        # The regions are disjoint: the first that ends after the window's start decides.
        at = np.searchsorted(last, start // self._unit, side="right")
        found = at < len(first)
        window_end = (end - 1) // self._unit + 1
        return found & (first[np.minimum(at, len(first) - 1)] < window_end)

    def apply(self, loci: Loci, reach: Reach) -> None:
        """Drop the kept loci whose windows overlap."""
        which = loci.kept
        for i in np.unique(loci.contig[which]):
            of_contig = which[loci.contig[which] == i]
            middle = loci.middle[of_contig]
            name = loci.contig_names[i]
            hit = self.overlaps(name, middle - reach.left, middle + reach.right)
            loci.drop(of_contig[hit], Reason.EXCLUDED)


def apply_count_limits(
    loci: Loci, which: Int64, counts: Float32, minimum: float | None, maximum: float | None
) -> None:
    """Drop loci with ``counts < minimum`` or ``counts > maximum``; equal ones stay.

    Parameters
    ----------
    loci : Loci
    which : (k,) int64
        The loci that were counted.
    counts : (k,) float32
    """
    if minimum is not None:
        low = counts < minimum
        loci.drop(which[low], Reason.MIN_COUNTS)
        which, counts = which[~low], counts[~low]
    if maximum is not None:
        loci.drop(which[counts > maximum], Reason.MAX_COUNTS)


@dataclass(frozen=True)
class OutlierRule:
    """Loci with counts above ``factor * quantile(counts, q)`` in any track group are outliers.

    cherimoya's and bpnet-lite's rule is q = 0.99 and factor 1.2. The quantile is interpolated
    linearly between order statistics, in single precision as `torch.quantile` does it.

    Parameters
    ----------
    quantile : float
        In [0, 1].
    factor : float
    """

    quantile: float
    factor: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.quantile <= 1 or not self.factor > 0:
            raise InvalidInputError(
                "argument outliers: expected a quantile from 0 to 1, or (quantile, factor > 0); "
                f"got ({self.quantile}, {self.factor})"
            )

    @classmethod
    def parse(cls, given: object) -> OutlierRule | None:
        """A rule from None, a quantile, (quantile, factor), or a rule."""
        if given is None or isinstance(given, OutlierRule):
            return given
        parts = given if isinstance(given, (tuple, list)) else (given,)
        numbers = [isinstance(p, (int, float)) and not isinstance(p, bool) for p in parts]
        if not all(numbers) or not 1 <= len(parts) <= 2:
            raise InvalidInputError(
                "argument outliers: expected None, a quantile, or (quantile, factor); "
                f"got {given!r}"
            )
        return cls(*map(float, parts))

    def outliers(self, counts: Float32) -> npt.NDArray[np.bool_]:
        """Which loci (n,) are outliers by counts (n, G) of G track groups."""
        if not len(counts):
            return np.zeros(0, np.bool_)
        threshold = quantile_float32(counts, self.quantile) * np.float32(self.factor)
        return np.asarray((counts > threshold).any(axis=1))


def quantile_float32(values: Float32, q: float) -> Float32:
    """Quantile along the first axis, linearly interpolated, all arithmetic in float32.

    Single precision moves the threshold visibly for many loci (the rank of 200,000 values is
    known to 1/64), so a decision that is to equal torch's has to be made with the same numbers.

    Parameters
    ----------
    values : (n, G) float32
    q : float

    Returns
    -------
    (G,) float32
    """
    ordered = np.sort(values, axis=0)
    rank = np.float32(q) * np.float32(len(values) - 1)
    below = int(np.floor(rank))
    weight = np.float32(rank - np.float32(below))
    low, high = ordered[below], ordered[min(below + 1, len(values) - 1)]
    step = np.float64(high - low)
    # From the nearer end, product and sum rounded once: torch's lerp with a fused multiply-add.
    near, far = np.float64(weight), np.float64(np.float32(1) - weight)
    result = low + step * near if weight < 0.5 else high - step * far
    return np.asarray(result, np.float32)
