"""Stored intervals within stretches of a contig, as the lists of an `IntervalTable`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.intervals import flatten_intervals
from bigwig_loader.errors import InvalidDataError, InvalidInputError
from bigwig_loader.formats.interval_table import Intervals
from bigwig_loader.plan.blocks import plan_spans

if TYPE_CHECKING:
    from bigwig_loader.backend.protocol import SignalReader
    from bigwig_loader.plan.track_index import TrackIndex

# Memory for the data blocks that are read together, and what is made of them.
PIECE_BYTES = 128 << 20
# A stored byte becomes up to three in memory (4 bytes of an item are 12 of an interval), and
# intervals are there twice while they are copied.
_EXPANSION = 6
_MAX_EXPANSION = 1032  # of deflate; a damaged header may claim any size
_LAST = np.iinfo(np.int32).max

Spans = npt.NDArray[np.int64]


def check_spans(spans: Mapping[str, Any], contig_names: Sequence[str]) -> dict[str, Spans]:
    """Stretches by contig as (n, 2) int64, checked.

    Raises
    ------
    InvalidInputError
        If a contig is not among `contig_names`, or its stretches are not sorted, overlap, or are
        not (n, 2).
    """
    checked = {}
    for contig, given in spans.items():
        if contig not in contig_names:
            raise InvalidInputError(f"spans: expected contigs of the data set; got {contig!r}")
        array = np.asarray(given, np.int64)
        if array.ndim != 2 or array.shape[1] != 2:
            raise InvalidInputError(
                f"spans of {contig}: expected an array (n, 2) of starts and ends; got {array.shape}"
            )
        start, end = array[:, 0], array[:, 1]
        if (end < start).any() or (start[1:] < end[:-1]).any():
            raise InvalidInputError(
                f"spans of {contig}: expected stretches that are sorted and do not overlap"
            )
        checked[contig] = array
    return checked


def within_spans(
    spans: Spans,
    start: npt.NDArray[np.uint32],
    end: npt.NDArray[np.uint32],
    value: npt.NDArray[np.float32],
) -> Intervals:
    """Sorted intervals (K,), none overlapping, cut to sorted stretches (n, 2).

    Raises
    ------
    InvalidInputError
        If a stretch with an interval lies past 2,147,483,647.
    """
    spans = spans.clip(0, np.iinfo(np.uint32).max).astype(np.uint32)
    first = np.searchsorted(end, spans[:, 0], side="right")
    last = np.searchsorted(start, spans[:, 1], side="left")
    count = np.maximum(last - first, 0)
    which = np.repeat(np.arange(len(spans)), count)
    row = np.arange(len(which)) + (first - np.cumsum(count) + count)[which]
    cut_start = np.maximum(start[row], spans[which, 0])
    cut_end = np.minimum(end[row], spans[which, 1])
    if len(cut_end) and cut_end[-1] > _LAST:
        raise InvalidInputError(
            f"interval table: expected positions up to {_LAST}; got an interval to {cut_end[-1]}"
        )
    return Intervals(cut_start.view(np.int32), cut_end.view(np.int32), value[row])


def bigwig_lists(
    index: TrackIndex,
    reader: SignalReader,
    contig: str,
    spans: Spans,
    piece_bytes: int = PIECE_BYTES,
) -> Iterator[Intervals]:
    """Intervals of a file's contig within stretches, piece by piece in ascending order.

    Base values made of them equal those that the file's reader gives: where stored intervals
    overlap, the last one written wins. Nothing lies past the contig's end.

    Parameters
    ----------
    index, reader
        Of one file.
    contig : str
        One that the file knows.
    spans : (n, 2) int64
        Sorted, not overlapping; may reach out of the contig.
    piece_bytes : int
        About what reading may take in memory, besides the result.

    Raises
    ------
    InvalidDataError
        If a data block that is needed is damaged.
    """
    at = int(index.contigs.index_of(contig)[0])
    spans = np.clip(spans, 0, int(index.contigs.lengths[at]))
    spans = spans[spans[:, 1] > spans[:, 0]]
    stored = int(index.n_bytes.max(initial=1))
    block_bytes = max(min(int(index.buf_size[0]), stored * _MAX_EXPANSION), stored)
    max_blocks = max(piece_bytes // (_EXPANSION * block_bytes), 1)
    stack = [spans] if len(spans) else []
    while stack:
        part = stack.pop()
        plan = plan_spans(index, 0, at, part[:, 0], part[:, 1])
        halves = _halves(part) if plan.n_blocks > max_blocks else None
        if halves is not None:
            stack += [halves[1], halves[0]]
            continue
        start, end, value = flatten_intervals(*reader.intervals(plan))
        try:
            yield within_spans(part, start, end, value)
        except InvalidInputError as error:
            raise InvalidDataError(str(error), path=index.paths[0], field=contig) from error


def _halves(spans: Spans) -> tuple[Spans, Spans] | None:
    """Stretches in two parts; None for a single base."""
    middle = len(spans) // 2
    if middle:
        return spans[:middle], spans[middle:]
    start, end = spans[0].tolist()
    if end - start < 2:
        return None
    cut = (start + end) // 2
    return np.array([[start, cut]]), np.array([[cut, end]])
