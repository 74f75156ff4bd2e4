"""Ragged, padded and packed arrays, and documents cut to a length."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.tokens import Documents, TokenBatch
from bigwig_loader.tokens.outputs import OutputOptions, shape_documents, truncate
from bigwig_loader.tokens.tokenizer import Tokenizer
from tests.oracles import tokens as oracle

ROWS = [[3, 1, 4], [], [5], [9, 2, 6, 5, 3]]
NAMES = ("a", "b", "c", "d")


def documents(rows: list[list[int]], names: tuple[str, ...] | None = None) -> Documents:
    values = np.array([token for row in rows for token in row], np.int32)
    return Documents(values, np.cumsum([0, *map(len, rows)]), names)


def shaped(**options: Any) -> TokenBatch:
    return shape_documents(documents(ROWS, NAMES), OutputOptions(**options), pad_id=0)


def test_ragged() -> None:
    batch = shaped()
    assert list(batch) == ["input_ids", "offsets"]
    assert batch.input_ids.tolist() == [token for row in ROWS for token in row]
    assert batch["offsets"].tolist() == [0, 3, 3, 4, 9]
    assert (batch.input_ids.dtype, batch.offsets.dtype) == (np.int32, np.int64)
    assert batch.names == NAMES


def test_padded() -> None:
    batch = shaped(output="padded")
    wanted = [[3, 1, 4, 0, 0], [0] * 5, [5, 0, 0, 0, 0], ROWS[3]]
    assert batch.input_ids.tolist() == wanted
    assert batch.attention_mask.tolist() == [[1] * len(r) + [0] * (5 - len(r)) for r in ROWS]
    wider = shaped(output="padded", pad_to=7, dtype="int64")
    assert wider.input_ids.shape == wider.attention_mask.shape == (4, 7)
    assert wider.input_ids.dtype == wider.attention_mask.dtype == np.int64
    with pytest.raises(InvalidInputError, match=r"document 3 \(d\).*pad_to=4 tokens; got 5"):
        shaped(output="padded", pad_to=4)


def test_packed() -> None:
    batch = shaped(output="packed")
    assert list(batch) == ["input_ids", "cu_seqlens", "max_seqlen"]
    assert batch.cu_seqlens.tolist() == [0, 3, 3, 4, 9]
    assert batch.cu_seqlens.dtype == np.int32
    assert batch.max_seqlen == 5


def test_documents_are_checked() -> None:
    values = np.zeros(3, np.int32)
    with pytest.raises(InvalidInputError, match="offsets"):
        Documents(values, np.array([0, 2]))
    with pytest.raises(InvalidInputError, match="a name for each of 1; got 2"):
        Documents(values, np.array([0, 3]), ("a", "b"))


@pytest.mark.parametrize("output", ["ragged", "padded", "packed"])
def test_no_documents(output: Any) -> None:
    batch = shape_documents(documents([]), OutputOptions(output=output), 0)
    assert batch.input_ids.size == 0


def test_batches_are_mappings() -> None:
    def model(input_ids: Any, attention_mask: Any) -> int:
        return int((input_ids * attention_mask).sum())

    batch = shaped(output="padded")
    assert model(**batch) == sum(map(sum, ROWS))
    assert len(batch) == 2
    assert repr(batch) == "TokenBatch(input_ids=(4, 5), attention_mask=(4, 5))"
    with pytest.raises(AttributeError, match="no 'offsets'"):
        _ = batch.offsets
    again = pickle.loads(pickle.dumps(batch))
    assert again.names == NAMES
    np.testing.assert_array_equal(again.input_ids, batch.input_ids)


def test_nothing_is_cut_without_asking() -> None:
    with pytest.raises(InvalidInputError, match=r"document 0 \(a\).*max_length=2 tokens; got 3"):
        shaped(max_length=2)
    assert shaped(max_length=5).input_ids.tolist() == shaped().input_ids.tolist()


def test_first() -> None:
    batch = shaped(max_length=2, truncation="first")
    assert batch.offsets.tolist() == [0, 2, 2, 3, 5]
    assert batch.input_ids.tolist() == [3, 1, 5, 9, 2]


def sample(rows: list[list[int]], size: int, index: Any = None, **options: Any) -> list[list[int]]:
    chosen = OutputOptions(max_length=size, truncation="sample", **options)
    return [row.tolist() for row in truncate(documents(rows), chosen, index)]


@pytest.mark.parametrize("size", [1, 3, 50, 99, 100, 101])
def test_sample_equals_the_oracle(size: int) -> None:
    rows = [list(range(n)) for n in (100, 0, 3, 101, 7)]
    got = sample(rows, size, seed=2**63, epoch=7, index=np.array([5, 6, 7, 2**40, 9]))
    numbers = [5, 6, 7, 2**40, 9]
    assert got == [
        row if len(row) <= size else oracle.subset(len(row), size, 2**63, 7, number)
        for row, number in zip(rows, numbers, strict=True)
    ]


def test_a_subset_depends_on_seed_epoch_and_number_alone() -> None:
    row = list(range(200))
    base = sample([row], 20, seed=1)[0]
    assert sample([[1, 2], row, row], 20, np.array([3, 0, 0]), seed=1)[1:] == [base, base]
    options = OutputOptions(max_length=20, truncation="sample", seed=1)
    assert truncate(documents([row]), options, n_threads=4)[0].tolist() == base
    others = [sample([row], 20, seed=2)[0], sample([row], 20, seed=1, epoch=1)[0]]
    others.append(sample([row], 20, np.array([1]), seed=1)[0])
    assert len({tuple(s) for s in [base, *others]}) == 4


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_subsets_are_equally_likely(size: int) -> None:
    n = 30_000
    rows = sample([list(range(5))] * n, size, seed=3)
    assert all(row == sorted(set(row)) and len(row) == size for row in rows)
    kinds, counts = np.unique(np.array(rows), axis=0, return_counts=True)
    expected = n / len(kinds)
    assert len(kinds) == {1: 5, 2: 10, 3: 10, 4: 5}[size]
    assert ((counts - expected) ** 2 / expected).sum() < 35  # 9 degrees of freedom: p = 6e-5


def test_torch() -> None:
    torch = pytest.importorskip("torch")
    tokenizer = Tokenizer.from_bed({"chrom": ["a", "a"], "start": [0, 5], "end": [9, 9]})
    regions = [[("a", 0, 9)], [("b", 1, 2)]]
    batch = tokenizer(regions, output="padded", return_tensors="pt")
    assert batch.input_ids.dtype == batch.attention_mask.dtype == torch.long
    assert batch.input_ids.tolist() == [[0, 1], [2, 3]]
    assert batch.attention_mask.tolist() == [[1, 1], [1, 0]]
    packed = tokenizer(regions, output="packed", return_tensors="pt", dtype="int32")
    assert packed.input_ids.dtype == packed.cu_seqlens.dtype == torch.int32
    assert packed.max_seqlen == 2
