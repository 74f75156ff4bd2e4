"""`write_store`: documents of tokens, from wherever they are, made into one store."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, get_args

import numpy as np

from bigwig_loader.backend.threads import available_threads
from bigwig_loader.dataset.prepared.making.run import Runner
from bigwig_loader.dataset.prepared.making.work import WorkFolder, making_part, part_name
from bigwig_loader.dataset.tokens.shards import (
    VERSION,
    ShardInfo,
    write_manifest,
    write_shard,
)
from bigwig_loader.dataset.tokens.sources import (
    ArrayTokens,
    GtokFiles,
    TokenSource,
    is_gtok,
    is_token_data,
    open_tokens,
)
from bigwig_loader.dataset.tokens.store import TokenStore, check_universe
from bigwig_loader.errors import InvalidDataError, InvalidInputError
from bigwig_loader.formats.source import local_identity
from bigwig_loader.ragged import offsets_of
from bigwig_loader.sampling.digest import digest
from bigwig_loader.tokens.outputs import Documents
from bigwig_loader.tokens.regions import Order
from bigwig_loader.tokens.search import Unknown
from bigwig_loader.tokens.tokenizer import Tokenizer
from bigwig_loader.types import PathLike, check_choice, check_positive

# Shards there are at least, so that tasks can run side by side, if there are as many documents.
_MIN_SHARDS = 8
_MAX_SHORT_VOCABULARY = 1 << 16
_SHARD, _SHARD_JSON = "shard", "shard.json"


def write_store(  # noqa: PLR0913 - all but two are named
    path: PathLike,
    data: Any,
    tokenizer: Tokenizer | None = None,
    *,
    vocab_size: int | None = None,
    unknown: Unknown | None = None,
    order: Order | None = None,
    documents_per_shard: int = 4096,
    overwrite: bool = False,
    n_jobs: int | None = None,
    progress: bool = True,
) -> TokenStore:
    """Write a store of tokens: what `PretokenizedDataset` reads fastest.

    The store appears at `path` when it is whole; until then its shards lie in a folder
    ``.NAME.writing`` beside it. Where a run is interrupted or killed, the same call goes on from
    the shards that were finished.

    Parameters
    ----------
    path : path-like
        Where the store is to lie; a folder.
    data : path, Documents, or sequence of these
        Documents, in this order. Files of regions, which become tokens: whatever `tokenizer` takes
        as a path (BED, fragments, ``.h5ad``). Tokens: ``.gtok`` and parquet files, folders of
        ``.gtok`` files, other stores, and `Documents` in memory.
    tokenizer : Tokenizer, optional
        Makes tokens of regions, and says whose ids all tokens are; needed for regions.
    vocab_size : int, optional
        Without a tokenizer: tokens have to be below.
    unknown, order : str, optional
        How regions become tokens, see `Tokenizer`.
    documents_per_shard : int
        At most; a file of regions with many documents in it (fragments, ``.h5ad``) counts as one.
        Memory of a task is that of its shard.
    overwrite : bool
        Replace what lies at `path`, in one step, when the new one is whole.
    n_jobs : int, optional
        Shards at a time, by joblib; see `bigwig_loader.write`.
    progress : bool
        Show a progress bar, where standard error is a terminal.

    Returns
    -------
    TokenStore
        What was written, open.

    Raises
    ------
    NotFoundError
        For a file that does not exist.
    InvalidInputError
        If `path` exists without `overwrite`, there are regions but no tokenizer, or a store is of
        another universe.
    InvalidDataError
        If a file is damaged, or has a token that is out of range: file, place, expected and got.
    """
    check_positive("documents_per_shard", documents_per_shard)
    if unknown is not None:
        check_choice("unknown", unknown, get_args(Unknown))
    if order is not None:
        check_choice("order", order, get_args(Order))
    if tokenizer is not None:
        vocab_size = tokenizer.vocab_size
    pieces, universe = _pieces(data, tokenizer, vocab_size)
    runner = Runner(max_bytes=0, n_jobs=n_jobs, progress=progress)
    with WorkFolder(Path(path), overwrite) as work:
        shared = _Shared(None, "", vocab_size, unknown, order)
        if tokenizer is not None and any(not piece.is_tokens for piece in pieces):
            n_threads = max(1, available_threads() // runner.tasks_at_a_time)
            saved = work.path / "tokenizer"
            saved.write_bytes(pickle.dumps(replace_threads(tokenizer, n_threads)))
            shared = replace(shared, tokenizer=saved, universe_hash=tokenizer.hash)
        jobs = [
            _ShardJob(work.parts / part_name("shard", _identity(group, shared)), group, shared)
            for group in _grouped(pieces, documents_per_shard)
        ]
        runner.run(make_shard, jobs, "tokens")
        shards = [_take(job.folder, work.result, number) for number, job in enumerate(jobs)]
        write_manifest(work.result, shards, universe, {"unknown": unknown, "order": order})
        work.publish()
    return TokenStore.open(path, tokenizer)


@dataclass(frozen=True)
class _Piece:
    """Some documents: a file of regions, or documents [first, last) of some tokens."""

    source: Path | Documents
    is_tokens: bool
    identity: str
    first: int = 0
    last: int = 1

    def __len__(self) -> int:
        return self.last - self.first

    def split(self, n: int) -> tuple[_Piece, _Piece]:
        """The first n documents, and the rest."""
        cut = self.first + n
        return replace(self, last=cut), replace(self, first=cut)

    def packed(self) -> _Piece:
        """The same with no more documents in memory than it is about."""
        if isinstance(self.source, Path):
            return self
        part = ArrayTokens(self.source).documents(self.first, self.last)
        identity = f"{self.identity} {self.first}"
        return _Piece(part, self.is_tokens, identity, 0, len(part))


@dataclass(frozen=True)
class _Shared:
    """What all tasks need to know."""

    tokenizer: Path | None
    universe_hash: str
    vocab_size: int | None
    unknown: Unknown | None
    order: Order | None


@dataclass(frozen=True)
class _ShardJob:
    """A shard to be made."""

    folder: Path
    pieces: tuple[_Piece, ...]
    shared: _Shared


def replace_threads(tokenizer: Tokenizer, n_threads: int) -> Tokenizer:
    """The same tokenizer with another number of threads, if it was not told one."""
    return tokenizer if tokenizer.n_threads else Tokenizer(tokenizer.universe, n_threads)


def _identity(pieces: Sequence[_Piece], shared: _Shared) -> list[Any]:
    """All that decides what a shard holds, as JSON has it."""
    options = [shared.universe_hash, shared.vocab_size, shared.unknown, shared.order]
    return [VERSION, *options, [[p.identity, p.is_tokens, p.first, p.last] for p in pieces]]


def _pieces(
    data: Any, tokenizer: Tokenizer | None, vocab_size: int | None
) -> tuple[list[_Piece], dict[str, Any]]:
    """Everything that is to be written, and of which universe it is."""
    is_one = isinstance(data, (str, os.PathLike, Documents))
    given = [data] if is_one else list(data)
    if not given:
        raise InvalidInputError("argument data: expected files or documents; got an empty list")
    pieces: list[_Piece] = []
    hashes: set[tuple[str | None, int | None]] = set()
    special: dict[str, int] | None = None
    for one in given:
        if isinstance(one, (str, os.PathLike)) and not is_token_data(Path(one)):
            pieces.append(_region_piece(Path(one), tokenizer))
            continue
        if not isinstance(one, (str, os.PathLike, Documents)):
            raise InvalidInputError(
                "argument data: expected paths and Documents, which tokenizer.documents(...) "
                f"makes of what is in memory; got {type(one).__name__}"
            )
        if isinstance(one, (str, os.PathLike)) and is_gtok(Path(one)):
            pieces.append(_file_piece(Path(one), is_tokens=True))
            hashes.add((None, None))
            continue
        source = open_tokens(one)
        if isinstance(one, Documents):
            _check_range(one, vocab_size, source, 0)
        if isinstance(source, TokenStore):
            if tokenizer is not None and source.universe_hash is not None:
                check_universe(source, tokenizer, os.fspath(source.path))
            special = source.special_ids
        hashes.add((source.universe_hash, source.vocab_size))
        pieces += _token_pieces(one, source)
    if tokenizer is not None:
        ids = dict(tokenizer.universe.special_ids)
        return pieces, {"hash": tokenizer.hash, "vocab_size": vocab_size, "special_ids": ids}
    if len(hashes) > 1 and any(known is not None for known, _ in hashes):
        raise InvalidInputError(
            "argument data: expected tokens of one universe; got stores of several, or a store and "
            "tokens of which nobody says of which. Give tokenizer="
        )
    known, its_size = hashes.pop() if len(hashes) == 1 else (None, None)
    return pieces, {
        "hash": known,
        "vocab_size": vocab_size if its_size is None else its_size,
        "special_ids": None if known is None else special,
    }


def _region_piece(path: Path, tokenizer: Tokenizer | None) -> _Piece:
    if tokenizer is None:
        raise InvalidInputError(
            f"argument tokenizer: expected one, since {path} is no file of tokens; got None"
        )
    return _file_piece(path, is_tokens=False)


def _file_piece(path: Path, is_tokens: bool) -> _Piece:
    absolute = os.path.abspath(path)
    return _Piece(path, is_tokens, f"{absolute} {local_identity(absolute)[1]}")


def _token_pieces(given: Any, source: TokenSource) -> list[_Piece]:
    if isinstance(source, GtokFiles):
        return [_file_piece(Path(path), is_tokens=True) for path in source.paths]
    if isinstance(given, Documents):
        identity = digest(given.values, given.offsets, given.names)
        return [_Piece(given, True, identity, 0, len(given))]
    path = Path(given)
    identity = source.fingerprint() if path.is_dir() else _file_piece(path, True).identity
    return [_Piece(path, True, identity, 0, len(source))]


def _grouped(pieces: list[_Piece], most: int) -> Iterator[tuple[_Piece, ...]]:
    """The pieces of each shard."""
    size = min(most, max(1, -(-sum(map(len, pieces)) // _MIN_SHARDS)))
    group: list[_Piece] = []
    room = size
    for piece in pieces:
        rest = piece
        while len(rest):
            taken, rest = rest.split(min(room, len(rest)))
            group.append(taken.packed())
            room -= len(taken)
            if not room:
                yield tuple(group)
                group, room = [], size
    if group:
        yield tuple(group)


def make_shard(job: _ShardJob) -> None:
    """Make one shard, in this process or another."""
    with making_part(job.folder) as folder:
        parts = [_documents(piece, job.shared) for piece in job.pieces]
        documents = parts[0] if len(parts) == 1 else _joined(parts)
        vocab_size, most = job.shared.vocab_size, int(documents.values.max(initial=-1))
        limit = most + 1 if vocab_size is None else vocab_size
        dtype = "uint16" if limit <= _MAX_SHORT_VOCABULARY else "uint32"
        info = write_shard(folder, _SHARD, documents, dtype)
        (folder / _SHARD_JSON).write_text(json.dumps(asdict(info)), encoding="utf-8")


def _documents(piece: _Piece, shared: _Shared) -> Documents:
    if not piece.is_tokens:
        assert shared.tokenizer is not None
        tokenizer = _load_tokenizer(shared.tokenizer, shared.universe_hash)
        made = tokenizer.documents(piece.source, shared.unknown, shared.order)
        if made.names is not None or len(made) != 1:
            return made
        return replace(made, names=(str(piece.source),))
    source = ArrayTokens(piece.source) if isinstance(piece.source, Documents) else None
    opened = source or _open_source(piece.source, piece.identity)
    documents = opened.documents(piece.first, piece.last)
    _check_range(documents, shared.vocab_size, opened, piece.first)
    return documents


@lru_cache(maxsize=1)
def _load_tokenizer(path: Path, universe_hash: str) -> Tokenizer:
    tokenizer: Tokenizer = pickle.loads(path.read_bytes())
    return tokenizer


# A parquet file is read whole, and the next shard is of the same one.
@lru_cache(maxsize=1)
def _open_source(path: Path, identity: str) -> TokenSource:
    return open_tokens(path)


def _check_range(
    documents: Documents, vocab_size: int | None, source: TokenSource, first: int
) -> None:
    values = documents.values
    limit = 1 << 31 if vocab_size is None else vocab_size
    low, high = int(values.min(initial=0)), int(values.max(initial=-1))
    if low >= 0 and high < limit:
        return
    wrong = values < 0 if low < 0 else values >= limit
    place = int(np.argmax(wrong))
    document = int(np.searchsorted(documents.offsets, place, "right")) - 1
    raise InvalidDataError(
        "token out of range",
        path=source.name(first + document),
        field=f"token {place - int(documents.offsets[document])}",
        expected="at least 0" if low < 0 else f"below {limit}, the size of the vocabulary",
        got=int(values[place]),
        hint="The tokens are of another universe, or the file is damaged.",
    )


def _joined(parts: list[Documents]) -> Documents:
    lengths = np.concatenate([np.diff(part.offsets) for part in parts])
    named = [part.names for part in parts if part.names is not None]
    names = tuple(chain.from_iterable(named)) if len(named) == len(parts) else None
    return Documents(np.concatenate([part.values for part in parts]), offsets_of(lengths), names)


def _take(part: Path, result: Path, number: int) -> ShardInfo:
    """Put the files of a finished shard into the store; the part stays for another try."""
    info = ShardInfo(**json.loads((part / _SHARD_JSON).read_text(encoding="utf-8")))
    name = f"shard-{number:05d}"
    names = None if info.names_file is None else f"{name}.names.json"
    for old, new in ((info.file, f"{name}.tokens"), (info.names_file, names)):
        if old is not None:
            _link(part / old, result / str(new))
    return replace(info, file=f"{name}.tokens", names_file=names)


def _link(old: Path, new: Path) -> None:
    try:
        os.link(old, new)
    except OSError:  # no links on this file system
        shutil.copyfile(old, new)
