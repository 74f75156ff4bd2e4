"""Windows per second of a whole data set: sampling, sequence, signal, prefetching.

Beside it the loop that one writes first: pyBigWig and pyfaidx, window by window.
"""

from __future__ import annotations

import itertools
import time
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.made import DataSet
from bigwig_loader.dataset import BigWigDataset

_LETTERS = np.zeros((256, 4), np.float32)
for _i, _pair in enumerate(("Aa", "Cc", "Gg", "Tt")):
    for _letter in _pair:
        _LETTERS[ord(_letter), _i] = 1


def dataset(
    data: DataSet,
    n_tracks: int,
    sequence_bp: int = 2_114,
    values_bp: int = 1_000,
    batch: int = 64,
    seconds: float = 5.0,
) -> dict[str, Any]:
    """One-hot sequence and base-resolution signal of random windows, for about `seconds` each."""
    assert data.genome is not None
    regions = pd.DataFrame(
        [(name, 0, length) for name, length in data.contigs.items()],
        columns=["chrom", "start", "end"],
    )
    loader = BigWigDataset(
        regions_of_interest=regions,
        collection=data.tracks(n_tracks),
        reference_genome_path=data.genome,
        sequence_length=sequence_bp,
        center_bin_to_predict=values_bp,
        batch_size=batch,
        batches_per_epoch=1_000_000,
        maximum_unknown_bases_fraction=0.1,
        seed=0,
    )
    batches = iter(loader)
    warm_up = 2 + loader_depth(loader)
    shapes = [(s.shape, v.shape) for s, v in itertools.islice(batches, warm_up)]
    began, cpu, n_windows = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - began < seconds:
        next(batches)
        n_windows += batch
    taken, cpu = time.perf_counter() - began, time.process_time() - cpu
    close = getattr(batches, "close", None)
    if close is not None:
        close()
    plain = _plain_loop(data, n_tracks, sequence_bp, values_bp, seconds / 2)
    return {
        "kind": "dataset",
        "data": data.name,
        "tracks": n_tracks,
        "sequence_bp": sequence_bp,
        "values_bp": values_bp,
        "batch": batch,
        "shapes": [list(shape) for shape in shapes[0]],
        "windows_per_s": {"ours": n_windows / taken, "pyBigWig + pyfaidx loop": plain},
        "cpu_per_wall": cpu / taken,
        "mbp_tracks_per_s": n_windows * values_bp * n_tracks / taken / 1e6,
    }


def loader_depth(loader: BigWigDataset) -> int:
    """Batches made ahead of time, which do not count."""
    return int(getattr(loader, "prefetch", 2))


def _plain_loop(
    data: DataSet, n_tracks: int, sequence_bp: int, values_bp: int, seconds: float
) -> float | None:
    try:
        import pyBigWig
        import pyfaidx
    except ImportError:
        return None
    files = [pyBigWig.open(path) for path in data.tracks(n_tracks)]
    genome = pyfaidx.Fasta(data.genome)
    rng = np.random.default_rng(5)
    names, lengths = list(data.contigs), np.array(list(data.contigs.values()))
    flank = (sequence_bp - values_bp) // 2
    began, n_windows = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        which = int(rng.choice(len(names), p=lengths / lengths.sum()))
        start = int(rng.integers(0, lengths[which] - sequence_bp))
        text = str(genome[names[which]][start : start + sequence_bp])
        np.take(_LETTERS, np.frombuffer(text.encode(), np.uint8), axis=0)
        low = start + flank
        values = [f.values(names[which], low, low + values_bp, numpy=True) for f in files]
        np.nan_to_num(np.stack(values, 1).astype(np.float32), copy=False)
        n_windows += 1
    return n_windows / (time.perf_counter() - began)
