"""Rounding of float32 to the 16-bit types: `dtype.cuh` on the host against NumPy and ml_dtypes."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Callable

import ml_dtypes
import numpy as np
import pytest

from tests.helpers.shared import REPOSITORY

SOURCE = """
#include "dtype.cuh"
extern "C" void round_all(const float* in, uint16_t* half, uint16_t* brain, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    half[i] = bwl::to_float16_bits(in[i]);
    brain[i] = bwl::to_bfloat16_bits(in[i]);
  }
}
"""

Rounding = Callable[[np.ndarray], dict[str, np.ndarray]]


@pytest.fixture(scope="module")
def rounded(tmp_path_factory: pytest.TempPathFactory) -> Rounding:
    compiler = shutil.which(os.environ.get("CXX", "g++")) or shutil.which("clang++")
    if compiler is None:
        pytest.skip("needs a C++ compiler (CXX, g++ or clang++)")
    folder = tmp_path_factory.mktemp("dtype")
    (folder / "dtype.cpp").write_text(SOURCE)
    library = folder / "dtype.so"
    options = ["-O2", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    include = f"-I{REPOSITORY / 'cuda_kernels'}"
    command = [compiler, *options, include, "-o", str(library), str(folder / "dtype.cpp")]
    subprocess.run(command, check=True)
    function = ctypes.CDLL(str(library)).round_all
    function.argtypes = [ctypes.c_void_p] * 3 + [ctypes.c_int64]
    function.restype = None

    def call(bits: np.ndarray) -> dict[str, np.ndarray]:
        bits = np.ascontiguousarray(bits, np.uint32)
        half, brain = np.empty((2, bits.size), np.uint16)
        function(bits.ctypes.data, half.ctypes.data, brain.ctypes.data, bits.size)
        return {"float16": half, "bfloat16": brain}

    return call


def assert_rounded(rounded: Rounding, bits: np.ndarray) -> None:
    values = bits.astype(np.uint32).view(np.float32)
    got = rounded(bits)
    nan = np.isnan(values)
    for name, dtype in (("float16", np.float16), ("bfloat16", ml_dtypes.bfloat16)):
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            want = values.astype(dtype).view(np.uint16)
        np.testing.assert_array_equal(got[name][~nan], want[~nan], err_msg=name)
        # Any NaN will do, with the sign it had.
        assert np.isnan(got[name][nan].view(dtype).astype(np.float32)).all()
        np.testing.assert_array_equal(got[name][nan] >> 15, bits[nan] >> 31, err_msg=name)


def test_a_sample_of_all_bit_patterns(rounded: Rounding) -> None:
    rng = np.random.default_rng(0)
    # One of every 2,048 neighbours, all over the 2^32.
    bits = np.arange(0, 1 << 32, 2048, dtype=np.uint64)
    bits += rng.integers(0, 2048, bits.size, dtype=np.uint64)
    assert_rounded(rounded, bits.astype(np.uint32))


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_every_halfway_case_and_its_neighbours(rounded: Rounding, dtype: type) -> None:
    every = np.arange(1 << 16, dtype=np.uint16).view(dtype)
    with np.errstate(invalid="ignore"):
        finite = np.sort(every.astype(np.float64))
    finite = finite[np.isfinite(finite)]
    # Past the largest value the next step of the same size, where rounding to infinity begins.
    finite = np.concatenate([finite, [2 * finite[-1] - finite[-2], 2 * finite[0] - finite[1]]])
    finite = np.sort(finite)
    half = (finite[1:] + finite[:-1]) / 2
    with np.errstate(over="ignore"):
        bits = np.concatenate([finite, half]).astype(np.float32).view(np.uint32)
    around = np.concatenate([bits - 1, bits, bits + 1])
    assert_rounded(rounded, around)


@pytest.mark.parametrize(
    ("value", "half", "brain"),
    [
        (1.0, 0x3C00, 0x3F80),
        (-0.0, 0x8000, 0x8000),
        (65504.0, 0x7BFF, 0x4780),
        (65519.99609375, 0x7BFF, 0x4780),  # the last that does not become infinity
        (65520.0, 0x7C00, 0x4780),
        (float("inf"), 0x7C00, 0x7F80),
        (2.0**-24, 0x0001, 0x3380),
        (2.0**-25, 0x0000, 0x3300),  # halfway to the least subnormal: to even, which is zero
        (1.5 * 2.0**-24, 0x0002, 0x33C0),
        (3.4028234663852886e38, 0x7C00, 0x7F80),
    ],
)
def test_known_values(rounded: Rounding, value: float, half: int, brain: int) -> None:
    got = rounded(np.array([value], np.float32).view(np.uint32))
    assert (got["float16"][0], got["bfloat16"][0]) == (half, brain)
