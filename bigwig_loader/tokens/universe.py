"""A universe: the regions that tokens stand for, and the special tokens after them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.plan.overlap import MAX_REGIONS, OverlapIndex
from bigwig_loader.tokens.universe_rows import Duplicates, read_rows, repetitions
from bigwig_loader.types import PathLike, check_choice

if TYPE_CHECKING:
    import pandas as pd

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U32 = npt.NDArray[np.uint32]

# In the order of their ids.
SPECIAL_TOKENS = {
    "unk": "<unk>",
    "pad": "<pad>",
    "mask": "<mask>",
    "cls": "<cls>",
    "eos": "<eos>",
    "bos": "<bos>",
    "sep": "<sep>",
}


@dataclass(frozen=True, eq=False)
class Universe:
    """U regions and 7 special tokens; made by `read`.

    The id of a region is its number, in order of first appearance in the file; the special tokens
    follow in the order unk, pad, mask, cls, eos, bos, sep. The text of a region's token is
    ``contig:start-end``. Two universes are equal if their hashes are.

    Parameters
    ----------
    contig_names : tuple of str
        In order of first appearance. Names may contain any character, ``:`` too.
    contig_index : (U,) int32
    start, end : (U,) uint32
        0-based half-open; regions may overlap, and have length 0.
    special_tokens : dict of str to str
        Text of each special token by name; those that are missing have their usual text.

    Raises
    ------
    InvalidInputError
        If the arrays do not fit together, regions repeat, or a special token has the text of
        another token.
    """

    contig_names: tuple[str, ...]
    contig_index: I32
    start: U32
    end: U32
    special_tokens: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        special = {**SPECIAL_TOKENS, **self.special_tokens}
        object.__setattr__(self, "special_tokens", special)
        if len(set(self.contig_names)) < len(self.contig_names) or not self.n_regions:
            raise InvalidInputError(
                f"universe: expected regions, and distinct contig names; got {self.n_regions} "
                f"regions on {len(self.contig_names)} contigs"
            )
        if self.vocab_size > MAX_REGIONS:
            raise InvalidInputError(
                f"universe: expected at most {MAX_REGIONS} tokens; got {self.vocab_size}"
            )
        for first, again in repetitions(self.index)[:1]:
            raise InvalidInputError(
                f"universe: expected distinct regions; got {self.token(int(again))} as numbers "
                f"{first} and {again}"
            )
        self._check_special()

    def __getstate__(self) -> dict[str, Any]:
        # The arrays alone: what is made of them is made again.
        names = ("contig_names", "contig_index", "start", "end", "special_tokens")
        return {name: self.__dict__[name] for name in names}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Universe) and self.hash == other.hash

    def __hash__(self) -> int:
        return hash(self.hash)

    def __len__(self) -> int:
        return self.vocab_size

    def __repr__(self) -> str:
        return (
            f"Universe({self.n_regions} regions on {len(self.contig_names)} contigs, "
            f"hash={self.hash[:12]})"
        )

    @classmethod
    def read(
        cls,
        source: PathLike | pd.DataFrame | Mapping[str, Any],
        duplicates: Duplicates = "error",
        special_tokens: Mapping[str, str] | None = None,
    ) -> Universe:
        """Read a universe.

        Parameters
        ----------
        source : path-like, DataFrame or mapping
            A BED file of 3 or more columns, plain or compressed, of which only the first 3 count,
            see `bigwig_loader.backend.region_text.read_regions`; or a table with columns
            ``chrom`` (or ``chr``), ``start`` and ``end``.
        duplicates : {"error", "first"}
            What to do with a region that is there before: refuse the file, or leave the
            repetition out, so that it takes no id.
        special_tokens : mapping, optional
            Texts of special tokens by name, where they are not the usual ones.

        Raises
        ------
        NotFoundError
            If there is no such file.
        InvalidDataError
            For a file without regions, a line that is no region, and regions that repeat: path,
            line numbers, expected and got.
        InvalidInputError
            The same for a table; and for special tokens that cannot be used.

        Warns
        -----
        UserWarning
            Where the first line is taken for names of columns.
        """
        check_choice("duplicates", duplicates, ("error", "first"))
        rows = read_rows(source, duplicates)
        return cls(
            rows.contig_names,
            rows.contig_index,
            rows.start.astype(np.uint32),
            rows.end.astype(np.uint32),
            dict(special_tokens or {}),
        )

    @property
    def n_regions(self) -> int:
        """U: regions."""
        return len(self.start)

    @property
    def vocab_size(self) -> int:
        """Tokens, the special ones included: U + 7."""
        return self.n_regions + len(SPECIAL_TOKENS)

    @cached_property
    def index(self) -> OverlapIndex:
        """The regions, arranged for finding overlaps."""
        return OverlapIndex.build(self.contig_index, self.start, self.end, len(self.contig_names))

    @cached_property
    def contig_numbers(self) -> dict[str, int]:
        """Number of each contig by name."""
        return {name: number for number, name in enumerate(self.contig_names)}

    @cached_property
    def hash(self) -> str:
        """What the ids mean, as 64 hexadecimal digits: two universes with one hash are the same.

        SHA-256 of, one after the other: ``bigwig_loader universe 1`` and a line feed; U as 8
        bytes; each contig name in order of first appearance as UTF-8, and a zero byte; another
        zero byte; the contigs of all regions as their numbers in that order, 4 bytes each; all
        starts, 4 bytes each; all ends, 4 bytes each; the texts of the 7 special tokens in the
        order of their ids as UTF-8, each followed by a zero byte. Numbers are little-endian.
        """
        digest = hashlib.sha256(b"bigwig_loader universe 1\n")
        digest.update(self.n_regions.to_bytes(8, "little"))
        digest.update(b"".join(name.encode() + b"\0" for name in self.contig_names) + b"\0")
        for array in (self.contig_index, self.start, self.end):
            digest.update(array.astype("<u4").tobytes())
        texts = self.special_tokens.values()
        digest.update(b"".join(text.encode() + b"\0" for text in texts))
        return digest.hexdigest()

    @cached_property
    def special_ids(self) -> dict[str, int]:
        """Id of each special token by name."""
        return {name: self.n_regions + k for k, name in enumerate(SPECIAL_TOKENS)}

    @property
    def unknown_id(self) -> int:
        """Id of the token for what has no region."""
        return self.special_ids["unk"]

    def tokens(self, ids: Iterable[int]) -> list[str]:
        """Texts of tokens; an id past the last one has that of the unknown token.

        Raises
        ------
        InvalidInputError
            For a negative id, or one that is no whole number.
        """
        given = np.asarray(ids if isinstance(ids, np.ndarray) else list(ids))
        if given.size and (given.dtype.kind not in "iu" or given.ndim != 1 or given.min() < 0):
            raise InvalidInputError(
                f"token ids: expected whole numbers >= 0 in one dimension; got {given!r:.80}"
            )
        numbers = np.minimum(given, self.vocab_size).astype(np.int64)
        region = np.flatnonzero(numbers < self.n_regions)
        special = [*self.special_tokens.values(), self.special_tokens["unk"]]
        texts = [special[max(k, 0)] for k in (numbers - self.n_regions).tolist()]
        chosen = numbers[region]
        names = self.contig_names
        columns = (self.contig_index[chosen], self.start[chosen], self.end[chosen])
        parts = zip(region.tolist(), *(column.tolist() for column in columns), strict=True)
        for place, contig, start, end in parts:
            texts[place] = f"{names[contig]}:{start}-{end}"
        return texts

    def token(self, id_: int) -> str:
        """Text of one token."""
        return self.tokens([id_])[0]

    def find(self, texts: Iterable[str]) -> I64:
        """Ids of tokens by their exact texts, (n,) int64; -1 for what is no token.

        Raises
        ------
        InvalidInputError
            For something that is not text.
        """
        given = list(texts)
        known = {text: self.special_ids[name] for name, text in self.special_tokens.items()}
        for place, text in enumerate(given):
            if not isinstance(text, str):
                raise InvalidInputError(f"token {place}: expected text; got {text!r:.80}")
        special = np.array([known.get(text, -1) for text in given], np.int64)
        return np.where(special < 0, self._find_regions(given), special)

    def _find_regions(self, texts: list[str]) -> I64:
        """Ids of the regions with these texts, (n,); -1 if none."""
        wanted: list[tuple[int, int, int]] = []  # place, contig, key
        for place, text in enumerate(texts):
            name, _, span = text.rpartition(":")
            start, _, end = span.partition("-")
            contig = self.contig_numbers.get(name, -1)
            if contig >= 0 and _is_position(start) and _is_position(end):
                wanted.append((place, contig, int(start) << 32 | int(end)))
        result = np.full(len(texts), -1, np.int64)
        if wanted:
            places, contigs, keys = (list(column) for column in zip(*wanted, strict=True))
            result[places] = self._look_up(np.array(contigs), np.array(keys, np.uint64))
        return result

    def _look_up(self, contig: npt.NDArray[np.integer], key: npt.NDArray[np.uint64]) -> I64:
        """Ids of the regions of contigs with a start and end, ``start << 32 | end``; -1 if none."""
        found = np.full(len(key), -1, np.int64)
        for number in np.unique(contig):
            first, last = self.index.contig_first[number : number + 2]
            mine = np.flatnonzero(contig == number)
            place = first + np.searchsorted(self._keys[first:last], key[mine])
            there = place < last
            there[there] = self._keys[place[there]] == key[mine][there]
            found[mine[there]] = self.index.ids[place[there]]
        return found

    @cached_property
    def _keys(self) -> npt.NDArray[np.uint64]:
        """``start << 32 | end`` of the regions in the order of the index."""
        regions = self.index.regions
        keys: npt.NDArray[np.uint64] = regions["start"].astype(np.uint64) << np.uint64(32)
        keys |= regions["end"]
        return keys

    def _check_special(self) -> None:
        unknown = [name for name in self.special_tokens if name not in SPECIAL_TOKENS]
        if unknown:
            raise InvalidInputError(
                f"special tokens: expected names among {', '.join(SPECIAL_TOKENS)}; "
                f"got {unknown[0]!r}"
            )
        texts = list(self.special_tokens.values())
        for name, text in self.special_tokens.items():
            if type(text) is not str or not text or "\0" in text:
                raise InvalidInputError(f"special token {name!r}: expected text; got {text!r}")
            if texts.count(text) > 1 or int(self._find_regions([text])[0]) >= 0:
                raise InvalidInputError(
                    f"special token {name!r}: expected a text that no other token has; got {text!r}"
                )


def _is_position(text: str) -> bool:
    """Whether a text is a position below 2**32 as tokens have it, without leading zeros."""
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        return False
    return str(int(text)) == text and int(text) < 1 << 32
