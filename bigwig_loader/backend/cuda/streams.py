"""Whole zlib streams inflated on a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.cuda.device import Device
from bigwig_loader.backend.cuda.inflate import Inflater
from bigwig_loader.backend.cuda.outputs import OutputPool
from bigwig_loader.backend.cuda.records import (
    BLOCK,
    OUTCOME,
    SECTION_ALIGN,
    SECTION_SLACK,
    BlockCheck,
    BlockKind,
)
from bigwig_loader.backend.cuda.slots import Slot, SlotRing, offsets_of
from bigwig_loader.backend.protocol import InflatedStreams
from bigwig_loader.backend.status import Status
from bigwig_loader.config import Inflate

Bytes = npt.NDArray[np.uint8]


class StreamInflater:
    """Inflates zlib streams from host memory to memory of one device.

    Parameters
    ----------
    device : Device
    outputs : OutputPool
        Memory of results.
    """

    def __init__(self, device: Device, outputs: OutputPool) -> None:
        self._device = device
        self._outputs = outputs
        self._ring = SlotRing(device, 1)
        self._inflaters: dict[str, Inflater] = {}

    def inflate(
        self, streams: Sequence[Bytes], room: npt.NDArray[np.int64], route: Inflate
    ) -> InflatedStreams:
        """Inflate streams and compare their checksums; see `Backend.inflate`."""
        inflater = self._inflaters.get(route)
        if inflater is None:
            inflater = self._inflaters[route] = Inflater(self._device, route)
        slots = -(-(room + SECTION_SLACK) // SECTION_ALIGN) * SECTION_ALIGN
        offset = np.cumsum(slots) - slots
        data = self._outputs.empty((int(slots.sum()),), np.uint8)
        slot = self._ring.take()
        try:
            outcomes = self._run(inflater, streams, (data, offset, room), slot)
        finally:
            slot.stream.synchronize()
            self._ring.give_back(slot)
        return InflatedStreams(
            data,
            offset,
            outcomes["produced"].astype(np.int64),
            outcomes["status"].astype(np.int32),
            outcomes["detail"].astype(np.int64),
        )

    def _run(
        self,
        inflater: Inflater,
        streams: Sequence[Bytes],
        out: tuple[Any, npt.NDArray[np.int64], npt.NDArray[np.int64]],
        slot: Slot,
    ) -> npt.NDArray[Any]:
        data, offset, room = out
        n = len(streams)
        n_bytes = np.array([stream.size for stream in streams], np.int64)
        ends = np.cumsum(n_bytes)
        records = np.zeros(n, BLOCK)
        records["bytes"] = ends - n_bytes
        records["section"] = np.uint64(data.data.ptr) + offset.astype(np.uint64)
        records["n_bytes"], records["capacity"] = n_bytes, room
        records["kind"], records["checks"] = BlockKind.DEFLATED, BlockCheck.ADLER
        order = np.argsort(-n_bytes, kind="stable").astype(np.int32)
        uploads = [records, order]
        offsets = offsets_of(uploads)
        at = slot.lay_out(
            {
                "uploads": offsets[-1],
                "outcomes": n * OUTCOME.itemsize,
                "counter": 4,
                "staging": int(n_bytes.sum()),
            }
        )
        records["bytes"] += np.uint64(at["staging"])
        pinned = slot.staging(int(n_bytes.sum()))
        for stream, end in zip(streams, ends, strict=True):
            pinned.array[end - stream.size : end] = stream
        slot.reserve(offsets[-1] + n * OUTCOME.itemsize)
        device, stream_of = self._device, slot.stream
        device.upload(at["staging"], pinned.address, int(n_bytes.sum()), stream_of)
        slot.upload(uploads, at["uploads"])
        device.fill(at["outcomes"], 0, n * OUTCOME.itemsize, stream_of)
        device.fill(at["counter"], 0, 4, stream_of)
        blocks, deflated = at["uploads"], at["uploads"] + offsets[1]
        inflater.run(records, order, (blocks, deflated, at["counter"], at["outcomes"]), slot)
        results = slot.download(at["outcomes"], n * OUTCOME.itemsize, offsets[-1])
        slot.stream.synchronize()
        outcomes = results.view(OUTCOME).copy()
        short = (outcomes["status"] == Status.OK) & (outcomes["whole"] == 0)
        outcomes["status"][short] = Status.TRUNCATED_DEFLATE
        return outcomes
