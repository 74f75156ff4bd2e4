"""The epochs of cherimoya 0.3: which example is which, drawn as its sampler draws them.

Kept so that a run of cherimoya can be repeated batch by batch. `sampling.peaks` is what to use
otherwise: it holds nothing per example and needs no generator with a state.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bigwig_loader.sampling.digest import digest
from bigwig_loader.sampling.peaks import PeakExamples
from bigwig_loader.sampling.rng import check_epoch

MODULUS = 2**31 - 1
EPOCH_STEP = 2654435761  # Knuth's multiplicative hash


class CherimoyaPlan:
    """Examples of peaks and negatives, drawn as cherimoya 0.3.1 draws them.

    An epoch is drawn at once, in this order, from NumPy's MT19937 seeded with
    ``(random_state % (2**31 - 1) + epoch * 2654435761) % (2**31 - 1)``: order of the peaks (with
    `shuffle`), which places hold peaks, the negatives (uniform, with replacement), the jitter
    (drawn for all, used for peaks), and reverse complement. It takes 14 bytes an example while
    it is in use.

    Parameters
    ----------
    n_peaks, n_negatives : int
        Loci to draw from.
    n_drawn_negatives : int
        Negatives of an epoch.
    max_jitter : int
        J, in bp.
    reverse_complement, shuffle : bool
    random_state : int
    """

    def __init__(
        self,
        n_peaks: int,
        n_negatives: int,
        n_drawn_negatives: int,
        max_jitter: int,
        reverse_complement: bool,
        shuffle: bool,
        random_state: int,
    ) -> None:
        self.n_peaks = n_peaks
        self.n_negatives = n_negatives
        self.n_examples = n_peaks + n_drawn_negatives
        self.max_jitter = max_jitter
        self.reverse_complement = reverse_complement
        self.shuffle = shuffle
        self.random_state = random_state % MODULUS
        self._drawn: tuple[int, PeakExamples] | None = None

    def fingerprint(self) -> str:
        """Hash of all that decides what is drawn, but the seed."""
        return digest(
            type(self).__name__,
            self.n_peaks,
            self.n_negatives,
            self.n_examples,
            self.max_jitter,
            self.reverse_complement,
            self.shuffle,
        )

    def draw(self, epoch: int, indices: npt.NDArray[np.int64]) -> PeakExamples:
        """The examples at the given indices of an epoch."""
        drawn = self._drawn
        if drawn is None or drawn[0] != epoch:
            drawn = (epoch, self._draw_epoch(check_epoch(epoch)))
            self._drawn = drawn
        return drawn[1].take(indices)

    def _draw_epoch(self, epoch: int) -> PeakExamples:
        random = np.random.RandomState((self.random_state + epoch * EPOCH_STEP) % MODULUS)
        n, n_peaks = self.n_examples, self.n_peaks
        order = random.permutation(n_peaks) if self.shuffle else np.arange(n_peaks)
        is_peak = random.permutation(np.arange(n) < n_peaks)
        locus = np.empty(n, np.int32)
        locus[is_peak] = order
        locus[~is_peak] = random.randint(0, max(1, self.n_negatives), size=n - n_peaks)
        jitter = np.zeros(n, np.int32)
        if self.max_jitter > 0:
            offset = random.randint(0, 2 * self.max_jitter + 1, size=n)
            jitter[is_peak] = offset[is_peak] - self.max_jitter
        reverse = np.zeros(n, np.bool_)
        if self.reverse_complement:
            reverse = random.randint(0, 2, size=n).astype(np.bool_)
        return PeakExamples(is_peak, locus, jitter, reverse)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_drawn": None}
