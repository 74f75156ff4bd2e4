"""The benchmark of peak loaders makes its data and runs; nothing here looks at a time."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.compare import peaks
from benchmarks.peak_data import make_peak_data
from benchmarks.peers.peak_loaders import measure


def test_loaders_run_in_their_own_process(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    data = make_peak_data(tmp_path, peaks.TINY.contigs, peaks.TINY.n_most)
    jobs = peaks.jobs(data, 60, controls=True, workers=0)
    found = {
        name: measure(replace(jobs[name], n_epochs=1), sys.executable)
        for name in ("ours_compatible", "ours_in_memory", "ours_default")
    }
    streamed, extracted = found["ours_compatible"], found["ours_in_memory"]
    assert streamed["hashes"] == extracted["hashes"]
    assert streamed["labels"] == extracted["labels"]
    assert streamed["n_examples"] <= found["ours_default"]["n_examples"] == 66
    for result in found.values():
        assert 0 < result["build_s"] < result["first_batch_s"]
        assert len(result["examples_per_s"]) == 1
        assert result["memory_before_mb"] > 10


def test_a_failing_loader_ends_the_run(tmp_path: Path) -> None:
    data = make_peak_data(tmp_path, peaks.TINY.contigs, peaks.TINY.n_most)
    job = peaks.jobs(data, 60, controls=False, workers=0)["ours_default"]
    broken = replace(job, arguments=job.arguments | {"in_window": 0})
    with pytest.raises(RuntimeError, match="in_window"):
        measure(broken)
