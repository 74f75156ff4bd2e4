"""Planning against the quadratic way: every pair of (track, window) and leaf compared."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from bigwig_loader.plan.blocks import plan_signal
from bigwig_loader.plan.track_index import TrackIndex, build_track_index
from bigwig_loader.plan.windows import Windows
from tests.plan.test_track_index import Leaf, made_file

LENGTHS = {"a": 60, "b": 25, "c": 0xFFFFFFFF}
LAST = 0xFFFFFFFF


@st.composite
def leaf_tables(draw: st.DrawFn) -> list[Leaf]:
    leaves = []
    offset = draw(st.integers(0, 50))
    for _ in range(draw(st.integers(0, 12))):
        first = draw(st.integers(0, 2))
        last = first if draw(st.integers(0, 4)) else draw(st.integers(first, 3))
        base = LAST - 80 if first == 2 else 0
        start = base + draw(st.integers(0, 70))
        end = min(start + draw(st.integers(0, 30)), LAST)
        n_bytes = draw(st.integers(0, 40))
        leaves.append((first, start, last, end, offset, n_bytes))
        offset += n_bytes + draw(st.sampled_from([0, 0, 3, 30]))
    return draw(st.permutations(leaves)) if draw(st.booleans()) else leaves


@st.composite
def questions(draw: st.DrawFn) -> tuple[TrackIndex, list[list[Leaf]], Windows, np.ndarray]:
    tables = draw(st.lists(leaf_tables(), min_size=1, max_size=3))
    contigs = {name: (i, length) for i, (name, length) in enumerate(LENGTHS.items())}
    index = build_track_index(
        [made_file(contigs, leaves, f"{i}.bw") for i, leaves in enumerate(tables)]
    )
    rows = []
    for _ in range(draw(st.integers(1, 6))):
        contig = draw(st.integers(0, 2))
        rows.append((contig, draw(st.integers(-60, 80)) + (LAST - 80 if contig == 2 else 0)))
    contig, start = zip(*rows, strict=True)
    tracks = draw(st.lists(st.integers(0, len(tables) - 1), min_size=1, max_size=4))
    length_bp = draw(st.integers(1, 60))
    return index, tables, Windows(np.array(contig), np.array(start), length_bp), np.array(tracks)


def overlaps(leaf: Leaf, contig: int, start: int, end: int) -> bool:
    """Whether a leaf may hold data of [start, end)."""
    first, leaf_start, last, leaf_end, _, _ = leaf
    low = leaf_start if contig == first else 0
    high = leaf_end if contig == last else LAST
    return first <= contig <= last and low < end and high > start


# Smaller questions are not easier to read.
@settings(phases=(Phase.explicit, Phase.generate), max_examples=200)
@given(questions())
def test_every_row_gets_the_leaves_that_overlap_it(question: tuple) -> None:
    index, tables, windows, tracks = question
    plan = plan_signal(index, windows, tracks)
    assert (plan.block[1:] > plan.block[:-1]).all()  # each once, in order
    plan_track, plan_contig = index.track_of(plan.block), index.contig_of(plan.block)
    wanted = [(LAST + 1, -1)] * plan.n_blocks
    lengths = list(LENGTHS.values())
    for t, track in enumerate(tracks):
        for b in range(len(windows)):
            contig = int(windows.contig_index[b])
            start = max(int(windows.start[b]), 0)
            end = min(int(windows.start[b]) + windows.length_bp, lengths[contig])
            first, count = int(plan.row_first[t, b]), int(plan.row_count[t, b])
            needed = [
                leaf for leaf in tables[track] if start < end and overlaps(leaf, contig, start, end)
            ]
            got = [int(index.offset[i]) for i in plan.block[first : first + count]]
            # Blocks behind a long one come along; more than that would be waste, less an error.
            assert {leaf[4] for leaf in needed} <= set(got)
            assert set(plan_track[first : first + count]) <= {track}
            assert set(plan_contig[first : first + count]) <= {contig}
            if not needed:
                assert count == 0
            for k in range(first, first + count):
                wanted[k] = min(wanted[k][0], start), max(wanted[k][1], end)
    # Nothing is read for nobody, and the stretch wanted is the hull of those who want it. (A window
    # that begins at or past its contig's end may lengthen it to that end.)
    furthest = np.minimum(
        windows.start + windows.length_bp, np.array(lengths)[windows.contig_index]
    )
    for k, (start, end) in enumerate(wanted):
        most = furthest[windows.contig_index == plan_contig[k]].max()
        assert plan.wanted_start[k] == start
        assert end <= plan.wanted_end[k] <= most
        if (windows.start < np.array(lengths)[windows.contig_index]).all():
            assert plan.wanted_end[k] == end


@given(questions())
def test_sorted_leaves_that_do_not_overlap_are_found_exactly(question: tuple) -> None:
    index, tables, windows, tracks = question
    for leaves in tables:
        reach = (0, 0)
        for leaf in leaves:
            if leaf[0] != leaf[2] or leaf[:2] < reach or leaf[3] <= leaf[1]:
                return
            reach = leaf[2], leaf[3]
    plan = plan_signal(index, windows, tracks)
    for t, track in enumerate(tracks):
        for b in range(len(windows)):
            start = max(int(windows.start[b]), 0)
            contig = int(windows.contig_index[b])
            end = min(int(windows.start[b]) + windows.length_bp, list(LENGTHS.values())[contig])
            needed = sum(overlaps(leaf, contig, start, end) for leaf in tables[track])
            assert plan.row_count[t, b] == (needed if start < end else 0)


@given(questions(), st.integers(0, 40), st.integers(1, 100))
def test_reads_cover_every_block_once(question: tuple, gap: int, most: int) -> None:
    index, _, windows, tracks = question
    plan = plan_signal(index, windows, tracks, read_gap_bytes=gap, read_bytes=most)
    edges = plan.read_block.tolist()
    assert edges[0] == 0
    assert edges[-1] == plan.n_blocks
    assert all(a < b for a, b in pairwise(edges))
    track = index.track_of(plan.block)
    offset = index.offset[plan.block]
    end = offset + index.n_bytes[plan.block]
    total = 0
    for first, last in pairwise(edges):
        assert len(set(track[first:last])) == 1
        total += int(end[last - 1] - offset[first])
        for k in range(first + 1, last):
            assert 0 <= offset[k] - end[k - 1] <= gap
        # A read goes on past its limit only to finish a block.
        assert offset[last - 1] - offset[first] < most
    assert plan.n_read_bytes == total


@given(questions())
def test_a_plan_prints_and_does_not_depend_on_the_order_of_windows(question: tuple) -> None:
    index, _, windows, tracks = question
    plan = plan_signal(index, windows, tracks)
    text = str(plan)
    for number in (len(windows), len(tracks), plan.n_blocks, plan.n_reads, plan.n_read_bytes):
        assert str(number) in text
    backwards = plan_signal(index, windows.take(np.arange(len(windows))[::-1]), tracks[::-1])
    np.testing.assert_array_equal(backwards.block, plan.block)
    np.testing.assert_array_equal(backwards.wanted_start, plan.wanted_start)
    np.testing.assert_array_equal(backwards.wanted_end, plan.wanted_end)
    filled = plan.row_count > 0
    np.testing.assert_array_equal(backwards.row_count[::-1, ::-1], plan.row_count)
    np.testing.assert_array_equal(backwards.row_first[::-1, ::-1][filled], plan.row_first[filled])


def test_windows_that_are_cut_off_alike_want_what_the_longest_wants() -> None:
    index = build_track_index([made_file({"a": (0, 1_000)}, [(0, 0, 0, 90, 5, 10)])])
    plan = plan_signal(index, Windows(np.zeros(3), np.array([-20, -50, -100]), 100), np.arange(1))
    assert (plan.wanted_start.tolist(), plan.wanted_end.tolist()) == ([0], [80])
