"""Batches of many tracks: against the CPU backend, with blocks resident, and one window alone."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import numpy as np

from benchmarks.gpu.clock import Bench, wall_seconds
from benchmarks.gpu.data import GpuData
from benchmarks.gpu.inflating import rate_name
from benchmarks.gpu.sizes import Cell
from benchmarks.gpu.terms import Taken, binding, terms
from benchmarks.peers.request import random_request
from benchmarks.record import median
from bigwig_loader.backend.protocol import Pending
from bigwig_loader.collection import BigWigCollection
from bigwig_loader.plan.blocks import plan_signal
from bigwig_loader.plan.signal import SignalOptions
from bigwig_loader.plan.windows import Windows

# Batches in flight, as a data set has them.
_AHEAD = 2
# Most bytes of results whose values are compared; of larger ones some windows are.
_COMPARED_BYTES = 1 << 30


class Batches:
    """Random windows of all tracks of one collection on a GPU.

    Parameters
    ----------
    bench : Bench
    data : GpuData
    cell : Cell
    n_tracks : int
    more : Any
        Of `BigWigCollection`.
    """

    def __init__(self, bench: Bench, data: GpuData, cell: Cell, n_tracks: int, **more: Any) -> None:
        self.bench, self.cell, self._places = bench, cell, data.tracks.places
        paths = data.tracks.tracks(n_tracks)
        self.collection = BigWigCollection(paths, device=str(bench.device), **more)
        self.backend: Any = self.collection.backend
        self.options = SignalOptions(cell.bin_size)
        shape = self.options.shape(cell.batch, cell.length_bp, n_tracks)
        self._outs = [self.backend.empty(shape, "float32") for _ in range(_AHEAD + 1)]
        self.bytes_out = self._outs[0].nbytes
        self.gbp_tracks = cell.batch * cell.length_bp * n_tracks / 1e9

    def windows(self, number: int) -> Windows:
        """Another batch's windows for every number."""
        request = random_request(self._places, self.cell.length_bp, self.cell.batch, 1, [3, number])
        contig = self.collection.contigs.index_of(request.chroms)
        return Windows(contig, request.starts, self.cell.length_bp)

    def read(self, number: int) -> Any:
        """One batch, there when this returns."""
        out = self._outs[0]
        return self.collection.read(self.windows(number), options=self.options, out=out)

    def read_ahead(self, numbers: range) -> None:
        """Batches one after the other, the next ones asked for while one is waited for."""
        pending: deque[Pending] = deque()
        for number in numbers:
            out = self._outs[number % len(self._outs)]
            self.collection.read(self.windows(number), options=self.options, out=out, wait=False)
            pending.append(self.backend.pending())
            if len(pending) > _AHEAD:
                pending.popleft().wait()
        for one in pending:
            one.wait()

    def plan_seconds(self, number: int) -> float:
        """What planning a batch takes by itself."""
        windows, tracks = self.windows(number), np.arange(len(self.collection))
        began = time.perf_counter()
        plan_signal(self.collection._index, windows, tracks)
        return time.perf_counter() - began

    def measure(self, rounds: int) -> dict[str, Any]:
        """Figures of one batch, waited for and in a row, and what they are made of.

        "first" is of blocks that were not read before; all else of blocks that have been verified.
        """
        numbers = range(100, 100 + rounds)
        windows_s = wall_seconds(lambda i: _drop(self.windows(100 + i)), rounds)
        first = wall_seconds(lambda i: _drop(self.read(100 + i)), rounds, 0) - windows_s
        waited = wall_seconds(lambda i: _drop(self.read(100 + i)), rounds, 0) - windows_s
        self.read_ahead(numbers[: _AHEAD + 1])  # every slot has its memory
        before = asdict(self.collection.counts)
        began = time.perf_counter()
        self.read_ahead(numbers)
        # Drawing the windows is the benchmark's, not the library's.
        in_a_row = (time.perf_counter() - began) / rounds - windows_s
        after = asdict(self.collection.counts)
        counts = {name: (after[name] - before[name]) / rounds for name in after}
        taken = Taken(
            self.cell.length_bp,
            counts["n_blocks"] - counts["n_cached_blocks"],
            counts["bytes_read"],
            counts["bytes_inflated"],
            self.bytes_out,
            median([self.plan_seconds(number) for number in numbers]),
        )
        device_s = counts["seconds_inflate"] + counts["seconds_rasterize"]
        return {
            "tracks": len(self.collection), **asdict(self.cell),
            "ms": in_a_row * 1e3, "ms_waited_for": waited * 1e3, "ms_first": first * 1e3,
            "device_ms": device_s * 1e3,
            "inflate_ms": counts["seconds_inflate"] * 1e3,
            "rasterize_ms": counts["seconds_rasterize"] * 1e3,
            "read_ms": counts["seconds_read"] * 1e3,
            "gbp_tracks_per_s": self.gbp_tracks / max(in_a_row, 1e-9),
            "device_gbp_tracks_per_s": self.gbp_tracks / max(device_s, 1e-9),
            "blocks": counts["n_blocks"], "cached_blocks": counts["n_cached_blocks"],
            "bytes_read": counts["bytes_read"], "bytes_inflated": counts["bytes_inflated"],
            **binding(terms(taken, self.bench.rates), in_a_row),
        }  # fmt: skip

    def close(self) -> None:
        """Close the files and free the memory."""
        self.collection.close()
        self._outs.clear()


def _drop(_: object) -> None:
    """For a value that nobody wants."""


