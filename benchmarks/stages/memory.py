"""Peak memory against the declared budget, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from benchmarks.made import DataSet
from benchmarks.record import REPOSITORY

# The pages of mapped index files and of code count as resident too, so the growth between the
# opened collection, after a first small batch, and the peak is what is compared.
_SCRIPT = """
import json, re, resource, sys
import numpy as np
from bigwig_loader.collection import BigWigCollection

def resident_bytes(field):
    # Linux: VmRSS now, VmHWM at its highest; ru_maxrss also knows the process forked from.
    try:
        with open("/proc/self/status") as status:
            return 1024 * int(re.search(field + r":\\s+(\\d+)", status.read())[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS: the highest, in bytes

job = json.loads(sys.argv[1])
collection = BigWigCollection(job["paths"], memory_budget=job["budget"])
chrom, length = job["chrom"], job["length_bp"]
collection.get_batch([chrom], [0], [1])
starts = np.linspace(0, job["contig_bp"] - length, job["batch"]).astype(np.int64)
before = resident_bytes("VmRSS")
result = collection.get_batch([chrom] * len(starts), starts, starts + length, job["bin_size"])
print(json.dumps({"result_bytes": result.nbytes, "grown_bytes": resident_bytes("VmHWM") - before}))
"""


def memory(data: DataSet, n_tracks: int, budget_mb: int, batch: int = 64) -> dict[str, Any]:
    """Growth of the resident set during one `get_batch` that needs more than its budget at once."""
    chrom, contig_bp = next(iter(data.contigs.items()))
    length_bp = min(524_288, contig_bp)
    job = {
        "paths": data.tracks(n_tracks),
        "budget": budget_mb << 20,
        "chrom": chrom,
        "contig_bp": contig_bp,
        "length_bp": length_bp,
        "batch": batch,
        "bin_size": 128,
    }
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, json.dumps(job)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"the memory run failed: {done.stderr}")
    measured = json.loads(done.stdout)
    return {
        "kind": "memory",
        "data": data.name,
        "tracks": n_tracks,
        "batch": batch,
        "length_bp": length_bp,
        "bin_size": 128,
        "budget_bytes": job["budget"],
        **measured,
        "within_budget": measured["grown_bytes"] <= job["budget"],
    }
