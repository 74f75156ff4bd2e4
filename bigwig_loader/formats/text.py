"""A text file (FASTA, BED) as one stretch of bytes, whatever it is stored in.

Offsets count bytes of the uncompressed text, as they do in a ``.fai`` index. Three kinds: plain
text, bgzip (blocks of at most 64 KiB, read at random), and plain gzip (no random access, so the
text is kept in memory). All of them can be read by several threads at once and after a fork.
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidDataError, NotFoundError
from bigwig_loader.formats.source import Source, is_url, open_source
from bigwig_loader.types import PathLike

_GZIP_MAGIC = b"\x1f\x8b"
_HEADER_BYTES = 18  # gzip header with the one extra field that makes a gzip member a bgzip block
_TRAILER_BYTES = 8  # CRC-32 and uncompressed size
# The empty block that ends a bgzip file (SAM specification, section 4.1.2).
_EOF_BLOCK = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


class Text(Protocol):
    """Random access to uncompressed text."""

    path: str
    n_bytes: int
    in_memory: bool

    def read(self, offset: int, n_bytes: int) -> bytes:
        """`n_bytes` bytes from `offset`, fewer only at the end of the text."""

    def close(self) -> None:
        """Give the file and the memory back."""


def open_text(path: PathLike) -> Text:
    """Open plain, bgzip or gzip text, told apart by its first bytes.

    Raises
    ------
    NotFoundError
        If there is no such file.
    InvalidDataError
        If the compressed file is damaged.
    """
    source: Source = open_source(path) if is_url(path) else PreadSource(os.fspath(path))
    head = bytes(source.read(0, min(_HEADER_BYTES, source.n_bytes)))
    if not head.startswith(_GZIP_MAGIC):
        return PlainText(source)
    return BgzipText(source) if _is_block_header(head) else GzipText(source)


def read_pieces(path: PathLike, piece_bytes: int = 1 << 20) -> Iterator[bytes]:
    """All text of a file from its beginning, in pieces.

    Unlike `open_text`, does not keep the text of a local plain gzip file in memory.

    Parameters
    ----------
    path : path-like
    piece_bytes : int
        Uncompressed bytes of a piece; the last may be shorter.

    Raises
    ------
    NotFoundError
        If there is no such file.
    InvalidDataError
        If the compressed file is damaged; text before the damage may have been yielded.
    """
    if not is_url(path) and _is_plain_gzip(os.fspath(path)):
        with gzip.GzipFile(path, "rb") as file:
            while piece := _inflate_piece(file, piece_bytes, os.fspath(path)):
                yield piece
        return
    text = open_text(path)
    try:
        for at in range(0, text.n_bytes, piece_bytes):
            yield text.read(at, piece_bytes)
    finally:
        text.close()


def _is_plain_gzip(path: str) -> bool:
    source = PreadSource(path)
    head = source.read(0, min(_HEADER_BYTES, source.n_bytes))
    source.close()
    return head.startswith(_GZIP_MAGIC) and not _is_block_header(head)


def _inflate_piece(file: gzip.GzipFile, n_bytes: int, path: str) -> bytes:
    try:
        return file.read(n_bytes)
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged_gzip(path, error) from error


class PreadSource:
    """A local file read by position: no shared file offset, no mapping that truncation breaks."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = -1
        try:
            self._fd = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
            status = os.fstat(self._fd)
        except OSError as error:
            raise NotFoundError(f"cannot open {path}: {error.strerror or error}") from error
        self.n_bytes = status.st_size
        self.identity = f"{status.st_size}-{status.st_mtime_ns}"

    def read(self, offset: int, n_bytes: int) -> bytes:
        """Exactly `n_bytes` bytes from `offset`."""
        parts: list[bytes] = []
        missing = n_bytes
        while missing > 0:
            try:
                part = os.pread(self._fd, missing, offset + n_bytes - missing)
            except OSError as error:
                raise InvalidDataError(
                    f"cannot read: {error.strerror or error}", path=self.path, offset=offset
                ) from error
            if not part:
                raise InvalidDataError(
                    "the file ends too early",
                    path=self.path,
                    offset=offset,
                    expected=f"{n_bytes} bytes",
                    got=f"{n_bytes - missing} bytes",
                    hint="The file is truncated, or changed while it was open; open it again.",
                )
            parts.append(part)
            missing -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        """Close the file."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        self.close()


class PlainText:
    """Text that is stored as it is."""

    in_memory = False

    def __init__(self, source: Source) -> None:
        self.path = source.path
        self.n_bytes = source.n_bytes
        self._source = source

    def read(self, offset: int, n_bytes: int) -> bytes:
        """`n_bytes` bytes from `offset`, fewer only at the end of the text."""
        n_bytes = max(0, min(n_bytes, self.n_bytes - offset))
        return bytes(self._source.read(offset, n_bytes))

    def close(self) -> None:
        """Close the file."""
        self._source.close()


class GzipText:
    """Text of a plain gzip file. It has no random access, so all of it is inflated and kept."""

    in_memory = True

    def __init__(self, source: Source) -> None:
        self.path = source.path
        try:
            self._text = gzip.decompress(source.read(0, source.n_bytes))
        except (OSError, EOFError, zlib.error) as error:
            raise _damaged_gzip(self.path, error) from error
        finally:
            source.close()
        self.n_bytes = len(self._text)

    def read(self, offset: int, n_bytes: int) -> bytes:
        """`n_bytes` bytes from `offset`, fewer only at the end of the text."""
        return self._text[offset : offset + n_bytes]

    def close(self) -> None:
        """Drop the text."""
        self._text = b""
        self.n_bytes = 0


class BgzipText:
    """Text of a bgzip file, inflated block by block.

    The block table comes from ``<path>.gzi`` where that exists and is otherwise made by walking
    the block headers, which inflates nothing. Every block's size and CRC-32 are checked.
    """

    in_memory = False

    def __init__(self, source: Source) -> None:
        self.path = source.path
        self._source = source
        self._last: tuple[int, bytes] = (-1, b"")  # replaced as a whole: safe without a lock
        end = bytes(source.read(max(0, source.n_bytes - len(_EOF_BLOCK)), len(_EOF_BLOCK)))
        if end != _EOF_BLOCK:
            raise InvalidDataError(
                "bgzip file without the block that ends it",
                path=self.path,
                offset=max(0, source.n_bytes - len(_EOF_BLOCK)),
                field="EOF block",
                expected=_EOF_BLOCK[:4].hex() + "...",
                got=end[:4].hex() + "...",
                hint="The file is truncated; fetch or compress it again.",
            )
        known = read_gzi(self.path + ".gzi", source.n_bytes)
        table = self._walk(known)
        self._compressed, self._uncompressed = table  # starts of blocks, and the two ends
        self.n_bytes = int(self._uncompressed[-1])

    def _walk(
        self, known: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Complete the block table from the last known block to the end of the file."""
        compressed = [int(c) for c in known[:, 0]]
        uncompressed = [int(u) for u in known[:, 1]]
        while compressed[-1] < self._source.n_bytes:
            block_bytes, text_bytes = self._block_sizes(compressed[-1])
            compressed.append(compressed[-1] + block_bytes)
            uncompressed.append(uncompressed[-1] + text_bytes)
        return np.array(compressed, dtype=np.int64), np.array(uncompressed, dtype=np.int64)

    def _block_sizes(self, offset: int) -> tuple[int, int]:
        """Compressed and uncompressed size of the block at `offset`."""
        available = self._source.n_bytes - offset
        head = bytes(self._source.read(offset, min(_HEADER_BYTES, available)))
        size = int.from_bytes(head[16:18], "little") + 1
        shortest = _HEADER_BYTES + _TRAILER_BYTES
        if not _is_block_header(head) or not shortest <= size <= available:
            raise InvalidDataError(
                "not a bgzip block",
                path=self.path,
                offset=offset,
                field="block header",
                expected=f"a gzip header with a BC field and a size of at most {available} bytes",
                got=head.hex(" "),
                hint="The file is damaged, or its .gzi index belongs to another file.",
            )
        return size, int.from_bytes(self._source.read(offset + size - 4, 4), "little")

    def read(self, offset: int, n_bytes: int) -> bytes:
        """`n_bytes` bytes from `offset`, fewer only at the end of the text."""
        end = min(offset + n_bytes, self.n_bytes)
        if offset >= end:
            return b""
        first = int(np.searchsorted(self._uncompressed, offset, side="right")) - 1
        last = int(np.searchsorted(self._uncompressed, end, side="left"))
        text = b"".join(self._block(k) for k in range(first, last))
        skip = offset - int(self._uncompressed[first])
        return text[skip : skip + end - offset]

    def _block(self, k: int) -> bytes:
        """Text of block k."""
        number, text = self._last
        if number == k:
            return text
        import deflate

        offset = int(self._compressed[k])
        n_compressed = int(self._compressed[k + 1]) - offset
        n_text = int(self._uncompressed[k + 1] - self._uncompressed[k])
        block = bytes(self._source.read(offset, n_compressed))
        crc, stored = (int.from_bytes(block[i:][:4], "little") for i in (-8, -4))
        problem = None
        if not _is_block_header(block) or stored != n_text:
            problem = f"a block of {stored} bytes"
        else:
            try:
                text = bytes(deflate.deflate_decompress(block[18:-8], n_text)) if n_text else b""
            except deflate.DeflateError as error:
                problem = str(error)
            else:
                if len(text) != n_text or zlib.crc32(text) != crc:
                    problem = "another checksum"
        if problem is not None:
            raise InvalidDataError(
                "damaged bgzip block",
                path=self.path,
                offset=offset,
                field="block",
                expected=f"{n_text} bytes of text with CRC-32 {crc:#010x}",
                got=problem,
                hint="Fetch the file again, or make its .gzi index again (bgzip -r).",
            )
        self._last = (k, text)
        return text

    def close(self) -> None:
        """Close the file."""
        self._last = (-1, b"")
        self._source.close()


