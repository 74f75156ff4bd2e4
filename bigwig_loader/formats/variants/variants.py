"""Variants of one contig before they become a table: with who carries them, and what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from bigwig_loader.formats.variants.letters import Letters, offsets_of


@dataclass(frozen=True)
class Variants:
    """V variants of one contig, in the order of their records.

    Records that cannot be used are among them, with their first ALT and carried by nobody.

    Parameters
    ----------
    record : (V,) int64
    position : (V,) int64
    ref, alt : Letters
    reason : (V,) uint8
        `Reason` why the record cannot be used; 0 for a variant.
    was : (V,) uint8
        `Reason` why the record could not be used as it stood.
    counts : (V, 3) int32
        Missing, unphased and haploid genotypes of the record.
    columns : dict of str to (V,) array
    carried, haplotype : (m,) int64, int32
        Entries: a variant, and who carries it. Ascending by variant.
    """

    record: npt.NDArray[np.int64]
    position: npt.NDArray[np.int64]
    ref: Letters
    alt: Letters
    reason: npt.NDArray[np.uint8]
    was: npt.NDArray[np.uint8]
    counts: npt.NDArray[np.int32]
    carried: npt.NDArray[np.int64]
    haplotype: npt.NDArray[np.int32]
    columns: dict[str, npt.NDArray[np.generic]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.record)

    @property
    def end(self) -> npt.NDArray[np.int64]:
        """(V,) int64 end of the reference spans."""
        return self.position + self.ref.lengths

    def take(self, rows: npt.NDArray[np.int64]) -> Variants:
        """Some variants, in the order given; nobody carries the others."""
        n = len(self)
        if len(rows) == n and (rows == np.arange(n)).all():
            return self
        place = np.full(n, -1, dtype=np.int64)
        place[rows] = np.arange(len(rows))
        carried = place[self.carried]
        kept = carried >= 0
        carried, haplotype = carried[kept], self.haplotype[kept]
        if (np.diff(carried) < 0).any():
            order = np.argsort(carried, kind="stable")
            carried, haplotype = carried[order], haplotype[order]
        return Variants(
            self.record[rows],
            self.position[rows],
            self.ref.take(rows),
            self.alt.take(rows),
            self.reason[rows],
            self.was[rows],
            self.counts[rows],
            carried,
            haplotype,
            {name: values[rows] for name, values in self.columns.items()},
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Variants]) -> Variants:
        """One after the other; at least one."""
        if len(parts) == 1:
            return parts[0]
        firsts = offsets_of(np.array([len(part) for part in parts]))
        carried = [part.carried + first for part, first in zip(parts, firsts[:-1], strict=True)]
        return cls(
            np.concatenate([part.record for part in parts]),
            np.concatenate([part.position for part in parts]),
            Letters.concatenate([part.ref for part in parts]),
            Letters.concatenate([part.alt for part in parts]),
            np.concatenate([part.reason for part in parts]),
            np.concatenate([part.was for part in parts]),
            np.concatenate([part.counts for part in parts]),
            np.concatenate(carried),
            np.concatenate([part.haplotype for part in parts]),
            {
                name: np.concatenate([part.columns[name] for part in parts])
                for name in parts[0].columns
            },
        )

    def lists(self, n_haplotypes: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """Variants of each haplotype, ascending: lengths (n_haplotypes,), and all in a row."""
        narrow = np.uint16 if n_haplotypes <= 1 << 16 else np.int32  # the former sorts by radix
        order = np.argsort(self.haplotype.astype(narrow), kind="stable")
        lengths = np.bincount(self.haplotype, minlength=n_haplotypes)
        return lengths.astype(np.int64), self.carried[order].astype(np.int32)
