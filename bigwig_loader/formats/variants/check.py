"""What is wrong with a record: reasons why it cannot be applied to a haplotype as it stands."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt

from bigwig_loader.formats.genome import Genome
from bigwig_loader.formats.packed import CODES
from bigwig_loader.formats.variants.block import Block
from bigwig_loader.formats.variants.letters import Letters

_CODES = np.frombuffer(CODES, dtype=np.uint8)
_ANY_BASE = 15


class Reason(IntEnum):
    """Why a record cannot be used; of several reasons, the first."""

    NONE = 0
    OUTSIDE = 1
    REF = 2
    LETTERS = 3
    SYMBOLIC = 4
    BREAKEND = 5
    PLOIDY = 6
    # From here on, `normalize="atomize"` helps.
    STAR = 7
    MULTIALLELIC = 8
    SAME = 9
    COMPLEX = 10
    UNALIGNED = 11

    @property
    def can_be_normalized(self) -> bool:
        """Whether splitting, decomposing or left-aligning makes the record usable."""
        return self >= Reason.STAR


DESCRIPTIONS = {
    Reason.OUTSIDE: "outside their contig",
    Reason.REF: "with a REF that is not the genome's",
    Reason.LETTERS: "with letters that are no bases",
    Reason.SYMBOLIC: "with a symbolic allele",
    Reason.BREAKEND: "with a breakend",
    Reason.PLOIDY: "with genotypes of more alleles than haplotypes",
    Reason.STAR: "with an allele *",
    Reason.MULTIALLELIC: "multi-allelic",
    Reason.SAME: "with an ALT equal to REF",
    Reason.COMPLEX: "not atomic (several bases substituted)",
    Reason.UNALIGNED: "not left-aligned",
}


def reasons_of(block: Block, genome: Genome | None, ploidy: int) -> npt.NDArray[np.uint8]:
    """Why each record of a block cannot be used as it stands.

    A variant is atomic if REF or ALT is one base long: a substitution of one base, or an insertion
    or deletion (whose anchor base may be substituted too). One that is anchored on its last base
    is taken on the first base of a contig only, where there is no base before it. An insertion or
    deletion is left-aligned if its last base is not its anchor.

    Parameters
    ----------
    block : Block
        n records, each with one ALT or more.
    genome : Genome or None
        Without one, REF is not compared.
    ploidy : int
        Most alleles that a genotype may have.

    Returns
    -------
    (n,) uint8
        `Reason` of each record.
    """
    notes = _Notes(block)
    notes.alleles()
    notes.records(Reason.MULTIALLELIC, block.n_alts > 1)
    notes.records(Reason.PLOIDY, block.calls.ploidy > ploidy)
    outside = block.position < 0
    notes.records(Reason.LETTERS, block.ref.any_of(_CODES[block.ref.data] == 0))
    if genome is not None:
        outside |= block.position + block.ref.lengths > genome.contigs[block.contig]
        inside = np.flatnonzero(~outside)
        wrong = np.zeros(len(block), dtype=np.bool_)
        refs = block.ref.take(inside)
        wrong[inside] = ref_differs(genome, block.contig, block.position[inside], refs)
        notes.records(Reason.REF, wrong)
    notes.records(Reason.OUTSIDE, outside)
    return notes.reason


class _Notes:
    """Reasons found so far; one that comes earlier in `Reason` stands before another."""

    def __init__(self, block: Block) -> None:
        self._block = block
        self.reason = np.zeros(len(block), dtype=np.uint8)

    def records(self, why: Reason, flags: npt.NDArray[np.bool_]) -> None:
        """Note a reason for the flagged records; flags (n,)."""
        self._note(why, np.flatnonzero(flags))

    def _note(self, why: Reason, rows: npt.NDArray[np.int64]) -> None:
        rows = rows[(self.reason[rows] == Reason.NONE) | (self.reason[rows] > why)]
        self.reason[rows] = why

    def alleles(self) -> None:
        """Note what the ALT alleles, compared with REF, give reason to."""
        block, alt = self._block, self._block.alt
        record = np.repeat(np.arange(len(block)), block.n_alts)

        def note(why: Reason, flags: npt.NDArray[np.bool_]) -> None:
            self._note(why, record[flags])

        at_start = block.position[record] == 0
        ref_bp, alt_bp = block.ref.lengths[record], alt.lengths
        ref_first = block.ref.first[record]
        indel = ref_bp != alt_bp
        short = np.minimum(ref_bp, alt_bp) == 1
        last = np.where(ref_bp > alt_bp, block.ref.last[record], alt.last)
        anchored = short & indel & (alt.first == ref_first)
        note(Reason.UNALIGNED, anchored & (last == ref_first) & ~at_start)
        # A shared last base instead of a first one: could be written one base further left.
        other_last = np.where(ref_bp > alt_bp, alt.last, block.ref.last[record])
        behind = short & indel & (alt.first != ref_first) & (last == other_last)
        note(Reason.UNALIGNED, behind & ~at_start)
        note(Reason.COMPLEX, ~short)
        note(Reason.SAME, ~indel & _equal(block.ref, alt, record))
        strange = alt.any_of(_CODES[alt.data] == 0)
        if strange.any():
            star = (alt_bp == 1) & (alt.first == ord("*"))
            symbolic = alt.first == ord("<")
            dots = (alt_bp > 1) & ((alt.first == ord(".")) | (alt.last == ord(".")))
            brackets = alt.any_of((alt.data == ord("[")) | (alt.data == ord("]")))
            breakend = ~symbolic & (dots | brackets)
            note(Reason.STAR, star)
            note(Reason.BREAKEND, breakend)
            note(Reason.SYMBOLIC, symbolic)
            note(Reason.LETTERS, strange & ~star & ~symbolic & ~breakend)


def _equal(ref: Letters, alt: Letters, record: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which ALT alleles are their record's REF, among those of its length."""
    equal: npt.NDArray[np.bool_] = (ref.lengths[record] == alt.lengths) & (
        ref.first[record] == alt.first
    )
    for row in np.flatnonzero(equal & (alt.lengths > 1)).tolist():
        equal[row] = ref[int(record[row])] == alt[row]
    return equal


def ref_differs(
    genome: Genome, contig: str, start: npt.NDArray[np.int64], ref: Letters
) -> npt.NDArray[np.bool_]:
    """Which REF alleles the genome does not have where they lie, all inside their contig; (n,).

    An ambiguous base of the genome (IUPAC) allows each of its bases, N only itself.
    """
    lengths = ref.lengths
    packed = genome.ensure_many(contig, start, start + lengths)
    place = np.arange(len(ref.data)) + np.repeat(start - ref.offsets[:-1], lengths)
    bases = (packed[place >> 1] >> ((place & 1) << 2).astype(np.uint8)) & 15
    codes = _CODES[ref.data]
    wrong = (codes & ~bases) != 0
    wrong |= (bases == _ANY_BASE) & (codes != _ANY_BASE)
    return ref.any_of(wrong)
