"""The readers that are compared, behind one interface.

The job is the same for all: the values of B windows of one length from T open files, as one
float32 array (B, N, T) with 0 where there is no data. Readers that deliver one file, or one window,
at a time have that put together here, the quickest way we know; `read_raw` leaves it out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt

from benchmarks.peers.request import Request

Float32Array = npt.NDArray[np.float32]


class Reader(Protocol):
    """T open files.

    Attributes
    ----------
    name : str
    one_by_one : bool
        Whether it reads one window per call, so that a part of a batch stands for all of it.
    """

    name: str
    one_by_one: bool

    def variants(self, bin_size: int) -> tuple[str, ...]:
        """Ways to do it; the quickest one counts."""

    def prepare(self) -> None:
        """Before every measurement, untimed: forget decoded data, so that none is served again."""

    def read(self, request: Request, out: Float32Array, variant: str) -> None:
        """Fill `out` (B, N, T)."""

    def read_raw(self, request: Request, variant: str) -> None:
        """Base resolution in the reader's own form, without putting it together."""


def open_peers(paths: list[str]) -> list[Reader]:
    """The other readers that are installed."""
    from benchmarks.peers.figwig_reader import FigwigReader
    from benchmarks.peers.pybigtools_reader import PybigtoolsReader
    from benchmarks.peers.pybigwig_reader import PyBigWigReader

    kinds: list[Callable[[list[str]], Reader]] = [FigwigReader, PybigtoolsReader, PyBigWigReader]
    peers = []
    for kind in kinds:
        try:
            peers.append(kind(paths))
        except ImportError as error:
            print(f"left out: {error}", flush=True)
    return peers
