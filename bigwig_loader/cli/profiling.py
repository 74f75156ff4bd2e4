"""What ``bigwig-loader profile`` measures, and what it makes of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Protocol

from bigwig_loader.assemble.batch import Batch
from bigwig_loader.dataset.stats import ADVICE, SIGNAL, WAITING_SHARE, LoaderStats
from bigwig_loader.errors import InvalidInputError

# Stages that the threads of the C library share among them.
_THREADED = frozenset({"read", "inflate", "rasterize", "sequence", SIGNAL})
_SUMMED = (
    "signal_seconds",
    "n_reads",
    "bytes_read",
    "n_blocks",
    "bytes_inflated",
    "n_cached_blocks",
    "n_batches",
    "n_examples",
    "n_waits",
    "n_looks",
)


class Measurable(Protocol):
    """A data set as far as it is measured."""

    def __len__(self) -> int: ...

    def batches(self, epoch: int, first: int = 0) -> Any:
        """Iterator of batches first, first + 1, ... of an epoch, with a `close` method."""
        ...

    def stats(self) -> LoaderStats: ...


@dataclass(frozen=True)
class Setting:
    """How the loader was set up, for the advice.

    Parameters
    ----------
    n_threads, n_cores : int
    prefetch, cache_bytes : int
    step_seconds : float
        Length of the pretended training step; 0 measures the loader alone.
    dtype : str or None
        None where dtype and bins cannot be chosen.
    """

    n_threads: int
    n_cores: int
    prefetch: int
    cache_bytes: int = 0
    step_seconds: float = 0.0
    dtype: str | None = "float32"


@dataclass(frozen=True)
class Pass:
    """One run over N batches. Rates and waiting begin when the first of them is there.

    Parameters
    ----------
    stats : LoaderStats
        Of these batches; where the epoch goes on after them, also of those made ahead.
    first_batch_seconds : float
        Until the first batch was there.
    seconds : float
        From there to the arrival of the last batch.
    n_examples : int
        Examples that arrived in these seconds: those of all batches but the first.
    n_bases : int
        Bases of signal in them, each track counted; of sequence, where there are no tracks.
    """

    stats: LoaderStats
    first_batch_seconds: float
    seconds: float
    n_examples: int
    n_bases: int

    @property
    def seconds_per_batch(self) -> float:
        """From one batch to the next."""
        return self.seconds / (self.stats.n_batches - 1)

    @property
    def examples_per_second(self) -> float:
        """Examples delivered."""
        return self.n_examples / self.seconds

    @property
    def mbp_per_second(self) -> float:
        """Mbp of signal delivered, each track counted."""
        return self.n_bases / self.seconds / 1e6

    def as_dict(self) -> dict[str, Any]:
        """All figures, as JSON can hold them."""
        return {
            "first_batch_seconds": self.first_batch_seconds,
            "seconds": self.seconds,
            "seconds_per_batch": self.seconds_per_batch,
            "examples_per_second": self.examples_per_second,
            "mbp_per_second": self.mbp_per_second,
            "stats": self.stats.as_dict(),
        }


@dataclass(frozen=True)
class Profile:
    """What was measured.

    Parameters
    ----------
    setting : Setting
    n_warm_up : int
        Batches read before, and not counted.
    first_pass : Pass
        Data blocks are verified as they are read for the first time.
    steady_state : Pass
        The same batches again.
    replay_seconds_per_batch : float
        The same loop with a batch that is there already: a perfect loader.
    """

    setting: Setting
    n_warm_up: int
    first_pass: Pass
    steady_state: Pass
    replay_seconds_per_batch: float

    @property
    def perfect_speedup(self) -> float | None:
        """How many times faster a perfect loader would be; None where the loop does nothing."""
        if not self.setting.step_seconds:
            return None
        return max(1.0, self.steady_state.seconds_per_batch / self.replay_seconds_per_batch)

    @property
    def verdict(self) -> str:
        """What binds, and what to change."""
        steady, setting = self.steady_state, self.setting
        speedup = self.perfect_speedup
        if speedup is None:
            said = (
                f"A training step of {1e3 * steady.seconds_per_batch:.3g} ms or more never waits "
                "for this loader."
            )
        elif steady.stats.waited_share < WAITING_SHARE:
            return (
                f"Nothing to gain: the loop waits {steady.stats.waited_share:.1%} of its time, "
                f"and a perfect loader would make it {speedup:.2f} times as fast."
            )
        else:
            said = (
                f"The loop waits {steady.stats.waited_share:.0%} of its time: a perfect loader "
                f"would make it {speedup:.2f} times as fast."
            )
        stage = steady.stats.slowest
        if stage is None:
            return said
        share = steady.stats.shares[stage]
        said += f" What binds is {stage}, {share:.0%} of the time that making batches takes."
        return f"{said} To change that: {'; '.join(advice(stage, setting, steady.stats))}."

    def as_dict(self) -> dict[str, Any]:
        """All figures, as JSON can hold them."""
        return {
            "warm_up_batches": self.n_warm_up,
            "batches": self.steady_state.stats.n_batches,
            "step_seconds": self.setting.step_seconds,
            "first_pass": self.first_pass.as_dict(),
            "steady_state": self.steady_state.as_dict(),
            "replay": {"seconds_per_batch": self.replay_seconds_per_batch},
            "perfect_speedup": self.perfect_speedup,
            "binds": self.steady_state.stats.slowest,
            "verdict": self.verdict,
        }


def advice(stage: str, setting: Setting, stats: LoaderStats) -> list[str]:
    """What to change where a stage binds, what helps most first.

    Parameters
    ----------
    stage : str
    setting : Setting
    stats : LoaderStats
        Of the steady state.
    """
    said = []
    if not setting.prefetch and setting.step_seconds:
        said.append("prefetch=2, so that batches are made while the model computes")
    if stage in _THREADED and setting.n_threads < setting.n_cores:
        said.append(f"n_threads={setting.n_cores} (now {setting.n_threads})")
    n_missed = stats.n_blocks - stats.n_cached_blocks
    if stage in ("read", "inflate", SIGNAL) and n_missed:
        megabytes = max(1, round(stats.bytes_inflated / 1e6))
        if setting.cache_bytes:
            said.append(
                f"a larger cache_bytes: {n_missed:,} of {stats.n_blocks:,} data blocks were not "
                f"in it, {megabytes:,} MB"
            )
        else:
            said.append(
                f"cache_bytes, which keeps decoded data blocks: those of these batches are at "
                f"most {megabytes:,} MB"
            )
    if stage == "read":
        said.append("a local disk for the files")
    if stage == "rasterize" and setting.dtype is not None:
        said.append("wider bins (window_size)")
    if stage in ("rasterize", "sequence") and setting.dtype == "float32":
        said.append('dtype="float16"')
    if stage not in _THREADED:
        said.append(ADVICE[stage])
    if not said:
        said.append("more cores; n_threads uses all of this machine's already")
    return said


def profile(data_set: Measurable, setting: Setting, n_batches: int, n_warm_up: int) -> Profile:
    """Run over the same batches twice, then over one that is there already.

    Parameters
    ----------
    data_set : BigWigDataset or PeakDataset
        One that nothing was read from before.
    setting : Setting
    n_batches : int
        At least 2.
    n_warm_up : int
        Batches before those that are measured: they open the files and load the libraries.

    Raises
    ------
    InvalidInputError
        For fewer than 2 batches.
    LoaderError
        If a batch cannot be read.
    """
    if n_batches < 2:
        raise InvalidInputError(
            f"batches: expected at least 2, since rates are measured from one to the next; got "
            f"{n_batches}"
        )
    for _ in walk(data_set, 0, n_warm_up):
        pass
    step = setting.step_seconds
    first, _ = _measure(data_set, n_warm_up, n_batches, step)
    steady, batch = _measure(data_set, n_warm_up, n_batches, step)
    replayed = _Clock(step)
    for _ in range(n_batches):
        replayed.take(lambda: batch)
    return Profile(setting, n_warm_up, first, steady, replayed.seconds / (n_batches - 1))


def walk(data_set: Measurable, first: int, n_batches: int) -> Iterator[Batch]:
    """So many batches from number `first` on, counted from epoch 0 through all epochs."""
    while n_batches:
        epoch, at = divmod(first, len(data_set))
        n_here = min(n_batches, len(data_set) - at)
        batches = data_set.batches(epoch, at)
        try:
            yield from islice(batches, n_here)
        finally:
            batches.close()
        first, n_batches = first + n_here, n_batches - n_here


class _Clock:
    """Times a training loop: waiting and stepping, from the first batch's arrival on."""

    def __init__(self, step_seconds: float) -> None:
        self.step_seconds = step_seconds
        self.first_seconds = 0.0
        self.waited = 0.0
        self._began: float | None = None
        self._last = 0.0

    @property
    def seconds(self) -> float:
        """From the first arrival to the last."""
        assert self._began is not None
        # Two arrivals within one tick of the clock took no time that can be divided by.
        return max(self._last - self._began, 1e-9)

    def take(self, make: Callable[[], Batch]) -> Batch:
        """Wait for a batch, then step."""
        asked = time.perf_counter()
        batch = make()
        self._last = time.perf_counter()
        if self._began is None:
            self._began = self._last
            self.first_seconds = self._last - asked
        else:
            self.waited += self._last - asked
        if self.step_seconds:
            time.sleep(self.step_seconds)
        return batch


