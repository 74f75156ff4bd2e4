"""The benchmark of region tokens makes its data and compares ids; nothing here looks at a time."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.compare import tokens
from benchmarks.compare.measure import NotEqualError
from benchmarks.peers.region_tokens import OURS, PEER, PREPARE, TOKENIZE, TokenJob, measure, run
from benchmarks.record import Results
from benchmarks.token_data import CONTIGS, TokenData, make_token_data
from bigwig_loader.tokens import Tokenizer

SCALE = tokens.TINY


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TokenData:
    pytest.importorskip("h5py", reason="needs h5py, which is not installed")
    return make_token_data(tmp_path_factory.mktemp("tokens"), SCALE)


def sources(data: TokenData) -> dict[str, tuple[str, int]]:
    n = SCALE.queries[0]
    paths = (data.arrays(n), data.bed(n, "sorted"), data.bed(n, "shuffled"), data.cells(5))
    return {path: (path, 2) for path in (*paths, data.tokens(SCALE.n_tokens))}


@pytest.mark.parametrize("kind", ["flat", "wide"])
def test_universes(data: TokenData, kind: str) -> None:
    universe = Tokenizer.from_bed(data.universe(200, kind)).universe
    assert universe.n_regions == 200
    wide = (universe.end - universe.start) > 10_000
    assert wide.sum() == (len(universe.contig_names) if kind == "wide" else 0)


def test_files_hold_the_same_regions(data: TokenData) -> None:
    with np.load(data.arrays(500)) as found:
        arrays = zip(found["contig"].tolist(), found["start"], found["end"], strict=True)
        rows = [f"{CONTIGS[c]}\t{s}\t{e}" for c, s, e in arrays]
    shuffled = Path(data.bed(500, "shuffled")).read_text().splitlines()
    in_order = Path(data.bed(500, "sorted")).read_text().splitlines()
    assert rows == shuffled
    keys = [(chrom, int(start)) for chrom, start, _ in (row.split("\t") for row in in_order)]
    assert keys == sorted(keys)
    assert sorted(in_order) == sorted(shuffled)


def test_every_way_gives_the_tokens(data: TokenData, tmp_path: Path) -> None:
    output = str(tmp_path / "tokens.gtok")
    found = run(TokenJob(OURS, data.universe(200, "wide"), sources(data), output))["sources"]
    arrays, in_order, shuffled, cells, gtok = found.values()
    assert set(arrays) == {"text", "categories"}
    assert len({way["ids"] for way in arrays.values()}) == 1
    # A path is sorted, arrays are not.
    assert in_order["path"]["ids"] == shuffled["path"]["ids"] != arrays["text"]["ids"]
    assert {"file"} <= set(cells) <= {"file", "object", PREPARE}
    assert set(gtok) == {"write", "read", "read as int32", "numpy.memmap"}
    assert len({way["ids"] for way in gtok.values()}) == 1
    assert min(way["wall_s"] for ways in found.values() for way in ways.values()) > 0


def peer_of(ours: dict[str, Any]) -> dict[str, Any]:
    """What the peer would have measured, if it took twice as long as each of our slowest ways."""
    found = {}
    for name, ways in ours["sources"].items():
        slowest = max(
            (way for key, way in ways.items() if key != PREPARE), key=lambda w: w["wall_s"]
        )
        twice = {"wall_s": 2 * slowest["wall_s"], "cpu_s": 2 * slowest["cpu_s"]}
        if name.startswith(".gtok"):
            found[name] = {"write": ways["write"], "read": ways["read"]}
        else:
            found[name] = {PREPARE: twice, TOKENIZE: {**twice, "ids": slowest["ids"]}}
    return {**ours, "sources": found}


def test_the_whole_run(data: TokenData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(job: TokenJob, python: str = "") -> dict[str, Any]:
        found = run(replace(job, library=OURS))
        return peer_of(found) if job.library == PEER else found

    monkeypatch.setattr(tokens, "measure", measured)
    results = Results(tmp_path / "tokens.jsonl")
    tokens.run(SCALE, data.folder, results, 2, sys.executable)
    results.close()
    rows = [row for row in results.rows if row["kind"] == "tokens"]
    shown = [(row.get("universe"), row["source"]) for row in rows]
    assert shown == [
        ("200 flat", "arrays, 500 regions"),
        ("200 flat", "sorted BED, 500 regions"),
        ("200 flat", "shuffled BED, 500 regions"),
        ("200 flat", "arrays, 1,000 regions"),
        ("200 flat", "sorted BED, 1,000 regions"),
        ("200 wide", "arrays, 500 regions"),
        ("200 wide", "sorted BED, 500 regions"),
        ("200 flat", "AnnData, 5 cells x 20 features"),
        (None, ".gtok, 1,000 tokens"),
    ]
    # What is slow at the peer is measured in the first round only.
    assert [len(row["readers"][PEER]) for row in rows] == [2, 2, 2, 2, 2, 1, 1, 2, 2]
    for row in rows[:-1]:
        assert min(ratio["wall"] for ratio in row["ratios"].values()) > 0
        assert all(ratio["wall_whole"] > ratio["wall"] for ratio in row["ratios"].values())
    assert set(rows[-1]["ratios"]) == {"write", "read"}


def test_ratios_are_medians_over_rounds_of_the_same_step() -> None:
    def way(wall: float) -> dict[str, float]:
        return {"wall_s": wall, "cpu_s": 2 * wall}

    theirs = [{PREPARE: way(1), TOKENIZE: way(t)} for t in (3, 4, 9)]
    ours = [{"text": way(t)} for t in (1, 2, 3)]
    expected = {"wall": 3, "wall_whole": 10 / 3, "cpu": 3, "cpu_whole": 10 / 3}
    assert tokens.ratios(theirs, ours) == {"text": expected}
    theirs, ours = [{"write": way(6), "read": way(8)}], [{"read": way(2), "numpy.memmap": way(1)}]
    assert tokens.ratios(theirs, ours) == {"read": {"wall": 4, "cpu": 4}}


def test_different_ids_end_the_run(data: TokenData, monkeypatch: pytest.MonkeyPatch) -> None:
    source = data.bed(500, "sorted")

    def measured(job: TokenJob, python: str = "") -> dict[str, Any]:
        way = {"wall_s": 1.0, "cpu_s": 1.0, "ids": job.library}
        return {"sources": {source: {TOKENIZE: way}}}

    monkeypatch.setattr(tokens, "measure", measured)
    with pytest.raises(NotEqualError, match="ids differ"):
        tokens.compare(TokenJob("", "", {}), [{source: (source, 1)}], sys.executable)


def test_a_failing_library_ends_the_run(tmp_path: Path) -> None:
    source = str(tmp_path / "none.bed")
    with pytest.raises(RuntimeError, match="NotFoundError"):
        measure(TokenJob(OURS, source, {source: (source, 1)}))


def test_the_peer_gives_the_same(data: TokenData, tmp_path: Path) -> None:
    pytest.importorskip("gtars", reason="needs gtars, which is not installed")
    pytest.importorskip("anndata", reason="needs anndata, which is not installed")
    job = TokenJob("", data.universe(200, "wide"), {}, str(tmp_path / "tokens.gtok"))
    rows = tokens.compare(job, [sources(data)], sys.executable)
    assert [row["equal"] for row in rows] == [True] * 5
