"""Regions of a data set found by their coordinates."""

from __future__ import annotations

from typing import Any

import numpy as np

from bigwig_loader.dataset.prepared.indexing import Cells
from bigwig_loader.dataset.prepared.layout import PreparedData
from bigwig_loader.dataset.prepared.making.regions import Regions, read_regions, with_length
from bigwig_loader.errors import NotFoundError
from bigwig_loader.intervals import merge_arrays


def overlapping_rows(data: PreparedData, rows: Cells, source: Any) -> Cells:
    """Places in `rows` of the regions that overlap some interval, ascending.

    Parameters
    ----------
    data : PreparedData
    rows : (R,) int64
        Regions of the data set to look at.
    source : path-like or DataFrame
        Intervals, on any contigs.

    Raises
    ------
    NotFoundError
        If none overlaps.
    """
    wanted = read_regions(source, None, None)
    found = np.zeros(len(rows), np.bool_)
    contig, start, end = data.contig_index[rows], data.start[rows], data.end[rows]
    for number, name in enumerate(data.contigs.names):
        theirs = _contig_rows(wanted, name)
        if not theirs.size:
            continue
        first, last = merge_arrays(wanted.start[theirs], wanted.end[theirs])
        mine = np.flatnonzero(contig == number)
        # The interval that ends behind a region's start is the first that can overlap it.
        at = np.searchsorted(last, start[mine], side="right")
        begins = np.append(first, np.iinfo(np.int64).max)[at]
        found[mine] = begins < end[mine]
    if not found.any():
        raise NotFoundError(
            f"regions: expected some of {len(rows)} regions on {', '.join(data.contigs.names[:8])} "
            f"to overlap the {len(wanted)} intervals given, on "
            f"{', '.join(wanted.contig_names[:8])}; none does"
        )
    return np.flatnonzero(found)


def matching_rows(data: PreparedData, rows: Cells, source: Any) -> Cells:
    """Places in `rows` of the regions that are given, in the order of `source`.

    A region that is not there as it is given is looked for with the length of all regions of the
    data set, around its middle.

    Raises
    ------
    NotFoundError
        For a region that is not there.
    """
    wanted = read_regions(source, None, None)
    place = {
        (data.contigs.names[c], s, e): i
        for i, (c, s, e) in reversed(
            list(
                enumerate(
                    zip(
                        data.contig_index[rows].tolist(),
                        data.start[rows].tolist(),
                        data.end[rows].tolist(),
                        strict=True,
                    )
                )
            )
        )
    }
    names = [wanted.contig_names[c] for c in wanted.contig_index]
    start, end = wanted.start, wanted.end
    resized = (start, end) if data.length is None else with_length(start, end, data.length)
    out = []
    for i, name in enumerate(names):
        exact = (name, int(start[i]), int(end[i]))
        around = (name, int(resized[0][i]), int(resized[1][i]))
        found = place.get(exact, place.get(around))
        if found is None:
            raise NotFoundError(
                f"region {name}:{start[i]}-{end[i]} (row {i}) is none of the {len(rows)} regions "
                "of this view; get_bed() lists them"
            )
        out.append(found)
    return np.array(out, np.int64)


def _contig_rows(regions: Regions, name: str) -> Cells:
    if name not in regions.contig_names:
        return np.empty(0, np.int64)
    return np.flatnonzero(regions.contig_index == regions.contig_names.index(name))
