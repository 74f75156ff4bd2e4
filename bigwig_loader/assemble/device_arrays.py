"""Arrays in the memory of a GPU, as whoever takes them over sees them; CuPy is not named.

CuPy has no bfloat16. Batches of that dtype hold the same bits as uint16 on a GPU, which nothing
else here is; adapters give them their type.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

# Of DLPack.
CUDA = 2


def is_device_array(array: object) -> bool:
    """Whether it is an array of CuPy."""
    return hasattr(array, "__cuda_array_interface__") and hasattr(array, "get")


def is_bfloat16(array: Any) -> bool:
    """Whether an array of CuPy stands for bfloat16."""
    return bool(array.dtype == np.uint16)


def host_array(array: Any) -> npt.NDArray[Any]:
    """A copy of an array of CuPy in host memory, bfloat16 in its own type."""
    copied: npt.NDArray[Any] = array.get()
    if is_bfloat16(array):
        import ml_dtypes

        return copied.view(ml_dtypes.bfloat16)
    return copied
