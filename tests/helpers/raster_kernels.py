"""The signal kernels behind inflating, run under the emulator for one plan."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.cuda.launch import N_FAILURE_THREADS, N_THREADS, raster_launch
from bigwig_loader.backend.cuda.records import (
    BLOCK,
    ITEMS,
    OUTCOME,
    RASTER,
    SECTION_ALIGN,
    SECTION_SLACK,
    BlockKind,
)
from bigwig_loader.plan.blocks import SignalPlan
from bigwig_loader.plan.signal import SignalOptions
from bigwig_loader.plan.track_index import TrackIndex
from bigwig_loader.types import SIGNAL_DTYPES
from tests.helpers.emulator import Program, load
from tests.helpers.shared import REPOSITORY

KERNELS = REPOSITORY / "cuda_kernels"
GARBAGE = 0xA5


@functools.cache
def program(name: str) -> Program:
    """The kernels of a source."""
    return load((KERNELS / name).read_text(), include=[KERNELS])


class Described(NamedTuple):
    """Blocks that have been described, and the memory that their pointers point to."""

    blocks: npt.NDArray[Any]
    outcomes: npt.NDArray[Any]
    items: npt.NDArray[Any]
    record: npt.NDArray[np.int64]
    memory: list[npt.NDArray[np.uint8]]


def aligned_bytes(n_bytes: int, shift: int = 0) -> npt.NDArray[np.uint8]:
    """Memory full of garbage, `shift` bytes past a multiple of 16."""
    memory = np.full(n_bytes + 2 * SECTION_ALIGN, GARBAGE, np.uint8)
    start = -memory.ctypes.data % SECTION_ALIGN + shift
    return memory[start : start + n_bytes]


def place(blocks: npt.NDArray[Any], contents: Sequence[bytes]) -> list[npt.NDArray[np.uint8]]:
    """Give blocks their bytes, at any address, and their sections, as their kind wants them."""
    memory = []
    for i, (block, content) in enumerate(zip(blocks, contents, strict=True)):
        stored = aligned_bytes(len(content), i % SECTION_ALIGN)
        section = aligned_bytes(len(content) + SECTION_SLACK)
        if block["kind"] == BlockKind.PLAIN:
            stored[:] = np.frombuffer(content, np.uint8)
        else:
            section[: len(content)] = np.frombuffer(content, np.uint8)
        block["bytes"], block["section"] = stored.ctypes.data, section.ctypes.data
        block["n_bytes"] = block["capacity"] = len(content)
        block["n_section"] = len(content) if block["kind"] == BlockKind.RESIDENT else 0
        memory += [stored, section]
    return memory


def describe(
    blocks: npt.NDArray[Any],
    outcomes: npt.NDArray[Any],
    memory: list[npt.NDArray[np.uint8]],
    schedule: str = "forward",
    grid: int = 2,
) -> Described:
    """Run the kernels of describe.cu; `outcomes` is what inflating gave."""
    n = len(blocks)
    items = np.full(n * ITEMS.itemsize, GARBAGE, np.uint8).view(ITEMS)
    record = np.full(6, -7, np.int64)
    kernels = program("describe.cu")
    kernels.launch("bwl_place_blocks", grid, 64, [blocks, n, outcomes], schedule=schedule)
    kernels.launch("bwl_describe_blocks", grid, 64, [blocks, n, outcomes, items], schedule=schedule)
    arguments = [blocks, outcomes, items, n, record]
    kernels.launch("bwl_first_failure", 1, N_FAILURE_THREADS, arguments, schedule=schedule)
    return Described(blocks, outcomes, items, record, memory)


def describe_plan(
    index: TrackIndex, paths: Sequence[Path], plan: SignalPlan, schedule: str, kind: BlockKind
) -> Described:
    """The blocks of a plan, inflated by zlib."""
    block = plan.block
    track = index.track_of(block)
    blocks = np.zeros(len(block), BLOCK)
    blocks["wanted_start"], blocks["wanted_end"] = plan.wanted_start, plan.wanted_end
    blocks["written"] = index.offset[block]
    blocks["chrom_id"] = index.chrom_ids[track, index.contig_of(block)]
    blocks["swap"], blocks["spans"] = index.swap[track], index.spans[block]
    blocks["kind"] = kind
    contents = []
    for i, of_track in zip(block.tolist(), track.tolist(), strict=True):
        with paths[of_track].open("rb") as file:
            file.seek(int(index.offset[i]))
            content = file.read(int(index.n_bytes[i]))
        contents.append(zlib.decompress(content) if index.buf_size[of_track] else content)
    outcomes = np.full(len(block) * OUTCOME.itemsize, GARBAGE, np.uint8).view(OUTCOME)
    return describe(blocks, outcomes, place(blocks, contents), schedule)


def rasterize(
    index: TrackIndex,
    plan: SignalPlan,
    items: npt.NDArray[Any],
    options: SignalOptions,
    transforms: npt.NDArray[np.float32],
    out: npt.NDArray[Any],
    schedule: str = "forward",
    grid: tuple[int, int] | None = None,
    n_multiprocessors: int = 1,
) -> npt.NDArray[np.uint8]:
    """Run the kernels of rasterize.cu into `out`; the kind of each row (T, B).

    A small `grid` makes blocks of threads go on to further tiles and windows; many
    multiprocessors, or a few, let strips advance in one step, or in several.
    """
    kernels = program("rasterize.cu")
    windows = plan.windows
    n_tracks, n_windows = plan.row_first.shape
    row_kind = np.full((n_tracks, n_windows), GARBAGE, np.uint8)
    arguments = [items, plan.row_first, plan.row_count, row_kind.size, row_kind]
    kernels.launch("bwl_link_rows", 2, 64, arguments, schedule=schedule)

    swap = options.track_swap
    source = None if swap is None else np.argsort(np.array(swap)).astype(np.int32)
    lengths = np.ascontiguousarray(index.contigs.lengths)
    raster = np.zeros(1, RASTER)
    for field, array in (
        ("items", items),
        ("row_first", plan.row_first),
        ("row_count", plan.row_count),
        ("row_kind", row_kind),
        ("contig_bp", lengths),
        ("window_contig", windows.contig_index),
        ("window_start", windows.start),
        ("window_reverse", windows.reverse),
        ("transforms", transforms),
        ("source_track", source),
        ("out", out),
    ):
        raster[field] = 0 if array is None else array.ctypes.data
    stride_window, *by_bin = (stride // out.itemsize for stride in out.strides)
    raster["stride_window"] = stride_window
    raster["stride_bin"], raster["stride_track"] = (
        by_bin if options.layout == "BNT" else by_bin[::-1]
    )
    n_bins = windows.length_bp // options.bin_size
    raster["n_windows"], raster["n_tracks"] = n_windows, n_tracks
    raster["length_bp"], raster["bin_size"] = windows.length_bp, options.bin_size
    raster["n_bins"] = n_bins
    raster["dtype"] = SIGNAL_DTYPES.index(options.dtype)
    raster["uncovered"] = options.uncovered
    raster["out_of_bounds"] = options.fill_out_of_bounds

    launch = raster_launch(options, n_windows, n_tracks, n_bins, n_multiprocessors)
    if 0 not in launch.grid:
        kernels.launch(
            launch.kernel,
            grid or launch.grid,
            N_THREADS,
            [raster, launch.statistic, *launch.shape],
            shared_bytes=launch.shared_bytes,
            schedule=schedule,
        )
    return row_kind
