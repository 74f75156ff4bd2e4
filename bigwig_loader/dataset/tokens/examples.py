"""What becomes of documents: cut to a length, in padded rows, or packed into full ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from bigwig_loader.dataset.tokens.sources import TokenSource
from bigwig_loader.errors import InvalidDataError, InvalidInputError
from bigwig_loader.ragged import Ragged, offsets_of
from bigwig_loader.sampling.rng import MAX_LANES, Stream, random_below
from bigwig_loader.tokens.outputs import Documents, OutputOptions, truncate
from bigwig_loader.types import check_choice, check_positive

I64 = npt.NDArray[np.int64]
Truncation = Literal["error", "first", "window", "sample"]


@dataclass(frozen=True)
class RowOptions:
    """What a row of a batch looks like.

    Parameters
    ----------
    max_length : int, optional
        Tokens that a row may have; with `packing`, has.
    truncation : {"error", "first", "window", "sample"}
        What becomes of longer documents: an error; the first `max_length` tokens; so many tokens
        from a random place on; or a random subset of so many, which stay in order. What is random
        depends on (seed, epoch, document) only.
    packing : bool
        Fill every row with the documents of an epoch one after the other. A row that is full ends
        within a document, and the next one goes on with it.
    separator : int, optional
        With `packing`, a token that follows every document.
    pad_id : int, optional
        Fills rows up; needed where rows differ in length.
    pad_to : int, optional
        Length of all rows; by default that of the longest one in the batch.

    Raises
    ------
    InvalidInputError
        For options that do not fit together.
    """

    max_length: int | None = None
    truncation: Truncation = "error"
    packing: bool = False
    separator: int | None = None
    pad_id: int | None = None
    pad_to: int | None = None

    def __post_init__(self) -> None:
        check_choice("truncation", self.truncation, get_args(Truncation))
        for name in ("max_length", "pad_to"):
            if getattr(self, name) is not None:
                check_positive(name, getattr(self, name))
        needs_length = self.packing or self.truncation != "error"
        if needs_length and self.max_length is None:
            why = "packing" if self.packing else f"truncation={self.truncation!r}"
            raise InvalidInputError(f"argument max_length: expected a number with {why}; got None")
        if self.packing and (self.truncation != "error" or self.pad_to is not None):
            raise InvalidInputError(
                "argument packing: expected neither truncation nor pad_to with it, since rows are "
                "full and documents go on in the next one; got truncation="
                f"{self.truncation!r}, pad_to={self.pad_to}"
            )
        if self.separator is not None and not self.packing:
            raise InvalidInputError(
                f"argument separator: expected with packing only; got {self.separator}"
            )
        if self.truncation == "sample" and self.max_length and self.max_length > MAX_LANES:
            raise InvalidInputError(
                f"argument max_length: expected at most {MAX_LANES} with truncation='sample'; got "
                f"{self.max_length}"
            )

    @property
    def fill(self) -> int:
        """The id that fills rows up.

        Raises
        ------
        InvalidInputError
            If there is none.
        """
        if self.pad_id is None:
            raise InvalidInputError(
                "argument pad_id: expected the id of the pad token, since documents differ in "
                "length; got None. Give it, or tokenizer="
            )
        return self.pad_id


@dataclass(frozen=True, eq=False)
class Rows:
    """B rows of tokens.

    Parameters
    ----------
    index : (B,) int64
        Numbers of the documents; of the rows of the epoch where rows are packed.
    input_ids : (B, L) int64
    attention_mask : (B, L) int64
        0 where there is padding.
    segment_ids, position_ids : (B, L) int64, optional
        Of packed rows: which document of the row a token is from, from 1 (0 for padding), and
        which of its tokens it is, from 0, those in rows before counted.
    """

    index: I64
    input_ids: I64
    attention_mask: I64
    segment_ids: I64 | None = None
    position_ids: I64 | None = None


def read_documents(
    source: TokenSource, options: RowOptions, document: I64, seed: int, epoch: int
) -> Ragged[np.int64]:
    """Tokens of documents, at most `max_length` each.

    Parameters
    ----------
    source : TokenSource
    options : RowOptions
    document : (k,) int64
    seed, epoch : int

    Returns
    -------
    Ragged of int64
        (k, None)

    Raises
    ------
    InvalidDataError
        For a document that is longer, with ``truncation="error"``; and for a token that is 2**31
        or more with ``truncation="sample"``.
    """
    lengths, limit = source.lengths(document), options.max_length
    first = np.zeros(len(document), np.int64)
    long = np.zeros(len(document), np.bool_) if limit is None else lengths > limit
    if limit is None or not long.any():
        return Ragged.from_lengths(source.read(document, first, lengths), lengths)
    if options.truncation == "error":
        row = int(np.argmax(long))
        raise InvalidDataError(
            "document is too long",
            path=source.name(int(document[row])),
            expected=f"at most max_length={limit} tokens",
            got=int(lengths[row]),
            hint="truncation='first', 'window' or 'sample' makes it shorter.",
        )
    if options.truncation == "sample":
        return _sample(source, document, lengths, limit, (seed, epoch))
    if options.truncation == "window":
        places = lengths[long] - limit + 1
        first[long] = random_below(places, seed, epoch, document[long], stream=Stream.WINDOW)
    kept = np.minimum(lengths, limit)
    return Ragged.from_lengths(source.read(document, first, kept), kept)


def _sample(
    source: TokenSource, document: I64, lengths: I64, limit: int, key: tuple[int, int]
) -> Ragged[np.int64]:
    values = source.read(document, np.zeros_like(document), lengths)
    if len(values) and int(values.max()) >= 1 << 31:
        raise InvalidDataError("token out of range", expected="below 2**31", got=int(values.max()))
    options = OutputOptions(max_length=limit, truncation="sample", seed=key[0], epoch=key[1])
    documents = Documents(values.astype(np.int32), offsets_of(lengths))
    chosen = truncate(documents, options, document)
    return Ragged.from_lengths(chosen.values.astype(np.int64), np.diff(chosen.offsets))


def padded_rows(
    source: TokenSource, options: RowOptions, document: I64, seed: int, epoch: int
) -> Rows:
    """A row for each document, see `read_documents`; errors as there, and for a missing pad."""
    tokens = read_documents(source, options, document, seed, epoch)
    lengths = tokens.lengths
    longest = int(lengths.max(initial=0))
    width = longest if options.pad_to is None else options.pad_to
    if longest > width:
        row = int(np.argmax(lengths))
        raise InvalidDataError(
            "document is too long",
            path=source.name(int(document[row])),
            expected=f"at most pad_to={width} tokens",
            got=longest,
            hint=f"max_length={width} with a truncation makes it shorter.",
        )
    is_even = bool((lengths == width).all())
    ids = tokens.to_padded(0 if is_even else options.fill, width)
    mask = (np.arange(width) < lengths[:, None]).astype(np.int64)
    return Rows(document, ids, mask)
