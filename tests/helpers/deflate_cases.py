"""Deflate streams: real ones, those of zlib, and those that no compressor makes."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from hypothesis import strategies as st

from tests.oracles.deflate_writer import (
    DEFAULT_PRECODE,
    DeflateWriter,
    Symbol,
    Token,
    distance_symbol,
    expand,
    length_symbol,
)


def compress(data: bytes, level: int, wbits: int, mem_level: int, strategy: int) -> bytes:
    encoder = zlib.compressobj(level, zlib.DEFLATED, -wbits, mem_level, strategy)
    return encoder.compress(data) + encoder.flush()


def made_items(n: int, seed: int) -> bytes:
    """Items as a bedGraph section holds them: start, end, value."""
    rng = random.Random(seed)
    position = rng.randrange(1 << 27)
    out = bytearray()
    for _ in range(n):
        end = position + 1 + min(int(rng.expovariate(0.1)), 500)
        out += struct.pack("<IIf", position, end, rng.randrange(300) * 0.05173)
        position = end
    return bytes(out)


def data_blocks(path: Path) -> Iterator[bytes]:
    """Compressed data blocks of a BigWig file, by a walk through its R-tree."""
    data = path.read_bytes()
    order = "<" if data[:4] == b"\x26\xfc\x8f\x88" else ">"
    index, buf_size = struct.unpack_from(order + "Q20xI", data, 24)
    if buf_size == 0:
        return

    def leaves(offset: int) -> Iterator[bytes]:
        is_leaf, n = struct.unpack_from(order + "BxH", data, offset)
        for i in range(n):
            if is_leaf:
                start, size = struct.unpack_from(order + "16xQQ", data, offset + 4 + 32 * i)
                yield data[start : start + size]
            else:
                yield from leaves(*struct.unpack_from(order + "16xQ", data, offset + 4 + 24 * i))

    yield from leaves(index + 48)


DATA = st.one_of(
    st.binary(max_size=3000),
    st.builds(made_items, st.integers(0, 300), st.integers(0, 1 << 30)),
    st.lists(st.tuples(st.binary(min_size=1, max_size=12), st.integers(1, 400)), max_size=12).map(
        lambda runs: b"".join(pattern * n for pattern, n in runs)
    ),
    st.lists(st.sampled_from(b"aaaaaaabbbcde"), max_size=3000).map(bytes),
)
COMPRESSED = st.builds(
    lambda data, *settings: (data, compress(data, *settings)),
    DATA,
    st.integers(0, 9),
    st.integers(9, 15),
    st.integers(1, 9),
    st.sampled_from(
        [zlib.Z_DEFAULT_STRATEGY, zlib.Z_FILTERED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE, zlib.Z_FIXED]
    ),
)


SAMPLES = {
    "dynamic": compress(made_items(120, 1), 6, 15, 8, zlib.Z_DEFAULT_STRATEGY),
    "blocks": compress(made_items(120, 2), 6, 15, 1, zlib.Z_DEFAULT_STRATEGY),
    "fixed": compress(made_items(40, 3), 6, 15, 8, zlib.Z_FIXED),
    "stored": compress(bytes(range(256)) * 3, 0, 15, 8, zlib.Z_DEFAULT_STRATEGY),
    "runs": compress(b"\0" * 3000 + b"abcde" * 300, 9, 15, 9, zlib.Z_DEFAULT_STRATEGY),
}


# Every code length there is: symbol 65 + i has i + 1 bits, end of block the last of 15.
LONGEST = {**{65 + i: i + 1 for i in range(14)}, 79: 15, 256: 15}
SOME_LIT = {97: 2, 98: 2, 256: 2, 257: 3, 285: 3}
Build = Callable[[DeflateWriter], object]


def made(build: Build) -> bytes:
    writer = DeflateWriter()
    build(writer)
    return writer.getvalue()


LITERALS: list[Token] = [*range(65, 80)] * 5

LEGAL: dict[str, tuple[Build, bytes]] = {
    "empty stored": (lambda w: w.stored(b"", final=True), b""),
    "empty fixed": (lambda w: w.fixed([], final=True), b""),
    "empty dynamic": (lambda w: w.dynamic([], {256: 1}, {}, final=True), b""),
    "empty blocks": (
        lambda w: (
            [w.fixed([], final=i == 9) or w.stored(b"", final=False) for i in range(9)]
            and w.stored(b"x", final=True)
        ),
        b"x",
    ),
    "every kind": (
        lambda w: (
            w.stored(b"abc", final=False),
            w.fixed([(6, 3), 100], final=False),
            w.dynamic([97, (3, 10), (258, 1), 98], SOME_LIT, {0: 2, 6: 1, 7: 2}, final=False),
            w.stored(b"", final=False),
            w.fixed([(5, 270)], final=True),
        ),
        expand([(5, 270)], expand([97, (3, 10), (258, 1), 98], b"abcabcabcd")),
    ),
    "codes of all lengths": (
        lambda w: w.dynamic(LITERALS, LONGEST, {}, final=True),
        expand(LITERALS),
    ),
    "distance codes of all lengths": (
        lambda w: w.dynamic(
            [97, 98, (3, 1), (3, 2), (3, 3), (258, 4), (3, 6), (3, 8), (3, 12), (3, 33)],
            SOME_LIT,
            {**{i: i + 1 for i in range(14)}, 14: 15, 15: 15},
            final=True,
        ),
        expand([97, 98, (3, 1), (3, 2), (3, 3), (258, 4), (3, 6), (3, 8), (3, 12), (3, 33)]),
    ),
    "no distance code, none used": (
        lambda w: w.dynamic([97, 98, 97], {97: 1, 98: 2, 256: 2}, {}, final=True),
        b"aba",
    ),
    "one distance code of one bit": (
        lambda w: w.dynamic([97, 98, (3, 2), (258, 2)], SOME_LIT, {1: 1}, final=True),
        expand([97, 98, (3, 2), (258, 2)]),
    ),
    "one distance code with extra bits": (
        lambda w: w.dynamic([*b"abaabbabab" * 2, (3, 16), (3, 13)], SOME_LIT, {7: 1}, final=True),
        expand([*b"abaabbabab" * 2, (3, 16), (3, 13)]),
    ),
    "286 and 30 codes": (
        lambda w: w.dynamic(
            [*range(256), (258, 256)],
            {s: 8 if s < 226 else 9 for s in range(286)},
            {s: 4 if s < 2 else 5 for s in range(30)},
            final=True,
        ),
        expand([*range(256), (258, 256)]),
    ),
    "farthest distance": (
        lambda w: (
            w.stored(bytes(range(256)) * 128, final=False),
            w.fixed([(258, 32768), (3, 24577)], final=True),
        ),
        expand([(258, 32768), (3, 24577)], bytes(range(256)) * 128),
    ),
    "repeat over the border of the alphabets": (
        lambda w: w.dynamic(
            [97, (3, 1), (4, 2)],
            {97: 1, **dict.fromkeys(range(256, 264), 4)},
            dict.fromkeys(range(16), 4),
            final=True,
        ),
        expand([97, (3, 1), (4, 2)]),
    ),
}
ILLEGAL: dict[str, Build] = {
    "block type 3": lambda w: (w.header(3, final=True), w.bits(0, 64)),
    "stored length and complement": lambda w: w.stored(b"abc", final=True, complement=0xFFFB),
    "length symbol 286": lambda w: w.fixed([97, Symbol("lit", 286), Symbol("dist", 0)], final=True),
    "length symbol 287": lambda w: w.fixed([97, Symbol("lit", 287), Symbol("dist", 0)], final=True),
    "distance symbol 30": lambda w: w.fixed(
        [97, Symbol("lit", 257), Symbol("dist", 30)], final=True
    ),
    "distance symbol 31": lambda w: w.fixed(
        [97, Symbol("lit", 257), Symbol("dist", 31)], final=True
    ),
    "distance before the start": lambda w: w.fixed([97, (3, 2)], final=True),
    "distance before the start, long after": lambda w: w.fixed([97] * 300 + [(4, 301)], final=True),
    "first symbol a match": lambda w: w.fixed([(3, 1)], final=True),
    "whole match before the start": lambda w: w.dynamic(
        [97] * 30 + [(3, 40)] + [97] * 30, SOME_LIT, {10: 1, 4: 1}, final=True
    ),
    "287 literal codes": lambda w: w.dynamic([97], SOME_LIT, {}, final=True, n_lit=287),
    "31 distance codes": lambda w: w.dynamic([97], SOME_LIT, {}, final=True, n_dist=31),
    "no end of block": lambda w: w.dynamic([97], {97: 1, 98: 1}, {}, final=True, end=False),
    "over-subscribed literals": lambda w: w.dynamic([97], {97: 1, 98: 1, 256: 2}, {}, final=True),
    "incomplete literals": lambda w: w.dynamic([97], {97: 2, 98: 2, 256: 2}, {}, final=True),
    "one literal code of two bits": lambda w: w.dynamic([], {256: 2}, {}, final=True),
    "over-subscribed distances": lambda w: w.dynamic(
        [97], SOME_LIT, {0: 1, 1: 1, 2: 1}, final=True
    ),
    "incomplete distances": lambda w: w.dynamic([97], SOME_LIT, {0: 2, 1: 2, 2: 2}, final=True),
    "one distance code of two bits": lambda w: w.dynamic([97], SOME_LIT, {0: 2}, final=True),
    "a distance where there is no code": lambda w: (
        w.dynamic([97, Symbol("lit", 257)], SOME_LIT, {}, final=True, end=False),
        w.bits(0, 40),
    ),
    "the other bit of a single distance code": lambda w: (
        w.dynamic([97, Symbol("lit", 257)], SOME_LIT, {0: 1}, final=True, end=False),
        w.bits(1, 40),
    ),
    "the other bit of a single literal code": lambda w: (
        w.dynamic([], {256: 1}, {}, final=True, end=False),
        w.bits(1, 40),
    ),
    "over-subscribed code lengths": lambda w: w.dynamic(
        [97], SOME_LIT, {}, final=True, precode={**DEFAULT_PRECODE, 0: 3}
    ),
    "incomplete code lengths": lambda w: w.dynamic(
        [97], SOME_LIT, {}, final=True, precode={**DEFAULT_PRECODE, 15: 0}
    ),
    "no code lengths": lambda w: (
        w.dynamic_header(257, 1, [], {}, final=True),
        w.bits(0, 400),
    ),
    "repeat of nothing": lambda w: (
        w.dynamic_header(257, 1, [(16, 0)], DEFAULT_PRECODE, final=True),
        w.bits(0, 400),
    ),
    "repeat past the end": lambda w: (
        w.dynamic_header(257, 1, [(18, 127), (18, 127)], DEFAULT_PRECODE, final=True),
        w.bits(0, 400),
    ),
}


def random_lengths(draw: st.DrawFn, symbols: list[int], n: int) -> dict[int, int]:
    """Lengths of a complete code of `n` symbols (n >= 2), of any shape up to 15 bits."""
    leaves = [0]
    for _ in range(n - 1):
        open_leaves = [i for i, bits in enumerate(leaves) if bits < 15]
        i = draw(st.sampled_from(open_leaves))
        leaves[i] += 1
        leaves.append(leaves[i])
    return dict(zip(symbols[:n], leaves, strict=True))


DISTANCES = (*range(1, 40), 48, 60, 64, 65, 96, 97, 128, 129, 200, 256, 257, 400, 1000, 3000)


@st.composite
def dynamic_blocks(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """(stream, output) of dynamic blocks with random complete codes and random tokens."""
    writer = DeflateWriter()
    out = b""
    n_blocks = draw(st.integers(1, 3))
    for block in range(n_blocks):
        lit_symbols = draw(st.permutations([*range(40, 60), *range(257, 286)]))
        n_lit = draw(st.integers(2, 40))
        lit = random_lengths(draw, [256, 40, *(s for s in lit_symbols if s != 40)], n_lit)
        dist_symbols = draw(st.permutations(range(30)))
        dist = random_lengths(draw, list(dist_symbols), draw(st.integers(2, 24)))
        tokens: list[Token] = []
        n = len(out)
        literals = [s for s in lit if s < 256]
        # Matches by symbol, so that any length and distance code comes up; extra bits at random.
        lengths = [s for s in range(3, 259) if length_symbol(s)[0] in lit]
        for _ in range(draw(st.integers(0, 60))):
            distances = [d for d in DISTANCES if d <= n and distance_symbol(d)[0] in dist]
            if lengths and distances and draw(st.booleans()):
                token: Token = draw(st.sampled_from(lengths)), draw(st.sampled_from(distances))
            else:
                token = draw(st.sampled_from(literals))
            tokens.append(token)
            n += token[0] if isinstance(token, tuple) else 1
        writer.dynamic(tokens, lit, dist, final=block == n_blocks - 1)
        out = expand(tokens, out)
    return writer.getvalue(), out
