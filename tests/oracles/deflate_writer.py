"""Writes deflate streams (RFC 1951) block by block, legal or not: what no compressor would make.

Tokens of a compressed block are literals (0..255), matches ``(length, distance)``, or
``Symbol(alphabet, value)`` for a code that has no meaning, e.g. distance symbol 30.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

END_OF_BLOCK = 256
MAX_CODE_BITS = 15
PRECODE_ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)

FIXED_LIT_LENGTHS = {s: 8 if s < 144 else 9 if s < 256 else 7 if s < 280 else 8 for s in range(288)}
FIXED_DIST_LENGTHS = dict.fromkeys(range(32), 5)

# A complete code for all 19 symbols of the code-length alphabet.
DEFAULT_PRECODE = {symbol: 4 if symbol < 13 else 5 for symbol in range(19)}


@dataclass(frozen=True)
class Symbol:
    """One bare code: ``value`` of the literal/length ("lit") or distance ("dist") alphabet."""

    alphabet: Literal["lit", "dist"]
    value: int


Token = int | tuple[int, int] | Symbol


def length_symbol(length: int) -> tuple[int, int, int]:
    """(symbol, number of extra bits, their value) of a match length of 3..258 bytes."""
    if length == 258:
        return 285, 0, 0
    offset = length - 3
    if offset < 8:
        return 257 + offset, 0, 0
    extra = offset.bit_length() - 3
    return 257 + 4 * extra + (offset >> extra), extra, offset & ((1 << extra) - 1)


def distance_symbol(distance: int) -> tuple[int, int, int]:
    """(symbol, number of extra bits, their value) of a distance of 1..32,768 bytes."""
    offset = distance - 1
    if offset < 4:
        return offset, 0, 0
    extra = offset.bit_length() - 2
    return 2 * extra + (offset >> extra), extra, offset & ((1 << extra) - 1)


def canonical_codes(lengths: Mapping[int, int]) -> dict[int, str]:
    """Code of each symbol as a string of bits, first bit first. Lengths of 0 have none.

    Over-subscribed lengths give codes that wrap around: such a stream is to be refused.
    """
    codes = {}
    code = 0
    for bits in range(1, MAX_CODE_BITS + 1):
        code <<= 1
        for symbol in sorted(s for s, n in lengths.items() if n == bits):
            codes[symbol] = format(code % (1 << bits), f"0{bits}b")
            code += 1
    return codes


def expand(tokens: Sequence[Token], before: bytes = b"") -> bytes:
    """What tokens stand for, with the output that came before them."""
    out = bytearray(before)
    for token in tokens:
        if isinstance(token, int):
            out.append(token)
        elif isinstance(token, tuple):
            length, distance = token
            for _ in range(length):
                out.append(out[-distance])
    return bytes(out)


class DeflateWriter:
    """Collects the bits of a raw deflate stream. Every method adds to its end."""

    def __init__(self) -> None:
        self._bits: list[str] = []

    def bits(self, value: int, n: int) -> None:
        """Add the ``n`` bits of a number, the lowest first."""
        if n:
            self._bits.append(format(value, f"0{n}b")[::-1])

    def code(self, code: str) -> None:
        """Add a Huffman code, its first bit first."""
        self._bits.append(code)

    def align(self) -> None:
        """Fill up to the next byte with zeros."""
        n = sum(map(len, self._bits))
        self.bits(0, -n % 8)

    def getvalue(self) -> bytes:
        """Return the stream, filled up to a whole byte."""
        text = "".join(self._bits)
        text += "0" * (-len(text) % 8)
        return bytes(int(text[i : i + 8][::-1], 2) for i in range(0, len(text), 8))

    def header(self, block_type: int, *, final: bool) -> None:
        """Add the three bits that begin a block."""
        self.bits(final, 1)
        self.bits(block_type, 2)

    def stored(self, data: bytes, *, final: bool, complement: int | None = None) -> None:
        """Add a stored block of at most 65,535 bytes; ``complement`` overrides NLEN."""
        self.header(0, final=final)
        self.align()
        self.bits(len(data), 16)
        self.bits(len(data) ^ 0xFFFF if complement is None else complement, 16)
        for byte in data:
            self.bits(byte, 8)

    def fixed(self, tokens: Sequence[Token], *, final: bool, end: bool = True) -> None:
        """Add a block of fixed codes."""
        self.header(1, final=final)
        self._tokens(tokens, FIXED_LIT_LENGTHS, FIXED_DIST_LENGTHS, end)

    def dynamic(
        self,
        tokens: Sequence[Token],
        lit_lengths: Mapping[int, int],
        dist_lengths: Mapping[int, int],
        *,
        final: bool,
        end: bool = True,
        precode: Mapping[int, int] = DEFAULT_PRECODE,
        n_lit: int | None = None,
        n_dist: int | None = None,
    ) -> None:
        """Add a block of dynamic codes with the given code lengths, which need not be sensible."""
        n_lit = max(257, max(lit_lengths, default=0) + 1) if n_lit is None else n_lit
        n_dist = max(1, max(dist_lengths, default=0) + 1) if n_dist is None else n_dist
        lengths = [lit_lengths.get(s, 0) for s in range(n_lit)]
        lengths += [dist_lengths.get(s, 0) for s in range(n_dist)]
        self.dynamic_header(n_lit, n_dist, run_lengths(lengths), precode, final=final)
        self._tokens(tokens, lit_lengths, dist_lengths, end)

    def dynamic_header(
        self,
        n_lit: int,
        n_dist: int,
        items: Sequence[tuple[int, int]],
        precode: Mapping[int, int],
        *,
        final: bool,
    ) -> None:
        """Add a dynamic block's header; ``items`` are (code-length symbol, extra bits' value)."""
        self.header(2, final=final)
        self.bits(n_lit - 257, 5)
        self.bits(n_dist - 1, 5)
        used = max((i for i, s in enumerate(PRECODE_ORDER) if precode.get(s)), default=0)
        n_precode = max(4, used + 1)
        self.bits(n_precode - 4, 4)
        for symbol in PRECODE_ORDER[:n_precode]:
            self.bits(precode.get(symbol, 0), 3)
        codes = canonical_codes(precode)
        for symbol, extra in items:
            self.code(codes[symbol])
            self.bits(extra, {16: 2, 17: 3, 18: 7}.get(symbol, 0))

    def _tokens(
        self,
        tokens: Sequence[Token],
        lit_lengths: Mapping[int, int],
        dist_lengths: Mapping[int, int],
        end: bool,
    ) -> None:
        lit, dist = canonical_codes(lit_lengths), canonical_codes(dist_lengths)
        for token in tokens:
            if isinstance(token, Symbol):
                self.code((lit if token.alphabet == "lit" else dist)[token.value])
            elif isinstance(token, int):
                self.code(lit[token])
            else:
                for codes, (symbol, n, extra) in (
                    (lit, length_symbol(token[0])),
                    (dist, distance_symbol(token[1])),
                ):
                    self.code(codes[symbol])
                    self.bits(extra, n)
        if end:
            self.code(lit[END_OF_BLOCK])


def run_lengths(lengths: Sequence[int]) -> list[tuple[int, int]]:
    """Code lengths as code-length symbols, with the repeats 16, 17 and 18 wherever they fit."""
    items: list[tuple[int, int]] = []
    i = 0
    while i < len(lengths):
        run = 1
        while i + run < len(lengths) and lengths[i + run] == lengths[i]:
            run += 1
        if lengths[i] == 0 and run >= 11:
            run = min(run, 138)
            items.append((18, run - 11))
        elif lengths[i] == 0 and run >= 3:
            items.append((17, run - 3))
        elif run >= 4:
            run = min(run, 7)
            items += [(lengths[i], 0), (16, run - 4)]
        else:
            run = 1
            items.append((lengths[i], 0))
        i += run
    return items
