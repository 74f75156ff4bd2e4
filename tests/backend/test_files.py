"""Reading ranges of many files with the threads of the library."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from bigwig_loader.backend.cpu.files import FileTable
from bigwig_loader.backend.status import Status

N_FILES = 5
FILE_BYTES = 20_000


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], list[bytes]]:
    folder = tmp_path_factory.mktemp("files")
    rng = np.random.default_rng(0)
    data = [rng.bytes(FILE_BYTES + i) for i in range(N_FILES)]
    paths = [folder / f"{i}.bin" for i in range(N_FILES)]
    for path, content in zip(paths, data, strict=True):
        path.write_bytes(content)
    return paths, data


def table_of(paths: list[Path], max_open: int | None = None) -> FileTable:
    sizes = np.array([path.stat().st_size if path.exists() else 9 for path in paths], np.int64)
    return FileTable([str(path) for path in paths], sizes, max_open)


def random_ranges(
    rng: np.random.Generator, n: int, data: list[bytes]
) -> tuple[npt.NDArray[np.int64], ...]:
    file = rng.integers(0, len(data), n)
    lengths = np.array([len(content) for content in data])[file]
    offset = rng.integers(0, lengths)
    n_bytes = rng.integers(0, np.minimum(lengths - offset, 700) + 1)
    to = np.cumsum(n_bytes + 3) - n_bytes - 3
    return file, offset, n_bytes, to


@pytest.mark.parametrize("n_threads", [1, 4])
@pytest.mark.parametrize("max_open", [None, 2])
def test_ranges(
    contents: tuple[list[Path], list[bytes]], n_threads: int, max_open: int | None
) -> None:
    paths, data = contents
    table = table_of(paths, max_open)
    file, offset, n_bytes, to = random_ranges(np.random.default_rng(n_threads), 300, data)
    memory = np.full(int((to + n_bytes).max()) + 3, 0xEE, np.uint8)
    want = memory.copy()
    for f, start, n, at in zip(file, offset, n_bytes, to, strict=True):
        want[at : at + n] = np.frombuffer(data[f][start : start + n], np.uint8)
    assert table.read(file, offset, n_bytes, to + memory.ctypes.data, n_threads) is None
    np.testing.assert_array_equal(memory, want)  # and nothing between the ranges
    table.close()
    table.close()


def test_no_ranges(contents: tuple[list[Path], list[bytes]]) -> None:
    none = np.empty(0, np.int64)
    assert table_of(contents[0]).read(none, none, none, none, 3) is None


@pytest.mark.parametrize("n_threads", [1, 4])
def test_the_first_failure_is_reported(
    contents: tuple[list[Path], list[bytes]], n_threads: int
) -> None:
    paths, data = contents
    table = table_of([*paths, paths[0].with_name("missing")])
    rng = np.random.default_rng(1)
    for first in (0, 17, 99):
        file, offset, n_bytes, to = random_ranges(rng, 100, data)
        memory = np.zeros(int((to + n_bytes).max()), np.uint8)
        file[first], offset[first], n_bytes[first] = N_FILES, 0, 1
        later = first + 1 + rng.integers(0, 5)
        if later < 100:
            offset[later] = 10 * FILE_BYTES
        failure = table.read(file, offset, n_bytes, to + memory.ctypes.data, n_threads)
        assert failure == (first, Status.READ_FAILED, (errno.ENOENT, 0))


@pytest.mark.parametrize(
    ("offset", "n_bytes"),
    [(FILE_BYTES, 1), (FILE_BYTES - 1, 2), (1 << 62, 5), (0, FILE_BYTES + 1), (-5, 3), (3, -1)],
)
def test_past_the_end(contents: tuple[list[Path], list[bytes]], offset: int, n_bytes: int) -> None:
    table = table_of(contents[0])
    arrays = [np.array([x], np.int64) for x in (0, offset, n_bytes, 0)]
    assert table.read(*arrays, 1) == (0, Status.PAST_END, (offset + n_bytes, FILE_BYTES))


def test_a_file_that_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(100))
    table = table_of([path])
    path.write_bytes(bytes(101))
    memory = np.zeros(10, np.uint8)
    zero = np.zeros(1, np.int64)
    failure = table.read(zero, zero, zero + 10, zero + memory.ctypes.data, 1)
    assert failure == (0, Status.READ_FAILED, (errno.ESTALE, 0))


def test_a_file_that_gets_shorter_while_open(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 100)
    table = table_of([path])
    memory = np.zeros(100, np.uint8)
    zero = np.zeros(1, np.int64)
    to = zero + memory.ctypes.data
    assert table.read(zero, zero, zero + 100, to, 1) is None
    with path.open("r+b") as file:
        file.truncate(60)
    failure = table.read(zero, zero, zero + 100, to, 1)
    assert failure == (0, Status.READ_FAILED, (errno.EIO, 60))
