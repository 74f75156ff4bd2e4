"""Every case of gtars and geniml in ../shared/peers/gtok; where this library differs on purpose."""

from __future__ import annotations

import itertools
import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from bigwig_loader.errors import InvalidDataError, NotFoundError
from bigwig_loader.tokens import Tokenizer
from tests.helpers.shared import shared_peers

CASES = shared_peers("gtok", "expected.json")
FOLDER = CASES.parent
EXPECTED = json.loads(CASES.read_text())

# What gtars refuses and this library takes: the same regions, written in another way.
TAKEN = {
    "q_spaces/file": [0, 1, 2],
    "universe:universe_bed4.bed": [0, 1, 2, 6, 7, 8, 9, 5],
    "universe:universe_track.bed": [0, 1, 2, 6, 7, 8, 9, 5],
    "universe:universe_comment.bed": [0, 1, 2, 6, 7, 8, 9, 5],
    "universe:universe_blank.bed": [0, 1, 2, 6, 7, 8, 9, 5],
}
# What both refuse, and how.
REFUSED = {
    "q_negative/file": (InvalidDataError, "line 1, start"),
    "q_empty/file": (InvalidDataError, "without any region"),
    "q_notfound/file": (NotFoundError, "nope.bed"),
    "universe:universe_empty.bed": (InvalidDataError, "without any region"),
}
# Repeated lines of a universe shift the peer's ids, so that they name the wrong regions.
WRONG_IDS = {"universe:universe_dup.bed", "universe_dup/second"}


def open_tokenizer(name: str, **options: Any) -> Tokenizer:
    path = FOLDER / name
    if not name.endswith(".toml"):
        return Tokenizer.from_bed(path, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if "ailist" in name else "error")
        return Tokenizer.from_config(path, **options)


def ask(case: dict[str, Any], duplicates: str = "error", **options: Any) -> Any:
    tokenizer = open_tokenizer(case["universe"], duplicates=duplicates)
    query = case["query"]
    regions = FOLDER / query if isinstance(query, str) else [tuple(q) for q in query]
    return tokenizer(regions, **options)


def ids(case: dict[str, Any]) -> str:
    return str(case["case"])


SAME = [c for c in EXPECTED["cases"] if c["case"] not in {*WRONG_IDS, *TAKEN, *REFUSED}]


@pytest.mark.parametrize("case", SAME, ids=ids)
def test_case(case: dict[str, Any]) -> None:
    tokenizer = open_tokenizer(case["universe"])
    got = ask(case)
    if "ailist" in case["universe"]:
        # The same tokens for each region, in another order.
        wanted = iter(case["input_ids"])
        for query in case["query"]:
            ours = tokenizer([tuple(query)], unknown="drop").input_ids.tolist()
            assert ours == sorted(itertools.islice(wanted, len(ours)))
        assert next(wanted, None) is None
    else:
        assert got.input_ids.tolist() == case["input_ids"]
        assert tokenizer.decode(got.input_ids) == case["tokens"]
    padded = ask(case, output="padded")
    assert padded.input_ids.tolist() == [got.input_ids.tolist()]
    assert padded.attention_mask.tolist() == [case["attention_mask"]]


def test_all_exceptions_are_cases() -> None:
    names = {case["case"] for case in EXPECTED["cases"]}
    assert {*WRONG_IDS, *TAKEN, *REFUSED} <= names


@pytest.mark.parametrize("name", TAKEN)
def test_more_is_taken(name: str) -> None:
    case = next(c for c in EXPECTED["cases"] if c["case"] == name)
    assert "error" in case
    assert ask(case).input_ids.tolist() == TAKEN[name]


@pytest.mark.parametrize("name", REFUSED)
def test_both_refuse(name: str) -> None:
    case = next(c for c in EXPECTED["cases"] if c["case"] == name)
    assert "error" in case
    kind, message = REFUSED[name]
    with pytest.raises(kind, match=message):
        ask(case)


@pytest.mark.parametrize("name", sorted(WRONG_IDS))
def test_repeated_regions(name: str) -> None:
    case = next(c for c in EXPECTED["cases"] if c["case"] == name)
    with pytest.raises(InvalidDataError, match="line 1 and line 3"):
        ask(case)
    tokenizer = open_tokenizer(case["universe"], duplicates="first")
    got = ask(case, duplicates="first").input_ids.tolist()
    assert tokenizer.decode(range(3)) == ["chr1:100-200", "chr1:300-400", "chr1:1000-1001"]
    wanted = {"universe:universe_dup.bed": [0, 1, 3], "universe_dup/second": [2, 3]}
    assert got == wanted[name]


@pytest.mark.parametrize("name", [n for n in EXPECTED["vocab"] if n != "universe_dup.bed"])
def test_vocabulary(name: str) -> None:
    expected = EXPECTED["vocab"][name]
    tokenizer = open_tokenizer(name)
    assert tokenizer.get_vocab() == expected["vocab"]
    assert tokenizer.vocab_size == len(tokenizer) == expected["vocab_size"] == expected["len"]
    assert {n: getattr(tokenizer, f"{n}_token_id") for n in expected["ids"]} == expected["ids"]
    assert tokenizer.special_tokens_map == expected["special_tokens_map"]
    texts = {f"{n}_token": getattr(tokenizer, f"{n}_token") for n in expected["ids"]}
    assert texts == expected["special_tokens_map"]
    n = len(expected["decode_all"])
    assert tokenizer.decode(range(n)) == expected["decode_all"]
    assert tokenizer.encode("nothing of the kind") == expected["encode_unknown"]
    tokens = list(expected["vocab"])
    assert tokenizer.encode(tokens) == list(expected["vocab"].values())


def test_fragments(tmp_path: Path) -> None:
    tokenizer = open_tokenizer("universe.bed")
    got = tokenizer.documents(FOLDER / "fragments.tsv")
    assert got.names is not None
    cells = dict(zip(got.names, (row.tolist() for row in got), strict=True))
    assert cells == EXPECTED["fragments"]
    assert got.names == ("AAA-1", "BBB-1", "CCC-1")
    per_cell = tokenizer.documents(FOLDER / "fragments.tsv", unknown="document")
    assert [row.tolist() for row in per_cell] == [[0, 1, 2, 0], [6], [12]]


def test_query_with_names_of_columns() -> None:
    tokenizer = open_tokenizer("universe.bed")
    with pytest.warns(UserWarning, match="line 1 was taken for names of columns"):
        got = tokenizer(FOLDER / "q_colnames.bed")
    assert got.input_ids.tolist() == [0, 2, 3, 5, 7]
    assert tokenizer(FOLDER / "q_blank.bed").input_ids.tolist() == [0, 2, 3, 5, 7]


def test_contig_name_with_colons() -> None:
    tokenizer = open_tokenizer("universe_alt_chrom.bed")  # gtars panics
    assert tokenizer.decode([0, 1]) == ["HLA:A-1:0-10", "chr1:5-9"]
    assert tokenizer.encode(["HLA:A-1:0-10", "HLA:A-1", "chr1:5-9"]) == [0, 2, 1]
    assert tokenizer([("HLA:A-1", 3, 4)]).input_ids.tolist() == [0]


@pytest.mark.parametrize("name", ["csr", "backed_csr"])
def test_anndata(name: str) -> None:
    pytest.importorskip("h5py")
    expected = json.loads((FOLDER / "expected_anndata.json").read_text())[name]
    tokenizer = open_tokenizer("universe.bed")
    got = tokenizer.documents(FOLDER / "anndata_csr.h5ad")
    assert [row.tolist() for row in got] == expected
