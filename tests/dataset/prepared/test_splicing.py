"""Transcripts: which regions they are made of, how rows are joined, exonic variants."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigwig_loader.backend.cpu.haplotypes import HaplotypeReader
from bigwig_loader.dataset.prepared.changed_cells import exonic
from bigwig_loader.dataset.prepared.outputs import AnnotatedHaplotypes
from bigwig_loader.dataset.prepared.splicing import join_rows, splice
from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.plan.haplotypes import HaplotypeOptions, HaplotypeWindows
from bigwig_loader.ragged import Ragged
from tests.helpers.haplotypes import World, worlds
from tests.oracles.haplotypes import letters, window

COLUMNS = ["chrom", "start", "end", "strand", "transcript_id", "exon_number"]
REGIONS = pd.DataFrame(
    [
        ("c1", 10, 20, "+", "T1", 1),
        ("c1", 30, 40, "-", "T2", 3),
        ("c1", 35, 50, "+", "T1", 2),
        ("c1", 50, 60, "-", "T2", 2),
        ("c1", 70, 80, "-", "T2", 1),
        ("c2", 5, 9, "+", "T3", 1),
    ],
    columns=COLUMNS,
)


def lists(info: Any, regions: pd.DataFrame = REGIONS, **options: Any) -> dict[str, list[int]]:
    found = splice(regions, info, **options)
    rows, offsets = found.elements(np.arange(len(found)))
    return {
        n: rows[a:b].tolist() for n, a, b in zip(found.names, offsets, offsets[1:], strict=False)
    }


EXPECTED = {"T1": [0, 2], "T2": [4, 3, 1], "T3": [5]}


class TestSplice:
    def test_by_number(self) -> None:
        assert lists(("transcript_id", "exon_number")) == EXPECTED
        mixed = REGIONS.iloc[[5, 2, 4, 0, 1, 3]].reset_index(drop=True)
        found = lists(("transcript_id", "exon_number"), mixed)
        assert found == {"T3": [0], "T1": [3, 1], "T2": [2, 5, 4]}

    def test_by_name_alone_goes_along_the_transcript(self) -> None:
        assert lists("transcript_id") == EXPECTED
        # Without reverse complement the rows of the minus strand stay as they are.
        assert lists("transcript_id", rc_neg=False)["T2"] == [1, 3, 4]

    def test_rows_that_do_not_ascend_keep_their_order(self) -> None:
        turned = REGIONS.iloc[[4, 3, 1]].reset_index(drop=True)
        assert lists("transcript_id", turned) == {"T2": [0, 1, 2]}
        forward = REGIONS.iloc[[2, 0]].reset_index(drop=True)
        assert lists("transcript_id", forward) == {"T1": [0, 1]}

    def test_listed(self) -> None:
        assert lists({"x": [4, 1], "y": [4]}) == {"x": [4, 1], "y": [4]}
        for bad in ({}, {"x": []}, {"x": [6]}, {"x": [-1]}):
            with pytest.raises(InvalidInputError, match="splice_info"):
                splice(REGIONS, bad)

    def test_some_transcripts(self) -> None:
        found = splice(REGIONS, "transcript_id")
        rows, offsets = found.elements(np.array([2, 0, 2]))
        assert (rows.tolist(), offsets.tolist()) == ([5, 0, 2, 5], [0, 1, 3, 4])

    def test_frame(self) -> None:
        frame = splice(REGIONS, ("transcript_id", "exon_number")).frame(REGIONS)
        assert frame["splice_id"].tolist() == ["T1", "T2", "T3"]
        assert frame["index"].tolist() == [[0, 2], [4, 3, 1], [5]]
        assert frame["start"].tolist() == [[10, 35], [70, 50, 30], [5]]
        assert frame["strand"].tolist() == [["+", "+"], ["-", "-", "-"], ["+"]]

    @pytest.mark.parametrize(
        ("info", "message"),
        [
            (("transcript_id", "start", "end"), "pair of columns"),
            (("transcript_id", "chrom"), "row 0, column 'chrom': expected a number; got 'c1'"),
            (("chrom", "exon_number"), r"transcript 'c1'.*another 'exon_number'.*got \d twice"),
            ("strand", r"transcript '\+': expected all its regions on one contig; got 'c1' and"),
        ],
    )
    def test_refused(self, info: Any, message: str) -> None:
        with pytest.raises(InvalidInputError, match=message):
            splice(REGIONS, info)

    def test_unknown_column(self) -> None:
        with pytest.raises(NotFoundError, match=r"unknown column 'transcript'.*transcript_id"):
            splice(REGIONS, "transcript")


class TestJoinRows:
    @settings(deadline=None, max_examples=50)
    @given(st.lists(st.integers(1, 3), max_size=4), st.integers(0, 2**32), st.integers(0, 2))
    def test_equals_loops(self, counts: list[int], seed: int, n_axes: int) -> None:
        rng = np.random.default_rng(seed)
        rest = tuple(rng.integers(1, 3, n_axes).tolist())
        lengths = rng.integers(0, 4, (sum(counts), *rest))
        rows = Ragged.from_lengths(rng.integers(0, 99, lengths.sum()), lengths)
        offsets = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)
        joined = join_rows(rows, offsets)
        assert isinstance(joined, Ragged)
        assert joined.leading == (len(counts), *rest)
        for index in np.ndindex(*joined.leading):
            parts = [rows[(r, *index[1:])] for r in range(offsets[index[0]], offsets[index[0] + 1])]
            assert joined[index].tolist() == np.concatenate(parts).tolist()

    def test_annotated(self) -> None:
        rows = Ragged.from_lengths(np.arange(6), np.array([[2], [1], [3]]))
        joined = join_rows(AnnotatedHaplotypes(rows, rows, rows), np.array([0, 2, 3]))
        assert isinstance(joined, AnnotatedHaplotypes)
        assert joined.var_idxs.to_list() == [[[0, 1, 2]], [[3, 4, 5]]]  # type: ignore[union-attr]

    def test_regular_arrays_are_refused(self) -> None:
        with pytest.raises(InvalidInputError, match="expected ragged rows; got ndarray"):
            join_rows(np.zeros((2, 3)), np.array([0, 2]))


@settings(max_examples=50, deadline=None)
@given(worlds(), st.sampled_from(["first", "bcftools", "window"]), st.integers(0, 2**20))
def test_exonic_equals_leaving_variants_out(world: World, policy: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    table, genotypes = world.tables()
    keep = None if seed % 2 else rng.random(len(table)) < 0.7
    reader = HaplotypeReader(world.genome(), table, genotypes, overlap=policy, keep=keep)  # type: ignore[arg-type]
    contigs, n = list(world.sequences), 5
    contig = rng.integers(0, len(contigs), n)
    start = rng.integers(-3, 50, n)
    windows = HaplotypeWindows(
        contig,
        start,
        start + rng.integers(0, 30, n),
        rng.integers(-1, len(world.samples), n),
        length_bp=12 if seed % 3 == 0 else None,
    )
    found = exonic(reader, windows)
    arrays = found.reader.encode(found.windows, HaplotypeOptions(encoding="bytes"))
    records = set(table.record.tolist() if keep is None else table.record[keep].tolist())
    for row, ploid in np.ndindex(n, world.ploidy):
        name, low, high = contigs[contig[row]], int(start[row]), int(windows.end[row])
        sample = int(windows.sample[row])
        carried = () if sample < 0 else world.carried[name, world.samples[sample], ploid]
        inside = [
            v for v in carried if v.record in records and low <= v.span[0] and v.span[-1] < high
        ]
        expected = letters(
            window(world.sequences[name], inside, low, high, policy, windows.length_bp)
        )
        if arrays.offsets is None:
            got = arrays.data[row, ploid]
        else:
            a, b = arrays.offsets[row * world.ploidy + ploid :][:2]
            got = arrays.data[a:b]
        assert got.tobytes().decode() == expected
