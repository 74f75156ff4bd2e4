"""The tiny data sets of genvarloader: exact haplotypes, from the oracle and from the kernel."""

from __future__ import annotations

import numpy as np
import pytest

from bigwig_loader.backend.cpu.haplotypes import HaplotypeReader
from bigwig_loader.plan.haplotypes import HaplotypeOptions
from tests.helpers.gvl_cases import CLEAN, NAMES, Case, read_case
from tests.helpers.shared import shared_peers
from tests.oracles import haplotypes as oracle

FIELDS = ("haplotypes", "var_idxs", "ref_coords")
# Haplotypes on which a deletion that begins before the window takes away another one, which only
# a rule that looks at the window alone would apply; by case.
MASKED_FROM_UPSTREAM = {"24_two_dels_span_start_small_first": 6, "ro_08": 9}

Cell = tuple[str, list[int], list[int]]


def expected_cells(case: Case) -> list[Cell]:
    """Letters, record numbers and coordinates of every (mode, region, sample, ploid)."""
    cells = []
    for _, found in case.modes():
        for r in range(len(case.regions)):
            for s in range(len(case.samples)):
                cells += list(zip(*(found[field][r][s] for field in FIELDS), strict=True))
    return cells


def oracle_cells(case: Case, policy: str) -> list[Cell]:
    cells = []
    for length, _ in case.modes():
        for region in case.regions:
            sequence = case.sequences[region.contig]
            for sample in case.samples:
                for ploid in range(2):
                    carried = case.carried.get((region.contig, sample, ploid), [])
                    bases = oracle.window(
                        sequence, carried, region.start, region.end, policy, length
                    )
                    cells.append(
                        (
                            oracle.letters(bases, region.reverse),
                            oracle.records(bases, region.reverse),
                            oracle.coordinates(bases, len(sequence), region.reverse),
                        )
                    )
    return cells


def kernel_cells(case: Case, policy: str) -> list[Cell]:
    table, genotypes = case.tables()
    reader = HaplotypeReader(case.genome(), table, genotypes, overlap=policy)  # type: ignore[arg-type]
    cells = []
    for length, found in case.modes():
        windows = case.windows(length)
        got = reader.encode(windows, HaplotypeOptions(encoding="bytes"), annotate=True)
        offsets = got.offsets
        if offsets is None:
            offsets = np.arange(len(windows) * 2 + 1) * length
        flat = [x.reshape(-1) for x in (got.data, got.var_idxs, got.ref_coords)]
        for a, b in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
            letters, records, coordinates = (x[a:b] for x in flat)
            cells.append((letters.tobytes().decode(), records.tolist(), coordinates.tolist()))
        if policy == "window":
            shape = (len(case.regions), len(case.samples), 2)
            natural = reader.lengths(windows).reshape(shape)
            assert natural.tolist() == found["haplotype_lengths"]
    return cells


@pytest.mark.parametrize("name", CLEAN)
@pytest.mark.parametrize("cells", [oracle_cells, kernel_cells])
def test_overlaps_decided_in_each_window(name: str, cells) -> None:
    case = read_case(name)
    assert cells(case, "window") == expected_cells(case)


@pytest.mark.parametrize("name", CLEAN)
@pytest.mark.parametrize("cells", [oracle_cells, kernel_cells])
def test_overlaps_decided_once_per_haplotype(name: str, cells) -> None:
    case = read_case(name)
    got, expected = cells(case, "first"), expected_cells(case)
    haplotypes = [
        (region, case.carried.get((region.contig, sample, ploid), []))
        for _ in case.modes()
        for region in case.regions
        for sample in case.samples
        for ploid in range(2)
    ]
    different = 0
    for cell, other, (region, carried) in zip(got, expected, haplotypes, strict=True):
        if cell != other:
            different += 1
            kept = [v for v, _ in oracle.applied(carried, "first")]
            dropped = [v for v in carried if v not in kept]
            # Something was dropped because of what begins before the window.
            assert any(
                v.position < region.start and any(set(v.span) & set(d.span) for d in dropped)
                for v in kept
            )
    assert different == MASKED_FROM_UPSTREAM.get(name, 0)


@pytest.mark.parametrize("name", CLEAN)
def test_the_rule_of_bcftools(name: str) -> None:
    case = read_case(name)
    assert kernel_cells(case, "bcftools") == oracle_cells(case, "bcftools")


def test_all_cases_are_there() -> None:
    shared_peers("gvl")
    assert len(NAMES) >= 54
