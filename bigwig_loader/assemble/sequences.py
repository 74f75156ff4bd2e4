"""Windows of the genome to what the sequence encoder makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bigwig_loader.plan.windows import ContigTable, Windows

if TYPE_CHECKING:
    from bigwig_loader.formats.genome import Genome

# Every letter that `Genome.sequence` gives, and the letter of the complement; ``-``, N, S and W
# are their own.
COMPLEMENT = str.maketrans("ACGTRYKMBDHV", "TGCAYRMKVHDB")


def window_strings(genome: Genome, contigs: ContigTable, windows: Windows) -> list[str]:
    """Letters of each window.

    Parameters
    ----------
    genome : Genome
    contigs : ContigTable
        The contigs that the windows count.
    windows : Windows
        B windows of L bases.

    Returns
    -------
    list of B str
        Each of length L, upper case; positions outside the contig are N. Reversed windows are
        reverse complements, IUPAC codes included.
    """
    strings = []
    reversed_ = np.zeros(len(windows), bool) if windows.reverse is None else windows.reverse
    rows = zip(windows.contig_index, windows.start.tolist(), reversed_.tolist(), strict=True)
    for contig, start, is_reversed in rows:
        name = contigs.names[contig]
        length, end = genome.contigs[name], start + windows.length_bp
        inside = min(max(start, 0), length), max(min(end, length), 0)
        known = genome.sequence(name, *inside) if inside[0] < inside[1] else ""
        left = min(max(-start, 0), windows.length_bp)
        letters = "N" * left + known + "N" * (windows.length_bp - left - len(known))
        strings.append(letters.translate(COMPLEMENT)[::-1] if is_reversed else letters)
    return strings


def slice_rows(array: Any, first: int, stop: int) -> Any:
    """Rows first..stop of an array along its first axis; the array itself where that is all."""
    return array if first == 0 and stop == len(array) else array[first:stop]
