"""How much is measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """A batch: windows of all tracks.

    Parameters
    ----------
    length_bp, batch : int
        Of a window; windows.
    bin_size : int
        In bp.
    """

    length_bp: int
    batch: int
    bin_size: int = 1


@dataclass(frozen=True)
class TrainingSize:
    """A model, and the batches it is trained on.

    Parameters
    ----------
    model : {"bpnet", "borzoi"}
    width, depth : int
        Channels; dilated layers of a BPNet, transformer layers of a Borzoi.
    sequence_bp, predicted_bp, bin_size : int
        Input; the central part that values cover; bins of it.
    batch, tracks : int
    steps : int
        Of one round.
    """

    model: str
    width: int
    depth: int
    sequence_bp: int
    predicted_bp: int
    bin_size: int
    batch: int
    tracks: int
    steps: int


@dataclass(frozen=True)
class Size:
    """One size of all measurements.

    Parameters
    ----------
    contigs, large_contigs : dict of str to int
        Of the files with blocks of 1,024 items, and of those with blocks of 32 KB.
    n_files, n_large_files, n_tracks : int
        Files that differ, of either kind; tracks, most of them links to these.
    counts, large_counts : tuple of int
        Streams inflated at once, for either kind.
    read_bp : tuple of int
        Windows that are read in measuring reads.
    cells : tuple of Cell
        Batches compared with the CPU backend.
    resident : tuple of Cell
        Batches whose blocks lie decoded in device memory.
    latency : (int, int)
        Tracks and bp of the single window.
    one_hot : Cell
    training : tuple of TrainingSize
    spread_bytes : int
        What successive runs of one measurement touch together, to be more than the L2 cache.
    copy_bytes : int
    cache_bytes, budget_bytes : int
        `cache_bytes` of the resident collection; `memory_budget` of the fused one.
    fused : Cell
        Enough blocks for the own route and nvCOMP to be compared inside a batch.
    repeats, rounds : int
        Runs of a kernel, and batches of a cell.
    """

    contigs: dict[str, int]
    large_contigs: dict[str, int]
    n_files: int
    n_large_files: int
    n_tracks: int
    counts: tuple[int, ...]
    large_counts: tuple[int, ...]
    read_bp: tuple[int, ...]
    cells: tuple[Cell, ...]
    resident: tuple[Cell, ...]
    latency: tuple[int, int]
    one_hot: Cell
    training: tuple[TrainingSize, ...]
    spread_bytes: int
    copy_bytes: int
    cache_bytes: int
    budget_bytes: int
    fused: Cell
    repeats: int
    rounds: int


FULL = Size(
    contigs={"chrA": 40_000_000, "chrB": 24_000_000},
    large_contigs={"chrA": 40_000_000},
    n_files=16,
    n_large_files=6,
    n_tracks=100,
    counts=(100, 1_000, 5_000, 20_000, 50_000),
    large_counts=(100, 1_000, 5_000),
    read_bp=(2_114, 524_288),
    cells=(Cell(2_114, 64), Cell(2_114, 1_024), Cell(524_288, 8), Cell(524_288, 8, 32)),
    resident=(Cell(2_114, 1_024), Cell(524_288, 8)),
    latency=(20, 1_000),
    one_hot=Cell(524_288, 64),
    training=(
        TrainingSize("bpnet", 64, 9, 2_114, 1_000, 1, 64, 16, 100),
        TrainingSize("borzoi", 1_536, 8, 524_288, 196_608, 32, 1, 100, 6),
    ),
    spread_bytes=256 << 20,
    copy_bytes=2 << 30,
    cache_bytes=24 << 30,
    budget_bytes=64 << 30,
    fused=Cell(524_288, 8),
    repeats=9,
    rounds=7,
)

_TINY = {"chrA": 70_000, "chrB": 20_000}
TINY = Size(
    contigs=_TINY,
    large_contigs={"chrA": 70_000},
    n_files=2,
    n_large_files=1,
    n_tracks=3,
    counts=(2, 5),
    large_counts=(2,),
    read_bp=(500, 9_000),
    cells=(Cell(100, 2), Cell(300, 1, 32)),
    resident=(Cell(60, 2),),
    latency=(2, 50),
    one_hot=Cell(70, 2),
    training=(
        TrainingSize("bpnet", 4, 2, 90, 30, 1, 1, 2, 1),
        TrainingSize("borzoi", 8, 1, 256, 64, 32, 1, 2, 1),
    ),
    spread_bytes=1 << 10,
    copy_bytes=1 << 16,
    cache_bytes=1 << 20,
    budget_bytes=64 << 20,
    fused=Cell(3_000, 1),
    repeats=2,
    rounds=1,
)
