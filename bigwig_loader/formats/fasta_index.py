"""Where each contig of a FASTA file lies: read from a ``.fai`` index, or found by a scan.

A ``.fai`` has one line per contig: name, length in bases, byte offset of the first base, bases
per line and bytes per line (``samtools faidx``). It is believed only after its offsets, names and
line lengths have been compared with the text. The scan reads the whole text once and also takes
records that a ``.fai`` cannot describe (lines of irregular length, blanks within lines).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidDataError
from bigwig_loader.formats.text import Text

_SCAN_BYTES = 4 << 20
_LONGEST_GAP = 1 << 20  # bytes between two records: blank lines and one header line
BLANKS = b" \t\n\v\f\r"  # what may stand between bases
_IS_BLANK = np.zeros(256, dtype=np.bool_)
_IS_BLANK[list(BLANKS)] = True


@dataclass(frozen=True)
class FastaIndex:
    """Where C contigs lie in the text of a FASTA file.

    Parameters
    ----------
    names : tuple of str
        First word of each header line.
    lengths : (C,) int64
        Bases.
    offset : (C,) int64
        Byte offset of the first base in the uncompressed text.
    line_bases, line_width : (C,) int64
        Bases and bytes of a full line. 0 bases: lines are irregular, so that a position can only
        be found by reading the contig from its beginning.
    text_bytes : (C,) int64
        Bytes from the first base to the end of the record's text.
    """

    names: tuple[str, ...]
    lengths: npt.NDArray[np.int64]
    offset: npt.NDArray[np.int64]
    line_bases: npt.NDArray[np.int64]
    line_width: npt.NDArray[np.int64]
    text_bytes: npt.NDArray[np.int64]

    @classmethod
    def from_rows(cls, rows: Sequence[tuple[str, int, int, int, int, int]]) -> FastaIndex:
        """From rows (name, length, offset, line_bases, line_width, text_bytes)."""
        columns = np.array([row[1:] for row in rows], dtype=np.int64).reshape(-1, 5).T
        return cls(tuple(row[0] for row in rows), *(np.ascontiguousarray(c) for c in columns))


def parse_fai(raw: bytes, path: str) -> tuple[FastaIndex, list[int]]:
    """Parse the bytes of a ``.fai`` file; also the byte offset of each of its lines.

    Raises
    ------
    InvalidDataError
        For a line that is not name, length, offset, bases and bytes per line, or a second line
        of the same name.
    """
    rows: list[tuple[str, int, int, int, int, int]] = []
    line_offsets: list[int] = []
    seen: set[str] = set()
    at = 0
    for line in raw.split(b"\n"):
        here, at = at, at + len(line) + 1
        if not line.strip():
            continue
        fields = line.rstrip(b"\r").split(b"\t")
        numbers = fields[1:]
        if len(numbers) != 4 or not all(n.isdigit() and len(n) < 19 for n in numbers):
            raise _bad_fai(
                path, here, "line", "name, length, offset, bases and bytes per line", line
            )
        name = _decode(fields[0], path, here)
        length, offset, line_bases, line_width = (int(n) for n in numbers)
        if line_bases == 0 and line_width == 0 and length > 0:
            # Written by some indexers for one line without a line end.
            line_bases, line_width = length, length + 1
        if (line_bases == 0 and length > 0) or line_width < line_bases:
            raise _bad_fai(
                path,
                here,
                f"LINEBASES and LINEWIDTH of {name!r}",
                "0 < bases per line <= bytes per line",
                f"{line_bases} and {line_width}",
            )
        if name in seen:
            raise _bad_fai(path, here, "NAME", "distinct names", f"{name!r} twice")
        seen.add(name)
        full_lines = max(0, length - 1) // max(1, line_bases)
        text_bytes = full_lines * line_width + length - full_lines * line_bases
        rows.append((name, length, offset, line_bases, line_width, text_bytes))
        line_offsets.append(here)
    return FastaIndex.from_rows(rows), line_offsets


def check_fai(index: FastaIndex, line_offsets: Sequence[int], text: Text, path: str) -> None:
    """Compare a ``.fai`` with the text it claims to describe.

    Between two records there must be nothing but blank lines and the header line of the second,
    after the last nothing but blank lines, and the first line of each record must end where the
    index says. This finds indices made for another version of the file, and indices that name
    only some of the records.

    Raises
    ------
    InvalidDataError
        Names the ``.fai``, the byte offset of its line, the field, and what stands in the text.
    """
    end = 0
    for i in np.argsort(index.offset, kind="stable"):
        name, offset = index.names[i], int(index.offset[i])
        here = line_offsets[i]
        gap = _gap(text, end, offset)
        ended = gap is not None and (gap.endswith(b"\n") or offset == text.n_bytes)
        if gap is None or not ended or not _is_header_of(gap, name):
            got = "text between the records" if gap is None else _short(gap)
            raise _bad_fai(
                path, here, f"OFFSET of {name!r}", f"a header line '>{name}' before {offset}", got
            )
        line_bases, width = int(index.line_bases[i]), int(index.line_width[i])
        if index.lengths[i] > line_bases:
            line_end = text.read(offset + line_bases, width - line_bases)
            if line_end.strip(BLANKS) or not line_end.endswith(b"\n"):
                raise _bad_fai(
                    path, here, f"LINEBASES of {name!r}", "a line end there", _short(line_end)
                )
        end = offset + int(index.text_bytes[i])
    if not len(index.names) or end > text.n_bytes or _gap(text, end, text.n_bytes, b"") is None:
        last = len(line_offsets) - 1
        raise _bad_fai(
            path,
            line_offsets[last] if line_offsets else 0,
            "LENGTH of the last record",
            f"the end of the text, {text.n_bytes} bytes",
            f"a record that ends at {end}",
        )


def scan(text: Text) -> FastaIndex:
    """Find the records of a FASTA file by reading all of its text.

    A header is a line that starts with ``>``; its first word is the name. Blank lines are
    allowed, white space within lines is no base, line ends are LF or CRLF, and the last one may
    be missing.

    Raises
    ------
    InvalidDataError
        If text stands before the first header, there is no header, two records have one name, or
        lines end in CR alone.
    """
    scanner = _Scanner(text.path)
    held = b""  # a CR at the end of a piece belongs to the LF that may follow
    for at in range(0, text.n_bytes, _SCAN_BYTES):
        piece = held + text.read(at, _SCAN_BYTES)
        held = b"\r" if piece.endswith(b"\r") and at + _SCAN_BYTES < text.n_bytes else b""
        scanner.feed(piece[: len(piece) - len(held)])
    return scanner.finish()


class _Scanner:
    """State of a scan: the record that is being read, and the rows of those before it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._rows: list[tuple[str, int, int, int, int, int]] = []
        self._names: set[str] = set()
        self._at = 0  # offset of the next byte to come
        self._header: list[bytes] | None = None  # pieces of the header line that is being read
        self._line_start = True
        self._name: str | None = None

    def feed(self, piece: bytes) -> None:
        """Take the next bytes of the text."""
        begin = self._at
        at = 0
        while at < len(piece):
            self._at = begin + at
            if self._header is not None:
                end = piece.find(b"\n", at) + 1
                self._header.append(piece[at : end or len(piece)])
                at = end or len(piece)
                if end:
                    self._start_record(begin + at)
                continue
            if self._line_start and piece.startswith(b">", at):
                self._end_record()
                self._header = []
                continue
            end = piece.find(b"\n>", at) + 1 or len(piece)
            self._lines(piece[at:end])
            self._line_start = piece.endswith(b"\n", at, end)
            at = end
        self._at = begin + len(piece)

    def finish(self) -> FastaIndex:
        """The index, once all the text was fed."""
        if self._header is not None:
            self._start_record(self._at)
        self._end_record()
        if not self._rows:
            raise InvalidDataError(
                "not a FASTA file",
                path=self._path,
                offset=0,
                field="header",
                expected="a line that starts with '>'",
                got="an empty file",
            )
        return FastaIndex.from_rows(self._rows)

    def _start_record(self, offset: int) -> None:
        header = b"".join(self._header or ())
        at = offset - len(header)
        if b"\r" in header.rstrip(b"\r\n"):
            raise InvalidDataError(
                "lines end in CR alone",
                path=self._path,
                offset=at,
                field="header",
                expected="LF or CRLF line ends",
                got=_short(header),
                hint="Convert the file, e.g. tr '\\r' '\\n'.",
            )
        words = header[1:].split(maxsplit=1)
        self._name = _decode(words[0] if words else b"", self._path, at)
        if self._name in self._names:
            raise InvalidDataError(
                "two records have one name",
                path=self._path,
                offset=at,
                field="name",
                expected="distinct names",
                got=repr(self._name),
            )
        self._names.add(self._name)
        self._header = None
        self._line_start = True
        self._offset = offset
        self._length = 0
        self._partial = (0, 0)  # bases and bytes of a line whose end is still to come
        self._line: tuple[int, int] | None = None  # bases and bytes of the first line
        self._short_seen = False  # a line unlike the first: only blank lines may follow
        self._irregular = False

    def _end_record(self) -> None:
        if self._name is None:
            return
        if self._partial[1]:  # the last line of the file, without a line end
            bases, n_bytes = self._partial
            first = self._line or (bases, n_bytes + 1)
            self._complete(np.array([bases]), np.array([n_bytes + first[1] - first[0]]))
        regular = self._line is not None and self._length > 0 and not self._irregular
        line = self._line if regular and self._line else (0, 0)
        self._rows.append((self._name, self._length, self._offset, *line, self._at - self._offset))

    def _lines(self, piece: bytes) -> None:
        """Count the bases of whole lines, and of the part of a line at the end."""
        letters = np.frombuffer(piece, dtype=np.uint8)
        if self._name is None:
            if piece.strip(BLANKS):
                raise InvalidDataError(
                    "text before the first header",
                    path=self._path,
                    offset=self._at,
                    field="header",
                    expected="a line that starts with '>'",
                    got=_short(piece.lstrip(BLANKS)),
                    hint="This is not a FASTA file, or its first line is missing.",
                )
            return
        ends = np.flatnonzero(letters == ord("\n")) + 1
        bounds = np.concatenate([[0], ends, [letters.size]])
        widths = np.diff(bounds)
        bases = widths.copy()
        bases[:-1] -= 1
        if np.count_nonzero(letters <= ord(" ")) != ends.size:
            blank = _IS_BLANK[letters]
            returns = np.count_nonzero(letters[ends[ends > 1] - 2] == ord("\r"))
            self._irregular |= bool(np.count_nonzero(blank) != ends.size + returns)
            bases = np.diff(np.concatenate([[0], np.cumsum(~blank)])[bounds])
        self._length += int(bases.sum())
        bases[0] += self._partial[0]
        widths[0] += self._partial[1]
        self._partial = (int(bases[-1]), int(widths[-1]))
        self._complete(bases[:-1], widths[:-1])

    def _complete(self, bases: npt.NDArray[np.int64], widths: npt.NDArray[np.int64]) -> None:
        """Compare whole lines with the first one of the record."""
        if not bases.size:
            return
        if self._line is None:
            self._line = (int(bases[0]), int(widths[0]))
            self._short_seen = bases[0] == 0
        if self._short_seen:
            self._irregular |= bool(bases.any())
            return
        unlike = np.flatnonzero((bases != self._line[0]) | (widths != self._line[1]))
        if unlike.size:
            self._short_seen = True
            k = unlike[0]
            self._irregular |= bool(bases[k] > self._line[0] or bases[k + 1 :].any())


