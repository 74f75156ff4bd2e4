"""Region tokens, slow and obvious: every query is compared with every region."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bigwig_loader.sampling.rng import Stream, random_below

Region = tuple[str, int, int]


def overlapping(universe: Sequence[Region], query: Region) -> list[int]:
    """Ids of the regions that overlap a query, by start, end and id."""
    contig, start, end = query
    hits = [
        number
        for number, (name, first, last) in enumerate(universe)
        if name == contig and first < end and last > start
    ]
    return sorted(hits, key=lambda number: (universe[number][1:], number))


def tokenize(
    universe: Sequence[Region],
    documents: Sequence[Sequence[Region]],
    unknown: str = "document",
    order: str = "input",
) -> list[list[int]]:
    """Tokens of each document."""
    unk = len(universe)
    tokens = []
    for document in documents:
        regions = list(document)
        if order == "sorted":
            regions.sort(key=lambda region: region[:2])
        ids: list[int] = []
        for region in regions:
            hits = overlapping(universe, region)
            ids += hits or ([unk] if unknown == "region" else [])
        tokens.append(ids or ([unk] if unknown == "document" else []))
    return tokens


def subset(n: int, size: int, seed: int, epoch: int, index: int) -> list[int]:
    """Which of n tokens are kept: Floyd's algorithm, step by step, with the library's numbers."""
    n_draws = min(size, n - size) if 2 * size > n else size
    chosen: set[int] = set()
    for lane in range(n_draws):
        last = n - n_draws + lane
        drawn = random_below(last + 1, seed, epoch, index, stream=Stream.CONTEXT, lane=lane)
        chosen.add(last if int(drawn[0]) in chosen else int(drawn[0]))
    kept = set(range(n)) - chosen if 2 * size > n else chosen
    return sorted(kept)


def tokenize_cells(
    universe: Sequence[Region], features: Sequence[Region], matrix: npt.NDArray[np.floating]
) -> list[list[int]]:
    """Tokens of each row of a dense matrix."""
    cells = []
    for row in matrix:
        ids: list[int] = []
        for feature, value in zip(features, row, strict=True):
            if value != 0:
                ids += overlapping(universe, feature)
        cells.append(ids or [len(universe)])
    return cells
