"""Reading: a read per data block against coalesced reads, host threads against kvikio."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from benchmarks.gpu.clock import Bench, wall_seconds
from benchmarks.gpu.data import GpuData
from benchmarks.peers.request import random_request
from benchmarks.record import median
from bigwig_loader.backend.cuda.blocks import plan_work
from bigwig_loader.backend.cuda.kvikio_reads import KvikioReader, find_kvikio
from bigwig_loader.backend.cuda.reads import HostReader, Reader, Reads
from bigwig_loader.collection import BigWigCollection
from bigwig_loader.plan.blocks import plan_signal
from bigwig_loader.plan.windows import Windows

# Windows read at once: about as many bytes either way, and few enough for slow ways.
_BASES = 1 << 19
_REQUESTS = 3


def read_rate_name(length_bp: int) -> str:
    """Name in `Bench.rates` of bringing the blocks of such windows to the device."""
    return f"read {length_bp}"


class _Wanted(NamedTuple):
    """The blocks of a batch: reads by the way they are cut, and bytes of the blocks."""

    reads: dict[str, Reads]
    n_bytes: int


def measure_reading(bench: Bench, data: GpuData) -> None:
    """Rows for short and long windows; the bytes that count are those of the blocks wanted."""
    size, device = bench.size, bench.device
    collection = BigWigCollection(data.tracks.tracks(size.n_tracks), device="cpu")
    index = collection._index
    n_threads = bench.backend.n_threads
    kvikio = find_kvikio()
    readers: list[tuple[str, Reader]] = [
        ("host threads", HostReader(device, index, n_threads)),
        ("one host thread", HostReader(device, index, 1)),
    ]
    if isinstance(kvikio, str):
        bench.results.add({"kind": "gpu_absent", "what": "kvikio", "reason": kvikio})
    else:
        readers.append((kvikio.reason, KvikioReader(device, index, n_threads, kvikio)))
    for length_bp in size.read_bp:
        batches = [_wanted(bench, collection, data, length_bp, k) for k in range(_REQUESTS)]
        n_bytes = median([float(batch.n_bytes) for batch in batches])
        row = {"kind": "gpu_read", "length_bp": length_bp, "tracks": size.n_tracks}
        for cut in ("coalesced", "one per block"):
            wanted = [batch.reads[cut] for batch in batches]
            for name, reader in readers:
                seconds = _seconds(bench, reader, wanted)
                rate = n_bytes / max(seconds, 1e-9)
                found = {
                    "reader": name, "cut": cut, "n_reads": len(wanted[0]), "bytes": n_bytes,
                    "ms": seconds * 1e3, "gb_per_s": rate / 1e9,
                }  # fmt: skip
                bench.results.add({**row, **found})
                if (cut, name) == ("coalesced", "host threads"):
                    bench.rates[read_rate_name(length_bp)] = rate
    for _, reader in readers:
        reader.close()
    collection.close()


def _wanted(
    bench: Bench, collection: BigWigCollection, data: GpuData, length_bp: int, number: int
) -> _Wanted:
    n_windows = max(_BASES // length_bp, 2) if bench.size.n_tracks >= 100 else 2
    request = random_request(data.tracks.places, length_bp, n_windows, 1, [7, number])
    contig, index = collection.contigs.index_of(request.chroms), collection._index
    windows = Windows(contig, request.starts, length_bp)
    plan = plan_signal(index, windows, np.arange(len(collection)))
    none = np.zeros(plan.n_blocks, np.uint64)
    n_section, checks = np.zeros(plan.n_blocks, np.int32), np.zeros(plan.n_blocks, np.uint8)
    work = plan_work(index, plan, checks, none, n_section, none)
    n_bytes = index.n_bytes[plan.block].astype(np.int64)
    to = work.records["bytes"].astype(np.int64)  # where the coalesced reads put them
    by_block = Reads(index.track_of(plan.block), index.offset[plan.block], n_bytes, to)
    return _Wanted({"coalesced": work.reads, "one per block": by_block}, int(n_bytes.sum()))


def _seconds(bench: Bench, reader: Reader, wanted: list[Reads]) -> float:
    """Median seconds until everything is on the device."""
    device = bench.device
    n_bytes = max(reads.extent[1] for reads in wanted)
    pinned, memory, stream = device.pinned(n_bytes), device.memory(n_bytes), device.stream()

    def fetch(i: int) -> None:
        reader.fetch(wanted[i % len(wanted)], pinned, memory.address, stream)
        stream.synchronize()

    return wall_seconds(fetch, 2 * len(wanted), len(wanted))
