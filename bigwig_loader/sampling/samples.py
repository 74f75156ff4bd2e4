"""Which sample each example is of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bigwig_loader.sampling.rng import Stream, random_below


@dataclass(frozen=True)
class SampleChoice:
    """A rule that gives every example of an epoch one of S samples.

    Parameters
    ----------
    n_samples : int
        S.
    seed : int
    cycled : bool
        Example i of epoch e gets sample ``(i + e) % S``, so that S epochs of the same regions show
        each of them with every sample. Otherwise every sample is equally likely, anew in every
        epoch.
    """

    n_samples: int
    seed: int
    cycled: bool

    def draw(self, epoch: int, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Samples (n,) of the examples (n,) of an epoch."""
        if self.cycled:
            return (np.asarray(indices, np.int64) + epoch) % self.n_samples
        return random_below(self.n_samples, self.seed, epoch, indices, stream=Stream.SAMPLE)
