"""What is said of CUDA on machines of every kind, each made of a stand-in for CuPy."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from bigwig_loader.backend.cuda import probe as module
from bigwig_loader.backend.cuda.probe import CudaProbe, driver_version, probe

DRIVER_13, DRIVER_12 = 13_000, 12_040


class CUDARuntimeError(RuntimeError):
    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__({3: "initialization error", 35: "old driver", 100: "no device"}[status])


def raising(error: Exception) -> Callable[..., Any]:
    def call(*_: object) -> Any:
        raise error

    return call


def machine(
    *,
    driver: int = DRIVER_13,
    runtime: int = 13_020,
    count: Callable[[], int] = lambda: 1,
    nvrtc: Callable[[], Any] = lambda: (13, 2),
) -> ModuleType:
    """As much of CuPy as is asked."""
    cupy: Any = ModuleType("cupy")
    cupy.__version__ = "14.2.0"
    cupy.cuda = SimpleNamespace(
        runtime=SimpleNamespace(
            CUDARuntimeError=CUDARuntimeError,
            driverGetVersion=lambda: driver,
            runtimeGetVersion=lambda: runtime,
            getDeviceCount=count,
            getDeviceProperties=lambda number: {
                "name": f"GPU {number}".encode(),
                "totalGlobalMem": 80_000_000_000,
                "major": 9,
                "minor": 0,
            },
        ),
        nvrtc=SimpleNamespace(getVersion=nvrtc),
    )
    return cupy  # type: ignore[no-any-return]


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., CudaProbe]]:
    """Probes a machine with some CuPy and some driver."""

    def call(cupy: ModuleType | None, driver: int = 0) -> CudaProbe:
        probe.cache_clear()
        monkeypatch.setitem(sys.modules, "cupy", cupy)
        monkeypatch.setattr(module, "driver_version", lambda: driver)
        return probe()

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    yield call
    probe.cache_clear()


def test_a_usable_gpu(look: Callable[..., CudaProbe]) -> None:
    found = look(machine(count=lambda: 2))
    assert found.usable
    assert found.command == ""
    assert (found.reason, found.cupy) == ("2 GPUs found", "14.2.0")
    assert (found.driver, found.runtime, found.process) == (13_000, 13_020, os.getpid())
    assert [str(device) for device in found.devices] == [
        "cuda:0 (GPU 0, 80 GB, sm_90)",
        "cuda:1 (GPU 1, 80 GB, sm_90)",
    ]
    assert probe() is found  # looked once


def test_no_driver_and_no_cupy(look: Callable[..., CudaProbe]) -> None:
    found = look(None)
    assert not found.usable
    assert found.reason == "no NVIDIA driver found, and CuPy is not installed"
    assert "nvidia-smi" in found.command


@pytest.mark.parametrize(("driver", "extra"), [(DRIVER_13, "cuda13"), (DRIVER_12, "cuda12")])
def test_no_cupy(look: Callable[..., CudaProbe], driver: int, extra: str) -> None:
    found = look(None, driver)
    assert not found.usable
    assert found.reason.startswith("CuPy is not installed (the driver supports CUDA 1")
    assert found.command == f"pip install 'bigwig-loader[{extra}]'"


@pytest.mark.parametrize(
    "error", [ImportError("===\nlibfoo.so is missing\n==="), ValueError("numpy is too new")]
)
def test_a_broken_cupy(
    look: Callable[..., CudaProbe], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(module.importlib, "import_module", raising(error))
    found = look(None, DRIVER_12)
    assert not found.usable
    said = f"{type(error).__name__}: {str(error).strip('=').strip()}"
    assert found.reason.startswith(f"CuPy cannot be imported: {said}")
    assert "pip install" in found.command
    assert "cuda12" in found.command


def test_a_cupy_of_another_time(look: Callable[..., CudaProbe]) -> None:
    found = look(ModuleType("cupy"), DRIVER_13)  # it has nothing that is asked for
    assert not found.usable
    assert found.reason.startswith("CuPy cannot be used: AttributeError")
    assert found.command == "pip install --upgrade cupy-cuda13x"


def test_no_driver(look: Callable[..., CudaProbe]) -> None:
    found = look(machine(driver=0, count=raising(CUDARuntimeError(35))))
    assert (found.usable, found.reason) == (False, "no NVIDIA driver found")


def test_a_driver_older_than_cupy(look: Callable[..., CudaProbe]) -> None:
    found = look(machine(driver=DRIVER_12, count=raising(CUDARuntimeError(35))))
    assert found.reason == "the driver supports CUDA 12.4, CuPy is made for 13.2"
    expected = "pip uninstall cupy-cuda13x && pip install 'bigwig-loader[cuda12]'"
    assert found.command == expected


def test_hidden_gpus(look: Callable[..., CudaProbe], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    for count in (raising(CUDARuntimeError(100)), lambda: 0):
        found = look(machine(count=count))
        assert not found.usable
        assert found.reason.endswith("(CUDA_VISIBLE_DEVICES='')")
        assert found.command == "unset CUDA_VISIBLE_DEVICES"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert look(machine(count=lambda: 0)).reason == "the driver lists no GPU"


def test_a_fork_of_a_process_that_uses_cuda(
    look: Callable[..., CudaProbe], monkeypatch: pytest.MonkeyPatch
) -> None:
    cupy = machine(count=raising(CUDARuntimeError(3)))
    assert look(cupy).command == "nvidia-smi"  # the main process
    monkeypatch.setattr(multiprocessing, "parent_process", object)
    found = look(cupy)
    assert "forked" in found.reason
    assert "spawn" in found.command


@pytest.mark.parametrize(
    ("runtime", "package"),
    [(13_020, "nvidia-cuda-nvrtc"), (12_090, "nvidia-cuda-nvrtc-cu12")],
)
def test_no_compiler(look: Callable[..., CudaProbe], runtime: int, package: str) -> None:
    found = look(machine(runtime=runtime, nvrtc=raising(OSError("libnvrtc.so: not found"))))
    assert not found.usable
    assert "NVRTC" in found.reason
    assert "libnvrtc.so: not found" in found.reason
    assert found.command == f"pip install {package}"
    assert len(found.devices) == 1


def test_the_drivers_own_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def library(_: str) -> Any:
        def get(pointer: Any) -> int:
            pointer._obj.value = 12_080
            return 0

        return SimpleNamespace(cuDriverGetVersion=get)

    driver_version.cache_clear()
    monkeypatch.setattr(ctypes, "CDLL", library)
    assert driver_version() == 12_080
    driver_version.cache_clear()
    monkeypatch.setattr(ctypes, "CDLL", raising(OSError("no such file")))
    assert driver_version() == 0
    driver_version.cache_clear()
