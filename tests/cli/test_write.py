"""The command that writes prepared data sets."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from bigwig_loader.cli import app
from bigwig_loader.dataset.prepared.layout import open_prepared
from tests.helpers.gvl_cases import Case, read_case


@pytest.fixture
def case(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Case:
    """A data set, in a folder of its own with tables of its tracks."""
    found = read_case("50_track_intervals")
    monkeypatch.chdir(tmp_path)
    for track in (0, 1):
        rows = [f"{sample},{path}" for sample, path in found.bigwigs(track).items()]
        Path(f"t{track}.csv").write_text("\n".join(["sample,path", *rows]))
    return found


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["write", *map(str, arguments)])


def test_all_options_reach_the_data_set(case: Case) -> None:
    annotation = case.bigwigs(0)[case.samples[0]]
    result = run(
        "out.gvl", case.bed, "--variants", case.vcf, "--reference", case.fasta,
        "--bigwig-table", "t0.csv", "--track-name", "first", "--bigwig-table", "second=t1.csv",
        "--annotation", f"both={annotation}", "--samples", case.samples[1], "--length", 12,
        "--max-jitter", 3, "--no-extend", "--max-mem", "2g", "--normalize", "drop",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "3 regions x 1 samples" in result.stdout
    data = open_prepared("out.gvl")
    assert data.samples == (case.samples[1],)
    assert {name: track.kind for name, track in data.tracks.items()} == {
        "first": "sample",
        "second": "sample",
        "both": "annotation",
    }
    assert (data.length, data.max_jitter) == (12, 3)
    assert (data.stored_end == data.end + 3).all()
    assert data.metadata["variants"]["options"]["normalize"] == "drop"


def test_a_target_is_replaced_on_request(case: Case) -> None:
    assert run("out.gvl", case.bed, "--variants", case.vcf).exit_code == 0
    again = run("out.gvl", case.bed, "--variants", case.vcf)
    assert again.exit_code == 2
    assert "overwrite" in again.stderr
    Path("names.txt").write_text(f"{case.samples[0]}\n")
    result = run("out.gvl", case.bed, "--bigwig-table", "t0.csv", "--samples", "names.txt",
                 "--overwrite")  # fmt: skip
    assert result.exit_code == 0
    data = open_prepared("out.gvl")
    assert (data.samples, data.table) == ((case.samples[0],), None)


def test_wrong_options_are_one_line(case: Case) -> None:
    result = run("out.gvl", case.bed, "--bigwig-table", "none.csv")
    assert result.exit_code == 2
    assert "none.csv" in result.stderr
    assert run("out.gvl", case.bed, "--annotation", "none.bw").exit_code == 2
    assert run("out.gvl", case.bed, "--variants", case.vcf, "--haploid", "x").exit_code == 2
    assert not Path("out.gvl").exists()


def test_a_run_that_failed_says_what_is_kept(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr("bigwig_loader.dataset.prepared.write.write_metadata", fail)
        result = run("out.gvl", case.bed, "--variants", case.vcf)
    assert result.exit_code == 2
    assert "disk full" in result.stderr
    assert "goes on from there" in result.stderr
    assert run("out.gvl", case.bed, "--variants", case.vcf).exit_code == 0
