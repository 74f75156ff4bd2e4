"""The GPU benchmarks run, on an emulated GPU and tiny data, and compare values before times.

Nothing here looks at a time.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.gpu import report, run_all
from benchmarks.gpu.data import GpuData, make_gpu_data
from benchmarks.gpu.sizes import TINY
from bigwig_loader.formats.bigwig import read_bigwig_index
from bigwig_loader.formats.survey import survey_blocks
from tests.helpers import emulator, fake_cupy
from tests.helpers.fake_kvikio import FakeKvikio
from tests.helpers.fake_nvcomp import FakeNvcomp

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(
        sys.platform != "linux" or emulator.compiler() is None,
        reason="needs Linux and a C++ compiler, which compiles the emulated kernels",
    ),
]
EQUAL = {
    *("gpu_inflate", "gpu_batch", "gpu_resident", "gpu_fused", "gpu_latency", "gpu_one_hot"),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> GpuData:
    return make_gpu_data(tmp_path_factory.mktemp("gpu_data"), TINY)


@pytest.fixture(scope="module")
def results(data: GpuData, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """All parts, with nvCOMP and kvikio as they are emulated here."""
    pytest.importorskip("torch")
    fake_cupy.install(mode="late", dlpack_as_cpu=True)
    try:
        from benchmarks.gpu.__main__ import main
        from bigwig_loader.backend.cuda import nvcomp

        kvikio = FakeKvikio()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(nvcomp, "_libraries", lambda: iter([FakeNvcomp()]))
            kvikio.install(patch)
            folder = Path(data.tracks.paths[0]).parents[1]
            written = tmp_path_factory.mktemp("gpu") / "gpu.jsonl"
            arguments = ["--tiny", "--data", str(folder), "--output", str(written)]
            assert main([*arguments, "--commit", "abc"]) == 0
        assert kvikio.misuse == []
        yield written
    finally:
        fake_cupy.uninstall()


@pytest.fixture(scope="module")
def rows(results: Path) -> list[dict[str, Any]]:
    return report.read_rows(results)


def of(rows: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["kind"] == kind]


def test_every_part_left_its_rows(rows: list[dict[str, Any]]) -> None:
    others = {"environment", "gpu", "gpu_ceiling", "gpu_read", "gpu_training"}
    assert {row["kind"] for row in rows} == EQUAL | others
    for kind in EQUAL:
        assert all(row["equal"] is True for row in of(rows, kind))
    (device,) = of(rows, "gpu")
    assert device["device"] == "Fake GPU"
    assert device["commit"] == "abc"
    assert device["driver"] == "13.0"
    assert len(of(rows, "gpu_batch")) == len(TINY.cells)
    assert [row["route"] for row in of(rows, "gpu_fused")] == ["kernel", "nvcomp"]
    assert {row["model"] for row in of(rows, "gpu_training")} == {"bpnet", "borzoi"}


def test_inflating_is_measured_every_way(rows: list[dict[str, Any]]) -> None:
    wanted = {("1024 items", n) for n in TINY.counts} | {("32 KB", n) for n in TINY.large_counts}
    found = of(rows, "gpu_inflate")
    assert {(row["blocks"], row["n"]) for row in found} == wanted
    for blocks, n in wanted:
        some = [row for row in found if (row["blocks"], row["n"]) == (blocks, n)]
        kernels = [row for row in some if row["what"] == "kernel"]
        assert {row["streams_per_warp"] for row in kernels} == {1, 8, 16, 32}
        assert sum(row["chosen"] for row in kernels) == 1
        assert {"adler", "nvcomp"} <= {row["what"] for row in some}


def test_reads_are_cut_both_ways(rows: list[dict[str, Any]]) -> None:
    found = of(rows, "gpu_read")
    readers = {row["reader"] for row in found}
    assert len(readers) == 3
    for length_bp in TINY.read_bp:
        by_cut = {
            (row["cut"], row["reader"]): row for row in found if row["length_bp"] == length_bp
        }
        assert set(by_cut) == {(cut, r) for cut in ("coalesced", "one per block") for r in readers}
        n_reads = {cut: row["n_reads"] for (cut, _), row in by_cut.items()}
        assert n_reads["coalesced"] < n_reads["one per block"]


def test_every_batch_names_its_binding_term(rows: list[dict[str, Any]]) -> None:
    for kind in ("gpu_batch", "gpu_fused"):
        for row in of(rows, kind):
            assert set(row["terms_ms"]) == {"plan", "read", "upload", "inflate", "write"}
            assert row["binding"] in row["terms_ms"]
            assert row["bytes_inflated"] > 0
    for row in of(rows, "gpu_resident"):
        assert row["cached_blocks"] == row["blocks"] > 0
        assert row["bytes_read"] == row["bytes_inflated"] == 0
        assert set(row["terms_ms"]) == {"plan", "write"}


def test_results_are_plain_json(results: Path) -> None:
    for line in results.read_text().splitlines():
        json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_report(rows: list[dict[str, Any]]) -> None:
    n_targets = sum(
        len(of(rows, f"gpu_{kind}"))
        for kind in ("fused", "batch", "resident", "latency", "training")
    )
    assert len(report.target_lines(rows)) == n_targets
    many = [dict(row, blocks=30_000, gb_per_s=250.0) for row in of(rows, "gpu_fused")]
    assert [line[3] for line in report.target_lines(many)] == ["yes", "yes"]
    slow = [dict(row, gb_per_s=20.0, ratio_to_nvcomp_alone=2.0) for row in many]
    assert [line[3] for line in report.target_lines(slow)] == ["NO", "NO"]
    step = {"kind": "gpu_step", "step": "tests", "outcome": "failed", "seconds": 1, "said": "x"}
    failed = {"kind": "failed", "what": "cells", "error": "AssertionError: y"}
    printed = "\n".join(report.text([*rows, step, failed]))
    for word in ("Fake GPU", "nvCOMP", "coalesced", "one-hot", "binding", "AssertionError: y"):
        assert word in printed


def test_what_fails_is_said_and_the_rest_goes_on(
    results: Path, data: GpuData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks.gpu import __main__ as benchmarks
    from benchmarks.gpu import inflating, sequences

    def fail(*_: object) -> None:
        raise AssertionError("values differ")

    monkeypatch.setattr(benchmarks, "measure_reading", fail)
    folder = str(Path(data.tracks.paths[0]).parents[1])
    arguments = ["--tiny", "--data", folder, "--output", str(tmp_path / "gpu.jsonl")]
    assert benchmarks.main([*arguments, "--only", "read", "one-hot"]) == 1
    found = report.read_rows(tmp_path / "gpu.jsonl")
    assert of(found, "failed")[0]["error"] == "AssertionError: values differ"
    assert len(of(found, "gpu_one_hot")) == len(sequences._WAYS)
    assert benchmarks.main([*arguments, "--seconds", "-1"]) == 0
    left_out = {row["what"] for row in of(report.read_rows(tmp_path / "gpu.jsonl"), "left_out")}
    assert left_out == set(benchmarks.PARTS)
    assert inflating.rate_name("kernel", 3) == "inflate kernel 3"


def test_a_trace_names_every_kernel_and_copy(
    results: Path, data: GpuData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from benchmarks.gpu.__main__ import main

    folder = str(Path(data.tracks.paths[0]).parents[1])
    arguments = ["--tiny", "--data", folder, "--output", str(tmp_path / "gpu.jsonl")]
    assert main([*arguments, "--trace", "200x2"]) == 0
    printed = capsys.readouterr().out
    for word in ("upload", "bwl_inflate", "bwl_describe", "bwl_rasterize", "download", "_queue"):
        assert word in printed
    assert main([*arguments, "--trace", "200x2", "--resident"]) == 0
    assert "bwl_inflate" not in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_differing_values_stop_a_measurement(results: Path, data: GpuData) -> None:
    import time

    from benchmarks.gpu.batches import Batches, require_equal
    from benchmarks.gpu.blocks import DeviceBlocks, Stored
    from benchmarks.gpu.clock import Bench
    from bigwig_loader.backend.cuda.backend import CudaBackend
    from bigwig_loader.collection import BigWigCollection

    backend = CudaBackend(0)
    bench = Bench(backend, TINY, None, time.monotonic() + 60)  # type: ignore[arg-type]
    batches = Batches(bench, data, TINY.cells[0], 2)
    other = BigWigCollection(batches.collection.bigwig_paths[::-1], device="cpu")
    with pytest.raises(AssertionError, match="values differ from the CPU's"):
        require_equal(batches, other, 1)
    batches.close()

    stored = Stored.of_files(data.tracks.paths[:1])
    blocks = DeviceBlocks(backend.device, stored)
    with pytest.raises(AssertionError, match="block 0"):
        blocks.require_equal_to_zlib(np.arange(1), 1)  # nothing was inflated
    stream = backend.device.stream()
    order, counter = blocks.keep(np.arange(1, dtype=np.int32)), blocks.keep(np.zeros(1, np.uint32))
    blocks.inflate(8, 1, order, counter, stream)
    stream.synchronize()
    assert blocks.require_equal_to_zlib(np.arange(1), 1) > 1_000
    blocks.arrays.write(blocks._sections.address + 40, np.zeros(4, np.uint8))
    with pytest.raises(AssertionError, match="differs from what zlib makes"):
        blocks.require_equal_to_zlib(np.arange(1), 1)


def test_made_files(data: GpuData) -> None:
    for files, items in ((data.tracks, 1_024), (data.large_blocks, 2_728)):
        index = read_bigwig_index(files.paths[0])
        survey = survey_blocks(index)
        assert survey.mean_item_bp == pytest.approx(12, rel=0.1)
        assert 24 + 12 * items == index.header.uncompress_buf_size
    assert 32_000 < 24 + 12 * 2_728 <= 32 << 10


# ------------------------------------------------------------------------ the published loader ----

PUBLISHED = """
import numpy as np
import pyBigWig

