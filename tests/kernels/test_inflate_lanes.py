"""The inflate kernels of the device, emulated: against zlib, the host's decoder, and real data."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings

from bigwig_loader.backend.cpu.library import library_path
from bigwig_loader.backend.cuda.records import WHOLE_BLOCK, BlockCheck
from bigwig_loader.backend.status import Status
from tests.helpers.deflate_cases import (
    ILLEGAL,
    LEGAL,
    SAMPLES,
    compress,
    data_blocks,
    dynamic_blocks,
    made,
    made_items,
)
from tests.helpers.device_inflate import VARIANTS, Inflated, Stream, inflate_blocks, wrapped
from tests.helpers.emulator import SCHEDULES
from tests.helpers.inflate import inflate, inflate_zlib
from tests.helpers.shared import REPOSITORY, shared_data
from tests.oracles.deflate_writer import Token, expand

PER_WARP = pytest.mark.parametrize("per_warp", VARIANTS)
STRATEGIES = (zlib.Z_DEFAULT_STRATEGY, zlib.Z_FILTERED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE)
CHECK = int(BlockCheck.ADLER)
MAY_STOP = int(BlockCheck.MAY_STOP)


def random_data(rng: random.Random) -> bytes:
    n = rng.choice([0, 1, 7, 8, 9, rng.randrange(3000)])
    return rng.choice(
        [
            made_items(n // 12, rng.randrange(1 << 30)),
            rng.randbytes(n),
            rng.randbytes(rng.randrange(1, 20)) * (n // 4),
            bytes(rng.choices(b"aaaaaaabbbcde", k=n)),
            rng.randbytes(min(n, 200)) + bytes(n) + rng.randbytes(min(n, 200)),
        ]
    )


def random_stream(rng: random.Random) -> tuple[bytes, bytes]:
    data = random_data(rng)
    strategy = rng.choice([*STRATEGIES, zlib.Z_FIXED])
    return data, compress(data, rng.randrange(10), 15, rng.randrange(1, 10), strategy)


def assert_same_as_host(streams: list[bytes], capacities: list[int], per_warp: int) -> list[int]:
    """Compare verdicts, details and bytes with those of the CPU library; returns the verdicts."""
    given_streams = [
        Stream(wrapped(stream), capacity)
        for stream, capacity in zip(streams, capacities, strict=True)
    ]
    found = inflate_blocks(given_streams, per_warp)
    for ours, stream, capacity in zip(found, streams, capacities, strict=True):
        status, output = inflate(stream, capacity)
        assert (ours.status, ours.output) == (status, output)
        assert ours.whole == (status == Status.OK)
        if status != Status.OK:
            assert ours.detail == (capacity, len(output))
    return [ours.status for ours in found]


# ------------------------------------------------------------------------- what is accepted ----


@pytest.mark.parametrize("schedule", SCHEDULES)
@PER_WARP
def test_streams_of_zlib(per_warp: int, schedule: str) -> None:
    rng = random.Random(per_warp)
    cases = [random_stream(rng) for _ in range(150)]
    streams = [
        Stream(wrapped(stream, data), len(data) + i % 3 * 50, CHECK)
        for i, (data, stream) in enumerate(cases)
    ]
    found = inflate_blocks(streams, per_warp, schedule)
    for ours, (data, stream) in zip(found, cases, strict=True):
        assert ours == Inflated(Status.OK, data, True, (2 + len(stream), 0))


@PER_WARP
def test_legal_streams(per_warp: int) -> None:
    cases = {name: (made(build), expected) for name, (build, expected) in LEGAL.items()}
    streams = [Stream(wrapped(s, data), len(data), CHECK) for s, data in cases.values()]
    for name, ours in zip(cases, inflate_blocks(streams, per_warp, "random:1"), strict=True):
        assert (name, ours.status, ours.output) == (name, Status.OK, cases[name][1])


@PER_WARP
def test_illegal_streams(per_warp: int) -> None:
    streams = [made(build) + tail for build in ILLEGAL.values() for tail in (b"", bytes(64))]
    verdicts = assert_same_as_host(streams, [1 << 12] * len(streams), per_warp)
    assert set(verdicts) == {Status.BAD_DEFLATE}


def test_all_lengths_and_distances() -> None:
    tokens: list[Token] = [*range(256)]
    tokens += [(n, d) for n in range(3, 259) for d in (1, 2, 3, 4, 5, 6, 7, 8, 12, 15, 16, 17, 255)]
    stream = made(lambda w: w.fixed(tokens, final=True))
    far = made(
        lambda w: (
            w.stored(bytes(range(256)) * 129, final=False),
            w.fixed([(n, d) for n in (3, 7, 8, 258) for d in range(1, 32769, 777)], final=True),
        )
    )
    cases = [(s, inflate_zlib(s)[1]) for s in (stream, far)]
    assert cases[0][1] == expand(tokens)
    for per_warp in (32, 1):
        found = inflate_blocks([Stream(wrapped(s), len(data)) for s, data in cases], per_warp)
        assert [ours.output for ours in found] == [data for _, data in cases]


@settings(max_examples=40)
@given(dynamic_blocks())
def test_random_codes(case: tuple[bytes, bytes]) -> None:
    stream, expected = case
    (ours,) = inflate_blocks([Stream(wrapped(stream), len(expected))], 1, grid=1, warps=1)
    assert (ours.status, ours.output) == (Status.OK, expected)


@pytest.mark.parametrize("folder", ["bigwig", "sets"])
def test_real_blocks(folder: str) -> None:
    rng = random.Random(3)
    files = sorted(p for p in shared_data(folder).rglob("*") if p.suffix.lower() == ".bw")
    blocks = [
        block
        for all_blocks in map(list, map(data_blocks, rng.sample(files, min(len(files), 12))))
        for block in rng.sample(all_blocks, min(len(all_blocks), 6))
    ]
    expected = [zlib.decompress(block) for block in blocks]
    streams = [
        Stream(block, len(data), CHECK) for block, data in zip(blocks, expected, strict=True)
    ]
    for per_warp in VARIANTS:
        found = inflate_blocks(streams, per_warp)
        assert [(o.status, o.whole) for o in found] == [(Status.OK, True)] * len(blocks)
        assert [o.output for o in found] == expected


# -------------------------------------------------------------------------- what is refused ----


@pytest.mark.parametrize("name", SAMPLES)
def test_every_truncation(name: str) -> None:
    stream = SAMPLES[name]
    cut = [stream[:n] for n in range(len(stream))]
    verdicts = assert_same_as_host(cut, [5000] * len(cut), 32)
    assert set(verdicts) == {Status.TRUNCATED_DEFLATE}


@pytest.mark.parametrize("name", SAMPLES)
def test_every_buffer_that_is_too_small(name: str) -> None:
    n = len(inflate_zlib(SAMPLES[name])[1])
    verdicts = assert_same_as_host([SAMPLES[name]] * min(n, 300), [*range(n)][-300:], 32)
    assert set(verdicts) == {Status.TOO_LONG}


@pytest.mark.parametrize("name", SAMPLES)
def test_every_bit_flipped(name: str) -> None:
    stream = SAMPLES[name]
    changed = []
    for bit in range(8 * min(len(stream), 120)):
        flipped = bytearray(stream)
        flipped[bit // 8] ^= 1 << bit % 8
        changed.append(bytes(flipped))
    verdicts = assert_same_as_host(changed, [1 << 13] * len(changed), 16)
    assert set(verdicts) >= {Status.OK, Status.BAD_DEFLATE}


@PER_WARP
def test_mutated_streams(per_warp: int) -> None:
    assert len(set(mutated_streams(300, per_warp, per_warp))) >= 3


def mutated_streams(n: int, seed: int, per_warp: int) -> list[int]:
    """Compare `n` mutated streams, a launch's worth, with the host; the verdicts."""
    rng = random.Random(seed)
    streams = []
    for _ in range(n):
        stream = bytearray(random_stream(rng)[1])
        for _ in range(rng.randrange(5)):
            front = min(len(stream), rng.choice([90, 1 << 30]))
            stream[rng.randrange(front)] ^= 1 << rng.randrange(8)
        streams.append(bytes(stream[: rng.choice([len(stream), rng.randrange(len(stream) + 1)])]))
    return assert_same_as_host(streams, [rng.randrange(1 << 13) for _ in range(n)], per_warp)


