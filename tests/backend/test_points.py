"""Rows of single bases, as counts of read ends have them, with a few other items among them."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.bigwig_bytes import BED_GRAPH, Block, Section, write_bigwig_bytes
from tests.helpers.signal import OpenFiles
from tests.oracles.signal import Request

CONTIG_BP = 400
# Mostly single bases; empty items and longer ones may stand anywhere.
LENGTHS = st.sampled_from([1, 1, 1, 1, 1, 1, 0, 2, 17])
STEPS = st.lists(st.tuples(st.integers(0, 6), LENGTHS), min_size=9, max_size=60)


@given(
    steps=STEPS,
    start=st.integers(-30, CONTIG_BP),
    length_bp=st.integers(1, 200),
    reverse=st.booleans(),
    uncovered=st.sampled_from([0.0, -2.0, math.nan]),
    layout=st.sampled_from(["BNT", "BTN"]),
)
def test_values(
    steps: list[tuple[int, int]],
    start: int,
    length_bp: int,
    reverse: bool,
    uncovered: float,
    layout: str,
) -> None:
    items, at = [], 0
    expected = np.full(CONTIG_BP, uncovered, np.float32)
    for value, (gap, length) in enumerate(steps, start=1):
        at += gap
        if at + length > CONTIG_BP:
            break
        items.append((at, at + length, float(value)))
        expected[at : at + length] = value
        at += length
    padded = np.full(CONTIG_BP + 2 * (length_bp + 30), 7.0, np.float32)
    padded[length_bp + 30 :][:CONTIG_BP] = expected
    window = padded[start + length_bp + 30 :][:length_bp]
    with tempfile.TemporaryDirectory() as folder:
        block = Block((Section(0, BED_GRAPH, tuple(items)),))
        path = write_bigwig_bytes(Path(folder) / "a.bw", {"a": (0, CONTIG_BP)}, [block])
        request = Request(
            [("a", start, reverse)],
            length_bp,
            [0],
            uncovered=uncovered,
            out_of_bounds=7.0,
            layout=layout,
        )
        with OpenFiles([path]) as files:
            for _ in range(2):  # verified, then only as far as needed
                got = files.read(request).reshape(-1)
                np.testing.assert_array_equal(got, window[::-1] if reverse else window)
