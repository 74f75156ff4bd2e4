"""Views of a prepared data set, made in memory: against written cases and a slow oracle."""

from __future__ import annotations

import multiprocessing
import pickle

import numpy as np
import pytest

from bigwig_loader.dataset.prepared.layout import TrackData
from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.plan.fills import (
    Constant,
    FlankSample,
    Interpolate,
    Repeat5p,
    Repeat5pNormalized,
)
from bigwig_loader.plan.realign import RealignOptions
from bigwig_loader.plan.signal import TrackTransform
from bigwig_loader.ragged import Ragged
from tests.helpers.gvl_cases import CLEAN, read_case, tables
from tests.helpers.prepared import (
    CONTIGS,
    MAX_JITTER,
    REGIONS,
    SAMPLES,
    case_data,
    interval_table,
    made_world,
    opened,
    prepared_data,
    ramp,
)
from tests.oracles import haplotypes as oracle
from tests.oracles.sequence import COMPLEMENT

FILLS = {
    "repeat5p": Repeat5p(),
    "repeat5p_norm": Repeat5pNormalized(),
    "constant_-7": Constant(-7.0),
    "interpolate1": Interpolate(1),
    "interpolate2": Interpolate(2),
    "interpolate3": Interpolate(3),
}


def nested(output):
    return output.to_list() if hasattr(output, "to_list") else output.tolist()


def texts(output):
    """Rows of letters as strings."""
    if isinstance(output, list) and (not output or isinstance(output[0], bytes)):
        return b"".join(output).decode()
    return [texts(part) for part in output]


# -------------------------------------------------------------------------- written cases ----


@pytest.mark.parametrize("name", CLEAN)
def test_written_cases(name):
    case = read_case(name)
    dataset = opened(case_data(case), case.genome(), overlap="window")
    for length, expected in case.modes():
        check_case(dataset if length is None else dataset.with_len(length), expected)


def check_case(dataset, expected):
    annotated = dataset.with_seqs("annotated").with_tracks(False)[:, :]
    assert texts(nested(annotated.haps)) == expected["haplotypes"]
    assert nested(annotated.var_idxs) == expected["var_idxs"]
    assert nested(annotated.ref_coords) == expected["ref_coords"]
    assert dataset.haplotype_lengths().tolist() == expected["haplotype_lengths"]
    reference = dataset.with_seqs("reference").with_tracks(False)[:, :]
    assert texts(nested(reference)) == expected["reference"]
    variants = dataset.with_seqs("variants").with_tracks(False)[:, :]
    assert nested(variants.start) == expected["variants"]["start"]
    assert nested(variants.ilen) == expected["variants"]["ilen"]
    alts = variants.alt.to_list()
    found = [[[[a.decode() for a in p] for p in s] for s in r] for r in alts]
    assert found == expected["variants"]["alt"]
    for fill in FILLS.keys() & expected["tracks"].keys():
        _, tracks = dataset.with_insertion_fill(FILLS[fill])[:, :]
        check_tracks(nested(tracks), expected["tracks"][fill])
    if dataset.output_length == "ragged":
        tracks = dataset.with_seqs(None)[:, :]
        check_tracks(nested(tracks), expected["tracks_reference_coords"])


def check_tracks(found, expected):
    """Nested lists of one form, and of values as alike as the written ones are exact."""
    found, expected = list(rows_of(found)), list(rows_of(expected))
    assert [len(row) for row in found] == [len(row) for row in expected]
    flat = [np.concatenate([np.array(row, float) for row in rows]) for rows in (found, expected)]
    np.testing.assert_allclose(*flat, rtol=1e-4)


def rows_of(lists):
    if lists and isinstance(lists[0], list):
        for part in lists:
            yield from rows_of(part)
    else:
        yield lists


# ----------------------------------------------------------------------------- made world ----


@pytest.fixture(scope="module")
def world():
    return made_world()


@pytest.fixture(scope="module")
def genome(world):
    from bigwig_loader.formats.genome import Genome

    return Genome.from_arrays(world[0])


@pytest.fixture(scope="module")
def data(world):
    _, variants, carried = world
    table, genotypes = tables(variants, carried, SAMPLES)
    rng = np.random.default_rng(7)
    table.info["AF"] = rng.random(len(table)).astype(np.float32)
    table.info["AF"][::9] = np.nan
    table.info["QUAL"] = np.arange(len(table))
    tracks = {
        "position": TrackData(ramp(CONTIGS), "sample"),
        "own": TrackData(ramp(CONTIGS, step=1000.0), "sample"),
        "shared": TrackData(ramp(CONTIGS, ("",)), "annotation"),
    }
    return prepared_data(
        REGIONS, SAMPLES, CONTIGS, (table, genotypes), tracks, max_jitter=MAX_JITTER
    )


