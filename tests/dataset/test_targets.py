"""Targets by name in a data set: bins, statistic, transform, scale."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bigwig_loader.collection import BigWigCollection
from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.plan.signal import TrackTransform
from bigwig_loader.plan.targets import TargetPreset
from tests.dataset.conftest import MakeDataset, World


def squashed(bins: np.ndarray) -> np.ndarray:
    powered = bins**0.75
    return np.where(powered > 384, 384 + np.sqrt(np.maximum(powered - 384, 0)), powered)


@pytest.mark.parametrize("scale", [None, {"a": 100.0}])
@pytest.mark.parametrize("opened", [False, True])
def test_borzoi(
    make: MakeDataset, world: World, scale: dict[str, float] | None, opened: bool
) -> None:
    """With a scale, bins are far above the soft clip."""
    options: dict[str, Any] = {"sequence_length": 128, "window_size": 32, "targets": "borzoi"}
    if opened:
        options |= {"collection": BigWigCollection(world.bigwig_dir, scale=scale)}
    else:
        options |= {"scale": scale}
    largest = 0.0
    for batch in make(**options):
        assert batch.values.shape == (4, 4, 3)
        for i, chrom in enumerate(batch.chromosomes):
            start, end = int(batch.starts[i]), int(batch.ends[i])
            values = world.values(chrom, start, end)
            values = values * ([100.0, 1.0, 1.0] if scale else 1.0)
            expected = squashed(values.reshape(4, 32, 3).sum(axis=1))
            np.testing.assert_allclose(batch.values[i], expected, rtol=1e-5)
            largest = max(largest, expected.max())
    assert (largest > 384) == (scale is not None)


def test_a_target_for_some_tracks(make: MakeDataset) -> None:
    plain = next(iter(make(window_size=4)))
    batch = next(iter(make(window_size=4, targets={"a": TrackTransform(log1p=True)})))
    np.testing.assert_allclose(batch.values[:, :, 0], np.log1p(plain.values[:, :, 0]), rtol=1e-6)
    np.testing.assert_array_equal(batch.values[:, :, 1:], plain.values[:, :, 1:])


def test_a_presets_statistic_is_that_of_all_tracks(make: MakeDataset) -> None:
    largest = TargetPreset(TrackTransform(), "max")
    batch = next(iter(make(window_size=4, targets={"[ab]": largest})))
    base = next(iter(make()))
    np.testing.assert_array_equal(batch.values, base.values.reshape(4, 15, 4, 3).max(axis=2))


def test_the_default_value_is_part_of_a_sum(make: MakeDataset, world: World) -> None:
    summed = TargetPreset(TrackTransform(), "sum")
    for batch in make(window_size=20, targets=summed, default_value=0.5):
        for i, chrom in enumerate(batch.chromosomes):
            values = world.values(chrom, int(batch.starts[i]), int(batch.ends[i]), 0.5)
            expected = values.reshape(3, 20, 3).sum(axis=1)
            np.testing.assert_allclose(batch.values[i], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"targets": "borzoi"}, r"window_size: expected 32.*got 1"),
        ({"targets": "Borzoi", "window_size": 32}, "'borzoi'"),
        (
            {"targets": "borzoi", "window_size": 32, "moving_average_window_size": 3},
            "moving_average_window_size: expected 1",
        ),
        ({"targets": "bpnet", "collection": None}, r"targets: expected None without a collection"),
    ],
)
def test_what_does_not_fit_is_refused(
    make: MakeDataset, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        make(**options)
    with pytest.raises(NotFoundError, match="targets"):
        make(targets={"z*": "bpnet"})


def test_bare_transforms_go_with_a_moving_average(make: MakeDataset) -> None:
    """They come before it, as the collection's own do."""
    options: dict[str, Any] = {"moving_average_window_size": 5, "window_size": 2}
    transform = TrackTransform(log1p=True)
    by_target = next(iter(make(targets=transform, **options)))
    collection = make().collection
    assert collection is not None
    by_hand = next(iter(make(collection=collection.with_transforms(transform), **options)))
    np.testing.assert_array_equal(by_target.values, by_hand.values)


def test_states_differ_by_target(make: MakeDataset) -> None:
    summed = TargetPreset(TrackTransform(), "sum")
    for targets, named in ((summed, "statistic"), (TrackTransform(power=0.5), "transforms")):
        with pytest.raises(InvalidInputError, match=f"state: .*{named}"):
            make(targets=targets).load_state_dict(make().state_dict())
