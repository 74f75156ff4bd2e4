"""A CPU backend that does what it is asked with ``wait=False`` only when it is waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from bigwig_loader.backend.cpu.backend import CpuBackend
from bigwig_loader.backend.cpu.signal import CpuSignalReader

# What memory holds before its values come.
NOT_YET = 77


class LateBackend(CpuBackend):
    """As late as allowed, and it counts.

    Attributes
    ----------
    n_in_flight, most_in_flight : int
        Pieces of work that were asked for and not waited for: `Pending` objects of one request.
    handed_over : list of (array, stream, thread)
    """

    lookahead = 2

    def __init__(self, n_threads: int | None = None, reason: str = "for a test") -> None:
        super().__init__(n_threads, reason)
        self.n_in_flight = self.most_in_flight = 0
        self.handed_over: list[tuple[Any, int | None, int]] = []
        self._asked = threading.local()

    def pending(self) -> Late:
        work, self._asked.work = getattr(self._asked, "work", []), []
        late = Late(self, work)
        if work:
            self.n_in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.n_in_flight)
        return late

    def defer(self, work: Callable[[], Any]) -> None:
        self._asked.work = [*getattr(self._asked, "work", []), work]

    def hand_over(self, *arrays: Any, stream: int | None = None) -> None:
        thread = threading.get_ident()
        self.handed_over += [(array, stream, thread) for array in arrays]

    def open_signal(self, index: Any, cache_bytes: int = 0) -> LateReader:
        reader = LateReader(index, self.n_threads, cache_bytes)
        reader.backend = self
        return reader

    def encode_one_hot(
        self, genome: Any, contigs: Any, windows: Any, options: Any, out: Any = None, wait: Any = 1
    ) -> Any:
        if out is None:
            out = self.empty(options.shape(len(windows), windows.length_bp), options.dtype)
        if wait:
            return super().encode_one_hot(genome, contigs, windows, options, out)
        out[...] = NOT_YET
        ask = super().encode_one_hot
        self.defer(lambda: ask(genome, contigs, windows, options, out))
        return out


class LateReader(CpuSignalReader):
    backend: LateBackend

    def read(self, plan: Any, options: Any, transforms: Any, out: Any, wait: bool = True) -> None:
        if wait:
            super().read(plan, options, transforms, out)
            return
        out[...] = np.array(NOT_YET, out.dtype)
        ask = super().read
        self.backend.defer(lambda: ask(plan, options, transforms, out))


class Late:
    """Does the work when it is first waited for; raises what went wrong, every time."""

    def __init__(self, backend: LateBackend, work: list[Callable[[], Any]]) -> None:
        self._backend = backend
        self._work = work
        self._error: Exception | None = None

    def wait(self) -> None:
        if self._work:
            work, self._work = self._work, []
            self._backend.n_in_flight -= 1
            try:
                for piece in work:
                    piece()
            except Exception as error:
                self._error = error
        if self._error is not None:
            raise self._error
