"""The index of a collection, read from its files once and kept on disk.

Reading the R-trees of a thousand genome-wide files takes seconds to minutes; mapping the joined
table takes milliseconds. A cache file belongs to one list of paths and is valid as long as every
file has the size and modification time it had. Layout: magic, length and digest of a JSON text, the
text (identities, contigs, and name, dtype, shape and offset of every array), then the arrays.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from bigwig_loader.config import config
from bigwig_loader.formats.aliases import respell
from bigwig_loader.formats.bigwig import BigWigIndex, read_bigwig_index
from bigwig_loader.formats.source import is_url, local_identity, open_source
from bigwig_loader.plan.track_index import TrackIndex, build_track_index
from bigwig_loader.plan.windows import ContigTable

MAGIC = b"BWLIDX02"
ALIGNMENT = 64
_DIGEST_BYTES = 16
# Smaller indices are read faster than a cache is worth.
MIN_CACHED_BLOCKS = 20_000
_READERS = 8
_NOT_ARRAYS = ("paths", "contigs")


def load_track_index(paths: list[str], contig_names: tuple[str, ...] = ()) -> TrackIndex:
    """The joined index of the files, from the cache where it is valid.

    Parameters
    ----------
    paths : list of str
    contig_names : tuple of str
        Spellings to give the files' contigs (`formats.aliases.respell`).
    """
    cached = _cache_path(paths, contig_names)
    if cached is not None:
        index = _read_cache(cached, paths)
        if index is not None:
            return index
    files = read_indices(paths)
    if contig_names:
        files = [
            replace(file, contig_names=respell(file.contig_names, contig_names, file.path))
            for file in files
        ]
    index = build_track_index(files)
    if cached is not None and index.n_blocks >= MIN_CACHED_BLOCKS:
        _write_cache(cached, index, [file.identity for file in files])
    return index


def read_indices(paths: list[str]) -> list[BigWigIndex]:
    """The indices of many files, read in parallel, in the order given."""
    if len(paths) == 1:
        return [read_bigwig_index(paths[0])]
    with ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(read_bigwig_index, paths))


def _cache_path(paths: list[str], contig_names: tuple[str, ...]) -> Path | None:
    folder = config.cache_dir
    if folder is None:
        return None
    absolute = [path if is_url(path) else os.path.abspath(path) for path in paths]
    text = "\0".join((*absolute, "", *contig_names))
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
    return Path(folder) / "index" / f"{digest[:32]}.idx"


def _identity(path: str) -> str:
    if not is_url(path):
        return local_identity(path)[1]
    source = open_source(path)
    try:
        return source.identity
    finally:
        source.close()


def _read_cache(cached: Path, paths: list[str]) -> TrackIndex | None:
    """The index, mapped; None if there is none, or it is foreign, damaged or out of date."""
    try:
        with cached.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                return None
            n_bytes = int.from_bytes(file.read(8), "little")
            digest = file.read(_DIGEST_BYTES)
            if n_bytes > cached.stat().st_size:
                return None
            text = file.read(n_bytes)
        if _digest(text) != digest:
            return None
        meta = json.loads(text)
        if any(is_url(path) for path in paths):
            with ThreadPoolExecutor(_READERS) as pool:
                identities = list(pool.map(_identity, paths))
        else:
            identities = [_identity(path) for path in paths]
        if meta["identities"] != identities:
            return None
        mapped = np.memmap(cached, np.uint8, "r")
        arrays: dict[str, Any] = {}
        for name, (dtype, shape, offset) in meta["arrays"].items():
            n = int(np.prod(shape)) * np.dtype(dtype).itemsize
            if offset + n > len(mapped):
                return None
            arrays[name] = mapped[offset : offset + n].view(dtype).reshape(shape)
        lengths = np.array(meta["contig_lengths"], np.int64)
        contigs = ContigTable(tuple(meta["contig_names"]), lengths, meta["where"])
        return TrackIndex(tuple(paths), contigs, **arrays)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()[:_DIGEST_BYTES]


def _write_cache(cached: Path, index: TrackIndex, identities: list[str]) -> None:
    """Write the cache beside its final name and rename it; a full or read-only disk is no error."""
    arrays = {
        field.name: np.ascontiguousarray(getattr(index, field.name))
        for field in fields(TrackIndex)
        if field.name not in _NOT_ARRAYS
    }
    meta: dict[str, Any] = {
        "identities": identities,
        "contig_names": index.contigs.names,
        "contig_lengths": index.contigs.lengths.tolist(),
        "where": index.contigs.where,
        "arrays": {name: [a.dtype.str, a.shape, 1 << 62] for name, a in arrays.items()},
    }
    # The offsets depend on the length of the text; text with the largest offsets is the longest.
    at = _aligned(len(MAGIC) + 8 + _DIGEST_BYTES + len(json.dumps(meta)))
    for name, array in arrays.items():
        meta["arrays"][name][2] = at
        at = _aligned(at + array.nbytes)
    text = json.dumps(meta).encode()
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=cached.parent, suffix=".part", delete=False) as file:
            try:
                file.write(MAGIC + len(text).to_bytes(8, "little") + _digest(text) + text)
                for name, array in arrays.items():
                    file.seek(meta["arrays"][name][2])
                    array.tofile(file)
                file.flush()
                os.fsync(file.fileno())  # or a power cut could leave the name without the data
                os.replace(file.name, cached)
            except BaseException:
                os.unlink(file.name)
                raise
    except OSError:
        return  # the cache is only a saving of time


def _aligned(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT
