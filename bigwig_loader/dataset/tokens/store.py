"""Stores of tokens: thousands of documents per file, mapped; FORMAT.md is the same in words."""

from __future__ import annotations

import hashlib
import json
import mmap
import resource
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.dataset.tokens.shards import (
    DAMAGED,
    DTYPES,
    FORMAT,
    MANIFEST,
    VERSION,
    ShardInfo,
)
from bigwig_loader.dataset.tokens.sources import TokenSource, gather
from bigwig_loader.errors import InvalidDataError, InvalidInputError, NotFoundError
from bigwig_loader.ragged import offsets_of
from bigwig_loader.sampling.digest import digest
from bigwig_loader.types import PathLike

if TYPE_CHECKING:
    from bigwig_loader.tokens.universe import Universe
    from bigwig_loader.tokens.vocabulary import Vocabulary

I64 = npt.NDArray[np.int64]


def is_store(path: Path) -> bool:
    """Whether a folder is a store."""
    return (path / MANIFEST).is_file()


class TokenStore(TokenSource):
    """A store; made by `open`. Files are mapped when they are first read.

    Attributes
    ----------
    path : Path
    n_documents, n_tokens : int
    universe_hash, vocab_size, special_ids
        Of the universe; None where the store was written without a tokenizer.
    shards : tuple of ShardInfo
    """

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path = path
        self.shards = tuple(ShardInfo(**shard) for shard in manifest["shards"])
        universe = manifest["universe"]
        self.universe_hash = universe["hash"]
        self.vocab_size = universe["vocab_size"]
        self.special_ids: dict[str, int] | None = universe["special_ids"]
        self.n_documents = int(manifest["n_documents"])
        self.n_tokens = int(manifest["n_tokens"])
        counts = np.array([shard.n_documents for shard in self.shards], np.int64)
        self._first = offsets_of(counts)
        self._maps: OrderedDict[int, tuple[I64, npt.NDArray[Any]]] = OrderedDict()

    @classmethod
    def open(cls, path: PathLike, tokenizer: Vocabulary | Universe | None = None) -> TokenStore:
        """Open a store. The size of every file is checked, and nothing of them read.

        Parameters
        ----------
        path : path-like
            The folder.
        tokenizer : Tokenizer or Universe, optional
            Whose ids they have to be.

        Raises
        ------
        NotFoundError
            If there is no store, or a file of it is missing.
        InvalidDataError
            If it is of a later version, or damaged.
        InvalidInputError
            If its tokens are of another universe, or nobody said of which.
        """
        folder = Path(path)
        store = cls._read(folder)
        for shard in store.shards:
            file = folder / shard.file
            if not file.is_file():
                raise NotFoundError(f"no such file: {file}. {DAMAGED}")
            if file.stat().st_size != shard.n_bytes:
                raise InvalidDataError(
                    "shard of another size",
                    path=file,
                    expected=f"{shard.n_bytes} bytes",
                    got=file.stat().st_size,
                    hint=DAMAGED,
                )
        if tokenizer is not None:
            check_universe(store, tokenizer, str(folder))
        return store

    @classmethod
    def _read(cls, folder: Path) -> TokenStore:
        manifest_path = folder / MANIFEST
        try:
            manifest = json.loads(manifest_path.read_text(encoding="utf-8"))
        except OSError:
            raise NotFoundError(f"no store of tokens in {folder}: no {MANIFEST}") from None
        except ValueError as error:
            raise InvalidDataError(f"not JSON: {error}", path=manifest_path) from error
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
            raise InvalidDataError(
                "not a store of tokens", path=manifest_path, field="format", expected=repr(FORMAT)
            )
        if manifest.get("version") != VERSION:
            raise InvalidDataError(
                "store of another version",
                path=manifest_path,
                field="version",
                expected=VERSION,
                got=manifest.get("version"),
                hint="Install the version of this package that wrote it, or write it again.",
            )
        try:
            store = cls(folder, manifest)
            whole = all(
                s.dtype in DTYPES and s.n_documents >= 0 <= s.n_tokens for s in store.shards
            )
            counts = (int(store._first[-1]), sum(s.n_tokens for s in store.shards))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InvalidDataError(
                f"manifest lacks a field or has one of another type: {error}",
                path=manifest_path,
                hint=DAMAGED,
            ) from error
        if not whole or counts != (store.n_documents, store.n_tokens):
            raise InvalidDataError(
                "shards do not add up",
                path=manifest_path,
                expected=f"{store.n_documents} documents and {store.n_tokens} tokens",
                got=f"{counts[0]} and {counts[1]}",
                hint=DAMAGED,
            )
        return store

    def __repr__(self) -> str:
        return (
            f"TokenStore({str(self.path)!r}, {self.n_documents} documents, {self.n_tokens} tokens, "
            f"{len(self.shards)} shards)"
        )

    def __getitem__(self, document: int) -> I64:
        """Tokens of one document."""
        try:
            which = np.array([range(len(self))[document]])
        except IndexError:
            raise IndexError(f"document {document} of {len(self)}") from None
        return self.read(which, np.zeros(1, np.int64), self.lengths(which))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_maps": OrderedDict()}

    def lengths(self, document: I64) -> I64:
        result = np.empty(len(document), np.int64)
        for _, offsets, _, mine, local in self._by_shard(document):
            result[mine] = offsets[local + 1] - offsets[local]
        return result

    def read(self, document: I64, first: I64, n_tokens: I64) -> I64:
        ends = offsets_of(n_tokens)
        values = np.empty(int(ends[-1]), np.int64)
        for _, offsets, tokens, mine, local in self._by_shard(document):
            starts = offsets[local] + first[mine]
            if len(mine) == len(document):
                return gather(tokens, starts, n_tokens)
            taken, at = gather(tokens, starts, n_tokens[mine]), 0
            for row, n in zip(mine.tolist(), n_tokens[mine].tolist(), strict=True):
                values[ends[row] : ends[row + 1]] = taken[at : at + n]
                at += n
        return values

    def name(self, document: int) -> str:
        number = int(np.searchsorted(self._first, document, "right")) - 1
        local = document - int(self._first[number])
        return f"{self.path / self.shards[number].file}, document {local} of the shard"

    def names(self, first: int, last: int) -> tuple[str, ...] | None:
        """Names of documents [first, last); None where one has none."""
        names: list[str] = []
        for number, shard in enumerate(self.shards):
            start, stop = int(self._first[number]), int(self._first[number + 1])
            if stop <= first or start >= last:
                continue
            if shard.names_file is None:
                return None
            names += self._names_of(shard)[max(first - start, 0) : last - start]
        return tuple(names)

    def fingerprint(self) -> str:
        """Hash of the checksums of all shards."""
        return digest("store", *(shard.sha256 for shard in self.shards))

    def verify(self) -> None:
        """Read all shards and compare their checksums.

        Raises
        ------
        InvalidDataError
            For the first one that is not what was written.
        """
        for shard in self.shards:
            file = self.path / shard.file
            with file.open("rb") as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
            if found != shard.sha256:
                raise InvalidDataError(
                    "shard has another checksum than when it was written",
                    path=file,
                    expected=shard.sha256,
                    got=found,
                    hint=DAMAGED,
                )

    def _names_of(self, shard: ShardInfo) -> list[str]:
        path = self.path / str(shard.names_file)
        try:
            names = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InvalidDataError(f"cannot read names: {error}", path=path) from error
        if not isinstance(names, list) or len(names) != shard.n_documents:
            raise InvalidDataError(
                "not a name for each document", path=path, expected=f"{shard.n_documents} names"
            )
        return names

    def _by_shard(
        self, document: I64
    ) -> Iterator[tuple[ShardInfo, I64, npt.NDArray[Any], I64, I64]]:
        """By shard: it, its offsets and tokens, places in `document`, their numbers in it."""
        numbers = np.searchsorted(self._first, document, "right") - 1
        for number in np.unique(numbers).tolist():
            offsets, tokens = self._map(number)
            mine = np.flatnonzero(numbers == number)
            local = document[mine] - self._first[number]
            shard = self.shards[number]
            low, high = offsets[local], offsets[local + 1]
            if ((low < 0) | (low > high) | (high > shard.n_tokens)).any():
                raise InvalidDataError(
                    "offsets do not ascend from 0 to the number of tokens",
                    path=self.path / shard.file,
                    hint=DAMAGED,
                )
            yield shard, offsets, tokens, mine, local

    def _map(self, number: int) -> tuple[I64, npt.NDArray[Any]]:
        """Offsets and tokens of a shard; those used last stay mapped."""
        mapped = self._maps.get(number)
        if mapped is not None:
            self._maps.move_to_end(number)
            return mapped
        shard = self.shards[number]
        path = self.path / shard.file
        try:
            with path.open("rb") as file:
                data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise NotFoundError(f"cannot open {path}: {error.strerror or error}") from error
        if len(data) != shard.n_bytes:
            raise InvalidDataError(
                "shard of another size", path=path, expected=f"{shard.n_bytes} bytes", got=len(data)
            )
        offsets = np.frombuffer(data, "<i8", shard.n_documents + 1)
        tokens = np.frombuffer(data, DTYPES[shard.dtype], shard.n_tokens, shard.tokens_at)
        self._maps[number] = offsets, tokens
        # Every map holds its file open.
        while len(self._maps) > _max_maps():
            self._maps.popitem(last=False)
        return offsets, tokens


def _max_maps() -> int:
    """Shards that may be mapped at a time: half of the files that a process may open."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 1 << 16 if soft == resource.RLIM_INFINITY else max(16, min(soft // 2, 1 << 16))


def check_universe(source: TokenSource, tokenizer: Vocabulary | Universe, where: str) -> None:
    """Raise `InvalidInputError` unless the tokens of a store are a tokenizer's.

    What lies in other files says nothing of its universe, and passes.
    """
    if source.universe_hash == tokenizer.hash:
        return
    if source.universe_hash is None:
        if not isinstance(source, TokenStore):
            return
        raise InvalidInputError(
            f"{where}: expected tokens of the universe {tokenizer.hash[:12]}; got a store that "
            "was written without a tokenizer. Write it with tokenizer=, or open it without"
        )
    raise InvalidInputError(
        f"{where}: expected tokens of the universe {tokenizer.hash[:12]} ({tokenizer.vocab_size} "
        f"tokens); got those of {source.universe_hash[:12]} ({source.vocab_size} tokens). Use the "
        "tokenizer that it was written with"
    )
