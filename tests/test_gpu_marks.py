"""Tests that are marked `gpu`: where they are, what they need, and that they can be demanded."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from benchmarks.gpu.run_all import GPU_TESTS, KERNEL_TESTS
from tests.helpers.shared import REPOSITORY

# What a machine with CuPy and PyTorch does not have by itself, and `make gpu` does not bring.
ABSENT = (
    *("cyvcf2", "deflate", "figwig", "importlinter", "jsonschema", "mypy", "pgenlib"),
    *("pyBigWig", "pybigtools", "pyfaidx", "torchdata", "validate_pyproject"),
)
# Runs pytest where these cannot be imported.
RUN = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {ABSENT!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
import pytest
raise SystemExit(pytest.main(["-q", "-m", "gpu", "-p", "no:cacheprovider", *sys.argv[1:]]))
"""


def run(*arguments: str, required: str) -> subprocess.CompletedProcess[str]:
    """Pytest of what is marked `gpu`, with no GPU to be seen."""
    environment = {**os.environ, "BWL_REQUIRE_CUDA": required, "CUDA_VISIBLE_DEVICES": "-1"}
    return subprocess.run(
        [sys.executable, "-c", RUN, *arguments],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_they_fail_where_a_gpu_is_required_and_there_is_none() -> None:
    done = run("-k", "smoothing", *GPU_TESTS, required="1")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    assert ", 1 error in" in done.stdout
    assert "needs a CUDA device" not in done.stdout
    # The reason is that there is no GPU: nothing else that is missing was asked for.
    assert "BackendUnavailableError" in done.stdout


def test_they_are_skipped_elsewhere() -> None:
    done = run("-k", "smoothing", KERNEL_TESTS, required="")
    assert done.returncode == pytest.ExitCode.OK, done.stdout
    assert "1 skipped" in done.stdout
    assert "needs a CUDA device" in done.stdout


def test_all_are_below_the_folders_that_are_run() -> None:
    mark = "mark" + ".gpu"
    files = [p.relative_to(REPOSITORY) for p in (REPOSITORY / "tests").rglob("*.py")]
    marked = [p for p in files if mark in (REPOSITORY / p).read_text()]
    assert marked
    assert [p for p in marked if not p.as_posix().startswith(GPU_TESTS)] == []
