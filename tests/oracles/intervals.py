"""Interval algebra the slow, obvious way: an interval is the set of its bases."""

from __future__ import annotations

from collections.abc import Iterable

Interval = tuple[str, int, int]


def bases(intervals: Iterable[Interval]) -> set[tuple[str, int]]:
    """All bases that some interval covers."""
    return {(chrom, p) for chrom, start, end in intervals for p in range(start, end)}


def runs(covered: set[tuple[str, int]], gap: int = 0) -> list[Interval]:
    """Longest intervals of a set of bases, sorted; those at most `gap` bases apart joined."""
    found: list[Interval] = []
    for chrom, p in sorted(covered):
        if found and found[-1][0] == chrom and p <= found[-1][2] + gap:
            found[-1] = (chrom, found[-1][1], p + 1)
        else:
            found.append((chrom, p, p + 1))
    return found


def merge(intervals: Iterable[Interval], gap: int = 0) -> list[Interval]:
    """Union of intervals."""
    return runs(bases(intervals), gap)


def subtract(intervals: Iterable[Interval], other: Iterable[Interval]) -> list[Interval]:
    """What is left of each interval without the bases of `other`, in the order of `intervals`."""
    gone = bases(other)
    return [piece for each in intervals for piece in runs(bases([each]) - gone)]


def intersect(intervals: Iterable[Interval], other: Iterable[Interval]) -> list[Interval]:
    """The part of each interval that `other` covers, in the order of `intervals`."""
    kept = bases(other)
    return [piece for each in intervals for piece in runs(bases([each]) & kept)]
