"""Text of regions to arrays: pieces of a file are parsed by the C library, on threads."""

from __future__ import annotations

import ctypes
import itertools
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.cpu.library import RegionText, library
from bigwig_loader.errors import InvalidDataError
from bigwig_loader.formats.text import read_pieces
from bigwig_loader.types import PathLike

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

PIECE_BYTES = 2 << 20
_BOM = b"\xef\xbb\xbf"
_MAY_COME, _HAS_BEEN = -1, -2  # the line that names the columns


class _Status(IntEnum):
    """LineStatus of cuda_kernels/host/region_text.cpp."""

    OK = 0
    FEW_COLUMNS = 1
    OTHER_COLUMNS = 2
    NO_CONTIG = 3
    BAD_START = 4
    BAD_END = 5
    NO_KEY = 6
    NO_MEMORY = 7


@dataclass(frozen=True)
class RegionLines:
    """The regions of a text file, in its order.

    Parameters
    ----------
    path : str
    contig_names : tuple of str
        In order of first appearance.
    contig_index : (n,) int32
    start, end : (n,) int64
        0-based; an end may lie before its start.
    key_names : tuple of str
        Texts of the key column, in order of first appearance.
    key_index : (n,) int32
        Empty without a key column.
    n_columns : int
        Of every region; 0 in a file without any.
    header : (int, str) or None
        Number of the line that names the columns, and its text.
    line : (n,) int64
        Number of each region's line, from 1; empty if it was not asked for.
    """

    path: str
    contig_names: tuple[str, ...]
    contig_index: I32
    start: I64
    end: I64
    key_names: tuple[str, ...]
    key_index: I32
    n_columns: int
    header: tuple[int, str] | None
    line: I64

    def __len__(self) -> int:
        return len(self.start)


def read_regions(
    path: PathLike, key_column: int = -1, n_threads: int = 1, with_lines: bool = False
) -> RegionLines:
    """Read a BED file, or one of fragments.

    Text may be plain, gzip or bgzip, with LF or CRLF line ends. Columns are separated by tabs, or
    by blanks in a line without a tab. Blank lines, comments (``#``) and ``track`` and
    ``browser`` lines are passed over; so is a first line that names the columns, which
    `RegionLines.header` tells. Every other line has to be a region, with as many columns as the
    first, of which only contig, start, end and the key are looked at. Memory is that of the
    result and a few MB.

    Parameters
    ----------
    path : path-like
    key_column : int
        Column, counted from 0, whose text is looked up too, e.g. 3 for the barcode of a fragment;
        -1 for none.
    n_threads : int
    with_lines : bool
        Tell the number of each region's line.

    Raises
    ------
    NotFoundError
        If there is no such file.
    InvalidDataError
        For the first line that is no region: path, line number, expected and got.
    """
    joined = _Joined(os.fspath(path))
    texts = _whole_lines(_pieces(path))
    # One by one until a region has told the number of columns.
    while not joined.n_columns and (text := next(texts, None)) is not None:
        joined.add(_parse(text, _Ask(0, key_column, joined.header is None, with_lines)))
    second = next(texts, None)
    if second is None:
        return joined.result()
    ask = _Ask(joined.n_columns, key_column, False, with_lines)
    with ThreadPoolExecutor(max(1, n_threads)) as pool:
        running: deque[Future[_Piece]] = deque()
        for text in itertools.chain([second], texts):
            running.append(pool.submit(_parse, text, ask))
            if len(running) > n_threads:
                joined.add(running.popleft().result())
        while running:
            joined.add(running.popleft().result())
    return joined.result()


def _pieces(path: PathLike) -> Iterator[bytes]:
    """Text of a file; a byte order mark is left out."""
    pieces = read_pieces(path, PIECE_BYTES)
    yield next(pieces, b"").removeprefix(_BOM)
    yield from pieces


