"""Which backend a device name gives, and what is said where it gives none."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from dataclasses import replace

import pytest

from bigwig_loader.backend.cpu.backend import CpuBackend
from bigwig_loader.backend.cuda import probe as probing
from bigwig_loader.backend.cuda.probe import CudaProbe, FoundDevice
from bigwig_loader.backend.select import select_backend
from bigwig_loader.errors import BackendUnavailableError, InvalidInputError

NO_GPU = CudaProbe(False, "no GPU here", "buy one", process=os.getpid())
TWO_GPUS = CudaProbe(
    True,
    "2 GPUs found",
    devices=tuple(FoundDevice(i, "Card", 8_000_000_000, "86") for i in range(2)),
    process=os.getpid(),
)


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Callable[[CudaProbe], None]:
    """Says what a probe finds."""
    return lambda result: monkeypatch.setattr(probing, "probe", lambda: result)


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:-1", "cuda:x", "", "CPU", "cuda:0 "])
def test_other_names(device: str) -> None:
    with pytest.raises(InvalidInputError, match="expected 'auto', 'cpu', 'cuda' or 'cuda:N'"):
        select_backend(device)


def test_cpu_does_not_look_for_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(probing, "probe")
    backend = select_backend("cpu", 3)
    assert isinstance(backend, CpuBackend)
    assert backend.n_threads == 3
    assert backend.status.reason == "asked for"


def test_auto_without_a_gpu(found: Callable[[CudaProbe], None]) -> None:
    found(NO_GPU)
    backend = select_backend()
    assert isinstance(backend, CpuBackend)
    assert backend.status.reason == "device='auto': no GPU here"


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "cuda:7"])
def test_cuda_without_a_gpu(found: Callable[[CudaProbe], None], device: str) -> None:
    found(NO_GPU)
    expected = f"device='{device}' cannot be used: no GPU here. To repair it: buy one"
    with pytest.raises(BackendUnavailableError) as raised:
        select_backend(device)
    assert str(raised.value) == expected


def test_a_number_past_the_last(found: Callable[[CudaProbe], None]) -> None:
    found(TWO_GPUS)
    listed = r"cuda:0 \(Card, 8 GB, sm_86\), cuda:1 \(Card, 8 GB, sm_86\)"
    with pytest.raises(BackendUnavailableError, match=f"'cuda:2' does not exist.*{listed}"):
        select_backend("cuda:2")


@pytest.mark.parametrize("device", ["auto", "cuda", "cuda:1"])
def test_in_a_process_forked_from_one_that_uses_cuda(
    found: Callable[[CudaProbe], None], device: str
) -> None:
    # "auto" meant the GPU in the parent; it does not quietly mean something else in its workers.
    found(replace(TWO_GPUS, process=os.getpid() + 1))
    with pytest.raises(BackendUnavailableError, match=r"was forked from process .*num_workers=0"):
        select_backend(device)


@pytest.mark.usefixtures("fake_cuda")
@pytest.mark.parametrize(
    ("device", "name"), [("auto", "cuda:0"), ("cuda", "cuda:0"), ("cuda:1", "cuda:1")]
)
def test_with_gpus(device: str, name: str) -> None:
    backend = select_backend(device, 5)
    assert (type(backend).__name__, backend.n_threads) == ("CudaBackend", 5)
    assert backend.status.name == name
    expected = "device='auto': 2 GPUs found" if device == "auto" else "asked for"
    assert backend.status.reason == expected


@pytest.mark.usefixtures("fake_cuda")
@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_the_current_device_is_the_callers(device: str) -> None:
    cupy = importlib.import_module("cupy")
    with cupy.cuda.Device(1):
        assert select_backend(device).status.name == "cuda:1"


@pytest.mark.usefixtures("fake_cuda")
def test_a_gpu_that_cannot_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    cupy = importlib.import_module("cupy")
    probing.probe()

    def fails(number: int) -> None:
        raise cupy.cuda.runtime.CUDARuntimeError(2)

    monkeypatch.setattr(cupy.cuda.runtime, "getDeviceProperties", fails)
    backend = select_backend("auto")
    assert isinstance(backend, CpuBackend)
    assert "the GPU cannot be opened: " in backend.status.reason
    with pytest.raises(BackendUnavailableError, match=r"cannot be opened.*out of memory"):
        select_backend("cuda")
