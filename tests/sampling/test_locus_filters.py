"""Which loci fit: edges, exclusion lists, limits of counts, outliers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.sampling.loci import Loci, Reason, read_loci
from bigwig_loader.sampling.locus_filters import (
    Exclusion,
    OutlierRule,
    Reach,
    apply_count_limits,
    apply_edges,
    check_contigs,
    quantile_float32,
)
from tests.helpers.peaks import Locus, frame_of
from tests.oracles.peaks import Rules, choose, is_excluded, span_of

LENGTHS = {"chr1": 300, "chr2": 90}
LETTERS = {name: "A" * length for name, length in LENGTHS.items()}
windows = st.tuples(st.integers(1, 60), st.integers(1, 60), st.integers(0, 9))


@st.composite
def some_loci(draw: st.DrawFn) -> Locus:
    contig = draw(st.sampled_from(sorted(LENGTHS)))
    start = draw(st.integers(0, LENGTHS[contig] + 20))
    return contig, start, start + draw(st.integers(0, 30)), 0


lists_of_loci = st.lists(some_loci(), min_size=1, max_size=12)


def reasons(loci: Loci) -> list[str]:
    return [Reason(r).name.lower() for r in loci.reason]


@given(windows)
def test_reach(sizes: tuple[int, int, int]) -> None:
    in_window, out_window, jitter = sizes
    reach = Reach.of(in_window, out_window, max_jitter=jitter)
    start, end = span_of(Rules(in_window, out_window, jitter), 1000)
    assert (1000 - reach.left, 1000 + reach.right) == (start, end)
    assert Reach.of(3) == Reach(1, 2)


@given(lists_of_loci, windows, st.sampled_from(["drop", "pad", "shift"]))
def test_edges(rows: list[Locus], sizes: tuple[int, int, int], edges: str) -> None:
    in_window, out_window, jitter = sizes
    loci = read_loci(frame_of(rows))
    contig_bp = check_contigs(loci, LENGTHS, "genome.fa")
    reach = Reach.of(in_window, out_window, max_jitter=jitter)
    before = loci.middle.copy()
    result = apply_edges(loci, contig_bp, reach, edges)  # type: ignore[arg-type]
    expected = choose([rows], LETTERS, [], [], Rules(in_window, out_window, jitter, edges=edges))
    assert reasons(result) == [one.reason for one in expected]
    kept = result.kept
    assert result.middle[kept].tolist() == [expected[i].middle for i in kept]
    if edges == "shift":
        assert (result.middle[kept] - reach.left >= 0).all()
        assert (result.middle[kept] + reach.right <= contig_bp[result.contig[kept]]).all()
    else:
        assert result is loci
        assert (result.middle == before).all()


def test_windows_that_just_fit_are_kept() -> None:
    rows = [("chr2", m, m, 0) for m in (9, 10, 79, 80, 81)]
    loci = apply_edges(read_loci(frame_of(rows)), np.array([90]), Reach(10, 10), "drop")
    assert reasons(loci) == ["edge", "kept", "kept", "kept", "edge"]


def test_bad_edges() -> None:
    with pytest.raises(InvalidInputError, match="argument edges"):
        apply_edges(read_loci(frame_of([("c", 1, 2, 0)])), np.array([9]), Reach(1, 1), "wrap")  # type: ignore[arg-type]


def test_contigs_that_sequences_lack() -> None:
    rows = [("chr1", 1, 2, 0), ("chrA", 1, 2, 0), ("chrB", 1, 2, 0)]
    with pytest.raises(
        NotFoundError, match=r"2 contigs .*chrA, chrB.*genome\.fa.*chroms"
    ) as caught:
        check_contigs(read_loci(frame_of(rows)), LENGTHS, "genome.fa")
    assert isinstance(caught.value, InvalidInputError)
    # Loci that are not wanted may lie anywhere.
    loci = read_loci(frame_of(rows), ["chr1"])
    assert check_contigs(loci, LENGTHS, "genome.fa").tolist() == [300, 0, 0]


@given(lists_of_loci, lists_of_loci, windows, st.sampled_from([1, 1, 7, 100]))
def test_exclusion(
    rows: list[Locus], excluded: list[Locus], sizes: tuple[int, int, int], unit: int
) -> None:
    """Empty regions exclude nothing; at 100 bp, regions and windows are rounded outwards."""
    reach = Reach.of(*sizes[:2], max_jitter=sizes[2])
    loci = read_loci(frame_of(rows))
    Exclusion([frame_of(excluded[::2]), frame_of(excluded[1::2])], unit).apply(loci, reach)
    found = [
        is_excluded(contig, m - reach.left, m + reach.right, excluded, unit)
        for (contig, *_), m in zip(rows, loci.middle.tolist(), strict=True)
    ]
    assert reasons(loci) == ["excluded" if hit else "kept" for hit in found]


def test_exclusion_just_touched() -> None:
    rows = [("chr1", m, m, 0) for m in (150, 151, 155, 156, 255, 256, 349, 350)]
    for unit, expected in ((1, [0, 0, 0, 1, 1, 0, 0, 0]), (100, [0, 1, 1, 1, 1, 1, 1, 0])):
        loci = read_loci(frame_of(rows))
        Exclusion(frame_of([("chr1", 205, 206, 0), ("chrZ", 0, 1000, 0)]), unit).apply(
            loci, Reach(50, 50)
        )
        assert (loci.reason == Reason.EXCLUDED).tolist() == [bool(x) for x in expected]
    with pytest.raises(InvalidInputError, match="exclusion_bp"):
        Exclusion(frame_of(rows), 0)


@given(st.lists(st.integers(0, 12), min_size=1, max_size=12), *[st.integers(0, 12)] * 2)
def test_limits(counts: list[int], low: int, high: int) -> None:
    loci = read_loci(frame_of([("chr1", 1, 2, 0)] * len(counts)))
    array = np.array(counts, np.float32)
    apply_count_limits(loci, np.arange(len(counts)), array, low, high)
    expected = ["min_counts" if c < low else "max_counts" if c > high else "kept" for c in counts]
    assert reasons(loci) == expected


def test_no_limits() -> None:
    loci = read_loci(frame_of([("chr1", 1, 2, 0)] * 2))
    apply_count_limits(loci, np.arange(2), np.float32([-1, 1e30]), None, None)
    assert reasons(loci) == ["kept", "kept"]


@pytest.mark.parametrize("scale", [1.0, 1e36])
def test_quantiles_are_those_of_torch(scale: float) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    for n in [*range(1, 40), 99, 100, 101, 1000, 1001, 20_011, 200_003]:
        values = (rng.gamma(0.5, scale, (n, 3)) * rng.choice([-1, 1, 1, 1], (n, 3))).astype("f4")
        for q in (0.0, 0.01, 0.25, 0.5, 0.9, 0.99, 0.9999, 1.0):
            ours = quantile_float32(values, q)
            theirs = torch.quantile(torch.from_numpy(values), q, dim=0).numpy()
            assert ours.dtype == np.float32
            np.testing.assert_array_equal(ours, theirs, err_msg=f"n={n}, q={q}")


def test_quantiles_of_equal_values() -> None:
    for value in (0.1, 3.0, 1e-40):
        values = np.full((7, 1), value, np.float32)
        assert quantile_float32(values, 0.37).tolist() == values[0].tolist()


@given(
    st.lists(st.tuples(*[st.integers(0, 200)] * 2), max_size=40),
    st.sampled_from([(0.99, 1.2), (0.5, 1.0), (0.9, 1.1), (1.0, 1.0), (0.0, 2.0)]),
)
def test_outliers_in_any_group(counts: list[tuple[int, int]], rule: tuple[float, float]) -> None:
    array = np.array(counts, np.float32).reshape(-1, 2)
    found = OutlierRule.parse(rule).outliers(array)  # type: ignore[union-attr]
    q, factor = rule
    limits = [factor * np.quantile(column, q) for column in array.T] if counts else []
    for hit, row in zip(found, counts, strict=True):
        over = [c - limit for c, limit in zip(row, limits, strict=True)]
        if min(map(abs, over)) > 1e-3:  # else rounding decides
            assert hit == any(x > 0 for x in over)


@pytest.mark.parametrize("n", range(1, 18))
def test_with_17_loci_the_largest_is_never_an_outlier(n: int) -> None:
    counts = np.zeros((n, 1), np.float32)
    counts[-1] = 1e6
    assert not OutlierRule(0.99, 1.2).outliers(counts).any()
    assert OutlierRule(0.99, 1.2).outliers(np.vstack([counts, np.zeros((18, 1), "f4")])).any()


def test_rules_are_read() -> None:
    assert OutlierRule.parse(None) is None
    assert OutlierRule.parse(0.9) == OutlierRule(0.9, 1.0)
    assert OutlierRule.parse([0.9, 2]) == OutlierRule(0.9, 2.0)
    rule = OutlierRule(0.5, 3)
    assert OutlierRule.parse(rule) is rule
    nan = float("nan")
    for wrong in ("0.9", True, (), (1, 2, 3), (0.5, 0), (0.5, nan), 1.5, -0.1, nan, [None], {}):
        with pytest.raises(InvalidInputError, match="argument outliers"):
            OutlierRule.parse(wrong)
