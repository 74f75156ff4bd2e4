"""From files to the memory of a device."""

from __future__ import annotations

import errno
import json
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import fsspec
import numpy as np
import numpy.typing as npt
import pytest

from bigwig_loader.backend.status import Status
from bigwig_loader.errors import BackendUnavailableError, InvalidDataError, InvalidInputError
from tests.helpers.cuda_packages import python_with
from tests.helpers.fake_kvikio import FakeKvikio

N_FILES = 6
FILE_BYTES = 90_000
GUARD = 0xA5


@pytest.fixture(autouse=True)
def cuda(request: pytest.FixtureRequest) -> None:
    """The fake device for all tests but those of a real one."""
    if request.node.get_closest_marker("gpu") is None:
        request.getfixturevalue("fake_cuda")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("reads")
    rng = np.random.default_rng(0)
    paths = [folder / f"{i}.bw" for i in range(N_FILES)]
    for i, path in enumerate(paths):
        path.write_bytes(rng.bytes(FILE_BYTES + 10 * i))
    return paths


@pytest.fixture
def kvikio(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKvikio]:
    """kvikio with GPUDirect Storage; what it is used for must be sound."""
    world = FakeKvikio()
    world.install(monkeypatch)
    yield world
    assert world.misuse == []


def index_of(paths: list[Any]) -> Any:
    """The part of a `TrackIndex` that readers look at."""
    sizes = [Path(path).stat().st_size if Path(path).exists() else 50 for path in paths]
    return SimpleNamespace(
        paths=tuple(map(str, paths)), file_bytes=np.array(sizes, np.int64), n_tracks=len(paths)
    )


class World:
    """A device, a stream, and memory at both ends."""

    def __init__(self, n_bytes: int = 1 << 20) -> None:
        from bigwig_loader.backend.cuda.device import Device

        self.device = Device(0)
        self.stream = self.device.stream()
        self.pinned = self.device.pinned(n_bytes)
        self.memory = self.device.memory(n_bytes)
        self.device.fill(self.memory.address, GUARD, n_bytes, self.stream)
        self.stream.synchronize()

    def there(self) -> npt.NDArray[np.uint8]:
        """What the device has, when everything in the stream is done."""
        back = self.device.pinned(self.memory.n_bytes)
        self.device.download(back.address, self.memory.address, back.n_bytes, self.stream)
        self.stream.synchronize()
        return back.array.copy()

    def fetch(self, reader: Any, reads: Any) -> int:
        return int(reader.fetch(reads, self.pinned, self.memory.address, self.stream))


def make_reads(*rows: tuple[int, int, int, int]) -> Any:
    """From (track, offset, n_bytes, to)."""
    from bigwig_loader.backend.cuda.reads import Reads

    columns = np.array(rows, np.int64).reshape(-1, 4).T
    return Reads(*(np.ascontiguousarray(column) for column in columns))


def random_reads(rng: np.random.Generator, n: int, largest: int = 3_000) -> Any:
    track = np.sort(rng.integers(0, N_FILES, n))
    offset = rng.integers(0, FILE_BYTES - largest, n)
    n_bytes = rng.integers(0, largest, n)
    room = (n_bytes + 15) // 16 * 16 + 16
    to = 32 + np.cumsum(room) - room
    return make_reads(*np.stack([track, offset, n_bytes, to], 1).tolist())


def assert_fetched(world: World, reads: Any, paths: list[Path]) -> None:
    got = world.there()
    for track, offset, n_bytes, to in zip(
        reads.track, reads.offset, reads.n_bytes, reads.to, strict=True
    ):
        want = Path(paths[track]).read_bytes()[offset : offset + n_bytes]
        assert got[to : to + n_bytes].tobytes() == want


def open_reader(how: str, world: World, index: Any, n_threads: int = 3) -> Any:
    from bigwig_loader.backend.cuda.reads import choose_reader

    return choose_reader(world.device, index, n_threads, how)


BOTH = pytest.mark.parametrize("how", ["host", "kvikio"])


