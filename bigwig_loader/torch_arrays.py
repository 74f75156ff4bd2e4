"""Arrays as torch tensors: shared memory, PyTorch's streams, and which GPU is PyTorch's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
import torch.utils.dlpack

from bigwig_loader.assemble.device_arrays import CUDA, is_bfloat16, is_device_array
from bigwig_loader.errors import BackendUnavailableError


def to_tensor(array: Any) -> Any:
    """A tensor that shares the array's memory.

    Parameters
    ----------
    array : numpy.ndarray, or any array with DLPack
        bfloat16 (that of `ml_dtypes`; of CuPy, which lacks it, uint16) becomes `torch.bfloat16`.
        What is neither (a list of str, a tensor, an array of str) is returned as it is.

    Raises
    ------
    BackendUnavailableError
        For an array on a GPU that PyTorch cannot use.
    """
    if isinstance(array, np.ndarray):
        if array.dtype.name == "bfloat16":
            # torch cannot take this dtype of NumPy's, but the same bits as integers.
            return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
        return torch.from_numpy(array) if array.dtype.kind in "biufc" else array
    if torch.is_tensor(array) or not hasattr(array, "__dlpack__"):
        return array
    if array.__dlpack_device__()[0] == CUDA and not torch.cuda.is_available():
        raise BackendUnavailableError(
            f"batches are made on a GPU, and this PyTorch ({torch.__version__}) has no CUDA: "
            "install one that has (https://pytorch.org/get-started), or use device='cpu'"
        )
    if is_device_array(array) and is_bfloat16(array):
        return torch.utils.dlpack.from_dlpack(array.view(np.int16)).view(torch.bfloat16)
    return torch.utils.dlpack.from_dlpack(array)


def torch_device(device: str) -> str:
    """A device name for a data set whose batches PyTorch takes.

    ``"cuda"`` and ``"auto"`` become PyTorch's current GPU, as ``torch.cuda.set_device`` chose it,
    so each process of a multi-GPU run makes batches on its own. ``"auto"`` is the CPU where
    PyTorch has no CUDA.
    """
    if device not in ("auto", "cuda"):
        return device
    if torch.cuda.is_available():
        from bigwig_loader.backend.cuda.probe import probe

        if device == "cuda" or probe().usable:
            return f"cuda:{torch.cuda.current_device()}"
        return device
    return "cpu" if device == "auto" else device


def consumer_stream(tensors: Iterable[Any]) -> int | None:
    """PyTorch's current stream on the GPU that holds tensors; None where none is on a GPU."""
    for tensor in tensors:
        if torch.is_tensor(tensor) and tensor.is_cuda:
            return int(torch.cuda.current_stream(tensor.device).cuda_stream)
    return None


def pinned(tensor: Any) -> Any:
    """A tensor in page-locked memory; as it is where it is on a GPU already, or is no tensor."""
    return tensor.pin_memory() if torch.is_tensor(tensor) and not tensor.is_cuda else tensor