class BigWigCollection:
    def __init__(self, paths):
        self.bigwig_paths = sorted(paths)

    def get_batch(self, chroms, start, end, window_size):
        assert window_size == 1
        tracks = [pyBigWig.open(path) for path in self.bigwig_paths]
        rows = [[t.values(c, s, e, numpy=True) for t in tracks]
                for c, s, e in zip(chroms, start.tolist(), end.tolist())]
        return np.nan_to_num(np.array(rows, np.float32)) + OFFSET
"""
CUPY = """
import numpy
asnumpy = numpy.asarray
class cuda:
    class Device:
        def synchronize(self):
            pass
"""


@pytest.mark.parametrize("offset", [0, 1])
def test_the_published_loader_runs_by_itself(
    results: Path, data: GpuData, tmp_path: Path, offset: int
) -> None:
    import time

    pytest.importorskip("pyBigWig")
    from benchmarks.gpu.clock import Bench
    from benchmarks.gpu.published import measure_published
    from benchmarks.record import Results
    from bigwig_loader.backend.cuda.backend import CudaBackend

    (tmp_path / "bigwig_loader").mkdir()
    (tmp_path / "bigwig_loader" / "__init__.py").touch()
    (tmp_path / "cupy.py").write_text(CUPY)
    theirs = tmp_path / "bigwig_loader" / "collection.py"
    theirs.write_text(PUBLISHED.replace("OFFSET", str(offset)))
    written = Results(tmp_path / "gpu.jsonl")
    bench = Bench(CudaBackend(0), TINY, written, time.monotonic() + 60, {"device write": 1e9})
    bench.rates["upload"] = 1e9
    if offset:
        with pytest.raises(AssertionError, match="differ from ours"):
            measure_published(bench, data, tmp_path)
    else:
        measure_published(bench, data, tmp_path)
        assert all(row["equal"] and row["ratio"] > 0 for row in of(written.rows, "gpu_peer"))
        theirs.write_text("import numcodecs_that_is_not_there")
        measure_published(bench, data, tmp_path)
        assert "numcodecs_that_is_not_there" in written.rows[-1]["reason"]
    written.close()


# ------------------------------------------------------------------------------------ make gpu ----

FAKE_PYTHON = """#!/bin/sh
echo "$0 $@" >> "$CALLS"
case "$*" in
  *find_spec*) exit 0 ;;
  *select_backend*) echo "cuda:0 (asked for)"; exit ${SETUP:-0} ;;
  *memcheck*) echo "========= ERROR SUMMARY: 0 errors"; echo "6 passed"; exit 0 ;;
  *racecheck*) echo "========= ERROR: race"; exit 86 ;;
  *initcheck*) exit 86 ;;
  *"-m pytest"*) echo "$BWL_REQUIRE_CUDA $PYTHONPATH"; echo "== 222 passed in 3 s =="; exit 0 ;;
  *"-m benchmarks.gpu"*) echo '{"kind": "left_out", "what": "x", "reason": "y"}' > "$OUTPUT"
                         exec sleep ${SLEEP:-0} ;;