@pytest.fixture
def dataset(data, genome):
    return opened(data, genome)


def expected_rows(world, dataset, length, shift=None):
    """What the oracle gives for all cells, by (region, sample, ploid)."""
    sequences, _, carried = world
    policy = dataset.settings.overlap
    for r, region in enumerate(REGIONS):
        for s, sample in enumerate(SAMPLES):
            for p in range(2):
                bases = oracle.window(
                    sequences[region.contig],
                    carried[region.contig, sample, p],
                    region.start,
                    region.end,
                    policy,
                    length,
                    0 if shift is None else shift[r, s, p],
                )
                yield (r, s, p), region, bases


@pytest.mark.parametrize("overlap", ["first", "bcftools", "window"])
@pytest.mark.parametrize("length", [None, 17, 40, 46])
def test_haplotypes_are_those_of_the_oracle(world, dataset, overlap, length):
    view = dataset.with_settings(overlap=overlap, length=length or "ragged")
    out = view.with_seqs("annotated").with_tracks(False)[:, :]
    for key, region, bases in expected_rows(world, view, length):
        n = CONTIGS[region.contig]
        assert b"".join(out.haps[key].tolist()).decode() == oracle.letters(bases, region.reverse)
        assert out.var_idxs[key].tolist() == oracle.records(bases, region.reverse)
        assert out.ref_coords[key].tolist() == oracle.coordinates(bases, n, region.reverse)


# ------------------------------------------------------------------ tracks follow sequence ----


def position_track(ref_coords, n):
    """What a track of positions has where `Repeat5p` fills insertions."""
    inside = (ref_coords >= 0) & (ref_coords < n)
    return np.where(inside, ref_coords + 1, 0).astype(np.float32)


@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.parametrize("jitter", [0, MAX_JITTER])
@pytest.mark.parametrize("overlap", ["first", "bcftools", "window"])
def test_every_track_value_is_that_of_the_base_beside_it(dataset, overlap, jitter, deterministic):
    view = dataset.with_settings(
        overlap=overlap, jitter=jitter, deterministic=deterministic, length=33
    ).with_tracks("position")
    for epoch in range(4):
        out, tracks = view.with_seqs("annotated").batch_of(np.arange(view.n_cells), epoch)
        contigs = np.repeat([CONTIGS[r.contig] for r in REGIONS], len(SAMPLES))
        wanted = position_track(out.ref_coords, contigs[:, None, None])
        np.testing.assert_array_equal(tracks[:, 0], wanted)
        haplotypes, _ = view.batch_of(np.arange(view.n_cells), epoch)
        np.testing.assert_array_equal(haplotypes, out.haps)


def test_tracks_of_samples_and_of_none_keep_their_places(dataset):
    view = dataset.with_settings(length=30, return_tracks=["shared", "own", "position"])
    _, tracks = view[:, :]
    offset = 1000 * np.arange(len(SAMPLES))[:, None, None]
    inside = tracks[:, :, 2] > 0
    np.testing.assert_array_equal(tracks[:, :, 0], tracks[:, :, 2])
    np.testing.assert_array_equal(tracks[:, :, 1], tracks[:, :, 2] + offset * inside)
    _, swapped = view.with_tracks(["position", "own"])[:, [2, 0]]
    np.testing.assert_array_equal(swapped, tracks[:, [2, 0]][:, :, [2, 1]])


def test_tracks_in_reference_coordinates(dataset):
    haplotypes, tracks = dataset.with_settings(realign_tracks=False, length=30)[:, 0]
    assert haplotypes.shape == (5, 2, 30)
    assert tracks.shape == (5, 3, 30)
    alone = dataset.with_seqs(None).with_len(30)[:, 0]
    np.testing.assert_array_equal(alone, tracks)
    assert tracks[0, 0].tolist() == list(range(101, 131))
    assert tracks[1, 0].tolist() == list(range(150, 120, -1))
    assert tracks[2, 0].tolist() == [0] * 10 + list(range(1, 21))


