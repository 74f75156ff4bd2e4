"""Byte ranges of local and remote files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from bigwig_loader.errors import InvalidDataError, NotFoundError
from bigwig_loader.formats.source import UrlSource, is_url, local_identity, open_source

CONTENT = bytes(range(200))
REMOTE = "memory://source-test/file.bin"


@pytest.fixture(params=["local", "remote"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "local":
        (tmp_path / "file.bin").write_bytes(CONTENT)
        yield str(tmp_path / "file.bin")
        return
    with fsspec.open(REMOTE, "wb") as file:
        file.write(CONTENT)
    yield REMOTE
    fsspec.filesystem("memory").rm("/source-test", recursive=True)


def test_reads_exactly_what_is_asked_for(path: str) -> None:
    source = open_source(path)
    assert source.n_bytes == 200
    for offset, n_bytes in [(0, 0), (0, 1), (3, 150), (199, 1), (200, 0)]:
        assert bytes(source.read(offset, n_bytes)) == CONTENT[offset : offset + n_bytes]
    source.close()


@pytest.mark.parametrize(
    ("offset", "n_bytes"), [(0, 201), (200, 1), (1 << 63, 8), (-1, 4), (5, -1)]
)
def test_a_range_outside_the_file_is_an_error(path: str, offset: int, n_bytes: int) -> None:
    source = open_source(path)
    with pytest.raises(InvalidDataError, match="read past the end of the file") as caught:
        source.read(offset, n_bytes)
    assert caught.value.path == path
    assert caught.value.offset == offset
    assert "200 bytes" in str(caught.value)
    source.close()


def test_closing_twice_is_fine(path: str) -> None:
    source = open_source(path)
    source.close()
    source.close()


@pytest.mark.parametrize("path", ["nowhere/file.bw", "memory://nowhere/file.bw", "."])
def test_a_file_that_is_not_there(path: str) -> None:
    with pytest.raises(NotFoundError, match="cannot open"):
        open_source(path)


def test_an_empty_file_can_be_opened(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    source = open_source(tmp_path / "empty")
    assert (source.n_bytes, bytes(source.read(0, 0))) == (0, b"")


def test_identity_changes_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"abc")
    first = local_identity(str(path))
    assert local_identity(str(path)) == first
    os.utime(path, ns=(0, 12345))
    touched = local_identity(str(path))
    path.write_bytes(b"abcd")
    os.utime(path, ns=(0, 12345))
    assert len({first, touched, local_identity(str(path))}) == 3
    assert open_source(path).identity == local_identity(str(path))[1]


def test_what_is_a_url() -> None:
    assert is_url("https://example.org/a.bw")
    assert is_url("s3://bucket/a.bw")
    assert not is_url("/data/a.bw")
    assert not is_url(Path("a.bw"))


class _Server:
    """A file system that answers as it is told."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def cat_ranges(self, *_: Any, **__: Any) -> list[bytes]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return [self.answer]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (CONTENT, "another number of bytes"),  # a server that ignores byte ranges
        (b"ab", "another number of bytes"),
        (OSError("503 Service Unavailable"), "cannot read byte ranges: 503"),
    ],
)
def test_a_server_that_does_not_deliver_the_range(answer: Any, message: str) -> None:
    with fsspec.open(REMOTE, "wb") as file:
        file.write(CONTENT)
    source = UrlSource(REMOTE)
    source._fs = _Server(answer)
    with pytest.raises(InvalidDataError, match=message) as caught:
        source.read(10, 20)
    assert (caught.value.path, caught.value.offset) == (REMOTE, 10)


def test_a_server_that_does_not_tell_the_size(monkeypatch: pytest.MonkeyPatch) -> None:
    with fsspec.open(REMOTE, "wb") as file:
        file.write(CONTENT)
    filesystem = type(fsspec.filesystem("memory"))
    monkeypatch.setattr(filesystem, "info", lambda *_, **__: {"size": None})
    with pytest.raises(InvalidDataError, match="does not tell the size"):
        UrlSource(REMOTE)
