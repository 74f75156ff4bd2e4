"""What a caller wants of variants, and what their contents mean where a file leaves it open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from bigwig_loader.errors import InvalidInputError

Normalize = Literal["check", "atomize", "drop"]
Unphased = Literal["as_written", "error"]
Missing = Literal["reference", "error"]
Haploid = Literal["reference", "repeat", "error"]
Ploidy = Literal[1, 2]
Alignment = Literal["report", "error"]

# Columns of a record beside INFO that may be kept, under these names.
COLUMNS = ("FILTER", "ID", "QUAL")


@dataclass(frozen=True)
class VariantOptions:
    """How variants are read.

    Filters come first: FILTER and INFO before records are checked, allele frequencies after. What
    a filter removes takes no part in anything that follows, overlaps included.

    Parameters
    ----------
    normalize : {"check", "atomize", "drop"}
        Variants must be bi-allelic and atomic, and REF must equal the genome.
        ``"check"`` raises if any is not. ``"drop"`` leaves such records out and lists them in the
        report. ``"atomize"`` splits multi-allelic records, decomposes substitutions of several
        bases and complex alleles, and left-aligns, as ``bcftools norm -a -m-`` does; alleles
        ``*`` become reference; symbolic alleles, breakends and a wrong REF still raise.
        Lower case is made upper case in all three.
    alignment : {"report", "error"}
        Insertions and deletions that could be written further to the left. Haplotypes are the same
        wherever they are written, so they are counted in the report, with examples. With
        ``"error"`` they are refused as other records are, or dropped. ``normalize="atomize"``
        aligns them.
    unphased : {"as_written", "error"}
        Heterozygous genotypes with ``/``: taken in their written order, with one warning, or
        refused.
    missing : {"reference", "error"}
        Missing alleles (``.``, and records without GT).
    haploid : {"reference", "repeat", "error"}
        The second haplotype of a haploid genotype: reference, the same as the first, or refused.
    ploidy : {1, 2}
        Haplotypes per sample. With 1, every genotype must be haploid.
    min_af, max_af : float, optional
        Bounds of the allele frequency, both included. Variants of unknown frequency are left out.
    filters : tuple of str, optional
        FILTER values allowed, e.g. ``("PASS",)``; ``"."`` stands for records that were not
        filtered. A record with several values needs all of them allowed.
    info : tuple of str
        INFO fields to keep as columns of the table, also ``"FILTER"``, ``"ID"`` and ``"QUAL"``.
    info_filter : mapping of str to (low, high)
        Records whose INFO field (or ``"QUAL"``) lies outside the range, both ends included, are
        left out; so are those without it. None is an open end. With several values in a field,
        one inside is enough.
    """

    normalize: Normalize = "check"
    alignment: Alignment = "report"
    unphased: Unphased = "as_written"
    missing: Missing = "reference"
    haploid: Haploid = "reference"
    ploidy: Ploidy = 2
    min_af: float | None = None
    max_af: float | None = None
    filters: tuple[str, ...] | None = None
    info: tuple[str, ...] = ()
    info_filter: Mapping[str, tuple[float | None, float | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, kind in (
            ("normalize", Normalize),
            ("alignment", Alignment),
            ("unphased", Unphased),
            ("missing", Missing),
            ("haploid", Haploid),
        ):
            given, allowed = getattr(self, name), get_args(kind)
            if given not in allowed:
                raise InvalidInputError(
                    f"variant option {name}: expected one of {', '.join(map(repr, allowed))}; "
                    f"got {given!r}"
                )
        if self.ploidy not in get_args(Ploidy):
            raise InvalidInputError(f"variant option ploidy: expected 1 or 2; got {self.ploidy!r}")
        for name in ("min_af", "max_af"):
            bound = getattr(self, name)
            if bound is not None and not 0 <= bound <= 1:
                raise InvalidInputError(
                    f"variant option {name}: expected a frequency from 0 to 1; got {bound!r}"
                )
        for name in ("filters", "info"):
            given = getattr(self, name)
            if given is not None:
                names = (given,) if isinstance(given, str) else tuple(given)
                object.__setattr__(self, name, names)
        for name, bounds in self.info_filter.items():
            if len(tuple(bounds)) != 2:
                raise InvalidInputError(
                    f"variant option info_filter[{name!r}]: expected (low, high); got {bounds!r}"
                )

    @property
    def fields(self) -> tuple[str, ...]:
        """Fields of a record to be read besides its alleles and genotypes, each once."""
        wanted = [*self.info, *self.info_filter]
        if self.filters is not None:
            wanted.append("FILTER")
        return tuple(dict.fromkeys(wanted))
