"""Saving where an epoch stands, and checking that a saved state fits."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.sampling.rng import check_epoch

STATE_VERSION = 1


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


def digest(*parts: object) -> str:
    """Short hash of arrays, strings and numbers; the same on every machine and in every run."""
    sha = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            little_endian = part.astype(part.dtype.newbyteorder("<"))
            sha.update(f"{part.dtype.kind}{part.shape}".encode() + little_endian.tobytes())
        else:
            sha.update(repr(part).encode())
        sha.update(b"\0")
    return sha.hexdigest()[:16]


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
