"""Universes: what is read, what is refused, what the hash is of, what a pickle holds."""

from __future__ import annotations

import hashlib
import pickle
import struct
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigwig_loader.errors import InvalidDataError, InvalidInputError, NotFoundError
from bigwig_loader.tokens import Tokenizer, Universe

SPECIAL = ["<unk>", "<pad>", "<mask>", "<cls>", "<eos>", "<bos>", "<sep>"]


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_ids_are_in_order_of_first_appearance(tmp_path: Path) -> None:
    universe = Universe.read(write(tmp_path / "u.bed", "b\t9\t12\na\t0\t5\nb\t1\t2\n"))
    assert universe.contig_names == ("b", "a")
    assert universe.tokens(range(10)) == ["b:9-12", "a:0-5", "b:1-2", *SPECIAL]
    assert universe.vocab_size == len(universe) == 10
    assert universe.special_ids == dict(
        zip(["unk", "pad", "mask", "cls", "eos", "bos", "sep"], range(3, 10), strict=True)
    )


def test_tables_and_files_are_the_same(tmp_path: Path) -> None:
    path = write(tmp_path / "u.bed", "chr2\t5\t9\tx\t0.5\nchr10\t0\t4294967295\ty\t1\n")
    columns = {"start": [5, 0], "end": [9, 2**32 - 1]}
    frame = pd.DataFrame({"chrom": ["chr2", "chr10"], **columns})
    order = ["chr1", "chr10", "chr2"]  # categories that no row has, and in another order
    category = pd.DataFrame({"chr": pd.Categorical(["chr2", "chr10"], order), **columns})
    read = [Universe.read(source) for source in (path, frame, category, dict(frame))]
    assert {universe.hash for universe in read} == {read[0].hash}
    assert all(universe == read[0] for universe in read)
    assert {universe.contig_names for universe in read} == {("chr2", "chr10")}


def test_repeated_regions(tmp_path: Path) -> None:
    text = "#\na\t1\t2\nb\t1\t2\na\t1\t2\nb\t1\t3\nb\t1\t2\n"
    path = write(tmp_path / "u.bed", text)
    with pytest.raises(InvalidDataError, match=r"line 2 and line 4.*a:1-2 twice, and 1 more"):
        Universe.read(path)
    first = Universe.read(path, duplicates="first")
    assert first.tokens(range(3)) == ["a:1-2", "b:1-2", "b:1-3"]
    table = {"chrom": ["a", "a"], "start": [1, 1], "end": [2, 2]}
    with pytest.raises(InvalidInputError, match="row 0 and row 1"):
        Universe.read(table)
    assert Universe.read(table, duplicates="first").n_regions == 1
    with pytest.raises(InvalidInputError, match="'error', 'first'"):
        Universe.read(path, duplicates="last")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "without any region"),
        ("# only a comment\n", "without any region"),
        ("a\t5\t4\n", r"line 1\); expected start <= end <= 4294967295; got a:5-4"),
        ("a\t1\t2\na\t0\t4294967296\n", r"line 2\); expected start <= end <= 4294967295"),
        ("a\t-1\t4\n", "line 1, start"),
        ("a\t1\t2\na\t3\n", "line 2, columns"),
        ("a\t1\t2\na\t3\t4\tx\n", "line 2, columns"),
    ],
)
def test_bad_files(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidDataError, match=message):
        Universe.read(write(tmp_path / "u.bed", text))


def test_names_of_columns_are_reported(tmp_path: Path) -> None:
    path = write(tmp_path / "u.bed", "chrom\tstart\tend\na\t1\t2\n")
    with pytest.warns(UserWarning, match="line 1 was taken for names of columns"):
        assert Universe.read(path).n_regions == 1


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"chrom": ["a"], "start": [1]}, "expected the columns"),
        ({"chrom": ["a"], "chr": ["a"], "start": [1], "end": [2]}, "one of each"),
        ({"chrom": ["a"], "start": [1, 2], "end": [2, 3]}, "one length"),
        ({"chrom": ["a", None], "start": [1, 2], "end": [2, 3]}, "row 1: expected a contig name"),
        ({"chrom": ["a", "b"], "start": [1, 2.5], "end": [2, 3]}, "row 1, start.*2.5"),
        ({"chrom": ["a", "b"], "start": [1, -2], "end": [2, 3]}, "row 1, start.*-2"),
        ({"chrom": ["a"], "start": [3], "end": [2]}, "row 0.*a:3-2"),
        ({"chrom": [], "start": [], "end": []}, "without rows"),
    ],
)
def test_bad_tables(table: dict[str, list[object]], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Universe.read(table)


def test_other_things_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="got list"):
        Universe.read([("a", 1, 2)])  # type: ignore[arg-type]
    with pytest.raises(NotFoundError):
        Universe.read("/nowhere/u.bed")


