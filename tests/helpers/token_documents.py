"""Documents of random tokens, and the same in every form that they can lie in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bigwig_loader.ragged import offsets_of
from bigwig_loader.tokens import Documents, write_gtok, write_store

VOCAB = 70_007
N_REGIONS = 70_000


def make_documents(n: int, longest: int, seed: int = 0, vocab: int = N_REGIONS) -> Documents:
    """Documents of 0 to `longest` tokens."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, longest + 1, n)
    values = rng.integers(0, vocab, int(lengths.sum())).astype(np.int32)
    return Documents(values, offsets_of(lengths))


def lay_out(kind: str, documents: Documents, folder: Path) -> Any:
    """The documents as `kind`: "memory", "gtok", "listed", "store" or "parquet"."""
    if kind == "memory":
        return documents
    if kind == "store":
        return write_store(folder / "store", documents, documents_per_shard=7).path
    if kind == "parquet":
        from bigwig_loader.tokens import write_token_parquet

        write_token_parquet(folder / "tokens.parquet", documents.to_ragged())
        return folder / "tokens.parquet"
    paths = [folder / "gtok" / f"{number:05d}.gtok" for number in range(len(documents))]
    for path, tokens in zip(paths, documents, strict=True):
        write_gtok(path, tokens)
    return paths if kind == "listed" else folder / "gtok"
