"""Folders .svar: sparse genotypes as genoray writes them, read without it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import InvalidDataError, NotFoundError
from bigwig_loader.formats.variants.block import Block, Calls, Request, letters_of_alts
from bigwig_loader.formats.variants.kept import Kept, file_key
from bigwig_loader.formats.variants.missing import package
from bigwig_loader.formats.variants.pvar import Pvar, table_of_records
from bigwig_loader.types import PathLike

_RECORDS_PER_BLOCK = 1 << 15
_FILES = ("metadata.json", "index.arrow", "offsets.npy", "variant_idxs.npy")

_indices: Kept[Pvar] = Kept(2)


class Svar:
    """A folder ``.svar``: lists of carried variants per haplotype.

    Such a folder does not tell missing alleles, phase and ploidy of single genotypes: they count as
    reference, phased and diploid. Its index is an Arrow file, which needs pyarrow.

    Parameters
    ----------
    path : path-like

    Attributes
    ----------
    path : str
    samples : tuple of str
        In the order of the folder.
    contigs : dict of str to None
    fields : dict
        Empty: INFO is not read.

    Raises
    ------
    NotFoundError
        If there is no such folder, or one of its files is missing.
    """

    ploidy = 2

    def __init__(self, path: PathLike) -> None:
        self.path = os.fspath(path)
        for name in _FILES:
            if not os.path.isfile(os.path.join(self.path, name)):
                raise NotFoundError(
                    f"unknown file {name!r} in {self.path!r}: expected a folder .svar that holds "
                    f"{', '.join(_FILES)}"
                )

    def __repr__(self) -> str:
        return f"Svar({self.path!r})"

    @cached_property
    def _metadata(self) -> dict[str, Any]:
        path = os.path.join(self.path, "metadata.json")
        try:
            with open(path, encoding="utf-8") as file:
                found: dict[str, Any] = json.load(file)
            if found["ploidy"] in (1, 2) and all(isinstance(n, str) for n in found["samples"]):
                return found
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidDataError(f"damaged ({error!r})", path=path) from error
        raise InvalidDataError(
            "not a kind that is read", path=path, expected="ploidy 1 or 2", got=found["ploidy"]
        )

    @property
    def samples(self) -> tuple[str, ...]:
        """Sample names, in the order of the folder."""
        return tuple(self._metadata["samples"])

    @property
    def contigs(self) -> Mapping[str, int | None]:
        """Contigs; their lengths are not told."""
        return {str(name): None for name in self._metadata["contigs"]}

    @property
    def fields(self) -> Mapping[str, tuple[str, str]]:
        """No INFO fields."""
        return {}

    def blocks(self, request: Request) -> Iterator[Block]:
        """Records in the order of the folder, in blocks of one contig."""
        index = self._index
        offsets, variants = self._lists(len(index))
        wanted = None if request.spans is None else index.sites.wanted(request.spans)
        for contig, sites in index.sites.contigs.items():
            if wanted is not None and contig not in wanted:
                continue
            rows = np.arange(len(sites.start)) if wanted is None else wanted[contig]
            for i in range(0, len(rows), _RECORDS_PER_BLOCK):
                numbers = sites.first + rows[i : i + _RECORDS_PER_BLOCK]
                calls = self._calls(offsets, variants, numbers, request)
                alt, n_alts = letters_of_alts([index.alts[row] for row in numbers.tolist()])
                values = {name: index.values(name, numbers.tolist()) for name in request.fields}
                position, ref = index.position[numbers], index.ref.take(numbers)
                yield Block(contig, numbers, position, ref, alt, n_alts, calls, values)

    @property
    def _index(self) -> Pvar:
        path = os.path.join(self.path, "index.arrow")
        return _indices.get(file_key(path), lambda: _read_index(path))

    def _lists(self, n_variants: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        # These files have no header, whatever their suffix says.
        path = os.path.join(self.path, "offsets.npy")
        offsets = np.fromfile(path, dtype="<i8")
        n_lists = len(self.samples) * int(self._metadata["ploidy"])
        path = os.path.join(self.path, "variant_idxs.npy")
        n_entries = os.path.getsize(path) // 4
        if len(offsets) != n_lists + 1 or offsets[0] != 0 or offsets[-1] != n_entries:
            raise InvalidDataError(
                "lists do not fit each other",
                path=self.path,
                expected=f"{n_lists + 1:,} offsets up to {n_entries:,}",
                got=f"{len(offsets):,} up to {int(offsets[-1]) if len(offsets) else 0:,}",
            )
        if n_entries == 0:
            return offsets, np.zeros(0, dtype=np.int32)
        variants = np.memmap(path, dtype="<i4", mode="r")
        if (np.diff(offsets) < 0).any() or variants.max() >= n_variants or variants.min() < 0:
            raise InvalidDataError(
                "lists name variants that are not there",
                path=path,
                expected=f"rows 0 to {n_variants - 1:,} of index.arrow",
            )
        return offsets, variants

    def _calls(
        self,
        offsets: npt.NDArray[np.int64],
        variants: npt.NDArray[np.int32],
        numbers: npt.NDArray[np.int64],
        request: Request,
    ) -> Calls:
        """Who carries some records; numbers (n,) ascending."""
        ploidy, n = int(self._metadata["ploidy"]), len(numbers)
        place = {name: i for i, name in enumerate(self.samples)}
        rows: list[npt.NDArray[np.int64]] = []
        haplotypes: list[npt.NDArray[np.int32]] = []
        for i, name in enumerate(request.samples):
            for ploid in range(ploidy):
                at = place[name] * ploidy + ploid
                carried = variants[offsets[at] : offsets[at + 1]]
                first, last = np.searchsorted(carried, (numbers[0], numbers[-1] + 1))
                carried = np.asarray(carried[first:last], dtype=np.int64)
                row = np.searchsorted(numbers, carried)
                row = row[numbers[row] == carried]
                both = (0, 1) if ploidy == 1 and request.repeat_haploid else (ploid,)
                for target in both:
                    rows.append(row)
                    haplotypes.append(np.full(len(row), 2 * i + target, dtype=np.int32))
        row = np.concatenate(rows) if rows else np.zeros(0, dtype=np.int64)
        haplotype = np.concatenate(haplotypes) if rows else np.zeros(0, dtype=np.int32)
        order = np.argsort(row, kind="stable")
        none = np.zeros(n, dtype=np.int32)
        n_samples = len(request.samples) if request.n_counted is None else request.n_counted
        return Calls(
            row[order],
            haplotype[order],
            np.ones(len(row), dtype=np.int16),
            np.full(n, ploidy * len(request.samples), dtype=np.int32),
            none,
            none,
            none + np.int32(n_samples if ploidy == 1 else 0),
            np.full(n, ploidy, dtype=np.uint8),
        )


def _read_index(path: str) -> Pvar:
    feather = package("pyarrow.feather", "a folder .svar")
    try:
        table = feather.read_table(path, columns=["CHROM", "POS", "REF", "ALT"])
        columns = {name: table.column(name).to_pylist() for name in ("CHROM", "POS", "REF", "ALT")}
    except Exception as error:
        raise InvalidDataError(
            f"not a readable Arrow file ({error})",
            path=path,
            expected="the columns CHROM, POS, REF and ALT",
        ) from error
    alts = [alt.split(",") if isinstance(alt, str) else list(alt) for alt in columns["ALT"]]
    return table_of_records(path, columns["CHROM"], columns["POS"], columns["REF"], alts)
