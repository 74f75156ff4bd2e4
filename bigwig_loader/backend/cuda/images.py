"""Machine code of kernels: compiled by NVRTC for one architecture, and kept on disk.

CuPy could compile, too, but it adds ``-ftz=true``, which makes subnormal numbers zero, in
conversions and comparisons as well; results would differ from the CPU's.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import cupy

from bigwig_loader.config import config
from bigwig_loader.errors import BackendUnavailableError

# -fmad=false: a fused multiply-add would round differently from the CPU, whose results are ours.
OPTIONS = ("-std=c++17", "-fmad=false", "-lineinfo")
_FOLDER = "kernels"


def load_module(text: str, name: str, compute_capability: str) -> Any:
    """A `cupy.RawModule` of a source text, loaded on the current device.

    Parameters
    ----------
    text : str
        Without includes.
    name : str
        Of the source, for messages.
    compute_capability : str
        Of the device, e.g. ``"90"``.

    Raises
    ------
    BackendUnavailableError
        If it does not compile: the compiler's log.
    """
    target, suffix = _target(int(compute_capability))
    version = cupy.cuda.nvrtc.getVersion()
    key = hashlib.sha256(repr((text, OPTIONS, target, version)).encode()).hexdigest()[:32]
    folder = config.cache_dir

    def image() -> bytes:
        return compile_text(text, name, target)

    if folder is None:
        return _from_scratch(image(), suffix)
    path = folder / _FOLDER / f"{Path(name).stem}-{key}{suffix}"
    if path.exists():
        with suppress(Exception):  # cut off, or of another driver: made anew
            return _loaded(path)
    return _kept(path, image)


def compile_text(text: str, name: str, target: str) -> bytes:
    """The image of a source text: a cubin for ``sm_90``, PTX for ``compute_90``."""
    nvrtc = cupy.cuda.nvrtc
    program = nvrtc.createProgram(text, name, (), ())
    try:
        try:
            nvrtc.compileProgram(program, (*OPTIONS, f"-arch={target}"))
        except nvrtc.NVRTCError as error:
            log = nvrtc.getProgramLog(program)
            raise BackendUnavailableError(
                f"{name} does not compile for {target}: {error}\n{log}"
            ) from error
        return bytes(nvrtc.getCUBIN(program) if target.startswith("sm_") else nvrtc.getPTX(program))
    finally:
        nvrtc.destroyProgram(program)


def _target(capability: int) -> tuple[str, str]:
    """What to compile for, and the suffix of the image: PTX for a GPU younger than the compiler."""
    known = [int(number) for number in cupy.cuda.nvrtc.getSupportedArchs()]
    if capability in known:
        return f"sm_{capability}", ".cubin"
    older = [number for number in known if number < capability]
    if not older:
        raise BackendUnavailableError(
            f"the GPU has compute capability {capability / 10}, and the compiler (NVRTC) makes "
            f"code for {min(known) / 10} and later; install an older one, e.g. "
            "pip install 'bigwig-loader[cuda12]'"
        )
    return f"compute_{max(older)}", ".ptx"


def _loaded(path: Path) -> Any:
    module = cupy.RawModule(path=str(path))
    module.compile()
    return module


def _kept(path: Path, image: Callable[[], bytes]) -> Any:
    data = image()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(data)
        os.replace(file.name, path)
    except OSError:  # a folder that cannot be written to
        return _from_scratch(data, path.suffix)
    return _loaded(path)


def _from_scratch(data: bytes, suffix: str) -> Any:
    """Load an image by way of a file that does not stay."""
    with tempfile.NamedTemporaryFile(suffix=suffix, delete=False) as file:
        file.write(data)
    try:
        return _loaded(Path(file.name))
    finally:
        os.unlink(file.name)
