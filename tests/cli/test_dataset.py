"""``dataset info|explain|show``: what they tell is what the data set holds and delivers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from bigwig_loader._bigwig_writer import write_bigwig
from bigwig_loader.cli import app, picture
from bigwig_loader.cli.example_view import OUTSIDE, ExampleView
from bigwig_loader.dataset.prepared.dataset import PreparedDataset
from bigwig_loader.dataset.prepared.write import write
from bigwig_loader.track_sources import BigWigs
from tests.helpers.haplotypes import World
from tests.oracles.haplotypes import Variant

SEQUENCE = "".join(np.random.default_rng(1).choice(list("ACGT"), 90))
SNP = Variant(20, SEQUENCE[20], "ACGT"[("ACGT".index(SEQUENCE[20]) + 1) % 4], 0)
INSERTION = Variant(30, SEQUENCE[30], SEQUENCE[30] + ("GG" if SEQUENCE[30] != "G" else "TT"), 1)
LAST = next(p for p in range(40, 60) if SEQUENCE[p] != SEQUENCE[p + 3])
DELETION = Variant(LAST, SEQUENCE[LAST : LAST + 4], SEQUENCE[LAST], 2)
MASKED = Variant(LAST + 2, SEQUENCE[LAST + 2], "N", 3)
VARIANTS = [SNP, INSERTION, DELETION, MASKED]
NO_DATA = (24, 28)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of two regions, one past the contig's end, and two samples."""
    pytest.importorskip("cyvcf2")
    folder = tmp_path_factory.mktemp("made")
    carried = {("c1", "s0", 0): VARIANTS, ("c1", "s1", 1): [SNP]}
    fasta, vcf = World({"c1": SEQUENCE}, ("s0", "s1"), 2, {"c1": VARIANTS}, carried).write(folder)
    bed = folder / "regions.bed"
    bed.write_text("c1\t10\t70\tfirst\t0\t+\nc1\t80\t95\tlast\t0\t-\n")
    files = {}
    known = np.array([p for p in range(90) if not NO_DATA[0] <= p < NO_DATA[1]])
    for i, name in enumerate(("s0", "s1")):
        files[name] = folder / f"{name}.bw"
        values = (known + 1000.0 * i).astype(np.float32)
        write_bigwig(files[name], {"c1": 90}, {"c1": (known, known + 1, values)})
    path = folder / "made.gvl"
    write(path, bed, vcf, BigWigs("atac", files), reference=fasta, progress=False)
    return path


def run(command: str, *arguments: object) -> Result:
    return CliRunner().invoke(app, ["dataset", command, *(str(a) for a in arguments)])


def test_info(made: Path) -> None:
    result = run("info", "--json", made)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["regions"] == {
        "count": 2,
        "contigs": 1,
        "shortest_bp": 15,
        "longest_bp": 60,
        "minus_strand": 1,
        "columns": ["chrom", "start", "end", "name", "score", "strand"],
    }
    assert report["samples"] == ["s0", "s1"]
    assert report["cells"] == 4
    kinds = ("count", "substitutions", "insertions", "deletions", "carried", "ploidy")
    assert [report["variants"][k] for k in kinds] == [4, 2, 1, 1, 5, 2]
    assert report["tracks"]["atac"]["kind"] == "sample"
    total = sum(f.stat().st_size for f in made.rglob("*") if f.is_file())
    assert report["bytes"]["total"] == total
    shown = " ".join(run("info", made).stdout.replace("│", " ").split())
    assert "2 on 1 contig, 15 to 60 bp; 1 on the minus strand" in shown
    assert "2 substitutions, 1 insertions, 1 deletions" in shown