def _measure(
    data_set: Measurable, first: int, n_batches: int, step_seconds: float
) -> tuple[Pass, Batch]:
    """One pass, and its last batch."""
    before = data_set.stats()
    clock, n_examples, n_bases = _Clock(step_seconds), 0, 0
    batches = walk(data_set, first, n_batches)
    batch = clock.take(lambda: next(batches))
    for _ in range(n_batches - 1):
        batch = clock.take(lambda: next(batches))
        n_examples += len(batch)
        n_bases += _n_bases(batch)
    batches.close()  # type: ignore[attr-defined]
    stats = replace(
        between(before, data_set.stats()),
        consumer_seconds=clock.seconds,
        waited_seconds=clock.waited,
    )
    return Pass(stats, clock.first_seconds, clock.seconds, n_examples, n_bases), batch


def _n_bases(batch: Batch) -> int:
    if batch.value_starts is None:
        return int((batch.ends - batch.starts).sum())
    n_tracks = len(batch.track_names or ())
    return int((batch.value_ends - batch.value_starts).sum()) * n_tracks


def between(before: LoaderStats, after: LoaderStats) -> LoaderStats:
    """What came between two snapshots. What the cache holds and `max_queue` are those of `after`.

    Times of the consumer are not counted: they begin with a pause.
    """
    figures: dict[str, Any] = {n: getattr(after, n) - getattr(before, n) for n in _SUMMED}
    queued = after.mean_queue * after.n_looks - before.mean_queue * before.n_looks
    return LoaderStats(
        {name: after.seconds[name] - before.seconds.get(name, 0.0) for name in after.seconds},
        cached_bytes=after.cached_bytes,
        mean_queue=queued / figures["n_looks"] if figures["n_looks"] else 0.0,
        max_queue=after.max_queue,
        **figures,
    )
