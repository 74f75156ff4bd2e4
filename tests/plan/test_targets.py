"""Presets against the formulas of the papers, and which track gets which."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.plan.signal import TrackTransform
from bigwig_loader.plan.targets import PRESETS, TargetPreset, choose_targets, log_counts

NAMES = ["K562.RNA", "K562.DNASE", "liver.RNA"]
PLAIN = [TrackTransform()] * 3
TWICE = [TrackTransform(scale=2.0), TrackTransform(scale=3.0, log1p=True), TrackTransform()]


def test_one_target_for_all() -> None:
    transforms, statistic = choose_targets("borzoi", NAMES, PLAIN, 32)
    assert transforms == [TrackTransform(power=0.75, soft_clip=384.0)] * 3
    assert statistic == "sum"


def test_a_bare_transform_goes_with_any_statistic() -> None:
    transform = TrackTransform(clip=(0.0, 5.0))
    assert choose_targets(transform, NAMES, PLAIN, 7) == ([transform] * 3, None)


def test_scale_is_kept_and_the_rest_replaced() -> None:
    transforms, _ = choose_targets(TrackTransform(scale=10.0, power=0.5), NAMES, TWICE, 1)
    assert [t.scale for t in transforms] == [20.0, 30.0, 10.0]
    assert [t.power for t in transforms] == [0.5] * 3
    assert not any(t.log1p for t in transforms)


def test_names_come_before_patterns_and_patterns_in_order() -> None:
    one, two, three = (TrackTransform(power=p) for p in (1.0, 2.0, 3.0))
    chosen, _ = choose_targets({"*RNA": one, "K562*": two, "liver.RNA": three}, NAMES, TWICE, 1)
    assert [t.power for t in chosen] == [1.0, 2.0, 3.0]
    chosen, _ = choose_targets({"*.RNA": one}, NAMES, TWICE, 1)
    assert chosen[1] == TWICE[1]
    assert [t.power for t in chosen] == [1.0, None, 1.0]


def test_presets_of_one_statistic_mix() -> None:
    chosen, statistic = choose_targets(
        {"*RNA": "enformer-cage", "*DNASE": "enformer"}, NAMES, PLAIN, 128
    )
    assert [t.soft_clip for t in chosen] == [384.0, 32.0, 384.0]
    assert statistic == "mean"


@pytest.mark.parametrize(
    ("targets", "bin_size", "message"),
    [
        ("borzoy", 32, "'borzoi'.*got 'borzoy'"),
        (5, 32, "TrackTransform"),
        ({}, 32, "at least one"),
        ("borzoi", 16, "window_size: expected 32.*'borzoi'.*got 16"),
        ({"*RNA": "bpnet"}, 2, r"expected 1.*'K562\.RNA'"),
        (
            {
                "*RNA": TargetPreset(TrackTransform(), "sum"),
                "*E": TargetPreset(TrackTransform(), "max"),
            },
            8,
            r"'sum' for 'K562\.RNA', 'max' for 'K562\.DNASE'",
        ),
    ],
)
def test_what_does_not_fit_is_refused(targets: Any, bin_size: int, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        choose_targets(targets, NAMES, PLAIN, bin_size)


def test_entries_of_no_track_are_refused() -> None:
    with pytest.raises(NotFoundError, match=r"'\*ATAC\*'.*targets"):
        choose_targets({"*ATAC*": "borzoi"}, NAMES, PLAIN, 32)
    with pytest.raises(NotFoundError, match=r"'k562\.RNA'.*near names: K562\.RNA"):
        choose_targets({"k562.RNA": "borzoi"}, NAMES, PLAIN, 32)


@pytest.mark.parametrize(("statistic", "bin_size"), [("median", 1), ("sum", 0)])
def test_a_preset_is_checked(statistic: Any, bin_size: int) -> None:
    with pytest.raises(InvalidInputError):
        TargetPreset(TrackTransform(), statistic, bin_size)


def apply(preset: TargetPreset, values: np.ndarray) -> np.ndarray:
    """A preset the slow way, from base-resolution values (L,)."""
    step = preset.transform
    if step.nan_to is not None:
        values = np.where(np.isnan(values), step.nan_to, values)
    bins = (values * step.scale).reshape(-1, preset.bin_size or 1)
    binned = bins.sum(axis=1) if preset.statistic == "sum" else bins.mean(axis=1)
    if step.power is not None:
        binned = binned**step.power
    if step.soft_clip is not None:
        above = np.maximum(binned - step.soft_clip, 0)
        binned = np.where(binned > step.soft_clip, step.soft_clip + np.sqrt(above), binned)
    return binned


def published(name: str, values: np.ndarray) -> np.ndarray:
    """The papers' formulas, written from them and not from the presets."""
    if name == "bpnet":
        return values
    if name == "borzoi":
        squashed = values.reshape(-1, 32).sum(axis=1) ** (3 / 4)
        return np.array([y if y <= 384 else 384 + np.sqrt(y - 384) for y in squashed])
    bins = values.reshape(-1, 128)
    if name.endswith("cage"):
        return np.array([y if y <= 384 else 384 + (y - 384) ** 0.5 for y in bins.sum(axis=1)])
    return np.array([y if y <= 32 else 32 + (y - 32) ** 0.5 for y in bins.mean(axis=1)])


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_are_the_published_formulas(name: str) -> None:
    rng = np.random.default_rng(0)
    # From nothing to far above every threshold.
    values = np.repeat(np.geomspace(1e-3, 1e3, 64), 128) * rng.random(64 * 128)
    np.testing.assert_allclose(apply(PRESETS[name], values), published(name, values), rtol=1e-12)


def test_bpnet_takes_missing_counts_for_none() -> None:
    assert apply(PRESETS["bpnet"], np.array([1.0, np.nan, 3.0])).tolist() == [1.0, 0.0, 3.0]


def test_log_counts() -> None:
    rng = np.random.default_rng(1)
    values = rng.integers(0, 50, (5, 30, 4)).astype(np.float32)
    each = log_counts(values)
    assert each.dtype == np.float32
    for example, track in np.ndindex(5, 4):
        expected = np.log(1 + sum(float(v) for v in values[example, :, track]))
        assert each[example, track] == pytest.approx(expected, rel=1e-6)
    paired = log_counts(values, [[0, 1], [3]])
    assert paired.shape == (5, 2)
    np.testing.assert_allclose(np.expm1(paired[:, 0]), np.expm1(each[:, :2]).sum(axis=1), rtol=1e-5)
    np.testing.assert_array_equal(paired[:, 1], each[:, 3])
    np.testing.assert_array_equal(log_counts(values.swapaxes(1, 2), layout="BTN"), each)


def test_log_counts_leave_nan_out() -> None:
    values = np.array([[[np.nan], [3.0], [4.0]]], np.float32)
    assert log_counts(values)[0, 0] == pytest.approx(np.log(8.0))
    with pytest.raises(InvalidInputError, match="layout"):
        log_counts(values, layout="NTB")  # type: ignore[arg-type]
