"""The memory budget of streaming holds, as measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.helpers.alone import run_python
from tests.helpers.stream_memory import make_files

pytest.importorskip("pgenlib")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_the_memory_budget_holds(tmp_path: Path) -> None:
    """Without one, all that is read and how it is read would take more."""
    make_files(tmp_path)
    budget = 60_000_000
    found = run_python("-m", "tests.helpers.stream_memory", tmp_path, budget / 1e9)
    assert found.returncode == 0, found.stderr
    measured = json.loads(found.stdout)
    assert measured["costs"] > 30_000_000
    assert measured["n_buffers"] > 3
    assert measured["taken"] < budget
