"""From files to batches: what `write` stored, opened."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from bigwig_loader.dataset.prepared.dataset import PreparedDataset
from bigwig_loader.dataset.prepared.write import write
from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.ragged import Ragged
from bigwig_loader.track_sources import BigWigs
from tests.dataset.prepared.test_dataset import check_case
from tests.helpers.gvl_cases import Case, read_case

# Some of the written cases, all of whose variants are left-aligned, as `write` wants them.
ALIGNED = [
    "05_del_then_snp_inside",
    "20_del_spanning_end",
    "21_del_end_then_snp_past_end",
    "39_oob_left",
    "42_oob_outside",
    "50_track_intervals",
]


def written(case: Case, folder: Path, **options) -> Path:
    """A case as a data set with its two tracks."""
    tracks = [BigWigs(f"t{i}", case.bigwigs(i)) for i in (0, 1)]
    path = folder / "case.gvl"
    options = {"max_jitter": case.options.get("max_jitter", 0), **options}
    write(path, case.bed, case.vcf, tracks, progress=False, **options)
    return path


@pytest.mark.parametrize("name", ALIGNED)
def test_written_cases_by_way_of_files(name, tmp_path):
    case = read_case(name)
    dataset = PreparedDataset.open(written(case, tmp_path), case.fasta, overlap="window")
    for length, expected in case.modes():
        check_case(dataset if length is None else dataset.with_len(length), expected)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """A data set of regions of 16 bp, and the reference."""
    case = read_case("05_del_then_snp_inside")
    folder = tmp_path_factory.mktemp("cohort")
    bed = folder / "regions.bed"
    rows = [(4, 20, "+"), (20, 36, "-"), (28, 44, "+"), (40, 56, ".")]
    bed.write_text("".join(f"chr1\t{s}\t{e}\tpeak\t0\t{x}\n" for s, e, x in rows))
    tracks = [BigWigs(f"t{i}", case.bigwigs(i)) for i in (0, 1)]
    path = folder / "cohort.gvl"
    write(path, bed, case.vcf, tracks, length=16, max_jitter=3, progress=False)
    return path, case.fasta, case


def test_the_older_quick_start(cohort, tmp_path):
    path, fasta, _ = cohort
    dataset = PreparedDataset.open(path=path, reference=fasta, length=16, return_tracks="t0")
    some = tmp_path / "train.bed"
    some.write_text("chr1\t22\t30\n")
    train = dataset.subset_to(regions=some, samples=["s1"])
    assert train.shape == (2, 1)
    assert dataset.samples == ["s0", "s1"]
    haplotypes, tracks = dataset[7]
    np.testing.assert_array_equal(dataset[3, 1][0], haplotypes)
    np.testing.assert_array_equal(dataset.isel(regions=3, samples=1)[1], tracks)
    found, _ = dataset.sel(regions=dataset.get_bed()[3], samples=dataset.samples[1])
    np.testing.assert_array_equal(found[0], haplotypes)
    assert dataset[:3][0].shape == (3, 2, 16)
    assert dataset[:3, :2][0].shape == (3, 2, 2, 16)

    just_tracks = dataset.with_settings(return_sequences=False, jitter=0)
    totals = np.array([10.0, 20.0])
    means = np.empty((dataset.n_regions, dataset.region_length), np.float32)
    stds = np.empty_like(means)
    for region in range(len(means)):
        logs = np.log1p(just_tracks[region, :] / totals[:, None] * 1e6)
        means[region], stds[region] = logs.mean(0), logs.std(0)
    assert np.isfinite(means).all()

    def halved(dataset_indices, region_indices, sample_indices, tracks: Ragged[np.float32]):
        assert (dataset_indices == region_indices * 2 + sample_indices).all()
        return Ragged.from_offsets(tracks.data / 2, tracks.shape, tracks.offsets)

    both = dataset.write_transformed_track("half", "t0", transform=halved, progress=False)
    assert both.available_tracks == ["t0", "t1", "half"]
    _, pair = both.with_settings(return_tracks=["half", "t0"])[:, :]
    np.testing.assert_allclose(pair[:, :, 0] * 2, pair[:, :, 1], rtol=1e-6)
    again = PreparedDataset.open(path, fasta, return_tracks="half")
    assert again.active_tracks == ["half"]


def test_the_current_quick_start(cohort):
    path, fasta, _ = cohort
    dataset = PreparedDataset.open(path, fasta, jitter=1, rng=3)
    view = dataset.with_seqs("annotated").with_tracks(["t1", "t0"]).with_len(12)
    view = view.with_settings(deterministic=False, index="region").subset_to(samples=["s1", "s0"])
    annotated, tracks = view[0]
    assert annotated.haps.shape == (2, 2, 12)
    assert tracks.shape == (2, 2, 2, 12)
    assert view.samples == ["s1", "s0"]
    assert view.to_full_dataset().samples == ["s0", "s1"]


def test_an_opened_data_set_travels_as_its_path(cohort):
    path, fasta, _ = cohort
    dataset = PreparedDataset.open(path, fasta, length=16)
    wanted, _ = dataset[:, :]
    packed = pickle.dumps(dataset)
    assert len(packed) < 4000  # no arrays
    np.testing.assert_array_equal(pickle.loads(packed)[:, :][0], wanted)


def test_strand_dot_is_plus(cohort):
    path, fasta, _ = cohort
    dataset = PreparedDataset.open(path, fasta)
    assert dataset.get_bed()["strand"].tolist() == ["+", "-", "+", "."]
    coordinates = dataset.with_seqs("annotated")[3, 0][0].ref_coords[0]
    assert coordinates[0] == 40


def test_what_cannot_be_opened(cohort, tmp_path):
    path, fasta, _ = cohort
    with pytest.raises(NotFoundError, match="no prepared data set"):
        PreparedDataset.open(tmp_path)
    with pytest.raises(InvalidInputError, match="at most 3, the max_jitter"):
        PreparedDataset.open(path, fasta, jitter=4)
    with pytest.raises(NotFoundError, match="unknown track 't9'"):
        PreparedDataset.open(path, fasta, return_tracks=["t9"])
    other = tmp_path / "other.fa"
    other.write_text(">chr7\nACGT\n")
    with pytest.raises(NotFoundError, match="unknown contig 'chr1'"):
        PreparedDataset.open(path, other)
