"""What the rasterizer wants to know of a batch: its arrays, and the record that points to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.cuda.device import Device
from bigwig_loader.backend.cuda.records import RASTER
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.plan.blocks import SignalPlan
from bigwig_loader.plan.signal import SignalOptions
from bigwig_loader.plan.track_index import TrackIndex
from bigwig_loader.types import SIGNAL_DTYPES

# Places of the arrays that `raster_arrays` returns.
ROW_FIRST, ROW_COUNT, CONTIG_BP, CONTIG, START, REVERSE, TRANSFORMS, SOURCE_TRACK, RECORD = range(9)

Fill = Callable[[list[int], int, int], None]


def check_out(out: Any, device: Device) -> None:
    """Raise `InvalidInputError` unless `out` is an array that kernels on `device` can write."""
    number = getattr(getattr(out, "device", None), "id", None)
    if number != device.number or not hasattr(out, "data"):
        where = "in host memory" if number is None else f"on cuda:{number}"
        raise InvalidInputError(f"argument out: expected an array on {device}; got one {where}")
    if any(stride % out.itemsize for stride in out.strides):
        raise InvalidInputError(
            "argument out: expected strides of whole items; "
            f"got strides of {tuple(out.strides)} bytes"
        )


def raster_arrays(
    index: TrackIndex,
    plan: SignalPlan,
    options: SignalOptions,
    transforms: npt.NDArray[np.float32],
    out: Any,
) -> tuple[list[npt.NDArray[Any]], Fill]:
    """Arrays to upload for a batch, in the order of the places above; the record is the last.

    Returns
    -------
    arrays : list of array
        Empty where there is none (`REVERSE`, `SOURCE_TRACK`).
    fill : callable
        ``fill(addresses, items, row_kind)`` writes device addresses into the record: those of the
        arrays, of the items of all blocks, and of what becomes of each row.
    """
    windows = plan.windows
    nothing = np.empty(0, np.uint8)
    swap = options.track_swap
    source_track = nothing if swap is None else np.argsort(np.array(swap)).astype(np.int32)
    reverse = nothing if windows.reverse is None else windows.reverse
    record = np.zeros(1, RASTER)
    arrays: list[npt.NDArray[Any]] = [nothing] * (RECORD + 1)
    arrays[ROW_FIRST], arrays[ROW_COUNT] = plan.row_first, plan.row_count
    arrays[CONTIG_BP] = index.contigs.lengths
    arrays[CONTIG], arrays[START] = windows.contig_index, windows.start
    arrays[REVERSE], arrays[SOURCE_TRACK] = reverse, source_track
    arrays[TRANSFORMS], arrays[RECORD] = np.ascontiguousarray(transforms), record

    stride_window, *by_bin = (stride // out.itemsize for stride in out.strides)
    if options.layout == "BTN":
        by_bin.reverse()
    record["out"] = out.data.ptr
    record["n_windows"], record["n_tracks"] = len(windows), len(plan.tracks)
    record["length_bp"], record["bin_size"] = windows.length_bp, options.bin_size
    record["n_bins"] = windows.length_bp // options.bin_size
    record["stride_window"] = stride_window
    record["stride_bin"], record["stride_track"] = by_bin
    record["dtype"] = SIGNAL_DTYPES.index(options.dtype)
    record["uncovered"] = options.uncovered
    record["out_of_bounds"] = options.fill_out_of_bounds

    def fill(addresses: list[int], items: int, row_kind: int) -> None:
        record["items"], record["row_kind"] = items, row_kind
        for place, field in _POINTERS.items():
            record[field] = addresses[place] if arrays[place].size else 0

    return arrays, fill


_POINTERS = {
    ROW_FIRST: "row_first",
    ROW_COUNT: "row_count",
    CONTIG_BP: "contig_bp",
    CONTIG: "window_contig",
    START: "window_start",
    REVERSE: "window_reverse",
    TRANSFORMS: "transforms",
    SOURCE_TRACK: "source_track",
}
