"""Variants themselves as output: what each haplotype carries in a window."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.dataset.prepared.window_lists import lists_of, take_ragged
from bigwig_loader.formats.variants.table import Genotypes, VariantTable
from bigwig_loader.plan.haplotypes import HaplotypeWindows
from bigwig_loader.ragged import Ragged, offsets_of, stretches

_COMPLEMENT = bytes.maketrans(b"ACGT", b"TGCA")


@dataclass(frozen=True, eq=False)
class RaggedAlleles:
    """Letters of the alleles of some lists of variants.

    Parameters
    ----------
    letters : (total,) S1
        Of all alleles, one after the other.
    letter_offsets : (n + 1,) int64
        Allele i is ``letters[letter_offsets[i]:letter_offsets[i + 1]]``.
    offsets : (n_lists + 1,) int64
        List k has the alleles ``offsets[k]`` to ``offsets[k + 1]``.
    leading : tuple of int
        Shape of the lists.
    """

    letters: npt.NDArray[np.bytes_]
    letter_offsets: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    leading: tuple[int, ...]

    @property
    def shape(self) -> tuple[int | None, ...]:
        """``(*leading, None, None)``: variants, letters."""
        return (*self.leading, None, None)

    def __len__(self) -> int:
        return self.leading[0]

    def __getitem__(self, key: Any) -> Any:
        """Lists, as `Ragged` has rows; a single one is a list of bytes."""
        rows = np.arange(len(self.offsets) - 1).reshape(self.leading)[key]
        flat = np.reshape(rows, -1)
        lengths = np.diff(self.offsets)[flat]
        alleles = stretches(self.offsets[flat], lengths)
        letters, letter_offsets = take_ragged(
            self.letters, self.letter_offsets[alleles], self.letter_offsets[alleles + 1]
        )
        found = RaggedAlleles(letters, letter_offsets, offsets_of(lengths), np.shape(rows))
        return found.to_list()[0] if np.ndim(rows) == 0 else found

    def reshape(self, shape: tuple[int, ...]) -> RaggedAlleles:
        """The same lists under other leading axes."""
        return RaggedAlleles(self.letters, self.letter_offsets, self.offsets, shape)

    def to_list(self) -> list[Any]:
        """Nested lists of bytes."""
        text, ends = self.letters.tobytes(), self.letter_offsets
        alleles = np.empty(len(ends) - 1, object)
        alleles[:] = [text[a:b] for a, b in itertools.pairwise(ends)]
        leading = self.leading or (1,)
        return Ragged(alleles, leading, self.offsets).to_list()


@dataclass(frozen=True, eq=False)
class RaggedVariants:
    """Variants of windows of haplotypes, ascending by position in the contig.

    These are all that a haplotype carries in its window, whether applied or masked by another one.
    A variant is in the window if its reference span overlaps it.

    Parameters
    ----------
    alt : RaggedAlleles
        Upper-case letters; the reverse complement in windows that are delivered so.
    start : Ragged of int32
        0-based position of the first base of REF.
    ilen : Ragged of int32
        ``len(ALT) - len(REF)``.
    fields : dict
        What else was asked for, by name: ``"ref"`` (RaggedAlleles, as `alt`), ``"record"``
        (number of the record), ``"AF"`` and other columns of the variants.
    """

    alt: RaggedAlleles
    start: Ragged[np.int32]
    ilen: Ragged[np.int32]
    fields: Mapping[str, Ragged[Any] | RaggedAlleles]

    @property
    def shape(self) -> tuple[int | None, ...]:
        """``(batch, ploidy, None)``, or what an index made of it."""
        return self.start.shape

    def __len__(self) -> int:
        return len(self.start)

    def __getattr__(self, name: str) -> Ragged[Any] | RaggedAlleles:
        if name.startswith("__") or name == "fields" or name not in self.fields:
            raise AttributeError(
                f"no field {name!r} of variants; there are alt, start, ilen"
                + "".join(f", {known}" for known in self.__dict__.get("fields", ()))
            )
        return self.fields[name]

    def reshape(self, shape: tuple[int, ...]) -> RaggedVariants:
        """The same lists under other leading axes."""
        more = {name: field.reshape(shape) for name, field in self.fields.items()}
        return RaggedVariants(
            self.alt.reshape(shape), self.start.reshape(shape), self.ilen.reshape(shape), more
        )


def variants_in(
    table: VariantTable,
    genotypes: Genotypes,
    windows: HaplotypeWindows,
    fields: tuple[str, ...] = (),
    keep: npt.NDArray[np.bool_] | None = None,
) -> RaggedVariants:
    """Variants that haplotypes carry in the windows [start, end), whatever length was asked for.

    Parameters
    ----------
    table, genotypes
        As they are stored: before overlaps are decided.
    windows : HaplotypeWindows
        B windows.
    fields : tuple of str
    keep : (V,) bool, optional
        Variants that count at all.
    """
    rows, offsets = rows_in(table, genotypes, windows, keep)
    leading = (len(windows), genotypes.ploidy)

    def column(values: npt.NDArray[Any]) -> Ragged[Any]:
        return Ragged(np.asarray(values[rows]), leading, offsets)

    reverse = None
    if windows.reverse is not None and windows.reverse.any():
        reverse = np.repeat(np.repeat(windows.reverse, genotypes.ploidy), np.diff(offsets))
    more: dict[str, Ragged[Any] | RaggedAlleles] = {}
    for name in fields:
        if name == "ref":
            more[name] = _alleles(table.ref, table.ref_offsets, rows, reverse, leading, offsets)
        else:
            more[name] = column(table.record if name == "record" else table.info[name])
    alt = _alleles(table.alt, table.alt_offsets, rows, reverse, leading, offsets)
    return RaggedVariants(alt, column(table.position), column(table.ilen), more)


def rows_in(
    table: VariantTable,
    genotypes: Genotypes,
    windows: HaplotypeWindows,
    keep: npt.NDArray[np.bool_] | None = None,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows of the table of those variants, list by list, and the (B * P + 1,) offsets."""
    ploidy = genotypes.ploidy
    ends = np.repeat(windows.end[:, None], ploidy, axis=1)
    longest = 1 - int(table.ilen.min(initial=0))
    found = lists_of(table, genotypes, windows, ends, reach_bp=longest)
    start = np.repeat(np.repeat(windows.start, ploidy), np.diff(found.offsets))
    position, ilen = table.position[found.rows], table.ilen[found.rows]
    wanted = position + 1 + np.maximum(0, -ilen.astype(np.int64)) > start
    if keep is not None:
        wanted &= keep[found.rows]
    found = found.filtered(wanted)
    return found.rows, found.offsets


def _alleles(
    letters: npt.NDArray[np.uint8],
    letter_offsets: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    reverse: npt.NDArray[np.bool_] | None,
    leading: tuple[int, ...],
    offsets: npt.NDArray[np.int64],
) -> RaggedAlleles:
    """Letters of some variants; `reverse` (n,) says whose are turned."""
    begin, stop = letter_offsets[rows], letter_offsets[rows + 1]
    lengths = stop - begin
    out_offsets = offsets_of(lengths)
    index = stretches(begin, lengths)
    if reverse is None:
        text = np.asarray(letters[index])
    else:
        turned = np.repeat(reverse, lengths)
        mirrored = np.repeat(begin + stop - 1, lengths) - index
        text = np.asarray(letters[np.where(turned, mirrored, index)])
        complement = np.frombuffer(text.tobytes().translate(_COMPLEMENT), np.uint8)
        text = np.where(turned, complement, text)
    return RaggedAlleles(text.view("S1"), out_offsets, offsets, leading)
