"""The tiny data sets of genvarloader straight from their files: `GVL`, from VCF and from PGEN."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from bigwig_loader import GVL, BigWigs, Fasta, FastaVariants
from tests.conformance.test_gvl_prepared import pgen_of, routes
from tests.helpers.gvl_cases import Case, read_case


def stream(case: Case, variants: Path, bed: Path, length: int, **options: Any) -> GVL:
    reference = Fasta("haplotypes", case.fasta, pad="N")
    readers = [
        FastaVariants("haplotypes", reference, variants, overlap="window"),
        *(BigWigs(f"t{i}", case.bigwigs(i)) for i in (0, 1)),
    ]
    return GVL(
        readers, bed, length, batch_size=2, max_memory_gb=0.05, return_index=True, **options
    )  # fmt: skip


@pytest.mark.parametrize(("name", "kind"), routes())
def test_haplotypes_and_tracks(tmp_path: Path, name: str, kind: str) -> None:
    """Of the regions that have the length that is asked for, which are not moved then."""
    case = read_case(name)
    variants = case.vcf if kind == "vcf" else pgen_of(case, tmp_path)
    compared = 0
    for length, expected in case.modes():
        rows = [i for i, r in enumerate(case.regions) if r.end - r.start == length]
        if length is None or not rows:
            continue
        lines = case.bed.read_text().splitlines()
        bed = tmp_path / "regions.bed"
        bed.write_text("".join(f"{lines[i]}\n" for i in rows))
        seen = []
        loader = stream(case, variants, bed, length)
        assert tuple(loader.samples) == case.samples
        for batch in loader.torch_dataloader():
            for at, index in enumerate(np.asarray(batch["index"]).tolist()):
                row = rows[index]
                seen.append(index)
                letters = batch["haplotypes"][at]
                texts = [[x.tobytes().decode() for x in of_sample] for of_sample in letters]
                assert texts == expected["haplotypes"][row]
                for number in (0, 1):
                    signal = np.asarray(batch[f"t{number}"][at])
                    values = [of[number] for of in expected["tracks"]["repeat5p"][row]]
                    np.testing.assert_allclose(signal, values, rtol=1e-4, atol=1e-4)
                compared += 1
        assert sorted(seen) == list(range(len(rows)))
    has_such = any(r.end - r.start in dict(case.modes()) for r in case.regions)
    assert (compared > 0) == has_such


@pytest.mark.parametrize("batch_dims", [["sample"], ["ploid"], ["sample", "ploid"]])
def test_samples_and_haplotypes_as_examples(tmp_path: Path, batch_dims: list[str]) -> None:
    """In any order, the index says which example it is."""
    case = read_case("48_multi_contig_order")
    length = max(n for n, _ in case.modes() if n is not None)
    expected = dict(case.modes())[length]
    assert {r.end - r.start for r in case.regions} == {length}
    loader = stream(case, case.vcf, case.bed, length, batch_dims=batch_dims, shuffle=True, seed=7)
    n_samples = len(case.samples) if "sample" in batch_dims else 1
    n_ploids = 2 if "ploid" in batch_dims else 1
    seen = []
    for batch in loader.torch_dataloader():
        for at, index in enumerate(np.asarray(batch["index"]).tolist()):
            seen.append(index)
            region, place = divmod(index, n_samples * n_ploids)
            sample, ploid = divmod(place, n_ploids)
            found = batch["haplotypes"][at]
            wanted = expected["haplotypes"][region]
            if "sample" in batch_dims:
                wanted = wanted[sample]
            if "ploid" in batch_dims:
                wanted = wanted[ploid] if "sample" in batch_dims else [w[ploid] for w in wanted]
            rows = np.asarray(found).reshape(-1, length)
            assert [row.tobytes().decode() for row in rows] == list(np.ravel(wanted))
    assert sorted(seen) == list(range(len(case.regions) * n_samples * n_ploids))