def test_binned_and_transformed_tracks(dataset):
    view = dataset.with_settings(length=32).with_tracks("position")
    _, bases = view[:, :]
    _, bins = view.with_settings(bin_size=8, statistic="max", track_dtype="float16")[:, :]
    assert bins.dtype == np.float16
    np.testing.assert_array_equal(bins, bases.reshape(*bases.shape[:-1], 4, 8).max(axis=-1))
    assert view.with_settings(bin_size=8).settings.track_options == RealignOptions(bin_size=8)
    _, logs = view.with_settings(track_transform=TrackTransform(log1p=True))[:, :]
    np.testing.assert_allclose(logs, np.log1p(bases), rtol=1e-6)
    _, outside = view.with_settings(out_of_bounds=-1.0)[2, 0]
    assert (outside[:, :, :10] == -1).all()


def test_fills_of_single_tracks(dataset):
    fills = {"own": Constant(-5.0)}
    _, plain = dataset.with_len(40)[:, :]
    _, filled = dataset.with_len(40).with_insertion_fill(fills)[:, :]
    np.testing.assert_array_equal(filled[:, :, [0, 2]], plain[:, :, [0, 2]])
    assert (filled[:, :, 1] == -5).any()
    both = dataset.with_insertion_fill(fills).with_insertion_fill({"own": Repeat5p()})
    np.testing.assert_array_equal(both.with_len(40)[:, :][1], plain)


def test_drawn_fills_depend_on_the_cell_alone(dataset):
    view = dataset.with_len(40).with_insertion_fill(FlankSample(4)).with_tracks("position")
    _, whole = view[:, :]
    for r, s in np.ndindex(view.shape):
        np.testing.assert_array_equal(view[r, s][1], whole[r, s])
    _, part = view.subset_to([3, 1], ["carl"])[:, :]
    np.testing.assert_array_equal(part[:, 0], whole[[3, 1], 2])
    assert (view.with_settings(seed=1)[:, :][1] != whole).any()


# ------------------------------------------------------------------------ jitter and shift ----


def test_jitter_moves_whole_windows_evenly(dataset):
    view = dataset.with_settings(jitter=2).with_seqs(None).with_tracks("position")
    view = view.subset_to([0]).with_settings(length=40)
    found = np.stack([view.batch_of(np.arange(3), epoch)[:, 0] for epoch in range(200)])
    moved = found[:, :, 0] - 101
    assert (np.diff(found, axis=-1) == 1).all()  # windows slide; their length stays
    counts = np.bincount(moved.astype(int).reshape(-1) + 2, minlength=5)
    assert len(counts) == 5
    assert counts.min() > 80  # of 600, expected 120 each


def test_what_is_drawn_depends_on_seed_epoch_and_cell_alone(dataset):
    view = dataset.with_settings(
        jitter=MAX_JITTER, deterministic=False, length=20, seed=3, return_sequences="annotated"
    )
    cells = np.arange(view.n_cells)
    whole, tracks = view.batch_of(cells, 5)
    order = np.random.default_rng(1).permutation(view.n_cells)
    shuffled, shuffled_tracks = view.batch_of(order, 5)
    np.testing.assert_array_equal(shuffled.ref_coords, whole.ref_coords[order])
    np.testing.assert_array_equal(shuffled_tracks, tracks[order])
    for cell in (0, 7, 14):
        one, _ = view.batch_of(np.array([cell]), 5)
        np.testing.assert_array_equal(one.ref_coords[0], whole.ref_coords[cell])
    part = view.subset_to([4, 1], ["carl", "anna"])
    assert part.full_cells(np.arange(4)).tolist() == [14, 12, 5, 3]
    again, _ = part.batch_of(np.arange(4), 5)
    np.testing.assert_array_equal(again.ref_coords, whole.ref_coords[[14, 12, 5, 3]])
    for other in (view.with_settings(seed=4), view.with_settings(epoch=6)):
        changed, _ = other[:]
        assert (changed.ref_coords != view.with_settings(epoch=5)[:][0].ref_coords).any()
    np.testing.assert_array_equal(view.with_settings(epoch=5)[:][0].haps, whole.haps)


def test_the_shift_leaves_out_that_many_bases_of_the_haplotype(world, dataset):
    length = 25
    view = dataset.with_settings(deterministic=False, length=length).with_tracks(False)
    spare = np.maximum(view.haplotype_lengths() - length, 0)
    drawn = []
    for epoch in range(30):
        found = view.batch_of(np.arange(view.n_cells), epoch).reshape(5, 3, 2, length)
        shifts = view.reader.windows(np.arange(view.n_cells), epoch).shift.reshape(5, 3, 2)
        assert (shifts <= spare).all()
        for key, region, bases in expected_rows(world, view, length, shifts):
            text = b"".join(found[key].tolist()).decode()
            assert text == oracle.letters(bases, region.reverse)
        drawn.append(shifts)
    share = np.stack(drawn) / np.maximum(spare, 1)
    assert abs(share[:, spare > 3].mean() - 0.5) < 0.05
    assert (np.stack(drawn).max(axis=0)[spare > 3] > spare[spare > 3] / 2).all()


