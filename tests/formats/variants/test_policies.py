"""Missing, unphased and haploid genotypes; filters; columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bigwig_loader.errors import InvalidDataError, InvalidInputError, NotFoundError
from bigwig_loader.formats.variants.exons import spans_inside
from bigwig_loader.formats.variants.read import ReadVariants, VariantOptions, read_variants
from tests.helpers.shared import shared_data
from tests.helpers.vcf_files import entries, genome, write_vcf

pytest.importorskip("cyvcf2")


def _read(path: Path, **options: Any) -> ReadVariants:
    return read_variants(path, genome(), options=VariantOptions(**options))


def test_missing(tmp_path: Path) -> None:
    rows = ["c 1 G A .|1 ./.", "c 2 A C . 1|1", "c 3 T A 1|. 0|0", "c 4 T A FORMAT=DP 3 4"]
    path = write_vcf(tmp_path / "x.vcf", rows)
    read = _read(path)
    assert entries(read) == {("s0", 1, 0), ("s1", 0, 1), ("s1", 1, 1), ("s0", 0, 2)}
    assert read.report.n_missing == 6
    assert np.allclose(read.table.info["AF"], [1, 1, 1 / 3, np.nan], equal_nan=True)
    with pytest.raises(InvalidDataError, match=r'2 genotypes of record 0 at c:1.*missing="error"'):
        _read(path, missing="error")
    one = VariantOptions(missing="error")
    regions = {"c": np.array([[10, 20]])}
    assert len(read_variants(path, genome(), regions=regions, options=one).table) == 0


def test_no_genotypes_at_all(tmp_path: Path) -> None:
    path = write_vcf(tmp_path / "x.vcf", ["c 1 G A FORMAT=DP 3 4"])
    assert _read(path).report.n_missing == 2
    text = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in text if "FORMAT=<ID=GT" not in line))
    with pytest.raises(InvalidDataError, match=r"no genotypes; in .*x\.vcf.*samples=\(\)"):
        _read(path)
    assert len(read_variants(path, genome(), samples=()).table) == 1


def test_unphased(tmp_path: Path) -> None:
    rows = ["c 1 G A 0/1 1/1", "c 2 A C 1/0 0/0", "c 3 T A 0|1 1", "c 4 T A ./1 0|0"]
    path = write_vcf(tmp_path / "x.vcf", rows)
    with pytest.warns(UserWarning, match=r"3 heterozygous genotypes are not phased") as caught:
        read = _read(path)
    assert len(caught) == 1
    assert read.report.n_unphased == 3
    assert {("s0", 1, 0), ("s0", 0, 1), ("s0", 1, 3)} <= entries(read)
    with pytest.raises(InvalidDataError, match=r'record 0 at c:1 .*unphased="error"'):
        _read(path, unphased="error")
    # Of samples that nobody asked for, nothing is said.
    assert read_variants(path, genome(), samples=["s1"]).report.n_unphased == 0


def test_haploid(tmp_path: Path) -> None:
    path = write_vcf(tmp_path / "x.vcf", ["c 1 G A 1 0|1", "c 2 A C 1 1", "c 3 T A 0 ."])
    read = _read(path)
    assert entries(read) == {("s0", 0, 0), ("s1", 1, 0), ("s0", 0, 1), ("s1", 0, 1)}
    assert read.report.n_haploid == 5
    repeated = _read(path, haploid="repeat")
    assert entries(repeated) == entries(read) | {("s0", 1, 0), ("s0", 1, 1), ("s1", 1, 1)}
    with pytest.raises(InvalidDataError, match=r'1 genotypes of record 0 .*haploid="error"'):
        _read(path, haploid="error")
    with pytest.raises(InvalidDataError, match=r"record 0 c:1.*1 alleles at most"):
        _read(path, ploidy=1)
    single = read_variants(
        path, genome(), samples=["s0"], options=VariantOptions(ploidy=1, haploid="error")
    )
    assert single.genotypes.ploidy == 1
    assert entries(single) == {("s0", 0, 0), ("s0", 0, 1)}


def test_subsets_know_the_frequencies_of_all(tmp_path: Path) -> None:
    rows = ["c 1 G A 0|1 0|0 0|0", "c 2 A C 0|0 1|1 1|0", "c 3 T A 1|1 .|. 1|1"]
    path = write_vcf(tmp_path / "x.vcf", rows, samples=("s0", "s1", "s2"))
    read = read_variants(path, genome(), samples=["s2", "s0"])
    assert read.genotypes.samples == ("s2", "s0")
    assert entries(read) == {("s0", 1, 0), ("s2", 0, 1)} | {
        (s, p, 2) for s in ("s0", "s2") for p in (0, 1)
    }
    assert np.allclose(read.table.info["AF"], [1 / 6, 0.5, 1])
    assert read.table.info["AF"].dtype == np.float32
    assert "genotypes of all 3 samples" in str(read.report)
    options = VariantOptions(min_af=0.2, max_af=0.9)
    assert read_variants(path, genome(), options=options).table.record.tolist() == [1]


def test_frequencies_of_info(tmp_path: Path) -> None:
    more = '##INFO=<ID=AF,Number=A,Type=Float,Description="frequency">\n'
    rows = ["c 1 G A 0|1 0|0 INFO=AF=0.125", "c 2 A C 0|0 1|1", "c 3 T A,G 1|2 0|2 INFO=AF=0.5,.1"]
    path = write_vcf(tmp_path / "x.vcf", rows, more=more)
    read = _read(path, normalize="atomize")
    assert np.allclose(read.table.info["AF"], [0.125, 0.5, 0.5, 0.1])
    assert "INFO/AF; of 1 variants without it" in str(read.report)
    kept = _read(path, normalize="atomize", max_af=0.2)
    assert kept.table.record.tolist() == [0, 2]
    assert entries(kept) == {("s0", 1, 0), ("s0", 1, 2), ("s1", 1, 2)}
    assert kept.report.n_filtered == {"allele frequency": 2}
    sites = read_variants(
        path, genome(), samples=(), options=VariantOptions(normalize="drop", min_af=0.1)
    )
    assert sites.table.record.tolist() == [0]


def test_filters(tmp_path: Path) -> None:
    rows = [
        "c 1 G A 0|1 0|0 INFO=DP=3",
        "c 2 A C 0|1 1|1 FILTER=low INFO=DP=30;OK",
        "c 3 T <DEL> 0|1 1|1 FILTER=low",
        "c 4 T A 0|1 1|1 FILTER=. INFO=DP=9",
        "c 5 T . 0|0 0|0 FILTER=.",
    ]
    path = write_vcf(tmp_path / "x.vcf", rows)
    read = _read(path, filters=("PASS",))
    assert read.table.record.tolist() == [0]
    assert read.report.n_filtered == {"FILTER": 4}
    read = _read(path, filters=("PASS", "."), info_filter={"DP": (3, None)})
    assert read.table.record.tolist() == [0, 3]
    assert read.report.n_filtered == {"FILTER": 2, "DP": 1}
    assert "2 removed by FILTER" in str(read.report)
    read = _read(path, info_filter={"DP": (4, 20)})
    assert read.table.record.tolist() == [3]
    assert len(_read(path, filters=(".",), info_filter={"QUAL": (8, None)}).table) == 0
    with pytest.raises(InvalidDataError, match=r"symbolic"):
        _read(path)


def test_columns(tmp_path: Path) -> None:
    rows = [
        "c 1 G A 0|1 0|0 INFO=DP=3;Q=0.5;KIND=x,y;TWO=1,2",
        "c 2 A C,G 0|1 1|1 FILTER=low INFO=Q=0.25,0.75;OK",
    ]
    path = write_vcf(tmp_path / "x.vcf", rows)
    wanted = ("DP", "Q", "OK", "KIND", "FILTER", "ID", "QUAL")
    info = _read(path, normalize="atomize", info=wanted).table.info
    assert list(info) == ["AF", *wanted]
    assert np.array_equal(info["DP"], [3, np.nan, np.nan], equal_nan=True)
    assert info["DP"].dtype == np.float64
    assert info["Q"].tolist() == [0.5, 0.25, 0.75]
    assert info["Q"].dtype == np.float32
    assert info["OK"].tolist() == [False, True, True]
    assert info["KIND"].tolist() == ["x,y", "", ""]
    assert info["FILTER"].tolist() == ["PASS", "low", "low"]
    assert info["ID"].tolist() == ["", "", ""]
    assert info["QUAL"].tolist() == [7, 7, 7]
    with pytest.raises(InvalidInputError, match=r"'TWO'.*Number=2"):
        _read(path, info=("TWO",))
    with pytest.raises(NotFoundError, match=r"unknown INFO field 'DQ'.*DP"):
        _read(path, info=("DQ",))
    with pytest.raises(InvalidInputError, match=r"'KIND'.*type String"):
        _read(path, info_filter={"KIND": (0, 1)})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"normalize": "split"}, "normalize: expected one of 'check', 'atomize', 'drop'"),
        ({"haploid": "x"}, "haploid"),
        ({"alignment": "x"}, "alignment"),
        ({"ploidy": 3}, "ploidy: expected 1 or 2; got 3"),
        ({"min_af": 1.5}, "min_af: expected a frequency"),
        ({"info_filter": {"DP": (1, 2, 3)}}, r"info_filter\['DP'\]"),
    ],
)
def test_options(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        VariantOptions(**given)
    assert VariantOptions(filters="PASS").filters == ("PASS",)  # type: ignore[arg-type]


def test_spans_inside(tmp_path: Path) -> None:
    rows = ["c 1 G A 0|1 0|0", "c 5 TACAC T 0|1 0|0", "c 6 A AT 1|0 0|0", "c 9 C G 1|0 0|0"]
    table = read_variants(write_vcf(tmp_path / "x.vcf", rows), genome(c=_sequence(), d="A")).table
    exons = {"c": np.array([[8, 9], [4, 8], [4, 6], [0, 1]]), "other": np.array([[0, 9]])}
    assert spans_inside(table, exons).tolist() == [True, False, True, True]
    exons = {"c": np.array([[4, 9], [5, 6]])}
    assert spans_inside(table, exons).tolist() == [False, True, True, True]
    frame = pd.DataFrame({"chrom": "c", "start": [4, 5], "end": [9, 6]})
    assert spans_inside(table, frame).tolist() == [False, True, True, True]
    assert not spans_inside(table, {}).any()


def _sequence() -> str:
    return next(iter(genome().contigs)) and genome().sequence("c", 0, genome().contigs["c"])


def test_mixed_ploidy_of_a_real_file() -> None:
    path = shared_data("vcf", "bio2zarr__mixed_ploidy.vcf.gz")
    with pytest.raises(InvalidDataError, match=r"more alleles than haplotypes"):
        read_variants(path)
