"""Training targets: what published models are trained on, by name.

A preset is a transform of each bin, the statistic that makes the bin of its bases, and the width
of the bin. `PRESETS` has one for each model; the source of each figure stands beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.plan.signal import TrackTransform
from bigwig_loader.types import LAYOUTS, STATISTICS, Layout, Statistic, check_choice, check_positive


@dataclass(frozen=True)
class TargetPreset:
    """How the values of a track become a training target.

    Parameters
    ----------
    transform : TrackTransform
        Its `scale` is multiplied with the one that the collection has for the track.
    statistic : str
        Over the bases of a bin; see `SignalOptions`.
    bin_size : int, optional
        Bases per bin that the transform is made for; None for any.
    """

    transform: TrackTransform
    statistic: Statistic = "mean"
    bin_size: int | None = None

    def __post_init__(self) -> None:
        check_choice("statistic", self.statistic, STATISTICS)
        if self.bin_size is not None:
            check_positive("bin_size", self.bin_size)


# Kelley, "Cross-species regulatory sequence activity prediction", PLOS Comput. Biol. 16 (2020)
# e1008050, whose targets Enformer shares (Avsec et al., Nat. Methods 18 (2021) 1196): targets file
# manuscripts/cross2020/targets_mouse.txt of github.com/calico/basenji (DNASE, ATAC and CHIP:
# mean, 32; CAGE: sum, 384), soft clip as bin/basenji_data_read.py computes it. There, DNASE, ATAC
# and CHIP are doubled at the very end; multiply by 2 for that. The sum over 128 bases is written
# as 128 times the mean, so that tracks of both kinds fit into one data set.
_ENFORMER = TargetPreset(TrackTransform(soft_clip=32.0), "mean", 128)
_ENFORMER_CAGE = TargetPreset(TrackTransform(scale=128.0, soft_clip=384.0), "mean", 128)

PRESETS: dict[str, TargetPreset] = {
    # Linder et al., "Predicting RNA-seq coverage from DNA sequence as a unifying model of gene
    # regulation", Nat. Genet. 57 (2025) 949, Methods, "squashed scale": the sum over 32 bp to the
    # power of 3/4; what exceeds 384 is replaced by its square root. Their data preparation then
    # multiplies by a factor of the track, which is left to the caller.
    "borzoi": TargetPreset(TrackTransform(power=0.75, soft_clip=384.0), "sum", 32),
    "enformer": _ENFORMER,
    "enformer-cage": _ENFORMER_CAGE,
    "basenji": _ENFORMER,
    "basenji-cage": _ENFORMER_CAGE,
    # Avsec et al., "Base-resolution models of transcription-factor binding reveal soft motif
    # syntax", Nat. Genet. 53 (2021) 354: counts at base resolution, as they are. Bases without a
    # count have none.
    "bpnet": TargetPreset(TrackTransform(nan_to=0.0), "sum", 1),
}

Target = str | TrackTransform | TargetPreset


def choose_targets(
    targets: Target | Mapping[str, Target],
    names: Sequence[str],
    transforms: Sequence[TrackTransform],
    bin_size: int,
) -> tuple[list[TrackTransform], Statistic | None]:
    """The transform of every track, and the statistic that all of them need.

    Parameters
    ----------
    targets : str, TrackTransform, TargetPreset, or mapping
        A name of `PRESETS`, a transform or a preset for all tracks; or a mapping of track name or
        pattern (``"*RNA*"``) to one of these. A track takes its own name's entry, or else that of
        the first pattern it fits, or else stays as it is.
    names : sequence of T str
    transforms : sequence of T TrackTransform
        What the tracks have so far. Where a target is chosen, only `scale` is kept: it is
        multiplied with the target's own.
    bin_size : int
        Bases per bin of the data set.

    Returns
    -------
    transforms : list of T TrackTransform
    statistic : str or None
        None if no preset is among the targets; a bare transform goes with any.

    Raises
    ------
    InvalidInputError
        For an unknown preset, one that is made for another bin size, or presets that need
        different statistics.
    NotFoundError
        For an entry that no track has or fits.
    """
    by_pattern = targets if isinstance(targets, Mapping) else {"*": targets}
    if not by_pattern:
        raise InvalidInputError("argument targets: expected at least one entry; got none")
    presets = {pattern: _as_preset(target) for pattern, target in by_pattern.items()}
    chosen = list(transforms)
    needed: dict[Statistic, str] = {}
    for track, name in enumerate(names):
        pattern = _pattern_of(name, presets)
        if pattern is None:
            continue
        preset, is_bare = presets[pattern]
        scale = preset.transform.scale * transforms[track].scale
        chosen[track] = replace(preset.transform, scale=scale)
        if not is_bare:
            needed.setdefault(preset.statistic, name)
            _check_bin_size(preset, by_pattern[pattern], name, bin_size)
    for pattern in presets:
        if not any(name == pattern or fnmatchcase(name, pattern) for name in names):
            raise NotFoundError.among("track or pattern", pattern, names, "argument targets")
    if len(needed) > 1:
        listed = ", ".join(f"{statistic!r} for {name!r}" for statistic, name in needed.items())
        raise InvalidInputError(
            f"argument targets: expected one statistic for all tracks of a data set; got {listed}. "
            "Make one data set for each"
        )
    return chosen, next(iter(needed), None)


def _as_preset(target: Any) -> tuple[TargetPreset, bool]:
    """A target as a preset, and whether it is a bare transform, which needs nothing."""
    if isinstance(target, TargetPreset):
        return target, False
    if isinstance(target, TrackTransform):
        return TargetPreset(target), True
    if isinstance(target, str) and target in PRESETS:
        return PRESETS[target], False
    raise InvalidInputError(
        f"argument targets: expected one of {', '.join(map(repr, PRESETS))}, a TrackTransform or "
        f"a TargetPreset; got {target!r}"
    )


def _pattern_of(name: str, presets: Mapping[str, Any]) -> str | None:
    if name in presets:
        return name
    return next((pattern for pattern in presets if fnmatchcase(name, pattern)), None)


def _check_bin_size(preset: TargetPreset, target: Any, name: str, bin_size: int) -> None:
    if preset.bin_size not in (None, bin_size):
        raise InvalidInputError(
            f"argument window_size: expected {preset.bin_size}, the bin size that target "
            f"{target!r} of track {name!r} is made for; got {bin_size}"
        )


def log_counts(
    values: npt.NDArray[Any],
    groups: Sequence[Sequence[int]] | None = None,
    layout: Layout = "BNT",
) -> npt.NDArray[np.float32]:
    """Logarithm of the total signal of each window: the target of a count head.

    ``log1p`` of the sum over all bases, as BPNet and ChromBPNet train on it (Pampari et al.,
    "ChromBPNet: bias factorized, base-resolution deep learning models of chromatin accessibility",
    bioRxiv 2024.12.25.630221, Methods). For tensors it is ``torch.log1p(values.sum(1))``.

    Parameters
    ----------
    values : (B, N, T) array
        Signal per base, or sums over bins. NaN is left out.
    groups : sequence of sequence of int, optional
        Tracks to add up, e.g. the two strands ``[[0, 1]]``; None for each track by itself.
    layout : {"BNT", "BTN"}
        Of `values`.

    Returns
    -------
    (B, T) float32, or (B, G) with G groups
    """
    check_choice("layout", layout, LAYOUTS)
    axis = 1 if layout == "BNT" else 2
    total: npt.NDArray[np.float64] = np.asarray(np.nansum(values, axis=axis, dtype=np.float64))
    if groups is not None:
        total = np.stack([total[:, list(group)].sum(axis=1) for group in groups], axis=1)
    counts: npt.NDArray[np.float32] = np.log1p(total).astype(np.float32)
    return counts
