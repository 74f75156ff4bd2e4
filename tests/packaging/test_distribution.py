"""The sdist holds what is needed to build and to test, the wheel what is needed to run."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.helpers.shared import REPOSITORY

pytestmark = pytest.mark.slow

TOP_FILES = {
    *("CHANGELOG.md", "CMakeLists.txt", "CONTRIBUTING.md", "LICENSE", "Makefile", "PKG-INFO"),
    *("README.md", "ARCHITECTURE.md", "pixi.toml", "pyproject.toml"),
}
TOP_FOLDERS = {"bigwig_loader", "cuda_kernels", "tests", "examples", "benchmarks"}
SOURCE_SUFFIXES = {".py", ".md", ".cu", ".cuh", ".cpp", ".h", ".typed", ".json", ".toml"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with an sdist, and a wheel that was built from the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    # The build's own dependencies are in the test extra, so that this needs no network.
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder)]
    done = subprocess.run([*command, str(REPOSITORY)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def sdist_names(built: Path) -> set[str]:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = archive.getnames()
    root = path.name.removesuffix(".tar.gz") + "/"
    assert all(name.startswith(root) for name in names)
    return {name.removeprefix(root) for name in names}


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def wheel_names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def in_tree(folder: str, *patterns: str) -> set[str]:
    found = [path for pattern in patterns for path in (REPOSITORY / folder).rglob(pattern)]
    return {path.relative_to(REPOSITORY).as_posix() for path in found}


def test_sdist_is_whole(sdist_names: set[str]) -> None:
    assert in_tree("bigwig_loader", "*.py", "py.typed") <= sdist_names
    assert in_tree("cuda_kernels", "*.cuh", "*.cu", "*.cpp", "*.h") <= sdist_names
    assert in_tree("tests", "*.py") <= sdist_names
    assert in_tree("examples", "*.py", "*.md") <= sdist_names
    assert in_tree("benchmarks", "*.py") <= sdist_names


def test_sdist_holds_nothing_else(sdist_names: set[str]) -> None:
    stray = []
    for name in sdist_names:
        path = Path(name)
        known = name in TOP_FILES or path.parts[0] in TOP_FOLDERS
        if not known or (path.parts[0] in TOP_FOLDERS and path.suffix not in SOURCE_SUFFIXES):
            stray.append(name)
    assert stray == []


def test_wheel_holds_the_package_and_nothing_else(wheel_names: set[str]) -> None:
    metadata = {name for name in wheel_names if ".dist-info/" in name}
    kernels = in_tree("cuda_kernels", "*.cuh", "*.cu")
    expected = in_tree("bigwig_loader", "*.py", "*.md", "py.typed")
    expected |= {f"bigwig_loader/{name}" for name in kernels}
    expected.add("bigwig_loader/_native/libbigwig_loader_cpu.so")
    assert wheel_names - metadata == expected
    assert any(name.endswith("licenses/LICENSE") for name in metadata)
    assert any(name.endswith("entry_points.txt") for name in metadata)


def test_wheel_serves_every_python(wheel: Path) -> None:
    _, _, python, abi, platform = wheel.stem.split("-")
    assert (python, abi) == ("py3", "none")
    assert platform != "any"  # it holds a compiled library


def test_wheel_runs(wheel: Path, tmp_path: Path) -> None:
    """Unpacked, away from the checkout: the library loads, and reads a file."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = (
        "import sys\n"
        "sys.path[:0] = sys.argv[1:3]\n"
        "import bigwig_loader\n"
        "from bigwig_loader.example_data import make_example_data\n"
        "assert bigwig_loader.__file__.startswith(sys.argv[1]), bigwig_loader.__file__\n"
        "contigs = {'a': 12_000, 'b': 12_000, 'c': 12_000}\n"
        "data = make_example_data(sys.argv[3], contigs=contigs)\n"
        "with bigwig_loader.BigWig(data.bigwigs[0]) as file:\n"
        "    assert file.contigs == contigs\n"
        "    print(file.values('a', 1_000, 1_100).shape)\n"
    )
    # -S: without it, the editable install would come first.
    packages = sysconfig.get_paths()["purelib"]
    command = [sys.executable, "-I", "-S", "-c", code, str(tmp_path / "site"), packages]
    done = subprocess.run(
        [*command, str(tmp_path / "data")],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "(100,)"
