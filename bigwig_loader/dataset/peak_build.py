"""From the arguments of a peak loader to what it reads, its loci and its plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bigwig_loader.dataset.locus_selection import (
    PeakWindows,
    SelectionRules,
    add_groups,
    count_signal,
    select_loci,
    warn_of_missing_contigs,
)
from bigwig_loader.dataset.peak_loci import PeakLoci
from bigwig_loader.dataset.peak_options import DrawOptions, FilterOptions, Mode
from bigwig_loader.dataset.peak_reader import PeakInputs, with_progress
from bigwig_loader.dataset.peak_sequences import PeakLoadOptions, PeakSequences
from bigwig_loader.dataset.peak_tracks import PeakTracks
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.sampling.cherimoya import CherimoyaPlan
from bigwig_loader.sampling.loci import Loci, LociSource, Reason, read_loci
from bigwig_loader.sampling.peaks import PeakPlan, PhiloxPlan
from bigwig_loader.sampling.rng import check_seed

# ChromBPNet's bias_threshold_factor, and the quantile of the peaks' counts that it multiplies.
DEFAULT_CAP = 0.5
CAP_QUANTILE = 0.01


def open_inputs(
    sequences: Any,
    signals: tuple[list[Any], list[int]],
    controls: tuple[list[Any], list[int]],
    load: PeakLoadOptions,
    mode: Mode,
) -> PeakInputs:
    """Open sequences and tracks.

    Parameters
    ----------
    signals, controls : (tracks, sizes of their groups)
        As of `peak_options.flatten_groups`; no tracks for None.
    mode : str
        "attribution" opens no tracks.
    """
    opened = PeakSequences(sequences, load)
    if mode == "attribution":
        return PeakInputs(opened, None, None)
    if not signals[0]:
        raise InvalidInputError(
            "argument signals: expected a list of tracks; got None. Sequence alone is "
            "mode='attribution'"
        )
    if not controls[0]:
        return PeakInputs(opened, PeakTracks(*signals, opened.contigs, load), None)
    half = PeakLoadOptions(load.n_threads, load.device, load.cache_bytes // 2)
    tracks = (PeakTracks(*given, opened.contigs, half) for given in (signals, controls))
    return PeakInputs(opened, *tracks)


def choose_loci(
    given: tuple[LociSource | None, LociSource | None],
    reading: tuple[Sequence[str] | None, bool],
    inputs: PeakInputs,
    windows: PeakWindows,
    filters: FilterOptions,
    draw: DrawOptions,
    verbose: bool,
) -> PeakLoci:
    """Read peaks and negatives, and drop those that cannot be used.

    Parameters
    ----------
    given : (peaks, negatives)
    reading : (chroms, summits)

    Raises
    ------
    InvalidInputError
        If loci that are needed are not given, or none of them is kept.
    """
    rules = filters.rules(draw.rng, () if inputs.signals is None else inputs.signals.groups)
    chroms, summits = reading
    peaks = _choose(
        "peaks", (given[0], chroms, summits), inputs, windows, windows.max_jitter, rules[0], verbose
    )
    negatives = None
    if draw.mode != "attribution":
        jitter = windows.max_jitter if draw.negative_jitter else 0
        negatives = _choose(
            "negatives", (given[1], chroms, False), inputs, windows, jitter, rules[1], verbose
        )
    cap = filters.negative_cap
    if cap is None and draw.mode == "negatives" and peaks is not None and negatives is not None:
        cap = DEFAULT_CAP
    if cap is not None:
        _cap_negatives(cap, peaks, negatives, inputs, windows.out_window)
    loci = PeakLoci(peaks, negatives, draw.mode != "negatives")
    _check(loci, draw)
    known = [each for each in (peaks, negatives) if each is not None]
    for tracks in (inputs.signals, inputs.controls):
        if tracks is not None:
            warn_of_missing_contigs(known, tracks)
    if verbose:
        from rich.console import Console

        Console().print(loci.summary())
    return loci


def _choose(
    what: str,
    source: tuple[LociSource | None, Sequence[str] | None, bool],
    inputs: PeakInputs,
    windows: PeakWindows,
    jitter: int,
    rules: SelectionRules,
    verbose: bool,
) -> Loci | None:
    if source[0] is None:
        return None
    loci = read_loci(*source)
    return with_progress(
        loci.n_wanted,
        f"Counting {what}",
        verbose and rules.counts.is_needed,
        lambda advance: select_loci(
            loci, rules, windows, jitter, inputs.sequences, inputs.signals, advance
        ),
    )


def _cap_negatives(
    factor: float,
    peaks: Loci | None,
    negatives: Loci | None,
    inputs: PeakInputs,
    width_bp: int,
) -> None:
    """Drop negatives with as many counts as factor * quantile of the peaks' counts, or more."""
    if peaks is None or negatives is None or inputs.signals is None:
        raise InvalidInputError(
            "argument negative_cap: is derived from the counts of the peaks, so peaks, negatives "
            "and signals must be given"
        )
    if not len(peaks.kept):
        raise peaks.why_none("argument peaks")
    all_tracks = [inputs.signals.n_tracks]
    of_peaks = add_groups(count_signal(peaks, peaks.kept, inputs.signals, width_bp), all_tracks)
    cap = factor * float(np.quantile(of_peaks.astype(np.float64), CAP_QUANTILE))
    which = negatives.kept
    counts = add_groups(count_signal(negatives, which, inputs.signals, width_bp), all_tracks)
    negatives.drop(which[counts[:, 0].astype(np.float64) >= cap], Reason.MAX_COUNTS)


