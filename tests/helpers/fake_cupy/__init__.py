"""A stand-in for CuPy that needs no GPU. See README.md."""

from __future__ import annotations

import functools
import importlib.machinery
import os
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tests.helpers.fake_cupy import array, cuda, errors, nvrtc, raw, runtime
from tests.helpers.fake_cupy.machine import (
    DeviceSpec,
    Machine,
    Options,
    State,
    machine,
    new_machine,
)

__all__ = ["DeviceSpec", "Machine", "Options", "State", "install", "machine", "state", "uninstall"]

_REAL = ("cupy", "cupyx", "cupy_backends")
_BACKEND = "bigwig_loader.backend.cuda"
_set_aside: dict[str, ModuleType] = {}  # modules of the real CuPy


_CACHE = "BIGWIG_LOADER_CACHE_DIR"
_set_aside_cache: list[str] = []


def install(options: Options | None = None, **changes: Any) -> Machine:
    """Put the fake where `import cupy` finds it, with a new machine behind it.

    Parameters
    ----------
    options
        How the machine behaves; or single fields of `Options` as `changes`.
    """
    if is_installed():
        raise RuntimeError("the fake CuPy is installed already")
    made = new_machine(Options(**changes) if options is None else options)
    for name in list(sys.modules):
        if name.partition(".")[0] in _REAL:
            _set_aside[name] = sys.modules.pop(name)
    sys.modules.update(_modules())
    _give_to_backend(sys.modules["cupy"])
    if _CACHE not in os.environ:  # images of the fake stay out of the user's cache
        _set_aside_cache.append(_CACHE)
        os.environ[_CACHE] = str(Path(tempfile.gettempdir()) / f"fake-cupy-{os.getuid()}")
    return made


def uninstall(verify: bool = True) -> None:
    """Remove the fake, after a look (unless told not to) at what has gone wrong unnoticed.

    Raises
    ------
    CUDARuntimeError
        A kernel failed, or somebody wrote out of bounds, and nobody has asked.
    """
    for name in _modules():
        sys.modules.pop(name, None)
    sys.modules.update(_set_aside)
    _set_aside.clear()
    while _set_aside_cache:
        os.environ.pop(_set_aside_cache.pop(), None)
    _give_to_backend(sys.modules.get("cupy"))
    cuda.forget_current_streams()
    last = machine()
    new_machine(Options())
    if verify:
        last.verify()


def is_installed() -> bool:
    """Whether `import cupy` finds the fake."""
    return getattr(sys.modules.get("cupy"), "__fake__", False)


def _give_to_backend(cupy: ModuleType | None) -> None:
    """Let the modules of the backend that are loaded use this CuPy, and forget what they found."""
    for name, module in list(sys.modules.items()):
        if name != _BACKEND and not name.startswith(_BACKEND + "."):
            continue
        if cupy is not None and "cupy" in vars(module):
            vars(module)["cupy"] = cupy
        for value in list(vars(module).values()):
            if getattr(value, "__module__", None) == name and hasattr(value, "cache_clear"):
                value.cache_clear()


def state() -> State:
    """What there is on the machine now."""
    with machine().lock:
        return machine().state()


def _module(name: str, **contents: Any) -> ModuleType:
    made = ModuleType(name)
    made.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
    made.__path__ = []
    made.__fake__ = True  # type: ignore[attr-defined]
    for key, value in contents.items():
        setattr(made, key, value)
    return made


@functools.cache
def _modules() -> dict[str, ModuleType]:
    driver = _module("cupy.cuda.driver", CUDADriverError=errors.CUDADriverError)
    calls = ("getVersion", "getSupportedArchs", "createProgram", "compileProgram")
    results = ("getProgramLog", "getCUBIN", "getPTX", "destroyProgram")
    compiling = {name: getattr(nvrtc, name) for name in (*calls, *results)}
    names = {name: getattr(runtime, name) for name in dir(runtime) if not name.startswith("_")}
    for own in ("call", "then_check", "machine", "annotations"):
        names.pop(own)
    calls = _module("cupy.cuda.runtime", **names)
    memory = _module(
        "cupy.cuda.memory",
        **{name: getattr(cuda, name) for name in ("BaseMemory", "Memory", "MemoryPointer")},
        UnownedMemory=cuda.UnownedMemory,
        OutOfMemoryError=errors.OutOfMemoryError,
    )
    compiler = _module("cupy.cuda.compiler", CompileException=errors.CompileException)
    below = {
        "driver": driver,
        "nvrtc": _module("cupy.cuda.nvrtc", NVRTCError=errors.NVRTCError, **compiling),
        "runtime": calls,
        "memory": memory,
        "compiler": compiler,
        "stream": _module("cupy.cuda.stream", get_current_stream=cuda.get_current_stream),
        "pinned_memory": _module(
            "cupy.cuda.pinned_memory", alloc_pinned_memory=cuda.alloc_pinned_memory
        ),
        "device": _module("cupy.cuda.device", Device=cuda.Device),
    }
    classes = (
        *("Device", "Stream", "ExternalStream", "Event", "Memory", "MemoryPointer"),
        *("UnownedMemory", "PinnedMemory", "PinnedMemoryPointer", "BaseMemory"),
        *("get_current_stream", "get_elapsed_time", "alloc_pinned_memory"),
    )
    contents = {name: getattr(cuda, name) for name in classes}
    cuda_module = _module("cupy.cuda", **contents, **below, is_available=_is_available)
    top = _module(
        "cupy",
        __version__="14.2.0",
        cuda=cuda_module,
        ndarray=array.ndarray,
        asnumpy=array.asnumpy,
        asarray=array.asarray,
        RawModule=raw.RawModule,
        RawKernel=raw.RawKernel,
        **{name: getattr(np, name) for name in ("float16", "float32", "float64", "uint8")},
        **{name: getattr(np, name) for name in ("uint16", "uint32", "int32", "int64", "int8")},
    )
    return {
        "cupy": top,
        "cupy.cuda": cuda_module,
        **{f"cupy.cuda.{name}": module for name, module in below.items()},
    }


def _is_available() -> bool:
    try:
        return runtime.getDeviceCount() > 0
    except errors.CUDARuntimeError:
        return False
