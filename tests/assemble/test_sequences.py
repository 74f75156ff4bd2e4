"""Letters of windows, both strands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bigwig_loader.assemble.sequences import COMPLEMENT, window_strings
from bigwig_loader.formats.genome import Genome
from bigwig_loader.plan.windows import ContigTable, Windows
from tests.oracles.sequence import COMPLEMENT as BASES
from tests.oracles.sequence import IUPAC


def test_the_complement_of_every_code_stands_for_the_complements() -> None:
    for code, letters in IUPAC.items():
        if code == "U":  # read as T
            continue
        complement = code.translate(COMPLEMENT)
        assert set(IUPAC[complement]) == {BASES[letter] for letter in letters}
        assert complement.translate(COMPLEMENT) == code


@given(
    st.lists(st.tuples(st.integers(-40, 60), st.booleans()), min_size=1, max_size=6),
    st.integers(1, 70),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_windows_by_letters(tmp_path: Path, rows: list[tuple[int, bool]], length: int) -> None:
    letters = "acgtRYKMBDHVNSWACGGT" * 2
    fasta = tmp_path / "letters.fa"
    fasta.write_text(f">c\n{letters}\n")
    starts, reverse = zip(*rows, strict=True)
    contigs = ContigTable(("c",), np.array([40]))
    windows = Windows(np.zeros(len(rows)), np.array(starts), length, np.array(reverse))
    got = window_strings(Genome(fasta), contigs, windows)
    pairs = {a: b for a, b in zip("ACGTRYKMBDHVNSW", "TGCAYRMKVHDBNSW", strict=True)}
    for text, start, is_reversed in zip(got, starts, reverse, strict=True):
        bases = [letters[p].upper() if 0 <= p < 40 else "N" for p in range(start, start + length)]
        if is_reversed:
            bases = [pairs[base] for base in reversed(bases)]
        assert text == "".join(bases)


def test_without_strands_nothing_is_turned(tmp_path: Path) -> None:
    fasta = tmp_path / "letters.fa"
    fasta.write_text(">c\nAACCGG\n")
    windows = Windows(np.zeros(1), np.array([1]), 4)
    assert window_strings(Genome(fasta), ContigTable(("c",), np.array([6])), windows) == ["ACCG"]
