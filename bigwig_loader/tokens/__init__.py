"""Genomic regions as tokens of a universe: for models that read regions as a language.

The public names are resolved when first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bigwig_loader.dataset.tokens.store import TokenStore
    from bigwig_loader.dataset.tokens.write import write_store
    from bigwig_loader.formats.gtok import read_gtok, write_gtok
    from bigwig_loader.formats.token_parquet import read_token_parquet, write_token_parquet
    from bigwig_loader.token_batch import PretokenizedBatch
    from bigwig_loader.token_loader import PretokenizedDataset, PretokenizedExamples
    from bigwig_loader.token_masking import mask_tokens, replace_tokens, skip_gram_pairs
    from bigwig_loader.tokens.outputs import Documents, TokenBatch
    from bigwig_loader.tokens.tokenizer import Tokenizer
    from bigwig_loader.tokens.universe import Universe

_HOME = {
    "Documents": "bigwig_loader.tokens.outputs",
    "PretokenizedBatch": "bigwig_loader.token_batch",
    "PretokenizedDataset": "bigwig_loader.token_loader",
    "PretokenizedExamples": "bigwig_loader.token_loader",
    "TokenBatch": "bigwig_loader.tokens.outputs",
    "TokenStore": "bigwig_loader.dataset.tokens.store",
    "Tokenizer": "bigwig_loader.tokens.tokenizer",
    "Universe": "bigwig_loader.tokens.universe",
    "mask_tokens": "bigwig_loader.token_masking",
    "read_gtok": "bigwig_loader.formats.gtok",
    "read_token_parquet": "bigwig_loader.formats.token_parquet",
    "replace_tokens": "bigwig_loader.token_masking",
    "skip_gram_pairs": "bigwig_loader.token_masking",
    "write_gtok": "bigwig_loader.formats.gtok",
    "write_store": "bigwig_loader.dataset.tokens.write",
    "write_token_parquet": "bigwig_loader.formats.token_parquet",
}

__all__ = [
    "Documents",
    "PretokenizedBatch",
    "PretokenizedDataset",
    "PretokenizedExamples",
    "TokenBatch",
    "TokenStore",
    "Tokenizer",
    "Universe",
    "mask_tokens",
    "read_gtok",
    "read_token_parquet",
    "replace_tokens",
    "skip_gram_pairs",
    "write_gtok",
    "write_store",
    "write_token_parquet",
]


def __getattr__(name: str) -> object:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