def test_both_haplotypes_draw_their_own_shift(dataset):
    view = dataset.with_settings(deterministic=False, length=10)
    shift = view.reader.windows(np.arange(15), 0).shift
    assert shift.shape == (15, 2)
    assert (shift[:, 0] != shift[:, 1]).any()


# ------------------------------------------------------------------------ shapes and forms ----


@pytest.mark.parametrize(
    ("key", "batch"),
    [
        ((0, 0), ()),
        ((0, slice(None)), (3,)),
        ((slice(2), slice(2)), (2, 2)),
        (([0, 1], [0, 2]), (2,)),
        (([0, 1], slice(2)), (2, 2)),
        ((np.array([[0, 1], [3, 2]]), 1), (2, 2)),
        ((-1, "ben"), ()),
        ((np.arange(5) > 2, "ben"), (2,)),
        (7, ()),
        (slice(4), (4,)),
        ([0, 14, -1], (3,)),
    ],
)
def test_shapes(dataset, key, batch):
    fixed = dataset.with_len(20)
    haplotypes, tracks = fixed[key]
    assert haplotypes.shape == (*batch, 2, 20)
    assert haplotypes.dtype == "S1"
    assert tracks.shape == (*batch, 3, 2, 20)
    assert fixed.with_tracks("own")[key][1].shape == (*batch, 1, 2, 20)
    assert fixed.with_seqs("reference")[key][0].shape == (*batch, 20)
    assert fixed.with_seqs("reference")[key][1].shape == (*batch, 3, 20)
    assert fixed.with_seqs(None)[key].shape == (*batch, 3, 20)
    assert fixed.with_seqs(None).with_tracks("own")[key].shape == (*batch, 1, 20)
    older = fixed.with_settings(return_sequences=False)
    assert older[key].shape == (*batch, 3, 20)
    assert older.with_tracks("own")[key].shape == (*batch, 20)
    one_hot = fixed.with_settings(encoding="onehot", layout="BPAL", return_tracks=False)
    assert one_hot[key].shape == (*batch, 2, 4, 20)
    annotated = fixed.with_seqs("annotated").with_tracks(False)[key]
    assert annotated.shape == annotated.haps.shape == (*batch, 2, 20)
    ragged, ragged_tracks = dataset[key]
    assert ragged.shape == (*batch, 2, None)
    assert ragged_tracks.shape == (*batch, 3, 2, None)
    assert dataset.with_seqs("variants").with_tracks(False)[key].shape == (*batch, 2, None)
    assert dataset.with_seqs("annotated")[key][0].shape == (*batch, 2, None)


def test_a_lone_index_may_be_a_region(dataset):
    by_region = dataset.with_settings(index="region", length=20)
    assert by_region[1][0].shape == (3, 2, 20)
    assert by_region[:2][0].shape == (2, 3, 2, 20)
    assert len(by_region) == 5
    assert len(dataset) == dataset.n_cells == 15
    rows = [haplotypes for haplotypes, _ in by_region]
    np.testing.assert_array_equal(np.stack(rows), by_region[:][0])


def test_variable_rows_are_padded(dataset):
    ragged, ragged_tracks = dataset.with_seqs("annotated")[:, :]
    variable, tracks = dataset.with_settings(length="variable", return_sequences="annotated")[:, :]
    longest = int(ragged.haps.lengths.max())
    assert variable.shape == (5, 3, 2, longest)
    np.testing.assert_array_equal(variable.haps, ragged.haps.to_padded(b"N"))
    np.testing.assert_array_equal(variable.var_idxs, ragged.var_idxs.to_padded(-1))
    np.testing.assert_array_equal(variable.ref_coords, ragged.ref_coords.to_padded(2**31 - 1))
    np.testing.assert_array_equal(tracks, ragged_tracks.to_padded(0))


