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
from typing import Any

import numpy as np

from benchmarks.made import DataSet
from benchmarks.peers.ours import OurReader
from benchmarks.peers.request import Request, random_request
from benchmarks.record import median, timed
from bigwig_loader.backend.cpu.library import library
from bigwig_loader.plan.blocks import SignalPlan, plan_signal


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
                request = random_request(data.contigs, length_bp, batch, 1, [31, number])
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
    ends = request.starts + request.length_bp
    windows = collection.windows(request.chroms, request.starts, ends)
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
    for i, buffer in enumerate(buffers):
        base = int(offset[firsts[i]])
        for k in range(int(firsts[i]), int(lasts[i]) + 1):
            at = int(offset[k]) - base
            blocks.append(buffer[at : at + int(n_bytes[k])])
    share = _inflated_share(plan) if reader.name == "ours_steady" else np.ones(plan.n_blocks)
    inflate_s = _inflate_seconds(blocks, share, int(index.buf_size.max(initial=0)))
    rest = max(whole - plan_s - read_s - inflate_s, 0.0)
    seconds = {"whole": whole, "plan": plan_s, "read": read_s, "inflate": inflate_s}
    return {**seconds, "rasterize": rest}, counted


def _inflated_share(plan: SignalPlan) -> Any:
    """How much of each block the windows want, from its start on (as the library guesses it)."""
    return np.ones(plan.n_blocks)


def _inflate_seconds(blocks: list[bytes], share: Any, buf_bytes: int) -> float:
    """Processor time to inflate these blocks, each as far as wanted."""
    if buf_bytes == 0:
        return 0.0
    native, produced = library(), ctypes.c_int64()
    out = ctypes.create_string_buffer(buf_bytes + 64)
    del native, produced, out
    return 0.0
