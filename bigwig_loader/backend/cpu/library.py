"""The CPU library (`cuda_kernels/host`): found, loaded with ctypes, and declared."""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import importlib.util
import os
import sys
from ctypes import (
    POINTER,
    c_char_p,
    c_double,
    c_float,
    c_int32,
    c_int64,
    c_uint32,
    c_uint64,
    c_void_p,
)
from pathlib import Path

from bigwig_loader.errors import BackendUnavailableError
from bigwig_loader.plan.signal import TrackTransform, pack_transforms

LIBRARY = Path(__file__).parents[2] / "_native" / "libbigwig_loader_cpu.so"
# Another build of the library to load instead, e.g. one with sanitizers; for tests.
LIBRARY_VARIABLE = "BIGWIG_LOADER_LIBRARY"


def _struct(name: str, doc: str, layout: str) -> type[ctypes.Structure]:
    """A ctypes structure from lines of ``type: field field ...``."""
    kinds = {
        "ptr": c_void_p,
        "i64": c_int64,
        "i64x2": c_int64 * 2,
        "i32": c_int32,
        "f32": c_float,
        "f32x7": c_float * 7,
        "f64": c_double,
    }
    fields = []
    for line in layout.split("\n"):
        kind, _, names = line.strip().partition(": ")
        fields += [(field, kinds[kind]) for field in names.split()]
    return type(name, (ctypes.Structure,), {"_fields_": fields, "__doc__": doc})


# BwlIndex and BwlRequest of cuda_kernels/host/request.h, field by field.
SignalIndex = _struct(
    "SignalIndex",
    "What stays the same for all requests to one collection.",
    """ptr: files cache
    i64: n_contigs n_blocks
    ptr: contig_bp chrom_ids file_bytes swap buf_size
    ptr: start_key end_key offset n_bytes spans state""",
)
SignalRequest = _struct(
    "SignalRequest",
    "One batch of signal.",
    """ptr: index memory memory_offset
    i64: n_blocks
    ptr: block wanted_start wanted_end
    i64: n_reads
    ptr: read_block
    i64: n_windows n_tracks
    ptr: row_first row_count window_contig window_start window_reverse
    i64: length_bp
    ptr: transforms track_swap
    i64: bin_size
    i32: statistic dtype
    f32: uncovered out_of_bounds
    ptr: out
    i64: out_stride_window out_stride_bin out_stride_track
    i32: n_threads verify fill_cache
    i64: failed_block
    i64x2: failed_detail
    i32: failed_status
    i64: n_bytes_read n_bytes_inflated n_items n_reads_made n_cached_blocks
    f64: seconds_read seconds_inflate seconds_rasterize""",
)

# BwlHaplotypes and BwlHaplotypeWindows of cuda_kernels/haplotype_batch.cuh.
HaplotypeLists = _struct(
    "HaplotypeLists",
    "Variants, and who carries which of them.",
    """ptr: position ilen alt_offset alt list_offset carried keep free
    i64: n_variants n_samples ploidy rule longest_bp""",
)
HaplotypeRequest = _struct(
    "HaplotypeRequest",
    "Windows of haplotypes.",
    """i64: n_windows
    ptr: contig_index start end sample reverse shift
    i64: length_bp""",
)

# BwlTrack and BwlRealign of cuda_kernels/realign_batch.cuh.
RealignTrack = _struct(
    "RealignTrack",
    "One track of a batch on haplotypes.",
    """ptr: offsets start end value
    i64: n_samples
    ptr: contig sample dense dense_start
    i64: dense_bp
    i32: kind width
    f32: constant
    f32x7: transform""",
)
RealignRequest = _struct(
    "RealignRequest",
    "One batch of signal on haplotypes.",
    """ptr: haplotypes windows contig_bp
    i64: n_tracks
    ptr: tracks source_track
    i64: bin_size
    i32: statistic dtype
    f32: uncovered out_of_bounds
    i64: seed epoch
    ptr: cell out row_offset
    i32: n_threads status
    i64: failed_window failed_track""",
)

