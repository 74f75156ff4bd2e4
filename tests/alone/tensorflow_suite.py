"""The TensorFlow adapter: types, memory, epochs, resuming."""

from __future__ import annotations

import gc
from collections.abc import Callable
from types import ModuleType
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf

from bigwig_loader.assemble.batch import Batch
from bigwig_loader.backend.cpu.pool import ArrayPool
from bigwig_loader.dataset import BigWigDataset
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.example_data import ExampleData
from bigwig_loader.tensorflow import as_tf_dataset, to_tensorflow
from tests.helpers.distributed_example import main_of
from tests.helpers.tiny_dataset import tiny_options

N_BATCHES = 5
MakeDataset = Callable[..., BigWigDataset]


@pytest.fixture
def make(tiny_data: ExampleData) -> MakeDataset:
    options = tiny_options(tiny_data, N_BATCHES)
    return lambda **changes: BigWigDataset(**(options | changes))


def starts(batches: Any) -> list[list[int]]:
    return [b["starts"].numpy().tolist() for b in batches]


def assert_same(got: Any, expected: Any) -> None:
    np.testing.assert_array_equal(got.numpy(), expected)
    assert got.dtype.as_numpy_dtype == expected.dtype


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_elements_hold_what_the_data_set_makes(make: MakeDataset, dtype: str) -> None:
    made = as_tf_dataset(make(dtype=dtype))
    assert made.element_spec["values"].shape.as_list() == [None, 32, 4]
    assert made.element_spec["values"].dtype == getattr(tf, dtype)
    for got, batch in zip(made, make(dtype=dtype), strict=True):
        assert_same(got["values"], batch.values)
        assert_same(got["sequences"], batch.sequences)
        assert_same(got["starts"], batch.starts)
        assert_same(got["track_indices"], batch.track_indices)
        assert batch.chromosomes is not None
        assert [c.decode() for c in got["chromosomes"].numpy()] == batch.chromosomes.tolist()
        assert (int(got["epoch"]), int(got["index"])) == (0, batch.index)
        # The same parts and types as by hand.
        by_hand = to_tensorflow(batch)
        assert {k: (x.dtype, x.shape) for k, x in by_hand.items()} == {
            k: (x.dtype, x.shape) for k, x in got.items()
        }
        assert_same(by_hand["values"], batch.values)


def test_tuples_and_single_arrays(make: MakeDataset) -> None:
    expected = next(iter(make()))
    sequences, values = next(iter(as_tf_dataset(make(return_batch_objects=False))))
    assert_same(sequences, expected.sequences)
    assert_same(values, expected.values)
    alone = as_tf_dataset(make(return_batch_objects=False, reference_genome_path=None))
    assert alone.element_spec == tf.TensorSpec((None, 32, 4), tf.float32)
    alone = as_tf_dataset(make(return_batch_objects=False, collection=None, dtype="uint8"))
    assert next(iter(alone)).dtype == tf.uint8


def test_each_iteration_is_an_epoch(make: MakeDataset) -> None:
    dataset, alone = make(), make()
    made = as_tf_dataset(dataset)
    # To look at a batch, for its types, moves nothing.
    assert (dataset.epoch, dataset.state_dict()["batch"]) == (0, 0)
    for _ in range(3):
        assert starts(made) == [b.starts.tolist() for b in alone]
    dataset.set_epoch(1)
    alone.set_epoch(1)
    assert starts(made) == [b.starts.tolist() for b in alone]


def test_resuming_is_exact_at_every_step(make: MakeDataset) -> None:
    whole = starts(as_tf_dataset(make()))
    for n_taken in range(1, N_BATCHES + 1):
        dataset = make()
        for _, n in zip(as_tf_dataset(dataset), range(1, N_BATCHES + 1), strict=False):
            assert dataset.state_dict()["batch"] == n
            if n == n_taken:
                break
        again = make()
        again.load_state_dict(dataset.state_dict())
        assert starts(as_tf_dataset(again)) == whole[n_taken:]


def test_the_peak_data_set(tiny_data: ExampleData) -> None:
    from bigwig_loader.dataset.peaks import PeakDataset

    def peaks() -> PeakDataset:
        return PeakDataset(
            tiny_data.peaks,
            tiny_data.train_regions,
            tiny_data.reference_genome,
            list(map(str, tiny_data.bigwigs[:2])),
            in_window=64,
            out_window=32,
            batch_size=8,
            random_state=7,
        )

    for got, batch in zip(as_tf_dataset(peaks()), peaks(), strict=True):
        for name in ("sequences", "values", "labels", "starts", "jitter"):
            assert_same(got[name], getattr(batch, name))


def test_a_short_last_batch(make: MakeDataset) -> None:
    positions = [("chr1", 3_000 + 100 * i) for i in range(10)]
    dataset = make(
        custom_position_sampler=positions, drop_last=False, batches_per_epoch=None, batch_size=4
    )
    assert [len(rows) for rows in starts(as_tf_dataset(dataset))] == [4, 4, 2]


def test_a_generator_of_positions_needs_a_signature(make: MakeDataset) -> None:
    def dataset() -> BigWigDataset:
        positions = (("chr1", 3_000 + 100 * i) for i in range(8))
        return make(
            custom_position_sampler=positions, batches_per_epoch=None, return_batch_objects=False
        )

    signature = (
        tf.TensorSpec((None, 128, 4), tf.float32),
        tf.TensorSpec((None, 32, 4), tf.float32),
    )
    assert len(list(as_tf_dataset(dataset(), signature))) == 2


