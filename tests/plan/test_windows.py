"""Contig tables and windows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.plan.windows import ContigTable, Windows, named_windows

TABLE = ContigTable(("chr1", "chr2", "chrX"), np.array([100, 50, 7]), "test.bw")


class TestContigTable:
    @pytest.mark.parametrize(
        "names",
        [
            ["chrX", "chr1", "chrX"],
            ("chrX", "chr1", "chrX"),
            np.array(["chrX", "chr1", "chrX"]),
            np.array(["chrX", "chr1", "chrX"], object),
            pd.Series(["chrX", "chr1", "chrX"], index=[9, 3, 4]),
            pd.Series(["chrX", "chr1", "chrX"], dtype="category"),
        ],
    )
    def test_index_of(self, names: object) -> None:
        got = TABLE.index_of(names)  # type: ignore[arg-type]
        assert got.dtype == np.int32
        assert got.tolist() == [2, 0, 2]

    def test_one_name_is_one_contig(self) -> None:
        assert TABLE.index_of("chr2").tolist() == [1]

    def test_an_unknown_name(self) -> None:
        with pytest.raises(NotFoundError, match=r"contig '1' in test\.bw; near names: chr1"):
            TABLE.index_of(["chr1", "1"])

    def test_names_must_be_distinct(self) -> None:
        with pytest.raises(InvalidInputError, match="not distinct"):
            ContigTable(("a", "a"), np.array([1, 2]))

    def test_length_and_lengths(self) -> None:
        assert len(TABLE) == 3
        assert ContigTable(("a",), [5]).lengths.dtype == np.int64  # type: ignore[arg-type]


class TestWindows:
    def test_take(self) -> None:
        windows = Windows(np.arange(4), np.arange(4) * 10, 5, np.array([0, 1, 1, 0], bool))
        part = windows.take(np.array([2, 0]))
        assert (part.contig_index.tolist(), part.start.tolist()) == ([2, 0], [20, 0])
        assert part.reverse is not None
        assert part.reverse.tolist() == [True, False]
        assert part.length_bp == 5
        assert len(windows.take(slice(1, 3))) == 2

    def test_arrays_are_made_contiguous_and_of_the_right_types(self) -> None:
        windows = Windows(np.arange(6, dtype=np.uint8)[::2], np.arange(6.0)[::-2].astype(int), 5)
        assert windows.contig_index.flags.c_contiguous
        assert windows.start.flags.c_contiguous
        assert (windows.contig_index.dtype, windows.start.dtype) == (np.int32, np.int64)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (([0, 1], [5], 10), "one length"),
            (([[0]], [[5]], 10), "one length"),
            (([0], [5], 0), "length_bp >= 1"),
            (([0], [5], 10, [True, False]), "reverse of shape"),
            (([0], [1 << 62], 10), "of a genome"),
            (([0], [-(1 << 62)], 10), "of a genome"),
            (([0], [0], 1 << 62), "of a genome"),
        ],
    )
    def test_what_cannot_be(self, arguments: tuple, message: str) -> None:
        with pytest.raises(InvalidInputError, match=message):
            Windows(*(np.array(a) if isinstance(a, list) else a for a in arguments))


class TestNamedWindows:
    @pytest.mark.parametrize(
        "make",
        [
            list,
            tuple,
            np.array,
            pd.Series,
            lambda v: np.array(v, np.int32),
            lambda v: np.array(v, np.uint64),
            lambda v: np.array(v, np.float64),
            lambda v: pd.Series(v, dtype="Int64"),
        ],
    )
    def test_positions_of_any_integer_kind(self, make: object) -> None:
        windows = named_windows(TABLE, ["chr1", "chr2"], make([3, 10]), make([8, 15]))  # type: ignore[operator]
        assert (windows.start.tolist(), windows.length_bp) == ([3, 10], 5)

    def test_one_window(self) -> None:
        assert named_windows(TABLE, "chr2", 3, 8).contig_index.tolist() == [1]

    @pytest.mark.parametrize(
        ("chromosomes", "start", "end", "message"),
        [
            (["chr1"], [0, 1], [5, 6], "expected one length; got 1, 2, 2"),
            ([], [], [], "at least one window"),
            (["chr1", "chr1"], [0, 0], [5, 6], "5 bp for window 0 and 6 bp for window 1"),
            (["chr1", "chr1"], [0, 9], [5, 9], "0 bp for window 1"),
            (["chr1"], [5], [5], "got 0 bp for window 0"),
            (["chr1"], [9], [5], "got -4 bp"),
            (["chr1"], [0.5], [5.5], r"argument start: expected \(B,\) integers; got float64"),
            (["chr1"], [0], [float("nan")], "argument end"),
            (["chr1"], [0], [float("inf")], "argument end"),
            (["chr1"], [1e300], [1e300], "argument start"),
            (["chr1"], np.array([2**63 + 5], np.uint64), [9], "argument start"),
            (["chr1"], ["0"], [5], "argument start"),
            (["chr1"], [True], [5], "argument start"),
            (["chr1"], [[0]], [[5]], "argument start"),
            (["chr1"], [0], [2**63 - 1], "of a genome"),
        ],
    )
    def test_what_cannot_be(
        self, chromosomes: list, start: object, end: object, message: str
    ) -> None:
        with pytest.raises(InvalidInputError, match=message):
            named_windows(TABLE, chromosomes, start, end)  # type: ignore[arg-type]
