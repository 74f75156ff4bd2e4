"""PGEN files of PLINK 2, read with pgenlib."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidDataError, NotFoundError
from bigwig_loader.formats.variants.block import (
    MISSING,
    Block,
    Request,
    dense_calls,
    letters_of_alts,
    records_per_block,
)
from bigwig_loader.formats.variants.kept import Kept, file_key
from bigwig_loader.formats.variants.missing import package
from bigwig_loader.formats.variants.pvar import Pvar, read_psam, read_pvar
from bigwig_loader.types import PathLike

_PVAR_ENDS = (".pvar", ".pvar.zst", ".pvar.gz")

_pvars: Kept[Pvar] = Kept(2)


class Pgen:
    """A PGEN file, with the .pvar (also .pvar.zst) and the .psam beside it.

    Hard calls are read, with their phase; dosages are not.

    Parameters
    ----------
    path : path-like
        With or without its suffix ``.pgen``.

    Attributes
    ----------
    path : str
    samples : tuple of str
        In the order of the file.
    contigs : dict of str to int or None
        Contigs with their lengths, where the header of the .pvar tells.
    fields : dict of str to (str, str)
        INFO fields that the .pvar declares, with number and type.

    Raises
    ------
    NotFoundError
        If one of the three files is missing.
    """

    ploidy = 2

    def __init__(self, path: PathLike) -> None:
        given = os.fspath(path)
        stem = given.removesuffix(".pgen")
        self.path = stem + ".pgen"
        there = [stem + end for end in _PVAR_ENDS if os.path.isfile(stem + end)]
        self._pvar_path, self._psam_path = (there or [stem + ".pvar"])[0], stem + ".psam"
        for name in (self.path, self._pvar_path, self._psam_path):
            if not os.path.isfile(name):
                raise NotFoundError(
                    f"unknown file {name!r}: expected a .pgen, a .pvar and a .psam of one name"
                )

    def __repr__(self) -> str:
        return f"Pgen({self.path!r})"

    @cached_property
    def samples(self) -> tuple[str, ...]:
        """Sample names, in the order of the file."""
        return read_psam(self._psam_path)

    @property
    def contigs(self) -> Mapping[str, int | None]:
        """Contigs, with their lengths where they are told."""
        return self._pvar.contigs

    @property
    def fields(self) -> Mapping[str, tuple[str, str]]:
        """INFO fields that the .pvar declares, with number and type."""
        return self._pvar.fields

    @property
    def _pvar(self) -> Pvar:
        return _pvars.get(file_key(self._pvar_path), lambda: read_pvar(self._pvar_path))

    def blocks(self, request: Request) -> Iterator[Block]:
        """Records in the order of the file, in blocks of one contig."""
        pvar = self._pvar
        place = {name: i for i, name in enumerate(self.samples)}
        columns = np.array([place[name] for name in request.samples], dtype=np.int64)
        reader = self._open(pvar, columns)
        size = records_per_block(max(len(columns), 1))
        # pgenlib gives samples in the order of the file.
        order = np.argsort(np.argsort(columns, kind="stable"), kind="stable")
        wanted = None if request.spans is None else pvar.sites.wanted(request.spans)
        for contig, sites in pvar.sites.contigs.items():
            if wanted is not None and contig not in wanted:
                continue
            rows = np.arange(len(sites.start)) if wanted is None else wanted[contig]
            for i in range(0, len(rows), size):
                yield self._block(reader, contig, sites.first + rows[i : i + size], order, request)

    def _open(self, pvar: Pvar, columns: npt.NDArray[np.int64]) -> Any:
        if len(columns) == 0:
            return None
        pgenlib = package("pgenlib", "PGEN files")
        n_alleles = np.array([max(len(alts), 1) + 1 for alts in pvar.alts], dtype=np.uintp)
        offsets = None
        if (n_alleles > 2).any():
            offsets = np.concatenate([np.zeros(1, np.uintp), np.cumsum(n_alleles)])
        subset = None if len(columns) == len(self.samples) else np.sort(columns).astype(np.uint32)
        try:
            return pgenlib.PgenReader(
                self.path.encode(),
                raw_sample_ct=len(self.samples),
                variant_ct=len(pvar),
                sample_subset=subset,
                allele_idx_offsets=offsets,
            )
        except Exception as error:
            raise self._damaged(error) from error

    def _block(
        self,
        reader: Any,
        contig: str,
        numbers: npt.NDArray[np.int64],
        order: npt.NDArray[np.int64],
        request: Request,
    ) -> Block:
        pvar, n = self._pvar, len(numbers)
        alleles = np.empty((n, 2 * len(order)), dtype=np.int32)
        phased = np.empty((n, len(order)), dtype=np.uint8)
        if reader is not None:
            try:
                reader.read_alleles_and_phasepresent_list(
                    numbers.astype(np.uint32), alleles, phased
                )
            except Exception as error:
                raise self._damaged(error) from error
        dense = alleles.reshape(n, len(order), 2)[:, order]
        dense[dense < 0] = MISSING
        rows = numbers.tolist()
        alt, n_alts = letters_of_alts([pvar.alts[row] for row in rows])
        return Block(
            contig,
            numbers,
            pvar.position[numbers],
            pvar.ref.take(numbers),
            alt,
            n_alts,
            dense_calls(dense, phased[:, order] != 0, request),
            {name: pvar.values(name, rows) for name in request.fields},
        )

    def _damaged(self, error: Exception) -> InvalidDataError:
        message = error.args[0] if error.args else ""
        text = message.decode() if isinstance(message, bytes) else str(message)
        return InvalidDataError(
            f"not a readable PGEN file ({text.strip()})",
            path=self.path,
            expected=f"the {len(self._pvar):,} variants of {self._pvar_path} and the "
            f"{len(self.samples):,} samples of {self._psam_path}",
        )
