"""Memory of results is used again, and never before its consumers are done with it."""

from __future__ import annotations

import gc
import importlib
import itertools
import random
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigwig_loader.errors import BackendUnavailableError, InvalidInputError, LoaderError

pytestmark = pytest.mark.usefixtures("fake_cuda")
KB = 1 << 10


@pytest.fixture
def cupy() -> Any:
    return importlib.import_module("cupy")


@pytest.fixture
def outputs() -> Any:
    """`outputs.py`, which imports CuPy."""
    return importlib.import_module("bigwig_loader.backend.cuda.outputs")


@pytest.fixture
def device() -> Any:
    return importlib.import_module("bigwig_loader.backend.cuda.device").Device(0)


class Program:
    """Makes arrays and lets streams read them late; says in the end whether all was as it should.

    What stands in an array when it is handed over is its number.
    """

    def __init__(self, device: Any, pool: Any, cupy: Any, n: int) -> None:
        self._device, self._pool, self._cupy, self._n = device, pool, cupy, n
        self._writer = device.stream()
        self.consumers = [cupy.cuda.Stream(non_blocking=True) for _ in range(2)]
        self.consumers.append(cupy.cuda.Stream())  # in order with the default stream
        self._seen: list[tuple[int, Any]] = []
        self._n_made = 0
        self.addresses: set[int] = set()

    def make(self, n_bytes: int | None = None) -> tuple[int, Any]:
        number = self._n_made % 251
        self._n_made += 1
        array = self._pool.empty((n_bytes or self._n,), np.uint8)
        self.addresses.add(array.data.ptr)
        # Done at once: whoever reads this memory later sees it.
        self._device.fill(array.data.ptr, number, array.nbytes, self._writer)
        self._writer.synchronize()
        return number, array

    def hand_over(self, array: Any, consumer: int) -> None:
        stream = self.consumers[consumer]
        self._pool.hand_over(array, stream.ptr, stream)

    def use(self, number: int, array: Any, consumer: int) -> None:
        """Queue a copy of the array; runs when somebody waits for the stream."""
        pinned = self._device.pinned(array.nbytes)
        kind = self._cupy.cuda.runtime.memcpyDeviceToHost
        pointer = self.consumers[consumer].ptr if consumer >= 0 else 0
        self._cupy.cuda.runtime.memcpyAsync(
            pinned.address, array.data.ptr, array.nbytes, kind, pointer
        )
        self._seen.append((number, pinned))

    def check(self) -> None:
        self._cupy.cuda.Device(0).synchronize()
        for number, pinned in self._seen:
            assert set(pinned.array.tolist()) == {number}


@pytest.mark.parametrize("consumer", [-1, 0, 1, 2])
def test_not_before_the_consumer_is_done(
    device: Any, outputs: Any, cupy: Any, consumer: int
) -> None:
    pool = outputs.OutputPool(device, 64 * KB)
    program = Program(device, pool, cupy, 2 * KB)
    for _ in range(60):
        number, array = program.make()
        if consumer >= 0:
            program.hand_over(array, consumer)
        program.use(number, array, consumer)
        del array
    program.check()
    assert 1 < len(program.addresses) <= 40  # used again, though not at once


@settings(max_examples=30)
@given(st.data())
def test_any_program(data: st.DataObject) -> None:
    cupy = importlib.import_module("cupy")
    outputs = importlib.import_module("bigwig_loader.backend.cuda.outputs")
    device = importlib.import_module("bigwig_loader.backend.cuda.device").Device(0)
    pool = outputs.OutputPool(device, data.draw(st.sampled_from([0, 3 * KB, 1 << 20])))
    program = Program(device, pool, cupy, KB)
    held: list[tuple[int, Any]] = []
    for _ in range(data.draw(st.integers(5, 30))):
        step = data.draw(st.sampled_from(["make", "make", "use", "drop", "wait", "trim"]))
        if step == "make":
            held.append(program.make(data.draw(st.sampled_from([700, 1_000, 1_024, 1_500, 4_000]))))
        elif step == "use" and held:
            number, array = data.draw(st.sampled_from(held))
            consumer = data.draw(st.integers(-1, 2))
            if consumer >= 0:
                program.hand_over(array[3:], consumer)
            program.use(number, array[5:], consumer)
            del array
        elif step == "drop" and held:
            held.pop(data.draw(st.integers(0, len(held) - 1)))
        elif step == "wait":
            program.consumers[data.draw(st.integers(0, 2))].synchronize()
        elif step == "trim":
            pool.trim()
            assert pool.kept_bytes == 0
    for number, array in held:  # what is held is nobody else's
        assert set(cupy.asnumpy(array).tolist()) == {number}
    program.check()