# BwlOverlapIndex of cuda_kernels/overlap.cuh.
OverlapArrays = _struct(
    "OverlapArrays",
    "A universe of regions, ready to be searched.",
    """ptr: regions contig_first bucket_first bucket_shift buckets maxima level_first ids
    i64: n_contigs n_levels""",
)
# BwlRegionText of cuda_kernels/host/region_text.cpp.
RegionText = _struct(
    "RegionText",
    "Lines of regions, and what they hold.",
    """ptr: text
    i64: n_bytes n_columns key_column
    ptr: contig start end key line contig_name contig_name_bytes key_name key_name_bytes
    i64: n_rows n_contigs n_keys n_lines header_line status""",
)

# Every function of the library: result, arguments.
_FUNCTIONS: dict[str, tuple[object, list[object]]] = {
    "bwl_files_open": (c_void_p, [POINTER(c_char_p), c_void_p, c_int64, c_int64]),
    "bwl_files_read": (None, [c_void_p, c_int64, *[c_void_p] * 4, c_int32, c_void_p]),
    "bwl_files_close": (None, [c_void_p]),
    "bwl_cache_open": (c_void_p, [c_int64, c_int64]),
    "bwl_cache_bytes": (c_int64, [c_void_p]),
    "bwl_cache_find": (None, [c_void_p, c_void_p, c_int64, c_void_p]),
    "bwl_cache_close": (None, [c_void_p]),
    "bwl_use_libdeflate": (c_int32, [c_char_p]),
    "bwl_inflate_zlib": (None, [c_int64, *[c_void_p] * 7, c_int32]),
    "bwl_read_signal": (None, [c_void_p]),
    "bwl_read_window": (None, [c_void_p, c_void_p, c_int64, c_int64]),
    "bwl_intervals_read": (c_void_p, [c_void_p, c_void_p]),
    "bwl_intervals_copy": (None, [c_void_p, c_void_p, c_void_p, c_void_p]),
    "bwl_intervals_free": (None, [c_void_p]),
    "bwl_one_hot_table": (None, [c_int32, c_void_p]),
    "bwl_one_hot": (
        c_int32,
        [c_int64, c_int64, *[c_void_p] * 6, c_int32, c_int32, c_void_p, c_int64, c_int32],
    ),
    "bwl_count_bases": (
        None,
        [c_int64, c_int64, *[c_void_p] * 4, c_uint32, c_void_p, c_int32],
    ),
    "bwl_apply_variants": (
        None,
        [c_void_p, c_int64, *[c_void_p] * 3, c_int32],
    ),
    "bwl_measure_haplotypes": (None, [c_void_p, c_void_p, c_int32, c_void_p, c_int32]),
    "bwl_encode_haplotypes": (
        c_int32,
        [
            *[c_void_p] * 4,
            c_int64,
            *[c_void_p] * 3,
            *[c_int32] * 3,
            *[c_void_p] * 4,
            c_int32,
        ],
    ),
    "bwl_realign_tracks": (None, [c_void_p]),
    "bwl_flatten_intervals": (c_int64, [c_int64, *[c_void_p] * 6]),
    "bwl_count_overlaps": (None, [c_void_p, c_int64, *[c_void_p] * 5, c_int32]),
    "bwl_write_overlaps": (
        None,
        [c_void_p, c_int64, *[c_void_p] * 5, c_int32, c_void_p, c_int32],
    ),
    "bwl_parse_regions": (None, [c_void_p]),
    "bwl_order_regions": (
        c_int32,
        [c_int64, c_void_p, c_int64, c_void_p, c_void_p, c_int32],
    ),
    "bwl_count_row_tokens": (
        c_int64,
        [c_int64, *[c_void_p] * 3, c_int64, c_void_p, c_void_p, c_int32],
    ),
    "bwl_write_row_tokens": (None, [c_int64, *[c_void_p] * 7, c_int32]),
    "bwl_sort_by_row": (c_int64, [c_int64, c_int64, *[c_void_p] * 5]),
    "bwl_choose_tokens": (
        c_int32,
        [c_int64, *[c_void_p] * 4, c_uint64, c_uint32, c_void_p, c_int32],
    ),
    "bwl_overlap_index_bytes": (c_int64, []),
    "bwl_region_text_bytes": (c_int64, []),
    "bwl_realign_bytes": (c_int64, []),
    "bwl_track_bytes": (c_int64, []),
    "bwl_haplotypes_bytes": (c_int64, []),
    "bwl_haplotype_windows_bytes": (c_int64, []),
    "bwl_index_bytes": (c_int64, []),
    "bwl_request_bytes": (c_int64, []),
    "bwl_transform_bytes": (c_int64, []),
    "bwl_inflate": (
        c_int32,
        [c_void_p, c_int64, c_void_p, c_int64, c_int64, c_int64, POINTER(c_int64)],
    ),
}


