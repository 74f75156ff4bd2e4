"""Data sets joined along regions or samples are as if written at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bigwig_loader.dataset.prepared.concat import concat
from bigwig_loader.dataset.prepared.layout import PreparedData, open_prepared
from bigwig_loader.dataset.prepared.write import write
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.track_sources import Table
from tests.helpers.haplotypes import random_world

SAMPLES = ("s0", "s1", "s2")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("sources")
    world = random_world(np.random.default_rng(3), {"a": 400, "b": 200}, 3, 2, 60, 0.4)
    _, vcf = world.write(folder)
    rng = np.random.default_rng(0)
    rows = [
        (str(rng.choice(["a", "b"])), int(start), int(start + rng.integers(5, 40)), "+-"[k % 2], k)
        for k, start in enumerate(rng.integers(-5, 380, 20))
    ]
    bed = pd.DataFrame(rows, columns=["chrom", "start", "end", "strand", "number"])
    frames = {}
    for sample in SAMPLES:
        start = np.sort(rng.choice(400, 80, replace=False))
        frames[sample] = pd.DataFrame(
            {
                "chrom": rng.choice(["a", "b"], 80),
                "start": start,
                "end": start + rng.integers(1, 20, 80),
                "value": rng.random(80),
            }
        )
    return {"bed": bed, "vcf": vcf, "frames": frames}


def written(
    path: Path, sources: dict[str, Any], rows: slice, samples: tuple[str, ...], **options: Any
) -> Path:
    track = Table("x", {sample: sources["frames"][sample] for sample in samples})
    bed = sources["bed"].iloc[rows].reset_index(drop=True)
    annotation = {"y": sources["frames"]["s0"]}
    options = {"max_jitter": 3, "annot_tracks": annotation, "normalize": "drop"} | options
    write(path, bed, sources["vcf"], track, samples, **options)
    return path


def contents(data: PreparedData, exact_spans: bool) -> dict[str, Any]:
    """Everything that must be the same: within regions, or all of it."""
    assert data.table is not None
    assert data.genotypes is not None
    found: dict[str, Any] = {"samples": data.samples, "ploidy": data.ploidy}
    for k in range(data.n_regions):
        contig = int(data.contig_index[k])
        name = data.contigs.names[contig]
        start, end = int(data.start[k]) - data.max_jitter, int(data.end[k]) + data.max_jitter
        if exact_spans:
            start, end = int(data.stored_start[k]), int(data.stored_end[k])
        region = (k, name, int(data.start[k]), int(data.end[k]), int(data.strand[k]))
        for sample in range(data.n_samples):
            for ploid in range(data.ploidy):
                rows = data.genotypes.carried(contig, sample, ploid)
                assert (np.diff(rows) > 0).all()
                found[*region, sample, ploid] = [
                    (int(data.table.record[v]), data.table.ref_of(v), data.table.alt_of(v),
                     float(data.table.info["AF"][v]))
                    for v in rows.tolist()
                    if data.table.position[v] < end
                    and data.table.position[v] + len(data.table.ref_of(v)) > start
                ]  # fmt: skip
            for track in data.tracks.values():
                values = np.zeros(end - start)
                row = sample if track.kind == "sample" else 0
                for a, b, value in zip(*track.table.list_of(contig, row), strict=True):
                    values[max(a - start, 0) : max(b - start, 0)] = value
                found[*region, sample, track.kind] = values.tolist()
    return found


def test_regions_are_joined(sources: dict[str, Any], tmp_path: Path) -> None:
    parts = [
        written(tmp_path / str(k), sources, rows, SAMPLES)
        for k, rows in enumerate([slice(0, 7), slice(7, 8), slice(8, 20)])
    ]
    concat(tmp_path / "joined", parts)
    written(tmp_path / "whole", sources, slice(0, 20), SAMPLES)
    joined, whole = open_prepared(tmp_path / "joined"), open_prepared(tmp_path / "whole")
    assert contents(joined, True) == contents(whole, True)
    assert joined.metadata["variants"]["n_variants"] == whole.metadata["variants"]["n_variants"]
    assert joined.region_frame()["number"].tolist() == list(range(20))
    assert joined.table is not None
    for c in range(len(joined.contigs)):
        rows = slice(*joined.table.contig_offsets[c : c + 2].tolist())
        assert (np.diff(joined.table.position[rows]) >= 0).all()
        assert (np.diff(joined.table.record[rows]) > 0).all()


def test_samples_are_joined_and_sorted(sources: dict[str, Any], tmp_path: Path) -> None:
    parts = [
        written(tmp_path / "1", sources, slice(0, 20), ("s1",)),
        written(tmp_path / "0", sources, slice(0, 20), ("s0", "s2")),
    ]
    concat(tmp_path / "joined", parts, "samples")
    written(tmp_path / "whole", sources, slice(0, 20), SAMPLES)
    joined, whole = open_prepared(tmp_path / "joined"), open_prepared(tmp_path / "whole")
    assert joined.samples == SAMPLES
    assert contents(joined, False) == contents(whole, False)
    assert (joined.stored_end == whole.stored_end).all()


def test_a_joined_data_set_can_be_joined_again(sources: dict[str, Any], tmp_path: Path) -> None:
    one = written(tmp_path / "1", sources, slice(0, 12), SAMPLES)
    other = written(tmp_path / "2", sources, slice(8, 20), SAMPLES)
    concat(one, [one, other], overwrite=True)
    frame = open_prepared(one).region_frame()
    assert frame["number"].tolist() == [*range(12), *range(8, 20)]
    concat(tmp_path / "3", [one])
    assert contents(open_prepared(tmp_path / "3"), True) == contents(open_prepared(one), True)


def test_data_sets_that_do_not_fit_are_refused(sources: dict[str, Any], tmp_path: Path) -> None:
    one = written(tmp_path / "1", sources, slice(0, 5), ("s0", "s1"))
    for options, what in (
        ({"max_jitter": 0}, "same max_jitter"),
        ({"annot_tracks": None}, "same tracks"),
        ({"min_af": 0.2}, "same variants"),
    ):
        other = written(
            tmp_path / "2", sources, slice(5, 9), ("s0", "s1"), overwrite=True, **options
        )
        with pytest.raises(InvalidInputError, match=what):
            concat(tmp_path / "3", [one, other])
    other = written(tmp_path / "2", sources, slice(5, 9), ("s0",), overwrite=True)
    with pytest.raises(InvalidInputError, match="same samples"):
        concat(tmp_path / "3", [one, other])
    with pytest.raises(InvalidInputError, match="same regions"):
        concat(tmp_path / "3", [one, other], axis="samples")
    with pytest.raises(InvalidInputError, match="no sample in two"):
        concat(tmp_path / "3", [one, one], axis="samples")
    with pytest.raises(InvalidInputError, match="at least one"):
        concat(tmp_path / "3", [])
    with pytest.raises(InvalidInputError, match="argument axis"):
        concat(tmp_path / "3", [one], axis="tracks")  # type: ignore[arg-type]
    assert not (tmp_path / "3").exists()


def test_tracks_that_differ_where_regions_overlap_are_refused(
    sources: dict[str, Any], tmp_path: Path
) -> None:
    one = written(tmp_path / "1", sources, slice(0, 12), SAMPLES)
    changed = dict(sources["frames"])
    changed["s1"] = changed["s1"].assign(value=changed["s1"]["value"] + 1)
    other = written(tmp_path / "2", sources | {"frames": changed}, slice(8, 20), SAMPLES)
    with pytest.raises(InvalidInputError, match=r"track 'x' of sample 's1'.*expected equal values"):
        concat(tmp_path / "3", [one, other])
    metadata = json.loads((one / "metadata.json").read_text())
    assert metadata["n_regions"] == 12
