"""Memory, streams, events and copies of a device, on the fake one, whose streams run late."""

from __future__ import annotations

import gc
import importlib
import os
import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bigwig_loader.errors import BackendUnavailableError, LoaderError

pytestmark = pytest.mark.usefixtures("fake_cuda")


@pytest.fixture
def cupy() -> Any:
    return importlib.import_module("cupy")


@pytest.fixture
def cuda() -> Any:
    """`device.py`, which imports CuPy."""
    return importlib.import_module("bigwig_loader.backend.cuda.device")


def test_what_a_device_is(cuda: Any, cupy: Any) -> None:
    device = cuda.Device(1)
    found = cupy.cuda.runtime.getDeviceProperties(1)
    assert (device.number, repr(device), device.name) == (1, "cuda:1", found["name"].decode())
    assert device.compute_capability == f"{found['major']}{found['minor']}"
    assert device.n_multiprocessors == found["multiProcessorCount"]
    assert device.total_bytes == found["totalGlobalMem"]
    assert device.shared_bytes == found["sharedMemPerBlockOptin"] > 48 << 10


def test_bytes_there_and_back(cuda: Any) -> None:
    device = cuda.Device()
    memory, stream = device.memory(3_000), device.stream()
    up, down = device.pinned(1_000), device.pinned(3_000)
    up.array[:] = np.arange(1_000) % 251
    device.fill(memory.address, 7, 3_000, stream)
    device.upload(memory.address + 100, up.address, 1_000, stream)
    device.copy(memory.address + 1_500, memory.address + 100, 1_000, stream)
    device.download(down.address, memory.address, 3_000, stream)
    stream.synchronize()
    expected = np.full(3_000, 7, np.uint8)
    expected[100:1_100] = expected[1_500:2_500] = np.arange(1_000) % 251
    np.testing.assert_array_equal(down.array, expected)


def test_nothing_to_copy(cuda: Any) -> None:
    device = cuda.Device()
    stream = device.stream()
    for method in (device.upload, device.download, device.copy):
        method(0, 0, 0, stream)
    device.fill(0, 0, 0, stream)
    stream.synchronize()
    assert device.memory(0).n_bytes == 0
    assert device.pinned(0).array.shape == (0,)


def test_a_stream_waits_for_an_event_and_for_nothing_else(cuda: Any) -> None:
    device = cuda.Device()
    first, second = device.stream(), device.stream()
    memory, seen = device.memory(8), device.pinned(16)
    device.fill(memory.address, 1, 8, first)
    first.synchronize()
    event = device.event()
    assert event.is_done  # never recorded
    device.fill(memory.address, 2, 8, first)  # late: nobody has asked for it
    event.record(first)
    device.download(seen.address, memory.address, 8, second)
    second.synchronize()
    second.wait(event)
    device.download(seen.address + 8, memory.address, 8, second)
    second.synchronize()
    assert seen.array.tolist() == [1] * 8 + [2] * 8
    event.synchronize()
    assert event.is_done


def test_events_of_foreign_streams(cuda: Any, cupy: Any) -> None:
    device = cuda.Device()
    foreign, ours = cupy.cuda.Stream(non_blocking=True), device.stream()
    memory, seen = device.memory(4), device.pinned(4)
    cupy.cuda.runtime.memsetAsync(memory.address, 9, 4, foreign.ptr)
    event = device.event()
    event.record(foreign.ptr)
    ours.wait(event)
    device.download(seen.address, memory.address, 4, ours)
    ours.synchronize()
    assert seen.array.tolist() == [9] * 4


def test_seconds(cuda: Any) -> None:
    device = cuda.Device()
    stream, memory = device.stream(), device.memory(1 << 20)
    first, second = device.event(timed=True), device.event(timed=True)
    first.record(stream)
    device.fill(memory.address, 1, 1 << 20, stream)
    second.record(stream)
    second.synchronize()
    assert 0 <= cuda.seconds_between(first, second) < 60


