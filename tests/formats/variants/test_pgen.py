"""PGEN: the same as the VCF it was made of."""

from __future__ import annotations

import gzip
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest

from bigwig_loader.errors import InvalidDataError, NotFoundError
from bigwig_loader.formats.genome import Genome
from bigwig_loader.formats.variants import pvar
from bigwig_loader.formats.variants.pgen import Pgen
from bigwig_loader.formats.variants.read import (
    ReadVariants,
    VariantOptions,
    open_variants,
    read_variants,
)
from tests.helpers.shared import shared_data, shared_peers
from tests.helpers.vcf_files import entries, variants_of
from tests.oracles import variant_normalize as oracle

pgenlib = pytest.importorskip("pgenlib")
pytest.importorskip("cyvcf2")


def diploid(text: str) -> str:
    """VCF text with what PGEN cannot say made reference: half-missing and haploid genotypes."""
    lines = []
    for line in text.splitlines():
        columns = line.split("\t")
        if not line.startswith("#"):
            for i, genotype in enumerate(columns[9:], start=9):
                alleles = [*genotype.split("|"), "0"][:2] if "/" not in genotype else []
                if alleles and alleles != [".", "."]:
                    columns[i] = "|".join(a.replace(".", "0") for a in alleles)
        lines.append("\t".join(columns))
    return "\n".join(lines) + "\n"


def write_pgen(stem: Path, text: str) -> Path:
    """Make a PGEN of VCF text whose genotypes are diploid."""
    samples, records = oracle.parse_vcf(text)
    most = max((len(r.alts) for r in records), default=1) + 1
    writer = pgenlib.PgenWriter(
        str(stem.with_suffix(".pgen")).encode(),
        len(samples),
        len(records),
        False,
        allele_ct_limit=most,
        hardcall_phase_present=True,
    )
    lines = ["##fileformat=PVARv1.0", '##INFO=<ID=DP,Number=1,Type=Integer,Description="x">']
    lines += [
        '##INFO=<ID=OK,Number=0,Type=Flag,Description="x">',
        "#CHROM\tPOS\tID\tREF\tALT\tINFO",
    ]
    for r in records:
        alleles = [r.alleles(i) for i in range(len(samples))]
        flat = [-9 if x is None else x for a in alleles for x in a]
        phased = np.array(["/" not in g for g in r.genotypes], dtype=np.uint8)
        writer.append_partially_phased(
            np.array(flat, dtype=np.int32), phased, allele_ct=len(r.alts) + 1
        )
        lines.append(f"{r.contig}\t{r.position + 1}\t.\t{r.ref}\t{','.join(r.alts)}\tDP={r.number}")
    writer.close()
    stem.with_suffix(".pvar").write_text("\n".join(lines) + "\n")
    stem.with_suffix(".psam").write_text("#IID\tSEX\n" + "".join(f"{s}\tNA\n" for s in samples))
    return stem.with_suffix(".pgen")


def _same(found: ReadVariants, wanted: ReadVariants) -> None:
    assert variants_of(found.table) == variants_of(wanted.table)
    assert found.table.record.tolist() == wanted.table.record.tolist()
    assert found.genotypes.samples == wanted.genotypes.samples
    assert found.genotypes.offsets.tolist() == wanted.genotypes.offsets.tolist()
    assert found.genotypes.variants.tolist() == wanted.genotypes.variants.tolist()
    assert np.allclose(found.table.info["AF"], wanted.table.info["AF"], equal_nan=True)


def _cases() -> list[str]:
    names = sorted(p.parent.name for p in shared_peers("gvl").glob("*/variants.vcf"))
    return [name for name in names if name != "33_symbolic"]


@pytest.mark.parametrize("case", _cases())
def test_cases_of_the_peer(tmp_path: Path, case: str) -> None:
    folder = shared_peers("gvl", case)
    reference = Genome(folder / "ref.fa")
    text = diploid((folder / "variants.vcf").read_text())
    path = write_pgen(tmp_path / "x", text)
    (tmp_path / "x.vcf").write_text(text)
    options = VariantOptions(normalize="atomize" if case[:2] in ("30", "32", "35") else "check")
    _same(
        read_variants(path, reference, options=options),
        read_variants(tmp_path / "x.vcf", reference, options=options),
    )


def test_real_file_equals_its_vcf() -> None:
    folder = shared_data("sets", "hg38_chr1")
    genome = Genome(folder / "hg38_chr1_10M.fa.gz")
    samples = Pgen(folder / "kgp_hg38_chr1.pgen").samples[100:300][::-1]
    regions = {"chr1": np.array([[10_000, 20_000], [54_000, 66_000]])}
    vcf = folder / "1kGP_30x_chr1_10390-66441.vcf.gz"
    for spans in (None, regions):
        found = read_variants(folder / "kgp_hg38_chr1", genome, regions=spans, samples=samples)
        wanted = read_variants(vcf, genome, regions=spans, samples=samples)
        assert found.genotypes.variants.tolist() == wanted.genotypes.variants.tolist()
        assert found.genotypes.offsets[-1] > 1000
        assert variants_of(found.table) == variants_of(wanted.table)
        # INFO/AF of the VCF was counted over fewer samples.
        assert np.abs(found.table.info["AF"] - wanted.table.info["AF"]).max() < 0.01


