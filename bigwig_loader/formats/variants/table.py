"""Variants and who carries them, as arrays: what every source of variants is read into."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError, NotFoundError

_MOST_BP = 1 << 30


@dataclass(frozen=True)
class VariantTable:
    """V bi-allelic, atomic variants, sorted by contig and position.

    Variants at one position keep the order of their file. The reference span of a variant is
    ``[position, position + 1 + max(0, -ilen))``: its first base, the anchor of an insertion or
    deletion, is there in REF and in ALT, or is substituted by the ALT.

    Parameters
    ----------
    contig_names : tuple of str
        C contigs, in the order that `contig_offsets` counts them.
    contig_offsets : (C + 1,) int64
        Variants of contig c are the rows ``contig_offsets[c]`` to ``contig_offsets[c + 1]``.
    position : (V,) int32
        0-based position of the first base of REF.
    ilen : (V,) int32
        ``len(ALT) - len(REF)``: 0 for a substitution, negative for a deletion.
    ref_offsets, alt_offsets : (V + 1,) int64
        Letters of variant v are ``ref[ref_offsets[v]:ref_offsets[v + 1]]``; so for `alt`.
    ref, alt : uint8
        Upper-case ASCII letters of all alleles.
    record : (V,) int64
        0-based number of the record in its source, over all contigs.
    info : dict
        Further columns of V values by name, e.g. ``"AF"`` (float32) or ``"FILTER"``.
    """

    contig_names: tuple[str, ...]
    contig_offsets: npt.NDArray[np.int64]
    position: npt.NDArray[np.int32]
    ilen: npt.NDArray[np.int32]
    ref_offsets: npt.NDArray[np.int64]
    ref: npt.NDArray[np.uint8]
    alt_offsets: npt.NDArray[np.int64]
    alt: npt.NDArray[np.uint8]
    record: npt.NDArray[np.int64]
    info: dict[str, npt.NDArray[np.generic]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.position)
        columns: dict[str, npt.NDArray[np.generic]]
        columns = {"ilen": self.ilen, "record": self.record, **self.info}
        for name, column in columns.items():
            if len(column) != n:
                raise InvalidInputError(
                    f"variants: expected {n} values of {name}, as positions; got {len(column)}"
                )
        check_offsets("contigs", self.contig_offsets, len(self.contig_names), n, whole=False)
        check_offsets("REF", self.ref_offsets, n, len(self.ref))
        check_offsets("ALT", self.alt_offsets, n, len(self.alt))
        if n and (self.position.min() < 0 or np.abs(self.ilen.astype(np.int64)).max() > _MOST_BP):
            raise InvalidInputError(
                "variants: expected positions from 0 on and alleles of a contig's length at most; "
                f"got position {self.position.min()}, ilen {self.ilen.min()} to {self.ilen.max()}"
            )

    def __len__(self) -> int:
        return len(self.position)

    def ref_of(self, variant: int) -> str:
        """REF letters of a variant."""
        return (
            self.ref[self.ref_offsets[variant] : self.ref_offsets[variant + 1]].tobytes().decode()
        )

    def alt_of(self, variant: int) -> str:
        """ALT letters of a variant."""
        return (
            self.alt[self.alt_offsets[variant] : self.alt_offsets[variant + 1]].tobytes().decode()
        )


@dataclass(frozen=True)
class Genotypes:
    """Which variants each haplotype carries: sorted lists, one after the other (CSR).

    Parameters
    ----------
    samples : tuple of str
        S names, in order.
    ploidy : int
        P haplotypes per sample.
    offsets : (C * S * P + 1,) int64
        Haplotype ``(contig * S + sample) * P + ploid`` carries
        ``variants[offsets[h]:offsets[h + 1]]``.
    variants : int32
        Rows of the `VariantTable`, ascending within each haplotype.
    """

    samples: tuple[str, ...]
    ploidy: int
    offsets: npt.NDArray[np.int64]
    variants: npt.NDArray[np.int32]

    def __post_init__(self) -> None:
        if self.ploidy < 1 or (len(self.offsets) - 1) % max(self.n_haplotypes, 1):
            raise InvalidInputError(
                f"genotypes: expected lists of {len(self.samples)} samples x {self.ploidy} "
                f"haplotypes on every contig; got {len(self.offsets) - 1} lists"
            )
        check_offsets("haplotypes", self.offsets, len(self.offsets) - 1, len(self.variants))

    @property
    def n_haplotypes(self) -> int:
        """S * P: lists per contig."""
        return len(self.samples) * self.ploidy

    @property
    def n_contigs(self) -> int:
        """C."""
        return (len(self.offsets) - 1) // self.n_haplotypes if self.samples else 0

    def carried(self, contig: int, sample: int, ploid: int) -> npt.NDArray[np.int32]:
        """Rows of the variants that one haplotype carries on a contig."""
        row = (contig * len(self.samples) + sample) * self.ploidy + ploid
        return self.variants[self.offsets[row] : self.offsets[row + 1]]

    def take_samples(self, names: Iterable[str]) -> Genotypes:
        """The lists of some samples, in the given order.

        Raises
        ------
        NotFoundError
            For an unknown sample, with near names.
        """
        place = {name: i for i, name in enumerate(self.samples)}
        names = tuple(names)
        for name in names:
            if name not in place:
                raise NotFoundError.among("sample", name, self.samples, "the genotypes")
        samples = np.array([place[name] for name in names], dtype=np.int64)
        shape = (self.n_contigs, len(self.samples), self.ploidy)
        rows = np.arange(len(self.offsets) - 1).reshape(shape)[:, samples].reshape(-1)
        lengths = np.diff(self.offsets)[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        parts = [self.variants[self.offsets[r] : self.offsets[r + 1]] for r in rows.tolist()]
        variants = np.concatenate(parts) if parts else self.variants[:0]
        return replace(self, samples=names, offsets=offsets, variants=variants)


def check_offsets(
    what: str, offsets: npt.NDArray[np.int64], n_lists: int, n: int, whole: bool = True
) -> None:
    """Check that offsets are those of lists in an array.

    Parameters
    ----------
    what : str
        Whose lists they are; for the message.
    offsets : (n_lists + 1,) int64
    n_lists, n : int
        Number of lists, and of values in all of them.
    whole : bool
        Whether the lists are all of the array; or else they may end before it does.

    Raises
    ------
    InvalidInputError
        If they are not ascending from 0 to `n`.
    """
    if len(offsets) != n_lists + 1:
        raise InvalidInputError(
            f"offsets of {what}: expected {n_lists + 1} for {n_lists} lists; got {len(offsets)}"
        )
    if offsets[0] != 0 or (offsets[-1] != n if whole else offsets[-1] > n):
        raise InvalidInputError(
            f"offsets of {what}: expected them from 0 to {n}; got {offsets[0]} to {offsets[-1]}"
        )
    if (offsets[1:] < offsets[:-1]).any():
        raise InvalidInputError(f"offsets of {what}: expected them ascending; got a smaller one")
