"""What the 4-bit codes of bases become: the tables that the encoder of haplotypes copies from."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.cpu.sequence import one_hot_table
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.formats.packed import CODE_LETTERS
from bigwig_loader.plan.haplotypes import N_CODES, HaplotypeOptions
from bigwig_loader.plan.sequence import SequenceOptions
from bigwig_loader.types import numpy_dtype


@functools.cache
def encoding_tables(options: HaplotypeOptions) -> npt.NDArray[Any]:
    """What every code becomes, (2, 16, letters): as it is, and in reverse complement."""
    codes = np.arange(N_CODES)
    complement = np.array([int(f"{code:04b}"[::-1], 2) for code in range(N_CODES)])
    if options.encoding == "onehot":
        dtype: Any = options.dtype
        table = one_hot_table(SequenceOptions(dtype=dtype, unknown=options.unknown))
        return np.ascontiguousarray(np.stack([table, table[complement]]))
    if options.encoding == "bytes":
        letters = np.frombuffer(b"N" + CODE_LETTERS[1:], dtype=np.uint8)
        known = np.isin(codes, (1, 2, 4, 8))
        return np.stack([letters, np.where(known, letters[complement], letters)])[..., None]
    rows = codes if options.encoding == "codes" else np.array(options.tokens)
    tokens = np.stack([rows, rows[complement]])[..., None]
    made = tokens.astype(options.dtype if options.encoding == "tokens" else numpy_dtype("uint8"))
    if (made != tokens).any():
        raise InvalidInputError(
            f"argument tokens: expected integers of dtype {options.dtype}; got {options.tokens}"
        )
    return np.ascontiguousarray(made)
