"""BigWig files and signal the slow, obvious way.

A file is parsed as a whole with `struct` and `zlib`; every base of a window is looked at by
itself; bins, transforms, dtypes, layouts and strands are those of the NumPy formulas. Nothing here
is shared with the package.
"""

from __future__ import annotations

import math
import os
import struct
import warnings
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import ml_dtypes
import numpy as np

Item = tuple[int, int, float]
DTYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}


@dataclass
class ParsedBigWig:
    """All there is in a file: contigs in tree order, and stored items in file order."""

    header: dict[str, object]
    contigs: dict[str, int]
    chrom_ids: dict[str, int]
    n_blocks: int
    items: dict[str, list[Item]] = field(default_factory=dict)

    def overlapping(self, contig: str, start: int, end: int) -> list[Item]:
        """Items that share a base with [start, end), in file order."""
        return [
            item
            for item in self.items.get(contig, [])
            if item[0] < item[1] and item[0] < end and item[1] > start
        ]


def parse(source: str | os.PathLike[str] | bytes) -> ParsedBigWig:
    """Read a whole file."""
    data = source if isinstance(source, bytes) else Path(source).read_bytes()
    order = "<" if data[:4] == bytes.fromhex("26fc8f88") else ">"

    def unpack(codes: str, offset: int) -> tuple[int, ...]:
        return struct.unpack_from(order + codes, data, offset)

    magic, version, n_zoom = unpack("IHH", 0)
    assert magic == 0x888FFC26
    tree_at, _, index_at = unpack("QQQ", 8)
    summary_at, buf_size, _ = unpack("QIQ", 44)
    if version < 3:
        buf_size = 0

    # Nodes of either tree, depth first: (is_leaf, offset of its first item, number of items).
    def leaves(node: int, leaf_bytes: int, inner_bytes: int) -> list[int]:
        is_leaf, _, count = unpack("BBH", node)
        if is_leaf:
            return [node + 4 + i * leaf_bytes for i in range(count)]
        found = []
        for i in range(count):
            (child,) = unpack("Q", node + 4 + (i + 1) * inner_bytes - 8)
            found += leaves(child, leaf_bytes, inner_bytes)
        return found

    _, _, key_bytes, _, _ = unpack("IIIIQ", tree_at)
    contigs, chrom_ids = {}, {}
    for at in leaves(tree_at + 32, key_bytes + 8, key_bytes + 8):
        name = data[at : at + key_bytes].rstrip(b"\0").decode()
        chrom_ids[name], contigs[name] = unpack("II", at + key_bytes)
    header = {
        "byte_order": order,
        "version": version,
        "uncompress_buf_size": buf_size,
        "zoom": [unpack("IIQQ", 64 + 24 * i)[0] for i in range(n_zoom)],
        "summary": unpack("Qdddd", summary_at) if version > 1 and summary_at else None,
    }
    blocks = leaves(index_at + 48, 32, 24) if index_at else []
    parsed = ParsedBigWig(header, contigs, chrom_ids, len(blocks))
    names = {chrom_id: name for name, chrom_id in chrom_ids.items()}
    for leaf in blocks:
        offset, n_bytes = unpack("QQ", leaf + 16)
        block = data[offset : offset + n_bytes]
        for chrom_id, item in _block_items(zlib.decompress(block) if buf_size else block, order):
            if chrom_id in names:
                parsed.items.setdefault(names[chrom_id], []).append(item)
    return parsed


def _block_items(block: bytes, order: str) -> list[tuple[int, Item]]:
    items, at = [], 0
    while at + 24 <= len(block):
        chrom_id, start, _, step, span, kind, _, count = struct.unpack_from(
            order + "5IBBH", block, at
        )
        at += 24
        for i in range(count):
            if kind == 1:
                item = struct.unpack_from(order + "IIf", block, at)
                at += 12
            elif kind == 2:
                begin, value = struct.unpack_from(order + "If", block, at)
                item = (begin, begin + span, value)
                at += 8
            else:
                assert kind == 3
                begin = start + i * step
                item = (begin, begin + span, *struct.unpack_from(order + "f", block, at))
                at += 4
            items.append((chrom_id, item))
    return items


@dataclass(frozen=True)
class Request:
    """One request for signal; the names are those of `SignalOptions` and `TrackTransform`."""

    windows: Sequence[tuple[str, int, bool]]  # contig, start, reverse
    length_bp: int
    tracks: Sequence[int]
    bin_size: int = 1
    statistic: str = "mean"
    dtype: str = "float32"
    layout: str = "BNT"
    uncovered: float = 0.0
    out_of_bounds: float | None = None
    track_swap: Sequence[int] | None = None
    transforms: Sequence[dict[str, object]] = ()  # per entry of `tracks`


