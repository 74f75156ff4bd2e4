from __future__ import annotations

import numpy as np
import pytest

from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.formats.genome import Genome
from tests.helpers.gvl_cases import Region, tables
from tests.helpers.prepared import (
    CONTIGS,
    MAX_JITTER,
    REGIONS,
    SAMPLES,
    made_world,
    opened,
    prepared_data,
)
from tests.oracles.haplotypes import Variant

SEQUENCE = "ACGTACGTAC" * 6
MADE = [
    Variant(8, "ACGTAC", "A", 0),  # deletes 9..13
    Variant(12, "A", "T", 1),  # inside it
    Variant(16, "A", "C", 2),
    Variant(16, "A", "AGG", 3),  # its anchor is what record 2 changed
    Variant(25, "C", "G", 4),
    Variant(30, "A", "AT", 5),
    Variant(50, "A", "T", 6),
]


@pytest.fixture
def dataset():
    everyone = {("c", "s", 0): MADE, ("c", "s", 1): []}
    table, genotypes = tables({"c": MADE}, everyone, ["s"])
    table.info["AF"] = np.array([0.9, 0.9, 0.9, 0.9, 0.01, 0.9, 0.9], np.float32)
    data = prepared_data(
        [Region("c", 11, 40, False)], ["s"], {"c": len(SEQUENCE)}, (table, genotypes)
    )
    return opened(data, Genome.from_arrays({"c": SEQUENCE}), min_af=0.1)


def found(explanation):
    return {v.record: (v.status, v.why) for v in explanation.variants}


def test_reasons(dataset):
    explained = dataset.explain(0, "s", 0)
    assert found(explained) == {
        0: ("applied", "starts before the window; takes away its first 3 bases"),
        1: ("dropped", "overlaps record 0, which comes first"),
        2: ("applied", ""),
        3: ("dropped", "overlaps record 2, which comes first"),
        4: ("dropped", "filtered: allele frequency 0.01"),
        5: ("applied", ""),
    }
    assert [v.record for v in explained.applied] == [0, 2, 5]
    assert [v.record for v in explained.dropped] == [1, 3, 4]
    assert explained.variants[0].ilen == -5
    assert explained.length == 29 - 3 + 1


def test_policies(dataset):
    joined = found(dataset.with_settings(overlap="bcftools").explain(0, "s", 0))
    assert joined[3] == ("applied", "without its anchor base, which record 2 has")
    window = found(dataset.with_settings(overlap="window").explain(0, 0, 0))
    assert window[1] == ("dropped", "overlaps record 0, which comes first")


def test_what_a_fixed_length_does_not_reach(dataset):
    explained = dataset.with_len(10).explain(0, 0, 0)
    assert found(explained)[5] == ("not reached", "behind the 10 bases returned")
    assert found(explained)[2][0] == "applied"
    assert [v.record for v in explained.of("not reached")] == [5]


def test_a_table_for_people(dataset):
    lines = str(dataset.explain(0, "s", 0)).splitlines()
    assert lines[0] == (
        "region 0, sample 's', haplotype 0: c:11-40, 27 bases, 3 of 6 variants applied "
        "(overlap='first')"
    )
    assert lines[1].split() == ["record", "position", "ref", "alt", "status", "why"]
    assert lines[3].split(maxsplit=5) == [
        "1", "12", "A", "T", "dropped", "overlaps record 0, which comes first"
    ]  # fmt: skip
    assert len(lines) == 8
    assert str(dataset.explain(0, "s", 1)).count("\n") == 0


def test_long_alleles_are_shortened():
    variant = Variant(5, "C", "C" + "A" * 99, 0)
    made = tables({"c": [variant]}, {("c", "s", 0): [variant]}, ["s"])
    data = prepared_data([Region("c", 0, 20, False)], ["s"], {"c": len(SEQUENCE)}, made)
    dataset = opened(data, Genome.from_arrays({"c": SEQUENCE}))
    assert "CAAAAAAAAAAAAAAA...(100)" in str(dataset.explain(0, 0))


@pytest.mark.parametrize(
    ("key", "error", "message"),
    [
        ((0, "s", 2), InvalidInputError, "ploid: expected 0 to 1; got 2"),
        ((1, "s", 0), NotFoundError, "region 1"),
        ((0, "t", 0), NotFoundError, "sample 't'"),
    ],
)
def test_unknown_haplotypes(dataset, key, error, message):
    with pytest.raises(error, match=message):
        dataset.explain(*key)


@pytest.mark.parametrize("overlap", ["first", "bcftools", "window"])
@pytest.mark.parametrize("length", ["ragged", 21])
def test_it_tells_what_the_sequence_shows(overlap, length):
    sequences, variants, carried = made_world(3)
    data = prepared_data(
        REGIONS, SAMPLES, CONTIGS, tables(variants, carried, SAMPLES), max_jitter=MAX_JITTER
    )
    dataset = opened(
        data, Genome.from_arrays(sequences), overlap=overlap, length=length, jitter=MAX_JITTER
    )
    annotated = dataset.with_seqs("annotated")[:, :]
    for r, s, p in np.ndindex(len(REGIONS), len(SAMPLES), 2):
        explained = dataset.explain(r, s, p)
        shown = set(annotated.var_idxs[r, s, p].tolist()) - {-1}
        applied = {
            v.record
            for v in explained.applied
            # A deletion from before the window, or without its anchor, has no base of its own.
            if v.position >= explained.start and not (v.ilen < 0 and "without" in v.why)
        }
        assert shown == applied
        if length == "ragged":
            assert explained.length == len(annotated.haps[r, s, p])
