"""The nvCOMP route: on a fake device with a fake nvCOMP, and on a GPU where there is one."""

from __future__ import annotations

import ctypes
import json
import subprocess
import zlib
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bigwig_loader.backend.status import Status
from bigwig_loader.errors import LoaderError
from tests.helpers.cuda_packages import python_with
from tests.helpers.fake_nvcomp import CUDA_ERROR, FakeNvcomp
from tests.helpers.shared import REPOSITORY

VERSIONS = [4200, 5000, 6000]


@pytest.fixture(autouse=True)
def cuda(request: pytest.FixtureRequest) -> None:
    """The fake device for all tests but those of a real one."""
    if request.node.get_closest_marker("gpu") is None:
        request.getfixturevalue("fake_cuda")


def find(monkeypatch: pytest.MonkeyPatch, *libraries: Any) -> Any:
    from bigwig_loader.backend.cuda import nvcomp

    monkeypatch.setattr(nvcomp, "_libraries", lambda: iter(libraries))
    return nvcomp.Nvcomp.find()


class Work:
    """Zlib streams in device memory, with room for what they inflate to, and for the route."""

    def __init__(self, nvcomp: Any, streams: list[bytes], capacity: list[int]) -> None:
        from bigwig_loader.backend.cuda.device import Device
        from bigwig_loader.backend.cuda.nvcomp import NvcompBatch
        from bigwig_loader.backend.cuda.records import BLOCK, OUTCOME, SECTION_SLACK

        self.device = device = Device(0)
        self.stream = device.stream()
        self.keep: list[Any] = []
        n = len(streams)
        rng = np.random.default_rng(n)
        self.order = rng.permutation(n + 2)[:n].astype(np.int32)  # two blocks of other kinds
        self.capacity = np.array(capacity, np.int64)
        sizes = np.array([len(stream) for stream in streams], np.int64)
        starts = np.cumsum(sizes) - sizes
        staging = self.put(np.frombuffer(b"".join(streams) or b"\0", np.uint8))
        room = (self.capacity + SECTION_SLACK + 15) // 16 * 16
        self.section_at = np.cumsum(room) - room
        self.sections = device.memory(max(int(room.sum()), 1))

        blocks = np.zeros(n + 2, BLOCK)
        blocks["bytes"][self.order] = staging + starts
        blocks["section"][self.order] = self.sections.address + self.section_at
        blocks["n_bytes"][self.order] = sizes
        blocks["capacity"][self.order] = self.capacity
        outcomes = np.zeros(n + 2, OUTCOME)
        outcomes["status"] = 55
        self.layout = nvcomp.layout(sizes, self.capacity)
        # Exactly as much as the layout says: what is written past it is noticed.
        self.scratch = device.memory(max(self.layout.n_bytes, 1))
        self.batch = NvcompBatch(
            self.put(blocks),
            self.put(self.order),
            self.put(self.layout.place),
            self.scratch.address,
            self.put(outcomes),
        )
        self.kinds = (BLOCK, OUTCOME)

    def put(self, array: npt.NDArray[Any]) -> int:
        """Copy an array to the device; its address."""
        pinned = self.device.pinned(max(array.nbytes, 1))
        pinned.array[: array.nbytes] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        memory = self.device.memory(max(array.nbytes, 1))
        self.device.upload(memory.address, pinned.address, array.nbytes, self.stream)
        self.keep += [pinned, memory]
        return int(memory.address)

    def get(self, address: int, n_bytes: int) -> npt.NDArray[np.uint8]:
        back = self.device.pinned(max(n_bytes, 1))
        self.device.download(back.address, address, n_bytes, self.stream)
        self.stream.synchronize()
        return back.array[:n_bytes].copy()

    def outcomes(self) -> npt.NDArray[Any]:
        kind = self.kinds[1]
        n = len(self.order) + 2
        return self.get(self.batch.outcomes, n * kind.itemsize).view(kind)

    def section(self, i: int, n_bytes: int) -> bytes:
        return self.get(self.sections.address + int(self.section_at[i]), n_bytes).tobytes()

    def run(self, nvcomp: Any) -> None:
        nvcomp.inflate(self.device, self.batch, self.layout, self.stream)


