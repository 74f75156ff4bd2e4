"""Sites of a VCF as a table, and their check against the genome."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bigwig_loader.dataset.prepared import site_table
from bigwig_loader.dataset.prepared.site_check import Sites, read_sites
from bigwig_loader.dataset.prepared.site_table import sites_vcf_to_table
from bigwig_loader.errors import InvalidDataError, InvalidInputError, NotFoundError
from bigwig_loader.formats.genome import Genome

HEADER = (
    "##fileformat=VCFv4.2\n"
    '##INFO=<ID=CLNSIG,Number=.,Type=String,Description="a, b">\n'
    '##INFO=<ID=AF,Number=A,Type=Float,Description="x">\n'
    '##INFO=<ID=DP,Number=1,Type=Integer,Description="x">\n'
    '##INFO=<ID=SCORE,Number=1,Type=Float,Description="x">\n'
    '##INFO=<ID=DB,Number=0,Type=Flag,Description="x">\n'
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ts1\n"
)
RECORDS = (
    "c1\t5\trs1\tA\tG\t30\tPASS\tCLNSIG=bad,worse;AF=0.5;DP=9;DB\tGT\t0|1\n"
    "c1\t9\t.\tA\tATT\t.\t.\tSCORE=1e-3;DP=.\tGT\t0|1\n"
    "c2\t1\trs3\tC\tT\t7.5\tq10\t.\tGT\t0|1\n"
)


@pytest.fixture
def vcf(tmp_path: Path) -> Path:
    path = tmp_path / "sites.vcf"
    path.write_text(HEADER + RECORDS)
    return path


class TestSitesVcfToTable:
    def test_columns(self, vcf: Path) -> None:
        table = sites_vcf_to_table(vcf)
        assert table.to_dict("list") == {
            "CHROM": ["c1", "c1", "c2"],
            "POS": [5, 9, 1],
            "REF": ["A", "A", "C"],
            "ALT": ["G", "ATT", "T"],
        }
        assert table["POS"].dtype == np.int64

    def test_attributes_and_fields(self, vcf: Path) -> None:
        table = sites_vcf_to_table(
            vcf, ["ID", "QUAL", "FILTER"], ["CLNSIG", "AF", "DP", "SCORE", "DB"]
        )
        assert table["ID"].tolist() == ["rs1", ".", "rs3"]
        assert table["QUAL"].fillna(-1).tolist() == [30, -1, 7.5]
        assert table["FILTER"].tolist() == ["PASS", ".", "q10"]
        assert table["CLNSIG"].fillna("-").tolist() == ["bad,worse", "-", "-"]
        assert table["AF"].fillna("-").tolist() == ["0.5", "-", "-"]
        assert table["DP"].dtype == "Int64"
        assert table["DP"].fillna(-1).tolist() == [9, -1, -1]
        assert table["SCORE"].fillna(-1).tolist() == [-1, 0.001, -1]
        assert table["DB"].tolist() == [True, False, False]

    def test_compressed_in_small_pieces(self, vcf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        whole = sites_vcf_to_table(vcf, "ID", "DP")
        packed = vcf.with_suffix(".vcf.gz")
        packed.write_bytes(gzip.compress(vcf.read_bytes().rstrip(b"\n").replace(b"\n", b"\r\n")))
        monkeypatch.setattr(site_table, "_PIECE_BYTES", 37)
        pd.testing.assert_frame_equal(sites_vcf_to_table(packed, "ID", "DP"), whole)

    def test_records_that_are_not_biallelic(self, vcf: Path) -> None:
        vcf.write_text(HEADER + RECORDS + "c2\t3\t.\tC\tG,T\t.\t.\t.\nc2\t4\t.\tC\t.\t.\t.\t.\n")
        with pytest.raises(InvalidDataError, match=r"2 records.*c2:3 C>G,T, c2:4 C>\.\. .*norm"):
            sites_vcf_to_table(vcf)

    def test_refused(self, vcf: Path) -> None:
        with pytest.raises(NotFoundError, match=r"unknown INFO field 'CLNSG'.*CLNSIG"):
            sites_vcf_to_table(vcf, None, ["CLNSG"])
        with pytest.raises(NotFoundError, match="unknown attribute 'Id'"):
            sites_vcf_to_table(vcf, ["Id"])
        with pytest.raises(NotFoundError, match="cannot open"):
            sites_vcf_to_table(vcf.with_name("none.vcf"))
        vcf.write_text(HEADER + RECORDS + "c1 5 . A G . . .\n")
        with pytest.raises(InvalidDataError, match="line 11 is no VCF record"):
            sites_vcf_to_table(vcf)
        vcf.write_text(HEADER + RECORDS.replace("DP=9", "DP=many"))
        with pytest.raises(InvalidDataError, match="value of DP is no number"):
            sites_vcf_to_table(vcf, None, ["DP"])
        vcf.write_text(HEADER)
        with pytest.raises(InvalidDataError, match=r"without records.*none in 7 lines"):
            sites_vcf_to_table(vcf)
        vcf.write_bytes(b"BCF\2\2")
        with pytest.raises(InvalidDataError, match=r"not a VCF file.*bcftools view"):
            sites_vcf_to_table(vcf)


GENOME = Genome.from_arrays({"c1": "ACACACGTTTTGCANNGGGATC", "c2": "CCGATATATG"})


def frame(*rows: tuple[str, int, str, str]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=list(site_table.SITE_COLUMNS))


def texts(sites: Sites) -> list[tuple[str, int, str, str]]:
    table = sites.table
    return [
        (table.contig_names[c], int(table.position[i]) + 1, table.ref_of(i), table.alt_of(i))
        for i, c in enumerate(sites.contig.tolist())
    ]


class TestReadSites:
    def test_sorted_by_contig_and_position(self) -> None:
        given = frame(
            ("c2", 3, "G", "a"), ("c1", 7, "G", "T"), ("cX", 1, "N", "A"), ("c1", 1, "a", "AGG")
        )
        found = read_sites(given, GENOME, ["c1", "c2"])
        assert texts(found) == [("c1", 1, "A", "AGG"), ("c1", 7, "G", "T"), ("c2", 3, "G", "A")]
        assert found.given.tolist() == [3, 1, 0]
        assert found.table.contig_offsets.tolist() == [0, 2, 3]
        assert found.table.ilen.tolist() == [2, 0, 0]
        as_dict = read_sites(given.to_dict("list"), GENOME, ["c1", "c2"])
        assert texts(as_dict) == texts(found)

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            (("c1", 8, "TTT", "TT"), ("c1", 7, "GT", "G")),
            (("c1", 11, "T", "TT"), ("c1", 7, "G", "GT")),
            (("c1", 5, "AC", "ACAC"), ("c1", 1, "A", "ACA")),
            (("c1", 3, "ACG", "ATG"), None),
            (("c1", 5, "ACG", "ATG"), ("c1", 6, "C", "T")),
            (("c1", 5, "ACG", "TTG"), None),
            (("c2", 6, "ATA", "A"), ("c2", 3, "GAT", "G")),
            (("c1", 1, "AC", "C"), None),
        ],
    )
    def test_trimmed_and_left_aligned(
        self, given: tuple[str, int, str, str], expected: tuple[str, int, str, str] | None
    ) -> None:
        table = frame(given, ("c1", 7, "G", "C"))
        if expected is None:
            with pytest.raises(
                InvalidInputError, match=r"1 with (REF differs|several changes|no base before)"
            ):
                read_sites(table, GENOME, ["c1", "c2"])
        else:
            assert expected in texts(read_sites(table, GENOME, ["c1", "c2"]))

    def test_reasons_and_drop(self) -> None:
        bad = frame(
            ("c1", 2, "G", "A"),
            ("c1", 1, "A", "<DEL>"),
            ("c1", 1, "A", "*"),
            ("c1", 1, "A", "R"),
            ("c1", 22, "CA", "C"),
            ("c1", 0, "A", "C"),
            ("c1", 1, "A", "A"),
            ("c1", 1, "ACA", "TCG"),
            ("c2", 3, "G", "A"),
        )
        with pytest.raises(InvalidInputError, match="invalid='drop'") as caught:
            read_sites(bad, GENOME, ["c1", "c2"])
        for part in (
            "1 with REF differs from the genome: c1:2 G>A (row 0)",
            "2 with symbolic allele or breakend: c1:1 A><DEL> (row 1), c1:1 A>* (row 2)",
            "1 with letters other than",
            "2 with outside its contig",
            "1 with REF and ALT are equal",
            "1 with several changes in one record: c1:1 ACA>TCG (row 7)",
        ):
            assert part in str(caught.value)
        found = read_sites(bad, GENOME, ["c1", "c2"], "drop")
        assert found.given.tolist() == [8]
        assert sum(found.dropped.values()) == 8

    def test_tables_that_are_none(self) -> None:
        with pytest.raises(InvalidInputError, match="expected the columns CHROM, POS"):
            read_sites(pd.DataFrame({"CHROM": ["c1"]}), GENOME, ["c1"])
        with pytest.raises(InvalidInputError, match="column 'POS': expected integers"):
            read_sites(frame(("c1", "x", "A", "C")), GENOME, ["c1"])  # type: ignore[arg-type]


@pytest.mark.skipif(shutil.which("bcftools") is None, reason="needs bcftools")
def test_equals_bcftools_norm(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sequence = "".join(rng.choice(list("AC"), 300))  # repeats, so that much can be moved
    rows: list[tuple[str, int, str, str]] = []
    for position in np.sort(rng.integers(1, 280, 120)).tolist():
        n = int(rng.integers(1, 5))
        ref = sequence[position : position + n + 1]
        rows.append(("c", position + 1, *((ref, ref[0]) if rng.random() < 0.5 else (ref[0], ref))))
    body = "".join(f"{c}\t{p}\t.\t{r}\t{a}\t.\t.\t.\n" for c, p, r, a in rows)
    (tmp_path / "g.fa").write_text(f">c\n{sequence}\n")
    (tmp_path / "in.vcf").write_text(
        "##fileformat=VCFv4.2\n##contig=<ID=c,length=300>\n"
        f"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n{body}"
    )
    command: list[Any] = ["bcftools", "norm", "-f", tmp_path / "g.fa", tmp_path / "in.vcf"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    expected = [line.split("\t") for line in done.stdout.splitlines() if not line.startswith("#")]
    found = texts(read_sites(frame(*rows), Genome.from_arrays({"c": sequence}), ["c"]))
    assert sorted(found) == sorted((x[0], int(x[1]), x[3], x[4]) for x in expected)
    assert len({position for _, position, _, _ in found}) < 100
