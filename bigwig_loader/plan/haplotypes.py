"""What haplotypes a caller asks for: windows of samples, lengths, encodings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidInputError
from bigwig_loader.plan.sequence import UnknownBases
from bigwig_loader.types import DtypeName, check_choice

Overlap = Literal["first", "bcftools", "window"]
Encoding = Literal["onehot", "bytes", "codes", "tokens"]
HaplotypeLayout = Literal["BPLA", "BPAL"]
TokenDtype = Literal["uint8", "int16", "int32", "int64"]

N_CODES = 16
# Bit of an entry of a haplotype's list: all but the variant's anchor base is applied.
WITHOUT_ANCHOR = 1 << 30
# What `tokens` are by default: A, C, G, T and all else.
TOKENS = tuple({1: 0, 2: 1, 4: 2, 8: 3}.get(code, 4) for code in range(N_CODES))


@dataclass(frozen=True)
class HaplotypeWindows:
    """B windows of the reference, each of one sample, to be seen on its P haplotypes.

    Parameters
    ----------
    contig_index : (B,) int32
        Into the contigs of the variants.
    start, end : (B,) int64
        0-based half-open; may lie outside the contig, as a whole too.
    sample : (B,) int64
        Into the samples of the genotypes; -1 for the reference itself.
    reverse : (B,) bool, optional
        Windows to deliver as reverse complement, after length and shift were applied.
    shift : (B, P) int64, optional
        Leading haplotype bases to leave out.
    length_bp : int, optional
        Haplotype bases from `start` on, over `end` where it takes that; None for what lies in
        the window, whose length varies.
    """

    contig_index: npt.NDArray[np.int32]
    start: npt.NDArray[np.int64]
    end: npt.NDArray[np.int64]
    sample: npt.NDArray[np.int64]
    reverse: npt.NDArray[np.bool_] | None = None
    shift: npt.NDArray[np.int64] | None = None
    length_bp: int | None = None
    # What a backend made of these windows, so that sequence and tracks share it.
    made: dict[object, object] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        for name, dtype in (
            ("contig_index", np.int32),
            ("start", np.int64),
            ("end", np.int64),
            ("sample", np.int64),
            ("reverse", np.bool_),
            ("shift", np.int64),
        ):
            given = getattr(self, name)
            if given is not None:
                object.__setattr__(self, name, np.ascontiguousarray(given, dtype=dtype))
        n = self.start.shape
        fields = (self.contig_index, self.end, self.sample, self.reverse)
        if self.start.ndim != 1 or any(x is not None and x.shape != n for x in fields):
            raise InvalidInputError("haplotype windows: expected arrays of one length (B,)")
        if (self.end < self.start).any():
            raise InvalidInputError("haplotype windows: expected start <= end")
        if self.length_bp is not None and self.length_bp < 1:
            raise InvalidInputError(
                f"haplotype windows: expected length_bp >= 1; got {self.length_bp}"
            )

    def __len__(self) -> int:
        return len(self.start)

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"made": {}}


@dataclass(frozen=True)
class HaplotypeOptions:
    """How the bases of haplotypes are encoded.

    Parameters
    ----------
    encoding : {"onehot", "bytes", "codes", "tokens"}
        ``"bytes"``: upper-case letters, dtype S1; a position outside the contig is N, and the
        reverse complement turns only A, C, G and T. ``"codes"``: the 4-bit sets of letters of
        `Genome`, uint8; outside is 0. ``"tokens"``: integers by `tokens`.
    dtype : str, optional
        Of one-hot: one of ``"float32"`` (default), ``"float16"``, ``"bfloat16"``, ``"uint8"``,
        ``"int8"``. Of tokens: one of ``"uint8"``, ``"int16"``, ``"int32"``, ``"int64"``
        (default). The others have one dtype.
    layout : {"BPLA", "BPAL"}
        Of one-hot: (batch, ploid, length, 4) or (batch, ploid, 4, length); ragged rows are
        always (length, 4).
    unknown : {"zero", "fraction"}
        Of one-hot; see `SequenceOptions`.
    tokens : (16,) tuple of int
        Token of every 4-bit code. Default: A 0, C 1, G 2, T 3, all else 4.

    Raises
    ------
    InvalidInputError
        For an unknown name, or a combination that has no meaning.
    """

    encoding: Encoding = "onehot"
    dtype: str | None = None
    layout: HaplotypeLayout = "BPLA"
    unknown: UnknownBases = "zero"
    tokens: tuple[int, ...] = TOKENS

    def __post_init__(self) -> None:
        check_choice("encoding", self.encoding, get_args(Encoding))
        check_choice("layout", self.layout, get_args(HaplotypeLayout))
        check_choice("unknown", self.unknown, get_args(UnknownBases))
        allowed = {
            "onehot": get_args(DtypeName),
            "tokens": ("int64", *get_args(TokenDtype)),
            "bytes": ("uint8",),
            "codes": ("uint8",),
        }[self.encoding]
        if self.dtype is None:
            object.__setattr__(self, "dtype", allowed[0])
        elif self.dtype not in allowed:
            raise InvalidInputError(
                f"argument dtype: expected one of {', '.join(dict.fromkeys(allowed))} with "
                f"encoding {self.encoding!r}; got {self.dtype!r}"
            )
        if self.unknown == "fraction" and self.dtype in ("uint8", "int8"):
            raise InvalidInputError(
                "argument unknown: expected 'zero' with an integer dtype, which has no "
                f"fractions; got 'fraction' with dtype {self.dtype!r}. Use a float dtype"
            )
        if len(self.tokens) != N_CODES:
            raise InvalidInputError(
                f"argument tokens: expected {N_CODES} integers, one for each 4-bit code; "
                f"got {len(self.tokens)}"
            )

    @property
    def letters(self) -> int:
        """Elements of a base: 4 of one-hot, else 1."""
        return 4 if self.encoding == "onehot" else 1

    def shape(self, n_windows: int, ploidy: int, length_bp: int) -> tuple[int, ...]:
        """Shape of the array of windows of one length."""
        if self.encoding != "onehot":
            return (n_windows, ploidy, length_bp)
        if self.layout == "BPLA":
            return (n_windows, ploidy, length_bp, 4)
        return (n_windows, ploidy, 4, length_bp)
