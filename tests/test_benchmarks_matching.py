"""The benchmark of matching makes its data and compares windows; nothing here looks at a time."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.compare import matching
from benchmarks.peers.tangermeme_matching import MatchingJob, measure


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return matching.make(tmp_path_factory.mktemp("matching"), matching.TINY)


def test_jobs_run_in_their_own_process(paths: dict[str, str], tmp_path: Path) -> None:
    job = MatchingJob(
        "bigwig_loader", **paths, n_jobs=1, output="", compatible=True, warm_up="chrS"
    )
    outputs = []
    for name, compatible in (("first", True), ("second", True), ("default", False)):
        output = tmp_path / name
        result = measure(replace(job, output=str(output), compatible=compatible))
        lines = output.read_text().splitlines()
        assert result["matched"] == len(lines) > 20
        assert min(result["wall_s"], result["cpu_s"]) > 0
        assert result["peak_bytes"] > 1e7
        outputs.append(lines)
    assert outputs[0] == outputs[1] != outputs[2]


def test_a_failing_library_ends_the_run(paths: dict[str, str], tmp_path: Path) -> None:
    broken = paths | {"loci": str(tmp_path / "none.bed")}
    with pytest.raises(RuntimeError, match="NotFoundError"):
        measure(
            MatchingJob(
                "bigwig_loader",
                **broken,
                n_jobs=1,
                output="",
                compatible=True,
                warm_up="chrS",
            )
        )


def test_different_windows_end_the_run(
    paths: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(job: MatchingJob, python: str = "") -> dict[str, object]:
        Path(job.output).write_text(job.library)
        return {"wall_s": 1.0, "cpu_s": 1.0}

    monkeypatch.setattr(matching, "measure", measured)
    with pytest.raises(matching.NotEqualError):
        matching.compare(paths, 1, sys.executable, tmp_path, n_jobs=1, signal=True)
