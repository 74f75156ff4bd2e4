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


def latency(data: DataSet, length_bp: int = 2_114, n_windows: int = 300) -> dict[str, Any]:
    """Median microseconds of a call, all readers in turn on the same fresh window."""
    paths = data.tracks(1)
    steady = OurReader(paths, "steady")
    bigwig = BigWig(paths[0])
    peers = open_peers(paths)
    out = np.zeros((1, length_bp, 1), np.float32)
    request = random_request(data.contigs, length_bp, n_windows + 1, 1, [17])
    seconds: dict[str, list[float]] = {}
    for i in range(n_windows + 1):
        chrom, start = str(request.chroms[i]), int(request.starts[i])
        window = Request(request.chroms[i : i + 1], request.starts[i : i + 1], length_bp)
        calls: dict[str, Callable[[], object]] = {
            "ours_collection": partial(steady.read, window, out),
            "ours_BigWig.values": partial(bigwig.values, chrom, start, start + length_bp),
        }
        for peer in peers:
            for variant in peer.variants if peer.name == "figwig" else peer.variants[:1]:
                name = f"{peer.name} ({variant})" if peer.name == "figwig" else peer.name
                calls[name] = partial(peer.read, window, out, variant)
        names = list(calls)
        turn = i % len(names)
        for peer in peers:
            peer.prepare()
        for name in names[turn:] + names[:turn]:
            taken = timed(calls[name]).wall_s
            if i:  # the first calls open files and compile
                seconds.setdefault(name, []).append(taken)
    bigwig.close()
    return {
        "kind": "latency",
        "data": data.name,
        "length_bp": length_bp,
        "windows": n_windows,
        "microseconds": {name: median(s) * 1e6 for name, s in seconds.items()},
        "ratio_to_ours_collection": {
            name: median(list(np.array(s) / np.array(seconds["ours_collection"])))
            for name, s in seconds.items()
        },
    }
