"""What status codes of signal on haplotypes (`cuda_kernels/realign_batch.cuh`) say to a person."""

from __future__ import annotations

from enum import IntEnum

from bigwig_loader.errors import InvalidDataError, InvalidInputError
from bigwig_loader.plan.haplotypes import HaplotypeWindows


class RealignStatus(IntEnum):
    """Outcome of a batch; the numbers are those of the kernels."""

    OK = 0
    NO_MEMORY = 1
    BAD_SAMPLE = 2
    OUTSIDE_DENSE = 3
    OTHER_LENGTH = 4
    BAD_ROW = 5


def realign_error(
    status: int, window: int, track: int, windows: HaplotypeWindows, contig_names: tuple[str, ...]
) -> Exception:
    """The error to raise for a track in a window that failed.

    Parameters
    ----------
    status : int
        A `RealignStatus`.
    window, track : int
    windows : HaplotypeWindows
    contig_names : tuple of str
        What ``windows.contig_index`` counts.
    """
    if status == RealignStatus.NO_MEMORY:
        return MemoryError("no memory for the signal of a window on its haplotypes")
    name = contig_names[int(windows.contig_index[window])]
    where = f"track {track}, window {window} ({name}:{windows.start[window]}-"
    where += f"{windows.end[window]})"
    if status == RealignStatus.BAD_ROW:
        return InvalidDataError(
            f"{where}: the genotypes have a list with a number that is no row of the variants. "
            "The file is damaged, or belongs to other variants: write it again"
        )
    if status == RealignStatus.BAD_SAMPLE:
        return InvalidInputError(f"{where}: expected a sample of the interval table")
    if status == RealignStatus.OUTSIDE_DENSE:
        return InvalidInputError(
            f"{where}: a haplotype reaches further along the reference than the values that "
            "were read; read as far as HaplotypeReader.ends says"
        )
    return InvalidInputError(f"{where}: the haplotypes changed while they were read")
