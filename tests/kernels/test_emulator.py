"""The emulator itself: right kernels give what they should under any schedule, wrong ones fail."""

from __future__ import annotations

import ctypes
import functools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bigwig_loader.formats.genome import Genome
from tests.helpers import emulator
from tests.helpers.emulator import SCHEDULES, CompileError, KernelFault, Program
from tests.helpers.nvrtc import entry_names, find_compiler
from tests.oracles import sequence as oracle

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or emulator.compiler() is None,
    reason="needs Linux and a C++ compiler",
)
SOURCE = Path(__file__).with_name("emulated.cu")
KERNELS = Path(__file__).parents[2] / "cuda_kernels"
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES)


@functools.cache
def program() -> Program:
    return emulator.load(SOURCE.read_text())


# --------------------------------------------------------------------------------- right kernels


@every_schedule
def test_indices(schedule: str) -> None:
    out = np.zeros(2 * 3 * 2 * 30, np.uint32)
    program().launch("indices", (2, 3, 2), (5, 3, 2), [out], schedule=schedule)
    np.testing.assert_array_equal(
        out.reshape(12, 30), 1000 * np.arange(12)[:, None] + np.arange(30)
    )


@every_schedule
def test_sum(schedule: str) -> None:
    x = np.random.default_rng(1).integers(-1000, 1000, 10_007).astype(np.float32)
    total = np.zeros(1)
    program().launch("sum", 3, 256, [x, len(x), total], schedule=schedule)
    assert total[0] == x.sum(dtype=np.float64)


def turned(schedule: str, barrier: int) -> list[int]:
    given, out = np.arange(70, dtype=np.int32), np.zeros(70, np.int32)
    program().launch("turn", 1, 70, [given, out, barrier], shared_bytes=280, schedule=schedule)
    return out.tolist()


def test_a_missing_barrier_shows() -> None:
    right = list(range(69, -1, -1))
    assert all(turned(schedule, 1) == right for schedule in SCHEDULES)
    assert all(turned(schedule, 0) != right for schedule in SCHEDULES)


def test_a_schedule_is_repeatable_and_seeds_differ() -> None:
    seeds = [turned(f"random:{seed}", 0) for seed in range(4)]
    assert turned("random:0", 0) == seeds[0]
    assert len({tuple(seed) for seed in seeds}) == 4


@every_schedule
def test_shared_memory_is_garbage_in_every_block(schedule: str) -> None:
    out = np.zeros(8, np.uint32)
    program().launch("garbage", 5, 4, [out], shared_bytes=16, schedule=schedule)
    assert out.tolist() == [0xCDCDCDCD] * 8


@every_schedule
def test_barriers_that_count(schedule: str) -> None:
    out = np.zeros(3, np.int32)
    program().launch("counted", 1, 75, [out], schedule=schedule)
    assert out.tolist() == [38, 1, 0]


@every_schedule
def test_ended_threads_hold_no_barrier_up(schedule: str) -> None:
    out = np.zeros(1, np.int32)
    program().launch("half", 2, 90, [out], schedule=schedule)
    assert out[0] == 90


@every_schedule
def test_every_item_of_a_queue_is_taken_once(schedule: str) -> None:
    n = np.zeros(1, np.uint32)
    taken = np.zeros(500, np.uint32)
    program().launch("queue", 2, 64, [n, 500, taken], schedule=schedule)
    expected = np.arange(500, dtype=np.uint64) * 1664525 + 1013904223
    np.testing.assert_array_equal(taken, (expected & 0xFFFFFFFF).astype(np.uint32))
    assert n[0] == 500 + 128


@every_schedule
def test_threads_that_spin_let_others_run(schedule: str) -> None:
    turn, order = np.zeros(1, np.uint32), np.zeros(96, np.uint32)
    program().launch("turns", 1, 96, [turn, order], schedule=schedule)
    assert order.tolist() == list(range(95, -1, -1))


def _source(kind: str, lane: int, by: int, width: int) -> int:
    """Lane that a shuffle reads from, by the programming guide."""
    first = lane // width * width
    if kind == "":
        return first + by % width
    if kind == "up":
        return lane - by if lane - by >= first else lane
    if kind == "down":
        return lane + by if lane + by < first + width else lane
    return lane ^ by if lane ^ by < first + width else lane


