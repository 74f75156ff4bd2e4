"""Launches of the signal kernels: how the work is cut, grids, threads and shared memory.

The numbers here are those of `cuda_kernels/rasterize.cuh` and of the launch bounds in
`cuda_kernels/rasterize.cu`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bigwig_loader.plan.blocks import SignalPlan
from bigwig_loader.plan.signal import SignalOptions
from bigwig_loader.types import STATISTICS, Statistic

if TYPE_CHECKING:
    from bigwig_loader.backend.cuda.device import Device, Stream

WARP = 32
# Threads of a block: eight warps, of which several blocks stay on a multiprocessor.
N_THREADS = 256
# One block of threads looks at all outcomes.
N_FAILURE_THREADS = 1_024
# Blocks of a grid whose warps take one data block or row after the other; enough to fill a device.
_BLOCKS_PER_MULTIPROCESSOR = 16
# Tracks, and strips, of a tile at most; bins of a strip, and floats from one strip to the next.
TILE_STRIPS = 32
BASE_STRIP = 256
BIN_STRIP = 64
STRIP_PADDING = 4
# Steps of a strip at most, as far as every multiprocessor keeps so many tiles: several for each of
# the blocks of threads that stay on it at once.
MOST_STEPS = 8
_TILES_PER_MULTIPROCESSOR = 16
# Blocks of a grid along x and y; kernels go on to further tiles and windows.
_MOST_TILES = 2**31 - 1
_MOST_WINDOWS = 65_535


class TileShape(NamedTuple):
    """How every window is cut into tiles, each made by one block of threads.

    Parameters
    ----------
    group_tracks : int
        Tracks of a tile; the groups are as equal as can be, so that few lanes idle.
    n_groups : int
        Groups of tracks.
    strips_per_row : int
        Strips of each track in a tile: few tracks, several stretches of each.
    n_steps : int
        Steps in which a strip advances.
    n_tiles : int
        Tiles of a window, all groups.
    """

    group_tracks: int
    n_groups: int
    strips_per_row: int
    n_steps: int
    n_tiles: int


def tile_shape(n_tracks: int, n_bins: int, strip_bins: int, most_steps: int = 1) -> TileShape:
    """Cut windows of `n_bins` bins of `n_tracks` tracks, both at least 1."""
    n_groups = -(-n_tracks // TILE_STRIPS)
    group_tracks = -(-n_tracks // n_groups)
    n_groups = -(-n_tracks // group_tracks)
    n_pieces = -(-n_bins // strip_bins)
    n_strips = -(-n_pieces // most_steps)
    n_runs = -(-n_strips // (TILE_STRIPS // group_tracks))
    strips_per_row = -(-n_strips // n_runs)
    n_steps = -(-n_pieces // (n_runs * strips_per_row))
    n_runs = -(-n_pieces // (strips_per_row * n_steps))
    return TileShape(group_tracks, n_groups, strips_per_row, n_steps, n_runs * n_groups)


_KERNELS: dict[Statistic, str] = {
    "mean": "bwl_rasterize_sums",
    "sum": "bwl_rasterize_sums",
    "coverage": "bwl_rasterize_sums",
    "max": "bwl_rasterize_extremes",
    "min": "bwl_rasterize_extremes",
    "std": "bwl_rasterize_spreads",
}


def raster_kernel(statistic: Statistic, bin_size: int) -> str:
    """The kernel for a statistic: what one base shows by itself is a plain base."""
    if bin_size == 1 and statistic in ("mean", "sum", "max", "min"):
        return "bwl_rasterize_bases"
    return _KERNELS[statistic]


class RasterLaunch(NamedTuple):
    """A launch of one of the `bwl_rasterize` kernels."""

    kernel: str
    statistic: np.int32
    grid: tuple[int, int]
    shape: TileShape
    shared_bytes: int


def raster_launch(
    options: SignalOptions, n_windows: int, n_tracks: int, n_bins: int, n_multiprocessors: int
) -> RasterLaunch:
    """The launch for a batch; with nothing to write, its grid has a 0."""
    kernel = raster_kernel(options.statistic, options.bin_size)
    statistic = np.int32(STATISTICS.index(options.statistic))
    if 0 in (n_windows, n_tracks, n_bins):
        return RasterLaunch(kernel, statistic, (0, 0), TileShape(0, 0, 0, 0, 0), 0)
    is_base = kernel == "bwl_rasterize_bases"
    strip_bins = BASE_STRIP if is_base else BIN_STRIP
    shape = tile_shape(n_tracks, n_bins, strip_bins)
    if is_base:
        # At base resolution a strip goes on where it was, and only the first step searches.
        steps = n_windows * shape.n_tiles // (n_multiprocessors * _TILES_PER_MULTIPROCESSOR)
        shape = tile_shape(n_tracks, n_bins, strip_bins, min(max(steps, 1), MOST_STEPS))
    n_strips = shape.group_tracks * shape.strips_per_row
    shared_bytes = n_strips * (strip_bins + STRIP_PADDING) * 4
    grid = (min(shape.n_tiles, _MOST_TILES), min(n_windows, _MOST_WINDOWS))
    return RasterLaunch(kernel, statistic, grid, shape, shared_bytes)


class SignalKernels:
    """The kernels of `describe.cu` and `rasterize.cu` on one device.

    All arguments but sizes are device addresses; the structures are those of `records`.

    Parameters
    ----------
    device : Device
    """

    def __init__(self, device: Device) -> None:
        self._describe = device.kernels("describe.cu")
        self._rasterize = device.kernels("rasterize.cu")
        self._n_multiprocessors = device.n_multiprocessors

    def describe(self, n: int, blocks: int, outcomes: int, items: int, stream: Stream) -> None:
        """Place blocks that need no inflating, then check and describe all `n` blocks."""
        grid = self._warps(n)
        self._describe.launch("bwl_place_blocks", grid, N_THREADS, (blocks, n, outcomes), stream)
        self._describe.launch(
            "bwl_describe_blocks", grid, N_THREADS, (blocks, n, outcomes, items), stream
        )

    def link(
        self, n_rows: int, items: int, row_first: int, row_count: int, row_kind: int, stream: Stream
    ) -> None:
        """Find out how the items of each row are to be found."""
        args = (items, row_first, row_count, n_rows, row_kind)
        self._rasterize.launch("bwl_link_rows", self._warps(n_rows), N_THREADS, args, stream)

    def rasterize(
        self, options: SignalOptions, plan: SignalPlan, raster: int, stream: Stream
    ) -> None:
        """Write the bins of a batch; `raster` is the address of its RASTER record."""
        windows = plan.windows
        n_bins = windows.length_bp // options.bin_size
        launch = raster_launch(
            options, len(windows), len(plan.tracks), n_bins, self._n_multiprocessors
        )
        args = (raster, launch.statistic, *launch.shape)
        self._rasterize.launch(
            launch.kernel, launch.grid, N_THREADS, args, stream, launch.shared_bytes
        )

    def first_failure(
        self, n: int, blocks: int, outcomes: int, items: int, record: int, stream: Stream
    ) -> None:
        """Write the RECORD of `n` blocks."""
        args = (blocks, outcomes, items, n, record)
        self._describe.launch("bwl_first_failure", 1, N_FAILURE_THREADS, args, stream)

    def _warps(self, n: int) -> int:
        """Blocks of threads so that each of n things has a warp, as far as the device is filled."""
        most = self._n_multiprocessors * _BLOCKS_PER_MULTIPROCESSOR
        return min(-(-n // (N_THREADS // WARP)), most)
