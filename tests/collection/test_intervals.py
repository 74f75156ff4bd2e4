"""Regions made of stored intervals, against sets of bases."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bigwig_loader._bigwig_writer import write_bigwig
from bigwig_loader.collection import BigWigCollection
from bigwig_loader.errors import (
    InvalidInputError,
    NotFoundError,
)
from tests.helpers.made_bigwigs import intervals_like
from tests.helpers.tracks import CONTIGS, batch
from tests.oracles import intervals as sets
from tests.oracles import signal as oracle


def stored(folder: Path) -> list[tuple[str, int, int, float, int]]:
    """All intervals of the folder's tracks: chrom, start, end, value, track."""
    paths = BigWigCollection(folder).bigwig_paths
    return [
        (contig, start, end, value, track)
        for track, path in enumerate(paths)
        for contig, items in oracle.parse(path).items.items()
        for start, end, value in items
    ]


def rows_of(frame: pd.DataFrame, *more: str) -> list[tuple]:
    columns = (frame[name].tolist() for name in ("chrom", "start", "end", *more))
    return list(zip(*columns, strict=True))


class TestIntervals:
    def test_all(self, collection: BigWigCollection, folder: Path) -> None:
        frame = collection.intervals()
        assert sorted(rows_of(frame, "value", "track")) == sorted(stored(folder))
        assert (frame["start"].dtype, frame["value"].dtype) == (np.int64, np.float32)
        place = [list(collection.contigs.names).index(c) for c in frame["chrom"]]
        order = list(zip(place, frame["start"], frame["end"], strict=True))
        assert order == sorted(order)

    @pytest.mark.parametrize(
        ("include", "exclude", "left"),
        [
            ("all", None, {"chr1", "chr2", "chrUn_x"}),
            ("standard", None, {"chr1", "chr2"}),
            ("all", "chr1", {"chr2", "chrUn_x"}),
            (["chr2", "chr1"], ["chr1"], {"chr2"}),
            ("chr2", None, {"chr2"}),
        ],
    )
    def test_contigs(
        self, collection: BigWigCollection, include: Any, exclude: Any, left: set[str]
    ) -> None:
        assert set(collection.intervals(include, exclude)["chrom"]) == left

    def test_an_unknown_contig(self, collection: BigWigCollection) -> None:
        for arguments in ({"include_chromosomes": ["chr3"]}, {"exclude_chromosomes": "chr3"}):
            with pytest.raises(NotFoundError, match="unknown contig 'chr3'"):
                collection.intervals(**arguments)

    @pytest.mark.parametrize("gap", [0, 1, 7, 100])
    @pytest.mark.parametrize("padding", [0, 3])
    def test_merge(
        self, collection: BigWigCollection, folder: Path, gap: int, padding: int
    ) -> None:
        frame = collection.intervals(merge=True, merge_allow_gap=gap, padding=padding)
        wide = [
            (c, max(s - padding, 0), min(e + padding, CONTIGS[c]))
            for c, s, e, _, _ in stored(folder)
        ]
        assert sorted(rows_of(frame)) == sets.merge(wide, gap)
        assert list(frame.columns) == ["chrom", "start", "end"]

    def test_merging_keeps_what_a_nested_interval_ends_before(self, tmp_path: Path) -> None:
        data = {"a": ([0], [100], [1.0])}, {"a": ([10, 60], [20, 70], [1.0, 2.0])}
        for i, one in enumerate(data):
            write_bigwig(tmp_path / f"{i}.bw", {"a": 500}, one)
        frame = BigWigCollection(tmp_path).intervals(merge=True)
        assert rows_of(frame) == [("a", 0, 100)]

    def test_threshold_is_of_scaled_values(self, folder: Path) -> None:
        scaled = BigWigCollection(folder, scale={"two": -1.0})
        want = [
            (c, s, e, -v if t == 3 else v, t)
            for c, s, e, v, t in stored(folder)
            if (-v if t == 3 else v) > 5
        ]
        got = scaled.intervals(threshold=5.0)
        assert sorted(rows_of(got, "value", "track")) == sorted(want)
        assert 3 not in set(got["track"])

    @pytest.mark.parametrize("merge", [False, True])
    def test_blacklist(self, collection: BigWigCollection, folder: Path, merge: bool) -> None:
        blacklist = pd.DataFrame(
            {
                "chrom": ["chr1", "chr1", "chr2", "chrY"],
                "start": [100, 130, 0, 5],
                "end": [150, 140, 90, 9],
                "why": list("abcd"),
            },
            index=[4, 4, 1, 0],
        )
        before = blacklist.copy()
        got = collection.intervals(blacklist=blacklist, blacklist_buffer=20, merge=merge)
        pd.testing.assert_frame_equal(blacklist, before)
        kept = [(c, s, e) for c, s, e, _, _ in stored(folder)]
        wide = [("chr1", 80, 170), ("chr1", 110, 160), ("chr2", 0, 110), ("chrY", 0, 29)]
        source = sets.merge(kept, 0) if merge else kept
        assert sorted(rows_of(got)) == sorted(sets.subtract(source, wide))
        place = [list(collection.contigs.names).index(c) for c in got["chrom"]]
        order = list(zip(place, got["start"], got["end"], strict=True))
        assert order == sorted(order)

    def test_what_a_blacklist_leaves_is_sorted(self, tmp_path: Path) -> None:
        data = {"a": ([0], [100], [1.0])}, {"a": ([10], [60], [2.0])}
        for i, one in enumerate(data):
            write_bigwig(tmp_path / f"{i}.bw", {"a": 500}, one)
        blacklist = pd.DataFrame({"chrom": ["a"], "start": [5], "end": [50]})
        frame = BigWigCollection(tmp_path).intervals(blacklist=blacklist)
        assert rows_of(frame) == [("a", 0, 5), ("a", 50, 60), ("a", 50, 100)]
        assert frame.index.tolist() == [0, 1, 2]

    def test_a_blacklist_file(self, collection: BigWigCollection, tmp_path: Path) -> None:
        path = tmp_path / "blacklist.bed.gz"
        path.write_bytes(gzip.compress(b"chr1\t0\t3000\nchr2\t0\t1000\n"))
        assert set(collection.intervals(blacklist=path)["chrom"]) == {"chrUn_x"}

    def test_ends_past_the_contigs_end_are_cut_off(self, tmp_path: Path) -> None:
        path = write_bigwig(tmp_path / "a.bw", {"a": 100}, {"a": ([90], [150], [1.0])})
        assert rows_of(BigWigCollection(path).intervals()) == [("a", 90, 100)]
        assert rows_of(BigWigCollection(path).intervals(padding=20)) == [("a", 70, 100)]

    @pytest.mark.parametrize("merge", [False, True])
    def test_nothing_left(self, collection: BigWigCollection, merge: bool) -> None:
        frame = collection.intervals(threshold=1e9, merge=merge)
        assert len(frame) == 0
        assert {"chrom", "start", "end"} <= set(frame.columns)
        empty = collection.intervals([], merge=merge)
        assert list(empty.columns) == list(frame.columns)

    @pytest.mark.parametrize("name", ["blacklist_buffer", "padding", "merge_allow_gap"])
    def test_negative_distances(self, collection: BigWigCollection, name: str) -> None:
        with pytest.raises(InvalidInputError, match=name):
            collection.intervals(**{name: -1})

    def test_a_large_file(self, tmp_path: Path) -> None:
        data = {"a": intervals_like(np.random.default_rng(0), 20_000, 10_000_000)}
        path = write_bigwig(tmp_path / "a.bw", {"a": 10_000_000}, data)
        frame = BigWigCollection(path).intervals()
        for column, want in zip(("start", "end", "value"), data["a"], strict=True):
            np.testing.assert_array_equal(frame[column], want)


def test_the_result_does_not_depend_on_threads(folder: Path) -> None:
    results = {
        batch(BigWigCollection(folder, n_threads=n), window_size=7).tobytes() for n in (1, 2, 3, 8)
    }
    assert len(results) == 1
