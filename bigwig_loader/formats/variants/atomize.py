"""Splitting, decomposing and left-aligning: the same variants as ``bcftools norm -a -m-``."""

from __future__ import annotations

from collections.abc import Callable

from bigwig_loader.errors import InvalidDataError

# An indel may be shifted this far to the left. Regions are read with a margin of it, so that what
# is shifted into them is not missed.
MOST_SHIFT_BP = 10_000
_FETCH_BP = 128

Atom = tuple[int, str, str]  # position, REF, ALT


def atoms_of(position: int, ref: str, alts: list[str]) -> dict[Atom, list[int]]:
    """Atomic variants of a record, and the ALT alleles (from 1) that hold each.

    What REF and an ALT share at their ends is left out. Of the rest, bases that face each other
    and differ become substitutions of one base. Where one of the two ends, its last base and all
    that the other has from there on become an insertion or deletion, whose anchor is that base:
    if it differs too, the variant substitutes it, since two variants would exclude each other.
    Alleles ``*`` hold none.

    Parameters
    ----------
    position : int
        0-based.
    ref, alts : str, list of str
        Upper-case bases.

    Returns
    -------
    dict
        Sorted by position, REF and ALT; not left-aligned.

    Examples
    --------
    >>> atoms_of(10, "GC", ["AAG", "GG"])
    {(10, 'G', 'A'): [1], (11, 'C', 'AG'): [1], (11, 'C', 'G'): [2]}
    """
    found: dict[Atom, list[int]] = {}
    for number, alt in enumerate(alts, start=1):
        if alt == "*":
            continue
        ref_bp, alt_bp = len(ref), len(alt)
        while ref_bp > 1 and alt_bp > 1 and ref[ref_bp - 1] == alt[alt_bp - 1]:
            ref_bp, alt_bp = ref_bp - 1, alt_bp - 1
        facing = min(ref_bp, alt_bp)
        for i in range(facing):
            is_last = i == facing - 1
            atom = (ref[i:ref_bp], alt[i:alt_bp]) if is_last else (ref[i], alt[i])
            if atom[0] != atom[1]:
                found.setdefault((position + i, *atom), []).append(number)
    return dict(sorted(found.items()))


def left_aligned(atom: Atom, bases: Callable[[int, int], str]) -> Atom:
    """The same insertion or deletion as far to the left as it can be written.

    Parameters
    ----------
    atom : (int, str, str)
        Position, REF and ALT. One of these is one base. They share their first base or, to be
        shifted, their last; others come back as they are.
    bases : function
        Upper-case bases [start, end) of the contig.

    Raises
    ------
    InvalidDataError
        If it would be shifted by more than 10,000 bases.
    """
    position, ref, alt = atom
    if len(ref) == len(alt):
        return atom
    longer = ref if len(ref) > len(alt) else alt
    shorter = alt if longer is ref else ref
    start, before = position, ""

    def previous() -> str:
        """The base before `position`, fetching some at a time."""
        nonlocal start, before
        if position == start:
            first = max(start - _FETCH_BP, 0)
            before, start = bases(first, start), first
        return before[position - 1 - start]

    if longer[0] != shorter:
        if longer[-1] != shorter or position == 0:
            return atom
        # Anchored behind: take the base before as the anchor instead.
        unit, anchor = longer[:-1], previous()
        position -= 1
    else:
        unit, anchor = longer[1:], shorter
    shift = 0
    while unit[-1 - shift % len(unit)] == anchor and position > 0:
        # Going round: the last base of the unit is its first one, one base further left.
        anchor = previous()
        position -= 1
        shift += 1
        if shift > MOST_SHIFT_BP:
            raise InvalidDataError(
                f"an insertion or deletion of {len(unit):,} bases at position {atom[0] + 1:,} "
                f"can be shifted to the left by more than {MOST_SHIFT_BP:,} bases",
                hint="Left-align it before: bcftools norm -f",
            )
    shift %= len(unit)
    unit = unit[len(unit) - shift :] + unit[: len(unit) - shift]
    moved = anchor + unit
    return (position, moved, anchor) if longer is ref else (position, anchor, moved)