@BOTH
def test_reads_come_to_the_device(how: str, files: list[Path], kvikio: FakeKvikio) -> None:
    world, rng = World(), np.random.default_rng(1)
    reader = open_reader(how, world, index_of(files))
    for n in (1, 3, 60):
        reads = random_reads(rng, n)
        assert world.fetch(reader, reads) == reads.n_bytes.sum()
        assert_fetched(world, reads, files)
        low, high = reads.extent
        got = world.there()
        assert (got[:32] == GUARD).all()
        assert low >= 32
        assert (got[int(high) :] == GUARD).all() or n > 1
    reader.close()
    reader.close()
    assert kvikio.n_open == 0


@BOTH
def test_no_reads(how: str, files: list[Path], kvikio: FakeKvikio) -> None:
    world = World()
    reader = open_reader(how, world, index_of(files))
    assert world.fetch(reader, make_reads()) == 0
    assert world.fetch(reader, make_reads((2, 10, 0, 0), (3, FILE_BYTES, 0, 100))) == 0
    assert (world.there() == GUARD).all() or how == "host"  # which copies what lies between
    assert kvikio.reads == []


def test_the_host_reader_copies_once_from_pinned_memory(files: list[Path], fake_cuda: Any) -> None:
    from tests.helpers.fake_cupy import state

    world = World()
    reader = open_reader("host", world, index_of(files))
    before = state()
    world.fetch(reader, random_reads(np.random.default_rng(2), 40))
    now = state()
    queued = now.n_operations + now.n_waiting - before.n_operations - before.n_waiting
    assert queued == 1
    assert now.n_pageable_copies == before.n_pageable_copies
    assert now.n_allocations == before.n_allocations


def test_pinned_memory_that_is_too_small(files: list[Path]) -> None:
    world = World(1_000)
    reader = open_reader("host", world, index_of(files))
    for read in ((0, 0, 10, 991), (0, 0, 10, -1)):
        with pytest.raises(InvalidInputError, match="expected 0 to 1000"):
            world.fetch(reader, make_reads(read))


@BOTH
def test_missing_and_changed_files(
    how: str, files: list[Path], tmp_path: Path, kvikio: FakeKvikio
) -> None:
    from bigwig_loader.backend.cuda.reads import ReadFailure

    changed, gone = tmp_path / "changed", tmp_path / "gone"
    changed.write_bytes(bytes(500))
    gone.write_bytes(bytes(50))
    paths = [files[0], changed, gone]
    world = World()
    reader = open_reader(how, world, index_of(paths))
    changed.write_bytes(bytes(501))
    gone.unlink()
    reads = make_reads((0, 5, 100, 0), (0, 500, 90, 200), (1, 0, 20, 400), (2, 0, 20, 500))
    with pytest.raises(ReadFailure) as caught:
        world.fetch(reader, reads)
    found = caught.value
    assert (found.read, found.status, found.detail) == (
        2, Status.READ_FAILED, (errno.ESTALE, 0),
    )  # fmt: skip
    with pytest.raises(ReadFailure) as caught:
        world.fetch(reader, make_reads((2, 0, 20, 500)))
    assert caught.value.detail == (errno.ENOENT, 0)
    # Nothing of it stays: what can be read still is.
    good = make_reads((0, 5, 100, 0))
    world.fetch(reader, good)
    assert_fetched(world, good, paths)


@BOTH
def test_a_file_that_gets_shorter_while_open(
    how: str, files: list[Path], tmp_path: Path, kvikio: FakeKvikio
) -> None:
    from bigwig_loader.backend.cuda.reads import ReadFailure

    path = tmp_path / "a.bw"
    path.write_bytes(bytes(60_000))
    world = World()
    reader = open_reader(how, world, index_of([files[0], path]))
    reads = make_reads((0, 0, 9, 0), (1, 100, 40, 64), (1, 10_000, 30_000, 128))
    world.fetch(reader, reads)
    with path.open("r+b") as file:
        file.truncate(12_000)
    with pytest.raises(ReadFailure) as caught:
        world.fetch(reader, reads)
    assert caught.value.read == 2
    assert caught.value.detail == (errno.EIO, 2_000)
    with path.open("r+b") as file:
        file.truncate(50)
    with pytest.raises(ReadFailure) as caught:
        world.fetch(reader, reads)
    assert caught.value.read == 1
    assert caught.value.detail == (errno.EIO, 0)


