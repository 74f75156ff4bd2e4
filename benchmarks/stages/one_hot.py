"""One-hot encoding of windows of a genome, beside NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.made import DataSet
from benchmarks.peers.request import random_request
from benchmarks.record import median, timed
from bigwig_loader import Genome
from bigwig_loader.backend.select import select_backend
from bigwig_loader.plan.sequence import SequenceOptions
from bigwig_loader.plan.windows import ContigTable, Windows


def one_hot(
    data: DataSet, length_bp: int = 2_114, batch: int = 256, rounds: int = 9
) -> dict[str, Any]:
    """Giga-bases per second into float32 (B, L, 4); NumPy gets one byte per base in memory."""
    assert data.genome is not None
    genome = Genome(data.genome).load()
    lengths = {name: min(genome.contigs[name], length) for name, length in data.contigs.items()}
    places = {name: (0, length) for name, length in lengths.items()}
    contigs = ContigTable(tuple(lengths), np.array(list(lengths.values())))
    letters = {
        name: np.frombuffer(genome.sequence(name, 0, length).encode(), np.uint8)
        for name, length in lengths.items()
    }
    table = np.zeros((256, 4), np.float32)
    for i, letter in enumerate("ACGT"):
        table[[ord(letter), ord(letter.lower())], i] = 1
    backend = select_backend("cpu")
    out = np.zeros((batch, length_bp, 4), np.float32)
    theirs = np.zeros_like(out)

    def with_numpy() -> None:
        for i in range(batch):
            text = letters[str(request.chroms[i])]
            np.take(table, text[request.starts[i] :][:length_bp], axis=0, out=theirs[i])

    def with_ours() -> None:
        index = contigs.index_of(request.chroms)
        windows = Windows(index, request.starts, length_bp)
        backend.encode_one_hot(genome, contigs, windows, SequenceOptions(), out)

    seconds: dict[str, list[float]] = {"ours": [], "numpy": []}
    for number in range(rounds + 1):
        request = random_request(places, length_bp, batch, 1, [23, number])
        for name, work in (("ours", with_ours), ("numpy", with_numpy)):
            taken = timed(work).wall_s
            if number:
                seconds[name].append(taken)
        if not np.array_equal(out, theirs):
            raise AssertionError("one-hot sequence differs from NumPy's")
    n_bases = batch * length_bp
    return {
        "kind": "one_hot",
        "length_bp": length_bp,
        "batch": batch,
        "equal": True,
        "gbases_per_s": {name: n_bases / median(s) / 1e9 for name, s in seconds.items()},
        "ratio": median(list(np.array(seconds["numpy"]) / np.array(seconds["ours"]))),
    }
