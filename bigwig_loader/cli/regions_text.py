"""Regions as people write them: ``chr1:10,000-12,000``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from bigwig_loader.errors import InvalidInputError, NotFoundError

_NUMBER = re.compile(r"\d+|\d{1,3}(,\d{3})+")
_FORMS = "NAME:START-END (0-based, END not included), NAME:POSITION or NAME"


@dataclass(frozen=True)
class RegionText:
    """What was written.

    Parameters
    ----------
    chrom : str
    start, end : int
        0-based half-open; a single position has ``end = start + 1``.
    is_position : bool
        Whether a single position was written.
    """

    chrom: str
    start: int
    end: int
    is_position: bool = False

    @property
    def position(self) -> int:
        """The central base; of the two in a region of even width, the second."""
        return self.start + (self.end - self.start) // 2


def parse_region(text: str, contigs: Mapping[str, int], where: str) -> RegionText:
    """Read a region, a position or the name of a contig, which stands for all of it.

    Parameters
    ----------
    text : str
        ``NAME:START-END``, ``NAME:POSITION`` or ``NAME``. Positions are 0-based and END is not
        included, as in BED; they may have commas between thousands. Names may contain ``:``;
        where the text could be read in two ways, braces around the name tell: ``{NAME}:START-END``.
    contigs : mapping of str to int
        Length in bp of every contig.
    where : str
        What the contigs belong to, for messages.

    Raises
    ------
    NotFoundError
        For an unknown contig; near names are listed.
    InvalidInputError
        For anything else: numbers that are none, an empty region, one that does not lie within
        its contig, or a text with two meanings.
    """
    text = text.strip()
    if text.startswith("{"):
        chrom, closed, rest = text[1:].partition("}")
        if not closed or (rest and not rest.startswith(":")):
            raise _unreadable(text, "a name in braces, then ':' or nothing")
        _check_known(chrom, contigs, where)
        return _within(text, chrom, rest[1:] if rest else None, contigs)
    chrom, colon, rest = text.rpartition(":")
    if text in contigs:
        if colon and chrom in contigs and _is_range(rest):
            raise InvalidInputError(
                f"region {text!r}: {text} and {chrom} are both contigs of {where}; write "
                f"{{{text}}} for all of the one or {{{chrom}}}:{rest} for a part of the other"
            )
        return _within(text, text, None, contigs)
    if not colon:
        _check_known(text, contigs, where)
    if chrom not in contigs:
        # Without numbers at its end, the whole text was meant as a name.
        raise NotFoundError.among("contig", chrom if _is_range(rest) else text, contigs, where)
    return _within(text, chrom, rest, contigs)


def _check_known(chrom: str, contigs: Mapping[str, int], where: str) -> None:
    if chrom not in contigs:
        raise NotFoundError.among("contig", chrom, contigs, where)


def _is_range(text: str) -> bool:
    return all(_NUMBER.fullmatch(part) for part in text.split("-", 1))


def _within(text: str, chrom: str, rest: str | None, contigs: Mapping[str, int]) -> RegionText:
    """The region, checked against its contig; None for `rest` means all of the contig."""
    length = contigs[chrom]
    if rest is None:
        region = RegionText(chrom, 0, length)
    else:
        first, dash, last = rest.partition("-")
        start = _number(text, first)
        region = RegionText(chrom, start, _number(text, last) if dash else start + 1, not dash)
    if region.end <= region.start:
        raise InvalidInputError(
            f"region {text!r}: expected START < END; got {region.start} and {region.end}"
        )
    if region.end > length:
        raise InvalidInputError(
            f"region {text!r}: expected {'a position' if region.is_position else 'an end'} within "
            f"{chrom}, which has {length:,} bp; got "
            f"{region.start if region.is_position else region.end:,}"
        )
    return region


def _number(text: str, number: str) -> int:
    if not _NUMBER.fullmatch(number) or not number.isascii():
        raise _unreadable(text, "a whole number, with commas between thousands or without", number)
    return int(number.replace(",", ""))


def _unreadable(text: str, expected: str, got: str | None = None) -> InvalidInputError:
    found = "" if got is None else f"; got {got!r}"
    return InvalidInputError(f"region {text!r}: expected {expected}{found}. Write {_FORMS}")
