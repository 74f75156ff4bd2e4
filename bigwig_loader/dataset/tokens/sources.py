"""Documents of tokens, wherever they lie: any stretch of any of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidDataError, InvalidInputError, NotFoundError
from bigwig_loader.formats.gtok import GtokHeader, read_gtok_header, read_gtok_part
from bigwig_loader.formats.token_parquet import read_token_parquet
from bigwig_loader.ragged import offsets_of, stretches
from bigwig_loader.sampling.digest import digest
from bigwig_loader.tokens.outputs import Documents
from bigwig_loader.types import PathLike

I64 = npt.NDArray[np.int64]

GTOK_SUFFIX, PARQUET_SUFFIX = ".gtok", ".parquet"


class TokenSource(ABC):
    """D documents.

    Attributes
    ----------
    n_documents, n_tokens : int
    universe_hash : str or None
        What the ids mean, see `Universe.hash`; None where nothing says so.
    vocab_size : int or None
        Ids are below; None where nothing says so.
    """

    n_documents: int
    n_tokens: int
    universe_hash: str | None = None
    vocab_size: int | None = None

    def __len__(self) -> int:
        return self.n_documents

    @abstractmethod
    def lengths(self, document: I64) -> I64:
        """Tokens of documents, (k,)."""

    @abstractmethod
    def read(self, document: I64, first: I64, n_tokens: I64) -> I64:
        """Stretches of documents, one after the other.

        Parameters
        ----------
        document, first, n_tokens : (k,) int64
            Tokens [first, first + n_tokens) of each; within the document.

        Returns
        -------
        (sum of n_tokens,) int64
        """

    @abstractmethod
    def name(self, document: int) -> str:
        """How an error names a document."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Short hash of what decides which tokens a document has."""

    def documents(self, first: int, last: int) -> Documents:
        """Documents [first, last) with all their tokens.

        Raises
        ------
        InvalidDataError
            If a token is 2**31 or more.
        """
        which = np.arange(first, last)
        lengths = self.lengths(which)
        values = self.read(which, np.zeros_like(which), lengths)
        if len(values) and int(values.max()) >= 1 << 31:
            place = int(np.argmax(values >= 1 << 31))
            offsets = offsets_of(lengths)
            document = int(np.searchsorted(offsets, place, "right")) - 1
            raise InvalidDataError("token out of range", path=self.name(first + document),
                                   field=f"token {place - offsets[document]}",
                                   expected="below 2**31", got=int(values[place]))  # fmt: skip
        return Documents(values.astype(np.int32), offsets_of(lengths), self.names(first, last))

    def names(self, first: int, last: int) -> tuple[str, ...] | None:
        """Names of documents [first, last) as they are stored; None where they have none."""
        return None


class ArrayTokens(TokenSource):
    """Documents in memory.

    Parameters
    ----------
    documents : Documents
    where : str
        For errors.
    """

    def __init__(self, documents: Documents, where: str = "documents") -> None:
        self._documents = documents
        self._where = where
        self.n_documents = len(documents)
        self.n_tokens = len(documents.values)

    def lengths(self, document: I64) -> I64:
        offsets = self._documents.offsets
        return offsets[document + 1] - offsets[document]

    def read(self, document: I64, first: I64, n_tokens: I64) -> I64:
        starts = self._documents.offsets[document] + first
        return gather(self._documents.values, starts, n_tokens)

    def documents(self, first: int, last: int) -> Documents:
        """Documents [first, last), sharing memory."""
        ends = self._documents.offsets[first : last + 1]
        values = self._documents.values[ends[0] : ends[-1]]
        return Documents(values, ends - ends[0], self.names(first, last))

    def name(self, document: int) -> str:
        return f"{self._where}, {self._documents.name(document)}"

    def names(self, first: int, last: int) -> tuple[str, ...] | None:
        names = self._documents.names
        return None if names is None else names[first:last]

    def fingerprint(self) -> str:
        """Hash of the lengths of all documents."""
        return digest("tokens", self._documents.offsets)


