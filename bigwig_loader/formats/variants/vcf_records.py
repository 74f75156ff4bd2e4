"""Records as cyvcf2 gives them, to blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import BigWigLoaderError, InvalidDataError
from bigwig_loader.formats.variants.block import (
    ABSENT,
    MISSING,
    Block,
    Request,
    dense_calls,
    letters_of_alts,
    records_per_block,
)
from bigwig_loader.formats.variants.letters import Letters
from bigwig_loader.formats.variants.sites import SortedContigs


class Builder:
    """Makes blocks of records.

    Parameters
    ----------
    path : str
        For errors.
    read : tuple of str
        Samples as the records have them.
    request : Request
    has_genotypes : bool
        Whether the header declares GT. If so, a record without it has missing genotypes.
    """

    def __init__(
        self, path: str, read: tuple[str, ...], request: Request, has_genotypes: bool
    ) -> None:
        self._path, self._request, self._has_genotypes = path, request, has_genotypes
        place = {name: i for i, name in enumerate(read)}
        columns = np.array([place[name] for name in request.samples], dtype=np.int64)
        self._columns = None if (columns == np.arange(len(place))).all() else columns
        self._n_samples = len(read)
        self._dense = np.empty((records_per_block(len(read)), len(read), 3), dtype=np.int16)
        self._order = SortedContigs(path)
        self._clear()

    def _clear(self) -> None:
        self._numbers: list[int] = []
        self._starts: list[int] = []
        self._refs: list[str] = []
        self._alts: list[list[str]] = []
        self._values: dict[str, list[Any]] = {name: [] for name in self._request.fields}
        self._ploidy: dict[int, int] = {}  # of rows with more than two alleles

    def blocks(self, records: Iterable[tuple[int, Any]]) -> Iterator[Block]:
        """Blocks of numbered records, in their order.

        Raises
        ------
        InvalidDataError
            For what cannot be read, and records that are not sorted.
        """
        contig, row, last = "", 0, None
        size, dense, has_samples = len(self._dense), self._dense, self._n_samples > 0
        shape, fields = dense.shape[1:], self._request.fields
        try:
            for number, record in records:
                if row == size or (contig != record.CHROM and row):
                    yield self._take(contig)
                    row = 0
                if row == 0:
                    contig = record.CHROM
                self._numbers.append(number)
                self._starts.append(record.start)
                self._refs.append(record.REF)
                self._alts.append(record.ALT)
                if has_samples:
                    alleles = _alleles_of(record)
                    if alleles is not None and alleles.shape == shape:
                        dense[row] = alleles
                    else:
                        self._put(row, alleles)
                if fields:
                    self._put_fields(record)
                row, last = row + 1, record
        except BigWigLoaderError:
            raise
        except Exception as error:
            raise unreadable(self._path, last, error) from error
        if row:
            yield self._take(contig)

    def _put_fields(self, record: Any) -> None:
        for name, values in self._values.items():
            values.append(_field_of(record, name))

    def _put(self, row: int, alleles: npt.NDArray[np.int16] | None) -> None:
        """Genotypes that are not all diploid at most, or none."""
        if alleles is None and not self._has_genotypes:
            raise InvalidDataError(
                "no genotypes",
                path=self._path,
                field="FORMAT",
                expected="GT in the header and in its records",
                hint="To read the variants alone, pass samples=()",
            )
        if alleles is not None and alleles.shape[1] == 2:
            self._dense[row, :, 0] = alleles[:, 0]
            self._dense[row, :, 1:] = (ABSENT, 1)
            return
        self._dense[row] = (MISSING, MISSING, 1)
        if alleles is not None:
            self._ploidy[row] = alleles.shape[1] - 1

    def _take(self, contig: str) -> Block:
        """What is there, as a block; what follows goes to the next one."""
        n = len(self._numbers)
        record = np.array(self._numbers, dtype=np.int64)
        position = np.array(self._starts, dtype=np.int64)
        self._order.check(contig, int(record[0]), position)
        dense = self._dense[:n]
        if self._columns is not None:
            dense = dense[:, self._columns]
        calls = dense_calls(dense[..., :2], dense[..., 2] != 0, self._request)
        for row, ploidy in self._ploidy.items():
            calls.ploidy[row] = min(ploidy, 255)
        alt, n_alts = letters_of_alts(self._alts)
        ref = Letters.of(self._refs)
        block = Block(contig, record, position, ref, alt, n_alts, calls, self._values)
        self._clear()
        return block


def guarded(records: Iterable[Any], path: str) -> Iterator[Any]:
    """Records; what htslib cannot read is an error that says after which record."""
    last = None
    try:
        for record in records:
            yield record
            last = record
    except BigWigLoaderError:
        raise
    except Exception as error:
        raise unreadable(path, last, error) from error


def unreadable(path: str, last: Any, error: Exception) -> InvalidDataError:
    """The error for a record that htslib cannot read, after the record `last`."""
    where = "the first record" if last is None else f"the record after {last.CHROM}:{last.POS}"
    return InvalidDataError(
        f"{where} cannot be read",
        path=path,
        expected="a complete file with as many columns as samples",
        got=str(error),
        hint="The file is damaged or truncated; get or make it anew",
    )


def _alleles_of(record: Any) -> npt.NDArray[np.int16] | None:
    """Allele numbers and phase, (S, ploidy + 1); None for a record without GT."""
    try:
        alleles: npt.NDArray[np.int16] = record.genotype.array()
    except Exception:
        if "GT" in record.FORMAT:
            raise
        return None
    return alleles


def _field_of(record: Any, name: str) -> Any:
    if name == "FILTER":
        return tuple(record.FILTERS) or (".",)
    if name == "ID" or name == "QUAL":
        return getattr(record, name)
    return record.INFO.get(name)
