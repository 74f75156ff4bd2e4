"""What every source of variants gives: records of one contig, in the order of the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bigwig_loader.formats.variants.letters import Letters, offsets_of

MISSING, ABSENT = -1, -2  # allele numbers: not called; no such haplotype

# Sorted spans (n, 2) of each contig, 0-based half-open; they do not touch.
Spans = Mapping[str, npt.NDArray[np.int64]]


@dataclass(frozen=True)
class Calls:
    """Who carries what in a block of n records.

    Parameters
    ----------
    row : (m,) int64
        Record of the block, ascending.
    haplotype : (m,) int32
        ``2 * sample + ploid``, samples in the order that was asked for.
    allele : (m,) int16
        Number of the ALT allele, from 1.
    n_called : (n,) int32
        Alleles called per record, reference included.
    n_missing, n_unphased, n_haploid : (n,) int32
        Genotypes per record of which an allele is missing; that are heterozygous and not phased;
        that have one allele only.
    ploidy : (n,) uint8
        Most alleles that a genotype of the record has; what is above 2 is not in `allele`.
    """

    row: npt.NDArray[np.int64]
    haplotype: npt.NDArray[np.int32]
    allele: npt.NDArray[np.int16]
    n_called: npt.NDArray[np.int32]
    n_missing: npt.NDArray[np.int32]
    n_unphased: npt.NDArray[np.int32]
    n_haploid: npt.NDArray[np.int32]
    ploidy: npt.NDArray[np.uint8]

    @classmethod
    def concatenate(cls, parts: Sequence[Calls]) -> Calls:
        """The calls of blocks, one after the other."""
        firsts = offsets_of(np.array([len(part.ploidy) for part in parts]))
        arrays = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in cls.__dataclass_fields__
            if name != "row"
        }
        rows = [part.row + first for part, first in zip(parts, firsts[:-1], strict=True)]
        return cls(row=np.concatenate(rows), **arrays)

    def take(self, rows: npt.NDArray[np.int64]) -> Calls:
        """Those of some records, ascending."""
        lengths = np.diff(np.searchsorted(self.row, np.arange(len(self.ploidy) + 1)))
        before = offsets_of(lengths)
        offsets = offsets_of(lengths[rows])
        places = np.arange(offsets[-1]) + np.repeat(before[rows] - offsets[:-1], lengths[rows])
        return Calls(
            np.repeat(np.arange(len(rows)), lengths[rows]),
            self.haplotype[places],
            self.allele[places],
            self.n_called[rows],
            self.n_missing[rows],
            self.n_unphased[rows],
            self.n_haploid[rows],
            self.ploidy[rows],
        )


@dataclass(frozen=True)
class Block:
    """n records of one contig.

    Parameters
    ----------
    contig : str
    record : (n,) int64
        0-based number in the source, over all contigs.
    position : (n,) int64
        0-based; -1 for POS 0.
    ref : Letters
        n REF alleles, upper case.
    alt : Letters
        All ALT alleles, upper case, record after record.
    n_alts : (n,) int64
        ALT alleles per record; 0 for records that only say reference.
    calls : Calls
    fields : dict of str to list
        Further fields: one value, a tuple, or None per record.
    """

    contig: str
    record: npt.NDArray[np.int64]
    position: npt.NDArray[np.int64]
    ref: Letters
    alt: Letters
    n_alts: npt.NDArray[np.int64]
    calls: Calls
    fields: dict[str, list[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.record)

    @property
    def nbytes(self) -> int:
        """Bytes of memory, roughly where there are further fields."""
        calls = self.calls
        n_bytes = sum(array.nbytes for array in (calls.row, calls.haplotype, calls.allele))
        n_bytes += self.ref.data.nbytes + self.alt.data.nbytes
        return n_bytes + len(self) * (64 + 64 * len(self.fields))

    @classmethod
    def concatenate(cls, parts: Sequence[Block]) -> Block:
        """The records of blocks of one contig, at least one, one after the other."""
        if len(parts) == 1:
            return parts[0]
        return Block(
            parts[0].contig,
            np.concatenate([part.record for part in parts]),
            np.concatenate([part.position for part in parts]),
            Letters.concatenate([part.ref for part in parts]),
            Letters.concatenate([part.alt for part in parts]),
            np.concatenate([part.n_alts for part in parts]),
            Calls.concatenate([part.calls for part in parts]),
            {
                name: [value for part in parts for value in part.fields[name]]
                for name in parts[0].fields
            },
        )

    def take(self, rows: npt.NDArray[np.int64]) -> Block:
        """Some records, ascending."""
        if len(rows) == len(self):
            return self
        alts = np.repeat(np.arange(len(self)), self.n_alts)
        kept = np.zeros(len(self), dtype=np.bool_)
        kept[rows] = True
        return Block(
            self.contig,
            self.record[rows],
            self.position[rows],
            self.ref.take(rows),
            self.alt.take(np.flatnonzero(kept[alts])),
            self.n_alts[rows],
            self.calls.take(rows),
            {name: [values[row] for row in rows.tolist()] for name, values in self.fields.items()},
        )


@dataclass(frozen=True)
class Request:
    """What to read of a source.

    Parameters
    ----------
    samples : tuple of str
        Samples to read, in this order.
    fields : tuple of str
        Further fields: INFO, ``"FILTER"``, ``"ID"``, ``"QUAL"``.
    spans : mapping, optional
        Read the stretches of overlapping records in which any record overlaps one of these. Other
        contigs are passed over. By default everything is read.
    repeat_haploid : bool
        A haploid genotype carries its allele on both haplotypes.
    n_counted : int, optional
        Count missing, unphased and haploid genotypes of the first so many samples; of all by
        default.
    """

    samples: tuple[str, ...]
    fields: tuple[str, ...] = ()
    spans: Spans | None = None
    repeat_haploid: bool = False
    n_counted: int | None = None


class Source(Protocol):
    """A file or folder of variants."""

    @property
    def path(self) -> str: ...

    @property
    def samples(self) -> tuple[str, ...]: ...

    @property
    def contigs(self) -> Mapping[str, int | None]: ...

    @property
    def fields(self) -> Mapping[str, tuple[str, str]]:
        """INFO fields with their number and type, in VCF's words."""
        ...

    def blocks(self, request: Request) -> Iterator[Block]: ...


