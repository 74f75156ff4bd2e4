"""Where the time of one batch goes: every kernel and copy by events, the host by cProfile."""

from __future__ import annotations

import cProfile
import io
import pstats
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest import mock

from bigwig_loader.backend.cuda.device import Device, Event, seconds_between
from bigwig_loader.backend.cuda.kernels import Kernels

_COPIES = {1: "upload", 2: "download", 3: "copy"}
_HOST_LINES = 22


class Span(NamedTuple):
    """A kernel or copy.

    Parameters
    ----------
    name : str
    shape : str
        Grid and block, or bytes.
    n_bytes : int
        Of a copy; 0 for kernels.
    first, last : Event
    """

    name: str
    shape: str
    n_bytes: int
    first: Event
    last: Event


@contextmanager
def traced() -> Iterator[list[Span]]:
    """Events around all kernels and copies that this process queues meanwhile."""
    spans: list[Span] = []
    launch, copy, fill = Kernels.launch, Device._copy, Device.fill

    def around(
        device: Device, stream: Any, name: str, shape: str, n_bytes: int, work: Callable[[], None]
    ) -> None:
        first, last = device.event(timed=True), device.event(timed=True)
        first.record(stream)
        work()
        last.record(stream)
        spans.append(Span(name, shape, n_bytes, first, last))

    def new_launch(
        self: Kernels,
        name: str,
        grid: Any,
        block: Any,
        args: Any,
        stream: Any,
        shared_bytes: int = 0,
    ) -> None:
        shape = f"{grid} x {block}, {shared_bytes} B"
        around(
            self._device, stream, name, shape, 0,
            lambda: launch(self, name, grid, block, args, stream, shared_bytes),
        )  # fmt: skip

    def new_copy(self: Device, to: int, source: int, n: int, kind: int, stream: Any) -> None:
        around(
            self, stream, _COPIES[kind], f"{n} B", n,
            lambda: copy(self, to, source, n, kind, stream),
        )  # fmt: skip

    def new_fill(self: Device, to: int, byte: int, n: int, stream: Any) -> None:
        around(self, stream, "fill", f"{n} B", n, lambda: fill(self, to, byte, n, stream))

    with (
        mock.patch.object(Kernels, "launch", new_launch),
        mock.patch.object(Device, "_copy", new_copy),
        mock.patch.object(Device, "fill", new_fill),
    ):
        yield spans


def trace(work: Callable[[], object]) -> list[str]:
    """Lines that say what ``work()``, which waits for what it queues, took; it is called thrice."""
    began = time.perf_counter()
    work()
    plain = time.perf_counter() - began
    with traced() as spans:
        work()
    lines = [f"one batch: {plain * 1e3:.3f} ms by the clock"]
    if spans:
        begin = spans[0].first
        busy = sum(seconds_between(span.first, span.last) for span in spans)
        whole = max(seconds_between(begin, span.last) for span in spans)
        lines.append(f"device: busy {busy * 1e3:.3f} ms of {whole * 1e3:.3f} ms (with the events)")
        lines.append(f"{'at us':>10} {'us':>10} {'GB/s':>8}  what")
        for span in spans:
            at = seconds_between(begin, span.first) * 1e6
            taken = seconds_between(span.first, span.last)
            rate = f"{span.n_bytes / taken / 1e9:.1f}" if span.n_bytes and taken else ""
            lines.append(f"{at:10.1f} {taken * 1e6:10.1f} {rate:>8}  {span.name} ({span.shape})")
    profile = cProfile.Profile()
    profile.runcall(work)
    text = io.StringIO()
    pstats.Stats(profile, stream=text).sort_stats("tottime").print_stats(_HOST_LINES)
    table = text.getvalue().splitlines()
    begins = next(i for i, line in enumerate(table) if "ncalls" in line)
    return lines + ["host, one thread:"] + [line for line in table[begins:] if line]