def base_values(
    file: ParsedBigWig,
    contig: str,
    start: int,
    end: int,
    length: int,
    scale: float = 1.0,
    nan_to: float | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Stored value of every base of [start, end) (NaN without one), what is stored, what is inside.

    The last item written wins.
    """
    values = np.full(end - start, np.nan, np.float32)
    stored = np.zeros(end - start, bool)
    position = np.arange(start, end)
    inside = (position >= 0) & (position < length)
    with np.errstate(all="ignore"):
        for first, last, value in file.overlapping(contig, start, end):
            at = slice(max(first - start, 0), max(last - start, 0))
            if nan_to is not None and math.isnan(value):
                value = nan_to
            values[at] = np.float32(value) * np.float32(scale)
            stored[at] = True
    values[~inside], stored[~inside] = np.nan, False
    return values, stored, inside


def bin_values(bases: np.ndarray, stored: np.ndarray, request: Request) -> np.ndarray:
    """Bins (N,) float32 of the bases (L,) float32, fill values included."""
    n_bins = len(bases) // request.bin_size
    whole = n_bins * request.bin_size
    rows = bases[:whole].reshape(n_bins, request.bin_size)
    known = ~np.isnan(rows)
    if request.statistic == "coverage":
        return (known & stored[:whole].reshape(rows.shape)).mean(axis=1).astype(np.float32)
    if request.bin_size == 1 and request.statistic != "std":
        return rows[:, 0].copy()
    function = {
        "mean": np.nanmean,
        "sum": np.nansum,
        "max": np.nanmax,
        "min": np.nanmin,
        "std": np.nanstd,
    }[request.statistic]
    result = np.full(n_bins, np.nan, np.float32)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        for i in np.flatnonzero(known.any(axis=1)):
            result[i] = function(rows[i].astype(np.float64))
    return result


def transform(values: np.ndarray, steps: dict[str, object]) -> np.ndarray:
    """The steps after `scale`, in float32."""
    with np.errstate(all="ignore"):
        if steps.get("clip") is not None:
            low, high = steps["clip"]  # type: ignore[misc]
            values = np.clip(values, np.float32(low), np.float32(high))
        if steps.get("log1p"):
            values = np.log1p(values)
        if steps.get("power") is not None:
            values = np.power(values, np.float32(steps["power"]))  # type: ignore[arg-type]
        if steps.get("soft_clip") is not None:
            c = np.float32(steps["soft_clip"])  # type: ignore[arg-type]
            values = np.where(values > c, c + np.sqrt(values - c), values)
    return values.astype(np.float32)


def signal(files: Sequence[ParsedBigWig], request: Request) -> np.ndarray:
    """What a request gives: (B, N, T) or (B, T, N)."""
    lengths: dict[str, int] = {}
    for file in files:
        lengths |= file.contigs
    n_bins = request.length_bp // request.bin_size
    out = np.empty((len(request.windows), n_bins, len(request.tracks)), np.float32)
    outside = request.uncovered if request.out_of_bounds is None else request.out_of_bounds
    for b, (contig, start, reverse) in enumerate(request.windows):
        for t, track in enumerate(request.tracks):
            steps = request.transforms[t] if request.transforms else {}
            # A reversed window counts its bins from its own end.
            first = start + (request.length_bp - n_bins * request.bin_size if reverse else 0)
            bases, stored, inside = base_values(
                files[track],
                contig,
                first,
                first + n_bins * request.bin_size,
                lengths[contig],
                float(steps.get("scale", 1.0)),  # type: ignore[arg-type]
                steps.get("nan_to"),  # type: ignore[arg-type]
            )
            bases[inside & ~stored] = request.uncovered
            bases[~inside] = outside
            bins = transform(bin_values(bases, stored, request), steps)
            place = request.track_swap[t] if reverse and request.track_swap is not None else t
            out[b, :, place] = bins[::-1] if reverse else bins
    with np.errstate(over="ignore"):
        out = out.astype(DTYPES[request.dtype])
    return out if request.layout == "BNT" else np.ascontiguousarray(out.transpose(0, 2, 1))


def assert_equal(got: np.ndarray, expected: np.ndarray, request: Request) -> None:
    """Equal as closely as the request promises.

    Base resolution, max and min are exact; sums and means are within one float32 ulp of double
    precision; the standard deviation is within 1e-6, relative to the largest value of the bin's
    window. After a rounding to 16 bits, one ulp of that type.
    """
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype
    wide, right = got.astype(np.float64), expected.astype(np.float64)
    exact = request.statistic in ("max", "min") or (
        request.bin_size == 1 and request.statistic != "std"
    )
    curved = any(
        s.get("log1p") or s.get("power") is not None or s.get("soft_clip") is not None
        for s in request.transforms
    )
    if exact and not curved:
        np.testing.assert_array_equal(wide, right)
        return
    ulp = {"float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}[request.dtype]
    rtol = max(ulp * 1.01, 1e-6 if request.statistic == "std" or curved else 0.0)
    tiny = {"float32": 2.0**-149, "float16": 2.0**-24, "bfloat16": 2.0**-133}[request.dtype]
    np.testing.assert_allclose(wide, right, rtol=rtol, atol=tiny)


def is_close_to_overflow(value: float) -> bool:
    """Whether a value is so large that the order of additions may decide about infinity."""
    return math.isfinite(value) and abs(value) > 1e37
