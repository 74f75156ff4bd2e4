"""Inflating alone: streams per warp against each other and against nvCOMP, by number of streams."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks import made
from benchmarks.gpu.blocks import ADLER, DeviceBlocks, Stored
from benchmarks.gpu.clock import Bench, device_seconds
from benchmarks.gpu.data import GpuData
from benchmarks.record import median
from bigwig_loader.backend.cuda.device import Stream
from bigwig_loader.backend.cuda.inflate_launch import STREAMS_PER_WARP, inflate_launch
from bigwig_loader.backend.cuda.nvcomp import Nvcomp, NvcompBatch, NvcompLayout, _Options

# Blocks whose bytes are compared with zlib's; of the others checksums are compared.
_COMPARED = 400
_MOST_SETS = 64
# Streams made of a real file, however few it has.
_MANY = 20_000


class _Set(NamedTuple):
    """Blocks that are inflated together."""

    which: npt.NDArray[np.int32]
    order: int


def rate_name(route: str, n: int) -> str:
    """Name in `Bench.rates` of inflating so many streams at once."""
    return f"inflate {route} {n}"


def measure_inflating(bench: Bench, data: GpuData, nvcomp: Nvcomp | str) -> None:
    """Rows for all numbers of streams, on blocks of 1,024 items, of 32 KB, and on real ones."""
    if isinstance(nvcomp, str):
        bench.results.add({"kind": "gpu_absent", "what": "nvCOMP", "reason": nvcomp})
    size = bench.size
    most = max(size.counts)
    kinds: list[tuple[str, Callable[[], Stored], tuple[int, ...]]] = [
        ("1024 items", partial(Stored.of_files, data.tracks.paths, most), size.counts),
        ("32 KB", partial(Stored.of_files, data.large_blocks.paths), size.large_counts),
    ]
    if size.n_tracks >= 100:
        for path in made.real_files():
            name = f"real, {path.name}"
            kinds.append((name, partial(Stored.of_files, [str(path)], _MANY), (_MANY,)))
    for name, load, counts in kinds:
        if not bench.has_time:
            bench.results.add({"kind": "left_out", "reason": "no time", "what": f"inflate {name}"})
            continue
        stored = load()
        blocks = DeviceBlocks(bench.device, stored, ADLER)
        for n in sorted({min(n, len(stored)) for n in counts}):
            _measure_count(bench, blocks, name, n, nvcomp)


def _measure_count(
    bench: Bench, blocks: DeviceBlocks, name: str, n: int, nvcomp: Nvcomp | str
) -> None:
    stored, device, size = blocks.stored, bench.device, bench.size
    n_bytes = int(stored.n_bytes[:n].sum() + stored.capacity[:n].sum())
    n_sets = min(max(size.spread_bytes // n_bytes, 1), len(stored) // n, _MOST_SETS)
    every = np.random.default_rng(1).permutation(len(stored))
    sets = []
    for k in range(n_sets):
        which = blocks.longest_first(every[k * n : (k + 1) * n])
        sets.append(_Set(which, blocks.keep(which)))
    repeats = max(size.repeats, min(2 * n_sets, _MOST_SETS))
    stream = device.stream()
    row: dict[str, Any] = {"kind": "gpu_inflate", "blocks": name, "n": n, "sets": n_sets}
    row["ratio"] = float(stored.capacity[:n].sum() / stored.n_bytes[:n].sum())

    def add(what: str, produced: list[int], work: Callable[[int], None], **more: Any) -> None:
        seconds = device_seconds(device, stream, work, repeats)
        rate = median([float(p) for p in produced]) / max(seconds, 1e-9)
        bench.results.add(
            {
                **row,
                "what": what,
                **more,
                "us": seconds * 1e6,
                "gb_per_s": rate / 1e9,
                "equal": True,
            }
        )
        if name == "1024 items":
            route = "nvcomp" if what == "nvcomp" else "kernel"
            known = bench.rates.get(rate_name(route, n), 0.0)
            bench.rates[rate_name(route, n)] = max(rate, known)

    limits = n, device.n_multiprocessors, device.shared_bytes
    chosen = inflate_launch(*limits).streams_per_warp
    for per_warp in STREAMS_PER_WARP:
        # Each run has a counter of its own, so that none is cleared while the clock runs.
        counters = blocks.keep(np.zeros(repeats + 16, np.uint32))
        produced = _run_and_compare(blocks, sets, per_warp, stream)

        def inflate(i: int, per_warp: int = per_warp, counters: int = counters) -> None:
            blocks.inflate(per_warp, n, sets[i % n_sets].order, counters + 4 * i, stream)

        shape = inflate_launch(n, device.n_multiprocessors, device.shared_bytes, per_warp)
        add(
            "kernel", produced, inflate, streams_per_warp=per_warp, chosen=per_warp == chosen,
            grid=shape.n_blocks, threads=shape.n_threads,
        )  # fmt: skip
    add("adler", produced, lambda i: blocks.check_adler(n, sets[i % n_sets].order, stream))
    if not isinstance(nvcomp, str):
        calls = [_nvcomp_set(blocks, nvcomp, one, stream) for one in sets]
        add("nvcomp", produced, lambda i: call_nvcomp(nvcomp, *calls[i % n_sets], n, stream))
        add(
            "nvcomp with placing and outcomes", produced,
            lambda i: nvcomp.inflate(device, *calls[i % n_sets], stream),
        )  # fmt: skip


def _run_and_compare(
    blocks: DeviceBlocks, sets: list[_Set], per_warp: int, stream: Stream
) -> list[int]:
    """Inflate every set once, compare; bytes made of each."""
    blocks.forget()
    counters = blocks.keep(np.zeros(len(sets), np.uint32))
    for k, one in enumerate(sets):
        blocks.inflate(per_warp, len(one.which), one.order, counters + 4 * k, stream)
        blocks.check_adler(len(one.which), one.order, stream)
    stream.synchronize()
    most = max(_COMPARED // len(sets), 1)
    return [blocks.require_equal_to_zlib(one.which, most) for one in sets]


def _nvcomp_set(
    blocks: DeviceBlocks, nvcomp: Nvcomp, one: _Set, stream: Stream
) -> tuple[NvcompBatch, NvcompLayout]:
    """A call of nvCOMP that has been made and compared, its arrays filled."""
    blocks.forget()
    call = blocks.for_nvcomp(nvcomp, one.which, one.order)
    nvcomp.inflate(blocks.device, *call, stream)
    blocks.check_adler(len(one.which), one.order, stream)
    stream.synchronize()
    blocks.require_equal_to_zlib(one.which, 20)
    return call


def call_nvcomp(
    nvcomp: Nvcomp, batch: NvcompBatch, layout: NvcompLayout, n: int, stream: Stream
) -> None:
    """nvCOMP by itself, with the arrays that an earlier `Nvcomp.inflate` has filled."""
    arrays = [batch.scratch + part for part in layout.arrays]
    inputs, input_bytes, outputs, capacities, produced, statuses = arrays
    temp = batch.scratch + layout.temp if layout.temp_bytes else None
    options = (_Options(),) if nvcomp._has_options else ()
    status = nvcomp._decompress(
        inputs, input_bytes, capacities, produced, n, temp, layout.temp_bytes, outputs,
        *options, statuses, stream.pointer,
    )  # fmt: skip
    if status != 0:
        raise AssertionError(f"nvCOMP: status {status}")
