"""The exceptions of CuPy, and what CUDA calls its errors."""

from __future__ import annotations

_RUNTIME = {
    1: ("cudaErrorInvalidValue", "invalid argument"),
    2: ("cudaErrorMemoryAllocation", "out of memory"),
    3: ("cudaErrorInitializationError", "initialization error"),
    35: (
        "cudaErrorInsufficientDriver",
        "CUDA driver version is insufficient for CUDA runtime version",
    ),
    100: ("cudaErrorNoDevice", "no CUDA-capable device is detected"),
    101: ("cudaErrorInvalidDevice", "invalid device ordinal"),
    400: ("cudaErrorInvalidResourceHandle", "invalid resource handle"),
    600: ("cudaErrorNotReady", "device not ready"),
    700: ("cudaErrorIllegalAddress", "an illegal memory access was encountered"),
    702: ("cudaErrorLaunchTimeout", "the launch timed out and was terminated"),
    716: ("cudaErrorMisalignedAddress", "misaligned address"),
    719: ("cudaErrorLaunchFailure", "unspecified launch failure"),
}
_DRIVER = {
    1: ("CUDA_ERROR_INVALID_VALUE", "invalid argument"),
    400: ("CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"),
    500: ("CUDA_ERROR_NOT_FOUND", "named symbol not found"),
    701: ("CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "too many resources requested for launch"),
}


class CUDARuntimeError(RuntimeError):
    """As `cupy.cuda.runtime.CUDARuntimeError`; `detail` says more than CUDA would."""

    def __init__(self, status: int, detail: str = "") -> None:
        self.status = status
        name, meaning = _RUNTIME[status]
        super().__init__(f"{name}: {meaning}" + (f" [{detail}]" if detail else ""))


class CUDADriverError(RuntimeError):
    """As `cupy.cuda.driver.CUDADriverError`."""

    def __init__(self, status: int, detail: str = "") -> None:
        self.status = status
        name, meaning = _DRIVER[status]
        super().__init__(f"{name}: {meaning}" + (f" [{detail}]" if detail else ""))


class OutOfMemoryError(MemoryError):
    """As `cupy.cuda.memory.OutOfMemoryError`."""


class NVRTCError(RuntimeError):
    """As `cupy.cuda.nvrtc.NVRTCError`."""


class CompileException(Exception):
    """As `cupy.cuda.compiler.CompileException`."""
