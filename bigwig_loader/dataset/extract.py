"""Windows of all loci in memory at once: what ``tangermeme.io.extract_loci`` does."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.assemble.sequences import window_strings
from bigwig_loader.dataset.locus_selection import (
    CountRule,
    PeakWindows,
    SelectionRules,
    centred,
    select_loci,
    warn_of_missing_contigs,
)
from bigwig_loader.dataset.peak_loci import KeptLoci
from bigwig_loader.dataset.peak_options import CHERIMOYA_EXCLUSION_BP
from bigwig_loader.dataset.peak_reader import PeakInputs, extract_windows, with_progress
from bigwig_loader.dataset.peak_sequences import PeakLoadOptions, PeakSequences
from bigwig_loader.dataset.peak_tracks import PeakTracks
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.formats.packed import CODE_LETTERS
from bigwig_loader.sampling.loci import LociSource, read_loci
from bigwig_loader.sampling.locus_filters import Exclusion
from bigwig_loader.types import check_positive

if TYPE_CHECKING:
    import pandas as pd

ACGT = ("A", "C", "G", "T")
# Letter of each packed code; code 0 stands for all that are no nucleotides.
LETTERS = CODE_LETTERS.decode()
NO_BASE = frozenset(string.ascii_uppercase) - set(LETTERS) - {"U"}


@dataclass(frozen=True, eq=False)
class ExtractedLoci:
    """Windows of the n loci that are kept, in order.

    Parameters
    ----------
    sequences : (n, len(alphabet), W + 2 J) array
    signals : (n, T, V + 2 J) float32 array or None
    controls : (n, C, W + 2 J) float32 array or None
    mask : (n_wanted,) bool
        Whether each locus on a wanted contig was kept, files interleaved.
    reasons : DataFrame
        The reason table.
    """

    sequences: Any
    signals: Any
    controls: Any
    mask: npt.NDArray[np.bool_]
    reasons: pd.DataFrame


@dataclass(frozen=True)
class Letters:
    """Which letters become which row, and which become none.

    Parameters
    ----------
    alphabet : tuple of str
        One row each.
    ignore : tuple of str
        All-zero columns; any other letter is an error.
    """

    alphabet: tuple[str, ...] = ACGT
    ignore: tuple[str, ...] = ("N",)

    def __post_init__(self) -> None:
        for name in ("alphabet", "ignore"):
            letters = tuple(getattr(self, name))
            object.__setattr__(self, name, letters)
            odd = [x for x in letters if not isinstance(x, str) or len(x) != 1 or not x.isascii()]
            if odd or len(set(letters)) < len(letters):
                raise InvalidInputError(
                    f"argument {name}: expected different single ASCII letters; got {letters}"
                )
        if not self.alphabet:
            raise InvalidInputError("argument alphabet: expected at least one letter; got none")
        unknown = set(self.alphabet) - set(LETTERS[1:])
        if unknown:
            raise InvalidInputError(
                f"argument alphabet: expected letters of nucleotides ({LETTERS[1:]}), because "
                f"the genome is kept packed; got {sorted(unknown)}"
            )

    @property
    def refused_codes(self) -> int:
        """16-bit set of the packed codes of letters that are neither."""
        known = {*self.alphabet, *self.ignore}
        refused = sum(1 << c for c, x in enumerate(LETTERS) if c and x not in known)
        return refused if known >= NO_BASE else refused | 1

    def check(self, sequences: PeakSequences, contig: Any, middle: Any, width_bp: int) -> None:
        """Raise for the first window that holds another letter."""
        if not self.refused_codes or sequences.genome is None:
            return
        windows = centred(contig, middle, width_bp)
        wrong = np.flatnonzero(sequences.count_bases(windows, self.refused_codes))
        if not len(wrong):
            return
        first = windows.take(wrong[:1])
        text = window_strings(sequences.genome, sequences.contigs, first)[0]
        found = sorted(set(text) - {*self.alphabet, *self.ignore})
        name = sequences.contigs.names[int(first.contig_index[0])]
        start = int(first.start[0])
        raise InvalidInputError(
            f"sequence of {name}:{start}-{start + width_bp}: expected only characters of alphabet "
            f"({''.join(self.alphabet)}) or ignore ({''.join(self.ignore)}); got "
            f"{', '.join(found)}. Add them to ignore to make their columns all zero"
        )

    def encode(self, sequences: PeakSequences, contig: Any, middle: Any, width_bp: int) -> Any:
        """One-hot windows (k, len(alphabet), width_bp)."""
        windows = centred(contig, middle, width_bp)
        if sequences.genome is None or self.alphabet == ACGT:
            return sequences.encode(windows)
        text = "".join(window_strings(sequences.genome, sequences.contigs, windows))
        letters = np.frombuffer(text.encode(), np.uint8).reshape(len(windows), 1, width_bp)
        rows = np.frombuffer("".join(self.alphabet).encode(), np.uint8)
        return (letters == rows[None, :, None]).astype(np.int8)


@dataclass(frozen=True)
class LocusLimits:
    """Which loci are read and kept; see `bigwig_loader.io.extract_loci`."""

    chroms: Sequence[Any] | None = None
    summits: bool = False
    min_counts: float | None = None
    max_counts: float | None = None
    target_idx: int = 0
    n_loci: int | None = None
    exclusion_lists: Any = None

    def rules(self, n_tracks: int) -> SelectionRules:
        """The rules for `n_tracks` tracks of signal."""
        if self.n_loci is not None:
            check_positive("n_loci", self.n_loci)
        counts = CountRule()
        if self.min_counts is not None or self.max_counts is not None:
            if not n_tracks:
                raise InvalidInputError(
                    "arguments min_counts and max_counts: are counted in signals, so signals must "
                    "be given; got None"
                )
            if not -n_tracks <= self.target_idx < n_tracks:
                raise InvalidInputError(
                    f"argument target_idx: expected one of {n_tracks} signals; "
                    f"got {self.target_idx}"
                )
            target = (self.target_idx % n_tracks,)
            counts = CountRule(target, self.min_counts, self.max_counts, widened=True)
        exclusion = None
        if self.exclusion_lists is not None:
            exclusion = Exclusion(self.exclusion_lists, CHERIMOYA_EXCLUSION_BP)
        return SelectionRules(exclusion=exclusion, counts=counts, n_loci=self.n_loci)


def extract(
    loci: LociSource,
    sequences: Any,
    tracks: tuple[Sequence[Any] | None, Sequence[Any] | None],
    windows: PeakWindows,
    limits: LocusLimits,
    letters: Letters,
    load: PeakLoadOptions,
    verbose: bool = False,
) -> ExtractedLoci:
    """Windows of all loci that are kept; the parameters are those of `bigwig_loader.io`, grouped.

    Parameters
    ----------
    tracks : (signals, in_signals)
    """
    inputs = _open(sequences, tracks, load, len(letters.alphabet))
    rules = limits.rules(0 if inputs.signals is None else inputs.signals.n_tracks)
    read = read_loci(loci, limits.chroms, limits.summits)
    chosen = with_progress(
        read.n_wanted,
        "Counting loci",
        verbose and rules.counts.is_needed,
        lambda advance: select_loci(
            read, rules, windows, windows.max_jitter, inputs.sequences, inputs.signals, advance
        ),
    )
    kept = KeptLoci.of(chosen)
    if not len(kept):
        raise chosen.why_none("argument loci")
    for known in (inputs.signals, inputs.controls):
        if known is not None:
            warn_of_missing_contigs([chosen], known)
    extra = 2 * windows.max_jitter
    widths = (windows.in_window + extra, windows.out_window + extra)
    letters.check(inputs.sequences, kept.contig, kept.middle, widths[0])

    def read_part(contig: Any, middle: Any, widths: tuple[int, int]) -> tuple[Any, Any, Any]:
        signals, controls = inputs.read_signal(contig, middle, widths)
        return letters.encode(inputs.sequences, contig, middle, widths[0]), signals, controls

    arrays = with_progress(
        len(kept),
        "Extracting loci",
        verbose,
        lambda advance: extract_windows(
            read_part, inputs.on_host, kept.contig, kept.middle, widths, advance
        ),
    )
    return ExtractedLoci(*arrays, chosen.kept_mask(), chosen.table())


def _open(
    sequences: Any,
    tracks: tuple[Sequence[Any] | None, Sequence[Any] | None],
    load: PeakLoadOptions,
    n_letters: int,
) -> PeakInputs:
    opened = PeakSequences(sequences, load, n_letters)
    signals: list[PeakTracks | None] = []
    for name, given in zip(("signals", "in_signals"), tracks, strict=True):
        if given is not None and (isinstance(given, (str, Mapping)) or not len(given)):
            raise InvalidInputError(
                f"argument {name}: expected a list of tracks, also of one; got {given!r}"
            )
        signals.append(
            None if given is None else PeakTracks(given, [1] * len(given), opened.contigs, load)
        )
    return PeakInputs(opened, *signals)
