"""The tiny data sets of genvarloader, written, opened and indexed: from VCF and from PGEN."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from bigwig_loader import BigWigs, Dataset, write
from bigwig_loader.errors import InvalidDataError
from bigwig_loader.plan.fills import Fill, Interpolate, Repeat5p
from tests.conformance.test_gvl_haplotypes import MASKED_FROM_UPSTREAM
from tests.helpers.gvl_cases import CLEAN, Case, read_case
from tests.helpers.haplotypes import write_pgen
from tests.helpers.shared import shared_peers

# The other fills are tested on all cases where they are made, tests/backend/test_realign_cases.py.
FILLS: dict[str, Fill] = {"repeat5p": Repeat5p(), "interpolate3": Interpolate(3)}
# Half-missing and haploid genotypes, which a PGEN cannot hold.
NOT_IN_PGEN = ("27_missing_gt", "29_haploid_gt")
# Cases that are read from PGEN too; that all of them give the same tables is tested apart.
FROM_PGEN = ("09_two_ins_same_pos", "38_softmask_iupac", "48_multi_contig_order", "rn_03", "ro_05")
Open = Callable[[str, str], tuple[Case, Dataset]]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Open:
    """Data sets by case and kind of variants, each written once."""
    folder = tmp_path_factory.mktemp("gvl")

    @functools.cache
    def make(name: str, kind: str) -> tuple[Case, Dataset]:
        case = read_case(name)
        path = folder / f"{name}.{kind}.gvl"
        prepare(case, path, case.vcf if kind == "vcf" else pgen_of(case, folder))
        return case, Dataset.open(path, reference=case.fasta, overlap="window")

    return make


def prepare(case: Case, path: Path, variants: Path, **options: Any) -> None:
    with mock.patch("os.fsync"):  # waiting for the disk takes most of the time
        write(
            path,
            case.bed,
            variants=variants,
            bigwigs=[BigWigs(f"t{i}", case.bigwigs(i)) for i in (0, 1)],
            max_jitter=case.options.get("max_jitter", 0),
            reference=case.fasta,
            progress=False,
            **options,
        )


def pgen_of(case: Case, folder: Path) -> Path:
    table = {
        contig: sorted(found, key=lambda v: v.position) for contig, found in case.variants.items()
    }
    return write_pgen(folder / case.name, case.sequences, case.samples, table, case.carried)


def routes() -> list[Any]:
    pgen = [pytest.param(name, "pgen", id=f"{name}-pgen") for name in FROM_PGEN if name in CLEAN]
    return [pytest.param(name, "vcf", id=f"{name}-vcf") for name in CLEAN] + pgen


def as_lists(found: Any) -> Any:
    """Nested lists: in the form of the expected results."""
    return found.tolist() if isinstance(found, np.ndarray) else found.to_list()


def as_texts(found: Any) -> Any:
    """The same of letters, whose last axis becomes a text."""

    def walk(values: Any, depth: int) -> Any:
        if depth == 0:
            return b"".join(values).decode()
        return [walk(value, depth - 1) for value in values]

    return walk(as_lists(found), len(found.shape) - 1)


def decoded(values: Any) -> Any:
    """Nested lists of bytes, as text."""
    return values.decode() if isinstance(values, bytes) else [decoded(value) for value in values]


@pytest.mark.parametrize(("name", "kind"), routes())
def test_haplotypes(opened: Open, name: str, kind: str) -> None:
    case, dataset = opened(name, kind)
    assert tuple(dataset.samples) == case.samples
    dataset = dataset.with_settings(return_sequences="annotated", return_tracks=False)
    for length, expected in case.modes():
        found = dataset.with_len(length or "ragged")[:, :]
        assert as_texts(found.haps) == expected["haplotypes"]
        assert as_lists(found.var_idxs) == expected["var_idxs"]
        assert as_lists(found.ref_coords) == expected["ref_coords"]
        assert dataset.haplotype_lengths().tolist() == expected["haplotype_lengths"]


@pytest.mark.parametrize(("name", "kind"), routes())
def test_reference_and_variants(opened: Open, name: str, kind: str) -> None:
    case, dataset = opened(name, kind)
    for length, expected in case.modes():
        view = dataset.with_settings(return_tracks=False, length=length or "ragged")
        found = view.with_settings(return_sequences="reference")[:, :]
        shown = [[text] * len(case.samples) for text in expected["reference"]]
        if isinstance(expected["reference"][0], list):
            shown = expected["reference"]
        assert as_texts(found) == shown
        variants = view.with_settings(return_sequences="variants")[:, :]
        for field in ("start", "ilen"):
            assert getattr(variants, field).to_list() == expected["variants"][field]
        assert decoded(variants.alt.to_list()) == expected["variants"]["alt"]


@pytest.mark.parametrize(("name", "kind"), routes())
def test_tracks_on_haplotypes(opened: Open, name: str, kind: str) -> None:
    case, dataset = opened(name, kind)
    dataset = dataset.with_settings(return_sequences="haplotypes", return_tracks=["t0", "t1"])
    for length, expected in case.modes():
        view = dataset.with_len(length or "ragged")
        for fill in FILLS.keys() & expected["tracks"]:
            _, tracks = view.with_insertion_fill(FILLS[fill])[:, :]
            assert_close(tracks, expected["tracks"][fill])
        _, plain = view.with_settings(realign_tracks=False)[:, :]
        # Of a fixed length too, the whole regions were recorded.
        assert_close(
            plain,
            [
                [
                    [row if length is None else row[-length:] if r.reverse else row[:length]
                     for row in rows]
                    for rows in of_region
                ]
                for r, of_region in zip(
                    case.regions, expected["tracks_reference_coords"], strict=True
                )
            ],
        )  # fmt: skip


def assert_close(found: Any, expected: Any) -> None:
    """Rows (region, sample, track[, ploid]) of float32, within 1e-4."""
    assert found.dtype == np.float32
    rows, values = _rows(as_lists(found)), _rows(expected)
    assert [len(row) for row in rows] == [len(row) for row in values]
    for row, value in zip(rows, values, strict=True):
        np.testing.assert_allclose(row, value, rtol=1e-4, atol=1e-4)


def _rows(values: Any) -> list[Any]:
    if not values or not isinstance(values[0], list):
        return [values]
    return [row for value in values for row in _rows(value)]


@pytest.mark.parametrize("name", [*MASKED_FROM_UPSTREAM, "23_two_dels_span_start_disjoint_anchor"])
def test_overlaps_are_decided_once_unless_asked_otherwise(opened: Open, name: str) -> None:
    case, dataset = opened(name, "vcf")
    dataset = dataset.with_settings(overlap="first", return_tracks=False)
    differ = 0
    for length, expected in case.modes():
        found = as_texts(dataset.with_len(length or "ragged")[:, :])
        for row, other in zip(_rows([found]), _rows([expected["haplotypes"]]), strict=True):
            differ += sum(a != b for a, b in zip(row, other, strict=True))
    assert (differ > 0) == (name in MASKED_FROM_UPSTREAM)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("30_multiallelic_raw", "allelic"),
        ("32_star_allele", r"\*"),
        ("33_symbolic", "symbolic|<DEL>"),
        ("35_complex", "atomic|complex"),
    ],
)
def test_records_that_would_make_wrong_haplotypes_are_refused(
    tmp_path: Path, name: str, reason: str
) -> None:
    shared_peers("gvl")
    case = read_case(name)
    with pytest.raises(InvalidDataError, match=reason):
        prepare(case, tmp_path / "set", case.vcf)
    assert not (tmp_path / "set").exists()
    report = write(
        tmp_path / "dropped", case.bed, variants=case.vcf, normalize="drop", progress=False
    )
    assert report.n_variants < sum(map(len, case.variants.values()))
