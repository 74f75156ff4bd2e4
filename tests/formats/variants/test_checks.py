"""Records that cannot be used: errors, drops, and what normalizing makes of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bigwig_loader.errors import InvalidDataError, InvalidInputError, NotFoundError
from bigwig_loader.formats.variants.check import Reason
from bigwig_loader.formats.variants.read import VariantOptions, read_variants
from tests.helpers.shared import shared_data
from tests.helpers.vcf_files import SEQUENCE, entries, genome, variants_of, write_vcf

pytest.importorskip("cyvcf2")

# SEQUENCE: GATTTACACACAGGGTTTTACGTNACGGATCCATGCATTTTGACA
BAD = {
    "c 100 A C 0|1 1|1": Reason.OUTSIDE,
    "c 44 CAA C 0|1 1|1": Reason.OUTSIDE,
    "c 2 C A 0|1 1|1": Reason.REF,
    "c 2 ATG A 0|1 1|1": Reason.REF,
    "c 24 A C 0|1 1|1": Reason.REF,  # the genome has N
    "c 2 A <DEL> 0|1 1|1": Reason.SYMBOLIC,
    "c 2 A <NON_REF> 0|0 0|0": Reason.SYMBOLIC,
    "c 2 A A[c:9[ 0|1 1|1": Reason.BREAKEND,
    "c 2 A ]c:9]A 0|1 1|1": Reason.BREAKEND,
    "c 2 A A. 0|1 1|1": Reason.BREAKEND,
    "c 2 A .A 0|1 1|1": Reason.BREAKEND,
    "c 2 A * 0|1 1|1": Reason.STAR,
    "c 2 A C,G 0|1 1|2": Reason.MULTIALLELIC,
    "c 2 A A 0|1 1|1": Reason.SAME,
    "c 2 AT AT 0|1 1|1": Reason.SAME,
    "c 2 AT CA 0|1 1|1": Reason.COMPLEX,
    "c 2 ATT AC 0|1 1|1": Reason.COMPLEX,
    "c 2 ATT CTT 0|1 1|1": Reason.COMPLEX,  # not trimmed
    "c 8 ACA A 0|1 1|1": Reason.UNALIGNED,
    "c 9 C CAC 0|1 1|1": Reason.UNALIGNED,
    "c 5 TACAC C 0|1 1|1": Reason.UNALIGNED,  # anchored behind
    "c 2 A C 0|1|1 1|1": Reason.PLOIDY,
}
GOOD = [
    "c 1 G GG 0|1 1|1",  # cannot be shifted further
    "c 1 G CG 0|1 1|1",  # before the first base, anchored behind
    "c 2 a c 0|1 1|1",
    "c 3 T TA 0|1 1|1",
    "c 5 TACAC T 0|1 1|1",
    "c 6 A GT 0|1 1|1",  # an insertion whose anchor is substituted
    "c 13 GG A 0|1 1|1",
    "c 24 N A 0|1 1|1",
    "c 45 A R 0|1 1|1",
]


@pytest.mark.parametrize("row", list(BAD))
def test_reasons(tmp_path: Path, row: str) -> None:
    path = write_vcf(tmp_path / "x.vcf", ["c 1 G A 0|1 1|0", row])
    position = int(row.split()[1])
    with pytest.raises(InvalidDataError, match=rf"1 of 2 records.*record 1 c:{position} .*x\.vcf"):
        read_variants(path, genome(), options=VariantOptions(alignment="error"))
    drop = VariantOptions(normalize="drop", alignment="error")
    read = read_variants(path, genome(), options=drop)
    assert variants_of(read.table) == [("c", 0, "G", "A")]
    assert entries(read) == {("s0", 1, 0), ("s1", 0, 0)}
    assert read.report.counts == {BAD[row]: 1}
    assert read.report.n_dropped == 1
    assert [(one.record, one.reason) for one in read.report.dropped] == [(1, BAD[row])]
    assert f"record 1 c:{position}" in str(read.report)
    atomize = VariantOptions(normalize="atomize")
    if BAD[row].can_be_normalized:
        fine = read_variants(path, genome(), options=atomize)
        assert fine.report.n_dropped == 0
        assert BAD[row] in fine.report.counts or BAD[row] in (Reason.STAR, Reason.SAME)
    else:
        with pytest.raises(InvalidDataError, match=r"cannot be used"):
            read_variants(path, genome(), options=atomize)


@pytest.mark.parametrize("normalize", ["check", "drop"])
def test_alignment_is_reported(tmp_path: Path, normalize: str) -> None:
    rows = ["c 5 T TA 0|1 1|1", *["c 8 ACA A 0|1 1|1", "c 9 C CAC 0|0 0|1"] * 4]
    rows.sort(key=lambda row: int(row.split()[1]))
    path = write_vcf(tmp_path / "x.vcf", rows)
    options = VariantOptions(normalize=normalize)  # type: ignore[arg-type]
    read = read_variants(path, genome(), options=options)
    assert len(read.table) == 9
    assert read.report.n_unaligned == 8
    assert [one.record for one in read.report.unaligned] == [1, 2, 3, 4, 5]
    assert "record 1 c:8 ACA>A" in str(read.report)
    atomized = read_variants(path, genome(), options=VariantOptions(normalize="atomize"))
    assert atomized.report.n_unaligned == 0
    assert atomized.report.counts == {Reason.UNALIGNED: 8}


@pytest.mark.parametrize("row", GOOD)
def test_no_reason(tmp_path: Path, row: str) -> None:
    path = write_vcf(tmp_path / "x.vcf", [row])
    read = read_variants(path, genome())
    contig, position, ref, alt, *_ = row.upper().split()
    assert variants_of(read.table) == [(contig.lower(), int(position) - 1, ref, alt)]
    options = VariantOptions(normalize="atomize")
    assert variants_of(read_variants(path, genome(), options=options).table) == variants_of(
        read.table
    )


def test_letters_that_are_no_bases(tmp_path: Path) -> None:
    path = write_vcf(tmp_path / "x.vcf", ["c 1 G A 0|1 1|0", "c 2 A AXT 0|1 1|0"])
    with pytest.raises(InvalidDataError, match=r"letters that are no bases"):
        read_variants(path, genome())


def test_counts_examples_and_advice(tmp_path: Path) -> None:
    rows = ["c 2 A C,G 0|1 1|2", *["c 3 T C,G 0|1 1|2"] * 4, "c 8 ACA A 0|1 1|1"]
    path = write_vcf(tmp_path / "x.vcf", rows)
    with pytest.raises(InvalidDataError) as raised:
        read_variants(path, genome(), options=VariantOptions(alignment="error"))
    text = str(raised.value)
    assert "6 of 6 records cannot be used: 5 multi-allelic (record 0 c:2 A>C; record 1" in text
    assert "; ...), 1 not left-aligned (record 5 c:8 ACA>A)" in text
    assert 'normalize="atomize"' in text
    assert "bcftools norm" in text
    wrong = write_vcf(tmp_path / "y.vcf", ["c 2 G C 0|1 1|1"])
    with pytest.raises(InvalidDataError, match=r"Is this the genome that"):
        read_variants(wrong, genome())


def test_only_what_regions_want_is_checked(tmp_path: Path) -> None:
    path = write_vcf(tmp_path / "x.vcf", ["c 1 C A 0|1 1|0", "c 20 A C 0|1 1|0"])
    read = read_variants(path, genome(), regions={"c": np.array([[10, 30]])})
    assert read.table.record.tolist() == [1]
    with pytest.raises(InvalidDataError, match=r"1 of 1 records"):
        read_variants(path, genome(), regions={"c": np.array([[0, 5]])})


def test_ambiguous_bases_of_the_genome(tmp_path: Path) -> None:
    path = write_vcf(tmp_path / "x.vcf", ["c 1 A C 0|1 1|0", "c 2 t C 0|1 1|0"])
    assert len(read_variants(path, genome(c="RTT")).table) == 2
    with pytest.raises(InvalidDataError, match=r"not the genome's"):
        read_variants(path, genome(c="YTT"))


def test_without_a_genome(tmp_path: Path) -> None:
    path = write_vcf(tmp_path / "x.vcf", ["c 2 G C 0|1 1|1"])
    read = read_variants(path)
    assert len(read.table) == 1
    assert "not compared" in str(read.report)
    with pytest.raises(InvalidInputError, match=r'expected a genome with normalize="atomize"'):
        read_variants(path, options=VariantOptions(normalize="atomize"))


def test_contigs_that_the_genome_lacks(tmp_path: Path) -> None:
    path = write_vcf(tmp_path / "x.vcf", ["1 2 A C 0|1 1|1"], contigs=("1",))
    with pytest.raises(NotFoundError, match=r"unknown contig '1'.*near names: chr1"):
        read_variants(path, genome(chr1=SEQUENCE))
    with pytest.raises(NotFoundError, match=r"unknown contig 'chr1'.*near names: 1"):
        read_variants(path, genome(chr1=SEQUENCE), regions={"chr1": np.array([[0, 9]])})


@pytest.mark.parametrize("normalize", ["check", "drop", "atomize"])
def test_unsorted(tmp_path: Path, normalize: str) -> None:
    options = VariantOptions(normalize=normalize)  # type: ignore[arg-type]
    path = write_vcf(tmp_path / "x.vcf", ["c 9 C A 0|1 1|0", "c 2 A C 0|1 1|0"])
    for regions in (None, {"c": np.array([[0, 9]])}):
        with pytest.raises(
            InvalidDataError, match=r"not sorted: record 1 is at c:2.*bcftools sort"
        ):
            read_variants(path, genome(), regions=regions, options=options)
    rows = ["c 1 G A 0|1 1|0", "d 1 G A 0|1 1|0", "c 2 A C 0|1 1|0"]
    twice = write_vcf(tmp_path / "y.vcf", rows, contigs=("c", "d"))
    with pytest.raises(InvalidDataError, match=r"contig c comes twice, again at record 2"):
        read_variants(twice, genome(c=SEQUENCE, d=SEQUENCE), options=options)


def test_duplicates_are_counted_and_kept(tmp_path: Path) -> None:
    rows = ["c 2 A C 0|1 1|0", "c 2 A G 0|1 1|0", "c 2 A C 0|0 0|1", "c 2 A C 0|0 0|1"]
    read = read_variants(write_vcf(tmp_path / "x.vcf", rows), genome())
    assert len(read.table) == 4
    assert read.report.n_duplicates == 2
    assert "2 variants that are there before" in str(read.report)


def test_records_without_alt(tmp_path: Path) -> None:
    path = write_vcf(tmp_path / "x.vcf", ["c 1 G . 0|0 0|0", "c 2 A C 0|1 1|0"])
    read = read_variants(path, genome())
    assert read.table.record.tolist() == [1]
    assert read.report.n_without_alt == 1


def test_an_allele_that_is_not_there(tmp_path: Path) -> None:
    path = write_vcf(tmp_path / "x.vcf", ["c 2 A C 0|2 1|0"])
    with pytest.raises(InvalidDataError, match=r"record 0 at c:2.*alleles 0 to 1; got 2"):
        read_variants(path, genome())


def test_every_form_of_alt() -> None:
    path = shared_data("vcf", "hts-specs__passed_body_alt.vcf")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *args, **kwargs: None)
        report = read_variants(path, options=VariantOptions(normalize="drop")).report
    assert report.counts == {
        Reason.SYMBOLIC: 14,
        Reason.BREAKEND: 6,
        Reason.STAR: 1,
        Reason.MULTIALLELIC: 2,
    }
    assert report.n_without_alt == 1
    assert report.n_variants == 2
