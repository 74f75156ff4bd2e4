"""Blocks of records to a table of variants and lists of who carries them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from bigwig_loader.formats.genome import Genome
from bigwig_loader.formats.variants.atomize import MOST_SHIFT_BP
from bigwig_loader.formats.variants.block import Block, Spans
from bigwig_loader.formats.variants.check import Reason, reasons_of
from bigwig_loader.formats.variants.columns import (
    Fields,
    check_alleles,
    column,
    frequencies,
    passing,
)
from bigwig_loader.formats.variants.letters import offsets_of
from bigwig_loader.formats.variants.normalize import atomized, one_each
from bigwig_loader.formats.variants.options import VariantOptions
from bigwig_loader.formats.variants.report import Dropped
from bigwig_loader.formats.variants.sites import overlapping, with_upstream
from bigwig_loader.formats.variants.variants import Variants

_EXAMPLES = 5


class Collector:
    """Takes blocks, contig after contig, and keeps the variants that are wanted.

    Parameters
    ----------
    path : str
        For errors.
    fields : mapping
        INFO fields of the source, with number and type.
    genome : Genome or None
    options : VariantOptions
    n_samples : int
        Samples wanted: the first ones of each block.
    spans : mapping or None
        Regions.
    """

    def __init__(
        self,
        path: str,
        fields: Fields,
        genome: Genome | None,
        options: VariantOptions,
        n_samples: int,
        spans: Spans | None,
    ) -> None:
        self.path, self._fields, self._genome = path, fields, genome
        self._options, self._n_samples, self._spans = options, n_samples, spans
        self._parts: list[Variants] = []
        self._contig: str | None = None
        self.contigs: dict[str, Variants] = {}
        self.n_filtered: Counter[str] = Counter()
        self.n_without_alt = 0
        self.n_records = 0
        self.n_unaligned = 0
        self.unaligned: list[Dropped] = []
        self.n_other_af = 0  # variants whose frequency INFO does not tell

    def add(self, block: Block) -> None:
        """The next records."""
        if block.contig != self._contig:
            self.close()
            self._contig = block.contig
        rows = np.arange(len(block))
        inside = self._inside(block.contig, block.position, block.position + block.ref.lengths)
        kept = np.ones(len(block), dtype=np.bool_)
        for name, flags in passing(block, self._options).items():
            self.n_filtered[name] += int(np.count_nonzero(inside & kept & ~flags))
            kept &= flags
        self.n_without_alt += int(np.count_nonzero(inside & kept & (block.n_alts == 0)))
        kept &= block.n_alts > 0
        self.n_records += int(np.count_nonzero(inside & kept))
        block = block.take(rows[kept])
        check_alleles(block, self.path)
        if len(block):
            self._parts.append(self._variants(block))

    def close(self) -> None:
        """The contig is complete: put its variants in order, and leave out what is not wanted."""
        if self._contig is not None and self._parts:
            variants = Variants.concatenate(self._parts)
            self._parts = []
            if (np.diff(variants.position) < 0).any():
                variants = variants.take(np.argsort(variants.position, kind="stable"))
            position, end = variants.position, variants.end
            wanted = self._inside(self._contig, position, end)
            if not wanted.all():
                variants = variants.take(np.flatnonzero(with_upstream(position, end, wanted)))
            self.contigs[self._contig] = variants
        self._contig = None

    def _inside(
        self, contig: str, start: npt.NDArray[np.int64], end: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.bool_]:
        if self._spans is None:
            return np.ones(len(start), dtype=np.bool_)
        return overlapping(start, end, self._spans[contig])

    def _variants(self, block: Block) -> Variants:
        options = self._options
        reason = reasons_of(block, self._genome, options.ploidy)
        if options.normalize == "atomize":
            assert self._genome is not None
            split = atomized(block, reason, self._genome)
            blocking = np.where(reason >= Reason.STAR, 0, reason).astype(np.uint8)
        else:
            if options.alignment == "report":
                self._report_unaligned(block, reason)
                reason[reason == Reason.UNALIGNED] = Reason.NONE
            split = one_each(block)
            blocking = reason
        row = split.row
        usable = blocking[row] == Reason.NONE
        carried, haplotype = split.carried(block, usable)
        af = self._frequencies(block, row, split.alleles, np.bincount(carried, minlength=len(row)))
        of_sample = haplotype < 2 * self._n_samples
        carried, haplotype = carried[of_sample], haplotype[of_sample]
        if options.ploidy == 1:
            haplotype = haplotype // 2
        first = (
            np.ones(len(row), dtype=np.int64)
            if split.alleles is None
            else np.array([held[0] for held in split.alleles], dtype=np.int64)
        )
        columns = {name: column(block, name, self._fields, row, first) for name in options.info}
        calls = block.calls
        counts = np.stack([calls.n_missing, calls.n_unphased, calls.n_haploid], axis=1)
        variants = Variants(
            block.record[row],
            split.position,
            split.ref,
            split.alt,
            blocking[row],
            reason[row],
            counts[row],
            carried,
            haplotype,
            {"AF": af, **columns},
        )
        return self._filtered(block.contig, variants)

    def _report_unaligned(self, block: Block, reason: npt.NDArray[np.uint8]) -> None:
        end = block.position + block.ref.lengths
        inside = self._inside(block.contig, block.position, end)
        rows = np.flatnonzero((reason == Reason.UNALIGNED) & inside)
        self.n_unaligned += len(rows)
        first_alt = offsets_of(block.n_alts)
        for row in rows[: _EXAMPLES - len(self.unaligned)].tolist():
            alleles = block.ref[row], block.alt[int(first_alt[row])]
            where = int(block.record[row]), block.contig, int(block.position[row])
            self.unaligned.append(Dropped(*where, *alleles, Reason.UNALIGNED))

    def _frequencies(
        self,
        block: Block,
        row: npt.NDArray[np.int64],
        alleles: list[list[int]] | None,
        n_carried: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.float32]:
        n_called = block.calls.n_called[row]
        found = np.full(len(row), np.nan, dtype=np.float32)
        np.divide(n_carried, n_called, out=found, where=n_called > 0, casting="same_kind")
        if "AF" in block.fields:
            told = frequencies(block, row, alleles)
            self.n_other_af += int(np.count_nonzero(np.isnan(told)))
            found = np.where(np.isnan(told), found, told)
        return found

    def _filtered(self, contig: str, variants: Variants) -> Variants:
        """Without those whose frequency is out of bounds."""
        low, high = self._options.min_af, self._options.max_af
        if low is None and high is None:
            return variants
        af = variants.columns["AF"].astype(np.float32)
        kept = (af >= (0 if low is None else low)) & (af <= (1 if high is None else high))
        kept |= variants.reason != Reason.NONE
        inside = self._inside(contig, variants.position, variants.end)
        self.n_filtered["allele frequency"] += int(np.count_nonzero(inside & ~kept))
        return variants.take(np.flatnonzero(kept))


def with_margin(spans: Spans, options: VariantOptions) -> Spans:
    """Spans to read, so that what is left-aligned into spans is not missed."""
    if options.normalize != "atomize":
        return spans
    wider = {}
    for name, span in spans.items():
        start, end = np.maximum(span[:, 0] - MOST_SHIFT_BP, 0), span[:, 1] + MOST_SHIFT_BP
        opens = np.ones(len(span), dtype=np.bool_)
        opens[1:] = start[1:] > end[:-1]
        first = np.flatnonzero(opens)
        last = np.append(first[1:], len(span))[: len(first)] - 1
        wider[name] = np.stack([start[first], end[last]], axis=1)
    return wider