def test_ranks_share_batches(make: MakeDataset) -> None:
    whole = starts(as_tf_dataset(make()))
    parts = [starts(as_tf_dataset(make(rank=rank, world_size=2))) for rank in range(2)]
    assert [a + b for a, b in zip(*parts, strict=True)] == whole


@pytest.mark.parametrize("name", ["float32", "bfloat16", "float16", "uint8", "int8", "int64"])
@pytest.mark.parametrize("offset", [0, 16])
def test_memory_of_a_dropped_batch_is_not_used_again(name: str, offset: int) -> None:
    # The pool hands out the memory of dropped arrays, and writes into it.
    dtype = np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)
    pool = ArrayPool()
    n = (2 << 20) // dtype.itemsize
    for value in range(1, 5):
        array = pool.empty((n,), dtype)
        first = (-array.ctypes.data % 64 + offset) // dtype.itemsize
        window = array[first : first + n // 2]
        window[:] = value
        got = to_tensorflow(window)
        assert got.dtype == getattr(tf, name)
        del array, window
        gc.collect()
        pool.empty((n,), dtype)[:] = 99
        assert (got.numpy() == value).all()
    del got
    gc.collect()
    assert pool.kept_bytes > 0


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_aligned_memory_is_shared(name: str) -> None:
    dtype = np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)
    memory = np.zeros(4096 + 64, np.uint8)
    start = -memory.ctypes.data % 64
    array = memory[start : start + 4096].view(dtype)
    got = to_tensorflow(array)
    array[5] = 3
    assert float(got[5]) == 3


@pytest.mark.parametrize("offset", [4, 16, 32])
def test_memory_that_is_not_aligned_can_be_worked_on(offset: int) -> None:
    memory = np.ones(4096 + 128, np.uint8)
    start = -memory.ctypes.data % 64 + offset
    array = memory[start : start + 4096].view(np.float32).reshape(16, 4, 16)
    array[:] = 2
    assert float(tf.reduce_mean(to_tensorflow(array))) == 2
    half = np.full((8, 8), 2, ml_dtypes.bfloat16).reshape(-1)[1:33]
    assert float(tf.reduce_mean(to_tensorflow(half))) == 2


def test_what_is_no_plain_array() -> None:
    assert to_tensorflow(["ACGT", "AC"]).numpy().tolist() == [b"ACGT", b"AC"]
    assert to_tensorflow(np.zeros((0, 4), np.float32)).shape == (0, 4)
    fixed = np.arange(3)
    fixed.flags.writeable = False
    made = to_tensorflow({"a": (fixed, np.ones(2)), "b": [np.zeros(1)]})
    assert made["a"][0].numpy().tolist() == [0, 1, 2]
    assert to_tensorflow(Batch(starts=fixed)).keys() == {"starts"}


def test_objects_are_refused(make: MakeDataset) -> None:
    def encode(strings: list[str]) -> Any:
        return np.array([object() for _ in strings])

    with pytest.raises(InvalidInputError, match="objects"):
        as_tf_dataset(make(sequence_encoder=encode))


as_cpu = pytest.mark.parametrize(
    "fake_cuda", [{"mode": "late", "dlpack_as_cpu": True}], ids=["late"], indirect=True
)


@as_cpu
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_batches_of_a_gpu(fake_cuda: ModuleType, make: MakeDataset, dtype: str) -> None:
    wanted = [to_tensorflow(batch) for batch in make(dtype=dtype, device="cpu")]
    dataset = make(dtype=dtype, device="cuda")
    # As they are, and by way of tf.data, which works in host memory.
    for made in ([to_tensorflow(batch) for batch in list(dataset)], as_tf_dataset(dataset)):
        dataset.set_epoch(0)
        for got, expected in zip(made, wanted, strict=True):
            assert got.keys() == expected.keys()
            for name in got:
                assert got[name].dtype == expected[name].dtype
                np.testing.assert_array_equal(got[name].numpy(), expected[name].numpy())


@as_cpu
def test_arrays_of_a_gpu_are_copied(fake_cuda: ModuleType) -> None:
    # TensorFlow may use them longer than it holds them.
    from bigwig_loader.backend.cuda.backend import CudaBackend

    backend = CudaBackend(0)
    array = backend.to_device(np.arange(6, dtype=np.float32).reshape(2, 3))
    made = to_tensorflow((array, backend.empty((0, 3), "bfloat16"), array[1:]))
    backend.device.fill(array.data.ptr, 255, array.nbytes, backend.device.stream())
    del backend
    np.testing.assert_array_equal(made[0].numpy(), np.arange(6).reshape(2, 3))
    assert made[1].dtype == tf.bfloat16
    assert made[1].shape == (0, 3)
    assert float(tf.reduce_sum(made[2])) == 12  # a row that is not aligned


@pytest.mark.parametrize("fake_cuda", ["late"], indirect=True)
def test_a_tensorflow_without_a_gpu(fake_cuda: ModuleType, make: MakeDataset) -> None:
    batch, expected = (next(iter(make(device=d, prefetch=0))) for d in ("cuda", "cpu"))
    assert_same(to_tensorflow(batch.values), expected.values)


@as_cpu
def test_the_example(
    fake_cuda: ModuleType, tiny_data: ExampleData, capsys: pytest.CaptureFixture[str]
) -> None:
    main = main_of("any_framework", tiny_data)
    means = [main("folder", device, "tensorflow") for device in ("cpu", "cuda")]
    assert means[0] == means[1]
    assert capsys.readouterr().out.count("tensorflow: (16, 32, 4) float32 on ") == 4
