"""What `doctor` looks at. Optional libraries are looked up, not imported."""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bigwig_loader.errors import BigWigLoaderError

State = Literal["ok", "missing", "failed"]

# Name, distributions any of which is enough, extra of this package that brings it, what it is for.
_OPTIONAL = (
    ("torch", ("torch",), "torch", "PyTorch data sets"),
    ("jax", ("jax",), "jax", "JAX arrays"),
    ("pyBigWig", ("pyBigWig",), "bench", "only compared with"),
    ("pybigtools", ("pybigtools",), "bench", "only compared with"),
    ("figwig", ("figwig",), "bench", "only compared with"),
    ("aiohttp", ("aiohttp",), "remote", "files by http"),
    ("matplotlib", ("matplotlib",), "demo", "pictures of show and demo"),
)
_CUDA = (
    ("cupy", ("cupy-cuda13x", "cupy-cuda12x", "cupy-cuda11x", "cupy")),
    ("kvikio", ("kvikio-cu13", "kvikio-cu12", "kvikio")),
    ("nvcomp", ("nvidia-nvcomp-cu13", "nvidia-nvcomp-cu12")),
)
_PROBE_SECONDS = 10


@dataclass(frozen=True)
class Check:
    """One line of the diagnosis.

    Parameters
    ----------
    name : str
    state : {"ok", "missing", "failed"}
        "missing" is something optional; "failed" something the package cannot do without.
    found : str
        What there is, or why there is none.
    command : str
        What installs or repairs it; empty where nothing needs to be done.
    """

    name: str
    state: State
    found: str
    command: str = ""


def diagnose() -> list[Check]:
    """Look at the machine, the backends, the settings and the optional libraries."""
    python = f"{platform.python_version()}, {platform.platform()}"
    return [
        Check("python", "ok", python),
        *_cpu(),
        *_settings(),
        *_cuda(),
        *(_optional(*row) for row in _OPTIONAL),
    ]


def _cpu() -> list[Check]:
    from bigwig_loader.backend.cpu.backend import available_threads
    from bigwig_loader.backend.select import select_backend

    cores = Check("cores", "ok", f"{available_threads()} available of {os.cpu_count()}")
    try:
        status = select_backend("auto").status
    except BigWigLoaderError as error:
        command = "pip install --force-reinstall --no-deps bigwig-loader"
        return [cores, Check("cpu backend", "failed", str(error), command)]
    details = dict(status.details)
    inflate, library = details.get("inflate", "unknown"), details.get("library", "unknown")
    fast = inflate.startswith("libdeflate")
    return [
        cores,
        Check("device 'auto'", "ok", f"{status.name} ({status.reason})"),
        Check("cpu library", "ok", library),
        Check(
            "inflate",
            "ok" if fast else "missing",
            inflate,
            "" if fast else "pip install deflate",
        ),
    ]


def _settings() -> list[Check]:
    from bigwig_loader.config import config

    try:
        verify: str = config.verify
        folder = config.cache_dir
    except BigWigLoaderError as error:
        return [Check("settings", "failed", str(error))]
    checks = [Check("verify", "ok", f"checksums: {verify} (BIGWIG_LOADER_VERIFY)")]
    if folder is None:
        found = "none, so indices are read anew each time (BIGWIG_LOADER_CACHE_DIR)"
    else:
        n_files, n_bytes = _folder_size(folder)
        found = f"{folder}, {n_files} files, {n_bytes / 1e6:,.1f} MB"
    return [*checks, Check("index cache", "ok", found)]


def _folder_size(folder: Path) -> tuple[int, int]:
    """Files below a folder and their bytes; example data may lie there too and is not counted."""
    sizes = [path.stat().st_size for path in (folder / "index").glob("*") if path.is_file()]
    return len(sizes), sum(sizes)


def _cuda() -> list[Check]:
    driver = _driver_version()
    if driver is None:
        return [Check("cuda driver", "missing", "no NVIDIA driver: this machine has no usable GPU")]
    major = 13 if driver >= 13_000 else 12
    version = f"CUDA {driver // 1000}.{driver % 1000 // 10}"
    checks = [Check("cuda driver", "ok", f"{version}; {_gpus()}")]
    for name, distributions in _CUDA:
        found = _installed(distributions)
        command = "" if found else f"pip install 'bigwig-loader[cuda{major}]'"
        state: State = "ok" if found else "missing"
        checks.append(Check(name, state, found or "not installed", command))
    return checks


def _driver_version() -> int | None:
    """Newest CUDA version the driver supports, as 1000 * major + 10 * minor; None without one."""
    name = "libcuda.dylib" if sys.platform == "darwin" else "libcuda.so.1"
    try:
        driver = ctypes.CDLL(name)
    except OSError:
        return None
    version = ctypes.c_int()
    # The one call of the driver that needs no initialisation.
    return version.value if driver.cuDriverGetVersion(ctypes.byref(version)) == 0 else None


def _gpus() -> str:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "nvidia-smi not found, so GPUs are not listed"
    query = [tool, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(
            query, capture_output=True, text=True, timeout=_PROBE_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"nvidia-smi failed: {error}"
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    return "; ".join(lines) if done.returncode == 0 and lines else "no GPU listed by nvidia-smi"


def _optional(name: str, distributions: tuple[str, ...], extra: str, purpose: str) -> Check:
    found = _installed(distributions)
    if found:
        return Check(name, "ok", f"{found} ({purpose})")
    command = f"pip install 'bigwig-loader[{extra}]'"
    return Check(name, "missing", f"not installed ({purpose})", command)


def _installed(distributions: tuple[str, ...]) -> str:
    """Name and version of the first of the distributions that is installed, or nothing."""
    for name in distributions:
        try:
            return f"{name} {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            continue
    return ""
