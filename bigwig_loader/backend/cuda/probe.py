"""What of CUDA can be used here, found out once per process and kept, with the reason.

Looking takes no memory of a GPU: versions and names are asked for, no context is made. The
packages import on any machine and fail at the first real call, so each is called here once.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import multiprocessing
import os
import sys
from dataclasses import dataclass, replace
from typing import Any

_OLD_DRIVER = 13_000  # CUDA 13 needs driver 580
_NOT_INITIALISED, _OLD, _NO_DEVICE = 3, 35, 100  # cudaError of these meanings
_GET_DRIVER = (
    "install the NVIDIA driver (https://www.nvidia.com/drivers); `nvidia-smi` must list a GPU"
)


@dataclass(frozen=True)
class FoundDevice:
    """A GPU.

    Parameters
    ----------
    number : int
    name : str
    total_bytes : int
    compute_capability : str
        E.g. ``"90"``.
    """

    number: int
    name: str
    total_bytes: int
    compute_capability: str

    def __str__(self) -> str:
        size = f"{self.total_bytes / 1e9:.0f} GB"
        return f"cuda:{self.number} ({self.name}, {size}, sm_{self.compute_capability})"


@dataclass(frozen=True)
class CudaProbe:
    """Whether CUDA can be used in this process.

    Parameters
    ----------
    usable : bool
    reason : str
        Why, or why not.
    command : str
        What changes that; empty where nothing needs to be done.
    driver : int
        Newest CUDA version the driver supports, 1000 * major + 10 * minor; 0 without a driver.
    runtime : int
        CUDA version that CuPy is made for; 0 without CuPy.
    cupy : str
        Its version; empty where it cannot be imported.
    devices : tuple of FoundDevice
    process : int
        Where this was found out: CUDA cannot be used in processes forked from it.
    """

    usable: bool
    reason: str
    command: str = ""
    driver: int = 0
    runtime: int = 0
    cupy: str = ""
    devices: tuple[FoundDevice, ...] = ()
    process: int = 0


def version_text(version: int) -> str:
    """``"13.0"`` for 13000."""
    return f"{version // 1000}.{version % 1000 // 10}"


def extra_for(driver: int) -> str:
    """Extra of this package for a driver: the newest it supports."""
    return "cuda12" if 0 < driver < _OLD_DRIVER else "cuda13"


def install_command(driver: int) -> str:
    """What installs the CUDA packages for a driver."""
    return f"pip install 'bigwig-loader[{extra_for(driver)}]'"


@functools.cache
def driver_version() -> int:
    """`CudaProbe.driver`, from the driver itself; needs no package and initialises nothing."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return 0
    version = ctypes.c_int()
    # The one call of the driver that needs no initialisation.
    return version.value if driver.cuDriverGetVersion(ctypes.byref(version)) == 0 else 0


@functools.cache
def probe() -> CudaProbe:
    """What there is; never raises, and looks only once."""
    try:
        cupy = importlib.import_module("cupy")
    except ImportError as error:
        return _without_cupy(error)
    except Exception as error:  # a broken installation may raise anything
        command = f"pip install --force-reinstall {_distribution(driver_version())}"
        return _unusable(f"CuPy cannot be imported: {_text(error)}", command, driver_version())
    try:
        return _with_cupy(cupy)
    except Exception as error:
        command = f"pip install --upgrade {_distribution(driver_version())}"
        return _unusable(f"CuPy cannot be used: {_text(error)}", command, driver_version())


def _without_cupy(error: ImportError) -> CudaProbe:
    driver = driver_version()
    missing = isinstance(error, ModuleNotFoundError) and error.name == "cupy"
    what = "CuPy is not installed" if missing else f"CuPy cannot be imported: {_text(error)}"
    if driver == 0:
        return _unusable(f"no NVIDIA driver found, and {what}", _GET_DRIVER)
    return _unusable(
        f"{what} (the driver supports CUDA {version_text(driver)})",
        install_command(driver),
        driver,
    )


def _with_cupy(cupy: Any) -> CudaProbe:
    runtime = cupy.cuda.runtime
    driver, made_for = int(runtime.driverGetVersion()), int(runtime.runtimeGetVersion())
    found = replace(_unusable("", "", driver), runtime=made_for, cupy=str(cupy.__version__))
    try:
        n_devices = int(runtime.getDeviceCount())
    except runtime.CUDARuntimeError as error:
        reason, command = _why_no_device(error, driver, made_for)
        return replace(found, reason=reason, command=command)
    if n_devices == 0:
        hint, command = _hidden_devices()
        return replace(found, reason=f"the driver lists no GPU{hint}", command=command)
    devices = tuple(_device(cupy, number) for number in range(n_devices))
    try:
        cupy.cuda.nvrtc.getVersion()
    except Exception as error:  # of its loader's own kinds
        package = "nvidia-cuda-nvrtc" if made_for >= _OLD_DRIVER else "nvidia-cuda-nvrtc-cu12"
        reason = f"CuPy finds no NVRTC, which compiles the kernels: {_text(error)}"
        return replace(found, reason=reason, command=f"pip install {package}", devices=devices)
    reason = f"{n_devices} GPU{'s' if n_devices > 1 else ''} found"
    return replace(found, usable=True, reason=reason, devices=devices)


def _device(cupy: Any, number: int) -> FoundDevice:
    found = cupy.cuda.runtime.getDeviceProperties(number)
    capability = f"{found['major']}{found['minor']}"
    return FoundDevice(number, found["name"].decode(), int(found["totalGlobalMem"]), capability)


def _why_no_device(error: Any, driver: int, made_for: int) -> tuple[str, str]:
    """Reason and command for what counting the devices raised."""
    if driver == 0:
        return "no NVIDIA driver found", _GET_DRIVER
    if error.status == _OLD:
        old = _distribution(made_for)
        return (
            f"the driver supports CUDA {version_text(driver)}, CuPy is made for "
            f"{version_text(made_for)}",
            f"pip uninstall {old} && {install_command(driver)}",
        )
    if error.status == _NO_DEVICE:
        hint, command = _hidden_devices()
        return f"{_text(error)}{hint}", command
    if error.status == _NOT_INITIALISED and multiprocessing.parent_process() is not None:
        return (
            f"{_text(error)}: this process was probably forked from one that uses CUDA",
            "start workers with multiprocessing_context='spawn', or none (num_workers=0)",
        )
    return f"CUDA does not start: {_text(error)}", "nvidia-smi"


def _hidden_devices() -> tuple[str, str]:
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    if shown is None:
        return "", "nvidia-smi"
    return f" (CUDA_VISIBLE_DEVICES={shown!r})", "unset CUDA_VISIBLE_DEVICES"


def _unusable(reason: str, command: str, driver: int = 0) -> CudaProbe:
    return CudaProbe(False, reason, command, driver, process=os.getpid())


def _distribution(version: int) -> str:
    return "cupy-cuda12x" if 0 < version < _OLD_DRIVER else "cupy-cuda13x"


def _text(error: BaseException) -> str:
    """The message in one line, without CuPy's frame of equals signs."""
    lines = [line.strip() for line in str(error).splitlines()]
    said = " ".join(line for line in lines if line.strip("="))
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