def test_kvikio_short_reads(files: list[Path], kvikio: FakeKvikio) -> None:
    from bigwig_loader.backend.cuda.reads import ReadFailure

    world = World()
    reader = open_reader("kvikio", world, index_of(files))
    kvikio.short[str(files[1])] = 3
    with pytest.raises(ReadFailure) as caught:
        world.fetch(reader, make_reads((0, 0, 50, 0), (1, 0, 70, 64), (2, 0, 70, 200)))
    assert (caught.value.read, caught.value.detail) == (1, (errno.EIO, 67))
    # The lowest read that fails is the one reported, also when a file later on does not open.
    reader = open_reader("kvikio", world, index_of([*files, "/none"]))
    with pytest.raises(ReadFailure) as caught:
        world.fetch(reader, make_reads((1, 0, 70, 64), (len(files), 0, 70, 200)))
    assert (caught.value.read, caught.value.detail) == (0, (errno.EIO, 67))


def test_kvikio_opens_few_files_at_once(
    files: list[Path], kvikio: FakeKvikio, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bigwig_loader.backend.cuda import kvikio_reads

    monkeypatch.setattr(kvikio_reads, "open_files_limit", lambda: 8)
    world, rng = World(), np.random.default_rng(3)
    reader = open_reader("kvikio", world, index_of(files))
    for _ in range(3):
        reads = random_reads(rng, 50)
        world.fetch(reader, reads)
        assert_fetched(world, reads, files)
    assert kvikio.most_open == 2
    # The two files used last are still open, and are not opened again.
    n_opened = []
    real = kvikio_reads.KvikioReader._open
    monkeypatch.setattr(
        kvikio_reads.KvikioReader, "_open", lambda *a: n_opened.append(a[1]) or real(*a)
    )
    for track in (4, 5, 4, 1, 4, 5):
        world.fetch(reader, make_reads((track, 0, 10, 0)))
    assert n_opened == [1, 5]
    reader.close()
    assert kvikio.n_open == 0


def test_kvikio_from_several_threads(
    files: list[Path], kvikio: FakeKvikio, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bigwig_loader.backend.cuda import kvikio_reads

    monkeypatch.setattr(kvikio_reads, "open_files_limit", lambda: 8)
    reader = open_reader("kvikio", World(), index_of(files))
    together = threading.Barrier(4)

    def work(seed: int) -> None:
        world, rng = World(), np.random.default_rng(seed)
        together.wait()
        for _ in range(5):
            reads = random_reads(rng, 30)
            world.fetch(reader, reads)
            assert_fetched(world, reads, files)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert kvikio.most_open <= 2 * 4  # each thread holds at most two
    reader.close()
    assert kvikio.n_open == 0


def test_kvikio_cuts_large_reads_for_its_threads(files: list[Path], kvikio: FakeKvikio) -> None:
    from bigwig_loader.backend.cuda.kvikio_reads import TASK_BYTES

    world = World()
    world.fetch(open_reader("kvikio", world, index_of(files)), make_reads((0, 7, 60_000, 0)))
    assert kvikio.reads == [(str(files[0]), 60_000, 7, TASK_BYTES)]


@pytest.mark.parametrize(
    ("variable", "before", "asked", "after"),
    [
        (None, 1, 3, 3),
        (None, 8, 3, 8),
        ("KVIKIO_NTHREADS", 1, 3, 1),
        ("KVIKIO_NUM_THREADS", 2, 9, 2),
    ],
)
def test_kvikio_gets_threads(
    files: list[Path],
    kvikio: FakeKvikio,
    monkeypatch: pytest.MonkeyPatch,
    variable: str | None,
    before: int,
    asked: int,
    after: int,
) -> None:
    for name in ("KVIKIO_NTHREADS", "KVIKIO_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, str(before))
    kvikio.settings["num_threads"] = before
    open_reader("kvikio", World(), index_of(files), asked)
    assert kvikio.settings["num_threads"] == after


@pytest.mark.parametrize("how", ["host", "kvikio", "auto"])
def test_closed_readers(how: str, files: list[Path], kvikio: FakeKvikio) -> None:
    world = World()
    reader = open_reader(how, world, index_of(files))
    reader.close()
    with pytest.raises(InvalidInputError, match="closed"):
        world.fetch(reader, make_reads((0, 0, 10, 0)))


def test_remote_files(tmp_path: Path, kvikio: FakeKvikio) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/reads/a", bytes(range(256)))
    local = tmp_path / "b"
    local.write_bytes(bytes(range(100)))
    index = index_of([local, local])
    index.paths, index.file_bytes[0] = ("memory://reads/a", str(local)), 256
    world = World()
    for how in ("auto", "kvikio"):
        reader = open_reader(how, world, index)
        assert "remote" in reader.reason
        assert world.fetch(reader, make_reads((1, 3, 10, 50), (0, 200, 20, 0))) == 30
        got = world.there()
        assert got[:20].tobytes() == bytes(range(200, 220))
        assert got[50:60].tobytes() == bytes(range(3, 13))
        with pytest.raises(InvalidDataError, match="memory://reads/a"):
            world.fetch(reader, make_reads((0, 250, 20, 0)))
        reader.close()
    memory.rm("/reads", recursive=True)


def test_auto_takes_kvikio_for_large_reads(files: list[Path], kvikio: FakeKvikio) -> None:
    from bigwig_loader.backend.cuda.reads import LARGE_READ_BYTES

    world = World()
    reader = open_reader("auto", world, index_of(files))
    assert "GPUDirect Storage" in reader.reason
    assert "kvikio from 64 KiB" in reader.name
    assert "host threads" in reader.name
    at = LARGE_READ_BYTES
    for reads, n_by_kvikio in (
        (make_reads((0, 0, at, 0)), 1),
        (make_reads((0, 0, at - 1, 0)), 0),
        (make_reads((0, 0, at + 10, 0), (1, 0, at - 10, 80_000)), 2),
        (make_reads((0, 0, at + 9, 0), (1, 0, at - 10, 80_000)), 0),
        (make_reads(), 0),
    ):
        kvikio.reads.clear()
        assert world.fetch(reader, reads) == reads.n_bytes.sum()
        assert_fetched(world, reads, files)
        assert len(kvikio.reads) == n_by_kvikio
    reader.close()


@pytest.mark.gpu
@BOTH
def test_on_a_gpu(how: str, files: list[Path]) -> None:
    from bigwig_loader.backend.cuda.kvikio_reads import find_kvikio

    if how == "kvikio" and isinstance(find_kvikio(), str):
        pytest.skip(str(find_kvikio()))
    world, rng = World(8 << 20), np.random.default_rng(1)
    reader = open_reader(how, world, index_of(files), 8)
    for n, largest in ((1, 3_000), (200, 3_000), (60, 80_000)):
        reads = random_reads(rng, n, largest)
        assert world.fetch(reader, reads) == reads.n_bytes.sum()
        assert_fetched(world, reads, files)
    reader.close()


def without_kvikio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)


def broken_kvikio(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    FakeKvikio().install(monkeypatch)
    real = importlib.import_module

    def fail(name: str) -> ModuleType:
        if name == "kvikio":
            raise RuntimeError("Failure finding\n  libcufile.so.0")
        return real(name)

    monkeypatch.setattr(importlib, "import_module", fail)


def compatible_kvikio(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeKvikio(compatible=True).install(monkeypatch)


def kvikio_without_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeKvikio(has_driver=False).install(monkeypatch)


@pytest.mark.parametrize(
    ("make", "usable", "reason"),
    [
        (without_kvikio, False, "not installed; install kvikio-cu12 or kvikio-cu13"),
        (broken_kvikio, False, "Failure finding libcufile.so.0); install nvidia-cufile"),
        (compatible_kvikio, True, "kvikio 26.10.00 is in compatibility mode"),
        (kvikio_without_driver, True, "no driver for GPUDirect Storage"),
    ],
)
def test_without_direct_storage(
    make: Any, usable: bool, reason: str, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from bigwig_loader.backend.cuda.kvikio_reads import KvikioReader
    from bigwig_loader.backend.cuda.reads import HostReader

    make(monkeypatch)
    world, index = World(), index_of(files)
    auto = open_reader("auto", world, index)
    assert isinstance(auto, HostReader)
    assert reason in auto.reason
    if usable:
        asked = open_reader("kvikio", world, index)
        assert isinstance(asked, KvikioReader)
        assert reason in asked.reason
    else:
        with pytest.raises(BackendUnavailableError, match="BIGWIG_LOADER_READ=host") as caught:
            open_reader("kvikio", world, index)
        assert reason in str(caught.value)


def test_the_setting(
    files: list[Path], kvikio: FakeKvikio, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bigwig_loader.backend.cuda.reads import choose_reader

    world, index = World(), index_of(files)
    for value, name in (("host", "host threads"), ("kvikio", "kvikio")):
        monkeypatch.setenv("BIGWIG_LOADER_READ", value)
        reader = choose_reader(world.device, index, 1)
        assert (reader.name, f"read='{value}'" in reader.reason) == (name, True)
    monkeypatch.setenv("BIGWIG_LOADER_READ", "fast")
    with pytest.raises(InvalidInputError, match="BIGWIG_LOADER_READ"):
        choose_reader(world.device, index, 1)


LOOK = """
import inspect, json
import cuda.pathfinder
def missing(name):
    raise ModuleNotFoundError(name)
cuda.pathfinder.load_nvidia_dynamic_lib = missing  # libcufile, which tests do without
import kvikio, kvikio.cufile_driver, kvikio.defaults
def names(f):
    return list(inspect.signature(f).parameters)
file = kvikio.CuFile(__file__, "r")
class Buffer:
    __cuda_array_interface__ = dict(shape=(9,), typestr="|u1", data=(4096, False), version=3)
def error_of(f, *args):
    try:
        f(*args)
    except Exception as error:
        return type(error).__name__
print(json.dumps([
    names(kvikio.CuFile.__init__), names(kvikio.CuFile.pread), names(kvikio.cufile.IOFuture.get),
    names(kvikio.CuFile.close), names(kvikio.CuFile.fileno), isinstance(file.fileno(), int),
    isinstance(kvikio.__version__, str), kvikio.defaults.is_compat_mode_preferred(),
    kvikio.cufile_driver.get("is_gds_available"), kvikio.defaults.get("num_threads"),
    kvikio.defaults.set("num_threads", 3) and kvikio.defaults.get("num_threads"),
    error_of(kvikio.CuFile, "/none", "r"), error_of(file.pread, Buffer(), 10),
]))
"""


def test_the_real_kvikio_has_these_names(tmp_path: Path) -> None:
    python = python_with("kvikio")
    script = tmp_path / "look.py"
    script.write_text(LOOK)
    done = subprocess.run([python, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    init, pread, get, close, fileno, *rest = json.loads(done.stdout)
    assert init[1:] == ["file", "flags"]
    assert pread[1:] == ["buf", "size", "file_offset", "task_size"]
    assert get[1:] == close[1:] == fileno[1:] == []
    is_number, is_text, compatible, has_gds, n_threads, n_set, *errors = rest
    assert is_number
    assert is_text
    assert isinstance(compatible, bool)
    assert isinstance(has_gds, bool)
    assert n_threads >= 1
    assert n_set == 3
    assert errors == ["RuntimeError", "ValueError"]