def test_what_is_no_zlib_stream() -> None:
    data = b"abcabcabc" * 9
    good = zlib.compress(data)
    cases = [
        (b"", Status.TRUNCATED_DEFLATE, (6, 0)),
        (good[:5], Status.TRUNCATED_DEFLATE, (6, 0)),
        (good[:6], Status.TRUNCATED_DEFLATE, (len(data), 0)),
        (b"\x78\x9d" + good[2:], Status.BAD_ZLIB_HEADER, (0x78, 0x9D)),
        (b"\x79\x9c" + good[2:], Status.BAD_ZLIB_HEADER, (0x79, 0x9C)),
        (b"\x88\x1c" + good[2:], Status.BAD_ZLIB_HEADER, (0x88, 0x1C)),
        (b"\x78\xbb" + good[2:], Status.BAD_ZLIB_HEADER, (0x78, 0xBB)),
        (bytes(40), Status.BAD_ZLIB_HEADER, (0, 0)),
    ]
    for per_warp in VARIANTS:
        streams = [Stream(block, len(data), CHECK) for block, _, _ in cases]
        found = inflate_blocks([*streams, Stream(good, len(data), CHECK)], per_warp)
        assert [(o.status, o.detail) for o in found[:-1]] == [case[1:] for case in cases]
        assert found[-1].output == data


