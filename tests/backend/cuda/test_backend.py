"""What the CUDA backend does besides its kernels: memory, hand-over, work that is not done yet."""

from __future__ import annotations

import importlib
import os
import threading
from types import SimpleNamespace
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from bigwig_loader.backend.protocol import Done
from bigwig_loader.errors import BackendUnavailableError, InvalidInputError, LoaderError

pytestmark = pytest.mark.usefixtures("fake_cuda")
N = 600


@pytest.fixture
def cupy() -> Any:
    return importlib.import_module("cupy")


@pytest.fixture
def module() -> Any:
    """`backend.py`, which imports CuPy."""
    return importlib.import_module("bigwig_loader.backend.cuda.backend")


@pytest.fixture
def backend(module: Any) -> Any:
    return module.CudaBackend(0, 2, "of a test")


class Reader:
    """Queues copies of arrays on a stream of its own, which nobody waits for."""

    def __init__(self, cupy: Any, device: Any, stream: Any = None) -> None:
        self._cupy, self._device = cupy, device
        with device.current():
            self.stream = cupy.cuda.Stream(non_blocking=True) if stream is None else stream

    def read(self, array: Any) -> Any:
        pinned = self._device.pinned(array.nbytes)
        kind = self._cupy.cuda.runtime.memcpyDeviceToHost
        self._cupy.cuda.runtime.memcpyAsync(
            pinned.address, array.data.ptr, array.nbytes, kind, self.stream.ptr
        )
        return pinned

    def seen(self, pinned: Any) -> set[int]:
        self.stream.synchronize()
        return set(pinned.array.tolist())


def write(backend: Any, array: Any, byte: int) -> Any:
    """As the backend's kernels do; the stream, not waited for."""
    stream = backend.device.stream()
    backend.writing(array, stream)
    backend.device.fill(array.data.ptr, byte, array.nbytes, stream)
    return stream


def test_status(backend: Any, cupy: Any) -> None:
    status = backend.status
    assert (status.name, status.reason) == ("cuda:0", "of a test")
    details = status.details
    assert details["device"] == f"{backend.device.name}, sm_{backend.device.compute_capability}"
    assert details["cupy"] == cupy.__version__
    assert (details["threads"], details["driver"]) == ("2", "CUDA 13.0")
    assert details["reads"].startswith("host threads, page-locked memory (")
    assert details["inflate"].endswith(")")
    assert "memory: 1 GB" in str(status)


