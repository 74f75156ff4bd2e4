"""Training, validation and test; and the check that no window crosses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigwig_loader.errors import InvalidDataError, InvalidInputError, NotFoundError
from bigwig_loader.sampling import Splits, check_leaks
from tests.oracles.sampling import leaking

Region = tuple[str, int, int]

regions = st.lists(
    st.tuples(st.sampled_from(["chr1", "chr2", "X"]), st.integers(0, 300), st.integers(0, 30)).map(
        lambda t: (t[0], t[1], t[1] + t[2])
    ),
    min_size=1,
    max_size=12,
)


def frame(listed: list[Region]) -> pd.DataFrame:
    table = pd.DataFrame(listed, columns=["chrom", "start", "end"])
    return table.assign(score=range(len(table))).set_index(np.arange(len(table)) + 10)


TABLE = frame([("chr1", 0, 10), ("chr2", 5, 9), ("chr3", 0, 4), ("chr1", 50, 60), ("chrM", 1, 2)])


# --------------------------------------------------------------------------------- by contig ----


def test_other_contigs_are_for_training() -> None:
    splits = Splits.by_chromosome(valid=["chr2"], test=["chr3", "chr9"])
    assert splits.names == ("train", "valid", "test")
    assert splits.select(TABLE, "train").index.tolist() == [10, 13, 14]
    assert splits.select(TABLE, "valid").index.tolist() == [11]
    selected = splits.select(TABLE, "test")
    assert selected.index.tolist() == [12]
    assert selected["score"].tolist() == [2]


def test_contigs_of_no_split_are_left_out() -> None:
    splits = Splits.by_chromosome(["chr1"], valid="chr2", test=["chr3"])
    chosen = [splits.select(TABLE, name).index.tolist() for name in splits.names]
    assert chosen == [[10, 13], [11], [12]]


def test_contigs_of_two_splits_are_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"contig 'chr2': .* got valid and test"):
        Splits.by_chromosome(valid=["chr1", "chr2"], test=["chr2"])
    with pytest.raises(InvalidInputError, match=r"contig 'chr1': .* got train and test"):
        Splits.by_chromosome(["chr1"], valid=["chr2"], test=["chr1"])
    with pytest.raises(InvalidInputError, match="split 'valid': expected names; got 1"):
        Splits.by_chromosome(valid=[1], test=["chr1"])  # type: ignore[list-item]


def test_a_split_without_regions_is_refused() -> None:
    splits = Splits.by_chromosome(valid=["2"], test=["3"])
    with pytest.raises(InvalidInputError, match=r"got none\. Its contigs are 2; .* chr1, chr2"):
        splits.select(TABLE, "valid")
    with pytest.raises(NotFoundError, match=r"split 'validation'.*valid"):
        splits.select(TABLE, "validation")


def test_regions_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "peaks.bed"
    path.write_text("chr1\t0\t5\tone\nchr2\t0\t5\ttwo\n")
    selected = Splits.by_chromosome(valid=["chr2"], test=[]).select(path, "valid")
    assert selected["name"].tolist() == ["two"]


# -------------------------------------------------------------------------------------- JSON ----


def write(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "fold_0.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_fold_file(tmp_path: Path) -> None:
    path = write(tmp_path, {"test": ["chr3"], "valid": ["chr2"], "train": ["chr1", "chr7"]})
    splits = Splits.from_file(path)
    chosen = [splits.select(TABLE, name).index.tolist() for name in splits.names]
    assert chosen == [[10, 13], [11], [12]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ([], "got list"),
        ({"train": [], "test": []}, r"got \['test', 'train'\]"),
        ({"train": [], "test": [], "valid": [], "more": []}, "'more'"),
        ({"train": [], "test": [], "valid": "chr1"}, "a list of names; got chr1"),
        ({"train": [], "test": [1], "valid": []}, "a list of names"),
        ({"train": ["a"], "test": ["b"], "valid": ["b"]}, "contig 'b'.*valid and test"),
    ],
)
def test_bad_fold_files_are_refused(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(InvalidDataError, match=message) as caught:
        Splits.from_file(write(tmp_path, content))
    assert "fold_0.json" in str(caught.value)


def test_missing_files_and_folds_of_a_json_file(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"none\.json"):
        Splits.from_file(tmp_path / "none.json")
    with pytest.raises(NotFoundError, match=r"none\.bed"):
        Splits.from_file(tmp_path / "none.bed")
    with pytest.raises(InvalidInputError, match="names the splits itself"):
        Splits.from_file(write(tmp_path, {}), folds={"valid": ["a"], "test": ["b"]})


# --------------------------------------------------------------------------------------- BED ----

SEQUENCES = [
    ("chr1", 0, 100, "fold0"),
    ("chr1", 50, 150, "fold0"),
    ("chr1", 150, 200, "fold3"),
    ("chr2", 0, 100, "fold4"),
    ("chr2", 500, 600, "fold1"),
]


def bed(tmp_path: Path, rows: list[tuple[str, int, int, str]]) -> Path:
    path = tmp_path / "sequences.bed"
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))
    return path


def test_folds_of_a_bed_file(tmp_path: Path) -> None:
    """The central base decides, at both ends of the intervals."""
    splits = Splits.from_file(bed(tmp_path, SEQUENCES), {"valid": ["fold3"], "test": "fold4"})
    table = frame(
        [
            ("chr1", 149, 150),
            ("chr1", 150, 151),
            ("chr1", 199, 200),
            ("chr1", 200, 201),
            ("chr1", 100, 200),
            ("chr2", 0, 1),
            ("chr2", 550, 560),
            ("chr3", 0, 100),
        ]
    )
    chosen = [splits.select(table, name).index.tolist() for name in splits.names]
    assert chosen == [[10, 16], [11, 12, 14], [15]]


def test_sequences_are_regions_of_their_own_split(tmp_path: Path) -> None:
    rows = [
        (*row[:3], {"fold3": "valid", "fold4": "test"}.get(row[3], "train")) for row in SEQUENCES
    ]
    path = bed(tmp_path, rows)
    splits = Splits.from_file(path)
    for name in splits.names:
        selected = splits.select(path, name)
        assert selected["name"].tolist() == [row[3] for row in rows if row[3] == name]


def test_named_training_folds_leave_the_others_out(tmp_path: Path) -> None:
    folds = {"train": ["fold1"], "valid": ["fold3"], "test": ["fold4"]}
    splits = Splits.from_file(bed(tmp_path, SEQUENCES), folds)
    train = splits.select(frame([("chr1", 0, 10), ("chr2", 500, 510)]), "train")
    assert train["chrom"].tolist() == ["chr2"]
    with pytest.raises(InvalidInputError, match=r"Its contigs are chr2; .* chr1"):
        splits.select(frame([("chr1", 0, 10)]), "train")


@given(regions, regions)
def test_the_central_base_decides(listed: list[Region], intervals: list[Region]) -> None:
    """Against every pair; intervals may overlap, nest and repeat."""
    splits = Splits(intervals={"train": frame(intervals)})
    expected = [
        any(c == chrom and s <= (start + end) // 2 < e for c, s, e in intervals)
        for chrom, start, end in listed
    ]
    table = frame(listed)
    if not any(expected):
        with pytest.raises(InvalidInputError, match="got none"):
            splits.select(table, "train")
    else:
        assert splits.select(table, "train").index.tolist() == table.index[expected].tolist()


@pytest.mark.parametrize(
    ("rows", "folds", "error", "message"),
    [
        (SEQUENCES, None, InvalidDataError, "names no split.*train, valid, test; got fold0, fold3"),
        (SEQUENCES, {"valid": ["fold3"]}, InvalidInputError, r"got \['valid'\]"),
        (SEQUENCES, {"valid": ["fold9"], "test": []}, NotFoundError, "fold 'fold9'"),
        (SEQUENCES, {"valid": ["fold3"], "test": ["fold3"]}, InvalidInputError, "valid and test"),
        (SEQUENCES, {"validation": [], "test": []}, InvalidInputError, "'validation'"),
        (
            [("a", 0, 10, "train"), ("a", 20, 30, "test"), ("a", 9, 12, "test")],
            None,
            InvalidDataError,
            r"splits overlap.*a:0-10 in train and a:9-12 in test",
        ),
    ],
)
def test_bad_bed_files_are_refused(
    tmp_path: Path, rows: Any, folds: Any, error: Any, message: str
) -> None:
    with pytest.raises(error, match=message):
        Splits.from_file(bed(tmp_path, rows), folds)


def test_bed_without_names_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "three.bed"
    path.write_text("chr1\t0\t5\n")
    with pytest.raises(InvalidDataError, match="at least 4 columns"):
        Splits.from_file(path)


# ------------------------------------------------------------------------------------- leaks ----


@given(regions, regions, st.integers(1, 60), st.integers(0, 20))
def test_leaks_equal_the_oracle(
    train: list[Region], valid: list[Region], window_bp: int, max_jitter: int
) -> None:
    def windows(listed: list[Region]) -> list[Region]:
        starts = [(c, s + (e - s) // 2 - window_bp // 2 - max_jitter) for c, s, e in listed]
        return [(c, s, s + window_bp + 2 * max_jitter) for c, s in starts]

    splits = {"train": frame(train), "valid": frame(valid)}
    n_train, n_valid = leaking(windows(train), windows(valid))
    if not n_train:
        check_leaks(splits, window_bp, max_jitter)
        return
    with pytest.raises(InvalidInputError) as caught:
        check_leaks(splits, window_bp, max_jitter)
    message = str(caught.value)
    assert f"{n_train} of {len(train)} windows of 'train'" in message
    assert f"{n_valid} of {len(valid)} of 'valid'" in message
    found = re.search(r"the first around (\S+) and (\S+)\. Leave", message)
    assert found is not None
    pair = [_parsed(found.group(1), train), _parsed(found.group(2), valid)]
    assert leaking(windows(pair[:1]), windows(pair[1:])) == (1, 1)
    first = train.index(pair[0])
    assert leaking(windows(train[:first]), windows(valid)) == (0, 0)


def _parsed(text: str, listed: list[Region]) -> Region:
    chrom, start, end = re.split("[:-]", text)
    region = (chrom, int(start), int(end))
    assert region in listed
    return region


def test_windows_that_touch_do_not_leak_and_one_more_base_does() -> None:
    splits = {"train": frame([("a", 100, 101)]), "test": frame([("a", 120, 121)])}
    check_leaks(splits, 20)
    check_leaks(splits, 10, max_jitter=5)
    with pytest.raises(InvalidInputError, match="splits 'train' and 'test'"):
        check_leaks(splits, 21)
    with pytest.raises(InvalidInputError, match="windows of 10 bp moved by up to 6 bp"):
        check_leaks(splits, 10, max_jitter=6)


def test_windows_past_the_ends_of_contigs_do_not_meet() -> None:
    last, first = frame([("a", 99, 100)]), frame([("b", 0, 1)])
    check_leaks({"train": last, "valid": first}, 10_000, 500, {"a": 100, "b": 100})


def test_windows_of_one_split_may_overlap() -> None:
    check_leaks({"train": frame([("a", 0, 10)] * 3), "valid": frame([("b", 0, 10)] * 2)}, 100)


def test_all_pairs_of_splits_are_looked_at() -> None:
    splits = {"train": frame([("a", 0, 9)]), "valid": frame([("b", 0, 9)])}
    with pytest.raises(InvalidInputError, match="splits 'valid' and 'test'"):
        check_leaks({**splits, "test": frame([("b", 5, 9)])}, 10)


def test_selected_splits_of_whole_contigs_never_leak() -> None:
    splits = Splits.by_chromosome(valid=["chr2"], test=["chr3"])
    check_leaks({name: splits.select(TABLE, name) for name in splits.names}, 10**6, 10**4)


def test_contigs_are_checked() -> None:
    splits = {"train": frame([("a", 0, 10), ("a", 198, 210)]), "valid": frame([("b", 0, 10)])}
    check_leaks(splits, 10, contigs={"a": 205, "b": 10})
    with pytest.raises(InvalidInputError, match=r"'train', .*row 1 .*a:204, .* 204 bp"):
        check_leaks(splits, 10, contigs={"a": 204, "b": 10})
    with pytest.raises(NotFoundError, match="contig 'b'"):
        check_leaks(splits, 10, contigs={"a": 205})


@pytest.mark.parametrize(
    ("window_bp", "max_jitter", "message"),
    [(0, 0, "window_bp"), (1.5, 0, "window_bp"), (5, -1, "max_jitter"), (5, 1.0, "max_jitter")],
)
def test_bad_widths_are_refused(window_bp: Any, max_jitter: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=f"argument {message}"):
        check_leaks({"train": TABLE}, window_bp, max_jitter)


def test_many_windows_take_sorting_not_pairs() -> None:
    """Pairs of so many windows would not fit any memory."""
    n = 300_000
    start = np.arange(n) * 100
    even = pd.DataFrame({"chrom": "a", "start": start * 2, "end": start * 2 + 50})
    odd = even.assign(start=even["start"] + 100, end=even["end"] + 100)
    check_leaks({"train": even, "valid": odd}, 100)
    with pytest.raises(InvalidInputError, match=f"got {n} of {n} windows .* and {n} of {n}"):
        check_leaks({"train": even, "valid": odd}, 101)