def test_zstandard_by_pgenlib_and_info(monkeypatch: pytest.MonkeyPatch) -> None:
    path = shared_data("pgen", "plink-ng__chr21_phase3_start.pgen")
    monkeypatch.setattr(pvar, "_zstd", lambda: None)
    monkeypatch.setattr("bigwig_loader.formats.variants.pgen._pvars.get", lambda key, read: read())
    some = Pgen(path).samples[:100]
    read = read_variants(path, samples=some, options=VariantOptions(normalize="drop"))
    samples, records = oracle.parse_vcf(_vcf_text())
    assert read.genotypes.samples == tuple(samples[:100])
    at = {(r.position, r.ref, r.alts[0]): r for r in records if len(r.alts) == 1}
    there = [at.get(variant[1:]) for variant in variants_of(read.table)]
    assert sum(r is not None for r in there) > 300
    numbers = {r.number: int(read.table.record[i]) for i, r in enumerate(there) if r is not None}
    wanted = oracle.carried(samples[:100], [r for r in records if r.number in numbers])
    found = {entry for entry in entries(read) if entry[2] in set(numbers.values())}
    assert found == {(sample, ploid, numbers[number]) for sample, ploid, number in wanted}


def _vcf_text() -> str:
    path = shared_data("vcf", "plink-ng__1kg_phase3_chr21_start.vcf.gz")
    return gzip.decompress(path.read_bytes()).decode()


TEXT = """#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ta\tb\tc
1\t5\t.\tA\tC\t.\t.\t.\tGT\t0|1\t1/0\t1/1
1\t5\t.\tAT\tA\t.\t.\t.\tGT\t.|.\t1|1\t0|1
2\t1\t.\tG\tT\t.\t.\t.\tGT\t1|0\t0|0\t0|1
"""


def test_policies_fields_and_regions(tmp_path: Path) -> None:
    path = write_pgen(tmp_path / "x", TEXT)
    options = VariantOptions(info=("DP", "OK", "ID"), info_filter={"DP": (1, None)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = read_variants(path, options=options)
    assert read.table.record.tolist() == [1, 2]
    assert read.table.info["DP"].tolist() == [1, 2]
    assert read.table.info["OK"].tolist() == [False, False]
    assert read.table.info["ID"].tolist() == ["", ""]
    assert read.report.n_missing == 1
    with pytest.warns(UserWarning, match=r"1 heterozygous genotypes"):
        whole = read_variants(path)
    assert np.allclose(whole.table.info["AF"], [4 / 6, 3 / 4, 2 / 6])
    two = read_variants(path, regions={"2": np.array([[0, 1]])}, samples=["c", "a"])
    assert entries(two) == {("c", 1, 2), ("a", 0, 2)}
    assert two.table.contig_names == ("2",)
    assert len(read_variants(path, samples=()).table) == 3
    assert read_variants(path, samples=()).genotypes.samples == ()


def test_source(tmp_path: Path) -> None:
    path = write_pgen(tmp_path / "x", TEXT)
    source = open_variants(tmp_path / "x")
    assert isinstance(source, Pgen)
    assert source.path == str(path)
    assert source.samples == ("a", "b", "c")
    assert source.contigs == {"1": None, "2": None}
    assert source.fields == {"DP": ("1", "Integer"), "OK": ("0", "Flag")}
    assert pickle.loads(pickle.dumps(source)).samples == source.samples
    compressed = gzip.compress((tmp_path / "x.pvar").read_bytes())
    (tmp_path / "x.pvar").unlink()
    with pytest.raises(NotFoundError, match=r"x.pvar"):
        Pgen(path)
    (tmp_path / "x.pvar.gz").write_bytes(compressed)
    assert len(read_variants(path, samples=["c"]).table) == 3
    (tmp_path / "x.pvar.gz").write_bytes(compressed[:-30])
    with pytest.raises(InvalidDataError, match=r"ends early"):
        read_variants(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.replace("#CHROM", "CHROM"), "no header line"),
        (lambda t: t + "2\t9\n", "record 3 is incomplete.*expected 6 columns; got 2"),
        (lambda t: t.replace("\t5\t", "\tx\t"), "a position is no number"),
        (lambda t: t + "2\t9\t.\tA\tC\t.\n", "not a readable PGEN file"),
        (lambda t: t + "1\t9\t.\tA\tC\t.\n", "contig 1 comes twice"),
    ],
)
def test_damaged_pvar(tmp_path: Path, change: object, message: str) -> None:
    path = write_pgen(tmp_path / "x", TEXT)
    text = (tmp_path / "x.pvar").read_text()
    (tmp_path / "x.pvar").write_text(change(text))  # type: ignore[operator]
    with pytest.raises(InvalidDataError, match=message):
        read_variants(path)


def test_damaged_pgen_and_psam(tmp_path: Path) -> None:
    path = write_pgen(tmp_path / "x", TEXT)
    (tmp_path / "x.psam").write_text("a\nb\nc\n")
    with pytest.raises(InvalidDataError, match=r"begins with #IID"):
        read_variants(path)
    (tmp_path / "x.psam").write_text("#FID\tIID\n0\ta\n0\tb\n")
    with pytest.raises(InvalidDataError, match=r"not a readable PGEN.*2 samples"):
        read_variants(path)
    (tmp_path / "x.psam").write_text("#FID\tIID\n0\ta\n0\tb\n0\tc\n")
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(InvalidDataError, match=r"not a readable PGEN"):
        read_variants(path)
