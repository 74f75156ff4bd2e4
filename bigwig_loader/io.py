"""Peaks and backgrounds for PyTorch: what cherimoya, bpnet-lite and tangermeme users know.

`PeakGenerator` and `PeakNegativeSampler` stand in for those of ``cherimoya.io``, `extract_loci` and
`extract_matching_loci` for those of ``tangermeme.io`` and ``tangermeme.match``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from bigwig_loader.dataset.extract import Letters, LocusLimits, extract
from bigwig_loader.dataset.locus_selection import PeakWindows
from bigwig_loader.dataset.matching import extract_matching_loci
from bigwig_loader.dataset.peak_sequences import PeakLoadOptions
from bigwig_loader.dataset.peaks import PeakDataset
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.peak_loader import PeakExamples, PeakLoader, PeakSampler
from bigwig_loader.peak_sampler import PeakNegativeSampler
from bigwig_loader.pytorch import find_shard, is_distributed, shared_seed
from bigwig_loader.sampling.loci import LociSource
from bigwig_loader.torch_arrays import torch_device
from bigwig_loader.types import check_positive

__all__ = [
    "PeakExamples",
    "PeakGenerator",
    "PeakLoader",
    "PeakNegativeSampler",
    "PeakSampler",
    "extract_loci",
    "extract_matching_loci",
]


def PeakGenerator(
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
    pin_memory: bool = True,
    num_workers: int = 1,
    batch_size: int = 32,
    verbose: bool = False,
    signal_groups: Sequence[int] | None = None,
    control_groups: Sequence[int] | None = None,
    *,
    return_coordinates: bool = False,
    rank: int | None = None,
    world_size: int | None = None,
    **options: Any,
) -> PeakLoader:
    """Batches of peaks and background regions, ready for a training loop.

    Parameters
    ----------
    peaks, negatives, sequences, signals, ..., control_groups
        As of `bigwig_loader.dataset.peaks.PeakDataset`.
    pin_memory : bool
        Deliver batches in page-locked memory, where there is CUDA. Those that are made on the GPU
        are there already.
    num_workers : int
        0 and 1: batches are made ahead in a background thread of this process, with `n_threads`
        that read. 2 and more: in as many processes. The batches are the same, and processes are
        rarely faster, since each batch has to be copied out of them; batches on a GPU cannot be.
    return_coordinates : bool
        End every batch with a dictionary of where its examples come from: ``chrom`` (list of str),
        ``start`` and ``end`` of the sequence's window, ``reverse``, ``jitter``, ``source`` (number
        of the file, those of peaks first) and ``row`` (of the file), tensors (B,).
    rank, world_size : int, optional
        Where not given, as torch.distributed says, or else RANK and WORLD_SIZE.
    **options
        All other keyword arguments of `PeakDataset`: mode, rng, edges, outliers,
        negative_min_counts, negative_max_counts, negative_cap, count_group, exclusion_bp,
        maximum_unknown_bases_fraction, negatives_per, negative_replacement, negative_jitter,
        peak_weights, count_target, in_memory, cache_bytes, n_threads, device, prefetch,
        drop_last, uneven. With `device` of "auto" and "cuda", batches are on PyTorch's current
        GPU; "auto" is the CPU where there is none that can be used.

    Returns
    -------
    torch.utils.data.DataLoader
        Of ``(X, y, labels)``, or with controls ``(X, X_ctl, y, labels)``: X (B, 4, in_window) int8,
        X_ctl (B, controls, in_window) and y (B, tracks, out_window) float32, labels (B,) int64,
        1 for peaks. A `count_target` (B, groups) float32 follows y. With ``mode="attribution"``
        ``(X,)`` alone. ``loader.dataset`` gives single examples, and ``loader.dataset.reasons``
        says why loci were dropped; ``loader.state_dict()`` and ``load_state_dict`` resume.

    Raises
    ------
    InvalidInputError, NotFoundError, LoaderError, BackendUnavailableError
        As of `PeakDataset`; also for worker processes where batches are made on a GPU.
    """
    options["device"] = torch_device(options.get("device", "auto"))
    shard = find_shard(rank, world_size)
    if random_state is None and shard.world_size > 1:
        if not is_distributed():
            raise InvalidInputError(
                "argument random_state: expected a number, because each of the "
                f"{shard.world_size} processes would draw another; got None"
            )
        random_state = int(shared_seed())
    dataset = PeakDataset(
        peaks,
        negatives,
        sequences,
        signals,
        controls,
        chroms,
        in_window,
        out_window,
        max_jitter,
        negative_ratio,
        reverse_complement,
        shuffle,
        min_counts,
        max_counts,
        summits,
        exclusion_lists,
        random_state,
        batch_size,
        verbose,
        signal_groups,
        control_groups,
        rank=shard.rank,
        world_size=shard.world_size,
        **options,
    )
    return PeakLoader(dataset, num_workers, pin_memory, return_coordinates)


def extract_loci(
    loci: LociSource,
    sequences: Any,
    signals: Sequence[Any] | None = None,
    in_signals: Sequence[Any] | None = None,
    chroms: Sequence[Any] | None = None,
    in_window: int = 2114,
    out_window: int = 1000,
    max_jitter: int = 0,
    min_counts: float | None = None,
    max_counts: float | None = None,
    target_idx: int = 0,
    n_loci: int | None = None,
    summits: bool = False,
    alphabet: Sequence[str] = ("A", "C", "G", "T"),
    ignore: Sequence[str] = ("N",),
    exclusion_lists: LociSource | None = None,
    return_mask: bool = False,
    verbose: bool = False,
    n_jobs: int = -1,
    return_reasons: bool = False,
    device: str = "auto",
) -> Any:
    """Sequence and signal of all loci in memory, as ``tangermeme.io.extract_loci`` gives them.

    Windows are centred on the middle of each locus, ``start + (end - start) // 2``, and widened by
    `max_jitter` on both sides; nothing is jittered yet. Loci are dropped whose windows reach past
    an end of their contig, or overlap an exclusion list in units of 100 bp, or whose counts are
    outside the limits.

    Parameters
    ----------
    loci : path, DataFrame, or list of them
        BED; several are interleaved.
    sequences : path, Genome, or mapping of str to (len(alphabet), L) array
    signals, in_signals : list, optional
        Tracks to read over `out_window`, and over `in_window`: paths of BigWig files, or mappings
        of contig name to array.
    chroms : list, optional
        Loci on other contigs are not used.
    in_window, out_window, max_jitter : int
        In bp. `out_window` plays no part without `signals`.
    min_counts, max_counts : float, optional
        Limits of the signal of ``signals[target_idx]``, added up over its widened window.
    target_idx : int
        May be negative.
    n_loci : int, optional
        Keep the first so many.
    summits : bool
        Centre on column 10.
    alphabet : sequence of str
        Letters of the rows, each an IUPAC code of nucleotides; U reads as T.
    ignore : sequence of str
        Letters that become all-zero columns. Any other letter is an error.
    exclusion_lists : path, DataFrame, or list of them, optional
    return_mask : bool
        Also return which loci were kept.
    verbose : bool
        Show progress bars.
    n_jobs : int
        Threads; -1 for the cores available.
    return_reasons : bool
        Also return the reason table, a DataFrame with a row for every locus.
    device : str
        Where windows are read and counted. The tensors are in host memory in any case.

    Returns
    -------
    tensor, or list of tensors
        Sequences (n, len(alphabet), in_window + 2 max_jitter), int8, or of the dtype of the arrays
        given; signals (n, len(signals), out_window + 2 max_jitter) float32, if given; in_signals
        (n, len(in_signals), in_window + 2 max_jitter) float32, if given; the mask (n_wanted,) bool
        over the loci on wanted contigs, files interleaved; the reason table. What was not asked
        for is not in the list.

    Raises
    ------
    InvalidInputError
        If no loci remain (the message says why), a window holds a letter that is in neither
        `alphabet` nor `ignore`, or an argument cannot be used. It is a ValueError.
    NotFoundError
        For loci on contigs that are not in `sequences`.
    """
    if n_jobs != -1:
        check_positive("n_jobs", n_jobs)
    found = extract(
        loci,
        sequences,
        (signals, in_signals),
        PeakWindows(in_window, out_window, max_jitter),
        LocusLimits(chroms, summits, min_counts, max_counts, target_idx, n_loci, exclusion_lists),
        Letters(tuple(alphabet), tuple(ignore)),
        PeakLoadOptions(None if n_jobs == -1 else int(n_jobs), device),
        verbose,
    )
    result: list[Any] = [
        torch.from_numpy(array)
        for array in (found.sequences, found.signals, found.controls)
        if array is not None
    ]
    if return_mask:
        result.append(torch.from_numpy(found.mask))
    if return_reasons:
        result.append(found.reasons)
    return result[0] if len(result) == 1 else result