def test_encodings(dataset):
    view = dataset.with_len(30).with_tracks(False)
    letters = view[:, :]
    wanted = (letters[..., None] == np.array([b"A", b"C", b"G", b"T"], "S1")).astype(np.float32)
    one_hot = view.with_settings(encoding="onehot")
    np.testing.assert_array_equal(one_hot[:, :], wanted)
    assert one_hot.with_settings(dtype="uint8")[:, :].dtype == np.uint8
    assert one_hot.with_settings(dtype="uint8", encoding="bytes")[0, 0].dtype == "S1"
    planes = one_hot.with_settings(layout="BPAL")[:, :]
    np.testing.assert_array_equal(planes, wanted.swapaxes(-1, -2))
    variable = one_hot.with_settings(layout="BPAL", length="variable")[:, :]
    ragged = dataset.with_tracks(False).with_settings(encoding="onehot")[:, :]
    assert ragged.shape == (5, 3, 2, None, 4)
    np.testing.assert_array_equal(variable, ragged.to_padded().swapaxes(-1, -2))
    codes = view.with_settings(encoding="codes")[:, :]
    np.testing.assert_array_equal(codes, (wanted * [1, 2, 4, 8]).sum(axis=-1))
    order = [9] * 16
    for token, code in enumerate((1, 2, 4, 8)):
        order[code] = token + 1
    tokens = view.with_settings(encoding="tokens", tokens=order, dtype="int16")
    assert tokens[:, :].dtype == np.int16
    known = wanted.any(axis=-1)
    np.testing.assert_array_equal(tokens[:, :], np.where(known, wanted.argmax(-1) + 1, 9))
    padded = tokens.with_len("variable")[:, :]
    lengths = dataset.haplotype_lengths()
    assert (padded[np.arange(padded.shape[-1]) >= lengths[..., None]] == 9).all()


def test_strand_is_ignored_on_request(dataset):
    plain = dataset.with_settings(rc_neg=False, length=25)
    turned, turned_tracks = dataset.with_len(25)[:, :]
    forward, forward_tracks = plain[:, :]
    minus = [1, 3]
    text = texts(turned[minus].tolist())
    other = texts(forward[minus].tolist())
    assert text == [
        [["".join(COMPLEMENT.get(x, x) for x in reversed(p)) for p in s] for s in r] for r in other
    ]
    np.testing.assert_array_equal(turned_tracks[minus], forward_tracks[minus][..., ::-1])
    np.testing.assert_array_equal(turned[[0, 2, 4]], forward[[0, 2, 4]])


def test_transform_gets_haplotypes_and_tracks(dataset):
    seen = []

    def transform(haplotypes, tracks):
        seen.append((haplotypes.shape, tracks.shape))
        return {"n": (haplotypes == b"N").sum(), "tracks": tracks[:, 0]}

    view = dataset.with_settings(transform=transform, length=20)
    out = view[:4]
    assert seen == [((4, 2, 20), (4, 3, 2, 20))]
    assert out["tracks"].shape == (4, 2, 20)
    again = view.batch_of(np.arange(4))
    np.testing.assert_array_equal(again["tracks"], out["tracks"])
    assert isinstance(view.with_settings(transform=False)[0], tuple)
    only = view.with_settings(transform=lambda x: x.shape, return_tracks=False)
    assert only[0] == (2, 20)


def test_indices_are_those_of_the_whole_data_set(dataset):
    view = dataset.subset_to([4, 1], ["carl", "anna"]).with_settings(
        return_indices=True, length=5, return_tracks=False
    )
    _, cells, regions, samples = view[:, :]
    assert cells.tolist() == [[14, 12], [5, 3]]
    assert regions.tolist() == [[4, 4], [1, 1]]
    assert samples.tolist() == [[2, 0], [2, 0]]
    assert [int(x) for x in view[0, 1][1:]] == [12, 4, 0]


# --------------------------------------------------------------------- variants and filters ----


def in_window(variants, region):
    return [v for v in variants if v.position < region.end and v.span[-1] >= max(region.start, 0)]


