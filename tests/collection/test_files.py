"""Which files make up a collection, and their scale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bigwig_loader._bigwig_writer import write_bigwig
from bigwig_loader.collection import BigWigCollection
from bigwig_loader.errors import (
    InvalidDataError,
    InvalidInputError,
    NotFoundError,
)
from tests.helpers.tracks import CONTIGS, ORDER, WINDOWS, batch, expected


class TestWhichFiles:
    def test_a_folder_with_extensions_in_any_case(self, folder: Path) -> None:
        collection = BigWigCollection(folder)
        assert collection.track_names == sorted(ORDER, key=ORDER.index)
        assert len(collection) == collection.n_tracks == 4
        assert collection.bigwig_paths == sorted(collection.bigwig_paths)

    def test_no_crawling(self, folder: Path) -> None:
        assert BigWigCollection(folder, crawl=False).track_names == ["one", "three", "two"]

    def test_one_extension(self, folder: Path) -> None:
        assert BigWigCollection(folder, file_extensions=".BW").track_names == ["one", "four"]

    def test_a_list_keeps_its_order_and_a_file_needs_no_extension(
        self, folder: Path, tmp_path: Path
    ) -> None:
        odd = tmp_path / "odd.signal"
        odd.write_bytes((folder / "one.bw").read_bytes())
        collection = BigWigCollection([folder / "two.bigWig", odd, str(folder / "one.bw")])
        assert collection.track_names == ["two", "odd", "one"]

    def test_the_first_files(self, folder: Path) -> None:
        assert BigWigCollection(folder, first_n_files=2).track_names == ["one", "four"]
        with pytest.raises(InvalidInputError, match="first_n_files"):
            BigWigCollection(folder, first_n_files=0)

    def test_nothing_there(self, folder: Path, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError, match="no such file or folder"):
            BigWigCollection(tmp_path / "nowhere")
        with pytest.raises(NotFoundError, match=r"no BigWig files.*end in \.bigwig, \.bw"):
            BigWigCollection(tmp_path)
        with pytest.raises(NotFoundError, match="not in sub-folders"):
            BigWigCollection(tmp_path, crawl=False)
        with pytest.raises(NotFoundError, match="an empty list"):
            BigWigCollection([])

    def test_same_names_are_told_apart(self, folder: Path, tmp_path: Path) -> None:
        content = (folder / "one.bw").read_bytes()
        paths = [tmp_path / p for p in ("a/x.bw", "b/x.bw", "b/x.bigWig", "y.bw")]
        for path in paths:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        names = BigWigCollection(paths).track_names
        assert names == ["x", "x.bw", "x.bigWig", "y"] or names[:1] == ["a/x"]
        assert len(set(names)) == 4

    def test_a_file_given_twice(self, folder: Path) -> None:
        with pytest.raises(InvalidInputError, match=r"given twice: .*one\.bw"):
            BigWigCollection([folder / "one.bw"] * 2)

    def test_files_of_different_assemblies(self, folder: Path, tmp_path: Path) -> None:
        other = write_bigwig(tmp_path / "other.bw", CONTIGS | {"chr2": 1_001}, {})
        with pytest.raises(InvalidDataError, match="contig chr2 has another length") as caught:
            BigWigCollection([folder / "one.bw", other])
        assert str(other) in str(caught.value)
        assert "one.bw" in str(caught.value)

    def test_a_damaged_file_is_named(self, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "bad.bw").write_bytes(b"not a BigWig file".ljust(100))
        with pytest.raises(InvalidDataError, match=r"bad\.bw"):
            BigWigCollection([folder, tmp_path])

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"device": "tpu"}, InvalidInputError, "argument device.*'cpu'.*'tpu'"),
            ({"n_threads": 0}, InvalidInputError, "n_threads"),
            ({"memory_budget": 0}, InvalidInputError, "memory_budget"),
        ],
    )
    def test_options_that_cannot_be(
        self, folder: Path, options: dict, error: type, message: str
    ) -> None:
        with pytest.raises(error, match=message):
            BigWigCollection(folder, **options)


class TestScale:
    @pytest.mark.parametrize("key", ["two", "two.bigWig", "wo.big"])
    def test_keys(self, folder: Path, key: str) -> None:
        got = batch(BigWigCollection(folder, scale={key: 10.0}), default_value=3.0)
        want = expected(WINDOWS, np.nan)
        want[..., 3] *= 10
        np.testing.assert_array_equal(got, np.where(np.isnan(want), 3, want))

    def test_a_path(self, folder: Path) -> None:
        scaled = BigWigCollection(folder, scale={folder / "one.bw": 0.5})
        np.testing.assert_array_equal(batch(scaled)[..., 0], expected(WINDOWS)[..., 0] * 0.5)

    def test_a_key_that_matches_no_file(self, folder: Path) -> None:
        with pytest.raises(NotFoundError, match=r"unknown key of scale 'tow'.*: two"):
            BigWigCollection(folder, scale={"one": 1.0, "tow": 2.0})

    def test_two_keys_for_one_file(self, folder: Path) -> None:
        with pytest.raises(InvalidInputError, match="both match"):
            BigWigCollection(folder, scale={"one": 1.0, "one.bw": 2.0})

    def test_bins_are_of_scaled_values_and_unscaled_fill(self, folder: Path) -> None:
        scaled = BigWigCollection(folder, scale={"one": -2.0})
        want = expected(WINDOWS, np.nan)[..., 0].reshape(4, 40, 10) * -2
        want = np.where(np.isnan(want), 5, want)
        got = batch(scaled, window_size=10, default_value=5.0, statistic="max")[..., 0]
        np.testing.assert_array_equal(got, want.max(axis=2))
