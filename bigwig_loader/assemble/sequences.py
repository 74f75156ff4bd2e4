"""Windows of the genome to what the sequence encoder makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bigwig_loader.plan.windows import ContigTable, Windows

if TYPE_CHECKING:
    from bigwig_loader.formats.genome import Genome


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
        Each of length L, upper case; positions outside the contig are N.
    """
    strings = []
    for contig, start in zip(windows.contig_index, windows.start.tolist(), strict=True):
        name = contigs.names[contig]
        length, end = genome.contigs[name], start + windows.length_bp
        inside = min(max(start, 0), length), max(min(end, length), 0)
        known = genome.sequence(name, *inside) if inside[0] < inside[1] else ""
        left = min(max(-start, 0), windows.length_bp)
        strings.append("N" * left + known + "N" * (windows.length_bp - left - len(known)))
    return strings


def slice_rows(array: Any, first: int, stop: int) -> Any:
    """Rows first..stop of an array along its first axis; the array itself where that is all."""
    return array if first == 0 and stop == len(array) else array[first:stop]
