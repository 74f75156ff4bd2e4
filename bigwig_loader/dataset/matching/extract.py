"""`extract_matching_loci`: the published function."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bigwig_loader.backend.select import select_backend
from bigwig_loader.dataset.matching.options import (
    MatchOptions,
    check_compatible,
    contigs_of,
    random_state_of,
    threads_of,
)
from bigwig_loader.dataset.matching.run import Matching
from bigwig_loader.dataset.matching.signal import SignalSums
from bigwig_loader.formats.genome import Genome
from bigwig_loader.sampling.loci import read_loci
from bigwig_loader.sampling.locus_filters import Exclusion
from bigwig_loader.types import PathLike

if TYPE_CHECKING:
    import pandas as pd


# The parameters up to `verbose` are those of tangermeme; what follows is ours.
def extract_matching_loci(  # noqa: PLR0913
    loci: PathLike | pd.DataFrame | Sequence[PathLike | pd.DataFrame],
    fasta: PathLike | Genome,
    in_window: int = 2114,
    out_window: int = 1000,
    max_n_perc: float = 0.1,
    gc_bin_width: float = 0.02,
    bigwig: PathLike | Sequence[PathLike] | None = None,
    signal_beta: float = 0.5,
    chroms: Sequence[Any] | None = None,
    random_state: int | np.random.RandomState | None = None,
    n_jobs: int = 1,
    verbose: bool = False,
    *,
    n_threads: int | None = None,
    exclusion_lists: PathLike | pd.DataFrame | Sequence[PathLike | pd.DataFrame] | None = None,
    summits: bool = False,
    stride: int | None = None,
    ratio: float = 1.0,
    allow_overlap: bool = False,
    avoid: Literal["windows", "tiles"] | None = None,
    compatible: Literal["tangermeme-1.6"] | None = None,
    device: str = "auto",
) -> pd.DataFrame:
    """Background windows with the GC content of given loci, few unknown bases and little signal.

    The middle of a locus is ``start + (end - start) // 2``. Loci whose window of
    ``max(in_window, out_window)`` bases about the middle reaches past an end of the contig, or
    whose window of `in_window` bases has too many N, are left out. The GC fractions of the others'
    windows of `in_window` bases (N counts as a base) are put into bins, ``b`` holding fractions
    near ``b * gc_bin_width``. The background windows of each bin are shuffled, bin 0 first, and as
    many taken as there are loci; then bins that are short of windows, the highest first, borrow
    from the nearest bins with windows left, the higher of two first.

    Parameters
    ----------
    loci : path, DataFrame, or list of them
        BED; columns are taken by position, contigs as str.
    fasta : path or Genome
        By a path, the genome is packed part after part, at most 134 MB or one contig at a time if
        there is a ``.fai`` beside it. Case does not matter. GC is the letters G and C, and unknown
        the letter N; other letters count as bases that are neither.
    in_window, out_window : int
        In bp: widths over which GC and N, and signal, are looked at.
    max_n_perc : float
        Largest fraction of N in the window of a locus and of background.
    gc_bin_width : float
        Fraction, above 0 and up to 1.
    bigwig : path or list of paths, optional
        Choose only windows with at most `signal_beta` times the 0.01 quantile of the loci's
        signal: the sum over the middle `out_window` bases, of all files together. Contigs that the
        files lack give no background.
    signal_beta : float
    chroms : list, optional
        Contigs to use, compared as str; those of the loci by default.
    random_state : int or RandomState, optional
        Equal seeds give equal windows.
    n_jobs : int
        Threads; -1 for all cores. The result does not depend on it.
    verbose : bool
        Show a progress bar and, at the end, a table of the bins.
    n_threads : int, optional
        Another name of `n_jobs`, which it goes before.
    exclusion_lists : path, DataFrame, or list of them, optional
        BED; no background window overlaps them.
    summits : bool
        The middle of a locus is its summit: start plus the tenth column of a narrowPeak.
    stride : int, optional
        Windows start at multiples of this, in bp; `in_window` by default, so that they tile the
        contig. With less there is more to choose from, at every phase.
    ratio : float
        Windows per locus.
    allow_overlap : bool
        With a `stride` below `in_window`: whether chosen windows may overlap each other. If not,
        a window that overlaps one chosen before it is passed over.
    avoid : {"windows", "tiles"}, optional
        "windows", the default: no background window overlaps a locus or its window of
        ``max(in_window, out_window)`` bases. "tiles": as tangermeme, no background window
        overlaps those tiles of `in_window` bases that the locus itself touches. A locus that was
        left out is avoided as well.
    compatible : {"tangermeme-1.6"}, optional
        Give exactly what tangermeme 1.6 gives (order and index of the rows included). See Notes.
    device : {"auto", "cpu", "cuda", "cuda:N"}

    Returns
    -------
    DataFrame
        ``chrom`` str, ``start`` and ``end`` int64, sorted by chrom and start. Row i is no
        particular match of locus i. ``attrs["matching"]`` says how well loci were matched, in
        plain numbers: see `MatchingReport.as_dict`.

    Warns
    -----
    UserWarning
        If loci were left out, or if fewer windows were found than wanted: how many, and why.

    Raises
    ------
    NotFoundError
        If loci or `chroms` are on contigs that the FASTA lacks.
    InvalidInputError
        If no locus can be used, or there is no background window at all: why.
    InvalidDataError
        If a file is damaged.

    Notes
    -----
    What tangermeme 1.6 does, and ``compatible="tangermeme-1.6"`` repeats:

    - with ``in_window == out_window`` its signal filter sums no base, so every window passes if the
      limit is not negative; here the filter works;
    - it avoids the tiles that a locus touches, so a background window may overlap the window of a
      locus near a tile's end; here ``avoid="windows"``;
    - where `in_window` is even and `out_window` odd, its signal windows of background start one
      base to the left of those of loci; here both are centred alike;
    - loci need less than `max_n_perc` N, so 0 leaves none; here at most that, as background.

    The rest is the same, and windows are drawn by the same random numbers. Unlike there, in both
    modes, a matching without any window or locus is an error, contigs of `chroms` count once, and
    any `gc_bin_width` can hold windows of G and C alone (there 0.013, say, may raise KeyError).

    Examples
    --------
    >>> background = extract_matching_loci(
    ...     example.peaks, example.reference_genome, in_window=200, out_window=100, random_state=0
    ... )
    >>> list(background.columns)
    ['chrom', 'start', 'end']
    """
    extensions = {
        "exclusion_lists": exclusion_lists is not None,
        "summits": summits,
        "stride": stride not in (None, in_window),
        "ratio": ratio != 1,
        "avoid": avoid not in (None, "tiles"),
    }
    check_compatible(compatible, extensions)
    options = MatchOptions(
        in_window=in_window,
        out_window=out_window,
        max_n_perc=max_n_perc,
        gc_bin_width=gc_bin_width,
        signal_beta=signal_beta,
        stride=in_window if stride is None else stride,
        ratio=ratio,
        avoid=avoid or ("tiles" if compatible else "windows"),
        allow_overlap=allow_overlap,
        has_signal=bigwig is not None,
        compatible=compatible,
    )
    random = random_state_of(random_state)
    threads = threads_of(n_jobs, n_threads)
    selected = contigs_of(chroms)
    matching = Matching(
        read_loci(loci, selected, summits),
        fasta if isinstance(fasta, Genome) else os.fspath(fasta),
        selected,
        options,
        select_backend(device, threads),
    )
    excluded = None if exclusion_lists is None else Exclusion(exclusion_lists)
    with _progress(verbose, matching.n_bases) as advance:
        if bigwig is not None:
            matching.open_signal(SignalSums(bigwig, device, threads))
        matching.count(excluded, advance)
    frame, found = matching.choose(random)
    if verbose:
        from rich.console import Console

        Console().print(found.table())
    shortage = found.shortage()
    if shortage:
        warnings.warn(f"extract_matching_loci: {shortage}", stacklevel=2)
    frame.attrs["matching"] = found.as_dict()
    return frame


@contextmanager
def _progress(verbose: bool, n_bases: int) -> Iterator[Callable[[int], None]]:
    """Something to tell of the bases dealt with; draws a bar if `verbose`."""
    if not verbose:
        yield lambda n: None
        return
    from rich.progress import Progress

    with Progress() as bar:
        task = bar.add_task("Background windows", total=n_bases)
        yield lambda n: bar.advance(task, n)