def _check(loci: PeakLoci, draw: DrawOptions) -> None:
    """Raise unless all loci are there that examples are to be drawn from."""
    with_negatives = draw.mode == "negatives" or (
        draw.mode != "attribution" and draw.negative_ratio > 0
    )
    if draw.mode in ("train", "validation") and with_negatives and loci.negatives is None:
        raise InvalidInputError(
            f"argument negative_ratio: is {draw.negative_ratio}, but no negatives were given; "
            "pass negatives or set negative_ratio=0"
        )
    for name, each, is_needed in (
        ("peaks", loci.peaks, loci.draw_peaks),
        ("negatives", loci.negatives, with_negatives),
    ):
        if is_needed and each is None:
            raise InvalidInputError(
                f"argument {name}: expected loci with mode={draw.mode!r}; got None"
            )
        if is_needed and each is not None and not len(each.kept):
            raise each.why_none(f"argument {name}")


def make_plan(loci: PeakLoci, draw: DrawOptions, windows: PeakWindows) -> PeakPlan:
    """What decides which example is which."""
    n_peaks, n_negatives = len(loci.kept_peaks), len(loci.kept_negatives)
    n_drawn = int(n_peaks * draw.negative_ratio)
    if draw.mode == "negatives":
        n_drawn = n_negatives
    elif draw.mode == "attribution":
        n_drawn = 0
    shuffle = draw.shuffle and not draw.is_fixed
    if draw.rng == "cherimoya-0.3":
        return CherimoyaPlan(
            n_peaks,
            n_negatives,
            n_drawn,
            windows.max_jitter,
            draw.is_reversed,
            shuffle,
            int(draw.random_state),
        )
    weights = draw.peak_weights
    if weights is not None and len(weights) != loci.n_peak_files:
        raise InvalidInputError(
            f"argument peak_weights: expected one weight for each of {loci.n_peak_files} files of "
            f"peaks; got {len(weights)}"
        )
    return PhiloxPlan(
        loci.kept_peaks.source,
        n_negatives,
        draw.negatives(n_drawn),
        windows.max_jitter,
        draw.is_reversed,
        shuffle,
        check_seed(draw.random_state),
        weights,
    )
