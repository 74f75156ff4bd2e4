"""Hypothesis strategies: BigWig files of every shape, legal and not, and requests to them."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from tests.helpers.bigwig_bytes import (
    BED_GRAPH,
    FIXED_STEP,
    VARIABLE_STEP,
    Block,
    Section,
    Shape,
    build_bigwig,
)
from tests.oracles.signal import Request

SPAN_BP = 300  # data lies in so many bases of each contig
LAST = 0xFFFFFFFF
# A contig may have its data up here, near the end of 32 bits, and beyond in illegal files.
FAR = LAST - 10_000
VERY_FAR = LAST - SPAN_BP - 100
VALUES = st.one_of(
    st.sampled_from(
        [0.0, -0.0, 1.0, -2.5, float("nan"), float("inf"), float("-inf"), 1e-42, -1.2e-38]
    ),
    st.floats(-1e4, 1e4, width=32),
)


def compressor(
    level: int, strategy: int = zlib.Z_DEFAULT_STRATEGY, parts: int = 1, wbits: int = 15
):
    """A function that makes a zlib stream of `parts` deflate blocks or more."""

    def compress(data: bytes) -> bytes:
        stream = zlib.compressobj(level, zlib.DEFLATED, wbits, 9, strategy)
        out, step = b"", max(1, -(-len(data) // parts))
        for at in range(0, len(data), step):
            out += stream.compress(data[at : at + step])
            if at + step < len(data):
                out += stream.flush(zlib.Z_FULL_FLUSH if at % 2 else zlib.Z_SYNC_FLUSH)
        return out + stream.flush()

    return compress


COMPRESSORS = {
    "none": None,
    "default": zlib.compress,
    "stored": compressor(0),
    "fixed codes": compressor(6, zlib.Z_FIXED),
    "several deflate blocks": compressor(9, parts=3),
    "small window": compressor(9, wbits=9),
}


@dataclass(frozen=True)
class Genome:
    """Contigs that a set of files is about."""

    names: tuple[str, ...]
    lengths: tuple[int, ...]
    base: tuple[int, ...]  # where the data of each contig begins


@st.composite
def genomes(draw: st.DrawFn) -> Genome:
    n = draw(st.integers(1, 3))
    base = [draw(st.sampled_from([0, 0, 0, FAR, VERY_FAR])) for _ in range(n)]
    lengths = [b + draw(st.integers(1, SPAN_BP)) for b in base]
    return Genome(tuple("abc"[:n]), tuple(lengths), tuple(base))


@st.composite
def sections(draw: st.DrawFn, chrom_id: int, base: int, legal: bool, at: int) -> Section:
    """One section; a legal one begins at `at` or later, counted from `base`."""
    kind = draw(st.sampled_from([BED_GRAPH, VARIABLE_STEP, FIXED_STEP]))
    n = draw(st.integers(1, 12))
    values = [draw(VALUES) for _ in range(n)]
    if kind == FIXED_STEP:
        span = draw(st.integers(0, 9))
        step = draw(st.integers(span if legal else 0, 12))
        start = base + (at + draw(st.integers(0, 9)) if legal else draw(st.integers(0, SPAN_BP)))
        return Section(chrom_id, kind, tuple(values), min(start, LAST), step, span)
    span = draw(st.integers(1, 9))
    items: list[tuple[int, int, float]] = []
    for value in values:
        if legal:
            start = at + draw(st.integers(0, 9))
            end = start + (span if kind == VARIABLE_STEP else draw(st.integers(0, 30)))
            at = end
        else:
            start = draw(st.integers(0, SPAN_BP))
            end = start + draw(st.integers(-3, 60))
        items.append((min(base + start, LAST), min(max(base + end, 0), LAST), value))
    if kind == VARIABLE_STEP:
        return Section(chrom_id, kind, tuple((s, v) for s, _, v in items), span=span)
    return Section(chrom_id, kind, tuple(items))


@st.composite
def files(draw: st.DrawFn, genome: Genome, legal: bool | None = None) -> bytes:
    """A BigWig file with some of the genome's contigs."""
    legal = draw(st.booleans()) if legal is None else legal
    bases = [min(base, FAR) for base in genome.base] if legal else genome.base
    of_file = draw(st.permutations(range(len(genome.names))))
    of_file = of_file[: draw(st.integers(1, len(of_file)))]
    ids = sorted(draw(st.sets(st.integers(0, 7), min_size=len(of_file), max_size=len(of_file))))
    ids = draw(st.permutations(ids))
    contigs = {
        genome.names[c]: (chrom_id, genome.lengths[c])
        for c, chrom_id in zip(of_file, ids, strict=True)
    }
    blocks: list[Block] = []
    for chrom_id, c in sorted(zip(ids, of_file, strict=True)):
        at = 0
        for _ in range(draw(st.integers(0, 4))):
            made: list[Section] = []
            for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3]))):
                made.append(draw(sections(chrom_id, bases[c], legal, at)))
                at = max(at, max(e for _, e in made[-1].intervals()) - bases[c])
            blocks.append(Block(tuple(made)))
    if len(blocks) > 1 and draw(st.booleans()):
        # Two neighbours become one data block, of two contigs perhaps.
        i = draw(st.integers(0, len(blocks) - 2))
        blocks[i : i + 2] = [Block(blocks[i].sections + blocks[i + 1].sections)]
    if not legal and draw(st.booleans()):
        blocks = draw(st.permutations(blocks))
    compress = COMPRESSORS[draw(st.sampled_from(sorted(COMPRESSORS)))]
    shape = Shape(
        order=draw(st.sampled_from("<>")),
        version=draw(st.sampled_from([3, 4])) if compress else draw(st.integers(1, 4)),
        compress=compress,
        fanout=draw(st.integers(2, 4)),
        node_padding=draw(st.integers(0, 2)),
    )
    return build_bigwig(contigs, blocks, shape)


