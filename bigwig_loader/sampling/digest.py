"""Short hashes of what decides which examples are drawn, to check that a saved state fits."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np


def digest(*parts: object) -> str:
    """Short hash of arrays, strings and numbers; the same on every machine and in every run."""
    sha = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            little_endian = part.astype(part.dtype.newbyteorder("<"))
            sha.update(f"{part.dtype.kind}{part.shape}".encode() + little_endian.tobytes())
        else:
            sha.update(repr(part).encode())
        sha.update(b"\0")
    return sha.hexdigest()[:16]


def sampler_fingerprint(sampler: object) -> str:
    """The sampler's own ``fingerprint()``; the name of its type where it has none."""
    own = getattr(sampler, "fingerprint", None)
    return str(own()) if callable(own) else type(sampler).__qualname__


def function_name(function: Callable[..., Any]) -> str:
    """What of a function is the same in every run: module and name, not what it computes."""
    while isinstance(function, functools.partial):
        function = function.func
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"
