"""Batches of a GPU as torch tensors; it is emulated, and torch takes its memory for the CPU's."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from bigwig_loader.assemble.batch import ARRAY_FIELDS
from bigwig_loader.collection import BigWigCollection
from bigwig_loader.dataset import BigWigDataset
from bigwig_loader.errors import BackendUnavailableError
from bigwig_loader.example_data import ExampleData
from tests.helpers.peaks import PeakWorld
from tests.helpers.tiny_dataset import tiny_options

torch = pytest.importorskip("torch")

from torch.utils.data import DataLoader  # noqa: E402

from bigwig_loader import peak_loader, pytorch, torch_arrays, torch_workers  # noqa: E402
from bigwig_loader.io import PeakGenerator, PeakNegativeSampler, extract_loci  # noqa: E402
from bigwig_loader.pytorch import PytorchBigWigDataset, TorchBatch  # noqa: E402
from bigwig_loader.torch_arrays import pinned, to_tensor, torch_device  # noqa: E402

as_cpu = pytest.mark.parametrize(
    "fake_cuda", [{"mode": "late", "dlpack_as_cpu": True}], ids=["late"], indirect=True
)
# To torch a GPU, which it cannot use.
as_it_is = pytest.mark.parametrize("fake_cuda", ["late"], indirect=True)
N_BATCHES = 4


@as_cpu
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_tensors_are_those_of_the_cpu(
    fake_cuda: ModuleType, tiny_data: ExampleData, dtype: Any
) -> None:
    options = tiny_options(tiny_data, N_BATCHES) | {"return_batch_objects": True, "dtype": dtype}
    dataset = PytorchBigWigDataset(**options, device="cuda")
    assert dataset.dataset.backend.status.name == "cuda:0"
    batches = list(dataset)
    for one, other in zip(batches, PytorchBigWigDataset(**options, device="cpu"), strict=True):
        assert isinstance(one, TorchBatch)
        assert one.values.dtype == getattr(torch, dtype)
        for name in ARRAY_FIELDS:
            a, b = getattr(one, name), getattr(other, name)
            assert (a is None) == (b is None)
            if a is not None:
                assert a.dtype == b.dtype
                assert torch.equal(a, b), name
        assert one.to("cpu").values is one.values
    assert len({batch.values.data_ptr() for batch in batches}) == N_BATCHES


@as_cpu
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_memory_is_shared_and_its_owner_lives(
    fake_cuda: ModuleType, tiny_data: ExampleData, dtype: Any
) -> None:
    options = tiny_options(tiny_data, N_BATCHES) | {"return_batch_objects": True, "dtype": dtype}
    batches = iter(BigWigDataset(**options, device="cuda", prefetch=0))
    array = next(batches).values
    tensor, address, kept = to_tensor(array), array.data.ptr, array.get()
    assert tensor.data_ptr() == address
    del array
    others = [batch.values.data.ptr for batch in batches]
    assert len(others) == N_BATCHES - 1
    assert address not in others
    integers = {2: torch.int16, 4: torch.int32}[kept.itemsize]
    np.testing.assert_array_equal(tensor.view(integers), kept.view(f"i{kept.itemsize}"))


@as_cpu
def test_the_stream_of_the_loop_is_named(
    fake_cuda: ModuleType,
    tiny_data: ExampleData,
    peak_world: PeakWorld,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import cupy

    stream = cupy.cuda.Stream(non_blocking=True)
    for module in (pytorch, peak_loader):
        monkeypatch.setattr(module, "consumer_stream", lambda _: stream.ptr)
    dataset = PytorchBigWigDataset(**tiny_options(tiny_data, 2), device="cuda")
    handed: list[tuple[Any, int | None]] = []
    backend = dataset.dataset.backend
    hand_over = backend.hand_over

    def watched(*arrays: Any, stream: int | None = None) -> None:
        handed.extend((array, stream) for array in arrays)
        hand_over(*arrays, stream=stream)

    monkeypatch.setattr(backend, "hand_over", watched)
    for batch in dataset:
        # To CuPy's stream first, then to that of torch.
        assert [named for _, named in handed] == [None, None, stream.ptr, stream.ptr]
        pointers = {array.data.ptr for array, _ in handed}
        assert pointers == {batch.values.data_ptr(), batch.sequences.data_ptr()}
        handed.clear()

    loader = make_peaks(peak_world, "cuda")
    backend = loader.dataset.dataset.backend
    monkeypatch.setattr(backend, "hand_over", watched)
    next(iter(loader))
    assert stream.ptr in {named for _, named in handed}


def make_peaks(world: PeakWorld, device: str, **more: Any) -> Any:
    return PeakGenerator(
        world.bed("peaks.narrowPeak"),
        world.bed("negatives.bed"),
        world.fasta,
        [[world.bw("plus"), world.bw("minus")]],
        [world.bw("control")],
        in_window=40,
        out_window=20,
        max_jitter=3,
        negative_ratio=0.5,
        random_state=1,
        batch_size=4,
        count_target="log1p",
        return_coordinates=True,
        device=device,
        **more,
    )


@as_cpu
def test_peaks(fake_cuda: ModuleType, peak_world: PeakWorld) -> None:
    one, other = make_peaks(peak_world, "cuda"), make_peaks(peak_world, "cpu")
    for got, wanted in zip(list(one), other, strict=True):
        assert len(got) == len(wanted) == 6
        for a, b in zip(got[:-1], wanted[:-1], strict=True):
            assert a.dtype == b.dtype
            assert torch.equal(a, b)
        assert torch.equal(got[-1]["start"], wanted[-1]["start"])
    for a, b in zip(one.dataset[3][:-2], other.dataset[3][:-2], strict=True):
        assert torch.equal(a, b)
    with pytest.raises(BackendUnavailableError, match=r"'cuda:0'.*num_workers=0"):
        make_peaks(peak_world, "cuda", num_workers=2)


@as_cpu
def test_loci_come_in_host_memory(fake_cuda: ModuleType, peak_world: PeakWorld) -> None:
    extracted = [
        extract_loci(
            peak_world.bed("peaks.narrowPeak"),
            peak_world.fasta,
            [peak_world.bw("plus")],
            in_window=40,
            out_window=20,
            ignore=list("NRYKMSWBDHV"),
            device=device,
        )
        for device in ("cuda", "cpu")
    ]
    for a, b in zip(*extracted, strict=True):
        assert torch.equal(a, b)


@as_cpu
def test_a_sampler_takes_arrays_of_the_gpu(fake_cuda: ModuleType) -> None:
    from bigwig_loader.backend.cuda.backend import CudaBackend

    rng = np.random.default_rng(0)
    host = [rng.random(shape, np.float32) for shape in ((5, 4, 8), (5, 2, 6), (3, 4, 8), (3, 2, 6))]
    memory = list(map(CudaBackend(0).to_device, host))
    options: dict[str, Any] = {"in_window": 8, "out_window": 6, "random_state": 0}
    one, other = PeakNegativeSampler(*memory, **options), PeakNegativeSampler(*host, **options)
    for a, b in zip(one[2], other[2], strict=True):
        assert np.array_equal(a, b)


@as_it_is
def test_a_torch_without_cuda_says_so(fake_cuda: ModuleType, tiny_data: ExampleData) -> None:
    if torch.cuda.is_available():
        pytest.skip("this torch has CUDA")
    dataset = PytorchBigWigDataset(**tiny_options(tiny_data, 2), device="cuda")
    with pytest.raises(BackendUnavailableError, match=r"has no CUDA: .* device='cpu'"):
        list(dataset)
    # Left to choose, it makes what can be taken.
    chosen = PytorchBigWigDataset(**tiny_options(tiny_data, 2), device="auto")
    assert chosen.dataset.backend.status.name == "cpu"


@as_cpu
def test_the_current_gpu_of_torch(fake_cuda: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    assert [torch_device(d) for d in ("auto", "cuda", "cuda:0", "cpu")] == [
        "cuda:1",
        "cuda:1",
        "cuda:0",
        "cpu",
    ]


@pytest.mark.parametrize(
    "fake_cuda", [{"driver_version": 0}], ids=["without a driver"], indirect=True
)
def test_auto_keeps_the_reason(fake_cuda: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    assert torch_device("auto") == "auto"
    assert torch_device("cuda") == "cuda:0"


# A machine with one core; and, from Python 3.12 on, any fork while threads are alive.
@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@as_cpu
def test_worker_processes_are_refused(fake_cuda: ModuleType, tiny_data: ExampleData) -> None:
    dataset = PytorchBigWigDataset(**tiny_options(tiny_data, 2), device="cuda")
    loader = DataLoader(dataset, batch_size=None, num_workers=1, multiprocessing_context="fork")
    with pytest.raises(RuntimeError, match=r"BackendUnavailableError.*\n.*(fork|num_workers=0)"):
        list(loader)


class OnGpu:
    """As much of a tensor on a GPU as is looked at."""

    is_cuda = True
    device = "cuda:3"


def test_streams_and_pinning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "is_tensor", lambda x: isinstance(x, OnGpu))
    asked: list[Any] = []

    def current_stream(device: Any) -> Any:
        asked.append(device)
        return type("Stream", (), {"cuda_stream": 77})

    monkeypatch.setattr(torch.cuda, "current_stream", current_stream)
    assert torch_arrays.consumer_stream([None, OnGpu(), OnGpu()]) == 77
    assert asked == ["cuda:3"]
    assert torch_arrays.consumer_stream([None, np.zeros(3)]) is None
    tensor = OnGpu()
    assert pinned(tensor) is tensor


def test_the_cpu_may_have_workers(tiny_data: ExampleData) -> None:
    dataset = BigWigDataset(**tiny_options(tiny_data, 2), device="cpu")
    torch_workers.check_no_worker(dataset)
    assert isinstance(dataset.collection, BigWigCollection)
