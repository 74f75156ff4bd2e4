"""Compiles CUDA sources on machines without a GPU: with NVRTC through ctypes, or else with nvcc."""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

ARCHITECTURES = ("sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120")
OPTIONS = ("-std=c++17",)


class CompileError(Exception):
    """The compiler refused, or warned; the message is its log."""


class Nvrtc:
    """The run-time compiler library, as CuPy uses it."""

    def __init__(self, path: str) -> None:
        self._lib = ctypes.CDLL(path)
        self._lib.nvrtcGetErrorString.restype = ctypes.c_char_p
        major, minor = ctypes.c_int(), ctypes.c_int()
        self._check(self._lib.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)))
        self.name = f"NVRTC {major.value}.{minor.value}"

    def compile(self, source: str, headers: dict[str, str], architecture: str) -> bytes:
        """Machine code (an ELF cubin) of a source text; `headers` are what it may include."""
        program = ctypes.c_void_p()
        n = len(headers)
        texts = (ctypes.c_char_p * n)(*(text.encode() for text in headers.values()))
        names = (ctypes.c_char_p * n)(*(name.encode() for name in headers))
        self._check(
            self._lib.nvrtcCreateProgram(
                ctypes.byref(program), source.encode(), b"source.cu", n, texts, names
            )
        )
        try:
            options = [*OPTIONS, f"-arch={architecture}"]
            array = (ctypes.c_char_p * len(options))(*map(str.encode, options))
            code = self._lib.nvrtcCompileProgram(program, len(options), array)
            log = self._get("nvrtcGetProgramLog", program).rstrip(b"\0").decode().strip()
            if code != 0 or log:
                raise CompileError(f"{self.name} {architecture}\n{log}")
            return self._get("nvrtcGetCUBIN", program)
        finally:
            self._lib.nvrtcDestroyProgram(ctypes.byref(program))

    def _get(self, name: str, program: ctypes.c_void_p) -> bytes:
        size = ctypes.c_size_t()
        self._check(getattr(self._lib, f"{name}Size")(program, ctypes.byref(size)))
        buffer = ctypes.create_string_buffer(size.value)
        self._check(getattr(self._lib, name)(program, buffer))
        return buffer.raw

    def _check(self, code: int) -> None:
        if code != 0:
            raise RuntimeError(self._lib.nvrtcGetErrorString(code).decode())


class Nvcc:
    """The command-line compiler of a CUDA toolkit."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.name = "nvcc"

    def compile(self, source: str, headers: dict[str, str], architecture: str) -> bytes:
        """As `Nvrtc.compile`."""
        with tempfile.TemporaryDirectory() as folder:
            for name, text in {**headers, "source.cu": source}.items():
                (Path(folder) / name).write_text(text)
            command = [self._path, *OPTIONS, f"-arch={architecture}", "-Werror=all-warnings"]
            done = subprocess.run(
                [*command, "-cubin", "-o", "out.cubin", "source.cu"],
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                raise CompileError(f"nvcc {architecture}\n{done.stdout}{done.stderr}")
            return (Path(folder) / "out.cubin").read_bytes()


@functools.cache
def find_compiler() -> Nvrtc | Nvcc | None:
    """NVRTC if there is one (of a wheel, else of the system), else nvcc, else None."""
    for path in _nvrtc_libraries():
        try:
            return Nvrtc(path)
        except OSError:
            continue  # not loadable here, e.g. built for another machine: the next one may be
    nvcc = shutil.which("nvcc")
    return Nvcc(nvcc) if nvcc else None


def _nvrtc_libraries() -> Iterator[str]:
    spec = importlib.util.find_spec("nvidia")
    for folder in (spec.submodule_search_locations if spec else None) or ():
        # nvidia/cuda_nvrtc/lib of the CUDA 12 wheels, nvidia/cu13/lib of later ones
        found = Path(folder).glob("*/lib/libnvrtc.so.*")
        yield from sorted(str(path) for path in found if ".alt." not in path.name)
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH")
    if home:
        yield from sorted(str(path) for path in Path(home).glob("lib64/libnvrtc.so*"))
    found_by_loader = ctypes.util.find_library("nvrtc")
    if found_by_loader:
        yield found_by_loader


def entry_names(cubin: bytes) -> set[str]:
    """Names of the kernels in a cubin: each has a bank of constants for its parameters."""
    return {name.decode() for name in re.findall(rb"\.nv\.constant0\.(\w+)\0", cubin)}
