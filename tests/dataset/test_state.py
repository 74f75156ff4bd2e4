"""The same batches whatever makes them, and epochs that go on where they stopped."""

from __future__ import annotations

import copy
import json
import pickle
import threading
from collections.abc import Iterable
from itertools import islice
from typing import Any

import numpy as np
import pytest

from bigwig_loader.dataset import Batch, BigWigDataset
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.sampling import Positions
from tests.dataset.conftest import MakeDataset, regions


def assert_same(got: Iterable[Batch], expected: Iterable[Batch]) -> None:
    for one, other in zip(got, expected, strict=True):
        assert (one.epoch, one.index) == (other.epoch, other.index)
        assert one.chromosomes.tolist() == other.chromosomes.tolist()  # type: ignore[union-attr]
        assert one.track_names == other.track_names
        for name in ("starts", "sequences", "values", "track_indices"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def starts(batches: Iterable[Batch]) -> list[list[int]]:
    return [b.starts.tolist() for b in batches]


@pytest.mark.parametrize(
    "kind", [{}, {"sub_sample_tracks": 2}, {"shuffle": False, "drop_last": False}]
)
@pytest.mark.parametrize(
    "how",
    [
        {"n_threads": 1},
        {"n_threads": 7},
        {"prefetch": 0},
        {"prefetch": 50},
        {"super_batch_size": 4},
        {"super_batch_size": 11},
        {"super_batch_size": 1000},
    ],
)
def test_batches_do_not_depend_on_how_they_are_made(
    make: MakeDataset, kind: dict[str, Any], how: dict[str, Any]
) -> None:
    kind = kind | {
        "regions_of_interest": regions(*[("chr1", 40 * i, 40 * i + 30) for i in range(22)])
    }
    assert_same(make(**kind, **how), make(**kind))


@pytest.mark.parametrize("n_shards", [1, 2, 3, 5, 9])
@pytest.mark.parametrize("kind", [{}, {"sub_sample_tracks": 1}, {"super_batch_size": 9}])
def test_shards_make_up_the_epoch(make: MakeDataset, n_shards: int, kind: dict[str, Any]) -> None:
    whole = list(make(**kind))
    dataset = make(**kind)
    shards = [list(dataset.batches(0, w, n_shards)) for w in range(n_shards)]
    assert sum(map(len, shards)) == len(whole)
    for w, shard in enumerate(shards):
        assert_same(shard, whole[w::n_shards])


def test_seeds_and_epochs_differ(make: MakeDataset) -> None:
    dataset = make()
    epochs = [starts(dataset) for _ in range(3)]
    assert dataset.epoch == 3
    drawn = [tuple(map(tuple, e)) for e in [*epochs, starts(make(seed=2))]]
    assert len(set(drawn)) == 4
    dataset.set_epoch(1)
    assert starts(dataset) == epochs[1]
    assert dataset.epoch == 2


def test_resume_at_every_step(make: MakeDataset) -> None:
    whole = list(make()) + list(b for d in [make()] for _ in [d.set_epoch(1)] for b in d)
    for n_taken in range(len(make()) + 1):
        dataset = make()
        taken = list(islice(dataset, n_taken))
        state = json.loads(json.dumps(dataset.state_dict()))
        resumed = make(prefetch=0, super_batch_size=8, n_threads=1)
        resumed.load_state_dict(state)
        assert_same(taken + list(resumed), whole[:6])
        assert_same(resumed, whole[6:])


def test_state_counts_what_was_delivered(make: MakeDataset) -> None:
    dataset = make(prefetch=5)
    for n_taken, _ in enumerate(dataset, start=1):
        assert dataset.state_dict()["batch"] == n_taken
    assert (dataset.state_dict()["epoch"], dataset.state_dict()["batch"]) == (1, 0)


def test_a_loop_left_early_is_followed_by_a_whole_epoch(make: MakeDataset) -> None:
    dataset, twin = make(), make()
    next(iter(dataset))
    twin.set_epoch(1)
    assert_same(dataset, list(twin))
    assert dataset.epoch == 2


def test_an_iterator_that_delivered_nothing_uses_no_epoch(make: MakeDataset) -> None:
    dataset = make()
    iter(dataset).close()
    assert_same(dataset, list(make()))


def test_a_finished_epoch_is_not_run_again(make: MakeDataset) -> None:
    dataset = make()
    iterator = iter(dataset)
    for _ in range(len(dataset)):
        next(iterator)
    # The end itself was never asked for.
    assert {b.epoch for b in dataset} == {1}


def test_only_the_newest_iterator_counts(make: MakeDataset) -> None:
    dataset = make()
    old = iter(dataset)
    next(old)
    new = iter(dataset)
    list(old)
    assert (dataset.epoch, dataset.state_dict()["batch"]) == (1, 0)
    assert {b.epoch for b in new} == {1}
    old = iter(dataset)
    dataset.set_epoch(5)
    next(old)
    assert (dataset.epoch, dataset.state_dict()["batch"]) == (5, 0)


def test_closing_is_no_end(make: MakeDataset) -> None:
    dataset = make()
    iterator = iter(dataset)
    next(iterator)
    iterator.close()
    with pytest.raises(StopIteration):
        next(iterator)
    assert (dataset.epoch, dataset.state_dict()["batch"]) == (0, 1)


def test_a_drawn_seed_travels_with_the_state(make: MakeDataset) -> None:
    dataset = make(seed=None, sub_sample_tracks=2)
    iterator = iter(dataset)
    next(iterator)
    resumed = make(seed=None, sub_sample_tracks=2)
    resumed.load_state_dict(dataset.state_dict())
    assert resumed.seed == dataset.seed
    assert_same(resumed, list(iterator))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"sequence_length": 62}, "sequence_length: 60, here 62"),
        ({"batch_size": 3}, "batch_size: 4, here 3"),
        ({"regions_of_interest": regions(("chr1", 0, 2999))}, "regions"),
        ({"default_value": float("nan")}, "default_value"),
        ({"first_n_files": 2}, "tracks"),
        ({"dtype": "bfloat16"}, "dtype: 'float32', here 'bfloat16'"),
        ({"shuffle": False, "drop_last": False}, "shuffle"),
        ({"maximum_unknown_bases_fraction": 0.2}, "maximum_unknown_bases_fraction"),
        ({"reference_genome_path": None}, "contigs"),
        ({"scale": {"a.bw": 2.0}}, "transforms"),
        ({"custom_position_sampler": [("chr1", 50)] * 8}, "custom_position_sampler"),
        ({"sub_sample_tracks": 1}, "sub_sample_tracks"),
        ({"reverse_complement": True}, "reverse_complement: False, here True"),
        ({"max_jitter": 3}, "max_jitter: 0, here 3"),
        ({"track_groups": [["a", "b"]]}, "track_groups"),
        ({"seed": 2}, "seed 2.*got 1"),
    ],
)
def test_states_of_other_data_sets_are_refused(
    make: MakeDataset, change: dict[str, Any], named: str
) -> None:
    with pytest.raises(InvalidInputError, match=f"state: .*{named}"):
        make(**change).load_state_dict(make().state_dict())


