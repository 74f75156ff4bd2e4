"""Where the real CUDA packages are, for tests that compare their names with those in use here."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# A Python that has the packages, where the one that runs the tests does not.
VARIABLE = "BWL_CUDA_PYTHON"


def python_with(package: str) -> str:
    """A Python interpreter in which a package is installed; skips the test where there is none."""
    for python in (sys.executable, os.environ.get(VARIABLE)):
        if python and _has(python, package):
            return python
    pytest.skip(f"{package} is not installed, nor does {VARIABLE} name a Python that has it")


def _has(python: str, package: str) -> bool:
    code = f"import importlib.util as u; raise SystemExit(u.find_spec({package!r}) is None)"
    return subprocess.run([python, "-c", code], capture_output=True, check=False).returncode == 0
