"""What a reader of haplotypes has to know of its variants and lists before it reads."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.formats.variants.table import Genotypes, VariantTable


def free_variants(table: VariantTable) -> npt.NDArray[np.bool_]:
    """Whether no variant before each one reaches its position, (V,)."""
    free = np.zeros(len(table), dtype=np.bool_)
    ends = table.position.astype(np.int64) + 1 + np.maximum(-table.ilen.astype(np.int64), 0)
    for first, last in itertools.pairwise(table.contig_offsets.tolist()):
        if last > first:
            reached = np.maximum.accumulate(ends[first : last - 1])
            free[first] = True
            free[first + 1 : last] = table.position[first + 1 : last] >= reached
    return free


def check_lists(
    table: VariantTable, genotypes: Genotypes, keep: npt.NDArray[np.bool_] | None
) -> npt.NDArray[np.bool_] | None:
    """The filter as the library reads it; raises unless all belongs together."""
    n_lists = len(table.contig_names) * genotypes.n_haplotypes
    carried = genotypes.variants
    if len(carried) and not len(table):
        raise InvalidInputError(
            f"genotypes: expected no entries without variants; got {len(carried)}"
        )
    if len(genotypes.offsets) != n_lists + 1 or genotypes.offsets[-1] != len(carried):
        raise InvalidInputError(
            f"genotypes: expected {n_lists} lists, of {len(table.contig_names)} contigs and "
            f"{genotypes.n_haplotypes} haplotypes; got {len(genotypes.offsets) - 1}"
        )
    if keep is None:
        return None
    if keep.shape != (len(table),):
        raise InvalidInputError(
            f"argument keep: expected a value for each of {len(table)} variants; got {keep.shape}"
        )
    return np.ascontiguousarray(keep, dtype=np.bool_)
