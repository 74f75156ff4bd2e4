"""Examples of a peak loader to batches: reads their windows and names what was read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from bigwig_loader.assemble.batch import Batch
from bigwig_loader.assemble.device_arrays import is_bfloat16, is_device_array
from bigwig_loader.backend.protocol import Backend, SignalCounts
from bigwig_loader.dataset.ahead import Begun, begin
from bigwig_loader.dataset.locus_selection import Advance, PeakWindows, centred
from bigwig_loader.dataset.peak_loci import KeptLoci, PeakLoci
from bigwig_loader.dataset.peak_memory import LocusArrays, PeakArrays
from bigwig_loader.dataset.peak_sequences import PeakSequences
from bigwig_loader.dataset.peak_tracks import PeakTracks, add_counts
from bigwig_loader.dataset.stats import SIGNAL, Meter
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.sampling.peaks import PeakExamples

T = TypeVar("T")

# More reads at the same time than this add nothing: each has threads of its own.
MAX_LANES = 4
# Loci that are extracted in one call.
EXTRACTED_AT_ONCE = 512


@dataclass(frozen=True, eq=False)
class PeakInputs:
    """What examples are read from.

    Parameters
    ----------
    sequences : PeakSequences
    signals : PeakTracks or None
        None delivers sequence alone.
    controls : PeakTracks or None
    """

    sequences: PeakSequences
    signals: PeakTracks | None
    controls: PeakTracks | None

    def counts(self) -> SignalCounts:
        """What reading signal has taken in this process."""
        total = SignalCounts()
        for tracks in (self.signals, self.controls):
            if tracks is not None:
                add_counts(total, tracks.counts())
        return total

    @cached_property
    def backends(self) -> list[Backend]:
        """All that read; that of the sequences first."""
        found = [self.sequences.backend]
        for tracks in (self.signals, self.controls):
            found += [] if tracks is None else tracks.backends
        return list({id(backend): backend for backend in found}.values())

    def __getstate__(self) -> dict[str, Any]:
        # Backends stay on their machine.
        return {name: value for name, value in vars(self).items() if name != "backends"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def read(
        self,
        contig: npt.NDArray[np.int32],
        centre: npt.NDArray[np.int64],
        widths: tuple[int, int],
        reverse: npt.NDArray[np.bool_] | None = None,
        meter: Meter | None = None,
        n_threads: int | None = None,
        wait: bool = True,
    ) -> tuple[Any, Any, Any]:
        """Sequences (k, 4, W), signals (k, T, V) and controls (k, C, W) around k bases.

        Parameters
        ----------
        contig, centre, reverse : (k,) arrays
        widths : (int, int)
            W and V.
        wait : bool
            See `SignalReader.read`.
        """
        meter = meter or Meter()
        around = centred(contig, centre, widths[0], reverse)
        with meter.stage("sequence"):
            sequences = self.sequences.encode(around, wait)
        with meter.stage(SIGNAL):
            return sequences, *self.read_signal(contig, centre, widths, reverse, n_threads, wait)

    def read_signal(
        self,
        contig: npt.NDArray[np.int32],
        centre: npt.NDArray[np.int64],
        widths: tuple[int, int],
        reverse: npt.NDArray[np.bool_] | None = None,
        n_threads: int | None = None,
        wait: bool = True,
    ) -> tuple[Any, Any]:
        """Signals and controls of `read`; None where there are none."""
        signals = controls = None
        if self.signals is not None:
            around = centred(contig, centre, widths[1], reverse)
            signals = self.signals.read(around, n_threads, wait)
        if self.controls is not None:
            around = centred(contig, centre, widths[0], reverse)
            controls = self.controls.read(around, n_threads, wait)
        return signals, controls

    def on_host(self, array: Any) -> Any:
        """An array of `read` in host memory; None for None."""
        is_there = array is None or isinstance(array, np.ndarray)
        return array if is_there else self.sequences.backend.to_host(array)

    def on_device(self, array: Any) -> Any:
        """An array of `read` in the memory of the sequences' backend; None for None.

        Raises
        ------
        InvalidInputError
            For uint16 on a GPU, which stands for bfloat16 there.
        """
        if not isinstance(array, np.ndarray):
            return array
        made = self.sequences.backend.to_device(array)
        if is_device_array(made) and is_bfloat16(made):
            raise InvalidInputError(
                "argument sequences: expected arrays of another dtype than uint16, which stands "
                "for bfloat16 on a GPU; use int8, or device='cpu'"
            )
        return made


class PeakReader:
    """Reads examples of a plan.

    Parameters
    ----------
    inputs : PeakInputs
    windows : PeakWindows
    loci : PeakLoci
        `Batch.sources` counts the files of its peaks first, then those of its negatives.
    count_target : {"log1p"} or None

    Attributes
    ----------
    n_lanes : int
        How many calls of `read` are worth making at the same time.
    lookahead : int
        How many calls of `begin` are worth making ahead; see `Backend.lookahead`.
    """

    def __init__(
        self,
        inputs: PeakInputs,
        windows: PeakWindows,
        loci: PeakLoci,
        count_target: str | None = None,
    ) -> None:
        self.inputs = inputs
        self.windows = windows
        self.peaks, self.negatives = loci.kept_peaks, loci.kept_negatives
        self.n_peak_files = loci.n_peak_files
        self.count_target = count_target
        self.meter = Meter()
        self._memory: PeakArrays | None = None
        threads = inputs.sequences.n_threads
        # Where the backend works behind, batches are asked for ahead instead.
        self.lookahead = inputs.sequences.backend.lookahead
        self.n_lanes = 1 if self.lookahead else min(threads, MAX_LANES)
        self._threads_per_lane = threads // self.n_lanes
        self._names = np.array(inputs.sequences.contigs.names, dtype=np.str_)

    def extract(self, negative_jitter: int, advance: Advance | None = None) -> None:
        """Read all loci now, with their margins for jitter; later examples are cut out of that.

        Parameters
        ----------
        negative_jitter : int
            Margin of the negatives; that of the peaks is ``windows.max_jitter``.
        advance : callable, optional
            Told the number of loci read, as reading goes on.
        """
        windows, signals = self.windows, self.inputs.signals
        assert signals is not None
        controls = self.inputs.controls
        self._memory = PeakArrays(
            self._extract(self.peaks, windows.max_jitter, advance),
            self._extract(self.negatives, negative_jitter, advance),
            windows.in_window,
            windows.out_window,
            signals.swap,
            None if controls is None else controls.swap,
        )

    def _extract(self, loci: KeptLoci, margin: int, advance: Advance | None) -> LocusArrays:
        if not len(loci):
            nothing = np.zeros((0, 0, 0), np.float32)
            return LocusArrays(nothing, nothing, nothing, margin)
        widths = (self.windows.in_window + 2 * margin, self.windows.out_window + 2 * margin)
        arrays = extract_windows(
            self.inputs.read, self.inputs.on_host, loci.contig, loci.middle, widths, advance
        )
        return LocusArrays(*arrays, margin)

    @property
    def example_bytes(self) -> int:
        """Memory of one example, roughly."""
        tracks = (self.inputs.signals, self.inputs.controls)
        n_signals, n_controls = (0 if t is None else t.n_tracks for t in tracks)
        return 4 * (self.windows.in_window * (1 + n_controls) + self.windows.out_window * n_signals)

    def begin(
        self, draw: Callable[[], PeakExamples], epoch: int, index: int | None
    ) -> Begun[Batch]:
        """Ask for a batch of the examples that `draw` returns, as batch `index` of an epoch."""
        backends = self.inputs.backends
        return begin(lambda: self._ask(draw(), epoch, index), self._with_counts, backends)

    def hand_over(self, batch: Batch, stream: int | None = None) -> None:
        """Tell the backend whose its arrays of a batch are from now on; see `Backend.hand_over`.

        Called in the thread of the consumer.
        """
        arrays = (batch.sequences, batch.values, batch.controls, batch.counts)
        made = [array for array in arrays if array is not None]
        for backend in self.inputs.backends:  # each knows its own
            backend.hand_over(*made, stream=stream)

    def _ask(self, examples: PeakExamples, epoch: int, index: int | None) -> Batch:
        """A batch whose values may not be there yet, and without counts."""
        is_peak, locus = examples.is_peak, examples.locus
        contig = self._of("contig", is_peak, locus).astype(np.int32, copy=False)
        middle = self._of("middle", is_peak, locus)
        jitter = examples.jitter.astype(np.int64)
        reverse = examples.reverse if examples.reverse.any() else None
        widths = (self.windows.in_window, self.windows.out_window)
        centre = middle + jitter
        if self._memory is None:
            arrays = self.inputs.read(
                contig, centre, widths, reverse, self.meter, self._threads_per_lane, wait=False
            )
        else:
            arrays = self._memory.cut(is_peak, locus, jitter, examples.reverse)
        sequences, signals, controls = map(self.inputs.on_device, arrays)
        with self.meter.stage("assemble"):
            start = centre - widths[0] // 2
            source = self._of("source", is_peak, locus).astype(np.int32, copy=False)
            source[~is_peak] += self.n_peak_files
            tracks = self.inputs.signals
            value_start = None if tracks is None else centre - widths[1] // 2
            return Batch(
                sequences=sequences,
                values=signals,
                controls=controls,
                labels=is_peak.astype(np.int64),
                chromosomes=self._names[contig],
                starts=start,
                ends=start + widths[0],
                value_starts=value_start,
                value_ends=None if value_start is None else value_start + widths[1],
                reverse=examples.reverse,
                jitter=jitter,
                sources=source,
                regions=self._of("row", is_peak, locus).astype(np.int64, copy=False),
                track_names=None if tracks is None else tracks.names,
                epoch=epoch,
                index=index,
            )

    def _of(
        self, name: str, is_peak: npt.NDArray[np.bool_], locus: npt.NDArray[Any]
    ) -> npt.NDArray[Any]:
        """A column of the peaks or negatives at each locus."""
        result = np.empty(len(locus), np.int64)
        result[is_peak] = self.peaks.column(name, locus[is_peak])
        result[~is_peak] = self.negatives.column(name, locus[~is_peak])
        return result

    def _with_counts(self, batch: Batch) -> Batch:
        """The batch with ``log1p`` of the sum over bases and tracks of each group, (k, G) float32.

        Raises
        ------
        InvalidInputError
            If a sum is -1 or less.
        """
        if self.count_target is None or batch.values is None:
            return batch
        assert self.inputs.signals is not None
        with self.meter.stage("assemble"):
            total = self.inputs.on_host(batch.values).sum(axis=2, dtype=np.float64)
            first = np.cumsum([0, *self.inputs.signals.groups[:-1]])
            # Groups keep their places on reverse complement, so their sums do.
            total = np.add.reduceat(total, first, axis=1)
            if (total <= -1).any():
                example, group = np.argwhere(total <= -1)[0].tolist()
                assert batch.chromosomes is not None
                centre = batch.starts[example] + self.windows.in_window // 2
                raise InvalidInputError(
                    "argument count_target: log1p expects sums of signal above -1; got "
                    f"{total[example, group]} for track group {group} around "
                    f"{batch.chromosomes[example]}:{centre}"
                )
            counts = self.inputs.on_device(np.log1p(total).astype(np.float32))
        return replace(batch, counts=counts)


def extract_windows(
    read: Callable[..., tuple[Any, Any, Any]],
    on_host: Callable[[Any], Any],
    contig: npt.NDArray[np.int32],
    middle: npt.NDArray[np.int64],
    widths: tuple[int, int],
    advance: Advance | None = None,
) -> tuple[Any, Any, Any]:
    """Windows of all loci in memory, in parts of `EXTRACTED_AT_ONCE`.

    Parameters
    ----------
    read : callable
        `PeakInputs.read`, or one like it.
    on_host : callable
        `PeakInputs.on_host`.
    contig, middle, widths
        As there.
    advance : callable, optional
        Told the number of loci read, as reading goes on.
    """
    n = len(middle)
    joined: list[Any] = [None, None, None]
    for first in range(0, n, EXTRACTED_AT_ONCE):
        part = slice(first, first + EXTRACTED_AT_ONCE)
        arrays = read(contig[part], middle[part], widths)
        for i, array in enumerate(map(on_host, arrays)):
            if array is not None:
                if joined[i] is None:
                    joined[i] = np.empty((n, *array.shape[1:]), array.dtype)
                joined[i][part] = array
        if advance is not None:
            advance(len(middle[part]))
    return joined[0], joined[1], joined[2]


def with_progress(total: int, title: str, verbose: bool, work: Callable[[Advance | None], T]) -> T:
    """Do `work`, with a progress bar where `verbose`."""
    if not verbose:
        return work(None)
    from rich.progress import Progress

    with Progress() as bar:
        task = bar.add_task(title, total=total)
        result = work(lambda n: bar.advance(task, n))
        # Loci that are dropped for other reasons are never counted.
        bar.update(task, completed=total)
        return result
