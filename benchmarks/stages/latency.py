"""One window of one track per call: what is left when there is nothing to share."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.made import DataSet
from benchmarks.peers import open_peers
from benchmarks.peers.ours import OurReader
from benchmarks.peers.request import Request, random_request
from benchmarks.record import median, timed
from bigwig_loader import BigWig


def latency(
    data: DataSet, length_bp: int = 2_114, n_rounds: int = 15, n_windows: int = 20
) -> dict[str, Any]:
    """Microseconds of a call: medians over rounds, each of some windows in a row per reader."""
    paths = data.tracks(1)
    steady = OurReader(paths, "steady")
    bigwig = BigWig(paths[0])
    peers = open_peers(paths)
    out = np.zeros((1, length_bp, 1), np.float32)

    def values(window: Request) -> None:
        chrom, start = str(window.chroms[0]), int(window.starts[0])
        bigwig.values(chrom, start, start + length_bp)

    calls: dict[str, Callable[[Request], None]] = {
        "ours_collection": lambda window: steady.read(window, out),
        "ours_BigWig.values": values,
    }
    for peer in peers:
        for variant in peer.variants(1):
            name = f"{peer.name} ({variant})" if len(peer.variants(1)) > 1 else peer.name
            calls[name] = partial(peer.read, out=out, variant=variant)
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    order = np.random.default_rng(19)
    for number in range(n_rounds + 1):
        request = random_request(data.places, length_bp, n_windows, 1, [17, number])
        windows = [
            Request(request.chroms[i : i + 1], request.starts[i : i + 1], length_bp)
            for i in range(n_windows)
        ]
        for name in order.permutation(list(calls)).tolist():
            for peer in peers:
                peer.prepare()

            def call_all(call: Callable[[Request], None] = calls[name]) -> None:
                for window in windows:  # noqa: B023 - called at once
                    call(window)

            taken = timed(call_all).wall_s / n_windows
            if number:  # the first calls open files and compile
                seconds[name].append(taken)
    bigwig.close()
    ours = np.array(seconds["ours_collection"])
    return {
        "kind": "latency",
        "data": data.name,
        "length_bp": length_bp,
        "windows": n_rounds * n_windows,
        "microseconds": {name: median(s) * 1e6 for name, s in seconds.items()},
        "ratio_to_ours_collection": {
            name: median(list(np.array(s) / ours)) for name, s in seconds.items()
        },
    }
