"""bigwig_loader."""

from __future__ import annotations

import numpy as np

from benchmarks.peers import Float32Array
from benchmarks.peers.request import Request
from bigwig_loader.collection import BigWigCollection
from bigwig_loader.plan.blocks import plan_signal
from bigwig_loader.plan.signal import SignalOptions
from bigwig_loader.plan.windows import Windows

_STRETCH_BP = 1 << 20


class OurReader:
    """A `BigWigCollection`, in one of two states.

    Parameters
    ----------
    paths : list of str
    state : {"first", "steady"}
        "first": no data block was read before by this process, so every one is inflated whole and
        its checksum verified. "steady": all were read before, so each is inflated only as far as
        it is needed. Decoded values are kept in neither.
    n_threads : int, optional
    """

    one_by_one = False

    def __init__(self, paths: list[str], state: str, n_threads: int | None = None) -> None:
        self.name = f"ours_{state}"
        self.collection = BigWigCollection(paths, n_threads=n_threads)
        self._state = state
        self._raw_out: Float32Array = np.empty(0, np.float32)
        if state == "steady":
            self._read_everything()

    def variants(self, bin_size: int) -> tuple[str, ...]:
        """One call on all threads."""
        return ("all threads",)

    def prepare(self) -> None:
        """In the state "first": forget which blocks were verified."""
        if self._state == "first":
            self.collection.close()
        name = self.collection.contigs.names[0]
        self.collection.get_batch([name], [0], [1])  # opens the files

    def read(self, request: Request, out: Float32Array, variant: str = "") -> None:
        """One call."""
        ends = request.starts + request.length_bp
        self.collection.get_batch(
            request.chroms, request.starts, ends, window_size=request.bin_size, out=out
        )

    def read_raw(self, request: Request, variant: str = "") -> None:
        """The layout (B, T, L), which needs no transposition."""
        shape = (len(request), len(self.collection), request.length_bp)
        if self._raw_out.shape != shape:
            self._raw_out = np.empty(shape, np.float32)
        options = SignalOptions(layout="BTN")
        self.collection.read(self.windows(request), options=options, out=self._raw_out)

    def windows(self, request: Request) -> Windows:
        """The request in our own terms."""
        index = self.collection.contigs.index_of(request.chroms)
        return Windows(index, request.starts, request.length_bp)

    def block_reuse(self, request: Request) -> float:
        """How many windows share a data block on average; what sharing blocks can save."""
        tracks = np.arange(len(self.collection))
        plan = plan_signal(self.collection._index, self.windows(request), tracks)
        return float(plan.row_count.sum() / max(plan.n_blocks, 1))

    def _read_everything(self) -> None:
        for name, length in zip(
            self.collection.contigs.names, self.collection.contigs.lengths.tolist(), strict=True
        ):
            stretch = min(_STRETCH_BP, length)
            starts = np.append(np.arange(0, length - stretch, stretch), length - stretch)
            for some in np.array_split(starts, len(starts) // 16 + 1):
                names = np.repeat(name, len(some))
                self.collection.get_batch(names, some, some + stretch, window_size=stretch)
