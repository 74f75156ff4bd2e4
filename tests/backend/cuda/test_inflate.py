"""What inflates on a device: launches, routes, and both routes in a collection."""

from __future__ import annotations

import zlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from bigwig_loader._bigwig_writer import write_bigwig
from bigwig_loader.backend.cuda.inflate_launch import (
    BLOCK_BYTES,
    STREAM_BYTES,
    STREAMS_PER_WARP,
    InflateLaunch,
    inflate_launch,
)
from bigwig_loader.collection import BigWigCollection
from bigwig_loader.errors import BackendUnavailableError, InvalidDataError
from bigwig_loader.plan.windows import Windows
from tests.helpers.emulator import load
from tests.helpers.fake_nvcomp import FakeNvcomp
from tests.helpers.shared import REPOSITORY
from tests.helpers.signal import to_numpy

# Multiprocessors, and shared memory that a block of threads may ask for.
DEVICES = {
    "H200": (132, 232_448),
    "A100": (108, 166_912),
    "RTX 4090": (128, 101_376),
    "T4": (40, 65_536),
}


@pytest.mark.parametrize("device", DEVICES)
def test_launches_fit_the_device(device: str) -> None:
    n_multiprocessors, shared_bytes = DEVICES[device]
    for per_warp in (None, *STREAMS_PER_WARP):
        for n in (1, 2, 20, 131, 500, 3_000, 9_000, 20_000, 1_000_000):
            launch = inflate_launch(n, n_multiprocessors, shared_bytes, per_warp)
            streams = launch.n_threads // 32 * launch.streams_per_warp
            assert launch.shared_bytes == BLOCK_BYTES + streams * STREAM_BYTES <= shared_bytes
            assert 1 <= launch.n_threads // 32 <= 16
            # One block of threads on each multiprocessor, and none without a stream.
            assert launch.n_blocks <= n_multiprocessors
            assert (launch.n_blocks - 1) * streams < n
            assert per_warp in (None, launch.streams_per_warp)


def test_streams_are_spread_before_they_share_a_warp() -> None:
    def launch(n: int, device: str = "H200") -> InflateLaunch:
        return inflate_launch(n, *DEVICES[device])

    assert launch(20)[:3] == (1, 20, 32)
    assert launch(132 * 8)[:3] == (1, 132, 8 * 32)
    assert launch(132 * 8 + 1)[:3] == (2, 106, 5 * 32)
    assert launch(132 * 64)[:3] == (8, 132, 8 * 32)
    assert launch(132 * 100)[:3] == (13, 127, 8 * 32)
    assert launch(20_000)[:3] == (32, 132, 4 * 32)
    # Where there is less shared memory, warps are not full.
    assert launch(20_000, "A100")[:3] == (11, 108, 8 * 32)
    assert launch(20_000, "RTX 4090")[:3] == (7, 128, 8 * 32)
    assert launch(20_000, "T4")[:3] == (4, 40, 9 * 32)


def test_sizes_are_those_of_the_kernel() -> None:
    text = """
    #include "inflate_lanes.cuh"
    extern "C" __global__ void sizes(int64_t* out) {
      out[0] = sizeof(bwl::LaneMemory);
      out[1] = bwl::kRepeatWords * 4;
    }
    """
    out = np.zeros(2, np.int64)
    load(text, include=[REPOSITORY / "cuda_kernels"]).launch("sizes", 1, 1, [out])
    assert out.tolist() == [STREAM_BYTES, BLOCK_BYTES]


def test_routes(fake_cuda: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    from bigwig_loader.backend.cuda import nvcomp
    from bigwig_loader.backend.cuda.device import Device
    from bigwig_loader.backend.cuda.inflate import Inflater

    device = Device(0)
    assert Inflater(device).route == "kernel"
    assert Inflater(device, "kernel").reason == "asked for"
    monkeypatch.setattr(nvcomp, "_libraries", lambda: iter(()))
    with pytest.raises(BackendUnavailableError, match=r"inflate='nvcomp': nvCOMP is not installed"):
        Inflater(device, "nvcomp")
    monkeypatch.setattr(nvcomp, "_libraries", lambda: iter([FakeNvcomp(6000)]))
    found = Inflater(device, "nvcomp")
    assert (found.route, found.reason) == ("nvcomp", "asked for; nvCOMP 6.0.0")


@pytest.mark.parametrize("fake_cuda", ["late", "eager"], indirect=True)
@pytest.mark.parametrize("route", ["kernel", "nvcomp"])
def test_both_routes_give_the_same(
    route: str, fake_cuda: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bigwig_loader.backend.cuda import nvcomp

    library = FakeNvcomp(6000, temp_bytes=24)
    monkeypatch.setattr(nvcomp, "_libraries", lambda: iter([library]))
    monkeypatch.setenv("BIGWIG_LOADER_INFLATE", route)
    k = np.arange(5_000)
    path = tmp_path / "track.bw"
    write_bigwig(path, {"a": 50_000}, {"a": (k * 10, k * 10 + 7, k % 31 / 4)})
    windows = Windows(np.zeros(4, np.int64), np.array([0, 6_000, 6_100, 44_000]), 900)
    with BigWigCollection([path], device="cpu") as expected:
        want = expected.read(windows)
    with BigWigCollection([path], device="cuda") as collection:
        for _ in range(2):  # the second time the order of the items is known
            got = to_numpy(collection.read(windows))
            np.testing.assert_array_equal(got, want)
    assert bool(library.calls) == (route == "nvcomp")

    damaged = bytearray(path.read_bytes())
    at = damaged.index(b"\x78\x9c") if b"\x78\x9c" in damaged else damaged.index(b"\x78")
    block = zlib.decompressobj()
    block.decompress(bytes(damaged[at:]))
    end = len(damaged) - len(block.unused_data)
    damaged[end - 1] ^= 1  # the checksum
    path.write_bytes(damaged)
    with (
        BigWigCollection([path], device="cuda") as collection,
        pytest.raises(InvalidDataError, match="wrong checksum"),
    ):
        collection.read(windows)
