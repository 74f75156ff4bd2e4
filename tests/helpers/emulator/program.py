"""Emulated kernels: loaded, described, launched."""

from __future__ import annotations

import ctypes
import functools
import os
import re
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.helpers.emulator.build import Library, build

SCHEDULES = ("forward", "reverse", "random:1", "random:2")
_ORDERS = {"forward": 0, "reverse": 1, "random": 2}
_LAUNCHING = threading.Lock()  # the emulator has one set of fibers, and catches signals
# What a launch may be given: an array stands for the address of its first element.
Argument = int | float | np.generic | NDArray[np.generic] | bytes


class KernelFault(Exception):
    """What a kernel did that no kernel may do, with its name, the block, the thread, the place."""


@dataclass(frozen=True)
class Parameter:
    """A parameter of a kernel: "p" pointer, "i" integer, "f" floating, "s" structure; its bytes."""

    kind: str
    n_bytes: int


@dataclass(frozen=True)
class Kernel:
    """A kernel of a program."""

    index: int
    name: str
    parameters: tuple[Parameter, ...]
    max_threads: int  # __launch_bounds__, or 1024


class _CParameter(ctypes.Structure):
    _fields_ = (("kind", ctypes.c_char), ("n_bytes", ctypes.c_uint))


class _CKernel(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("call", ctypes.c_void_p),
        ("n_parameters", ctypes.c_int),
        ("parameters", ctypes.POINTER(_CParameter)),
        ("max_threads", ctypes.c_uint),
    )


class Program:
    """The kernels of one source text.

    Parameters
    ----------
    library
        What `build` returned.
    """

    def __init__(self, library: Library) -> None:
        self._library = library
        self._lib = ctypes.CDLL(str(library.path))
        launch = ctypes.cast(self._lib.emu_launch, ctypes.c_void_p).value or 0
        self._base = launch - library.anchor
        n = len(library.shared)
        self._lib.emu_set_shared(
            n,
            (ctypes.c_void_p * n)(*(self._base + offset for offset, _ in library.shared)),
            (ctypes.c_uint64 * n)(*(n_bytes for _, n_bytes in library.shared)),
        )
        self.kernels = {kernel.name: kernel for kernel in self._read_kernels()}

    @property
    def shared_bytes(self) -> int:
        """Bytes of static shared memory of all kernels together."""
        return sum(n_bytes for _, n_bytes in self._library.shared)

    def variable(self, name: str) -> tuple[int, int]:
        """Address and bytes of a global `__device__` variable.

        Raises
        ------
        KeyError
            There is none of that name.
        """
        offset, n_bytes = self._library.variables[name]
        return self._base + offset, n_bytes

    def launch(
        self,
        name: str,
        grid: int | Sequence[int],
        block: int | Sequence[int],
        arguments: Sequence[Argument],
        *,
        shared_bytes: int = 0,
        schedule: str | None = None,
        seconds: float = 60.0,
    ) -> None:
        """Run a grid and return when it is done.

        Parameters
        ----------
        name
            Of the kernel.
        grid, block
            Blocks of the grid and threads of a block, along x, y, z.
        arguments
            One for each parameter. Arrays pass their address, Python numbers take the parameter's
            type, NumPy scalars and bytes (a structure) must have its size.
        shared_bytes
            Dynamic shared memory.
        schedule
            "forward", "reverse", "random:SEED"; None: what EMULATOR_SCHEDULE names, else "forward".
        seconds
            CPU time after which the kernel is said not to end.

        Raises
        ------
        KernelFault
            A fault of the kernel.
        TypeError, ValueError
            Arguments or sizes that do not fit the kernel.
        """
        kernel = self.kernels[name]
        if len(arguments) != len(kernel.parameters):
            expected = len(kernel.parameters)
            raise TypeError(f"{name}: expected {expected} arguments, got {len(arguments)}")
        packed = [
            _packed(name, i, parameter, argument)
            for i, (parameter, argument) in enumerate(
                zip(kernel.parameters, arguments, strict=True)
            )
        ]
        self.launch_packed(
            kernel, _sizes(grid), _sizes(block), packed, shared_bytes, schedule, seconds
        )

    def launch_packed(
        self,
        kernel: Kernel,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        packed: Sequence[bytes],
        shared_bytes: int = 0,
        schedule: str | None = None,
        seconds: float = 60.0,
    ) -> None:
        """As `launch`, with the bytes of the arguments."""
        n_threads = block[0] * block[1] * block[2]
        if not 0 < n_threads <= kernel.max_threads or min(*grid, *block) < 1:
            raise ValueError(
                f"{kernel.name}: expected a grid of at least one block and blocks of 1 to "
                f"{kernel.max_threads} threads, got grid {grid}, block {block}"
            )
        order, seed = _order(schedule)
        buffers = [ctypes.create_string_buffer(data, len(data)) for data in packed]
        pointers = (ctypes.c_void_p * max(1, len(buffers)))(*map(ctypes.addressof, buffers))
        text = ctypes.create_string_buffer(2048)
        with _LAUNCHING:
            failed = self._lib.emu_launch(
                kernel.index,
                (ctypes.c_uint * 3)(*grid),
                (ctypes.c_uint * 3)(*block),
                ctypes.c_uint64(shared_bytes),
                pointers,
                order,
                ctypes.c_uint64(seed),
                ctypes.c_double(seconds),
                text,
                len(text),
            )
        if failed:
            raise KernelFault(self._with_line(text.value.decode()))

    def _read_kernels(self) -> list[Kernel]:
        found: list[Kernel] = []
        table = ctypes.addressof(ctypes.c_char.in_dll(self._lib, "emu_kernels"))
        entries = ctypes.cast(table, ctypes.POINTER(_CKernel))
        while entries[len(found)].name is not None:
            entry = entries[len(found)]
            parameters = tuple(
                Parameter(entry.parameters[i].kind.decode(), entry.parameters[i].n_bytes)
                for i in range(entry.n_parameters)
            )
            max_threads = min(1024, entry.max_threads or 1024)
            found.append(Kernel(len(found), entry.name.decode(), parameters, max_threads))
        return found

    def _with_line(self, message: str) -> str:
        """A message with the line of the source in place of an address in the library."""
        match = re.search(r" \[code \+(0x[0-9a-f]+)\]", message)
        if match is None:
            return message
        return message.replace(match[0], _line_of(self._library.path, match[1]))


