"""Samplers of the caller's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from bigwig_loader.dataset import Sampler
from bigwig_loader.errors import InvalidInputError, LoaderError, NotFoundError
from bigwig_loader.sampling import Positions
from tests.dataset.conftest import MakeDataset, regions

LISTED = [("chr2", 400), ("chr1", 100), ("chr1", 300), ("chr1", 200), ("chr2", 500), ("chr1", 31)]
CUSTOM: dict[str, Any] = {"regions_of_interest": None, "batches_per_epoch": None, "batch_size": 4}


def positions(batches: Any) -> list[tuple[str, int]]:
    return [
        (str(c), s + 30)
        for b in batches
        for c, s in zip(b.chromosomes, b.starts.tolist(), strict=True)
    ]


class Walk:
    """An iterable that is no list: begins anew each time, and counts what was taken."""

    def __init__(self, items: list[Any], n_repeats: int = 1) -> None:
        self.items = items * n_repeats
        self.n_taken = 0

    def __iter__(self) -> Iterator[Any]:
        for item in self.items:
            self.n_taken += 1
            yield item


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("drop_last", "n_delivered"), [(True, 4), (False, 6)])
def test_a_list_is_used_once_per_epoch(
    make: MakeDataset, stream: bool, drop_last: bool, n_delivered: int
) -> None:
    sampler = Walk(LISTED) if stream else LISTED
    dataset = make(**CUSTOM, custom_position_sampler=sampler, drop_last=drop_last)
    for epoch in range(3):
        assert dataset.epoch == epoch
        assert positions(dataset) == LISTED[:n_delivered]


def test_the_number_of_batches(make: MakeDataset) -> None:
    assert len(make(**CUSTOM, custom_position_sampler=LISTED)) == 1
    assert len(make(**CUSTOM, custom_position_sampler=LISTED, drop_last=False)) == 2
    some = CUSTOM | {"batches_per_epoch": 1}
    assert len(make(**some, custom_position_sampler=LISTED, drop_last=False)) == 1
    assert len(make(**some, custom_position_sampler=Walk(LISTED))) == 1
    with pytest.raises(TypeError, match="batches_per_epoch"):
        len(make(**CUSTOM, custom_position_sampler=Walk(LISTED)))


@pytest.mark.parametrize("super_batch_size", [None, 12])
def test_no_item_beyond_the_epoch_is_taken(make: MakeDataset, super_batch_size: int | None) -> None:
    walk = Walk(LISTED, 10)
    options = CUSTOM | {"batches_per_epoch": 3, "super_batch_size": super_batch_size}
    assert positions(make(**options, custom_position_sampler=walk)) == (LISTED * 2)[:12]
    assert walk.n_taken == 12


def test_a_generator_goes_on_in_the_next_epoch(make: MakeDataset) -> None:
    options = CUSTOM | {"batches_per_epoch": 1}
    dataset = make(**options, custom_position_sampler=iter(LISTED * 2))
    assert positions(dataset) + positions(dataset) == (LISTED * 2)[:8]
    with pytest.raises(LoaderError, match="at least one batch in epoch 3"):
        positions(dataset) + positions(dataset)


def test_a_generator_cannot_resume(make: MakeDataset) -> None:
    dataset = make(**CUSTOM, custom_position_sampler=iter(LISTED * 2))
    next(iter(dataset))
    dataset.load_state_dict(dataset.state_dict())
    with pytest.raises(LoaderError, match=r"cannot go on at batch 1.*set_epoch"):
        next(iter(dataset))


def test_streams_resume_and_shard(make: MakeDataset) -> None:
    def dataset() -> Any:
        return make(**CUSTOM, custom_position_sampler=Walk(LISTED, 3), drop_last=False)

    whole = positions(dataset())
    first = dataset()
    iterator = iter(first)
    taken = positions([next(iterator), next(iterator)])
    resumed = dataset()
    resumed.load_state_dict(first.state_dict())
    assert taken + positions(resumed) == whole == LISTED * 3
    shards = [list(dataset().batches(0, w, 2)) for w in range(2)]
    assert [len(s) for s in shards] == [3, 2]
    assert positions(sorted(shards[0] + shards[1], key=lambda b: b.index)) == whole


UNKNOWN = [("chr1", 1100), ("chr1", 100), ("chrN", 200), ("chr1", 200), ("chr2", 300)]


@pytest.mark.parametrize("stream", [False, True])
def test_positions_with_unknown_bases_are_left_out_and_counted(
    make: MakeDataset, stream: bool
) -> None:
    sampler = Walk(UNKNOWN) if stream else UNKNOWN
    dataset = make(**(CUSTOM | {"batch_size": 3}), custom_position_sampler=sampler)
    assert positions(dataset) == [UNKNOWN[1], UNKNOWN[3], UNKNOWN[4]]
    assert dataset.n_regions_left_out == 2
    everything = make(
        **CUSTOM,
        custom_position_sampler=sampler,
        drop_last=False,
        maximum_unknown_bases_fraction=None,
    )
    assert positions(everything) == UNKNOWN


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("chr1", "item 5"),
        (("chr1", 2.5), "item 5"),
        (("chr1", 3000), "item 5.*3000 bp"),
        (("chr9", 1), "'chr9'"),
    ],
)
def test_malformed_items(make: MakeDataset, item: Any, message: str) -> None:
    broken = [*LISTED[:5], item, *LISTED]
    with pytest.raises((InvalidInputError, NotFoundError), match=message):
        make(**CUSTOM, custom_position_sampler=broken)
    # A stream is only seen when it is walked through; the batch before comes first.
    for super_batch_size in (None, 12):
        options = CUSTOM | {"super_batch_size": super_batch_size}
        iterator = iter(make(**options, custom_position_sampler=Walk(broken)))
        assert positions([next(iterator)]) == LISTED[:4]
        with pytest.raises(LoaderError, match=message) as caught:
            next(iterator)
        assert isinstance(caught.value.__cause__, (InvalidInputError, NotFoundError))


@pytest.mark.parametrize("bad", ["chr1:5", 7])
def test_what_is_no_iterable_is_refused(make: MakeDataset, bad: Any) -> None:
    with pytest.raises(InvalidInputError, match="custom_position_sampler"):
        make(**CUSTOM, custom_position_sampler=bad)


def test_no_batch_is_an_error(make: MakeDataset) -> None:
    with pytest.raises(InvalidInputError, match=r"one batch of 4; got 2.*drop_last=False"):
        make(**CUSTOM, custom_position_sampler=LISTED[:2])
    with pytest.raises(InvalidInputError, match="got 0"):
        make(**CUSTOM, custom_position_sampler=[], drop_last=False)
    with pytest.raises(LoaderError, match="got 2 usable positions"):
        list(make(**CUSTOM, custom_position_sampler=Walk(LISTED[:2])))


def test_repeating_an_iterable_is_refused(make: MakeDataset) -> None:
    with pytest.raises(InvalidInputError, match="repeat_same_positions"):
        make(**CUSTOM, custom_position_sampler=LISTED, repeat_same_positions=True)


class Ladder:
    """Every tenth base of chr1, later in later attempts; ends or not."""

    contig_names = ("chrUn", "chr1")

    def __init__(self, n_examples: int | None = None, first: int = 30) -> None:
        self.n_examples = n_examples
        self.first = first

    def draw(self, epoch: int, indices: np.ndarray, attempt: int = 0) -> Positions:
        position = self.first + 10 * indices + epoch + 300 * attempt
        return Positions(np.ones(len(indices)), position)


def test_a_sampler_object(make: MakeDataset) -> None:
    assert isinstance(Ladder(), Sampler)
    dataset = make(**CUSTOM, custom_position_sampler=Ladder(10), drop_last=False)
    assert len(dataset) == 3
    assert positions(dataset) == [("chr1", 30 + 10 * i) for i in range(10)]
    assert positions(dataset) == [("chr1", 31 + 10 * i) for i in range(10)]


def test_an_endless_sampler_needs_a_length(make: MakeDataset) -> None:
    with pytest.raises(InvalidInputError, match="batches_per_epoch"):
        make(**CUSTOM, custom_position_sampler=Ladder())
    by_regions = CUSTOM | {"regions_of_interest": regions(("chr1", 0, 600))}
    assert len(make(**by_regions, custom_position_sampler=Ladder())) == 600 // 60 // 4


def test_a_sampler_is_asked_again_where_bases_are_unknown(make: MakeDataset) -> None:
    dataset = make(**CUSTOM, custom_position_sampler=Ladder(4, first=1050))
    assert positions(dataset) == [("chr1", 1350 + 10 * i) for i in range(4)]


def test_what_a_sampler_draws_is_checked(make: MakeDataset) -> None:
    with pytest.raises(LoaderError, match=r"Ladder\.draw.*chr1:3000 for example 2"):
        list(make(**CUSTOM, custom_position_sampler=Ladder(4, first=2980)))

    class Elsewhere(Ladder):
        def draw(self, epoch: int, indices: np.ndarray, attempt: int = 0) -> Positions:
            return Positions(np.zeros(len(indices)), indices)

    with pytest.raises(LoaderError, match="'chrUn'"):
        list(make(**CUSTOM, custom_position_sampler=Elsewhere(4)))

    class Short(Ladder):
        def draw(self, epoch: int, indices: np.ndarray, attempt: int = 0) -> Positions:
            return super().draw(epoch, indices[1:], attempt)

    with pytest.raises(LoaderError, match="expected 4 positions; got 3"):
        list(make(**CUSTOM, custom_position_sampler=Short(4)))


def test_custom_tracks(make: MakeDataset) -> None:
    chosen = [[2], [1, 0], [0, 1, 2], [1], [2, 2], [0]]
    whole = list(make())
    dataset = make(custom_track_sampler=chosen, super_batch_size=24)
    for _ in range(2):
        batches = list(dataset)
        assert [b.track_indices.tolist() for b in batches] == chosen
        assert batches[1].track_names == ("b", "a")
        dataset.set_epoch(0)
    for batch, full in zip(batches, whole, strict=True):
        np.testing.assert_array_equal(batch.values, full.values[:, :, batch.track_indices])


def test_an_epoch_ends_with_the_list_of_tracks(make: MakeDataset) -> None:
    dataset = make(custom_track_sampler=[[2], [1]])
    for _ in range(2):
        assert [b.track_indices.tolist() for b in dataset] == [[2], [1]]
    one_shot = make(custom_track_sampler=iter([[2], [1]]))
    assert len(list(one_shot)) == 2
    with pytest.raises(LoaderError, match=r"custom_track_sampler.*got none in epoch 1"):
        list(one_shot)


def test_malformed_tracks(make: MakeDataset) -> None:
    iterator = iter(make(custom_track_sampler=[[2], [3]]))
    assert next(iterator).track_indices.tolist() == [2]
    with pytest.raises(LoaderError, match=r"item 1: expected track indices in \[0, 3\)"):
        next(iterator)
    with pytest.raises(InvalidInputError, match="custom_track_sampler"):
        make(custom_track_sampler=5)
