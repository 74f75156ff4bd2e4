"""Runs a suite of `tests/alone` in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.helpers.shared import REPOSITORY


def run_alone(suite: str) -> None:
    """Fail, with what pytest shows, unless all tests of ``tests/alone/<suite>.py`` pass."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, str(REPOSITORY / "tests" / "alone" / f"{suite}.py")],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-5_000:]
    assert " passed" in done.stdout.splitlines()[-1]
