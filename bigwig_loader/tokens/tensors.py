"""The arrays of a batch as those of another library, copied only to another device."""

from __future__ import annotations

from typing import Any

import numpy as np

from bigwig_loader.backend.protocol import Backend
from bigwig_loader.errors import BackendUnavailableError, InvalidInputError
from bigwig_loader.tokens.outputs import TokenBatch


def to_torch(batch: TokenBatch) -> TokenBatch:
    """The same batch with torch tensors on the CPU, which share its memory.

    Raises
    ------
    BackendUnavailableError
        If torch is not installed.
    """
    try:
        import torch
    except ModuleNotFoundError as error:
        raise BackendUnavailableError(
            "return_tensors='pt' needs PyTorch, which is not installed: "
            "pip install 'bigwig-loader[torch]'"
        ) from error

    def tensor(value: Any) -> Any:
        return torch.from_numpy(value) if isinstance(value, np.ndarray) else value

    return TokenBatch({name: tensor(value) for name, value in batch.items()}, batch.names)


def to_cupy(batch: TokenBatch, backend: Backend) -> TokenBatch:
    """The same batch with CuPy arrays, for the calling thread's current stream.

    Parameters
    ----------
    batch : TokenBatch
        Of NumPy arrays.
    backend : Backend
        That of a GPU.

    Raises
    ------
    InvalidInputError
        If it is the CPU's.
    """
    if backend.status.name == "cpu":
        raise InvalidInputError(
            "argument return_tensors: expected 'np' or 'pt' on the CPU; got 'cp'. "
            f"Make the tokenizer with device='cuda'. This is {backend.status}"
        )

    def array(value: Any) -> Any:
        if not isinstance(value, np.ndarray):
            return value
        made = backend.to_device(value)
        backend.hand_over(made)
        return made

    return TokenBatch({name: array(value) for name, value in batch.items()}, batch.names)
