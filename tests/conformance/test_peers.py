"""Side by side with pyBigWig and pybigtools on random windows of real files."""

from __future__ import annotations

import numpy as np
import pybigtools
import pyBigWig
import pytest

from bigwig_loader import BigWig
from tests.conformance.test_real_files import NAMES, assert_same_bits
from tests.helpers.shared import shared_data

N_WINDOWS = 25

# pyBigWig reads the machine's byte order only, and gives an empty array for a file without data.
NOT_FOR_PYBIGWIG = ("be_", "header_only")
# It differs where items overlap (we follow pyBigWig), and fails where there is no data at all.
NOT_FOR_PYBIGTOOLS = ("overlap_unsorted", "header_only")


def windows_of(bigwig: BigWig, name: str) -> list[tuple[str, int, int]]:
    """Random windows within the contigs, half of them where there is data."""
    rng = np.random.default_rng(sum(name.encode()))
    contigs = [(c, n) for c, n in bigwig.contigs.items() if n > 0]
    chosen = [contigs[i] for i in rng.integers(0, len(contigs), N_WINDOWS)]
    windows = []
    for i, (contig, length) in enumerate(chosen):
        width = int(min(rng.choice([1, 37, 500, 2_114, 20_000]), length))
        start = int(rng.integers(0, length - width + 1))
        stored = bigwig.intervals(contig) if i % 2 and length < 1 << 31 else ()
        if len(stored):
            at = int(stored["start"].iloc[int(rng.integers(len(stored)))]) - width // 2
            start = min(max(at, 0), length - width)
        windows.append((contig, start, start + width))
    return windows


def chosen_names(left_out: tuple[str, ...]) -> list[object]:
    return [n for n in NAMES if not (isinstance(n, str) and any(x in n for x in left_out))]


@pytest.mark.parametrize("name", chosen_names(NOT_FOR_PYBIGWIG))
def test_pybigwig(name: str) -> None:
    path = shared_data(name)
    with BigWig(path) as ours, pyBigWig.open(str(path)) as theirs:
        for chrom, start, end in windows_of(ours, name):
            want = theirs.values(chrom, start, end, numpy=True)
            assert_same_bits(ours.values(chrom, start, end), want, (chrom, start, end))
            stored = theirs.intervals(chrom, start, end) or ()
            got = ours.intervals(chrom, start, end)
            assert [tuple(row[:2]) for row in stored] == list(
                zip(got["start"].tolist(), got["end"].tolist(), strict=True)
            )
            np.testing.assert_array_equal(
                got["value"].to_numpy(), np.array([row[2] for row in stored], np.float32)
            )


@pytest.mark.parametrize("name", chosen_names(NOT_FOR_PYBIGTOOLS))
def test_pybigtools(name: str) -> None:
    path = shared_data(name)
    with BigWig(path) as ours, pybigtools.open(str(path)) as theirs:
        for chrom, start, end in windows_of(ours, name):
            want = theirs.values(chrom, start, end, fillna=np.nan)
            assert_same_bits(
                ours.values(chrom, start, end), want.astype(np.float32), (chrom, start, end)
            )
