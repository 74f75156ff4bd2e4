"""Made data for tokens: a universe, BED files, and cells with their features.

The regions of the universe belong to programs, as those that are open in one type of cells do.
Every BED file, and every cell, has regions of one program and a few of any. So a model of which
regions occur together can find the programs, which positions do not tell.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.errors import BackendUnavailableError
from bigwig_loader.ragged import offsets_of
from bigwig_loader.types import PathLike, check_positive

I64 = npt.NDArray[np.int64]

_RECIPE = 1  # raise it when the same seed makes other data
_CONTIGS = ("chr1", "chr2", "chr10")
_STEP_BP, _WIDTH_BP = 2_000, 500
_NOISE = 0.1  # share of regions that are of any program


@dataclass(frozen=True)
class ExampleRegions:
    """Where the files of made regions lie, and what they are made of.

    Parameters
    ----------
    universe : Path
        BED file of U regions.
    beds : Path
        Folder of BED files, ``program<k>_<number>.bed``.
    cells : Path
        AnnData file; made where h5py is installed, see `make_example_regions`.
    program : (U,) int64
        Program of each region of the universe.
    cell_program : (cells,) int64
    """

    universe: Path
    beds: Path
    cells: Path
    program: I64
    cell_program: I64


def make_example_regions(
    path: PathLike, seed: int = 0, n_programs: int = 4, n_files: int = 80, n_cells: int = 200
) -> ExampleRegions:
    """Make a universe, a folder of BED files and an AnnData file, without a network.

    Parameters
    ----------
    path : path-like
        Folder to write into; what was made there with the same arguments is kept.
    seed : int
        The same seed gives the same data.
    n_programs : int
        Each has 60 regions.
    n_files, n_cells : int

    Raises
    ------
    InvalidInputError
        For a number below 1.
    """
    for name, number in {"n_programs": n_programs, "n_files": n_files, "n_cells": n_cells}.items():
        check_positive(name, number)
    folder = Path(path) / "regions"
    rng = np.random.default_rng(seed)
    program = rng.permutation(np.repeat(np.arange(n_programs), 60))
    cell_program = np.arange(n_cells) % n_programs
    made = ExampleRegions(
        folder / "universe.bed", folder / "beds", folder / "cells.h5ad", program, cell_program
    )
    recipe = folder / "recipe.json"
    wanted = json.dumps([_RECIPE, seed, n_programs, n_files, n_cells, _has_h5py()])
    if recipe.exists() and recipe.read_text() == wanted:
        return made
    made.beds.mkdir(parents=True, exist_ok=True)
    recipe.unlink(missing_ok=True)
    for old in made.beds.glob("*.bed"):
        old.unlink()

    n = len(program)
    contig, start = np.arange(n) * len(_CONTIGS) // n, 1_000 + np.arange(n) * _STEP_BP
    made.universe.write_text(_bed_text(contig, start))
    for number in range(n_files):
        chosen = _choose(rng, program, number % n_programs, 30)
        # Peaks as they are called in each file, and one that the universe does not have.
        peaks = np.append(start[chosen] + rng.integers(-150, 150, len(chosen)), start[0] + 1_200)
        text = _bed_text(np.append(contig[chosen], 0), peaks)
        (made.beds / f"program{number % n_programs}_{number:03d}.bed").write_text(text)
    if _has_h5py():
        rows = [np.sort(_choose(rng, program, int(k), 20)) for k in cell_program]
        features = {
            "chr": np.array(_CONTIGS)[contig],
            "start": start + 100,
            "end": start + _WIDTH_BP + 100,
        }
        write_h5ad(made.cells, rows, features)
    recipe.write_text(wanted)
    return made


def _choose(rng: np.random.Generator, program: I64, wanted: int, n: int) -> I64:
    """Distinct regions of a program, and a few of any."""
    own = rng.choice(np.flatnonzero(program == wanted), n, replace=False)
    anywhere = rng.choice(len(program), max(1, int(n * _NOISE)), replace=False)
    return np.unique(np.concatenate([own, anywhere]))


def _bed_text(contig: I64, start: I64) -> str:
    rows = zip(contig.tolist(), start.tolist(), strict=True)
    return "".join(f"{_CONTIGS[c]}\t{s}\t{s + _WIDTH_BP}\n" for c, s in rows)


def _has_h5py() -> bool:
    from importlib.util import find_spec

    return find_spec("h5py") is not None


def write_h5ad(
    path: PathLike, rows: list[I64] | npt.NDArray[Any], features: Mapping[str, npt.NDArray[Any]]
) -> None:
    """Write cells as AnnData does: a CSR matrix of ones, ``cell<i>`` and ``feature<i>``.

    Parameters
    ----------
    path : path-like
    rows : list of int arrays, or (cells, k) int
        Features that each cell has.
    features : mapping of str to array
        Columns of ``var``: text or numbers.

    Raises
    ------
    BackendUnavailableError
        If h5py is not installed.
    """
    if not _has_h5py():
        raise BackendUnavailableError(
            "writing a .h5ad file needs h5py, which is not installed: pip install h5py"
        )
    import h5py

    n_features = len(next(iter(features.values())))
    lengths = np.array([len(row) for row in rows], np.int64)
    with h5py.File(path, "w") as file:
        _mark(file, "anndata", "0.1.0")
        matrix = file.create_group("X")
        _mark(matrix, "csr_matrix", "0.1.0")
        matrix.attrs["shape"] = (len(rows), n_features)
        # Both of one type: scipy copies them for every row that is taken otherwise.
        first = offsets_of(lengths)
        dtype = np.int32 if first[-1] < 2**31 else np.int64
        matrix["indptr"] = first.astype(dtype)
        matrix["indices"] = np.concatenate(rows).astype(dtype)
        matrix["data"] = np.ones(int(lengths.sum()), np.float32)
        _write_frame(file, "obs", [f"cell{i}" for i in range(len(rows))], {})
        _write_frame(file, "var", [f"feature{i}" for i in range(n_features)], features)


def _write_frame(file: Any, name: str, index: list[str], columns: Mapping[str, Any]) -> None:
    frame = file.create_group(name)
    _mark(frame, "dataframe", "0.2.0")
    frame.attrs["_index"] = "_index"
    frame.attrs["column-order"] = list(columns)
    for key, values in {"_index": np.array(index), **columns}.items():
        is_text = values.dtype.kind in "UO"
        frame[key] = values.astype("S") if is_text else values
        _mark(frame[key], "string-array" if is_text else "array", "0.2.0")


def _mark(node: Any, kind: str, version: str) -> None:
    node.attrs["encoding-type"], node.attrs["encoding-version"] = kind, version
