"""`PeakDataset`: peaks and background regions to batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

from bigwig_loader.dataset.locus_selection import PeakWindows
from bigwig_loader.dataset.peak_build import choose_loci, make_plan, open_inputs
from bigwig_loader.dataset.peak_epochs import PeakEpochs
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
from bigwig_loader.dataset.peak_sequences import PeakLoadOptions
from bigwig_loader.dataset.state import Progress
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.sampling.loci import LociSource
from bigwig_loader.sampling.locus_filters import Edges
from bigwig_loader.sampling.peaks import NegativesPer
from bigwig_loader.sampling.ranks import Shard, Uneven
from bigwig_loader.sampling.rng import new_seed
from bigwig_loader.types import check_choice, check_not_negative, check_positive

if TYPE_CHECKING:
    pass

DEFAULT_CACHE_BYTES = 128 << 20


class PeakDataset(PeakEpochs):
    """Batches of peaks and background regions, as BPNet-style models are trained on.

    Sequence, signal and controls of an example are windows around one base: the middle of its
    locus, moved by the jitter. Nothing is extracted beforehand: what is kept is a table of 41 bytes
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
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:N"``: where batches are made, and kept by
        `cache_bytes`. On a GPU, sequences, values, controls and counts are CuPy arrays there; see
        `BigWigDataset`. Tracks that are arrays, and `in_memory`, are copied there batch by batch.
    prefetch : int
        Batches that may lie ready; 0 makes each when it is asked for, without a thread. Up to 512
        examples (16 MB) are read in one call, and up to four such calls run at the same time
        (three on a GPU).
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
