"""Parquet files of tokens; pyarrow itself says what is in them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigwig_loader.errors import (
    BackendUnavailableError,
    InvalidDataError,
    InvalidInputError,
    NotFoundError,
)
from bigwig_loader.formats import token_parquet
from bigwig_loader.ragged import Ragged
from bigwig_loader.tokens import read_token_parquet, write_token_parquet
from tests.helpers.shared import shared_peers

pa = pytest.importorskip("pyarrow", reason="needs pyarrow, which is not installed")
parquet = pytest.importorskip("pyarrow.parquet")

DOCUMENTS = [[1, 2, 70_000], [], [5]]


def ragged(documents: list[list[int]]) -> Ragged[Any]:
    flat = np.array([token for document in documents for token in document], np.int64)
    return Ragged.from_lengths(flat, np.array([len(d) for d in documents], np.int64))


@settings(max_examples=25)
@given(st.lists(st.lists(st.integers(0, 2**31 - 1), max_size=6), max_size=8))
def test_round_trips(tmp_path_factory: pytest.TempPathFactory, documents: list[list[int]]) -> None:
    path = tmp_path_factory.mktemp("parquet") / "new" / "t.parquet"
    write_token_parquet(path, ragged(documents))
    table = parquet.read_table(path)
    assert table.column("tokens").to_pylist() == documents
    assert table.schema.field("tokens").type == pa.list_(pa.int32())
    assert read_token_parquet(path).tokens.to_list() == documents


def test_other_columns_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_token_parquet(path, ragged(DOCUMENTS), {"cell": ["a", "b", "c"], "n": [1, 2, 3]})
    assert read_token_parquet(path).columns is None
    columns = read_token_parquet(path, columns=True).columns
    assert columns is not None
    assert columns.to_dict("list") == {"cell": ["a", "b", "c"], "n": [1, 2, 3]}
    write_token_parquet(tmp_path / "again.parquet", read_token_parquet(path).tokens, columns)
    again = parquet.read_table(tmp_path / "again.parquet").to_pydict()
    assert again == parquet.read_table(path).to_pydict()


@pytest.mark.parametrize("kind", ["int16", "uint16", "int32", "uint32", "int64", "large"])
def test_types_of_others(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "t.parquet"
    one = pa.large_list(pa.int64()) if kind == "large" else pa.list_(getattr(pa, kind)())
    column = pa.chunked_array([pa.array([[3], [1, 2]], one), pa.array([[]], one)])
    parquet.write_table(pa.table({"x": [1, 2, 3], "tokens": column}), path, row_group_size=2)
    tokens = read_token_parquet(path).tokens
    assert tokens.to_list() == [[3], [1, 2], []]
    assert tokens.dtype == np.int32


def test_several_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_parquet, "_MAX_INT32", 70_000)
    documents = [[i] * (i % 7) for i in range(40_000)]
    write_token_parquet(tmp_path / "t.parquet", ragged(documents).reshape(-1))
    assert parquet.read_table(tmp_path / "t.parquet").column("tokens").to_pylist() == documents
    with pytest.raises(InvalidInputError, match="at most 70000 in a document"):
        write_token_parquet(tmp_path / "u.parquet", ragged([[1], [2] * 70_001]))


@pytest.mark.parametrize(
    ("values", "kind", "message"),
    [
        ([[1], None], "int32", "rows 0 to 1; expected|missing value"),
        ([[1], [2, None]], "int32", "missing value"),
        ([[1, 2], [3, -4]], "int32", r"row 1\); expected an integer in \[0, 2147483648\); got -4"),
        ([[1], [], [2**31]], "int64", r"row 2\).*got 2147483648"),
        ([["a"]], "string", "expected lists of integers; got list<"),
        ([[1.5]], "float32", "expected lists of integers; got list<"),
    ],
)
def test_what_is_no_token(tmp_path: Path, values: Any, kind: str, message: str) -> None:
    path = tmp_path / "t.parquet"
    parquet.write_table(pa.table({"tokens": pa.array(values, pa.list_(getattr(pa, kind)()))}), path)
    with pytest.raises(InvalidDataError, match=message):
        read_token_parquet(path)


def test_out_of_range(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_token_parquet(path, ragged(DOCUMENTS), vocab_size=70_001)
    assert read_token_parquet(path, vocab_size=70_001).tokens.to_list() == DOCUMENTS
    with pytest.raises(InvalidDataError, match=r"row 0\); expected an integer in \[0, 70000\)"):
        read_token_parquet(path, vocab_size=70_000)
    with pytest.raises(InvalidInputError, match=r"\[0, 70000\); got 70000"):
        write_token_parquet(path, ragged(DOCUMENTS), vocab_size=70_000)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        read_token_parquet(tmp_path / "no.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 not at all")
    with pytest.raises(InvalidDataError, match="not a parquet file"):
        read_token_parquet(tmp_path / "bad.parquet")
    parquet.write_table(pa.table({"x": [1], "y": [2]}), tmp_path / "other.parquet")
    with pytest.raises(InvalidDataError, match="expected 'tokens'; got x, y"):
        read_token_parquet(tmp_path / "other.parquet")


def test_columns_that_do_not_fit(tmp_path: Path) -> None:
    for columns in ({"x": [1, 2]}, {"tokens": [1, 2, 3]}):
        with pytest.raises(InvalidInputError, match="argument columns"):
            write_token_parquet(tmp_path / "t.parquet", ragged(DOCUMENTS), columns)
    assert not list(tmp_path.iterdir())


def test_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(BackendUnavailableError, match=r"pip install 'bigwig-loader\[tokens\]'"):
        read_token_parquet(tmp_path / "t.parquet")


def test_the_peers_file() -> None:
    path = shared_peers("gtok", "tokens.parquet")
    assert read_token_parquet(path).tokens.to_list() == (
        parquet.read_table(path).column("tokens").to_pylist()
    )
