"""Several processes under torchrun, and how each of them ends.

PyTorch's gloo threads outlive their process group. One that frees a tensor while the interpreter
is being finalized aborts the process (pytorch/pytorch#190489), which happens once in many runs
under load. So each process leaves without finalizing, after a look at what it would leave behind.
"""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import threading

from tests.helpers.alone import run_python


def torchrun(n_ranks: int, module: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run ``python -m module arguments`` in `n_ranks` processes; its status and what it printed."""
    options = ["--standalone", "--max-restarts=0", "--monitor-interval=0.1"]
    options += [f"--nproc-per-node={n_ranks}", "-m", "tests.helpers.ranks", module]
    return run_python("-m", "torch.distributed.run", *options, *arguments)


def main() -> None:
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    ours = [t.name for t in threading.enumerate() if t.name.startswith("bigwig-loader")]
    assert not ours, f"threads left at the end: {ours}"
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
