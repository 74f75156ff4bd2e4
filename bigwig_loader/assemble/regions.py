"""Stored intervals of many tracks, filtered and joined into regions to train on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.formats.bed import read_bed
from bigwig_loader.intervals import merge, pad, standard_contigs, subtract
from bigwig_loader.plan.blocks import plan_signal
from bigwig_loader.plan.windows import Windows

if TYPE_CHECKING:
    import pandas as pd

    from bigwig_loader.backend.protocol import SignalReader
    from bigwig_loader.plan.track_index import TrackIndex
    from bigwig_loader.plan.windows import ContigTable
    from bigwig_loader.types import PathLike


@dataclass(frozen=True)
class RegionFilter:
    """Which stored intervals become regions; the parameters of `BigWigCollection.intervals`."""

    include_chromosomes: Sequence[str] | str = "all"
    exclude_chromosomes: Sequence[str] | str | None = None
    blacklist: pd.DataFrame | PathLike | None = None
    blacklist_buffer: int = 0
    padding: int = 0
    merge: bool = False
    threshold: float | None = None
    merge_allow_gap: int = 0

    def __post_init__(self) -> None:
        for name in ("blacklist_buffer", "padding", "merge_allow_gap"):
            if getattr(self, name) < 0:
                raise InvalidInputError(
                    f"argument {name}: expected at least 0; got {getattr(self, name)}"
                )

    def contigs(self, table: ContigTable) -> list[str]:
        """The contigs to look at, in the order of the table."""
        known = set(table.names)
        include = self.include_chromosomes
        if isinstance(include, str) and include == "all":
            wanted = known
        elif isinstance(include, str) and include == "standard":
            wanted = set(standard_contigs(table.names))
        else:
            wanted = _known(include, table)
        if self.exclude_chromosomes is not None:
            wanted = wanted - _known(self.exclude_chromosomes, table)
        return [name for name in table.names if name in wanted]


def _known(names: Sequence[str] | str, table: ContigTable) -> set[str]:
    names = [names] if isinstance(names, str) else list(names)
    for name in names:
        if name not in table.names:
            raise NotFoundError.among("contig", name, table.names, table.where)
    return set(names)


def contig_intervals(
    index: TrackIndex, reader: SignalReader, track: int, contig: int, start: int, end: int
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32], npt.NDArray[np.float32]]:
    """Stored intervals of one track that overlap [start, end) of a contig, as they are stored."""
    window = Windows(np.array([contig]), np.array([start]), end - start)
    return reader.intervals(plan_signal(index, window, np.array([track], np.int64)))


def stored_regions(
    index: TrackIndex, reader: SignalReader, scales: list[float], wanted: RegionFilter
) -> pd.DataFrame:
    """Regions made of the stored intervals of all tracks.

    Parameters
    ----------
    index : TrackIndex
    reader : SignalReader
    scales : list of float
        Factor of each track's values; only the threshold looks at it.
    wanted : RegionFilter

    Returns
    -------
    DataFrame
        As `BigWigCollection.intervals` says.
    """
    import pandas as pd

    parts: list[pd.DataFrame] = []
    for name in wanted.contigs(index.contigs):
        contig = int(index.contigs.index_of(name)[0])
        length = int(index.contigs.lengths[contig])
        of_contig = []
        for track in range(index.n_tracks if length else 0):
            start, end, value = contig_intervals(index, reader, track, contig, 0, length)
            value = value * np.float32(scales[track])
            frame = pd.DataFrame(
                {
                    "start": start.astype(np.int64),
                    "end": np.minimum(end, length).astype(np.int64),
                    "value": value,
                    "track": track,
                }
            )
            if wanted.threshold is not None:
                frame = frame[value > wanted.threshold]
            frame.insert(0, "chrom", name)
            of_contig.append(_join(frame, wanted, length) if wanted.merge else frame)
        if of_contig:
            joined = pd.concat(of_contig, ignore_index=True)
            if wanted.merge:
                joined = merge(joined[["chrom", "start", "end"]], gap=wanted.merge_allow_gap)
            else:
                joined = _join(joined, wanted, length)
            parts.append(joined.sort_values(["start", "end"], kind="stable"))
    if not parts:
        columns: dict[str, type] = {"chrom": object, "start": np.int64, "end": np.int64}
        if not wanted.merge:
            columns |= {"value": np.float32, "track": np.int64}
        return pd.DataFrame({column: np.zeros(0, dtype) for column, dtype in columns.items()})
    regions = pd.concat(parts, ignore_index=True)
    if wanted.blacklist is not None:
        blacklist = pad(read_bed(wanted.blacklist), wanted.blacklist_buffer)
        regions = subtract(regions, blacklist)
        # What is left of a long region may start behind the next one.
        place = {name: at for at, name in enumerate(index.contigs.names)}
        order = np.lexsort((regions["end"], regions["start"], regions["chrom"].map(place)))
        regions = regions.iloc[order]
    return regions.reset_index(drop=True)


def _join(frame: pd.DataFrame, wanted: RegionFilter, length: int) -> pd.DataFrame:
    """Pad within the contig; merge at once where asked, so that no more is kept than needed."""
    if wanted.padding:
        frame = pad(frame, wanted.padding, {name: length for name in frame["chrom"].unique()})
    if wanted.merge:
        frame = merge(frame[["chrom", "start", "end"]], gap=wanted.merge_allow_gap)
    return frame