def test_variants_with_further_fields(world, dataset):
    _, _, carried = world
    view = dataset.with_seqs("variants").with_tracks(False)
    view = view.with_settings(var_fields=["alt", "ref", "record", "QUAL"])
    assert view.active_var_fields == ["alt", "start", "ilen", "ref", "record", "QUAL"]
    out = view[:, :]
    refs = out.ref.to_list()
    for r, region in enumerate(REGIONS):
        for s, sample in enumerate(SAMPLES):
            for p in range(2):
                wanted = in_window(carried[region.contig, sample, p], region)
                assert out.start[r, s, p].tolist() == [v.position for v in wanted]
                assert out.record[r, s, p].tolist() == [v.record for v in wanted]
                assert out.QUAL[r, s, p].tolist() == [v.record for v in wanted]
                ref = [v.ref for v in wanted]
                if region.reverse:
                    ref = ["".join(COMPLEMENT[x] for x in reversed(x)) for x in ref]
                assert [x.decode() for x in refs[r][s][p]] == ref
    counts = view.n_variants()
    np.testing.assert_array_equal(counts, out.start.lengths)
    assert view.n_variants(0, "ben").tolist() == counts[0, 1].tolist()
    alts = out.alt.to_list()
    assert out.alt[1, 0, 0] == out.alt[1].to_list()[0][0] == alts[1][0][0]
    assert out.alt[[2, 0], :, 1].to_list() == [[x[1] for x in alts[2]], [x[1] for x in alts[0]]]
    with pytest.raises(AttributeError, match=r"no field 'dosage'.*QUAL"):
        _ = out.dosage


def test_rare_and_common_variants_are_as_if_nobody_carried_them(world, data, genome, dataset):
    _, variants, carried = world
    frequency = data.table.info["AF"]
    with np.errstate(invalid="ignore"):
        keep = (frequency >= np.float32(0.2)) & (frequency <= np.float32(0.7))
    record_kept = dict(zip(data.table.record.tolist(), keep.tolist(), strict=True))
    fewer = {k: [v for v in found if record_kept[v.record]] for k, found in carried.items()}
    other = prepared_data(REGIONS, SAMPLES, CONTIGS, tables(variants, fewer, SAMPLES), data.tracks)
    filtered = dataset.with_settings(min_af=0.2, max_af=0.7)
    for length in ("ragged", 40):
        wanted = opened(other, genome, length=length)
        for found, expected in zip(filtered.with_len(length)[:, :], wanted[:, :], strict=True):
            assert nested(found) == nested(expected)
    assert filtered.n_variants().tolist() == opened(other, genome).n_variants().tolist()
    unfiltered = filtered.with_settings(min_af=False, max_af=False)
    assert nested(unfiltered[:, :][0]) == nested(dataset[:, :][0])


# ------------------------------------------------------------------------------------ views ----


def test_views_leave_the_data_set_as_it_is(dataset):
    before = repr(dataset)
    view = dataset.subset_to([1, 0], ["carl", "ben"]).with_len(12).with_tracks(["own"])
    assert view.shape == (2, 2)
    assert view.full_shape == (5, 3)
    assert view.samples == ["carl", "ben"]
    assert view.is_subset
    assert not dataset.is_subset
    assert view.active_tracks == ["own"]
    assert dataset.active_tracks == ["position", "own", "shared"]
    assert repr(dataset) == before
    assert "2 x 2 of 5 and 3" in repr(view)
    haplotypes, _ = dataset.with_len(12)[:, :]
    np.testing.assert_array_equal(view[:, :][0], haplotypes[[1, 0]][:, [2, 1]])
    np.testing.assert_array_equal(view.subset_to([1])[0, 0][0], haplotypes[0, 2])
    full = view.to_full_dataset()
    assert full.shape == (5, 3)
    assert full.output_length == 12
    assert dataset.haplotypes is dataset.with_len(9).haplotypes  # made once


def test_subsets_by_intervals_masks_and_names(dataset, data, genome, tmp_path):
    import pandas as pd

    bed = tmp_path / "some.bed"
    bed.write_text("chr1\t139\t141\nchr2\t0\t31\nchr9\t0\t5\n")
    for intervals in (bed, str(bed), pd.read_csv(bed, sep="\t", names=["chrom", "start", "end"])):
        assert dataset.subset_to(intervals).get_bed()["name"].tolist() == [
            "peak0",
            "peak1",
            "peak3",
        ]
    swapped = dataset.subset_to([3, 2, 0]).subset_to(bed)
    assert swapped.get_bed()["name"].tolist() == ["peak3", "peak0"]
    assert dataset.subset_to(np.arange(5) > 2).n_regions == 2
    on_chr2 = dataset.get_bed()["chrom"] == "chr2"
    assert dataset.subset_to(on_chr2, slice(0, 1)).shape == (2, 1)
    named = opened(data, genome, region_names="name", length=8)
    np.testing.assert_array_equal(named["peak3", "ben"][0], named[3, 1][0])
    assert named.subset_to(["peak4", "peak1"]).get_bed()["name"].tolist() == ["peak4", "peak1"]
    assert named.subset_to("peak2").shape == (1, 3)
    np.testing.assert_array_equal(named.subset_to(["peak4"])["peak4", 0][0], named[4, 0][0])
    far = tmp_path / "far.bed"
    far.write_text("chr1\t390\t395\n")
    with pytest.raises(NotFoundError, match="none does"):
        dataset.subset_to(far)
    with pytest.raises(InvalidInputError, match="at least one region"):
        dataset.subset_to([])
    with pytest.raises(NotFoundError, match=r"column 'nmae'.*name"):
        _ = opened(data, genome, region_names="nmae")[0, 0]


