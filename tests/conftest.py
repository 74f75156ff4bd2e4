"""What all tests share: which of them run here, and one made data set."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, settings

from bigwig_loader.example_data import ExampleData, make_example_data
from tests.helpers import emulator, fake_cupy
from tests.helpers.peaks import PeakWorld, make_peak_world

# The same examples in every run, so that a failure can be repeated; more of them on request.
settings.register_profile(
    "default", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", settings.get_profile("default"), max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

TINY_CONTIGS = {"chr1": 60_000, "chr2": 20_000, "chr3": 20_000}


def _has_gpu() -> bool:
    if importlib.util.find_spec("cupy") is None:
        return False
    import cupy

    try:
        return bool(cupy.cuda.runtime.getDeviceCount())
    except cupy.cuda.runtime.CUDARuntimeError:
        return False


# Files of few but long tests. They begin first, so that no process is left with one at the end.
LONG_FILES = (
    *("test_sanitizers.py", "test_distribution.py", "test_compile.py", "test_distributed.py"),
    *("test_benchmarks_gpu.py", "test_benchmarks.py", "test_gpu_marks.py", "test_examples.py"),
    *("test_benchmarks_haplotypes.py", "test_benchmarks_peaks.py", "test_import_cost.py"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put long files first, and skip what is marked `gpu` where there is none.

    With BWL_REQUIRE_CUDA=1, as on a machine that is there to test the GPU, the latter run and
    fail instead.
    """
    items.sort(key=lambda item: item.path.name not in LONG_FILES)
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked or os.environ.get("BWL_REQUIRE_CUDA") == "1" or _has_gpu():
        return
    skip = pytest.mark.skip(reason="needs a CUDA device and CuPy")
    for item in marked:
        item.add_marker(skip)


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> ExampleData:
    """A made data set of 0.1 Mb: genome, four tracks, peaks, regions. Not to be written to."""
    folder: Path = tmp_path_factory.mktemp("tiny")
    return make_example_data(folder, seed=1, contigs=TINY_CONTIGS)


@pytest.fixture(scope="session")
def peak_world(tmp_path_factory: pytest.TempPathFactory) -> PeakWorld:
    """A made genome of 6.5 kb with tracks, peaks and background regions. Not to be written to."""
    return make_peak_world(tmp_path_factory.mktemp("peaks"))


@pytest.fixture
def fake_cuda(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """CuPy and two GPUs, emulated (`tests/helpers/fake_cupy`); the value is that module.

    Parametrize it indirectly with a mode of streams ("late", "eager", "random") or with a dict of
    fields of `fake_cupy.Options`. What went wrong on a device unnoticed is raised at the end.
    """
    if emulator.compiler() is None or sys.platform != "linux":
        pytest.skip("needs Linux and a C++ compiler, which compiles the emulated kernels")
    changes = getattr(request, "param", {})
    fake_cupy.install(**({"mode": changes} if isinstance(changes, str) else changes))
    yield fake_cupy
    fake_cupy.uninstall()
