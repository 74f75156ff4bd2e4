"""Peaks and negatives that are in memory already, as a torch data set."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from bigwig_loader.assemble.device_arrays import host_array, is_device_array
from bigwig_loader.dataset.peak_memory import LocusArrays, PeakArrays
from bigwig_loader.dataset.peak_options import PeakRng
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.peak_loader import EpochIndexed, Index
from bigwig_loader.sampling.cherimoya import CherimoyaPlan
from bigwig_loader.sampling.peaks import NegativeOptions, PeakPlan, PhiloxPlan
from bigwig_loader.sampling.rng import new_seed
from bigwig_loader.torch_arrays import to_tensor
from bigwig_loader.types import check_choice


class PeakNegativeSampler(EpochIndexed):
    """Peaks and negatives in host memory: tensors in, examples out.

    ``sampler[i]`` is ``(X, [X_ctl,] y, label)`` of example i of the epoch of `set_epoch`, and
    depends on (random_state, epoch, i) only, in whatever order examples are asked for;
    ``sampler[(epoch, i)]`` names the epoch.

    Parameters
    ----------
    peak_sequences : (n_peaks, 4, in_window + 2 * max_jitter) tensor
    peak_signals : (n_peaks, T, out_window + 2 * max_jitter) tensor
    negative_sequences : (n, 4, in_window) tensor
    negative_signals : (n, T, out_window) tensor
    peak_controls : (n_peaks, C, in_window + 2 * max_jitter) tensor, optional
    negative_controls : (n, C, in_window) tensor, optional
    negative_ratio : float
        An epoch holds every peak and ``int(n_peaks * negative_ratio)`` negatives, drawn with
        replacement.
    in_window, out_window : int
    max_jitter : int
        J: windows of peaks start 0 to 2 J bases into the tensors.
    reverse_complement, shuffle : bool
    random_state : int, optional
        None takes one from the operating system.
    signal_perm, control_perm : (T,) or (C,) int tensor, optional
        Place of each track on reverse complement; None flips the length alone.
    rng : {"cherimoya-0.3", "philox"}
        The first repeats the examples of cherimoya 0.3.1; the second needs no memory for an epoch.
    """

    def __init__(
        self,
        peak_sequences: Any,
        peak_signals: Any,
        negative_sequences: Any,
        negative_signals: Any,
        peak_controls: Any = None,
        negative_controls: Any = None,
        negative_ratio: float = 0.1,
        in_window: int = 2114,
        out_window: int = 1000,
        max_jitter: int = 0,
        reverse_complement: bool = False,
        shuffle: bool = True,
        random_state: int | None = None,
        signal_perm: Any = None,
        control_perm: Any = None,
        rng: PeakRng = "cherimoya-0.3",
    ) -> None:
        super().__init__()
        check_choice("rng", rng, ("cherimoya-0.3", "philox"))
        for name, value in (("max_jitter", max_jitter), ("negative_ratio", negative_ratio)):
            if value < 0:
                raise InvalidInputError(f"argument {name}: expected at least 0; got {value!r}")
        if (peak_controls is None) != (negative_controls is None):
            raise InvalidInputError(
                "arguments peak_controls and negative_controls: expected both or neither"
            )
        swaps = [
            None if p is None else np.asarray(p, np.int64) for p in (signal_perm, control_perm)
        ]
        peaks = LocusArrays(
            _numpy(peak_sequences), _numpy(peak_signals), _numpy(peak_controls), max_jitter
        )
        negatives = LocusArrays(
            _numpy(negative_sequences), _numpy(negative_signals), _numpy(negative_controls), 0
        )
        _check_arrays("peak", peaks, in_window, out_window)
        if len(negatives):
            _check_arrays("negative", negatives, in_window, out_window)
        for name, swap, array in (
            ("signal_perm", swaps[0], peaks.signals),
            ("control_perm", swaps[1], peaks.controls),
        ):
            n_tracks = 0 if array is None else array.shape[1]
            if swap is not None and sorted(swap.tolist()) != list(range(n_tracks)):
                raise InvalidInputError(
                    f"argument {name}: expected an order of the {n_tracks} tracks; "
                    f"got {swap.tolist()}"
                )
        if negative_ratio > 0 and not len(negatives):
            raise InvalidInputError(
                f"argument negative_ratio: is {negative_ratio}, but no negatives were given; "
                "pass negatives or set negative_ratio=0"
            )
        self.n_peaks, self.n_negatives = len(peaks), len(negatives)
        self.random_state = new_seed() if random_state is None else int(random_state)
        self._arrays = PeakArrays(peaks, negatives, in_window, out_window, *swaps)
        n_drawn = int(self.n_peaks * negative_ratio)
        if rng == "philox":
            files = np.zeros(self.n_peaks, np.int32)
            options = NegativeOptions(n_drawn)
            self._plan: PeakPlan = PhiloxPlan(
                files,
                self.n_negatives,
                options,
                max_jitter,
                reverse_complement,
                shuffle,
                self.random_state,
            )
        else:
            self._plan = CherimoyaPlan(
                self.n_peaks,
                self.n_negatives,
                n_drawn,
                max_jitter,
                reverse_complement,
                shuffle,
                self.random_state,
            )

    def __len__(self) -> int:
        return self._plan.n_examples

    def __getitem__(self, index: Index) -> tuple[Any, ...]:
        epoch, number = self.split(index, len(self))
        drawn = self._plan.draw(epoch, np.array([number]))
        x, y, controls = self._arrays.cut(drawn.is_peak, drawn.locus, drawn.jitter, drawn.reverse)
        parts = [array[0] for array in (x, controls, y) if array is not None]
        return (*map(to_tensor, parts), int(drawn.is_peak[0]))


def _numpy(array: Any) -> Any:
    if array is None:
        return None
    if is_device_array(array):
        return host_array(array)
    return array.numpy(force=True) if torch.is_tensor(array) else np.asarray(array)


def _check_arrays(name: str, arrays: LocusArrays, in_window: int, out_window: int) -> None:
    n, extra = len(arrays), 2 * arrays.margin
    for what, array, width in (
        ("sequences", arrays.sequences, in_window),
        ("signals", arrays.signals, out_window),
        ("controls", arrays.controls, in_window),
    ):
        if array is not None and (
            array.ndim != 3 or len(array) != n or array.shape[2] < width + extra
        ):
            raise InvalidInputError(
                f"argument {name}_{what}: expected shape ({n}, tracks, {width + extra}); "
                f"got {array.shape}"
            )
