"""Documents of tokens, and the arrays that a model takes: ragged, padded or packed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, get_args

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.threads import available_threads
from bigwig_loader.backend.token_rows import choose_tokens
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.ragged import Ragged, offsets_of, stretches
from bigwig_loader.sampling.rng import MAX_LANES, check_epoch, check_seed
from bigwig_loader.types import check_choice, check_positive

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
Form = Literal["ragged", "padded", "packed"]
Truncation = Literal["error", "first", "sample"]

_DTYPES = ("int32", "int64")
_MAX_PACKED = 2**31 - 1


@dataclass(frozen=True)
class Documents:
    """The tokens of D documents, one after the other.

    Parameters
    ----------
    values : (N,) int32
    offsets : (D + 1,) int64
        Those of document d are ``values[offsets[d]:offsets[d + 1]]``.
    names : tuple of str, optional
        What the documents are: paths, barcodes or cells.

    Raises
    ------
    InvalidInputError
        If they do not fit together.
    """

    values: I32
    offsets: I64
    names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        Ragged.from_offsets(self.values, len(self), self.offsets)
        if self.names is not None and len(self.names) != len(self):
            raise InvalidInputError(
                f"documents: expected a name for each of {len(self)}; got {len(self.names)}"
            )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, document: int) -> I32:
        """Tokens of one document."""
        try:
            number = range(len(self))[document]
        except IndexError:
            raise IndexError(f"document {document} of {len(self)}") from None
        return self.values[self.offsets[number] : self.offsets[number + 1]]

    def __iter__(self) -> Iterator[I32]:
        return (self[number] for number in range(len(self)))

    def name(self, document: int) -> str:
        """How an error names a document."""
        if self.names is None:
            return f"document {document}"
        return f"document {document} ({self.names[document]})"

    def to_ragged(self) -> Ragged[np.int32]:
        """The same as a `Ragged` of shape (D, None), sharing memory."""
        return Ragged(self.values, (len(self),), self.offsets)


class TokenBatch(Mapping[str, Any]):
    """Token ids as a model takes them, a mapping of arrays: ``model(**batch)`` works.

    ======  ======================================================================================
    form    arrays
    ======  ======================================================================================
    ragged  ``input_ids`` (N,), those of all documents; ``offsets`` (D + 1,) int64
    padded  ``input_ids`` (D, L), filled up with pad; ``attention_mask`` (D, L), 0 where padding
            was added and 1 elsewhere
    packed  ``input_ids`` (N,); ``cu_seqlens`` (D + 1,) int32, as FlashAttention takes them;
            ``max_seqlen``, an int: tokens of the longest document
    ======  ======================================================================================

    Parameters
    ----------
    arrays : dict of str to array
        By name; also attributes of the batch.
    names : tuple of str, optional
        What the documents are: paths, barcodes or cells.
    """

    def __init__(self, arrays: dict[str, Any], names: tuple[str, ...] | None = None) -> None:
        self._arrays = arrays
        self.names = names

    def __getitem__(self, key: str) -> Any:
        return self._arrays[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __getattr__(self, name: str) -> Any:
        # Not self._arrays: while an object is unpickled it is not there yet.
        arrays = self.__dict__.get("_arrays", {})
        if name not in arrays:
            raise AttributeError(f"a TokenBatch of {', '.join(arrays)} has no {name!r}")
        return arrays[name]

    def __repr__(self) -> str:
        shapes = [f"{k}={tuple(v.shape)}" for k, v in self._arrays.items() if hasattr(v, "shape")]
        return f"TokenBatch({', '.join(shapes)})"


class OutputArguments(TypedDict, total=False):
    """Arguments of a tokenizer that say what its output looks like, see `OutputOptions`."""

    output: Form
    max_length: int | None
    truncation: Truncation
    seed: int | None
    epoch: int
    pad_to: int | None
    dtype: Literal["int32", "int64"] | None


@dataclass(frozen=True)
class OutputOptions:
    """What the output looks like.

    Parameters
    ----------
    output : {"ragged", "padded", "packed"}
        See `TokenBatch`.
    max_length : int, optional
        Tokens that a document may have.
    truncation : {"error", "first", "sample"}
        What becomes of longer ones: an error, the first `max_length` tokens, or a random subset
        of so many, which stay in order. A subset depends on seed, epoch, the number of the
        document and its length, and on nothing else; all are equally likely.
    seed, epoch : int
        For ``truncation="sample"``, which needs a seed.
    pad_to : int, optional
        Width of padded output; by default that of the longest document.
    dtype : {"int32", "int64"}, optional
        Of ids and mask; by default int32, and int64 (``torch.long``) for torch.

    Raises
    ------
    InvalidInputError
        For any other value.
    """

    output: Form = "ragged"
    max_length: int | None = None
    truncation: Truncation = "error"
    seed: int | None = None
    epoch: int = 0
    pad_to: int | None = None
    dtype: Literal["int32", "int64"] | None = None

    def __post_init__(self) -> None:
        check_choice("output", self.output, get_args(Form))
        check_choice("truncation", self.truncation, get_args(Truncation))
        if self.dtype is not None:
            check_choice("dtype", self.dtype, _DTYPES)
        for name in ("max_length", "pad_to"):
            if getattr(self, name) is not None:
                check_positive(name, getattr(self, name))
        if self.pad_to is not None and self.output != "padded":
            raise InvalidInputError(
                f"argument pad_to: expected with output='padded' only; got output={self.output!r}"
            )
        if self.truncation != "error" and self.max_length is None:
            raise InvalidInputError(
                f"argument max_length: expected a number with truncation={self.truncation!r}; "
                "got None"
            )
        check_epoch(self.epoch)
        if self.truncation == "sample":
            check_seed(self.seed)
            if self.max_length is not None and self.max_length > MAX_LANES:
                raise InvalidInputError(
                    f"argument max_length: expected at most {MAX_LANES} with "
                    f"truncation='sample'; got {self.max_length}"
                )


def truncate(
    documents: Documents,
    options: OutputOptions,
    index: I64 | None = None,
    n_threads: int | None = None,
) -> Documents:
    """Documents of at most ``options.max_length`` tokens.

    Parameters
    ----------
    documents : Documents
        D documents.
    options : OutputOptions
    index : (D,) int64, optional
        Numbers of the documents, >= 0, which random subsets depend on; 0 to D - 1 by default.
    n_threads : int, optional

    Raises
    ------
    InvalidInputError
        For a longer document with ``truncation="error"``.
    """
    limit, lengths = options.max_length, np.diff(documents.offsets)
    if limit is None or int(lengths.max(initial=0)) <= limit:
        return documents
    if options.truncation == "error":
        longer = int(np.argmax(lengths > limit))
        raise InvalidInputError(
            f"{documents.name(longer)}: expected at most max_length={limit} tokens; "
            f"got {lengths[longer]}. truncation='first' or 'sample' makes it shorter"
        )
    if options.truncation == "first":
        kept = np.minimum(lengths, limit)
        values = documents.values[stretches(documents.offsets[:-1], kept)]
        return Documents(values, offsets_of(kept), documents.names)
    numbers = np.arange(len(documents)) if index is None else index
    values, offsets = choose_tokens(
        np.ascontiguousarray(documents.values, np.int32),
        np.ascontiguousarray(documents.offsets, np.int64),
        limit,
        (check_seed(options.seed), options.epoch),
        np.ascontiguousarray(numbers, np.int64),
        n_threads or available_threads(),
    )
    return Documents(values, offsets, documents.names)


def shape_documents(
    documents: Documents,
    options: OutputOptions,
    pad_id: int,
    index: I64 | None = None,
    n_threads: int | None = None,
) -> TokenBatch:
    """Documents as NumPy arrays, see `TokenBatch`.

    Parameters
    ----------
    documents : Documents
    options : OutputOptions
    pad_id : int
    index, n_threads
        As in `truncate`.

    Raises
    ------
    InvalidInputError
        For a document longer than `max_length` with ``truncation="error"``, or than `pad_to`.
    """
    documents = truncate(documents, options, index, n_threads)
    dtype = np.dtype(options.dtype or np.int32)
    values, offsets = documents.values.astype(dtype, copy=False), documents.offsets
    lengths = np.diff(offsets)
    longest = int(lengths.max(initial=0))
    if options.output == "ragged":
        return TokenBatch({"input_ids": values, "offsets": offsets}, documents.names)
    if options.output == "packed":
        if int(offsets[-1]) > _MAX_PACKED:
            raise InvalidInputError(
                f"packed output: expected at most {_MAX_PACKED} tokens; got {offsets[-1]}. "
                "Tokenize fewer documents at once"
            )
        ends = offsets.astype(np.int32)
        arrays = {"input_ids": values, "cu_seqlens": ends, "max_seqlen": longest}
        return TokenBatch(arrays, documents.names)
    width = longest if options.pad_to is None else options.pad_to
    if width < longest:
        raise InvalidInputError(
            f"{documents.name(int(np.argmax(lengths)))}: expected at most pad_to={width} tokens; "
            f"got {longest}. With max_length={width} and a truncation it gets shorter"
        )
    mask = np.arange(width) < lengths[:, None]
    ids = np.full(mask.shape, pad_id, dtype)
    ids[mask] = values
    return TokenBatch({"input_ids": ids, "attention_mask": mask.astype(dtype)}, documents.names)
