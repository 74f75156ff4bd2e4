"""Sites of a VCF as a table: variants without genotypes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bigwig_loader.errors import InvalidDataError, NotFoundError
from bigwig_loader.formats.text import read_pieces
from bigwig_loader.types import PathLike

if TYPE_CHECKING:
    import pandas as pd

SITE_COLUMNS = ("CHROM", "POS", "REF", "ALT")
_ATTRIBUTES = {"ID": 2, "QUAL": 5, "FILTER": 6}
_N_EXAMPLES = 3
_PIECE_BYTES = 1 << 22


def sites_vcf_to_table(
    vcf: PathLike,
    attributes: Sequence[str] | None = None,
    info_fields: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Sites of a VCF as a table; genotypes, if there are any, are not read.

    Parameters
    ----------
    vcf : path-like
        Plain, bgzip or gzip.
    attributes : sequence of str, optional
        Further columns among ``"ID"``, ``"QUAL"`` and ``"FILTER"``.
    info_fields : sequence of str, optional
        INFO fields to have as columns: flags as bool, single numbers as float64 (Int64 for
        integers), everything else as text. Missing where a record lacks them.

    Returns
    -------
    DataFrame
        ``CHROM``, ``POS`` (1-based, as in the file), ``REF``, ``ALT``, then what was asked for.

    Raises
    ------
    NotFoundError
        If there is no such file, or for a field that its header does not name.
    InvalidDataError
        For a line that is no record, and for records with several ALT alleles or none: how many,
        and the first ones.
    """
    reader = _Reader(os.fspath(vcf), _strings(attributes), _strings(info_fields))
    reader.read()
    return reader.frame()


class _Reader:
    """Goes through the lines of a VCF and keeps the columns wanted."""

    def __init__(self, path: str, attributes: tuple[str, ...], fields: tuple[str, ...]) -> None:
        for name in attributes:
            if name not in (*_ATTRIBUTES, *SITE_COLUMNS):
                raise NotFoundError.among("attribute", name, _ATTRIBUTES, "VCF records")
        self._path = path
        self._attributes = {n: _ATTRIBUTES[n] for n in attributes if n in _ATTRIBUTES}
        self._fields = fields
        self._kinds: dict[str, tuple[str, str]] = {}  # type and number of INFO fields
        names = (*SITE_COLUMNS, *self._attributes, *fields)
        self._columns: dict[str, list[Any]] = {name: [] for name in dict.fromkeys(names)}
        self._examples: list[str] = []
        self._n_refused = 0
        self._n_lines = 0

    def read(self) -> None:
        """Take all lines."""
        for number, line in _lines(self._path):
            self._n_lines = number
            if line.startswith("##INFO="):
                self._note_kind(line)
            elif line and not line.startswith("#"):
                self._add(number, line)

    def _note_kind(self, line: str) -> None:
        items = line[len("##INFO=<") :].split(",")
        named = dict(item.partition("=")[::2] for item in items)
        if "ID" in named:
            self._kinds[named["ID"]] = named.get("Type", "String"), named.get("Number", "1")

    def _add(self, number: int, line: str) -> None:
        parts = line.split("\t", 8)
        if len(parts) < 8 or not parts[1].isdigit():
            raise InvalidDataError(
                f"line {number} is no VCF record",
                path=self._path,
                field=f"line {number}",
                expected="CHROM, POS, ID, REF, ALT, QUAL, FILTER and INFO, separated by tabs",
                got=repr(line[:80]),
            )
        chrom, pos, _, ref, alt = parts[:5]
        if "," in alt or alt == ".":
            self._n_refused += 1
            if len(self._examples) < _N_EXAMPLES:
                self._examples.append(f"{chrom}:{pos} {ref}>{alt}")
            return
        for name, value in zip(SITE_COLUMNS, (chrom, int(pos), ref, alt), strict=True):
            self._columns[name].append(value)
        for name, place in self._attributes.items():
            self._columns[name].append(parts[place])
        if self._fields:
            info = dict(item.partition("=")[::2] for item in parts[7].split(";"))
            for name in self._fields:
                self._columns[name].append(info.get(name))

    def frame(self) -> pd.DataFrame:
        """The records that were read."""
        import pandas as pd

        for name in self._fields:
            if name not in self._kinds:
                raise NotFoundError.among("INFO field", name, self._kinds, self._path)
        if self._n_refused:
            more = ", ..." if self._n_refused > len(self._examples) else ""
            raise InvalidDataError(
                f"{self._n_refused:,} records do not have one ALT allele",
                path=self._path,
                expected="one REF and one ALT allele in every record",
                got=", ".join(self._examples) + more,
                hint="Split and filter them: bcftools norm -m- FILE | bcftools view -e 'ALT=\".\"'",
            )
        if not self._columns["POS"]:
            raise InvalidDataError(
                "a VCF without records",
                path=self._path,
                expected="sites",
                got=f"none in {self._n_lines:,} lines",
            )
        return pd.DataFrame({name: self._typed(name) for name in self._columns})

    def _typed(self, name: str) -> Any:
        import pandas as pd

        values = self._columns[name]
        of_type, number = self._kinds[name] if name in self._fields else ("String", "1")
        if name == "POS":
            return np.array(values, np.int64)
        if of_type == "Flag":
            return np.array([value is not None for value in values])
        single = of_type in ("Integer", "Float") and number == "1"
        if not single and name != "QUAL":
            return pd.Series(values, dtype="str")
        missing = np.array([value in (None, ".") for value in values])
        try:
            numbers = np.array([0.0 if value in (None, ".") else float(value) for value in values])
        except ValueError as error:
            raise InvalidDataError(
                f"a value of {name} is no number", path=self._path, field=name, got=str(error)
            ) from error
        if of_type == "Integer":
            return pd.arrays.IntegerArray(numbers.astype(np.int64), missing)
        return np.where(missing, np.nan, numbers)


def _strings(names: Sequence[str] | None) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names or ())


def _lines(path: str) -> Iterator[tuple[int, str]]:
    """Lines with their numbers from 1; binary files raise."""
    held, number = b"", 0
    for piece in read_pieces(path, _PIECE_BYTES):
        if not number and not held and not piece.startswith(b"##fileformat=VCF"):
            raise InvalidDataError(
                "not a VCF file",
                path=path,
                offset=0,
                expected="##fileformat=VCF",
                got=repr(piece[:16])[1:],
                hint="BCF can be converted: bcftools view FILE.bcf -o FILE.vcf.gz",
            )
        *whole, held = (held + piece).split(b"\n")
        for line in whole:
            number += 1
            yield number, line.decode("utf-8", "replace").rstrip("\r")
    if held:
        yield number + 1, held.decode("utf-8", "replace").rstrip("\r")
