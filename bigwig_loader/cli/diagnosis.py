"""What `doctor` looks at. Optional libraries are looked up, not imported, but for those of CUDA:
whether they work shows only when they are used."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
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
    from bigwig_loader.backend.select import select_backend
    from bigwig_loader.backend.threads import available_threads

    cores = Check("cores", "ok", f"{available_threads()} available of {os.cpu_count()}")
    try:
        chosen = select_backend("auto").status
        status = select_backend("cpu").status
    except BigWigLoaderError as error:
        command = "pip install --force-reinstall --no-deps bigwig-loader"
        return [cores, Check("cpu backend", "failed", str(error), command)]
    details = dict(status.details)
    inflate, library = details.get("inflate", "unknown"), details.get("library", "unknown")
    fast = inflate.startswith("libdeflate")
    return [
        cores,
        Check("device 'auto'", "ok", f"{chosen.name} ({chosen.reason})"),
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
    from bigwig_loader.backend.cuda.probe import probe, version_text

    found = probe()
    if found.driver == 0:
        return [Check("cuda driver", "missing", "no NVIDIA driver: this machine has no usable GPU")]
    checks = [Check("cuda driver", "ok", f"CUDA {version_text(found.driver)}; {_gpus()}")]
    if found.cupy:
        made_for = f"{found.cupy}, made for CUDA {version_text(found.runtime)}"
        checks.append(Check("cupy", "ok", made_for))
    if not found.usable:
        return [*checks, Check("device 'cuda'", "missing", found.reason, found.command)]
    devices = "; ".join(map(str, found.devices))
    return [*checks, Check("device 'cuda'", "ok", devices), *_cuda_routes(found.driver)]


def _cuda_routes(driver: int) -> list[Check]:
    """The libraries a GPU may be fed with, and which of them are used and why."""
    from bigwig_loader.backend.cuda.backend import NONE
    from bigwig_loader.backend.cuda.kvikio_reads import find_kvikio
    from bigwig_loader.backend.cuda.nvcomp import Nvcomp
    from bigwig_loader.backend.cuda.probe import install_command
    from bigwig_loader.backend.select import select_backend

    install = install_command(driver)
    kvikio, nvcomp = find_kvikio(), Nvcomp.find()
    if isinstance(kvikio, str):
        checks = [Check("kvikio", "missing", kvikio, install)]
    else:
        checks = [Check("kvikio", "ok", kvikio.reason)]
    if isinstance(nvcomp, str):
        checks.append(Check("nvcomp", "missing", nvcomp, install))
    else:
        checks.append(Check("nvcomp", "ok", nvcomp.version))
    try:
        details = select_backend("cuda").status.details
    except BigWigLoaderError as error:
        return [*checks, Check("cuda backend", "missing", str(error), "nvidia-smi")]
    for part, setting in (("reads", "READ"), ("inflate", "INFLATE")):
        if details[part].startswith(NONE):
            command = f"unset BIGWIG_LOADER_{setting}"
            checks.append(Check(f"cuda {part}", "missing", details[part], command))
        else:
            checks.append(Check(f"cuda {part}", "ok", details[part]))
    return checks


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
