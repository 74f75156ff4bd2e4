"""How far haplotypes reach, against walking base by base."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bigwig_loader.dataset.prepared.making.neighbourhood import Wanted, needed_ends
from bigwig_loader.formats.variants.table import Genotypes, VariantTable


def make_table(variants: list[tuple[int, int]]) -> VariantTable:
    """Variants (position, ilen) of one contig, sorted, with made letters."""
    position = np.array([p for p, _ in variants], np.int32)
    ilen = np.array([n for _, n in variants], np.int32)
    ref = np.cumsum([0, *(1 - np.minimum(ilen, 0))])
    alt = np.cumsum([0, *(1 + np.maximum(ilen, 0))])
    return VariantTable(
        contig_names=("c",),
        contig_offsets=np.array([0, len(variants)]),
        position=position,
        ilen=ilen,
        ref_offsets=ref,
        ref=np.full(ref[-1], 65, np.uint8),
        alt_offsets=alt,
        alt=np.full(alt[-1], 67, np.uint8),
        record=np.arange(len(variants)),
    )


def walked(start: int, end: int, deletions: list[tuple[int, int]]) -> int:
    """End of a window of as many bases, none of which lies in a deletion."""
    gone = {p for position, n in deletions for p in range(position + 1, position + 1 + n)}
    position, taken = start, 0
    while taken < end - start:
        taken += position not in gone
        position += 1
    return position


@given(st.data())
def test_the_reach_is_that_of_the_haplotype_that_lacks_most(data: st.DataObject) -> None:
    numbers = st.tuples(st.integers(0, 60), st.integers(-12, 6))
    variants = sorted(data.draw(st.lists(numbers, max_size=12)), key=lambda v: v[0])
    n = len(variants)
    lists = [
        sorted(data.draw(st.sets(st.integers(0, n - 1)))) if n else [] for _ in range(6)
    ]  # 3 samples, 2 haplotypes
    genotypes = Genotypes(
        ("a", "b", "c"),
        2,
        np.cumsum([0, *map(len, lists)]),
        np.array([v for rows in lists for v in rows], np.int32),
    )
    windows = data.draw(st.lists(st.tuples(st.integers(-5, 60), st.integers(1, 30)), min_size=1))
    start = np.array([s for s, _ in windows])
    wanted = Wanted(np.zeros(len(start), np.int32), start, start + [n for _, n in windows])
    expected = [
        max(
            walked(s, s + length, [(p, -i) for p, i in map(variants.__getitem__, rows) if i < 0])
            for rows in lists
        )
        for s, length in windows
    ]
    assert needed_ends(wanted, make_table(variants), genotypes).tolist() == expected


def test_spans_are_merged_by_contig_and_cut_off_at_its_begin() -> None:
    wanted = Wanted(
        np.array([1, 0, 1, 1], np.int32), np.array([-10, 5, 20, -9]), np.array([-2, 9, 30, 25])
    )
    spans = wanted.spans(wanted.end, ("a", "b", "c"))
    assert {name: s.tolist() for name, s in spans.items()} == {"a": [[5, 9]], "b": [[0, 30]]}
