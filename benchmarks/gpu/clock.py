"""Times: of the device by its events, of the host by the clock; always several runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.gpu.sizes import Size
from benchmarks.record import Results, median
from bigwig_loader.backend.cuda.backend import CudaBackend
from bigwig_loader.backend.cuda.device import Device, Stream, seconds_between

_WARM_UP = 2


@dataclass
class Bench:
    """What every measurement is given.

    Parameters
    ----------
    backend : CudaBackend
    size : Size
    results : Results
    ends : float
        Of `time.monotonic`: nothing is begun after that.

    Attributes
    ----------
    rates : dict of str to float
        Bytes per second found so far, by name; see `terms`.
    """

    backend: CudaBackend
    size: Size
    results: Results
    ends: float
    rates: dict[str, float] = field(default_factory=dict)

    @property
    def device(self) -> Device:
        """Where everything runs."""
        return self.backend.device

    @property
    def has_time(self) -> bool:
        """Whether another measurement may begin."""
        return time.monotonic() < self.ends


def device_seconds(
    device: Device, stream: Stream, work: Callable[[int], None], repeats: int
) -> float:
    """Median seconds between events around ``work(i)``, which queues on `stream`.

    `i` counts the runs, so that each can have other input: what the last run read is in the cache.
    """
    for i in range(_WARM_UP):
        work(i)
    stream.synchronize()
    marks = [(device.event(timed=True), device.event(timed=True)) for _ in range(repeats)]
    for i, (first, last) in enumerate(marks, start=_WARM_UP):
        first.record(stream)
        work(i)
        last.record(stream)
    stream.synchronize()
    return median([seconds_between(first, last) for first, last in marks])


def wall_seconds(work: Callable[[int], None], repeats: int, warm_up: int = 1) -> float:
    """Median seconds of ``work(i)``, which has to be done when it returns."""
    taken = []
    for i in range(warm_up + repeats):
        began = time.perf_counter()
        work(i)
        taken.append(time.perf_counter() - began)
    return median(taken[warm_up:])