def test_sel_and_isel(dataset):
    view = dataset.with_len(16)
    bed = view.get_bed()
    haplotypes, _ = view[:, :]
    found, _ = view.sel(regions=bed[3], samples=view.samples[1])
    np.testing.assert_array_equal(found, haplotypes[[3], 1])
    found, _ = view.sel(bed.iloc[[4, 0]], ["carl", "anna"])
    np.testing.assert_array_equal(found, haplotypes[[4, 0], [2, 0]])
    found, _ = view.sel(samples="ben")
    np.testing.assert_array_equal(found, haplotypes[:, 1])
    found, _ = view.isel(regions=0, samples=2)
    np.testing.assert_array_equal(found, haplotypes[0, 2])
    found, _ = view.isel(samples=[1])
    np.testing.assert_array_equal(found, haplotypes[:, [1]])
    wider = bed[1]
    wider["start"] -= 4
    wider["end"] += 4
    found, _ = view.sel(wider, 0)
    np.testing.assert_array_equal(found, haplotypes[[1], 0])
    wider["start"] += 2
    with pytest.raises(NotFoundError, match="chr1:118-164"):
        view.sel(wider, 0)
    assert bed[1:3]["name"].tolist() == ["peak1", "peak2"]
    with pytest.raises(IndexError, match="there are 5 regions"):
        bed[5]


def test_what_there_is_to_know(dataset):
    assert dataset.n_regions == 5
    assert dataset.n_samples == 3
    assert dataset.ploidy == 2
    assert dataset.contigs == ["chr1", "chr2"]
    assert dataset.region_length == 40
    assert dataset.output_length == "ragged"
    assert dataset.sequence_type == "haplotypes"
    assert dataset.available_tracks == ["position", "own", "shared"]
    assert dataset.available_var_fields[:5] == ["alt", "start", "ilen", "ref", "record"]
    assert (dataset.has_reference, dataset.has_genotypes, dataset.has_intervals) == (True,) * 3
    assert (dataset.jitter, dataset.max_jitter) == (0, MAX_JITTER)
    assert dataset.regions["strand"].tolist() == ["+", "-", "+", "-", "+"]


def test_counts_of_intervals(dataset, data, genome):
    expected = [[40, 40, 40], [40, 40, 40], [30, 30, 30], [40, 40, 40], [25, 25, 25]]
    np.testing.assert_array_equal(dataset.n_intervals()[:, 0], expected)
    assert dataset.n_intervals(2, 1).tolist() == [30, 30, 30]
    table = interval_table(["chr1"], ("",), {("chr1", ""): [(90, 101, 1.0), (139, 150, 2.0)]})
    few = prepared_data(
        REGIONS[:2], SAMPLES, {"chr1": 400}, None, {"few": TrackData(table, "annotation")}
    )
    assert opened(few, None).n_intervals()[:, 0].tolist() == [[2], [1]]


def test_a_longer_length_needs_stored_bases(dataset):
    assert dataset.with_len(40 + MAX_JITTER)[0, 0][0].shape == (2, 46)
    with pytest.raises(InvalidInputError, match=r"at most 46 with jitter=0.*region 0 has 40 bp"):
        _ = dataset.with_len(47)[0, 0]
    with pytest.raises(InvalidInputError, match=r"at most 44 with jitter=2"):
        _ = dataset.with_settings(length=45, jitter=2)[0, 0]
    far = dataset.with_seqs("reference").with_tracks(False).with_len(90)  # nothing stored
    assert far[0, 0].shape == (90,)


