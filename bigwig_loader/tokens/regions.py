"""What may be given to a tokenizer, as one table of regions with the documents they belong to."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.region_text import RegionLines, read_regions
from bigwig_loader.backend.token_rows import order_regions
from bigwig_loader.errors import InvalidDataError, InvalidInputError
from bigwig_loader.ragged import offsets_of
from bigwig_loader.tokens.columns import (
    is_region,
    number_contigs,
    pick_columns,
    positions,
    split_rows,
)
from bigwig_loader.types import PathLike

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
Order = Literal["input", "sorted"]

_BARCODE = 3  # column of a file of fragments
_FRAGMENTS = (".tsv", ".tsv.gz", ".tsv.bgz")


@dataclass(frozen=True)
class RegionTable:
    """Regions of some documents.

    Parameters
    ----------
    contig_names : tuple of str
    contig_index : (n,) int32
    start, end : (n,) int64
        0-based half-open.
    offsets : (D + 1,) int64
        Regions of document d are ``offsets[d]`` to ``offsets[d + 1]``.
    names : tuple of str, optional
        Of the documents: paths or barcodes.
    is_fragments : bool
        Whether the documents are the cells of a file of fragments.
    """

    contig_names: tuple[str, ...]
    contig_index: I32
    start: I64
    end: I64
    offsets: I64
    names: tuple[str, ...] | None = None
    is_fragments: bool = False

    def __len__(self) -> int:
        return len(self.start)


def is_fragments_file(path: PathLike) -> bool:
    """Whether a file is one of fragments: it is, if its name ends with ``.tsv`` or ``.tsv.gz``."""
    return os.fspath(path).lower().endswith(_FRAGMENTS)


def read_table(regions: Any, order: Order | None, n_threads: int) -> RegionTable:
    """Regions of whatever a tokenizer takes, see `bigwig_loader.tokens.Tokenizer`.

    Parameters
    ----------
    regions : path, DataFrame, mapping or list
    order : {"input", "sorted"}, optional
        Of the regions of each document. By default those of a BED file are sorted by contig (as
        text) and start, and all others are left as they are.
    n_threads : int
    """
    if isinstance(regions, (str, os.PathLike)) and is_fragments_file(regions):
        table = _fragments(regions, n_threads)
        return _sorted(table, n_threads) if order == "sorted" else table
    if _is_documents(regions):
        return _documents(regions, order, n_threads)
    return _document(regions, order, n_threads)


def _is_documents(regions: Any) -> bool:
    if isinstance(regions, (str, bytes, bytearray)) or not isinstance(regions, Sequence):
        return False
    return len(regions) > 0 and not is_region(regions[0])


def _documents(documents: Sequence[Any], order: Order | None, n_threads: int) -> RegionTable:
    def one(number: int) -> RegionTable:
        what = f"document {number}"
        document = documents[number]
        if isinstance(document, (str, os.PathLike)) and is_fragments_file(document):
            raise InvalidInputError(
                f"{what}: expected a BED file or regions; got a file of fragments, {document}. "
                "It holds many documents: give it alone"
            )
        return _document(document, order, 1, what)

    numbers = range(len(documents))
    if n_threads > 1 and all(isinstance(d, (str, os.PathLike)) for d in documents):
        with ThreadPoolExecutor(n_threads) as pool:
            tables = list(pool.map(one, numbers))
    else:
        tables = [one(number) for number in numbers]
    known: dict[str, int] = {}
    indices = []
    for table in tables:
        numbers_of = [known.setdefault(name, len(known)) for name in table.contig_names]
        indices.append(np.array(numbers_of, np.int32)[table.contig_index])
    names = [table.names[0] for table in tables if table.names]
    return RegionTable(
        tuple(known),
        np.concatenate(indices),
        np.concatenate([table.start for table in tables]),
        np.concatenate([table.end for table in tables]),
        offsets_of(np.array([len(table) for table in tables], np.int64)),
        tuple(names) if len(names) == len(tables) else None,
    )


def _document(
    regions: Any, order: Order | None, n_threads: int, what: str = "regions"
) -> RegionTable:
    """One document from a file, a table or a list."""
    if isinstance(regions, (str, os.PathLike)):
        table = _bed(regions, n_threads)
        return table if order == "input" else _sorted(table, n_threads)
    if hasattr(regions, "columns") or isinstance(regions, Mapping):
        contigs, start, end = pick_columns(regions, what)
    elif isinstance(regions, Sequence) and not isinstance(regions, (bytes, bytearray)):
        contigs, start, end = split_rows(regions, what)
    elif hasattr(regions, "__iter__") and not isinstance(regions, (bytes, np.ndarray)):
        contigs, start, end = split_rows(list(regions), what)
    else:
        raise InvalidInputError(
            f"{what}: expected a path, a DataFrame, a mapping of columns or a list of regions; "
            f"got {type(regions).__name__}"
        )
    names, index = number_contigs(contigs, what)
    starts, ends = positions(start, "start", what), positions(end, "end", what)
    if not len(index) == len(starts) == len(ends):
        raise InvalidInputError(
            f"{what}: expected columns of one length; got {len(index)} contigs, {len(starts)} "
            f"starts and {len(ends)} ends"
        )
    table = RegionTable(names, np.ascontiguousarray(index), starts, ends, np.array([0, len(index)]))
    return _sorted(table, n_threads) if order == "sorted" else table


def read_lines(path: PathLike, **options: Any) -> RegionLines:
    """`read_regions`, with a warning where a line was taken for names of columns.

    Raises
    ------
    InvalidDataError
        Also for a file without any region.
    """
    lines = read_regions(path, **options)
    if lines.header is not None:
        number, text = lines.header
        warnings.warn(
            f"{lines.path}: line {number} was taken for names of columns, not for a region: "
            f"{text!r:.100}",
            stacklevel=4,
        )
    if not len(lines):
        raise InvalidDataError(
            "a file without any region",
            path=lines.path,
            expected="lines of contig, start and end",
            got=f"{os.path.getsize(lines.path)} bytes" if os.path.exists(lines.path) else "none",
            hint="A document that is meant to be empty can be given as an empty list.",
        )
    return lines


def _bed(path: PathLike, n_threads: int) -> RegionTable:
    lines = read_lines(path, n_threads=n_threads)
    return RegionTable(
        lines.contig_names,
        lines.contig_index,
        lines.start,
        lines.end,
        np.array([0, len(lines)]),
        (lines.path,),
    )


def _fragments(path: PathLike, n_threads: int) -> RegionTable:
    """Regions of a file of fragments by barcode, in order of first appearance."""
    lines = read_lines(path, key_column=_BARCODE, n_threads=n_threads)
    n_cells = len(lines.key_names)
    # Starts that are all the same keep the order of the file.
    rows = order_regions(lines.key_index, n_cells, np.zeros(len(lines), np.int64), n_threads)
    table = RegionTable(
        lines.contig_names,
        lines.contig_index,
        lines.start,
        lines.end,
        offsets_of(np.bincount(lines.key_index, minlength=n_cells)),
        lines.key_names,
        is_fragments=True,
    )
    return table if rows is None else _take(table, rows)


def _take(table: RegionTable, rows: I64) -> RegionTable:
    return RegionTable(
        table.contig_names,
        table.contig_index[rows],
        table.start[rows],
        table.end[rows],
        table.offsets,
        table.names,
        table.is_fragments,
    )


def _sorted(table: RegionTable, n_threads: int) -> RegionTable:
    """The same documents, the regions of each by contig (as text) and start."""
    n_contigs = len(table.contig_names)
    rank = np.empty(n_contigs, np.int32)
    rank[np.argsort(np.array(table.contig_names, object), kind="stable")] = np.arange(n_contigs)
    rows = order_regions(rank[table.contig_index], n_contigs, table.start, n_threads)
    n_documents = len(table.offsets) - 1
    if n_documents > 1:
        # Sorted as a whole; a stable order by document keeps that within each of them.
        numbers = np.repeat(np.arange(n_documents, dtype=np.int32), np.diff(table.offsets))
        rows = np.arange(len(table)) if rows is None else rows
        nothing = np.zeros(len(table), np.int64)
        again = order_regions(numbers[rows], n_documents, nothing, n_threads)
        rows = rows if again is None else rows[again]
    return table if rows is None else _take(table, rows)
