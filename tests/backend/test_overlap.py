"""The overlap search against a comparison of everything with everything."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from hypothesis import strategies as st

from bigwig_loader.backend.protocol import Backend
from bigwig_loader.backend.select import select_backend
from bigwig_loader.backend.token_rows import order_regions
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.plan.overlap import NODE_SIZE, OverlapIndex, Queries
from bigwig_loader.ragged import offsets_of
from tests.helpers.on_backend import OnBackend
from tests.oracles import tokens as oracle

LARGEST = 2**32 - 1
Regions = list[tuple[int, int, int]]  # contig, start, end


def make_index(regions: Regions, n_contigs: int) -> OverlapIndex:
    columns = np.array(regions, np.int64).reshape(-1, 3).T
    return OverlapIndex.build(columns[0], columns[1], columns[2], n_contigs)


def make_queries(queries: Regions) -> Queries:
    contig, start, end = np.array(queries, np.int64).reshape(-1, 3).T
    return Queries(contig.astype(np.int32), start.copy(), end.copy())


def search(
    index: OverlapIndex, queries: Queries, unknown: int = -1, backend: Backend | None = None
) -> list[list[int]]:
    searcher = (backend or select_backend("cpu", 1)).open_overlaps(index)
    found = searcher.count(queries)
    offsets = offsets_of(np.maximum(found[0], int(unknown >= 0)).astype(np.int64))
    ids = np.full(int(offsets[-1]), -9, np.int32)
    searcher.write(queries, found, offsets, ids, unknown)
    return [row.tolist() for row in np.split(ids, offsets[1:-1])] if len(queries) else []


def expected(regions: Regions, queries: Regions) -> list[list[int]]:
    universe = [(str(contig), start, end) for contig, start, end in regions]
    return [oracle.overlapping(universe, (str(c), start, end)) for c, start, end in queries]


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Regions, Regions]:
    length = draw(st.sampled_from([4, 30, 1_000, LARGEST]))
    width = draw(st.sampled_from([1, 5, length]))
    position = st.integers(0, length)
    region = st.tuples(st.integers(0, 2), position, st.integers(0, width))
    regions = [(c, s, min(s + w, LARGEST)) for c, s, w in draw(st.lists(region, max_size=60))]
    query = st.tuples(st.integers(-1, 3), position, st.integers(0, length + 5))
    return regions, draw(st.lists(query, max_size=30))


def test_equals_the_oracle(on: OnBackend) -> None:
    @on.examples(60, world=worlds())
    def check(world: tuple[Regions, Regions]) -> None:
        regions, queries = world
        index = make_index(regions, 3)
        found = search(index, make_queries(queries), backend=on.backend)
        assert found == expected(regions, queries)
        with_unknown = search(index, make_queries(queries), 7_000, on.backend)
        assert with_unknown == [hits or [7_000] for hits in found]


def shapes(n: int) -> dict[str, Regions]:
    """Universes that are hard for one way of searching or another."""
    rng = np.random.default_rng(n)
    flat = [(0, 10 * i, 10 * i + 8) for i in range(n)]
    widths = rng.integers(0, 400, n)
    return {
        "flat": flat,
        "one wide region": [*flat, (0, 0, 20 * n)],
        "russian dolls": [(0, i, 4 * n - i) for i in range(n)],
        "stairs behind a wide one": [(0, 0, 10 * n), *((0, i, 4 * n - 3 * i) for i in range(n))],
        "the same start": [(0, 5, 6 + i) for i in range(n)],
        "the same end": [(0, i, n) for i in range(n)],
        "random widths": [(0, 10 * i, 10 * i + int(widths[i])) for i in range(n)],
        "a far region": [*flat, (0, LARGEST - 1, LARGEST)],
        "two contigs": [(i % 2, 5 * i, 5 * i + 1 + int(widths[i])) for i in range(n)],
    }


@pytest.mark.parametrize("name", shapes(1))
@pytest.mark.parametrize("n", [1, NODE_SIZE, NODE_SIZE + 1, 63, 700])
def test_shapes(name: str, n: int) -> None:
    regions = shapes(n)[name]
    rng = np.random.default_rng(n)
    start = rng.integers(0, 11 * n, 60)
    queries = [(0, int(s), int(s + w)) for s, w in zip(start, rng.integers(0, 9, 60), strict=True)]
    queries += [(1, 0, LARGEST), (0, 0, LARGEST + 9), (0, LARGEST - 1, LARGEST), (0, 0, 0)]
    index = make_index(regions, 2)
    assert search(index, make_queries(queries)) == expected(regions, queries)


def steps_of(index: OverlapIndex, position: int) -> int:
    """Steps that lead from the last region to the one that a step back must not pass over."""
    regions, at, steps = index.regions, len(index.regions) - 1, 0
    while regions["end"][at] <= position < regions["reach"][at]:
        at, steps = int(regions["back"][at]), steps + 1
    return steps


def test_a_wide_region_is_one_step_away() -> None:
    index = make_index(shapes(5_000)["one wide region"], 1)
    assert steps_of(index, 80_000) <= 2
    # Where steps back are many, as here, the tree takes over.
    stairs = make_index(shapes(5_000)["stairs behind a wide one"], 1)
    assert steps_of(stairs, 40_000) > 100
    assert search(stairs, make_queries([(0, 40_000, 40_001)])) == [[0]]


def test_threads_change_nothing() -> None:
    rng = np.random.default_rng(0)
    start = rng.integers(0, 10**6, 20_000)
    index = OverlapIndex.build(rng.integers(0, 3, 20_000), start, start + 90, 3)
    first = rng.integers(0, 10**6, 30_000)
    queries = Queries(rng.integers(0, 3, 30_000).astype(np.int32), first, first + 50)
    assert search(index, queries, 5) == search(index, queries, 5, select_backend("cpu", 4))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (([0], [0, 1], [2, 3]), "1, 2 and 2"),
        (([3], [0], [1]), r"contig index in \[0, 3\)"),
        (([0], [-1], [1]), "-1 to -1"),
        (([0], [0], [LARGEST + 1]), "end in"),
    ],
)
def test_bad_regions(columns: tuple[list[int], ...], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        OverlapIndex.build(*(np.array(column) for column in columns), 3)


def test_bad_queries() -> None:
    with pytest.raises(InvalidInputError, match=r"contig_index: expected .* int32"):
        Queries(np.zeros(2, np.int64), np.zeros(2, np.int64), np.zeros(2, np.int64))  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match=r"start: .* not contiguous"):
        Queries(np.zeros(2, np.int32), np.zeros(4, np.int64)[::2], np.zeros(2, np.int64))


@pytest.mark.parametrize("n", [0, 1, 100, 9_000])
@pytest.mark.parametrize("limit", [3, 10**6, 2**40])
def test_order(n: int, limit: int) -> None:
    rng = np.random.default_rng(n)
    group, start = rng.integers(0, 4, n).astype(np.int32), rng.integers(0, limit, n)
    order = order_regions(group, 4, start, n_threads=2)
    wanted = np.lexsort((start, group))
    if order is None:
        assert wanted.tolist() == list(range(n))
    else:
        np.testing.assert_array_equal(order, wanted)
    assert order_regions(group[wanted], 4, start[wanted]) is None


SCHEDULES = [{"mode": "late", "schedule": name} for name in ("forward", "reverse", "random:3")]


@pytest.mark.parametrize(
    "fake_cuda", SCHEDULES, ids=["forward", "reverse", "random"], indirect=True
)
@pytest.mark.parametrize("name", shapes(1))
def test_kernels_give_the_same(fake_cuda: ModuleType, name: str) -> None:
    regions = shapes(150)[name]
    rng = np.random.default_rng(3)
    start = rng.integers(0, 1_700, 100)
    queries = make_queries([(int(s) % 3 - 1, int(s), int(s) + int(s) % 9) for s in start])
    index = make_index(regions[::-1], 2)
    backend = select_backend("cuda:1")
    for unknown in (-1, 999):
        assert search(index, queries, unknown, backend) == search(index, queries, unknown)


@pytest.mark.parametrize(("n_queries", "n_ids"), [(7, 4_000), (1_000, 5), (7, 3)])
def test_pieces_change_nothing(
    fake_cuda: ModuleType, monkeypatch: pytest.MonkeyPatch, n_queries: int, n_ids: int
) -> None:
    from bigwig_loader.backend.cuda import overlap

    rng = np.random.default_rng(5)
    start = rng.integers(0, 700, 50)
    queries = make_queries([(0, int(s), int(s) + int(s) % 40) for s in start])
    index = make_index(shapes(60)["random widths"], 1)
    wanted = {unknown: search(index, queries, unknown) for unknown in (-1, 999)}
    assert max(map(len, wanted[-1])) > n_ids or n_ids == 4_000
    monkeypatch.setattr(overlap, "PIECE_QUERIES", n_queries)
    monkeypatch.setattr(overlap, "PIECE_IDS", n_ids)
    backend = select_backend("cuda:0")
    assert wanted == {unknown: search(index, queries, unknown, backend) for unknown in wanted}


def test_writes_only_what_it_has_found(on: OnBackend) -> None:
    """Offsets may leave gaps, and be in any order."""
    index = make_index([(0, 0, 10), (0, 5, 20), (0, 30, 40)], 1)
    queries = make_queries([(0, 6, 7), (0, 25, 26), (0, 35, 36)])
    searcher = on.backend.open_overlaps(index)
    found = searcher.count(queries)
    assert found[0].tolist() == [2, 0, 1]
    for unknown, offsets, wanted in (
        (-1, [1, 4, 4], [-9, 0, 1, -9, 2, -9]),
        (8, [1, 3, 5], [-9, 0, 1, 8, -9, 2]),
        (8, [4, 1, 2], [-9, 8, 2, -9, 0, 1]),
    ):
        ids = np.full(6, -9, np.int32)
        searcher.write(queries, found, np.array(offsets), ids, unknown)
        assert ids.tolist() == wanted


def test_nothing_to_find(on: OnBackend) -> None:
    queries, none = make_queries([(-1, 0, 5), (0, 3, 9)]), make_queries([])
    empty, index = make_index([], 1), make_index([(0, 20, 30)], 1)
    for unknown, wanted in ((-1, [[], []]), (4, [[4], [4]])):
        assert search(empty, queries, unknown, on.backend) == wanted
        assert search(index, queries, unknown, on.backend) == wanted
        assert search(index, none, unknown, on.backend) == []


def test_counts_are_those_of_the_queries(fake_cuda: ModuleType) -> None:
    searcher = select_backend("cuda").open_overlaps(make_index([(0, 20, 30)], 1))
    found = searcher.count(make_queries([(0, 3, 9)]))
    two = make_queries([(0, 3, 9), (0, 3, 9)])
    with pytest.raises(InvalidInputError, match="counts of 2 queries; got 1"):
        searcher.write(two, found, np.zeros(3, np.int64), np.zeros(2, np.int32))
