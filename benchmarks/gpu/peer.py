"""bigwig-loader 0.3.2 on the same windows, in a process of its own: it has our package's name.

Run as ``python benchmarks/gpu/peer.py REQUEST``, with that package on PYTHONPATH and ours not. The
request is a file of JSON (`ask` writes it); the answer goes to standard output as one line of JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


def ask(folder: Path, request: dict[str, Any], seconds: float) -> dict[str, Any]:
    """What the package says to a request, or the reason why it says nothing.

    Parameters
    ----------
    folder : Path
        Where the package is installed (``pip install --target``).
    request : dict
        paths, chroms, starts (one list per round), length_bp, bin_size, values (where to put
        those of the first round, as .npy).
    seconds : float
        Time that it has.
    """
    path = Path(request["values"]).with_suffix(".json")
    path.write_text(json.dumps(request))
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-P", str(Path(__file__).resolve()), str(path)]
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return {"reason": f"took more than {seconds:.0f} s"}
    if done.returncode != 0:
        return {"reason": (done.stderr.strip().splitlines() or ["no message"])[-1]}
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Median milliseconds of a batch; the values of the first are saved."""
    import cupy
    import numpy as np

    # An editable install of ours is found before all folders.
    sys.meta_path[:] = [f for f in sys.meta_path if "editable" not in type(f).__module__]
    from bigwig_loader.collection import BigWigCollection  # theirs

    collection = BigWigCollection(request["paths"])
    taken = []
    for number, (chroms, starts) in enumerate(
        zip(request["chroms"], request["starts"], strict=True)
    ):
        start = np.array(starts)
        cupy.cuda.Device().synchronize()
        began = time.perf_counter()
        values = collection.get_batch(
            chroms, start, start + request["length_bp"], window_size=request["bin_size"]
        )
        cupy.cuda.Device().synchronize()
        taken.append(time.perf_counter() - began)
        if number == 0:
            np.save(request["values"], cupy.asnumpy(values))
    order = [str(path) for path in collection.bigwig_paths]
    return {"ms": float(np.median(taken[1:])) * 1e3, "paths": order}


if __name__ == "__main__":
    print(json.dumps(answer(json.loads(Path(sys.argv[1]).read_text()))))
