"""Loci: the peaks and background regions of a training set, and why each is kept or dropped."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidDataError, InvalidInputError
from bigwig_loader.types import PathLike

if TYPE_CHECKING:
    import pandas as pd

SUMMIT_COLUMNS = ("chrom", "start", "end", "summit")
LociSource = Any  # PathLike | pd.DataFrame, or a list of them
Int64 = npt.NDArray[np.int64]


class Reason(IntEnum):
    """Why a locus is not used; the first that applies, in this order."""

    KEPT = 0
    CONTIG = 1
    EDGE = 2
    EXCLUDED = 3
    UNKNOWN_BASES = 4
    MIN_COUNTS = 5
    MAX_COUNTS = 6
    OUTLIER = 7
    LIMIT = 8


MEANINGS = {
    Reason.KEPT: "kept",
    Reason.CONTIG: "its contig is not among `chroms`",
    Reason.EDGE: "its window, jitter included, reaches past an end of the contig",
    Reason.EXCLUDED: "its window, jitter included, overlaps an exclusion list",
    Reason.UNKNOWN_BASES: "its window has too many unknown bases",
    Reason.MIN_COUNTS: "its counts are below the minimum",
    Reason.MAX_COUNTS: "its counts are above the maximum",
    Reason.OUTLIER: "its counts are an outlier",
    Reason.LIMIT: "enough loci were kept before it",
}


@dataclass(frozen=True, eq=False)
class Loci:
    """n loci. Those on wanted contigs come first, files interleaved; then all others.

    Interleaved means: the first locus of every file, then the second of every file, and so on;
    where a file has no more, the others go on.

    Parameters
    ----------
    contig_names : tuple of str
        What `contig` counts.
    contig : (n,) int32
    start, end : (n,) int64
        As in the file, 0-based and half-open.
    middle : (n,) int64
        Base that windows are centred on: the summit, or ``start + (end - start) // 2``.
    source : (n,) int32
        Number of the file, in the order given.
    row : (n,) int32
        Number of the locus in its file, from 0.
    reason : (n,) uint8
        A `Reason` each.
    paths : tuple of str
        Names of the files, for messages and tables.
    """

    contig_names: tuple[str, ...]
    contig: npt.NDArray[np.int32]
    start: Int64
    end: Int64
    middle: Int64
    source: npt.NDArray[np.int32]
    row: npt.NDArray[np.int32]
    reason: npt.NDArray[np.uint8]
    paths: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.middle)

    @property
    def kept(self) -> Int64:
        """Which loci are kept, in order."""
        return np.flatnonzero(self.reason == Reason.KEPT)

    @property
    def n_wanted(self) -> int:
        """Loci on wanted contigs, which come first."""
        return int((self.reason != Reason.CONTIG).sum())

    def kept_mask(self) -> npt.NDArray[np.bool_]:
        """Whether each locus on a wanted contig is kept, (n_wanted,)."""
        return np.asarray(self.reason[: self.n_wanted] == Reason.KEPT)

    def drop(self, which: Int64, reason: Reason) -> None:
        """Give loci that were kept so far a reason to be dropped."""
        self.reason[which] = reason

    def counts(self) -> dict[Reason, int]:
        """How many loci there are of each reason."""
        n = np.bincount(self.reason, minlength=len(Reason))
        return {reason: int(n[reason]) for reason in Reason}

    def describe(self, index: int) -> str:
        """One locus for a message, e.g. ``peaks.bed row 3 (chr1:100-200)``."""
        name = self.contig_names[self.contig[index]]
        path = self.paths[self.source[index]]
        return f"{path} row {self.row[index]} ({name}:{self.start[index]}-{self.end[index]})"

    def why_none(self, what: str) -> InvalidInputError:
        """The error for loci of which none is kept: how many were dropped, and why."""
        listed = "; ".join(
            f"{n} because {MEANINGS[reason]}" for reason, n in self.counts().items() if n
        )
        return InvalidInputError(
            f"{what}: no loci remain after filtering, of {len(self)} in {', '.join(self.paths)}: "
            f"{listed or 'the file is empty'}"
        )

    def table(self) -> pd.DataFrame:
        """The reason table: one row per locus, in order of the files.

        Returns
        -------
        DataFrame
            Columns ``file``, ``row``, ``chrom``, ``start``, ``end``, ``middle``, ``kept`` (bool),
            ``reason`` (name) and ``meaning``.
        """
        import pandas as pd

        order = np.lexsort((self.row, self.source))
        names = [r.name.lower() for r in Reason]
        meanings = [MEANINGS[r] for r in Reason]

        def category(codes: npt.NDArray[Any], values: Sequence[str]) -> pd.Series[Any]:
            distinct = list(dict.fromkeys(values))
            place = np.array([distinct.index(v) for v in values], np.int64)
            return pd.Series(pd.Categorical.from_codes(place[codes], categories=pd.Index(distinct)))

        reason = self.reason[order]
        return pd.DataFrame(
            {
                "file": category(self.source[order], self.paths),
                "row": self.row[order],
                "chrom": category(self.contig[order], self.contig_names),
                "start": self.start[order],
                "end": self.end[order],
                "middle": self.middle[order],
                "kept": reason == Reason.KEPT,
                "reason": category(reason, names),
                "meaning": category(reason, meanings),
            }
        )


def read_loci(loci: LociSource, chroms: Sequence[Any] | None = None, summits: bool = False) -> Loci:
    """Loci of one or more BED files or DataFrames, interleaved.

    Parameters
    ----------
    loci : path, DataFrame, or list of them
        Columns are taken by position: contig, start, end, and with `summits` the tenth, the
        distance of the summit from the start, whatever its name. A frame of fewer columns, one of
        them ``summit``, has the summits' positions on the contig there. Contigs are read as str.
    chroms : list, optional
        Contigs to use, compared as str; loci on others get `Reason.CONTIG`.
    summits : bool
        Centre on summits: the middle is ``start + distance``.

    Raises
    ------
    InvalidInputError
        For something else than these, a frame of too few columns, or a summit outside its locus.
    InvalidDataError
        If a file is not BED.
    """
    given = list(loci) if isinstance(loci, (list, tuple)) else [loci]
    if not given:
        raise InvalidInputError("loci: expected at least one file or DataFrame; got an empty list")
    if chroms is not None and (isinstance(chroms, str) or not isinstance(chroms, Sequence)):
        raise InvalidInputError(f"argument chroms: expected a list of contig names; got {chroms!r}")
    wanted = None if chroms is None else {str(name) for name in chroms}
    names: dict[str, int] = {}
    parts, paths = [], []
    for number, source in enumerate(given):
        path = _name(source, number, len(given))
        contigs, columns = _columns(source, path, summits)
        place = np.array([names.setdefault(name, len(names)) for name in contigs], np.int32)
        use = np.array([wanted is None or name in wanted for name in contigs], np.bool_)
        code = columns.pop("code")
        parts.append({"contig": place[code], "use": use[code], **columns})
        paths.append(path)
    return _interleave(parts, tuple(names), tuple(paths))


def _interleave(
    parts: list[dict[str, npt.NDArray[Any]]], names: tuple[str, ...], paths: tuple[str, ...]
) -> Loci:
    n_files = len(parts)
    keys = []
    for number, part in enumerate(parts):
        use = part["use"]
        # Rank among the file's wanted loci, and after all of those the others.
        key = (np.cumsum(use) - 1) * n_files + number
        keys.append(np.where(use, key, np.iinfo(np.int64).max))
        part["source"] = np.full(len(use), number, np.int32)
        part["row"] = np.arange(len(use), dtype=np.int32)
    order = np.argsort(np.concatenate(keys), kind="stable")
    joined = {name: np.concatenate([p[name] for p in parts])[order] for name in parts[0]}
    use = joined.pop("use")
    reason = np.where(use, Reason.KEPT, Reason.CONTIG).astype(np.uint8)
    return Loci(contig_names=names, paths=paths, reason=reason, **joined)


def _name(source: object, number: int, n: int) -> str:
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source)
    return "<DataFrame>" if n == 1 else f"<DataFrame {number}>"


def _columns(
    source: PathLike | pd.DataFrame, path: str, summits: bool
) -> tuple[list[str], dict[str, npt.NDArray[Any]]]:
    """Distinct contig names of one file, and its columns code, start, end and middle."""
    import pandas as pd

    from bigwig_loader.formats.bed import read_bed
    from bigwig_loader.frames import region_frame

    if isinstance(source, pd.DataFrame):
        frame = region_frame(_by_position(source, path, summits))
    elif isinstance(source, (str, os.PathLike)):
        frame = _read_summits(source) if summits else read_bed(source, 3)
    else:
        raise InvalidInputError(
            "loci: expected the path of a BED file, a DataFrame, or a list of them; "
            f"got {type(source).__name__}"
        )
    code, contigs = pd.factorize(frame["chrom"])
    start, end = frame["start"].to_numpy(np.int64), frame["end"].to_numpy(np.int64)
    middle = _summits(frame, start, end, path) if summits else start + (end - start) // 2
    columns = {"code": code, "start": start, "end": end, "middle": middle}
    return [str(name) for name in contigs], columns


def _read_summits(path: PathLike) -> pd.DataFrame:
    """Columns chrom, start, end and summit of a file of at least ten columns."""
    from bigwig_loader.formats.bed import read_bed

    try:
        return read_bed(path, 10, SUMMIT_COLUMNS)
    except InvalidDataError as error:
        if not str(error.field).endswith("columns"):
            raise
        raise InvalidInputError(
            "summits: expected files of at least 10 columns, of which the tenth is the summit, as "
            f"in a narrowPeak; got {error.got} in {os.fspath(path)}, {error.field}. Use "
            "summits=False to centre on the middle of each locus"
        ) from error


def _by_position(frame: pd.DataFrame, path: str, summits: bool) -> pd.DataFrame:
    """Columns chrom, start, end and, with `summits`, summit; whatever they are called."""
    n = len(frame.columns)
    # A tenth column of that name is the narrowPeak's, as ChromBPNet and others call it.
    named = n < 10 and list(frame.columns).count("summit") == 1
    if n < 3 or (summits and n < 10 and not named):
        raise InvalidInputError(
            f"loci: expected {path} to have at least {10 if summits and n >= 3 else 3} columns, "
            f"taken by position; got {n}"
        )
    regions = frame.iloc[:, :3].copy()
    regions.columns = ["chrom", "start", "end"]
    if summits:
        given = frame["summit"] if named else frame.iloc[:, 9]
        regions["summit"] = given if named else given + regions["start"]
    return regions


def _summits(frame: pd.DataFrame, start: Int64, end: Int64, path: str) -> Int64:
    missing = frame["summit"].isna().to_numpy()
    summit = frame["summit"].fillna(-1).to_numpy(np.int64)
    wrong = np.flatnonzero(missing | (summit < start) | (summit > end))
    if len(wrong):
        k = int(wrong[0])
        got = "none (-1)" if missing[k] or summit[k] < start[k] else f"{summit[k]}"
        raise InvalidInputError(
            f"summits: expected start <= summit <= end for every locus of {path}; {len(wrong)} of "
            f"{len(frame)} are not, the first in row {k}: start {start[k]}, end {end[k]}, summit "
            f"{got}. Leave such loci out, or use summits=False"
        )
    return summit
