"""Settings from the environment, read each time they are asked for.

=====================================  =====================================================
variable                               what it sets
=====================================  =====================================================
``BIGWIG_LOADER_EXAMPLE_DATA_DIR``     `example_data_dir`: folder of the example data
``BIGWIG_LOADER_BIGWIG_DIR``           `bigwig_dir`: folder of BigWig files
``BIGWIG_LOADER_REFERENCE_GENOME``     `reference_genome`: a FASTA file
``BIGWIG_LOADER_CACHE_DIR``            `cache_dir`: where indices are kept between runs
``BIGWIG_LOADER_VERIFY``               `verify`: when the checksums of data are compared
``BIGWIG_LOADER_READ``                 `read`: how a CUDA device gets what is in files
``BIGWIG_LOADER_INFLATE``              `inflate`: what inflates on a CUDA device
=====================================  =====================================================

Both ``from bigwig_loader import config`` and ``from bigwig_loader.config import config`` give
something that has these names. Nothing is read when the module is imported, so a variable that is
set later counts.

Examples
--------
>>> from bigwig_loader import config
>>> config.verify
'once'
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, TypeVar

from bigwig_loader.errors import InvalidInputError

Verify = Literal["once", "always", "never"]
Read = Literal["auto", "kvikio", "host"]
Inflate = Literal["auto", "kernel", "nvcomp"]
Choice = TypeVar("Choice", bound=str)

PREFIX = "BIGWIG_LOADER_"
VERIFY_CHOICES: tuple[Verify, ...] = ("once", "always", "never")
READ_CHOICES: tuple[Read, ...] = ("auto", "kvikio", "host")
INFLATE_CHOICES: tuple[Inflate, ...] = ("auto", "kernel", "nvcomp")


class Config:
    """The settings; each is looked up in the environment when it is asked for.

    Raises
    ------
    InvalidInputError
        Where a value cannot be used, or a default would need a home directory and there is none.
    """

    @property
    def example_data_dir(self) -> Path:
        """Folder of the example data.

        By default ``example_data`` in the user's cache folder for this package: that of
        ``XDG_CACHE_HOME``, or ``~/.cache/bigwig_loader``. It need not exist yet.
        """
        return _path("EXAMPLE_DATA_DIR") or _user_cache("EXAMPLE_DATA_DIR") / "example_data"

    @property
    def bigwig_dir(self) -> Path:
        """Folder of BigWig files; by default ``bigwig`` in `example_data_dir`."""
        return _path("BIGWIG_DIR") or self.example_data_dir / "bigwig"

    @property
    def reference_genome(self) -> Path:
        """FASTA file; by default ``hg38.fa`` in `example_data_dir`."""
        return _path("REFERENCE_GENOME") or self.example_data_dir / "hg38.fa"

    @property
    def cache_dir(self) -> Path | None:
        """Where indices are kept between runs; by default the user's cache folder.

        None, so that nothing is kept, where ``BIGWIG_LOADER_CACHE_DIR`` is set but empty, or
        where there is no home directory.
        """
        given = os.environ.get(PREFIX + "CACHE_DIR")
        if given is not None:
            return _path("CACHE_DIR")
        try:
            return _user_cache("CACHE_DIR")
        except InvalidInputError:
            return None

    @property
    def verify(self) -> Verify:
        """When the checksum of a data block is compared.

        ``"once"``, the default: when it is first read in a process. ``"always"``: whenever it is
        read. ``"never"``: such a block is taken to be whole and its items to be in order, also
        behind the point where reading stops.
        """
        return _choice("VERIFY", VERIFY_CHOICES, "once")

    @property
    def read(self) -> Read:
        """How a CUDA device gets what is in files.

        ``"host"``: threads read into page-locked memory, and one copy takes it to the device.
        ``"kvikio"``: kvikio reads into device memory. ``"auto"``, the default: kvikio for large
        reads where it has GPUDirect Storage, else the other.
        """
        return _choice("READ", READ_CHOICES, "auto")

    @property
    def inflate(self) -> Inflate:
        """What inflates data blocks on a CUDA device.

        ``"kernel"``: our own kernel, which stops at the last base wanted and is safe on any input.
        ``"nvcomp"``: nvCOMP, which inflates blocks whole; for files from a source that is trusted.
        ``"auto"``, the default: our own kernel.
        """
        return _choice("INFLATE", INFLATE_CHOICES, "auto")

    def __repr__(self) -> str:
        return "Config(" + ", ".join(f"{name}={getattr(self, name)!r}" for name in SETTINGS) + ")"


SETTINGS = (
    *("example_data_dir", "bigwig_dir", "reference_genome", "cache_dir"),
    *("verify", "read", "inflate"),
)

config = Config()


def __getattr__(name: str) -> object:
    if name in SETTINGS:
        return getattr(config, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *SETTINGS})


def _choice(name: str, choices: tuple[Choice, ...], default: Choice) -> Choice:
    """The value of a variable that has to be one of `choices`."""
    value = os.environ.get(PREFIX + name) or default
    for choice in choices:
        if value == choice:
            return choice
    expected = ", ".join(map(repr, choices))
    raise InvalidInputError(
        f"environment variable {PREFIX + name}: expected one of {expected}; got {value!r}"
    )


def _path(name: str) -> Path | None:
    """The path in a variable, with ``~`` expanded; None where it is unset or empty."""
    value = os.environ.get(PREFIX + name)
    if not value:
        return None
    try:
        return Path(value).expanduser()
    except RuntimeError as error:
        raise InvalidInputError(
            f"environment variable {PREFIX + name}: no home directory for {value!r}"
        ) from error


def _user_cache(wanted_by: str) -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    # The XDG base directory specification: relative paths are invalid and to be ignored.
    if base and os.path.isabs(base):
        return Path(base) / "bigwig_loader"
    try:
        return Path.home() / ".cache" / "bigwig_loader"
    except RuntimeError as error:
        raise InvalidInputError(
            f"no default for {PREFIX}{wanted_by}: expected XDG_CACHE_HOME or a home directory; "
            f"found neither. Set {PREFIX}{wanted_by}"
        ) from error
