"""Comparing batches, wherever their arrays are."""

from __future__ import annotations

from typing import Any

import numpy as np

from bigwig_loader.assemble.batch import ARRAY_FIELDS, Batch
from bigwig_loader.assemble.device_arrays import host_array, is_device_array


def on_host(array: Any) -> Any:
    """The array as NumPy's; bfloat16 of a GPU in its own type."""
    return host_array(array) if is_device_array(array) else array


def assert_same(one: Batch, other: Batch) -> None:
    """All that two batches hold is equal, to the bit, and of the same dtype."""
    for name in (*ARRAY_FIELDS, "chromosomes"):
        a, b = (on_host(getattr(batch, name)) for batch in (one, other))
        assert (a is None) == (b is None), name
        if isinstance(a, list):  # letters
            assert a == b, name
        elif a is not None:
            assert a.dtype == b.dtype, name
            np.testing.assert_array_equal(a, b, err_msg=name)
    for name in ("track_names", "epoch", "index"):
        assert getattr(one, name) == getattr(other, name), name
