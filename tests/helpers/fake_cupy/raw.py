"""`cupy.RawModule` and its kernels: compiled for, and run by, the emulator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.helpers import emulator
from tests.helpers.emulator import Kernel, Program
from tests.helpers.fake_cupy import nvrtc, runtime
from tests.helpers.fake_cupy.array import ndarray
from tests.helpers.fake_cupy.cuda import MemoryPointer, UnownedMemory, get_current_stream
from tests.helpers.fake_cupy.errors import CompileException, CUDADriverError, CUDARuntimeError
from tests.helpers.fake_cupy.machine import DeviceSpec, machine

_MOST_BLOCKS = (2**31 - 1, 65_535, 65_535)
_MOST_THREADS = (1024, 1024, 64)


class RawModule:
    """As `cupy.RawModule` of a source text, or of an image that the fake NVRTC has made."""

    def __init__(
        self,
        code: str | None = None,
        *,
        path: str | None = None,
        options: Any = (),
        backend: str = "nvrtc",
        **others: Any,
    ) -> None:
        if not isinstance(options, tuple):
            got = type(options).__name__
            raise TypeError(f"Argument 'options' has incorrect type (expected tuple, got {got})")
        if (code is None) == (path is None):
            raise TypeError("Exactly one of `code` and `path` keyword arguments must be given.")
        if any(others.values()):
            raise NotImplementedError("the fake compiles source texts with plain options only")
        self.code = code
        self.file_path = path
        self.options = options
        self.backend = backend
        self._loaded: dict[int, Program] = {}

    def compile(self, log_stream: Any = None) -> None:
        runtime.getDevice()
        self._program()

    def get_function(self, name: str) -> RawKernel:
        program = self._program()
        if name not in program.kernels:
            raise CUDADriverError(500, name)
        return RawKernel(program, program.kernels[name], self)

    def get_global(self, name: str) -> MemoryPointer:
        program = self._program()
        try:
            address, n_bytes = program.variable(name)
        except KeyError:
            raise CUDADriverError(500, name) from None
        return MemoryPointer(UnownedMemory(address, n_bytes, program, runtime.getDevice()), 0)

    def _program(self) -> Program:
        device = runtime.getDevice()
        if device not in self._loaded:
            self._loaded[device] = self._load(device)
        return self._loaded[device]

    def _load(self, device: int) -> Program:
        capability = machine().options.devices[device].compute_capability
        if self.file_path is not None:
            try:
                code, options = nvrtc.read_image(Path(self.file_path).read_bytes())
            except (OSError, ValueError) as error:
                raise CUDADriverError(200, f"{self.file_path}: {error}") from error
            target = next(option for option in options if option.startswith("-arch="))
            if target.startswith("-arch=sm_") and target != f"-arch=sm_{capability}":
                raise CUDADriverError(209, f"{target} on a device of sm_{capability}")
            return nvrtc.load(code, options)
        assert self.code is not None
        try:
            return nvrtc.load(self.code, (*self.options, f"-arch=sm_{capability}"))
        except emulator.CompileError as error:
            raise CompileException(str(error)) from error


class RawKernel:
    """As the `cupy.RawKernel` that a module gives."""

    # What a compiler for the device would say; no test may hang on the figures.
    num_regs = 32
    local_size_bytes = 0
    const_size_bytes = 0

    def __init__(self, program: Program, kernel: Kernel, module: RawModule) -> None:
        self.name = kernel.name
        self.code, self.options, self.backend = module.code, module.options, module.backend
        self._program = program
        self._kernel = kernel
        self._dynamic: dict[int, int] = {}  # by device: most bytes of dynamic shared memory

    @property
    def max_threads_per_block(self) -> int:
        return self._kernel.max_threads

    @property
    def max_dynamic_shared_size_bytes(self) -> int:
        device = runtime.getDevice()
        return self._dynamic.get(device, machine().options.devices[device].shared_bytes)

    @max_dynamic_shared_size_bytes.setter
    def max_dynamic_shared_size_bytes(self, n_bytes: int) -> None:
        device = runtime.getDevice()
        if not 0 <= n_bytes <= machine().options.devices[device].shared_bytes_optin:
            raise CUDADriverError(1, f"{self.name}: {n_bytes} bytes of dynamic shared memory")
        self._dynamic[device] = n_bytes

    @property
    def attributes(self) -> dict[str, int]:
        names = ("max_threads_per_block", "const_size_bytes", "local_size_bytes", "num_regs")
        return {name: getattr(self, name) for name in (*names, "max_dynamic_shared_size_bytes")}

    def __call__(
        self, grid: tuple[int, ...], block: tuple[int, ...], args: Any, *, shared_mem: int = 0
    ) -> None:
        """Launch in the current stream of the current device."""
        launch = runtime.call(self._launch)
        launch(_three("grid", grid), _three("block", block), args, shared_mem)

    def _launch(
        self, grid: tuple[int, int, int], block: tuple[int, int, int], args: Any, shared_mem: int
    ) -> None:
        now = machine()
        spec: DeviceSpec = now.options.devices[now.device]
        stream = get_current_stream().ptr
        if now.queue(stream).device != now.device:
            raise CUDADriverError(400, f"{self.name}: stream of another device")
        self._check_sizes(grid, block, shared_mem, spec)
        packed = self._packed(tuple(args))
        program, kernel, options = self._program, self._kernel, now.options

        def launch() -> None:
            now.launched[kernel.name] += 1
            program.launch_packed(
                *(kernel, grid, block, packed, shared_mem),
                schedule=options.schedule,
                seconds=options.kernel_seconds,
            )

        now.enqueue(stream, launch)

    def _check_sizes(
        self,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        shared_mem: int,
        spec: DeviceSpec,
    ) -> None:
        n_threads = block[0] * block[1] * block[2]
        too_large = [
            *(n > most for n, most in zip(grid, _MOST_BLOCKS, strict=True)),
            *(n > most for n, most in zip(block, _MOST_THREADS, strict=True)),
            n_threads > 1024,
            shared_mem > self._dynamic.get(machine().device, spec.shared_bytes),
        ]
        if any(too_large):
            raise CUDADriverError(
                1, f"{self.name}: grid {grid}, block {block}, {shared_mem} bytes of shared memory"
            )
        if n_threads > self._kernel.max_threads:
            raise CUDADriverError(
                701, f"{self.name}: {n_threads} threads, launch bounds {self._kernel.max_threads}"
            )

    def _packed(self, args: tuple[Any, ...]) -> list[bytes]:
        """The bytes of the arguments, which have to fit the parameters (CUDA would not look)."""
        parameters = self._kernel.parameters
        if len(args) != len(parameters):
            raise TypeError(f"{self.name}: expected {len(parameters)} arguments, got {len(args)}")
        packed = []
        for i, (parameter, arg) in enumerate(zip(parameters, args, strict=True)):
            kind, data = _bytes_of(arg)
            floating = parameter.kind == "f"
            if len(data) != parameter.n_bytes or (floating != (kind == "f") and kind != "s"):
                raise TypeError(
                    f"{self.name}: argument {i}: expected {parameter.n_bytes} bytes of kind "
                    f"{parameter.kind!r}, got {len(data)} bytes of kind {kind!r} ({arg!r})"
                )
            if parameter.kind == "p":
                self._check_pointer(i, int.from_bytes(data, "little"))
            packed.append(data)
        return packed

    def _check_pointer(self, i: int, address: int) -> None:
        now = machine()
        area = now.memory.find(address)
        if address != 0 and (area is None or area.device not in (now.device, -1)):
            where = "no allocation" if area is None else f"memory of device {area.device}"
            raise CUDARuntimeError(
                700,
                f"{self.name}: argument {i}: expected memory of device {now.device}, "
                f"got {address:#x}, {where}",
            )


def _three(name: str, sizes: Any) -> tuple[int, int, int]:
    if not isinstance(sizes, tuple):
        got = type(sizes).__name__
        raise TypeError(f"Argument '{name}' has incorrect type (expected tuple, got {got})")
    x, y, z = (max(1, int(n)) for n in (*sizes, 1, 1)[:3])
    return x, y, z


def _bytes_of(arg: Any) -> tuple[str, bytes]:
    """Kind and bytes of an argument, by CuPy's rules."""
    if arg is None:
        return "p", bytes(8)
    if isinstance(arg, ndarray):
        return "p", arg.data.ptr.to_bytes(8, "little")
    if isinstance(arg, MemoryPointer):
        return "p", arg.ptr.to_bytes(8, "little")
    if isinstance(arg, np.ndarray):
        if arg.size != 1:
            raise TypeError(
                f"You are trying to pass a numpy.ndarray of shape {arg.shape} as a kernel "
                "parameter. Only numpy.ndarrays of size one can be passed by value. If you meant "
                "to pass a pointer to __global__ memory, you need to pass a cupy.ndarray instead."
            )
        return "s", arg.tobytes()
    if isinstance(arg, np.generic) and arg.dtype.kind in "?biuf":
        return ("f" if arg.dtype.kind == "f" else "i"), arg.tobytes()
    if isinstance(arg, bool):
        raise TypeError("a bool: say numpy.int32 or the like, as C++ bool has no size of its own")
    if isinstance(arg, int):
        return "i", np.int64(arg).tobytes()
    if isinstance(arg, float):
        return "f", np.float64(arg).tobytes()
    raise TypeError(f"Unsupported type {type(arg)}")
