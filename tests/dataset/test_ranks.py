"""Any number of processes makes the same global batches, and can take over from any other."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bigwig_loader.dataset import Batch, BigWigDataset
from bigwig_loader.dataset.unknown import UnknownFilter
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.plan.windows import Windows
from bigwig_loader.sampling import Positions
from bigwig_loader.sampling.ranks import Shard
from tests.dataset.conftest import LENGTHS, MakeDataset, regions

WORLDS = (1, 2, 4, 8)


class Stream:
    """Positions that are only known by walking through them; some of them full of N."""

    def __init__(self, n: int) -> None:
        self.items = [("chr1", 40 + (97 * i) % (LENGTHS["chr1"] - 80)) for i in range(n)]

    def __iter__(self) -> Any:
        return iter(self.items)


class Endless:
    contig_names = ("chr2",)
    n_examples = None

    def draw(self, epoch: int, indices: np.ndarray, attempt: int = 0) -> Positions:
        position = (31 * indices + 7 * epoch + 13 * attempt) % LENGTHS["chr2"]
        return Positions(np.zeros(len(indices)), position, reverse=indices % 3 == 0)


MANY = regions(*[("chr1", 50 * i, 50 * i + 40) for i in range(60)])
KINDS: dict[str, dict[str, Any]] = {
    "random": {"batches_per_epoch": 5},
    "repeated": {
        "batches_per_epoch": 5,
        "repeat_same_positions": True,
        "position_sampler_buffer_size": 10,
    },
    "sub-sampled": {"batches_per_epoch": 5, "sub_sample_tracks": 2},
    "augmented": {
        "batches_per_epoch": 5,
        "reverse_complement": True,
        "max_jitter": 20,
        "track_groups": [["a", "b"]],
    },
    "in order": {"regions_of_interest": MANY, "shuffle": False, "batches_per_epoch": None},
    "in order, augmented": {
        "regions_of_interest": MANY,
        "shuffle": False,
        "batches_per_epoch": None,
        "reverse_complement": True,
        "max_jitter": 5,
    },
    "listed": {"custom_position_sampler": list(Stream(70)), "batches_per_epoch": None},
    "streamed": {"custom_position_sampler": Stream(70), "batches_per_epoch": None},
    "streamed, augmented": {
        "custom_position_sampler": Stream(70),
        "batches_per_epoch": None,
        "reverse_complement": True,
        "max_jitter": 9,
    },
    "custom": {"custom_position_sampler": Endless(), "batches_per_epoch": 5},
    "custom tracks": {"custom_track_sampler": [[0], [1, 2], [2], [0], [1]]},
}
FIELDS = ("starts", "values", "sequences", "reverse", "jitter", "sources", "regions")


def sharded(make: MakeDataset, rank: int, world_size: int, **options: Any) -> BigWigDataset:
    usual = {"batch_size": 8, "batches_per_epoch": 5}
    return make(**(usual | options), rank=rank, world_size=world_size)


def gathered(batches: Iterable[Iterable[Batch]]) -> list[dict[str, Any]]:
    """Global batches from those of every rank."""
    result = []
    for parts in zip(*batches, strict=True):
        assert len({(p.epoch, p.index) for p in parts}) == 1
        assert len({len(p) for p in parts}) == 1
        whole: dict[str, Any] = {"index": parts[0].index, "epoch": parts[0].epoch}
        whole["chromosomes"] = np.concatenate([p.chromosomes for p in parts])
        whole["track_names"] = parts[0].track_names
        for name in FIELDS:
            arrays = [getattr(p, name) for p in parts]
            whole[name] = None if arrays[0] is None else np.concatenate(arrays)
        result.append(whole)
    return result


def assert_same(got: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    assert len(got) == len(expected) > 0
    for one, other in zip(got, expected, strict=True):
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize("kind", KINDS)
def test_the_global_batches_are_the_same(make: MakeDataset, kind: str) -> None:
    expected = gathered([list(sharded(make, 0, 1, **KINDS[kind]))])
    for world_size in WORLDS[1:]:
        ranks = [sharded(make, r, world_size, **KINDS[kind]) for r in range(world_size)]
        assert_same(gathered([list(dataset) for dataset in ranks]), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_another_number_of_ranks_goes_on(make: MakeDataset, kind: str) -> None:
    whole = gathered([list(sharded(make, 0, 1, **KINDS[kind]))])
    first = [sharded(make, r, 2, **KINDS[kind]) for r in range(2)]
    taken = gathered([list(islice(dataset, 2)) for dataset in first])
    states = [json.loads(json.dumps(dataset.state_dict())) for dataset in first]
    assert states[0] == states[1]
    assert "rank" not in str(states[0])
    for world_size in (1, 8):
        rest = [sharded(make, r, world_size, **KINDS[kind]) for r in range(world_size)]
        for dataset in rest:
            dataset.load_state_dict(states[0])
        assert_same(taken + gathered([list(dataset) for dataset in rest]), whole)


@given(
    seed=st.integers(0, 2**64 - 1),
    epoch=st.integers(0, 2**32 - 1),
    batch=st.integers(0, 5),
    world_size=st.sampled_from(WORLDS),
    later=st.sampled_from(WORLDS),
    shuffle=st.booleans(),
)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_ranks_and_resuming_for_any_seed(
    make: MakeDataset,
    seed: int,
    epoch: int,
    batch: int,
    world_size: int,
    later: int,
    shuffle: bool,
) -> None:
    options: dict[str, Any] = {"seed": seed, "shuffle": shuffle, "collection": None, "prefetch": 0}
    if not shuffle:
        options |= {"regions_of_interest": MANY}

    def of(rank: int, ranks: int) -> list[Batch]:
        dataset = sharded(make, rank, ranks, **options)
        dataset.load_state_dict({**dataset.state_dict(), "epoch": epoch, "batch": batch})
        return list(dataset)

    one = [of(r, world_size) for r in range(world_size)]
    other = [of(r, later) for r in range(later)]
    assert len(one[0]) == 5 - batch
    if batch < 5:
        assert_same(gathered(one), gathered(other))


def test_lengths_and_states_are_global(make: MakeDataset) -> None:
    datasets = [sharded(make, r, 4, **KINDS["in order"]) for r in range(4)]
    assert {len(d) for d in datasets} == {len(sharded(make, 0, 1, **KINDS["in order"]))}
    assert [d.shard for d in datasets] == [Shard(r, 4) for r in range(4)]
    assert all(len(b) == 2 for d in datasets for b in d)


def starts(batches: Iterable[Batch]) -> list[list[int]]:
    return [b.starts.tolist() for b in batches]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("n", [9, 11, 13, 16])
def test_uneven_ends(make: MakeDataset, stream: bool, n: int) -> None:
    listed: Any = Stream(n) if stream else list(Stream(n))
    options: dict[str, Any] = {
        "custom_position_sampler": listed,
        "batches_per_epoch": None,
        "drop_last": False,
        "maximum_unknown_bases_fraction": None,
    }
    whole = [p - 30 for _, p in Stream(n).items]
    last = whole[8:]
    padded = [sharded(make, r, 4, **options) for r in range(4)]
    ends = [starts(d)[-1] for d in padded]
    joined = [s for end in ends for s in end]
    assert len({len(end) for end in ends}) == 1
    assert joined == (last * 4)[: -(-len(last) // 4) * 4]
    dropped = [sharded(make, r, 4, uneven="drop", **options) for r in range(4)]
    batches = [starts(d) for d in dropped]
    assert {len(b) for b in batches} == {1 + (len(last) >= 4)}
    if not stream:
        assert {len(d) for d in dropped} == {1 + (len(last) >= 4)}
    joined = [s for b in batches for s in (b[1] if len(b) > 1 else [])]
    assert joined == last[: len(last) // 4 * 4]
    # Whatever was padded or dropped, one process can go on from it, and the other way round.
    state = dropped[0].state_dict()
    single = sharded(make, 0, 1, **options)
    single.load_state_dict(state)
    padded[3].load_state_dict(single.state_dict())


def test_an_epoch_that_nobody_has_a_part_of(make: MakeDataset) -> None:
    options: dict[str, Any] = {
        "custom_position_sampler": list(Stream(3)),
        "batches_per_epoch": None,
        "drop_last": False,
    }
    with pytest.raises(InvalidInputError, match=r"uneven: expected 'pad', because 3 .* 4 proc"):
        sharded(make, 0, 4, uneven="drop", **options)
    assert [len(b) for b in sharded(make, 2, 4, **options)] == [1]


def test_only_the_ranks_own_examples_are_looked_at(
    make: MakeDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []
    original = UnknownFilter.fraction

    def count(self: UnknownFilter, windows: Windows) -> Any:
        counted.append(len(windows))
        return original(self, windows)

    monkeypatch.setattr(UnknownFilter, "fraction", count)
    options = {"regions_of_interest": regions(("chr2", 100, 700))}  # no unknown bases
    for world_size, expected in ((1, 40), (4, 10)):
        counted.clear()
        list(sharded(make, 0, world_size, **options))
        assert sum(counted) == expected


def test_super_batches_with_ranks(make: MakeDataset) -> None:
    plain = [list(sharded(make, r, 2)) for r in range(2)]
    together = [list(sharded(make, r, 2, super_batch_size=24)) for r in range(2)]
    assert_same(gathered(together), gathered(plain))


@pytest.mark.parametrize("n_workers", [2, 3])
def test_workers_share_out_a_ranks_batches(make: MakeDataset, n_workers: int) -> None:
    for rank in range(2):
        whole = list(sharded(make, rank, 2))
        shards = [list(sharded(make, rank, 2).batches(0, w, n_workers)) for w in range(n_workers)]
        joined = sorted((b for s in shards for b in s), key=lambda b: b.index)
        assert starts(joined) == starts(whole)


def test_the_environment_says_the_rank(make: MakeDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = starts(sharded(make, 1, 2))
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    dataset = make(batch_size=8, batches_per_epoch=5)
    assert dataset.shard == Shard(1, 2)
    assert starts(dataset) == expected
    assert make(rank=0, world_size=1).shard == Shard(0, 1)
    monkeypatch.delenv("RANK")
    with pytest.raises(InvalidInputError, match="RANK and WORLD_SIZE"):
        make()


def test_a_rank_may_be_set_later(make: MakeDataset) -> None:
    dataset = make(batch_size=8, batches_per_epoch=5)
    dataset.set_rank(1, 2)
    assert starts(dataset) == starts(sharded(make, 1, 2))
    dataset.set_epoch(0)
    dataset.set_rank(0, 1)
    assert starts(dataset) == starts(sharded(make, 0, 1))
    with pytest.raises(InvalidInputError, match=r"batch_size.*multiple of the 3"):
        dataset.set_rank(0, 3)
    with pytest.raises(InvalidInputError, match="rank"):
        dataset.set_rank(2, 2)
    drawn = make(seed=None)
    drawn.set_rank(0, 1)
    with pytest.raises(InvalidInputError, match="argument seed"):
        drawn.set_rank(0, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 0, "world_size": 2, "seed": None}, "argument seed: expected a number, the same"),
        ({"rank": 0, "world_size": 3}, "batch_size: expected a multiple of the 3 processes"),
        ({"rank": 2, "world_size": 2}, "0 <= rank < world_size"),
        ({"rank": 0}, "both or neither"),
        ({"world_size": 2}, "both or neither"),
        ({"uneven": "repeat"}, "uneven: expected one of 'pad', 'drop'"),
    ],
)
def test_what_does_not_fit_is_refused(
    make: MakeDataset, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        make(**options)