@st.composite
def file_sets(draw: st.DrawFn, legal: bool | None = None) -> tuple[Genome, list[bytes]]:
    """A genome and one to three files of it; every contig is in the first or a later one."""
    genome = draw(genomes())
    return genome, [draw(files(genome, legal)) for _ in range(draw(st.integers(1, 3)))]


FILLS = st.sampled_from([0.0, float("nan"), -1.5, 3.0])


@st.composite
def requests(draw: st.DrawFn, genome: Genome, contigs: list[str], n_files: int) -> Request:
    """Windows, tracks and options for a set of files that knows `contigs`."""
    windows = []
    for _ in range(draw(st.integers(1, 5))):
        name = draw(st.sampled_from(contigs))
        base = genome.base[genome.names.index(name)]
        windows.append((name, base + draw(st.integers(-150, SPAN_BP + 150)), draw(st.booleans())))
    tracks = draw(st.lists(st.integers(0, n_files - 1), min_size=1, max_size=5))
    length_bp = draw(st.integers(1, 200)) if draw(st.integers(0, 5)) else 2_500
    clip = draw(st.sampled_from([None, None, (-1.0, 4.0)]))
    steps = [{"scale": draw(st.sampled_from([1.0, 1.0, 0.5, -3.0])), "clip": clip} for _ in tracks]
    if draw(st.booleans()) and draw(st.booleans()):
        steps = [
            {
                "scale": 1.0,
                "clip": (0.0, 1e4),
                "log1p": draw(st.booleans()),
                "power": draw(st.sampled_from([None, 0.75, 2.0])),
                "soft_clip": draw(st.sampled_from([None, 2.0])),
            }
            for _ in tracks
        ]
    for step in steps:
        step["nan_to"] = draw(st.sampled_from([None, None, 0.0, -2.5]))
    return Request(
        windows,
        length_bp,
        tracks,
        bin_size=draw(st.sampled_from([1, 1, 2, 3, 7, 32, 250])),
        statistic=draw(st.sampled_from(["mean", "sum", "max", "min", "std", "coverage"])),
        dtype=draw(st.sampled_from(["float32", "float32", "float16", "bfloat16"])),
        layout=draw(st.sampled_from(["BNT", "BTN"])),
        uncovered=draw(FILLS),
        out_of_bounds=draw(st.one_of(st.none(), FILLS)),
        track_swap=draw(st.one_of(st.none(), st.permutations(range(len(tracks))))),
        transforms=steps,
    )


def intervals_like(rng: np.random.Generator, n: int, length: int) -> tuple[np.ndarray, ...]:
    """Starts, ends and values of `n` sorted intervals with gaps within a contig."""
    edges = np.sort(rng.choice(length, 2 * n, replace=False))
    return edges[::2], edges[1::2], rng.normal(size=n).astype(np.float32)
