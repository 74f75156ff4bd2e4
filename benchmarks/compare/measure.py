"""How one cell is measured.

In every round all readers read the same windows, which are new to all of them, one reader after
the other in random order. Small batches are read several to a round, all of them different, so that
a reader is not always timed with cold caches of the processor. A ratio is taken within a round;
what is reported is the median over the rounds, so that what disturbs a machine for longer than a
round disturbs all readers alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

import numpy as np

from benchmarks.compare.grid import Cell
from benchmarks.made import DataSet
from benchmarks.peers import Float32Array, Reader, open_peers
from benchmarks.peers.ours import OurReader
from benchmarks.peers.request import Request, random_request
from benchmarks.record import Timing, median, timed

# float32 means of 32 values, in whatever order a reader adds them.
BIN_RTOL, BIN_ATOL = 1e-5, 1e-5
_MAX_ROUNDS = 40
# A reader is timed over at least so long in a round, or over so many batches.
_ROUND_S = 0.003
_MAX_CALLS = 20
# Size of the request by which variants are compared and values checked: bases, and windows read.
_TRIAL_BP = 6_000_000
_TRIAL_WINDOWS = 400
_LARGE_MBP_TRACKS = 20


class NotEqualError(AssertionError):
    """Two readers deliver different values."""


@dataclass(frozen=True)
class Effort:
    """How long a cell may take.

    Parameters
    ----------
    cell_s : float
        All rounds of a cell, about.
    one_by_one_s : float
        Part of a round that a reader with one window per call gets; of a larger batch it reads as
        many windows as fit, and its time is scaled up to the whole batch.
    min_rounds, large_rounds : int
        Fewest rounds, also where they take longer; of cells above 20 Mbp x tracks the second.
    """

    cell_s: float
    one_by_one_s: float
    min_rounds: int = 3
    large_rounds: int = 2


QUICK = Effort(0.6, 0.15)
FULL = Effort(1.2, 0.2)


class Contest:
    """All readers with the same files open.

    Parameters
    ----------
    data : DataSet
    n_tracks : int
    """

    def __init__(self, data: DataSet, n_tracks: int) -> None:
        self.data = data
        paths = data.tracks(n_tracks)
        self.steady = OurReader(paths, "steady")
        self.first = OurReader(paths, "first")
        self.ours: tuple[OurReader, ...] = (self.first, self.steady)
        self.peers: list[Reader] = open_peers(paths)
        self._warm_up(n_tracks)

    def _warm_up(self, n_tracks: int) -> None:
        """The first call of a reader loads indices, and compiles."""
        length_bp = min(end - start for start, end in self.data.places.values()) // 2
        request = random_request(self.data.places, min(length_bp, 1_000), 1, 1, [0])
        out = np.empty((1, request.length_bp, n_tracks), np.float32)
        for peer in self.peers:
            for variant in peer.variants(1):
                peer.read(request, out, variant)

    def measure(self, cell: Cell, effort: Effort, raw: bool = False) -> dict[str, Any]:
        """Check that all readers agree, then time them; a row for the results."""

        def windows(round_number: int) -> Request:
            # The seed differs from cell to cell, too.
            seed = [round_number, *vars(cell).values()]
            return random_request(self.data.places, cell.length_bp, cell.batch, cell.bin_size, seed)

        shape = (cell.batch, cell.length_bp // cell.bin_size, cell.tracks)
        # Written to here, so that no reader is timed while its pages are cleared.
        out = np.full(shape, 0, np.float32)
        sizes, variants, guesses = self._trial(windows(0), out, effort)
        n_calls = min(max(int(_ROUND_S / min(guesses.values())), 1), _MAX_CALLS)
        n_rounds = int(effort.cell_s / (n_calls * sum(guesses.values())))
        is_large = cell.mbp_tracks > _LARGE_MBP_TRACKS
        at_least = effort.large_rounds if is_large else effort.min_rounds
        n_rounds = min(max(n_rounds, at_least), _MAX_ROUNDS)
        readers: list[Reader] = [*self.ours, *self.peers]

        def read(reader: Reader, request: Request) -> None:
            reader.read(request, out[: len(request)], variants[reader.name])

        def read_raw(reader: Reader, request: Request) -> None:
            reader.read_raw(request, variants[reader.name])

        numbers = count(1)

        def rounds(n: int) -> Iterator[list[Request]]:
            return ([windows(next(numbers)) for _ in range(n_calls)] for _ in range(n))

        times = self._rounds(readers, rounds(n_rounds), sizes, read)
        row: dict[str, Any] = {
            "kind": "compare",
            "data": self.data.name,
            "block": self.data.block,
            **cell.as_row(),
            "rounds": n_rounds,
            "batches_per_round": n_calls,
            "equal": True,
            "block_reuse": round(self.steady.block_reuse(windows(1)), 3),
            "readers": {
                reader.name: {
                    "variant": variants[reader.name],
                    "windows_read": sizes[reader.name],
                    **_summary(times[reader.name], cell),
                }
                for reader in readers
            },
            "ratios": _ratios(times, [ours.name for ours in self.ours], self.peers),
        }
        if raw:
            n_raw = max(at_least, n_rounds // 3)
            raw_times = self._rounds(readers, rounds(n_raw), sizes, read_raw)
            row["raw"] = {name: _summary(t, cell) for name, t in raw_times.items()}
        return row

    def _trial(
        self, request: Request, out: Float32Array, effort: Effort
    ) -> tuple[dict[str, int], dict[str, str], dict[str, float]]:
        """Compare values, and find the variant, the share of a batch and a guess of the time."""
        n_tracks = out.shape[2]
        n_trial = min(_TRIAL_BP // (n_tracks * request.length_bp), _TRIAL_WINDOWS // n_tracks)
        trial = request.first(max(1, n_trial))
        expected = np.empty((len(trial), *out.shape[1:]), np.float32)
        sizes, variants, guesses = {}, {}, {}
        for ours in self.ours:
            ours.prepare()
            got = np.empty_like(expected)
            taken = timed(partial(ours.read, trial, got)).wall_s
            if ours is not self.ours[0] and not np.array_equal(got, expected):
                raise NotEqualError("ours, first and steady, differ")
            expected = got
            sizes[ours.name], variants[ours.name] = len(request), ours.variants(1)[0]
            guesses[ours.name] = taken * len(request) / len(trial)
        for peer in self.peers:
            part = trial.first(1) if peer.one_by_one else trial
            seconds: dict[str, float] = {}
            # Twice, since one disturbance should not decide which variant is the best.
            for variant in 2 * peer.variants(request.bin_size):
                peer.prepare()
                got = out[: len(part)]
                got[:] = -1
                taken = timed(partial(peer.read, part, got, variant)).wall_s
                _check_equal(got, expected[: len(part)], peer.name, variant, request)
                seconds[variant] = min(taken, seconds.get(variant, taken))
            best = min(seconds, key=lambda variant: seconds[variant])
            variants[peer.name] = best
            size, taken = len(request), seconds[best] * len(request) / len(part)
            if peer.one_by_one and taken > effort.one_by_one_s:
                size = max(1, int(len(request) * effort.one_by_one_s / taken))
            sizes[peer.name] = size
            guesses[peer.name] = taken * size / len(request)
        return sizes, variants, guesses

    def _rounds(
        self,
        readers: list[Reader],
        rounds: Iterable[list[Request]],
        sizes: dict[str, int],
        work: Callable[[Reader, Request], None],
    ) -> dict[str, list[Timing]]:
        times: dict[str, list[Timing]] = {reader.name: [] for reader in readers}
        order = np.random.default_rng(11)
        for requests in rounds:
            for i in order.permutation(len(readers)).tolist():
                reader, size = readers[i], sizes[readers[i].name]
                parts = [request.first(size) for request in requests]
                reader.prepare()

                def work_all(reader: Reader = reader, parts: list[Request] = parts) -> None:
                    for part in parts:
                        work(reader, part)

                taken = timed(work_all)
                # Of one whole batch.
                share = len(requests[0]) / size / len(requests)
                times[reader.name].append(Timing(taken.wall_s * share, taken.cpu_s * share))
        return times


def _check_equal(
    got: Float32Array, expected: Float32Array, name: str, variant: str, request: Request
) -> None:
    """Bit for bit at base resolution, close for means."""
    if request.bin_size == 1:
        same = got == expected
    else:
        same = np.isclose(got, expected, rtol=BIN_RTOL, atol=BIN_ATOL)
    if not same.all():
        at = tuple(int(i) for i in np.argwhere(~same)[0])
        place = f"{request.chroms[at[0]]}:{request.starts[at[0]]}+{at[1] * request.bin_size}"
        raise NotEqualError(
            f"{name} ({variant}) and ours differ in {int((~same).sum())} of {same.size} values; "
            f"the first at {place}, track {at[2]}: {got[at]!r} and {expected[at]!r}"
        )


def _summary(times: list[Timing], cell: Cell) -> dict[str, float]:
    wall = median([t.wall_s for t in times])
    return {
        "wall_s": wall,
        "cpu_s": median([t.cpu_s for t in times]),
        "mbp_tracks_per_s": cell.mbp_tracks / wall,
        "windows_per_s": cell.batch / wall,
    }


def _ratios(
    times: dict[str, list[Timing]], ours: list[str], peers: list[Reader]
) -> dict[str, dict[str, dict[str, float]]]:
    """How many times as long each peer takes, by the clock and in processor time."""
    ratios: dict[str, dict[str, dict[str, float]]] = {}
    for name in ours:
        ratios[name] = {}
        for peer in peers:
            pairs = list(zip(times[peer.name], times[name], strict=True))
            ratios[name][peer.name] = {
                "wall": median([theirs.wall_s / mine.wall_s for theirs, mine in pairs]),
                # Short calls are below the resolution of the processor clock.
                "cpu": median([theirs.cpu_s / max(mine.cpu_s, 1e-9) for theirs, mine in pairs]),
            }
    return ratios


def warm_pages(data: DataSet) -> float:
    """Read all files once, so that every reader finds them in memory; seconds."""
    began = time.perf_counter()
    for path in data.paths:
        with open(path, "rb") as file:
            while file.read(1 << 24):
                pass
    return time.perf_counter() - began
