"""The structures of the signal kernels as NumPy records, field by field.

Those of `cuda_kernels/blocks.cuh` and `cuda_kernels/rasterize.cuh`; addresses are numbers.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

import numpy as np


class BlockKind(IntEnum):
    """What `bytes` of a block are."""

    DEFLATED = 0
    PLAIN = 1
    RESIDENT = 2


class BlockCheck(IntFlag):
    """How a block is read; see `cuda_kernels/blocks.cuh`."""

    MAY_STOP = 1
    ADLER = 2
    KNOWN_IN_ORDER = 4
    FORGIVE_BEHIND = 8


# Of `wanted_end`: the whole block.
WHOLE_BLOCK = 0x7FFFFFFFFFFFFFFF
# Bytes behind a section that may be written to, and what its address is a multiple of.
SECTION_SLACK = 16
SECTION_ALIGN = 16

BLOCK = np.dtype(
    [
        ("bytes", np.uint64),
        ("section", np.uint64),
        ("n_bytes", np.int64),
        ("capacity", np.int64),
        ("n_section", np.int64),
        ("wanted_start", np.int64),
        ("wanted_end", np.int64),
        ("written", np.int64),
        ("chrom_id", np.uint32),
        ("kind", np.uint8),
        ("checks", np.uint8),
        ("swap", np.uint8),
        ("spans", np.uint8),
    ]
)

OUTCOME = np.dtype(
    [
        ("produced", np.int64),
        ("detail", np.int64, (2,)),
        ("status", np.int32),
        ("whole", np.uint8),
        ("in_order", np.uint8),
        ("unused", np.uint8, (2,)),
    ]
)

ITEMS = np.dtype(
    [
        ("items", np.uint64),
        ("n_items", np.int64),
        ("low", np.int64),
        ("high", np.int64),
        ("written", np.int64),
        ("chrom_id", np.uint32),
        ("start", np.uint32),
        ("step", np.uint32),
        ("span", np.uint32),
        ("type", np.uint8),
        ("swap", np.uint8),
        ("in_order", np.uint8),
        ("unused", np.uint8),
        ("n_wanted", np.uint32),
    ]
)

# What `bwl_first_failure` writes: block (-1: none), status, two details, bytes inflated, items
# wanted.
RECORD = np.dtype((np.int64, (6,)))

# What `bwl_rasterize_*` are given: B windows, T tracks, N bins; strides in elements.
RASTER = np.dtype(
    [
        ("items", np.uint64),
        ("row_first", np.uint64),
        ("row_count", np.uint64),
        ("row_kind", np.uint64),
        ("contig_bp", np.uint64),
        ("window_contig", np.uint64),
        ("window_start", np.uint64),
        ("window_reverse", np.uint64),
        ("transforms", np.uint64),
        ("source_track", np.uint64),
        ("out", np.uint64),
        ("n_windows", np.int64),
        ("n_tracks", np.int64),
        ("length_bp", np.int64),
        ("bin_size", np.int64),
        ("n_bins", np.int64),
        ("stride_window", np.int64),
        ("stride_bin", np.int64),
        ("stride_track", np.int64),
        ("dtype", np.int32),
        ("uncovered", np.float32),
        ("out_of_bounds", np.float32),
        ("unused", np.int32),
    ]
)
