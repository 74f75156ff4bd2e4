"""The command line: results, exit codes, one-line errors, and that help is light."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from bigwig_loader.backend.cpu import library as native
from bigwig_loader.cli import app
from bigwig_loader.collection import BigWigCollection
from bigwig_loader.errors import BackendUnavailableError, LoaderError
from bigwig_loader.example_data import ExampleData
from tests.helpers.shared import REPOSITORY

COMMANDS = (
    "info",
    "check",
    "doctor",
    "regions",
    "show",
    "profile",
    "dataset",
    "tokenize",
    "tokens",
    "demo",
    "download-example-data",
    "make-example-data",
    "bench",
)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def damaged(tiny_data: ExampleData, tmp_path: Path) -> Path:
    """A BigWig file with a flipped bit in its first data block."""
    from bigwig_loader.formats.bigwig import read_bigwig_index

    data = bytearray(tiny_data.bigwigs[0].read_bytes())
    data[int(read_bigwig_index(tiny_data.bigwigs[0]).blocks.offset[0]) + 40] ^= 4
    path = tmp_path / "damaged.bw"
    path.write_bytes(data)
    return path


# ---------------------------------------------------------------------------------- the whole ----


def test_help_names_all_commands() -> None:
    result = run("--help")
    assert result.exit_code == 0
    for command in COMMANDS:
        assert command in result.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert "Examples:" in result.stdout
    assert f"bigwig-loader {command}" in result.stdout


def test_version() -> None:
    import bigwig_loader

    assert run("--version").stdout == f"bigwig-loader {bigwig_loader.__version__}\n"


def test_module_entry_point_and_help_import_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from bigwig_loader.cli import main\n"
        "sys.argv = ['bigwig-loader', 'info', '--help']\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as end:\n"
        "    assert end.code == 0\n"
        "heavy = {'numpy', 'pandas', 'torch', 'jax', 'cupy', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    for command in ([sys.executable, "-c", code], [sys.executable, "-m", "bigwig_loader", "-h"]):
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "Usage: bigwig-loader" in done.stdout


def test_an_error_is_one_line_without_a_traceback(tmp_path: Path) -> None:
    missing = tmp_path / "missing.bw"
    command = [sys.executable, "-m", "bigwig_loader", "info", str(missing)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"bigwig-loader: cannot open {missing}")


@pytest.mark.parametrize("arguments", [("--debug", "info"), ("info", "--debug")])
def test_debug_shows_the_traceback(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "bigwig_loader", *arguments, str(tmp_path / "missing.bw")]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "NotFoundError" in done.stderr


# --------------------------------------------------------------------------------------- info ----


def test_info_json(tiny_data: ExampleData) -> None:
    result = run("info", "--json", "--all", *tiny_data.bigwigs)
    assert result.exit_code == 0, result.output
    reports = json.loads(result.stdout)
    assert [r["path"] for r in reports] == [str(p) for p in tiny_data.bigwigs]
    report = reports[0]
    assert report["contigs"] == {
        "count": 3,
        "total_bp": 100_000,
        "longest": "chr1",
        "longest_bp": 60_000,
    }
    assert report["blocks"]["read"] == report["blocks"]["count"] > 0
    assert report["sections"] == {"bedGraph": report["blocks"]["count"]}
    assert report["byte_order"] == "little"
    assert report["findings"] == []
    frame = BigWigCollection(tiny_data.bigwigs[0]).intervals()
    assert report["items"]["read"] == len(frame)
    assert report["items"]["mean_bp"] == pytest.approx((frame.end - frame.start).mean())


def test_info_states_the_size_of_its_sample(tiny_data: ExampleData) -> None:
    report = json.loads(run("info", "--json", "--sample", 2, tiny_data.bigwigs[0]).stdout)[0]
    n_blocks = report["blocks"]["count"]
    assert report["blocks"]["read"] == 2 < n_blocks
    table = run("info", "--sample", 2, tiny_data.bigwigs[0]).stdout
    assert f"a sample of 2 of {n_blocks} data blocks" in table


def test_info_check(tiny_data: ExampleData, damaged: Path) -> None:
    sound = run("info", "--check", tiny_data.bigwigs[0])
    assert sound.exit_code == 0
    assert "are sound" in sound.stdout
    result = run("info", "--check", tiny_data.bigwigs[0], damaged)
    assert result.exit_code == 1
    assert "1 damaged, 0 irregular" in result.stdout
    assert "block 0 at byte" in result.stdout
    # Without --check the file is described all the same.
    assert run("info", damaged).exit_code == 0


# ------------------------------------------------------------------------------------- doctor ----


def test_doctor_says_what_there_is_and_what_is_missing() -> None:
    result = run("doctor")
    assert result.exit_code == 0
    for name in ("cpu library", "inflate", "index cache", "cuda driver", "torch"):
        assert name in result.stdout
    checks = json.loads(run("doctor", "--json").stdout)
    assert all(c["command"] for c in checks if c["state"] == "missing" and c["name"] == "jax")


def test_doctor_imports_no_optional_library() -> None:
    code = (
        "import sys\n"
        "from bigwig_loader.cli.diagnosis import diagnose\n"
        "diagnose()\n"
        "heavy = {'torch', 'jax', 'matplotlib', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True)


def test_doctor_fails_without_the_cpu_library(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(native, "LIBRARY", tmp_path / "absent.so")
    native.library.cache_clear()
    try:
        result = run("doctor")
    finally:
        native.library.cache_clear()
    assert result.exit_code == 1
    assert "cannot be loaded" in " ".join(result.stdout.split())
    assert "pip install" in result.stdout


def cuda_checks() -> dict[str, dict[str, str]]:
    """What doctor says of CUDA, by name of the line."""
    checks = json.loads(run("doctor", "--json").stdout)
    first = [check["name"] for check in checks].index("cuda driver")
    past = [check["name"] for check in checks].index("torch")
    return {check["name"]: check for check in checks[first:past]}


def test_doctor_with_a_gpu(fake_cuda: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kvikio = importlib.import_module("bigwig_loader.backend.cuda.kvikio_reads")
    monkeypatch.setattr(kvikio, "find_kvikio", lambda: "no kvikio here")
    nvcomp = importlib.import_module("bigwig_loader.backend.cuda.nvcomp").Nvcomp
    monkeypatch.setattr(nvcomp, "find", lambda: SimpleNamespace(version="6.0.0"))
    checks = cuda_checks()
    assert list(checks) == [
        "cuda driver",
        "cupy",
        "device 'cuda'",
        "kvikio",
        "nvcomp",
        "cuda reads",
        "cuda inflate",
    ]
    assert {name for name, check in checks.items() if check["state"] != "ok"} == {"kvikio"}
    assert checks["cuda driver"]["found"].startswith("CUDA 13.0; ")
    assert "cuda:0 (Fake GPU, " in checks["device 'cuda'"]["found"]
    assert checks["kvikio"]["command"] == "pip install 'bigwig-loader[cuda13]'"
    assert checks["cuda reads"]["found"].endswith("(no kvikio here)")
    auto = [c for c in json.loads(run("doctor", "--json").stdout) if c["name"] == "device 'auto'"]
    assert auto[0]["found"].startswith("cuda:0 (device='auto': 2 GPUs found")

    monkeypatch.setattr(kvikio, "find_kvikio", lambda: SimpleNamespace(has_gds=True, reason="GDS"))
    monkeypatch.setattr(nvcomp, "find", lambda: "no nvCOMP here")
    monkeypatch.setenv("BIGWIG_LOADER_INFLATE", "nvcomp")
    checks = cuda_checks()
    assert (checks["kvikio"]["state"], checks["kvikio"]["found"]) == ("ok", "GDS")
    assert checks["cuda reads"]["found"].endswith("(GDS)")
    assert checks["nvcomp"]["state"] == checks["cuda inflate"]["state"] == "missing"
    assert checks["cuda inflate"]["command"] == "unset BIGWIG_LOADER_INFLATE"


def test_doctor_names_the_one_command_that_repairs_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    probing = importlib.import_module("bigwig_loader.backend.cuda.probe")
    found = probing.CudaProbe(False, "no CuPy", "pip install it", driver=12_040)
    monkeypatch.setattr(probing, "probe", lambda: found)
    checks = cuda_checks()
    assert list(checks) == ["cuda driver", "device 'cuda'"]
    assert checks["cuda driver"]["found"].startswith("CUDA 12.4; ")
    assert (checks["device 'cuda'"]["found"], checks["device 'cuda'"]["command"]) == (
        "no CuPy",
        "pip install it",
    )
    text = run("doctor").stdout
    assert "  pip install it    # device 'cuda'" in text


def test_doctor_where_the_gpu_cannot_be_opened(
    fake_cuda: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = importlib.import_module("bigwig_loader.backend.cuda.backend")

    def fails(*_: object) -> None:
        raise BackendUnavailableError("the GPU is busy")

    monkeypatch.setattr(backend, "CudaBackend", fails)
    checks = cuda_checks()
    assert (checks["cuda backend"]["state"], checks["cuda backend"]["found"]) == (
        "missing",
        "the GPU is busy",
    )


# ------------------------------------------------------------------------------------ regions ----


def test_regions_to_a_file_are_those_of_the_method(tiny_data: ExampleData, tmp_path: Path) -> None:
    bed = tmp_path / "out.bed"
    options = ("--threshold", 2, "--padding", 50, "--merge", "--merge-allow-gap", 20)
    result = run("regions", tiny_data.bigwig_dir, "--exclude", "chr3", *options, "-o", bed)
    assert result.exit_code == 0, result.output
    expected = BigWigCollection(tiny_data.bigwig_dir).intervals(
        exclude_chromosomes=["chr3"], threshold=2, padding=50, merge=True, merge_allow_gap=20
    )
    assert len(expected) > 0
    found = pd.read_csv(bed, sep="\t", names=["chrom", "start", "end"])
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)


def test_regions_to_stdout_have_track_and_value(tiny_data: ExampleData) -> None:
    result = run("regions", tiny_data.bigwigs[1], "--include", "chr2", "--threshold", 3)
    assert result.exit_code == 0
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    expected = BigWigCollection(tiny_data.bigwigs[1]).intervals(["chr2"], threshold=3)
    assert [(r[0], int(r[1]), int(r[2])) for r in rows] == list(
        expected[["chrom", "start", "end"]].itertuples(index=False, name=None)
    )
    assert {r[3] for r in rows} == {BigWigCollection(tiny_data.bigwigs[1]).track_names[0]}
    assert min(float(r[4]) for r in rows) > 3


def test_regions_name_an_unknown_contig(tiny_data: ExampleData) -> None:
    result = run("regions", tiny_data.bigwigs[0], "--include", "1")
    assert result.exit_code == 2
    assert "unknown contig '1'" in result.stderr
    assert "chr1" in result.stderr


def test_regions_into_a_missing_folder(tiny_data: ExampleData, tmp_path: Path) -> None:
    result = run("regions", tiny_data.bigwigs[0], "-o", tmp_path / "absent" / "out.bed")
    assert result.exit_code == 2
    assert "Traceback" not in result.output


# --------------------------------------------------------------------- data, demo, benchmarks ----


def test_make_example_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bigwig_loader import example_data

    small = {"chr1": 10_000, "chr2": 10_000, "chr3": 10_000}
    monkeypatch.setattr(example_data, "EXAMPLE_CONTIGS", small)
    result = run("make-example-data", tmp_path / "made")
    assert result.exit_code == 0, result.output
    paths = dict(line.split("\t") for line in result.stdout.splitlines())
    assert Path(paths["reference_genome"]).exists()
    assert result.stdout.count("bigwigs\t") == 4


def test_download_reports_a_missing_network(monkeypatch: pytest.MonkeyPatch) -> None:
    from bigwig_loader import download_example_data

    def refuse(_path: object) -> None:
        raise LoaderError("cannot fetch https://example.org")

    monkeypatch.setattr(download_example_data, "download_example_data", refuse)
    result = run("download-example-data")
    assert result.exit_code == 2
    assert result.stderr == "bigwig-loader: cannot fetch https://example.org\n"


def test_demo_passes_its_options_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from bigwig_loader import demo

    seen = []
    monkeypatch.setattr(demo, "run_demo", seen.append)
    assert run("demo", "-o", tmp_path, "--batches", 3, "--seed", 5).exit_code == 0
    assert seen == [demo.DemoOptions(tmp_path, n_batches=3, seed=5)]


def test_bench_needs_a_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    from bigwig_loader.cli import data

    monkeypatch.setattr(data, "_checkout", lambda: None)
    result = run("bench")
    assert result.exit_code == 2
    assert "make bench" in result.stderr


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        ((), ("--quick",)),
        (("--full", "--output", "x"), ("--output", "x")),
        (("--list-options",), ("--help", "--quick")),
    ],
)
def test_bench_runs_the_benchmarks(
    monkeypatch: pytest.MonkeyPatch, given: tuple[str, ...], passed: tuple[str, ...]
) -> None:
    from bigwig_loader.cli import data

    seen: list[list[str]] = []

    def fake(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        seen.append(command)
        return subprocess.CompletedProcess(command, 3)

    monkeypatch.setattr(data, "_checkout", lambda: REPOSITORY)
    monkeypatch.setattr(data.subprocess, "run", fake)
    assert run("bench", *given).exit_code == 3
    assert seen == [[sys.executable, "-P", "-m", "benchmarks", *passed]]
