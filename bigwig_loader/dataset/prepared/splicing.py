"""Transcripts: rows that are made of several regions, joined in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.dataset.prepared.outputs import AnnotatedHaplotypes, Output
from bigwig_loader.dataset.prepared.window_lists import I64, Bools
from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.ragged import Ragged, offsets_of, stretches

if TYPE_CHECKING:
    import pandas as pd


SpliceInfo = str | tuple[str, str] | Mapping[str, Sequence[int]]


@dataclass(frozen=True, eq=False)
class Splicing:
    """Which regions make up each transcript, and in which order.

    Parameters
    ----------
    names : tuple of str
        K transcripts, in the order in which the regions name them.
    offsets : (K + 1,) int64
    regions : (n,) int64
        Transcript k is regions ``regions[offsets[k]:offsets[k + 1]]``, joined in this order.
    """

    names: tuple[str, ...]
    offsets: I64
    regions: I64

    def __len__(self) -> int:
        return len(self.names)

    def elements(self, transcripts: I64) -> tuple[I64, I64]:
        """Regions of some transcripts (k,), one after the other, and their (k + 1,) offsets."""
        starts = self.offsets[transcripts]
        lengths = self.offsets[transcripts + 1] - starts
        return self.regions[stretches(starts, lengths)], offsets_of(lengths)

    def frame(self, regions: pd.DataFrame) -> pd.DataFrame:
        """A row per transcript: its name and lists of all columns of its regions, in order.

        Parameters
        ----------
        regions : DataFrame
            The R regions.
        """
        import pandas as pd

        columns: dict[str, Any] = {"splice_id": pd.Series(list(self.names), dtype="str")}
        bounds = list(zip(self.offsets[:-1].tolist(), self.offsets[1:].tolist(), strict=True))
        columns["index"] = [self.regions[a:b].tolist() for a, b in bounds]
        for name in regions.columns:
            values = regions[name].to_numpy(dtype=object)[self.regions]
            columns[str(name)] = [values[a:b].tolist() for a, b in bounds]
        return pd.DataFrame(columns)


def splice(regions: pd.DataFrame, info: SpliceInfo, rc_neg: bool = True) -> Splicing:
    """Put regions together to transcripts.

    Parameters
    ----------
    regions : DataFrame
        R regions with ``chrom``, ``start``, ``strand`` and the columns that `info` names.
    info : str, (str, str), or mapping of str to sequence of int
        A column that names the transcript of each region; or that and a column of numbers that
        order its regions, such as the exon number; or the regions of each transcript. A column
        alone means the order along the transcript: that of the rows, but backwards where rows of
        the minus strand ascend, as they do in every sorted BED file.
    rc_neg : bool
        Whether regions of the minus strand are delivered as reverse complement; if not, their
        rows are not turned around either.

    Raises
    ------
    NotFoundError
        For a column that is not there.
    InvalidInputError
        For a transcript on several contigs, or numbers that do not order its regions.
    """
    if isinstance(info, Mapping):
        return _listed(regions, info)
    column, order = (info, None) if isinstance(info, str) else _pair(info)
    for name in filter(None, (column, order)):
        if name not in regions:
            raise NotFoundError.among("column", name, map(str, regions.columns), "the regions")
    import pandas as pd

    codes, names = pd.factorize(regions[column].astype("str"))
    if order is None:
        rank = np.arange(len(regions), dtype=np.float64)
        if rc_neg and "strand" in regions:
            rank = np.where(_ascends_backwards(regions, codes), -rank, rank)
    else:
        rank = pd.to_numeric(regions[order], errors="coerce").to_numpy(np.float64)
        _check_order(regions, codes, names, rank, order)
    by_transcript = np.lexsort((rank, codes)).astype(np.int64)
    found = Splicing(
        tuple(map(str, names)),
        offsets_of(np.bincount(codes, minlength=len(names)).astype(np.int64)),
        by_transcript,
    )
    return _on_one_contig(found, regions)


def _pair(info: Any) -> tuple[str, str]:
    if isinstance(info, tuple) and len(info) == 2 and all(isinstance(x, str) for x in info):
        return info
    raise InvalidInputError(
        "argument splice_info: expected a column, a pair of columns (transcript, order) or the "
        f"regions of each transcript by name; got {info!r}"
    )


def _ascends_backwards(regions: pd.DataFrame, codes: I64) -> Bools:
    """Rows of transcripts that lie on the minus strand and whose rows ascend."""
    n = int(codes.max(initial=-1)) + 1
    minus = np.bincount(codes, regions["strand"].to_numpy() == "-", minlength=n)
    whole: Bools = minus == np.bincount(codes, minlength=n)
    order = np.argsort(codes, kind="stable")
    start = regions["start"].to_numpy()[order]
    falls = (np.diff(codes[order]) == 0) & (np.diff(start) < 0)
    whole[codes[order][1:][falls]] = False
    backwards: Bools = whole[codes]
    return backwards


def _check_order(
    regions: pd.DataFrame, codes: I64, names: Any, rank: npt.NDArray[np.float64], order: str
) -> None:
    """Raise unless each region of a transcript has a number of its own."""
    missing = np.flatnonzero(np.isnan(rank))
    if len(missing):
        k = int(missing[0])
        raise InvalidInputError(
            f"regions: row {k}, column {order!r}: expected a number; got {regions[order].iloc[k]!r}"
        )
    sorted_rows = np.lexsort((rank, codes))
    twice = (np.diff(codes[sorted_rows]) == 0) & (np.diff(rank[sorted_rows]) == 0)
    if twice.any():
        k = int(sorted_rows[1:][twice][0])
        raise InvalidInputError(
            f"transcript {names[codes[k]]!r}: expected another {order!r} in each of its regions; "
            f"got {regions[order].iloc[k]} twice, also in row {k}"
        )


def _listed(regions: pd.DataFrame, info: Mapping[str, Sequence[int]]) -> Splicing:
    lists = [np.asarray(rows, np.int64).reshape(-1) for rows in info.values()]
    joined = np.concatenate([np.empty(0, np.int64), *lists])
    if not len(lists) or any(not len(rows) for rows in lists):
        raise InvalidInputError("argument splice_info: expected regions in every transcript")
    if joined.min() < 0 or joined.max() >= len(regions):
        raise InvalidInputError(
            f"argument splice_info: expected regions 0 to {len(regions) - 1}; got "
            f"{joined.min()} to {joined.max()}"
        )
    offsets = offsets_of(np.array([len(rows) for rows in lists], np.int64))
    return _on_one_contig(Splicing(tuple(map(str, info)), offsets, joined), regions)


def _on_one_contig(found: Splicing, regions: pd.DataFrame) -> Splicing:
    chrom = regions["chrom"].to_numpy(dtype=object)[found.regions]
    transcript = np.repeat(np.arange(len(found)), np.diff(found.offsets))
    other = (np.diff(transcript) == 0) & (chrom[1:] != chrom[:-1])
    if other.any():
        k = int(np.flatnonzero(other)[0])
        raise InvalidInputError(
            f"transcript {found.names[transcript[k]]!r}: expected all its regions on one contig; "
            f"got {chrom[k]!r} and {chrom[k + 1]!r}. Give copies of a gene names of their own"
        )
    return found


def join_rows(output: Output, offsets: I64) -> Output:
    """Rows of regions to rows of transcripts.

    Parameters
    ----------
    output : Ragged or AnnotatedHaplotypes
        Leading axes (n, ...), the n regions of K transcripts one after the other.
    offsets : (K + 1,) int64
        Where the regions of each transcript begin.

    Returns
    -------
    Ragged or AnnotatedHaplotypes
        Leading axes (K, ...).

    Raises
    ------
    InvalidInputError
        For what is not ragged.
    """
    if isinstance(output, AnnotatedHaplotypes):
        parts = (output.haps, output.var_idxs, output.ref_coords)
        return AnnotatedHaplotypes(*(join_rows(part, offsets) for part in parts))  # type: ignore[arg-type]
    if not isinstance(output, Ragged):
        raise InvalidInputError(
            f"splicing: expected ragged rows; got {type(output).__name__}. Lists of variants "
            "cannot be joined"
        )
    n, rest = len(offsets) - 1, output.leading[1:]
    per_region = int(np.prod(rest, dtype=np.int64))
    counts = np.diff(offsets)
    # Of each transcript all regions of its first haplotype, then all of the next.
    region = stretches(np.repeat(offsets[:-1], per_region), np.repeat(counts, per_region))
    inner = np.repeat(np.tile(np.arange(per_region), n), np.repeat(counts, per_region))
    ordered = output.take(region * per_region + inner)
    ends = offsets_of(np.repeat(counts, per_region))
    return Ragged(ordered.data, (n, *rest), ordered.offsets[ends])
