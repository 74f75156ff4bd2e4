"""Matching background windows to loci the slow, obvious way: window by window, base by base."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

Region = tuple[str, int, int]


@dataclass
class Matched:
    """Windows in the order in which they were chosen, bin after bin, and the counts per bin."""

    windows: list[Region]
    wanted: list[int]
    available: list[int]
    taken: list[int]
    missing: list[int]
    left_out: dict[str, int] = field(default_factory=dict)


@dataclass
class Rules:
    """What is asked for. `peer` are the rules of tangermeme 1.6, its defects included."""

    in_window: int
    out_window: int
    max_n: float = 0.1
    bin_width: float = 0.02
    beta: float = 0.5
    chroms: Sequence[str] | None = None
    seed: int = 0
    stride: int | None = None
    ratio: str = "1"
    allow_overlap: bool = False
    avoid: str = "windows"
    exclusions: Sequence[Region] = ()
    peer: bool = False


def overlap(a: Region, b: Region) -> bool:
    """Whether two regions share a base."""
    return a[0] == b[0] and max(a[1], b[1]) < min(a[2], b[2])


def match(
    sequences: dict[str, str],
    loci: Sequence[Region],
    rules: Rules,
    signal: dict[str, np.ndarray] | None = None,
    summits: Sequence[int] | None = None,
) -> Matched:
    """Match windows to loci; `signal` has a value or NaN per base, `summits` positions."""
    width, out = rules.in_window, rules.out_window
    wide = max(width, out)
    chroms = sorted({c for c, _, _ in loci}) if rules.chroms is None else list(rules.chroms)
    middles = summits if summits is not None else [s + (e - s) // 2 for _, s, e in loci]
    placed = [(*locus, m) for locus, m in zip(loci, middles, strict=True) if locus[0] in chroms]

    def content(chrom: str, start: int) -> tuple[int, float]:
        text = sequences[chrom][start : start + width].upper()
        gc = sum(letter in "GC" for letter in text) / width
        return int((gc + rules.bin_width / 2.0) // rules.bin_width), text.count("N") / width

    def signal_of(chrom: str, start: int) -> float:
        assert signal is not None
        return float(np.nansum(signal[chrom][max(start, 0) : start + out].astype(float)))

    inside = [
        locus
        for locus in placed
        if locus[3] - wide // 2 >= 0 and locus[3] - wide // 2 + wide <= len(sequences[locus[0]])
    ]
    limit = np.inf
    if signal is not None:
        sums = [signal_of(c, m - out // 2) for c, _, _, m in inside if c in signal]
        limit = (np.quantile(sums, 0.01) if sums else np.nan) * rules.beta

    n_bins = max(int(1.0 / rules.bin_width), int((1 + rules.bin_width / 2.0) // rules.bin_width))
    n_bins += 1
    in_bin = [0] * n_bins
    for chrom, _, _, middle in inside:
        gc_bin, n_share = content(chrom, middle - width // 2)
        if n_share < rules.max_n or (n_share == rules.max_n and not rules.peer):
            in_bin[gc_bin] += 1
    left_out = {"edge": len(placed) - len(inside), "unknown_bases": len(inside) - sum(in_bin)}

    def refused(chrom: str, start: int) -> bool:
        window = (chrom, start, start + width)
        for c, s, e, m in placed:
            if rules.avoid == "tiles":
                around = [(c, s // width * width, (e // width + 1) * width)]
            else:
                around = [(c, s, e), (c, m - wide // 2, m - wide // 2 + wide)]
            if any(overlap(window, region) for region in around):
                return True
        if any(overlap(window, region) for region in rules.exclusions):
            return True
        if content(chrom, start)[1] > rules.max_n:
            return True
        if signal is None:
            return False
        if chrom not in signal:
            return True
        if rules.peer:
            first = start + (width - out) // 2
            return not (0.0 if width == out else signal_of(chrom, first)) <= limit
        return not signal_of(chrom, start + width // 2 - out // 2) <= limit

    lists: list[list[Region]] = [[] for _ in range(n_bins)]
    for chrom in chroms:
        length = len(sequences[chrom])
        for start in range(0, length - width + 1, rules.stride or width):
            first = start + width // 2 - wide // 2
            fits = rules.peer or (first >= 0 and first + wide <= length)
            if fits and not refused(chrom, start):
                lists[content(chrom, start)[0]].append((chrom, start, start + width))
    random = np.random.RandomState(rules.seed)
    for each in lists:
        random.shuffle(each)

    return choose(lists, in_bin, rules, left_out)


def choose(
    lists: list[list[Region]], loci: list[int], rules: Rules, left_out: dict[str, int]
) -> Matched:
    """Take windows from shuffled lists for the loci of each bin; empties the lists."""
    n_bins, ratio = len(loci), Fraction(rules.ratio)
    wanted = [int(sum(loci[: b + 1]) * ratio) - int(sum(loci[:b]) * ratio) for b in range(n_bins)]
    available = [len(each) for each in lists]
    chosen: list[list[Region]] = [[] for _ in range(n_bins)]

    def take(b: int, n: int) -> int:
        got = 0
        while got < n and lists[b]:
            window = lists[b].pop(0)
            if rules.allow_overlap or not any(overlap(window, w) for c in chosen for w in c):
                chosen[b].append(window)
                got += 1
        return got

    missing = [n - take(b, n) for b, n in enumerate(wanted)]
    for b in reversed(range(n_bins)):
        for offset in range(n_bins):
            for source in (b + offset, b - offset):
                if 0 <= source < n_bins:
                    missing[b] -= take(source, missing[b])
    windows = [window for each in chosen for window in each]
    return Matched(windows, wanted, available, [len(c) for c in chosen], missing, left_out)
