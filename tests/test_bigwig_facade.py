"""`BigWig`: one file, as a user opens it."""

from __future__ import annotations

import pickle
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from bigwig_loader import BigWig
from bigwig_loader._bigwig_writer import WriterOptions, write_bigwig
from bigwig_loader.errors import InvalidDataError, InvalidInputError, NotFoundError
from tests.helpers.bigwig_bytes import Block, Section, write_bigwig_bytes
from tests.helpers.made_bigwigs import file_sets
from tests.oracles import signal as oracle

CONTIGS = {"chr2": 500, "chr1": 1_000}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    data = {"chr1": ([10, 30], [20, 60], [1.0, 2.0]), "chr2": ([0], [500], [-1.0])}
    return write_bigwig(tmp_path / "a.bw", CONTIGS, data)


def test_what_it_says_of_itself(path: Path) -> None:
    with BigWig(path) as bigwig:
        assert bigwig.path == str(path)
        assert bigwig.contigs == CONTIGS
        assert bigwig.header.version == 4
        assert str(path) in repr(bigwig)
        assert "2 contigs" in repr(bigwig)


def test_values(path: Path) -> None:
    with BigWig(path) as bigwig:
        got = bigwig.values("chr1", 5, 35)
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got, [np.nan] * 5 + [1] * 10 + [np.nan] * 10 + [2] * 5)
        assert bigwig.values("chr1", 0, 100, bin_size=30).tolist() == pytest.approx(
            [1, 2, np.nan], nan_ok=True
        )
        assert bigwig.values("chr1", 0, 60, 30, "sum", 0.0).tolist() == [10, 60]
        assert bigwig.values("chr1", 0, 60, 30, "coverage").tolist() == pytest.approx([1 / 3, 1])


def test_values_outside_the_contig(path: Path) -> None:
    with BigWig(path) as bigwig:
        got = bigwig.values("chr2", -3, 3, uncovered=7.0)
        np.testing.assert_array_equal(got, [np.nan] * 3 + [-1] * 3)
        got = bigwig.values("chr2", 498, 502, out_of_bounds=9.0)
        assert got.tolist() == [-1, -1, 9, 9]
        assert bigwig.values("chr2", 600, 603, out_of_bounds=9.0).tolist() == [9] * 3


