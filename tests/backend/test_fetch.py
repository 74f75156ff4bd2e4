"""Fetching ranges of remote files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest

from bigwig_loader.backend.fetch import fetch_ranges, open_sources
from bigwig_loader.errors import InvalidDataError
from bigwig_loader.formats.source import UrlSource


@pytest.fixture
def urls(tmp_path: Path) -> Iterator[list[str]]:
    """One file in fsspec's memory, one on disk."""
    memory = fsspec.filesystem("memory")
    memory.pipe("/fetched/a", bytes(range(200)))
    local = tmp_path / "b"
    local.write_bytes(bytes(range(100, 200)))
    yield ["memory://fetched/a", str(local)]
    memory.rm("/fetched", recursive=True)


def test_no_sources_for_local_files(tmp_path: Path) -> None:
    assert open_sources([str(tmp_path / "not even there")]) == []


def test_ranges_come_in_the_order_they_are_asked_for(urls: list[str]) -> None:
    sources = open_sources(urls)
    track = np.array([1, 0, 1, 0, 0])
    offset = np.array([50, 3, 0, 0, 199])
    n_bytes = np.array([2, 4, 1, 0, 1])
    want = [bytes([150, 151]), bytes([3, 4, 5, 6]), bytes([100]), b"", bytes([199])]
    assert fetch_ranges(sources, track, offset, n_bytes) == want


def test_one_file_is_asked_once(urls: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[tuple[int, int]]] = []
    real = UrlSource.read_ranges

    def noting(source: UrlSource, ranges: list[tuple[int, int]]) -> list[bytes]:
        asked.append(ranges)
        return real(source, ranges)

    monkeypatch.setattr(UrlSource, "read_ranges", noting)
    fetch_ranges(open_sources(urls), np.zeros(3, int), np.array([5, 1, 9]), np.array([1, 2, 3]))
    assert asked == [[(5, 1), (1, 2), (9, 3)]]


def test_past_the_end(urls: list[str]) -> None:
    with pytest.raises(InvalidDataError, match=r"memory://fetched/a.*198"):
        fetch_ranges(open_sources(urls), np.array([0]), np.array([198]), np.array([3]))
