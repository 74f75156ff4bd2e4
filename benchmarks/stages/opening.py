"""Opening files, with and without the index cache. The pages of the files are in memory."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.made import DataSet
from benchmarks.record import median, timed
from bigwig_loader import BigWig
from bigwig_loader.collection import BigWigCollection

_VARIABLE = "BIGWIG_LOADER_CACHE_DIR"


@contextmanager
def cache_folder(folder: str) -> Iterator[None]:
    """Keep indices in another folder meanwhile; an empty name keeps none."""
    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = folder
    try:
        yield
    finally:
        if before is None:
            del os.environ[_VARIABLE]
        else:
            os.environ[_VARIABLE] = before


def opening(data: DataSet, n_files: int = 1_000, repeats: int = 5) -> list[dict[str, Any]]:
    """Seconds until the first value of one file, and of `n_files`, is there."""
    return [_one(data, repeats), _many(data, n_files, repeats)]


def _one(data: DataSet, repeats: int) -> dict[str, Any]:
    path, chrom = data.paths[0], next(iter(data.contigs))

    def ours() -> None:
        with BigWig(path) as bigwig:
            bigwig.values(chrom, 0, 1)

    openers: dict[str, Callable[[], object]] = {"ours": ours, **_peer_openers(path, chrom)}
    with cache_folder(""):
        seconds = {
            name: [timed(opener).wall_s for _ in range(repeats + 1)][1:]
            for name, opener in openers.items()
        }
    return {
        "kind": "opening",
        "data": data.name,
        "files": 1,
        "seconds": {name: median(s) for name, s in seconds.items()},
    }


def _peer_openers(path: str, chrom: str) -> dict[str, Callable[[], object]]:
    openers: dict[str, Callable[[], object]] = {}
    try:
        import pyBigWig

        openers["pyBigWig"] = lambda: pyBigWig.open(path).values(chrom, 0, 1)
    except ImportError:
        pass
    try:
        import pybigtools

        openers["pybigtools"] = lambda: pybigtools.open(path).values(chrom, 0, 1, fillna=0.0)
    except ImportError:
        pass
    try:
        import figwig

        openers["figwig"] = lambda: figwig.BigWigReader(path).read(chrom, [0], 1, n_jobs=1)
    except ImportError:
        pass
    return openers


def _many(data: DataSet, n_files: int, repeats: int) -> dict[str, Any]:
    paths, chrom = data.tracks(n_files), next(iter(data.contigs))

    def opened() -> None:
        with BigWigCollection(paths) as collection:
            blocks.append(collection._index.n_blocks)

    def first_value() -> None:
        with BigWigCollection(paths) as collection:
            collection.get_batch([chrom], [0], [1])

    blocks: list[int] = []
    with tempfile.TemporaryDirectory() as folder:
        with cache_folder(""):
            without = timed(opened).wall_s
        with cache_folder(folder):
            cold = timed(opened).wall_s
            warm = [timed(opened).wall_s for _ in range(repeats)]
            value = [timed(first_value).wall_s for _ in range(repeats)]
        cached = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    return {
        "kind": "opening",
        "data": data.name,
        "files": n_files,
        "different_files": len(data.paths),
        "blocks": blocks[0],
        "cache_bytes": cached,
        "seconds": {
            "without_cache": without,
            "cold_cache": cold,
            "warm_cache": median(warm),
            "warm_cache_and_first_value": median(value),
        },
    }
