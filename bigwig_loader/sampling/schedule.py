"""Values that may change from epoch to epoch: weights of regions, shares of sources."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.sampling.digest import digest, function_name
from bigwig_loader.sampling.rng import check_epoch

Weights = npt.NDArray[np.float64]


class WeightSchedule:
    """The weights of each epoch.

    Parameters
    ----------
    weights : (n,) array-like of float, mapping of int to (n,), or callable
        The same for all epochs; or by epoch, where the last entry at or before an epoch holds
        until the next (there has to be one for epoch 0); or a function of the epoch, which has to
        be pure, and importable where worker processes are started afresh.
    n : int
        Number of weights.
    name : str
        The argument, for messages.
    """

    def __init__(self, weights: Any, n: int, name: str) -> None:
        self.n = n
        self.name = name
        self._function: Callable[[int], Any] | None = None
        self._by_epoch: dict[int, Weights] = {}
        if callable(weights):
            self._function = weights
            return
        given = weights if isinstance(weights, Mapping) else {0: weights}
        for epoch in sorted(check_epoch(e) for e in given):
            self._by_epoch[epoch] = self._checked(given[epoch], f"argument {name}")
        if 0 not in self._by_epoch:
            raise InvalidInputError(
                f"argument {name}: expected an entry for epoch 0, which holds until the next; got "
                f"epochs {list(self._by_epoch)}"
            )

    def entry(self, epoch: int) -> int:
        """The epoch whose entry holds in an epoch: epochs of one entry have the same weights."""
        if self._function is not None:
            return check_epoch(epoch)
        return max(first for first in self._by_epoch if first <= epoch)

    def at(self, epoch: int) -> Weights:
        """Weights (n,) of an epoch: finite, >= 0, not all 0.

        Raises
        ------
        InvalidInputError
            If the function returns anything else.
        """
        entry = self.entry(epoch)
        if self._function is not None:
            return self._checked(self._function(entry), f"{self.name}({entry})")
        return self._by_epoch[entry]

    def fingerprint(self) -> str:
        """Hash of the weights; of a function, its name."""
        if self._function is not None:
            return function_name(self._function)
        return digest(*(part for entry in self._by_epoch.items() for part in entry))

    def _checked(self, weights: Any, what: str) -> Weights:
        try:
            array = np.asarray(weights, np.float64)
        except (TypeError, ValueError) as error:
            raise InvalidInputError(
                f"{what}: expected {self.n} numbers; got {weights!r}"
            ) from error
        if array.shape != (self.n,):
            raise InvalidInputError(
                f"{what}: expected {self.n} numbers; got an array of shape {array.shape}"
            )
        bad = np.flatnonzero(~np.isfinite(array) | (array < 0))
        if len(bad):
            raise InvalidInputError(
                f"{what}: expected finite numbers >= 0; got {array[bad[0]]} at place {bad[0]}"
            )
        if not array.any():
            raise InvalidInputError(f"{what}: expected at least one number above 0; got only 0")
        return array