def test_arrays_that_are_held_are_distinct(device: Any, outputs: Any) -> None:
    pool = outputs.OutputPool(device, 1 << 20)
    arrays = [pool.empty((n, 3), np.float32) for n in (1, 10, 1_000) * 3]
    spans = sorted((a.data.ptr, a.data.ptr + a.nbytes) for a in arrays)
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))
    assert [a.shape for a in arrays[:3]] == [(1, 3), (10, 3), (1_000, 3)]
    assert all(a.flags.c_contiguous for a in arrays)


def test_views_keep_the_memory(device: Any, outputs: Any) -> None:
    pool = outputs.OutputPool(device, 1 << 20)
    array = pool.empty((4, 100), np.float32)
    address = array.data.ptr
    view = array[1:, ::2].view(np.int32)
    del array
    gc.collect()
    assert pool.kept_bytes == 0
    assert pool.empty((4, 100), np.float32).data.ptr != address
    lease = pool.lease_of(view)
    assert lease is not None
    del view, lease
    assert pool.kept_bytes > 0
    device.stream().synchronize()
    assert address in {pool.empty((4, 100), np.float32).data.ptr for _ in range(2)}


@pytest.mark.parametrize("fake_cuda", ["eager"], indirect=True)  # a GPU that keeps up
def test_a_steady_run_allocates_nothing(
    device: Any, outputs: Any, cupy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = outputs.OutputPool(device, 1 << 20)
    program = Program(device, pool, cupy, 2 * KB)

    def run(n: int) -> None:
        for _ in range(n):
            number, array = program.make()
            labels = pool.empty((64, 4), np.float16)
            program.hand_over(array, 0)
            program.use(number, array, 0)
            del array, labels
            program.consumers[0].synchronize()

    run(3)
    monkeypatch.setattr(device, "memory", None)  # whoever calls it fails
    run(20)
    program.check()


def test_kept_memory_is_bounded(device: Any, outputs: Any, cupy: Any) -> None:
    pool = outputs.OutputPool(device, 10 * KB)
    free = cupy.cuda.runtime.memGetInfo()[0]
    arrays = [pool.empty((2 * KB,), np.uint8) for _ in range(20)]
    arrays.clear()
    array = pool.empty((KB,), np.uint8)
    assert 0 < pool.kept_bytes <= 10 * KB
    del array
    pool.trim()
    assert pool.kept_bytes == 0
    assert cupy.cuda.runtime.memGetInfo()[0] == free


def test_a_host_that_runs_ahead_waits(device: Any, outputs: Any, cupy: Any) -> None:
    # The consumer's stream gets ever more to do and is never waited for.
    pool = outputs.OutputPool(device, 8 * KB)
    program = Program(device, pool, cupy, 2 * KB)
    for _ in range(50):
        number, array = program.make()
        program.hand_over(array, 0)
        program.use(number, array, 0)
        del array
    assert len(program.addresses) <= 6
    program.check()


def test_kept_memory_goes_before_there_is_too_little(device: Any, outputs: Any) -> None:
    pool = outputs.OutputPool(device, device.total_bytes)
    half = device.total_bytes // 2 + KB
    array = pool.empty((half,), np.uint8)
    del array
    assert pool.empty((half // 4,), np.uint8).nbytes == half // 4
    bigger = pool.empty((device.total_bytes * 3 // 4,), np.uint8)
    with pytest.raises(LoaderError, match="out of memory"):
        pool.empty((half,), np.uint8)
    del bigger


def test_dropped_in_other_threads_and_collections(device: Any, outputs: Any, cupy: Any) -> None:
    pool = outputs.OutputPool(device, 16 * KB)
    failures: list[BaseException] = []

    def work(seed: int) -> None:
        chance = random.Random(seed)
        held: list[Any] = []
        try:
            for _ in range(40):
                array = pool.empty((chance.choice([600, 1_000, 2_000]),), np.uint8)
                cycle: list[Any] = [array]
                cycle.append(cycle)  # goes in a collection, in any thread, at any time
                held.append(array)
                if chance.random() < 0.7:
                    held.pop(chance.randrange(len(held)))
                del array, cycle
                if chance.random() < 0.1:
                    gc.collect()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert not any(thread.is_alive() for thread in threads)
    gc.collect()
    pool.trim()
    assert pool.kept_bytes == 0


def test_memory_that_comes_back_from_a_collection(
    device: Any, outputs: Any, cupy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Array, lease and all they refer to become garbage together.
    pool = outputs.OutputPool(device, 1 << 20)
    program = Program(device, pool, cupy, KB)
    for _ in range(5):
        cycle: list[Any] = [program.make()]
        cycle.append(cycle)
        del cycle
        gc.collect()
    assert len(program.addresses) < 5
    pool.trim()
    assert pool.kept_bytes == 0


def test_arrays_outlive_their_pool(device: Any, outputs: Any, cupy: Any) -> None:
    free = cupy.cuda.runtime.memGetInfo()[0]
    pool = outputs.OutputPool(device, 1 << 20)
    array = pool.empty((KB,), np.uint8)
    stream = device.stream()
    device.fill(array.data.ptr, 3, KB, stream)
    stream.synchronize()
    del pool
    gc.collect()
    assert cupy.asnumpy(array).sum() == 3 * KB
    del array
    gc.collect()
    assert cupy.cuda.runtime.memGetInfo()[0] == free


def test_a_stream_that_is_gone(device: Any, outputs: Any, cupy: Any) -> None:
    pool = outputs.OutputPool(device, 1 << 20)
    array = pool.empty((KB,), np.uint8)
    stream = cupy.cuda.Stream(non_blocking=True)
    pool.hand_over(array, stream.ptr)
    del array, stream
    gc.collect()
    other = pool.empty((KB,), np.uint8)  # of memory that is new
    assert pool.kept_bytes == 0
    assert other.nbytes == KB


def test_the_stream_lives_as_long_as_it_is_kept(device: Any, outputs: Any, cupy: Any) -> None:
    pool = outputs.OutputPool(device, 1 << 20)
    array = pool.empty((KB,), np.uint8)
    stream = cupy.cuda.Stream(non_blocking=True)
    pool.hand_over(array, stream.ptr, stream)
    del array, stream
    gc.collect()
    other = pool.empty((16 * KB,), np.uint8)
    assert pool.kept_bytes == KB
    assert other.nbytes == 16 * KB


def test_foreign_arrays_are_nobodys_business(device: Any, outputs: Any) -> None:
    pool = outputs.OutputPool(device, 1 << 20)
    memory = device.memory(64)
    array = device.array(memory, memory.address, (64,), np.uint8)
    pool.hand_over(array, 0)
    assert pool.lease_of(array) is None
    assert pool.empty((0, 5), np.float32).shape == (0, 5)
    assert pool.lease_of(pool.empty((0,), np.float32)) is None


@given(st.integers(0, 1 << 40))
def test_size_classes(n_bytes: int) -> None:
    outputs = importlib.import_module("bigwig_loader.backend.cuda.outputs")
    size = outputs.size_class(n_bytes)
    assert n_bytes <= size <= max(outputs.MIN_BYTES, n_bytes * 9 // 8 + outputs.MIN_BYTES)
    assert outputs.size_class(size) == size
    assert outputs.size_class(n_bytes + 1) >= size


def test_dtypes(outputs: Any) -> None:
    names = {"float32": "<f4", "float16": "<f2", "bfloat16": "<u2", "uint8": "|u1", "int8": "|i1"}
    assert {name: outputs.array_dtype(name).str for name in names} == names
    with pytest.raises(InvalidInputError, match="float64"):
        outputs.array_dtype("float64")


def test_in_a_forked_process(device: Any, outputs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = outputs.OutputPool(device, 1 << 20)
    array = pool.empty((KB,), np.uint8)
    monkeypatch.setattr(device, "_process", device._process + 1)
    with pytest.raises(BackendUnavailableError, match="num_workers=0"):
        pool.empty((KB,), np.uint8)
    del array  # calls nothing of CUDA
