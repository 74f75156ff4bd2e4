"""Training, validation and test: by contig, by a fold file, by a BED of sequences."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.sampling.columns import read_frame
from bigwig_loader.sampling.leaks import Line
from bigwig_loader.sampling.split_files import (
    check_apart,
    contigs_of_json,
    intervals_of_bed,
    name_set,
    some_of,
)
from bigwig_loader.types import PathLike

if TYPE_CHECKING:
    import pandas as pd


class Splits:
    """Which split a region belongs to.

    Made by `by_chromosome` or `from_file`. By contig, a region belongs to the split that has its
    contig; by intervals, to the split with an interval that holds the central base of the region.
    A region may belong to none. Windows are wider than regions: `check_leaks` says whether those
    of one split reach into another.

    Parameters
    ----------
    contigs : mapping of str to set of str, or None
        The contigs of each split; of at most one split, None for all that no other has.
    intervals : mapping of str to DataFrame
        Instead of contigs: the intervals of each split.
    """

    def __init__(
        self,
        contigs: Mapping[str, frozenset[str] | None] | None = None,
        intervals: Mapping[str, pd.DataFrame] | None = None,
    ) -> None:
        self.contigs = dict(contigs or {})
        self.intervals = dict(intervals or {})

    @property
    def names(self) -> tuple[str, ...]:
        """The splits: ``train``, ``valid``, ``test``."""
        return tuple(self.contigs or self.intervals)

    @classmethod
    def by_chromosome(
        cls,
        train: Iterable[str] | None = None,
        *,
        valid: Iterable[str],
        test: Iterable[str],
    ) -> Splits:
        """Whole contigs.

        Parameters
        ----------
        train : iterable of str, optional
            All other contigs by default.
        valid, test : iterable of str

        Raises
        ------
        InvalidInputError
            If a contig is in two splits.
        """
        given = {"train": train, "valid": valid, "test": test}
        contigs = {
            split: None if names is None else name_set(split, names)
            for split, names in given.items()
        }
        check_apart(contigs, "contig")
        return cls(contigs)

    @classmethod
    def from_file(cls, path: PathLike, folds: Mapping[str, Iterable[str]] | None = None) -> Splits:
        """Splits of a file.

        Parameters
        ----------
        path : path-like
            ``.json``: contigs by split, ``{"train": [...], "valid": [...], "test": [...]}``, as
            ChromBPNet writes its folds. Anything else is BED, whose 4th column names a split
            (``train``, ``valid``, ``test``) or, with `folds`, a fold, as in ``sequences.bed`` of
            Basenji and Borzoi.
        folds : mapping of str to iterable of str, optional
            Folds of each split, for BED files, e.g. ``{"valid": ["fold3"], "test": ["fold4"]}``.
            Folds that are not named are for training, unless ``train`` is given too; then they are
            in no split.

        Raises
        ------
        InvalidDataError
            If the file is neither, names another split, or has one contig or base in two splits.
        NotFoundError
            If there is no such file, or no such fold in it.
        InvalidInputError
            If `folds` are given for a file that has none, or a fold is in two splits.
        """
        if os.fspath(path).lower().endswith(".json"):
            if folds is not None:
                raise InvalidInputError(
                    f"argument folds: expected None for {os.fspath(path)}, a JSON file, which "
                    f"names the splits itself; got {dict(folds)!r}"
                )
            return cls(contigs_of_json(path))
        return cls(intervals=intervals_of_bed(path, folds))

    def select(self, regions: pd.DataFrame | PathLike, split: str) -> pd.DataFrame:
        """The regions of one split.

        Parameters
        ----------
        regions : DataFrame or path-like
            Columns chrom, start, end and any others; or a BED file.
        split : {"train", "valid", "test"}

        Returns
        -------
        DataFrame
            The regions' rows of that split, in their order, all columns and the index kept.

        Raises
        ------
        NotFoundError
            For an unknown split.
        InvalidInputError
            If no region belongs to the split: usually contig names of another style.
        """
        if split not in self.names:
            raise NotFoundError.among("split", split, self.names, "the splits")
        frame = read_frame(regions)
        if self.contigs:
            belongs = self._by_contig(frame, split)
        else:
            belongs = _centre_within(frame, self.intervals[split])
        if not belongs.any():
            raise InvalidInputError(
                f"split {split!r}: expected at least one of {len(frame)} regions to belong to it; "
                f"got none. Its contigs are {self._described(split)}; those of the regions are "
                f"{some_of(frame['chrom'].unique())}"
            )
        return frame[belongs]

    def _by_contig(self, frame: pd.DataFrame, split: str) -> npt.NDArray[np.bool_]:
        contigs = self.contigs[split]
        if contigs is None:
            others = frozenset().union(*(c for c in self.contigs.values() if c is not None))
            return ~frame["chrom"].isin(sorted(others)).to_numpy(np.bool_)
        return frame["chrom"].isin(sorted(contigs)).to_numpy(np.bool_)

    def _described(self, split: str) -> str:
        if not self.contigs:
            return some_of(self.intervals[split]["chrom"].unique())
        contigs = self.contigs[split]
        return "all that no other split has" if contigs is None else some_of(sorted(contigs))


def _centre_within(frame: pd.DataFrame, intervals: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Whether the central base of each region lies in an interval."""
    line = Line([frame, intervals])
    start, end = line.place(frame, "start"), line.place(frame, "end")
    centre = start + (end - start) // 2
    opens, closes = (np.sort(line.place(intervals, side)) for side in ("start", "end"))
    # As many intervals are open at a base as have begun, less those that have ended.
    begun = np.searchsorted(opens, centre, side="right")
    return np.asarray(begun > np.searchsorted(closes, centre, side="right"))
