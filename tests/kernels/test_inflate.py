"""The inflate decoder against zlib: what it accepts, what it makes, where it stops."""

from __future__ import annotations

import ctypes
import random
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigwig_loader.backend.cpu.library import library
from tests.helpers.shared import REPOSITORY, shared_data
from tests.oracles.deflate_writer import (
    DEFAULT_PRECODE,
    FIXED_DIST_LENGTHS,
    FIXED_LIT_LENGTHS,
    DeflateWriter,
    Symbol,
    Token,
    expand,
)

OK, BAD, TRUNCATED, TOO_LONG = 0, 3, 4, 5  # bwl::Status
ALL = 1 << 40
GUARD = b"\xa5" * 64
# Bytes by which an early stop may be passed: one match and a few short symbols.
OVERSHOOT = 258 + 32

# With the instructions of this processor, and without: a negative step asks for that.
PATHS = pytest.mark.parametrize("path", [1, -1], ids=["native", "plain"])


def inflate(
    stream: bytes, capacity: int, *, target: int = ALL, step: int = ALL
) -> tuple[int, bytes]:
    """(status, output) of our decoder; fails if a byte behind the buffer was written."""
    buffer = ctypes.create_string_buffer(bytes(capacity) + GUARD, capacity + len(GUARD))
    produced = ctypes.c_int64(-1)
    # A copy that ends where the stream does, not with the zero byte of a Python string.
    source = (ctypes.c_char * max(len(stream), 1)).from_buffer_copy(stream or b"\0")
    status = library().bwl_inflate(
        source, len(stream), buffer, capacity, target, step, ctypes.byref(produced)
    )
    assert buffer.raw[capacity:] == GUARD
    assert 0 <= produced.value <= capacity
    return status, buffer.raw[: produced.value]


def inflate_zlib(stream: bytes) -> tuple[int, bytes]:
    """(status, output) of zlib; no output for a stream that it refuses."""
    decoder = zlib.decompressobj(-15)
    try:
        data = decoder.decompress(stream)
    except zlib.error:
        return BAD, b""
    return (OK if decoder.eof else TRUNCATED), data


def check_as_zlib(stream: bytes, *, step: int = ALL) -> int:
    """Compare a stream's verdict and bytes with zlib's; returns the verdict."""
    status, data = inflate_zlib(stream)
    ours, out = inflate(stream, len(data) if status == OK else 1 << 17, step=step)
    assert ours == status
    if status == OK:
        assert out == data
    elif status == TRUNCATED:
        assert out == data[: len(out)]
    return status


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


# ---------------------------------------------------------------------------- real data ----


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


@PATHS
@pytest.mark.parametrize("folder", ["bigwig", "sets"])
def test_real_blocks(folder: str, path: int) -> None:
    files = [
        file
        for file in sorted(shared_data(folder).rglob("*"))
        if file.suffix.lower() in (".bw", ".bigwig")
    ]
    rng = random.Random(1)
    n_blocks = 0
    for file in files:
        blocks = list(data_blocks(file))
        for block in rng.sample(blocks, min(len(blocks), 12)):
            expected = zlib.decompress(block)
            stream = block[2:-4]
            n = len(expected)
            assert inflate(stream, n, step=path * ALL) == (OK, expected)
            status, out = inflate(stream, n, step=path * rng.randrange(1, 2000))
            assert (status, out) == (OK, expected)
            target = rng.randrange(n + 1)
            status, out = inflate(stream, n, target=target, step=path * ALL)
            assert status == OK
            assert target <= len(out) <= target + OVERSHOOT
            assert out == expected[: len(out)]
            n_blocks += 1
    assert n_blocks > 100


# ------------------------------------------------------------------- what zlib compresses ----