# ------------------------------------------------------------------------------- checksums ----


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_checksums(schedule: str) -> None:
    rng = random.Random(5)
    data = [rng.randbytes(n) for n in [*range(10), 127, 128, 129, 5551, 5552, 40_000]]
    data += [b"\xff" * n for n in (1, 131, 5553, 70_000)]
    good = [zlib.compress(d, rng.randrange(10)) for d in data]
    wrong = [b[:-1] + bytes([b[-1] ^ 1]) for b in good]
    # Bytes behind the checksum, or between the stream and the last four, are not looked at.
    behind = [b + rng.randbytes(1 + i % 9) for i, b in enumerate(good)]
    between = [b[:-4] + rng.randbytes(1 + i % 9) + b[-4:] for i, b in enumerate(good)]
    for blocks in (good, behind, between):
        found = inflate_blocks([Stream(b, 70_000, CHECK) for b in blocks], 32, schedule)
        assert [(o.status, o.output) for o in found] == [(Status.OK, d) for d in data]
    found = inflate_blocks([Stream(b, 70_000, CHECK) for b in wrong], 32, schedule)
    for ours, block, d in zip(found, wrong, data, strict=True):
        expected = int.from_bytes(block[-4:], "big")
        assert (ours.status, ours.detail) == (Status.BAD_CHECKSUM, (expected, zlib.adler32(d)))
    found = inflate_blocks([Stream(b, 70_000) for b in wrong], 32, schedule)
    assert {ours.status for ours in found} == {Status.OK}


# ------------------------------------------------------------------------------ early stop ----


def section(kind: int, n: int, order: str, step: int = 10, n_header: int | None = None) -> bytes:
    """A section of n items, `step` bases from one start to the next, the first at base 1000."""
    count = n if n_header is None else n_header
    header = struct.pack(order + "IIIIIBBH", 0, 1000, 1000 + n * step, step, 5, kind, 0, count)
    starts = [1000 + i * step for i in range(n)]
    values = [(i * 7 % 11) / 3 for i in range(n)]
    items = {
        1: lambda s, v: struct.pack(order + "IIf", s, s + 5, v),
        2: lambda s, v: struct.pack(order + "If", s, v),
        3: lambda s, v: struct.pack(order + "f", v),
    }
    return header + b"".join(map(items[kind], starts, values))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [1, 2, 3])
