"""``bigwig-loader check``: made files with one thing wrong each, and real sets."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from bigwig_loader._bigwig_writer import write_bigwig
from bigwig_loader.cli import app
from bigwig_loader.cli.contig_files import read_listing
from bigwig_loader.example_data import ExampleData
from tests.formats.test_fasta import bgzip
from tests.helpers.shared import shared_data

LENGTHS = {"chr1": 300, "chr2": 200, "chrM": 50}
HEADER = "##fileformat=VCFv4.3\n"
COLUMNS = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
BARE = {"1": 300, "2": 200, "MT": 50}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["check", *map(str, arguments)])


def check(*arguments: object) -> dict[str, list[str]]:
    """What was found of each file, by its name: kind, what and advice in one line each."""
    result = run("--json", *arguments)
    assert result.exit_code in (0, 1), result.output
    reports = json.loads(result.stdout)
    assert result.exit_code == (not all(report["usable"] for report in reports))
    found = {}
    for report in reports:
        problems = [f["is_problem"] for f in report["findings"]]
        assert report["usable"] == (not any(problems))
        found[Path(report["path"]).name] = [
            f"{'problem' if f['is_problem'] else 'note'}: {f['what']}. {f['advice']}"
            for f in report["findings"]
        ]
    return found


def fasta(path: Path, lengths: dict[str, int]) -> Path:
    path.write_text("".join(f">{name}\n{'A' * bp}\n" for name, bp in lengths.items()))
    return path


def contig_lines(lengths: dict[str, int]) -> str:
    return "".join(f"##contig=<ID={name},length={bp}>\n" for name, bp in lengths.items())


@pytest.fixture
def genome(tmp_path: Path) -> Path:
    return fasta(tmp_path / "genome.fa", LENGTHS)


# ------------------------------------------------------------------------------- all is well ----


def test_files_of_one_genome(tiny_data: ExampleData, tmp_path: Path) -> None:
    vcf = tmp_path / "calls.vcf"
    vcf.write_text(HEADER + contig_lines({"chr1": 60_000, "chr2": 20_000, "chr3": 20_000}))
    files = [tiny_data.reference_genome, tiny_data.bigwig_dir, tiny_data.peaks, vcf]
    result = run(*files)
    assert result.exit_code == 0, result.output
    assert "all 7 files can be used together" in result.stdout
    assert "problem" not in result.stdout
    reports = json.loads(run("--json", *files).stdout)
    assert [r["kind"] for r in reports] == ["FASTA", *["BigWig"] * 4, "BED", "VCF"]
    assert {r["n_contigs"] for r in reports} == {3}
    assert [r["total_bp"] for r in reports] == [100_000] * 5 + [None, 100_000]
    assert all(r["findings"] == [] for r in reports)


@pytest.mark.parametrize("compressed", ["", ".gz", ".bgz"])
def test_kinds_are_known_by_names_and_by_options(
    genome: Path, tmp_path: Path, compressed: str
) -> None:
    bed = b"chr1\t0\t300\n"
    vcf = (HEADER + contig_lines(LENGTHS) + COLUMNS).encode()
    pack = {"": bytes, ".gz": gzip.compress, ".bgz": lambda text: bgzip(text)[0]}[compressed]
    for name, text in (("x.narrowPeak", bed), ("y.BED", bed), ("z.vcf", vcf)):
        (tmp_path / (name + compressed)).write_bytes(pack(text))
    plain = {"regions": bed, "calls": vcf, "reference": genome.read_bytes()}
    for name, text in plain.items():
        (tmp_path / name).write_bytes(pack(text))
    named = [tmp_path / (name + compressed) for name in ("x.narrowPeak", "y.BED", "z.vcf")]
    assert set(check(genome, *named)) == {"genome.fa", *(path.name for path in named)}
    by_option = check(
        "--genome",
        tmp_path / "reference",
        "--bed",
        tmp_path / "regions",
        "--vcf",
        tmp_path / "calls",
    )
    assert by_option == {"reference": [], "regions": [], "calls": []}


def test_without_a_genome_the_first_bigwig_is_what_others_are_compared_with(
    tmp_path: Path,
) -> None:
    a = write_bigwig(tmp_path / "a.bw", LENGTHS, {})
    b = write_bigwig(tmp_path / "b.bw", LENGTHS | {"chr2": 201}, {})
    (tmp_path / "c.bed").write_text("chr2\t100\t200\n")
    found = check(tmp_path / "c.bed", a, b)
    assert list(found) == ["a.bw", "b.bw", "c.bed"]
    assert found["a.bw"] == found["c.bed"] == []
    assert found["b.bw"] == [
        "problem: 1 of 3 shared contigs with another length, the first chr2: 201 bp here, 200 bp "
        "in a.bw. Use files of one assembly."
    ]


# ------------------------------------------------------------------------------------- names ----


def test_other_spelling(genome: Path, tmp_path: Path) -> None:
    track = write_bigwig(tmp_path / "a.bw", BARE, {})
    (tmp_path / "b.bed").write_text("1\t0\t10\nMT\t0\t10\n")
    (tmp_path / "c.vcf").write_text(HEADER + contig_lines(BARE))
    found = check(genome, track, tmp_path / "b.bed", tmp_path / "c.vcf")
    for name, n, advice in (
        ("a.bw", 3, "with_contig_names"),
        ("b.bed", 2, "first column"),
        ("c.vcf", 3, "bcftools annotate --rename-chrs"),
    ):
        (finding,) = found[name]
        expected = f"problem: {n} contigs spelled otherwise than in genome.fa, e.g. 1 for chr1"
        assert finding.startswith(expected)
        assert advice in finding


def test_other_spelling_of_some_contigs_only(genome: Path, tmp_path: Path) -> None:
    lengths = {"chr1": 300, "chr2": 200, "MT": 50}
    track = write_bigwig(tmp_path / "a.bw", lengths, {})
    (tmp_path / "b.bed").write_text("chr1\t0\t10\nMT\t0\t10\n")
    found = check(genome, track, tmp_path / "b.bed")
    assert [f.split(", e.g.")[0] for f in found["a.bw"] + found["b.bed"]] == [
        "note: 1 contig spelled otherwise than in genome.fa",
        "problem: 1 contig spelled otherwise than in genome.fa",
    ]


def test_other_spelling_and_other_length(genome: Path, tmp_path: Path) -> None:
    track = write_bigwig(tmp_path / "a.bw", BARE | {"MT": 51}, {})
    found = check(genome, track)["a.bw"]
    assert found[0].startswith("problem: 1 of 3 shared contigs with another length, the first MT")
    assert found[1].startswith("problem: 3 contigs spelled otherwise")


def test_nothing_in_common(genome: Path, tmp_path: Path) -> None:
    track = write_bigwig(tmp_path / "a.bw", {f"NC_{i}": 10 for i in range(5)}, {})
    (finding,) = check(genome, track)["a.bw"]
    assert finding.startswith(
        "problem: no contig in common with genome.fa: NC_0, NC_1, NC_2, ... here, "
        "chr1, chr2, chrM there. These are files of different genomes"
    )


def test_contigs_missing_on_one_side_are_noted(genome: Path, tmp_path: Path) -> None:
    track = write_bigwig(tmp_path / "a.bw", {"chr1": 300, "chr9": 7, "chrM": 50}, {})
    assert check(genome, track)["a.bw"] == [
        "note: 1 contig not in genome.fa: chr9. ",
        "note: lacks 1 contig of genome.fa: chr2. ",
    ]


# ----------------------------------------------------------------------------------- lengths ----


@pytest.mark.parametrize(
    ("mine", "theirs", "says"),
    [
        (248_956_422, 249_250_621, "this file is of hg38 (GRCh38) and a.bw of hg19 (GRCh37)"),
        (195_154_279, 100, "this file is of mm39 (GRCm39). Use files of one assembly. a.bw is of"),
        (100, 249_250_621, "a.bw is of hg19 (GRCh37). Use files of one assembly. This file is of"),
    ],
)
def test_assemblies_are_named_by_the_length_of_chr1(
    tmp_path: Path, mine: int, theirs: int, says: str
) -> None:
    a = write_bigwig(tmp_path / "a.bw", {"chr1": theirs}, {})
    b = write_bigwig(tmp_path / "b.bw", {"1": mine}, {})
    found = check(a, b)["b.bw"]
    assert says in found[0]
    assert f"the first 1: {mine:,} bp here, {theirs:,} bp in a.bw" in found[0]


def test_bigwigs_must_agree_where_the_genome_has_nothing(genome: Path, tmp_path: Path) -> None:
    a = write_bigwig(tmp_path / "a.bw", LENGTHS | {"chrX": 70}, {})
    b = write_bigwig(tmp_path / "b.bw", LENGTHS | {"chrX": 71}, {})
    found = check(genome, a, b)
    assert found["a.bw"] == ["note: 1 contig not in genome.fa: chrX. "]
    assert found["b.bw"][1].startswith("problem: contig chrX: 71 bp here, 70 bp in a.bw")


# ----------------------------------------------------------------------------------- regions ----


def test_regions_outside_unknown_and_empty(genome: Path, tmp_path: Path) -> None:
    (tmp_path / "a.bed").write_text(
        "chr1\t0\t300\nchr2\t150\t201\nchrX\t5\t9\nchr1\t10\t10\nchr2\t190\t999\nchrX\t0\t1\n"
    )
    assert check(genome, tmp_path / "a.bed")["a.bed"] == [
        "problem: 2 regions (the first chrX:5-9) on 1 contig that genome.fa does not have: chrX. "
        "Remove these regions.",
        "problem: 2 regions (the first chr2:150-201) past the end of a contig; chr2 has 200 bp in "
        "genome.fa. Cut or remove them; if they are many, the file is of another assembly.",
        "problem: 1 region (the first chr1:10-10) empty (end = start). Remove them, or widen them "
        "about their position.",
    ]


def test_a_file_without_regions(genome: Path, tmp_path: Path) -> None:
    (tmp_path / "a.bed").write_text("# none\n")
    assert check(genome, tmp_path / "a.bed")["a.bed"] == [
        "problem: no regions. Is this the right file?"
    ]


def test_regions_where_no_bigwig_has_a_contig(genome: Path, tmp_path: Path) -> None:
    a = write_bigwig(tmp_path / "a.bw", {"chr1": 300}, {})
    b = write_bigwig(tmp_path / "b.bw", {"chr1": 300, "MT": 50}, {})
    (tmp_path / "c.bed").write_text("chr1\t0\t9\nchr2\t0\t9\nchr2\t5\t9\nchrM\t0\t9\n")
    found = check(genome, a, b, tmp_path / "c.bed")
    assert found["c.bed"] == [
        "problem: 2 regions (the first chr2:0-9) on 1 contig that no BigWig has: chr2. "
        "Remove these regions."
    ]


# -------------------------------------------------------------------------------- VCF, other ----


def test_vcf_header_and_records(tmp_path: Path) -> None:
    path = tmp_path / "a.vcf"
    records = "chr7\t1\t.\tA\tC\t.\t.\t.\nchr8\t2\t.\tA\tC\t.\t.\t.\nchr7\t9\t.\tA\tC\t.\t.\t.\n"
    path.write_text(
        HEADER
        + '##contig=<ID=chr1,assembly="a,length=7",length=300>\n##contig=<ID=chr2>\r\n'
        + "##INFO=<ID=length,Number=1>\n"
        + COLUMNS
        + records
    )
    described = read_listing(str(path), "VCF")
    assert described.lengths == {"chr1": 300, "chr2": None, "chr7": None, "chr8": None}
    assert not described.from_records
    path.write_text(HEADER + COLUMNS + records.rstrip("\n"))
    listed = read_listing(str(path), "VCF")
    assert (listed.lengths, listed.from_records) == ({"chr7": None, "chr8": None}, True)


def test_contigs_of_all_records_of_a_long_file(tmp_path: Path) -> None:
    path = tmp_path / "a.vcf.gz"
    rows = "".join(f"c{i // 40_000}\t{i}\t.\tA\tC\t.\tPASS\tDP=5\n" for i in range(120_000))
    path.write_bytes(gzip.compress((HEADER + COLUMNS + rows).encode(), 1))
    assert list(read_listing(str(path), "VCF").lengths) == ["c0", "c1", "c2"]


def test_vcf_without_contigs_and_contigs_of_records_only(genome: Path, tmp_path: Path) -> None:
    (tmp_path / "a.vcf").write_text(HEADER + COLUMNS)
    (tmp_path / "b.vcf").write_text(HEADER + COLUMNS + "chr2\t1\t.\tA\tC\t.\t.\t.\n")
    found = check(genome, tmp_path / "a.vcf", tmp_path / "b.vcf")
    assert found == {"genome.fa": [], "a.vcf": ["note: names no contig. "], "b.vcf": []}


def test_bcf_is_refused_by_name_and_by_content(genome: Path, tmp_path: Path) -> None:
    bcf = shared_data("sets", "chrM", "1kg_2020_chrM.bcf")
    renamed = tmp_path / "x.vcf.gz"
    renamed.write_bytes(bcf.read_bytes())
    for path in (bcf, renamed):
        result = run(genome, path)
        assert result.exit_code == 2
        assert result.stderr.count("\n") == 1
        assert "got BCF" in result.stderr
        assert f"bcftools view -h {path}" in result.stderr


def test_a_file_that_cannot_be_read_does_not_hide_the_others(genome: Path, tmp_path: Path) -> None:
    (tmp_path / "a.bw").write_bytes(b"not a BigWig file at all")
    (tmp_path / "b.bed").write_text("chr1\tx\t5\n")
    (tmp_path / "c.vcf").write_text("chr1\t1\n")
    (tmp_path / "d.bed").write_text("chr1\t0\t5\n")
    found = check(genome, *sorted(tmp_path.glob("[a-d].*")))
    assert "BigWig" in found["a.bw"][0]
    assert "line 1 is not a region" in found["b.bed"][0]
    assert "not a VCF file" in found["c.vcf"][0]
    assert all(found[name][0].startswith("problem: ") for name in ("a.bw", "b.bed", "c.vcf"))
    assert found["d.bed"] == []


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["genome.fa"], "at least two files"),
        (["a.bed", "c.bed"], "one of them FASTA or BigWig"),
        (["genome.fa", "other.fa"], "expected one FASTA file; got"),
        (["genome.fa", "b.txt"], "Say it with --genome, --bigwig, --bed or --vcf"),
        (["genome.fa", "missing.bed"], "no such file"),
        (["genome.fa", "missing.bw"], "no such file"),
    ],
)
def test_calls_that_are_wrong(genome: Path, tmp_path: Path, names: list[str], says: str) -> None:
    fasta(tmp_path / "other.fa", LENGTHS)
    for name in ("a.bed", "c.bed", "b.txt"):
        (tmp_path / name).write_text("chr1\t0\t5\n")
    result = run(*(tmp_path / name for name in names))
    assert result.exit_code == 2
    assert says in result.stderr


# ------------------------------------------------------------------------------------- shown ----


def test_bigwigs_alike_are_shown_together(genome: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tracks"
    folder.mkdir()
    for i in range(5):
        write_bigwig(folder / f"t{i}.bw", LENGTHS, {})
    write_bigwig(folder / "u.bw", LENGTHS | {"chr1": 299}, {})
    result = run(genome, folder)
    assert result.exit_code == 1
    lines = [line.strip() for line in result.stdout.splitlines()]
    assert "t4.bw" not in result.stdout
    assert lines[-1] == "1 of 7 files does not fit"
    at = lines.index(str(folder / "u.bw"))
    assert lines[at + 1].startswith("problem: 1 of 3 shared contigs with another length")
    assert "and 4 more" in " ".join(lines)


# --------------------------------------------------------------------------------- real sets ----


def test_a_genome_cut_short_and_hg38_tracks() -> None:
    folder = shared_data("sets", "hg38_chr1")
    vcf = folder / "1kGP_30x_chr1_10390-66441.vcf.gz"
    found = check(folder / "hg38_chr1_10M.fa.gz", folder, vcf)
    assert found.pop("hg38_chr1_10M.fa.gz") == []
    assert len(found) == 3
    for of_file in found.values():
        assert of_file[0].startswith(
            "problem: 1 of 1 shared contig with another length, the first chr1: 248,956,422 bp "
            "here, 10,000,000 bp in hg38_chr1_10M.fa.gz. By its length, this file is of hg38"
        )


def test_sets_that_fit() -> None:
    yeast = shared_data("sets", "yeast")
    found = check(yeast / "sacCer3.fa.gz", yeast, *sorted(yeast.glob("*.narrowPeak")))
    assert len(found) == 4
    assert all(of_file == [] for of_file in found.values())
    hg19 = shared_data("sets", "hg19_chr22")
    reports = json.loads(run("--json", hg19, hg19 / "ctcf_chr22.narrowPeak").stdout)
    assert [r["assembly"] for r in reports] == ["hg19 (GRCh37)", "hg19 (GRCh37)", None]


def test_real_files_that_do_not_fit() -> None:
    merlin = shared_data("sets", "merlin")
    found = check(merlin / "merlin.fa", merlin, merlin / "merlin_test-6.bed")
    assert found["merlin.bw"][0].startswith("problem: 1 of 1 shared contig with another length")
    assert found["merlin_test-6.bed"] == []
    calls = shared_data("sets", "na12878_q", "NA12878.chr22.tiny.giab.vcf")
    found = check(calls.with_name("q.fa"), calls)
    assert found[calls.name] == ["note: 25 contigs not in q.fa: 1, 2, 3, .... "]