@every_schedule
@pytest.mark.parametrize(("by", "width"), [(1, 32), (3, 8), (7, 16), (0, 2), (31, 32)])
@pytest.mark.parametrize("mask", [0xFFFFFFFF, 0x0000FFFF, 0xA5A50001])
def test_collectives(schedule: str, mask: int, by: int, width: int) -> None:
    values = np.random.default_rng(by).integers(0, 2**32, 32, dtype=np.uint32)
    out = np.zeros((32, 16), np.uint32)
    program().launch("collectives", 1, 32, [values, mask, by, width, out], schedule=schedule)
    lanes = [lane for lane in range(32) if mask >> lane & 1]
    held = {lane: int(values[lane]) for lane in lanes}
    signed = {lane: int(values.view(np.int32)[lane]) for lane in lanes}
    for lane in lanes:
        same = [other for other in lanes if held[other] & 3 == held[lane] & 3]
        expected = [
            sum(1 << other for other in lanes if held[other] & 1),
            any(value & 2 for value in held.values()),
            all(value & 4 for value in held.values()),
            sum(1 << other for other in same),
            sum(held.values()) % 2**32,
            min(held.values()),
            max(held.values()),
            min(signed.values()) % 2**32,
            functools.reduce(lambda a, b: a ^ b, held.values()),
            len({value & 8 for value in held.values()}) == 1,
        ]
        if mask == 0xFFFFFFFF:
            kinds = ("", "up", "down", "xor")
            expected += [held[_source(kind, lane, by, width)] for kind in kinds]
            expected += [held[31 - lane], held[lane ^ 1]]
        assert out[lane].tolist() == expected + [0] * (16 - len(expected))


def test_bits() -> None:
    rng = np.random.default_rng(5)
    cases = [*rng.integers(0, 2**32, (50, 3), dtype=np.uint32), np.zeros(3, np.uint32)]
    for a, b, c in (case.tolist() for case in cases):
        out = np.zeros(10, np.uint32)
        program().launch("bits", 1, 1, [np.array([a, b, c], np.uint32), out])
        both, shift = b << 32 | a, c % 32
        picked = [both >> 8 * (c >> 4 * i & 7) & 255 for i in range(4)]
        assert out.tolist() == [
            a.bit_count(),
            32 - a.bit_length(),
            (a & -a).bit_length(),
            int(f"{a:032b}"[::-1], 2),
            sum(byte << 8 * i for i, byte in enumerate(picked)),
            (both << shift) >> 32 & 0xFFFFFFFF,
            both >> shift & 0xFFFFFFFF,
            a * b >> 32,
            a ^ b,
            both >> min(c % 40, 32) & 0xFFFFFFFF,
        ]


def test_arguments() -> None:
    ints, out = np.array([3, 5, 7], np.int32), np.zeros(3)
    mixed = np.zeros((), [("at", np.uint64), ("n", np.int32), ("scale", np.float32)])
    mixed["at"], mixed["n"], mixed["scale"] = ints.ctypes.data, 2, 0.5
    given = [mixed.tobytes(), 200, 1.5, 2.25, -(2**40), out]
    program().launch("arguments", 1, 1, given)
    assert out.tolist() == [3.5, 203.75, -(2.0**40)]
    scalars = [mixed.tobytes(), np.uint8(1), np.float32(1), np.float64(1), np.int64(1), out]
    program().launch("arguments", 1, 1, scalars)
    assert out.tolist() == [3.5, 3, 1]
    address, n_bytes = program().variable("answer")
    assert ctypes.string_at(address, n_bytes) == (42).to_bytes(4, "little")


@every_schedule
def test_one_hot(schedule: str) -> None:
    text = "ACGTNACGGTTACRYKM" * 9
    genome = Genome.from_arrays({"a": text})
    packed, bases = genome.packed("a"), np.array([len(text)])
    start, reverse = np.array([-5, 40, 140]), np.array([0, 1, 1], np.uint8)
    table = np.array([[code == 1 << c for c in range(4)] for code in range(16)], np.float32)
    out = np.full((3, 37, 4), 9, np.float32)
    arguments = [
        *(3, 37, np.zeros(3, np.int32), start, reverse, np.array([packed.ctypes.data]), bases),
        *(table, 0, out, out[0].nbytes),
    ]
    source = emulator.load((KERNELS / "sequence.cu").read_text(), include=[KERNELS])
    source.launch("bwl_one_hot_4", (1, 3), 32, arguments, schedule=schedule)
    for row, at, flip in zip(out, start, reverse, strict=True):
        np.testing.assert_array_equal(row, oracle.one_hot(text, int(at), 37, bool(flip), False))


# --------------------------------------------------------------------------------- wrong kernels

