"""What a batch is delivered as: arrays or ragged arrays, with the axes that an index left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.dataset.prepared.variants_view import RaggedVariants
from bigwig_loader.ragged import Ragged

RIGHT_PAD = 2_147_483_647
Rows = npt.NDArray[Any] | Ragged[Any]


@dataclass(frozen=True, eq=False)
class AnnotatedHaplotypes:
    """Haplotypes and where each of their bases comes from.

    Parameters
    ----------
    haps : ndarray or Ragged
        (batch, ploidy, length), as without annotations.
    var_idxs : ndarray or Ragged of int32
        Number of the record that a base comes from, of all its ALT allele with the anchor; -1 for
        the reference and for what lies outside the contig.
    ref_coords : ndarray or Ragged of int32
        Position in the reference; of the bases of an ALT allele, that of its variant. -1 to the
        left of the contig, 2147483647 to its right.
    """

    haps: Rows
    var_idxs: Rows
    ref_coords: Rows

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Shape of `var_idxs` and `ref_coords`."""
        return self.var_idxs.shape

    def __len__(self) -> int:
        return len(self.haps)

    def reshape(self, shape: tuple[int, ...]) -> AnnotatedHaplotypes:
        """The same rows under other axes before that of the length."""
        return AnnotatedHaplotypes(
            *(_with_axes(rows, shape) for rows in (self.haps, self.var_idxs, self.ref_coords))
        )


Output = Rows | AnnotatedHaplotypes | RaggedVariants


def _with_axes(rows: Rows, shape: tuple[int, ...]) -> Rows:
    """Rows of haplotypes (batch, ploidy, ...) with the axes `shape` for those two."""
    if isinstance(rows, Ragged):
        return rows.reshape(shape)
    return rows.reshape(*shape, *rows.shape[2:])


def with_batch_axes(output: Output, shape: tuple[int, ...]) -> Output:
    """An output whose first axis, the batch, becomes the axes `shape`."""
    if isinstance(output, Ragged):
        return output.reshape((*shape, *output.leading[1:]))
    if isinstance(output, np.ndarray):
        return output.reshape(*shape, *output.shape[1:])
    if isinstance(output, AnnotatedHaplotypes):
        return output.reshape((*shape, int(output.shape[1] or 0)))
    return output.reshape((*shape, output.start.leading[1]))
