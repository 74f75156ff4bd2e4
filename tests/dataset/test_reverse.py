"""Reverse complement: the same bases read from the other strand, in every array."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bigwig_loader._bigwig_writer import write_bigwig
from bigwig_loader.dataset import Batch
from bigwig_loader.errors import InvalidInputError, LoaderError, NotFoundError
from bigwig_loader.sampling import Positions
from tests.dataset.conftest import MakeDataset, World, regions
from tests.oracles import sequence as oracle


class Turned:
    """Every 37th base of chr1, every other example reversed, with all there is to say."""

    contig_names = ("chr1",)
    n_examples = 24

    def draw(self, epoch: int, indices: np.ndarray, attempt: int = 0) -> Positions:
        return Positions(
            np.zeros(len(indices)),
            20 + 37 * indices + indices % 5,
            reverse=indices % 2 == 0,
            source=indices % 3,
            region=indices + 1000,
            jitter=indices % 5,
        )


class Forward(Turned):
    """The same without a word about the strand."""

    def draw(self, epoch: int, indices: np.ndarray, attempt: int = 0) -> Positions:
        drawn = super().draw(epoch, indices, attempt)
        return Positions(drawn.contig, drawn.position)


SHAPES: list[dict[str, Any]] = [
    {},
    {"sequence_length": 61, "center_bin_to_predict": 20},
    {"sequence_length": 61, "center_bin_to_predict": 22, "window_size": 4},
    {"window_size": 7},
    {"default_value": float("nan"), "window_size": 3},
    {"moving_average_window_size": 5},
    {"moving_average_window_size": 8},
    {"moving_average_window_size": 2, "center_bin_to_predict": 21, "window_size": 4},
    {"moving_average_window_size": 6, "default_value": float("nan"), "dtype": "bfloat16"},
    {"super_batch_size": 12},
]


def custom(**parameters: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {
        "batches_per_epoch": None,
        "maximum_unknown_bases_fraction": None,
    }
    return usual | parameters


def assert_turned(got: Batch, forward: Batch, swap: list[int]) -> None:
    """`got` is `forward`, its reversed examples read from the other strand."""
    np.testing.assert_array_equal(got.starts, forward.starts)
    np.testing.assert_array_equal(got.value_starts, forward.value_starts)
    for i, is_reversed in enumerate(got.reverse.tolist()):
        sequence, values = forward.sequences[i], forward.values[i]
        if is_reversed:
            sequence, values = sequence[::-1, ::-1], values[::-1, swap]
        assert got.values.dtype == forward.values.dtype
        np.testing.assert_array_equal(got.sequences[i], sequence)
        # NumPy takes a NaN of bfloat16 for unequal to itself.
        np.testing.assert_array_equal(got.values[i].astype(float), values.astype(float))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("groups", "swap"),
    [(None, [0, 1, 2]), ([["a", "c"]], [2, 1, 0]), ([[1, 0], ["c"]], [1, 0, 2])],
)
def test_values_are_the_reversed_forward_values_exactly(
    make: MakeDataset, shape: dict[str, Any], groups: Any, swap: list[int]
) -> None:
    options = custom(**shape)
    forward = list(make(custom_position_sampler=Forward(), **options))
    turned = list(make(custom_position_sampler=Turned(), track_groups=groups, **options))
    assert len(turned) == 6
    assert sum(int(b.reverse.sum()) for b in turned) == 12
    for got, expected in zip(turned, forward, strict=True):
        assert_turned(got, expected, swap)


def test_reversed_sequence_is_the_complement_of_the_letters(
    make: MakeDataset, world: World
) -> None:
    letters = "".join(world.letters["chr1"])
    for batch in make(custom_position_sampler=Turned(), **custom()):
        for row, start, is_reversed in zip(
            batch.sequences, batch.starts.tolist(), batch.reverse.tolist(), strict=True
        ):
            np.testing.assert_array_equal(row, oracle.one_hot(letters, start, 60, is_reversed))


def test_what_the_sampler_says_is_in_the_batch(make: MakeDataset) -> None:
    for batch in make(custom_position_sampler=Turned(), **custom()):
        index = np.arange(4) + 4 * batch.index
        np.testing.assert_array_equal(batch.jitter, index % 5)
        np.testing.assert_array_equal(batch.sources, index % 3)
        np.testing.assert_array_equal(batch.regions, index + 1000)
        np.testing.assert_array_equal(batch.reverse, index % 2 == 0)
        assert batch.jitter.base is None
        assert batch.reverse.base is None


def test_what_the_sampler_does_not_say_is_not_there(make: MakeDataset) -> None:
    batch = next(iter(make(custom_position_sampler=Forward(), **custom())))
    assert (batch.reverse, batch.jitter, batch.sources, batch.regions) == (None,) * 4
    batch = next(iter(make()))
    assert (batch.reverse, batch.jitter, batch.sources) == (None,) * 3


IUPAC = "ACGTURYSWKMBDHVNacgtryn-*"


def test_strings_are_reverse_complemented_with_their_iupac_codes(
    make: MakeDataset, tmp_path: Path
) -> None:
    rng = np.random.default_rng(3)
    letters = "".join(rng.choice(list(IUPAC), 3000))
    fasta = tmp_path / "codes.fa"
    fasta.write_text(f">chr1\n{letters}\n")
    options = custom(collection=None, reference_genome_path=fasta, custom_position_sampler=Turned())
    for batch in make(sequence_encoder=None, **options):
        for text, start, is_reversed in zip(
            batch.sequences, batch.starts.tolist(), batch.reverse.tolist(), strict=True
        ):
            wanted = oracle.window(letters, start, 60, is_reversed)
            got = [oracle.letters_of(base) for base in text]
            inside = [0 <= p < 3000 for p in range(start, start + 60)]
            if is_reversed:
                inside.reverse()
            assert [g for g, i in zip(got, inside, strict=True) if i] == [
                w for w, i in zip(wanted, inside, strict=True) if i
            ]
            assert {b for b, i in zip(text, inside, strict=True) if not i} <= {"N"}


def test_an_encoder_sees_the_strand_that_is_delivered(make: MakeDataset) -> None:
    def encode(strings: list[str]) -> np.ndarray:
        return np.array([["ACGT".find(b) for b in s] for s in strings])

    options = custom(custom_position_sampler=Turned())
    for hot, encoded in zip(make(**options), make(sequence_encoder=encode, **options), strict=True):
        known = hot.sequences.any(axis=2)
        expected = np.where(known, hot.sequences.argmax(axis=2), -1)
        np.testing.assert_array_equal(encoded.sequences, expected)


@pytest.mark.parametrize("shape", [{}, {"moving_average_window_size": 4}])
def test_custom_tracks_swap_among_themselves(make: MakeDataset, shape: dict[str, Any]) -> None:
    chosen = [[2, 0], [1], [0, 1, 2], [1, 2, 0, 0, 2], [0, 2], [2, 1, 0]]
    options = custom(custom_track_sampler=chosen, **shape)
    forward = make(custom_position_sampler=Forward(), **options)
    turned = make(custom_position_sampler=Turned(), track_groups=[["a", "c"]], **options)
    for got, expected, tracks in zip(turned, forward, chosen, strict=True):
        partner = {0: 2, 2: 0, 1: 1}
        for i in np.flatnonzero(got.reverse).tolist():
            for place, track in enumerate(tracks):
                source = tracks.index(partner[track])
                np.testing.assert_array_equal(
                    got.values[i, :, place], expected.values[i, ::-1, source]
                )


def test_a_torn_group_is_an_error_that_names_it(make: MakeDataset) -> None:
    dataset = make(
        custom_position_sampler=Turned(),
        custom_track_sampler=[[0, 2], [1, 2]],
        track_groups=[["a", "c"]],
        **custom(),
    )
    iterator = iter(dataset)
    next(iterator)
    with pytest.raises(LoaderError, match=r"batch 1.*track_groups.*\['a', 'c'\] is torn apart"):
        next(iterator)


def test_groups_are_sub_sampled_whole(make: MakeDataset) -> None:
    dataset = make(sub_sample_tracks=2, track_groups=[["a", "c"]], batches_per_epoch=30)
    assert {tuple(b.track_indices.tolist()) for b in dataset} == {(0, 2)}
    one = make(sub_sample_tracks=1, track_groups=[["a", "c"]], batches_per_epoch=5)
    assert {tuple(b.track_indices.tolist()) for b in one} == {(1,)}
    with pytest.raises(InvalidInputError, match=r"sub_sample_tracks: .*whole groups.*got 1"):
        make(sub_sample_tracks=1, track_groups=[["a", "b", "c"]])


@pytest.mark.parametrize(
    ("groups", "error", "message"),
    [
        (["a", "c"], InvalidInputError, r"list of lists"),
        ("ac", InvalidInputError, r"list of lists"),
        ([0, 1], InvalidInputError, r"list of lists"),
        ([["a", "d"]], NotFoundError, "'d'"),
        ([[0, 3]], InvalidInputError, r"\[0, 3\)"),
        ([["a", "b"], ["b", "c"]], InvalidInputError, "'b' more than once"),
        ([[]], InvalidInputError, "at least one"),
    ],
)
def test_malformed_groups(
    make: MakeDataset, groups: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make(track_groups=groups)


def test_groups_need_tracks(make: MakeDataset) -> None:
    with pytest.raises(InvalidInputError, match=r"track_groups.*collection"):
        make(collection=None, track_groups=[["a"]])


@pytest.fixture
def stranded(world: World, tmp_path: Path) -> Path:
    """Tracks x.plus, x.minus and y."""
    folder = tmp_path / "stranded"
    folder.mkdir()
    for i, name in enumerate(("x.plus", "x.minus", "y")):
        intervals = {"chr1": (np.array([0]), np.array([3000]), np.array([i + 1.0]))}
        write_bigwig(folder / f"{name}.bw", {"chr1": 3000}, intervals)
    return folder


def on_chr1(folder: Path, **parameters: Any) -> dict[str, Any]:
    return {
        "collection": folder,
        "regions_of_interest": regions(("chr1", 0, 3000)),
        **parameters,
    }


def test_flat_strands_are_warned_of_once(make: MakeDataset, stranded: Path) -> None:
    with pytest.warns(UserWarning, match="two strands") as caught:
        make(**on_chr1(stranded, reverse_complement=True))
    (warning,) = caught
    message = str(warning.message)
    assert "'x.plus' and 'x.minus'" in message
    assert "track_groups=[['x.plus', 'x.minus'], ...]" in message
    assert Path(warning.filename).name == "conftest.py"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"reverse_complement": True, "track_groups": []},
        {"reverse_complement": True, "track_groups": [["x.plus", "x.minus"]]},
    ],
)
def test_no_warning_where_there_is_no_question(
    make: MakeDataset, stranded: Path, options: dict[str, Any]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make(**on_chr1(stranded, **options))


def test_stranded_tracks_swap_on_reverse_complement(make: MakeDataset, stranded: Path) -> None:
    dataset = make(
        **on_chr1(stranded, reverse_complement=True, track_groups=[["x.plus", "x.minus"]]),
        batches_per_epoch=10,
        maximum_unknown_bases_fraction=None,
        default_value=float("nan"),
    )
    names = {"x.minus": 2.0, "x.plus": 1.0, "y": 3.0}
    n_reversed = 0
    for batch in dataset:
        forward = [names[n] for n in batch.track_names]
        other = {1.0: 2.0, 2.0: 1.0, 3.0: 3.0}
        for values, is_reversed in zip(batch.values, batch.reverse.tolist(), strict=True):
            wanted = [other[v] for v in forward] if is_reversed else forward
            assert (np.isnan(values) | (values == wanted)).all()
            n_reversed += is_reversed
    assert 5 < n_reversed < 35
