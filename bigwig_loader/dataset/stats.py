"""What making batches took, stage by stage, and how long the training loop waited for them.

Measuring costs microseconds a batch, so it is always on. Nothing of it changes a batch.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from types import TracebackType

    from bigwig_loader.backend.protocol import SignalCounts

T = TypeVar("T")

STAGES = ("plan", "read", "inflate", "rasterize", "sequence", "assemble")
# The three that one call of the backend does; it says what each took itself.
SIGNAL_STAGES = ("read", "inflate", "rasterize")
SIGNAL = "signal"

# Taken over from `SignalCounts` under the same names.
_COUNTED = (
    "n_reads",
    "bytes_read",
    "n_blocks",
    "bytes_inflated",
    "n_cached_blocks",
    "cached_bytes",
)
# A consumer that waits less than this share of its time would not be faster with a faster loader.
WAITING_SHARE = 0.05

ADVICE = {
    "plan": "larger batches cost less each; where many windows are refused for unknown bases, "
    "leave such regions out of the regions",
    "read": "keep the files on a local disk, or give cache_bytes",
    "inflate": "give cache_bytes, so that data blocks used again stay in memory, or more n_threads",
    "rasterize": "give more n_threads, wider bins or a smaller dtype",
    "signal": "give more n_threads, or cache_bytes",
    "sequence": "give more n_threads or a smaller dtype; a sequence encoder of your own runs in "
    "one thread",
    "assemble": "a moving average runs in one thread; worker processes share it out",
}


@dataclass(frozen=True)
class LoaderStats:
    """What making batches took so far; ``print()`` shows it as a table.

    Parameters
    ----------
    seconds : dict of str to float
        By stage. ``read``, ``inflate`` and ``rasterize`` in processor seconds, summed over
        threads; the others in seconds of the thread that makes batches.
    signal_seconds : float
        Seconds of the thread that makes batches in ``read``, ``inflate`` and ``rasterize``
        together, with the planning of reads.
    n_reads, bytes_read : int
        Reads, and what they brought.
    n_blocks, bytes_inflated : int
        Data blocks that were needed, and what they were inflated to.
    n_cached_blocks, cached_bytes : int
        Data blocks that came from the cache, and the bytes that it holds now.
    n_batches, n_examples : int
        Delivered.
    n_waits : int
        How often the consumer asked for a batch, the end included.
    consumer_seconds : float
        From the consumer's first `next` to its last, the pauses between epochs left out.
    waited_seconds : float
        How much of that it waited in `next`.
    n_looks : int
        How often the consumer found a queue; it finds none where nothing is made ahead.
    mean_queue, max_queue : float, int
        Batches that lay ready then.
    """

    seconds: dict[str, float]
    signal_seconds: float = 0.0
    n_reads: int = 0
    bytes_read: int = 0
    n_blocks: int = 0
    bytes_inflated: int = 0
    n_cached_blocks: int = 0
    cached_bytes: int = 0
    n_batches: int = 0
    n_examples: int = 0
    n_waits: int = 0
    consumer_seconds: float = 0.0
    waited_seconds: float = 0.0
    n_looks: int = 0
    mean_queue: float = 0.0
    max_queue: int = 0

    @property
    def waited_share(self) -> float:
        """Share of its time that the consumer waited, from 0 to 1; 0 before it came."""
        if self.consumer_seconds <= 0:
            return 0.0
        return min(1.0, self.waited_seconds / self.consumer_seconds)

    @property
    def shares(self) -> dict[str, float]:
        """Share of each stage in the time of the thread that makes batches; 0 before it began.

        The time of reading signal is shared out by the processor seconds of its stages. Where the
        backend does not say those, it stands as ``signal``.
        """
        wall = {n: s for n, s in self.seconds.items() if n not in SIGNAL_STAGES}
        of_signal = {n: self.seconds.get(n, 0.0) for n in SIGNAL_STAGES}
        counted = sum(of_signal.values())
        if counted > 0:
            whole = self.signal_seconds or counted
            wall |= {n: whole * s / counted for n, s in of_signal.items()}
        elif self.signal_seconds > 0:
            wall[SIGNAL] = self.signal_seconds
        total = sum(wall.values())
        named = [n for n in (*STAGES, SIGNAL) if n in wall]
        return {n: wall[n] / total if total > 0 else 0.0 for n in named}

    @property
    def slowest(self) -> str | None:
        """The stage with the largest share; None before anything was made."""
        shares = self.shares
        stage = max(shares, key=shares.__getitem__, default=None)
        return stage if stage is not None and shares[stage] > 0 else None

    @property
    def verdict(self) -> str:
        """What is slowest, whether that matters, and what to do about it."""
        if not self.n_batches:
            return (
                "No batch was delivered in this process. Worker processes count for themselves, "
                "and cannot be seen from here: use num_workers=0 to measure."
            )
        if self.waited_share < WAITING_SHARE:
            return (
                f"The consumer waited {self.waited_share:.0%} of its time: the loader is not the "
                "bottleneck."
            )
        said = f"The consumer waited {self.waited_share:.0%} of its time."
        if self.slowest is not None:
            said += f" Slowest is {self.slowest}: {ADVICE[self.slowest]}."
        if not self.n_looks:
            said += " Nothing is made ahead: prefetch=2 makes batches while the model computes."
        return said

    def as_dict(self) -> dict[str, Any]:
        """All figures by name, as JSON can hold them, with the derived ones."""
        derived = ("waited_share", "shares", "slowest", "verdict")
        return asdict(self) | {name: getattr(self, name) for name in derived}

    def __str__(self) -> str:
        remarks = {
            "read": f"{self.n_reads:,} reads, {_bytes(self.bytes_read)}",
            "inflate": f"{self.n_blocks:,} data blocks, {self.n_cached_blocks:,} of them cached "
            f"({_bytes(self.cached_bytes)}); {_bytes(self.bytes_inflated)} inflated",
        }
        lines = [f"{'stage':<10} {'seconds':>9} {'share':>6}"]
        for name, share in self.shares.items():
            seconds = self.seconds.get(name, self.signal_seconds)
            lines.append(f"{name:<10} {seconds:>9.3f} {share:>6.0%}  {remarks.pop(name, '')}")
        lines += [f"{name:<10} {'':>9} {'':>6}  {remark}" for name, remark in remarks.items()]
        lines.append(
            f"delivered  {self.n_batches:,} batches, {self.n_examples:,} examples in "
            f"{self.consumer_seconds:.3f} s, of which the consumer waited "
            f"{self.waited_seconds:.3f} s"
        )
        if self.n_looks:
            lines.append(
                f"queue      {self.mean_queue:.1f} batches on average when the consumer came, "
                f"{self.max_queue} at most"
            )
        return "\n".join([*(line.rstrip() for line in lines), self.verdict])


def _bytes(n: int) -> str:
    """A number of bytes for people, in powers of 1,000."""
    size = float(n)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


@dataclass
class _Totals:
    seconds: dict[str, float] = field(default_factory=dict)
    n_batches: int = 0
    n_examples: int = 0
    n_waits: int = 0
    consumer_seconds: float = 0.0
    waited_seconds: float = 0.0
    last_came: float | None = None
    n_looks: int = 0
    sum_queue: int = 0
    max_queue: int = 0


class Meter:
    """Adds up what the parts of a loader report, from any thread.

    A copy (pickled, or in a forked worker process) starts from nothing: it belongs to another
    loader.
    """

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._totals = _Totals()

    def __reduce__(self) -> tuple[type[Meter], tuple[()]]:
        return Meter, ()

    def _open(self) -> _Totals:
        # The lock of a forked copy may be held by a thread that does not exist here.
        if os.getpid() != self._pid:
            self._start()
        return self._totals

    def stage(self, name: str) -> _Timer:
        """Context manager that adds the seconds of its block to a stage.

        Parameters
        ----------
        name : str
            One of `STAGES`, or `SIGNAL` around a call of the backend that reads signal.
        """
        return _Timer(self, name)

    def timed(self, source: Iterator[T], name: str) -> Iterator[T]:
        """The items of `source`; what making each took is added to a stage."""
        ended: Any = object()
        while True:
            with self.stage(name):
                item = next(source, ended)
            if item is ended:
                return
            yield item

    def add_seconds(self, name: str, seconds: float) -> None:
        """Seconds that a stage took."""
        totals = self._open()
        with self._lock:
            totals.seconds[name] = totals.seconds.get(name, 0.0) + seconds

    def delivered(self, n_examples: int) -> None:
        """One batch reached the consumer."""
        totals = self._open()
        with self._lock:
            totals.n_batches += 1
            totals.n_examples += n_examples

    def waited(self, seconds: float, is_first: bool = False) -> None:
        """The consumer waited so long for a batch, up to now.

        Parameters
        ----------
        seconds : float
        is_first : bool
            Whether this is the first time in an epoch: what the consumer did before (validation,
            a pause) is then not its time between two batches.
        """
        totals, now = self._open(), time.perf_counter()
        with self._lock:
            last = totals.last_came
            totals.consumer_seconds += seconds if is_first or last is None else now - last
            totals.last_came = now
            totals.waited_seconds += seconds
            totals.n_waits += 1

    def queued(self, depth: int) -> None:
        """So many batches lay ready when the consumer came."""
        totals = self._open()
        with self._lock:
            totals.n_looks += 1
            totals.sum_queue += depth
            totals.max_queue = max(totals.max_queue, depth)

    def snapshot(self, counts: SignalCounts | None = None) -> LoaderStats:
        """All there is so far.

        Parameters
        ----------
        counts : SignalCounts, optional
            What reading signal took; None without tracks.
        """
        totals = self._open()
        with self._lock:
            seconds = dict.fromkeys(STAGES, 0.0) | totals.seconds
            signal_seconds = seconds.pop(SIGNAL, 0.0)
            figures: dict[str, Any] = {
                "n_batches": totals.n_batches,
                "n_examples": totals.n_examples,
                "n_waits": totals.n_waits,
                "consumer_seconds": totals.consumer_seconds,
                "waited_seconds": totals.waited_seconds,
                "n_looks": totals.n_looks,
                "mean_queue": totals.sum_queue / totals.n_looks if totals.n_looks else 0.0,
                "max_queue": totals.max_queue,
            }
        if counts is not None:
            for name in _COUNTED:
                figures[name] = getattr(counts, name)
            for name in SIGNAL_STAGES:
                seconds[name] += getattr(counts, f"seconds_{name}")
        return LoaderStats(seconds, signal_seconds, **figures)


class _Timer:
    """One timed block."""

    __slots__ = ("_began", "_meter", "_name")

    def __init__(self, meter: Meter, name: str) -> None:
        self._meter = meter
        self._name = name
        self._began = 0.0

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._meter.add_seconds(self._name, time.perf_counter() - self._began)
