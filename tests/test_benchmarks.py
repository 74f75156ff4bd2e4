"""The benchmarks run, compare values before times, and write what they say they write.

Nothing here looks at a time.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyBigWig")
pytest.importorskip("pybigtools")

from benchmarks import made
from benchmarks.__main__ import TINY, run
from benchmarks.compare.grid import Cell, Grid
from benchmarks.compare.measure import Contest, Effort, NotEqualError
from benchmarks.peers import Float32Array
from benchmarks.peers.ours import OurReader
from benchmarks.peers.request import Request, random_request
from benchmarks.plot import draw
from benchmarks.record import Results, read_results
from benchmarks.report import other_rows, print_report, stage_rows, target_rows
from bigwig_loader.formats.bigwig import read_bigwig_index
from bigwig_loader.formats.survey import survey_blocks

# Peers that warn are none of our business here.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All parts, on tiny data."""
    folder: Path = tmp_path_factory.mktemp("benchmarks")
    written = Results(folder / "tiny.jsonl")
    run(TINY, folder / "data", written, ("compare", "stages", "e2e"))
    written.close()
    return written.path


@pytest.fixture(scope="module")
def rows(results: Path) -> list[dict[str, Any]]:
    return read_results(results)


def test_every_part_left_its_rows(rows: list[dict[str, Any]]) -> None:
    assert rows[0]["kind"] == "environment"
    kinds = {row["kind"] for row in rows}
    stages = {"latency", "opening", "memory", "one_hot", "stages"}
    assert kinds == {"environment", "data", "compare", "dataset", *stages}


def test_environment_names_machine_and_versions(rows: list[dict[str, Any]]) -> None:
    environment = rows[0]
    for field in ("cpu", "cores", "os", "python", "inflate", "when", "load_average"):
        assert environment[field], field
    assert environment["packages"]["numpy"] == np.__version__
    assert "commit" in environment


def test_comparison_rows(rows: list[dict[str, Any]]) -> None:
    cells = [row for row in rows if row["kind"] == "compare"]
    assert len(cells) == len(TINY.cells.cells()[0]) * 3  # three data sets
    for row in cells:
        assert row["equal"] is True
        assert row["rounds"] >= 1
        assert row["block_reuse"] >= 1
        assert {"ours_first", "ours_steady", "pyBigWig", "pybigtools"} <= set(row["readers"])
        for reader in row["readers"].values():
            assert set(reader) == {
                "variant",
                "windows_read",
                "wall_s",
                "cpu_s",
                "mbp_tracks_per_s",
                "windows_per_s",
            }
            assert 1 <= reader["windows_read"] <= row["batch"]
        for state in ("ours_first", "ours_steady"):
            assert set(row["ratios"][state]) == set(row["readers"]) - {"ours_first", "ours_steady"}
        assert ("raw" in row) == (row["data"] == "realistic" and row["bin_size"] == 1)


