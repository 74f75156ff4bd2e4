"""Lists of variants of the windows of one batch, to change them before they are read.

A cohort has one list of variants for each haplotype of each contig. Some reads need other lists in
each window: exonic variants only, or one variant exchanged. They take the few entries around their
windows, change them, and read from a table of just these.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.protocol import HaplotypeReader
from bigwig_loader.errors import InvalidDataError
from bigwig_loader.formats.variants.table import Genotypes, VariantTable
from bigwig_loader.plan.haplotypes import WITHOUT_ANCHOR, HaplotypeWindows, Overlap

I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
Bools = npt.NDArray[np.bool_]

_ROW = WITHOUT_ANCHOR - 1


@dataclass(frozen=True)
class WindowLists:
    """Variants of B windows on P haplotypes: lists (window, ploid) one after the other.

    Parameters
    ----------
    offsets : (B * P + 1,) int64
    rows : (n,) int64
        Rows of some variant tables, counted through.
    without_anchor : (n,) bool
        Entries of which all but the anchor is applied.
    """

    offsets: I64
    rows: I64
    without_anchor: Bools

    @property
    def of_list(self) -> I64:
        """(n,) number of the list that each entry is in."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def filtered(self, keep: Bools) -> WindowLists:
        """The lists without the entries where `keep` (n,) is False."""
        total = np.concatenate([[0], np.cumsum(keep)]).astype(np.int64)
        return WindowLists(total[self.offsets], self.rows[keep], self.without_anchor[keep])

    def with_entries(self, lists: I64, places: I64, rows: I64, flags: Bools) -> WindowLists:
        """The lists with one more entry in some of them.

        Parameters
        ----------
        lists : (k,) int64
            Ascending; each at most once.
        places : (k,) int64
            Before which entry of the list, counted from its first.
        rows, flags : (k,)
        """
        at = self.offsets[lists] + places
        more = np.zeros(len(self.offsets), np.int64)
        more[lists + 1] = 1
        return WindowLists(
            self.offsets + np.cumsum(more),
            np.insert(self.rows, at, rows),
            np.insert(self.without_anchor, at, flags),
        )


def lists_of(
    table: VariantTable,
    lists: Genotypes,
    windows: HaplotypeWindows,
    ends: I64,
    reach_bp: int = 0,
    free: Bools | None = None,
) -> WindowLists:
    """What haplotypes carry in and just before windows.

    Parameters
    ----------
    table : VariantTable
    lists : Genotypes
        Rows of `table`, ascending.
    windows : HaplotypeWindows
    ends : (B, P) int64
        Variants from this position on are left out.
    reach_bp : int
        How far before a window variants are taken.
    free : (V,) bool, optional
        Variants that none before them reaches; with it, the entries before a window are taken back
        to the last of these.
    """
    n_windows, ploidy = len(windows), lists.ploidy
    sample = np.maximum(windows.sample, 0)
    first = (windows.contig_index.astype(np.int64) * len(lists.samples) + sample) * ploidy
    number = (first[:, None] + np.arange(ploidy)).reshape(-1)
    low, high = lists.offsets[number], lists.offsets[number + 1]
    high = np.where(np.repeat(windows.sample < 0, ploidy), low, high)
    start = np.repeat(windows.start, ploidy)
    begin = _first_from(table, lists, low, high, start - reach_bp)
    if free is not None:
        back = np.flatnonzero(begin > low)
        while len(back):
            begin[back] -= 1
            back = back[(begin[back] > low[back]) & ~free[lists.variants[begin[back]]]]
    stop = _first_from(table, lists, low, high, ends.reshape(n_windows * ploidy))
    found, offsets = take_ragged(np.asarray(lists.variants), begin, np.maximum(stop, begin))
    return WindowLists(offsets, found.astype(np.int64), np.zeros(len(found), np.bool_))


def carried_in(reader: HaplotypeReader, windows: HaplotypeWindows, ends: I64) -> WindowLists:
    """What haplotypes carry in windows, as far as the reader's filter lets it count.

    With all before a window that has a part in what is applied within it.
    """
    lists = lists_of(reader.table, reader.genotypes, windows, ends, free=reader.free)
    return lists if reader.keep is None else lists.filtered(reader.keep[lists.rows])


def applied_in(reader: HaplotypeReader, windows: HaplotypeWindows, ends: I64) -> WindowLists:
    """What haplotypes apply in windows and just before."""
    lists = carried_in(reader, windows, ends)
    made = WindowReader(
        reader, windows, lists, join_tables(reader.table, None, lists.rows), reader.overlap
    )
    entries = made.reader.resolved.variants
    keep, marked = np.zeros(len(lists.rows), np.bool_), np.zeros(len(lists.rows), np.bool_)
    keep[entries & _ROW] = True
    marked[entries & _ROW] = (entries & WITHOUT_ANCHOR) != 0
    return WindowLists(lists.offsets, lists.rows, marked).filtered(keep)


