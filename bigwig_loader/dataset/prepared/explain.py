"""What became of each variant that a haplotype carries in a window."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from bigwig_loader.dataset.prepared.variants_view import rows_in
from bigwig_loader.dataset.prepared.window_lists import applied_in, carried_in
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.formats.variants.table import VariantTable
from bigwig_loader.plan.haplotypes import HaplotypeWindows

if TYPE_CHECKING:
    from bigwig_loader.backend.protocol import HaplotypeReader

Status = Literal["applied", "dropped", "not reached"]
_SHOWN_BP = 24
_COLUMNS = ("record", "position", "ref", "alt", "status", "why")


@dataclass(frozen=True)
class ExplainedVariant:
    """One variant that a haplotype carries.

    Parameters
    ----------
    record : int
        Its number in the source of variants, from 0.
    position : int
        0-based.
    ref, alt : str
    status : {"applied", "dropped", "not reached"}
        ``"not reached"``: it would be applied, but the bases that are returned end before it.
    why : str
        Why it was dropped, or how it is applied if that is not as a whole; empty otherwise.
    """

    record: int
    position: int
    ref: str
    alt: str
    status: Status
    why: str = ""

    @property
    def ilen(self) -> int:
        """``len(alt) - len(ref)``."""
        return len(self.alt) - len(self.ref)


@dataclass(frozen=True)
class Explanation:
    """A haplotype in a window; `print` it.

    Parameters
    ----------
    title : str
    contig : str
    start, end : int
        The window, jitter applied; 0-based half-open.
    length : int
        Bases of the haplotype in the window.
    shift : int
        Leading bases that are left out.
    overlap : str
        Policy for variants that overlap.
    variants : tuple of ExplainedVariant
        All that overlap the window or what is returned of the haplotype behind it, ascending.
    """

    title: str
    contig: str
    start: int
    end: int
    length: int
    shift: int
    overlap: str
    variants: tuple[ExplainedVariant, ...]

    def of(self, status: Status) -> tuple[ExplainedVariant, ...]:
        """Those of one status."""
        return tuple(v for v in self.variants if v.status == status)

    @property
    def applied(self) -> tuple[ExplainedVariant, ...]:
        """Those that the sequence shows."""
        return self.of("applied")

    @property
    def dropped(self) -> tuple[ExplainedVariant, ...]:
        """Those that it does not show."""
        return self.of("dropped")

    def __str__(self) -> str:
        head = (
            f"{self.title}: {self.contig}:{self.start}-{self.end}, {self.length} bases, "
            f"{len(self.applied)} of {len(self.variants)} variants applied "
            f"(overlap={self.overlap!r})"
        )
        if self.shift:
            head += f", the first {self.shift} bases left out"
        rows = [
            (str(v.record), str(v.position), _short(v.ref), _short(v.alt), v.status, v.why)
            for v in self.variants
        ]
        widths = [max(map(len, column)) for column in zip(_COLUMNS, *rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(n) for cell, n in zip(row, widths, strict=True)).rstrip()
            for row in (_COLUMNS, *rows)
        ]
        return "\n".join([head, *(lines if rows else [])])


def explain_haplotype(
    reader: HaplotypeReader,
    window: HaplotypeWindows,
    ploid: int,
    keep: npt.NDArray[np.bool_] | None,
    title: str,
) -> Explanation:
    """Explain one haplotype.

    Parameters
    ----------
    reader : HaplotypeReader
    window : HaplotypeWindows
        One.
    ploid : int
    keep : (V,) bool, optional
        The filter that `reader` was made with.
    title : str
        What is explained.
    """
    if not 0 <= ploid < reader.ploidy:
        raise InvalidInputError(f"argument ploid: expected 0 to {reader.ploidy - 1}; got {ploid}")
    table, contig = reader.table, int(window.contig_index[0])
    start, end = int(window.start[0]), int(window.end[0])
    reach = int(reader.ends(window)[0, ploid])
    around = HaplotypeWindows(
        window.contig_index, window.start, np.maximum(window.end, reach), window.sample
    )
    rows, offsets = rows_in(table, reader.genotypes, around)
    carried = rows[offsets[ploid] : offsets[ploid + 1]].tolist()
    decisions = _Decisions(reader, around, ploid)
    explained = []
    for row in carried:
        if keep is not None and not keep[row]:
            status, why = "dropped", _filtered(table, row)
        else:
            status, why = decisions.of(row)
        if status == "applied":
            position = int(table.position[row])
            if position < start:
                gone = min(span_end(table, row), end) - start
                why = f"starts before the window; takes away its first {gone} bases"
            elif window.length_bp is not None and position >= reach:
                status, why = "not reached", f"behind the {window.length_bp} bases returned"
        explained.append(
            ExplainedVariant(
                int(table.record[row]),
                int(table.position[row]),
                table.ref_of(row),
                table.alt_of(row),
                status,  # type: ignore[arg-type]
                why,
            )
        )
    return Explanation(
        title=title,
        contig=table.contig_names[contig],
        start=start,
        end=end,
        length=int(reader.lengths(replace(window, shift=None))[0, ploid]),
        shift=0 if window.shift is None else int(window.shift[0, ploid]),
        overlap=reader.overlap,
        variants=tuple(explained),
    )


def span_end(table: VariantTable, row: int) -> int:
    """End of the reference span of a variant."""
    return int(table.position[row]) + 1 + max(0, -int(table.ilen[row]))


class _Decisions:
    """What the policy for overlaps says of the variants of one haplotype around a window."""

    def __init__(self, reader: HaplotypeReader, window: HaplotypeWindows, ploid: int) -> None:
        self._table = reader.table
        ends = np.repeat(window.end[:, None], reader.ploidy, axis=1)
        decide = carried_in if reader.overlap == "window" else applied_in
        found = decide(reader, window, ends)
        mine = slice(int(found.offsets[ploid]), int(found.offsets[ploid + 1]))
        rows, joins = found.rows[mine].tolist(), found.without_anchor[mine].tolist()
        if reader.overlap == "window":
            rows = self._in_window(rows, int(window.start[0]))
            joins = [False] * len(rows)
        self._joins = dict(zip(rows, joins, strict=True))
        self._rows = np.array(rows, np.int64)

    def _in_window(self, rows: list[int], start: int) -> list[int]:
        """The first one of those that overlap, counted from the window's start."""
        table, applied = self._table, []
        cursor = start
        for row in rows:
            position = int(table.position[row])
            if position < start:
                if span_end(table, row) > start:
                    applied.append(row)
            elif position >= cursor:
                applied.append(row)
            else:
                continue
            cursor = max(cursor, span_end(table, row))
        return applied

    def of(self, row: int) -> tuple[Status, str]:
        """Status and reason of a variant that passed the filters."""
        if row not in self._joins:
            blocker = self._before(row)
            record = int(self._table.record[blocker])
            return "dropped", f"overlaps record {record}, which comes first"
        if not self._joins[row]:
            return "applied", ""
        record = int(self._table.record[self._before(row)])
        return "applied", f"without its anchor base, which record {record} has"

    def _before(self, row: int) -> int:
        """The applied variant that has the first base of another one."""
        table, position = self._table, int(self._table.position[row])
        for place in range(int(np.searchsorted(self._rows, row)) - 1, -1, -1):
            other = int(self._rows[place])
            if span_end(table, other) > position:
                return other
        raise AssertionError("unreachable: a variant is dropped for one before it")


def _filtered(table: VariantTable, row: int) -> str:
    frequency = table.info.get("AF")
    known = "" if frequency is None else f" {float(frequency[row]):.4g}"
    return f"filtered: allele frequency{known}"


def _short(allele: str) -> str:
    if len(allele) <= _SHOWN_BP:
        return allele
    return f"{allele[: _SHOWN_BP - 8]}...({len(allele)})"