def test_results_are_plain_json(results: Path) -> None:
    for line in results.read_text().splitlines():
        json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_report_and_picture(
    rows: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(other_rows(rows)) == 5  # two latencies, opening, two budgets
    assert len(stage_rows(rows)) == 2
    wanted = [dict(r, length_bp=32_768, tracks=16) for r in rows if r["kind"] == "compare"]
    targets = target_rows(wanted)
    assert {line[2] for line in targets} <= {"figwig", "pybigtools"}
    assert {line[1] for line in targets} >= {"realistic, bases", "realistic, 32-bp bins"}
    print_report(rows)
    assert "Stages of a batch" in capsys.readouterr().out
    picture = draw(rows, tmp_path / "out.png")
    assert picture is not None
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert draw(rows[:1], tmp_path / "none.png") is None


def _data(tmp_path: Path) -> made.DataSet:
    path = str(tmp_path / "fixed.bw")
    made.write_fixed(path, 12, {"chrA": 200_000})
    return made.DataSet("fixed", (path,), {"chrA": 200_000}, "")


def test_a_wrong_value_stops_the_measurement(tmp_path: Path) -> None:
    class Wrong:
        name, one_by_one = "wrong", False

        def variants(self, bin_size: int) -> tuple[str, ...]:
            return ("the only one",)

        def prepare(self) -> None:
            pass

        def read(self, request: Request, out: Float32Array, variant: str) -> None:
            right.read(request, out)
            out[-1, -1, -1] += 1

        def read_raw(self, request: Request, variant: str) -> None:
            pass

    data = _data(tmp_path)
    contest = Contest(data, 1)
    right = OurReader(data.tracks(1), "steady")
    contest.peers = [Wrong()]
    for bin_size in (1, 32):
        with pytest.raises(NotEqualError, match=r"wrong .* differ in 1 of"):
            contest.measure(Cell(1, 1_000, bin_size, 3), Effort(0, 0.01, 1, 1))


def test_peers_read_uncovered_bases_as_zero(tmp_path: Path) -> None:
    from bigwig_loader._bigwig_writer import write_bigwig

    path = tmp_path / "gaps.bw"
    starts = np.arange(50, 20_000, 100)
    write_bigwig(path, {"chrA": 20_000}, {"chrA": (starts, starts + 30, np.arange(len(starts)))})
    data = made.DataSet("gaps", (str(path),), {"chrA": 20_000}, "")
    contest = Contest(data, 2)
    for bin_size in (1, 32):
        row = contest.measure(Cell(2, 1_000, bin_size, 4), Effort(0, 0.01, 1, 1))
        assert row["equal"] is True


def test_first_and_steady_are_what_they_say(tmp_path: Path) -> None:
    data = _data(tmp_path)
    request = random_request(data.places, 400, 20, 1, [3])
    out = np.zeros((20, 400, 1), np.float32)
    inflated = {}
    for state in ("first", "steady"):
        reader = OurReader(data.tracks(1), state)
        for _ in range(2):  # "first" stays first
            reader.prepare()
            before = reader.collection.reader.counts.bytes_inflated
            reader.read(request, out)
            inflated[state] = reader.collection.reader.counts.bytes_inflated - before
    assert inflated["steady"] < inflated["first"]


def test_made_files_have_the_items_they_are_named_for(tmp_path: Path) -> None:
    for items_bp in (4, 12, 50):
        path = str(tmp_path / f"{items_bp}.bw")
        made.write_fixed(path, items_bp, {"chrA": 400_000})
        survey = survey_blocks(read_bigwig_index(path))
        assert survey.items_bp == 400_000
        assert survey.mean_item_bp == pytest.approx(items_bp, rel=0.05)
        assert survey.findings == []


def test_links_are_other_files_of_the_same_content(tmp_path: Path) -> None:
    data = _data(tmp_path)
    paths = data.tracks(5)
    assert len(set(paths)) == 5
    assert data.tracks(5) == paths
    assert {Path(path).stat().st_ino for path in paths} == {Path(paths[0]).stat().st_ino}


def test_grid_lists_what_it_leaves_out() -> None:
    kept, left_out = Grid(tracks=(1, 100), lengths_bp=(524_288,), batches=(1, 64)).cells()
    assert len(kept) + len(left_out) == 8
    assert {(cell.tracks, cell.batch) for cell in left_out} == {(100, 64)}


def test_windows_lie_inside_their_contigs_and_differ_between_rounds() -> None:
    places = {"chrA": (0, 5_000), "chrB": (7_000, 8_200), "chrC": (0, 500)}
    first, second = (random_request(places, 1_000, 400, 1, [i]) for i in (1, 2))
    bounds = np.array([places[name] for name in first.chroms.tolist()])
    assert (first.starts >= bounds[:, 0]).all()
    assert (first.starts + 1_000 <= bounds[:, 1]).all()
    assert set(first.chroms.tolist()) == {"chrA", "chrB"}
    assert first.starts.tolist() != second.starts.tolist()
