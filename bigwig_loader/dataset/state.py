"""Saving where an epoch stands, and checking that a saved state fits."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.sampling.digest import digest, function_name
from bigwig_loader.sampling.rng import check_epoch

if TYPE_CHECKING:
    from bigwig_loader.dataset.options import (
        BatchOptions,
        SamplingOptions,
        ValueOptions,
        WindowOptions,
    )
    from bigwig_loader.dataset.sources import Sources

STATE_VERSION = 1
# Options that say how batches are made, not what is in them.
_NOT_IN_BATCHES = ("seed", "super_batch_size")


class DrawnSeed(int):
    """A seed that was drawn, not given: a saved state may replace it."""


@dataclass
class Progress:
    """How far an iteration has come.

    Every iterator gets one of its own, and the data set looks at that of the newest: an older
    iterator that is still used changes nothing.

    Parameters
    ----------
    epoch : int
    batch : int
        Batches of the epoch that were delivered.
    resumed : bool
        Whether this is where a saved state stood. The rest of a finished epoch is then nothing,
        rather than the next epoch.
    """

    epoch: int = 0
    batch: int = 0
    resumed: bool = False

    def following(self) -> Progress:
        """Where the next iteration starts: the next epoch, or the rest of a resumed one."""
        if self.batch and not self.resumed:
            return Progress(self.epoch + 1, 0)
        return Progress(self.epoch, self.batch)


def make_state(seed: int, epoch: int, batch: int, fingerprint: Mapping[str, Any]) -> dict[str, Any]:
    """State of a data set as a small dictionary that JSON can hold.

    Parameters
    ----------
    seed, epoch : int
    batch : int
        Batches of the epoch that were delivered.
    fingerprint : mapping
        What decides what is in the batches, by name.
    """
    return {
        "version": STATE_VERSION,
        "seed": seed,
        "epoch": epoch,
        "batch": batch,
        "fingerprint": dict(fingerprint),
    }


def check_state(state: Mapping[str, Any], fingerprint: Mapping[str, Any]) -> tuple[int, int, int]:
    """Seed, epoch and batch of a saved state.

    Raises
    ------
    InvalidInputError
        If it is not a state, or one of a data set that would make other batches.
    """
    missing = [k for k in ("version", "seed", "epoch", "batch", "fingerprint") if k not in state]
    if missing:
        raise InvalidInputError(f"state: expected what state_dict() returns; it lacks {missing}")
    if state["version"] != STATE_VERSION:
        raise InvalidInputError(
            f"state: expected version {STATE_VERSION}; got {state['version']!r}"
        )
    saved = state["fingerprint"]
    differ = [k for k in sorted({*saved, *fingerprint}) if saved.get(k) != fingerprint.get(k)]
    if differ:
        listed = "; ".join(f"{k}: {saved.get(k)!r}, here {fingerprint.get(k)!r}" for k in differ)
        raise InvalidInputError(
            f"state: was saved by a data set that makes other batches. It had {listed}. "
            "Make this data set with the same parameters and inputs"
        )
    batch = state["batch"]
    if isinstance(batch, bool) or not isinstance(batch, int) or batch < 0:
        raise InvalidInputError(f"state: expected batch to be an integer >= 0; got {batch!r}")
    return int(state["seed"]), check_epoch(state["epoch"]), batch


def option_fingerprint(
    window: WindowOptions, sampling: SamplingOptions, batch: BatchOptions
) -> dict[str, Any]:
    """The options that decide what is in the batches, by name."""
    options: dict[str, Any] = {}
    for group in (window, sampling, batch):
        options |= dataclasses.asdict(group)
    return {name: given for name, given in options.items() if name not in _NOT_IN_BATCHES}


def source_fingerprint(sources: Sources, value: ValueOptions) -> dict[str, Any]:
    """What decides what is read, and what is made of it, by name."""
    encoder, collection, genome = value.sequence_encoder, sources.collection, sources.genome
    return {
        "dtype": value.dtype,
        "statistic": value.statistic,
        "default_value": repr(float(value.default_value)),
        "sequence_encoder": function_name(encoder) if callable(encoder) else encoder,
        "transforms": None if collection is None else digest(collection.transforms),
        "tracks": None if collection is None else digest(*collection.track_names),
        "contigs": None if genome is None else digest(*sorted(genome.contigs.items())),
    }
