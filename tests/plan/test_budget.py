"""Splitting a request: every cell once, every part within the budget."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.plan.blocks import SignalPlan
from bigwig_loader.plan.budget import split_to_budget
from bigwig_loader.plan.track_index import build_track_index
from bigwig_loader.plan.windows import Windows
from tests.plan.test_track_index import made_file

INDEX = build_track_index(
    [
        made_file({"a": (0, 10_000)}, [(0, 10 * i, 0, 10 * i + 10, i, 1) for i in range(999)], n)
        for n in ("0.bw", "1.bw", "2.bw")
    ]
)


def bases(plan: SignalPlan) -> int:
    """A stand-in for the bytes a plan takes."""
    return 1 + len(plan.tracks) * len(plan.windows) * plan.windows.length_bp


@given(
    st.lists(st.tuples(st.integers(-100, 9_000), st.booleans()), min_size=1, max_size=5),
    st.integers(1, 700),
    st.sampled_from([1, 3, 7, 32]),
    st.lists(st.integers(0, 2), min_size=1, max_size=4),
    st.integers(34, 5_000),
    st.booleans(),
)
def test_every_cell_once_and_no_part_over_the_budget(
    rows: list[tuple[int, bool]],
    length_bp: int,
    bin_size: int,
    tracks: list[int],
    budget: int,
    keep_tracks: bool,
) -> None:
    start, reverse = (np.array(column) for column in zip(*rows, strict=True))
    windows = Windows(np.zeros(len(rows)), start, length_bp, reverse)
    n_bins = length_bp // bin_size
    budget += (len(tracks) if keep_tracks else 1) * bin_size
    # Cell -> (track, first base, last base + 1, reversed) that it is made of.
    made = np.full((len(rows), n_bins, len(tracks), 4), -1)
    times = np.zeros(made.shape[:3], int)
    for piece in split_to_budget(
        INDEX, windows, np.array(tracks), bin_size, budget, bases, keep_tracks=keep_tracks
    ):
        plan = piece.plan
        assert bases(plan) <= budget
        if keep_tracks:
            assert piece.tracks == slice(0, len(tracks))
        times[piece.windows, piece.bins, piece.tracks] += 1
        for w, b in enumerate(range(piece.windows.start, piece.windows.stop)):
            for i, n in enumerate(range(piece.bins.start, piece.bins.stop)):
                part = plan.windows
                assert part.reverse is not None
                if part.reverse[w]:
                    last = part.start[w] + part.length_bp - i * bin_size
                    stretch = (last - bin_size, last)
                else:
                    stretch = (part.start[w] + i * bin_size, part.start[w] + (i + 1) * bin_size)
                for t in range(piece.tracks.start, piece.tracks.stop):
                    track = plan.tracks[t - piece.tracks.start]
                    made[b, n, t] = (track, *stretch, part.reverse[w])
    assert (times == 1).all()
    for b, (first, backwards) in enumerate(rows):
        for n in range(n_bins):
            low = first + n * bin_size
            if backwards:
                low = first + length_bp - (n + 1) * bin_size
            for t, track in enumerate(tracks):
                assert made[b, n, t].tolist() == [track, low, low + bin_size, backwards]


def test_what_fits_is_not_split() -> None:
    windows = Windows(np.zeros(3), np.array([0, 10, 20]), 50)
    (piece,) = split_to_budget(INDEX, windows, np.arange(3), 7, 1 << 40, bases)
    assert piece.plan.windows is windows
    assert (piece.windows, piece.tracks, piece.bins) == (slice(0, 3), slice(0, 3), slice(0, 7))


def test_windows_are_split_before_tracks_and_tracks_before_bins() -> None:
    windows = Windows(np.zeros(2), np.array([0, 10]), 64)
    by_windows = list(split_to_budget(INDEX, windows, np.arange(2), 1, 129, bases))
    assert [(p.windows, p.tracks, p.bins) for p in by_windows] == [
        (slice(0, 1), slice(0, 2), slice(0, 64)),
        (slice(1, 2), slice(0, 2), slice(0, 64)),
    ]
    by_tracks = list(split_to_budget(INDEX, windows, np.arange(2), 1, 65, bases))
    assert [p.bins for p in by_tracks] == [slice(0, 64)] * 4


@pytest.mark.parametrize(("keep_tracks", "what"), [(False, "one track"), (True, "3 tracks")])
def test_a_budget_too_small_for_one_bin(keep_tracks: bool, what: str) -> None:
    windows = Windows(np.zeros(1), np.array([0]), 64)
    parts = split_to_budget(INDEX, windows, np.arange(3), 16, 10, bases, keep_tracks=keep_tracks)
    with pytest.raises(InvalidInputError, match=f"one bin of {what} takes .* got 10"):
        list(parts)
