"""Records to variants: one each, or several where they are split and decomposed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bigwig_loader.formats.genome import Genome
from bigwig_loader.formats.variants.atomize import atoms_of, left_aligned
from bigwig_loader.formats.variants.block import Block
from bigwig_loader.formats.variants.check import Reason
from bigwig_loader.formats.variants.letters import Letters, offsets_of


@dataclass(frozen=True)
class Split:
    """V variants of a block of n records.

    Parameters
    ----------
    row : (V,) int64
        Record, ascending.
    position : (V,) int64
    ref, alt : Letters
    alleles : list of V lists of int, or None
        ALT alleles (from 1) that hold each variant; None if these are the first ones throughout.
    """

    row: npt.NDArray[np.int64]
    position: npt.NDArray[np.int64]
    ref: Letters
    alt: Letters
    alleles: list[list[int]] | None = None

    def carried(
        self, block: Block, usable: npt.NDArray[np.bool_]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """Who carries what.

        Parameters
        ----------
        block : Block
        usable : (V,) bool
            Nobody carries the other variants.

        Returns
        -------
        variant, haplotype : (m,) int64, int32
            Ascending by variant.
        """
        calls = block.calls
        if self.alleles is None:
            kept = usable[calls.row] & (calls.allele == 1)
            return calls.row[kept], calls.haplotype[kept]
        lengths = np.array([len(held) for held in self.alleles], dtype=np.int64)
        held = np.array([allele for held in self.alleles for allele in held], dtype=np.int64)
        variant = np.repeat(np.arange(len(self.row)), lengths)
        held, variant = held[usable[variant]], variant[usable[variant]]
        base = int(block.n_alts.max(initial=0)) + 1
        keys = self.row[variant] * base + held
        order = np.argsort(keys, kind="stable")
        keys, variant = keys[order], variant[order]
        wanted = calls.row * base + calls.allele
        first, last = np.searchsorted(keys, wanted), np.searchsorted(keys, wanted, side="right")
        n = last - first
        offsets = offsets_of(n)
        found = variant[np.arange(offsets[-1]) + np.repeat(first - offsets[:-1], n)]
        haplotype = np.repeat(calls.haplotype, n)
        order = np.argsort(found, kind="stable")
        return found[order], haplotype[order]


def one_each(block: Block) -> Split:
    """Every record is a variant, with its first ALT."""
    first = offsets_of(block.n_alts)[:-1]
    alt = block.alt if len(block.alt) == len(block) else block.alt.take(first)
    return Split(np.arange(len(block)), block.position, block.ref, alt)


def atomized(block: Block, reason: npt.NDArray[np.uint8], genome: Genome) -> Split:
    """Records with a reason that can be normalized are split; see `atomize`.

    Parameters
    ----------
    block : Block
    reason : (n,) uint8
    genome : Genome
    """
    slow = np.flatnonzero(reason >= Reason.STAR).tolist()
    plain = one_each(block)
    if not slow:
        return plain
    length = genome.contigs[block.contig]

    def bases(start: int, end: int) -> str:
        return genome.sequence(block.contig, start, min(end, length))

    first_alt = offsets_of(block.n_alts)
    rows: list[int] = []
    starts: list[int] = []
    texts: list[tuple[str, str]] = []
    alleles: list[list[int]] = []
    for row in slow:
        alts = [block.alt[i] for i in range(int(first_alt[row]), int(first_alt[row + 1]))]
        for atom, held in atoms_of(int(block.position[row]), block.ref[row], alts).items():
            position, ref, alt = left_aligned(atom, bases)
            rows.append(row)
            starts.append(position)
            texts.append((ref, alt))
            alleles.append(held)
    kept = np.flatnonzero(reason < Reason.STAR)
    row_of = np.concatenate([plain.row[kept], np.array(rows, dtype=np.int64)])
    order = np.argsort(row_of, kind="stable")
    position_of = np.concatenate([plain.position[kept], np.array(starts, dtype=np.int64)])
    ref_of = Letters.concatenate([plain.ref.take(kept), Letters.of([ref for ref, _ in texts])])
    alt_of = Letters.concatenate([plain.alt.take(kept), Letters.of([alt for _, alt in texts])])
    held_by = [[1]] * len(kept) + alleles
    return Split(
        row_of[order],
        position_of[order],
        ref_of.take(order),
        alt_of.take(order),
        [held_by[i] for i in order.tolist()],
    )
