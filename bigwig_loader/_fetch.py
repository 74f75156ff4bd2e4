"""One file by HTTP: resumed where it was cut off, checked, and only then given its name."""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bigwig_loader.errors import InvalidDataError, LoaderError

_PIECE_BYTES = 1 << 20
_TIMEOUT_S = 60.0

OnBytes = Callable[[int, int | None], None]
"""Called with the bytes there are and the bytes there will be, as soon as that is known."""


@dataclass(frozen=True)
class RemoteFile:
    """A file to fetch, and what is known of it.

    Parameters
    ----------
    url : str
    md5 : str or None
        Its checksum; None where none is published, so that only the length can be checked.
    n_bytes : int or None
        Its length; None where the server's word is taken.
    """

    url: str
    md5: str | None = None
    n_bytes: int | None = None


def fetch(remote: RemoteFile, target: Path, on_bytes: OnBytes | None = None) -> Path:
    """Fetch a file, unless it is there.

    What arrives is written to ``<target>.part``, so that an interrupted call goes on where it
    stopped; the file gets its own name when length and checksum are right.

    Raises
    ------
    LoaderError
        If the server cannot be reached or refuses; the message says what helps.
    InvalidDataError
        If what arrived is not the file that was expected. It is removed.
    """
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    try:
        total = _receive(remote.url, part, on_bytes or (lambda _there, _total: None))
    except (OSError, http.client.HTTPException) as error:  # URLError and timeouts are OSErrors
        host = urlsplit(remote.url).hostname
        raise LoaderError(
            f"cannot fetch {remote.url}: {error}. It needs HTTPS access to {host}; behind a proxy, "
            "set the environment variable https_proxy. Call again to go on where it stopped. "
            "Without a network, bigwig_loader.download_example_data.make_example_data(path) makes "
            "a small data set."
        ) from error
    _verify(remote, part, total)
    part.replace(target)
    return target


def _receive(url: str, part: Path, on_bytes: OnBytes) -> int | None:
    """Append to `part` what it lacks; the length of the whole, where the server tells it."""
    there = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url)
    if there:
        request.add_header("Range", f"bytes={there}-")
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == 416 and there:  # nothing lies behind what is there: it was all of it
            return None
        raise
    with response:
        if response.status != 206:
            there = 0  # the server sends all of it, whatever was asked for
        length = response.headers.get("Content-Length")
        total = None if length is None else there + int(length)
        on_bytes(there, total)
        with part.open("ab" if there else "wb") as out:
            while piece := response.read(_PIECE_BYTES):
                out.write(piece)
                there += len(piece)
                on_bytes(there, total)
    return total


def _verify(remote: RemoteFile, part: Path, total: int | None) -> None:
    got_bytes = part.stat().st_size
    expected_bytes = remote.n_bytes if remote.n_bytes is not None else total
    if expected_bytes is not None and got_bytes < expected_bytes:
        # Cut off without an error; what is there is kept, to go on from.
        raise LoaderError(
            f"{remote.url} ended early: expected {expected_bytes} bytes, got {got_bytes}. "
            "Call again to go on where it stopped."
        )
    got_md5 = _md5(part) if remote.md5 is not None else None
    if got_bytes == (expected_bytes or got_bytes) and got_md5 == remote.md5:
        return
    part.unlink()
    raise InvalidDataError(
        "what was fetched is not the file that was expected; it was removed",
        path=remote.url,
        expected=f"{expected_bytes} bytes, md5 {remote.md5}",
        got=f"{got_bytes} bytes, md5 {got_md5}",
        hint="Try again; if it stays so, the file was replaced by its publisher.",
    )


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