def library_path() -> Path:
    """Where the library is: in the package, unless ``BIGWIG_LOADER_LIBRARY`` names another one."""
    return Path(os.environ.get(LIBRARY_VARIABLE) or LIBRARY)


@functools.cache
def library() -> ctypes.CDLL:
    """The loaded library; loaded on the first call.

    Raises
    ------
    BackendUnavailableError
        If it is missing or belongs to another version of the package.
    """
    try:
        loaded = ctypes.CDLL(str(library_path()))
    except OSError as error:
        raise BackendUnavailableError(
            f"the CPU library cannot be loaded: {error}. "
            "Build it with `pip install .` (or `pip install -e .`) in the checkout"
        ) from error
    for name, (result, arguments) in _FUNCTIONS.items():
        try:
            function = getattr(loaded, name)
        except AttributeError as error:
            raise _other_version() from error
        function.restype = result
        function.argtypes = arguments
    sizes = [
        (loaded.bwl_index_bytes, ctypes.sizeof(SignalIndex)),
        (loaded.bwl_request_bytes, ctypes.sizeof(SignalRequest)),
        (loaded.bwl_haplotypes_bytes, ctypes.sizeof(HaplotypeLists)),
        (loaded.bwl_haplotype_windows_bytes, ctypes.sizeof(HaplotypeRequest)),
        (loaded.bwl_realign_bytes, ctypes.sizeof(RealignRequest)),
        (loaded.bwl_track_bytes, ctypes.sizeof(RealignTrack)),
        (loaded.bwl_overlap_index_bytes, ctypes.sizeof(OverlapArrays)),
        (loaded.bwl_region_text_bytes, ctypes.sizeof(RegionText)),
        (loaded.bwl_transform_bytes, pack_transforms([TrackTransform()]).nbytes),
    ]
    if any(size() != ours for size, ours in sizes):
        raise _other_version()
    use_libdeflate(loaded)
    return loaded


def _other_version() -> BackendUnavailableError:
    return BackendUnavailableError(
        f"{library_path()} was built from another version of the sources. "
        "Build it again with `pip install .` (or `pip install -e .`)"
    )


def libdeflate_candidates() -> list[tuple[str, str]]:
    """(what it is, path) of the places where libdeflate may be, best first."""
    found = []
    package = importlib.util.find_spec("deflate")
    for folder in (package.submodule_search_locations or []) if package else []:
        found += [("deflate wheel", str(p)) for p in sorted(Path(folder).glob("_deflate*.so"))]
    for name in ("libdeflate.so.0", "libdeflate.0.dylib"):
        path = Path(sys.prefix) / "lib" / name
        if path.exists():
            found.append(("environment", str(path)))
    system = ctypes.util.find_library("deflate")
    if system:
        found.append(("system", system))
    return found


@functools.cache
def use_libdeflate(loaded: ctypes.CDLL) -> str:
    """Give the library its libdeflate; returns what was found.

    Done once: other threads may be reading when somebody asks for a backend's status.
    """
    for what, path in libdeflate_candidates():
        if loaded.bwl_use_libdeflate(path.encode()):
            return f"libdeflate ({what})"
    return "built-in (libdeflate not found)"
