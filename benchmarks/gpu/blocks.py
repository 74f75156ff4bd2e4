"""Data blocks in device memory, to be inflated by our kernels or by nvCOMP."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.gpu.memory import Arrays
from bigwig_loader.backend.cuda.device import Device, DeviceMemory, Stream
from bigwig_loader.backend.cuda.inflate_launch import inflate_launch
from bigwig_loader.backend.cuda.launch import WARP
from bigwig_loader.backend.cuda.nvcomp import Nvcomp, NvcompBatch, NvcompLayout
from bigwig_loader.backend.cuda.records import (
    BLOCK,
    OUTCOME,
    SECTION_ALIGN,
    SECTION_SLACK,
    WHOLE_BLOCK,
    BlockCheck,
    BlockKind,
)
from bigwig_loader.backend.status import Status
from bigwig_loader.formats.bigwig import read_bigwig_index
from bigwig_loader.plan.track_index import build_track_index

_CHECK_THREADS = 256


@dataclass(frozen=True)
class Stored:
    """K zlib streams one after the other.

    Parameters
    ----------
    data : (n,) uint8
    offset, n_bytes, capacity : (K,) int64
        Where each is, and the most it may inflate to.
    """

    data: npt.NDArray[np.uint8]
    offset: npt.NDArray[np.int64]
    n_bytes: npt.NDArray[np.int64]
    capacity: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offset)

    def stream(self, i: int) -> bytes:
        """One of them."""
        return self.data[self.offset[i] :][: self.n_bytes[i]].tobytes()

    @classmethod
    def of_streams(cls, streams: Sequence[bytes], capacity: Sequence[int]) -> Stored:
        """Streams that are there, at any alignment."""
        n_bytes = np.array([len(stream) for stream in streams], np.int64)
        data = np.frombuffer(b"".join(streams) or b"\0", np.uint8)
        return cls(data, np.cumsum(n_bytes) - n_bytes, n_bytes, np.array(capacity, np.int64))

    @classmethod
    def of_files(cls, paths: Sequence[str], at_least: int = 0) -> Stored:
        """All data blocks of some files; these over again where there are fewer than `at_least`."""
        index = build_track_index([read_bigwig_index(path) for path in paths])
        data = np.concatenate([np.frombuffer(Path(path).read_bytes(), np.uint8) for path in paths])
        starts = np.cumsum(index.file_bytes) - index.file_bytes
        every = np.arange(index.n_blocks)
        track = index.track_of(every)
        offset = index.offset[every] + starts[track]
        n_bytes, capacity = index.n_bytes.astype(np.int64), index.buf_size[track].astype(np.int64)
        times = max(-(-at_least // len(offset)), 1)
        shift = np.arange(times).repeat(len(offset)) * len(data)
        return cls(
            np.tile(data, times),
            np.tile(offset, times) + shift,
            np.tile(n_bytes, times),
            np.tile(capacity, times),
        )


class DeviceBlocks:
    """Data blocks on a device, with room for what they inflate to.

    Parameters
    ----------
    device : Device
    stored : Stored
    checks : int or (K,) int
        Bits of `BlockCheck`.
    wanted_end : int or (K,) int
        See `BlockCheck.MAY_STOP`.
    """

    def __init__(
        self,
        device: Device,
        stored: Stored,
        checks: int | npt.NDArray[Any] = 0,
        wanted_end: int | npt.NDArray[Any] = WHOLE_BLOCK,
    ) -> None:
        self.device, self.stored = device, stored
        self.arrays = Arrays(device)
        self._data = self.arrays.put(stored.data)
        room = -(-(stored.capacity + SECTION_SLACK) // SECTION_ALIGN) * SECTION_ALIGN
        self._section_at = np.cumsum(room) - room
        self._sections = device.memory(max(int(room.sum()), 1))
        records = np.zeros(len(stored), BLOCK)
        records["bytes"] = self._data.address + stored.offset
        records["section"] = self._sections.address + self._section_at
        records["n_bytes"], records["capacity"] = stored.n_bytes, stored.capacity
        records["kind"], records["checks"] = BlockKind.DEFLATED, checks
        records["wanted_end"] = wanted_end
        self._blocks = self.arrays.put(records)
        self.blocks = self._blocks.address
        self._outcomes = device.memory(max(len(stored), 1) * OUTCOME.itemsize)
        self._kept: list[DeviceMemory] = []
        self.forget()

    def forget(self) -> None:
        """Outcomes as before: a status that is none."""
        outcomes = np.zeros(len(self.stored), OUTCOME)
        outcomes["status"] = -1
        self.arrays.write(self._outcomes.address, outcomes)

    def keep(self, array: npt.NDArray[Any]) -> int:
        """Address of a copy of an array that lives as long as this."""
        self._kept.append(self.arrays.put(array))
        return self._kept[-1].address

    def longest_first(self, which: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
        """Blocks in the order in which they are best begun."""
        return which[np.argsort(-self.stored.n_bytes[which], kind="stable")].astype(np.int32)

    def inflate(self, per_warp: int, n: int, order: int, counter: int, stream: Stream) -> None:
        """Queue our kernel; `order` and `counter` are addresses, the counter is zero."""
        device = self.device
        launch = inflate_launch(n, device.n_multiprocessors, device.shared_bytes, per_warp)
        device.kernels("inflate.cu").launch(
            "bwl_inflate_blocks",
            launch.n_blocks,
            launch.n_threads,
            (self.blocks, order, n, counter, self._outcomes.address, per_warp),
            stream,
            launch.shared_bytes,
        )

    def check_adler(self, n: int, order: int, stream: Stream) -> None:
        """Queue the comparison of checksums."""
        grid = min(-(-n * WARP // _CHECK_THREADS), 1 << 16)
        args = (self.blocks, order, n, self._outcomes.address)
        kernels = self.device.kernels("inflate.cu")
        kernels.launch("bwl_check_adler", grid, _CHECK_THREADS, args, stream)

    def for_nvcomp(
        self, nvcomp: Nvcomp, order: npt.NDArray[np.int32], at: int
    ) -> tuple[NvcompBatch, NvcompLayout]:
        """What nvCOMP is called with for the blocks of `order`, which is at address `at`."""
        stored = self.stored
        layout = nvcomp.layout(stored.n_bytes[order], stored.capacity[order])
        scratch = self.device.memory(max(layout.n_bytes, 1))
        self._kept.append(scratch)
        place = self.keep(layout.place)
        batch = NvcompBatch(self.blocks, at, place, scratch.address, self._outcomes.address)
        return batch, layout

    def outcomes(self) -> npt.NDArray[Any]:
        """OUTCOME of every block."""
        n_bytes = len(self.stored) * OUTCOME.itemsize
        return self.arrays.read(self._outcomes.address, n_bytes).view(OUTCOME)

    def section(self, i: int, n_bytes: int) -> bytes:
        """The first bytes of what a block was inflated to."""
        address = self._sections.address + int(self._section_at[i])
        return self.arrays.read(address, n_bytes).tobytes()

    def require_equal_to_zlib(self, which: npt.NDArray[Any], most: int) -> int:
        """Compare blocks that were inflated whole, up to `most` of them byte by byte; their bytes.

        Raises
        ------
        AssertionError
            For the first that differs.
        """
        outcomes = self.outcomes()[which]
        bad = np.flatnonzero((outcomes["status"] != Status.OK) | (outcomes["whole"] == 0))
        if len(bad):
            raise AssertionError(f"block {which[bad[0]]}: {outcomes[bad[0]]}")
        some = which[:: max(len(which) // most, 1)]
        for i in some.tolist():
            expected = zlib.decompress(self.stored.stream(i))
            if self.section(i, len(expected)) != expected:
                raise AssertionError(f"block {i} differs from what zlib makes of it")
        return int(outcomes["produced"].sum())


ADLER = int(BlockCheck.ADLER)