def sections_of(rng: np.random.Generator, n: int) -> list[bytes]:
    """What data blocks hold: runs of like numbers, of any length."""
    sizes = [0, 1, 24, *rng.integers(2, 3_000, n)]
    return [(np.arange(size) // 7 * 3).astype(np.uint8).tobytes() for size in sizes]


@pytest.mark.parametrize("fake_cuda", ["late", "eager"], indirect=True)
@pytest.mark.parametrize("temp_bytes", [0, 40])
@pytest.mark.parametrize("version", VERSIONS)
def test_blocks_are_inflated(
    version: int, temp_bytes: int, monkeypatch: pytest.MonkeyPatch, fake_cuda: ModuleType
) -> None:
    library = FakeNvcomp(version, temp_bytes=temp_bytes)
    nvcomp = find(monkeypatch, library)
    assert nvcomp.version == f"{version // 1000}.{version % 1000 // 100}.0"
    rng = np.random.default_rng(version)
    sections = sections_of(rng, 20)
    streams = [zlib.compress(s, int(rng.integers(0, 10))) for s in sections]
    capacity = [len(s) + int(rng.integers(0, 50)) for s in sections]
    work = Work(nvcomp, streams, capacity)
    work.run(nvcomp)
    outcomes = work.outcomes()
    of = outcomes[work.order]
    np.testing.assert_array_equal(of["status"], Status.OK)
    np.testing.assert_array_equal(of["whole"], 1)
    np.testing.assert_array_equal(of["produced"], [len(s) for s in sections])
    assert [work.section(i, len(s)) for i, s in enumerate(sections)] == sections
    assert (np.delete(outcomes["status"], work.order) == 55).all()
    assert library.calls == [len(sections)]
    # Checksums are to be compared whatever was asked for.
    kind = work.kinds[0]
    blocks = work.get(work.batch.blocks, len(outcomes) * kind.itemsize).view(kind)
    from bigwig_loader.backend.cuda.records import BlockCheck

    np.testing.assert_array_equal(blocks["checks"][work.order], int(BlockCheck.ADLER))


@pytest.mark.gpu
def test_on_a_gpu() -> None:
    from bigwig_loader.backend.cuda.nvcomp import Nvcomp

    nvcomp = Nvcomp.find()
    if isinstance(nvcomp, str):
        pytest.skip(nvcomp)
    rng = np.random.default_rng(0)
    sections = sections_of(rng, 500)
    streams = [zlib.compress(s, int(rng.integers(0, 10))) for s in sections]
    streams[8] = b"\x70" + streams[8][1:]
    streams[9] = b""
    work = Work(nvcomp, streams, [len(s) for s in sections])
    work.run(nvcomp)
    of = work.outcomes()[work.order]
    bad = {8: Status.BAD_ZLIB_HEADER, 9: Status.TRUNCATED_DEFLATE}
    for i, section in enumerate(sections):
        assert of["status"][i] == bad.get(i, Status.OK)
        if i not in bad:
            assert of["produced"][i] == len(section)
            assert work.section(i, len(section)) == section


def test_damaged_blocks_fail_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    nvcomp = find(monkeypatch, FakeNvcomp())
    sections = sections_of(np.random.default_rng(0), 9)
    streams = [zlib.compress(s) for s in sections]
    capacity = [len(s) for s in sections]
    expected: dict[int, tuple[int, tuple[int, int]]] = {}
    streams[3] = b"\x70" + streams[3][1:]
    expected[3] = Status.BAD_ZLIB_HEADER, (0x70, streams[3][1])
    streams[4] = streams[4][:4]
    expected[4] = Status.TRUNCATED_DEFLATE, (6, 0)
    streams[5] = streams[5][:2] + b"\xff" * (len(streams[5]) - 2)
    expected[5] = Status.BAD_DEFLATE, (12, 0)
    capacity[6] -= 1
    expected[6] = Status.BAD_DEFLATE, (12, capacity[6])
    streams[7] = streams[7][: len(streams[7]) // 2]
    work = Work(nvcomp, streams, capacity)
    work.run(nvcomp)
    of = work.outcomes()[work.order]
    for i, section in enumerate(sections):
        if i == 7:
            assert of["status"][i] == Status.BAD_DEFLATE
        elif i in expected:
            assert (of["status"][i], tuple(of["detail"][i])) == expected[i]
        else:
            assert (of["status"][i], of["produced"][i]) == (Status.OK, len(section))
            assert work.section(i, len(section)) == section
        assert of["whole"][i] == (of["status"][i] == Status.OK)


def test_no_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    library = FakeNvcomp()
    nvcomp = find(monkeypatch, library)
    work = Work(nvcomp, [], [])
    work.run(nvcomp)
    assert library.calls == []
    assert (work.outcomes()["status"] == 55).all()
    assert work.layout.n_bytes == 0


def test_a_layout_has_room_for_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    nvcomp = find(monkeypatch, FakeNvcomp(temp_bytes=100))
    rng = np.random.default_rng(0)
    for n in (1, 2, 40, 1_000):
        n_bytes = rng.integers(0, 100, n)
        layout = nvcomp.layout(n_bytes, rng.integers(0, 50, n))
        assert (layout.place % 16 == 0).all()
        assert (np.diff(layout.place) >= np.maximum(n_bytes - 6, 2)).all()
        starts = [*layout.arrays, layout.temp, int(layout.place[0])]
        sizes = [8 * n] * 5 + [4 * n, layout.temp_bytes]
        assert layout.temp_bytes == 100 * n
        assert all(start % 256 == 0 for start in starts)
        assert all(a + k <= b for a, b, k in zip(starts, starts[1:], sizes, strict=False))
        assert layout.n_bytes == layout.place[-1]


def test_nvcomp_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    nvcomp = find(monkeypatch, FakeNvcomp(answer=CUDA_ERROR))
    work = Work(nvcomp, [zlib.compress(b"1234")], [10])
    with pytest.raises(LoaderError, match=r"status 1000 \(A CUDA error\).*INFLATE=kernel"):
        work.run(nvcomp)
    work.stream.synchronize()
    odd = FakeNvcomp()
    odd._functions["nvcompBatchedDeflateDecompressGetTempSize"] = ctypes.CFUNCTYPE(
        ctypes.c_int, *[ctypes.c_void_p] * 6
    )(lambda *given: 77)
    with pytest.raises(LoaderError, match=r"1 data blocks of up to 5 bytes.*status 77 \(unknown\)"):
        find(monkeypatch, odd).layout(np.array([9]), np.array([5]))


def test_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "nvCOMP is not installed: install nvidia-nvcomp" in find(monkeypatch)


@pytest.mark.parametrize("version", [3000, 7000, 6000])
def test_another_interface(version: int, monkeypatch: pytest.MonkeyPatch) -> None:
    library = FakeNvcomp(version)
    library._functions.pop("nvcompBatchedDeflateDecompressGetTempSize")
    assert f"nvCOMP {version // 1000}.0 has another interface" in find(monkeypatch, library)


@pytest.mark.parametrize("fake_cuda", [{"driver_version": 12_040}], indirect=True)
def test_an_older_driver(monkeypatch: pytest.MonkeyPatch, fake_cuda: ModuleType) -> None:
    library = FakeNvcomp(5100, cudart_version=13_000)
    reason = find(monkeypatch, library)
    assert "nvCOMP 5.1.0 is made for CUDA 13, the driver supports CUDA 12.4" in reason
    assert not isinstance(find(monkeypatch, FakeNvcomp(cudart_version=12_090)), str)


def test_a_broken_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    from bigwig_loader.backend.cuda import nvcomp

    def fail() -> Any:
        raise ZeroDivisionError("no way")

    monkeypatch.setattr(nvcomp, "_libraries", fail)
    assert nvcomp.Nvcomp.find() == "nvCOMP cannot be used (ZeroDivisionError: no way)"


def test_where_libraries_are_looked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    from bigwig_loader.backend.cuda import nvcomp

    (tmp_path / "libnvcomp.so.5").touch()
    package, older = ModuleType("nvidia.libnvcomp"), ModuleType("nvidia.nvcomp")
    for module in (package, older):
        module.__spec__ = ModuleSpec(module.__name__, None, is_package=True)
        module.__spec__.submodule_search_locations = [str(tmp_path)]
        monkeypatch.setitem(__import__("sys").modules, module.__name__, module)
    vars(package)["load_library"] = lambda: "of the package"
    asked: list[str] = []

    def load(name: str) -> str:
        asked.append(name)
        if name.endswith("4"):
            return name
        raise OSError(name)

    monkeypatch.setattr(nvcomp, "ctypes", SimpleNamespace(CDLL=load))
    assert list(nvcomp._libraries()) == ["of the package", "libnvcomp.so.4"]
    assert asked == [
        str(tmp_path / "libnvcomp.so.5"),
        "libnvcomp.so.6",
        "libnvcomp.so.5",
        "libnvcomp.so.4",
    ]
    vars(package)["load_library"] = lambda: None  # what it gives where it finds nothing
    assert list(nvcomp._libraries()) == ["libnvcomp.so.4"]


LOOK = """
import json, sys
import numpy as np
sys.path.insert(0, sys.argv[1])
from bigwig_loader.backend.cuda import nvcomp
found = nvcomp.open_library()
layout = found.layout(np.array([5000, 20, 0]), np.array([12000, 100, 1]))
print(json.dumps([found.version, found.cuda_major, layout.temp_bytes, found._say(12)]))
"""


def test_the_real_library_has_this_interface() -> None:
    python = python_with("nvidia.libnvcomp")
    done = subprocess.run(
        [python, "-c", LOOK, str(REPOSITORY)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    version, cuda_major, temp_bytes, said = json.loads(done.stdout)
    assert version.split(".")[0] in {"5", "6"}
    assert cuda_major in {12, 13}
    assert temp_bytes == 0
    assert "cannot be decompressed" in said
