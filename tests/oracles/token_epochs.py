"""Epochs over documents of tokens, slow and obvious: one token after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def pad(documents: Sequence[Sequence[int]], fill: int) -> tuple[list[list[int]], list[list[int]]]:
    """Ids and mask of documents as rows of one length."""
    width = max(map(len, documents))
    ids = [[*d, *([fill] * (width - len(d)))] for d in documents]
    mask = [[1] * len(d) + [0] * (width - len(d)) for d in documents]
    return ids, mask


def pack(
    documents: Sequence[Sequence[int]], length: int, separator: int | None, fill: int
) -> list[dict[str, list[int]]]:
    """Rows of `length` tokens: ids, number of the document within the row, place in it."""
    stream = []
    for number, document in enumerate(documents):
        tokens = [*document, *([] if separator is None else [separator])]
        stream += [(token, number, place) for place, token in enumerate(tokens)]
    rows = []
    for start in range(0, len(stream), length):
        part = stream[start : start + length]
        first = part[0][1]
        missing = length - len(part)
        rows.append(
            {
                "input_ids": [t for t, _, _ in part] + [fill] * missing,
                "attention_mask": [1] * len(part) + [0] * missing,
                "segment_ids": [n - first + 1 for _, n, _ in part] + [0] * missing,
                "position_ids": [p for _, _, p in part] + [0] * missing,
            }
        )
    return rows


def pairs(
    row: Sequence[int],
    n_regions: int,
    reach: Sequence[int],
    segments: Sequence[int] | None = None,
) -> list[tuple[int, int]]:
    """Skip-gram pairs of a row; `reach` is the window of each centre."""
    found = []
    for i, center in enumerate(row):
        for j in range(max(0, i - reach[i]), min(len(row), i + reach[i] + 1)):
            same = segments is None or segments[i] == segments[j]
            if i != j and center < n_regions and row[j] < n_regions and same:
                found.append((center, row[j]))
    return found


def rows_of(batches: Sequence[Any]) -> list[dict[str, list[int]]]:
    """The rows of batches of tensors or arrays, by name."""
    return [
        {name: array[row].tolist() for name, array in batch.items()}
        for batch in batches
        for row in range(len(batch["input_ids"]))
    ]
