"""The tiny data sets of genvarloader through the readers of variants, beside a parser of text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bigwig_loader.formats.genome import Genome
from bigwig_loader.formats.variants.read import read_variants
from tests.conformance.test_gvl_prepared import NOT_IN_PGEN, pgen_of
from tests.helpers.gvl_cases import CLEAN, read_case

ROUTES = [
    pytest.param(name, kind, id=f"{name}-{kind}")
    for name in CLEAN
    for kind in ("vcf", "pgen")
    if kind == "vcf" or name not in NOT_IN_PGEN
]


@pytest.mark.parametrize(("name", "kind"), ROUTES)
def test_tables_equal_the_text(tmp_path: Path, name: str, kind: str) -> None:
    case = read_case(name)
    source = case.vcf if kind == "vcf" else pgen_of(case, tmp_path)
    found = read_variants(source, Genome(case.fasta), samples=case.samples)
    unaligned = [
        v for of in case.variants.values() for v in of if v.position and v.ref[-1] == v.alt[-1]
    ]
    assert found.report.n_unaligned == len(unaligned)
    table, genotypes = case.tables()
    assert found.table.contig_names == table.contig_names
    for field in (
        *("contig_offsets", "position", "ilen", "record"),
        *("ref_offsets", "ref", "alt_offsets", "alt"),
    ):
        np.testing.assert_array_equal(getattr(found.table, field), getattr(table, field))
    assert found.genotypes.samples == case.samples
    assert found.genotypes.ploidy == 2
    np.testing.assert_array_equal(found.genotypes.offsets, genotypes.offsets)
    np.testing.assert_array_equal(found.genotypes.variants, genotypes.variants)
