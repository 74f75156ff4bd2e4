"""What may be given to a tokenizer, and what comes out, against the quadratic oracle."""

from __future__ import annotations

import gzip
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigwig_loader.errors import InvalidDataError, InvalidInputError, NotFoundError
from bigwig_loader.tokens import Tokenizer
from tests.oracles import tokens as oracle
from tests.oracles.tokens import Region

UNIVERSE: list[Region] = [
    ("chr2", 100, 200), ("chr1", 100, 200), ("chr1", 150, 400), ("chr10", 0, 50), ("chr1", 0, 1000),
]  # fmt: skip
REGIONS: list[Region] = [
    ("chr2", 150, 160), ("chr9", 1, 5), ("chr1", 350, 360), ("chr10", 49, 51), ("chr1", 10, 20),
    ("chr1", 10, 12), ("chr1", 5000, 5001),
]  # fmt: skip
# By contig as text and start: chr1, chr10, chr2.
KEPT, SORTED = [0, 4, 2, 3, 4, 4], [4, 4, 4, 2, 3, 0]
UNK, PAD = 5, 6


@pytest.fixture
def tokenizer(device: str) -> Tokenizer:
    chrom, start, end = zip(*UNIVERSE, strict=True)
    return Tokenizer.from_bed({"chrom": chrom, "start": start, "end": end}, device=device)


def columns(kind: str) -> dict[str, Any]:
    chrom, start, end = (list(column) for column in zip(*REGIONS, strict=True))
    objects = np.array(chrom, object)
    return {
        "lists": {"chrom": chrom, "start": start, "end": end},
        "arrays": {"chr": objects, "start": np.array(start), "end": np.array(end, np.uint64)},
        "fixed width": {"chrom": np.array(chrom), "start": np.array(start, np.int32), "end": end},
        "floats": {"chrom": objects, "start": np.array(start, float), "end": end},
        "digits": {"chrom": objects, "start": np.array(start, str), "end": list(map(str, end))},
    }[kind]


@pytest.mark.parametrize("kind", ["lists", "arrays", "fixed width", "floats", "digits"])
def test_columns(tokenizer: Tokenizer, kind: str) -> None:
    for table in (columns(kind), pd.DataFrame(columns(kind))):
        assert tokenizer(table).input_ids.tolist() == KEPT
        assert tokenizer(table, order="sorted").input_ids.tolist() == SORTED


def test_frames(tokenizer: Tokenizer) -> None:
    frame = pd.DataFrame(REGIONS, columns=["chrom", "start", "end"], index=range(7, 0, -1))
    frame["name"] = "x"
    nullable = frame.astype({"start": "Int64", "end": "Int64", "chrom": "category"})
    text = frame.astype({"chrom": "string"})
    for regions in (frame, nullable, text, frame[::-1][::-1]):
        assert tokenizer(regions).input_ids.tolist() == KEPT
    nullable.loc[3, "start"] = pd.NA
    with pytest.raises(InvalidInputError, match="row 4, start: expected a whole number"):
        tokenizer(nullable)
    frame.loc[3, "chrom"] = None
    with pytest.raises(InvalidInputError, match="row 4: expected a contig name"):
        tokenizer(frame)
    assert tokenizer(frame[:0]).input_ids.tolist() == [UNK]


def test_lists(tokenizer: Tokenizer) -> None:
    objects = [SimpleNamespace(chr=c, start=s, end=e, rest="") for c, s, e in REGIONS]
    longer = [(*region, "name", 5) for region in REGIONS]
    for regions in (REGIONS, [list(region) for region in REGIONS], longer, objects, iter(REGIONS)):
        assert tokenizer(regions).input_ids.tolist() == KEPT
    assert tokenizer(REGIONS, order="sorted").input_ids.tolist() == SORTED
    assert tokenizer([]).input_ids.tolist() == [UNK]
    assert tokenizer([(1, 2, 3)]).input_ids.tolist() == [UNK]


def test_files(tokenizer: Tokenizer, tmp_path: Path) -> None:
    text = "".join(f"{c}\t{s}\t{e}\n" for c, s, e in REGIONS)
    plain, packed = tmp_path / "a.bed", tmp_path / "b.bed.gz"
    plain.write_text(text)
    packed.write_bytes(gzip.compress(text.encode()))
    for path in (plain, str(plain), packed):
        assert tokenizer(path).input_ids.tolist() == SORTED
        assert tokenizer(path, order="input").input_ids.tolist() == KEPT
        assert tokenizer(path).names == (str(path),)
        assert tokenizer.tokenize(path)[3:] == ["chr1:150-400", "chr10:0-50", "chr2:100-200"]
    both = tokenizer.documents([plain, packed])
    assert [row.tolist() for row in both] == [SORTED, SORTED]
    assert both.names == (str(plain), str(packed))


