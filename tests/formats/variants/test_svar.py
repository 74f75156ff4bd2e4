"""Folders .svar, made by hand as genoray lays them out."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

from bigwig_loader.errors import BackendUnavailableError, InvalidDataError, NotFoundError
from bigwig_loader.formats.genome import Genome
from bigwig_loader.formats.variants import svar
from bigwig_loader.formats.variants.pvar import table_of_records
from bigwig_loader.formats.variants.read import VariantOptions, open_variants, read_variants
from tests.helpers.shared import shared_peers
from tests.helpers.vcf_files import entries, variants_of
from tests.oracles import variant_normalize as oracle

ONE = "#CHROM" + "\tx" * 8 + "\ts\n1\t5\t.\tA\tC\t.\t.\t.\tGT\t0|1\n"


def write_svar(folder: Path, text: str, ploidy: int = 2) -> Path:
    """A folder with all but the index, of VCF text."""
    samples, records = oracle.parse_vcf(text)
    carried = oracle.carried(samples, records)
    folder.mkdir()
    lists = [
        sorted(r for s, p, r in carried if s == sample and p == ploid)
        for sample in samples
        for ploid in range(ploidy)
    ]
    np.cumsum([0, *map(len, lists)], dtype=np.int64).tofile(folder / "offsets.npy")
    np.array([r for row in lists for r in row], dtype=np.int32).tofile(folder / "variant_idxs.npy")
    contigs = list(dict.fromkeys(r.contig for r in records))
    about = {"version": 1, "samples": samples, "ploidy": ploidy, "contigs": contigs, "fields": {}}
    (folder / "metadata.json").write_text(json.dumps(about))
    (folder / "index.arrow").write_bytes(b"no Arrow file")
    return folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A case of the peer, whose index is read without pyarrow."""
    text = shared_peers("gvl", "rn_01", "variants.vcf").read_text()
    _, records = oracle.parse_vcf(text)
    columns = [[getattr(r, name) for r in records] for name in ("contig", "position", "ref")]
    positions = [p + 1 for p in columns[1]]
    table = table_of_records(
        "x", columns[0], positions, columns[2], [list(r.alts) for r in records]
    )
    monkeypatch.setattr(svar, "_read_index", lambda path: table)
    monkeypatch.setattr(svar, "_RECORDS_PER_BLOCK", 7)
    return write_svar(tmp_path / "x.svar", text)


def test_equals_the_vcf(folder: Path) -> None:
    path = shared_peers("gvl", "rn_01", "variants.vcf")
    genome = Genome(path.with_name("ref.fa"))
    samples, records = oracle.parse_vcf(path.read_text())
    read = read_variants(folder, genome, samples=samples[::-1])
    assert variants_of(read.table) == [(r.contig, r.position, r.ref, r.alts[0]) for r in records]
    assert read.table.record.tolist() == [r.number for r in records]
    assert read.genotypes.samples == tuple(samples[::-1])
    assert entries(read) == oracle.carried(samples, records)
    # Of missing alleles nothing is known, so they count as reference.
    n = [sum(1 for _, _, r in entries(read) if r == record) for record in range(len(records))]
    assert np.allclose(read.table.info["AF"], np.array(n) / (2 * len(samples)))
    spans = np.array([[20, 40], [70, 80]])
    part = read_variants(folder, genome, regions={"chr1": spans}, samples=samples[:1])
    there = [r for r in records if r.contig == "chr1"]
    ends = [(r.position, r.position + len(r.ref)) for r in there]
    kept = oracle.with_upstream(ends, {"chr1": spans.tolist()}, "chr1")
    wanted = [there[i] for i in kept]
    assert part.table.record.tolist() == [r.number for r in wanted]
    assert entries(part) == {e for e in oracle.carried(samples, wanted) if e[0] == samples[0]}


def test_source(folder: Path) -> None:
    source = open_variants(folder)
    assert isinstance(source, svar.Svar)
    assert source.contigs == {"chr1": None, "chr2": None}
    assert pickle.loads(pickle.dumps(source)).samples == source.samples
    with pytest.raises(NotFoundError, match=r"metadata.json.*none\.svar"):
        svar.Svar("none.svar")


def test_haploid_folder(folder: Path, tmp_path: Path) -> None:
    text = shared_peers("gvl", "rn_01", "variants.vcf").read_text()
    single = write_svar(tmp_path / "one.svar", text, ploidy=1)
    first = {entry for entry in entries(read_variants(folder)) if entry[1] == 0}
    assert entries(read_variants(single, options=VariantOptions(ploidy=1))) == first
    assert entries(read_variants(single)) == first
    repeated = entries(read_variants(single, options=VariantOptions(haploid="repeat")))
    assert repeated == first | {(s, 1, r) for s, _, r in first}


def test_damaged(folder: Path) -> None:
    lists = np.fromfile(folder / "variant_idxs.npy", dtype=np.int32)
    (lists + 1000).tofile(folder / "variant_idxs.npy")
    with pytest.raises(InvalidDataError, match="variants that are not there"):
        read_variants(folder)
    lists[:-1].tofile(folder / "variant_idxs.npy")
    with pytest.raises(InvalidDataError, match="do not fit each other"):
        read_variants(folder)
    (folder / "metadata.json").write_text("{}")
    with pytest.raises(InvalidDataError, match=r"damaged.*metadata\.json"):
        read_variants(folder)


def test_pyarrow_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_svar(
        tmp_path / "x.svar", "#CHROM" + "\tx" * 8 + "\ts\n1\t5\t.\tA\tC\t.\t.\t.\tGT\t0|1\n"
    )
    for name in ("pyarrow", "pyarrow.feather"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BackendUnavailableError, match=r"needs the package pyarrow.*pip install"):
        read_variants(path)


def test_index(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    feather = pytest.importorskip("pyarrow.feather")
    path = write_svar(
        tmp_path / "x.svar", "#CHROM" + "\tx" * 8 + "\ts\n1\t5\t.\tA\tC\t.\t.\t.\tGT\t0|1\n"
    )
    columns = {
        "CHROM": pyarrow.array(["1"]).dictionary_encode(),
        "POS": pyarrow.array([5], pyarrow.int32()),
        "REF": ["A"],
        "ALT": ["C"],
        "ILEN": [[0]],
    }
    feather.write_feather(pyarrow.table(columns), path / "index.arrow", compression="zstd")
    assert variants_of(read_variants(path).table) == [("1", 4, "A", "C")]
    (path / "index.arrow").write_bytes(b"ARROW1")
    with pytest.raises(InvalidDataError, match="not a readable Arrow file"):
        read_variants(path)
