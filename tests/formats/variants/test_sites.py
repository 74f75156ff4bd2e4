"""Which records regions ask for."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigwig_loader.errors import InvalidDataError
from bigwig_loader.formats.variants import sites
from tests.oracles import variant_normalize as oracle

_SPANS = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 9)), max_size=25)


def _arrays(spans: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    array = np.array(spans, dtype=np.int64).reshape(-1, 2)
    return array[:, 0], array[:, 1]


@given(_SPANS, st.lists(st.tuples(st.integers(0, 60), st.integers(1, 5)), max_size=4))
def test_with_upstream_equals_the_closure(
    raw: list[tuple[int, int]], raw_regions: list[tuple[int, int]]
) -> None:
    spans = sorted((start, start + bp) for start, bp in raw)
    covered = sorted({p for start, bp in raw_regions for p in range(start, start + bp)})
    cuts = [i for i, p in enumerate(covered) if i == 0 or covered[i - 1] != p - 1]
    regions = [(covered[i], covered[j - 1] + 1) for i, j in pairwise([*cuts, len(covered)])]
    start, end = _arrays(spans)
    overlap = sites.overlapping(start, end, np.array(regions, dtype=np.int64).reshape(-1, 2))
    found = np.flatnonzero(sites.with_upstream(start, end, overlap)).tolist()
    assert found == oracle.with_upstream(spans, {"c": regions}, "c")
    stretch = np.flatnonzero(sites.in_stretches(start, end, overlap)).tolist()
    assert set(stretch) >= set(found)


def test_stretches() -> None:
    start, end = _arrays([(0, 5), (2, 3), (4, 6), (6, 7), (6, 8), (9, 10)])
    assert sites.stretches(start, end).tolist() == [0, 0, 0, 1, 1, 2]


def test_sorted_contigs() -> None:
    order = sites.SortedContigs("x.vcf")
    order.check("a", 0, np.array([3, 3, 9]))
    order.check("a", 3, np.array([9]))
    order.check("b", 4, np.array([1]))
    with pytest.raises(InvalidDataError, match=r"record 6 is at b:2; in x.vcf; .* 6 or more.*sort"):
        order.check("b", 5, np.array([5, 1]))
    with pytest.raises(InvalidDataError, match=r"contig a comes twice, again at record 7"):
        order.check("a", 7, np.array([50]))
