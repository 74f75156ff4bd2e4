"""VCF and BCF: every route gives what a slow parser of the text gives."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bigwig_loader.errors import InvalidDataError, InvalidInputError, NotFoundError
from bigwig_loader.formats.genome import Genome
from bigwig_loader.formats.variants import vcf
from bigwig_loader.formats.variants.read import VariantOptions, open_variants, read_variants
from bigwig_loader.formats.variants.vcf import Vcf
from tests.helpers.shared import shared_data, shared_peers
from tests.helpers.vcf_files import (
    SEQUENCE,
    compressed,
    entries,
    genome,
    variants_of,
    write_vcf,
)
from tests.oracles import variant_normalize as oracle

pytest.importorskip("cyvcf2")

NOT_CLEAN = ("30_multiallelic_raw", "32_star_allele", "33_symbolic", "35_complex")


def _cases() -> list[str]:
    folder = shared_peers("gvl")
    return sorted(p.parent.name for p in folder.glob("*/variants.vcf"))


@pytest.mark.parametrize("case", _cases())
def test_cases_of_the_peer_equal_a_slow_parser(case: str) -> None:
    folder = shared_peers("gvl", case)
    reference = Genome(folder / "ref.fa")
    samples, records = oracle.parse_vcf((folder / "variants.vcf").read_text())
    for name in ("variants.vcf", "variants.vcf.gz"):
        if case in NOT_CLEAN:
            with pytest.raises(InvalidDataError, match=r"of .* records cannot be used"):
                read_variants(folder / name, reference)
            continue
        read = read_variants(folder / name, reference)
        assert read.table.contig_names == tuple(reference.contigs)
        assert read.genotypes.samples == tuple(samples)
        wanted = [(r.contig, r.position, r.ref, r.alts[0]) for r in records]
        assert variants_of(read.table) == wanted
        assert read.table.record.tolist() == [r.number for r in records]
        assert read.table.ilen.tolist() == [len(alt) - len(ref) for _, _, ref, alt in wanted]
        assert entries(read) == oracle.carried(samples, records)


def _write(path: Path, rows: list[str]) -> Path:
    return write_vcf(path, rows, contigs=("a", "c"))


def _many_rows() -> list[str]:
    """Substitutions, and deletions that overlap what follows, on two contigs."""
    rng = np.random.default_rng(1)
    rows = []
    for contig in ("a", "c"):
        for position in np.sort(rng.integers(0, 40_000, 300)).tolist():
            ref = "ACGT"[position % 4] + "G" * int(rng.choice([0, 0, 1, 30, 2000]))
            alt = "ACGT"[(position + 1) % 4] if len(ref) == 1 else ref[0]
            if len(ref) > 1 and alt == "G":
                ref = alt = ""
            if ref:
                genotypes = rng.choice(["0|0", "0|1", "1|0", "1|1", ".|1", "1"], 2)
                rows.append(f"{contig} {position + 1} {ref} {alt} {' '.join(genotypes)}")
    return rows


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    text = _write(tmp_path_factory.mktemp("vcf") / "many.vcf", _many_rows())
    found = {"text": text}
    found |= {kind: compressed(text, kind) for kind in ("tbi", "csi", "bcf")}
    return found | {"no index": compressed(text, None)}


@pytest.mark.parametrize("kind", ["text", "tbi", "csi", "bcf", "no index"])
@pytest.mark.parametrize("kept", [True, False])
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.integers(0, 41_000), min_size=2, max_size=6, unique=True),
    st.sampled_from([("a", "c"), ("c", "a"), ("c",)]),
)
def test_regions_by_every_route(
    files: dict[str, Path], kind: str, kept: bool, cuts: list[int], contigs: tuple[str, ...]
) -> None:
    samples, records = oracle.parse_vcf(files["text"].read_text())
    cuts = sorted(cuts)[: len(cuts) // 2 * 2]
    spans = [(cuts[i], cuts[i + 1]) for i in range(0, len(cuts), 2)]
    regions = {name: np.array(spans) for name in contigs}
    with pytest.MonkeyPatch.context() as patch:
        if not kept:
            patch.setattr(vcf, "_KEPT_FILE_BYTES", -1)
        read = read_variants(files[kind], regions=regions, samples=samples[::-1])
    wanted = []
    for contig in contigs:
        there = [r for r in records if r.contig == contig]
        ends = [(r.position, r.position + len(r.ref)) for r in there]
        wanted += [there[i] for i in oracle.with_upstream(ends, {contig: spans}, contig)]
    assert read.table.contig_names == contigs
    assert read.table.record.tolist() == [r.number for r in wanted]
    assert read.genotypes.samples == tuple(samples[::-1])
    assert entries(read) == oracle.carried(samples, wanted)


def test_blocks_and_large_files(files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = read_variants(files["text"])
    monkeypatch.setattr("bigwig_loader.formats.variants.vcf_records.records_per_block", lambda n: 7)
    for kind in ("text", "bcf"):
        small = read_variants(files[kind])
        assert (small.genotypes.variants == whole.genotypes.variants).all()
        assert (small.genotypes.offsets == whole.genotypes.offsets).all()
        assert (small.table.info["AF"] == whole.table.info["AF"]).all()


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    regions = {"c": np.array([[0, 50]])}
    path = write_vcf(tmp_path / "x.vcf", ["c 1 G A 0|1 1|1"])
    assert len(read_variants(path, genome(), regions=regions).table) == 1
    write_vcf(path, ["c 1 G A 0|1 1|1", "c 2 A C 0|1 1|1"])
    assert len(read_variants(path, genome(), regions=regions).table) == 2


def test_source(files: dict[str, Path]) -> None:
    source = open_variants(files["tbi"])
    assert isinstance(source, Vcf)
    assert source.samples == ("s0", "s1")
    assert source.contigs == {"a": 100_000, "c": 100_000}
    assert source.fields["Q"] == ("A", "Float")
    assert source.is_indexed
    assert not Vcf(files["text"]).is_indexed
    again = pickle.loads(pickle.dumps(source))
    assert again.samples == source.samples
    assert again.path == str(files["tbi"])
    assert open_variants(source) is source


def test_contig_names_with_colons(tmp_path: Path) -> None:
    names = ("HLA-A*01:01", "HLA-A*01:01:02:5-9")
    rows = [f"{name} {p} A C 0|1 1|0" for name in names for p in (5, 50)]
    path = compressed(write_vcf(tmp_path / "hla.vcf", rows, contigs=names))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vcf, "_KEPT_FILE_BYTES", -1)
        read = read_variants(path, regions={names[1]: np.array([[40, 60]])})
    assert read.table.record.tolist() == [3]


def test_samples_and_regions_refused(files: dict[str, Path]) -> None:
    path = files["text"]
    with pytest.raises(NotFoundError, match=r"unknown sample 's3'.*near names: s1, s0"):
        read_variants(path, samples=["s0", "s3"])
    with pytest.raises(InvalidInputError, match=r"each one once; got 's0' again"):
        read_variants(path, samples=["s0", "s0"])
    with pytest.raises(NotFoundError, match=r"unknown contig 'chrc'.*near names: c"):
        read_variants(path, regions={"a": np.array([[0, 9]]), "chrc": np.array([[0, 9]])})
    with pytest.raises(InvalidInputError, match=r"do not overlap"):
        read_variants(path, regions={"a": np.array([[0, 9], [5, 10]])})
    with pytest.raises(InvalidInputError, match=r"\(n, 2\)"):
        read_variants(path, regions={"a": np.array([0, 9])})
    read = read_variants(path, regions={"a": np.array([[0, 9]]), "other": np.array([[0, 9]])})
    assert read.report.absent_contigs == ("other",)
    assert "no variants on other" in str(read.report)
    with pytest.raises(InvalidInputError, match=r"expected a file .vcf"):
        open_variants("x.txt")
    with pytest.raises(InvalidInputError, match=r"got int"):
        open_variants(3)  # type: ignore[arg-type]
    with pytest.raises(NotFoundError, match=r"none\.vcf"):
        open_variants("none.vcf")


def test_no_samples(tmp_path: Path) -> None:
    path = write_vcf(tmp_path / "sites.vcf", ["c 1 G A", "c 2 A AC"], samples=())
    with pytest.raises(InvalidDataError, match=r"no samples.*samples=\(\)"):
        read_variants(path, genome())
    read = read_variants(path, genome(), samples=())
    assert variants_of(read.table) == [("c", 0, "G", "A"), ("c", 1, "A", "AC")]
    assert np.isnan(read.table.info["AF"]).all()
    assert read.genotypes.samples == ()
    haploid = read_variants(path, genome(), samples=(), options=VariantOptions(ploidy=1))
    assert variants_of(haploid.table) == variants_of(read.table)
    with pytest.raises(InvalidInputError, match=r"min_af"):
        read_variants(path, genome(), samples=(), options=VariantOptions(min_af=0.1))
    with_samples = write_vcf(tmp_path / "x.vcf", ["c 1 G A 0|1 1|1", "c 2 A AC 0|0 1|0"])
    assert variants_of(read_variants(with_samples, samples=()).table) == variants_of(read.table)


def test_a_file_without_records(tmp_path: Path) -> None:
    path = write_vcf(tmp_path / "none.vcf", [])
    read = read_variants(path, genome())
    assert len(read.table) == 0
    assert read.genotypes.offsets.tolist() == [0] * 5
    assert str(read.report).startswith(f"Variants of {path}\n  0 records -> 0 variants")


@pytest.mark.parametrize("end", [".vcf", ".vcf.gz", ".bcf"])
def test_truncated_and_foreign_files(tmp_path: Path, files: dict[str, Path], end: str) -> None:
    whole = {".vcf": files["text"], ".vcf.gz": files["tbi"], ".bcf": files["bcf"]}[end]
    data = whole.read_bytes()
    cut = tmp_path / f"cut{end}"
    cut.write_bytes(data[: len(data) // 2])
    with pytest.raises(InvalidDataError, match=r"truncated.*cut\.|cannot be read.*cut\."):
        read_variants(cut)
    if end != ".vcf":  # whole blocks, and their last one missing
        cut.write_bytes(data[:-28])
        with pytest.raises(InvalidDataError, match=r"truncated"):
            read_variants(cut)
        # The mark is there, but a block before is damaged.
        middle = len(data) // 2
        cut.write_bytes(data[:middle] + bytes(40) + data[middle + 40 :])
        with pytest.raises(InvalidDataError, match=r"cannot be read|not a readable"):
            read_variants(cut)
    for content in (b"", b">chr1\nACGT\n", bytes(range(200))):
        cut.write_bytes(content)
        with pytest.raises(InvalidDataError, match=r"not a readable VCF"):
            read_variants(cut)


def test_real_truncated_files() -> None:
    path = shared_data("vcf", "kipoiseq__chr22_ENST00000319363.vcf.gz")
    with pytest.raises(InvalidDataError, match=r"cannot be read"):
        read_variants(path, samples=())
    with pytest.raises(InvalidDataError, match=r"not a readable VCF"):
        read_variants(shared_data("sets", "volvox", "volvox.raw.bcf"))


def test_a_stale_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vcf, "_KEPT_FILE_BYTES", -1)
    rows = [f"c {p} {SEQUENCE[p - 1]} {'AC'[SEQUENCE[p - 1] == 'A']} 0|1 1|1" for p in (1, 4, 9)]
    path = compressed(write_vcf(tmp_path / "x.vcf", rows))
    other = compressed(write_vcf(tmp_path / "y.vcf", ["a 1 A C 0|1 1|1"], contigs=("a", "c")))
    Path(f"{other}.tbi").replace(f"{path}.tbi")
    with pytest.raises(InvalidDataError, match=r"not found by the index.*tabix"):
        read_variants(path, genome(), regions={"c": np.array([[3, 5]])})


@pytest.mark.parametrize(
    "name",
    [
        "sets/hg38_chr1/1kGP_30x_chr1_10390-66441.vcf.gz",
        "sets/chrM/1kg_2020_chrM.bcf",
        "vcf/bio2zarr__chr22.vcf.gz",
        "vcf/igv.js__genotypes.vcf",
        "vcf/plink-ng__1kg_phase3_chr21_start.vcf.gz",
    ],
)
def test_real_genotypes(name: str) -> None:
    path = shared_data(*name.split("/"))
    truth = np.load(shared_data("truth", *f"{name}.gt.npz".split("/")))
    genotypes = truth[next(iter(truth.files))]
    options = VariantOptions(normalize="drop")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *args, **kwargs: None)
        read = read_variants(path, samples=Vcf(path).samples[: genotypes.shape[1]], options=options)
    there = read.table.record < len(genotypes)
    found = {(s, p, r) for s, p, r in entries(read) if r < len(genotypes)}
    carried = np.argwhere(genotypes == 1).tolist()
    kept = set(read.table.record[there].tolist())
    names = read.genotypes.samples
    assert len(kept) > len(genotypes) // 3
    assert found == {(names[s], p, r) for r, s, p in carried if r in kept}