def _whole_lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same text, cut at ends of lines."""
    held: list[bytes] = []
    for piece in pieces:
        end = piece.rfind(b"\n") + 1
        if end:
            yield b"".join([*held, memoryview(piece)[:end]])
            held = []
        held.append(piece[end:])
    if rest := b"".join(held):
        yield rest


@dataclass
class _Piece:
    """What some whole lines hold."""

    text: bytes
    contig_names: list[bytes]
    contig: I32
    start: I64
    end: I64
    key_names: list[bytes]
    key: I32
    line: I64
    n_columns: int
    n_lines: int
    header_line: int
    status: _Status


class _Ask(NamedTuple):
    """What is wanted of some text; with `n_columns` 0, the first region says how many it is."""

    n_columns: int = 0
    key_column: int = -1
    may_have_header: bool = False
    with_lines: bool = False


def _parse(text: bytes, ask: _Ask) -> _Piece:
    """Parse whole lines."""
    n = text.count(b"\n") + 1
    contig, start, end = np.empty(n, np.int32), np.empty(n, np.int64), np.empty(n, np.int64)
    places = np.empty((2, n), np.int64)
    n_keys = n if ask.key_column >= 0 else 0
    key, key_places = np.empty(n_keys, np.int32), np.empty((2, n_keys), np.int64)
    line = np.empty(n if ask.with_lines else 0, np.int64)
    request = RegionText(
        np.frombuffer(text, np.uint8).ctypes.data,
        len(text),
        ask.n_columns,
        ask.key_column,
        contig.ctypes.data,
        start.ctypes.data,
        end.ctypes.data,
        key.ctypes.data,
        line.ctypes.data if ask.with_lines else None,
        places[0].ctypes.data,
        places[1].ctypes.data,
        key_places[0].ctypes.data,
        key_places[1].ctypes.data,
    )
    request.header_line = _MAY_COME if ask.may_have_header else _HAS_BEEN
    library().bwl_parse_regions(ctypes.addressof(request))
    m = request.n_rows
    return _Piece(
        text,
        [text[i : i + k] for i, k in places[:, : request.n_contigs].T.tolist()],
        contig[:m],
        start[:m],
        end[:m],
        [text[i : i + k] for i, k in key_places[:, : request.n_keys].T.tolist()],
        key[:m],
        line[:m],
        request.n_columns,
        request.n_lines,
        request.header_line,
        _Status(request.status),
    )


@dataclass
class _Joined:
    """Pieces put together, in order."""

    path: str
    n_columns: int = 0
    first_line: int = 0
    header: tuple[int, str] | None = None
    _n_lines: int = 0
    _pieces: list[_Piece] = field(default_factory=list)
    _contigs: dict[bytes, int] = field(default_factory=dict)
    _keys: dict[bytes, int] = field(default_factory=dict)

    def add(self, piece: _Piece) -> None:
        """Take a piece; raises where one of its lines is no region."""
        if self.header is None and piece.header_line >= 0:
            self.header = (self._n_lines + piece.header_line + 1, _line(piece, piece.header_line))
        if piece.status is not _Status.OK:
            raise self._error(piece)
        piece.contig = _renumber(piece.contig, piece.contig_names, self._contigs)
        piece.key = _renumber(piece.key, piece.key_names, self._keys)
        piece.line += self._n_lines + 1
        self.n_columns = piece.n_columns
        self._n_lines += piece.n_lines
        piece.text = b""
        self._pieces.append(piece)

    def result(self) -> RegionLines:
        """All regions."""
        pieces = self._pieces or [_parse(b"", _Ask())]
        return RegionLines(
            self.path,
            self._names(self._contigs),
            np.concatenate([piece.contig for piece in pieces]),
            np.concatenate([piece.start for piece in pieces]),
            np.concatenate([piece.end for piece in pieces]),
            self._names(self._keys),
            np.concatenate([piece.key for piece in pieces]),
            self.n_columns,
            self.header,
            np.concatenate([piece.line for piece in pieces]),
        )

    def _names(self, names: dict[bytes, int]) -> tuple[str, ...]:
        try:
            return tuple(name.decode() for name in names)
        except UnicodeDecodeError as error:
            raise InvalidDataError(
                "not a text file",
                path=self.path,
                expected="ASCII or UTF-8",
                got=repr(error.object[:40])[1:],
            ) from error

    def _error(self, piece: _Piece) -> Exception:
        if piece.status is _Status.NO_MEMORY:
            return MemoryError(f"no memory to read the regions of {self.path}")
        number, line = self._n_lines + piece.n_lines + 1, _line(piece, piece.n_lines)
        fields = line.split("\t") if "\t" in line else line.split()
        column, expected, got = {
            _Status.FEW_COLUMNS: ("columns", "at least 3 columns", line),
            _Status.OTHER_COLUMNS: (
                "columns",
                f"{piece.n_columns} columns, as the first region has",
                f"{len(fields)}: {line}",
            ),
            _Status.NO_CONTIG: ("chrom", "a contig name", line),
            _Status.BAD_START: ("start", "a whole number >= 0", "".join(fields[1:2])),
            _Status.BAD_END: ("end", "a whole number >= 0", "".join(fields[2:3])),
            _Status.NO_KEY: ("barcode", "a barcode in column 4", line),
        }[piece.status]
        return InvalidDataError(
            f"line {number} is not a region",
            path=self.path,
            field=f"line {number}, {column}",
            expected=expected,
            got=repr(got[:100]),
            hint="Comments start with '#'.",
        )


def _line(piece: _Piece, number: int) -> str:
    """Text of a line of a piece, for a message."""
    line = piece.text.split(b"\n", number + 1)[number]
    return line[:400].decode("utf-8", "replace").rstrip("\r")


def _renumber(index: I32, names: list[bytes], known: dict[bytes, int]) -> I32:
    """Numbers of the names in `known`, which gets those that it lacks."""
    numbers = [known.setdefault(name, len(known)) for name in names]
    if numbers == list(range(len(names))):
        return index
    return np.array(numbers, np.int32)[index]
