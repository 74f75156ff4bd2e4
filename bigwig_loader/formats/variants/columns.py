"""FILTER, INFO and allele frequencies: filters over them, and columns of the table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidDataError, InvalidInputError, NotFoundError
from bigwig_loader.formats.variants.block import Block
from bigwig_loader.formats.variants.options import COLUMNS, VariantOptions

# Number and type of the columns beside INFO, in VCF's words.
_FIXED = {"FILTER": ("1", "String"), "ID": ("1", "String"), "QUAL": ("1", "Float")}
_DTYPES: dict[str, np.dtype[Any]] = {
    "Integer": np.dtype(np.float64),  # exact up to 2^53, and NaN where there is no value
    "Float": np.dtype(np.float32),
    "Flag": np.dtype(np.bool_),
    "String": np.dtype(np.str_),
    "Character": np.dtype(np.str_),
}

Fields = Mapping[str, tuple[str, str]]


def check_fields(options: VariantOptions, fields: Fields, path: str) -> None:
    """Refuse fields that a source does not have, or that have no one value per variant.

    Parameters
    ----------
    options : VariantOptions
    fields : mapping of str to (str, str)
        Number and type of each INFO field of the source.
    path : str

    Raises
    ------
    NotFoundError, InvalidInputError
    """
    for name in options.fields:
        if name not in fields and name not in COLUMNS:
            raise NotFoundError.among("INFO field", name, [*fields, *COLUMNS], path)
    for name in options.info:
        number, _ = fields.get(name) or _FIXED[name]
        if number not in ("0", "1", "A", "R"):
            raise InvalidInputError(
                f"variant option info: expected fields with one value per record or allele; "
                f"got {name!r} of {path} with Number={number}"
            )
    for name in options.info_filter:
        _, kind = fields.get(name) or _FIXED[name]
        if kind not in ("Integer", "Float"):
            raise InvalidInputError(
                f"variant option info_filter: expected fields that hold numbers; "
                f"got {name!r} of {path}, which is of type {kind}"
            )


def passing(block: Block, options: VariantOptions) -> dict[str, npt.NDArray[np.bool_]]:
    """Which records pass each filter on FILTER and INFO: (n,) by the filter's name."""
    found = {}
    if options.filters is not None:
        allowed = frozenset(options.filters)
        found["FILTER"] = np.array([allowed.issuperset(v) for v in block.fields["FILTER"]], bool)
    for name, (low, high) in options.info_filter.items():
        bounds = (-np.inf if low is None else low, np.inf if high is None else high)
        found[name] = np.array([_any_inside(v, *bounds) for v in block.fields[name]], bool)
    return found


def _any_inside(value: Any, low: float, high: float) -> bool:
    values = value if isinstance(value, tuple) else (value,)
    return any(v is not None and low <= v <= high for v in values)


def column(
    block: Block,
    name: str,
    fields: Fields,
    rows: npt.NDArray[np.int64],
    alleles: npt.NDArray[np.int64],
) -> npt.NDArray[np.generic]:
    """A column of the table, for variants that come from some alleles of a block's records.

    Parameters
    ----------
    block : Block
    name : str
    fields : mapping
        See `check_fields`.
    rows, alleles : (V,) int64
        Record and ALT allele (from 1) of each variant.

    Returns
    -------
    (V,) array
        Float fields float32, Integer float64, both NaN where there is no value; Flag bool; others
        str, empty where there is no value.
    """
    number, kind = fields.get(name) or _FIXED[name]
    dtype = _DTYPES.get(kind, _DTYPES["String"])
    values = block.fields[name]
    if number in ("A", "R"):
        first = 1 if number == "A" else 0
        pairs = zip(rows.tolist(), alleles.tolist(), strict=True)
        chosen: Iterable[Any] = (_of_allele(values[row], allele - first) for row, allele in pairs)
    else:
        chosen = (values[row] for row in rows.tolist())
    if dtype.kind == "b":
        return np.array([bool(v) for v in chosen], dtype=dtype)
    if dtype.kind == "U":
        return np.array([_text(v) for v in chosen], dtype=dtype)
    return np.array([np.nan if v is None else v for v in chosen], dtype=dtype)


def frequencies(
    block: Block, rows: npt.NDArray[np.int64], alleles: list[list[int]] | None
) -> npt.NDArray[np.float32]:
    """INFO/AF of variants: the sum over their ALT alleles; NaN where there is none.

    Parameters
    ----------
    block : Block
        With a field ``"AF"``.
    rows : (V,) int64
    alleles : list of V lists of int, optional
        ALT alleles (from 1) that hold each variant; the first one by default.
    """
    values = block.fields["AF"]
    found = np.empty(len(rows), dtype=np.float32)
    for i, row in enumerate(rows.tolist()):
        value = values[row]
        held = (1,) if alleles is None else alleles[i]
        parts = [_of_allele(value, allele - 1) for allele in held]
        found[i] = np.nan if None in parts else min(sum(parts), 1.0)
    return found


def _of_allele(value: Any, place: int) -> Any:
    values = value if isinstance(value, tuple) else (value,)
    return values[place] if place < len(values) else None


def _text(value: Any) -> str:
    if value is None:
        return ""
    return ";".join(map(str, value)) if isinstance(value, tuple) else str(value)


def check_alleles(block: Block, path: str) -> None:
    """Refuse genotypes that name an allele which their record does not have."""
    calls = block.calls
    wrong = np.flatnonzero(calls.allele > block.n_alts[calls.row])
    if wrong.size:
        row = int(calls.row[wrong[0]])
        raise InvalidDataError(
            f"record {int(block.record[row]):,} at {block.contig}:{int(block.position[row]) + 1} "
            "has a genotype with an allele that is not there",
            path=path,
            expected=f"alleles 0 to {int(block.n_alts[row])}",
            got=int(calls.allele[wrong[0]]),
        )
