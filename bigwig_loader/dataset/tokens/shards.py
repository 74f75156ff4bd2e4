"""The files of a store of tokens, and how they are written; FORMAT.md is the same in words."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bigwig_loader.tokens.outputs import Documents

FORMAT = "bigwig-loader tokens"
VERSION = 1
MANIFEST = "manifest.json"
DTYPES: dict[str, np.dtype[Any]] = {"uint16": np.dtype("<u2"), "uint32": np.dtype("<u4")}
OFFSET_BYTES = 8
DAMAGED = "The store is damaged; write it again."


@dataclass(frozen=True)
class ShardInfo:
    """What the manifest says of a shard.

    Parameters
    ----------
    file : str
        Name of the file of offsets and tokens.
    n_documents, n_tokens : int
    dtype : {"uint16", "uint32"}
    max_token : int
        -1 without tokens.
    sha256 : str
        Of the file.
    names_file : str or None
        JSON list of the names of the documents.
    """

    file: str
    n_documents: int
    n_tokens: int
    dtype: str
    max_token: int
    sha256: str
    names_file: str | None = None

    @property
    def n_bytes(self) -> int:
        """Size of the file."""
        return self.tokens_at + self.n_tokens * DTYPES[self.dtype].itemsize

    @property
    def tokens_at(self) -> int:
        """Offset of the first token in bytes."""
        return OFFSET_BYTES * (self.n_documents + 1)


def write_shard(folder: Path, name: str, documents: Documents, dtype: str) -> ShardInfo:
    """Write the file of a shard, and the names of its documents.

    Parameters
    ----------
    folder : Path
    name : str
        Of the files, without an ending.
    documents : Documents
    dtype : {"uint16", "uint32"}
        All tokens have to fit.
    """
    sha = hashlib.sha256()
    with (folder / f"{name}.tokens").open("wb") as file:
        for array in (
            documents.offsets.astype("<i8"),
            np.ascontiguousarray(documents.values, DTYPES[dtype]),
        ):
            sha.update(array.data)
            file.write(array.data)
    if documents.names is not None:
        text = json.dumps(list(documents.names), ensure_ascii=False)
        (folder / f"{name}.names.json").write_text(text, encoding="utf-8")
    return ShardInfo(
        f"{name}.tokens",
        len(documents),
        len(documents.values),
        dtype,
        int(documents.values.max(initial=-1)),
        sha.hexdigest(),
        None if documents.names is None else f"{name}.names.json",
    )


def write_manifest(
    folder: Path, shards: list[ShardInfo], universe: dict[str, Any], options: dict[str, Any]
) -> None:
    """Write the manifest; the last file of a store.

    Parameters
    ----------
    folder : Path
    shards : list of ShardInfo
    universe : dict
        ``hash``, ``vocab_size`` and ``special_ids``; None each where nothing is known.
    options : dict
        How regions became tokens, for people.
    """
    from bigwig_loader import __version__

    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "written_by": f"bigwig_loader {__version__}",
        "n_documents": sum(shard.n_documents for shard in shards),
        "n_tokens": sum(shard.n_tokens for shard in shards),
        "universe": universe,
        "options": options,
        "shards": [asdict(shard) for shard in shards],
    }
    text = json.dumps(manifest, indent=1)
    (folder / MANIFEST).write_text(text, encoding="utf-8")
