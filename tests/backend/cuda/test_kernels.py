"""Sources of kernels as one text, and launches of them."""

from __future__ import annotations

import importlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bigwig_loader.errors import BackendUnavailableError, InvalidInputError
from tests.helpers.nvrtc import find_compiler

pytestmark = pytest.mark.usefixtures("fake_cuda")
SOURCES = Path(__file__).parents[3] / "cuda_kernels"

KERNELS = """#include "a.cuh"
extern "C" __global__ void add(int64_t n, const int32_t* a, float by, int32_t* out) {
  extern __shared__ int32_t room[];
  const int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  room[threadIdx.x] = a[i];
  out[i] = twice(room[threadIdx.x]) + (int32_t)by;
}
"""
HEADER = """#pragma once
#include "sub/b.cuh"
inline __device__ int32_t twice(int32_t x) { return x * kTwo; }
"""
OTHER = """#pragma once
#include "../a.cuh"
#if defined(__CUDACC_RTC__)
typedef int int32_t;
typedef long long int64_t;
#else
#include <stdint.h>
#endif
#define kTwo 2
"""


@pytest.fixture
def kernels() -> Any:
    """`kernels.py`, which imports CuPy."""
    return importlib.import_module("bigwig_loader.backend.cuda.kernels")


@pytest.fixture
def folder(kernels: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Sources of the test's own."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "k.cu").write_text(KERNELS)
    (tmp_path / "a.cuh").write_text(HEADER)
    (tmp_path / "sub" / "b.cuh").write_text(OTHER)
    monkeypatch.setattr(kernels, "source_folder", lambda: tmp_path)
    kernels.source_text.cache_clear()
    yield tmp_path
    kernels.source_text.cache_clear()


@pytest.fixture
def device() -> Any:
    return importlib.import_module("bigwig_loader.backend.cuda.device").Device(0)


def test_headers_are_put_in_once(kernels: Any, folder: Path) -> None:
    text = kernels.source_text("k.cu")
    assert text.count("twice(int32_t x)") == 1
    assert text.count("#define kTwo") == 1
    assert '#include "' not in text
    assert "#pragma once" not in text
    assert text.index("#define kTwo") < text.index("twice(int32_t x)") < text.index("void add")


def test_messages_name_file_and_line(kernels: Any, folder: Path) -> None:
    # Every line says where it is from, if `#line` is followed as a compiler does.
    seen: dict[tuple[str, int], str] = {}
    name, number = "", 0
    for line in kernels.source_text("k.cu").splitlines():
        if line.startswith("#line"):
            _, at, quoted = line.split()
            name, number = quoted.strip('"'), int(at)
        else:
            seen[name, number] = line
            number += 1
    for path in ("k.cu", "a.cuh", "sub/b.cuh"):
        for number, line in enumerate((folder / path).read_text().splitlines(), start=1):
            if not line.startswith(('#include "', "#pragma")):
                assert seen[path, number] == line


def test_a_missing_header(kernels: Any, folder: Path) -> None:
    (folder / "a.cuh").unlink()
    with pytest.raises(BackendUnavailableError, match=r"a\.cuh cannot be read.*--force-reinstall"):
        kernels.source_text("k.cu")


def test_the_packages_sources(kernels: Any) -> None:
    assert kernels.source_folder().samefile(SOURCES)
    sources = sorted(path.name for path in SOURCES.glob("*.cu"))
    assert "inflate.cu" in sources
    for name in sources:
        assert '#include "' not in kernels.source_text(name)


def test_the_text_compiles_without_folders(kernels: Any, folder: Path) -> None:
    compiler = find_compiler()
    if compiler is None:
        pytest.skip("no CUDA compiler here")
    assert compiler.compile(kernels.source_text("k.cu"), {}, "sm_90")


@pytest.fixture
def add(device: Any, folder: Path) -> Callable[..., list[int]]:
    """Launches the kernel for five numbers in room for eight, by tens."""

    def call(grid: Any = 2, block: Any = 4, n: Any = 5, **how: Any) -> list[int]:
        stream = device.stream()
        memory, pinned = device.memory(64), device.pinned(64)
        pinned.array[:32] = np.arange(8, dtype=np.int32).view(np.uint8)
        device.upload(memory.address, pinned.address, 32, stream)
        device.fill(memory.address + 32, 0, 32, stream)
        args = (n, memory.address, np.float32(10), memory.address + 32)
        device.kernels("k.cu").launch("add", grid, block, args, stream, **how)
        device.download(pinned.address, memory.address + 32, 32, stream)
        stream.synchronize()
        return pinned.array[:32].view(np.int32).tolist()  # type: ignore[no-any-return]

    return call


def test_a_launch(add: Callable[..., list[int]], device: Any, folder: Path) -> None:
    assert add(shared_bytes=16) == [10, 12, 14, 16, 18, 0, 0, 0]
    assert add((2,), (4, 1, 1), np.int64(3), shared_bytes=16) == [10, 12, 14, 0, 0, 0, 0, 0]
    assert add(grid=0) == [0] * 8  # nothing is launched
    assert add(grid=(2, 0)) == [0] * 8
    # More shared memory than a kernel may have without asking.
    assert add(shared_bytes=100_000) == [10, 12, 14, 16, 18, 0, 0, 0]
    assert device.kernels("k.cu") is device.kernels("k.cu")


def test_launches_on_two_devices_and_in_the_callers_context(
    add: Callable[..., list[int]], kernels: Any, folder: Path
) -> None:
    cupy = importlib.import_module("cupy")
    with cupy.cuda.Device(1), cupy.cuda.Stream(non_blocking=True) as stream:
        assert add(shared_bytes=16)[0] == 10  # on device 0, in a stream of its own
        assert cupy.cuda.get_current_stream() == stream
        assert cupy.cuda.runtime.getDevice() == 1


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"grid": -1}, "expected a grid of 1 to"),
        ({"grid": (1, 65_536)}, "expected a grid of 1 to"),
        ({"grid": 2**31}, "expected a grid of 1 to"),
        ({"grid": (1, 1, 1, 1)}, "expected a grid of 1 to"),
        ({"block": 0}, "expected a block of 1 to"),
        ({"block": (1, 1, 65)}, "expected a block of 1 to"),
        ({"block": (64, 32)}, "expected at most 1024 threads in a block; got 2048"),
        ({"shared_bytes": 1 << 20}, "bytes of shared memory on cuda:0; got 1048576"),
        ({"n": True}, "expected an integer or a NumPy scalar; got True"),
        ({"n": 2.0}, "expected an integer or a NumPy scalar; got 2.0"),
    ],
)
def test_launches_that_cannot_be(
    add: Callable[..., list[int]], how: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidInputError, match=said):
        add(**how)


