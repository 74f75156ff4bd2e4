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
from typing import NamedTuple

ARCHITECTURES = ("sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120")
# As the CUDA backend compiles (bigwig_loader/backend/cuda/kernels.py).
OPTIONS = ("-std=c++17", "-fmad=false")
_RESOURCES = re.compile(
    r"Function properties for (?P<name>\w+)\n"
    r".*?(?P<stack>\d+) bytes stack frame, (?P<stores>\d+) bytes spill stores, "
    r"(?P<loads>\d+) bytes spill loads\n.*?Used (?P<registers>\d+) registers"
)


class CompileError(Exception):
    """The compiler refused, or warned; the message is its log."""


class Resources(NamedTuple):
    """What a thread of a kernel takes: registers, and bytes of local memory."""

    registers: int
    stack_bytes: int
    spilled_bytes: int


class Compiled(NamedTuple):
    """Machine code (an ELF cubin), and the resources of its kernels by name."""

    cubin: bytes
    resources: dict[str, Resources]


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
        return self.compile_with_resources(source, headers, architecture).cubin

    def compile_with_resources(
        self, source: str, headers: dict[str, str], architecture: str
    ) -> Compiled:
        """As `compile`, with what the kernels take."""
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
            options = [*OPTIONS, f"-arch={architecture}", "--ptxas-options=-v"]
            array = (ctypes.c_char_p * len(options))(*map(str.encode, options))
            code = self._lib.nvrtcCompileProgram(program, len(options), array)
            log = self._get("nvrtcGetProgramLog", program).rstrip(b"\0").decode()
            if code != 0 or _complaints(log):
                raise CompileError(f"{self.name} {architecture}\n{_complaints(log) or log}")
            return Compiled(self._get("nvrtcGetCUBIN", program), _resources(log))
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
        return self.compile_with_resources(source, headers, architecture).cubin

    def compile_with_resources(
        self, source: str, headers: dict[str, str], architecture: str
    ) -> Compiled:
        """As `Nvrtc.compile_with_resources`."""
        with tempfile.TemporaryDirectory() as folder:
            for name, text in {**headers, "source.cu": source}.items():
                (Path(folder) / name).write_text(text)
            command = [self._path, *OPTIONS, f"-arch={architecture}", "-Werror=all-warnings"]
            done = subprocess.run(
                [*command, "-Xptxas", "-v", "-cubin", "-o", "out.cubin", "source.cu"],
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                raise CompileError(f"nvcc {architecture}\n{done.stdout}{done.stderr}")
            cubin = (Path(folder) / "out.cubin").read_bytes()
            return Compiled(cubin, _resources(done.stderr))


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


def _complaints(log: str) -> str:
    """A log without what it says of resources."""
    lines = (line for line in log.splitlines() if line.strip())
    return "\n".join(line for line in lines if not re.match(r"ptxas (info|\s+\.)", line))


def _resources(log: str) -> dict[str, Resources]:
    return {
        found["name"]: Resources(
            int(found["registers"]), int(found["stack"]), int(found["stores"]) + int(found["loads"])
        )
        for found in _RESOURCES.finditer(log)
    }


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
