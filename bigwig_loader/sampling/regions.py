"""Regions: the stretches of the genome that examples are drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.sampling.positions import Positions
from bigwig_loader.types import PathLike

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Regions:
    """R regions, in the order given; they may overlap and repeat.

    Parameters
    ----------
    contig_names : tuple of str
        The contigs that `contig` counts.
    contig : (R,) int32
    start, end : (R,) int64
        0-based, half-open.
    """

    contig_names: tuple[str, ...]
    contig: npt.NDArray[np.int32]
    start: npt.NDArray[np.int64]
    end: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        if not len(self.start):
            raise InvalidInputError("regions_of_interest: expected at least one region; got none")
        wrong = np.flatnonzero((self.start < 0) | (self.end <= self.start))
        if len(wrong):
            raise InvalidInputError(
                f"regions_of_interest: {len(wrong)} of {len(self)} regions are not 0 <= start < "
                f"end; the first is {self.describe(int(wrong[0]))}"
            )

    def __len__(self) -> int:
        return len(self.start)

    @classmethod
    def read(cls, source: pd.DataFrame | PathLike) -> Regions:
        """Regions of a DataFrame with columns chrom, start, end, or of a BED file.

        Other columns are not used.

        Raises
        ------
        InvalidInputError
            Where columns or values are missing or not integers, or a region is empty.
        InvalidDataError
            If the file is not BED.
        """
        import pandas as pd

        from bigwig_loader.formats.bed import read_bed

        frame = read_bed(source)
        contig, names = pd.factorize(frame["chrom"])
        return cls(
            tuple(str(n) for n in names),
            np.asarray(contig, np.int32),
            frame["start"].to_numpy(np.int64),
            frame["end"].to_numpy(np.int64),
        )

    @property
    def n_bases(self) -> int:
        """Bases of all regions; a base in several regions counts once for each."""
        return int((self.end - self.start).sum())

    def locate(self, offset: npt.NDArray[np.int64]) -> Positions:
        """The bases that 0..n_bases-1 stand for when the regions are laid end to end.

        Every base of every region is the image of exactly one number, so a uniform number gives
        a uniform base; a base in several regions has that many numbers.

        Parameters
        ----------
        offset : (n,) int64
            In [0, n_bases).
        """
        last = np.cumsum(self.end - self.start)
        region = np.searchsorted(last, offset, side="right")
        position = (self.end[region] - (last[region] - offset)).astype(np.int64)
        return Positions(self.contig[region], position)

    def centres(self) -> Positions:
        """The central base of each region; of the two in a region of even width, the second."""
        return Positions(self.contig, self.start + (self.end - self.start) // 2)

    def take(self, which: npt.NDArray[np.bool_] | npt.NDArray[np.integer]) -> Regions:
        """The regions at the given indices, in that order."""
        return Regions(self.contig_names, self.contig[which], self.start[which], self.end[which])

    def describe(self, index: int) -> str:
        """One region for a message, e.g. ``region 3 (chr1:100-200)``."""
        name = self.contig_names[self.contig[index]]
        return f"region {index} ({name}:{self.start[index]}-{self.end[index]})"

    def check_within(self, contigs: Mapping[str, int], where: str) -> None:
        """Raise unless every region lies on a known contig and ends within it.

        Parameters
        ----------
        contigs : mapping of str to int
            Contig name to length in bp.
        where : str
            What the contigs belong to, for the message.

        Raises
        ------
        NotFoundError
            Unknown contig; near names are listed.
        InvalidInputError
            A region that ends past its contig.
        """
        lengths = np.zeros(len(self.contig_names), np.int64)
        for i, name in enumerate(self.contig_names):
            if name not in contigs:
                raise NotFoundError.among("contig", name, contigs, where)
            lengths[i] = contigs[name]
        past = np.flatnonzero(self.end > lengths[self.contig])
        if len(past):
            first = int(past[0])
            raise InvalidInputError(
                f"regions_of_interest: {len(past)} of {len(self)} regions end past their contig; "
                f"the first is {self.describe(first)}; the contig has "
                f"{lengths[self.contig[first]]} bp in {where}"
            )
