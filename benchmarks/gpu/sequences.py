"""One-hot sequence from a genome on the device, by dtype and layout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.gpu.ceilings import WRITE
from benchmarks.gpu.clock import Bench, wall_seconds
from benchmarks.gpu.data import GpuData
from benchmarks.peers.request import random_request
from bigwig_loader.backend.select import select_backend
from bigwig_loader.formats.genome import Genome
from bigwig_loader.plan.sequence import SequenceOptions
from bigwig_loader.plan.windows import ContigTable, Windows

_WAYS: tuple[SequenceOptions, ...] = (
    SequenceOptions("float32"),
    SequenceOptions("bfloat16"),
    SequenceOptions("uint8"),
    SequenceOptions("float32", "BAL"),
)


def measure_one_hot(bench: Bench, data: GpuData) -> None:
    """Bases per second, and bytes written against what the device can write."""
    assert data.tracks.genome is not None
    genome, cell = Genome(data.tracks.genome).load(), bench.size.one_hot
    lengths = genome.contigs
    contigs = ContigTable(tuple(lengths), np.array(list(lengths.values())))
    request = random_request(data.tracks.places, cell.length_bp, cell.batch, 1, [5])
    windows = Windows(contigs.index_of(request.chroms), request.starts, cell.length_bp)
    on_cpu, backend, device = select_backend("cpu"), bench.backend, bench.device
    for options in _WAYS:
        out = backend.encode_one_hot(genome, contigs, windows, options)
        expected = on_cpu.encode_one_hot(genome, contigs, windows, options)
        if backend.to_host(out).tobytes() != expected.tobytes():
            raise AssertionError(f"one-hot sequence, {options}: differs from the CPU's")

        def encode(options: SequenceOptions = options, out: Any = out) -> None:
            backend.encode_one_hot(genome, contigs, windows, options, out, wait=False)

        seconds = _seconds(bench, encode)
        bytes_per_s = out.nbytes / seconds
        bench.results.add(
            {
                "kind": "gpu_one_hot", "dtype": options.dtype, "layout": options.layout,
                "length_bp": cell.length_bp, "batch": cell.batch, "equal": True,
                "ms": seconds * 1e3, "gbases_per_s": cell.batch * cell.length_bp / seconds / 1e9,
                "gb_per_s": bytes_per_s / 1e9, "share_of_write": bytes_per_s / bench.rates[WRITE],
                "device": device.name,
            }
        )  # fmt: skip


def _seconds(bench: Bench, encode: Callable[[], None]) -> float:
    """Of one call among several in a row, which the device works off without a break."""

    def encode_all(_: int) -> None:
        for _ in range(bench.size.repeats):
            encode()
        bench.backend.pending().wait()

    return max(wall_seconds(encode_all, 3) / bench.size.repeats, 1e-9)
