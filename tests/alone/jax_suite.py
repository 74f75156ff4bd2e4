"""The JAX adapter: types, memory, shardings, resuming."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import ml_dtypes
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from bigwig_loader.assemble.batch import ARRAY_FIELDS, Batch
from bigwig_loader.backend.cpu.pool import ArrayPool
from bigwig_loader.dataset import BigWigDataset
from bigwig_loader.errors import InvalidInputError, LoaderError
from bigwig_loader.example_data import ExampleData
from bigwig_loader.jax import JaxBatch, JaxDataset, to_jax
from tests.helpers.distributed_example import main_of
from tests.helpers.shared import REPOSITORY
from tests.helpers.tiny_dataset import tiny_options

N_BATCHES = 5
MakeDataset = Callable[..., BigWigDataset]


@pytest.fixture
def make(tiny_data: ExampleData) -> MakeDataset:
    options = tiny_options(tiny_data, N_BATCHES)
    return lambda **changes: BigWigDataset(**(options | changes))


def aligned(shape: tuple[int, ...], dtype: Any, offset: int = 0) -> np.ndarray:
    """An array that starts `offset` bytes after a multiple of 64."""
    dtype = np.dtype(dtype)
    n_bytes = int(np.prod(shape)) * dtype.itemsize
    memory = np.zeros(n_bytes + 128, np.uint8)
    start = -memory.ctypes.data % 64 + offset
    array: np.ndarray = memory[start : start + n_bytes].view(dtype).reshape(shape)
    return array


def starts(batches: Any) -> list[list[int]]:
    return [b.starts.tolist() for b in batches]


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_arrays_hold_what_the_data_set_makes(make: MakeDataset, dtype: str) -> None:
    seen = 0
    for got, expected in zip(JaxDataset(make(dtype=dtype)), make(dtype=dtype), strict=True):
        assert isinstance(got, JaxBatch)
        assert isinstance(got.values, jax.Array)
        assert got.values.dtype == got.sequences.dtype == np.dtype(expected.values.dtype)
        np.testing.assert_array_equal(got.values, expected.values)
        np.testing.assert_array_equal(got.sequences, expected.sequences)
        assert got.starts.dtype == np.int32
        assert got.starts.tolist() == expected.starts.tolist()
        assert got.chromosomes is not None
        assert got.chromosomes.tolist() == expected.chromosomes.tolist()
        assert (got.epoch, got.index) == (0, seen)
        assert got.track_names == expected.track_names
        seen += 1
    assert seen == N_BATCHES


def test_integers_and_tuples(make: MakeDataset) -> None:
    sequences = next(iter(JaxDataset(make(collection=None, dtype="uint8"), prefetch=0))).sequences
    assert sequences.dtype == np.uint8
    assert int(sequences.sum()) == 4 * 128
    both = next(iter(JaxDataset(make(return_batch_objects=False))))
    assert isinstance(both, tuple)
    assert [x.shape for x in both] == [(4, 128, 4), (4, 32, 4)]


@pytest.mark.parametrize("name", ["float32", "bfloat16", "float16", "uint8", "int8", "bool"])
def test_aligned_memory_is_shared(name: str) -> None:
    array = aligned((64, 64), ml_dtypes.bfloat16 if name == "bfloat16" else name)
    array[3, 4] = 1
    got = to_jax(array)
    assert str(got.dtype) == name
    assert got.unsafe_buffer_pointer() == array.ctypes.data
    assert int(got[3, 4]) == 1


@pytest.mark.parametrize("name", ["float32", "bfloat16", "int8"])
@pytest.mark.parametrize("offset", [0, 16])
def test_memory_of_a_dropped_batch_is_not_used_again(name: str, offset: int) -> None:
    # The pool hands out the memory of dropped arrays, and writes into it, while JAX may still be
    # reading: at once where it shares the memory, later where it copies in the background.
    dtype = np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)
    pool = ArrayPool()
    shape = (1024, 2048 - 64)
    for value in range(1, 9):
        array = pool.empty((1024 * 2048,), dtype)
        first = (-array.ctypes.data % 64 + offset) // dtype.itemsize
        window = array[first : first + 1024 * (2048 - 64)].reshape(shape)
        window[:] = value
        got = to_jax(window)
        del array, window
        gc.collect()
        pool.empty((1024 * 2048,), dtype)[:] = 99
        assert (np.asarray(got) == value).all()
    del got
    gc.collect()
    assert pool.kept_bytes > 0


def test_memory_goes_back_when_the_jax_array_goes() -> None:
    pool = ArrayPool()
    array = pool.empty((2 << 20,), np.dtype(np.int8))
    first = -array.ctypes.data % 64
    got = to_jax(array[first : first + (1 << 20)])
    del array
    gc.collect()
    assert pool.kept_bytes == 0
    del got
    gc.collect()
    assert pool.kept_bytes == 2 << 20


def test_large_int64_is_refused_rather_than_cut_off() -> None:
    assert to_jax(np.array([2**31 - 1, -(2**31)])).tolist() == [2**31 - 1, -(2**31)]
    for bad in (2**31, -(2**31) - 1):
        with pytest.raises(InvalidInputError, match="jax_enable_x64"):
            to_jax(Batch(starts=np.array([0, bad])))
    assert to_jax(np.array([], np.int64)).shape == (0,)
    script = (
        "import jax, numpy as np; jax.config.update('jax_enable_x64', True)\n"
        "from bigwig_loader.jax import to_jax\n"
        "got = to_jax(np.array([2**40, -5]))\n"
        "assert got.dtype == np.int64 and got.tolist() == [2**40, -5]\n"
        "assert to_jax(np.array([0.1])).dtype == np.float64\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120, cwd=REPOSITORY)


def test_what_is_no_array_of_numbers_stays() -> None:
    names = np.array(["chr1"])
    assert to_jax(names) is names
    assert to_jax(None) is None
    assert to_jax(["ACGT", "AC"]) == ["ACGT", "AC"]
    made = to_jax({"a": np.ones(2), "b": (np.zeros(1), "x")})
    assert made["a"].tolist() == [1, 1]
    assert made["b"][1] == "x"


def test_other_arrays_come_by_dlpack() -> None:
    torch = pytest.importorskip("torch")
    got = to_jax(torch.arange(6, dtype=torch.bfloat16))
    assert got.dtype == ml_dtypes.bfloat16
    assert got.tolist() == [0, 1, 2, 3, 4, 5]
    with pytest.raises(InvalidInputError, match="int64"):
        to_jax(torch.tensor([2**40]))
    again = to_jax(got)
    assert again.unsafe_buffer_pointer() == got.unsafe_buffer_pointer()


def test_batches_go_through_jit(make: MakeDataset) -> None:
    n_traces = 0

    @jax.jit
    def step(batch: JaxBatch) -> tuple[Any, JaxBatch]:
        nonlocal n_traces
        n_traces += 1
        return batch.values.sum(), batch

    for batch in JaxDataset(make()):
        total, again = step(batch)
        np.testing.assert_allclose(total, np.asarray(batch.values).sum(), rtol=1e-4)
        assert isinstance(again, JaxBatch)
        # Names and numbers are not those of another batch; they are not there.
        assert again.chromosomes is again.epoch is again.index is again.track_names is None
        for name in ARRAY_FIELDS:
            before, after = getattr(batch, name), getattr(again, name)
            assert (before is None) == (after is None)
            if before is not None:
                np.testing.assert_array_equal(before, after)
    assert n_traces == 1


@pytest.mark.parametrize("prefetch", [0, 1, 3])
def test_resuming_is_exact_at_every_step(make: MakeDataset, prefetch: int) -> None:
    dataset = JaxDataset(make(), prefetch=prefetch)
    whole = [starts(dataset), starts(dataset)]
    for n_taken in range(N_BATCHES + 1):
        first = JaxDataset(make(), prefetch=prefetch)
        batches = iter(first)
        for _ in range(n_taken):
            next(batches)
        state = json.loads(json.dumps(first.state_dict()))
        assert state["batch"] == n_taken
        again = JaxDataset(make(), prefetch=prefetch)
        again.load_state_dict(state)
        assert starts(again) == whole[0][n_taken:]
        assert starts(again) == whole[1]
        # A state is one of the data set too.
        plain = make()
        plain.load_state_dict(state)
        assert starts(plain) == whole[0][n_taken:]


def test_epochs_follow_on_each_other(make: MakeDataset) -> None:
    dataset = JaxDataset(make())
    assert len(dataset) == N_BATCHES
    assert [b.epoch for b in dataset] == [0] * N_BATCHES
    assert dataset.epoch == 1
    next(iter(dataset))
    assert dataset.epoch == 1
    assert [b.epoch for b in dataset] == [2] * N_BATCHES
    dataset.set_epoch(7)
    assert (dataset.epoch, dataset.state_dict()["batch"]) == (7, 0)
    assert [b.epoch for b in dataset] == [7] * N_BATCHES


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

    dataset, expected = JaxDataset(peaks()), list(peaks())
    for got, batch in zip(dataset, expected, strict=True):
        for name in ("sequences", "values", "labels", "starts", "jitter"):
            np.testing.assert_array_equal(getattr(got, name), getattr(batch, name))
    again = JaxDataset(peaks())
    next(iter(again))
    resumed = JaxDataset(peaks())
    resumed.load_state_dict(again.state_dict())
    assert starts(resumed) == starts(expected)[1:]


def test_statistics_are_those_of_the_data_set(make: MakeDataset) -> None:
    dataset = JaxDataset(make())
    assert len(list(dataset)) == N_BATCHES
    assert dataset.stats().as_dict().keys() == dataset.dataset.stats().as_dict().keys()


def test_no_thread_is_left(make: MakeDataset) -> None:
    def names() -> list[str]:
        return [t.name for t in threading.enumerate() if t.name == "bigwig-to-jax"]

    batches = iter(JaxDataset(make(), prefetch=2))
    next(batches)
    waiting = [t for t in threading.enumerate() if t.name == "bigwig-to-jax"]
    assert len(waiting) == 1
    del batches
    gc.collect()
    waiting[0].join(60)
    assert names() == []


def test_an_error_names_the_batch(make: MakeDataset) -> None:
    def fail(_: list[str]) -> Any:
        raise RuntimeError("no such encoding")

    with pytest.raises(LoaderError, match="no such encoding"):
        next(iter(JaxDataset(make(sequence_encoder=fail))))


def test_one_device(make: MakeDataset) -> None:
    device = jax.devices()[0]
    batch = next(iter(JaxDataset(make(), device)))
    assert batch.values.devices() == {device}
    mesh = jax.sharding.Mesh(np.array([device]), ("data",))
    batch = next(iter(JaxDataset(make(), NamedSharding(mesh, PartitionSpec("data")))))
    assert batch.values.sharding.spec == PartitionSpec("data")


def test_what_cannot_be_used() -> None:
    with pytest.raises(InvalidInputError, match="function that makes one"):
        JaxDataset(5)

    class OtherSharding(jax.sharding.Sharding):
        pass

    with pytest.raises(InvalidInputError, match=r"NamedSharding.*OtherSharding"):
        to_jax(np.ones(4), OtherSharding())


def test_a_function_is_told_the_rank(make: MakeDataset) -> None:
    given: list[Any] = []

    def factory(rank: int, world_size: int) -> BigWigDataset:
        given.append((rank, world_size))
        return make(rank=rank, world_size=world_size)

    assert len(JaxDataset(factory)) == N_BATCHES
    assert given == [(0, 1)]


def run_processes(script: str, folder: Path, n_processes: int, n_devices: int) -> list[Any]:
    """Run a helper in several processes of one JAX cluster; what each of them found."""
    command = [sys.executable, "-m", f"tests.helpers.{script}", str(folder)]
    numbers = [str(n_processes), str(n_devices)]
    running = [
        subprocess.Popen([*command, str(rank), *numbers], cwd=REPOSITORY, stderr=subprocess.PIPE)
        for rank in range(n_processes)
    ]
    for process in running:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors.decode()
    return [json.loads((folder / f"found-{r}.json").read_text()) for r in range(n_processes)]


@pytest.mark.parametrize(("n_processes", "n_devices"), [(1, 4), (2, 2)])
def test_batches_are_shared_out_over_devices_and_processes(
    tiny_data: ExampleData, make: MakeDataset, tmp_path: Path, n_processes: int, n_devices: int
) -> None:
    (tmp_path / "data").symlink_to(tiny_data.reference_genome.parent)
    found = run_processes("distributed_jax", tmp_path, n_processes, n_devices)
    expected = list(make(batch_size=8, batches_per_epoch=3))
    for rank, mine in enumerate(found):
        assert mine["error"].startswith("values: expected a shape that")
        for got, whole in zip(mine["batches"], expected, strict=True):
            assert got["shape"] == list(whole.values.shape)
            assert got["tracks"] == whole.track_indices.tolist()
            np.testing.assert_allclose(got["sum"], whole.values.sum(), rtol=1e-5)
            # A device's part of the global batch: two examples each, in order.
            for device, rows in enumerate(got["starts"]):
                first = (rank * n_devices + device) * 2
                assert rows == whole.starts[first : first + 2].tolist()
            assert len(got["starts"]) == n_devices


as_cpu = pytest.mark.parametrize(
    "fake_cuda", [{"mode": "late", "dlpack_as_cpu": True}], ids=["late"], indirect=True
)


@as_cpu
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_batches_of_a_gpu(fake_cuda: ModuleType, make: MakeDataset, dtype: str) -> None:
    made = JaxDataset(make(dtype=dtype, device="cuda"))
    for got, expected in zip(list(made), make(dtype=dtype, device="cpu"), strict=True):
        for name in ARRAY_FIELDS:
            a, b = getattr(got, name), getattr(expected, name)
            assert (a is None) == (b is None)
            if a is not None:
                assert isinstance(a, jax.Array)
                np.testing.assert_array_equal(a, b)
        assert got.values.dtype == got.sequences.dtype == np.dtype(expected.values.dtype)


@as_cpu
def test_arrays_of_a_gpu_are_copied(fake_cuda: ModuleType) -> None:
    # JAX may use them longer than it holds them.
    from bigwig_loader.backend.cuda.backend import CudaBackend

    for dtype in (np.float32, ml_dtypes.bfloat16):
        array = CudaBackend(0).to_device(np.arange(6).astype(dtype).reshape(2, 3))
        made = to_jax(array, jax.devices()[0])
        assert made.dtype == dtype
        assert made.unsafe_buffer_pointer() != array.data.ptr
        np.testing.assert_array_equal(made, np.arange(6).reshape(2, 3))


@pytest.mark.parametrize("fake_cuda", ["late"], indirect=True)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_jax_without_a_gpu(fake_cuda: ModuleType, make: MakeDataset, dtype: str) -> None:
    (got, *_), (expected, *_) = (
        list(JaxDataset(make(dtype=dtype, device=device))) for device in ("cuda", "cpu")
    )
    assert got.values.dtype == expected.values.dtype
    np.testing.assert_array_equal(got.values, expected.values)


@as_cpu
def test_the_example(
    fake_cuda: ModuleType, tiny_data: ExampleData, capsys: pytest.CaptureFixture[str]
) -> None:
    main = main_of("any_framework", tiny_data)
    means = [main("folder", device, "jax") for device in ("cpu", "cuda")]
    assert means[0] == means[1]
    assert capsys.readouterr().out.count("jax: (16, 32, 4) float32 on ") == 4
