"""Made data for region tokens: universes, regions to tokenize, and cells with their features."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.made import make_once
from bigwig_loader.tokens.example import write_h5ad

N_CONTIGS = 24
CONTIG_BP = 120_000_000
WIDE_BP = 130_000_000
CONTIGS = tuple(f"chr{number + 1}" for number in range(N_CONTIGS))
KINDS = ("flat", "wide")
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TokenScale:
    """How much is made.

    Parameters
    ----------
    universes : tuple of int
        Regions of each universe; each is made flat and with one wide region per contig.
    queries : tuple of int
        Regions of each set to tokenize.
    cells : tuple of (int, int)
        Cells of each AnnData file, and features of one cell.
    n_features : int
        Features of an AnnData file.
    n_tokens : int
        Tokens of a ``.gtok`` file.
    """

    universes: tuple[int, ...]
    queries: tuple[int, ...]
    cells: tuple[tuple[int, int], ...]
    n_features: int
    n_tokens: int


@dataclass(frozen=True)
class TokenData:
    """Files of one scale."""

    folder: Path

    def universe(self, n: int, kind: str) -> str:
        """BED of a universe."""
        return str(self.folder / f"universe_{n}_{kind}.bed")

    def arrays(self, n: int) -> str:
        """Regions to tokenize, unordered: contig numbers, starts and ends as ``.npz``."""
        return str(self.folder / f"regions_{n}.npz")

    def bed(self, n: int, order: str) -> str:
        """The same regions as BED, ``"sorted"`` or ``"shuffled"``."""
        return str(self.folder / f"regions_{n}_{order}.bed")

    def cells(self, n: int) -> str:
        """AnnData file of so many cells."""
        return str(self.folder / f"cells_{n}.h5ad")

    def tokens(self, n: int) -> str:
        """Token ids as ``.npy``."""
        return str(self.folder / f"tokens_{n}.npy")


def make_token_data(folder: Path, scale: TokenScale) -> TokenData:
    """The data, made where it is not there yet."""
    data = TokenData(folder)

    def make() -> None:
        rng = np.random.default_rng(23)
        for n in scale.universes:
            contig, start, end = _universe(rng, n)
            _write_bed(data.universe(n, "flat"), contig, start, end)
            first = np.searchsorted(contig, np.unique(contig))
            start[first], end[first] = 0, WIDE_BP
            _write_bed(data.universe(n, "wide"), contig, start, end)
        for n in scale.queries:
            contig, start, end = _regions(rng, n)
            np.savez(data.arrays(n), contig=contig, start=start, end=end)
            _write_bed(data.bed(n, "shuffled"), contig, start, end)
            # As text, which is how files are sorted and how the tokens of a path come.
            rank = np.argsort(np.argsort(CONTIGS))
            order = np.lexsort((start, rank[contig]))
            _write_bed(data.bed(n, "sorted"), contig[order], start[order], end[order])
        for n_cells, per_cell in scale.cells:
            _write_cells(data.cells(n_cells), rng, n_cells, per_cell, scale.n_features)
        np.save(data.tokens(scale.n_tokens), rng.integers(0, 1_000_000, scale.n_tokens, np.int32))

    make_once(folder, {"tokens": 2, **asdict(scale)}, make)
    return data


def _regions(rng: np.random.Generator, n: int) -> tuple[I64, I64, I64]:
    contig, start = rng.integers(0, N_CONTIGS, n), rng.integers(0, CONTIG_BP, n)
    return contig, start, start + rng.integers(200, 1_000, n)


def _universe(rng: np.random.Generator, n: int) -> tuple[I64, I64, I64]:
    """Distinct regions in order of contig and start."""
    contig, start, end = np.unique(np.stack(_regions(rng, n + n // 50 + 10)), axis=1)
    kept = np.sort(rng.permutation(len(contig))[:n])
    return contig[kept], start[kept], end[kept]


def _write_bed(path: str, contig: I64, start: I64, end: I64) -> None:
    rows = zip(contig.tolist(), start.tolist(), end.tolist(), strict=True)
    with open(path, "w") as bed:
        bed.writelines(f"{CONTIGS[c]}\t{s}\t{e}\n" for c, s, e in rows)


def _write_cells(
    path: str, rng: np.random.Generator, n_cells: int, per_cell: int, n_features: int
) -> None:
    contig, start, end = _universe(rng, n_features)
    # As many from each stretch of features, so that they ascend and none comes twice.
    step = n_features // per_cell
    rows = rng.integers(0, step, (n_cells, per_cell), np.int32)
    rows += np.arange(0, step * per_cell, step, dtype=np.int32)
    write_h5ad(path, rows, {"chr": np.array(CONTIGS)[contig], "start": start, "end": end})