class ParquetTokens(ArrayTokens):
    """The documents of a parquet file, read into memory; a copy in another process reads it too.

    Parameters
    ----------
    path : path-like
    """

    def __init__(self, path: PathLike) -> None:
        tokens = read_token_parquet(path).tokens
        super().__init__(Documents(tokens.data, tokens.offsets), str(path))
        self.path = Path(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return ParquetTokens, (self.path,)


class GtokFiles(TokenSource):
    """``.gtok`` files, each a document; opened when they are read.

    Parameters
    ----------
    paths : sequence of path-like

    Raises
    ------
    NotFoundError, InvalidDataError
        For a file that is missing or damaged: the heads of all of them are read.
    """

    def __init__(self, paths: Sequence[PathLike]) -> None:
        self.paths = [str(path) for path in paths]
        headers = [read_gtok_header(path) for path in self.paths]
        self._lengths = np.array([header.n_tokens for header in headers], np.int64)
        self._dtypes = [header.dtype for header in headers]
        self.n_documents = len(self.paths)
        self.n_tokens = int(self._lengths.sum())

    def lengths(self, document: I64) -> I64:
        return self._lengths[document]

    def read(self, document: I64, first: I64, n_tokens: I64) -> I64:
        values = np.empty(int(n_tokens.sum()), np.int64)
        at = 0
        for d, start, n in zip(document.tolist(), first.tolist(), n_tokens.tolist(), strict=True):
            header = GtokHeader(self._dtypes[d], int(self._lengths[d]))
            values[at : at + n] = read_gtok_part(self.paths[d], header, start, n)
            at += n
        return values

    def name(self, document: int) -> str:
        return self.paths[document]

    def names(self, first: int, last: int) -> tuple[str, ...]:
        return tuple(self.paths[first:last])

    def fingerprint(self) -> str:
        """Hash of the names of the files, without their folders, and their lengths."""
        return digest("gtok", *(Path(path).name for path in self.paths), self._lengths)


def gather(values: npt.NDArray[Any], starts: I64, n_tokens: I64) -> I64:
    """Stretches of an array, one after the other, as int64."""
    if len(starts) < 64 and int(n_tokens.sum()) > 64 * len(starts):
        # Long stretches are copied faster one by one.
        out = np.empty(int(n_tokens.sum()), np.int64)
        ends = offsets_of(n_tokens)
        for i, (start, n) in enumerate(zip(starts.tolist(), n_tokens.tolist(), strict=True)):
            out[ends[i] : ends[i + 1]] = values[start : start + n]
        return out
    taken: I64 = values[stretches(starts, n_tokens)].astype(np.int64)
    return taken


def open_tokens(data: Any) -> TokenSource:
    """Documents of what a caller names.

    Parameters
    ----------
    data : path, sequence of paths, Documents or TokenSource
        A folder that `write_store` made; a folder with ``.gtok`` files in it or below, taken in
        the order of their paths; one ``.gtok`` or ``.parquet`` file; a list of ``.gtok`` files, in
        this order; or documents in memory.

    Raises
    ------
    NotFoundError
        If it is not there, or a folder has nothing of the kind.
    InvalidInputError
        For anything else.
    InvalidDataError
        If a file is damaged.
    """
    if isinstance(data, TokenSource):
        return data
    if isinstance(data, Documents):
        return ArrayTokens(data)
    if isinstance(data, (str, Path)) or hasattr(data, "__fspath__"):
        return _open_path(Path(data))
    if isinstance(data, Iterable):
        paths = list(data)
        wrong = [p for p in paths if not isinstance(p, (str, Path)) or not is_gtok(Path(p))]
        if paths and not wrong:
            return GtokFiles(paths)
        got = f"{wrong[0]!r:.80}" if wrong else "an empty list"
        raise InvalidInputError(f"argument data: expected a list of .gtok files; got {got}")
    raise InvalidInputError(
        "argument data: expected a folder, a .gtok or .parquet file, a list of .gtok files or "
        f"Documents; got {type(data).__name__}"
    )


def is_gtok(path: Path) -> bool:
    """Whether a file is one of tokens, by its name."""
    return path.suffix == GTOK_SUFFIX


def is_token_data(path: Path) -> bool:
    """Whether `open_tokens` is for this path, and a tokenizer is not."""
    return path.is_dir() or path.suffix in (GTOK_SUFFIX, PARQUET_SUFFIX)


def _open_path(path: Path) -> TokenSource:
    from bigwig_loader.dataset.tokens.store import TokenStore, is_store

    if is_store(path):
        return TokenStore.open(path)
    if path.is_dir():
        found = sorted(path.rglob(f"*{GTOK_SUFFIX}"))
        if not found:
            raise NotFoundError(
                f"no tokens in {path}: expected .gtok files, or a manifest.json, which a store has"
            )
        return GtokFiles(found)
    if is_gtok(path):
        return GtokFiles([path])
    if path.suffix == PARQUET_SUFFIX:
        return ParquetTokens(path)
    if not path.exists():
        raise NotFoundError(f"cannot open {path}: no such file or folder; expected tokens")
    raise InvalidInputError(
        f"argument data: expected a folder, a .gtok or a .parquet file; got {path}"
    )
