"""Finding, loading and checking the CPU library."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bigwig_loader._bigwig_writer import WriterOptions, write_bigwig
from bigwig_loader.backend.cpu import library as native
from bigwig_loader.backend.cpu.backend import CpuBackend
from bigwig_loader.errors import BackendUnavailableError
from tests.helpers.signal import OpenFiles, verifying
from tests.oracles.signal import Request


def test_structures_are_those_of_the_library() -> None:
    loaded = native.library()
    assert loaded.bwl_index_bytes() == ctypes.sizeof(native.SignalIndex)
    assert loaded.bwl_request_bytes() == ctypes.sizeof(native.SignalRequest)


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    import os

    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


LOAD = """
from bigwig_loader.backend.cpu.library import library
from bigwig_loader.errors import BackendUnavailableError
try:
    library()
except BackendUnavailableError as error:
    print(error)
"""


def test_a_missing_library_names_the_command_that_builds_it(tmp_path: Path) -> None:
    done = run_python(LOAD, BIGWIG_LOADER_LIBRARY=str(tmp_path / "none.so"))
    assert "cannot be loaded" in done.stdout
    assert "pip install" in done.stdout


def test_another_library_can_be_named(tmp_path: Path) -> None:
    copy = tmp_path / "copy.so"
    copy.write_bytes(native.LIBRARY.read_bytes())
    code = (
        "from bigwig_loader.backend.select import select_backend;"
        "print(select_backend('cpu').status)"
    )
    assert str(copy) in run_python(code, BIGWIG_LOADER_LIBRARY=str(copy)).stdout


def test_a_library_of_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Longer(native.SignalRequest):  # type: ignore[misc,name-defined]
        _fields_ = [("more", ctypes.c_int64)]  # noqa: RUF012

    monkeypatch.setattr(native, "SignalRequest", Longer)
    with pytest.raises(BackendUnavailableError, match="another version"):
        native.library.__wrapped__()


def test_status_says_what_runs() -> None:
    status = CpuBackend(3, "for a test").status
    assert status.name == "cpu"
    assert status.details["threads"] == "3"
    assert "for a test" in str(status)
    assert "inflate: libdeflate" in str(status)


@pytest.fixture
def built_in_inflate() -> Iterator[None]:
    """Without libdeflate for the length of a test."""
    loaded = native.library()
    assert loaded.bwl_use_libdeflate(None) == 0
    yield
    native.use_libdeflate.__wrapped__(loaded)


@pytest.mark.usefixtures("built_in_inflate")
@pytest.mark.parametrize("mode", ["once", "always"])
def test_without_libdeflate_the_built_in_decoder_gives_the_same(tmp_path: Path, mode: str) -> None:
    values = np.random.default_rng(1).normal(size=5_000).astype(np.float32)
    data = {"a": (np.arange(5_000) * 3, np.arange(5_000) * 3 + 2, values)}
    path = write_bigwig(tmp_path / "a.bw", {"a": 20_000}, data, WriterOptions(items_per_block=900))
    want = np.zeros(20_000, np.float32)
    want[:15_000].reshape(5_000, 3)[:, :2] = values[:, None]
    with OpenFiles([path]) as files, verifying(mode):
        for _ in range(2):
            got = files.read(Request([("a", 0, False), ("a", 5_000, False)], 10_000, [0]))
            np.testing.assert_array_equal(got[..., 0], [want[:10_000], want[5_000:15_000]])


@pytest.mark.usefixtures("built_in_inflate")
def test_without_libdeflate_checksums_are_compared(tmp_path: Path) -> None:
    from bigwig_loader.errors import InvalidDataError

    path = write_bigwig(tmp_path / "a.bw", {"a": 100}, {"a": ([0], [50], [1.0])})
    with OpenFiles([path]) as files:
        end = int(files.index.offset[0]) + int(files.index.n_bytes[0])
    content = bytearray(path.read_bytes())
    content[end - 1] ^= 1
    path.write_bytes(content)
    with OpenFiles([path]) as files, pytest.raises(InvalidDataError, match="wrong checksum"):
        files.read(Request([("a", 0, False)], 10, [0]))


def test_a_useless_libdeflate_is_not_used(tmp_path: Path, built_in_inflate: None) -> None:
    loaded = native.library()
    text = tmp_path / "libdeflate.so.0"
    text.write_text("not a library")
    assert loaded.bwl_use_libdeflate(str(text).encode()) == 0
    assert loaded.bwl_use_libdeflate(str(native.LIBRARY).encode()) == 0  # lacks the functions
