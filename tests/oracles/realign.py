"""Signal on haplotypes the slow, obvious way: every base of a contig is a slot of bases."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from bigwig_loader.sampling.rng import Stream, random_below, random_u64
from tests.oracles.haplotypes import Variant, applied

Track = Callable[[int], float]


class Place(NamedTuple):
    """A base of a haplotype: reference position, insertion it belongs to, and which base of it."""

    position: int
    insertion: Variant | None
    x: int


def base_values(
    intervals: Iterable[tuple[int, int, float]], n_bases: int, uncovered: float = 0.0
) -> list[float]:
    """Values of a contig: of intervals that overlap, the last one has the bases."""
    values = [uncovered] * n_bases
    for start, end, value in intervals:
        for position in range(max(start, 0), min(end, n_bases)):
            values[position] = float(np.float32(value))
    return values


def padded(values: Sequence[float], out_of_bounds: float = 0.0) -> Track:
    """A track that has a value everywhere."""
    return lambda position: values[position] if 0 <= position < len(values) else out_of_bounds


def slots(n_bases: int, variants: Iterable[Variant], policy: str, start: int) -> list[list[Place]]:
    """What stands for each base of the contig; as `oracles.haplotypes.slots`."""
    out = [[Place(i, None, 0)] for i in range(n_bases)]
    variants = list(variants)
    if policy == "window":
        gone = {p for v in variants if v.position < start for p in v.span[1:]}
        for position in gone:
            out[position] = []
        variants = [v for v in variants if v.position >= start and v.position not in gone]
    for variant, without_anchor in applied(variants, policy):
        at = variant.position
        if variant.ilen > 0:
            bases = [Place(at, variant, x) for x in range(variant.ilen + 1)]
            # A base that was substituted before is the anchor all the same.
            out[at] = bases if out[at] or not without_anchor else bases[1:]
        for deleted in variant.span[1:]:
            out[deleted] = []
    return out


def window(
    n_bases: int,
    variants: Iterable[Variant],
    start: int,
    end: int,
    policy: str = "first",
    length: int | None = None,
    shift: int = 0,
) -> list[Place]:
    """The bases of a window on the + strand; as `oracles.haplotypes.window`."""
    place = slots(n_bases, variants, policy, start)
    out: list[Place] = []
    position = start
    while position < end if length is None else len(out) < shift + length:
        out += place[position] if 0 <= position < n_bases else [Place(position, None, 0)]
        position += 1
    return out[shift:] if length is None else out[shift : shift + length]


def fill_value(fill: tuple[str, float], track: Track, base: Place, low: int, high: int) -> float:
    """Value of a base of an insertion, but for random ones. The fill looks at [low, high)."""
    assert base.insertion is not None
    kind, parameter = fill
    m = base.insertion.ilen
    if kind == "constant":
        return parameter
    if kind == "normalized":
        return float(np.float32(track(base.position)) / np.float32(m + 1))
    if kind == "repeat" or base.x == 0:
        return track(base.position)
    k = math.ceil((parameter + 1) / 2)
    points = [(-i, base.position - i) for i in range(k)]
    points += [(m + 1 + i, base.position + 1 + i) for i in range(k)]
    total = 0.0
    for at, position in points:
        weight = 1.0
        for other, _ in points:
            if other != at:
                weight *= (base.x - other) / (at - other)
        if weight:
            total += weight * track(min(max(position, low), high - 1))
    return total


def flank_position(
    width: int, base: Place, low: int, high: int, draw: tuple[int, int, int, int]
) -> int:
    """Where a random base of an insertion has its value from; draw: seed, epoch, cell, ploid."""
    seed, epoch, cell, ploid = draw
    key = int(random_u64(seed, epoch, cell, stream=Stream.FLANK, lane=ploid)[0])
    first = max(base.position - width, low)
    last = min(base.position + width, high - 1)
    index = base.x << 32 | base.position
    return first + int(random_below(last - first + 1, key, 0, index, stream=Stream.FLANK)[0])


def values(
    bases: Sequence[Place],
    track: Track,
    fill: tuple[str, float],
    start: int,
    end: int,
    draw: tuple[int, int, int, int] = (0, 0, 0, 0),
) -> list[float]:
    """Values of the bases of a window [start, end)."""
    reached = bases[-1].position + 1 if bases else start
    out = []
    for base in bases:
        if base.insertion is None:
            out.append(track(base.position))
            continue
        high = end if base.position < end else reached
        if fill[0] == "flank":
            out.append(track(flank_position(int(fill[1]), base, start, high, draw)))
        else:
            out.append(fill_value(fill, track, base, start, high))
    return out