def _first_from(table: VariantTable, lists: Genotypes, low: I64, high: I64, position: I64) -> I64:
    """Of entries [low, high) of each list, the first at `position` or later; all lists at once."""
    low, high = low.copy(), high.copy()
    while (open_ := low < high).any():
        middle = (low + high) >> 1
        entry = lists.variants[np.where(open_, middle, 0)]
        if ((entry < 0) | (entry >= len(table))).any():
            raise InvalidDataError(
                f"lists of carried variants: expected rows 0 to {len(table) - 1}; got "
                f"{entry.min()} to {entry.max()}. The data set is damaged: write it again"
            )
        before = open_ & (table.position[entry] < position)
        low = np.where(before, middle + 1, low)
        high = np.where(open_ & ~before, middle, high)
    return low


def take_ragged(data: npt.NDArray[Any], begin: I64, stop: I64) -> tuple[npt.NDArray[Any], I64]:
    """Stretches [begin, stop) of `data` (k,), joined, and the (k + 1,) offsets of the result."""
    lengths = stop - begin
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    index = np.arange(offsets[-1]) + np.repeat(begin - offsets[:-1], lengths)
    return data[index], offsets


def span_ends(table: VariantTable, rows: I64) -> I64:
    """(n,) end of the reference span of some variants."""
    ilen = table.ilen[rows].astype(np.int64)
    return table.position[rows].astype(np.int64) + 1 + np.maximum(0, -ilen)


def join_tables(first: VariantTable, second: VariantTable | None, rows: I64) -> VariantTable:
    """Some variants of one or two tables, in the order of `rows`.

    Parameters
    ----------
    first, second : VariantTable
    rows : (n,) int64
        Rows of `first`, and of `second` behind those of `first`.

    Returns
    -------
    VariantTable
        Only what haplotypes are made from. Its `contig_offsets` count nothing.
    """
    tables = [first] if second is None else [first, second]
    of_table = np.searchsorted(np.cumsum([len(t) for t in tables]), rows, side="right")
    position, ilen = np.empty(len(rows), np.int32), np.empty(len(rows), np.int32)
    record, begin = np.empty(len(rows), np.int64), np.empty(len(rows), np.int64)
    lengths = np.empty(len(rows), np.int64)
    letters, shift, n_before = [], 0, 0
    for k, table in enumerate(tables):
        chosen = of_table == k
        row = rows[chosen] - n_before
        position[chosen], ilen[chosen] = table.position[row], table.ilen[row]
        record[chosen] = table.record[row]
        alt, offsets = take_ragged(table.alt, table.alt_offsets[row], table.alt_offsets[row + 1])
        begin[chosen], lengths[chosen] = offsets[:-1] + shift, np.diff(offsets)
        letters.append(alt)
        shift, n_before = shift + len(alt), n_before + len(table)
    alt, alt_offsets = take_ragged(np.concatenate(letters), begin, begin + lengths)
    return VariantTable(
        contig_names=first.contig_names,
        contig_offsets=np.zeros(len(first.contig_names) + 1, np.int64),
        position=position,
        ilen=ilen,
        ref_offsets=np.zeros(len(rows) + 1, np.int64),
        ref=np.empty(0, np.uint8),
        alt_offsets=alt_offsets,
        alt=alt,
        record=record,
    )


class WindowReader:
    """Haplotypes of the windows of one batch, each made of a list of its own.

    Parameters
    ----------
    reader : HaplotypeReader
        Its genome and memory are shared.
    windows : HaplotypeWindows
        B windows.
    lists : WindowLists
        Of (window, ploid).
    table : VariantTable
        Its rows are the entries of `lists`, one by one.
    overlap : {"first", "bcftools", "window"}
        ``"window"`` for entries that are applied as they are.

    Attributes
    ----------
    reader : HaplotypeReader
        Of the new lists.
    windows : HaplotypeWindows
        The windows in its terms.
    """

    def __init__(
        self,
        reader: HaplotypeReader,
        windows: HaplotypeWindows,
        lists: WindowLists,
        table: VariantTable,
        overlap: Overlap,
    ) -> None:
        n, ploidy = len(windows), reader.ploidy
        contigs, contig = np.unique(windows.contig_index, return_inverse=True)
        order = np.argsort(contig, kind="stable")
        rows = (order[:, None] * ploidy + np.arange(ploidy)).reshape(-1)
        entry, _ = take_ragged(
            np.arange(len(lists.rows)), lists.offsets[rows], lists.offsets[rows + 1]
        )
        counts = np.zeros((len(contigs), n, ploidy), np.int64)
        counts[contig, np.arange(n)] = np.diff(lists.offsets).reshape(n, ploidy)
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        names = tuple(reader.table.contig_names[c] for c in contigs.tolist())
        entries: I32 = entry.astype(np.int32)
        if overlap == "window":
            entries |= np.where(lists.without_anchor[entry], WITHOUT_ANCHOR, 0).astype(np.int32)
        self.reader = reader.with_variants(
            replace(table, contig_names=names, contig_offsets=np.zeros(len(names) + 1, np.int64)),
            Genotypes(tuple(map(str, range(n))), ploidy, offsets, entries),
            overlap,
        )
        self.windows = replace(windows, contig_index=contig.astype(np.int32), sample=np.arange(n))
