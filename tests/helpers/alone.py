"""Runs Python, and suites of `tests/alone`, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.helpers.shared import REPOSITORY


def run_python(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run ``python arguments`` in the repository; its status and what it printed."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=REPOSITORY,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def run_alone(suite: str) -> None:
    """Fail, with what pytest shows, unless all tests of ``tests/alone/<suite>.py`` pass."""
    path = REPOSITORY / "tests" / "alone" / f"{suite}.py"
    done = run_python("-m", "pytest", "-q", "-p", "no:cacheprovider", path)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-5_000:]
    assert " passed" in done.stdout.splitlines()[-1]
