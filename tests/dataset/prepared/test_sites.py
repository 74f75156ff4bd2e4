"""Data sets with sites: rows, flags, wild type and mutant, tracks, both strands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bigwig_loader.dataset.prepared.dataset import PreparedDataset
from bigwig_loader.dataset.prepared.layout import TrackData
from bigwig_loader.dataset.prepared.sites import DatasetWithSites
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.formats.genome import Genome
from bigwig_loader.ragged import Ragged
from tests.helpers.gvl_cases import Region
from tests.helpers.haplotypes import tables
from tests.helpers.prepared import opened, prepared_data, ramp
from tests.oracles.haplotypes import Variant, letters, window

SEQUENCES = {"c1": "ACGTACGTACGTACGTACGTACGTACGTACGTACGTACGT", "c2": "TTGACCATTGCAGGATCCAA"}
SAMPLES = ("s0", "s1")
REGIONS = (
    Region("c1", 4, 16, False),
    Region("c1", 20, 32, True),
    Region("c2", 2, 14, False),
    Region("c1", 10, 22, False),
)
VARIANTS = {
    "c1": [Variant(6, "G", "A", 0), Variant(11, "TAC", "T", 1), Variant(24, "A", "ATT", 2)],
    "c2": [Variant(8, "T", "C", 3)],
}
CARRIED = {
    ("c1", "s0", 0): VARIANTS["c1"],
    ("c1", "s1", 1): VARIANTS["c1"][2:],
    ("c2", "s1", 0): VARIANTS["c2"],
}


def dataset(max_jitter: int = 8, **settings: Any) -> PreparedDataset:
    lengths = {name: len(sequence) for name, sequence in SEQUENCES.items()}
    data = prepared_data(
        REGIONS,
        SAMPLES,
        lengths,
        tables(VARIANTS, CARRIED, SAMPLES),
        {"t": TrackData(ramp(lengths, SAMPLES, step=100.0), "sample")},
        max_jitter=max_jitter,
    )
    settings = {"return_tracks": False, "length": 12, **settings}
    return opened(data, Genome.from_arrays(SEQUENCES), **settings)


def table(*sites: tuple[str, int, str, str]) -> pd.DataFrame:
    frame = pd.DataFrame(list(sites), columns=["CHROM", "POS", "REF", "ALT"])
    frame["CLNSIG"] = [f"p{i}" for i in range(len(frame))]
    return frame


SITES = table(
    ("c2", 9, "T", "C"),  # s1 has it
    ("c1", 13, "A", "G"),  # in the deletion of s0; in two regions
    ("c1", 25, "A", "C"),  # on the anchor of an insertion, in a region of the minus strand
    ("c1", 40, "T", "C"),  # in no region
    ("c1", 21, "A", "AGG"),
    ("c1", 19, "GTA", "G"),
)


def text(array: np.ndarray) -> str:
    return array.tobytes().decode()


def test_rows() -> None:
    both = DatasetWithSites(dataset(), SITES)
    rows = both.rows
    assert rows["region_idx"].tolist() == [0, 1, 1, 1, 2, 3, 3, 3]
    assert rows["site_idx"].tolist() == [1, 5, 4, 2, 0, 1, 5, 4]
    assert rows["POS0"].tolist() == [12, 18, 20, 24, 8, 12, 18, 20]
    assert rows["CLNSIG"].tolist() == [f"p{i}" for i in rows["site_idx"]]
    assert rows["strand"].tolist() == ["+", "-", "-", "-", "+", "+", "+", "+"]
    assert list(rows)[:4] == ["region_idx", "chrom", "start", "end"]
    assert (both.shape, len(both), both.n_rows, both.n_samples) == ((8, 2), 16, 8, 2)
    assert both.dropped == {}


def test_flags() -> None:
    both = DatasetWithSites(dataset(), SITES)
    flags = both[:, :][2]
    assert flags.dtype == np.uint8
    assert flags.shape == (8, 2, 2)
    deleted, existed = np.argwhere(flags == 1).tolist(), np.argwhere(flags == 2).tolist()
    # Rows of the site in the deletion, on the haplotype that has the deletion.
    assert deleted == [[0, 0, 0], [5, 0, 0]]
    assert existed == [[4, 1, 0]]
    assert set(np.unique(flags)) == {0, 1, 2}


@pytest.mark.parametrize("length", [12, "ragged", "variable"])
def test_every_cell_equals_writing_it_out(length: Any) -> None:
    both = DatasetWithSites(dataset(length=length), SITES)
    for row, (region, site) in enumerate(
        zip(both.rows["region_idx"], both.rows["site_idx"], strict=True)
    ):
        place = REGIONS[region]
        _, pos, ref, alt = SITES.iloc[site][["CHROM", "POS", "REF", "ALT"]]
        new = Variant(int(pos) - 1, ref, alt, -2)
        for sample, name in enumerate(SAMPLES):
            wild, mutant, flags = both[row, sample]
            for ploid in range(2):
                carried = CARRIED.get((place.contig, name, ploid), [])
                expected = carried
                if flags[ploid] == 0:
                    # Of the carried ones, only the insertion is at the place of a site.
                    at = [v for v in carried if v.position == new.position]
                    merged = new if not at else new._replace(alt=alt + at[0].alt[1:])
                    expected = [v for v in carried if v not in at] + [merged]
                n = 12 if length == 12 else None
                for found, variants in ((wild, carried), (mutant, expected)):
                    bases = window(
                        SEQUENCES[place.contig], variants, place.start, place.end, length=n
                    )
                    seen = text(found.haps[ploid])
                    assert seen.rstrip("N") == letters(bases, place.reverse)


def test_annotations() -> None:
    wild, mutant, _ = DatasetWithSites(dataset(), SITES)[3, 1]
    # The minus strand of c1:20-32, site at 24 on the anchor of the insertion A>ATT.
    assert wild.var_idxs[1].tolist() == [-1] * 5 + [2, 2, 2] + [-1] * 4
    assert mutant.var_idxs[1].tolist() == [-1] * 5 + [2, 2, -2] + [-1] * 4
    assert mutant.var_idxs[0].tolist() == [-1] * 7 + [-2] + [-1] * 4
    assert mutant.ref_coords[0].tolist() == list(range(31, 19, -1))
    plain = DatasetWithSites(dataset(), SITES, annotate=False)[3, 1]
    assert text(plain[1][1]) == text(mutant.haps[1])


def test_indexing_and_batches() -> None:
    both = DatasetWithSites(dataset(encoding="onehot", dtype="uint8"), SITES)
    wild, mutant, flags = both[[0, 1], [0, 1]]
    assert wild.haps.shape == mutant.haps.shape == (2, 2, 12, 4)
    assert flags.shape == (2, 2)
    whole = both[:, :]
    assert whole[0].haps.shape == (8, 2, 2, 12, 4)
    np.testing.assert_array_equal(both[4, "s1"][1].haps, whole[1].haps[4, 1])
    np.testing.assert_array_equal(both[4][2], whole[2][4])
    sizes = []
    rows: list[np.ndarray] = []
    for batch in both.batches(5):
        sizes.append(len(batch[2]))
        rows.append(batch[1].haps)
    assert sizes == [5, 5, 5, 1]
    np.testing.assert_array_equal(np.concatenate(rows), whole[1].haps.reshape(16, 2, 12, 4))


def test_tracks_follow_the_mutant() -> None:
    both = DatasetWithSites(dataset(), SITES)
    both.dataset = both.dataset.with_tracks("t")
    row = both.rows.index[both.rows["POS0"] == 20][1]  # c1:10-22, insertion A>AGG
    _, mutant, _, tracks = both[row]
    assert tracks.shape == (2, 1, 2, 12)
    for sample in range(2):
        np.testing.assert_array_equal(
            tracks[sample, 0], mutant.ref_coords[sample] + 1.0 + 100 * sample
        )
    # s0 lacks two bases on its first haplotype, so that the insertion is seen there.
    assert (mutant.var_idxs[0, 0] == -2).sum() == 3


def test_ragged_tracks_and_sequences_have_one_shape() -> None:
    both = DatasetWithSites(dataset(length="ragged", return_tracks="t"), SITES)
    wild, mutant, flags, tracks = both[:, :]
    assert isinstance(tracks, Ragged)
    assert wild.haps.leading == (8, 2, 2)
    assert tracks.leading == (8, 2, 1, 2)
    np.testing.assert_array_equal(tracks.lengths[:, :, 0], mutant.haps.lengths)
    assert flags.shape == (8, 2, 2)


def test_what_is_behind_the_window_is_flagged() -> None:
    carried = {("c1", "s0", 0): [Variant(5, "C", "CAAAAAAAA", 0)]}
    lengths = {"c1": 40}
    variants = tables({"c1": carried["c1", "s0", 0]}, carried, ("s0",))
    data = prepared_data(REGIONS[:1], ("s0",), lengths, variants)
    view = opened(data, Genome.from_arrays({"c1": SEQUENCES["c1"]}), length=12)
    both = DatasetWithSites(view, table(("c1", 13, "A", "G")))
    wild, mutant, flags = both[0, 0]
    assert flags.tolist() == [3, 0]
    assert text(wild.haps[0]) == text(mutant.haps[0])


def test_deletions_need_what_is_behind_the_region() -> None:
    view = dataset()
    data = replace(view._sources.data, stored_end=view._sources.data.end)
    view = opened(data, Genome.from_arrays(SEQUENCES), length=12, return_tracks=False)
    both = DatasetWithSites(view, table(("c1", 6, "CGTA", "C")))
    with pytest.raises(InvalidInputError, match=r"row 0 of the sites.*up to position 19.*got 16"):
        both[0, 1]
    both.dataset = both.dataset.with_len("ragged")
    assert text(both[0, 1][1].haps[0]) == "ACCGTACGT"


@pytest.mark.parametrize(
    ("sites", "options", "message"),
    [
        (SITES, {"max_variants_per_region": 2}, "max_variants_per_region"),
        (
            table(("c1", 40, "T", "C")),
            {},
            "at least one in the data set's 4 regions; got none of 1",
        ),
        (table(("c1", 13, "C", "G")), {}, "REF differs from the genome: c1:13 C>G"),
        (table(("c1", 13, "A", "<DUP>")), {}, "symbolic"),
    ],
)
def test_refused(sites: pd.DataFrame, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        DatasetWithSites(dataset(), sites, **options)


def test_dropped() -> None:
    both = DatasetWithSites(dataset(), table(*BAD), invalid="drop")
    assert both.dropped == {"several changes in one record": 1, "symbolic allele or breakend": 1}
    assert both.rows["site_idx"].tolist() == [2]


BAD: Sequence[tuple[str, int, str, str]] = (
    ("c1", 7, "GT", "CC"),
    ("c1", 7, "G", "<DEL>"),
    ("c1", 7, "G", "C"),
)


def test_data_sets_without_haplotypes() -> None:
    data = prepared_data(REGIONS, SAMPLES, {name: len(s) for name, s in SEQUENCES.items()})
    view = opened(data, Genome.from_arrays(SEQUENCES), return_sequences="reference")
    with pytest.raises(InvalidInputError, match="expected a data set with variants"):
        DatasetWithSites(view, SITES)
