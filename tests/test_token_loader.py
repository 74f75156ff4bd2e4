"""`PretokenizedDataset`: the same batches from any form of the data, by any workers and ranks."""

from __future__ import annotations

import json
import pickle
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bigwig_loader.errors import InvalidDataError, InvalidInputError, LoaderError
from bigwig_loader.ragged import offsets_of
from bigwig_loader.sampling.permutation import permute
from bigwig_loader.tokens import Documents, Tokenizer, write_store
from bigwig_loader.tokens.outputs import OutputOptions, truncate
from tests.helpers.token_documents import N_REGIONS, VOCAB, lay_out, make_documents
from tests.oracles.token_epochs import pack, pad, rows_of

torch = pytest.importorskip("torch")

from torch.utils.data import DataLoader  # noqa: E402

from bigwig_loader.tokens import (  # noqa: E402
    PretokenizedBatch,
    PretokenizedDataset,
    PretokenizedExamples,
    mask_tokens,
)

pytestmark = [
    # A machine with one core; and, from Python 3.12 on, any fork while threads are alive.
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]

PAD = N_REGIONS + 1
N = 23
DOCUMENTS = make_documents(N, 9)
LISTED = [tokens.tolist() for tokens in DOCUMENTS]
KINDS = ["memory", "gtok", "listed", "store", "parquet"]


def made(data: Any = DOCUMENTS, batch_size: int | None = 5, **options: Any) -> PretokenizedDataset:
    return PretokenizedDataset(data, batch_size, **{"pad_id": PAD, "seed": 7, **options})


