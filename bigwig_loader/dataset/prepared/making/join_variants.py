"""Variants of several data sets as one table: the same variant once, lists made to fit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.dataset.prepared.arrays import NpyReader, NpyWriter, forget, save_array
from bigwig_loader.dataset.prepared.layout import (
    GENOTYPES,
    VARIANT_ARRAYS,
    VARIANTS,
    PreparedData,
    file_name,
)
from bigwig_loader.dataset.prepared.making.target import Target
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.formats.variants.table import VariantTable

Indices = npt.NDArray[np.int64]

# Keys, orders and the columns themselves, per row that is being joined.
_BYTES_PER_ROW = 160
_BYTES_PER_ENTRY = 64


def join_variants(
    target: Target,
    sets: Sequence[PreparedData],
    contig_maps: Sequence[Indices],
    sample_maps: Sequence[Indices],
    budget_bytes: int,
) -> dict[str, Any]:
    """Write the variants and genotypes of several data sets as those of one.

    Parameters
    ----------
    target : Target
        Its samples are those of the result.
    sets : sequence of PreparedData
        With variants of one source.
    contig_maps, sample_maps : sequence of int64 arrays
        Index in the result of each contig and sample of each data set; samples ascend.
    budget_bytes : int

    Returns
    -------
    dict
        ``n_variants``, ``n_carried`` and ``info``, for the metadata.
    """
    (target.work.result / VARIANTS).mkdir()
    (target.work.result / GENOTYPES).mkdir()
    tables = [data.table for data in sets if data.table is not None]
    places = [np.zeros(len(table), np.int64) for table in tables]
    writer = _TableWriter(target, tables)
    for contig in range(len(target.contig_names)):
        ranges = [_range(t, m, contig) for t, m in zip(tables, contig_maps, strict=True)]
        n = sum(last - first for first, last in ranges)
        what = f"joining {n} variants of {target.contig_names[contig]!r}"
        target.runner.own_budget.per_task(n * _BYTES_PER_ROW, what)
        owner, row = _joined_rows(tables, ranges, places, writer.n_rows)
        writer.add(owner, row)
    about = writer.close()
    n_carried = _join_lists(target, sets, contig_maps, sample_maps, places, budget_bytes)
    return about | {"n_carried": n_carried}


def _range(table: VariantTable, contig_map: Indices, contig: int) -> tuple[int, int]:
    """Rows of a contig of the result in one table."""
    at = np.flatnonzero(contig_map == contig)
    if not len(at):
        return 0, 0
    return int(table.contig_offsets[at[0]]), int(table.contig_offsets[at[0] + 1])


def _joined_rows(
    tables: Sequence[VariantTable],
    ranges: Sequence[tuple[int, int]],
    places: Sequence[Indices],
    first_row: int,
) -> tuple[Indices, Indices]:
    """Table and row of every different variant of a contig, in order; fills in `places`."""
    keys = [_keys(table, *r) for table, r in zip(tables, ranges, strict=True)]
    owner = np.repeat(np.arange(len(tables)), [last - first for first, last in ranges])
    row = np.concatenate([np.arange(first, last) for first, last in ranges])
    position, record, ilen, letters, rank = (np.concatenate(k) for k in zip(*keys, strict=True))
    order = np.lexsort((owner, letters, ilen, record, position))
    columns = (position[order], record[order], ilen[order], letters[order])
    new = np.ones(len(order), np.bool_)
    new[1:] = np.logical_or.reduce([c[1:] != c[:-1] for c in columns])
    group = np.cumsum(new) - 1
    # Variants of one record at one position keep their order; a data set may lack the first.
    first = np.flatnonzero(new)
    ranks = np.maximum.reduceat(rank[order], first) if len(first) else rank[:0]
    final = np.lexsort((ranks, columns[1][first], columns[0][first]))
    place = np.empty(len(first), np.int64)
    place[final] = np.arange(len(first))
    for number, mine in enumerate(places):
        chosen = owner[order] == number
        mine[row[order][chosen]] = first_row + place[group[chosen]]
    representative = order[first][final]
    return owner[representative], row[representative]


def _keys(
    table: VariantTable, first: int, last: int
) -> tuple[Indices, Indices, Indices, npt.NDArray[np.uint64], Indices]:
    """Position, record, ilen, a hash of ALT, and the number among those of its record there."""
    position = np.asarray(table.position[first:last], np.int64)
    record = np.asarray(table.record[first:last])
    offsets = np.asarray(table.alt_offsets[first : last + 1])
    letters = np.asarray(table.alt[offsets[0] : offsets[-1]])
    lengths = np.diff(offsets)
    hashes = np.zeros(last - first, np.uint64)
    single = lengths == 1
    hashes[single] = letters[offsets[:-1][single] - offsets[0]]
    for k in np.flatnonzero(~single).tolist():
        text = letters[offsets[k] - offsets[0] : offsets[k + 1] - offsets[0]].tobytes()
        hashes[k] = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")
    new = np.ones(last - first, np.bool_)
    new[1:] = (position[1:] != position[:-1]) | (record[1:] != record[:-1])
    start = np.flatnonzero(new)
    rank = np.arange(last - first) - start[np.cumsum(new) - 1] if last > first else record[:0]
    return position, record, np.asarray(table.ilen[first:last], np.int64), hashes, rank


class _TableWriter:
    """Writes rows of several tables, one contig after the other."""

    def __init__(self, target: Target, tables: Sequence[VariantTable]) -> None:
        self.n_rows = 0
        self._tables = tables
        self._home = target.work.result / VARIANTS
        self._contig_offsets = [0]
        names = list(tables[0].info)
        for table in tables[1:]:
            if list(table.info) != names:
                raise InvalidInputError(
                    f"data sets: expected the same INFO columns; got {names} and {list(table.info)}"
                )
        self._info = {name: f"info-{file_name(name)}.npy" for name in names}
        columns = {name: np.dtype(dtype) for name, dtype in VARIANT_ARRAYS.items()}
        self._writers = {n: NpyWriter(self._home / f"{n}.npy", t) for n, t in columns.items()}
        for name, file in self._info.items():
            dtype = np.result_type(*(table.info[name].dtype for table in tables))
            self._writers["info " + name] = NpyWriter(self._home / file, dtype)
        for allele in ("ref", "alt"):
            offsets = NpyWriter(self._home / f"{allele}_offsets.npy", np.int64)
            offsets.append(np.zeros(1, np.int64))
            self._writers[f"{allele}_offsets"] = offsets
        self._n_letters = {"ref": 0, "alt": 0}

    def add(self, owner: Indices, row: Indices) -> None:
        """Append the rows of a contig: row `row` of table `owner` for each."""
        for name in ("position", "ilen", "record"):
            self._writers[name].append(
                self._gather([getattr(t, name) for t in self._tables], owner, row)
            )
        for name in self._info:
            columns = [table.info[name] for table in self._tables]
            self._writers["info " + name].append(self._gather(columns, owner, row))
        for allele in ("ref", "alt"):
            self._add_letters(allele, owner, row)
        self.n_rows += len(row)
        self._contig_offsets.append(self.n_rows)

    def close(self) -> dict[str, Any]:
        """Finish the files; what the metadata say of them."""
        for writer in self._writers.values():
            writer.close()
        save_array(self._home / "contig_offsets.npy", np.array(self._contig_offsets, np.int64))
        return {"n_variants": self.n_rows, "info": self._info}

    @staticmethod
    def _gather(
        columns: Sequence[npt.NDArray[Any]], owner: Indices, row: Indices
    ) -> npt.NDArray[Any]:
        out = np.zeros(len(row), np.result_type(*(column.dtype for column in columns)))
        for number, column in enumerate(columns):
            mine = owner == number
            out[mine] = column[row[mine]]
            forget(column)
        return out

    def _add_letters(self, allele: str, owner: Indices, row: Indices) -> None:
        lengths = np.zeros(len(row), np.int64)
        for number, table in enumerate(self._tables):
            mine = owner == number
            offsets = getattr(table, f"{allele}_offsets")
            lengths[mine] = offsets[row[mine] + 1] - offsets[row[mine]]
        ends = np.cumsum(lengths)
        letters = np.zeros(int(lengths.sum()), np.uint8)
        for number, table in enumerate(self._tables):
            mine = np.flatnonzero(owner == number)
            n = lengths[mine]
            within = np.arange(int(n.sum())) - np.repeat(np.cumsum(n) - n, n)
            source = np.repeat(getattr(table, f"{allele}_offsets")[row[mine]], n) + within
            letters[np.repeat(ends[mine] - n, n) + within] = getattr(table, allele)[source]
        self._writers[allele].append(letters)
        self._writers[f"{allele}_offsets"].append(self._n_letters[allele] + ends)
        self._n_letters[allele] += len(letters)


def _join_lists(
    target: Target,
    sets: Sequence[PreparedData],
    contig_maps: Sequence[Indices],
    sample_maps: Sequence[Indices],
    places: Sequence[Indices],
    budget_bytes: int,
) -> int:
    home = target.work.result / GENOTYPES
    ploidy = sets[0].ploidy
    n_total = 0
    with (
        NpyWriter(home / "offsets.npy", np.int64) as offsets,
        NpyWriter(home / "variants.npy", np.int32) as variants,
    ):
        offsets.append(np.zeros(1, np.int64))
        for contig in range(len(target.contig_names)):
            for block in _sample_blocks(sets, len(target.samples), budget_bytes):
                haplotype, entry = _block_entries(
                    sets, contig_maps, sample_maps, places, contig, block
                )
                keys = np.unique(haplotype * (1 << 31) + entry)
                counts = np.bincount(
                    (keys >> 31) - block.start * ploidy,
                    minlength=(block.stop - block.start) * ploidy,
                )
                variants.append((keys & ((1 << 31) - 1)).astype(np.int32))
                offsets.append(n_total + np.cumsum(counts))
                n_total += len(keys)
    return n_total


def _sample_blocks(
    sets: Sequence[PreparedData], n_samples: int, budget_bytes: int
) -> Iterator[slice]:
    """Runs of samples whose lists fit the budget, as far as lists are about equally long."""
    longest = 1
    for data in sets:
        if data.genotypes is not None and data.samples:
            n = data.genotypes.n_haplotypes
            offsets = np.asarray(data.genotypes.offsets)
            by_sample = offsets[:: data.ploidy]
            longest += int(np.diff(by_sample).max(initial=0)) if n else 0
    step = max(1, budget_bytes // (_BYTES_PER_ENTRY * longest))
    for first in range(0, n_samples, step):
        yield slice(first, min(first + step, n_samples))


def _block_entries(
    sets: Sequence[PreparedData],
    contig_maps: Sequence[Indices],
    sample_maps: Sequence[Indices],
    places: Sequence[Indices],
    contig: int,
    block: slice,
) -> tuple[Indices, Indices]:
    """Haplotype and variant, both of the result, of all that some samples carry on a contig."""
    haplotypes, entries = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for data, contigs, samples, place in zip(sets, contig_maps, sample_maps, places, strict=True):
        at = np.flatnonzero(contigs == contig)
        genotypes = data.genotypes
        if not len(at) or genotypes is None:
            continue
        low, high = np.searchsorted(samples, [block.start, block.stop]).tolist()
        first = (int(at[0]) * len(samples) + low) * data.ploidy
        offsets = genotypes.offsets[first : first + (high - low) * data.ploidy + 1]
        file = NpyReader(data.path / GENOTYPES / "variants.npy")
        carried = file.read(int(offsets[0]), int(offsets[-1]))
        owner = (samples[low:high, None] * data.ploidy + np.arange(data.ploidy)).reshape(-1)
        haplotypes.append(np.repeat(owner, np.diff(offsets)))
        entries.append(place[carried])
    return np.concatenate(haplotypes), np.concatenate(entries)