def load(
    text: str,
    *,
    include: Sequence[Path] = (),
    defines: Sequence[str] = (),
    sanitize: str = "",
    architecture: int = 900,
) -> Program:
    """The program of a source text; parameters and errors as `build`. One per process and text."""
    library = build(
        text, include=include, defines=defines, sanitize=sanitize, architecture=architecture
    )
    return _program(library.path, library)


_programs: dict[Path, Program] = {}


def _program(path: Path, library: Library) -> Program:
    if path not in _programs:
        _programs[path] = Program(library)
    return _programs[path]


def _packed(kernel: str, i: int, parameter: Parameter, argument: Argument) -> bytes:
    expected = f"{kernel}: argument {i}: expected a value for a parameter of kind "
    expected += f"{parameter.kind!r} with {parameter.n_bytes} bytes"
    if isinstance(argument, np.ndarray):
        if parameter.kind != "p":
            raise TypeError(f"{expected}, got an array")
        return argument.ctypes.data.to_bytes(8, "little")
    if isinstance(argument, np.generic):
        argument = argument.tobytes()
    elif isinstance(argument, float) and parameter.kind == "f":
        return np.array(argument, f"f{parameter.n_bytes}").tobytes()
    elif isinstance(argument, int) and parameter.kind in "ip":
        # Negative numbers wrap, as in a call in C.
        return (argument % (1 << 8 * parameter.n_bytes)).to_bytes(parameter.n_bytes, "little")
    if not isinstance(argument, bytes) or len(argument) != parameter.n_bytes:
        raise TypeError(f"{expected}, got {argument!r}")
    return argument


def _sizes(size: int | Sequence[int]) -> tuple[int, int, int]:
    x, y, z = (*((size,) if isinstance(size, int) else size), 1, 1)[:3]
    return int(x), int(y), int(z)


def _order(schedule: str | None) -> tuple[int, int]:
    name, _, seed = (schedule or os.environ.get("EMULATOR_SCHEDULE", "forward")).partition(":")
    if name not in _ORDERS or not (seed or "0").isdigit():
        raise ValueError(f"schedule: expected forward, reverse or random:SEED, got {schedule!r}")
    return _ORDERS[name], int(seed or 0)


@functools.cache
def _line_of(path: Path, offset: str) -> str:
    command = ["addr2line", "-e", str(path), offset]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f", at {Path(done.stdout.split(' ')[0].strip()).name}"