four = np.zeros(4, np.int32)
FAULTS = {
    "writes_far": (64, [four], 0, r"thread \(0, 0, 0\): illegal memory access.*at source.cu:\d+$"),
    "writes_null": (1, [], 0, "illegal memory access.*address 0x8"),
    "misaligned": (1, [four], 0, "misaligned access"),
    "bad_index": (1, [four, 4], 0, "index out of bounds"),
    "past_dynamic": (1, [10], 40, "wrote past the 40 bytes of dynamic shared memory"),
    "divides": (1, [four], 0, "integer division by zero"),
    "endless": (1, [four], 0, "does not end"),
    "deep": (1, [four], 0, "illegal memory access"),
    "traps": (1, [], 0, "__trap"),
    "parts_ways": (64, [], 0, r"thread \(32, 0, 0\): waits at another barrier than thread \(0, 0"),
    "deadlock": (32, [], 0, "deadlock, 32 threads.*__syncthreads.*collective with mask 0xffffffff"),
    "names_ended": (32, [], 0, "mask 0xffffffff. names lanes that have ended: lanes 0xfffffffe"),
    "names_absent": (33, [], 0, "names lanes past the block: lanes 0xfffffffe"),
    "not_named": (2, [], 0, "does not name the lane that calls it: lanes 0x2"),
    "reads_unnamed": (32, [four], 0, "reads from a lane that takes no part: lanes 0x100000"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults(name: str) -> None:
    block, arguments, shared, message = FAULTS[name]
    # Lane 0 last, so that the others have ended when it names them.
    schedule = "reverse" if name.startswith("names") else "forward"
    with pytest.raises(KernelFault, match=f"kernel {name}, block .*{message}"):
        program().launch(
            name, 1, block, arguments, shared_bytes=shared, schedule=schedule, seconds=0.2
        )
    # The emulator goes on as if nothing had happened.
    assert turned("forward", 1) == list(range(69, -1, -1))


@pytest.mark.parametrize(
    ("grid", "block", "arguments", "error", "message"),
    [
        (1, 32, [four], TypeError, "expected 3 arguments, got 1"),
        (1, 32, [four, four, four], TypeError, "argument 1: .*'i' with 8 bytes, got an array"),
        (1, 32, [four, np.int32(1), four], TypeError, "argument 1: .*8 bytes"),
        (1, 32, [four, 1.0, four], TypeError, "argument 1"),
        (1, 512, [four, 1, four], ValueError, "blocks of 1 to 256 threads, got .*512"),
        (0, 32, [four, 1, four], ValueError, "at least one block"),
    ],
)
def test_launches_that_do_not_fit(
    grid: int, block: int, arguments: list[object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        program().launch("sum", grid, block, arguments)  # type: ignore[arg-type]


def test_schedules_that_there_are_not() -> None:
    with pytest.raises(ValueError, match="forward, reverse or random:SEED"):
        program().launch("traps", 1, 1, [], schedule="sideways")


# ------------------------------------------------------------------------------------- compiling


def test_what_does_not_compile() -> None:
    with pytest.raises(CompileError, match="no kernel"):
        emulator.build("int f() { return 1; }")
    with pytest.raises(CompileError, match=r"source.cu:2:.*'?nothing"):
        emulator.build('extern "C" __global__ void f() {\n  nothing();\n}')


def test_a_text_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    library = emulator.build(SOURCE.read_text())
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: pytest.fail("compiles again"))
    assert emulator.build(SOURCE.read_text()) == library


@pytest.mark.parametrize(
    "source", [SOURCE, *sorted(KERNELS.glob("*.cu"))], ids=lambda path: path.name
)
def test_every_kernel_of_the_package_is_found(source: Path) -> None:
    nvidia = find_compiler()
    if nvidia is None:
        pytest.skip("needs NVRTC or nvcc, which say what kernels there are")
    headers = {path.name: path.read_text() for path in KERNELS.glob("*.cuh")}
    expected = entry_names(nvidia.compile(source.read_text(), headers, "sm_80"))
    found = emulator.load(source.read_text(), include=[KERNELS])
    assert found.kernels.keys() == expected


def test_no_standard_header_as_with_nvrtc() -> None:
    text = 'extern "C" __global__ void f(int64_t* out) { *out = INT64_C(1); }'
    with pytest.raises(CompileError, match="int64_t"):
        emulator.build(text)


OVERFLOW = """
import numpy as np
from tests.helpers import emulator
text = 'extern "C" __global__ void f(int* out) { out[threadIdx.x] = 1; }'
program = emulator.load(text, sanitize="address")
program.launch("f", 2, 4, [np.zeros(4, np.int32)])
print("within", flush=True)
program.launch("f", 2, 5, [np.zeros(4, np.int32)])
"""


def test_address_sanitizer_sees_one_element_too_many() -> None:
    found = [
        subprocess.run(
            [emulator.compiler() or "", f"-print-file-name={name}"], capture_output=True, text=True
        ).stdout.strip()
        for name in ("libasan.so", "libstdc++.so.6")
    ]
    if not Path(found[0]).is_absolute():
        pytest.skip("needs libasan")
    environment = {**os.environ, "LD_PRELOAD": ":".join(found), "ASAN_OPTIONS": "detect_leaks=0"}
    done = subprocess.run(
        [sys.executable, "-c", OVERFLOW], env=environment, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert done.stdout == "within\n"
    assert "heap-buffer-overflow" in done.stderr