def test_explain(made: Path) -> None:
    result = run("explain", made, 0, "s0")
    assert result.exit_code == 0, result.output
    first, second = result.stdout.split("\n\n")
    assert "haplotype 0: c1:10-70, 59 bases, 3 of 4 variants applied" in first
    assert "dropped" in first
    assert "overlaps record 2, which comes first" in first
    assert "0 of 0 variants applied" in second
    as_json = json.loads(
        run("explain", made, "first", "s1", "--region-names", "name", "--json").stdout
    )
    assert [len(one["variants"]) for one in as_json] == [0, 1]
    assert as_json[1]["variants"][0] == {
        "record": 0,
        "position": 20,
        "ref": SNP.ref,
        "alt": SNP.alt,
        "status": "applied",
        "why": "",
    }
    one = run("explain", made, 0, "s0", "--haplotype", 1, "--length", 5).stdout
    assert one.count("haplotype") == 1


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, list[ExampleView], str]]:
    """What the command hands to the drawing function, which then draws nothing."""
    seen: list[tuple[Path, list[ExampleView], str]] = []

    def keep(path: Path, views: list[ExampleView], title: str) -> Path:
        seen.append((path, views, title))
        return path

    monkeypatch.setattr(picture, "draw_examples", keep)
    return seen


def test_show_draws_what_the_data_set_delivers(made: Path, drawn: list[Any]) -> None:
    result = run("show", made, 0, "s0")
    assert result.exit_code == 0, result.output
    ((path, views, title),) = drawn
    assert (path, title) == (Path("made_0_s0.png"), "made.gvl: sample s0")
    fasta = json.loads((made / "metadata.json").read_text())["reference"]
    haps, tracks = PreparedDataset.open(made, fasta)[0, 0]
    for ploid, view in enumerate(views):
        assert view.letters is not None
        assert "".join(view.letters).encode() == haps[ploid].tobytes()
        np.testing.assert_array_equal(view.tracks[0].values, tracks[0, ploid])
        assert view.length_bp == len(haps[ploid])
    names = [(m.start, m.end, m.name) for m in views[0].marks]
    assert names == [
        (10, 11, f"21 {SNP.ref}>{SNP.alt}"),
        (20, 23, f"31 {INSERTION.ref}>{INSERTION.alt}"),
        (LAST - 8, LAST - 7, f"{LAST + 1} {DELETION.ref}>{DELETION.alt}"),
    ]
    assert views[1].marks == ()
    missing = np.flatnonzero(views[1].tracks[0].covered == 0)
    assert missing.tolist() == [p - 10 for p in range(*NO_DATA)]


def test_show_the_end_of_a_contig_on_the_minus_strand(made: Path, drawn: list[Any]) -> None:
    result = run(
        "show", made, "last", "s1", "--region-names", "name", "--length", 12, "-o", "x.svg"
    )
    assert result.exit_code == 0, result.output
    ((path, views, _),) = drawn
    assert path == Path("x.svg")
    letters = "".join(views[0].letters)
    turned = SEQUENCE[80:].translate(str.maketrans("ACGT", "TGCA"))[::-1]
    assert letters == OUTSIDE * 2 + turned
    assert "reverse complement" in views[0].title
    np.testing.assert_array_equal(views[0].tracks[0].values, [0, 0, *range(1089, 1079, -1)])


def test_pictures_are_written(made: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    result = run("show", made, 0, "s0", "--track", "atac", "-o", tmp_path / "p.svg")
    assert result.exit_code == 0, result.output
    # Texts are comments in an SVG.
    text = (tmp_path / "p.svg").read_text()
    assert "<!-- base of the haplotype -->" in text
    assert "<!-- variants -->" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("explain", "{made}", "first", "s0"), "a number from 0 to 1, or a name"),
        (("explain", "{made}", 2, "s0"), "region 2 does not exist"),
        (("explain", "{made}", 0, "s9"), "unknown sample 's9'"),
        (("explain", "{made}", 0, "s0", "--haplotype", 2), "ploid"),
        (("show", "{made}", 0, "s0", "--track", "atca"), "unknown track 'atca'"),
        (("info", "{made}/none"), "no prepared data set"),
    ],
)
def test_errors_are_one_line(made: Path, arguments: tuple[Any, ...], message: str) -> None:
    result = run(*(str(a).format(made=made) for a in arguments))
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