def test_each_call_is_on_its_device_and_the_callers_comes_back(cuda: Any, cupy: Any) -> None:
    devices = [cuda.Device(0), cuda.Device(1)]
    with cupy.cuda.Device(1):
        for device in devices:
            memory, stream, event = device.memory(64), device.stream(), device.event()
            assert memory._memory.device_id == device.number
            device.fill(memory.address, 5, 64, stream)
            event.record(stream)
            event.synchronize()
            assert event.is_done
            array = device.array(memory, memory.address, (64,), np.uint8)
            assert array.device.id == device.number
            np.testing.assert_array_equal(cupy.asnumpy(array), np.full(64, 5))
            assert cupy.cuda.runtime.getDevice() == 1
        with pytest.raises(ZeroDivisionError), devices[0].current():
            raise ZeroDivisionError
        assert cupy.cuda.runtime.getDevice() == 1


def test_from_other_threads(cuda: Any, cupy: Any) -> None:
    # A new thread's current device is the first one.
    device = cuda.Device(1)
    seen = device.pinned(16)

    def work(at: int) -> None:
        stream, memory = device.stream(), device.memory(4)
        device.fill(memory.address, at, 4, stream)
        device.download(seen.address + 4 * at, memory.address, 4, stream)
        stream.synchronize()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen.array.tolist() == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4


def test_out_of_memory(cuda: Any) -> None:
    device = cuda.Device()
    too_much = device.total_bytes + 1
    with pytest.raises(LoaderError) as raised:
        device.memory(too_much)
    message = str(raised.value)
    for said in ("out of memory on cuda:0", f"expected {too_much / 1e9:,.3f} GB", "memory_budget"):
        assert said in message
    assert type(raised.value.__cause__).__name__ == "CUDARuntimeError"


def test_no_pinned_memory(cuda: Any, cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object) -> None:
        raise cupy.cuda.runtime.CUDARuntimeError(2)

    monkeypatch.setattr(cupy.cuda, "PinnedMemory", refuses)
    with pytest.raises(LoaderError, match=r"cannot page-lock 1\.000 GB .*ulimit"):
        cuda.Device().pinned(10**9)


def test_memory_goes_with_its_last_user(cuda: Any, cupy: Any) -> None:
    device = cuda.Device()
    free = cupy.cuda.runtime.memGetInfo()[0]
    memory = device.memory(1 << 20)
    pinned = device.pinned(100)
    array = device.array(memory, memory.address, (4, 1 << 16), np.float32)
    bytes_of_pinned = pinned.array
    bytes_of_pinned[:] = 3
    del memory, pinned
    view = array[1:, ::2]
    del array
    gc.collect()
    assert cupy.cuda.runtime.memGetInfo()[0] == free - (1 << 20)
    assert bytes_of_pinned.sum() == 300
    del view
    assert cupy.cuda.runtime.memGetInfo()[0] == free


def test_arrays_with_strides(cuda: Any, cupy: Any) -> None:
    device = cuda.Device()
    memory, stream, up = device.memory(48), device.stream(), device.pinned(48)
    up.array[:] = np.arange(12, dtype=np.int32).view(np.uint8)
    device.upload(memory.address, up.address, 48, stream)
    stream.synchronize()
    array = device.array(memory, memory.address + 4, (3, 2), np.int32, (16, 4))
    np.testing.assert_array_equal(cupy.asnumpy(array), [[1, 2], [5, 6], [9, 10]])
    assert device.array(None, 0, (0, 5), np.float32).size == 0


def test_a_forked_process_is_told(cuda: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    device = cuda.Device()
    assert device.is_usable
    parent = os.getpid()
    monkeypatch.setattr(cuda, "os", SimpleNamespace(getpid=lambda: parent + 1))
    assert not device.is_usable
    for call in (device.stream, device.event, device.current, lambda: device.memory(1)):
        with pytest.raises(BackendUnavailableError, match=f"in process {parent} .*num_workers=0"):
            call()


def test_errors_of_cuda_are_ours(cuda: Any, cupy: Any) -> None:
    device = cuda.Device()
    with pytest.raises(LoaderError, match=r"cuda:0 \(.*\) reports .*") as raised, device.current():
        raise cupy.cuda.runtime.CUDARuntimeError(35)
    assert isinstance(raised.value.__cause__, cupy.cuda.runtime.CUDARuntimeError)
    with pytest.raises(LoaderError, match="cuda:7"):
        cuda.Device(7)
