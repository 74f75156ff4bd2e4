"""Writes one variant over each of many haplotypes, whatever they carry there."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.protocol import HaplotypeReader
from bigwig_loader.dataset.prepared.changed_cells import repeated
from bigwig_loader.dataset.prepared.window_lists import (
    I64,
    Bools,
    WindowLists,
    WindowReader,
    applied_in,
    join_tables,
    span_ends,
    take_ragged,
)
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.formats.variants.table import VariantTable
from bigwig_loader.plan.haplotypes import HaplotypeWindows

APPLIED, DELETED, EXISTED, OUTSIDE = 0, 1, 2, 3
SITE_RECORD = -2  # record number of bases that come from a site

Flags = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Swapped:
    """B windows as they are and with their sites, ready to be read in one call.

    Parameters
    ----------
    made : WindowReader
        Of 2 * B windows: those as they are, then those with sites.
    flags : (B, P) uint8
        `APPLIED`; `DELETED`: the haplotype lacks the bases that the site changes; `EXISTED`: it
        carries the site; `OUTSIDE`: applied, but behind the end of the window. Haplotypes with
        other flags than `APPLIED` are the same in both.
    ends : (B, P) int64 or None
        Reference base after the last that a window with its site stands for; None for windows
        without a `length_bp`.
    """

    made: WindowReader
    flags: Flags
    ends: I64 | None

    @property
    def windows(self) -> HaplotypeWindows:
        """The 2 * B windows in the terms of `made`."""
        return self.made.windows


def swap_sites(
    reader: HaplotypeReader, windows: HaplotypeWindows, sites: VariantTable, site: I64
) -> Swapped:
    """Put a site into every haplotype of every window.

    A site is written over the haplotype as it is: a substitution replaces the base that stands
    for its position, an insertion what is inserted behind it, and a deletion takes away its bases
    and what is inserted between them. All else stays, insertions and deletions at the same
    position too.

    Parameters
    ----------
    reader : HaplotypeReader
        Its overlap policy is ``"first"`` or ``"bcftools"``.
    windows : HaplotypeWindows
        B windows.
    sites : VariantTable
        On the contigs of the reader; atomic.
    site : (B,) int64
        Row of `sites` for each window, on its contig.

    Raises
    ------
    InvalidInputError
        With the policy ``"window"``, for which a haplotype is not the same everywhere.
    """
    if reader.overlap == "window":
        raise InvalidInputError(
            "sites: expected a data set with overlap='first' or 'bcftools', where a haplotype is "
            "the same in every window; got 'window'"
        )
    site_end = span_ends(sites, site)
    missing = int((site_end - sites.position[site]).max(initial=1)) - 1
    # A site may begin before its window and reach into it.
    around = replace(windows, start=np.minimum(windows.start, sites.position[site]))
    while True:
        # Bases that the sites take away are replaced from behind the window's end.
        reach = windows.end[:, None].repeat(reader.ploidy, axis=1)
        if windows.length_bp is not None:
            longer = replace(windows, length_bp=windows.length_bp + missing)
            reach = reader.ends(longer)
        reach = np.maximum(reach, site_end[:, None])
        lists = applied_in(reader, around, reach)
        mutated = _Mutation(reader.table, sites, lists, np.repeat(site, reader.ploidy))
        lost = int(mutated.lost.max(initial=0))
        if lost <= missing or windows.length_bp is None:
            break
        missing = lost
    made = mutated.lists()
    both = WindowLists(
        np.concatenate([lists.offsets, lists.offsets[-1] + made.offsets[1:]]),
        np.concatenate([lists.rows, made.rows]),
        np.concatenate([lists.without_anchor, made.without_anchor]),
    )
    table = join_tables(reader.table, sites, both.rows)
    is_site = both.rows >= len(reader.table)
    ilen = table.ilen.copy()
    ilen[is_site] = mutated.ilen
    table = replace(table, ilen=ilen, record=np.where(is_site, SITE_RECORD, table.record))
    new = WindowReader(reader, repeated(windows, 2), both, table, "window")
    flags = mutated.flags.reshape(len(windows), reader.ploidy)
    ends = None
    if windows.length_bp is not None:
        ends = new.reader.ends(new.windows)[len(windows) :]
        unseen = ends <= sites.position[site][:, None]
        flags = np.where((flags == APPLIED) & unseen, np.uint8(OUTSIDE), flags)
    return Swapped(new, flags, ends)


class _Mutation:
    """What becomes of the entries of each list where a site is written over it.

    Parameters
    ----------
    table, sites : VariantTable
    lists : WindowLists
        K lists of rows of `table`.
    site : (K,) int64

    Attributes
    ----------
    flags : (K,) uint8
    lost : (K,) int64
        Most haplotype bases that may be missing after it.
    ilen : (k,) int32
        Of the sites that are applied, list by list: deletions that run into carried ones take
        those over.
    """

    def __init__(
        self, table: VariantTable, sites: VariantTable, lists: WindowLists, site: I64
    ) -> None:
        self._given = lists
        self._site_rows = site + len(table)
        of = lists.of_list
        position = table.position[lists.rows].astype(np.int64)
        ilen = table.ilen[lists.rows].astype(np.int64)
        end = position + 1 + np.maximum(0, -ilen)
        site_position = sites.position[site].astype(np.int64)
        site_ilen = sites.ilen[site].astype(np.int64)
        site_end = site_position + 1 + np.maximum(0, -site_ilen)
        # Order of variants at one position.
        rank, site_rank = _rank(ilen), _rank(site_ilen)
        at, last = site_position[of], site_end[of]
        here = position == at
        inside = (position > at) & (position < last)

        n = len(site)
        covered = np.bincount(of[(position < at) & (end > at)], minlength=n) > 0
        gone = np.maximum(0, np.minimum(end, last) - np.maximum(position, at) - 1)
        gone = np.where(here | inside, gone, 0)
        n_gone = np.bincount(of, gone, minlength=n).astype(np.int64)
        covered |= (site_ilen < 0) & (n_gone == -site_ilen)
        same = here & (ilen == site_ilen[of])
        same = _same_alt(table, sites, lists.rows, site[of], same)
        exists = np.bincount(of[same], minlength=n) > 0
        self.flags = np.where(exists, EXISTED, np.where(covered, DELETED, APPLIED)).astype(np.uint8)

        applied = self.flags == APPLIED
        same_kind = here & (rank == site_rank[of])
        self._keep: Bools = ~(applied[of] & (inside | same_kind))
        before = (position < at) | (here & (rank < site_rank[of]))
        self._marked: Bools = lists.without_anchor | (applied[of] & here & (rank > site_rank[of]))
        self._places = np.bincount(of[self._keep & before], minlength=n)
        self._site_marked: Bools = np.bincount(of[self._keep & here & before], minlength=n) > 0
        furthest = site_end.copy()
        np.maximum.at(furthest, of[inside], end[inside])
        taken = np.where(site_ilen < 0, furthest - site_position - 1, 0)
        removed = np.bincount(of, np.where(self._keep, 0, np.maximum(ilen, 0)), minlength=n)
        self.lost = np.where(applied, taken + removed.astype(np.int64), 0)
        changed = np.where(site_ilen < 0, -taken, site_ilen)
        self.ilen = changed[applied].astype(np.int32)
        self._applied = np.flatnonzero(applied)

    def lists(self) -> WindowLists:
        """The K lists with their sites."""
        marked = replace(self._given, without_anchor=self._marked)
        k = self._applied
        return marked.filtered(self._keep).with_entries(
            k, self._places[k], self._site_rows[k], self._site_marked[k]
        )


def _rank(ilen: I64) -> I64:
    """0 for substitutions, 1 for insertions, 2 for deletions."""
    return np.where(ilen == 0, 0, np.where(ilen > 0, 1, 2))


def _same_alt(
    table: VariantTable, sites: VariantTable, rows: I64, site: I64, candidates: Bools
) -> Bools:
    """Whether entries have the ALT of their site; looked at where `candidates` says so."""
    which = np.flatnonzero(candidates)
    ours, theirs = rows[which], site[which]
    alt, begin = take_ragged(table.alt, table.alt_offsets[ours], table.alt_offsets[ours + 1])
    wanted, _ = take_ragged(sites.alt, sites.alt_offsets[theirs], sites.alt_offsets[theirs + 1])
    same = np.zeros(len(rows), np.bool_)
    if len(which):  # every ALT has a letter
        same[which] = np.logical_and.reduceat(alt == wanted, begin[:-1])
    return same