DATA = st.one_of(
    st.binary(max_size=3000),
    st.builds(made_items, st.integers(0, 300), st.integers(0, 1 << 30)),
    st.lists(
        st.tuples(st.binary(min_size=1, max_size=12), st.integers(1, 400)), max_size=12
    ).map(lambda runs: b"".join(pattern * n for pattern, n in runs)),
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


@given(COMPRESSED, st.integers(1, 4000), st.sampled_from([1, -1]))
def test_streams_of_zlib(made: tuple[bytes, bytes], step: int, path: int) -> None:
    data, stream = made
    assert inflate(stream, len(data), step=path * step) == (OK, data)
    # What follows the stream is not looked at.
    assert inflate(stream + b"\xff" * 9, len(data), step=path * step) == (OK, data)
    assert inflate(stream, len(data) + 100, step=path * step) == (OK, data)


@given(COMPRESSED, st.data())
def test_mutated_streams(made: tuple[bytes, bytes], source: st.DataObject) -> None:
    stream = bytearray(made[1])
    for _ in range(source.draw(st.integers(1, 4))):
        at = source.draw(st.integers(0, len(stream) - 1))
        stream[at] ^= 1 << source.draw(st.integers(0, 7))
    check_as_zlib(bytes(stream), step=source.draw(st.integers(1, 2000)))


@given(COMPRESSED, st.integers(0, 4000))
def test_early_stop(made: tuple[bytes, bytes], target: int) -> None:
    data, stream = made
    target = min(target, len(data))
    status, out = inflate(stream, len(data), target=target)
    assert status == OK
    assert target <= len(out) <= target + OVERSHOOT
    assert out == data[: len(out)]


SAMPLES = {
    "dynamic": compress(made_items(120, 1), 6, 15, 8, zlib.Z_DEFAULT_STRATEGY),
    "blocks": compress(made_items(120, 2), 6, 15, 1, zlib.Z_DEFAULT_STRATEGY),
    "fixed": compress(made_items(40, 3), 6, 15, 8, zlib.Z_FIXED),
    "stored": compress(bytes(range(256)) * 3, 0, 15, 8, zlib.Z_DEFAULT_STRATEGY),
    "runs": compress(b"\0" * 3000 + b"abcde" * 300, 9, 15, 9, zlib.Z_DEFAULT_STRATEGY),
}
EVERY_SAMPLE = pytest.mark.parametrize("stream", SAMPLES.values(), ids=SAMPLES)


@PATHS
@EVERY_SAMPLE
def test_every_truncation(stream: bytes, path: int) -> None:
    for n in range(len(stream)):
        assert check_as_zlib(stream[:n], step=path * ALL) == TRUNCATED
    assert check_as_zlib(stream, step=path * ALL) == OK


@EVERY_SAMPLE
def test_resumes_at_every_step_size(stream: bytes) -> None:
    _, expected = inflate_zlib(stream)
    for step in range(1, len(expected) + 2):
        assert inflate(stream, len(expected), step=step) == (OK, expected)


@PATHS
@EVERY_SAMPLE
def test_every_buffer_that_is_too_small(stream: bytes, path: int) -> None:
    _, expected = inflate_zlib(stream)
    for capacity in range(len(expected)):
        status, out = inflate(stream, capacity, step=path * ALL)
        assert status == TOO_LONG
        assert out == expected[: len(out)]
        # As far as the buffer goes, it does no harm to be short.
        assert inflate(stream, capacity, target=max(len(out) - OVERSHOOT, 0))[0] == OK


@EVERY_SAMPLE
def test_every_bit_flipped(stream: bytes) -> None:
    verdicts = set()
    for bit in range(8 * min(len(stream), 160)):
        changed = bytearray(stream)
        changed[bit // 8] ^= 1 << bit % 8
        verdicts.add(check_as_zlib(bytes(changed)))
    assert verdicts >= {OK, BAD}


# --------------------------------------------------------- what no compressor makes ----

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
        lambda w: [w.fixed([], final=i == 9) or w.stored(b"", final=False) for i in range(9)]
        and w.stored(b"x", final=True),
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
        b"abcabcabcdabcd" + b"",
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
        lambda w: w.dynamic([97, 98] * 9 + [(3, 17), (3, 9)], SOME_LIT, {7: 1}, final=True)
        if False
        else w.dynamic([*[97, 98] * 9, (3, 17), (3, 15)], SOME_LIT, {7: 1}, final=True),
        expand([*[97, 98] * 9, (3, 17), (3, 15)]),
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
    "meaningless fixed codes, unused": (lambda w: w.fixed([287 - 32 - 112], final=True), b"\x8f"),
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
LEGAL["every kind"] = (
    LEGAL["every kind"][0],
    expand([(5, 270)], expand([97, (3, 10), (258, 1), 98], b"abcabcabcd")),
)

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
    "distance before the start, long after": lambda w: w.fixed(
        [97] * 300 + [(4, 301)], final=True
    ),
    "first symbol a match": lambda w: w.fixed([(3, 1)], final=True),
    "whole match before the start": lambda w: w.dynamic(
        [97] * 30 + [(3, 40)] + [97] * 30, SOME_LIT, {10: 1, 4: 1}, final=True
    ),
    "287 literal codes": lambda w: w.dynamic([97], SOME_LIT, {}, final=True, n_lit=287),
    "31 distance codes": lambda w: w.dynamic([97], SOME_LIT, {}, final=True, n_dist=31),
    "no end of block": lambda w: w.dynamic([97], {97: 1, 98: 1}, {}, final=True, end=False),
    "over-subscribed literals": lambda w: w.dynamic(
        [97], {97: 1, 98: 1, 256: 2}, {}, final=True
    ),
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


@PATHS
@pytest.mark.parametrize("name", LEGAL)
def test_legal_streams(name: str, path: int) -> None:
    build, expected = LEGAL[name]
    stream = made(build)
    assert inflate_zlib(stream) == (OK, expected)
    assert inflate(stream, len(expected), step=path * ALL) == (OK, expected)
    for step in (1, 2, 7, 100):
        assert inflate(stream, len(expected), step=path * step) == (OK, expected)
    for n in range(0, len(stream), 1 + len(stream) // 500):
        assert check_as_zlib(stream[:n], step=path * ALL) == TRUNCATED


@PATHS
@pytest.mark.parametrize("name", ILLEGAL)
def test_illegal_streams(name: str, path: int) -> None:
    stream = made(ILLEGAL[name])
    assert inflate_zlib(stream)[0] == BAD
    # Room behind the error, so that the fast loop meets it too.
    assert check_as_zlib(stream, step=path * ALL) == BAD
    assert check_as_zlib(stream + b"\0" * 64, step=path * ALL) == BAD


def random_lengths(draw: st.DrawFn, symbols: list[int], n: int) -> dict[int, int]:
    """Lengths of a complete code of `n` symbols (n >= 2), of any shape up to 15 bits."""
    leaves = [0]
    for _ in range(n - 1):
        open_leaves = [i for i, bits in enumerate(leaves) if bits < 15]
        i = draw(st.sampled_from(open_leaves))
        leaves[i] += 1
        leaves.append(leaves[i])
    return dict(zip(symbols[:n], leaves, strict=True))


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
        lengths = [s for s in range(3, 259) if _length_code(s) in lit]
        for _ in range(draw(st.integers(0, 60))):
            distances = [d for d in _DISTANCES if d <= n and _distance_code(d) in dist]
            if lengths and distances and draw(st.booleans()):
                token: Token = draw(st.sampled_from(lengths)), draw(st.sampled_from(distances))
            else:
                token = draw(st.sampled_from(literals))
            tokens.append(token)
            n += token[0] if isinstance(token, tuple) else 1
        writer.dynamic(tokens, lit, dist, final=block == n_blocks - 1)
        out = expand(tokens, out)
    return writer.getvalue(), out


_DISTANCES = (*range(1, 40), 48, 60, 64, 65, 96, 97, 128, 129, 200, 256, 257, 400, 1000, 3000)


def _length_code(length: int) -> int:
    from tests.oracles.deflate_writer import length_symbol

    return length_symbol(length)[0]


def _distance_code(distance: int) -> int:
    from tests.oracles.deflate_writer import distance_symbol

    return distance_symbol(distance)[0]


@given(dynamic_blocks(), st.integers(1, 500), st.sampled_from([1, -1]))
def test_random_codes(made: tuple[bytes, bytes], step: int, path: int) -> None:
    stream, expected = made
    assert inflate_zlib(stream) == (OK, expected)
    assert inflate(stream, len(expected), step=path * step) == (OK, expected)
    assert inflate(stream + bytes(40), len(expected) + 40, step=path * ALL) == (OK, expected)


def test_fixed_code_tables() -> None:
    tokens: list[Token] = [*range(256)]
    tokens += [(n, d) for n in range(3, 259) for d in (1, 2, 3, 4, 5, 7, 8, 12, 255)]
    stream = made(lambda w: w.fixed(tokens, final=True))
    assert len(FIXED_LIT_LENGTHS) == 288
    assert len(FIXED_DIST_LENGTHS) == 32
    assert inflate(stream, len(expand(tokens))) == (OK, expand(tokens))


# --------------------------------------------------------------------------- fuzzing ----


def test_fuzz(tmp_path: Path) -> None:
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("needs a C++ compiler")
    program = tmp_path / "fuzz_inflate"
    command = [compiler, "-std=c++17", "-O1", "-g", "-fno-sanitize-recover=all"]
    command += ["-fsanitize=address,undefined"]
    probe = tmp_path / "probe.cpp"
    probe.write_text("#include <zlib.h>\nint main() { return zlibVersion() == nullptr; }\n")
    done = subprocess.run(
        [*command, str(probe), "-o", str(program), "-lz"], capture_output=True, check=False
    )
    if done.returncode != 0:
        pytest.skip("needs a C++ compiler with sanitizers, and zlib's header")
    sources = ["tests/kernels/fuzz_inflate.cpp", "cuda_kernels/host/inflate.cpp"]
    subprocess.run(
        [*command, *(str(REPOSITORY / s) for s in sources), "-o", str(program), "-lz"], check=True
    )
    done = subprocess.run(
        [str(program), "20000", "1"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("20000 cases agree with zlib")
