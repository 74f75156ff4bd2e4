"""The stand-in for CuPy: it refuses what CUDA refuses, and shows what a GPU would hide."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.helpers import fake_cupy

KERNELS = """
extern "C" __global__ void add(const float* x, float* y, long long n, float by) {
  const long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < n) y[i] = x[i] + by;
}
extern "C" __global__ void __launch_bounds__(64) fill(int* out, int value, short step) {
  extern __shared__ int values[];
  values[threadIdx.x] = value + step * static_cast<int>(threadIdx.x);
  __syncthreads();
  out[threadIdx.x] = values[threadIdx.x];
}
extern "C" __device__ int table[2] = {3, 4};
"""
GARBAGE = np.frombuffer(b"\xa5" * 4, np.float32)[0]
every_mode = pytest.mark.parametrize(
    "fake_cuda",
    ["late", "eager", *({"mode": "random", "seed": n} for n in range(4))],
    indirect=True,
)
by_mode = pytest.mark.parametrize("fake_cuda", ["late"], indirect=True)


@pytest.fixture
def cupy(fake_cuda: ModuleType) -> Any:
    import cupy

    assert cupy.__fake__
    return cupy


def floats(cupy: Any, n: int) -> Any:
    return cupy.ndarray((n,), np.float32)


def kernel(cupy: Any, name: str = "add") -> Any:
    return cupy.RawModule(code=KERNELS, options=("-std=c++17",)).get_function(name)


def pinned(cupy: Any, n: int) -> tuple[Any, np.ndarray]:
    pointer = cupy.cuda.alloc_pinned_memory(4 * n)
    return pointer, np.frombuffer(pointer, np.float32, n)


def stream(cupy: Any) -> Any:
    return cupy.cuda.Stream(non_blocking=True)


# --------------------------------------------------------------------------------------- streams


@every_mode
def test_a_right_program_is_right_in_every_mode(cupy: Any) -> None:
    runtime = cupy.cuda.runtime
    first, second = stream(cupy), stream(cupy)
    x, y, z = (floats(cupy, 100) for _ in range(3))
    (source, given), (target, got) = pinned(cupy, 100), pinned(cupy, 100)
    given[:] = np.arange(100)
    event = cupy.cuda.Event(disable_timing=True)
    for round_ in range(3):
        runtime.memcpyAsync(x.data.ptr, source.ptr, 400, runtime.memcpyHostToDevice, first.ptr)
        with first:
            kernel(cupy)((4,), (32,), (x, y, 100, np.float32(round_)))
        event.record(first)
        second.wait_event(event)
        with second:
            kernel(cupy)((1, 1), (128,), (y.data.ptr, z.data, 100, np.float32(0.5)))
        runtime.memcpyAsync(target.ptr, z.data.ptr, 400, runtime.memcpyDeviceToHost, second.ptr)
        second.synchronize()
        np.testing.assert_array_equal(got, np.arange(100) + np.float32(round_ + 0.5))
        assert first.done
        assert event.done
        assert fake_cupy.state().n_waiting == 0
    assert fake_cupy.state().launched == {"add": 6}
    assert (fake_cupy.state().n_streams, fake_cupy.state().n_events) == (2, 1)
    del first, second, event
    assert (fake_cupy.state().n_streams, fake_cupy.state().n_events) == (0, 0)


@by_mode
def test_a_missing_wait_shows(cupy: Any) -> None:
    one, other = stream(cupy), stream(cupy)
    x = cupy.asarray(np.zeros(8, np.float32))
    cupy.cuda.Device(0).synchronize()
    y = floats(cupy, 8)
    with one:
        kernel(cupy)((1,), (8,), (x, y, 8, np.float32(2)))
    with other:
        assert (y.get() == GARBAGE).all()
    with one:
        assert (y.get() == 2).all()


@by_mode
def test_pinned_memory_is_read_when_the_copy_runs(cupy: Any) -> None:
    runtime, work = cupy.cuda.runtime, stream(cupy)
    pointer, source = pinned(cupy, 4)
    source[:] = 1
    x = floats(cupy, 4)
    runtime.memcpyAsync(x.data.ptr, pointer.ptr, 16, runtime.memcpyHostToDevice, work.ptr)
    source[:] = 2  # too early
    with work:
        assert x.get().tolist() == [2] * 4
    assert fake_cupy.state().n_pageable_copies == 0


@by_mode
def test_pageable_memory_is_read_at_once_and_counted(cupy: Any) -> None:
    runtime, work = cupy.cuda.runtime, stream(cupy)
    source, target = np.ones(4, np.float32), np.zeros(4, np.float32)
    x = floats(cupy, 4)
    args = (16, runtime.memcpyHostToDevice, work.ptr)
    runtime.memcpyAsync(x.data.ptr, source.ctypes.data, *args)
    source[:] = 2
    args = (16, runtime.memcpyDeviceToHost, work.ptr)
    runtime.memcpyAsync(target.ctypes.data, x.data.ptr, *args)
    assert target.tolist() == [1] * 4
    assert fake_cupy.state().n_pageable_copies == 2


@by_mode
def test_events_mark_the_point_where_they_were_recorded(cupy: Any) -> None:
    runtime, work = cupy.cuda.runtime, stream(cupy)
    event = cupy.cuda.Event(disable_timing=True)
    assert event.done  # never recorded
    x = floats(cupy, 1)
    runtime.memsetAsync(x.data.ptr, 1, 4, work.ptr)
    event.record(work)
    runtime.memsetAsync(x.data.ptr, 2, 4, work.ptr)
    assert [event.done for _ in range(5)] == [False, False, False, True, True]
    assert fake_cupy.state().n_waiting == 1
    assert x.view(np.uint8)[:1].get().tolist() == [1]
    assert [work.done for _ in range(4)] == [False, False, False, True]


@by_mode
def test_waiting_is_for_what_was_recorded_before(cupy: Any) -> None:
    one, other = stream(cupy), stream(cupy)
    x = floats(cupy, 1)
    event = one.record()
    other.wait_event(event)
    cupy.cuda.runtime.memsetAsync(x.data.ptr, 0, 4, one.ptr)
    event.record(one)  # `other` waits for the point before
    other.synchronize()
    assert x.get()[0] == GARBAGE
    with one:
        assert x.get()[0] == 0


@by_mode
def test_the_legacy_stream_keeps_order_with_blocking_streams_only(cupy: Any) -> None:
    for blocking in (True, False):
        work = cupy.cuda.Stream(non_blocking=not blocking)
        x, y = floats(cupy, 1), floats(cupy, 1)
        cupy.cuda.runtime.memsetAsync(x.data.ptr, 0, 4, work.ptr)
        assert (x.get()[0] == 0) == blocking  # copied in the legacy stream
        cupy.cuda.runtime.memsetAsync(y.data.ptr, 0, 4, 0)
        with work:
            assert (y.get()[0] == 0) == blocking
        cupy.cuda.Device().synchronize()
        assert x.get()[0] == y.get()[0] == 0


@by_mode
def test_timed_events(cupy: Any) -> None:
    first, second, plain = (cupy.cuda.Event(disable_timing=n == 2) for n in range(3))
    work = stream(cupy)
    for event in (first, second, plain):
        event.record(work)
    with pytest.raises(cupy.cuda.runtime.CUDARuntimeError, match="NotReady"):
        cupy.cuda.get_elapsed_time(first, second)
    second.synchronize()
    assert cupy.cuda.get_elapsed_time(first, second) >= 0
    with pytest.raises(cupy.cuda.runtime.CUDARuntimeError, match="InvalidResourceHandle"):
        cupy.cuda.get_elapsed_time(first, plain)


@every_mode
def test_threads_have_devices_and_streams_of_their_own(cupy: Any) -> None:
    results: dict[int, list[float]] = {}

    def work(number: int) -> None:
        with cupy.cuda.Device(number), stream(cupy) as own:
            x = floats(cupy, 40)
            cupy.cuda.runtime.memsetAsync(x.data.ptr, 0, 160, own.ptr)
            for _ in range(20):
                kernel(cupy)((5,), (8,), (x, x, 40, np.float32(number + 1)))
            results[number] = x.get().tolist()

    threads = [threading.Thread(target=work, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {0: [20.0] * 40, 1: [40.0] * 40}
    assert cupy.cuda.runtime.getDevice() == 0
    assert cupy.cuda.get_current_stream() == cupy.cuda.Stream.null


# ---------------------------------------------------------------------------------------- memory


@by_mode
def test_memory_is_garbage_counted_and_given_back(cupy: Any) -> None:
    x = floats(cupy, 3)
    assert x.view(np.uint8).get().tolist() == [0xA5] * 12
    large = cupy.ndarray((3 << 20,), np.uint8)  # more than is written to
    assert large[-2:].get().tolist() == [0xA5] * 2
    pointer, _ = pinned(cupy, 100)
    state = fake_cupy.state()
    assert (state.device_bytes, state.pinned_bytes) == ((12 + (3 << 20), 0), 512)
    assert state.n_allocations == 3
    assert cupy.cuda.runtime.memGetInfo()[0] == (1 << 30) - state.device_bytes[0]
    view = x[1:]
    del x, large, pointer, _
    gc.collect()
    assert (fake_cupy.state().device_bytes, fake_cupy.state().pinned_bytes) == ((12, 0), 0)
    del view
    assert fake_cupy.state().device_bytes == (0, 0)


@by_mode
def test_freeing_waits_for_the_device(cupy: Any) -> None:
    work = stream(cupy)
    x, y = floats(cupy, 4), floats(cupy, 4)
    cupy.cuda.runtime.memsetAsync(x.data.ptr, 0, 16, work.ptr)
    del y
    assert fake_cupy.state().n_implicit_waits == 1
    assert work.done


@by_mode
def test_writes_out_of_bounds_are_found(fake_cuda: ModuleType, cupy: Any) -> None:
    error = cupy.cuda.runtime.CUDARuntimeError
    memory = cupy.cuda.Memory(100)
    x = cupy.ndarray((25,), np.float32, cupy.cuda.MemoryPointer(memory, 0))
    kernel(cupy)((1,), (26,), (x, x, 26, np.float32(1)))
    cupy.cuda.Device(0).synchronize()
    with pytest.raises(error, match=r"IllegalAddress.*written outside of the 100 bytes"):
        fake_cuda.machine().verify()


@by_mode
def test_writes_far_out_of_bounds_fail_at_once_and_for_good(cupy: Any) -> None:
    error = cupy.cuda.runtime.CUDARuntimeError
    x = floats(cupy, 10)
    kernel(cupy)((99,), (64,), (x, x, 1 << 20, np.float32(0)))
    with pytest.raises(error, match=r"illegal memory access .*kernel add, block"):
        cupy.cuda.Stream.null.synchronize()
    with pytest.raises(error, match="illegal memory access"):
        floats(cupy, 1)


@by_mode
def test_failures_that_nobody_saw_are_raised_at_the_end(fake_cuda: ModuleType, cupy: Any) -> None:
    kernel(cupy)((99,), (64,), (None, None, 1 << 20, np.float32(0)))
    with pytest.raises(cupy.cuda.runtime.CUDARuntimeError, match="kernel add"):
        fake_cuda.uninstall()
    assert "cupy" not in sys.modules
    fake_cuda.install()


@pytest.mark.parametrize(
    "fake_cuda", [{"devices": (fake_cupy.DeviceSpec(total_bytes=1000),)}], indirect=True
)
def test_out_of_memory(cupy: Any) -> None:
    kept = cupy.cuda.Memory(600)
    with pytest.raises(cupy.cuda.runtime.CUDARuntimeError, match="MemoryAllocation") as caught:
        cupy.cuda.Memory(600)
    assert caught.value.status == 2
    del kept
    assert cupy.cuda.Memory(600).size == 600


@by_mode
def test_copies_are_checked(cupy: Any) -> None:
    runtime = cupy.cuda.runtime
    x = floats(cupy, 4)
    with cupy.cuda.Device(1):
        elsewhere = floats(cupy, 4)
    pointer, _ = pinned(cupy, 128)
    to, back, within = 1, 2, 3
    wrong = [
        (x.data.ptr, pointer.ptr, 20, to, "copy to: .*20 bytes"),
        (x.data.ptr + 4, pointer.ptr, 16, to, "copy to"),
        (x.data.ptr, pointer.ptr + 508, 8, to, "run out of pinned memory"),
        (pointer.ptr, x.data.ptr, 16, to, "copy to"),
        (pointer.ptr, x.data.ptr, 16, within, "copy to"),
        (x.data.ptr, elsewhere.data.ptr, 16, within, "copy from.*memory of device 1"),
        (x.data.ptr, x.data.ptr, 16, back, "expected host memory"),
        (x.data.ptr, x.data.ptr, 16, 7, "kind of copy"),
    ]
    for target, source, size, kind, message in wrong:
        with pytest.raises(runtime.CUDARuntimeError, match=message):
            runtime.memcpyAsync(target, source, size, kind, 0)
    runtime.memcpyAsync(0, 0, 0, to, 0)


# --------------------------------------------------------------------------------------- kernels


@by_mode
def test_arguments_have_to_fit(cupy: Any) -> None:
    add, x = kernel(cupy), floats(cupy, 4)
    with cupy.cuda.Device(1):
        elsewhere = floats(cupy, 4)
    one = np.float32(1)
    wrong = [
        ((x, x, 4), TypeError, "expected 4 arguments, got 3"),
        ((x, x, np.int32(4), one), TypeError, "argument 2: expected 8 bytes of kind 'i'"),
        ((x, x, 4, 1.0), TypeError, "argument 3: expected 4 bytes of kind 'f', got 8"),
        ((x, x, np.float64(4), one), TypeError, "argument 2"),
        ((x, x, 4, np.int32(1)), TypeError, "argument 3"),
        ((x, np.zeros(4, np.float32), 4, one), TypeError, "need to pass a cupy.ndarray"),
        ((x, "y", 4, one), TypeError, "Unsupported type"),
        ((x, elsewhere, 4, one), RuntimeError, "argument 1: .*memory of device 1"),
        ((x, 12345, 4, one), RuntimeError, "argument 1: .*no allocation"),
    ]
    for args, error, message in wrong:
        with pytest.raises(error, match=message):
            add((1,), (4,), args)
    add((1,), (4,), (x, x, 0, one))


@by_mode
def test_sizes_of_launches(cupy: Any) -> None:
    fill, out = kernel(cupy, "fill"), cupy.ndarray((64,), np.int32)
    args = (out, np.int32(5), np.int16(-2))
    refused = cupy.cuda.driver.CUDADriverError
    with pytest.raises(TypeError, match="expected tuple, got int"):
        fill(1, (64,), args)
    with pytest.raises(refused, match="INVALID_VALUE"):
        fill((1, 65_536), (64,), args)
    with pytest.raises(refused, match=r"LAUNCH_OUT_OF_RESOURCES.*launch bounds 64"):
        fill((1,), (65,), args)
    with pytest.raises(refused, match="INVALID_VALUE"):
        fill((1,), (64,), args, shared_mem=60_000)
    with pytest.raises(refused, match="INVALID_VALUE"):
        fill.max_dynamic_shared_size_bytes = 300_000
    fill.max_dynamic_shared_size_bytes = 60_000
    fill((1,), (64,), args, shared_mem=60_000)
    assert out.get().tolist() == list(range(5, 5 - 128, -2))


@by_mode
def test_modules(cupy: Any) -> None:
    module = cupy.RawModule(code=KERNELS, options=("-std=c++17",), backend="nvrtc")
    with pytest.raises(cupy.cuda.driver.CUDADriverError, match=r"NOT_FOUND.*subtract"):
        module.get_function("subtract")
    with pytest.raises(TypeError, match="expected tuple, got list"):
        cupy.RawModule(code=KERNELS, options=["-std=c++17"])
    with pytest.raises(cupy.cuda.compiler.CompileException, match=r"source\.cu"):
        cupy.RawModule(code='extern "C" __global__ void f() { g(); }').compile()
    table = cupy.ndarray((2,), np.int32, module.get_global("table"))
    assert table.get().tolist() == [3, 4]
    assert kernel(cupy, "fill").max_threads_per_block == 64


# ---------------------------------------------------------------------------------------- arrays


@by_mode
def test_views_are_those_of_numpy(cupy: Any) -> None:
    host = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)
    device = cupy.asarray(host)
    keys = [0, -1, (1, 2, 3), slice(1, None), (slice(None), 1), (..., slice(None, None, -2))]
    for key in [*keys, (0, ..., 1), (slice(0, 0),), (None, 1)]:
        seen = device[key]
        np.testing.assert_array_equal(seen.get(), host[key])
        assert (seen.shape, seen.dtype) == (host[key].shape, host.dtype)
    pairs = [
        (device.reshape(4, 6), host.reshape(4, 6)),
        (device.reshape((-1, 2)), host.reshape(-1, 2)),
        (device.transpose(2, 0, 1), host.transpose(2, 0, 1)),
        (device.T, host.T),
        (device.swapaxes(0, 2)[1:], host.swapaxes(0, 2)[1:]),
        (device.view(np.uint8), host.view(np.uint8)),
        (device[:1].squeeze(0), host[:1].squeeze(0)),
        (device.ravel(), host.ravel()),
    ]
    for seen, expected in pairs:
        np.testing.assert_array_equal(seen.get(), expected)
        assert seen.strides == expected.strides
        assert seen.flags.c_contiguous == expected.flags.c_contiguous
        assert seen.flags["F_CONTIGUOUS"] == expected.flags["F_CONTIGUOUS"]
    assert (device.nbytes, device.size, device.ndim, len(device)) == (48, 24, 3, 2)
    with pytest.raises(NotImplementedError):
        device.T.reshape(-1)
    with pytest.raises(NotImplementedError):
        device[np.array([0, 1])]
    with pytest.raises(IndexError):
        device[2]


@by_mode
def test_nothing_becomes_numpy_unasked(cupy: Any) -> None:
    x = floats(cupy, 2)
    with pytest.raises(TypeError, match="Implicit conversion to a NumPy array is not allowed"):
        np.asarray(x)
    with pytest.raises(TypeError, match="Implicit conversion"):
        np.zeros(2)[:] = x
    with pytest.raises(NotImplementedError):
        np.add(x, 1)
    np.testing.assert_array_equal(cupy.asnumpy(x), x.get())
    with pytest.raises(ValueError, match="runs out of its 8 bytes"):
        cupy.ndarray((3,), np.float32, x.data)


@by_mode
def test_unowned_memory_keeps_its_owner(cupy: Any) -> None:
    owner = cupy.cuda.Memory(64)
    memory = cupy.cuda.UnownedMemory(owner.ptr, 64, owner)
    x = cupy.ndarray((2, 3), np.float32, cupy.cuda.MemoryPointer(memory, 16), strides=(24, 4))
    assert memory.device_id == 0
    del owner, memory
    interface = x.__cuda_array_interface__
    assert fake_cupy.state().device_bytes == (64, 0)
    assert (interface["strides"], interface["shape"], interface["stream"]) == ((24, 4), (2, 3), 1)
    del x, interface
    assert fake_cupy.state().device_bytes == (0, 0)


# ---------------------------------------------------------------------------------------- DLPack


@by_mode
def test_dlpack_says_that_it_is_a_gpu(cupy: Any) -> None:
    with cupy.cuda.Device(1):
        x = floats(cupy, 4)
    assert x.__dlpack_device__() == (2, 1)
    with pytest.raises((BufferError, RuntimeError)):
        np.from_dlpack(x)
    with pytest.raises(ValueError, match="valid stream"):
        x.__dlpack__(stream=-2)


as_cpu = pytest.mark.parametrize("fake_cuda", [{"dlpack_as_cpu": True}], indirect=True)


@as_cpu
def test_dlpack_for_frameworks_on_the_cpu(cupy: Any) -> None:
    torch = pytest.importorskip("torch")
    work = stream(cupy)
    x = cupy.asarray(np.zeros(6, np.float32))
    with work:
        kernel(cupy)((1,), (6,), (x, x, 6, np.float32(3)))
    early = torch.from_dlpack(x.reshape(2, 3))
    assert early.tolist() == [[0.0] * 3] * 2  # what its stream was not told to wait for
    with work:
        late = torch.from_dlpack(x.reshape(2, 3)[:, 1:])
    assert late.tolist() == [[3.0] * 2] * 2
    assert early.data_ptr() == x.data.ptr
    assert np.from_dlpack(x).tolist() == [3.0] * 6
    del x, early
    gc.collect()
    assert fake_cupy.state().device_bytes == (24, 0)
    assert late.sum() == 12
    del late
    assert fake_cupy.state().device_bytes == (0, 0)


@by_mode
def test_dlpack_orders_streams(cupy: Any) -> None:
    one, other = stream(cupy), stream(cupy)
    x = floats(cupy, 1)
    cupy.cuda.runtime.memsetAsync(x.data.ptr, 0, 4, one.ptr)
    with one:
        x.__dlpack__(stream=other.ptr)
        x.__dlpack__(stream=-1, max_version=(1, 0))
    with other:
        assert x.get()[0] == 0


# ------------------------------------------------------------------------------------- processes


@pytest.mark.parametrize("fake_cuda", [{"driver_version": 0}, {"devices": ()}], indirect=True)
def test_machines_without_a_gpu(cupy: Any) -> None:
    with pytest.raises(cupy.cuda.runtime.CUDARuntimeError) as caught:
        cupy.cuda.runtime.getDeviceCount()
    assert caught.value.status in (35, 100)
    assert not cupy.cuda.is_available()


@by_mode
def test_devices(cupy: Any) -> None:
    assert cupy.cuda.runtime.getDeviceCount() == 2
    properties = cupy.cuda.runtime.getDeviceProperties(1)
    device = cupy.cuda.Device(1)
    assert device.compute_capability == f"{properties['major']}{properties['minor']}" == "90"
    assert device.attributes["MultiProcessorCount"] == properties["multiProcessorCount"]
    assert device.mem_info == (1 << 30, 1 << 30)
    with device:
        assert cupy.cuda.Device() == device
    with pytest.raises(cupy.cuda.runtime.CUDARuntimeError, match="InvalidDevice"):
        cupy.cuda.Device(2).use()
    work = stream(cupy)
    with device, pytest.raises(RuntimeError, match="does not match"):
        work.use()
    with pytest.warns(DeprecationWarning, match="ExternalStream"):
        external = cupy.cuda.ExternalStream(work.ptr)
    assert cupy.cuda.Stream.from_external(external) == work


FORKED = """
import os
from tests.helpers import fake_cupy
fake_cupy.install(mode="eager")
import cupy
print(cupy.ndarray((2,), "uint8").get().tolist(), flush=True)
if os.fork() == 0:
    try:
        cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        print(error, flush=True)
    os._exit(0)
os.wait()
fake_cupy.uninstall()
"""


def test_in_a_process_of_its_own_but_not_in_one_forked_from_it() -> None:
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True)
    assert done.stderr == ""
    first, second = done.stdout.splitlines()
    assert first == "[165, 165]"
    assert second.startswith("cudaErrorInitializationError")
