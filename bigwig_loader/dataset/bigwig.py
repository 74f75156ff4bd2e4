"""`BigWigDataset`: regions, tracks and a genome to batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bigwig_loader.dataset.build import ExampleBuilder, TrackBuilder, read_regions
from bigwig_loader.dataset.epochs import Epochs, check_shared_seed
from bigwig_loader.dataset.options import (
    BatchOptions,
    LoadOptions,
    SamplingOptions,
    SequenceEncoder,
    ShareOptions,
    SourceOptions,
    ValueOptions,
    WindowOptions,
)
from bigwig_loader.dataset.personal.windows import open_personal, reference_of
from bigwig_loader.dataset.reader import BatchReader
from bigwig_loader.dataset.sources import choose_groups, open_sources, with_targets
from bigwig_loader.dataset.state import (
    DrawnSeed,
    Progress,
    option_fingerprint,
    source_fingerprint,
)
from bigwig_loader.dataset.stats import Meter
from bigwig_loader.dataset.unknown import unknown_filter
from bigwig_loader.plan.targets import Target
from bigwig_loader.sampling.ranks import Shard, Uneven
from bigwig_loader.sampling.rng import check_seed, new_seed
from bigwig_loader.sampling.sampler import Sampler
from bigwig_loader.types import DtypeName, PathLike

if TYPE_CHECKING:
    import pandas as pd

    from bigwig_loader.collection import BigWigCollection
    from bigwig_loader.formats.genome import Genome


class BigWigDataset(Epochs):
    """Batches of one-hot sequence and signal from regions of the genome.

    An example is a window of `sequence_length` bp around a position. ``iter(dataset)`` runs
    through one epoch of batches; what an example holds depends on (seed, epoch, index) only, so
    the same seed gives the same batches for any `n_threads`, `prefetch`, `super_batch_size` and
    number of worker processes.

    Parameters
    ----------
    regions_of_interest : DataFrame or path, or None
        Columns chrom, start, end (0-based, half-open), or a BED file. Not used, and may be None,
        with a `custom_position_sampler`.
    collection : BigWigCollection, path, list of paths, or None
        The tracks. A file, or a folder to search. None delivers sequence alone.
    reference_genome_path : path, Genome, or None
        FASTA file. None delivers values alone.
    sequence_length : int
        L, in bp. The window of position p starts at ``p - L // 2``; it may reach past the ends of
        the contig, where sequence is all zero and values are `default_value`.
    center_bin_to_predict : int, optional
        Width in bp of the central part that values cover, at most L; None for all of L. Its left
        margin is ``(L - center_bin_to_predict) // 2``; where the difference is odd, the right
        margin is one base wider.
    window_size : int
        Bases per bin; a value is the mean over a bin. Bases of the central part beyond the last
        whole bin are not read: N = center_bin_to_predict // window_size.
    moving_average_window_size : int
        Width m in bp of a box: each base's value is replaced by the mean over the m bases around
        it (from ``p - m // 2``) before binning. It uses the signal beyond the window's edges,
        leaves out NaN, and works along bp. Base-resolution transforms of the collection come
        before it. 1 for none.
    batch_size : int
        B.
    super_batch_size : int, optional
        Examples to read at once, at least B. It is rounded down to whole batches, so that no
        example is dropped or waits at its edge. With batches of differing tracks, each is read
        by itself. None for one batch.
    batches_per_epoch : int, optional
        None for as many as (bases of all regions) // L examples make with `shuffle`, at least
        one; for every region once without.
    maximum_unknown_bases_fraction : float, optional
        Windows in which a larger fraction of bases is not A, C, G or T, or lies outside the
        contig, are not delivered. With `shuffle` another position is drawn instead, up to 1,000
        times; regions (``shuffle=False``) and listed positions are left out, and counted in
        `n_regions_left_out`. None for no limit; needs a genome.
    sequence_encoder : "onehot", callable or None
        ``"onehot"``: arrays (B, L, 4), alphabet A, C, G, T, other letters all zero. A function
        gets the B windows as a list of str (upper case, N outside the contig) and returns
        something of length B, which is delivered as it is, whatever `dtype` says. None delivers
        that list of str.
    file_extensions, crawl, scale, first_n_files
        How a path is opened; see `BigWigCollection`. Only where `collection` is a path.
    default_value : float
        Value of bases without data and outside the contig. Not changed by `scale`.
    position_sampler_buffer_size : int
        With `repeat_same_positions`, how many distinct positions there are. Without it, positions
        are computed as they are needed and nothing is buffered.
    repeat_same_positions : bool
        Every epoch has the same positions: those of epoch 0, where example i has the position of
        example ``i % position_sampler_buffer_size``.
    sub_sample_tracks : int, optional
        Number of tracks in each batch: a random subset, in ascending order. `Batch` says which.
    n_threads : int
        Threads that read and decode, on a GPU those that read; not of an open collection, which
        has its own.
    custom_position_sampler : Sampler or iterable of (str, int), optional
        Where examples lie, in place of random positions in the regions. An iterable is walked
        through once per epoch, in order, and the epoch ends where it ends; lists are read when
        the data set is made. `shuffle` does not apply.
    custom_track_sampler : iterable of int arrays, optional
        The tracks of batch 0, 1, ... of an epoch, which ends where it ends.
    return_batch_objects : bool
        Deliver `Batch` objects. Otherwise ``(sequences, values)``, or the only one of them there
        is.
    dtype : {"float32", "float16", "bfloat16", "uint8", "int8"}
        Of values and one-hot sequences; integers without tracks only. bfloat16 is that of
        `ml_dtypes`; on a GPU, for which CuPy has no such type, uint16 with the same bits.
    device : str
        Where batches are made: ``"cpu"``, in NumPy arrays; ``"cuda"`` or ``"cuda:N"``, on a GPU,
        in CuPy arrays; ``"auto"``, on a GPU where one can be used. ``"cuda"`` is the GPU that is
        current where the data set is made. Not of an open collection, which has its own.
        `backend` says what was chosen and why. See the notes.
    seed : int, optional
        In [0, 2**64). None takes one from the operating system, found in `seed` afterwards.
    shuffle : bool
        True: positions drawn uniformly from the bases of all regions, with replacement; a base in
        several regions counts once for each. False: every region once, in the order given,
        the window centred on it (base ``start + (end - start) // 2``).
    drop_last : bool
        Whether a last batch of fewer than B examples is left out. Random positions do not run
        out, so their batches are all full; the default number of batches is then rounded down
        (True) or up (False).
    prefetch : int
        Batches made ahead in a background thread; 0 for none and no thread. On a GPU the thread
        also asks for the next two (or groups of `super_batch_size`) while it works on one.
    reverse_complement : bool
        Deliver every example as reverse complement with probability 1/2, drawn anew in every epoch:
        sequence, values and the tracks of `track_groups`. `Batch.reverse` says which. Values are
        those of the forward strand in reverse order; coordinates stay those of the forward strand.
    max_jitter : int
        Move every window by -max_jitter to max_jitter bp, drawn anew in every epoch; its centre
        stays on the contig. `Batch.jitter` says how far. A window with too many unknown bases is
        moved again.
    use_strand : bool
        Deliver examples of minus-strand regions as reverse complement. Needs regions with a column
        ``strand``, or a `custom_position_sampler` that says it. With `reverse_complement`, half of
        all examples are turned on top of that.
    track_groups : list of lists of str or int, optional
        Tracks that belong together, by name or number, e.g. ``[["plus", "minus"]]``: in examples
        delivered as reverse complement the tracks of a group change places, the first with the
        last and so on. Tracks in no group stay. `sub_sample_tracks` takes groups whole or not at
        all; a `custom_track_sampler` that tears one apart is an error where examples are reversed.
        With reversed examples and None, names that look like two strands are warned of; ``[]`` is
        for those that are not.
    targets : str, TrackTransform, TargetPreset, or mapping, optional
        What bins are made into: ``"borzoi"``, ``"enformer"``, ``"enformer-cage"``, ``"bpnet"`` or
        another of `bigwig_loader.plan.targets.PRESETS`, or a transform of one's own; a mapping of
        track names or patterns (``{"*RNA*": "borzoi"}``) to these. A preset brings its statistic,
        and `window_size` has to be its bin size. It replaces transforms the collection has, except
        `scale`, which is kept. None for the mean of each bin.
    rank, world_size : int, optional
        This process, and how many there are. `batch_size` is that of all of them together; each
        makes its part of every batch, so the batches of an epoch, `len` and saved states are the
        same for any number of processes, and an epoch may go on with another number. Both None:
        the environment variables RANK and WORLD_SIZE, or one process. Several processes need a
        `seed`.
    uneven : {"pad", "drop"}
        How processes share a short last batch (``drop_last=False``): "pad" repeats examples from
        the batch's beginning until all have equally many, "drop" leaves out the last few.
    cache_bytes : int
        Decoded data blocks to keep in memory, that of the GPU where batches are made there; not of
        an open collection, which has its own.
    variants : Vcf, Pgen, path, or FastaVariants, optional
        Deliver the haplotypes of samples in place of the reference: sequences (B, P, L, 4) of P
        haplotypes, values (B, P, N, T) re-aligned to them. Windows are found in the reference as
        without variants; a haplotype's L bases begin where its window begins, and values cover
        its central part. Bases of an insertion have the value of the base before. Variants near
        the regions are read when the data set is made. Needs a genome (that of `FastaVariants`, if
        no other is given) and one-hot sequence.
    samples : list of str, optional
        Whose haplotypes; all by default, sorted. Every example shows one sample, which
        `Batch.samples` says by number: drawn with equal chances, anew in every epoch. With
        ``shuffle=False`` samples take turns: region i of epoch e shows sample (i + e) modulo their
        number.

    Raises
    ------
    InvalidInputError
        For a parameter that cannot be used, or regions that are empty or end past their contig.
    NotFoundError
        For files that do not exist and contigs that are not in all inputs.
    LoaderError
        While iterating, for a batch that cannot be made: file and window in the message, the
        original error as ``__cause__``.

    Notes
    -----
    Every batch has memory of its own and is never written to again.

    On a GPU, `Batch.sequences` and `Batch.values` are CuPy arrays with their values in them, for
    any stream; all else is NumPy's. They go into other frameworks by DLPack. Memory of batches
    that were dropped is used again, after what CuPy's current stream of the thread that took them
    had been given by then; who uses a batch on another stream calls `hand_over`. A batch takes
    memory for itself, for the batches made ahead (``prefetch + 3``), and for the compressed and
    the inflated data blocks of three of them; the packed genome takes half a byte a base.
    A moving average, and whatever `sequence_encoder` does, runs on the CPU.

    Each iteration is an epoch of its own: epoch 0 first, then the next one, also after a loop that
    was left early. `set_epoch` chooses another; after `load_state_dict`, the next iteration is the
    rest of the epoch that was saved.
    """

    def __init__(
        self,
        regions_of_interest: pd.DataFrame | PathLike | None,
        collection: BigWigCollection | PathLike | Sequence[PathLike] | None,
        reference_genome_path: PathLike | Genome | None = None,
        sequence_length: int = 1000,
        center_bin_to_predict: int | None = None,
        window_size: int = 1,
        moving_average_window_size: int = 1,
        batch_size: int = 256,
        super_batch_size: int | None = None,
        batches_per_epoch: int | None = None,
        maximum_unknown_bases_fraction: float | None = 0.1,
        sequence_encoder: SequenceEncoder = "onehot",
        file_extensions: Sequence[str] = (".bigWig", ".bw"),
        crawl: bool = True,
        scale: Any = None,
        default_value: float = 0.0,
        first_n_files: int | None = None,
        position_sampler_buffer_size: int = 100000,
        repeat_same_positions: bool = False,
        sub_sample_tracks: int | None = None,
        n_threads: int = 4,
        custom_position_sampler: Sampler | Iterable[tuple[str, int]] | None = None,
        custom_track_sampler: Iterable[Any] | None = None,
        return_batch_objects: bool = False,
        dtype: DtypeName = "float32",
        device: str = "auto",
        seed: int | None = None,
        shuffle: bool = True,
        drop_last: bool = True,
        prefetch: int = 2,
        reverse_complement: bool = False,
        max_jitter: int = 0,
        use_strand: bool = False,
        track_groups: Sequence[Sequence[int | str]] | None = None,
        targets: Target | Mapping[str, Target] | None = None,
        rank: int | None = None,
        world_size: int | None = None,
        uneven: Uneven = "pad",
        cache_bytes: int = 0,
        variants: Any = None,
        samples: Sequence[str] | None = None,
    ) -> None:
        self._seed_given = seed is not None and not isinstance(seed, DrawnSeed)
        share = ShareOptions(Shard.choose(rank, world_size), uneven)
        check_shared_seed(seed, share.shard)
        self._window = WindowOptions(
            sequence_length, center_bin_to_predict, window_size, moving_average_window_size
        )
        self._sampling = SamplingOptions(
            new_seed() if seed is None else check_seed(seed),
            shuffle,
            maximum_unknown_bases_fraction,
            position_sampler_buffer_size,
            repeat_same_positions,
            reverse_complement,
            max_jitter,
            use_strand,
        )
        self._batch = BatchOptions(
            batch_size, super_batch_size, batches_per_epoch, sub_sample_tracks, drop_last
        )
        share.shard.check_batch_size(batch_size)
        source = SourceOptions(file_extensions, crawl, scale, first_n_files, cache_bytes)
        self._load = LoadOptions(n_threads, device, prefetch, return_batch_objects)
        regions = read_regions(regions_of_interest)
        reference = reference_of(variants, samples, reference_genome_path)
        sources = open_sources(collection, reference, source, self._load)
        self._sources, statistic = with_targets(sources, targets, self._window)
        self._value = ValueOptions(dtype, default_value, sequence_encoder, statistic)
        self._groups = choose_groups(self._sources, track_groups, self._sampling.reverses)
        self._meter = Meter()
        self._personal = None
        if variants is not None:
            near = regions if custom_position_sampler is None else None
            self._personal = open_personal(
                variants, samples, self._sources, near, self._window, self._sampling, self._value
            )
        self._reader = BatchReader(
            self._sources,
            self._window,
            self._value,
            n_threads,
            self._meter,
            self._groups,
            self._personal,
        )
        self._builder = ExampleBuilder(
            regions,
            custom_position_sampler,
            self._sources,
            self._window,
            self._batch,
            unknown_filter(self._sources, maximum_unknown_bases_fraction),
            share,
            None if self._personal is None else len(self._personal.samples),
        )
        self._examples, self._n_left_out = self._builder.build(self._sampling)
        self._track_builder = TrackBuilder(
            self._sources.collection, sub_sample_tracks, custom_track_sampler, self._groups
        )
        self._tracks = self._track_builder.build(self.seed)
        self._fingerprint = (
            option_fingerprint(self._window, self._sampling, self._batch)
            | source_fingerprint(self._sources, self._value)
            | self._track_builder.fingerprint()
            | self._builder.fingerprint()
            | {"n_batches": self._examples.n_planned}
            | ({} if self._personal is None else self._personal.fingerprint())
        )
        self._progress = Progress()
