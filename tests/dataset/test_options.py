"""Parameters are checked when the data set is made."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from bigwig_loader.dataset.options import (
    BatchOptions,
    LoadOptions,
    SamplingOptions,
    ShareOptions,
    SourceOptions,
    ValueOptions,
    WindowOptions,
)
from bigwig_loader.errors import InvalidInputError
from tests.dataset.conftest import MakeDataset


@pytest.mark.parametrize(
    ("parameter", "bad"),
    [
        ("sequence_length", 0),
        ("sequence_length", 10.5),
        ("center_bin_to_predict", 61),
        ("center_bin_to_predict", 0),
        ("window_size", 0),
        ("window_size", 61),
        ("moving_average_window_size", 0),
        ("batch_size", 0),
        ("super_batch_size", 3),
        ("super_batch_size", -1),
        ("batches_per_epoch", 0),
        ("maximum_unknown_bases_fraction", 1.5),
        ("maximum_unknown_bases_fraction", float("nan")),
        ("sequence_encoder", "twohot"),
        ("default_value", "0"),
        ("first_n_files", 0),
        ("position_sampler_buffer_size", 0),
        ("sub_sample_tracks", 0),
        ("n_threads", 0),
        ("dtype", "float64"),
        ("device", "tpu"),
        ("seed", -1),
        ("prefetch", -1),
        ("prefetch", 1.0),
        ("cache_bytes", -1),
        ("cache_bytes", 1e9),
        ("max_jitter", -2),
        ("track_groups", "ab"),
        ("targets", "borzoi2"),
        ("uneven", "wrap"),
        ("custom_position_sampler", 3),
        ("custom_track_sampler", 3),
    ],
)
def test_bad_values_are_named(make: MakeDataset, parameter: str, bad: Any) -> None:
    with pytest.raises(InvalidInputError, match=parameter):
        make(**{parameter: bad})


GROUPS = [
    WindowOptions(),
    SamplingOptions(1),
    BatchOptions(),
    ValueOptions(),
    SourceOptions(),
    LoadOptions(),
    ShareOptions(),
]


@pytest.mark.parametrize("group", GROUPS, ids=lambda g: type(g).__name__)
def test_groups_are_frozen(group: Any) -> None:
    name = dataclasses.fields(group)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(group, name, getattr(group, name))


@pytest.mark.parametrize(
    ("length", "center", "size", "offset", "covered"),
    [(10, None, 1, 0, 10), (10, 4, 2, 3, 4), (10, 5, 2, 2, 4), (11, 4, 1, 3, 4), (7, 7, 7, 0, 7)],
)
def test_where_values_lie(
    length: int, center: int | None, size: int, offset: int, covered: int
) -> None:
    window = WindowOptions(length, center, size)
    assert (window.value_offset_bp, window.value_bp) == (offset, covered)


@pytest.mark.parametrize(
    ("batch", "super_batch", "at_once"), [(4, None, 1), (4, 4, 1), (4, 7, 1), (4, 8, 2), (1, 9, 9)]
)
def test_super_batches_are_whole_batches(batch: int, super_batch: int | None, at_once: int) -> None:
    assert BatchOptions(batch, super_batch).batches_at_once == at_once
