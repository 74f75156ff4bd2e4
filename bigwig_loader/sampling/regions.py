"""Regions: the stretches of the genome that examples are drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.sampling.columns import number_column, read_frame, strand_column
from bigwig_loader.sampling.digest import digest
from bigwig_loader.sampling.positions import Positions
from bigwig_loader.types import PathLike

if TYPE_CHECKING:
    import pandas as pd

RegionSource: TypeAlias = "Regions | pd.DataFrame | PathLike"


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
    strand : (R,) int8, optional
        1, -1, or 0 for unknown; None where the regions have no strands. Examples of minus-strand
        regions are reversed only where that is asked for (``use_strand``).
    weight : (R,) float64, optional
        How likely a region is, see `WeightedRegions`; finite and >= 0.
    """

    contig_names: tuple[str, ...]
    contig: npt.NDArray[np.int32]
    start: npt.NDArray[np.int64]
    end: npt.NDArray[np.int64]
    strand: npt.NDArray[np.int8] | None = None
    weight: npt.NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        for name, dtype in (("strand", np.int8), ("weight", np.float64)):
            given = getattr(self, name)
            if given is not None:
                object.__setattr__(self, name, np.asarray(given, dtype))
                if getattr(self, name).shape != self.start.shape:
                    raise InvalidInputError(
                        f"regions: expected one {name} for each of {len(self)} regions; got "
                        f"{np.shape(given)}"
                    )
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
    def read(cls, source: pd.DataFrame | PathLike, weight: str | None = None) -> Regions:
        """Regions of a DataFrame with columns chrom, start, end, or of a BED file.

        A column ``strand`` is read where there is one; other columns are not used.

        Parameters
        ----------
        source : DataFrame or path-like
            ``strand`` holds ``+``, ``-``, ``.``, ``*``, or 1, -1, 0; a missing value is unknown.
        weight : str, optional
            Column to take the weights from, e.g. ``"score"`` or ``"signalValue"``.

        Raises
        ------
        InvalidInputError
            Where columns or values are missing or not integers, a region is empty, or a strand or
            weight is not one.
        InvalidDataError
            If the file is not BED.
        """
        return cls.of_frame(read_frame(source), weight)

    @classmethod
    def of_frame(cls, frame: pd.DataFrame, weight: str | None = None) -> Regions:
        """As `read`, of what `bigwig_loader.formats.bed.read_bed` returned."""
        import pandas as pd

        contig, names = pd.factorize(frame["chrom"])
        return cls(
            tuple(str(n) for n in names),
            np.asarray(contig, np.int32),
            frame["start"].to_numpy(np.int64),
            frame["end"].to_numpy(np.int64),
            strand_column(frame) if "strand" in frame.columns else None,
            None if weight is None else number_column(frame, weight),
        )

    def fingerprint(self) -> str:
        """Hash of the regions, strands and weights."""
        return digest(
            self.contig_names, self.contig, self.start, self.end, self.strand, self.weight
        )

    @property
    def n_bases(self) -> int:
        """Bases of all regions; a base in several regions counts once for each."""
        return int(self._stops[-1])

    @cached_property
    def _stops(self) -> npt.NDArray[np.int64]:
        """Where each region ends when all are laid end to end."""
        return np.cumsum(self.end - self.start)

    def locate(self, offset: npt.NDArray[np.int64]) -> Positions:
        """The bases that 0..n_bases-1 stand for when the regions are laid end to end.

        Every base of every region is the image of exactly one number, so a uniform number gives
        a uniform base; a base in several regions has that many numbers.

        Parameters
        ----------
        offset : (n,) int64
            In [0, n_bases).
        """
        region = np.searchsorted(self._stops, offset, side="right")
        return self.at(region, self.end[region] - (self._stops[region] - offset))

    def centres(self, region: npt.NDArray[np.integer] | None = None) -> Positions:
        """The central bases; of the two in a region of even width, the second.

        Parameters
        ----------
        region : (n,) int, optional
            Of which regions; of all, in order, by default.
        """
        which = np.arange(len(self)) if region is None else region
        start = self.start[which]
        return self.at(which, start + (self.end[which] - start) // 2)

    def at(self, region: npt.NDArray[np.integer], position: npt.NDArray[np.integer]) -> Positions:
        """Bases of the given regions (n,)."""
        return Positions(
            self.contig[region], position.astype(np.int64), region=region.astype(np.int64)
        )

    def minus(self, region: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
        """Whether each of the given regions (n,) is on the minus strand."""
        if self.strand is None:
            return np.zeros(len(region), np.bool_)
        return np.asarray(self.strand[region] < 0)

    def take(self, which: npt.NDArray[np.bool_] | npt.NDArray[np.integer]) -> Regions:
        """The regions at the given indices, in that order."""
        strand, weight = self.strand, self.weight
        return Regions(
            self.contig_names,
            self.contig[which],
            self.start[which],
            self.end[which],
            None if strand is None else strand[which],
            None if weight is None else weight[which],
        )

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


def as_regions(source: RegionSource) -> Regions:
    """Regions as they are; of anything else, what `Regions.read` makes of it."""
    return source if isinstance(source, Regions) else Regions.read(source)


def with_column(source: RegionSource, column: str | None) -> tuple[Regions, pd.DataFrame | None]:
    """Regions, and the frame they are from if a column of it is wanted.

    Raises
    ------
    InvalidInputError
        If a column of `Regions` is wanted, which have none.
    """
    if column is None:
        return as_regions(source), None
    if isinstance(source, Regions):
        raise InvalidInputError(
            f"column {column!r}: expected regions as a DataFrame or a file, which have columns; "
            "got Regions"
        )
    frame = read_frame(source)
    return Regions.of_frame(frame), frame