def test_a_data_set_that_was_not_extended_gives_what_it_has(world, genome):
    _, variants, carried = world
    data = prepared_data(REGIONS[:1], SAMPLES, CONTIGS, tables(variants, carried, SAMPLES))
    data.metadata["variants"] = {"extend_to_length": False}
    data.stored_end[:] = data.end
    dataset = opened(data, genome)
    lengths = dataset.haplotype_lengths()[0]
    fewest = int(lengths.min())
    assert dataset.with_len(fewest)[:, :].shape == (1, 3, 2, fewest)
    sample = int(lengths.min(axis=1).argmin())
    with pytest.raises(
        InvalidInputError, match=rf"cell {sample}: .*position 140.*extend_to_length"
    ):
        _ = dataset.with_len(fewest + 1)[:, sample]
    whole = dataset.with_len(40).with_seqs("reference")
    assert whole[0, 0].shape == (40,)
    data.metadata["variants"] = {"extend_to_length": True}
    assert opened(data, genome).with_len(40)[:, sample].shape == (1, 2, 40)


# --------------------------------------------------------------------- what may be missing ----


def test_without_variants(genome, data):
    bare = prepared_data(REGIONS, SAMPLES, CONTIGS, None, data.tracks)
    dataset = opened(bare, genome, length=12)
    assert dataset.sequence_type == "reference"
    assert dataset.ploidy is None
    assert dataset.available_var_fields == []
    reference, tracks = dataset[:, :]
    assert reference.shape == (5, 3, 12)
    assert tracks.shape == (5, 3, 3, 12)
    with pytest.raises(InvalidInputError, match="without variants"):
        dataset.with_seqs("haplotypes")
    with pytest.raises(InvalidInputError, match="with variants"):
        dataset.n_variants()


def test_without_a_reference(data):
    dataset = opened(data, None)
    assert dataset.sequence_type == "variants"
    variants, tracks = dataset[0, 0]
    assert variants.shape == (2, None)
    assert tracks.shape == (3, None)
    with pytest.raises(InvalidInputError, match=r"without a reference.*Pass reference="):
        dataset.with_seqs("haplotypes")


def test_without_anything_carried(world, genome):
    _, variants, _ = world
    data = prepared_data(REGIONS, SAMPLES, CONTIGS, tables(variants, {}, SAMPLES))
    dataset = opened(data, genome)
    assert not dataset.has_intervals
    np.testing.assert_array_equal(
        dataset.with_len(40)[:, :],
        np.repeat(dataset.with_len(40).with_seqs("reference")[:, :][:, :, None], 2, axis=2),
    )
    none = dataset.with_seqs(None)
    with pytest.raises(InvalidInputError, match="got neither"):
        _ = none[0, 0]


def test_other_assemblies_are_noticed(data):
    from bigwig_loader.formats.genome import Genome

    with pytest.raises(NotFoundError, match="unknown contig 'chr2'"):
        opened(data, Genome.from_arrays({"chr1": "A" * 400}))
    with pytest.raises(InvalidInputError, match=r"'chr2' of 260 bp.*got 300 bp.*assembly"):
        opened(data, Genome.from_arrays({"chr1": "A" * 400, "chr2": "A" * 300}))


# ------------------------------------------------------------------------ other processes ----


def read_first(view, queue):
    queue.put(view[0, 0][0].tolist())


def test_views_travel(dataset):
    view = dataset.with_settings(length=20, jitter=3, seed=9).subset_to([2, 1])
    wanted = view[:, :][0]  # caches are filled before the copy is made
    again = pickle.loads(pickle.dumps(view))
    np.testing.assert_array_equal(again[:, :][0], wanted)
    assert again.fingerprint() == view.fingerprint()
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=read_first, args=(view, queue))
    process.start()
    assert queue.get(timeout=30) == wanted[0, 0].tolist()
    process.join()


def test_fingerprints(dataset):
    prints = [
        view.fingerprint()
        for view in (
            dataset,
            dataset.with_len(20),
            dataset.with_settings(seed=1),
            dataset.with_settings(jitter=1),
            dataset.subset_to([1, 2]),
            dataset.subset_to([2, 1]),
            dataset.with_tracks("own"),
            dataset.with_insertion_fill(Constant(1.0)),
            dataset.with_settings(transform=nested),
        )
    ]
    assert len(set(prints)) == len(prints)
    assert dataset.with_settings(epoch=4).fingerprint() == dataset.fingerprint()
    assert dataset.with_settings(index="region").fingerprint() == dataset.fingerprint()


def test_ragged_tracks_are_ragged_arrays(dataset):
    _, tracks = dataset[:2, 0]
    assert isinstance(tracks, Ragged)
    np.testing.assert_array_equal(tracks.lengths[:, 0], dataset.haplotype_lengths(slice(2), 0))
