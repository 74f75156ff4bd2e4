"""What is in the batches, against the known world."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bigwig_loader.collection import BigWigCollection
from bigwig_loader.dataset import Batch
from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.formats.genome import Genome
from bigwig_loader.types import numpy_dtype
from tests.dataset.conftest import LENGTHS, MakeDataset, World, regions


def windows(batch: Batch) -> list[tuple[str, int, int]]:
    return list(zip(batch.chromosomes, batch.starts.tolist(), batch.ends.tolist(), strict=True))


def bins(values: np.ndarray, size: int) -> np.ndarray:
    n = len(values) // size
    return values[: n * size].reshape(n, size, -1).mean(axis=1)


@pytest.mark.parametrize(
    ("length", "center", "size", "offset"),
    [(60, None, 1, 0), (60, 20, 1, 20), (61, 20, 4, 20), (61, 21, 4, 20), (40, 40, 40, 0)],
)
def test_batches_hold_what_the_files_hold(
    make: MakeDataset, world: World, length: int, center: int | None, size: int, offset: int
) -> None:
    dataset = make(sequence_length=length, center_bin_to_predict=center, window_size=size)
    covered = (center or length) // size * size
    seen = 0
    for batch in dataset:
        assert batch.sequences.shape == (4, length, 4)
        assert batch.values.shape == (4, covered // size, 3)
        assert (batch.ends - batch.starts == length).all()
        assert (batch.value_starts == batch.starts + offset).all()
        assert (batch.value_ends == batch.value_starts + covered).all()
        assert batch.track_names == ("a", "b", "c")
        assert batch.track_indices.tolist() == [0, 1, 2]
        for i, (chrom, start, end) in enumerate(windows(batch)):
            np.testing.assert_array_equal(batch.sequences[i], world.onehot(chrom, start, end))
            signal = world.values(chrom, start + offset, start + offset + covered)
            np.testing.assert_allclose(batch.values[i], bins(signal, size), rtol=1e-6)
            seen += 1
    assert seen == 24


def test_windows_are_centred_on_positions_in_the_regions(make: MakeDataset) -> None:
    dataset = make(
        regions_of_interest=regions(("chr2", 300, 310), ("chr1", 5, 6)),
        sequence_length=7,
        batches_per_epoch=50,
        maximum_unknown_bases_fraction=None,
    )
    positions = {(c, s + 3) for batch in dataset for c, s, _ in windows(batch)}
    assert positions == {("chr2", p) for p in range(300, 310)} | {("chr1", 5)}


def test_edges_of_contigs(make: MakeDataset, world: World) -> None:
    """Past a contig's end is the default value, not the next contig's data."""
    dataset = make(
        regions_of_interest=regions(("chr1", 2999, 3000), ("chr2", 0, 1), ("chr2", 799, 800)),
        shuffle=False,
        batch_size=3,
        default_value=-5.0,
        maximum_unknown_bases_fraction=None,
    )
    (batch,) = dataset
    for i, (chrom, start, end) in enumerate(windows(batch)):
        np.testing.assert_array_equal(batch.values[i], world.values(chrom, start, end, -5.0))
        np.testing.assert_array_equal(batch.sequences[i], world.onehot(chrom, start, end))
    assert (batch.values[0, 31:] == -5.0).all()
    assert (batch.values[1, :30] == -5.0).all()


@pytest.mark.parametrize("width", [1, 2, 5, 8, 101])
@pytest.mark.parametrize("default", [0.0, np.nan])
def test_moving_average_runs_along_bp(
    make: MakeDataset, world: World, width: int, default: float
) -> None:
    dataset = make(
        moving_average_window_size=width,
        center_bin_to_predict=40,
        window_size=4,
        default_value=default,
        maximum_unknown_bases_fraction=None,
    )
    left = width // 2
    for batch in dataset:
        for i, (chrom, _, _) in enumerate(windows(batch)):
            start, end = int(batch.value_starts[i]), int(batch.value_ends[i])
            signal = world.values(chrom, start - left, end + width - 1 - left, default)
            known, box = ~np.isnan(signal), np.ones(width)
            for track in range(3):
                total = np.convolve(np.where(known, signal, 0)[:, track], box, "valid")
                count = np.convolve(known[:, track].astype(float), box, "valid")
                smooth = np.divide(total, count, out=np.full(40, np.nan), where=count > 0.5)
                expected = [
                    np.nanmean(b) if (~np.isnan(b)).any() else np.nan for b in smooth.reshape(10, 4)
                ]
                np.testing.assert_allclose(batch.values[i, :, track], expected, rtol=1e-5)


def test_moving_average_does_not_mix_tracks(make: MakeDataset) -> None:
    smooth = next(iter(make(moving_average_window_size=9, prefetch=0)))
    alone = next(
        iter(make(moving_average_window_size=9, custom_track_sampler=[[1]] * 6, prefetch=0))
    )
    np.testing.assert_array_equal(alone.values[:, :, 0], smooth.values[:, :, 1])


@pytest.mark.parametrize("width", [1, 5])
@pytest.mark.parametrize("size", [1, 3])
def test_default_value_is_never_scaled(
    make: MakeDataset, world: World, width: int, size: int
) -> None:
    options = {
        "default_value": 7.0,
        "moving_average_window_size": width,
        "window_size": size,
        "regions_of_interest": regions(("chr2", 700, 800)),
    }
    plain = next(iter(make(**options)))
    scaled = next(iter(make(**options, scale={"c.bw": 100.0})))
    # Track c has no data here: every base has the default.
    assert (plain.values[:, :, 2] == 7.0).all()
    assert (scaled.values[:, :, 2] == 7.0).all()


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_dtype_is_that_of_both_arrays(make: MakeDataset, dtype: str) -> None:
    full = next(iter(make()))
    batch = next(iter(make(dtype=dtype)))
    assert batch.values.dtype == batch.sequences.dtype == numpy_dtype(dtype)
    np.testing.assert_array_equal(batch.values, full.values.astype(numpy_dtype(dtype)))
    np.testing.assert_array_equal(batch.sequences, full.sequences.astype(numpy_dtype(dtype)))


def test_integers_are_for_sequence_alone(make: MakeDataset) -> None:
    batch = next(iter(make(collection=None, dtype="uint8")))
    assert batch.sequences.dtype == np.uint8
    with pytest.raises(InvalidInputError, match="dtype"):
        make(dtype="uint8")


def test_tuples(make: MakeDataset) -> None:
    batch = next(iter(make()))
    sequences, values = next(iter(make(return_batch_objects=False)))
    np.testing.assert_array_equal(sequences, batch.sequences)
    np.testing.assert_array_equal(values, batch.values)


def test_tracks_alone(make: MakeDataset) -> None:
    whole = make(maximum_unknown_bases_fraction=None)
    alone = make(reference_genome_path=None, return_batch_objects=False)
    for batch, values in zip(whole, alone, strict=True):
        np.testing.assert_array_equal(values, batch.values)
    batch = next(iter(make(reference_genome_path=None)))
    assert batch.sequences is None


def test_sequence_alone(make: MakeDataset) -> None:
    whole, alone = make(), make(collection=None, return_batch_objects=False)
    for batch, sequences in zip(whole, alone, strict=True):
        np.testing.assert_array_equal(sequences, batch.sequences)
    batch = next(iter(make(collection=None)))
    assert (batch.values, batch.value_starts, batch.track_indices) == (None, None, None)
    assert batch.track_names is None


def test_neither_is_refused(make: MakeDataset) -> None:
    with pytest.raises(InvalidInputError, match="at least one"):
        make(collection=None, reference_genome_path=None)


def test_open_inputs_are_taken_as_they_are(make: MakeDataset, world: World) -> None:
    collection, genome = BigWigCollection(world.bigwig_dir), Genome(world.fasta)
    dataset = make(collection=collection, reference_genome_path=genome)
    assert dataset.collection is collection
    assert dataset.genome is genome
    np.testing.assert_array_equal(next(iter(dataset)).values, next(iter(make())).values)
    with pytest.raises(InvalidInputError, match="first_n_files"):
        make(collection=collection, first_n_files=2)


def test_collection_options(make: MakeDataset, world: World) -> None:
    assert next(iter(make(first_n_files=2))).track_names == ("a", "b")
    assert next(iter(make(collection=[world.bigwig_dir / "c.bw"]))).track_names == ("c",)
    assert next(iter(make(collection=world.bigwig_dir / "b.bw"))).values.shape == (4, 60, 1)
    with pytest.raises(NotFoundError, match="BigWig"):
        make(file_extensions=".wig")


def as_lengths(strings: list[str]) -> np.ndarray:
    return np.array([[len(s), s.count("N")] for s in strings])


def test_sequence_encoders(make: MakeDataset) -> None:
    options: dict[str, Any] = {"maximum_unknown_bases_fraction": None, "super_batch_size": 8}
    options["regions_of_interest"] = regions(("chr1", 0, 20), ("chr1", 990, 1010))
    onehot = list(make(**options))
    strings = list(make(**options, sequence_encoder=None))
    counted = list(make(**options, sequence_encoder=as_lengths))
    for hot, text, count in zip(onehot, strings, counted, strict=True):
        assert isinstance(text.sequences, list)
        for row, letters in zip(hot.sequences, text.sequences, strict=True):
            decoded = "".join("ACGT"[r.argmax()] if r.any() else "N" for r in row)
            assert decoded == letters
        assert count.sequences.tolist() == [[60, s.count("N")] for s in text.sequences]


def test_batches_own_their_memory(make: MakeDataset) -> None:
    dataset = make(super_batch_size=12)
    copies = [(b.sequences.copy(), b.values.copy()) for b in dataset]
    dataset.set_epoch(0)
    kept = list(dataset)
    arrays = [array for b in kept for array in (b.sequences, b.values, b.starts)]
    for i, one in enumerate(arrays):
        assert not any(np.shares_memory(one, other) for other in arrays[:i])
    for batch, (sequences, values) in zip(kept, copies, strict=True):
        np.testing.assert_array_equal(batch.sequences, sequences)
        np.testing.assert_array_equal(batch.values, values)
        batch.values[:] = 0


def test_default_length_of_an_epoch(make: MakeDataset) -> None:
    bases = 3000 + 700
    assert len(make(batches_per_epoch=None)) == bases // 60 // 4
    assert len(make(batches_per_epoch=None, drop_last=False)) == -(-(bases // 60) // 4)
    small = make(batches_per_epoch=None, regions_of_interest=regions(("chr1", 40, 50)))
    assert len(small) == 1
    assert [len(b) for b in small] == [4]
    assert len(make()) == len(list(make())) == 6


ORDERED = [
    ("chr2", 100, 200),
    ("chr1", 50, 51),
    ("chr1", 40, 60),
    ("chr2", 100, 200),
    ("chr1", 300, 333),
]


@pytest.mark.parametrize(
    ("drop_last", "limit", "sizes"),
    [(True, None, [2, 2]), (False, None, [2, 2, 1]), (False, 1, [2]), (False, 9, [2, 2, 1])],
)
def test_without_shuffle_regions_come_in_order(
    make: MakeDataset, drop_last: bool, limit: int | None, sizes: list[int]
) -> None:
    dataset = make(
        regions_of_interest=regions(*ORDERED),
        shuffle=False,
        batch_size=2,
        super_batch_size=5,
        drop_last=drop_last,
        batches_per_epoch=limit,
        maximum_unknown_bases_fraction=None,
    )
    assert len(dataset) == len(sizes)
    for _ in range(2):
        batches = list(dataset)
        assert [len(b) for b in batches] == sizes
        expected = [(c, (s + e) // 2 - 30, (s + e) // 2 + 30) for c, s, e in ORDERED]
        assert [w for b in batches for w in windows(b)] == expected[: sum(sizes)]
    assert dataset.epoch == 2


def test_too_few_regions_for_a_batch_are_an_error(make: MakeDataset) -> None:
    with pytest.raises(InvalidInputError, match="drop_last=False"):
        make(regions_of_interest=regions(*ORDERED), shuffle=False, batch_size=6)


def unknown_fraction(world: World, chrom: str, start: int, end: int) -> float:
    return 1 - world.onehot(chrom, start, end).sum() / (end - start)


@pytest.mark.parametrize("limit", [0.0, 0.1, 0.5])
def test_windows_with_many_unknown_bases_are_drawn_again(
    make: MakeDataset, world: World, limit: float
) -> None:
    options = {"regions_of_interest": regions(("chr1", 950, 1250), ("chr2", 0, 50))}
    options |= {"batches_per_epoch": 20}
    free = list(make(**options, maximum_unknown_bases_fraction=None))
    strict = list(make(**options, maximum_unknown_bases_fraction=limit))
    n_changed = 0
    for before, after in zip(free, strict, strict=True):
        for old, new in zip(windows(before), windows(after), strict=True):
            assert unknown_fraction(world, *new) <= limit
            if unknown_fraction(world, *old) <= limit:
                assert new == old
            else:
                n_changed += 1
    assert n_changed > 10


def test_a_window_with_exactly_the_limit_is_kept(make: MakeDataset) -> None:
    dataset = make(
        regions_of_interest=regions(("chr1", 976, 977)),  # 946 to 1006: 6 of 60 bases are N
        batches_per_epoch=1,
        maximum_unknown_bases_fraction=0.1,
    )
    assert [w[1] for b in dataset for w in windows(b)] == [946] * 4


def test_regions_without_known_bases_are_named(make: MakeDataset) -> None:
    dataset = make(regions_of_interest=regions(("chrN", 100, 200)))
    with pytest.raises(Exception, match=r"1000 draws.*chrN:\d+-\d+ with 100.0% unknown") as caught:
        next(iter(dataset))
    assert isinstance(caught.value.__cause__, InvalidInputError)


def test_without_shuffle_such_regions_are_left_out_and_counted(make: MakeDataset) -> None:
    listed = [("chrN", 0, 400), ("chr1", 500, 510), ("chr1", 1090, 1110), ("chr2", 300, 310)]
    options: dict[str, Any] = {"shuffle": False, "batch_size": 1, "batches_per_epoch": None}
    dataset = make(regions_of_interest=regions(*listed), **options)
    assert dataset.n_regions_left_out == 2
    assert len(dataset) == 2
    assert [windows(b)[0][:2] for b in dataset] == [("chr1", 475), ("chr2", 275)]
    with pytest.raises(InvalidInputError, match=r"all 1 have too many.*chrN:170-230"):
        make(regions_of_interest=regions(listed[0]), **options)


def test_repeated_positions(make: MakeDataset) -> None:
    dataset = make(repeat_same_positions=True, position_sampler_buffer_size=10)
    first = [w for b in dataset for w in windows(b)]
    second = [w for b in dataset for w in windows(b)]
    assert first == second
    assert first[10:20] == first[:10]
    assert len(set(first)) == 10
    assert first[:10] == [w for b in make() for w in windows(b)][:10]


def test_sub_sampled_tracks(make: MakeDataset) -> None:
    whole = list(make())
    chosen = []
    for batch, full in zip(make(sub_sample_tracks=2, super_batch_size=12), whole, strict=True):
        assert windows(batch) == windows(full)
        assert batch.values.shape == (4, 60, 2)
        assert batch.track_indices[0] < batch.track_indices[1]
        assert batch.track_names == tuple("abc"[i] for i in batch.track_indices)
        np.testing.assert_array_equal(batch.values, full.values[:, :, batch.track_indices])
        chosen.append(tuple(batch.track_indices.tolist()))
    assert len(set(chosen)) > 1
    with pytest.raises(InvalidInputError, match="expected 1 to 3"):
        make(sub_sample_tracks=4)
    with pytest.raises(InvalidInputError, match="collection"):
        make(sub_sample_tracks=1, collection=None)
    with pytest.raises(InvalidInputError, match="at most one"):
        make(sub_sample_tracks=1, custom_track_sampler=[[0]])


def test_unknown_contigs_say_where(make: MakeDataset, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"'chr3' in the bigWig collection.*chr1"):
        make(regions_of_interest=regions(("chr3", 0, 10)))
    fasta = tmp_path / "one.fa"
    fasta.write_text(">chr1\n" + "ACGT" * 750 + "\n>2\nACGT\n")
    with pytest.raises(NotFoundError, match=r"'chr2' in .*one\.fa.*2"):
        make(reference_genome_path=fasta)


def test_regions_past_the_end_are_refused(make: MakeDataset) -> None:
    with pytest.raises(InvalidInputError, match=r"region 1 \(chr2:700-801\).*800 bp"):
        make(regions_of_interest=regions(("chr1", 0, 5), ("chr2", 700, 801)))


def test_other_contig_lengths_are_warned_of(make: MakeDataset, tmp_path: Path) -> None:
    fasta = tmp_path / "cut.fa"
    fasta.write_text(">chr1\n" + "ACGT" * 500 + "\n>chr2\n" + "A" * 800 + "\n")
    with pytest.warns(UserWarning, match=r"chr1: 3000 and 2000 bp.*assembly"):
        make(reference_genome_path=fasta, regions_of_interest=regions(("chr1", 0, 2000)))
    make(reference_genome_path=fasta, regions_of_interest=regions(("chr2", 0, 800)))
    with pytest.raises(InvalidInputError, match=r"2000 bp in .*cut\.fa"):
        make(reference_genome_path=fasta, regions_of_interest=regions(("chr1", 0, 2001)))


def test_nothing_in_common(make: MakeDataset, tmp_path: Path) -> None:
    fasta = tmp_path / "other.fa"
    fasta.write_text(">1\nACGT\n")
    with pytest.raises(NotFoundError, match="no contig is in both"):
        make(reference_genome_path=fasta)


@pytest.mark.parametrize("kind", ["frame", "bed"])
def test_regions_from_a_bed_file(make: MakeDataset, tmp_path: Path, kind: str) -> None:
    frame = regions(*ORDERED)
    path = tmp_path / "regions.bed"
    frame.to_csv(path, sep="\t", header=False, index=False)
    given = frame if kind == "frame" else path
    dataset = make(regions_of_interest=given, shuffle=False, batch_size=5)
    assert windows(next(iter(dataset)))[0] == ("chr2", 120, 180)


def test_bad_regions(make: MakeDataset) -> None:
    with pytest.raises(InvalidInputError, match="regions_of_interest"):
        make(regions_of_interest=[("chr1", 0, 10)])
    with pytest.raises(InvalidInputError, match="regions_of_interest"):
        make(regions_of_interest=None)


def test_seed_none_is_drawn_and_kept(make: MakeDataset) -> None:
    first, second = make(seed=None), make(seed=None)
    assert first.seed != second.seed
    again = make(seed=first.seed)
    assert windows(next(iter(first))) == windows(next(iter(again)))


def test_lengths_of_the_world(world: World) -> None:
    assert BigWigCollection(world.bigwig_dir).contigs.lengths.tolist() == list(LENGTHS.values())
