"""Requests as the oracle writes them, put to a backend."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np

from bigwig_loader.backend.protocol import SignalReader
from bigwig_loader.backend.select import select_backend
from bigwig_loader.formats.bigwig import read_bigwig_index
from bigwig_loader.plan.blocks import plan_signal
from bigwig_loader.plan.budget import split_to_budget
from bigwig_loader.plan.signal import SignalOptions, TrackTransform, pack_transforms
from bigwig_loader.plan.track_index import TrackIndex, build_track_index
from bigwig_loader.plan.windows import ContigTable, Windows
from bigwig_loader.types import numpy_dtype
from tests.oracles.signal import Request


def to_numpy(array: Any) -> np.ndarray:
    """An array of a backend in main memory; of uint16, as CuPy has to show it, bfloat16."""
    array = array.get() if hasattr(array, "get") else np.asarray(array)
    return array.view(numpy_dtype("bfloat16")) if array.dtype == np.uint16 else array


@contextmanager
def verifying(mode: str) -> Iterator[None]:
    """With `config.verify` set."""
    with mock.patch.dict(os.environ, {"BIGWIG_LOADER_VERIFY": mode}):
        yield


def windows_of(contigs: ContigTable, request: Request) -> Windows:
    names, starts, reverse = zip(*request.windows, strict=True)
    return Windows(contigs.index_of(names), np.array(starts), request.length_bp, np.array(reverse))


def options_of(request: Request, n_threads: int | None = None) -> SignalOptions:
    return SignalOptions(
        request.bin_size,
        request.statistic,  # type: ignore[arg-type]
        request.dtype,  # type: ignore[arg-type]
        request.layout,  # type: ignore[arg-type]
        request.uncovered,
        request.out_of_bounds,
        None if request.track_swap is None else tuple(request.track_swap),
        n_threads,
    )


class OpenFiles:
    """Files opened on a backend, without a collection around them."""

    def __init__(
        self, paths: Sequence[Any], backend: str = "cpu", n_threads: int = 2, cache_bytes: int = 0
    ) -> None:
        self.backend = select_backend(backend, n_threads)
        self.index: TrackIndex = build_track_index([read_bigwig_index(p) for p in paths])
        self.reader: SignalReader = self.backend.open_signal(self.index, cache_bytes)

    def __enter__(self) -> OpenFiles:
        return self

    def __exit__(self, *_: object) -> None:
        self.reader.close()

    def read(
        self,
        request: Request,
        *,
        n_threads: int | None = None,
        out: Any = None,
        most_units: int | None = None,
        one_call: bool = False,
    ) -> Any:
        """The answer to a request.

        With `most_units`, in parts of so many blocks and rows; with `one_call`, a single window
        that the backend plans itself.
        """
        options = options_of(request, n_threads)
        windows = windows_of(self.index.contigs, request)
        tracks = np.array(request.tracks, np.int64)
        steps = request.transforms or [{} for _ in request.tracks]
        transforms = pack_transforms([TrackTransform(**step) for step in steps])  # type: ignore[arg-type]
        if out is None:
            shape = options.shape(len(windows), windows.length_bp, len(tracks))
            out = self.backend.empty(shape, options.dtype)
        if most_units is None and one_call:
            self.reader.read_window(windows, tracks, options, transforms, out)
            return out
        if most_units is None:
            plan = plan_signal(self.index, windows, tracks)
            self.reader.read(plan, options, transforms, out)
            return out
        assert request.track_swap is None
        pieces = split_to_budget(
            self.index,
            windows,
            tracks,
            options.bin_size,
            most_units,
            lambda plan: plan.n_blocks + plan.row_first.size + plan.windows.length_bp // 64,
        )
        for piece in pieces:
            parts = (piece.bins, piece.tracks)
            if options.layout == "BTN":
                parts = (piece.tracks, piece.bins)
            self.reader.read(
                piece.plan, options, transforms[piece.tracks], out[(piece.windows, *parts)]
            )
        return out