def test_a_source_that_does_not_compile(device: Any, folder: Path) -> None:
    (folder / "k.cu").write_text(f"{KERNELS}int32_t oops = nonsense;\n")
    line = KERNELS.count("\n") + 1
    with pytest.raises(BackendUnavailableError) as raised:
        device.kernels("k.cu").launch("add", 1, 1, (), device.stream())
    message = str(raised.value)
    for said in (
        "kernel add of k.cu cannot be used on cuda:0",
        f"k.cu:{line}",
        "nonsense",
        "doctor",
    ):
        assert said in message


def test_a_kernel_that_is_not_there(device: Any, folder: Path) -> None:
    with pytest.raises(BackendUnavailableError, match=r"kernel subtract of k\.cu"):
        device.kernels("k.cu").launch("subtract", 1, 1, (), device.stream())


def test_options_are_known_to_the_compiler(kernels: Any, folder: Path) -> None:
    compiler = find_compiler()
    if compiler is None or compiler.name != "nvcc":
        pytest.skip("needs nvcc, which takes options from here")
    images = importlib.import_module("bigwig_loader.backend.cuda.images")
    (folder / "whole.cu").write_text(kernels.source_text("k.cu"))
    command = ["nvcc", *images.OPTIONS, "-arch=sm_90", "-cubin", "-o", "k.cubin", "whole.cu"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