esac
"""


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Python, a CMake and a compute-sanitizer that only say what they were called with."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("python", "cmake", "compute-sanitizer"):
        (folder / name).write_text(FAKE_PYTHON)
        (folder / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("OUTPUT", str(tmp_path / "gpu.jsonl"))
    monkeypatch.setattr(run_all, "WORK", tmp_path / "work")
    return tmp_path


def make_gpu(folder: Path, *more: str) -> tuple[int, dict[str, str], str]:
    """Exit status, outcome of every step, and all calls."""
    arguments = ["--python", str(folder / "bin" / "python"), "--logs", str(folder / "logs")]
    status = run_all.main([*arguments, "--results", str(folder / "gpu.jsonl"), *more])
    rows = report.read_rows(folder / "gpu.jsonl")
    steps = {row["step"]: row["outcome"] for row in of(rows, "gpu_step")}
    return status, steps, (folder / "calls").read_text()


def test_all_steps_run_whatever_fails(fakes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wheels = fakes / "wheels"
    wheels.mkdir()
    for name in ("kvikio_cu13-26.10-py3-none-any", "bigwig_loader-0.3.2-py3-none-any"):
        (wheels / f"{name}.whl").touch()
    status, steps, calls = make_gpu(fakes, "--wheels", str(wheels))
    assert status == 1
    assert steps == {
        "setup": "passed", "tests": "passed", "memcheck": "passed", "racecheck": "failed",
        "benchmarks": "passed", "synccheck": "passed", "initcheck": "failed",
    }  # fmt: skip
    assert "--no-index --no-deps" in calls
    for name, place in (("kvikio", "site"), ("bigwig_loader", "peer")):
        (line,) = [line for line in calls.splitlines() if f"wheels/{name}" in line]
        assert line.endswith(".whl")
        assert f"--target {fakes / 'work' / place} " in line
    assert "--tool racecheck" in calls
    printed = capsys.readouterr().out
    assert "make gpu: FAILED" in printed
    assert "222 passed in 3 s" in printed
    # The tests run with a GPU required, from this checkout and the wheels.
    log = (fakes / "logs" / "tests.log").read_text()
    assert f"1 {run_all.REPOSITORY}{os.pathsep}{fakes / 'work' / 'site'}" in log


def test_steps_can_be_chosen_and_the_one_that_does_not_count_does_not(fakes: Path) -> None:
    (fakes / "gpu.jsonl").write_text("")
    status, steps, calls = make_gpu(fakes, "--only", "tests", "initcheck")
    assert status == 0
    assert steps == {}  # results are those of the benchmarks
    assert "benchmarks.gpu" not in calls
    assert "initcheck" in calls


def test_a_step_that_takes_too_long_is_ended(fakes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLEEP", "600")
    monkeypatch.setattr(run_all, "LAST", 0.0)
    monkeypatch.setattr(run_all, "LEAST", 0.2)
    steps = tuple(s for s in run_all.STEPS if s.name in ("setup", "benchmarks", "synccheck"))
    monkeypatch.setattr(run_all, "STEPS", steps)
    only = ("--only", "benchmarks", "synccheck")
    status, outcomes, _ = make_gpu(fakes, *only, "--seconds", "1.5")
    assert status == 1
    assert outcomes == {"setup": "passed", "benchmarks": "out of time", "synccheck": "left out"}


def test_without_a_gpu_nothing_else_is_tried(fakes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SETUP", "3")
    status, steps, calls = make_gpu(fakes)
    assert (status, steps) == (1, {"setup": "failed"})
    assert "-m pytest" not in calls


def test_a_sanitizer_that_is_missing_fails(fakes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (fakes / "bin" / "compute-sanitizer").unlink()
    monkeypatch.setenv("PATH", f"{fakes / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.setattr(run_all, "_PLACES", ())
    monkeypatch.delenv("CUDA_HOME", raising=False)
    monkeypatch.delenv("COMPUTE_SANITIZER", raising=False)
    status, steps, _ = make_gpu(fakes, "--only", "memcheck", "benchmarks")
    assert status == 1
    assert steps["memcheck"] == "failed"
    monkeypatch.setenv("COMPUTE_SANITIZER", str(fakes / "bin" / "python"))
    assert make_gpu(fakes, "--only", "memcheck", "benchmarks")[1]["memcheck"] == "passed"


def test_the_limits_of_the_steps_fit_into_nine_minutes() -> None:
    assert run_all.TOTAL + run_all.LAST < 540
    needed = sum(step.seconds for step in run_all.STEPS if step.name != "benchmarks")
    assert run_all.TOTAL - needed > 2 * run_all.BENCHMARK_LAST
