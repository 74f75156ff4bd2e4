"""Memory that writing may take: the budget of a call, divided before anything is allocated."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from bigwig_loader.errors import InvalidInputError

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?\s*", re.IGNORECASE)
# A worker process: Python, NumPy, a library that reads variants, this package.
WORKER_BYTES = 160 << 20
# What modules imported on the way take in this process, beyond what it has now.
_MARGIN_BYTES = 64 << 20
# So much more is asked for than was found too little: the next call finds more held.
_SLACK_BYTES = 16 << 20


def parse_bytes(size: int | str, argument: str = "max_mem") -> int:
    """Bytes of ``4_000_000``, ``"500m"``, ``"1.5g"`` or ``"4 GiB"``; units are powers of 1,024.

    Raises
    ------
    InvalidInputError
        For anything else, and for no bytes.
    """
    n = None
    if isinstance(size, str):
        match = _SIZE.fullmatch(size)
        n = int(float(match[1]) * _UNITS[match[2].lower()]) if match else None
    elif type(size) is int:  # not a bool
        n = size
    if n is None or n < 1:
        raise InvalidInputError(
            f"argument {argument}: expected a number of bytes or a text like '4g'; got {size!r}"
        )
    return n


def format_bytes(n: int) -> str:
    """A size as `parse_bytes` reads it, rounded up to whole MiB."""
    return f"{-(-n // (1 << 20))}m"


def resident_bytes() -> int:
    """Memory that this process holds now; what it has held at most, where that is not known."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak << 10
    import os

    return pages * os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Budget:
    """What each of some tasks that run side by side may allocate.

    Parameters
    ----------
    max_bytes : int
        What all processes of the call may take together.
    n_jobs : int
        Tasks at a time: 1 runs in this process, more in processes of their own.
    held_bytes : int
        What this process held when the call began. What later stages find held was allocated by
        earlier ones and can be used again.
    """

    max_bytes: int
    n_jobs: int
    held_bytes: int

    @property
    def fixed_bytes(self) -> int:
        """What is taken whatever is done."""
        workers = self.n_jobs * WORKER_BYTES if self.n_jobs > 1 else 0
        return self.held_bytes + _MARGIN_BYTES + workers

    def per_task(self, needed_bytes: int, what: str) -> int:
        """Bytes that each task may allocate.

        Parameters
        ----------
        needed_bytes : int
            The least that one task takes.
        what : str
            What takes it, for the message.

        Raises
        ------
        InvalidInputError
            If the budget is too small, with the smallest one that would do.
        """
        fixed = self.fixed_bytes
        each = (self.max_bytes - fixed) // self.n_jobs
        if each < needed_bytes:
            least = fixed + needed_bytes * self.n_jobs + _SLACK_BYTES
            fewer = ", or fewer n_jobs" if self.n_jobs > 1 else ""
            raise InvalidInputError(
                f"argument max_mem is too small: {what} takes {format_bytes(needed_bytes)}, and "
                f"processes as they are {format_bytes(fixed)}; expected at least "
                f"max_mem={format_bytes(least)!r} with n_jobs={self.n_jobs}; got "
                f"{format_bytes(self.max_bytes)!r}. Give that much{fewer}"
            )
        return each