def test_status_of_what_is_set_and_cannot_be_had(
    backend: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIGWIG_LOADER_READ", "kvikio")
    monkeypatch.setenv("BIGWIG_LOADER_INFLATE", "nvcomp")
    reads = importlib.import_module("bigwig_loader.backend.cuda.kvikio_reads")
    monkeypatch.setattr(reads, "find_kvikio", lambda: "no kvikio")
    inflate = importlib.import_module("bigwig_loader.backend.cuda.inflate")
    monkeypatch.setattr(inflate.Nvcomp, "find", lambda: "no nvCOMP")
    details = backend.status.details
    assert details["reads"] == "none: no kvikio"
    assert details["inflate"].startswith("none: inflate='nvcomp': no nvCOMP")


@pytest.mark.parametrize("how", ["host", "kvikio"])
def test_reads_as_they_are_set(module: Any, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    monkeypatch.setenv("BIGWIG_LOADER_READ", how)
    found = SimpleNamespace(has_gds=False, reason="a kvikio")
    reads = importlib.import_module("bigwig_loader.backend.cuda.kvikio_reads")
    monkeypatch.setattr(reads, "find_kvikio", lambda: found)
    expected = {
        "host": "host threads, page-locked memory (BIGWIG_LOADER_READ=host)",
        "kvikio": "kvikio (BIGWIG_LOADER_READ=kvikio; a kvikio)",
    }
    assert module.describe_reads() == expected[how]


def test_reads_with_direct_storage(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = importlib.import_module("bigwig_loader.backend.cuda.kvikio_reads")
    found = SimpleNamespace(has_gds=True, reason="has it")
    monkeypatch.setattr(reads, "find_kvikio", lambda: found)
    expected = "kvikio from 64 KiB a read on, else host threads, page-locked memory (has it)"
    assert module.describe_reads() == expected
    found.has_gds = False
    assert module.describe_reads() == "host threads, page-locked memory (has it)"


# -------------------------------------------------------------------------------------- memory ----


def test_empty(backend: Any, cupy: Any) -> None:
    array = backend.empty((2, 3, 5), "bfloat16")
    assert type(array) is cupy.ndarray
    assert (array.shape, array.dtype, array.device.id) == ((2, 3, 5), np.uint16, 0)
    assert backend.empty((4,), "float16").dtype == np.float16
    with pytest.raises(InvalidInputError):
        backend.empty((4,), "float64")


def test_to_the_device_and_back(backend: Any, cupy: Any) -> None:
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    made = backend.to_device(values.transpose(2, 0, 1))
    assert type(made) is cupy.ndarray
    np.testing.assert_array_equal(backend.to_host(made), values.transpose(2, 0, 1))
    np.testing.assert_array_equal(
        backend.to_host(made[::2, :, 1:]), values.transpose(2, 0, 1)[::2, :, 1:]
    )
    halves = backend.to_device(values.astype(ml_dtypes.bfloat16))
    assert halves.dtype == np.uint16
    back = backend.to_host(halves).view(ml_dtypes.bfloat16)
    np.testing.assert_array_equal(back.astype(np.float32), values)
    values[:] = -1  # of the device's own by now
    assert backend.to_host(made).min() == 0
    assert backend.to_host(values) is values
    assert backend.to_device(made) is made
    assert backend.to_host(backend.to_device(np.zeros((0, 3), np.int8))).shape == (0, 3)


def test_to_host_waits_for_what_writes(backend: Any) -> None:
    array = backend.empty((N,), "uint8")
    write(backend, array, 1).synchronize()
    stream = write(backend, array, 2)
    assert set(backend.to_host(array[5:]).tolist()) == {2}
    stream.synchronize()


def test_a_result_that_is_dropped_while_it_is_written(backend: Any) -> None:
    streams, numbers = [], range(1, 21)
    for i in numbers:
        array = backend.empty((N,), "uint8")
        streams.append(write(backend, array, i))
        del array
    array = backend.empty((N,), "uint8")
    write(backend, array, 99).synchronize()
    for stream in streams:
        stream.synchronize()
    assert set(backend.to_host(array).tolist()) == {99}


def test_to_host_waits_for_the_callers_stream(backend: Any, cupy: Any) -> None:
    memory = backend.device.memory(N)
    foreign = backend.device.array(memory, memory.address, (N,), np.uint8)
    stream = cupy.cuda.Stream(non_blocking=True)
    cupy.cuda.runtime.memsetAsync(memory.address, 7, N, stream.ptr)
    with stream:
        assert set(backend.to_host(foreign).tolist()) == {7}


@pytest.mark.parametrize("by", ["current stream", "pointer"])
def test_handed_over_memory_is_not_used_too_early(backend: Any, cupy: Any, by: str) -> None:
    reader = Reader(cupy, backend.device)
    reads = []
    for i in range(20):
        array = backend.empty((N,), "uint8")
        write(backend, array, i).synchronize()
        if by == "pointer":
            backend.hand_over(array, stream=reader.stream.ptr)
        else:
            with reader.stream:
                backend.hand_over(array[10:])
        reads.append(reader.read(array))
        del array
    assert [reader.seen(pinned) for pinned in reads] == [{i} for i in range(20)]


def test_a_new_result_is_written_at_once(backend: Any, cupy: Any, fake_cuda: Any) -> None:
    # The consumer's streams have much to do; a result that nobody has seen does not wait for them.
    memory, pinned = backend.device.memory(N), backend.device.pinned(N)
    kind = cupy.cuda.runtime.memcpyDeviceToHost
    cupy.cuda.runtime.memcpyAsync(pinned.address, memory.address, N, kind, 0)
    waiting = fake_cuda.state().n_waiting
    array = backend.empty((N,), "uint8")
    write(backend, array, 3).synchronize()
    write(backend, array[5:], 4).synchronize()  # a second piece of it
    assert fake_cuda.state().n_waiting == waiting > 0


@pytest.mark.parametrize("stream", ["handed over to", "current", "default"])
def test_results_that_somebody_has_are_written_after_they_were_used(
    backend: Any, cupy: Any, stream: str
) -> None:
    reader = Reader(cupy, backend.device, cupy.cuda.Stream.null if stream == "default" else None)
    array = backend.empty((N,), "uint8")
    write(backend, array, 1).synchronize()
    pinned = reader.read(array)
    other = cupy.cuda.Stream(non_blocking=True)
    backend.hand_over(array, stream=reader.stream.ptr if stream == "handed over to" else other.ptr)
    with reader.stream if stream == "current" else other:
        write(backend, array, 2).synchronize()
    assert reader.seen(pinned) == {1}


def test_arrays_from_elsewhere_are_written_after_they_were_used(backend: Any, cupy: Any) -> None:
    memory = backend.device.memory(N)
    array = backend.device.array(memory, memory.address, (N,), np.uint8)
    write(backend, array, 1).synchronize()
    reader = Reader(cupy, backend.device)
    with reader.stream:
        pinned = reader.read(array)
        write(backend, array, 2).synchronize()
    assert reader.seen(pinned) == {1}
    backend.hand_over(array)  # nothing to do


def test_budget(module: Any) -> None:
    total = module.CudaBackend(0).device.total_bytes
    for budget, kept in ((None, total // 16), (1 << 20, 1 << 18), (1 << 60, total // 16)):
        assert module.CudaBackend(0, memory_budget=budget).outputs._max_kept_bytes == kept


# ------------------------------------------------------------------------------- pending work ----


class Work:
    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.n_waited = 0

    def wait(self) -> None:
        self.n_waited += 1
        if self.error is not None:
            raise self.error


def test_pending_is_what_this_thread_has_asked_for(backend: Any) -> None:
    assert isinstance(backend.pending(), Done)
    mine, other = Work(), Work()
    seen: list[Any] = []

    def elsewhere() -> None:
        backend.defer(other)
        seen.append(backend.pending())

    backend.defer(mine)
    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    pending = backend.pending()
    assert isinstance(backend.pending(), Done)  # told once
    pending.wait()
    assert (mine.n_waited, other.n_waited) == (1, 0)
    seen[0].wait()
    assert (mine.n_waited, other.n_waited) == (1, 1)


def test_all_is_waited_for_before_the_first_error_is_raised(backend: Any) -> None:
    works = [Work(), Work(LoaderError("first")), Work(), Work(LoaderError("second"))]
    for work in works:
        backend.defer(work)
    pending = backend.pending()
    for n in (1, 2):
        with pytest.raises(LoaderError, match="first"):
            pending.wait()
        assert [work.n_waited for work in works] == [n] * 4


# ------------------------------------------------------------------------------------ opening ----


def test_threads(module: Any) -> None:
    assert module.CudaBackend(0).n_threads == len(os.sched_getaffinity(0))
    assert module.CudaBackend(1, 7).n_threads == 7
    assert module.CudaBackend.lookahead > 0


def test_a_device_that_cannot_be_opened(module: Any) -> None:
    with pytest.raises(BackendUnavailableError, match=r"cannot be opened: .*nvidia-smi"):
        module.CudaBackend(9)


def test_in_a_forked_process(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    array = backend.empty((N,), "uint8")
    device = importlib.import_module("bigwig_loader.backend.cuda.device")
    forked = SimpleNamespace(getpid=lambda: os.getpid() + 1)
    monkeypatch.setattr(device, "os", forked)
    for call in (
        lambda: backend.empty((N,), "uint8"),
        lambda: backend.to_host(array),
        lambda: backend.to_device(np.zeros(3)),
        lambda: backend.hand_over(array),
        lambda: backend.open_signal(None),
        lambda: backend.open_haplotypes(None, None, None),
        lambda: backend.realign(None, None, (), ()),
        lambda: backend.along_reference(None, None, ()),
        lambda: backend.encode_one_hot(None, None, None, None),
        lambda: backend.count_unknown(None, None, None),
    ):
        with pytest.raises(BackendUnavailableError, match="forked from it"):
            call()
