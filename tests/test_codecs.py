"""The codecs for Zarr: every way of inflating against zlib."""

from __future__ import annotations

import importlib.metadata
import sys
import zlib
from collections.abc import Iterator

import numpy as np
import pytest

numcodecs = pytest.importorskip("numcodecs", reason="needs numcodecs")

from bigwig_loader.codecs import KernelZlib, LibdeflateZlib, NvcompZlib  # noqa: E402
from bigwig_loader.errors import (  # noqa: E402
    BackendUnavailableError,
    InvalidDataError,
    InvalidInputError,
)
from tests.helpers import emulator, fake_cupy  # noqa: E402

CODECS = (LibdeflateZlib, KernelZlib, NvcompZlib)


@pytest.fixture(params=["libdeflate", "kernel", pytest.param("gpu", marks=pytest.mark.gpu)])
def codec(request: pytest.FixtureRequest) -> Iterator[LibdeflateZlib | KernelZlib]:
    """A codec; that of the kernel on an emulated GPU, and on a real one."""
    if request.param == "libdeflate":
        yield LibdeflateZlib()
        return
    if request.param == "gpu":
        yield KernelZlib()
        return
    if emulator.compiler() is None or sys.platform != "linux":
        pytest.skip("needs Linux and a C++ compiler, which compiles the emulated kernels")
    fake_cupy.install(mode="late")
    try:
        yield KernelZlib()
    finally:
        fake_cupy.uninstall()


def contents() -> list[bytes]:
    rng = np.random.default_rng(0)
    return [
        b"",
        b"a",
        rng.integers(0, 256, 3_000, np.uint8).tobytes(),
        rng.integers(0, 4, 20_000, np.uint8).tobytes(),
        bytes(50_000),  # expands to far more than the first guess of room
        b"abcde" * 2_000,
    ]


def test_batches_equal_zlib(codec: LibdeflateZlib) -> None:
    data = contents()
    streams = [zlib.compress(part, 9 - i) for i, part in enumerate(data)]
    assert [part.tobytes() for part in codec.decode_batch(streams)] == data
    out = [np.full(len(part), 7, np.uint8) for part in data]
    assert all(a is b for a, b in zip(codec.decode_batch(streams, out), out, strict=True))
    assert [part.tobytes() for part in out] == data
    assert codec.decode_batch([]) == []


def test_what_is_encoded_is_a_zlib_stream_and_comes_back(codec: LibdeflateZlib) -> None:
    values = np.arange(1_000, dtype=np.float32).reshape(10, 100)
    stream = codec.encode(values)
    assert zlib.decompress(stream) == values.tobytes()
    assert codec.decode(stream).tobytes() == values.tobytes()
    out = np.empty_like(values)
    codec.decode(stream, out)
    np.testing.assert_array_equal(out, values)


def test_damage_is_said_of_the_stream_it_is_in(codec: LibdeflateZlib) -> None:
    streams = [zlib.compress(part) for part in contents()]
    broken = bytearray(streams[3])
    broken[-1] ^= 1
    streams[3] = bytes(broken)
    with pytest.raises(InvalidDataError, match=r"stream 3: it has a wrong checksum"):
        codec.decode_batch(streams)
    streams[1] = streams[1][:-6]
    with pytest.raises(InvalidDataError, match=r"stream 1: "):
        codec.decode_batch(streams)
    with pytest.raises(InvalidDataError, match=r"stream 0: it is not a zlib stream"):
        codec.decode_batch([b"no stream at all"])


def test_out_of_another_size(codec: LibdeflateZlib) -> None:
    stream = zlib.compress(bytes(100))
    with pytest.raises(InvalidDataError, match=r"holds more than.*at most 99 bytes"):
        codec.decode(stream, np.empty(99, np.uint8))
    with pytest.raises(InvalidDataError, match=r"holds less than.*101 bytes.*100"):
        codec.decode(stream, np.empty(101, np.uint8))
    with pytest.raises(InvalidInputError, match="expected 1 buffers; got 2"):
        codec.decode_batch([stream], [np.empty(1, np.uint8)] * 2)


def test_what_stays_on_the_device(codec: LibdeflateZlib) -> None:
    data = contents()
    found = codec.decode_batch_on_device(
        [zlib.compress(part) for part in data], [len(part) for part in data]
    )
    is_host = isinstance(codec, LibdeflateZlib)
    assert all(isinstance(part, np.ndarray) == is_host for part in found)
    host = found if is_host else [part.get() for part in found]
    assert [part.tobytes() for part in host] == data


@pytest.mark.parametrize("kind", CODECS)
def test_registered_by_name(kind: type[LibdeflateZlib]) -> None:
    codec = kind(level=3)
    assert numcodecs.get_codec(codec.get_config()) == codec
    with pytest.raises(InvalidInputError, match="0 to 12"):
        kind(level=13)


def test_entry_points_name_every_codec() -> None:
    found = importlib.metadata.entry_points(group="numcodecs.codecs")
    ours = {point.name: point for point in found if point.value.startswith("bigwig_loader.")}
    if not ours:
        pytest.skip("the package is not installed, only on the path")
    assert {name: point.load() for name, point in ours.items()} == {
        kind.codec_id: kind for kind in CODECS
    }


def test_without_a_gpu_it_says_so() -> None:
    if fake_cupy.is_installed():
        pytest.fail("a fake GPU was left behind")
    try:
        import cupy

        has_gpu = cupy.cuda.runtime.getDeviceCount() > 0
    except Exception:
        has_gpu = False
    if has_gpu:
        pytest.skip("there is a GPU")
    with pytest.raises(BackendUnavailableError, match="cuda"):
        KernelZlib().decode(zlib.compress(b"x"))
