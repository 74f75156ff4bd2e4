"""Memory of batches is used again only when nothing shares it any more."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest

from bigwig_loader.backend.cpu.pool import GRAIN_BYTES, MIN_BYTES, ArrayPool
from bigwig_loader.types import numpy_dtype

FLOAT32 = np.dtype(np.float32)
SHAPE = (3, 1000, 1000)


def test_dropped_memory_is_used_again() -> None:
    pool = ArrayPool()
    array = pool.empty(SHAPE, FLOAT32)
    address = array.ctypes.data
    assert pool.kept_bytes == 0
    del array
    assert pool.kept_bytes >= 12_000_000
    assert pool.empty(SHAPE, FLOAT32).ctypes.data == address


@pytest.mark.parametrize(
    "derive",
    [
        lambda a: a[1:, 5:].T,
        lambda a: a.view(np.uint8)[0],
        lambda a: memoryview(a),
        lambda a: np.asarray(a).reshape(-1)[7:],
        lambda a: np.lib.stride_tricks.sliding_window_view(a, 3, axis=1),
        lambda a: np.from_dlpack(a),
    ],
    ids=["view", "other dtype", "memoryview", "reshaped", "strided", "dlpack"],
)
def test_shared_memory_is_not_used_again(derive: object) -> None:
    pool = ArrayPool()
    array = pool.empty(SHAPE, FLOAT32)
    address = array.ctypes.data
    shared = derive(array)  # type: ignore[operator]
    del array
    gc.collect()
    assert pool.kept_bytes == 0
    assert pool.empty(SHAPE, FLOAT32).ctypes.data != address
    kept_before = pool.kept_bytes
    del shared
    gc.collect()
    assert pool.kept_bytes > kept_before


def test_torch_tensors_share_the_memory() -> None:
    torch = pytest.importorskip("torch")
    pool = ArrayPool()
    array = pool.empty(SHAPE, FLOAT32)
    row = torch.from_numpy(array)[0]
    del array
    gc.collect()
    assert pool.kept_bytes == 0
    del row
    gc.collect()
    assert pool.kept_bytes > 0


def test_arrays_are_distinct_and_writable() -> None:
    pool = ArrayPool()
    arrays = [pool.empty(SHAPE, numpy_dtype("bfloat16")) for _ in range(4)]
    for i, array in enumerate(arrays):
        array[...] = i
    assert all((array == i).all() for i, array in enumerate(arrays))


def test_no_more_is_kept_than_allowed() -> None:
    pool = ArrayPool(max_kept_bytes=2 * MIN_BYTES)
    arrays = [pool.empty((MIN_BYTES,), np.dtype(np.uint8)) for _ in range(5)]
    del arrays
    gc.collect()
    assert pool.kept_bytes == 2 * MIN_BYTES


def test_small_arrays_and_sizes() -> None:
    pool = ArrayPool()
    assert pool.empty((0, 3), FLOAT32).shape == (0, 3)
    odd = pool.empty((MIN_BYTES + 1,), np.dtype(np.int8))
    assert odd.shape == (MIN_BYTES + 1,)
    del odd
    assert pool.kept_bytes == MIN_BYTES + GRAIN_BYTES


def test_threads_get_distinct_memory() -> None:
    pool = ArrayPool()
    wrong: list[int] = []

    def work(value: int) -> None:
        for _ in range(50):
            array = pool.empty((MIN_BYTES,), np.dtype(np.uint8))
            array[...] = value
            if not (array == value).all():
                wrong.append(value)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
