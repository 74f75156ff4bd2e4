"""What `bigwig-loader tokens info` tells."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bigwig_loader.dataset.tokens.sources import GtokFiles, ParquetTokens, TokenSource, open_tokens
from bigwig_loader.dataset.tokens.store import TokenStore
from bigwig_loader.errors import InvalidDataError
from bigwig_loader.formats.gtok import read_gtok_header

if TYPE_CHECKING:
    from bigwig_loader.tokens.tokenizer import Tokenizer

# Documents, and tokens, that are looked at together.
_DOCUMENTS, _TOKENS = 4096, 8 << 20


@dataclass
class Counts:
    """What documents have.

    Parameters
    ----------
    n_documents, n_tokens : int
    n_empty : int
        Documents without any token.
    shortest, longest : int
        Tokens of a document.
    lowest, highest : int
        Ids; -1 and -1 without tokens.
    n_unknown, n_without : int
        Tokens that are unk, and documents that have no other; 0 if its id is not known.
    """

    n_documents: int = 0
    n_tokens: int = 0
    n_empty: int = 0
    shortest: int = 0
    longest: int = 0
    lowest: int = -1
    highest: int = -1
    n_unknown: int = 0
    n_without: int = 0

    def __iadd__(self, other: Counts) -> Counts:
        if not self.n_documents:
            self.__dict__.update(vars(other))
            return self
        if not other.n_documents:
            return self
        for name in ("n_documents", "n_empty", "n_unknown", "n_without"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.shortest = min(self.shortest, other.shortest)
        self.longest = max(self.longest, other.longest)
        if other.n_tokens:
            both = self.n_tokens > 0
            self.lowest = min(self.lowest, other.lowest) if both else other.lowest
            self.highest = max(self.highest, other.highest)
        self.n_tokens += other.n_tokens
        return self


def count_tokens(source: TokenSource, unknown_id: int | None) -> Counts:
    """Look at all tokens, some documents at a time."""
    total = Counts()
    first = 0
    while first < len(source):
        which = np.arange(first, min(first + _DOCUMENTS, len(source)))
        lengths = source.lengths(which)
        fits = int(np.searchsorted(np.cumsum(lengths), _TOKENS, "right"))
        which, lengths = which[: max(fits, 1)], lengths[: max(fits, 1)]
        values = source.read(which, np.zeros_like(which), lengths)
        is_unknown = values == (-1 if unknown_id is None else unknown_id)
        document = np.repeat(np.arange(len(which)), lengths)
        unknown = np.bincount(document[is_unknown], minlength=len(which))
        n_tokens = len(values)
        total += Counts(
            len(which),
            n_tokens,
            int((lengths == 0).sum()),
            int(lengths.min()),
            int(lengths.max()),
            int(values.min()) if n_tokens else -1,
            int(values.max()) if n_tokens else -1,
            int(is_unknown.sum()),
            int(((unknown == lengths) & (lengths > 0)).sum()),
        )
        first += len(which)
    return total


def describe(path: Path, tokenizer: Tokenizer | None, check: bool) -> dict[str, Any]:
    """Everything `info` tells, as it stands in its JSON.

    Parameters
    ----------
    path : Path
    tokenizer : Tokenizer, optional
        Are the tokens of its universe?
    check : bool
        Compare the checksums of a store.

    Raises
    ------
    NotFoundError, InvalidInputError
        If there are no tokens.
    InvalidDataError
        For a file that is damaged.
    """
    source = open_tokens(path)
    if check and isinstance(source, TokenStore):
        source.verify()
    special = getattr(source, "special_ids", None) or {}
    unknown_id = special.get("unk") if tokenizer is None else tokenizer.unk_token_id
    counts = count_tokens(source, unknown_id)
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return {
        "path": str(path),
        "kind": _kind(source, path),
        "bytes": sum(file.stat().st_size for file in files),
        "dtype": _dtypes(source),
        "documents": {
            "count": counts.n_documents,
            "empty": counts.n_empty,
            "shortest": counts.shortest,
            "longest": counts.longest,
        },
        "tokens": {
            "count": counts.n_tokens,
            "lowest": counts.lowest if counts.n_tokens else None,
            "highest": counts.highest if counts.n_tokens else None,
            "unknown": None if unknown_id is None else counts.n_unknown,
            "documents_without": None if unknown_id is None else counts.n_without,
        },
        "universe": _universe(source, counts, tokenizer),
        "checked": check and isinstance(source, TokenStore),
    }


def _kind(source: TokenSource, path: Path) -> str:
    if isinstance(source, TokenStore):
        return f"store of {len(source.shards)} shards"
    if isinstance(source, ParquetTokens):
        return "parquet file"
    return f"folder of {len(source)} .gtok files" if path.is_dir() else ".gtok file"


def _dtypes(source: TokenSource) -> str:
    if isinstance(source, TokenStore):
        found = {shard.dtype for shard in source.shards}
    elif isinstance(source, GtokFiles):
        found = {read_gtok_header(path).dtype.name for path in source.paths}
    else:
        found = {"int32"}
    return ", ".join(sorted(found))


def _universe(source: TokenSource, counts: Counts, tokenizer: Tokenizer | None) -> dict[str, Any]:
    """Which universe is known, which was given, and whether the tokens fit both."""
    size = source.vocab_size
    if size is not None and counts.highest >= size:
        raise InvalidDataError("token out of range", path=getattr(source, "path", None),
                               expected=f"below {size}", got=counts.highest)  # fmt: skip
    report: dict[str, Any] = {"hash": source.universe_hash, "vocab_size": size}
    report |= {"given": None, "given_vocab_size": None, "fits": None, "why": None}
    if tokenizer is None:
        return report
    report |= {"given": tokenizer.hash, "given_vocab_size": tokenizer.vocab_size}
    if counts.highest >= tokenizer.vocab_size:
        why = f"token {counts.highest} is past its {tokenizer.vocab_size:,} tokens"
        return report | {"fits": False, "why": why}
    if source.universe_hash is None:
        why = "all tokens are in its range; nothing says that they are of it"
        return report | {"fits": None, "why": why}
    fits = source.universe_hash == tokenizer.hash
    return report | {"fits": fits, "why": "the hashes are " + ("equal" if fits else "different")}


def table(report: dict[str, Any]) -> Any:
    """The report as a rich table."""
    from rich.markup import escape
    from rich.table import Table

    made = Table(title=escape(report["path"]), title_justify="left", show_header=False)
    made.add_column(style="bold")
    made.add_column()

    def row(name: str, text: str) -> None:
        made.add_row(name, escape(text))

    documents, tokens, universe = report["documents"], report["tokens"], report["universe"]
    row("kind", report["kind"] + (", checksums are right" if report["checked"] else ""))
    row("bytes", f"{report['bytes']:,}")
    row("tokens", f"{tokens['count']:,} as {report['dtype']}")
    mean = tokens["count"] / max(documents["count"], 1)
    row(
        "documents",
        f"{documents['count']:,} of {documents['shortest']:,} to {documents['longest']:,} tokens, "
        f"{mean:,.4g} on average; {documents['empty']:,} empty",
    )
    if tokens["count"]:
        row("range", f"{tokens['lowest']:,} to {tokens['highest']:,}")
    if tokens["unknown"] is not None:
        share = 100 * tokens["unknown"] / max(tokens["count"], 1)
        row(
            "unknown",
            f"{tokens['unknown']:,} tokens, {share:.3g} %; {tokens['documents_without']:,} "
            "documents have no other",
        )
    known = universe["hash"]
    size = "" if universe["vocab_size"] is None else f", {universe['vocab_size']:,} tokens"
    row("universe", "not said" if known is None else f"{known[:12]}{size}")
    if universe["given"] is not None:
        verdict = {True: "yes", False: "no", None: "perhaps"}[universe["fits"]]
        row(f"of {universe['given'][:12]}?", f"{verdict}: {universe['why']}")
    return made
