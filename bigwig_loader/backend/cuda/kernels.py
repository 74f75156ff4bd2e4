"""The kernels of `cuda_kernels`: their sources as one text each, compiled where they run.

What is compiled is kept on disk (`images.py`) under a key that is made of the source text. So the
headers are put into the text, and an edited one never runs as its old self.
"""

from __future__ import annotations

import functools
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bigwig_loader.backend.cuda.images import load_module
from bigwig_loader.errors import BackendUnavailableError, InvalidInputError

if TYPE_CHECKING:
    from bigwig_loader.backend.cuda.device import Device, Stream

    Argument = int | np.generic[Any]

MAX_GRID = (2**31 - 1, 65_535, 65_535)
MAX_BLOCK = (1_024, 1_024, 64)
MAX_BLOCK_THREADS = 1_024
# More dynamic shared memory than this is asked for, kernel by kernel: what a kernel has of fixed
# size counts towards the 48 KiB that need no asking, too.
PLAIN_SHARED_BYTES = 16 * 1_024
_INCLUDE = re.compile(r'\s*#\s*include\s+"([^"]+)"')
_PRAGMA_ONCE = re.compile(r"\s*#\s*pragma\s+once\s*")
_COMPILING = threading.Lock()


def source_folder() -> Path:
    """Where the sources are: in the installed package, or beside it in a checkout."""
    package = Path(__file__).parents[2]
    installed = package / "cuda_kernels"
    return installed if installed.is_dir() else package.parent / "cuda_kernels"


@functools.cache
def source_text(name: str) -> str:
    """A source with everything it includes by ``#include "..."`` in place, each file once.

    Messages of the compiler still name the file and line.

    Parameters
    ----------
    name : str
        File of `cuda_kernels`, e.g. ``"inflate.cu"``.

    Raises
    ------
    BackendUnavailableError
        If a file is missing.
    """
    folder = source_folder()
    return "\n".join(_lines(folder / name, folder, set())) + "\n"


def _lines(path: Path, folder: Path, seen: set[Path]) -> list[str]:
    seen.add(path.resolve())
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BackendUnavailableError(
            f"kernel source {path} cannot be read: {error}. "
            "Install the package again: pip install --force-reinstall --no-deps bigwig-loader"
        ) from error
    name = path.resolve().relative_to(folder.resolve()).as_posix()
    lines = [f'#line 1 "{name}"']
    for number, line in enumerate(text.splitlines(), start=1):
        include = _INCLUDE.match(line)
        if include:
            header = path.parent / include[1]
            if header.resolve() not in seen:
                lines += _lines(header, folder, seen)
            lines.append(f'#line {number + 1} "{name}"')
        else:
            lines.append("" if _PRAGMA_ONCE.fullmatch(line) else line)
    return lines


class Kernels:
    """The kernels of one source on one device; compiled when one is first launched.

    Parameters
    ----------
    device : Device
    source : str
        File of `cuda_kernels`.
    """

    def __init__(self, device: Device, source: str) -> None:
        self._device = device
        self._source = source
        self._module: Any = None
        self._functions: dict[str, Any] = {}
        self._shared_bytes: dict[str, int] = {}

    def launch(
        self,
        name: str,
        grid: int | tuple[int, ...],
        block: int | tuple[int, ...],
        args: Sequence[Argument],
        stream: Stream,
        shared_bytes: int = 0,
    ) -> None:
        """Launch a kernel, in order of the stream.

        Parameters
        ----------
        name : str
            The kernel.
        grid : int or tuple of int
            Blocks of threads; with a 0 in it nothing is launched.
        block : int or tuple of int
            Threads of a block.
        args : sequence
            Integers are passed as 64 bits (addresses, int64_t), NumPy scalars as they are.
        stream : Stream
        shared_bytes : int
            Dynamic shared memory of a block of threads.

        Raises
        ------
        InvalidInputError
            For a launch that no device can do.
        BackendUnavailableError
            If the source does not compile here: the compiler's log.
        LoaderError
            If CUDA refuses.
        """
        blocks = grid if isinstance(grid, tuple) else (grid,)
        threads = block if isinstance(block, tuple) else (block,)
        if 0 in blocks:
            return
        self._check(name, blocks, threads, shared_bytes)
        packed = tuple(map(_packed, args))
        with self._device.current():
            function = self._function(name, shared_bytes)
            with stream.as_current():
                function(blocks, threads, packed, shared_mem=shared_bytes)

    def function(self, name: str) -> Any:
        """CuPy's object of a kernel, e.g. for its `num_regs` and `local_size_bytes`."""
        with self._device.current():
            return self._function(name, 0)

    def _function(self, name: str, shared_bytes: int) -> Any:
        function = self._functions.get(name)
        if function is None:
            with _COMPILING:
                function = self._functions[name] = self._compile(name)
        if shared_bytes > self._shared_bytes.get(name, PLAIN_SHARED_BYTES):
            with _COMPILING:  # only ever more, whichever thread comes first
                if shared_bytes > self._shared_bytes.get(name, PLAIN_SHARED_BYTES):
                    function.max_dynamic_shared_size_bytes = shared_bytes
                    self._shared_bytes[name] = shared_bytes
        return function

    def _compile(self, name: str) -> Any:
        try:
            if self._module is None:
                text = source_text(self._source)
                self._module = load_module(text, self._source, self._device.compute_capability)
            return self._module.get_function(name)
        except Exception as error:  # of many kinds: compiler, loader, missing libraries, disk
            raise BackendUnavailableError(
                f"kernel {name} of {self._source} cannot be used on {self._device} "
                f"({self._device.name}, sm_{self._device.compute_capability}): "
                f"{type(error).__name__}: {error}. `bigwig-loader doctor` says what is installed"
            ) from error

    def _check(
        self, name: str, grid: tuple[int, ...], block: tuple[int, ...], shared_bytes: int
    ) -> None:
        for what, size, limits in (("grid", grid, MAX_GRID), ("block", block, MAX_BLOCK)):
            fits = 1 <= len(size) <= 3 and all(
                1 <= n <= limit for n, limit in zip(size, limits, strict=False)
            )
            if not fits:
                raise InvalidInputError(
                    f"kernel {name}: expected a {what} of 1 to {limits}; got {size}"
                )
        n_threads = int(np.prod(block))
        if n_threads > MAX_BLOCK_THREADS:
            raise InvalidInputError(
                f"kernel {name}: expected at most {MAX_BLOCK_THREADS} threads in a block; "
                f"got {n_threads}"
            )
        if not 0 <= shared_bytes <= self._device.shared_bytes:
            raise InvalidInputError(
                f"kernel {name}: expected 0 to {self._device.shared_bytes} bytes of shared memory "
                f"on {self._device}; got {shared_bytes}"
            )


def _packed(value: Argument) -> np.generic[Any]:
    if isinstance(value, np.generic):
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidInputError(
            f"kernel argument: expected an integer or a NumPy scalar; got {value!r}"
        )
    return np.int64(value)
