"""`PeakDataset`: peaks and background regions to batches."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import numpy.typing as npt

from bigwig_loader.assemble.batch import Batch
from bigwig_loader.dataset.iterator import BatchIterator
from bigwig_loader.dataset.loader import Prefetcher
from bigwig_loader.dataset.locus_selection import PeakWindows
from bigwig_loader.dataset.peak_build import choose_loci, make_plan, open_inputs
from bigwig_loader.dataset.peak_options import (
    Auto,
    CountTarget,
    DrawOptions,
    FilterOptions,
    Mode,
    PeakRng,
    flatten_groups,
    warn_of_flat_strands,
)
from bigwig_loader.dataset.peak_reader import PeakReader, with_progress
from bigwig_loader.dataset.peak_sources import PeakLoadOptions
from bigwig_loader.dataset.state import Progress, check_state, make_state
from bigwig_loader.dataset.stats import LoaderStats, Meter
from bigwig_loader.errors import InvalidInputError, LoaderError
from bigwig_loader.sampling.digest import digest
from bigwig_loader.sampling.loci import LociSource
from bigwig_loader.sampling.locus_filters import Edges
from bigwig_loader.sampling.peaks import NegativesPer
from bigwig_loader.sampling.ranks import Shard, Uneven
from bigwig_loader.sampling.rng import check_epoch, new_seed
from bigwig_loader.types import check_choice, check_not_negative, check_positive

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_CACHE_BYTES = 128 << 20
# Examples that are read in one call, in whole batches: a call costs as much as reading a few.
READ_AT_ONCE = 512


class PeakDataset:
    """Batches of peaks and background regions, as BPNet-style models are trained on.

    Sequence, signal and controls of an example are windows around one base: the middle of its
    locus, moved by the jitter. Nothing is extracted beforehand: what is kept is a table of 24 bytes
    a locus, and every batch is read from the genome and the BigWig files. What example i of an
    epoch is depends on (random_state, epoch, i) only, so batches do not depend on threads,
    processes, or what was read before.

    Parameters
    ----------
    peaks : path, DataFrame, list of them, or None
        BED or narrowPeak; columns are taken by position. Several are interleaved: the first locus
        of each, the second of each, and so on. None with ``mode="negatives"`` only.
    negatives : path, DataFrame, list of them, or None
        Background regions. None needs ``negative_ratio=0``.
    sequences : path, Genome, or mapping of str to (4, L) array
        FASTA, or one-hot contigs in memory; `Batch.sequences` then has their dtype.
    signals : list
        Tracks to predict: paths of BigWig files, or mappings of contig name to array (L,). An
        entry that is a list is a group, e.g. ``[["plus.bw", "minus.bw"]]`` the two strands of one
        experiment: on reverse complement the tracks of a group change places.
    controls : list, optional
        Tracks over the window of the sequence; like `signals`.
    chroms : list of str, optional
        Loci on other contigs are not used. None uses all.
    in_window : int
        W: bases of sequence and controls, [c - W // 2, c - W // 2 + W) around base c.
    out_window : int
        V: bases of signal, likewise.
    max_jitter : int
        J: peaks are moved by -J to J bases, uniformly, the same for sequence, signal and controls.
    negative_ratio : float
        An epoch holds every kept peak and ``int(n_peaks * negative_ratio)`` negatives.
    reverse_complement : bool
        Deliver half of the examples as reverse complement, each by itself.
    shuffle : bool
        Peaks in a new order every epoch; otherwise in that of the files.
    min_counts, max_counts : float, optional
        Peaks with fewer or more counts are dropped: the signal of all tracks added up over
        `out_window` around the middle.
    summits : bool
        Centre peaks on the summits in column 10. Negatives are centred on their middle.
    exclusion_lists : path, DataFrame, or list of them, optional
        Loci whose windows, jitter included, overlap a region of these are dropped.
    random_state : int, optional
        In [0, 2**64). None takes one from the operating system; `random_state` says which.
    batch_size : int
        Examples of a batch, of all ranks together.
    verbose : bool
        Show a progress bar while loci are counted or extracted, and how many were dropped.
    signal_groups, control_groups : list of int, optional
        Sizes of the groups of tracks that are listed flat.
    mode : {"train", "negatives", "validation", "attribution"}
        "train": as said above. "negatives": every kept negative once an epoch and no peak, for
        bias models; peaks, where given, decide the cap. "validation": no jitter, no reverse
        complement, no shuffling, and the same negatives in every epoch. "attribution": sequence of
        the peaks alone, in order.
    rng : {"philox", "cherimoya-0.3"}
        "cherimoya-0.3" repeats the batches of cherimoya 0.3.1 for the same random_state, its rules
        for loci included. It is the meaning of "auto" below.
    edges : {"drop", "pad", "shift"}
        Loci whose windows, jitter included, reach past an end of the contig: drop them, keep them
        (no base there, and signal 0), or move their middle as far as needed.
    outliers : None, quantile, (quantile, factor) or "auto"
        Drop peaks with more counts than factor times the quantile, in any track group. "auto" is
        None, or (0.99, 1.2) as cherimoya.
    negative_min_counts, negative_max_counts : float, None or "auto"
        Limits for negatives. "auto" is None, or the limits of the peaks as in cherimoya.
    negative_cap : float, optional
        Keep only negatives with fewer counts than this times the 0.01 quantile of the counts of the
        peaks (ChromBPNet's bias_threshold_factor). By default 0.5 with ``mode="negatives"`` and
        peaks given, and none otherwise.
    count_group : int, None or "auto"
        Track group whose signal counts for the limits; None for all. "auto" is None, or the first
        track alone, over the window widened by the jitter, as cherimoya.
    exclusion_bp : int or "auto"
        Resolution of exclusion lists: 1 compares bases, 100 rounds regions and windows outwards
        to whole 100 bp. "auto" is 1, or 100 as cherimoya.
    maximum_unknown_bases_fraction : float, optional
        Drop loci with a larger fraction of bases other than A, C, G, T in the window.
    negatives_per : {"epoch", "batch"}
        Whether every batch has its exact share of negatives (to within one), or only every epoch.
    negative_replacement : bool, optional
        Draw negatives independently. False draws all equally often in an epoch, to within one. By
        default True with ``mode="train"``, else False.
    negative_jitter : bool
        Move negatives as well.
    peak_weights : sequence of float, optional
        One for each file of peaks: an epoch holds as many examples as there are peaks, shared out
        by weight times number of peaks.
    count_target : {"log1p"}, optional
        Also deliver ``log1p`` of the summed signal of each track group, `Batch.counts`.
    in_memory : bool
        Extract all windows now, as the peers do: about 4 W + 4 (T V + C W) bytes a locus, and as
        much for the jitter.
    cache_bytes : int
        Decoded data blocks to keep in memory, for epochs after the first.
    n_threads : int, optional
        Threads that read; None for the cores available.
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    prefetch : int
        Batches made ahead in a background thread.
    drop_last : bool
        Leave out a last batch of fewer examples.
    rank, world_size : int, optional
        Which of several training processes this is; from RANK and WORLD_SIZE where not given.
        Every batch is shared out evenly.
    uneven : {"pad", "drop"}
        A short last batch that cannot be shared out evenly: repeat some of its examples, or leave
        some out.

    Attributes
    ----------
    n_examples : int
        Of an epoch.

    Raises
    ------
    InvalidInputError
        For arguments that cannot be used, and if no peaks or no negatives are left; the message
        says how many were dropped for which reason.
    NotFoundError
        For loci on contigs that are not in `sequences`.
    LoaderError
        While iterating, for a batch that cannot be made; the original error is ``__cause__``.

    Notes
    -----
    `Batch.sequences` are (B, 4, W) int8, `Batch.values` (B, T, V) and `Batch.controls` (B, C, W)
    float32. Bases other than A, C, G, T are all zero. Bases without signal, on contigs a track
    lacks, or past the end of its contig, have 0; NaN is 0, and infinities are the largest float32.
    """

    def __init__(
        self,
        peaks: LociSource | None,
        negatives: LociSource | None,
        sequences: Any,
        signals: Sequence[Any] | None,
        controls: Sequence[Any] | None = None,
        chroms: Sequence[str] | None = None,
        in_window: int = 2114,
        out_window: int = 1000,
        max_jitter: int = 50,
        negative_ratio: float = 0.1,
        reverse_complement: bool = True,
        shuffle: bool = True,
        min_counts: float | None = None,
        max_counts: float | None = None,
        summits: bool = False,
        exclusion_lists: LociSource | None = None,
        random_state: int | None = None,
        batch_size: int = 32,
        verbose: bool = False,
        signal_groups: Sequence[int] | None = None,
        control_groups: Sequence[int] | None = None,
        *,
        mode: Mode = "train",
        rng: PeakRng = "philox",
        edges: Edges = "drop",
        outliers: Any = "auto",
        negative_min_counts: float | Auto | None = "auto",
        negative_max_counts: float | Auto | None = "auto",
        negative_cap: float | None = None,
        count_group: int | Auto | None = "auto",
        exclusion_bp: int | Auto = "auto",
        maximum_unknown_bases_fraction: float | None = None,
        negatives_per: NegativesPer = "epoch",
        negative_replacement: bool | None = None,
        negative_jitter: bool = False,
        peak_weights: Sequence[float] | None = None,
        count_target: CountTarget = None,
        in_memory: bool = False,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
        n_threads: int | None = None,
        device: str = "auto",
        prefetch: int = 2,
        drop_last: bool = False,
        rank: int | None = None,
        world_size: int | None = None,
        uneven: Uneven = "pad",
    ) -> None:
        check_positive("batch_size", batch_size)
        check_not_negative("prefetch", prefetch)
        check_choice("uneven", uneven, get_args(Uneven))
        if count_target is not None:
            check_choice("count_target", count_target, ("log1p",))
        self.batch_size, self.drop_last = int(batch_size), drop_last
        self.prefetch, self._uneven = prefetch, uneven
        self._shard = Shard.choose(rank, world_size)
        self._shard.check_batch_size(self.batch_size)
        draw = DrawOptions(
            mode,
            rng,
            negative_ratio,
            reverse_complement,
            shuffle,
            new_seed() if random_state is None else random_state,
            negatives_per,
            negative_replacement,
            negative_jitter,
            None if peak_weights is None else tuple(peak_weights),
        )
        filters = FilterOptions(
            min_counts,
            max_counts,
            negative_min_counts,
            negative_max_counts,
            negative_cap,
            count_group,
            outliers,
            exclusion_lists,
            exclusion_bp,
            edges,
            maximum_unknown_bases_fraction,
        )
        inputs = open_inputs(
            sequences,
            flatten_groups(signals, signal_groups, "signals"),
            flatten_groups(controls, control_groups, "controls"),
            PeakLoadOptions(n_threads, device, cache_bytes),
            mode,
        )
        asked = PeakWindows(in_window, out_window, max_jitter)
        windows = replace(asked, max_jitter=draw.jitter(max_jitter))
        if draw.is_reversed and inputs.signals is not None:
            warn_of_flat_strands(inputs.signals.names, inputs.signals.groups)
        self._loci = choose_loci(
            (peaks, negatives), (chroms, summits), inputs, windows, filters, draw, verbose
        )
        self._draw, self._seed_given = draw, random_state is not None
        self._plan = make_plan(self._loci, draw, windows)
        self.n_examples = self._plan.n_examples
        self._reader = PeakReader(inputs, windows, self._loci, count_target)
        if not self.n_batches:
            raise InvalidInputError(
                f"argument batch_size: expected at most the {self.n_examples} examples of an "
                f"epoch, because drop_last=True leaves out a shorter batch; got {self.batch_size}"
            )
        if in_memory and inputs.signals is not None:
            with_progress(
                self.n_peaks + self.n_negatives,
                "Extracting loci",
                verbose,
                lambda advance: self._reader.extract(
                    windows.max_jitter if negative_jitter else 0, advance
                ),
            )
        self._progress = Progress()

    @property
    def random_state(self) -> int:
        """The seed, given or drawn."""
        return self._draw.random_state

    @property
    def n_peaks(self) -> int:
        """Peaks that are kept and drawn."""
        return len(self._loci.kept_peaks)

    @property
    def n_negatives(self) -> int:
        """Background regions that are kept."""
        return len(self._loci.kept_negatives)

    @property
    def reasons(self) -> pd.DataFrame:
        """Why every locus is kept or dropped: the reason table.

        Columns ``kind`` ("peak" or "negative") and those of `Loci.table`; in order of the files.
        """
        return self._loci.table()

    @property
    def n_batches(self) -> int:
        """Batches of an epoch, of all ranks together.

        A last batch that is too short for each rank to have an example is none.
        """
        whole, rest = divmod(self.n_examples, self.batch_size)
        return whole + (not self.drop_last and len(self._shard.slice_of(rest, self._uneven)) > 0)

    @property
    def epoch(self) -> int:
        """The current epoch, which the next or present iteration runs through."""
        return self._progress.epoch

    @property
    def shard(self) -> Shard:
        """Which part of every batch this process makes."""
        return self._shard

    @property
    def meter(self) -> Meter:
        """What counts the time of this process' batches."""
        return self._reader.meter

    def __len__(self) -> int:
        """Batches of an epoch."""
        return self.n_batches

    def indices(self, batch: int) -> npt.NDArray[np.int64]:
        """Which examples of an epoch a batch holds, those of this rank."""
        first = batch * self.batch_size
        n = min(self.batch_size, self.n_examples - first)
        return first + self._shard.slice_of(n, self._uneven)

    def examples(self, epoch: int, indices: npt.ArrayLike, index: int | None = None) -> Batch:
        """Any examples of any epoch, whatever was read before.

        Parameters
        ----------
        epoch : int
        indices : (k,) int
            Each in [0, n_examples).
        index : int, optional
            Number of the batch they are, for `Batch.index`.
        """
        wanted = np.atleast_1d(np.asarray(indices, np.int64))
        if not len(wanted):
            raise InvalidInputError("indices of examples: expected at least one; got none")
        outside = wanted[(wanted < 0) | (wanted >= self.n_examples)]
        if len(outside):
            raise InvalidInputError(
                f"index of an example: expected 0 to {self.n_examples - 1}; got {outside[0]}"
            )
        check_epoch(epoch)
        with self._reader.meter.stage("plan"):
            drawn = self._plan.draw(0 if self._draw.is_fixed else epoch, wanted)
        return self._reader.read(drawn, epoch, index)

    def batches(
        self, epoch: int, first: int = 0, step: int = 1, prefetch: int | None = None
    ) -> Prefetcher[Batch]:
        """Batches first, first + step, ... of any epoch; the data set's own position stays."""
        depth = self.prefetch if prefetch is None else prefetch
        source = self._make_batches(check_epoch(epoch), range(first, self.n_batches, step))
        return Prefetcher(source, depth, meter=self._reader.meter)

    def _make_batches(self, epoch: int, wanted: range) -> Iterator[Batch]:
        """Batches, several of them read at once: slices of the same arrays that do not overlap."""
        most = max(1, READ_AT_ONCE // self.batch_size)
        at_once, first = 1, 0  # the first one is waited for
        while first < len(wanted):
            group = wanted[first : first + at_once]
            first, at_once = first + len(group), min(2 * at_once, most)
            indices = [self.indices(batch) for batch in group]
            try:
                joined = self.examples(epoch, np.concatenate(indices))
            except Exception:
                # One by one, so that the batches before the bad one are delivered.
                for batch, of_batch in zip(group, indices, strict=True):
                    if len(of_batch):
                        yield self.read_batch(epoch, of_batch, batch)
                continue
            stops = np.cumsum([len(of_batch) for of_batch in indices]).tolist()
            for batch, of_batch, stop in zip(group, indices, stops, strict=True):
                if len(of_batch):
                    yield joined.rows(stop - len(of_batch), stop, batch)

    def read_batch(self, epoch: int, indices: npt.ArrayLike, batch: int | None = None) -> Batch:
        """`examples`, with an error that names the batch.

        Raises
        ------
        LoaderError
            If it cannot be read; the original error is ``__cause__``.
        """
        try:
            return self.examples(epoch, indices, batch)
        except Exception as error:
            which = f"batch {batch}" if batch is not None else f"examples {np.asarray(indices)}"
            raise LoaderError(
                f"{which} of epoch {epoch} could not be read: {type(error).__name__}: {error}"
            ) from error

    def __iter__(self) -> BatchIterator:
        """The next epoch from its beginning; after `load_state_dict`, the rest of that epoch."""
        self._progress = self._progress.following()
        batches = self.batches(self._progress.epoch, self._progress.batch)
        return BatchIterator(batches, self._progress, as_objects=True)

    def set_epoch(self, epoch: int) -> None:
        """Go to the beginning of an epoch."""
        self._progress = Progress(check_epoch(epoch))

    def stats(self) -> LoaderStats:
        """What making batches took in this process so far; ``print()`` shows it as a table."""
        return self._reader.meter.snapshot(self._reader.inputs.counts())

    @cached_property
    def fingerprint(self) -> dict[str, Any]:
        """What decides what is in the batches, by name."""
        inputs, loci = self._reader.inputs, self._loci
        tracks = [t for t in (inputs.signals, inputs.controls) if t is not None]
        return {
            "mode": self._draw.mode,
            "batch_size": self.batch_size,
            "drop_last": self.drop_last,
            "n_examples": self.n_examples,
            "count_target": self._reader.count_target,
            "windows": digest(self._reader.windows),
            "tracks": digest(*((t.names, t.groups) for t in tracks)),
            "peaks": digest(loci.kept_peaks.contig, loci.kept_peaks.middle),
            "negatives": digest(loci.kept_negatives.contig, loci.kept_negatives.middle),
            "plan": self._plan.fingerprint(),
        }

    def state_dict(self) -> dict[str, Any]:
        """Where the epoch stands: a small dictionary that JSON can hold."""
        progress = self._progress
        return self.make_state(progress.epoch, progress.batch)

    def make_state(self, epoch: int, batch: int) -> dict[str, Any]:
        """The state after `batch` batches of an epoch."""
        return make_state(self.random_state, epoch, batch, self.fingerprint)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was called, with the very batches that would have followed.

        Raises
        ------
        InvalidInputError
            If the state is that of a data set that would make other batches.
        """
        epoch, batch = self.check_state(state)
        self._progress = Progress(epoch, batch, resumed=True)

    def check_state(self, state: Mapping[str, Any]) -> tuple[int, int]:
        """Epoch and batch of a state, if it is one of a data set with the same batches.

        A data set that drew its seed takes that of the state.
        """
        seed, epoch, batch = check_state(state, self.fingerprint)
        if seed != self.random_state and not self._seed_given:
            self._draw = dataclasses.replace(self._draw, random_state=seed)
            self._plan = make_plan(self._loci, self._draw, self._reader.windows)
        elif seed != self.random_state:
            raise InvalidInputError(
                f"state: expected random_state {self.random_state}; got {seed}. Make this data "
                f"set with random_state={seed}"
            )
        return epoch, batch
