"""Joining groups of variants to the variants and genotypes of a data set."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.dataset.prepared.arrays import NpyReader, NpyWriter, save_array
from bigwig_loader.dataset.prepared.layout import GENOTYPES, VARIANT_ARRAYS, VARIANTS, file_name
from bigwig_loader.dataset.prepared.making.merge import ListPart, merge_lists
from bigwig_loader.dataset.prepared.making.target import Target
from bigwig_loader.errors import InvalidInputError

_PER_ROW = ("position", "ilen", "record")
_ALLELES = ("ref", "alt")
MAX_VARIANTS = (1 << 30) - 1  # bit 30 of a carried variant has a meaning of its own


def merge_variants(
    groups: Sequence[Path],
    target: Target,
    ploidy: int,
    budget_bytes: int,
) -> dict[str, Any]:
    """Write the variants and genotypes of all groups as those of a data set.

    Parameters
    ----------
    groups : sequence of Path
        Parts of `read_variant_part`: of each contig sorted by start.
    target : Target
    ploidy : int
        Haplotypes per sample.
    budget_bytes : int

    Returns
    -------
    dict
        ``n_variants``, ``n_carried``, and ``info``: file of each column by name.
    """
    home, lists = target.work.result / VARIANTS, target.work.result / GENOTYPES
    home.mkdir()
    lists.mkdir()
    batches = _in_contig_order(groups, target.contig_names)
    shape = (len(target.contig_names), len(target.samples) * ploidy)
    parts, contig_offsets = _merge_table(batches, shape, home)
    save_array(home / "contig_offsets.npy", contig_offsets)
    n = merge_lists(parts, shape, {"variants": np.int32}, lists, budget_bytes)
    info = _merge_info(batches, parts, home)
    return {"n_variants": int(contig_offsets[-1]), "n_carried": n, "info": info}


@dataclass(frozen=True)
class _Batch:
    """Variants of some regions, as they lie in a part."""

    contig: int
    folder: Path
    last_end: int


def _in_contig_order(groups: Sequence[Path], contig_names: tuple[str, ...]) -> list[_Batch]:
    """The batches of all groups."""
    batches = []
    for group in groups:
        about = json.loads((group / "part.json").read_text(encoding="utf-8"))
        contig = contig_names.index(about["contig"])
        for one in about["batches"]:
            batches.append(_Batch(contig, group / one["name"], one["last_end"]))
    return sorted(batches, key=lambda batch: batch.contig)  # stable: groups stay in order


def _merge_table(
    batches: list[_Batch], shape: tuple[int, int], home: Path
) -> tuple[list[ListPart], npt.NDArray[np.int64]]:
    """Write the columns of the variants; where each batch's rows are among them."""
    n_rows = np.zeros(shape[0], np.int64)
    parts = []
    writers = {name: NpyWriter(home / f"{name}.npy", t) for name, t in VARIANT_ARRAYS.items()}
    offsets = {a: NpyWriter(home / f"{a}_offsets.npy", np.int64) for a in _ALLELES}
    for writer in offsets.values():
        writer.append(np.zeros(1, np.int64))
    n_letters = dict.fromkeys(_ALLELES, 0)
    covered, last_contig = 0, -1
    for batch in batches:
        contig, folder = batch.contig, batch.folder
        covered = covered if contig == last_contig else 0
        last_contig = contig
        position = NpyReader(folder / "position.npy").read()
        skip = int(np.searchsorted(position, covered, side="left"))
        shift = int(n_rows.sum()) - skip
        parts.append(ListPart(folder, contig, 0, shape[1], shift=shift, skip_below=skip))
        for name in _PER_ROW:
            writers[name].append(NpyReader(folder / f"{name}.npy").read(skip))
        for allele in _ALLELES:
            lengths = NpyReader(folder / f"{allele}_length.npy").read()
            letters = NpyReader(folder / f"{allele}.npy").read(int(lengths[:skip].sum()))
            writers[allele].append(letters)
            offsets[allele].append(n_letters[allele] + np.cumsum(lengths[skip:]))
            n_letters[allele] += len(letters)
        n_rows[contig] += len(position) - skip
        covered = max(covered, batch.last_end)
    for writer in (*writers.values(), *offsets.values()):
        writer.close()
    if n_rows.sum() > MAX_VARIANTS:
        raise InvalidInputError(
            f"variants: expected at most {MAX_VARIANTS} in one data set; got {n_rows.sum()}. "
            "Write several and choose among them by region"
        )
    return parts, np.concatenate([[0], np.cumsum(n_rows)])


def _merge_info(batches: list[_Batch], parts: list[ListPart], home: Path) -> dict[str, str]:
    """Write the further columns; the file of each."""
    if not batches:
        return {}
    names = json.loads((batches[0].folder / "info.json").read_text(encoding="utf-8"))
    files = {}
    for name in names:
        part_file = f"info-{file_name(name)}.npy"
        readers = [NpyReader(batch.folder / part_file) for batch in batches]
        # Texts are as wide as the longest one; that of one part may be shorter.
        dtype = np.result_type(*(reader.dtype for reader in readers))
        files[name] = part_file
        with NpyWriter(home / part_file, dtype) as writer:
            for reader, part in zip(readers, parts, strict=True):
                writer.append(reader.read(part.skip_below))
    return files
