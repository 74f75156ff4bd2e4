"""What tests of samplers share: made regions, and the property that every sampler has to have."""

from __future__ import annotations

import pickle
from dataclasses import fields
from typing import Any

import numpy as np
import pandas as pd

from bigwig_loader.sampling import Positions, Regions, Sampler


def made_regions(
    n: int,
    length: int = 11,
    strands: str | None = None,
    chroms: tuple[str, ...] = ("chr1", "chr2", "chrX"),
) -> Regions:
    """n regions that do not overlap, on several contigs in turn; every centre is different."""
    start = 100 + np.arange(n) * 50
    table = {"chrom": [chroms[i % len(chroms)] for i in range(n)], "start": start}
    frame = pd.DataFrame({**table, "end": start + length})
    if strands is not None:
        frame["strand"] = [strands[i % len(strands)] for i in range(n)]
    return Regions.read(frame)


def rows(positions: Positions) -> list[tuple[Any, ...]]:
    """All fields of each position."""
    columns = [getattr(positions, f.name) for f in fields(positions)]
    columns = [[None] * len(positions) if c is None else c.tolist() for c in columns]
    return list(zip(*columns, strict=True))


def check_pure(
    sampler: Sampler,
    epoch: int,
    indices: list[int],
    attempt: int,
    order: list[int],
    other: Sampler | None = None,
) -> None:
    """Examples depend on epoch, index and attempt alone: not on the order, nor on each other.

    Parameters
    ----------
    order : list of int
        A permutation of the places in `indices`.
    other : Sampler, optional
        Another one that was made alike; a pickled copy by default.
    """
    index = np.array(indices, np.int64)
    together = rows(sampler.draw(epoch, index, attempt))
    copied = pickle.loads(pickle.dumps(sampler)) if other is None else other
    sampler.draw(epoch + 1, index, attempt + 1)
    reordered = rows(sampler.draw(epoch, index[order], attempt))
    assert reordered == [together[i] for i in order]
    for part in np.array_split(order, 3):
        assert rows(copied.draw(epoch, index[part], attempt)) == [together[i] for i in part]
    assert copied.fingerprint() == sampler.fingerprint()  # type: ignore[union-attr,attr-defined]


def chi_square_deviation(observed: np.ndarray, expected: np.ndarray) -> float:
    """How many standard deviations the chi-square of counts lies above its mean."""
    kept = expected > 0
    assert not observed[~kept].any()
    chi_square = ((observed - expected)[kept] ** 2 / expected[kept]).sum()
    n_free = kept.sum() - 1
    return float((chi_square - n_free) / np.sqrt(2 * n_free))
