"""Options and transforms: what they say of themselves, and what they refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.plan.signal import SignalOptions, TrackTransform, pack_transforms


@pytest.mark.parametrize(("layout", "shape"), [("BNT", (3, 33, 5)), ("BTN", (3, 5, 33))])
def test_shape(layout: str, shape: tuple[int, int, int]) -> None:
    assert SignalOptions(3, layout=layout).shape(3, 100, 5) == shape  # type: ignore[arg-type]


def test_out_of_bounds_is_uncovered_unless_given() -> None:
    assert SignalOptions(uncovered=2.0).fill_out_of_bounds == 2.0
    assert SignalOptions(uncovered=2.0, out_of_bounds=0.0).fill_out_of_bounds == 0.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"bin_size": 0},
        {"bin_size": 1.5},
        {"bin_size": True},
        {"statistic": "median"},
        {"dtype": "float64"},
        {"dtype": "uint8"},
        {"layout": "TBN"},
        {"n_threads": 0},
        {"track_swap": (0, 0)},
        {"track_swap": (1, 2)},
    ],
)
def test_options_that_cannot_be(wrong: dict) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(wrong))):
        SignalOptions(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"scale": math.nan},
        {"scale": math.inf},
        {"clip": (2.0, 1.0)},
        {"clip": (0, math.nan)},
        {"nan_to": math.nan},
        {"nan_to": -math.inf},
    ],
)
def test_transforms_that_cannot_be(wrong: dict) -> None:
    with pytest.raises(InvalidInputError, match=f"transform {next(iter(wrong))}"):
        TrackTransform(**wrong)


def test_packed_transforms() -> None:
    packed = pack_transforms(
        [TrackTransform(), TrackTransform(2.0, (0.0, 9.0), True, 0.75, 384.0, 0.5)]
    )
    assert packed.dtype == np.float32
    assert packed.flags.c_contiguous
    np.testing.assert_array_equal(packed, [[1, *[np.nan] * 6], [2, 0, 9, 1, 0.75, 384, 0.5]])
    assert pack_transforms([]).shape == (0, 7)
