"""Decomposing and left-aligning single records, against applying them to the sequence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigwig_loader.errors import InvalidDataError
from bigwig_loader.formats.variants.atomize import atoms_of, left_aligned
from tests.oracles import variant_normalize as oracle

_BASES = st.text("AC", min_size=1, max_size=5)  # two letters: repeats and matches are common


def _applied(sequence: str, atoms: list[oracle.Variant]) -> str:
    for atom in sorted(atoms, reverse=True):
        sequence = oracle.substituted(sequence, atom)
    return sequence


@given(st.text("AC", min_size=12, max_size=30), st.integers(0, 7), st.integers(1, 5), _BASES)
def test_atoms_and_left_alignment_keep_the_haplotype(
    sequence: str, position: int, ref_bp: int, alt: str
) -> None:
    ref = sequence[position : position + ref_bp]
    wanted = oracle.substituted(sequence, (position, ref, alt))
    atoms = list(atoms_of(position, ref, [alt]))
    assert _applied(sequence, atoms) == wanted
    assert all(min(len(r), len(a)) == 1 and r != a for _, r, a in atoms)
    for atom in atoms:
        moved = left_aligned(atom, lambda start, end: sequence[start:end])
        assert oracle.substituted(sequence, moved) == oracle.substituted(sequence, atom)
        if len(atom[1]) == len(atom[2]) or (
            atom[1][0] != atom[2][0] and (atom[1][-1] != atom[2][-1] or atom[0] == 0)
        ):
            assert moved == atom  # no indel, or one whose anchor is substituted too
        else:
            assert moved == oracle.leftmost(sequence, atom)


def test_atoms_of_several_alleles_are_shared() -> None:
    assert atoms_of(3, "TT", ["GAC", "G", "TA", "GT", "*"]) == {
        (3, "T", "G"): [1, 4],
        (3, "TT", "G"): [2],
        (4, "T", "A"): [3],
        (4, "T", "AC"): [1],
    }


def test_left_alignment_reaches_the_first_base() -> None:
    sequence = "ACACACACAC"
    assert left_aligned((7, "CAC", "C"), lambda s, e: sequence[s:e]) == (0, "ACA", "A")
    assert left_aligned((9, "C", "CAC"), lambda s, e: sequence[s:e]) == (0, "A", "ACA")


def test_a_shift_without_end_is_refused() -> None:
    sequence = "G" + "A" * 20_000
    with pytest.raises(InvalidDataError, match=r"10,000 bases.*bcftools norm"):
        left_aligned((19_000, "AA", "A"), lambda s, e: sequence[s:e])
    assert left_aligned((9_000, "AA", "A"), lambda s, e: sequence[s:e]) == (0, "GA", "G")
