"""Views whose rows are transcripts, and the filter for exonic variants, on whole data sets."""

from __future__ import annotations

import itertools
import pickle
from typing import Any

import numpy as np
import pytest

from bigwig_loader.dataset.prepared.dataset import PreparedDataset
from bigwig_loader.dataset.prepared.layout import TrackData
from bigwig_loader.dataset.prepared.sites import DatasetWithSites
from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.formats.genome import Genome
from bigwig_loader.ragged import Ragged
from tests.helpers.gvl_cases import Region
from tests.helpers.haplotypes import World, random_world
from tests.helpers.prepared import opened, prepared_data, ramp
from tests.oracles.haplotypes import coordinates, letters, records, window

LENGTHS = {"c1": 120, "c2": 60}
REGIONS = (
    Region("c1", 5, 25, False),
    Region("c2", 10, 22, True),
    Region("c1", 40, 52, False),
    Region("c2", 30, 45, True),
    Region("c1", 70, 81, True),
)
TRANSCRIPTS = {"plus": [0, 2], "minus": [3, 1], "one": [4]}


@pytest.fixture(scope="module")
def world() -> World:
    return random_world(np.random.default_rng(5), LENGTHS, 2, 2, 25, 0.5)


def dataset(world: World, **settings: Any) -> PreparedDataset:
    tracks = {
        name: TrackData(ramp(LENGTHS, world.samples, step=step), "sample")
        for name, step in (("a", 1000.0), ("b", 0.0))
    }
    data = prepared_data(REGIONS, world.samples, LENGTHS, world.tables(), tracks)
    settings = {"length": "ragged", "splice_info": TRANSCRIPTS, **settings}
    return opened(data, Genome.from_arrays(world.sequences), **settings)


def expected(
    world: World, transcript: str, sample: int, ploid: int, exonic: bool = False
) -> tuple[str, list[int], list[int]]:
    """Letters, records and coordinates of a transcript, region by region."""
    parts = []
    for row in TRANSCRIPTS[transcript]:
        place = REGIONS[row]
        sequence = world.sequences[place.contig]
        carried = world.carried[place.contig, world.samples[sample], ploid]
        if exonic:
            carried = [v for v in carried if v.span[0] >= place.start and v.span[-1] < place.end]
        bases = window(sequence, carried, place.start, place.end)
        parts.append(
            (
                letters(bases, place.reverse),
                records(bases, place.reverse),
                coordinates(bases, len(sequence), place.reverse),
            )
        )
    texts, record, place_of = zip(*parts, strict=True)
    return "".join(texts), list(itertools.chain(*record)), list(itertools.chain(*place_of))


@pytest.mark.parametrize("var_filter", [None, "exonic"])
def test_rows_are_joined_in_order(world: World, var_filter: Any) -> None:
    view = dataset(world, return_sequences="annotated", return_tracks=False, var_filter=var_filter)
    assert view.shape == view.full_shape == (3, 2)
    found = view[:, :]
    for t, name in enumerate(TRANSCRIPTS):
        for sample, ploid in itertools.product(range(2), range(2)):
            text, record, place = expected(world, name, sample, ploid, var_filter == "exonic")
            assert found.haps[t, sample, ploid].tobytes().decode() == text
            assert found.var_idxs[t, sample, ploid].tolist() == record
            assert found.ref_coords[t, sample, ploid].tolist() == place
    # Some variant was cut off by the filter, or the test shows nothing.
    other = dataset(world, return_tracks=False)[:, :]
    same = all(
        found.haps[i].tobytes() == other[i].tobytes()
        for i in itertools.product(range(3), range(2), range(2))
    )
    assert same == (var_filter is None)


def test_tracks_follow(world: World) -> None:
    view = dataset(world, return_sequences="annotated", return_tracks=["b", "a"])
    haps, tracks = view[:, :]
    assert tracks.leading == (3, 2, 2, 2)
    for t, sample, ploid in itertools.product(range(3), range(2), range(2)):
        place = haps.ref_coords[t, sample, ploid]
        np.testing.assert_array_equal(tracks[t, sample, 0, ploid], place + 1)
        np.testing.assert_array_equal(tracks[t, sample, 1, ploid], place + 1 + 1000 * sample)
    exonic = view.with_settings(var_filter="exonic")
    haps, tracks = exonic[1, 1]
    np.testing.assert_array_equal(tracks[1, 0], haps.ref_coords[0] + 1001)


def test_padded(world: World) -> None:
    ragged = dataset(world, encoding="onehot", dtype="uint8")[:, :]
    haps, tracks = dataset(
        world, encoding="onehot", dtype="uint8", layout="BPAL", length="variable"
    )[:, :]
    n = int(ragged[0].lengths.max())
    assert haps.shape == (3, 2, 2, 4, n)
    for index in itertools.product(range(3), range(2), range(2)):
        length = len(ragged[0][index])
        np.testing.assert_array_equal(haps[index][:, :length].T, ragged[0][index])
        assert not haps[index][:, length:].any()
        np.testing.assert_array_equal(
            tracks[index][..., :3], np.stack([x[:3] for x in ragged[1][index]])
        )
    annotated = dataset(world, return_sequences="annotated", return_tracks=False, length="variable")
    last = annotated[:].ref_coords[..., -1]
    assert 2_147_483_647 in last
    tokens = dataset(world, return_tracks=False, length="variable", encoding="tokens")[:]
    assert tokens.max() == 4


