"""Further tracks for a data set: what is there stays, new ones appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bigwig_loader.dataset.prepared import update as update_module
from bigwig_loader.dataset.prepared.layout import PreparedData, open_prepared
from bigwig_loader.dataset.prepared.update import update
from bigwig_loader.dataset.prepared.write import write
from bigwig_loader.errors import InvalidDataError, InvalidInputError, NotFoundError
from bigwig_loader.track_sources import Table

BED = pd.DataFrame({"chrom": ["a", "b", "a"], "start": [5, 0, 300], "end": [20, 30, 310]})


def made_table(name: str, seed: int, samples: tuple[str, ...] = ("s0", "s1")) -> Table:
    rng = np.random.default_rng(seed)
    frames = {}
    for sample in samples:
        start = np.sort(rng.choice(400, 60, replace=False))
        value = rng.random(60).astype(np.float32)
        chrom = rng.choice(["a", "b"], 60)
        frames[sample] = pd.DataFrame(
            {"chrom": chrom, "start": start, "end": start + 3, "value": value}
        )
    return Table(name, frames)


def lists(data: PreparedData, name: str) -> list[list[list[float]]]:
    """Columns of each list of a track."""
    table = data.tracks[name].table
    return [
        [np.asarray(column).tolist() for column in table.list_of(contig, sample)]
        for contig in range(len(table.contig_names))
        for sample in range(len(table.samples))
    ]


@pytest.fixture
def made(tmp_path: Path) -> Path:
    write(tmp_path / "d", BED, tracks=made_table("x", 0), max_jitter=2)
    return tmp_path / "d"


def test_added_tracks_are_as_if_written_at_once(made: Path, tmp_path: Path) -> None:
    frame = pd.DataFrame({"chrom": ["a"], "start": [0], "end": [400], "value": [2.0]})
    report = update(made, made_table("y", 1), {"z": frame})
    assert list(report.tracks) == ["y", "z"]
    write(tmp_path / "e", BED, tracks=[made_table("x", 0), made_table("y", 1)], max_jitter=2,
          annot_tracks={"z": frame})  # fmt: skip
    data, expected = open_prepared(made), open_prepared(tmp_path / "e")
    assert list(data.tracks) == list(expected.tracks) == ["x", "y", "z"]
    for name in data.tracks:
        assert lists(data, name) == lists(expected, name)
        assert data.tracks[name].kind == expected.tracks[name].kind
    assert sum(len(found[0]) for found in lists(data, "y")) > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d", "e"]


def test_a_track_is_replaced_only_on_request(made: Path) -> None:
    before = open_prepared(made)
    old = lists(before, "x")
    with pytest.raises(InvalidInputError, match="has a track 'x'"):
        update(made, made_table("x", 5))
    update(made, made_table("x", 5), overwrite=True)
    data = open_prepared(made)
    assert lists(data, "x") != old
    assert lists(before, "x") == old  # a data set that is open keeps what it had
    assert len(list((made / "tracks").iterdir())) == 1


def test_a_failed_update_changes_nothing(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = lists(open_prepared(made), "x")

    def fail(*arguments: object) -> None:
        raise InvalidDataError("made to fail")

    with monkeypatch.context() as patch:
        patch.setattr(update_module, "write_metadata", fail)
        with pytest.raises(InvalidDataError, match="made to fail"):
            update(made, made_table("x", 5), overwrite=True)
    assert lists(open_prepared(made), "x") == before
    update(made, made_table("x", 5), overwrite=True)
    assert lists(open_prepared(made), "x") != before


def test_wrong_updates(made: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="unknown sample 's1' in track 'y'"):
        update(made, made_table("y", 1, ("s0", "t1")))
    with pytest.raises(InvalidInputError, match="got none"):
        update(made)
    with pytest.raises(NotFoundError, match="no prepared data set"):
        update(tmp_path / "none", made_table("y", 1))
    with pytest.raises(InvalidInputError, match="expected a path or an opened data set"):
        update(3, made_table("y", 1))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d"]