def read_gzi(path: str, n_bytes: int) -> npt.NDArray[np.int64]:
    """Block starts (K, 2) (compressed, uncompressed) of a ``.gzi``; the first block alone if none.

    A ``.gzi`` is a little-endian uint64 count and that many pairs of uint64; the first block, at
    (0, 0), is left out. `n_bytes` is the size of the bgzip file.
    """
    first = np.zeros((1, 2), dtype=np.int64)
    if is_url(path) or not os.path.exists(path):
        return first
    with open(path, "rb") as file:
        raw = file.read()
    count = int.from_bytes(raw[:8], "little")
    if len(raw) < 8 or len(raw) - 8 != 16 * count:
        raise InvalidDataError(
            "damaged .gzi index",
            path=path,
            offset=0,
            field="number of entries",
            expected=f"{max(0, len(raw) - 8) // 16} in a file of {len(raw)} bytes",
            got=count,
            hint="Make it again: bgzip -r FILE.",
        )
    pairs = np.frombuffer(raw, dtype="<u8", offset=8).reshape(-1, 2)
    starts = np.concatenate([first.astype(np.uint64), pairs])
    # Strictly ascending in the file, ascending in the text: an empty block has no text.
    bad = (starts[1:, 0] <= starts[:-1, 0]) | (starts[1:, 1] < starts[:-1, 1])
    bad |= starts[1:, 0] >= n_bytes
    bad |= starts[1:, 1] - starts[:-1, 1] > (starts[1:, 0] - starts[:-1, 0]) * 1032
    if bad.any():
        k = int(np.flatnonzero(bad)[0])
        raise InvalidDataError(
            "the .gzi index does not fit its file",
            path=path,
            offset=8 + 16 * k,
            field=f"entry {k}",
            expected=f"ascending offsets below {n_bytes}",
            got=tuple(int(x) for x in pairs[k]),
            hint="Make it again: bgzip -r FILE.",
        )
    return starts.astype(np.int64)


def _damaged_gzip(path: str, error: Exception) -> InvalidDataError:
    return InvalidDataError(
        f"damaged gzip file: {error}",
        path=path,
        hint="Fetch or compress the file again (bgzip is faster to open).",
    )


def _is_block_header(head: bytes) -> bool:
    """Whether these are the first bytes of a bgzip block: deflate, one extra field named BC."""
    start, extra = head[:4], head[10:16]
    return len(head) >= _HEADER_BYTES and (start, extra) == (b"\x1f\x8b\x08\x04", b"\x06\0BC\2\0")