def test_documents(tokenizer: Tokenizer, tmp_path: Path) -> None:
    path = tmp_path / "a.bed"
    path.write_text("chr9\t1\t2\n")
    frame = pd.DataFrame(REGIONS, columns=["chrom", "start", "end"])
    documents = [REGIONS[3:4], [], frame, path, {"chrom": ["chr2"], "start": [0], "end": [101]}]
    got = tokenizer.documents(documents)
    assert [row.tolist() for row in got] == [[3], [UNK], KEPT, [UNK], [0]]
    assert got.names is None
    assert len(got) == 5
    assert got.to_ragged().to_list() == [[3], [UNK], KEPT, [UNK], [0]]
    dropped = tokenizer.documents(documents, unknown="drop")
    assert [row.tolist() for row in dropped] == [[3], [], KEPT, [], [0]]
    each = tokenizer.documents(documents, unknown="region")
    unknown = [0, UNK, 4, 2, 3, 4, 4, UNK]
    assert [row.tolist() for row in each] == [[3], [], unknown, [UNK], [0]]
    assert got[-1].tolist() == [0]
    with pytest.raises(IndexError, match="document 5 of 5"):
        got[5]


def test_fragments(tokenizer: Tokenizer, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    barcodes = [f"cell{i}" for i in rng.integers(0, 40, 500)]
    regions = [REGIONS[i] for i in rng.integers(0, len(REGIONS), 500)]
    rows = zip(regions, barcodes, strict=True)
    path = tmp_path / "fragments.tsv.gz"
    text = "# comment\n" + "".join(f"{c}\t{s}\t{e}\t{b}\t1\n" for (c, s, e), b in rows)
    path.write_bytes(gzip.compress(text.encode()))
    got = tokenizer.documents(path)
    names = tuple(dict.fromkeys(barcodes))
    assert got.names == names
    cells = [[r for r, b in zip(regions, barcodes, strict=True) if b == name] for name in names]
    expected = oracle.tokenize(UNIVERSE, cells, "region")
    assert [row.tolist() for row in got] == expected
    by_start = oracle.tokenize(UNIVERSE, cells, "document", "sorted")
    sorted_cells = tokenizer.documents(path, unknown="document", order="sorted")
    assert [row.tolist() for row in sorted_cells] == by_start
    with pytest.raises(InvalidInputError, match="document 0: expected a BED file"):
        tokenizer([path, path])


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Region], list[list[Region]]]:
    contig, position = st.sampled_from(["chr1", "chr10", "chr2"]), st.integers(0, 60)
    region = st.tuples(contig, position, st.integers(0, 25))
    universe = draw(st.lists(region, min_size=1, max_size=30, unique=True))
    query = st.tuples(st.sampled_from(["chr1", "chr10", "chr2", "chrX"]), position, position)
    documents = draw(st.lists(st.lists(query, max_size=8), min_size=1, max_size=6))
    return [(c, s, s + w) for c, s, w in universe], documents


UNKNOWN = st.sampled_from(["document", "region", "drop"])
ORDER = st.sampled_from(["input", "sorted"])


def test_equals_the_oracle(device: str) -> None:
    @settings(max_examples=60 if device == "cpu" else 15)
    @given(worlds(), UNKNOWN, ORDER)
    def check(world: tuple[list[Region], list[list[Region]]], unknown: Any, order: Any) -> None:
        check_world(device, world, unknown, order)

    check()


def check_world(
    device: str, world: tuple[list[Region], list[list[Region]]], unknown: Any, order: Any
) -> None:
    universe, documents = world
    chrom, start, end = zip(*universe, strict=True)
    rows = {"chrom": chrom, "start": start, "end": end}
    tokenizer = Tokenizer.from_bed(rows, n_threads=2, device=device)
    tables = [
        {"chrom": [r[0] for r in d], "start": [r[1] for r in d], "end": [r[2] for r in d]}
        for d in documents
    ]
    got = tokenizer.documents(tables, unknown, order)
    assert [row.tolist() for row in got] == oracle.tokenize(universe, documents, unknown, order)


