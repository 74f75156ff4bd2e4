"""Capsules of DLPack for arrays of a fake device."""

from __future__ import annotations

import ctypes
import warnings
from typing import Any

from numpy.typing import NDArray

from tests.helpers.fake_cupy import runtime
from tests.helpers.fake_cupy.cuda import Event, get_current_stream
from tests.helpers.fake_cupy.machine import machine

CPU, CUDA = 1, 2  # kDLCPU, kDLCUDA
_api = ctypes.pythonapi
_api.PyCapsule_GetPointer.restype = ctypes.c_void_p
_api.PyCapsule_GetPointer.argtypes = (ctypes.py_object, ctypes.c_char_p)
_api.PyCapsule_IsValid.argtypes = (ctypes.py_object, ctypes.c_char_p)
# Where DLTensor.device (two int32) stands: behind the data pointer of DLManagedTensor, whose first
# field is the tensor; DLManagedTensorVersioned has 32 bytes before it.
_DEVICE_AT = {b"dltensor": 8, b"dltensor_versioned": 40}


def device_of(device: int) -> tuple[int, int]:
    """What arrays of a device call their device."""
    return (CPU, 0) if machine().options.dlpack_as_cpu else (CUDA, device)


def order_after_current(stream: Any) -> None:
    """Make a consumer's stream wait for the current one, as CuPy does.

    A consumer that takes the array for one of the CPU reads at once, so what its stream had to wait
    for is done before; work that nothing makes it wait for is not.
    """
    if stream is None:
        stream = runtime.streamLegacy
    elif not isinstance(stream, int) or stream < -1:
        raise ValueError(
            f"On CUDA, the valid stream for the DLPack protocol is -1, 1, 2, or any larger value, "
            f"but {stream} was provided"
        )
    if stream == 0:
        warnings.warn("Stream 0 is passed from a library that you are converting to", stacklevel=3)
        stream = runtime.streamLegacy
    current = get_current_stream().ptr
    current = runtime.streamLegacy if current == 0 else current
    if stream >= 0 and stream != current:
        event = Event(disable_timing=True)
        runtime.eventRecord(event.ptr, current)
        runtime.streamWaitEvent(stream, event.ptr)
    if machine().options.dlpack_as_cpu:
        runtime.streamSynchronize(max(stream, runtime.streamLegacy))


def capsule(seen: NDArray[Any], device: int, max_version: tuple[int, int] | None) -> Any:
    """A capsule of the memory that a NumPy array shows, said to be of the device."""
    try:
        made = seen.__dlpack__(max_version=max_version)
    except TypeError:  # NumPy before 2.1
        made = seen.__dlpack__()
    for name, at in _DEVICE_AT.items():
        if _api.PyCapsule_IsValid(made, name):
            place = _api.PyCapsule_GetPointer(made, name) + at
            kind, number = device_of(device)
            (ctypes.c_int32 * 2).from_address(place)[:] = [kind, number]
    return made
