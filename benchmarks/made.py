"""The files that are read: made once, kept, and linked under as many names as are needed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bigwig_loader._bigwig_writer import WriterOptions, write_bigwig
from bigwig_loader.formats.bigwig import read_bigwig_index

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = REPOSITORY.parent / "shared"
SHARED_TOOL = SHARED / "tools" / "make_bench_data.py"
_REAL = (
    (
        "real_encode",
        "bigwig_derived/ENCFF826FLP_chr22_36-38Mb.pybigtools.bw",
        "1024 items",
        ("chr22", 36_000_000, 38_000_000),
    ),
    (
        "real_h3k4me3",
        "bigwig/CoolBox__bigwig_chr9_4000000_6000000_K562_H3K4me3.bigwig",
        "32 KB",
        ("chr9", 4_000_000, 6_000_000),
    ),
)


@dataclass(frozen=True)
class DataSet:
    """Files of one kind.

    Parameters
    ----------
    name : str
    paths : tuple of str
        Files that differ from each other.
    contigs : dict of str to int
    note : str
        How they were made.
    block : {"1024 items", "32 KB"}
        Size of a data block.
    genome : str, optional
        FASTA on the same coordinates.
    stretch : (chrom, start, end), optional
        Where the data lies, if not everywhere.
    """

    name: str
    paths: tuple[str, ...]
    contigs: dict[str, int]
    note: str
    block: str = "1024 items"
    genome: str | None = None
    stretch: tuple[str, int, int] | None = None

    @property
    def places(self) -> dict[str, tuple[int, int]]:
        """Where windows are drawn from: start and end by contig."""
        if self.stretch is not None:
            return {self.stretch[0]: self.stretch[1:]}
        return {name: (0, length) for name, length in self.contigs.items()}

    def tracks(self, n_tracks: int) -> list[str]:
        """Paths of `n_tracks` files; beyond those that differ, hard links under other names.

        A link has the same pages in memory as the file it leads to; to every reader it is another
        file, with an index of its own.
        """
        if n_tracks <= len(self.paths):
            return list(self.paths[:n_tracks])
        folder = Path(self.paths[0]).parent / "links"
        folder.mkdir(exist_ok=True)
        links = list(self.paths)
        for i in range(len(self.paths), n_tracks):
            source = self.paths[i % len(self.paths)]
            link = folder / f"{self.name}_{i:04d}.bw"
            if not (link.exists() and os.path.samefile(link, source)):
                link.unlink(missing_ok=True)
                os.link(source, link)
            links.append(str(link))
        return links


@dataclass(frozen=True)
class Scale:
    """How much data is made.

    Parameters
    ----------
    contigs, fixed_contigs, dense_contigs : dict of str to int
        Of the realistic files, of those with items of one mean length, and of those among them
        whose items are shorter than 12 bp.
    n_realistic, n_fixed : int
        Files of each kind that differ.
    items_bp : tuple of int
        Mean length of the items of the other kinds.
    use_shared : bool
        Make the realistic files with the tool of the material beside the repository, where it is
        there; else, and with False, with `bigwig_loader.example_data`.
    """

    contigs: dict[str, int]
    fixed_contigs: dict[str, int]
    dense_contigs: dict[str, int]
    n_realistic: int
    n_fixed: int
    items_bp: tuple[int, ...]
    use_shared: bool = True


_SMALL = {"chrA": 6_000_000, "chrB": 4_000_000}
QUICK = Scale(_SMALL, _SMALL, _SMALL, 4, 4, (12,))
# At 4 bp per item a file has three times the data of one with 12, so it covers less.
FULL = Scale(
    {"chrA": 60_000_000, "chrB": 40_000_000},
    {"chrA": 36_000_000, "chrB": 24_000_000},
    {"chrA": 18_000_000, "chrB": 12_000_000},
    16,
    4,
    (4, 12, 50),
)
_TINY = {"chrA": 60_000, "chrB": 40_000, "chrC": 10_000}
TINY = Scale(_TINY, _TINY, _TINY, 2, 2, (12,), use_shared=False)


def make_all(folder: Path, scale: Scale) -> list[DataSet]:
    """All data sets, made where they are not there yet.

    Parameters
    ----------
    folder : Path
        They are kept here.
    scale : Scale
    """
    if scale.use_shared and SHARED_TOOL.exists():
        realistic = _realistic(folder / "realistic", scale)
    else:
        realistic = _example(folder / "example", scale)
    sets = [realistic, _large_blocks(folder / "blocks_32kb", realistic)]
    if scale.use_shared:
        sets += _real(folder / "real")
    sets += [_fixed(folder / f"items_{bp}bp", bp, scale) for bp in scale.items_bp]
    return sets


def make_once(folder: Path, recipe: dict[str, object], make: Callable[[], None]) -> None:
    """Call `make` unless the folder holds what this recipe makes."""
    stamp = folder / "recipe.json"
    wanted = json.dumps(recipe)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    stamp.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    print(f"making {folder} ...", flush=True)
    make()
    stamp.write_text(wanted)


def _realistic(folder: Path, scale: Scale) -> DataSet:
    chroms = ",".join(f"{name}:{length}" for name, length in scale.contigs.items())
    command = [sys.executable, str(SHARED_TOOL), "--out", str(folder), "--chroms", chroms]
    command += ["--tracks", str(scale.n_realistic), "--skip-vcf", "--max-gb", "8"]
    recipe: dict[str, object] = {"tool": 1, "chroms": chroms, "tracks": scale.n_realistic}

    def make() -> None:
        subprocess.run(command, check=True)

    make_once(folder, recipe, make)
    paths = tuple(str(folder / f"track_{i:04d}.bw") for i in range(scale.n_realistic))
    note = "make_bench_data.py: simulated fold change and coverage, written by pybigtools"
    genome = str(folder / "genome.fa")
    return DataSet("realistic", paths, dict(scale.contigs), note, genome=genome)


def _example(folder: Path, scale: Scale) -> DataSet:
    from bigwig_loader.example_data import make_example_data

    contigs = dict(scale.contigs)
    if len(contigs) < 3:
        contigs["chrC"] = 100_000
    data = make_example_data(folder, contigs=contigs)
    note = "bigwig_loader.example_data.make_example_data"
    paths = tuple(map(str, data.bigwigs))
    return DataSet("realistic", paths, contigs, note, genome=str(data.reference_genome))


def _real(folder: Path) -> list[DataSet]:
    """Real files with a stretch of data, from the material beside the repository."""
    sets = []
    for name, path, block, stretch in _REAL:
        source = SHARED / "data" / path
        if not source.exists():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        copy = folder / source.name  # links are made beside it
        if not copy.exists():
            shutil.copyfile(source, copy)
        contig = read_bigwig_index(copy)
        contigs = dict(zip(contig.contig_names, contig.contig_lengths.tolist(), strict=True))
        note = f"real: {path}, {stretch[0]}:{stretch[1]}-{stretch[2]}"
        sets.append(DataSet(name, (str(copy),), contigs, note, block=block, stretch=stretch))
    return sets


def real_files() -> list[Path]:
    """The real files of the material beside the repository; none where it is not there."""
    paths = [SHARED / "data" / path for _, path, _, _ in _REAL]
    return [path for path in paths if path.exists()]


def _large_blocks(folder: Path, source: DataSet, n_files: int = 4) -> DataSet:
    """The same intervals as written by pyBigWig, with data blocks of 32 KB."""
    sources = source.paths[:n_files]
    paths = [str(folder / f"track_{i:04d}.bw") for i in range(len(sources))]

    def make() -> None:
        with ProcessPoolExecutor(min(len(paths), os.cpu_count() or 1)) as pool:
            list(pool.map(_rewrite, sources, paths))

    make_once(folder, {"rewrite": 1, "of": sources, "contigs": source.contigs}, make)
    note = f"the intervals of {len(sources)} realistic files, written by pyBigWig"
    return DataSet("blocks_32kb", tuple(paths), source.contigs, note, block="32 KB")


def _rewrite(source: str, target: str) -> None:
    import pyBigWig

    from bigwig_loader import BigWig

    with BigWig(source) as bigwig:
        out = pyBigWig.open(target, "w")
        out.addHeader(list(bigwig.contigs.items()))
        for chrom in bigwig.contigs:
            items = bigwig.intervals(chrom)
            out.addEntries(
                np.repeat(chrom, len(items)),
                items["start"].to_numpy(),
                ends=items["end"].to_numpy(),
                values=items["value"].to_numpy(np.float64),
            )
        out.close()


def _fixed(folder: Path, items_bp: int, scale: Scale) -> DataSet:
    """Items of random length with a given mean, values as uneven as those of real files."""
    contigs = dict(scale.dense_contigs if items_bp < 12 else scale.fixed_contigs)
    paths = [str(folder / f"track_{i:04d}.bw") for i in range(scale.n_fixed)]

    def make() -> None:
        with ProcessPoolExecutor(min(len(paths), os.cpu_count() or 1)) as pool:
            list(pool.map(write_fixed, paths, [items_bp] * len(paths), [contigs] * len(paths)))

    make_once(folder, {"fixed": 1, "bp": items_bp, "n": len(paths), "contigs": contigs}, make)
    note = f"items of {items_bp} bp on average, contiguous, written by bigwig_loader"
    return DataSet(f"items_{items_bp}bp", tuple(paths), contigs, note)


def fasta_lines(letters: np.ndarray, line_bp: int) -> bytes:
    """Letters (n,) uint8 as lines of a FASTA file."""
    whole = letters[: letters.size // line_bp * line_bp].reshape(-1, line_bp)
    lines = np.pad(whole, ((0, 0), (0, 1)), constant_values=ord("\n")).tobytes()
    rest = letters[whole.size :].tobytes()
    return lines + (rest + b"\n" if rest else b"")


def write_fixed(
    path: str, items_bp: int, contigs: dict[str, int], items_per_block: int = 1024
) -> None:
    """A file of contiguous items, `items_bp` long on average (geometric)."""
    rng = np.random.default_rng([items_bp, *path.encode()[-12:]])
    intervals = {}
    for name, length in contigs.items():
        ends = np.cumsum(rng.geometric(1 / items_bp, int(length / items_bp * 1.1) + 20))
        ends = np.append(ends[ends < length], length)
        starts = np.concatenate([[0], ends[:-1]])
        # A pile-up that goes up and down, over a background that changes from place to place:
        # compresses about as real fold-change tracks do (2.6 to 2.8 times).
        pile = np.abs(np.cumsum(rng.integers(-2, 3, len(ends)))) % 24
        background = np.round(rng.uniform(0.4, 2.2, len(ends) // 24 + 1), 5).repeat(24)
        values = np.round(pile / background[: len(ends)], 5)
        intervals[name] = (starts, ends, values)
    write_bigwig(path, contigs, intervals, WriterOptions(items_per_block=items_per_block))
