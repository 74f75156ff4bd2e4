"""How a written BigWig file is shaped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError

SectionType = Literal["bedGraph", "variableStep", "fixedStep"]
Intervals = tuple[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike]
"""Starts, ends (0-based half-open) and values of one contig."""
Arrays = tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class WriterOptions:
    """Shape of the file; the defaults are those of UCSC's tools.

    Parameters
    ----------
    section : str or mapping of contig name to str
        ``"bedGraph"``, ``"variableStep"`` or ``"fixedStep"``. In the last two a data block also
        ends where the span, or the step, changes. A contig that a mapping leaves out has bedGraph.
    items_per_block : int
        Most items in a data block, 1 to 65,535.
    compress : bool
        Whether data blocks are zlib streams; if not, ``uncompressBufSize`` is 0.
    byte_order : {"<", ">"}
        Little or big endian.
    version : {1, 2, 3, 4}
        Version 1 has no total summary, and only versions from 3 on can be compressed.
    rtree_block_size, chrom_block_size : int
        Most entries in a node of the R-tree and of the chromosome B+ tree, at least 2.
    chrom_ids : mapping of contig name to int, optional
        The file's own ids; by default the rank among the sorted names.
    zoom_reductions : tuple of int
        Bases per summary item of each zoom level, from fine to coarse.
    """

    section: SectionType | Mapping[str, SectionType] = "bedGraph"
    items_per_block: int = 1024
    compress: bool = True
    byte_order: Literal["<", ">"] = "<"
    version: int = 4
    rtree_block_size: int = 256
    chrom_block_size: int = 256
    chrom_ids: Mapping[str, int] | None = None
    zoom_reductions: tuple[int, ...] = ()


def check_options(opts: WriterOptions) -> None:
    if opts.compress and opts.version < 3:
        raise InvalidInputError(
            f"argument version: expected 3 or 4 with compress=True; got {opts.version}"
        )
    if not 1 <= opts.items_per_block <= 65535:
        raise InvalidInputError(
            f"argument items_per_block: expected 1 to 65535; got {opts.items_per_block}"
        )
    if min(opts.rtree_block_size, opts.chrom_block_size) < 2:
        raise InvalidInputError("arguments rtree_block_size, chrom_block_size: expected at least 2")
