"""Batch plans to batches: reads the windows and names what was read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from bigwig_loader.assemble.batch import Batch
from bigwig_loader.assemble.sequences import slice_rows, window_strings
from bigwig_loader.dataset.ahead import Begun, begin, begun_ahead
from bigwig_loader.dataset.examples import BatchPlan, group_plans, join_windows
from bigwig_loader.dataset.options import ValueOptions, WindowOptions
from bigwig_loader.dataset.sources import Sources
from bigwig_loader.dataset.stats import SIGNAL, Meter
from bigwig_loader.dataset.unknown import describe_window
from bigwig_loader.errors import LoaderError
from bigwig_loader.plan.sequence import SequenceOptions
from bigwig_loader.plan.signal import SignalOptions
from bigwig_loader.plan.smooth import SmoothOptions
from bigwig_loader.plan.windows import Windows

if TYPE_CHECKING:
    from bigwig_loader.dataset.personal.windows import Personal
    from bigwig_loader.plan.track_groups import TrackGroups
    from bigwig_loader.sampling.tracks import TrackIndices
    from bigwig_loader.types import SignalDtype


class BatchReader:
    """Reads sequence and signal of planned batches.

    Parameters
    ----------
    sources : Sources
    window : WindowOptions
    value : ValueOptions
    n_threads : int
    meter : Meter
        Is told what each stage took.
    groups : TrackGroups, optional
        Tracks that change places in windows delivered as reverse complement.
    personal : Personal, optional
        Haplotypes to deliver in place of the reference; signal follows them.

    Raises
    ------
    InvalidInputError
        If the dtype is not one for signal and there are tracks.
    """

    def __init__(
        self,
        sources: Sources,
        window: WindowOptions,
        value: ValueOptions,
        n_threads: int,
        meter: Meter,
        groups: TrackGroups | None = None,
        personal: Personal | None = None,
    ) -> None:
        self.sources = sources
        self.groups = groups
        self.personal = personal
        self.meter = meter
        self.window = window
        self.value = value
        self._names = np.array(sources.contigs.names, dtype=np.str_)
        self._signal: SignalOptions | None = None
        self._smooth: SmoothOptions | None = None
        if sources.collection is not None:
            smooth = window.moving_average_window_size > 1
            dtype = cast("SignalDtype", value.dtype)
            SignalOptions(dtype=dtype)
            if smooth:
                # It starts from the base-resolution signal in full precision.
                width = window.moving_average_window_size
                self._smooth = SmoothOptions(width, window.window_size, dtype)
            self._signal = SignalOptions(
                bin_size=1 if smooth else window.window_size,
                statistic="mean" if smooth else value.statistic,
                dtype="float32" if smooth else dtype,
                layout="BTN" if smooth else "BNT",
                uncovered=value.default_value,
                n_threads=n_threads,
            )

    def read_all(
        self, plans: Iterator[BatchPlan], batches_at_once: int, ahead: bool = True
    ) -> Iterator[Batch]:
        """Batches of all plans, in order, `batches_at_once` read together.

        The plans of one group must agree on their tracks. Batches of one group are slices of the
        same arrays; they do not overlap, and nothing is written to them later. With `ahead`,
        groups are asked for while the backend works on those before them (`Backend.lookahead`).

        Raises
        ------
        LoaderError
            At the batch that cannot be read, after those before it, with the window in the
            message.
        """
        groups = group_plans(self.meter.timed(plans, "plan"), batches_at_once)
        lookahead = self.sources.backend.lookahead if ahead else 0
        # Closed by name: an error's traceback would keep what is in flight alive.
        with closing(begun_ahead(self._begin, groups, lookahead)) as all_begun:
            for group, begun in all_begun:
                # Handed over one by one: a batch that was taken is not kept alive here.
                batches = self._finish(group, begun)
                del begun
                yield from batches

    def _finish(self, group: list[BatchPlan], begun: Begun[list[Batch]]) -> Iterator[Batch]:
        batches: list[Batch] | None = None
        try:
            with self.meter.stage("sequence" if self.sources.collection is None else SIGNAL):
                batches = begun.result()
        except Exception as error:
            if len(group) == 1:
                raise self._failure(group[0], error) from error
        del begun
        if batches is None:
            # One at a time, so that the batches before the bad one are delivered.
            yield from map(self._read_one, group)
            return
        batches.reverse()
        while batches:
            yield batches.pop()

    def _begin(self, plans: list[BatchPlan]) -> Begun[list[Batch]]:
        windows = join_windows([plan.windows for plan in plans])
        return begin(
            lambda: self._ask(plans, windows),
            lambda read: self._assemble(plans, windows, read),
            [self.sources.backend],
        )

    def _read_one(self, plan: BatchPlan) -> Batch:
        try:
            return self._begin([plan]).result()[0]
        except Exception as error:
            raise self._failure(plan, error) from error

    def _failure(self, plan: BatchPlan, error: Exception) -> LoaderError:
        return LoaderError(
            f"batch {plan.index} of epoch {plan.epoch} could not be read at {self._culprit(plan)}: "
            f"{type(error).__name__}: {error}"
        )

    def _culprit(self, plan: BatchPlan) -> str:
        """The first window that fails alone; where none does, the first of all."""
        describe, n = describe_window, len(plan.windows)
        for i in range(n):
            try:
                self._begin([plan.take(slice(i, i + 1))]).result()
            except Exception:
                return describe(self.sources.contigs, plan.windows, i)
        return f"{describe(self.sources.contigs, plan.windows, 0)} or one of {n - 1} others"

    def _ask(self, plans: list[BatchPlan], windows: Windows) -> tuple[Any, Any]:
        """Values and one-hot sequences of all plans, which may not be there yet; or None."""
        if self.personal is not None:
            return self._personal(self.personal, plans, windows)
        values = None if self._signal is None else self._values(windows, plans[0].tracks)
        with self.meter.stage("sequence"):
            return values, self._onehot(windows)

    def _assemble(
        self, plans: list[BatchPlan], windows: Windows, read: tuple[Any, Any]
    ) -> list[Batch]:
        """The batches, of what `_ask` returned and is there now."""
        values, onehot = read
        if values is not None and self._smooth is not None:
            values = self._smoothed(values, windows, plans[0].tracks)
        batches, first = [], 0
        for plan in plans:
            stop = first + len(plan.windows)
            if onehot is not None:
                sequences = slice_rows(onehot, first, stop)
            else:
                with self.meter.stage("sequence"):
                    sequences = self._encoded(plan.windows)
            part = None if values is None else slice_rows(values, first, stop)
            with self.meter.stage("assemble"):
                batches.append(self._named(plan, sequences, part))
            first = stop
        return batches

    def _personal(
        self, personal: Personal, plans: list[BatchPlan], windows: Windows
    ) -> tuple[Any, Any]:
        """Values and sequences on the haplotypes of each example's sample."""
        parts = [plan.positions.sample for plan in plans if plan.positions is not None]
        sample = np.concatenate([part for part in parts if part is not None])
        collection, values = self.sources.collection, None
        if collection is not None:
            tracks = plans[0].tracks
            chosen = np.arange(collection.n_tracks) if tracks is None else tracks
            swap = self._swap(windows, tracks)
            with self.meter.stage(SIGNAL):
                values = personal.values(collection, chosen, windows, sample, swap)
        with self.meter.stage("sequence"):
            return values, personal.sequences(windows, sample)

    def _swap(self, windows: Windows, tracks: TrackIndices | None) -> tuple[int, ...] | None:
        if windows.reverse is None or self.groups is None:
            return None
        return self.groups.swap(tracks)

    def _values(self, windows: Windows, tracks: TrackIndices | None) -> Any:
        assert self.sources.collection is not None
        assert self._signal is not None
        swap = self._swap(windows, tracks)
        wanted = self.window.signal_windows(windows)
        options = self._signal
        if swap is not None and wanted.reverse is not None:
            options = replace(options, track_swap=swap)
        with self.meter.stage(SIGNAL):
            return self.sources.collection.read(wanted, tracks=tracks, options=options, wait=False)

    def _smoothed(self, values: Any, windows: Windows, tracks: TrackIndices | None) -> Any:
        assert self._smooth is not None
        options = replace(self._smooth, track_swap=self._swap(windows, tracks))
        with self.meter.stage("assemble"):
            return self.sources.backend.smooth(values, options, windows.reverse)

    def hand_over(self, batch: Batch, stream: int | None = None) -> None:
        """Tell the backend whose its arrays of a batch are from now on; see `Backend.hand_over`.

        Called in the thread of the consumer.
        """
        arrays = [batch.values]
        if self.value.sequence_encoder == "onehot":
            arrays.append(batch.sequences)
        made = [array for array in arrays if array is not None]
        self.sources.backend.hand_over(*made, stream=stream)

    def _onehot(self, windows: Windows) -> Any:
        if self.sources.genome is None or self.value.sequence_encoder != "onehot":
            return None
        return self.sources.backend.encode_one_hot(
            self.sources.genome,
            self.sources.contigs,
            windows,
            SequenceOptions(dtype=self.value.dtype),
            wait=False,
        )

    def _encoded(self, windows: Windows) -> Any:
        if self.sources.genome is None:
            return None
        strings = window_strings(self.sources.genome, self.sources.contigs, windows)
        encoder = self.value.sequence_encoder
        if encoder is None or encoder == "onehot":
            return strings
        encoded = encoder(strings)
        if len(encoded) != len(strings):
            raise LoaderError(
                f"sequence_encoder: expected one result for each of {len(strings)} sequences; "
                f"got {len(encoded)}"
            )
        return encoded

    def _named(self, plan: BatchPlan, sequences: Any, values: Any) -> Batch:
        start, positions = plan.windows.start, plan.positions
        collection, value_start, indices, names = self.sources.collection, None, None, None
        if collection is not None:
            value_start = start + self.window.value_offset_bp
            indices = plan.tracks if plan.tracks is not None else np.arange(collection.n_tracks)
            names = tuple(collection.track_names[i] for i in indices.tolist())
        return Batch(
            sequences=sequences,
            values=values,
            chromosomes=self._names[plan.windows.contig_index],
            starts=start.copy(),
            ends=start + plan.windows.length_bp,
            value_starts=value_start,
            value_ends=None if value_start is None else value_start + self.window.value_bp,
            reverse=_copy(plan.windows.reverse),
            jitter=None if positions is None else _copy(positions.jitter),
            sources=None if positions is None else _copy(positions.source),
            regions=None if positions is None else _copy(positions.region),
            samples=None if positions is None else _copy(positions.sample),
            track_indices=None if indices is None else indices.astype(np.int64),
            track_names=names,
            epoch=plan.epoch,
            index=plan.index,
        )


def _copy(array: npt.NDArray[Any] | None) -> npt.NDArray[Any] | None:
    """A batch's own: positions are drawn for several batches at once."""
    return None if array is None else array.copy()
