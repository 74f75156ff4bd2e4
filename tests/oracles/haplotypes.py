"""Haplotypes the slow, obvious way: every base of a contig is a slot that variants write into."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tests.oracles.sequence import COMPLEMENT

LEFT_PAD, RIGHT_PAD = -1, 2_147_483_647


class Variant(NamedTuple):
    """One record: 0-based position, alleles, and its number in the file."""

    position: int
    ref: str
    alt: str
    record: int = -1

    @property
    def ilen(self) -> int:
        return len(self.alt) - len(self.ref)

    @property
    def span(self) -> range:
        """Reference bases it speaks about: the anchor, and the deleted ones."""
        return range(self.position, self.position + 1 + max(0, -self.ilen))


class Base(NamedTuple):
    """One base of a haplotype: letter, reference position it stands for, record it comes from.

    Outside the contig the position goes on counting, and the record is -1 as in the reference.
    """

    letter: str
    position: int
    record: int


def applied(variants: Iterable[Variant], policy: str) -> list[tuple[Variant, bool]]:
    """What a haplotype applies of the variants it carries, and whether without the anchor.

    "first": a variant none of whose bases was spoken for by one before it. "bcftools": also an
    insertion or deletion whose anchor is the very last base spoken for, unless by an insertion.
    """
    taken: set[int] = set()
    last: Variant | None = None
    kept = []
    for variant in sorted(variants, key=lambda v: v.position):
        joins = (
            policy == "bcftools"
            and last is not None
            and last.ilen <= 0
            and variant.ilen != 0
            and variant.position == last.span[-1]
        )
        if joins or taken.isdisjoint(variant.span):
            kept.append((variant, joins))
            taken |= set(variant.span)
            last = variant
    return kept


def slots(
    sequence: str, variants: Iterable[Variant], policy: str, start: int = 0
) -> list[list[Base]]:
    """The bases of a haplotype that stand for each base of the contig.

    With policy "window", overlaps are decided among the variants from `start` on; of those before,
    deletions take away what they reach.
    """
    out = [[Base(letter.upper(), i, -1)] for i, letter in enumerate(sequence)]
    variants = list(variants)
    if policy == "window":
        gone = {p for v in variants if v.position < start for p in v.span[1:]}
        for position in gone:
            out[position] = []
        variants = [v for v in variants if v.position >= start and v.position not in gone]
    for variant, without_anchor in applied(variants, policy):
        bases = [Base(x.upper(), variant.position, variant.record) for x in variant.alt]
        at = variant.position
        out[at] = out[at] + bases[1:] if without_anchor else bases
        for deleted in variant.span[1:]:
            out[deleted] = []
    return out


def whole(sequence: str, variants: Iterable[Variant], policy: str) -> str:
    """A haplotype from end to end."""
    return "".join(base.letter for slot in slots(sequence, variants, policy) for base in slot)


def window(
    sequence: str,
    variants: Iterable[Variant],
    start: int,
    end: int,
    policy: str = "first",
    length: int | None = None,
    shift: int = 0,
) -> list[Base]:
    """The bases of a window on the + strand.

    `length` bases from `start` on where it is given, else what stands for [start, end); in both
    cases after `shift` bases were left out.
    """
    place = slots(sequence, variants, policy, start)
    out: list[Base] = []
    position = start
    while position < end if length is None else len(out) < shift + length:
        inside = 0 <= position < len(sequence)
        out += place[position] if inside else [Base("N", position, -1)]
        position += 1
    return out[shift:] if length is None else out[shift : shift + length]


def letters(bases: Sequence[Base], reverse: bool = False) -> str:
    """Upper-case letters; the reverse complement leaves all but A, C, G and T as they are."""
    if reverse:
        return "".join(COMPLEMENT.get(base.letter, base.letter) for base in reversed(bases))
    return "".join(base.letter for base in bases)


def records(bases: Sequence[Base], reverse: bool = False) -> list[int]:
    """Record number of each base, -1 for the reference."""
    return [base.record for base in (reversed(bases) if reverse else bases)]


def coordinates(bases: Sequence[Base], n_bases: int, reverse: bool = False) -> list[int]:
    """Reference position of each base, or the mark of a pad; `n_bases`: of the contig."""

    def shown(position: int) -> int:
        return LEFT_PAD if position < 0 else RIGHT_PAD if position >= n_bases else position

    return [shown(base.position) for base in (reversed(bases) if reverse else bases)]