def _gap(text: Text, start: int, end: int, header: bytes = b">") -> bytes | None:
    """Text from `start` to `end` less blanks at its beginning; None if it is no gap."""
    if not 0 <= end - start <= _LONGEST_GAP or end > text.n_bytes:
        return None
    gap = text.read(start, end - start).lstrip(BLANKS)
    return gap if gap.startswith(header) and (header or not gap) else None


def _is_header_of(gap: bytes, name: str) -> bool:
    words = gap[1:].split(maxsplit=1)
    first = words[0] if words else b""
    # One line only; at the end of the file it may lack its line end.
    return first == name.encode() and b"\n" not in gap.removesuffix(b"\n")


def _decode(name: bytes, path: str, offset: int) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError as error:
        raise InvalidDataError(
            "a contig name is not text",
            path=path,
            offset=offset,
            field="name",
            expected="ASCII or UTF-8",
            got=_short(name),
        ) from error


def _short(text: bytes) -> str:
    return repr(text[:40])[1:] + ("..." if len(text) > 40 else "")


def _bad_fai(path: str, offset: int, field: str, expected: str, got: object) -> InvalidDataError:
    return InvalidDataError(
        "the .fai index does not fit its FASTA file",
        path=path,
        offset=offset,
        field=field,
        expected=expected,
        got=_short(got) if isinstance(got, bytes) else got,
        hint="It is stale, cut short or of another file: make it again (samtools faidx FILE) "
        "or remove it.",
    )
