"""Moving average and binning, against `np.convolve` and plain loops along bp."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bigwig_loader.backend.cpu import smooth as cpu_smooth
from bigwig_loader.backend.cpu.backend import CpuBackend
from bigwig_loader.backend.cpu.smooth import bin_mean, moving_average
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.plan.smooth import SmoothOptions, margins
from bigwig_loader.types import numpy_dtype


def smooth_and_bin(
    signal: np.ndarray, width: int, bin_size: int, dtype: Any = "float32", **more: Any
) -> np.ndarray:
    reverse = more.pop("reverse", None)
    options = SmoothOptions(width, bin_size, dtype, **more)
    made: np.ndarray = CpuBackend(1).smooth(signal, options, reverse)
    return made


def signals(nan: bool) -> st.SearchStrategy[np.ndarray]:
    shapes = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 40))
    finite = st.floats(-1000, 1000, width=32)
    values = st.one_of(finite, st.just(np.nan)) if nan else finite
    return shapes.flatmap(lambda shape: hnp.arrays(np.float32, shape, elements=values))


def mean_of(values: np.ndarray) -> float:
    known = [float(v) for v in values if not np.isnan(v)]
    return sum(known) / len(known) if known else np.nan


@given(signals(nan=False), st.data())
def test_moving_average_equals_convolve_along_bp(signal: np.ndarray, data: st.DataObject) -> None:
    width = data.draw(st.integers(1, signal.shape[2]))
    got = moving_average(signal, width)
    box = np.ones(width) / width
    for example, track in np.ndindex(signal.shape[:2]):
        expected = np.convolve(signal[example, track].astype(np.float64), box, "valid")
        np.testing.assert_allclose(got[example, track], expected, rtol=0, atol=1e-9)


@given(signals(nan=True), st.data())
def test_nan_is_left_out(signal: np.ndarray, data: st.DataObject) -> None:
    width = data.draw(st.integers(1, signal.shape[2]))
    bin_size = data.draw(st.integers(1, signal.shape[2] - width + 1))
    got = moving_average(signal, width)
    for example, track, base in np.ndindex(got.shape):
        expected = mean_of(signal[example, track, base : base + width])
        np.testing.assert_allclose(got[example, track, base], expected, rtol=0, atol=1e-9)
    binned = bin_mean(got, bin_size)
    for example, track, number in np.ndindex(binned.shape):
        part = got[example, track, number * bin_size : (number + 1) * bin_size]
        np.testing.assert_allclose(binned[example, track, number], mean_of(part), rtol=0, atol=1e-9)


def test_large_values_and_infinities_leave_no_trace_outside_their_boxes() -> None:
    signal = np.ones((1, 1, 30), np.float32)
    signal[0, 0, 7], signal[0, 0, 20] = 3e38, np.inf
    got = smooth_and_bin(signal, 3, 1, "float32")[0, :, 0]
    untouched = [i for i in range(28) if not ({7, 20} & set(range(i, i + 3)))]
    assert (got[untouched] == 1.0).all()
    assert np.isinf(got[18:21]).all()
    assert (got[5:8] > 9e37).all()


def test_meeting_infinities_are_nan_without_a_warning() -> None:
    signal = np.array([np.inf, -np.inf, 1, 1], np.float32).reshape(1, 1, 4)
    np.testing.assert_array_equal(
        smooth_and_bin(signal, 2, 1, "float32")[0, :, 0], [np.nan, -np.inf, 1]
    )


@pytest.mark.parametrize(
    ("width", "expected"), [(1, (0, 0)), (2, (1, 0)), (5, (2, 2)), (6, (3, 2))]
)
def test_margins(width: int, expected: tuple[int, int]) -> None:
    assert margins(width) == expected


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_dtypes_are_rounded_by_way_of_float32(dtype: str) -> None:
    signal = np.random.default_rng(0).random((2, 3, 24), np.float32)
    full = smooth_and_bin(signal, 5, 4, "float32")
    got = smooth_and_bin(signal, 5, 4, dtype)
    assert got.dtype == numpy_dtype(dtype)
    np.testing.assert_array_equal(got, full.astype(numpy_dtype(dtype)))
    assert got.shape == (2, 5, 3)


def test_small_groups_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    signal = np.random.default_rng(1).random((7, 3, 50), np.float32)
    whole = smooth_and_bin(signal, 9, 2, "float32")
    monkeypatch.setattr(cpu_smooth, "WORKING_BYTES", 1)
    np.testing.assert_array_equal(smooth_and_bin(signal, 9, 2, "float32"), whole)


def test_rows_are_turned_with_their_tracks() -> None:
    signal = np.random.default_rng(2).random((3, 3, 12), np.float32)
    forward = smooth_and_bin(signal, 3, 2)
    reverse = np.array([True, False, True])
    plain = smooth_and_bin(signal, 3, 2, reverse=reverse)
    np.testing.assert_array_equal(plain[0], forward[0, ::-1])
    np.testing.assert_array_equal(plain[1], forward[1])
    # Track i goes to place swap[i], also where that is no exchange of pairs.
    swapped = smooth_and_bin(signal, 3, 2, reverse=reverse, track_swap=(1, 2, 0))
    for track, place in enumerate((1, 2, 0)):
        np.testing.assert_array_equal(swapped[2, :, place], forward[2, ::-1, track])
    np.testing.assert_array_equal(swapped[1], forward[1])


@pytest.mark.parametrize("reverse", [None, np.zeros(3, bool)])
def test_nothing_to_turn(reverse: np.ndarray | None) -> None:
    signal = np.random.default_rng(3).random((3, 2, 12), np.float32)
    got = smooth_and_bin(signal, 3, 2, reverse=reverse, track_swap=(1, 0))
    np.testing.assert_array_equal(got, smooth_and_bin(signal, 3, 2))


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((2, 3), {"width_bp": 2}, "argument signal"),
        ((2, 3, 4), {"width_bp": 5}, "at least 5"),
        ((2, 3, 4), {"width_bp": 2, "track_swap": (1, 0)}, "expected 3 places"),
    ],
)
def test_what_does_not_fit(shape: tuple[int, ...], options: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        CpuBackend(1).smooth(np.zeros(shape, np.float32), SmoothOptions(**options))