def records_per_block(n_samples: int) -> int:
    """Records whose dense genotypes take about 8 MB, at least 1 and at most 8,192."""
    return int(np.clip(4_000_000 // (3 * max(n_samples, 1)), 1, 8192))


def dense_calls(
    alleles: npt.NDArray[np.integer], phased: npt.NDArray[np.bool_], request: Request
) -> Calls:
    """Calls of dense genotypes.

    Parameters
    ----------
    alleles : (n, S, 2) int
        Allele numbers; -1 missing, -2 absent.
    phased : (n, S) bool
    request : Request
    """
    n, n_samples = alleles.shape[:2]
    alleles = np.ascontiguousarray(alleles)
    n_called = np.full(n, 2 * n_samples, dtype=np.int32)
    n_missing = n_unphased = n_haploid = np.zeros(n, dtype=np.int32)
    ploidy = np.full(n, 2 if n_samples else 1, dtype=np.uint8)
    some = alleles[:, : request.n_counted]
    first, second = some[..., 0], some[..., 1]
    if alleles.min(initial=0) < 0:  # otherwise all genotypes are diploid and complete
        n_called = np.count_nonzero(alleles >= 0, axis=(1, 2)).astype(np.int32)
        n_missing = np.count_nonzero((some == MISSING).any(axis=2), axis=1).astype(np.int32)
        n_haploid = np.count_nonzero(second == ABSENT, axis=1).astype(np.int32)
        ploidy = np.where((second >= 0).any(axis=1), 2, 1).astype(np.uint8)
        if request.repeat_haploid:
            alleles = alleles.copy()
            absent = alleles[..., 1] == ABSENT
            alleles[..., 1] = np.where(absent, alleles[..., 0], alleles[..., 1])
    unphased = ~phased[:, : request.n_counted]
    if unphased.any():
        unphased &= (first != second) & (second != ABSENT)
        n_unphased = np.count_nonzero(unphased, axis=1).astype(np.int32)
    flat = alleles.reshape(-1)
    place = np.flatnonzero(flat > 0)
    row = place // max(2 * n_samples, 1)
    return Calls(
        row,
        (place - row * (2 * n_samples)).astype(np.int32),
        flat[place].astype(np.int16),
        n_called,
        n_missing,
        n_unphased,
        n_haploid,
        ploidy,
    )


def letters_of_alts(alts: Sequence[Sequence[str]]) -> tuple[Letters, npt.NDArray[np.int64]]:
    """All ALT alleles of some records, and how many each has."""
    n_alts = np.fromiter(map(len, alts), dtype=np.int64, count=len(alts))
    return Letters.of([allele for record in alts for allele in record]), n_alts
