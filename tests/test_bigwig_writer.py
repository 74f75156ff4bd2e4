"""The example data's BigWig writer, judged by pyBigWig and pybigtools."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pybigtools
import pyBigWig
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigwig_loader._bigwig_writer import WriterOptions, intervals_of, write_bigwig
from bigwig_loader.errors import InvalidInputError, NotFoundError

CONTIGS = {"chr2": 9_000, "chr1": 30_000, "chr10": 50, "empty": 1_000}


def signal(length: int, seed: int, span: int = 1) -> np.ndarray:
    """A signal with runs of equal values and stretches without data."""
    rng = np.random.default_rng(seed)
    n = -(-length // span)
    values = np.repeat(rng.integers(-3, 9, n).astype(np.float32) / 4, span)[:length]
    uncovered = np.repeat(rng.random(n) < 0.3, span)[:length]
    values[uncovered] = np.nan
    return values


def assert_reads_back(path: Path, expected: dict[str, np.ndarray]) -> None:
    with pyBigWig.open(str(path)) as theirs:
        assert dict(theirs.chroms()) == CONTIGS
        for name, values in expected.items():
            got = theirs.values(name, 0, len(values), numpy=True)
            np.testing.assert_array_equal(got, values, err_msg=name)
    with pybigtools.open(str(path)) as theirs:
        for name, values in expected.items():
            got = theirs.values(name, 0, len(values), fillna=np.nan)
            np.testing.assert_array_equal(got, values, err_msg=name)


@pytest.mark.parametrize("section", ["bedGraph", "variableStep", "fixedStep"])
@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"items_per_block": 7, "rtree_block_size": 2, "chrom_block_size": 2},
        {"compress": False, "version": 3},
        {"compress": False, "version": 1, "items_per_block": 100},
        {"zoom_reductions": (10, 160), "items_per_block": 64, "rtree_block_size": 3},
        {"chrom_ids": {"chr1": 2, "chr2": 3, "chr10": 0, "empty": 1}},
    ],
)
def test_every_shape_reads_back(tmp_path: Path, section: str, shape: dict[str, object]) -> None:
    span = 1 if section == "bedGraph" else 3
    expected = {name: signal(CONTIGS[name], 5, span) for name in ("chr1", "chr2", "chr10")}
    path = write_bigwig(
        tmp_path / "a.bw",
        CONTIGS,
        {name: intervals_of(values) for name, values in expected.items()},
        WriterOptions(section=section, **shape),
    )
    assert_reads_back(path, expected)


def test_ids_need_not_be_dense(tmp_path: Path) -> None:
    # pyBigWig takes an id for an index into its list of contigs and crashes, so pybigtools alone.
    values = signal(9_000, 4)
    ids = {"chr1": 70, "chr2": 900_000, "chr10": 3, "empty": 4}
    data = {"chr2": intervals_of(values), "chr10": ([5], [9], [1.0])}
    path = write_bigwig(tmp_path / "a.bw", CONTIGS, data, WriterOptions(chrom_ids=ids))
    with pybigtools.open(str(path)) as theirs:
        np.testing.assert_array_equal(theirs.values("chr2", 0, 9_000, fillna=np.nan), values)
        assert theirs.values("chr10", 4, 10, fillna=0.0).tolist() == [0, 1, 1, 1, 1, 0]


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("section", ["bedGraph", "variableStep", "fixedStep"])
def test_big_endian(tmp_path: Path, section: str, compress: bool) -> None:
    # pyBigWig reads the machine's own order only, so pybigtools alone.
    values = signal(30_000, 1, 2)
    options = WriterOptions(
        section=section, byte_order=">", compress=compress, items_per_block=50, rtree_block_size=4
    )
    path = write_bigwig(tmp_path / "a.bw", CONTIGS, {"chr1": intervals_of(values)}, options)
    assert path.read_bytes()[:4] == bytes.fromhex("888ffc26")
    with pybigtools.open(str(path)) as theirs:
        assert theirs.chroms() == CONTIGS
        np.testing.assert_array_equal(theirs.values("chr1", 0, 30_000, fillna=np.nan), values)


def test_section_types_can_be_mixed(tmp_path: Path) -> None:
    expected = {"chr1": signal(30_000, 1, 4), "chr2": signal(9_000, 2, 4)}
    path = write_bigwig(
        tmp_path / "a.bw",
        CONTIGS,
        {name: intervals_of(values) for name, values in expected.items()},
        WriterOptions(section={"chr1": "fixedStep"}),
    )
    assert_reads_back(path, expected)


def test_total_summary_and_zooms(tmp_path: Path) -> None:
    values = signal(30_000, 3)
    path = write_bigwig(
        tmp_path / "a.bw",
        CONTIGS,
        {"chr1": intervals_of(values)},
        WriterOptions(zoom_reductions=(100,)),
    )
    covered = values[~np.isnan(values)].astype(np.float64)
    with pyBigWig.open(str(path)) as theirs:
        header = theirs.header()
        assert header["nBasesCovered"] == len(covered)
        assert header["nLevels"] == 1
        # pyBigWig rounds these to whole numbers in its header().
        assert header["minVal"] == int(covered.min())
        assert header["sumData"] == int(covered.sum())
        from_zoom = theirs.stats("chr1", 0, 30_000, nBins=3, type="mean")
    exact = np.nanmean(values.reshape(3, -1).astype(np.float64), axis=1)
    np.testing.assert_allclose(from_zoom, exact, rtol=1e-6)


def test_a_file_without_items(tmp_path: Path) -> None:
    path = write_bigwig(tmp_path / "a.bw", CONTIGS, {})
    with pybigtools.open(str(path)) as theirs:
        assert theirs.chroms() == CONTIGS


@given(st.lists(st.sampled_from([0.0, 1.5, -2.0, float("nan")]), max_size=60))
def test_intervals_of_is_the_run_length_code(values: list[float]) -> None:
    starts, ends, levels = intervals_of(np.array(values, np.float32))
    back = np.full(len(values), np.nan, np.float32)
    for start, end, level in zip(starts, ends, levels, strict=True):
        back[start:end] = level
    np.testing.assert_array_equal(back, np.array(values, np.float32))
    touching = np.asarray(starts)[1:] == np.asarray(ends)[:-1]
    assert not (touching & (np.diff(levels) == 0)).any()


@pytest.mark.parametrize("wrong", [{"version": 2}, {"items_per_block": 0}, {"rtree_block_size": 1}])
def test_options_that_cannot_be(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(wrong))):
        write_bigwig(tmp_path / "a.bw", CONTIGS, {}, WriterOptions(**wrong))


def test_unknown_contig_and_unequal_arrays(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="chr3"):
        write_bigwig(tmp_path / "a.bw", CONTIGS, {"chr3": ([], [], [])})
    with pytest.raises(InvalidInputError, match="one length"):
        write_bigwig(tmp_path / "a.bw", CONTIGS, {"chr1": ([1], [2], [])})
