"""Coding exons of GTF files: which are taken, how they are sorted, what is refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from bigwig_loader.errors import InvalidDataError, InvalidInputError, NotFoundError
from bigwig_loader.formats import gtf
from bigwig_loader.formats.gtf import get_splice_bed


def line(
    chrom: str, start: int, end: int, strand: str, transcript: str, number: int, *more: str
) -> str:
    feature, level, gene = (*more, *("CDS", "1", "A")[len(more) :])
    attributes = f'gene_id "G"; transcript_id "{transcript}"; exon_number {number};'
    if level:
        attributes += f' transcript_support_level "{level}";'
    if gene:
        attributes += f' gene_name "{gene}"; tag "basic"; tag "CCDS; x";'
    return f"{chrom}\tHAVANA\t{feature}\t{start}\t{end}\t.\t{strand}\t0\t{attributes}\n"


LINES = (
    line("chr10", 501, 509, "-", "T5", 2),
    line("chr10", 601, 612, "-", "T5", 1),
    line("chr2", 801, 809, "-", "T4", 1, "CDS", "1 (assigned to previous version 5)"),
    line("chr2", 801, 899, "-", "T4", 1, "exon"),
    line("chr1", 11, 100, "+", "T1", 1),
    line("chr1", 201, 300, "+", "T1", 2),  # 190 bp in all
    line("chr1", 401, 409, "+", "T2", 1, "CDS", "2", ""),
    line("chr1", 501, 509, "+", "T3", 1, "CDS", ""),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "genes.gtf"
    path.write_text("##description: made\n#!x\tCDS\tCDS\n" + "".join(LINES))
    return path


def test_what_is_kept_and_its_order(path: Path) -> None:
    bed = get_splice_bed(path)
    columns = ["chrom", "start", "end", "strand", "gene_name", "transcript_id", "exon_number"]
    assert list(bed) == columns
    assert bed.to_numpy().tolist() == [
        ["chr2", 800, 809, "-", "A", "T4", 1],
        ["chr10", 500, 509, "-", "A", "T5", 2],
        ["chr10", 600, 612, "-", "A", "T5", 1],
    ]
    assert bed["start"].dtype == "int64"


def test_conditions_can_be_left_out(path: Path) -> None:
    every = get_splice_bed(path, transcript_support_level=None, require_multiple_of_3=False)
    assert every["transcript_id"].tolist() == ["T1", "T1", "T2", "T3", "T4", "T5", "T5"]
    assert every["gene_name"].tolist() == ["A", "A", "", "A", "A", "A", "A"]
    whole = get_splice_bed(path, transcript_support_level=None)
    assert whole["transcript_id"].tolist() == ["T2", "T3", "T4", "T5", "T5"]
    second = get_splice_bed(path, transcript_support_level="2")
    assert second["transcript_id"].tolist() == ["T2"]
    level = get_splice_bed(path, require_multiple_of_3=False)
    assert level["transcript_id"].tolist() == ["T1", "T1", "T4", "T5", "T5"]


def test_contigs(path: Path) -> None:
    assert get_splice_bed(path, ["chr10", "chrUn"])["chrom"].tolist() == ["chr10", "chr10"]
    assert get_splice_bed(path, "chr2")["chrom"].tolist() == ["chr2"]


def test_compressed_and_in_small_pieces(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = get_splice_bed(path, None, None, False)
    packed = path.with_name("genes.gtf.gz")
    packed.write_bytes(gzip.compress(path.read_bytes().replace(b"\n", b"\r\n")))
    monkeypatch.setattr(gtf, "_PIECE_BYTES", 50)
    assert get_splice_bed(packed, None, None, False).equals(whole)


def test_nothing_left_says_why(path: Path) -> None:
    message = "of 5 were removed 2 by contigs, 2 by transcript_support_level, 1 by require_mult"
    with pytest.raises(InvalidInputError, match=message):
        get_splice_bed(path, ["chr1"])
    path.write_text(line("chr1", 501, 509, "+", "T3", 1, "CDS", ""))
    with pytest.raises(InvalidInputError, match=r"pass transcript_support_level=None"):
        get_splice_bed(path)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("chr1\tx\tCDS\t1\t9\n", "expected 9 columns; got '5'"),
        (LINES[0].replace("transcript_id", "Parent"), "expected transcript_id.*GFF3"),
        (LINES[0].replace("exon_number 2", 'exon_number ""'), "expected exon_number"),
        (LINES[0].replace("501", "0"), "expected 1 <= start <= end; got '0, 509'"),
        (LINES[0].replace("501", "510"), "expected 1 <= start <= end"),
        (LINES[0].replace("501", "5e2"), "expected integers"),
        (LINES[0].replace("\t-\t", "\t.\t"), r"expected \+ or -"),
    ],
)
def test_damaged_lines(path: Path, bad: str, message: str) -> None:
    path.write_text("#\n" + LINES[0] + LINES[3] + bad + LINES[1])
    with pytest.raises(InvalidDataError, match=f"line 4 is not a GTF feature.*{message}"):
        get_splice_bed(path)


def test_files_without_exons(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="cannot open"):
        get_splice_bed(tmp_path / "none.gtf")
    (tmp_path / "empty.gtf").write_text("# nothing\n")
    with pytest.raises(InvalidDataError, match=r"no coding exons.*CDS"):
        get_splice_bed(tmp_path / "empty.gtf")
