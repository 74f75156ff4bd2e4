"""Reading FASTA files: plain text, bgzip or gzip, with or without a ``.fai`` index.

The rules are those of ``samtools faidx`` and pyfaidx: a contig's name is the first word of its
header line, line ends are LF or CRLF, and the case of letters is kept. Nothing is ever written
beside the file: where there is no index, the text is read through once when the file is opened.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import TracebackType

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidDataError, InvalidInputError, NotFoundError
from bigwig_loader.formats.fasta_index import BLANKS, FastaIndex, check_fai, parse_fai, scan
from bigwig_loader.formats.source import is_url
from bigwig_loader.formats.text import Text, open_text
from bigwig_loader.types import PathLike

__all__ = ["FastaFile", "FastaIndex", "open_fasta"]

_PIECE_BYTES = 4 << 20


def open_fasta(path: PathLike) -> FastaFile:
    """Open a FASTA file.

    ``<path>.fai`` is used where it exists, after a check against the text; without it the text is
    scanned (about 0.5 GB/s). For bgzip files ``<path>.gzi`` is used where it exists. A plain gzip
    file has no random access: its text is kept in memory while the file is open.

    Parameters
    ----------
    path : path-like
        A local path, or an fsspec URL (then indices are not looked for).

    Raises
    ------
    NotFoundError
        If there is no such file.
    InvalidDataError
        If the file is not FASTA, is damaged, names a contig twice, or its ``.fai`` or ``.gzi``
        does not fit it.
    """
    text = open_text(path)
    try:
        return FastaFile(text, _index_of(text))
    except BaseException:
        text.close()
        raise


def _index_of(text: Text) -> FastaIndex:
    fai = text.path + ".fai"
    if is_url(text.path) or not os.path.exists(fai):
        return scan(text)
    with open(fai, "rb") as file:
        index, line_offsets = parse_fai(file.read(), fai)
    check_fai(index, line_offsets, text, fai)
    return index


class FastaFile:
    """An open FASTA file; made by `open_fasta`.

    Reads take no lock and no shared file position, so threads may share one file, also after a
    fork. Pickled by its path. A context manager.

    Attributes
    ----------
    path : str
    index : FastaIndex
    contigs : dict of str to int
        Length of each contig in bp, in file order.
    in_memory : bool
        Whether the whole text is held in memory (plain gzip).
    """

    def __init__(self, text: Text, index: FastaIndex) -> None:
        self.path = text.path
        self.index = index
        self.contigs = {name: int(n) for name, n in zip(index.names, index.lengths, strict=True)}
        self.in_memory = text.in_memory
        self._text = text
        self._row = {name: i for i, name in enumerate(index.names)}

    def __repr__(self) -> str:
        return f"FastaFile({self.path!r}, {len(self.contigs)} contigs)"

    def __reduce__(self) -> tuple[object, ...]:
        return open_fasta, (self.path,)

    def __enter__(self) -> FastaFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Reading afterwards is an error."""
        self._text.close()

    def row_of(self, name: str) -> int:
        """Number of a contig in `index`; `NotFoundError` with near names if there is none."""
        try:
            return self._row[name]
        except KeyError:
            raise NotFoundError.among("contig", name, self._row, self.path) from None

    def has_random_access(self, name: str) -> bool:
        """Whether a part of a contig costs no more than its own bytes, and no server is asked."""
        regular = self.index.line_bases[self.row_of(name)] > 0
        return bool(regular) and not self.in_memory and not is_url(self.path)

    def read(self, name: str, start: int, end: int, table: bytes | None = None) -> bytes:
        """Bases [start, end) of a contig as ASCII, case as in the file.

        Contigs with lines of irregular length are read from their beginning every time; load
        those once with `read_contig` or `Genome`.

        Parameters
        ----------
        name : str
        start, end : int
            0-based, half-open; must lie inside the contig.
        table : bytes, optional
            What stands for each of the 256 letters, as in `bytes.translate`.

        Raises
        ------
        NotFoundError
            If there is no such contig.
        InvalidInputError
            If the range is not inside the contig.
        InvalidDataError
            If the text there does not hold that many bases, or its lines end elsewhere than the
            index says, or a header stands among them.
        """
        row = self.row_of(name)
        length = int(self.index.lengths[row])
        if not 0 <= start <= end <= length:
            raise InvalidInputError(
                f"range of contig {name!r} in {self.path}: expected 0 <= start <= end <= {length}; "
                f"got start={start}, end={end}"
            )
        if start == end:
            return b""
        line_bases, line_width = int(self.index.line_bases[row]), int(self.index.line_width[row])
        offset = int(self.index.offset[row])
        if line_bases == 0:
            text = self._text.read(offset, int(self.index.text_bytes[row]))
            self.check(name, len(bases := text.translate(table, BLANKS)), length)
            return bases[start:end]
        first = start // line_bases * line_width + start % line_bases
        last = (end - 1) // line_bases * line_width + (end - 1) % line_bases
        text = self._text.read(offset + first, last + 1 - first)
        bases = text.translate(table, BLANKS)
        self.check(name, len(bases), end - start, first)
        in_line = start % line_bases
        ends = text[line_width - 1 - in_line :: line_width] if line_width > line_bases else b""
        if ends.strip(b"\n") or b">" in text[-in_line % line_width :: line_width]:
            got = "lines of other lengths, or a header line"
            raise self._wrong_text(row, first, f"lines of {line_bases} bases", got)
        return bases

    def read_contig(self, name: str) -> npt.NDArray[np.uint8]:
        """All bases of a contig: (L,) uint8 ASCII, case as in the file. Read-only."""
        text = b"".join(piece.translate(None, BLANKS) for piece in self.pieces(name))
        self.check(name, len(text), self.contigs[name])
        return np.frombuffer(text, dtype=np.uint8)

    def pieces(self, name: str) -> Iterator[bytes]:
        """The text of a contig, line ends included, in pieces of a few MiB."""
        row = self.row_of(name)
        offset, missing = int(self.index.offset[row]), int(self.index.text_bytes[row])
        while missing > 0:
            piece = self._text.read(offset, min(missing, _PIECE_BYTES))
            if not piece:
                return
            yield piece
            offset += len(piece)
            missing -= len(piece)

    def check(self, name: str, got: int, expected: int, first: int = 0) -> None:
        """Raise `InvalidDataError` if a part of a contig does not hold the bases it should.

        Parameters
        ----------
        name : str
        got, expected : int
            Bases.
        first : int
            Bytes between the beginning of the contig's text and the part.
        """
        if got != expected:
            raise self._wrong_text(self.row_of(name), first, f"{expected} bases", f"{got} bases")

    def _wrong_text(self, row: int, first: int, expected: str, got: str) -> InvalidDataError:
        return InvalidDataError(
            f"contig {self.index.names[row]!r} does not hold the bases its index promises",
            path=self.path,
            offset=int(self.index.offset[row]) + first,
            field="sequence",
            expected=expected,
            got=got,
            hint="The lines have irregular lengths or the index is stale: make the .fai "
            "again (samtools faidx FILE), or remove it to have the text scanned.",
        )
