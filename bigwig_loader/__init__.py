"""Base-resolution genomic signal and sequence, from BigWig and FASTA files to training batches.

The public names are resolved when first asked for, so that ``import bigwig_loader`` stays quick
and needs none of pandas, torch, cupy or jax.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bigwig_loader.bigwig import BigWig
    from bigwig_loader.errors import (
        BackendUnavailableError,
        BigWigLoaderError,
        InvalidDataError,
        InvalidInputError,
        LoaderError,
        NotFoundError,
    )
    from bigwig_loader.formats.genome import Genome

__version__ = "0.1.0"

_HOME = {
    "BackendUnavailableError": "bigwig_loader.errors",
    "BigWig": "bigwig_loader.bigwig",
    "BigWigLoaderError": "bigwig_loader.errors",
    "Genome": "bigwig_loader.formats.genome",
    "InvalidDataError": "bigwig_loader.errors",
    "InvalidInputError": "bigwig_loader.errors",
    "LoaderError": "bigwig_loader.errors",
    "NotFoundError": "bigwig_loader.errors",
}

__all__ = [
    "BackendUnavailableError",
    "BigWig",
    "BigWigLoaderError",
    "Genome",
    "InvalidDataError",
    "InvalidInputError",
    "LoaderError",
    "NotFoundError",
    "__version__",
]


def __getattr__(name: str) -> object:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
