"""Optional packages, imported when a file needs them."""

from __future__ import annotations

import importlib
from typing import Any

from bigwig_loader.errors import BackendUnavailableError

_INSTALL = {
    "cyvcf2": "pip install 'bigwig-loader[variants]'",
    "pgenlib": "pip install 'bigwig-loader[variants]'",
    "pyarrow.feather": "pip install pyarrow",
}


def package(name: str, what: str) -> Any:
    """A package that reading some kind of file needs.

    Raises
    ------
    BackendUnavailableError
        If it is not installed: says what needs it and how to get it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise BackendUnavailableError(
            f"reading {what} needs the package {name.partition('.')[0]}, which cannot be imported "
            f"({error}). Run: {_INSTALL[name]}"
        ) from error
