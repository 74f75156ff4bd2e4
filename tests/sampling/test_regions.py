"""Regions, and the map from integers to their bases."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.sampling import Regions
from tests.helpers.samplers import made_regions
from tests.helpers.shared import shared_data
from tests.oracles.sampling import bases_of_regions

Region = tuple[str, int, int]

region_lists = st.lists(
    st.tuples(st.sampled_from(["chr1", "chr2", "X"]), st.integers(0, 50), st.integers(1, 30)).map(
        lambda t: (t[0], t[1], t[1] + t[2])
    ),
    min_size=1,
    max_size=8,
)


def frame(regions: list[Region], dtype: str = "int64") -> pd.DataFrame:
    return pd.DataFrame(regions, columns=["chrom", "start", "end"]).astype(
        {"start": dtype, "end": dtype}
    )


@given(region_lists)
def test_integers_map_to_every_base_once(listed: list[Region]) -> None:
    """Overlapping, touching, repeated, unsorted, single-base, first and last regions included."""
    regions = Regions.read(frame(listed))
    expected = bases_of_regions(listed)
    assert regions.n_bases == len(expected)
    located = regions.locate(np.arange(len(expected)))
    names = [regions.contig_names[i] for i in located.contig]
    assert list(zip(names, located.position.tolist(), strict=True)) == expected


def test_total_past_32_bits() -> None:
    regions = Regions.read(frame([("a", 0, 2**40), ("b", 5, 2**41)]))
    assert regions.n_bases == 2**40 + 2**41 - 5
    located = regions.locate(np.array([2**40 - 1, 2**40, regions.n_bases - 1]))
    assert located.contig.tolist() == [0, 1, 1]
    assert located.position.tolist() == [2**40 - 1, 5, 2**41 - 1]


@pytest.mark.parametrize(
    ("start", "end", "centre"), [(0, 1, 0), (0, 2, 1), (10, 13, 11), (10, 14, 12)]
)
def test_centres(start: int, end: int, centre: int) -> None:
    assert Regions.read(frame([("a", start, end)])).centres().position.tolist() == [centre]


@pytest.mark.parametrize("dtype", ["int8", "int32", "uint64", "Int64", "int64"])
def test_any_integer_dtype(dtype: str) -> None:
    regions = Regions.read(frame([("chr1", 3, 9), ("chr1", 100, 120)], dtype))
    assert regions.start.tolist() == [3, 100]
    assert regions.end.tolist() == [9, 120]
    assert regions.start.dtype == np.int64


def test_caller_keeps_the_frame() -> None:
    given_frame = frame([("chr1", 3, 9)], "int32")
    before = given_frame.copy()
    Regions.read(given_frame)
    pd.testing.assert_frame_equal(given_frame, before)


def test_bed_file(tmp_path: Path) -> None:
    path = tmp_path / "regions.bed"
    path.write_text("chr2\t5\t10\tname\t0\t+\nchr1\t0\t7\tother\t0\t-\n")
    regions = Regions.read(path)
    assert regions.contig_names == ("chr2", "chr1")
    assert regions.start.tolist() == [5, 0]


def test_no_regions_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="at least one region"):
        Regions.read(frame([]))


def test_empty_region_is_named() -> None:
    with pytest.raises(InvalidInputError, match=r"region 1 \(chr2:7-7\)"):
        Regions.read(frame([("chr1", 0, 5), ("chr2", 7, 7)]))


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (pd.DataFrame({"chrom": ["a"], "start": [1]}), "end"),
        (pd.DataFrame({"chrom": ["a"], "start": [-1], "end": [3]}), "start"),
        (pd.DataFrame({"chrom": ["a"], "start": [5], "end": [3]}), "start"),
        (pd.DataFrame({"chrom": [None], "start": [1], "end": [3]}), "chrom"),
        (pd.DataFrame({"chrom": ["a"], "start": [0.5], "end": [3]}), "integer"),
    ],
)
def test_broken_frames_are_refused(broken: pd.DataFrame, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Regions.read(broken)


def test_regions_have_to_lie_within_the_contigs() -> None:
    regions = Regions.read(frame([("chr1", 0, 100), ("chr2", 50, 101)]))
    regions.check_within({"chr1": 100, "chr2": 101}, "here")
    with pytest.raises(InvalidInputError, match=r"region 1 \(chr2:50-101\).*100 bp in here"):
        regions.check_within({"chr1": 100, "chr2": 100}, "here")
    with pytest.raises(NotFoundError, match=r"'chr2' in here.*chr20"):
        regions.check_within({"chr1": 100, "chr20": 100}, "here")


# ----------------------------------------------------------------------- strands and weights ----


def test_strands_of_a_bed_file(tmp_path: Any) -> None:
    path = tmp_path / "regions.bed"
    path.write_text("".join(f"chr1\t0\t9\tn\t0\t{strand}\n" for strand in "+-.*"))
    assert Regions.read(path).strand.tolist() == [1, -1, 0, 0]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "name",
    [
        "janggu__region_w_strand.bed",
        "pyGenomeTracks__dm3_genes.bed6.gz",
        "bedtools2__strand_with_star.a.bed",
        "bedtools2__mixedStrands.bed",
        "gimmemotifs__narrowpeak.example1.narrowpeak",
        "nucleus__5col.bed",
    ],
)
def test_strands_of_real_files(name: str) -> None:
    """Against the sixth field of every line, where there is one."""
    path = shared_data("bed", name)
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if name.endswith(".gz") else raw).decode()
    fields = [line.split() for line in text.splitlines() if line.strip() and line[0] != "#"]
    regions = Regions.read(path)
    if len(fields[0]) < 6:
        assert regions.strand is None
        return
    assert regions.strand is not None
    assert regions.strand.tolist() == [{"+": 1, "-": -1}.get(f[5], 0) for f in fields]


@pytest.mark.parametrize(
    ("column", "expected"),
    [(["+", "-", None], [1, -1, 0]), ([1, -1, 0], [1, -1, 0]), ([1.0, -1.0, None], [1, -1, 0])],
)
def test_strands_of_a_frame(column: list[Any], expected: list[int]) -> None:
    frame = pd.DataFrame({"chrom": "a", "start": [0, 1, 2], "end": 9, "strand": column})
    regions = Regions.read(frame)
    assert regions.strand is not None
    assert regions.strand.dtype == np.int8
    assert regions.strand.tolist() == expected
    assert regions.take(np.array([1])).strand.tolist() == expected[1:2]  # type: ignore[union-attr]
    assert regions.minus(np.array([1, 0])).tolist() == [True, False]


def test_wrong_strands_and_weights_are_refused() -> None:
    frame = pd.DataFrame(
        {"chrom": "a", "start": [0, 1], "end": 9, "strand": ["+", "forward"], "w": ["1", "x"]}
    )
    with pytest.raises(InvalidInputError, match=r"row 1, column 'strand': expected .* 'forward'"):
        Regions.read(frame)
    with pytest.raises(InvalidInputError, match="numbers in column 'w'"):
        Regions.read(frame.drop(columns="strand"), weight="w")
    with pytest.raises(InvalidInputError, match=r"row 0, column 'w'.*missing"):
        Regions.read(frame.drop(columns="strand").assign(w=[None, 1]), weight="w")
    one = np.zeros(1, np.int64)
    with pytest.raises(InvalidInputError, match="one weight for each of 1 regions"):
        Regions(("a",), one.astype(np.int32), one, one + 1, weight=np.zeros(2))


def test_regions_without_strands_or_weights_have_none() -> None:
    regions = made_regions(3)
    assert regions.strand is None
    assert regions.weight is None
    assert not regions.minus(np.arange(3)).any()
