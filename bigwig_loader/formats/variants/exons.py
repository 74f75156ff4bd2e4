"""Variants that lie in exons, or other spans, as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bigwig_loader.formats.variants.table import VariantTable
from bigwig_loader.frames import region_frame

if TYPE_CHECKING:
    import pandas as pd


def spans_inside(
    table: VariantTable, exons: Mapping[str, npt.NDArray[np.int64]] | pd.DataFrame
) -> npt.NDArray[np.bool_]:
    """Which variants have their whole reference span inside one exon.

    Parameters
    ----------
    table : VariantTable
        V variants.
    exons : mapping of str to (n, 2) int64, or DataFrame with columns chrom, start, end
        0-based half-open, in any order; may overlap. Contigs that the table lacks do not matter.

    Returns
    -------
    (V,) bool
        What `HaplotypeReader` takes as `keep`.
    """
    if not isinstance(exons, Mapping):
        frame = region_frame(exons)
        exons = {
            str(name): rows[["start", "end"]].to_numpy(dtype=np.int64)
            for name, rows in frame.groupby("chrom", sort=False)
        }
    kept = np.zeros(len(table), dtype=np.bool_)
    span_bp = np.diff(table.ref_offsets)
    for contig, name in enumerate(table.contig_names):
        if name in exons and len(exons[name]):
            rows = slice(*table.contig_offsets[contig : contig + 2].tolist())
            spans = np.asarray(exons[name], dtype=np.int64).reshape(-1, 2)
            spans = spans[np.argsort(spans[:, 0], kind="stable")]
            # Of the exons that begin at or before a variant, the one that reaches farthest counts.
            reach = np.maximum.accumulate(spans[:, 1])
            start = table.position[rows].astype(np.int64)
            before = np.searchsorted(spans[:, 0], start, side="right") - 1
            end = start + span_bp[rows]
            kept[rows] = (before >= 0) & (reach[np.maximum(before, 0)] >= end)
    return kept
