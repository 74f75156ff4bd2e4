"""Jitter, random strands and the regions' own strands, as data sets deliver them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bigwig_loader.dataset import Batch
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.sampling import Positions
from tests.dataset.conftest import MakeDataset, World, regions

ORDERED: dict[str, Any] = {"shuffle": False, "batches_per_epoch": None, "batch_size": 10}
MANY = regions(*[("chr1", 100 + 25 * i, 110 + 25 * i) for i in range(100)])


def check_against_the_world(world: World, batch: Batch) -> None:
    for i, chrom in enumerate(batch.chromosomes):
        start, end = int(batch.starts[i]), int(batch.ends[i])
        sequence, values = world.onehot(chrom, start, end), world.values(chrom, start, end)
        if batch.reverse is not None and batch.reverse[i]:
            sequence, values = sequence[::-1, ::-1], values[::-1]
        np.testing.assert_array_equal(batch.sequences[i], sequence)
        np.testing.assert_array_equal(batch.values[i], values)


@pytest.mark.parametrize("shuffle", [True, False])
def test_half_of_the_examples_are_reversed_anew_in_every_epoch(
    make: MakeDataset, world: World, shuffle: bool
) -> None:
    options = ORDERED | {"shuffle": shuffle, "regions_of_interest": MANY}
    options |= {"batches_per_epoch": 10, "maximum_unknown_bases_fraction": None}
    dataset = make(**options, reverse_complement=True)
    plain = make(**options)
    epochs = []
    for _ in range(3):
        batches = list(dataset)
        for got, expected in zip(batches, plain, strict=True):
            np.testing.assert_array_equal(got.starts, expected.starts)
            check_against_the_world(world, got)
        epochs.append(np.concatenate([b.reverse for b in batches]))
    assert all(30 < e.sum() < 70 for e in epochs)
    assert not any((epochs[0] == e).all() for e in epochs[1:])
    dataset.set_epoch(1)
    np.testing.assert_array_equal(np.concatenate([b.reverse for b in dataset]), epochs[1])


@pytest.mark.parametrize("shuffle", [True, False])
def test_jitter_moves_windows_and_is_told(make: MakeDataset, world: World, shuffle: bool) -> None:
    options = ORDERED | {"shuffle": shuffle, "regions_of_interest": MANY}
    options |= {"batches_per_epoch": 10, "maximum_unknown_bases_fraction": None}
    seen = set()
    for got, plain in zip(make(**options, max_jitter=3), make(**options), strict=True):
        np.testing.assert_array_equal(got.starts, plain.starts + got.jitter)
        check_against_the_world(world, got)
        assert got.reverse is None
        seen |= set(got.jitter.tolist())
    assert seen == set(range(-3, 4))


def test_jitter_does_not_leave_the_contig(make: MakeDataset) -> None:
    dataset = make(
        regions_of_interest=regions(("chr2", 0, 1), ("chr2", 799, 800)),
        max_jitter=50,
        batches_per_epoch=40,
        maximum_unknown_bases_fraction=None,
    )
    middles = np.concatenate([b.starts + 30 for b in dataset])
    assert set(middles.tolist()) <= {*range(51), *range(749, 800)}
    assert len(set(middles.tolist())) > 60


@pytest.mark.parametrize("listed", [False, True])
def test_moved_windows_are_looked_at_for_unknown_bases(
    make: MakeDataset, world: World, listed: bool
) -> None:
    near = regions(*[("chr1", 960 + i % 3, 961 + i % 3) for i in range(40)])
    options: dict[str, Any] = {"regions_of_interest": near, "max_jitter": 60}
    if listed:
        options |= ORDERED
    n_moved = 0
    for batch in make(**options):
        assert (batch.sequences.sum(axis=(1, 2)) >= 54).all()
        check_against_the_world(world, batch)
        n_moved += int((batch.jitter != 0).sum())
    assert n_moved > 10


def test_repeated_positions_are_augmented_anew(make: MakeDataset) -> None:
    dataset = make(
        repeat_same_positions=True,
        position_sampler_buffer_size=6,
        max_jitter=20,
        reverse_complement=True,
        maximum_unknown_bases_fraction=None,
    )
    epochs = [list(dataset) for _ in range(2)]
    middles = [np.concatenate([b.starts - b.jitter for b in e]) for e in epochs]
    np.testing.assert_array_equal(middles[0], middles[1])
    assert len(set(middles[0].tolist())) == 6
    jitters = [np.concatenate([b.jitter for b in e]).tolist() for e in epochs]
    assert jitters[0] != jitters[1]


class Walk:
    """An iterable that is no list."""

    def __iter__(self) -> Any:
        return iter([("chr1", 60 + 11 * i) for i in range(80)])


@pytest.mark.parametrize("stream", [False, True])
def test_listed_and_streamed_positions_are_augmented_alike(
    make: MakeDataset, world: World, stream: bool
) -> None:
    custom: Any = Walk() if stream else list(Walk())
    dataset = make(
        regions_of_interest=None,
        custom_position_sampler=custom,
        batches_per_epoch=None,
        max_jitter=4,
        reverse_complement=True,
        maximum_unknown_bases_fraction=None,
    )
    batches = list(dataset)
    for batch in batches:
        check_against_the_world(world, batch)
    middles = np.concatenate([b.starts + 30 - b.jitter for b in batches])
    assert middles.tolist() == [p for _, p in Walk()]
    assert 20 < sum(int(b.reverse.sum()) for b in batches) < 60
    twin = make(
        regions_of_interest=None,
        custom_position_sampler=list(Walk()),
        batches_per_epoch=None,
        max_jitter=4,
        reverse_complement=True,
        maximum_unknown_bases_fraction=None,
    )
    for got, expected in zip(batches, twin, strict=True):
        np.testing.assert_array_equal(got.jitter, expected.jitter)
        np.testing.assert_array_equal(got.reverse, expected.reverse)


def stranded() -> pd.DataFrame:
    return MANY.assign(strand=["+", "-", "."] * 33 + ["-"])


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("bed", [False, True])
def test_the_regions_own_strand(
    make: MakeDataset, world: World, tmp_path: Path, shuffle: bool, bed: bool
) -> None:
    given: Any = stranded()
    if bed:
        given.insert(3, "name", "peak")
        given.insert(4, "score", 0)
        given.to_csv(tmp_path / "stranded.bed", sep="\t", header=False, index=False)
        given = tmp_path / "stranded.bed"
    options = ORDERED | {"shuffle": shuffle, "batches_per_epoch": 8, "seed": 3}
    dataset = make(
        regions_of_interest=given,
        use_strand=True,
        maximum_unknown_bases_fraction=None,
        **options,
    )
    minus = set(range(1, 100, 3)) | {99}
    n_reversed = 0
    for batch in dataset:
        check_against_the_world(world, batch)
        wanted = [(p + 30 - 100) // 25 in minus for p in batch.starts.tolist()]
        assert batch.reverse.tolist() == wanted
        assert batch.regions.tolist() == [(p + 30 - 100) // 25 for p in batch.starts.tolist()]
        n_reversed += sum(wanted)
    assert n_reversed > 10


def test_strands_are_not_used_unless_asked_for(make: MakeDataset) -> None:
    batch = next(iter(make(regions_of_interest=stranded(), **ORDERED)))
    assert batch.reverse is None


def test_left_out_regions_keep_the_strands_of_the_others(make: MakeDataset) -> None:
    frame = regions(("chr1", 500, 510), ("chrN", 0, 400), ("chr1", 600, 610), ("chr2", 300, 310))
    frame["strand"] = ["+", "+", "-", "-"]
    dataset = make(regions_of_interest=frame, use_strand=True, **ORDERED | {"batch_size": 3})
    (batch,) = dataset
    assert dataset.n_regions_left_out == 1
    assert batch.reverse.tolist() == [False, True, True]
    assert batch.regions.tolist() == [0, 2, 3]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"shuffle": False, "batch_size": 2},
        {"custom_position_sampler": list(Walk())},
        {"custom_position_sampler": Walk()},
    ],
)
def test_strands_have_to_be_there(make: MakeDataset, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match="use_strand"):
        make(use_strand=True, **options)


class Quiet:
    """A sampler of the caller's own, without strands."""

    contig_names = ("chr2",)
    n_examples = 40

    def draw(self, epoch: int, indices: np.ndarray, attempt: int = 0) -> Positions:
        return Positions(np.zeros(len(indices)), 100 + 10 * indices)


def test_samplers_of_ones_own_are_augmented(make: MakeDataset, world: World) -> None:
    dataset = make(
        custom_position_sampler=Quiet(),
        reverse_complement=True,
        max_jitter=5,
        batches_per_epoch=None,
    )
    batches = list(dataset)
    for batch in batches:
        check_against_the_world(world, batch)
    assert {abs(j) <= 5 for b in batches for j in b.jitter.tolist()} == {True}
    assert 5 < sum(int(b.reverse.sum()) for b in batches) < 35


@pytest.mark.parametrize("bad", [-1, 2.0, True])
def test_max_jitter_is_checked(make: MakeDataset, bad: Any) -> None:
    with pytest.raises(InvalidInputError, match="max_jitter"):
        make(max_jitter=bad)
