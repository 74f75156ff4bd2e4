"""CUDA source texts to libraries that run their kernels on the CPU, compiled once per machine."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
_HEADERS = ("runtime.h", "device.h", "intrinsics.h", "registry.h")
_RUNTIME = ("runtime.cpp", "waiting.h", "guards.h", "state.h", "fiber.h", "runtime.h")
# As the device does: no fused multiply-add, misaligned accesses and bad indices are faults. Large
# frames touch every page, so that none reaches over the guard page into the next stack.
_FLAGS = (
    *("-std=c++17", "-O1", "-g1", "-fPIC", "-w", "-fvisibility=hidden", "-fno-gnu-unique"),
    *("-fno-exceptions", "-fno-rtti", "-fno-strict-aliasing", "-ffp-contract=off"),
    *("-fno-math-errno", "-fno-stack-protector", "-fstack-clash-protection", "-U_FORTIFY_SOURCE"),
)
_CHECKS = ("-fsanitize=alignment,bounds", "-fsanitize-undefined-trap-on-error")
_DYNAMIC = re.compile(
    r"extern\s+__shared__\s+((?:__align__\s*\([^)]*\)\s*|alignas\s*\([^)]*\)\s*)?)"
    r"([\w:<>,\s]+?)\s*\b(\w+)\s*\[\s*\]\s*;"
)
_KERNEL = re.compile(
    r"EMU_KERNEL\s+(?:EMU_BOUNDS\s*\((?P<first>[^;{]*?)\)\s*)?void\s+"
    r"(?:EMU_BOUNDS\s*\((?P<second>[^;{]*?)\)\s*)?(?P<name>\w+)\s*\("
)


class CompileError(Exception):
    """The compiler refused the source text; the message is what it said."""


@dataclass(frozen=True)
class Library:
    """A compiled text: the library, its `__shared__` variables and its global ones by address."""

    path: Path
    shared: list[tuple[int, int]]  # offset in the library, bytes
    variables: dict[str, tuple[int, int]]  # by name: offset in the library, bytes
    anchor: int  # offset of emu_launch, from which the place of the library in memory follows


def compiler() -> str | None:
    """The host compiler, or None where there is none."""
    names = (os.environ.get("CXX", "g++"), "g++", "c++")
    return next((found for name in names if (found := shutil.which(name))), None)


def build(
    text: str,
    *,
    include: Sequence[Path] = (),
    defines: Sequence[str] = (),
    sanitize: str = "",
    architecture: int = 900,
) -> Library:
    """Compile a CUDA source text, or find what an earlier call or process has compiled.

    Parameters
    ----------
    text
        The text that CuPy would get.
    include
        Folders of the headers that it includes, if these are not inlined.
    defines
        Macros, as `NAME` or `NAME=value`.
    sanitize
        Sanitizers beside the checks that always are on, e.g. "address,undefined"; the process has
        to run with the sanitizer's library loaded.
    architecture
        `__CUDA_ARCH__`.

    Raises
    ------
    CompileError
        The compiler refuses the text, or there is no kernel in it.
    """
    flags = [
        *_FLAGS,
        *(f"-I{folder.resolve()}" for folder in include),
        *(f"-D{name}" for name in defines),
    ]
    flags.append(f"-D__CUDA_ARCH__={architecture}")
    flags += _sanitizers(sanitize) if sanitize else _CHECKS
    headers = [text_ for folder in include for text_ in _texts_of(folder)]
    key = _digest(text, *flags, *headers, *(_own_text(name) for name in _HEADERS), _runtime_key())
    folder = _cache_folder() / key
    if not (folder / "library.json").exists():
        _make(folder, lambda made: _compile(text, flags, sanitize, made))
    found = json.loads((folder / "library.json").read_text())
    variables = {name: (place[0], place[1]) for name, place in found["variables"].items()}
    shared = [(place[0], place[1]) for place in found["shared"]]
    return Library(folder / "library.so", shared, variables, found["anchor"])


def _compile(text: str, flags: list[str], sanitize: str, folder: Path) -> None:
    source, whole = folder / "source.cu", folder / "whole.cpp"
    source.write_text(_DYNAMIC.sub(_dynamic_array, text))
    program = _program()
    prelude = ["-I", str(HERE), "-include", "device.h"]
    preprocess = [program, *flags, *prelude, "-x", "c++", "-E", source.name]
    preprocessed = _run(preprocess, folder)
    body, kernels = _named_kernels(preprocessed)
    whole.write_text(body + _table(kernels))
    _run([program, *flags, "-fpreprocessed", "-c", whole.name, "-o", "kernels.o"], folder)
    runtime = str(_runtime(sanitize))
    link = [program, "-shared", "-o", "library.so", "kernels.o", runtime, "-Wl,-Bsymbolic"]
    _run([*link, *_sanitizers(sanitize)], folder)
    names = _run(["nm", "-S", "--defined-only", "library.so"], folder)
    (folder / "library.json").write_text(json.dumps(_symbols(names)))
    for name in ("whole.cpp", "kernels.o"):
        (folder / name).unlink()


def _table(kernels: list[tuple[str, str]]) -> str:
    """The list of kernels, as code behind the text."""
    visible = 'extern "C" __attribute__((visibility("default")))'
    lines = ['\n# 1 "kernels"', f"{visible} const emu::Kernel emu_kernels[];"]
    lines.append("const emu::Kernel emu_kernels[] = {")
    for name, bound in kernels:
        entry = f"emu::Entry<decltype({name}), &{name}>"
        parameters = f"{entry}::n_parameters, {entry}::parameters"
        lines.append(f'  {{"{name}", &{entry}::call, {parameters}, emu::first_bound({bound})}},')
    return "\n".join([*lines, "  {nullptr},", "};", ""])


def _dynamic_array(match: re.Match[str]) -> str:
    """Dynamic shared memory as a pointer to where the emulator has it."""
    _, element, name = match.groups()
    return f"{element}* const {name} = reinterpret_cast<{element}*>(emu::dynamic_shared);"


def _named_kernels(preprocessed: str) -> tuple[str, list[tuple[str, str]]]:
    """The text without the marks of kernels, and their names with their bounds."""
    kernels: dict[str, str] = {}

    def plain(match: re.Match[str]) -> str:
        bound = match["first"] or match["second"] or ""
        kernels[match["name"]] = kernels.get(match["name"]) or " ".join(bound.split())
        return f"void {match['name']}("

    text = _KERNEL.sub(plain, preprocessed)
    if "EMU_KERNEL" in text:
        at = text.index("EMU_KERNEL")
        raise CompileError(f"a kernel that the emulator cannot read: {text[at : at + 200]}")
    if not kernels:
        raise CompileError("no kernel (a function marked __global__) in the source text")
    return text, list(kernels.items())


def _symbols(listing: str) -> dict[str, object]:
    """Shared variables (statics of functions) and global ones, from what `nm -S` prints."""
    shared: list[tuple[int, int]] = []
    variables: dict[str, tuple[int, int]] = {}
    anchor = 0
    for line in listing.splitlines():
        fields = line.split()
        if len(fields) != 4:
            continue
        offset, size, kind, name = int(fields[0], 16), int(fields[1], 16), fields[2], fields[3]
        if name == "emu_launch":
            anchor = offset
        elif name.startswith("_ZZ") and kind in "bBdDuVv":
            shared.append((offset, size))
        elif kind in "bBdDrRuVv" and not name.startswith(("_Z", "emu_")):
            variables[name] = (offset, size)
    return {"shared": shared, "variables": variables, "anchor": anchor}


def _runtime(sanitize: str) -> Path:
    """The scheduler, compiled once for all texts."""
    flags = ["-std=c++17", "-O2", "-g", "-fPIC", "-fvisibility=hidden", "-U_FORTIFY_SOURCE"]
    flags += ["-fno-stack-protector", *_sanitizers(sanitize)]
    folder = _cache_folder() / _digest(_runtime_key(), *flags)
    if not (folder / "runtime.o").exists():
        command = [_program(), *flags, "-c", str(HERE / "runtime.cpp"), "-o", "runtime.o"]
        _make(folder, lambda made: _run(command, made))
    return folder / "runtime.o"


def _sanitizers(names: str) -> list[str]:
    return [f"-fsanitize={names}", "-fno-sanitize-recover=all"] if names else []


def _make(folder: Path, fill: Callable[[Path], object]) -> None:
    """A folder, filled by the first process that wants it; it is there whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{folder}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            return
        made = Path(tempfile.mkdtemp(prefix="making-", dir=folder.parent))
        try:
            fill(made)
            made.rename(folder)
        finally:
            shutil.rmtree(made, ignore_errors=True)


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CompileError(f"{' '.join(command)}\n{done.stderr[-8000:]}")
    return done.stdout


def _program() -> str:
    program = compiler()
    if program is None:
        raise CompileError("no C++ compiler (g++, or what CXX names) to emulate kernels with")
    return program


def _cache_folder() -> Path:
    return Path(tempfile.gettempdir()) / f"cuda-emulator-{os.getuid()}"


def _texts_of(folder: Path) -> list[str]:
    return [path.read_text() for path in sorted(folder.iterdir()) if path.suffix in (".cuh", ".h")]


@functools.cache
def _own_text(name: str) -> str:
    return (HERE / name).read_text()


@functools.cache
def _runtime_key() -> str:
    version = _run([_program(), "--version"], HERE)
    return _digest(version, *(_own_text(name) for name in _RUNTIME), _own_text("build.py"))


def _digest(*texts: str) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(f"{len(text)}:".encode() + text.encode())
    return digest.hexdigest()[:24]
