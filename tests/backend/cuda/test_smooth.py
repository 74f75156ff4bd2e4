"""Moving average and bins on the device: the bits of the CPU backend."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from bigwig_loader.backend.cpu.backend import CpuBackend
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.plan.smooth import SmoothOptions


def made_signal(seed: int, shape: tuple[int, ...], odd: bool) -> np.ndarray:
    """Values of very different size, whose sums depend on their order."""
    rng = np.random.default_rng(seed)
    signal = (rng.standard_normal(shape) * 10.0 ** rng.integers(-8, 8, shape)).astype(np.float32)
    if odd:
        signal[rng.random(shape) < 0.3] = np.nan
        signal[rng.random(shape) < 0.02] = np.inf
        signal[rng.random(shape) < 0.02] = -np.inf
        signal[rng.random(shape) < 0.05] = -0.0
        signal[..., : shape[-1] // 4] = np.nan
    return signal


@pytest.mark.parametrize(
    "fake_cuda",
    [{"mode": "late", "schedule": schedule} for schedule in ("forward", "reverse", "random:3")],
    ids=["forward", "reverse", "random"],
    indirect=True,
)
@pytest.mark.parametrize(
    ("width", "bin_size", "n_bins"),
    [(1, 1, 3), (2, 1, 300), (7, 3, 90), (50, 32, 9), (5, 256, 2), (9, 300, 2), (130, 100, 1)],
)
@pytest.mark.parametrize("odd", [False, True])
def test_equals_the_cpu(
    fake_cuda: ModuleType, width: int, bin_size: int, n_bins: int, odd: bool
) -> None:
    from bigwig_loader.backend.cuda.backend import CudaBackend

    # Bases behind the last whole bin do not count.
    signal = made_signal(width, (2, 3, n_bins * bin_size + width - 1 + bin_size // 2), odd)
    backend, host = CudaBackend(0), CpuBackend(1)
    for dtype, reverse, swap in (
        ("float32", None, None),
        ("float16", np.array([True, False]), (1, 2, 0)),
        ("bfloat16", np.array([False, True]), None),
    ):
        options = SmoothOptions(width, bin_size, dtype, swap)  # type: ignore[arg-type]
        wanted = host.smooth(signal, options, reverse)
        got = backend.to_host(backend.smooth(backend.to_device(signal), options, reverse))
        assert got.shape == wanted.shape
        assert got.dtype.itemsize == wanted.dtype.itemsize
        is_nan = np.isnan(wanted.astype(np.float32))
        assert is_nan.any() == odd or dtype != "float32"
        bits = f"u{wanted.dtype.itemsize}"
        same = got.view(bits) == wanted.view(bits)
        assert (same | is_nan).all()
        np.testing.assert_array_equal(np.isnan(got.view(wanted.dtype).astype(np.float32)), is_nan)


@pytest.mark.parametrize("fake_cuda", ["eager"], indirect=True)
@pytest.mark.parametrize(
    ("shape", "dtype"), [((0, 3, 20), "float32"), ((2, 0, 20), "float32"), ((2, 3, 6), "float16")]
)
def test_nothing_to_do(fake_cuda: ModuleType, shape: tuple[int, ...], dtype: Any) -> None:
    from bigwig_loader.backend.cuda.backend import CudaBackend

    backend = CudaBackend(0)
    signal = backend.empty(shape, "float32")
    made = backend.smooth(signal, SmoothOptions(5, 10, dtype))
    assert made.shape == (shape[0], (shape[2] - 4) // 10, shape[1])
    assert made.size == 0


@pytest.mark.parametrize("fake_cuda", ["eager"], indirect=True)
def test_signal_has_to_be_plain(fake_cuda: ModuleType) -> None:
    from bigwig_loader.backend.cuda.backend import CudaBackend

    backend = CudaBackend(0)
    for signal in (backend.empty((2, 3, 20), "float16"), backend.empty((2, 3, 40), "float32")):
        part = signal if signal.dtype != np.float32 else signal[:, :, :20]
        with pytest.raises(InvalidInputError, match="C-contiguous float32"):
            backend.smooth(part, SmoothOptions(5))
