"""The inflate decoder against zlib: what it accepts, what it makes, where it stops."""

from __future__ import annotations

import random
import shutil
import subprocess
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.deflate_cases import COMPRESSED, SAMPLES, data_blocks
from tests.helpers.inflate import (
    ALL,
    BAD,
    OK,
    OVERSHOOT,
    PATHS,
    TOO_LONG,
    TRUNCATED,
    check_as_zlib,
    inflate,
    inflate_zlib,
)
from tests.helpers.shared import REPOSITORY, shared_data

# ---------------------------------------------------------------------------- real data ----


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
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


EVERY_SAMPLE = pytest.mark.parametrize("stream", SAMPLES.values(), ids=SAMPLES)


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
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


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
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
    done = subprocess.run([str(program), "20000", "1"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("20000 cases agree with zlib")
