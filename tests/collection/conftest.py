"""Four small made tracks, shared by these tests. Not to be written to."""

from __future__ import annotations

from pathlib import Path

import pytest

from bigwig_loader._bigwig_writer import WriterOptions, intervals_of, write_bigwig
from bigwig_loader.collection import BigWigCollection
from tests.helpers.tracks import CONTIGS, signal_of


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four tracks: two extensions, a sub-folder, ids that differ, one without chr2."""
    folder = tmp_path_factory.mktemp("tracks")
    (folder / "sub").mkdir()
    for track, name in enumerate(["one.bw", "two.bigWig", "three.BIGWIG", "sub/four.Bw"]):
        contigs = {c: n for c, n in CONTIGS.items() if (track, c) != (2, "chr2")}
        ids = {c: (i + track) % len(contigs) for i, c in enumerate(contigs)}
        data = {c: intervals_of(signal_of(track, c)) for c in contigs}
        options = WriterOptions(items_per_block=30, chrom_ids=ids, rtree_block_size=4)
        write_bigwig(folder / name, contigs, data, options)
    (folder / "notes.txt").write_text("not a BigWig file")
    return folder


@pytest.fixture
def collection(folder: Path) -> BigWigCollection:
    return BigWigCollection(folder)
