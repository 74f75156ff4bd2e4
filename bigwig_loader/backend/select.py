"""Which backend a call gets."""

from __future__ import annotations

import re

from bigwig_loader.backend.protocol import Backend
from bigwig_loader.errors import BackendUnavailableError, InvalidInputError

_DEVICE = re.compile(r"cuda(:\d+)?")


def select_backend(
    device: str = "auto", n_threads: int | None = None, keep_memory: bool = True
) -> Backend:
    """The backend for a device name.

    Parameters
    ----------
    device : str
        ``"cpu"``; ``"cuda"`` or ``"cuda:1"``; ``"auto"`` for the GPU where one can be used and
        the CPU otherwise. The choice and its reason are in the backend's `status`.
    n_threads : int, optional
        Threads of one call; None for the cores available.
    keep_memory : bool
        Whether memory of dropped batches may be kept for new ones.

    Raises
    ------
    InvalidInputError
        For any other name.
    BackendUnavailableError
        For a CUDA device that cannot be used.
    """
    if device not in ("auto", "cpu") and not _DEVICE.fullmatch(device):
        raise InvalidInputError(
            f"argument device: expected 'auto', 'cpu', 'cuda' or 'cuda:N'; got {device!r}"
        )
    if device.startswith("cuda"):
        raise BackendUnavailableError(
            f"device={device!r}: this version has no CUDA backend yet; use device='cpu' or 'auto'"
        )
    from bigwig_loader.backend.cpu.backend import CpuBackend
    from bigwig_loader.backend.cpu.pool import MAX_KEPT_BYTES

    reason = "asked for"
    if device == "auto":
        reason = "device='auto': this version has no CUDA backend"
    return CpuBackend(n_threads, reason, MAX_KEPT_BYTES if keep_memory else 0)
