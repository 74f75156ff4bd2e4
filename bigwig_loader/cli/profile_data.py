"""The data set that ``bigwig-loader profile`` measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from bigwig_loader.backend.threads import available_threads
from bigwig_loader.bigwig_paths import find_bigwigs
from bigwig_loader.cli.profiling import Profile, Setting, profile
from bigwig_loader.dataset.bigwig import BigWigDataset
from bigwig_loader.dataset.options import LoadOptions
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.types import SIGNAL_DTYPES, DtypeName, check_choice

if TYPE_CHECKING:
    from bigwig_loader.dataset.peaks import PeakDataset

# What peaks are not delivered with, and what says so.
_NOT_OF_PEAKS = {"window_size": "--window-size", "dtype": "--dtype"}
_ONLY_OF_PEAKS = {
    "negatives": "--negatives",
    "controls": "--control",
    "max_jitter": "--max-jitter",
    "negative_ratio": "--negative-ratio",
}


@dataclass(frozen=True)
class ProfileOptions:
    """What to measure, in the words of `BigWigDataset` and, with `peaks`, of `PeakDataset`.

    None stands for the default of the data set.

    Parameters
    ----------
    bigwigs : sequence of str
        Files or folders; may be empty where there is a genome and no peaks.
    genome, regions : str or None
    peaks, negatives, controls : sequence of str
        BED or narrowPeak files, and BigWig files or folders.
    max_jitter, negative_ratio
        Of peaks.
    sequence_length, center, window_size, batch_size, dtype
        What a batch holds.
    seed : int
    n_threads, prefetch, cache_bytes, device
        How it is made.
    step_seconds : float
        Length of the pretended training step.
    n_batches, n_warm_up : int
    """

    bigwigs: Sequence[str] = ()
    genome: str | None = None
    regions: str | None = None
    peaks: Sequence[str] = ()
    negatives: Sequence[str] = ()
    controls: Sequence[str] = ()
    max_jitter: int | None = None
    negative_ratio: float | None = None
    sequence_length: int | None = None
    center: int | None = None
    window_size: int | None = None
    batch_size: int | None = None
    dtype: str | None = None
    seed: int = 0
    n_threads: int | None = None
    prefetch: int = 2
    cache_bytes: int | None = None
    device: str = "auto"
    step_seconds: float = 0.0
    n_batches: int = 100
    n_warm_up: int = 5

    def __post_init__(self) -> None:
        if (self.regions is None) == (not self.peaks):
            raise InvalidInputError(
                "options --regions and --peaks: expected one of them, a BED file that windows are "
                f"drawn from or peaks to centre them on; got {'both' if self.peaks else 'neither'}"
            )
        if self.dtype is not None:
            check_choice("--dtype", self.dtype, SIGNAL_DTYPES)
        unfit = _NOT_OF_PEAKS if self.peaks else _ONLY_OF_PEAKS
        given = [option for name, option in unfit.items() if getattr(self, name) not in (None, ())]
        if given:
            raise InvalidInputError(
                f"options {', '.join(given)}: mean nothing with "
                f"{'--peaks' if self.peaks else '--regions'}; leave them out"
            )
        if self.peaks and (self.genome is None or not self.bigwigs):
            raise InvalidInputError(
                "option --peaks: expected --genome and --bigwig with it; got "
                f"--genome {self.genome} and {len(self.bigwigs)} of --bigwig"
            )

    def open(self) -> BigWigDataset | PeakDataset:
        """The data set."""
        return self._open_peaks() if self.peaks else self._open_regions()

    def _given(self, **names: str) -> dict[str, Any]:
        """Arguments by the name of the data set, of those options that are not None."""
        values = {argument: getattr(self, name) for argument, name in names.items()}
        return {argument: value for argument, value in values.items() if value is not None}

    def _open_regions(self) -> BigWigDataset:
        return BigWigDataset(
            self.regions,
            list(self.bigwigs) or None,
            self.genome,
            # An epoch is the batches to measure, so that no others are made ahead.
            batches_per_epoch=self.n_warm_up + self.n_batches,
            dtype=cast("DtypeName", self.dtype or "float32"),
            device=self.device,
            seed=self.seed,
            prefetch=self.prefetch,
            **self._given(
                sequence_length="sequence_length",
                center_bin_to_predict="center",
                window_size="window_size",
                batch_size="batch_size",
                n_threads="n_threads",
                cache_bytes="cache_bytes",
            ),
        )

    def _open_peaks(self) -> PeakDataset:
        from bigwig_loader.dataset.peaks import PeakDataset

        given = self._given(
            in_window="sequence_length",
            out_window="center",
            max_jitter="max_jitter",
            negative_ratio="negative_ratio",
            batch_size="batch_size",
            n_threads="n_threads",
            cache_bytes="cache_bytes",
        )
        if not self.negatives:
            given.setdefault("negative_ratio", 0.0)
        return PeakDataset(
            list(self.peaks),
            list(self.negatives) or None,
            self.genome,
            find_bigwigs(self.bigwigs),
            find_bigwigs(self.controls) if self.controls else None,
            random_state=self.seed,
            device=self.device,
            prefetch=self.prefetch,
            **given,
        )

    def setting(self) -> Setting:
        """How the loader is set up."""
        n_cores = available_threads()
        n_threads, cache_bytes = self.n_threads, self.cache_bytes
        if self.peaks:
            from bigwig_loader.dataset.peaks import DEFAULT_CACHE_BYTES

            dtype = None
            n_threads = n_cores if n_threads is None else n_threads
            cache_bytes = DEFAULT_CACHE_BYTES if cache_bytes is None else cache_bytes
        else:
            dtype = self.dtype or "float32"
            n_threads = LoadOptions().n_threads if n_threads is None else n_threads
        step = self.step_seconds
        return Setting(n_threads, n_cores, self.prefetch, cache_bytes or 0, step, dtype)


def measure(options: ProfileOptions) -> tuple[Profile, str]:
    """The profile, and what the backend is."""
    data_set, setting = options.open(), options.setting()
    measured = profile(data_set, setting, options.n_batches, options.n_warm_up)
    return measured, str(data_set.backend.status)
