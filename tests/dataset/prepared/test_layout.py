"""Files of a prepared data set: arrays, metadata, the table of regions; damage is told."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bigwig_loader.dataset.prepared.arrays import NpyReader, NpyWriter, map_array, save_array
from bigwig_loader.dataset.prepared.layout import (
    FORMAT,
    METADATA,
    VERSION,
    file_name,
    open_prepared,
    read_metadata,
    read_region_table,
    write_region_table,
)
from bigwig_loader.dataset.prepared.making.memory import Budget, parse_bytes
from bigwig_loader.dataset.prepared.making.merge import ListPart, merge_lists
from bigwig_loader.dataset.prepared.making.regions import read_regions, with_length
from bigwig_loader.dataset.prepared.making.samples import join_samples
from bigwig_loader.errors import InvalidDataError, InvalidInputError, NotFoundError


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64, np.float32, "<U5"])
def test_appended_files_are_plain_npy(tmp_path: Path, dtype: str | type) -> None:
    path = tmp_path / "a.npy"
    values = np.arange(7).astype(dtype)
    with NpyWriter(path, dtype) as file:
        file.append(values[:3])
        file.append(values[3:3])
        file.append(values[3:])
    loaded = np.load(path, mmap_mode="r", allow_pickle=False)
    assert loaded.dtype == values.dtype
    assert loaded.tolist() == values.tolist()
    assert NpyReader(path).read(2, 5).tolist() == values[2:5].tolist()
    assert map_array(path, dtype, 7).tolist() == values.tolist()


def test_empty_arrays_can_be_mapped(tmp_path: Path) -> None:
    save_array(tmp_path / "a.npy", np.zeros(0, np.int32))
    assert np.load(tmp_path / "a.npy", mmap_mode="r").shape == (0,)
    assert map_array(tmp_path / "a.npy", np.int32, 0).shape == (0,)


def test_damaged_arrays_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    with pytest.raises(NotFoundError, match=r"a\.npy"):
        map_array(path, np.int32)
    save_array(path, np.arange(100, dtype=np.int32))
    with pytest.raises(InvalidDataError, match="expected int64; got int32"):
        map_array(path, np.int64)
    with pytest.raises(InvalidDataError, match="expected 99 values; got 100"):
        map_array(path, np.int32, 99)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InvalidDataError, match="truncated array"):
        map_array(path, np.int32)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(InvalidDataError, match=r"not a \.npy file"):
        map_array(path, np.int32)


def test_metadata_of_another_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"bigwig_loader\.write makes one"):
        open_prepared(tmp_path)
    for text, message in (
        ("{", "no JSON"),
        ("[]", "not a prepared data set"),
        (json.dumps({"format": "other"}), "got 'other'"),
        (json.dumps({"format": FORMAT, "version": VERSION + 1}), "another version"),
    ):
        (tmp_path / METADATA).write_text(text)
        with pytest.raises(InvalidDataError, match=message):
            read_metadata(tmp_path)
    (tmp_path / METADATA).write_text(json.dumps({"format": FORMAT, "version": VERSION}))
    with pytest.raises(InvalidDataError, match="lacks a field"):
        open_prepared(tmp_path)


def test_region_tables_come_back_as_they_were(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "chrom": ["1", "2", "X"],
            "start": [-5, 0, 7],
            "end": [3, 4, 8],
            "name": ["a\tb", "", 'quoted "c"'],
            "x": [0.1, np.nan, 1e-300],
            "n": pd.array([1, None, 3], dtype="Int64"),
            "flag": [True, False, True],
            "text": pd.Series(["007", None, "nan"], dtype="str"),
        }
    )
    columns = write_region_table(tmp_path, frame)
    back = read_region_table(tmp_path, json.loads(json.dumps(columns)))
    pd.testing.assert_frame_equal(back, frame, check_dtype=False)
    assert back["text"].tolist()[::2] == ["007", "nan"]


def test_names_of_tracks_are_names_of_files() -> None:
    names = ["a", "a.2", "a/b", "..", "été", "a:b*c", "CON"]
    files = [file_name(name) for name in names]
    assert len(set(files)) == len(names)
    assert not any(set(name) & set('/\\:*?"<>|.') for name in files)


# --------------------------------------------------------------------------------- parts ----


def test_lists_in_parts_are_joined_in_order(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    n_contigs, n_owners, n_pieces = 3, 7, 4
    expected: list[list[int]] = [[] for _ in range(n_contigs * n_owners)]
    parts, last = [], 0
    for piece in range(n_pieces):
        for first in (0, 3):
            n_lists = 3 if first == 0 else 4
            counts = rng.integers(0, 5, (n_contigs, n_lists))
            values = rng.integers(0, 1000, counts.sum()).astype(np.int32)
            folder = tmp_path / f"{piece}-{first}"
            folder.mkdir()
            save_array(folder / "offsets.npy", np.append(0, np.cumsum(counts)))
            save_array(folder / "value.npy", values)
            for contig in range(n_contigs):
                part = ListPart(
                    folder, contig, first, n_lists, offset=contig * n_lists, shift=piece
                )
                parts.append(part)
            at = 0
            for contig, owner in np.ndindex(n_contigs, n_lists):
                n = counts[contig, owner]
                row = contig * n_owners + first + owner
                expected[row] += (values[at : at + n] + piece).tolist()
                at += n
            last += len(values)
    for budget in (1, 300, 1 << 30):
        out = tmp_path / f"out{budget}"
        out.mkdir()
        n = merge_lists(parts, (n_contigs, n_owners), {"value": np.int32}, out, budget)
        offsets, values = np.load(out / "offsets.npy"), np.load(out / "value.npy")
        assert n == last == len(values)
        lists = [values[a:b].tolist() for a, b in pairwise(offsets)]
        assert lists == expected


def test_repeated_entries_are_left_out(tmp_path: Path) -> None:
    save_array(tmp_path / "offsets.npy", np.array([0, 3, 3, 5]))
    save_array(tmp_path / "variants.npy", np.array([0, 2, 5, 1, 2], np.int32))
    out = tmp_path / "out"
    out.mkdir()
    part = ListPart(tmp_path, 0, 0, 3, shift=10, skip_below=2)
    merge_lists([part], (1, 3), {"variants": np.int32}, out, 1)
    assert np.load(out / "offsets.npy").tolist() == [0, 2, 2, 3]
    assert np.load(out / "variants.npy").tolist() == [12, 15, 12]


# ------------------------------------------------------------------------------- regions ----


def test_bed_keeps_its_columns_and_order(tmp_path: Path) -> None:
    path = tmp_path / "r.bed"
    path.write_text("c2\t5\t9\ta\t1\t-\t5\t9\tx\nc1\t-3\t4\tb\t.\t.\t0\t0\ty\n")
    regions = read_regions(path, None, ("c1", "c3", "c2"))
    assert regions.contig_names == ("c1", "c2")
    assert regions.contig_index.tolist() == [1, 0]
    assert (regions.start.tolist(), regions.end.tolist()) == ([5, -3], [9, 4])
    assert regions.strand.tolist() == [-1, 1]
    assert regions.length is None
    assert regions.frame["itemRgb"].tolist() == ["x", "y"]


def test_frames_of_both_spellings_are_regions() -> None:
    ours = pd.DataFrame({"chrom": ["a"], "start": [1], "end": [5], "strand": [None]})
    theirs = pd.DataFrame({"x": [2], "chrom": ["a"], "chromStart": [1], "chromEnd": [5]})
    for frame in (ours, theirs):
        regions = read_regions(frame, 2, None)
        assert (regions.start.tolist(), regions.end.tolist()) == ([2], [4])
        assert (regions.strand.tolist(), regions.length) == ([1], 2)
        assert list(regions.frame.columns)[:3] == ["chrom", "start", "end"]
        assert regions.frame["start"].tolist() == [2]


@pytest.mark.parametrize(
    ("start", "end", "length", "expected"),
    # as genvarloader.with_length
    [(10, 21, 4, 13), (11, 21, 4, 14), (-5, 4, 4, -3), (10, 20, 5, 12), (10, 20, 21, 4)],
)
def test_regions_are_brought_to_a_length(start: int, end: int, length: int, expected: int) -> None:
    first, last = with_length(np.array([start]), np.array([end]), length)
    assert (first.tolist(), last.tolist()) == ([expected], [expected + length])


def test_bad_regions_are_refused(tmp_path: Path) -> None:
    frame = pd.DataFrame({"chrom": ["a", "b"], "start": [1, 4], "end": [5, 4]})
    with pytest.raises(InvalidInputError, match="row 1: expected at least one base"):
        read_regions(frame, None, None)
    assert read_regions(frame, 2, None).length == 2
    with pytest.raises(NotFoundError, match=r"unknown contig 'b' in the reference"):
        read_regions(frame, 2, ("a",))
    with pytest.raises(InvalidInputError, match="at least one region"):
        read_regions(frame[:0], None, None)
    with pytest.raises(InvalidInputError, match="expected one of"):
        read_regions(frame.assign(strand=["+", "?"]), 2, None)
    with pytest.raises(NotFoundError, match="no such file"):
        read_regions(tmp_path / "none.csv", None, None)
    with pytest.raises(InvalidInputError, match="got int"):
        read_regions(3, None, None)


# ------------------------------------------------------------------------ samples, memory ----


def test_samples_are_those_of_all_sources_sorted() -> None:
    sources = {"variants v": ["z", "b", "a"], "track 't'": ["a", "z", "q"]}
    assert join_samples(sources, None) == (
        ("a", "z"),
        {"variants v": ["b"], "track 't'": ["q"]},
    )
    assert join_samples(sources, ["z"]) == (("z",), {})
    with pytest.raises(NotFoundError, match="unknown sample 'b' in track 't'"):
        join_samples(sources, ["b"])
    with pytest.raises(InvalidInputError, match=r"got none: variants v has 1 \(a\); track"):
        join_samples({"variants v": ["a"], "track": ["b"]}, None)
    with pytest.raises(InvalidInputError, match="got 'a' twice"):
        join_samples({"variants v": ["a", "a"]}, None)
    with pytest.raises(InvalidInputError, match="Give variants"):
        join_samples({}, None)


@pytest.mark.parametrize(
    ("text", "n"),
    [("4g", 4 << 30), ("1.5 GiB", 3 << 29), ("500M", 500 << 20), ("7", 7), (12, 12), ("2kb", 2048)],
)
def test_sizes(text: int | str, n: int) -> None:
    assert parse_bytes(text) == n


@pytest.mark.parametrize("text", ["", "g", "-1", "4x", 0, None, 1.5, True])
def test_bad_sizes(text: object) -> None:
    with pytest.raises(InvalidInputError, match="argument max_mem"):
        parse_bytes(text)  # type: ignore[arg-type]


def test_a_budget_too_small_names_what_would_do() -> None:
    budget = Budget(1 << 20, 2, 7 << 20)
    with pytest.raises(InvalidInputError, match="reading x takes 10m") as error:
        budget.per_task(10 << 20, "reading x")
    least = parse_bytes(str(error.value).split("max_mem='")[1].split("'")[0])
    assert Budget(least, 2, 7 << 20).per_task(10 << 20, "reading x") >= 10 << 20
    with pytest.raises(InvalidInputError):
        Budget(least - (20 << 20), 2, 7 << 20).per_task(10 << 20, "reading x")