def test_hash_is_what_the_documentation_says() -> None:
    table = {"chrom": ["b", "a", "b"], "start": [1, 0, 7], "end": [2, 9, 9]}
    universe = Universe.read(table, special_tokens={"mask": "<M>"})
    content = b"bigwig_loader universe 1\n" + struct.pack("<Q", 3) + b"b\0a\0\0"
    content += struct.pack("<9I", 0, 1, 0, 1, 0, 7, 2, 9, 9)
    texts = [text.replace("<mask>", "<M>") for text in SPECIAL]
    content += b"".join(text.encode() + b"\0" for text in texts)
    assert universe.hash == hashlib.sha256(content).hexdigest()


def test_whatever_changes_the_ids_changes_the_hash() -> None:
    table = {"chrom": ["b", "a"], "start": [1, 0], "end": [2, 9]}
    changed = [
        {**table, "chrom": ["b", "c"]},
        {**table, "start": [1, 1]},
        {**table, "end": [3, 9]},
        {name: column[::-1] for name, column in table.items()},
    ]
    hashes = {Universe.read(t).hash for t in (table, *changed)}
    hashes.add(Universe.read(table, special_tokens={"pad": "<p>"}).hash)
    assert len(hashes) == 6


@pytest.mark.parametrize(
    ("special", "message"),
    [
        ({"start": "<s>"}, "expected names among unk, pad"),
        ({"mask": "<pad>"}, "that no other token has"),
        ({"mask": "a:0-9"}, "that no other token has"),
        ({"mask": ""}, "expected text"),
    ],
)
def test_bad_special_tokens(special: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Universe.read({"chrom": ["a"], "start": [0], "end": [9]}, special_tokens=special)


def test_tokens_are_found_by_their_exact_text() -> None:
    table = {"chrom": ["a:b", "a", "a"], "start": [0, 10, 10], "end": [9, 20, 10]}
    universe = Universe.read(table)
    found = universe.find(["a:b:0-9", "a:10-20", "a:10-10", "<unk>", "<sep>"])
    assert found.tolist() == [0, 1, 2, 3, 9]
    wrong = ["a:010-20", "a:10-020", "a:10-21", "a:10", "a", "", "c:1-2", "a:+10-20", "a:10-20 "]
    wrong += ["a:10-4294967316", "a:\u0660-9", "a:10--20"]
    assert universe.find(wrong).tolist() == [-1] * len(wrong)
    with pytest.raises(InvalidInputError, match="token 1: expected text"):
        universe.find(["a", 5])  # type: ignore[list-item]


@given(st.data())
@settings(max_examples=30)
def test_text_and_ids_go_back_and_forth(data: st.DataObject) -> None:
    region = st.tuples(st.sampled_from("abc"), st.integers(0, 50), st.integers(0, 50))
    regions = data.draw(st.lists(region, min_size=1, max_size=40, unique=True))
    table = {"chrom": [r[0] for r in regions], "start": [r[1] for r in regions]}
    universe = Universe.read({**table, "end": [r[1] + r[2] for r in regions]})
    ids = data.draw(st.lists(st.integers(0, universe.vocab_size - 1), max_size=60))
    assert universe.find(universe.tokens(ids)).tolist() == ids


def test_ids_that_are_none() -> None:
    universe = Universe.read({"chrom": ["a"], "start": [0], "end": [9]})
    assert universe.tokens([7, 8, 10**12]) == ["<sep>", "<unk>", "<unk>"]
    assert universe.tokens(np.zeros(0, np.int64)) == []
    for ids in ([-1], [0.5], [[0]]):
        with pytest.raises(InvalidInputError, match="token ids"):
            universe.tokens(ids)  # type: ignore[arg-type]


def test_a_universe_is_checked_however_it_is_made() -> None:
    index, start = np.zeros(2, np.int32), np.array([1, 1], np.uint32)
    with pytest.raises(InvalidInputError, match="a:1-5 as numbers 0 and 1"):
        Universe(("a",), index, start, np.array([5, 5], np.uint32))
    with pytest.raises(InvalidInputError, match="distinct contig names"):
        Universe(("a", "a"), index, start, np.array([5, 6], np.uint32))


def test_a_pickle_is_small_and_the_same() -> None:
    n = 50_000
    start = np.arange(n) * 10
    table = {
        "chrom": np.array(["chr1", "chr2"])[np.arange(n) % 2],
        "start": start,
        "end": start + 5,
    }
    tokenizer = Tokenizer.from_bed(table, n_threads=2)
    regions = [("chr2", 0, 100)]
    first = tokenizer(regions).input_ids
    packed = pickle.dumps(tokenizer)
    assert len(packed) < 13 * n
    again = pickle.loads(packed)
    assert again == tokenizer
    assert again.hash == tokenizer.hash
    assert again.n_threads == 2
    np.testing.assert_array_equal(again(regions).input_ids, first)


@pytest.mark.parametrize("name", ["u.bed", "u.bed.gz", "u.toml"])
def test_what_is_saved_is_read_again(name: str, tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_bed({"chrom": ["b:1", "a"], "start": [5, 0], "end": [5, 9]})
    tokenizer.save(tmp_path / name)
    open_again = Tokenizer.from_config if name.endswith("toml") else Tokenizer.from_bed
    assert open_again(tmp_path / name) == tokenizer
    assert sorted(p.suffix for p in tmp_path.iterdir()) in ([".bed"], [".gz"], [".bed", ".toml"])


def test_special_tokens_are_saved(tmp_path: Path) -> None:
    special = {"unk": 'an "odd" \\ one', "sep": "ä"}
    table = {"chrom": ["a"], "start": [0], "end": [9]}
    tokenizer = Tokenizer.from_bed(table, special_tokens=special)
    tokenizer.save(tmp_path / "t.toml")
    again = Tokenizer.from_config(tmp_path / "t.toml")
    assert again == tokenizer
    assert again.unk_token == special["unk"]
    with pytest.raises(InvalidInputError, match=r"ends with \.toml"):
        tokenizer.save(tmp_path / "t.bed")
    with pytest.raises(InvalidInputError, match=r"\.bed, \.bed\.gz or \.toml"):
        tokenizer.save(tmp_path / "t.json")
    odd = Tokenizer.from_bed({"chrom": ["a\tb"], "start": [0], "end": [9]})
    with pytest.raises(InvalidInputError, match="that a BED file can hold"):
        odd.save(tmp_path / "odd.bed")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("universe = 5", "field universe"),
        ("tokenizer_type = 'bits'", "field universe"),
        ("universe = 'u.bed'\ntokenizer_type = 'tree'", "'bits' or 'ailist'; got 'tree'"),
        ("universe = 'u.bed'\nother = 1", "one of the keys"),
        ("universe = 'u.bed'\nspecial_tokens = 'x'", "entries {name"),
        ("universe = 'u.bed'\nspecial_tokens = [{name = 'unk'}]", "entries {name"),
        ("universe = 'u.bed'\nspecial_tokens = [{name = 'x', token = 'y'}]", "each of unk"),
        ("universe = 'u.bed'\nspecial_tokens = [{name = 'unk', token = 'a:0-9'}]", "no other"),
        ("universe = ", "not a TOML file"),
    ],
)
def test_bad_descriptions(text: str, message: str, tmp_path: Path) -> None:
    write(tmp_path / "u.bed", "a\t0\t9\n")
    with pytest.raises(InvalidDataError, match=message):
        Tokenizer.from_config(write(tmp_path / "t.toml", text))


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"t\.toml"):
        Tokenizer.from_config(tmp_path / "t.toml")
    with pytest.raises(NotFoundError, match=r"u\.bed"):
        Tokenizer.from_config(write(tmp_path / "t.toml", "universe = 'u.bed'"))


def test_another_type_of_tokenizer_is_reported(tmp_path: Path) -> None:
    write(tmp_path / "u.bed", "a\t0\t9\n")
    path = write(tmp_path / "t.toml", "universe = 'u.bed'\ntokenizer_type = 'ailist'")
    with pytest.warns(UserWarning, match="order of 'bits'"):
        Tokenizer.from_config(path)