def require_equal(batches: Batches, on_cpu: BigWigCollection, number: int) -> None:
    """Compare a batch with that of the CPU backend, bit for bit.

    Raises
    ------
    AssertionError
        Where they differ.
    """
    windows, found = batches.windows(number), batches.read(number)
    n = max(min(len(windows), _COMPARED_BYTES * len(windows) // max(found.nbytes, 1)), 1)
    some = Windows(windows.contig_index[:n], windows.start[:n], windows.length_bp)
    expected = on_cpu.read(some, options=batches.options)
    got = batches.backend.to_host(found[:n])
    same = got.view(np.uint32) == expected.view(np.uint32)
    if not same.all():
        at = tuple(int(i) for i in np.argwhere(~same)[0])
        raise AssertionError(
            f"batch {number}: {int((~same).sum())} of {same.size} values differ from the CPU's; "
            f"the first at {at}: {got[at]!r} and {expected[at]!r}"
        )


def measure_cells(bench: Bench, data: GpuData) -> None:
    """Every cell beside the CPU backend on all cores."""
    for cell in bench.size.cells:
        if not _begin(bench, f"{cell.length_bp} bp x {cell.batch}"):
            continue
        batches = Batches(bench, data, cell, bench.size.n_tracks)
        on_cpu = BigWigCollection(batches.collection.bigwig_paths, device="cpu")
        require_equal(batches, on_cpu, 1)
        found = batches.measure(bench.size.rounds)
        cpu_ms = _cpu_seconds(batches, on_cpu) * 1e3
        bench.results.add(
            {
                "kind": "gpu_batch", **found, "equal": True,
                "cpu_ms": cpu_ms, "cpu_threads": on_cpu.backend.n_threads,
                "ratio": cpu_ms / max(found["ms"], 1e-6),
            }
        )  # fmt: skip
        on_cpu.close()
        batches.close()


def _cpu_seconds(batches: Batches, on_cpu: BigWigCollection, rounds: int = 3) -> float:
    """Median seconds of a batch whose blocks the CPU backend has verified, too."""
    shape = batches.options.shape(batches.cell.batch, batches.cell.length_bp, len(on_cpu))
    out = np.zeros(shape, np.float32)
    windows = [batches.windows(100 + i) for i in range(rounds)]

    def read(i: int) -> None:
        on_cpu.read(windows[i % rounds], options=batches.options, out=out)

    return wall_seconds(read, rounds, rounds)


def measure_resident(bench: Bench, data: GpuData) -> None:
    """Batches whose blocks the cache holds decoded."""
    for cell in bench.size.resident:
        if not _begin(bench, f"resident, {cell.length_bp} bp x {cell.batch}"):
            continue
        size = bench.size
        batches = Batches(bench, data, cell, size.n_tracks, cache_bytes=size.cache_bytes)
        on_cpu = BigWigCollection(batches.collection.bigwig_paths, device="cpu")
        for number in range(100, 100 + size.rounds):
            batches.read(number)
        require_equal(batches, on_cpu, 100)
        found = batches.measure(size.rounds)
        bench.results.add({"kind": "gpu_resident", **found, "equal": True})
        on_cpu.close()
        batches.close()


def measure_fused(bench: Bench, data: GpuData) -> None:
    """Inflating and rasterizing in a batch of many blocks, by either route."""
    cell = bench.size.fused
    routes = ("kernel", "nvcomp") if any("nvcomp" in name for name in bench.rates) else ("kernel",)
    for route in routes:
        if not _begin(bench, f"fused, {route}"):
            continue
        with _setting("BIGWIG_LOADER_INFLATE", route):
            budget = bench.size.budget_bytes
            batches = Batches(bench, data, cell, bench.size.n_tracks, memory_budget=budget)
            on_cpu = BigWigCollection(batches.collection.bigwig_paths, device="cpu")
            require_equal(batches, on_cpu, 1)
            found = batches.measure(bench.size.rounds)
        device_s = max(found["device_ms"] / 1e3, 1e-9)
        row = {"kind": "gpu_fused", "route": route, **found, "equal": True}
        row["gb_per_s"] = found["bytes_inflated"] / device_s / 1e9
        row["inflate_gb_per_s"] = found["bytes_inflated"] / max(found["inflate_ms"], 1e-6) / 1e6
        alone = bench.rates.get(rate_name("nvcomp", max(bench.size.counts)))
        row["ratio_to_nvcomp_alone"] = alone and row["gb_per_s"] * 1e9 / alone
        bench.results.add(row)
        on_cpu.close()
        batches.close()


def measure_latency(bench: Bench, data: GpuData) -> None:
    """One window, waited for, warm."""
    n_tracks, length_bp = bench.size.latency
    batches = Batches(bench, data, Cell(length_bp, 1), n_tracks)
    on_cpu = BigWigCollection(batches.collection.bigwig_paths, device="cpu")
    require_equal(batches, on_cpu, 1)
    repeats = 30 * bench.size.rounds
    many = [batches.windows(i) for i in range(repeats + 20)]
    shape = batches.options.shape(1, length_bp, n_tracks)
    row: dict[str, Any] = {"kind": "gpu_latency", "tracks": n_tracks, "length_bp": length_bp}
    for name, collection in (("us", batches.collection), ("cpu_us", on_cpu)):
        out = collection.backend.empty(shape, "float32")

        def read(i: int, collection: BigWigCollection = collection, out: Any = out) -> None:
            collection.read(many[i], out=out)

        row[name] = wall_seconds(read, repeats, 20) * 1e6
    bench.results.add({**row, "equal": True})
    on_cpu.close()
    batches.close()


def _begin(bench: Bench, what: str) -> bool:
    """Whether there is time for it; a row says so where there is not."""
    if not bench.has_time:
        bench.results.add({"kind": "left_out", "reason": "no time", "what": what})
    return bench.has_time


@contextmanager
def _setting(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
