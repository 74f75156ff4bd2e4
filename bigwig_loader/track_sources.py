"""Where the tracks of a data set come from: BigWig files per sample, tables, annotations."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from bigwig_loader.assemble.interval_lists import (
    PIECE_BYTES,
    Spans,
    bigwig_lists,
    check_spans,
    within_spans,
)
from bigwig_loader.backend.intervals import flatten_intervals
from bigwig_loader.backend.select import select_backend
from bigwig_loader.errors import InvalidDataError, InvalidInputError, NotFoundError
from bigwig_loader.formats.bigwig import read_bigwig_index
from bigwig_loader.formats.interval_frames import IntervalFrame, read_frame, read_frame_file
from bigwig_loader.formats.interval_table import Intervals, IntervalTable
from bigwig_loader.plan.track_index import build_track_index
from bigwig_loader.types import PathLike

if TYPE_CHECKING:
    import pandas as pd

    Frame = pd.DataFrame | Any  # or a polars frame

BIGWIG_SUFFIXES = (".bw", ".bigwig")
T = TypeVar("T")


class TrackSource(Protocol):
    """One track: its values on any stretch of the genome, for every sample.

    Attributes
    ----------
    name : str
    samples : tuple of str
        Names, sorted; one empty name if the track does not depend on the sample.
    """

    name: str
    samples: tuple[str, ...]

    def pieces(
        self,
        sample: str,
        spans: Mapping[str, Any],
        contig_names: Sequence[str],
        piece_bytes: int = PIECE_BYTES,
    ) -> Iterator[tuple[int, Intervals]]:
        """Intervals of one sample, piece by piece.

        Pieces come contig by contig in the order of `contig_names`, ascending within. One sample
        is one unit of work: it opens what it needs and shares nothing with the others.

        Parameters
        ----------
        sample : str
        spans : mapping of contig name to (n, 2) int64
            0-based half-open, sorted, not overlapping; may reach out of the contig.
        contig_names : sequence of str
        piece_bytes : int
            About the memory that reading may take, besides the pieces themselves.

        Yields
        ------
        contig : int
            Into `contig_names`.
        intervals : Intervals
            Cut to the stretches; sorted, none overlapping.
        """

    def read(
        self,
        spans: Mapping[str, Any],
        contig_names: Sequence[str],
        samples: Sequence[str] | None = None,
    ) -> IntervalTable:
        """All intervals of some samples on some stretches, in memory."""


class _Source:
    """What all sources share: `read` on top of `pieces`."""

    name: str
    samples: tuple[str, ...]

    def pieces(
        self,
        sample: str,
        spans: Mapping[str, Any],
        contig_names: Sequence[str],
        piece_bytes: int = PIECE_BYTES,
    ) -> Iterator[tuple[int, Intervals]]:
        """As `TrackSource.pieces`."""
        raise NotImplementedError

    def read(
        self,
        spans: Mapping[str, Any],
        contig_names: Sequence[str],
        samples: Sequence[str] | None = None,
    ) -> IntervalTable:
        """All intervals of some samples on some stretches, in memory.

        Parameters
        ----------
        spans, contig_names
            As for `pieces`.
        samples : sequence of str, optional
            Which, in the order of the table; all by default.

        Raises
        ------
        NotFoundError
            For an unknown sample or a missing file.
        InvalidDataError
            If a file is damaged.
        InvalidInputError
            If no contig of the stretches is known.
        """
        names = self.samples if samples is None else tuple(samples)
        lists: list[list[Intervals]] = [[] for _ in range(len(contig_names) * len(names))]
        for number, sample in enumerate(names):
            for contig, piece in self.pieces(sample, spans, contig_names):
                lists[contig * len(names) + number].append(piece)
        return IntervalTable.from_lists(contig_names, names, map(Intervals.join, lists))

    def _check_sample(self, sample: str) -> None:
        if sample not in self.samples:
            raise NotFoundError.among("sample", sample, self.samples, f"track {self.name!r}")


class BigWigs(_Source):
    """A track with one BigWig file per sample.

    Parameters
    ----------
    name : str
    paths : mapping of sample name to path or URL

    Attributes
    ----------
    name : str
    samples : tuple of str
        Sorted.
    paths : dict of str to str
    """

    def __init__(self, name: str, paths: Mapping[str, PathLike]) -> None:
        self.name = _checked_name(name)
        self.paths = {str(sample): os.fspath(paths[sample]) for sample in sorted(paths, key=str)}
        self.samples = tuple(self.paths)
        if not self.samples:
            raise InvalidInputError(f"track {name!r}: expected a file for some samples; got none")

    @classmethod
    def from_table(cls, name: str, table: PathLike | Frame) -> BigWigs:
        """A track whose files are listed in a table.

        Parameters
        ----------
        name : str
        table : path or DataFrame
            Columns ``sample`` and ``path``; as CSV, or TSV if its name says so. Relative paths
            of a file are looked for from the working directory, then from the file's folder.

        Raises
        ------
        InvalidInputError
            For a missing column, or a sample that is listed twice.
        """
        where = f"table of track {name!r}"
        folder = None
        if isinstance(table, (str, os.PathLike)):
            folder = os.path.dirname(os.fspath(table))
            where = os.fspath(table)
            table = read_frame_file(table)
        missing = [column for column in ("sample", "path") if column not in table.columns]
        if missing:
            got = ", ".join(map(str, table.columns))
            raise InvalidInputError(f"{where}: expected columns sample and path; got {got}")
        samples = [str(sample) for sample in table["sample"].to_list()]
        paths = [os.fspath(path) for path in table["path"].to_list()]
        twice = next((s for i, s in enumerate(samples) if s in samples[:i]), None)
        if twice is not None:
            raise InvalidInputError(f"{where}: expected each sample once; got {twice!r} twice")
        if folder:
            beside = [os.path.join(folder, path) for path in paths]
            paths = [
                other if not os.path.exists(path) and os.path.exists(other) else path
                for path, other in zip(paths, beside, strict=True)
            ]
        return cls(name, dict(zip(samples, paths, strict=True)))

    def __repr__(self) -> str:
        return f"BigWigs({self.name!r}, {len(self.samples)} samples)"

    def pieces(
        self,
        sample: str,
        spans: Mapping[str, Any],
        contig_names: Sequence[str],
        piece_bytes: int = PIECE_BYTES,
    ) -> Iterator[tuple[int, Intervals]]:
        """As `TrackSource.pieces`; the file is open as long as pieces are taken."""
        self._check_sample(sample)
        yield from _bigwig_pieces(self.paths[sample], spans, contig_names, piece_bytes)


class Table(_Source):
    """A track whose intervals stand in tables.

    Rows are intervals with a value; bases without a row are 0 later on. Where rows of a sample
    overlap, the last one has the bases.

    Parameters
    ----------
    name : str
    data : DataFrame or mapping of sample name to DataFrame
        Columns ``sample_id``, ``chrom``, ``start``, ``end`` and ``value``; frames by sample need
        no ``sample_id``. pandas or polars. Positions are 0-based half-open.
    column_map : mapping of str to str, optional
        Names of these columns in `data`, e.g. ``{"value": "signal"}``.
    """

    def __init__(
        self,
        name: str,
        data: Frame | Mapping[str, Frame],
        column_map: Mapping[str, str] | None = None,
    ) -> None:
        self.name = _checked_name(name)
        where = f"table of track {name!r}"
        if isinstance(data, Mapping):
            self._frames = {
                str(sample): read_frame(data[sample], f"{where}, sample {sample!r}", column_map)
                for sample in sorted(data, key=str)
            }
        else:
            frame = read_frame(data, where, column_map, samples=True)
            self._frames = frame.by_sample()
        self.samples = tuple(self._frames)
        if not self.samples:
            raise InvalidInputError(f"{where}: expected intervals of some samples; got none")

    @classmethod
    def from_path(
        cls,
        name: str,
        path: PathLike | Mapping[str, PathLike],
        column_map: Mapping[str, str] | None = None,
    ) -> Table:
        """A track from files: one for all samples, or one per sample.

        What a file is, the end of its name says: TSV (``.tsv``, ``.txt``, ``.tab``), Parquet,
        Arrow (``.arrow``, ``.feather``, ``.ipc``), or else CSV; text may be compressed. Parquet
        and Arrow need pyarrow.
        """
        if isinstance(path, Mapping):
            return cls(name, {s: read_frame_file(p) for s, p in path.items()}, column_map)
        return cls(name, read_frame_file(path), column_map)

    def __repr__(self) -> str:
        return f"Table({self.name!r}, {len(self.samples)} samples)"

    def pieces(
        self,
        sample: str,
        spans: Mapping[str, Any],
        contig_names: Sequence[str],
        piece_bytes: int = PIECE_BYTES,
    ) -> Iterator[tuple[int, Intervals]]:
        """As `TrackSource.pieces`; one piece per contig, since the table is in memory."""
        self._check_sample(sample)
        yield from _frame_pieces(self._frames[sample], spans, contig_names)


class Annotation(_Source):
    """A track that does not depend on the sample: conservation, mappability, genes.

    Parameters
    ----------
    name : str
    source : path or DataFrame
        A BigWig file; a bedGraph (``.bedgraph``, ``.bdg``, ``.bg``; plain or compressed); a BED
        file, whose scores are the values (``signalValue`` of a narrowPeak or broadPeak), or 1 for
        three columns; another table (see `Table.from_path`); or a frame. Frames have columns
        ``chrom``, ``start``, ``end`` and ``value``, or ``chromStart``, ``chromEnd``, ``score``.
    """

    def __init__(self, name: str, source: PathLike | Frame) -> None:
        self.name = _checked_name(name)
        self.samples = ("",)
        self.path: str | None = None
        self._frame: IntervalFrame | None = None
        if isinstance(source, (str, os.PathLike)):
            self.path = os.fspath(source)
            if not self.path.lower().endswith(BIGWIG_SUFFIXES):
                self._frame = read_frame(read_frame_file(source), self.path)
        else:
            self._frame = read_frame(source, f"annotation {name!r}")

    def __repr__(self) -> str:
        return f"Annotation({self.name!r}, {self.path or 'a frame'})"

    def pieces(
        self,
        sample: str,
        spans: Mapping[str, Any],
        contig_names: Sequence[str],
        piece_bytes: int = PIECE_BYTES,
    ) -> Iterator[tuple[int, Intervals]]:
        """As `TrackSource.pieces`, for the empty sample name."""
        self._check_sample(sample)
        if self._frame is not None:
            yield from _frame_pieces(self._frame, spans, contig_names)
        elif self.path is not None:
            yield from _bigwig_pieces(self.path, spans, contig_names, piece_bytes)


def _checked_name(name: str) -> str:
    if not name or set(name) & set("/\\\0"):
        raise InvalidInputError(
            f"track name: expected a name that a folder may have, without / and \\; got {name!r}"
        )
    return name


def _bigwig_pieces(
    path: str, spans: Mapping[str, Any], contig_names: Sequence[str], piece_bytes: int
) -> Iterator[tuple[int, Intervals]]:
    checked = check_spans(spans, contig_names)
    index = build_track_index([read_bigwig_index(path)])
    known = set(index.contigs.names)
    _check_known(checked, known, path)
    reader = select_backend("cpu").open_signal(index)
    try:
        for number, contig in enumerate(contig_names):
            if contig in checked and contig in known:
                for piece in bigwig_lists(index, reader, contig, checked[contig], piece_bytes):
                    yield number, piece
    finally:
        reader.close()


def _frame_pieces(
    frame: IntervalFrame, spans: Mapping[str, Any], contig_names: Sequence[str]
) -> Iterator[tuple[int, Intervals]]:
    checked = check_spans(spans, contig_names)
    _check_known(checked, frame.contigs, frame.where)
    for number, contig in enumerate(contig_names):
        if contig in checked and contig in frame.contigs:
            flat = flatten_intervals(*frame.of_contig(contig))
            yield number, within_spans(checked[contig], *flat)


def _check_known(
    spans: dict[str, Spans], known: set[str] | Mapping[str, npt.NDArray[np.int64]], where: str
) -> None:
    """A file that shares no contig with the regions spells them differently."""
    wanted = [contig for contig, of_contig in spans.items() if len(of_contig)]
    if wanted and known and not any(contig in known for contig in wanted):
        raise InvalidDataError(
            "no contig of the regions is in this track",
            path=where,
            expected=", ".join(wanted[:5]),
            got=", ".join(list(known)[:5]),
            hint="Spell the contigs alike; chr1 and 1 are different contigs here.",
        )
