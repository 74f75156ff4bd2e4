"""One peak loader in a process of its own: time to its first batch, an epoch, and memory.

``python -m benchmarks.peers.peak_loaders JSON`` prints one JSON line. The parent compares hashes of
batches before it looks at times.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

HASHED_BATCHES = 200


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Build the loader that `request` names, and run `n_epochs` epochs of it."""
    name = request["loader"]
    import torch

    if name == "cherimoya":
        from cherimoya.io import PeakGenerator

        options: dict[str, Any] = {}
    else:
        from bigwig_loader.io import PeakGenerator  # type: ignore[assignment]

        options = {"rng": "cherimoya-0.3"} if name == "ours_compatible" else {}
        options |= request.get("options", {})
    before = memory("VmRSS")
    began = time.perf_counter()
    loader = PeakGenerator(**request["arguments"], **options)
    built = time.perf_counter()
    batches = iter(loader)
    first = next(batches)
    first_at = time.perf_counter()
    result = {
        "loader": name,
        "build_s": built - began,
        "first_batch_s": first_at - began,
        "n_examples": len(loader.dataset),
        "epochs": [],
    }
    hashes, labels = [digest(first)], [first[-1]]
    for batch in batches:
        if len(hashes) < HASHED_BATCHES:
            hashes.append(digest(batch))
        labels.append(batch[-1])
    del batches
    result["hashes"] = hashes
    result["labels"] = hashlib.sha256(torch.cat(labels).numpy().tobytes()).hexdigest()
    for _ in range(request["n_epochs"]):
        began = time.perf_counter()
        n = sum(len(batch[0]) for batch in loader)
        result["epochs"].append({"n": n, "s": time.perf_counter() - began})
    result["rss_before_mb"] = before
    result["rss_mb"], result["peak_mb"] = memory("VmRSS"), memory("VmHWM")
    return result


def digest(batch: Any) -> str:
    """Hash of all tensors of a batch."""
    sha = hashlib.sha256()
    for part in batch:
        sha.update(part.numpy().tobytes())
    return sha.hexdigest()


def memory(field: str) -> float:
    """A line of /proc/self/status in MB."""
    text = Path("/proc/self/status").read_text()
    return int(text.split(f"{field}:")[1].split()[0]) / 1024


if __name__ == "__main__":
    sys.stdout.write("\n" + json.dumps(main(json.loads(sys.argv[1]))) + "\n")