@pytest.mark.parametrize(
    "change",
    [
        {"n_threads": 1},
        {"prefetch": 0},
        {"super_batch_size": 30},
        {"return_batch_objects": False},
        {"seed": None},
        {"rank": 1, "world_size": 4},
        {"uneven": "drop"},
        {"cache_bytes": 1 << 20},
        {"track_groups": []},
    ],
)
def test_states_of_the_same_batches_are_taken(make: MakeDataset, change: dict[str, Any]) -> None:
    make(**change).load_state_dict(make().state_dict())


class Fingerprinted:
    """A sampler that says what it draws."""

    contig_names = ("chr1",)
    n_examples = 24

    def __init__(self, shift: int) -> None:
        self.shift = shift

    def draw(self, epoch: int, indices: np.ndarray, attempt: int = 0) -> Positions:
        return Positions(np.zeros(len(indices)), 100 + self.shift + indices)

    def fingerprint(self) -> str:
        return f"shift {self.shift}"


def test_the_fingerprint_of_a_sampler_counts(make: MakeDataset) -> None:
    state = make(custom_position_sampler=Fingerprinted(3)).state_dict()
    make(custom_position_sampler=Fingerprinted(3)).load_state_dict(state)
    with pytest.raises(InvalidInputError, match="shift 3', here 'shift 4'"):
        make(custom_position_sampler=Fingerprinted(4)).load_state_dict(state)


def test_strands_of_regions_count(make: MakeDataset) -> None:
    def dataset(strand: str) -> BigWigDataset:
        frame = regions(("chr1", 0, 500)).assign(strand=strand)
        return make(regions_of_interest=frame, use_strand=True)

    state = dataset("-").state_dict()
    dataset("-").load_state_dict(state)
    with pytest.raises(InvalidInputError, match="regions"):
        dataset("+").load_state_dict(state)


def test_states_are_small(make: MakeDataset) -> None:
    many = regions(*[("chr1", i, i + 10) for i in range(2000)])
    state = make(regions_of_interest=many, track_groups=[["a", "b"]]).state_dict()
    assert len(json.dumps(state)) < 3000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 99}, "version 1; got 99"),
        ({"batch": -1}, "batch"),
        ({"batch": 1.5}, "batch"),
        ({"epoch": -1}, "epoch"),
    ],
)
def test_broken_states_are_refused(make: MakeDataset, change: dict[str, Any], message: str) -> None:
    dataset = make()
    with pytest.raises(InvalidInputError, match=message):
        dataset.load_state_dict({**dataset.state_dict(), **change})
    with pytest.raises(InvalidInputError, match="it lacks"):
        dataset.load_state_dict({"epoch": 1})


def test_pickle_and_copy(make: MakeDataset) -> None:
    dataset = make()
    next(iter(dataset))
    for other in (pickle.loads(pickle.dumps(dataset)), copy.deepcopy(dataset)):
        assert isinstance(other, BigWigDataset)
        assert other.state_dict() == dataset.state_dict()
        assert {b.epoch for b in other} == {1}


def test_no_thread_is_left(make: MakeDataset) -> None:
    before = threading.active_count()
    dataset = make(prefetch=3)
    list(dataset)
    for _ in dataset:
        break
    iterator = iter(dataset)
    next(iterator)
    iterator.close()
    for thread in threading.enumerate():
        if thread.name == "bigwig-loader":
            thread.join(timeout=60)
    assert threading.active_count() == before
