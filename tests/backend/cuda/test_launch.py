"""How windows are cut into tiles: every bin of every track is in one that the kernels can make."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigwig_loader.backend.cuda import launch
from bigwig_loader.backend.cuda.launch import raster_launch, tile_shape
from bigwig_loader.plan.signal import SignalOptions
from bigwig_loader.types import STATISTICS
from tests.helpers.shared import REPOSITORY


@given(
    st.integers(1, 300),
    st.one_of(st.integers(1, 3_000), st.integers(1, 1 << 32)),
    st.sampled_from([launch.BASE_STRIP, launch.BIN_STRIP]),
    st.integers(1, launch.MOST_STEPS),
)
def test_tiles_cover_a_window_once(n_tracks: int, n_bins: int, strip: int, steps: int) -> None:
    shape = tile_shape(n_tracks, n_bins, strip, steps)
    assert 1 <= shape.n_steps <= steps
    assert 1 <= shape.group_tracks * shape.strips_per_row <= launch.TILE_STRIPS
    assert (shape.n_groups - 1) * shape.group_tracks < n_tracks
    assert shape.n_groups * shape.group_tracks >= n_tracks
    n_runs, rest = divmod(shape.n_tiles, shape.n_groups)
    assert rest == 0
    tile_bins = shape.strips_per_row * shape.n_steps * strip
    assert (n_runs - 1) * tile_bins < n_bins <= n_runs * tile_bins


def test_numbers_are_those_of_the_kernels() -> None:
    folder = REPOSITORY / "cuda_kernels"
    text = (folder / "rasterize.cuh").read_text() + (folder / "rasterize.cu").read_text()
    numbers = {name: int(n) for name, n in re.findall(r"constexpr int (k\w+) = (\d+);", text)}
    assert numbers["kTileStrips"] == launch.TILE_STRIPS
    assert numbers["kBaseStrip"] == launch.BASE_STRIP
    assert numbers["kBinStrip"] == launch.BIN_STRIP
    assert numbers["kThreads"] == launch.N_THREADS
    assert f"kBins + {launch.STRIP_PADDING};" in text


@pytest.mark.parametrize("statistic", STATISTICS)
def test_each_statistic_has_its_kernel(statistic: str) -> None:
    options = SignalOptions(bin_size=2, statistic=statistic)  # type: ignore[arg-type]
    of_bins = raster_launch(options, 3, 2, 100, 132)
    assert of_bins.statistic == np.int32(STATISTICS.index(statistic))
    text = (REPOSITORY / "cuda_kernels" / "rasterize.cu").read_text()
    assert f"BWL_RASTERIZE_KERNEL({of_bins.kernel}," in text
    options = SignalOptions(bin_size=1, statistic=statistic)  # type: ignore[arg-type]
    is_base = raster_launch(options, 3, 2, 100, 132).kernel == "bwl_rasterize_bases"
    assert is_base == (statistic in ("mean", "sum", "max", "min"))


def test_shared_memory_is_what_any_device_has_and_grids_what_cuda_takes() -> None:
    options = SignalOptions()
    for n_windows, n_tracks, n_bins in ((1, 1, 1), (70_000, 1, 10), (4, 100, 524_288), (1, 31, 99)):
        found = raster_launch(options, n_windows, n_tracks, n_bins, 132)
        assert 0 < found.shared_bytes <= 40 << 10
        assert found.grid == (found.shape.n_tiles, min(n_windows, 65_535))
    for nothing in ((0, 1, 1), (1, 0, 1), (1, 1, 0)):
        assert 0 in raster_launch(options, *nothing, 132).grid


def test_large_batches_go_in_steps_and_small_ones_to_all_multiprocessors() -> None:
    options = SignalOptions()
    assert raster_launch(options, 8, 100, 524_288, 132).shape.n_steps == launch.MOST_STEPS
    small = raster_launch(options, 1, 20, 1_000, 132)
    assert (small.shape.n_steps, small.shape.n_tiles) == (1, 4)
