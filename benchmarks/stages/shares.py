"""Where the time of a batch goes: plan, read, inflate, rasterize; one thread, processor time.

The CPU library does all but planning in one call, block by block. So the parts are measured by
themselves on the same blocks: planning as it is; reading with `os.pread` of the same byte ranges;
inflating with libdeflate where whole blocks are inflated, with our own decoder where it stops early
(for as many bytes as the library says it inflated). What is left of the whole is parsing,
rasterizing and assembling.
"""

from __future__ import annotations

import ctypes
import os
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.made import DataSet
from benchmarks.peers.ours import OurReader
from benchmarks.peers.request import Request, random_request
from benchmarks.record import median, timed
from bigwig_loader.backend.cpu.library import libdeflate_candidates, library
from bigwig_loader.plan.blocks import SignalPlan, plan_signal
from bigwig_loader.plan.track_index import POSITION_MASK, TrackIndex

# As in cuda_kernels/host/blocks.cpp: beyond this share a block is inflated whole, and below it
# usually a little further than the first guess.
_WHOLE_BLOCK_SHARE = 0.9
_OVERSHOOT_BYTES = 300


def shares(
    data: DataSet, n_tracks: int, length_bp: int, batch: int = 64, rounds: int = 7
) -> list[dict[str, Any]]:
    """One row per state of ours."""
    paths = data.tracks(n_tracks)
    files = [os.open(path, os.O_RDONLY) for path in paths]
    out = np.zeros((batch, length_bp, n_tracks), np.float32)
    rows = []
    try:
        for state in ("first", "steady"):
            reader = OurReader(paths, state, n_threads=1)
            parts: dict[str, list[float]] = {}
            counts: dict[str, list[float]] = {}
            for number in range(rounds):
                request = random_request(data.places, length_bp, batch, 1, [31, number])
                measured, counted = _round(reader, request, out, files)
                for name, value in measured.items():
                    parts.setdefault(name, []).append(value)
                for name, value in counted.items():
                    counts.setdefault(name, []).append(value)
            rows.append(
                {
                    "kind": "stages",
                    "data": data.name,
                    "state": state,
                    "tracks": n_tracks,
                    "length_bp": length_bp,
                    "batch": batch,
                    "threads": 1,
                    "cpu_ms": {name: median(values) * 1e3 for name, values in parts.items()},
                    "per_batch": {name: median(values) for name, values in counts.items()},
                }
            )
    finally:
        for file in files:
            os.close(file)
    return rows


def _round(
    reader: OurReader, request: Request, out: Any, files: list[int]
) -> tuple[dict[str, float], dict[str, float]]:
    reader.prepare()
    collection = reader.collection
    before = vars(collection.reader.counts).copy()
    whole = timed(lambda: reader.read(request, out)).cpu_s
    after = vars(collection.reader.counts)
    counted = {name: float(after[name] - before[name]) for name in after}
    windows = reader.windows(request)
    tracks = np.arange(len(collection))
    plans: list[SignalPlan] = []
    plan_s = timed(lambda: plans.append(plan_signal(collection._index, windows, tracks))).cpu_s
    plan, index = plans[0], collection._index
    offset, n_bytes = index.offset[plan.block], index.n_bytes[plan.block].astype(np.int64)
    track_of = index.track_of(plan.block)
    firsts, lasts = plan.read_block[:-1], plan.read_block[1:] - 1
    ranges = [
        (files[t], int(a), int(b))
        for t, a, b in zip(
            track_of[firsts], offset[firsts], offset[lasts] + n_bytes[lasts], strict=True
        )
    ]
    buffers: list[bytes] = []

    def read_all() -> None:
        for file, a, b in ranges:
            buffers.append(os.pread(file, b - a, a))

    read_s = timed(read_all).cpu_s
    blocks: list[bytes] = []
    for buffer, first, last in zip(buffers, firsts.tolist(), lasts.tolist(), strict=True):
        for k in range(first, last + 1):
            at = int(offset[k] - offset[first])
            blocks.append(buffer[at : at + int(n_bytes[k])])
    stops_early = reader.name == "ours_steady"
    share = _wanted_share(plan, index) if stops_early else np.ones(plan.n_blocks)
    inflate_s = _inflate_seconds(blocks, share.tolist(), int(index.buf_size.max(initial=0)))
    rest = max(whole - plan_s - read_s - inflate_s, 0.0)
    seconds = {"whole": whole, "plan": plan_s, "read": read_s, "inflate": inflate_s}
    return {**seconds, "rasterize": rest}, counted


def _wanted_share(plan: SignalPlan, index: TrackIndex) -> npt.NDArray[np.float64]:
    """How far into each block the windows reach, of its length in bp."""
    start = (index.start_key[plan.block] & POSITION_MASK).astype(np.int64)
    end = (index.end_key[plan.block] & POSITION_MASK).astype(np.int64)
    share: npt.NDArray[np.float64] = (plan.wanted_end - start) / np.maximum(end - start, 1)
    return np.clip(share, 0, 1)


def _inflate_seconds(blocks: list[bytes], shares: list[float], buf_bytes: int) -> float:
    """Processor time to inflate these blocks, each as far as wanted."""
    if buf_bytes == 0:
        return 0.0
    native, deflate = library(), _libdeflate()
    out, n_out = ctypes.create_string_buffer(buf_bytes + 64), ctypes.c_int64()
    whole_bytes = [len(zlib.decompress(block)) for block in blocks]
    # The raw deflate data, behind the two bytes of the zlib header and before the checksum.
    raw = [block[2:-4] for block in blocks]

    def inflate() -> None:
        for block, stream, share, n in zip(blocks, raw, shares, whole_bytes, strict=True):
            if share >= _WHOLE_BLOCK_SHARE and deflate is not None:
                deflate(block, len(block), out, buf_bytes)
            else:
                target = min(n, int(n * share) + _OVERSHOOT_BYTES)
                native.bwl_inflate(
                    stream, len(stream), out, buf_bytes, target, buf_bytes, ctypes.byref(n_out)
                )

    return timed(inflate).cpu_s


def _libdeflate() -> Callable[[bytes, int, Any, int], None] | None:
    """libdeflate's zlib inflate, where the library finds it too."""
    for _, path in libdeflate_candidates():
        try:
            loaded = ctypes.CDLL(path)
        except OSError:
            continue
        loaded.libdeflate_alloc_decompressor.restype = ctypes.c_void_p
        state = ctypes.c_void_p(loaded.libdeflate_alloc_decompressor())
        function, n = loaded.libdeflate_zlib_decompress, ctypes.c_size_t()

        def inflate(
            data: bytes,
            n_in: int,
            out: Any,
            n_out: int,
            function: Any = function,
            state: Any = state,
            n: Any = n,
        ) -> None:
            size = ctypes.c_size_t
            function(state, data, size(n_in), out, size(n_out), ctypes.byref(n))

        return inflate
    return None
