"""Coding exons of transcripts, from GTF files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from bigwig_loader.errors import InvalidDataError, InvalidInputError
from bigwig_loader.formats.text import read_pieces
from bigwig_loader.types import PathLike

if TYPE_CHECKING:
    import pandas as pd

_PIECE_BYTES = 1 << 22
# The feature is the third column; most lines are others and need not be split.
_CDS_LINE = re.compile(rb"^[^#\t\n][^\t\n]*\t[^\t\n]*\tCDS(?:\t[^\n]*)?$", re.MULTILINE)
_ATTRIBUTE = re.compile(r'([^\s;"]+)\s+(?:"([^"]*)"|([^\s;"]+))\s*(?:;|$)')
_N_COLUMNS = 9
_SUPPORT = "transcript_support_level"


def get_splice_bed(
    gtf: PathLike,
    contigs: Iterable[str] | None = None,
    transcript_support_level: str | None = "1",
    require_multiple_of_3: bool = True,
) -> pd.DataFrame:
    """Coding parts of exons (CDS features) as regions, for data sets that are spliced.

    Parameters
    ----------
    gtf : path-like
        GTF, plain, gzip or bgzip. Attributes needed: ``transcript_id`` and ``exon_number``.
    contigs : iterable of str, optional
        Keep only these; all by default. Names without coding exons are no error.
    transcript_support_level : str or None
        Keep only transcripts of this level. ``"1"`` also takes Ensembl's ``1 (assigned to
        previous version 5)``. None keeps all.
    require_multiple_of_3 : bool
        Keep only transcripts with a whole number of codons.

    Returns
    -------
    DataFrame
        ``chrom`` str, ``start`` and ``end`` int64 (0-based half-open), ``strand`` str,
        ``gene_name`` str (empty where there is none), ``transcript_id`` str, ``exon_number``
        int64. Sorted by contig, numbers in names counting as numbers (chr2 before chr10), and
        start. Ready for `write`; ``splice_info=("transcript_id", "exon_number")`` then puts the
        transcripts together.

    Raises
    ------
    NotFoundError
        If there is no such file.
    InvalidDataError
        For a damaged CDS line, and for a file without one.
    InvalidInputError
        If no transcript is left, with the number that each condition took.
    """
    rows = _read(gtf)
    frame = rows.frame()
    n_all = int(frame["transcript_id"].nunique())
    removed = []

    def keep(reason: str, wanted: pd.Series[bool]) -> None:
        nonlocal frame
        before = int(frame["transcript_id"].nunique())
        frame = frame[wanted.to_numpy()]
        removed.append(f"{before - int(frame['transcript_id'].nunique()):,} by {reason}")

    if contigs is not None:
        names = {contigs} if isinstance(contigs, str) else set(contigs)
        keep("contigs", frame["chrom"].isin(sorted(names)))
    if transcript_support_level is not None:
        level = frame[_SUPPORT].str.split(" ", n=1).str[0]
        keep(_SUPPORT, level == str(transcript_support_level))
    if require_multiple_of_3:
        length = (frame["end"] - frame["start"]).groupby(frame["transcript_id"]).transform("sum")
        keep("require_multiple_of_3", length % 3 == 0)
    if frame.empty:
        hint = ""
        if transcript_support_level is not None and not rows.has_support:
            hint = f". The file has no attribute {_SUPPORT}: pass {_SUPPORT}=None"
        raise InvalidInputError(
            f"GTF file {rows.path}: expected transcripts to be left; of {n_all:,} were removed "
            + ", ".join(removed)
            + hint
        )
    order = {name: i for i, name in enumerate(sorted(set(frame["chrom"]), key=_natural))}
    frame = frame.assign(_order=frame["chrom"].map(order))
    frame = frame.sort_values(["_order", "start"], kind="stable", ignore_index=True)
    return frame.drop(columns=["_order", _SUPPORT])


@dataclass
class _Rows:
    """CDS lines, column by column."""

    path: str
    chrom: list[str] = field(default_factory=list)
    start: list[int] = field(default_factory=list)
    end: list[int] = field(default_factory=list)
    strand: list[str] = field(default_factory=list)
    gene_name: list[str] = field(default_factory=list)
    transcript_id: list[str] = field(default_factory=list)
    exon_number: list[int] = field(default_factory=list)
    transcript_support_level: list[str] = field(default_factory=list)

    @property
    def has_support(self) -> bool:
        return any(self.transcript_support_level)

    def add(self, line: str, number: int) -> None:
        """Take one line.

        Raises
        ------
        InvalidDataError
            If it is not as the format says.
        """
        columns = line.split("\t")
        if len(columns) != _N_COLUMNS:
            raise self._error(number, "columns", f"{_N_COLUMNS} columns", str(len(columns)))
        chrom, _, _, start, end, _, strand, _, text = columns
        attributes = {key: quoted or plain for key, quoted, plain in _ATTRIBUTE.findall(text)}
        for name in ("transcript_id", "exon_number"):
            if not attributes.get(name):
                raise self._error(
                    number, "attributes", f'{name} "...";', text, "GFF3 has to be converted to GTF."
                )
        numbers = (start, end, attributes["exon_number"])
        if not all(text.isascii() and text.isdigit() for text in numbers):
            raise self._error(number, "start, end, exon_number", "integers", " ".join(numbers))
        if not 0 < int(start) <= int(end):
            raise self._error(number, "start, end", "1 <= start <= end", f"{start}, {end}")
        if strand not in ("+", "-"):
            raise self._error(number, "strand", "+ or -", strand)
        self.chrom.append(chrom)
        self.start.append(int(start) - 1)
        self.end.append(int(end))
        self.strand.append(strand)
        self.gene_name.append(attributes.get("gene_name", ""))
        self.transcript_id.append(attributes["transcript_id"])
        self.exon_number.append(int(attributes["exon_number"]))
        self.transcript_support_level.append(attributes.get(_SUPPORT, ""))

    def frame(self) -> pd.DataFrame:
        import pandas as pd

        texts = ("chrom", "strand", "gene_name", "transcript_id", _SUPPORT)
        columns = {name: values for name, values in vars(self).items() if name != "path"}
        return pd.DataFrame(
            {
                name: pd.Series(values, dtype="str" if name in texts else np.int64)
                for name, values in columns.items()
            }
        )

    def _error(
        self, number: int, what: str, expected: str, got: str, hint: str | None = None
    ) -> InvalidDataError:
        return InvalidDataError(
            f"line {number} is not a GTF feature",
            path=self.path,
            field=f"line {number}, {what}",
            expected=expected,
            got=repr(got[:100]),
            hint=hint,
        )


def _read(gtf: PathLike) -> _Rows:
    rows = _Rows(str(gtf))
    line = 1
    for piece in _whole_lines(read_pieces(gtf, _PIECE_BYTES)):
        counted = 0
        for match in _CDS_LINE.finditer(piece):
            line += piece.count(b"\n", counted, match.start())
            counted = match.start()
            rows.add(match[0].decode("utf-8", "replace").rstrip("\r"), line)
        line += piece.count(b"\n", counted)
    if not rows.chrom:
        raise InvalidDataError(
            "no coding exons",
            path=rows.path,
            expected="lines with CDS in the third column",
            got=f"none in {line:,} lines",
        )
    return rows


def _whole_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    held = b""
    for piece in pieces:
        held += piece
        end = held.rfind(b"\n") + 1
        yield held[:end]
        held = held[end:]
    yield held


def _natural(name: str) -> list[tuple[bool, int, str]]:
    """Sorts numbers within names as numbers."""
    parts = re.split(r"(\d+)", name)
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]
