"""Masking, replacing and skip-gram pairs: shares, exactness, and what the numbers depend on."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.sampling.rng import Stream, philox4x32, random_u64
from tests.oracles.token_epochs import pairs

torch = pytest.importorskip("torch")

from bigwig_loader.token_masking import token_words  # noqa: E402
from bigwig_loader.tokens import (  # noqa: E402
    PretokenizedBatch,
    mask_tokens,
    replace_tokens,
    skip_gram_pairs,
)

U = 50
UNK, PAD, MASK, CLS = U, U + 1, U + 2, U + 3
Task = Callable[..., PretokenizedBatch]

TASKS = {
    "bernoulli": partial(mask_tokens, n_regions=U, rate=0.4),
    "exact": partial(mask_tokens, n_regions=U, rate=0.4, positions="exact"),
    "replace": partial(replace_tokens, n_regions=U, rate=0.4),
    "pairs": partial(skip_gram_pairs, n_regions=U, window=2, shuffle=True, shrink=True),
}


def make_batch(
    n_rows: int = 6, width: int = 40, seed: int = 3, epoch: int = 1, first: int = 0
) -> PretokenizedBatch:
    """Rows that begin with cls and end with padding, with an unk here and there."""
    rows = []
    for row in range(first, first + n_rows):
        rng = np.random.default_rng(row)
        ids = rng.integers(0, U, width)
        ids[rng.random(width) < 0.1] = UNK
        ids[0] = CLS
        ids[width - row % 5 :] = PAD
        rows.append(ids)
    ids = torch.from_numpy(np.stack(rows))
    arrays = {"input_ids": ids, "attention_mask": (ids != PAD).long()}
    return PretokenizedBatch(arrays, torch.arange(first, first + n_rows), seed, epoch)


def test_words_are_those_of_the_library() -> None:
    seed, epoch, n = 0xFEDC_BA98_7654_3210, 4_000_000_000, 300
    examples = torch.tensor([0, 1, 2**40 + 5])
    words = token_words(seed, epoch, examples, n, use=2)
    place = np.arange(n)
    for row, example in enumerate(examples.tolist()):
        counter = np.empty((n, 4), np.uint32)
        counter[:, 0], counter[:, 1] = example & 0xFFFFFFFF, example >> 32
        counter[:, 2], counter[:, 3] = epoch, int(Stream.TOKEN) << 28 | place << 8 | 2
        expected = philox4x32(counter, (seed & 0xFFFFFFFF, seed >> 32))
        for i in range(4):
            assert words[i][row].tolist() == expected[:, i].tolist()
        as_u64 = random_u64(seed, epoch, example, stream=Stream.TOKEN, lane=place, redraw=2)
        assert [h << 32 | low for low, h in zip(words[0][row].tolist(), words[1][row].tolist(),
                                                strict=True)] == as_u64.tolist()  # fmt: skip


@pytest.mark.parametrize("positions", ["bernoulli", "exact"])
def test_masking(positions: Any) -> None:
    batch = make_batch(400, 60)
    rate, mask, random = 0.3, 0.6, 0.25
    made = mask_tokens(batch, U, rate, mask, random, positions)
    before, after, labels = batch.input_ids, made.input_ids, made.labels
    chosen = labels != -100
    assert labels.dtype == torch.long
    assert torch.equal(labels[chosen], before[chosen])
    assert torch.equal(after[~chosen], before[~chosen])
    region = before < U
    assert not (chosen & ~region).any()
    assert ((after < U) | (after == MASK))[chosen].all()
    n = region.sum(1).tolist()
    if positions == "exact":
        assert chosen.sum(1).tolist() == [math.ceil(k * rate) for k in n]
    total = sum(n)
    assert abs(int(chosen.sum()) / total - rate) < 0.02
    assert abs(float((after == MASK)[chosen].float().mean()) - mask) < 0.02
    changed = (after != before)[chosen] & (after != MASK)[chosen]
    assert abs(float(changed.float().mean()) - random * (U - 1) / U) < 0.02
    # No place is likelier than another.
    share = chosen[:, 1:50].sum(0) / region[:, 1:50].sum(0)
    assert float((share - rate).abs().max()) < 5 * math.sqrt(rate * (1 - rate) / 300)
    # The other arrays stay, and the batch that was given too.
    assert torch.equal(made.attention_mask, batch.attention_mask)
    assert "labels" not in batch


def test_shares_of_all_or_nothing() -> None:
    batch = make_batch()
    region = batch.input_ids < U
    for positions in ("bernoulli", "exact"):
        make: Task = partial(mask_tokens, batch, U, positions=positions)
        assert torch.equal(make(rate=1, mask=1, random=0).input_ids == MASK, region)
        assert torch.equal(make(rate=1, mask=0, random=0).input_ids, batch.input_ids)
        assert (make(rate=0).labels == -100).all()
        drawn = make(rate=1, mask=0, random=1).input_ids
        assert (drawn[region] < U).all()
        assert torch.equal(drawn[~region], batch.input_ids[~region])
    assert (mask_tokens(batch, U, 1.0, 1.0, 0.0, mask_id=99).input_ids == 99).sum() == region.sum()


def test_drawn_tokens_are_uniform() -> None:
    batch = make_batch(1000, 60)
    made = replace_tokens(batch, U, rate=1)
    region = batch.input_ids < U
    counts = torch.bincount(made.input_ids[region], minlength=U).double()
    assert len(counts) == U
    expected = float(counts.sum()) / U
    assert float((counts - expected).abs().max()) < 5 * math.sqrt(expected)
    few = replace_tokens(batch, 3, rate=1).input_ids
    assert set(few[batch.input_ids < 3].tolist()) == {0, 1, 2}


def test_replacing() -> None:
    batch = make_batch(400, 60)
    made = replace_tokens(batch, U, rate=0.2)
    changed = made.input_ids != batch.input_ids
    assert torch.equal(made.labels, changed.long())
    region = batch.input_ids < U
    assert not (changed & ~region).any()
    assert abs(int(changed.sum()) / int(region.sum()) - 0.2 * (U - 1) / U) < 0.02


@pytest.mark.parametrize("name", TASKS)
def test_numbers_depend_on_seed_epoch_and_example_only(name: str) -> None:
    task = TASKS[name]

    def rows(batch: PretokenizedBatch) -> list[Any]:
        ones = [
            PretokenizedBatch({k: v[i : i + 1] for k, v in batch.items()},
                              batch.example_ids[i : i + 1], batch.seed, batch.epoch)
            for i in range(len(batch.input_ids))
        ]  # fmt: skip
        return [{k: v.flatten().tolist() for k, v in task(one).items()} for one in ones]

    batch = make_batch(8)
    whole, alone = task(batch), rows(batch)
    for key in whole:
        joined = [x for row in alone for x in row[key]]
        assert whole[key].flatten().tolist() == joined
    assert rows(make_batch(3, first=5)) == alone[5:]
    assert rows(make_batch(8, seed=4)) != alone
    assert rows(make_batch(8, epoch=2)) != alone
    as_int32 = batch.replace(input_ids=batch.input_ids.int())
    assert [v.tolist() for v in task(as_int32).values()] == [v.tolist() for v in whole.values()]


@pytest.mark.parametrize("name", ["bernoulli", "exact", "replace"])
def test_everything_is_made_where_the_batch_is(name: str) -> None:
    # Tensors of this device have no values, and cannot be mixed with those of another one.
    made = TASKS[name](make_batch(4).to("meta"))
    assert {v.device.type for v in made.values()} == {"meta"}


@pytest.mark.gpu
@pytest.mark.parametrize("name", TASKS)
def test_a_gpu_makes_the_same(name: str) -> None:
    batch = make_batch(32)
    on_gpu = TASKS[name](batch.to("cuda"))
    assert {v.device.type for v in on_gpu.values()} == {"cuda"}
    for key, value in TASKS[name](batch).items():
        assert on_gpu[key].cpu().tolist() == value.tolist()


@pytest.mark.parametrize("window", [1, 2, 7, 100])
@pytest.mark.parametrize("packed", [False, True])
def test_pairs(window: int, packed: bool) -> None:
    batch = make_batch(5, 30)
    segments = None
    if packed:
        segments = 1 + (torch.arange(30) // 11).expand(5, 30)
        batch = batch.replace(segment_ids=segments)
    made = skip_gram_pairs(batch, U, window)
    expected = []
    for number, row in enumerate(batch.input_ids.tolist()):
        of_row = None if segments is None else segments[number].tolist()
        expected += pairs(row, U, [window] * 30, of_row)
    assert list(zip(made.centers.tolist(), made.contexts.tolist(), strict=True)) == expected
    assert set(made) == {"centers", "contexts"}


def test_shuffled_pairs() -> None:
    ids = torch.arange(40).reshape(2, 20)
    batch = PretokenizedBatch({"input_ids": ids}, torch.tensor([4, 9]), 1, 0)
    made = skip_gram_pairs(batch, U, 1, shuffle=True)
    found = list(zip(made.centers.tolist(), made.contexts.tolist(), strict=True))
    # Tokens all differ, so the pairs of a window of 1 are a path through each row.
    assert len(found) == 2 * 2 * 19
    assert all(a // 20 == b // 20 for a, b in found)
    ends = Counter(Counter(a for a, _ in found).values())
    assert ends == {1: 4, 2: 36}
    assert sum(abs(a - b) == 1 for a, b in found) < 30
    # Special tokens go to the end and part nothing; documents of a packed row stay apart.
    ids = torch.tensor([[0, 1, UNK, 2, 3, 4, 5, 6, 7, PAD]])
    segments = torch.tensor([[1, 1, 1, 1, 1, 2, 2, 2, 2, 0]])
    batch = PretokenizedBatch({"input_ids": ids, "segment_ids": segments}, torch.tensor([0]), 1, 0)
    for epoch in range(5):
        batch.epoch = epoch
        made = skip_gram_pairs(batch, U, 1, shuffle=True)
        found = list(zip(made.centers.tolist(), made.contexts.tolist(), strict=True))
        assert len(found) == 12
        assert all((a < 4) == (b < 4) for a, b in found)


def test_shrunk_pairs() -> None:
    n = 2000
    ids = torch.arange(n)[None]
    made = skip_gram_pairs(
        PretokenizedBatch({"input_ids": ids}, torch.tensor([0]), 1, 0), n, 4, shrink=True
    )
    distance = (made.contexts - made.centers).tolist()
    reach = Counter()
    for center, step in zip(made.centers.tolist(), distance, strict=True):
        reach[center] = max(reach[center], abs(step))
    listed = pairs(list(range(n)), n, [reach[i] for i in range(n)])
    assert list(zip(made.centers.tolist(), made.contexts.tolist(), strict=True)) == listed
    windows = Counter(reach.values())
    assert set(windows) == {1, 2, 3, 4}
    assert max(abs(k - n / 4) for k in windows.values()) < 5 * math.sqrt(n * 0.25 * 0.75)


def test_padding_that_is_a_region() -> None:
    ids = torch.tensor([[5, 6, 0, 0]])
    arrays = {"input_ids": ids, "attention_mask": torch.tensor([[1, 1, 0, 0]])}
    batch = PretokenizedBatch(arrays, torch.tensor([0]), 0, 0)
    assert mask_tokens(batch, U, 1.0, 1.0, 0.0).input_ids.tolist() == [[MASK, MASK, 0, 0]]
    assert skip_gram_pairs(batch, U).centers.tolist() == [5, 6]


@pytest.mark.parametrize("width", [0, 1])
def test_rows_with_little_in_them(width: int) -> None:
    batch = PretokenizedBatch({"input_ids": torch.zeros(2, width, dtype=torch.long)},
                              torch.arange(2), 0, 0)  # fmt: skip
    for task in TASKS.values():
        made = task(batch)
        if "labels" in made:
            assert made.labels.shape == (2, width)
        else:
            assert made.centers.tolist() == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rate": 1.5}, "argument rate"),
        ({"mask": -0.1}, "argument mask"),
        ({"mask": 0.8, "random": 0.3}, "sum of at most 1"),
        ({"positions": "some"}, "argument positions"),
        ({"n_regions": 0}, "argument n_regions"),
        ({"mask_id": -1}, "argument mask_id"),
    ],
)
def test_arguments_that_do_not_fit(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        mask_tokens(make_batch(), **{"n_regions": U, **change})


def test_batches_that_do_not_fit() -> None:
    ids = torch.zeros(2, 3, dtype=torch.long)
    for arrays, examples, message in (
        ({"input_ids": ids}, None, "expected example_ids for each of 2 rows"),
        ({"input_ids": ids}, torch.arange(3), r"got shape \(3,\)"),
        ({"input_ids": ids.float()}, torch.arange(2), "of integers"),
        ({"input_ids": ids[0]}, torch.arange(3), r"got torch.int64 of shape \(3,\)"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            mask_tokens(PretokenizedBatch(arrays, examples), U)
    with pytest.raises(InvalidInputError, match="argument window"):
        skip_gram_pairs(make_batch(), U, 0)
