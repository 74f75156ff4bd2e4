"""What the machine can do: copies, writes, and the host's reads."""

from __future__ import annotations

import numpy as np

from benchmarks.gpu.clock import Bench, device_seconds

# Names of `Bench.rates`, in bytes per second.
COPY, WRITE, UPLOAD, DOWNLOAD = "device copy", "device write", "upload", "download"


def measure_ceilings(bench: Bench) -> None:
    """Copies within the device (bytes read and written), writes, copies from and to the host."""
    device, n = bench.device, bench.size.copy_bytes
    stream = device.stream()
    source, target = device.memory(n), device.memory(n)
    device.fill(source.address, 1, n, stream)
    part = max(n // 8, 1)
    pinned = device.pinned(part)
    pinned.array[:] = np.arange(part, dtype=np.uint8)
    tries = {
        COPY: (2 * n, lambda i: device.copy(target.address, source.address, n, stream)),
        WRITE: (n, lambda i: device.fill(target.address, i, n, stream)),
        UPLOAD: (part, lambda i: device.upload(target.address, pinned.address, part, stream)),
        DOWNLOAD: (part, lambda i: device.download(pinned.address, target.address, part, stream)),
    }
    for name, (n_bytes, work) in tries.items():
        seconds = device_seconds(device, stream, work, bench.size.repeats)
        bench.rates[name] = n_bytes / max(seconds, 1e-9)
        row = {"kind": "gpu_ceiling", "what": name, "bytes": n_bytes}
        bench.results.add({**row, "gb_per_s": bench.rates[name] / 1e9})
