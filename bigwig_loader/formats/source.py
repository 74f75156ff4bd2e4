"""Where bytes come from: a local file or a URL, read by byte range.

A source is only used to read headers and indices and, for URLs, data blocks. Data blocks of local
files are read by the backend itself.
"""

from __future__ import annotations

import mmap
import os
from typing import Any, Protocol

from bigwig_loader.errors import InvalidDataError, NotFoundError
from bigwig_loader.types import PathLike


class Source(Protocol):
    """Random access to the bytes of one file."""

    path: str
    n_bytes: int
    identity: str

    def read(self, offset: int, n_bytes: int) -> bytes | memoryview:
        """Exactly `n_bytes` bytes from `offset`; raises `InvalidDataError` past the end."""

    def close(self) -> None:
        """Give the file back."""


def is_url(path: PathLike) -> bool:
    """Whether `path` names a remote file (``http://``, ``s3://``, ...)."""
    return "://" in os.fspath(path)


def open_source(path: PathLike) -> Source:
    """Open a local path or an fsspec URL.

    Raises
    ------
    NotFoundError
        If there is no such file.
    """
    if is_url(path):
        return UrlSource(os.fspath(path))
    return LocalSource(os.fspath(path))


def local_identity(path: str) -> tuple[int, str]:
    """Size in bytes of a local file, and a string that changes when the file does."""
    try:
        status = os.stat(path)
    except OSError as error:
        raise NotFoundError(f"cannot open {path}: {error.strerror or error}") from error
    return status.st_size, f"{status.st_size}-{status.st_mtime_ns}"


def _check_range(path: str, offset: int, n_bytes: int, available: int) -> None:
    if offset < 0 or n_bytes < 0 or offset + n_bytes > available:
        raise InvalidDataError(
            "read past the end of the file",
            path=path,
            offset=offset,
            expected=f"{n_bytes} bytes",
            got=f"a file of {available} bytes",
            hint="The file is truncated or damaged; fetch it again.",
        )


class LocalSource:
    """A memory-mapped local file; meant to be closed soon after the index is read."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.n_bytes, self.identity = local_identity(path)
        self._map: mmap.mmap | None = None
        if self.n_bytes:
            try:
                with open(path, "rb") as file:
                    self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except OSError as error:
                raise NotFoundError(f"cannot open {path}: {error.strerror or error}") from error

    def read(self, offset: int, n_bytes: int) -> bytes:
        """Exactly `n_bytes` bytes from `offset`."""
        _check_range(self.path, offset, n_bytes, self.n_bytes)
        return b"" if self._map is None else self._map[offset : offset + n_bytes]

    def close(self) -> None:
        """Unmap the file."""
        if self._map is not None:
            self._map.close()
            self._map = None


class UrlSource:
    """A remote file, read by ranges through fsspec."""

    def __init__(self, path: str) -> None:
        import fsspec

        self.path = path
        self._fs: Any
        self._fs, self._name = fsspec.core.url_to_fs(path)
        try:
            info = self._fs.info(self._name)
        except (OSError, ValueError) as error:
            raise NotFoundError(f"cannot open {path}: {error}") from error
        if info.get("size") is None:
            raise InvalidDataError(
                "the server does not tell the size of the file",
                path=path,
                expected="a server that answers byte-range requests",
                hint="Download the file and open the local copy.",
            )
        self.n_bytes = int(info["size"])
        tag = info.get("ETag") or info.get("mtime") or info.get("LastModified") or ""
        self.identity = f"{self.n_bytes}-{tag}"

    def read(self, offset: int, n_bytes: int) -> bytes:
        """Exactly `n_bytes` bytes from `offset`."""
        return self.read_ranges([(offset, n_bytes)])[0]

    def read_ranges(self, ranges: list[tuple[int, int]]) -> list[bytes]:
        """The bytes of many (offset, n_bytes) ranges, fetched concurrently where possible."""
        for offset, n_bytes in ranges:
            _check_range(self.path, offset, n_bytes, self.n_bytes)
        starts = [offset for offset, _ in ranges]
        ends = [offset + n_bytes for offset, n_bytes in ranges]
        try:
            parts = self._fs.cat_ranges([self._name] * len(ranges), starts, ends, on_error="raise")
        except (OSError, ValueError) as error:
            raise InvalidDataError(
                f"cannot read byte ranges: {error}",
                path=self.path,
                offset=starts[0],
                hint="Is the server reachable, and does it support byte ranges?",
            ) from error
        for (offset, n_bytes), part in zip(ranges, parts, strict=True):
            if len(part) != n_bytes:
                raise InvalidDataError(
                    "the server answered a byte-range request with another number of bytes",
                    path=self.path,
                    offset=offset,
                    expected=f"{n_bytes} bytes",
                    got=f"{len(part)} bytes",
                    hint="The server may not support byte ranges; download the file instead.",
                )
        return [bytes(part) for part in parts]

    def close(self) -> None:
        """Nothing to give back."""