def seen(batches: Any) -> list[Any]:
    """What is in batches, to compare."""
    return [
        (b.epoch, b.example_ids.tolist(), {name: x.tolist() for name, x in b.items()})
        for b in batches
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_batches_are_padded_documents(tmp_path: Path, kind: str) -> None:
    if kind == "parquet":
        pytest.importorskip("pyarrow", reason="needs pyarrow, which is not installed")
    dataset = made(lay_out(kind, DOCUMENTS, tmp_path))
    assert (len(dataset), dataset.n_documents) == (5, N)
    for epoch in range(2):
        order = permute(N, np.arange(N), 7, epoch).tolist()
        batches = list(dataset)
        assert [len(b.input_ids) for b in batches] == [5, 5, 5, 5, 3]
        for number, batch in enumerate(batches):
            documents = order[number * 5 : number * 5 + 5]
            ids, mask = pad([LISTED[d] for d in documents], PAD)
            assert batch.input_ids.tolist() == ids
            assert batch.attention_mask.tolist() == mask
            assert batch.example_ids.tolist() == documents
            assert (batch.seed, batch.epoch) == (7, epoch)
            assert {x.dtype for x in batch.values()} == {torch.long}


def test_documents_one_by_one() -> None:
    dataset = made(batch_size=None, pad_id=None)
    order = permute(N, np.arange(N), 7, 0).tolist()
    assert [tokens.tolist() for tokens in dataset] == [LISTED[d] for d in order]
    assert len(dataset) == N
    in_order = made(batch_size=None, shuffle=False, dtype=torch.int32)
    loaded = list(DataLoader(in_order, batch_size=None))
    assert [tokens.tolist() for tokens in loaded] == LISTED
    assert loaded[0].dtype == torch.int32


def test_options_of_batches() -> None:
    assert [len(b.input_ids) for b in made(drop_last=True)] == [5] * 4
    assert {b.input_ids.shape[1] for b in made(pad_to=12)} == {12}
    bounded = made(shuffle_bound=6)
    order = [d for b in bounded for d in b.example_ids.tolist()]
    assert sorted(order) == list(range(N))
    assert order != [d for b in made() for d in b.example_ids.tolist()]
    assert seen(made(shuffle_bound=N)) == seen(made())


def test_long_documents() -> None:
    documents = make_documents(12, 40, seed=2)
    long = [d for d in range(12) if len(documents[d]) > 10]
    assert len(long) > 5
    starts: dict[str, set[tuple[int, ...]]] = {}
    for truncation in ("first", "window", "sample"):
        dataset = made(documents, 4, max_length=10, truncation=truncation)
        for epoch in range(6):
            options = OutputOptions(max_length=10, truncation="sample", seed=7, epoch=epoch)
            sampled = truncate(documents, options)
            windows = []
            for batch in dataset:
                rows = zip(batch.example_ids.tolist(), batch.input_ids, strict=True)
                for d, row in rows:
                    tokens, whole = row[row != PAD].tolist(), documents[d].tolist()
                    if truncation == "first":
                        assert tokens == whole[:10]
                    elif truncation == "sample":
                        assert tokens == sampled[d].tolist()
                    else:
                        found = [i for i in range(len(whole)) if whole[i : i + 10] == tokens]
                        assert found or not whole
                        windows.append((d, found[0] if found else 0))
                        assert len(tokens) == min(len(whole), 10)
            starts.setdefault(truncation, set()).add(tuple(sorted(windows)))
    assert len(starts["window"]) == 6
    with pytest.raises(LoaderError, match=f"batch 0 .*document {long[0]}; expected at most max"):
        list(made(documents, 12, max_length=10, shuffle=False))
    with pytest.raises(LoaderError, match="expected at most pad_to=3 tokens"):
        list(made(documents, pad_to=3))


def test_windows_are_uniform_and_independent_of_the_batch() -> None:
    n = 4000
    documents = Documents(
        np.tile(np.arange(6, dtype=np.int32), n), offsets_of(np.full(n, 6, np.int64))
    )
    options = {"max_length": 3, "truncation": "window"}
    first = torch.cat([b.input_ids for b in made(documents, 500, shuffle=False, **options)])
    assert (first.diff(dim=1) == 1).all()
    counts = torch.bincount(first[:, 0], minlength=4)
    assert counts.sum() == n
    assert (counts - n / 4).abs().max() < 5 * (n * 0.25 * 0.75) ** 0.5
    shuffled = {}
    for batch in made(documents, 37, **options):
        shuffled |= dict(zip(batch.example_ids.tolist(), batch.input_ids.tolist(), strict=True))
    assert [shuffled[d] for d in range(n)] == first.tolist()


@pytest.mark.parametrize("separator", [None, PAD + 3])
@pytest.mark.parametrize("group", [4, 4096])
@pytest.mark.parametrize("length", [1, 7, 64, 500])
def test_packing(
    monkeypatch: pytest.MonkeyPatch, separator: int | None, group: int, length: int
) -> None:
    monkeypatch.setattr("bigwig_loader.dataset.tokens.packing.GROUP", group)
    options = {"packing": True, "max_length": length, "separator": separator}
    dataset = made(batch_size=4, **options)
    for epoch in range(2):
        order = permute(N, np.arange(N), 7, epoch).tolist()
        expected = pack([LISTED[d] for d in order], length, separator, PAD)
        batches = list(dataset)
        assert rows_of(batches) == expected
        ids = [i for b in batches for i in b.example_ids.tolist()]
        assert ids == list(range(len(expected)))
        assert len(batches) == len(dataset)
    per_rank = [made(batch_size=4, rank=r, world_size=2, **options) for r in range(2)]
    together = [rows_of([b]) for pair in zip(*per_rank, strict=True) for b in pair]
    whole = pack([LISTED[d] for d in permute(N, np.arange(N), 7, 0)], length, separator, PAD)
    n_even = len(whole) - len(whole) % 4
    assert [row for part in together for row in part][:n_even] == whole[:n_even]


@pytest.mark.parametrize(
    ("n_workers", "options"),
    [(1, {}), (2, {}), (3, {"persistent_workers": True})],
    ids=str,
)
def test_workers_change_nothing(tmp_path: Path, n_workers: int, options: dict[str, Any]) -> None:
    data = lay_out("store", DOCUMENTS, tmp_path)
    alone = made(data)
    loader = DataLoader(made(data), batch_size=None, num_workers=n_workers, **options)
    assert len(loader) == 5
    for _ in range(2):
        assert seen(loader) == seen(alone)
    loader.dataset.set_epoch(9)
    alone.set_epoch(9)
    assert seen(loader) == seen(alone)
    assert loader.dataset.epoch == 9
    with pytest.raises(InvalidInputError, match="expected argument batch"):
        loader.dataset.state_dict()
    state = loader.dataset.state_dict(2)
    resumed = DataLoader(made(data), batch_size=None, num_workers=n_workers)
    resumed.dataset.load_state_dict(state)
    alone.set_epoch(9)
    assert seen(resumed) == seen(alone)[2:]


def test_a_copy_for_another_process(tmp_path: Path) -> None:
    data = lay_out("store", DOCUMENTS, tmp_path)
    dataset = made(data, transform=[partial(mask_tokens, n_regions=N_REGIONS)])
    first = seen(dataset)
    assert "labels" in first[0][2]
    copied = pickle.loads(pickle.dumps(dataset))
    dataset.set_epoch(0)
    copied.set_epoch(0)
    assert seen(copied) == first == seen(dataset)


def test_ranks_share_every_batch() -> None:
    whole = seen(made(batch_size=4))
    parts = [seen(made(batch_size=4, rank=rank, world_size=2)) for rank in range(2)]
    assert len(parts[0]) == len(parts[1]) == len(whole) == 6
    for (epoch, documents, _), *slices in zip(whole, *parts, strict=True):
        joined = [d for _, ids, _ in slices for d in ids]
        assert joined[: len(documents)] == documents  # the last one is filled up
        assert {e for e, _, _ in slices} == {epoch}
    with pytest.raises(InvalidInputError, match="multiple of the 2 processes"):
        made(rank=0, world_size=2)
    with pytest.raises(InvalidInputError, match="argument seed"):
        made(batch_size=4, rank=0, world_size=2, seed=None)


@pytest.mark.parametrize("packing", [False, True])
def test_resuming_in_the_middle(packing: bool) -> None:
    options = {"packing": True, "max_length": 6} if packing else {}
    dataset = made(**options)
    first, second = seen(dataset), seen(dataset)
    for n_taken in (1, 3, len(dataset)):
        interrupted = made(**options)
        taken = iter(interrupted)
        for _ in range(n_taken):
            next(taken)
        state = json.loads(json.dumps(interrupted.state_dict()))
        resumed = made(**options)
        resumed.load_state_dict(state)
        assert seen(resumed) == first[n_taken:]
        assert seen(resumed) == second
    drawn = made(seed=None, **options)
    drawn.load_state_dict(state)
    assert drawn.seed == 7
    for other in (made(batch_size=4, **options), made(seed=8, **options)):
        with pytest.raises(InvalidInputError, match="state"):
            other.load_state_dict(state)
    with pytest.raises(InvalidInputError, match="tokens"):
        made(make_documents(N, 9, seed=1), **options).load_state_dict(state)


def test_an_epoch_left_early_is_over() -> None:
    dataset = made()
    next(iter(dataset))
    assert {epoch for epoch, _, _ in seen(dataset)} == {1}
    assert dataset.stats().n_batches >= 5


def test_the_vocabulary_is_checked(tmp_path: Path) -> None:
    universe = {"chrom": ["c"] * 20, "start": range(20), "end": range(1, 21)}
    tokenizer = Tokenizer.from_bed(universe)
    documents = make_documents(10, 5, vocab=20)
    store = write_store(tmp_path / "s", documents, tokenizer)
    known = PretokenizedDataset(store.path, 4, seed=1)
    named = PretokenizedDataset(documents, 4, seed=1, tokenizer=tokenizer)
    assert seen(known) == seen(named)
    assert (known.epochs.rows.pad_id, named.epochs.rows.pad_id) == (21, 21)
    other = Tokenizer.from_bed({**universe, "end": range(2, 22)})
    with pytest.raises(InvalidInputError, match="expected tokens of the universe"):
        PretokenizedDataset(store.path, tokenizer=other)
    with pytest.raises(InvalidInputError, match="argument vocab_size: expected 27"):
        PretokenizedDataset(store.path, tokenizer=tokenizer, vocab_size=5)
    data = lay_out("gtok", documents, tmp_path)
    worst = next(d for d in range(10) if documents[d].max(initial=0) >= 15)
    with pytest.raises(LoaderError, match=rf"{worst:05d}\.gtok .*below 15") as caught:
        list(made(data, vocab_size=15, shuffle=False))
    assert isinstance(caught.value.__cause__, InvalidDataError)
    with pytest.raises(LoaderError, match=r"packed row 0\); expected below 2"):
        list(made(data, vocab_size=2, packing=True, max_length=100))
    # Padding is no token of a document.
    assert len(list(made(documents, vocab_size=20))) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"packing": True}, "argument max_length: expected a number with packing"),
        ({"truncation": "window"}, "argument max_length"),
        ({"truncation": "last"}, "argument truncation"),
        ({"packing": True, "max_length": 4, "truncation": "first"}, "argument packing"),
        ({"packing": True, "max_length": 4, "pad_to": 4}, "argument packing"),
        ({"separator": 3}, "argument separator"),
        ({"max_length": 0}, "argument max_length"),
        ({"max_length": 1 << 21, "truncation": "sample"}, "at most 1048576"),
        ({"batch_size": None, "packing": True, "max_length": 3}, "argument batch_size"),
        ({"batch_size": None, "transform": print}, "argument batch_size"),
        ({"dtype": torch.int16}, "argument dtype"),
        ({"shuffle_bound": 0}, "shuffle_bound"),
        ({"vocab_size": 0}, "vocab_size"),
        ({"rank": 0}, "rank and world_size"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        made(**options)


def test_data_that_is_none(tmp_path: Path) -> None:
    for data, message in (
        (make_documents(0, 3), "expected documents with tokens"),
        ([], "an empty list"),
        (["a.bed"], "expected a list of .gtok files; got 'a.bed'"),
        (3, "argument data: expected a folder"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            made(data)
    empty = Documents(np.zeros(0, np.int32), np.zeros(3, np.int64))
    with pytest.raises(InvalidInputError, match="2 documents with 0 tokens"):
        made(empty, packing=True, max_length=4)
    assert [b.input_ids.shape for b in made(empty, 2)] == [(2, 0)]
    with pytest.raises(LoaderError, match="argument pad_id"):
        list(made(pad_id=None))
    bed = tmp_path / "a.bed"
    bed.write_text("")
    with pytest.raises(InvalidInputError, match=r"\.parquet file"):
        made(bed)


def test_a_file_that_is_damaged_later(tmp_path: Path) -> None:
    data = lay_out("gtok", DOCUMENTS, tmp_path)
    dataset = made(data, shuffle=False)
    path = data / "00007.gtok"
    path.write_bytes(path.read_bytes() + b"\0\0")
    batches = iter(dataset)
    next(batches)
    with pytest.raises(LoaderError, match=r"batch 1 of epoch 0 \(documents 5, 6, .*00007\.gtok"):
        next(batches)


def test_a_batch_is_a_mapping() -> None:
    batch = next(iter(made()))
    assert dict(**batch).keys() == {"input_ids", "attention_mask"}
    moved = batch.to("cpu")
    assert isinstance(moved, PretokenizedBatch)
    assert (moved.seed, moved.epoch) == (batch.seed, batch.epoch)
    copied = batch.__copy__()
    copied["labels"] = batch.input_ids
    del copied["attention_mask"]
    assert set(copied) == {"input_ids", "labels"}
    assert set(batch) == {"input_ids", "attention_mask"}
    assert copied.example_ids is batch.example_ids


@pytest.mark.parametrize("n_workers", [0, 2])
def test_map_style(tmp_path: Path, n_workers: int) -> None:
    data = lay_out("store", DOCUMENTS, tmp_path)
    examples = PretokenizedExamples(
        data, pad_id=PAD, seed=7, max_length=5, truncation="window", vocab_size=VOCAB
    )
    assert len(examples) == N
    iterable = made(data, 5, max_length=5, truncation="window", shuffle=False)
    loader = DataLoader(examples, 5, collate_fn=examples.collate, num_workers=n_workers)
    for epoch in range(2):
        examples.set_epoch(epoch)
        assert seen(loader) == seen(iterable)
    one = examples[(0, -1)]
    assert (one["example_id"], one["epoch"]) == (N - 1, 0)
    batch = examples.collate([examples[(0, 4)], one])
    assert batch.input_ids.tolist() == pad(
        [examples[(0, 4)]["input_ids"].tolist(), one["input_ids"].tolist()], PAD
    )[0]  # fmt: skip
    with pytest.raises(IndexError):
        examples[N]
    with pytest.raises(InvalidInputError, match="one epoch"):
        examples.collate([examples[(0, 4)], examples[(1, 4)]])
    with pytest.raises(InvalidDataError, match=r"document \d+ .*expected below 2"):
        PretokenizedExamples(DOCUMENTS, vocab_size=2).__getitems__(range(N))
