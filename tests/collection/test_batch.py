"""Batches: windows, tracks, transforms, spellings of contigs."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bigwig_loader._bigwig_writer import write_bigwig
from bigwig_loader.collection import BigWigCollection
from bigwig_loader.errors import (
    InvalidInputError,
    NotFoundError,
)
from bigwig_loader.plan.signal import SignalOptions, TrackTransform
from bigwig_loader.plan.windows import Windows
from tests.helpers.tracks import WINDOWS, batch, expected


class TestGetBatch:
    def test_values(self, collection: BigWigCollection) -> None:
        got = batch(collection)
        assert (got.shape, got.dtype) == ((4, 400, 4), np.float32)
        np.testing.assert_array_equal(got, expected(WINDOWS))
        np.testing.assert_array_equal(batch(collection), got)

    def test_default_value_also_outside_contigs(self, collection: BigWigCollection) -> None:
        np.testing.assert_array_equal(batch(collection, default_value=-3), expected(WINDOWS, -3))
        np.testing.assert_array_equal(
            batch(collection, default_value=np.nan), expected(WINDOWS, np.nan)
        )

    def test_a_contig_that_a_file_lacks_is_uncovered_there(
        self, collection: BigWigCollection
    ) -> None:
        got = batch(collection, [("chr2", 0, 900)], default_value=np.nan)
        assert np.isnan(got[..., 2]).all()
        assert not np.isnan(got[..., 0]).all()

    def test_tracks_by_number_and_name(self, collection: BigWigCollection) -> None:
        want = expected(WINDOWS)[..., [3, 0, 3]]
        for tracks in ([3, 0, 3], np.array([3, 0, 3]), ["two", "one", "two"], ("two", 0, 3)):
            np.testing.assert_array_equal(batch(collection, tracks=tracks), want)
        np.testing.assert_array_equal(batch(collection, tracks="two"), want[..., :1])

    def test_one_window_without_lists(self, collection: BigWigCollection) -> None:
        got = collection.get_batch("chr1", 5, 25)
        np.testing.assert_array_equal(got, expected([("chr1", 5, 25)]))

    def test_columns_of_a_frame(self, collection: BigWigCollection) -> None:
        frame = pd.DataFrame(WINDOWS, columns=["chrom", "start", "end"]).sample(frac=1.0)
        frame = frame.astype({"start": "int32", "end": "Int64"})
        got = collection.get_batch(frame["chrom"], frame["start"], frame["end"])
        np.testing.assert_array_equal(got, expected(list(frame.itertuples(index=False))))

    def test_bins(self, collection: BigWigCollection) -> None:
        want = expected(WINDOWS).reshape(4, 25, 16, 4).mean(axis=2)
        np.testing.assert_allclose(batch(collection, window_size=16), want, rtol=1e-6)

    def test_out(self, collection: BigWigCollection) -> None:
        out = np.full((4, 400, 4), -1, np.float32)
        assert batch(collection, out=out) is out
        np.testing.assert_array_equal(out, expected(WINDOWS))
        out = np.full((4, 4, 800), -1, np.float32).transpose(0, 2, 1)[:, ::2]
        batch(collection, out=out)
        np.testing.assert_array_equal(out, expected(WINDOWS))

    @pytest.mark.parametrize("options", [{}, {"window_size": 8}, {"dtype": "bfloat16"}])
    def test_more_tracks_than_are_written_together(
        self, collection: BigWigCollection, options: dict
    ) -> None:
        tracks = [i * 7 % 4 for i in range(301)]
        few = batch(collection, **options)
        np.testing.assert_array_equal(batch(collection, tracks=tracks, **options), few[..., tracks])

    def test_results_are_not_shared(self, collection: BigWigCollection) -> None:
        first = batch(collection)
        batch(collection, default_value=9.0)
        np.testing.assert_array_equal(first, expected(WINDOWS))

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"window_size": 0}, InvalidInputError, "window_size: expected an integer >= 1; got 0"),
            ({"default_value": None}, InvalidInputError, "default_value: expected a number"),
            ({"statistic": "median"}, InvalidInputError, "statistic: expected one of.*'median'"),
            ({"dtype": "float64"}, InvalidInputError, "dtype: expected one of.*'float64'"),
            ({"tracks": []}, InvalidInputError, "at least one track"),
            ({"tracks": [4]}, InvalidInputError, r"expected numbers in \[0, 4\); got 4 to 4"),
            ({"tracks": [-1]}, InvalidInputError, r"expected numbers in \[0, 4\)"),
            ({"tracks": [0.5]}, InvalidInputError, "track numbers or names"),
            ({"tracks": [True, False]}, InvalidInputError, "track numbers or names"),
            ({"tracks": np.ones(4, bool)}, InvalidInputError, "track numbers or names"),
            ({"tracks": ["onee"]}, NotFoundError, "unknown track 'onee'.*near names: one"),
            ({"out": np.zeros((4, 400, 3), np.float32)}, InvalidInputError, "argument out"),
            ({"out": np.zeros((4, 400, 4))}, InvalidInputError, "argument out.*float64"),
            (
                {"out": [1, 2]},
                InvalidInputError,
                r"argument out: expected a numpy\.ndarray.*got builtins\.list",
            ),
        ],
    )
    def test_options_that_cannot_be(
        self, collection: BigWigCollection, options: dict, error: type, message: str
    ) -> None:
        with pytest.raises(error, match=message):
            batch(collection, **options)

    def test_windows_that_cannot_be(self, collection: BigWigCollection) -> None:
        with pytest.raises(NotFoundError, match=r"unknown contig 'chr3'.*near names.*chr"):
            collection.get_batch(["chr1", "chr3"], [0, 0], [5, 5])
        with pytest.raises(InvalidInputError, match="one length"):
            collection.get_batch(["chr1", "chr1"], [0, 0], [5, 6])
        with pytest.raises(InvalidInputError, match="at least one window"):
            collection.get_batch([], [], [])

    def test_contig_numbers_are_checked(self, collection: BigWigCollection) -> None:
        for contig in (3, -1):
            with pytest.raises(InvalidInputError, match=r"contig_index in \[0, 3\)"):
                collection.read(Windows(np.array([contig]), np.array([0]), 5))

    def test_a_swap_of_the_wrong_length(self, collection: BigWigCollection) -> None:
        with pytest.raises(InvalidInputError, match="track_swap: expected 4 places; got 2"):
            collection.read(
                Windows(np.array([0]), np.array([0]), 5), options=SignalOptions(track_swap=(1, 0))
            )

    def test_transforms(self, collection: BigWigCollection) -> None:
        squashed = TrackTransform(scale=2.0, clip=(0.0, 10.0), log1p=True)
        one = collection.with_transforms({"two": squashed})
        got, want = batch(one), expected(WINDOWS)
        want[..., 3] = np.log1p(np.clip(want[..., 3] * 2, 0, 10))
        np.testing.assert_allclose(got, want, rtol=1e-6)
        np.testing.assert_array_equal(batch(collection), expected(WINDOWS))
        every = batch(collection.with_transforms(TrackTransform(scale=3.0)))
        np.testing.assert_array_equal(every, expected(WINDOWS) * 3)
        with pytest.raises(NotFoundError, match="unknown track"):
            collection.with_transforms({"tow": squashed})


class TestContigSpellings:
    def test_on_request_only(self, tmp_path: Path) -> None:
        for name, contig in (("a", "chr1"), ("b", "1")):
            data = {contig: ([5], [10], [2.0 if name == "a" else 3.0])}
            write_bigwig(tmp_path / f"{name}.bw", {contig: 50}, data)
        plain = BigWigCollection(tmp_path)
        assert plain.contigs.names == ("chr1", "1")
        with pytest.raises(NotFoundError, match="unknown contig 'Chr1'"):
            plain.get_batch("Chr1", 0, 10)
        for spelling in ("chr1", "1"):
            one = plain.with_contig_names([spelling])
            assert one.contigs.names == (spelling,)
            assert one.get_batch(spelling, 7, 8).tolist() == [[[2.0, 3.0]]]
            again = pickle.loads(pickle.dumps(one))
            assert again.get_batch(spelling, 7, 8).tolist() == [[[2.0, 3.0]]]
        assert plain.contigs.names == ("chr1", "1")