@pytest.mark.parametrize(
    ("regions", "message"),
    [
        ([("chr1", 1)], "row 0: expected \\(contig, start, end\\)"),
        ([("chr1", 1, 2), ("chr1", -1, 2)], "row 1, start: expected a whole number >= 0; got -1"),
        ([("chr1", 1, 2), ("chr1", 1, 2.5)], "row 1, end: expected a whole number >= 0; got 2.5"),
        ([("chr1", 1, 2), ("chr1", 1, True)], "row 1, end"),
        ([("chr1", 1, 2), ("chr1", 1, 2**63)], "row 1, end"),
        ([("chr1", 1, 2), (None, 1, 2)], "row 1: expected a contig name; got None"),
        ([("chr1", 1, 2), ("", 1, 2)], "row 1: expected a contig name; got ''"),
        ([("chr1", 1, 2), (["chr1"], 1, 2)], "contig names"),
        ([("chr1", 1, 2), "chr1:1-2"], "row 1: expected"),
        ([[("chr1", 1, 2)], 5], "document 1: expected a path"),
        (5, "expected a path, a DataFrame"),
        (b"chr1", "got bytes"),
        ({"chrom": ["a"], "start": [1]}, "expected the columns"),
        (pd.DataFrame({"chrom": ["a"], "from": [1], "end": [2]}), "expected the columns"),
        ({"chrom": ["a"], "start": [1], "end": [2, 3]}, "expected columns of one length"),
    ],
)
def test_bad_regions(tokenizer: Tokenizer, regions: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        tokenizer(regions)


def test_bad_files(tokenizer: Tokenizer, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"none\.bed"):
        tokenizer(tmp_path / "none.bed")
    empty = tmp_path / "empty.bed"
    empty.write_text("#\n")
    with pytest.raises(InvalidDataError, match="without any region"):
        tokenizer([empty])


@pytest.mark.parametrize(
    "options",
    [
        {"unknown": "keep"}, {"order": "random"}, {"return_tensors": "tf"}, {"output": "dense"},
        {"truncation": "last"}, {"max_length": 0}, {"pad_to": 4}, {"dtype": "int16"},
        {"truncation": "first"}, {"truncation": "sample", "max_length": 4},
        {"truncation": "sample", "max_length": 4, "seed": -1},
        {"truncation": "sample", "max_length": 2**20 + 1, "seed": 1}, {"epoch": -1},
    ],
    ids=str,
)  # fmt: skip
def test_bad_options(tokenizer: Tokenizer, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match="argument"):
        tokenizer(REGIONS, **options)


def test_threads_have_to_be_some() -> None:
    with pytest.raises(InvalidInputError, match="n_threads"):
        Tokenizer.from_bed({"chrom": ["a"], "start": [1], "end": [2]}, n_threads=0)


def test_device_has_to_be_one() -> None:
    with pytest.raises(InvalidInputError, match=r"argument device: .* got 'gpu'"):
        Tokenizer.from_bed({"chrom": ["a"], "start": [1], "end": [2]}, device="gpu")


def test_pickle_keeps_the_device(tokenizer: Tokenizer, device: str, tmp_path: Path) -> None:
    tokenizer.save(tmp_path / "t.toml")
    for made in (tokenizer, Tokenizer.from_config(tmp_path / "t.toml", device=device)):
        assert made(REGIONS).input_ids.tolist() == KEPT
        again = pickle.loads(pickle.dumps(made))
        assert again.device == device
        assert not {"_backend", "_search"} & vars(again).keys()  # opened when they are needed
        assert again(REGIONS).input_ids.tolist() == KEPT


def test_cupy_arrays(tokenizer: Tokenizer, device: str) -> None:
    if device == "cpu":
        with pytest.raises(InvalidInputError, match=r"return_tensors: .* device='cuda'"):
            tokenizer(REGIONS, return_tensors="cp")
        return
    import cupy

    for output in ("ragged", "padded", "packed"):
        host = tokenizer([REGIONS, []], output=output)
        batch = tokenizer([REGIONS, []], output=output, return_tensors="cp")
        assert batch.keys() == host.keys()
        for name, wanted in host.items():
            if isinstance(wanted, int):
                assert batch[name] == wanted
            else:
                assert isinstance(batch[name], cupy.ndarray)
                assert batch[name].device.id == int(device == "cuda:1")
                assert batch[name].dtype == wanted.dtype
                np.testing.assert_array_equal(cupy.asnumpy(batch[name]), wanted)
    nothing = tokenizer([], unknown="drop", return_tensors="cp")
    assert nothing.input_ids.shape == (0,)


def test_special_tokens_mask(tokenizer: Tokenizer) -> None:
    assert tokenizer.get_special_tokens_mask(["<pad>", "chr1:0-1000", 4, 5]) == [
        True, False, False, True,
    ]  # fmt: skip
    assert tokenizer.convert_ids_to_tokens(4) == "chr1:0-1000"
    assert tokenizer.convert_ids_to_tokens([4, 5]) == ["chr1:0-1000", "<unk>"]
    assert tokenizer.convert_tokens_to_ids("chr1:0-1000") == 4
    assert tokenizer.convert_tokens_to_ids(["chr1:0-1000", "x"]) == [4, 5]
    assert tokenizer.decode(4) == ["chr1:0-1000"]
    assert (tokenizer.pad_token, tokenizer.pad_token_id) == ("<pad>", PAD)