def test_stops_behind_the_last_item_wanted(kind: int, order: str) -> None:
    n, size = 1500, {1: 12, 2: 8, 3: 4}[kind]
    data = section(kind, n, order)
    ends = [0, 1000, 1001, *range(1200, 1000 + 10 * n, 1100), 1000 + 10 * n, WHOLE_BLOCK]
    streams = [
        Stream(zlib.compress(data, level), len(data), checks, end, order == ">")
        for level in (0, 6)
        for end in ends
        for checks in (MAY_STOP, 0)
    ]
    for per_warp in VARIANTS:
        for ours, stream in zip(inflate_blocks(streams, per_warp), streams, strict=True):
            assert ours.status == Status.OK
            assert ours.output == data[: len(ours.output)]
            assert ours.whole == (len(ours.output) == len(data))
            first_behind = max(-(-(stream.wanted_end - 1000) // 10), 0)
            if not stream.checks or first_behind >= n:
                assert ours.whole
                continue
            needed = 24 + size * (first_behind + 1)
            # 64 steps of up to nine bytes are the most that it goes on.
            assert min(needed, len(data)) <= len(ours.output) < needed + 8 + 64 * 9


def test_stops_in_the_first_section_only() -> None:
    first, second = section(1, 100, "<"), section(1, 900, "<")
    cases = [
        first + second,  # what is wanted lies behind the first section
        section(1, 900, "<", n_header=0),
        b"\0" * 24 + second,  # no section
        first[:20] + b"\4" + first[21:] + second,
    ]
    streams = [Stream(zlib.compress(d), len(d), MAY_STOP, 1000 + 100 * 10) for d in cases]
    for per_warp in VARIANTS:
        found = inflate_blocks(streams, per_warp)
        assert [(o.status, o.whole, o.output) for o in found] == [(0, True, d) for d in cases]


def test_errors_behind_the_stop_are_not_seen() -> None:
    data = section(1, 1500, "<")
    damaged = bytearray(zlib.compress(data))
    damaged[-100:] = bytes(100)
    streams = [Stream(bytes(damaged), len(data), MAY_STOP, end) for end in (4000, WHOLE_BLOCK)]
    early, late = inflate_blocks(streams, 32)
    assert (early.status, early.whole) == (Status.OK, False)
    assert early.output == data[: len(early.output)]
    assert late.status != Status.OK
    assert late.output[:6000] == data[:6000]


# -------------------------------------------------------------------------------- the queue ----


@PER_WARP
@pytest.mark.parametrize(("grid", "warps"), [(1, 1), (1, 4), (5, 1)])
def test_every_stream_is_taken_once(per_warp: int, grid: int, warps: int) -> None:
    for n in (1, 7, 33, 130):
        data = [str(i).encode() * (i % 50) for i in range(n)]
        streams = [Stream(zlib.compress(d), 200, CHECK) for d in data]
        found = inflate_blocks(streams, per_warp, "random:2", grid, warps)
        assert [o.output for o in found] == data


# --------------------------------------------------------------------------------- fuzzing ----


def test_fuzz(tmp_path: Path) -> None:
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("needs a C++ compiler")
    program = tmp_path / "fuzz_lanes"
    command = [compiler, "-std=c++17", "-O1", "-fno-sanitize-recover=all"]
    command += ["-fsanitize=address,undefined", f"-I{REPOSITORY / 'cuda_kernels'}"]
    probe = tmp_path / "probe.cpp"
    probe.write_text("#include <zlib.h>\nint main() { return zlibVersion() == nullptr; }\n")
    done = subprocess.run(
        [*command, str(probe), "-o", str(program), "-lz"], capture_output=True, check=False
    )
    if done.returncode != 0:
        pytest.skip("needs a C++ compiler with sanitizers, and zlib's header")
    # The host's decoder comes from the library, which takes longest to compile.
    objects = [str(REPOSITORY / "tests/kernels/fuzz_lanes.cpp"), str(library_path().resolve())]
    objects.append(f"-Wl,-rpath,{library_path().resolve().parent}")
    subprocess.run([*command, *objects, "-o", str(program), "-lz"], check=True)
    done = subprocess.run([str(program), "6000", "1"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("6000 cases agree with zlib")
