"""Cells of AnnData: every way to store a matrix gives the same tokens."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bigwig_loader.backend.token_rows import count_row_tokens, sort_by_row
from bigwig_loader.errors import InvalidDataError, InvalidInputError, NotFoundError
from bigwig_loader.plan.overlap import Matrix
from bigwig_loader.tokens import Tokenizer, anndata
from tests.helpers.shared import shared_data
from tests.oracles import tokens as oracle
from tests.oracles.tokens import Region

UNIVERSE: list[Region] = [("chr1", 0, 100), ("chr1", 90, 200), ("chr2", 0, 50), ("chr1", 500, 600)]
FEATURES: list[Region] = [("chr1", 95, 99), ("chr9", 1, 2), ("chr2", 10, 11), ("chr1", 300, 301),
                          ("chr1", 150, 550), ("chr1", 95, 99)]  # fmt: skip
VALUES = np.array(
    [
        [1, 0, 2, 0, 0, 0],
        [0, 3, 0, 1, 0, 0],
        [0, 0, 0, 0, 0, 0],
        [1, 1, 1, 1, -1, 0.5],
        [0, 0, 0, 0, np.nan, 0],
    ],
    np.float32,
)
CELLS = tuple(f"cell{i}" for i in range(len(VALUES)))
EXPECTED = oracle.tokenize_cells(UNIVERSE, FEATURES, VALUES)


@pytest.fixture
def tokenizer(device: str) -> Tokenizer:
    chrom, start, end = zip(*UNIVERSE, strict=True)
    return Tokenizer.from_bed({"chrom": chrom, "start": start, "end": end}, device=device)


def made(matrix: Any, **layers: Any) -> Any:
    """What an AnnData object has of it."""
    var = pd.DataFrame(FEATURES, columns=["chr", "start", "end"])
    return SimpleNamespace(X=matrix, var=var, obs_names=pd.Index(CELLS), layers=layers)


def compressed(kind: str) -> Any:
    """The matrix of scipy, with zeros that are stored."""
    scipy = pytest.importorskip("scipy.sparse")
    stored = getattr(scipy, f"{kind}_matrix")(np.where(VALUES == 0, 7, VALUES))
    stored.data[stored.data == 7] = 0
    return stored


@pytest.mark.parametrize("kind", ["dense", "integers", "csr", "csc", "coo", "array"])
def test_objects(tokenizer: Tokenizer, kind: str) -> None:
    if kind == "dense":
        matrix, expected = VALUES, EXPECTED
    elif kind == "integers":
        matrix = np.nan_to_num(VALUES).astype(np.int8)
        expected = oracle.tokenize_cells(UNIVERSE, FEATURES, matrix)
    else:
        name, expected = {"array": "csr"}.get(kind, kind), EXPECTED
        matrix = compressed(name)
        if kind == "array":
            matrix = pytest.importorskip("scipy.sparse").csr_array(matrix)
    got = tokenizer.documents(made(matrix))
    assert [row.tolist() for row in got] == expected
    assert got.names == CELLS
    assert tokenizer(made(matrix), output="padded").input_ids.shape == (5, max(map(len, expected)))


@pytest.mark.parametrize("kind", ["dense", "csr"])
def test_pieces(tokenizer: Tokenizer, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anndata, "PIECE_VALUES", 7)
    got = tokenizer.documents(made(VALUES if kind == "dense" else compressed(kind)))
    assert [row.tolist() for row in got] == EXPECTED


def test_stored_order(tokenizer: Tokenizer) -> None:
    scipy = pytest.importorskip("scipy.sparse")
    matrix = scipy.csr_matrix(([1, 1, 1], [4, 0, 2], [0, 3, 3, 3, 3, 3]), shape=VALUES.shape)
    assert tokenizer.documents(made(matrix))[0].tolist() == [1, 3, 0, 1, 2]


def test_unknown_features(tokenizer: Tokenizer) -> None:
    dropped = tokenizer.tokenize_anndata(made(VALUES), unknown="drop")
    assert [row.tolist() for row in dropped] == [e if e != [4] else [] for e in EXPECTED]
    each = tokenizer.tokenize_anndata(made(VALUES), unknown="region")
    assert [row.tolist() for row in each] == [
        [0, 1, 2], [4, 4], [], [0, 1, 4, 2, 4, 1, 3, 0, 1], [1, 3],
    ]  # fmt: skip
    with pytest.raises(InvalidInputError, match="argument order"):
        tokenizer(made(VALUES), order="sorted")


def test_layers(tokenizer: Tokenizer) -> None:
    data = made(None, counts=VALUES)
    assert [r.tolist() for r in tokenizer.tokenize_anndata(data, layer="counts")] == EXPECTED
    with pytest.raises(NotFoundError, match=r"unknown layer 'count'.*counts"):
        tokenizer.tokenize_anndata(data, layer="count")
    with pytest.raises(InvalidInputError, match="5 cells and 6 features"):
        tokenizer.tokenize_anndata(data)


def test_bad_objects(tokenizer: Tokenizer) -> None:
    with pytest.raises(InvalidInputError, match="5 cells and 6 features"):
        tokenizer(made(VALUES[:, 1:]))
    with pytest.raises(InvalidInputError, match="expected numbers"):
        tokenizer(made(VALUES.astype(object)))
    data = made(VALUES)
    data.var = data.var.drop(columns="chr")
    with pytest.raises(InvalidInputError, match="AnnData var: expected the columns"):
        tokenizer(data)


def test_bad_entries() -> None:
    first, column = np.array([0, 2, 3]), np.array([0, 1, 3])
    with pytest.raises(InvalidInputError, match=r"entry 2: expected a column in \[0, 3\); got 3"):
        count_row_tokens(Matrix(first, column), np.array([0, 1, 1, 2]), n_threads=2)
    with pytest.raises(InvalidInputError, match=r"entry 2: expected a row in \[0, 3\); got 3"):
        sort_by_row(3, first, column)
    with pytest.raises(InvalidInputError, match="got -1"):
        sort_by_row(3, first, -column)


# ------------------------------------------------------------------------------------- files ----


def write_h5ad(path: Path, kind: str, old: bool = False) -> Path:
    """A file as anndata writes it."""
    h5py = pytest.importorskip("h5py")
    text = h5py.string_dtype()
    with h5py.File(path, "w") as file:
        if kind == "dense":
            file["X"] = VALUES
        else:
            matrix, group = compressed(kind), file.create_group("X")
            names = ("h5sparse_format", "h5sparse_shape") if old else ("encoding-type", "shape")
            group.attrs[names[0]] = kind if old else f"{kind}_matrix"
            group.attrs[names[1]] = VALUES.shape
            for name in ("data", "indices", "indptr"):
                group[name] = getattr(matrix, name)
        for name, index in (("obs", CELLS), ("var", [f"f{i}" for i in range(6)])):
            frame = file.create_group(name)
            frame.attrs["_index"] = "names"
            frame.create_dataset("names", data=list(index), dtype=text)
        var = file["var"]
        chrom, start, end = (list(column) for column in zip(*FEATURES, strict=True))
        contigs = sorted(set(chrom))
        codes = np.array([contigs.index(name) for name in chrom], np.int8)
        if old:
            categories = var.create_dataset("__categories/chr", data=contigs, dtype=text)
            var["chr"] = codes
            var["chr"].attrs["categories"] = categories.ref
            var.create_dataset("start", data=list(map(str, start)), dtype=text)
        else:
            var.create_group("chr").create_dataset("categories", data=contigs, dtype=text)
            var["chr/codes"] = codes
            var.create_group("start")["values"] = np.array(start)
            var["start/mask"] = np.zeros(6, bool)
        var["end"] = np.array(end, np.int32)
    return path


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("kind", ["dense", "csr", "csc"])
def test_files(tokenizer: Tokenizer, kind: str, old: bool, tmp_path: Path) -> None:
    path = write_h5ad(tmp_path / "a.h5ad", kind, old)
    for given in (path, str(path)):
        got = tokenizer.documents(given)
        assert [row.tolist() for row in got] == EXPECTED
        assert got.names == CELLS


def damage(path: Path, what: str) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "a") as file:
        if what == "no X":
            del file["X"]
        elif what == "no index":
            del file["obs/names"]
        elif what == "no var":
            del file["var"]
        elif what == "no end":
            del file["var/end"]
        elif what == "short data":
            data = file["X/data"][:-1]
            del file["X/data"]
            file["X/data"] = data
        elif what == "no indices":
            del file["X/indices"]
        elif what == "column past the end":
            file["X/indices"][3] = 6
        elif what == "indptr descends":
            file["X/indptr"][2] = 1
        elif what == "short indptr":
            indptr = file["X/indptr"][:-1]
            del file["X/indptr"]
            file["X/indptr"] = indptr
        elif what == "encoding":
            file["X"].attrs["encoding-type"] = "coo_matrix"
        elif what == "shape":
            file["X"].attrs["shape"] = (5, 7)
        elif what == "codes":
            file["var/chr/codes"][0] = 9
        elif what == "missing":
            file["var/chr/codes"][1] = -1
        elif what == "mask":
            file["var/start/mask"][1] = True
        elif what == "negative":
            file["var/end"][2] = -5


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("no X", "expected a matrix; got none"), ("no index", "obs: expected an index 'names'"),
        ("no var", "var: expected a group"), ("no end", "expected the columns"),
        ("short data", "30 and 29"), ("no indices", "without \\['indices'\\]"),
        ("column past the end", "entry 3: expected a column in \\[0, 6\\); got 6"),
        ("indptr descends", "indptr"), ("short indptr", "indptr of 6 numbers"),
        ("encoding", "'coo_matrix'"), ("shape", "5 cells and 6 features; got \\(5, 7\\)"),
        ("codes", "codes of 3 categories"), ("missing", "row 1: expected a contig name"),
        ("mask", "row 1, start"), ("negative", "row 2, end: expected a whole number >= 0; got -5"),
    ],
)  # fmt: skip
def test_damaged_files(tokenizer: Tokenizer, what: str, message: str, tmp_path: Path) -> None:
    path = write_h5ad(tmp_path / "a.h5ad", "csr")
    damage(path, what)
    with pytest.raises(InvalidDataError, match=message) as caught:
        tokenizer(path)
    assert caught.value.path == str(path)


def test_files_that_are_none(tokenizer: Tokenizer, tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    path = tmp_path / "a.h5ad"
    with pytest.raises(NotFoundError, match=r"a\.h5ad"):
        tokenizer(path)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(InvalidDataError, match=r"not an \.h5ad file"):
        tokenizer(path)
    whole = write_h5ad(tmp_path / "b.h5ad", "csr").read_bytes()
    for n in (100, 1_000, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:n])
        with pytest.raises(InvalidDataError):
            tokenizer(path)
    with pytest.raises(NotFoundError, match="unknown layer 'x'"):
        tokenizer.tokenize_anndata(tmp_path / "b.h5ad", layer="x")


def test_a_real_file() -> None:
    h5py = pytest.importorskip("h5py")
    path = shared_data("h5ad", "simba__10xpbmc_atac_subset.h5ad")
    with h5py.File(path) as file:
        var = file["var"]
        names = var["__categories/chr"].asstr()[:]
        chrom = names[var["chr"][:]].tolist()
        features = list(zip(chrom, var["start"][:].tolist(), var["end"][:].tolist(), strict=True))
        first, column = file["X/indptr"][:], file["X/indices"][:]
    universe = features[::2]
    tokenizer = Tokenizer.from_bed(pd.DataFrame(universe, columns=["chrom", "start", "end"]))
    got = tokenizer.documents(path)
    expected = [
        [token for k in column[a:b] for token in oracle.overlapping(universe, features[k])]
        for a, b in itertools.pairwise(first)
    ]
    assert sum(map(len, expected)) > 500
    assert [row.tolist() for row in got] == [row or [len(universe)] for row in expected]


@pytest.mark.parametrize("kind", ["dense", "csr", "csc"])
def test_anndata_objects(tokenizer: Tokenizer, kind: str, tmp_path: Path) -> None:
    package = pytest.importorskip("anndata")
    matrix = VALUES if kind == "dense" else compressed(kind)
    var = pd.DataFrame(FEATURES, columns=["chr", "start", "end"], index=list("abcdef"))
    obs = pd.DataFrame(index=list(CELLS))
    data = package.AnnData(matrix, obs=obs, var=var, layers={"c": matrix})
    path = tmp_path / "a.h5ad"
    data.write_h5ad(path)
    backed = package.read_h5ad(path, backed="r")
    for given in (data, path, backed):
        got = tokenizer.documents(given)
        assert [row.tolist() for row in got] == EXPECTED
        assert got.names == CELLS
        layer = tokenizer.tokenize_anndata(given, layer="c")
        assert [row.tolist() for row in layer] == EXPECTED
    some = tokenizer.documents(data[[3, 0]])
    assert [row.tolist() for row in some] == [EXPECTED[3], EXPECTED[0]]
    backed.file.close()
