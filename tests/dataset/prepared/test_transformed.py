"""Tracks made of other tracks: what the function sees, what is stored, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from bigwig_loader.dataset.prepared import transformed
from bigwig_loader.dataset.prepared.layout import PreparedData, open_prepared
from bigwig_loader.dataset.prepared.transformed import write_transformed_track
from bigwig_loader.dataset.prepared.write import write
from bigwig_loader.errors import InvalidInputError, NotFoundError
from bigwig_loader.ragged import Ragged
from bigwig_loader.track_sources import Table

Indices = npt.NDArray[np.int64]


def values_of(data: PreparedData, track: str, region: int, sample: int) -> npt.NDArray[np.float32]:
    """Value of every stored base of a region that is not before its contig."""
    start, end = max(int(data.stored_start[region]), 0), max(int(data.stored_end[region]), 0)
    values = np.zeros(end - start, np.float32)
    table = data.tracks[track].table
    row = sample if len(table.samples) > 1 else 0
    for a, b, value in zip(*table.list_of(int(data.contig_index[region]), row), strict=True):
        values[max(a - start, 0) : max(b - start, 0)] = value
    return values


@pytest.fixture
def made(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    start = np.sort(rng.choice(500, 150, replace=False))
    frames = {
        sample: pd.DataFrame(
            {
                "chrom": rng.choice(["a", "b"], 150),
                "start": start,
                "end": start + rng.integers(1, 8, 150),
                "value": rng.normal(size=150),
            }
        )
        for sample in ("s0", "s1", "s2")
    }
    first = rng.integers(-20, 480, 30)
    bed = pd.DataFrame(
        {
            "chrom": rng.choice(["b", "a"], 30),
            "start": first,
            "end": first + rng.integers(1, 60, 30),
        }
    )
    bed.loc[len(bed)] = ["a", -30, -10]
    write(
        tmp_path / "d",
        bed,
        tracks=Table("x", frames),
        annot_tracks={"y": frames["s1"]},
        max_jitter=5,
    )
    return tmp_path / "d"


@pytest.mark.parametrize("n_bases", [None, 400])
@pytest.mark.parametrize("existing", ["x", "y"])
def test_a_function_of_each_base_is_stored(
    made: Path, existing: str, n_bases: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    data = open_prepared(made)

    def transform(
        cells: Indices, regions: Indices, samples: Indices, tracks: Ragged[np.float32]
    ) -> Ragged[np.float32]:
        assert tracks.shape == (len(cells), None)
        for k, (region, sample) in enumerate(zip(regions.tolist(), samples.tolist(), strict=True)):
            assert np.array_equal(tracks[k], values_of(data, existing, region, sample))
        seen.extend(zip(cells.tolist(), regions.tolist(), samples.tolist(), strict=True))
        # What the sample adds tells lists of samples apart.
        add = np.repeat(samples, tracks.lengths)
        return Ragged.from_offsets(np.maximum(tracks.data, 0) + add, tracks.leading, tracks.offsets)

    if n_bases is not None:
        monkeypatch.setattr(transformed, "_bases_at_a_time", lambda *arguments: n_bases)
    write_transformed_track(made, "new", existing, transform)
    after = open_prepared(made)
    n_inside = data.n_regions - 1  # the last one lies before its contig
    assert sorted(seen) == [(r * 3 + s, r, s) for r in range(n_inside) for s in range(3)]
    for region in range(data.n_regions):
        for sample in range(3):
            expected = np.maximum(values_of(data, existing, region, sample), 0) + sample
            assert np.array_equal(values_of(after, "new", region, sample), expected)
    assert after.tracks["new"].kind == "sample"
    assert list(after.tracks) == ["x", "y", "new"]


def test_values_may_be_missing_or_replace_the_track(made: Path) -> None:
    def transform(*given: object) -> Ragged[np.float32]:
        tracks = given[3]
        assert isinstance(tracks, Ragged)
        data = np.where(tracks.data > 0, np.float32(np.nan), tracks.data)
        return Ragged.from_offsets(data, tracks.leading, tracks.offsets)

    before = open_prepared(made)
    expected = [values_of(before, "x", r, 1) for r in range(before.n_regions)]
    write_transformed_track(made, "x", "x", transform, overwrite=True)
    after = open_prepared(made)
    for region, values in enumerate(expected):
        values[values > 0] = np.nan
        assert np.array_equal(values_of(after, "x", region, 1), values, equal_nan=True)


def test_what_depends_on_the_region_is_refused_where_regions_overlap(made: Path) -> None:
    def ramp(*given: object) -> Ragged[np.float32]:
        tracks = given[3]
        assert isinstance(tracks, Ragged)
        data = np.concatenate([np.arange(n, dtype=np.float32) for n in tracks.lengths.tolist()])
        return Ragged.from_offsets(data, tracks.leading, tracks.offsets)

    with pytest.raises(InvalidInputError, match=r"expected one value per base.*of sample 's"):
        write_transformed_track(made, "new", "x", ramp)
    assert list(open_prepared(made).tracks) == ["x", "y"]
    assert [path.name for path in made.parent.iterdir()] == ["d"]


def test_wrong_calls(made: Path) -> None:
    def short(*given: object) -> Ragged[np.float32]:
        return Ragged.from_lengths(np.zeros(3, np.float32), np.array([3]))

    with pytest.raises(InvalidInputError, match="with the lengths of its input"):
        write_transformed_track(made, "new", "x", short)
    with pytest.raises(InvalidInputError, match="got NoneType"):
        write_transformed_track(made, "new", "x", lambda *given: None)  # type: ignore[arg-type, return-value]
    with pytest.raises(NotFoundError, match="unknown track 'z'"):
        write_transformed_track(made, "new", "z", short)
    with pytest.raises(InvalidInputError, match="has a track 'y'"):
        write_transformed_track(made, "y", "x", short)
    with pytest.raises(InvalidInputError, match="max_mem is too small"):
        write_transformed_track(made, "new", "x", short, max_mem="1m")
