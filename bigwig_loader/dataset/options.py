"""The parameters of a data set, grouped, checked and frozen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.plan.smooth import margins
from bigwig_loader.plan.windows import Windows
from bigwig_loader.sampling.positions import Positions
from bigwig_loader.sampling.ranks import Shard, Uneven
from bigwig_loader.sampling.rng import check_seed
from bigwig_loader.types import (
    DTYPES,
    DtypeName,
    Statistic,
    check_choice,
    check_not_negative,
    check_number,
    check_positive,
)

SequenceEncoder = Literal["onehot"] | Callable[[list[str]], Any] | None


@dataclass(frozen=True)
class WindowOptions:
    """How long an example is, and which part of it the values cover.

    See `BigWigDataset` for the meaning of each.
    """

    sequence_length: int = 1000
    center_bin_to_predict: int | None = None
    window_size: int = 1
    moving_average_window_size: int = 1

    def __post_init__(self) -> None:
        check_positive("sequence_length", self.sequence_length)
        check_positive("window_size", self.window_size)
        check_positive("moving_average_window_size", self.moving_average_window_size)
        if self.center_bin_to_predict is not None:
            check_positive("center_bin_to_predict", self.center_bin_to_predict)
        if self.center_bp > self.sequence_length:
            raise InvalidInputError(
                "argument center_bin_to_predict: expected at most sequence_length "
                f"({self.sequence_length} bp); got {self.center_bp}"
            )
        if self.window_size > self.center_bp:
            raise InvalidInputError(
                "argument window_size: expected at most center_bin_to_predict "
                f"({self.center_bp} bp), which leaves at least one bin; got {self.window_size}"
            )

    @property
    def center_bp(self) -> int:
        """Width of the central part, before it is cut to whole bins."""
        return self.center_bin_to_predict or self.sequence_length

    @property
    def value_bp(self) -> int:
        """Width covered by the whole bins of the central part."""
        return self.center_bp // self.window_size * self.window_size

    @property
    def value_offset_bp(self) -> int:
        """Where the values start in the window of the sequence."""
        return (self.sequence_length - self.center_bp) // 2

    def sequence_windows(self, positions: Positions) -> Windows:
        """The window of each example, `sequence_length` wide."""
        start = positions.position - self.sequence_length // 2
        return Windows(positions.contig, start, self.sequence_length, positions.reverse)

    def signal_windows(self, windows: Windows) -> Windows:
        """The windows to read signal from: the central part with the moving average's margins.

        They cover the same bases whether a window is reversed or not. With margins they are not
        reversed: a box of even width reaches further to one side, so it is the smoothed signal
        that has to be turned round.
        """
        left, right = margins(self.moving_average_window_size)
        start = windows.start + (self.value_offset_bp - left)
        reverse = windows.reverse if left + right == 0 else None
        return Windows(windows.contig_index, start, left + self.value_bp + right, reverse)


@dataclass(frozen=True)
class SamplingOptions:
    """Which positions examples are drawn at."""

    seed: int
    shuffle: bool = True
    maximum_unknown_bases_fraction: float | None = 0.1
    position_sampler_buffer_size: int = 100_000
    repeat_same_positions: bool = False
    reverse_complement: bool = False
    max_jitter: int = 0
    use_strand: bool = False

    def __post_init__(self) -> None:
        check_seed(self.seed)
        check_not_negative("max_jitter", self.max_jitter)
        check_positive("position_sampler_buffer_size", self.position_sampler_buffer_size)
        fraction = self.maximum_unknown_bases_fraction
        if fraction is not None and not 0 <= fraction <= 1:
            raise InvalidInputError(
                "argument maximum_unknown_bases_fraction: expected None or a number from 0 to 1; "
                f"got {fraction!r}"
            )

    @property
    def reverses(self) -> bool:
        """Whether examples may be delivered as reverse complement."""
        return self.reverse_complement or self.use_strand


@dataclass(frozen=True)
class BatchOptions:
    """How examples are gathered into batches and epochs."""

    batch_size: int = 256
    super_batch_size: int | None = None
    batches_per_epoch: int | None = None
    sub_sample_tracks: int | None = None
    drop_last: bool = True

    def __post_init__(self) -> None:
        check_positive("batch_size", self.batch_size)
        for name in ("super_batch_size", "batches_per_epoch", "sub_sample_tracks"):
            value = getattr(self, name)
            if value is not None:
                check_positive(name, value)
        if self.super_batch_size is not None and self.super_batch_size < self.batch_size:
            raise InvalidInputError(
                f"argument super_batch_size: expected at least batch_size ({self.batch_size}); "
                f"got {self.super_batch_size}"
            )

    @property
    def batches_at_once(self) -> int:
        """Whole batches that one super batch holds."""
        return (self.super_batch_size or self.batch_size) // self.batch_size

    def n_batches(self, n_examples: int) -> int:
        """Batches that `n_examples` make: the tail is a batch of its own unless `drop_last`."""
        if self.drop_last:
            return n_examples // self.batch_size
        return -(-n_examples // self.batch_size)


@dataclass(frozen=True)
class ValueOptions:
    """What the arrays hold."""

    dtype: DtypeName = "float32"
    default_value: float = 0.0
    sequence_encoder: SequenceEncoder = "onehot"
    statistic: Statistic = "mean"

    def __post_init__(self) -> None:
        check_choice("dtype", self.dtype, DTYPES)
        check_number("default_value", self.default_value)
        encoder = self.sequence_encoder
        if encoder is not None and encoder != "onehot" and not callable(encoder):
            raise InvalidInputError(
                "argument sequence_encoder: expected 'onehot', None or a function of a list of "
                f"str; got {encoder!r}"
            )


@dataclass(frozen=True)
class SourceOptions:
    """How a path is opened as a collection."""

    file_extensions: Sequence[str] = (".bigWig", ".bw")
    crawl: bool = True
    scale: Any = None
    first_n_files: int | None = None
    cache_bytes: int = 0

    def __post_init__(self) -> None:
        given = self.file_extensions
        extensions = (given,) if isinstance(given, str) else tuple(given)
        object.__setattr__(self, "file_extensions", extensions)
        if self.first_n_files is not None:
            check_positive("first_n_files", self.first_n_files)
        check_not_negative("cache_bytes", self.cache_bytes)


@dataclass(frozen=True)
class LoadOptions:
    """Where and how batches are made; none of these changes what is in them."""

    n_threads: int = 4
    device: str = "auto"
    prefetch: int = 2
    return_batch_objects: bool = False

    def __post_init__(self) -> None:
        check_positive("n_threads", self.n_threads)
        check_not_negative("prefetch", self.prefetch)


@dataclass(frozen=True)
class ShareOptions:
    """Which part of every batch this process makes; the batches themselves stay the same."""

    shard: Shard = field(default_factory=Shard)
    uneven: Uneven = "pad"

    def __post_init__(self) -> None:
        check_choice("uneven", self.uneven, get_args(Uneven))

    def places(self, n_examples: int) -> npt.NDArray[np.int64]:
        """Places in a batch of `n_examples` that this process makes."""
        return self.shard.slice_of(n_examples, self.uneven)
