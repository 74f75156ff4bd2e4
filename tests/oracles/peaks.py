"""The peak loader's rules as they are written down, one locus and one window at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor

import numpy as np

Locus = tuple[str, int, int, int]  # contig, start, end, distance of the summit from the start
Signal = Mapping[str, np.ndarray]  # values of each contig, NaN for none

LARGEST = np.finfo(np.float32).max


@dataclass(frozen=True)
class Rules:
    """Which loci are kept."""

    in_window: int
    out_window: int | None  # None without signal
    jitter: int = 0
    summits: bool = False
    chroms: Sequence[str] | None = None
    edges: str = "drop"
    excluded: Sequence[Locus] = ()
    exclusion_bp: int = 1
    unknown: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    counted: Sequence[int] | None = None  # tracks; None for all
    widened: bool = False
    outliers: tuple[float, float] | None = None
    n_loci: int | None = None


@dataclass
class Chosen:
    """One locus, and what became of it."""

    file: int
    row: int
    contig: str
    middle: int
    reason: str = "kept"


def middle_of(locus: Locus, summits: bool) -> int:
    """Base that windows are centred on."""
    _, start, end, summit = locus
    return start + summit if summits else start + (end - start) // 2


def interleaved(files: Sequence[Sequence[Locus]], rules: Rules) -> list[Chosen]:
    """a0 b0 a1 b1 ... of the wanted loci, then those on other contigs, file by file."""
    wanted: list[list[Chosen]] = []
    others: list[Chosen] = []
    for number, loci in enumerate(files):
        of_file = []
        for row, locus in enumerate(loci):
            one = Chosen(number, row, locus[0], middle_of(locus, rules.summits))
            if rules.chroms is None or locus[0] in rules.chroms:
                of_file.append(one)
            else:
                one.reason = "contig"
                others.append(one)
        wanted.append(of_file)
    ordered = []
    for k in range(max(map(len, wanted))):
        ordered += [of_file[k] for of_file in wanted if k < len(of_file)]
    return ordered + others


def span_of(rules: Rules, middle: int) -> tuple[int, int]:
    """The bases that any window of a locus may touch."""
    widths = [rules.in_window] + ([] if rules.out_window is None else [rules.out_window])
    start = min(middle - w // 2 - rules.jitter for w in widths)
    return start, max(middle - w // 2 + w + rules.jitter for w in widths)


def is_excluded(contig: str, start: int, end: int, excluded: Sequence[Locus], unit: int) -> bool:
    """Whether one of the units that [start, end) touches is one that a region touches."""
    marked = {b // unit for c, s, e, _ in excluded if c == contig for b in range(s, e)}
    return any(base // unit in marked for base in range(start, end))


def values_of(signal: Signal, contig: str, start: int, end: int) -> np.ndarray:
    """Signal of a window as it is delivered, (end - start,) float32."""
    out = np.zeros(end - start, np.float32)
    known = signal.get(contig, np.zeros(0, np.float32))
    for place, base in enumerate(range(start, end)):
        if 0 <= base < len(known):
            value = known[base]
            out[place] = 0 if np.isnan(value) else np.clip(value, -LARGEST, LARGEST)
    return out


def onehot_of(letters: Mapping[str, str], contig: str, start: int, end: int) -> np.ndarray:
    """One-hot sequence of a window, (4, end - start) int8."""
    out = np.zeros((4, end - start), np.int8)
    for place, base in enumerate(range(start, end)):
        if 0 <= base < len(letters[contig]):
            row = "ACGT".find(letters[contig][base].upper())
            if row >= 0:
                out[row, place] = 1
    return out


def choose(
    files: Sequence[Sequence[Locus]],
    letters: Mapping[str, str],
    tracks: Sequence[Signal],
    groups: Sequence[int],
    rules: Rules,
) -> list[Chosen]:
    """All loci with their reasons; those on wanted contigs first."""
    chosen = interleaved(files, rules)
    totals: dict[int, list[float]] = {}
    for number, one in enumerate(chosen):
        if one.reason == "kept":
            one.reason = _reason(one, letters, rules)
        if one.reason == "kept" and rules.out_window is not None:
            totals[number] = _totals(one, tracks, rules)
            counted = range(len(tracks)) if rules.counted is None else rules.counted
            total = sum(totals[number][t] for t in counted)
            if rules.minimum is not None and total < rules.minimum:
                one.reason = "min_counts"
            elif rules.maximum is not None and total > rules.maximum:
                one.reason = "max_counts"
    if rules.outliers is not None:
        q, factor = rules.outliers
        left = [n for n in totals if chosen[n].reason == "kept"]
        first = 0
        for size in groups:
            sums = {n: sum(totals[n][first : first + size]) for n in left}
            limit = factor * np.quantile(list(sums.values()), q) if sums else 0
            for n in left:
                if sums[n] > limit:
                    chosen[n].reason = "outlier"
            first += size
    if rules.n_loci is not None:
        for one in [c for c in chosen if c.reason == "kept"][rules.n_loci :]:
            one.reason = "limit"
    return chosen


def _reason(one: Chosen, letters: Mapping[str, str], rules: Rules) -> str:
    length = len(letters[one.contig])
    start, end = span_of(rules, one.middle)
    if rules.edges == "shift" and end - start <= length:
        one.middle += max(0, -start) - max(0, end - length)
        start, end = span_of(rules, one.middle)
    if rules.edges == "pad":
        if not 0 <= one.middle < length:
            return "edge"
    elif start < 0 or end > length:
        return "edge"
    if is_excluded(one.contig, start, end, rules.excluded, rules.exclusion_bp):
        return "excluded"
    if rules.unknown is not None:
        first = one.middle - rules.in_window // 2
        known = onehot_of(letters, one.contig, first, first + rules.in_window).sum()
        if rules.in_window - known > rules.unknown * rules.in_window:
            return "unknown_bases"
    return "kept"


def _totals(one: Chosen, tracks: Sequence[Signal], rules: Rules) -> list[float]:
    """Sum of each track over the window that counts."""
    assert rules.out_window is not None
    more = rules.jitter if rules.widened else 0
    start = one.middle - rules.out_window // 2 - more
    end = start + rules.out_window + 2 * more
    return [float(values_of(t, one.contig, start, end).sum(dtype=np.float64)) for t in tracks]


def tracks_of(
    tracks: Sequence[Signal], groups: Sequence[int], contig: str, start: int, width: int, rc: bool
) -> np.ndarray:
    """Signal (T, width); on reverse complement each group back to front, bases too."""
    rows = [values_of(t, contig, start, start + width) for t in tracks]
    if rc:
        swapped: list[np.ndarray] = []
        first = 0
        for size in groups:
            swapped += [row[::-1] for row in rows[first : first + size][::-1]]
            first += size
        rows = swapped
    return np.stack(rows)


def sequence_of(
    letters: Mapping[str, str], contig: str, start: int, width: int, rc: bool
) -> np.ndarray:
    """One-hot sequence (4, width), or that of the other strand."""
    onehot = onehot_of(letters, contig, start, start + width)
    if not rc:
        return onehot
    other = np.zeros_like(onehot)
    for row, letter in enumerate("ACGT"):
        complement = "ACGT".index({"A": "T", "C": "G", "G": "C", "T": "A"}[letter])
        for place in range(width):
            other[complement, width - 1 - place] = onehot[row, place]
    return other


def cherimoya_epoch(
    n_peaks: int,
    n_pool: int,
    ratio: float,
    jitter: int,
    reverse_complement: bool,
    shuffle: bool,
    random_state: int,
    epoch: int,
) -> dict[str, list[int]]:
    """The plan of one epoch of cherimoya 0.3.1, draw by draw; jitter counts from 0."""
    n = n_peaks + int(n_peaks * ratio)
    seed = (random_state % (2**31 - 1) + epoch * 2654435761) % (2**31 - 1)
    random = np.random.RandomState(seed)
    order = random.permutation(n_peaks).tolist() if shuffle else list(range(n_peaks))
    label = random.permutation(np.arange(n) < n_peaks).tolist()
    pool = random.randint(0, max(1, n_pool), size=label.count(False)).tolist()
    source = [order.pop(0) if is_peak else pool.pop(0) for is_peak in label]
    moved = [0] * n
    if jitter > 0:
        drawn = random.randint(0, 2 * jitter + 1, size=n).tolist()
        moved = [j if is_peak else 0 for j, is_peak in zip(drawn, label, strict=True)]
    flags = [0] * n
    if reverse_complement:
        flags = random.randint(0, 2, size=n).tolist()
    return {"label": label, "source": source, "jitter": moved, "reverse": flags}


def shared_out(total: int, weights: Sequence[float]) -> list[int]:
    """`total` in proportion to weights, by the largest remainders; ties to the first."""
    exact = [Fraction(w) * total / sum(map(Fraction, weights)) for w in weights]
    counts = [floor(x) for x in exact]
    rest = sorted(range(len(exact)), key=lambda i: (counts[i] - exact[i], i))
    for i in rest[: total - sum(counts)]:
        counts[i] += 1
    return counts


def capped(peaks: Sequence[float], negatives: Sequence[float], factor: float) -> list[bool]:
    """ChromBPNet's bias model: which negatives stay under its threshold."""
    threshold = np.quantile(np.array(peaks), 0.01) * factor
    return [bool(count < threshold) for count in negatives]