def test_reference_and_tracks_alone(world: World) -> None:
    view = dataset(world, return_sequences="reference", return_tracks=False)
    text = "".join(
        letters(window(world.sequences[p.contig], [], p.start, p.end), p.reverse)
        for p in (REGIONS[3], REGIONS[1])
    )
    assert view["minus", 0].data.tobytes().decode() == text
    tracks = dataset(world, return_sequences=False, return_tracks="b")
    assert tracks["plus", 1].data.tolist() == [*range(6, 26), *range(41, 53)]


def test_views(world: World) -> None:
    view = dataset(world, return_tracks=False)
    part = view.subset_to(["one", "minus"], ["s1"])
    assert (part.shape, part.is_subset, view.is_subset) == ((2, 1), True, False)
    assert part[1, 0][0].tobytes() == view["minus", "s1"][0].tobytes()
    assert part.full_cells(np.array([0, 1])).tolist() == [5, 3]
    assert part.spliced_regions["splice_id"].tolist() == ["one", "minus"]
    assert part.spliced_regions["start"].tolist() == [[70], [30, 10]]
    assert part.to_full_dataset().shape == (3, 2)
    assert view.subset_to([True, False, True]).shape == (2, 2)
    again = pickle.loads(pickle.dumps(part))
    assert again.fingerprint() == part.fingerprint() != view.fingerprint()
    plain = view.with_settings(splice_info=False)
    assert (plain.shape, plain.is_spliced, view.is_spliced) == ((5, 2), False, True)
    assert plain.fingerprint() != view.fingerprint()
    with pytest.raises(InvalidInputError, match="spliced_regions"):
        _ = plain.spliced_regions


def test_batches_of_cells_and_indices(world: World) -> None:
    view = dataset(world, return_tracks=False, return_indices=True)
    haps, cells, regions, samples = view.batch_of(np.array([4, 1]))
    assert isinstance(haps, Ragged)
    assert (cells.tolist(), regions.tolist(), samples.tolist()) == ([4, 1], [2, 0], [0, 1])
    assert haps[1, 0].tobytes().decode() == expected(world, "plus", 1, 0)[0]


def test_by_column_in_order_of_another(world: World) -> None:
    view = dataset(world, return_tracks=False, splice_info=("chrom", "start"))
    assert view.spliced_regions["index"].tolist() == [[0, 2, 4], [1, 3]]
    # One column: the rows of the minus strand are taken from the last one on.
    view = dataset(world, return_tracks=False, splice_info="chrom")
    assert view.spliced_regions["index"].tolist() == [[0, 2, 4], [3, 1]]
    forward = view.with_settings(rc_neg=False)
    assert forward.spliced_regions["index"].tolist() == [[0, 2, 4], [1, 3]]


def test_counting(world: World) -> None:
    view = dataset(world)
    lengths = view.haplotype_lengths()
    assert lengths.shape == (3, 2, 2)
    np.testing.assert_array_equal(lengths, view[:, :][0].lengths)
    plain = view.with_settings(splice_info=False)
    variants = plain.n_variants()
    np.testing.assert_array_equal(view.n_variants()[1], variants[3] + variants[1])
    np.testing.assert_array_equal(view.n_variants("minus", "s1"), variants[3, 1] + variants[1, 1])
    np.testing.assert_array_equal(view.n_intervals(2), plain.n_intervals(4))
    exonic = view.with_settings(var_filter="exonic")
    np.testing.assert_array_equal(exonic.haplotype_lengths(), exonic[:, :][0].lengths)
    assert (exonic.n_variants() <= view.n_variants()).all()
    assert exonic.n_variants().sum() < view.n_variants().sum()


def test_explain(world: World) -> None:
    plain = dataset(world, splice_info=None)
    exonic = plain.with_settings(var_filter="exonic", return_sequences="annotated")
    n_cut = 0
    for region, sample, ploid in itertools.product(range(5), range(2), range(2)):
        told = exonic.explain(region, sample, ploid)
        place = REGIONS[region]
        cut = {v.record for v in told.dropped if "exonic" in v.why}
        n_cut += len(cut)
        carried = world.carried[place.contig, world.samples[sample], ploid]
        assert cut == {
            v.record
            for v in carried
            if v.span[0] < place.end
            and v.span[-1] >= place.start
            and not (v.span[0] >= place.start and v.span[-1] < place.end)
        }
        seen = set(exonic[region, sample][0].var_idxs[ploid].tolist()) - {-1}
        assert {v.record for v in told.applied} == seen
    assert n_cut > 0
    with pytest.raises(InvalidInputError, match=r"rows of this view are transcripts.*splice_info"):
        dataset(world).explain(0, 0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"length": 5}, "expected length='ragged' or 'variable'"),
        ({"return_sequences": "variants"}, "expected sequences"),
        ({"bin_size": 2}, "expected bin_size=1"),
        ({"var_filter": "exonic", "deterministic": False}, "argument var_filter"),
        ({"var_filter": "intronic"}, "var_filter"),
        ({"deterministic": False}, "expected deterministic=True"),
    ],
)
def test_refused(world: World, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        dataset(world, **settings)


def test_intervals_and_sites_are_refused(world: World) -> None:
    view = dataset(world)
    with pytest.raises(InvalidInputError, match="expected transcripts by name or number"):
        view.subset_to(view.get_bed())
    with pytest.raises(InvalidInputError, match="expected transcripts by name or number"):
        view.sel(view.get_bed())
    with pytest.raises(NotFoundError, match="unknown transcript 'plsu'"):
        view["plsu", 0]
    with pytest.raises(InvalidInputError, match="without splice_info"):
        DatasetWithSites(view, {"CHROM": [], "POS": [], "REF": [], "ALT": []})
