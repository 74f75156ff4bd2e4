"""Which backend a call gets."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from bigwig_loader.backend.protocol import Backend
from bigwig_loader.errors import BackendUnavailableError, BigWigLoaderError, InvalidInputError

if TYPE_CHECKING:
    from bigwig_loader.backend.cuda.probe import CudaProbe

_DEVICE = re.compile(r"cuda(?::(\d+))?")


def select_backend(
    device: str = "auto",
    n_threads: int | None = None,
    keep_memory: bool = True,
    memory_budget: int | None = None,
) -> Backend:
    """The backend for a device name.

    Parameters
    ----------
    device : str
        ``"cpu"``; ``"cuda"`` for the GPU that is current in the calling thread (the first one,
        unless e.g. ``torch.cuda.set_device`` was called), or ``"cuda:1"``; ``"auto"`` for the
        current GPU where one can be used and the CPU otherwise. The choice and its reason are in
        the backend's `status`.
    n_threads : int, optional
        Threads of one call; None for the cores available.
    keep_memory : bool
        Whether the CPU may keep memory of dropped batches for new ones.
    memory_budget : int, optional
        Bytes that a call may take; a GPU keeps at most a quarter of it. None for no limit.

    Raises
    ------
    InvalidInputError
        For any other name.
    BackendUnavailableError
        For a CUDA device that cannot be used, and in a process forked from one that uses CUDA.
    """
    check_device(device)
    asked = _DEVICE.fullmatch(device)
    reason = "asked for"
    if device != "cpu":
        from bigwig_loader.backend.cuda.probe import probe

        found = probe()
        if found.usable:
            number = int(asked[1]) if asked and asked[1] else None
            try:
                return _cuda(device, number, found, n_threads, memory_budget)
            except BigWigLoaderError as error:
                if asked or os.getpid() != found.process:
                    raise
                reason = f"device='auto': {error}"
        elif asked:
            raise BackendUnavailableError(
                f"device={device!r} cannot be used: {found.reason}. To repair it: {found.command}"
            )
        else:
            reason = f"device='auto': {found.reason}"

    from bigwig_loader.backend.cpu.backend import CpuBackend
    from bigwig_loader.backend.cpu.pool import MAX_KEPT_BYTES

    return CpuBackend(n_threads, reason, MAX_KEPT_BYTES if keep_memory else 0)


def check_device(device: str) -> None:
    """Raise `InvalidInputError` unless it is a name that `select_backend` takes."""
    if device not in ("auto", "cpu") and not _DEVICE.fullmatch(device):
        raise InvalidInputError(
            f"argument device: expected 'auto', 'cpu', 'cuda' or 'cuda:N'; got {device!r}"
        )


def _cuda(
    device: str,
    number: int | None,
    found: CudaProbe,
    n_threads: int | None,
    memory_budget: int | None,
) -> Backend:
    if os.getpid() != found.process:
        raise BackendUnavailableError(
            f"device={device!r} cannot be used in process {os.getpid()}: it was forked from "
            f"process {found.process}, where CUDA is in use. Make batches in the process that "
            "trains (num_workers=0), or start workers with multiprocessing_context='spawn'"
        )
    if number is not None and number >= len(found.devices):
        there = ", ".join(map(str, found.devices))
        raise BackendUnavailableError(
            f"device={device!r} does not exist; expected one of {there}. "
            "CUDA_VISIBLE_DEVICES says which GPUs a process sees"
        )
    from bigwig_loader.backend.cuda.backend import CudaBackend

    reason = "asked for" if device != "auto" else f"device='auto': {found.reason}"
    return CudaBackend(number, n_threads, reason, memory_budget)