@pytest.mark.parametrize("bin_size", [11, 100])
def test_fewer_bases_than_a_bin(path: Path, bin_size: int) -> None:
    assert BigWig(path).values("chr1", 0, 10, bin_size=bin_size).shape == (0,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("chr1", 5, 5), "expected start < end; got 5, 5"),
        (("chr1", 9, 5), "expected start < end; got 9, 5"),
        (("chr1", 0, 5, 0), "bin_size"),
        (("chr1", 0, 5, 1, "median"), "statistic.*'mean'.*'median'"),
        (("chr1", 0, 1 << 62), "of a genome"),
    ],
)
def test_calls_that_cannot_be(path: Path, arguments: tuple, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        BigWig(path).values(*arguments)


def test_an_unknown_contig(path: Path) -> None:
    for method in (BigWig(path).values, BigWig(path).intervals):
        with pytest.raises(NotFoundError, match=r"unknown contig '1'.*chr1"):
            method("1", 0, 5)


def test_closed(path: Path) -> None:
    bigwig = BigWig(path)
    bigwig.close()
    bigwig.close()
    with pytest.raises(InvalidInputError, match="closed"):
        bigwig.values("chr1", 0, 5)


def test_pickled_it_opens_its_file_again(path: Path) -> None:
    with BigWig(path) as bigwig:
        other = pickle.loads(pickle.dumps(bigwig))
    assert other.values("chr1", 15, 16).tolist() == [1]


def test_many_threads_at_once(path: Path) -> None:
    wrong: list[int] = []
    with BigWig(path) as bigwig:

        def work(seed: int) -> None:
            for start in np.random.default_rng(seed).integers(0, 50, 60).tolist():
                want = np.zeros(100)
                want[10:20], want[30:60] = 1, 2
                got = bigwig.values("chr1", start, start + 20, uncovered=0.0)
                if got.tolist() != want[start : start + 20].tolist():
                    wrong.append(start)

        threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


class TestIntervals:
    def test_as_they_are_stored(self, path: Path) -> None:
        with BigWig(path) as bigwig:
            whole = bigwig.intervals("chr1")
            assert whole.to_dict("list") == {
                "chrom": ["chr1", "chr1"],
                "start": [10, 30],
                "end": [20, 60],
                "value": [1.0, 2.0],
            }
            assert (whole["start"].dtype, whole["value"].dtype) == (np.int64, np.float32)
            assert bigwig.intervals("chr1", 19, 30)["start"].tolist() == [10]
            assert bigwig.intervals("chr1", 20, 30)["start"].tolist() == []
            assert bigwig.intervals("chr1", 59)["start"].tolist() == [30]
            assert bigwig.intervals("chr1", -50, 11)["start"].tolist() == [10]

    @settings(max_examples=60, phases=(Phase.explicit, Phase.generate))
    @given(file_sets(), st.integers(-20, 300), st.integers(1, 200))
    def test_against_the_oracle(self, made: tuple, start: int, length: int) -> None:
        import tempfile

        genome, (content, *_) = made
        parsed = oracle.parse(content)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "a.bw"
            path.write_bytes(content)
            with BigWig(path) as bigwig:
                for name, n_bp in parsed.contigs.items():
                    base = genome.base[genome.names.index(name)]
                    low, high = max(base + start, 0), min(base + start + length, n_bp)
                    # Leaves are found by what they say they cover; empty stretches have nothing.
                    want = parsed.overlapping(name, low, high) if low < high else []
                    got = bigwig.intervals(name, base + start, base + start + length)
                    rows = got[["start", "end"]].to_numpy().tolist()
                    assert rows == [[s, min(e, 0xFFFFFFFF)] for s, e, _ in want]
                    np.testing.assert_array_equal(
                        got["value"], np.array([v for _, _, v in want], np.float32)
                    )

    def test_a_contig_of_no_length(self, tmp_path: Path) -> None:
        path = write_bigwig(tmp_path / "a.bw", {"a": 0, "b": 10}, {"b": ([0], [5], [1.0])})
        with BigWig(path) as bigwig:
            assert bigwig.intervals("a").empty
            assert np.isnan(bigwig.values("a", 0, 3)).all()

    def test_the_frame_works_with_pandas(self, path: Path) -> None:
        frame = BigWig(path).intervals("chr2")
        assert isinstance(frame, pd.DataFrame)
        assert list(frame.columns) == ["chrom", "start", "end", "value"]


def test_a_file_truncated_after_opening(tmp_path: Path) -> None:
    blocks = [Block((Section(0, 1, ((10 * i, 10 * i + 5, 1.0),)),)) for i in range(50)]
    path = write_bigwig_bytes(tmp_path / "a.bw", {"a": (0, 500)}, blocks)
    for touch_first in (False, True):
        content = path.read_bytes()
        with BigWig(path) as bigwig:
            if touch_first:  # the file is open by then
                assert bigwig.values("a", 0, 1).tolist() == [1]
            with path.open("r+b") as file:
                file.truncate(len(content) - 200)
            with pytest.raises(InvalidDataError) as caught:
                bigwig.values("a", 480, 490)
            assert caught.value.path == str(path)
            assert "a:480-490" in str(caught.value) or "has changed" in str(caught.value)
        path.write_bytes(content)


def test_a_file_removed_after_opening(path: Path) -> None:
    with BigWig(path) as bigwig:
        path.unlink()
        with pytest.raises(InvalidDataError, match="No such file"):
            bigwig.values("chr1", 10, 20)


def test_small_blocks_and_every_window(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = np.where(rng.random(120) < 0.3, np.nan, rng.integers(0, 9, 120)).astype(np.float32)
    covered = np.flatnonzero(~np.isnan(values))
    data = {"a": (covered, covered + 1, values[covered])}
    path = write_bigwig(tmp_path / "a.bw", {"a": 120}, data, WriterOptions(items_per_block=4))
    with BigWig(path) as bigwig:
        for start in range(0, 120, 3):
            for end in range(start + 1, 121, 7):
                np.testing.assert_array_equal(bigwig.values("a", start, end), values[start:end])
