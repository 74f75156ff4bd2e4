"""Remote files equal local ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pandas as pd
import pytest

from bigwig_loader.collection import BigWigCollection
from bigwig_loader.errors import (
    InvalidDataError,
)
from bigwig_loader.formats.bigwig import read_bigwig_index
from tests.helpers.tracks import ORDER, WINDOWS, batch, expected


class TestRemote:
    @pytest.fixture
    def urls(self, folder: Path) -> Any:
        names = ["one.bw", "sub/four.Bw", "three.BIGWIG", "two.bigWig"]
        for name in names:
            with fsspec.open(f"memory://collection/{name}", "wb") as file:
                file.write((folder / name).read_bytes())
        yield [f"memory://collection/{name}" for name in names]
        fsspec.filesystem("memory").rm("/collection", recursive=True)

    def test_equals_local(self, urls: list[str]) -> None:
        collection = BigWigCollection(urls)
        assert collection.track_names == ORDER
        for _ in range(2):
            np.testing.assert_array_equal(batch(collection), expected(WINDOWS))
        np.testing.assert_array_equal(
            batch(collection, [("chr1", 5_000, 5_400)]), np.zeros((1, 400, 4))
        )

    def test_remote_and_local_together(self, urls: list[str], folder: Path) -> None:
        mixed = [folder / "one.bw", urls[1], folder / "three.BIGWIG", urls[3]]
        np.testing.assert_array_equal(batch(BigWigCollection(mixed)), expected(WINDOWS))

    def test_intervals(self, urls: list[str], collection: BigWigCollection) -> None:
        pd.testing.assert_frame_equal(BigWigCollection(urls).intervals(), collection.intervals())

    def test_damage_far_away_is_found(self, urls: list[str], folder: Path) -> None:
        content = bytearray((folder / "one.bw").read_bytes())
        first = int(read_bigwig_index(folder / "one.bw").blocks.offset[0])
        content[first + 20 : first + 30] = bytes(10)
        with fsspec.open(urls[0], "wb") as file:
            file.write(bytes(content))
        with pytest.raises(InvalidDataError):
            batch(BigWigCollection(urls))
