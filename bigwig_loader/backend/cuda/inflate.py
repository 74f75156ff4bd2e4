"""Inflating the data blocks of a batch: with our own kernel, or with nvCOMP."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.cuda.device import Device, DeviceMemory, PinnedMemory
from bigwig_loader.backend.cuda.inflate_launch import inflate_launch
from bigwig_loader.backend.cuda.launch import WARP
from bigwig_loader.backend.cuda.nvcomp import Nvcomp, NvcompBatch
from bigwig_loader.backend.cuda.records import BlockCheck
from bigwig_loader.backend.cuda.slots import Slot
from bigwig_loader.config import Inflate
from bigwig_loader.errors import BackendUnavailableError

_SOURCE = "inflate.cu"
_CHECK_THREADS = 256
_CHECK_BLOCKS = 1 << 16


class Inflater:
    """What inflates data blocks on one device.

    Parameters
    ----------
    device : Device
    route : "auto", "kernel" or "nvcomp"
        ``"auto"`` is our own kernel: it stops at the last base wanted, is safe on any input and
        tells what is wrong with a damaged block; nvCOMP inflates blocks whole.

    Attributes
    ----------
    route : "kernel" or "nvcomp"
    reason : str
        Why this one.

    Raises
    ------
    BackendUnavailableError
        For ``"nvcomp"`` where that cannot be used.
    """

    def __init__(self, device: Device, route: Inflate = "auto") -> None:
        self._device = device
        self._nvcomp: Nvcomp | None = None
        self._scratch: WeakKeyDictionary[Slot, _NvcompScratch] = WeakKeyDictionary()
        self.route: Inflate = "kernel"
        self.reason = "stops at the window's end"
        if route == "kernel":
            self.reason = "asked for"
        elif route == "nvcomp":
            found = Nvcomp.find()
            if isinstance(found, str):
                raise BackendUnavailableError(
                    f"inflate='nvcomp': {found}; or set BIGWIG_LOADER_INFLATE=kernel"
                )
            self._nvcomp = found
            self.route, self.reason = "nvcomp", f"asked for; nvCOMP {found.version}"

    def run(
        self,
        records: npt.NDArray[Any],
        deflated: npt.NDArray[np.int32],
        addresses: tuple[int, int, int, int],
        slot: Slot,
    ) -> None:
        """Queue the inflating of a batch, and the comparison of checksums where it is asked for.

        Parameters
        ----------
        records : (K,) BLOCK
            As uploaded.
        deflated : (D,) int32
            Blocks to inflate, by decreasing size.
        addresses : (int, int, int, int)
            Device addresses: the records, `deflated`, a ``uint32`` that is zero, ``BwlOutcome[K]``.
        slot : Slot
            Its stream is where the work goes.
        """
        blocks, order, counter, outcomes = addresses
        n = len(deflated)
        if n == 0:
            return
        kernels = self._device.kernels(_SOURCE)
        check = True
        if self._nvcomp is not None:
            self._run_nvcomp(self._nvcomp, records[deflated], (blocks, order, outcomes), slot)
        else:
            launch = inflate_launch(n, self._device.n_multiprocessors, self._device.shared_bytes)
            kernels.launch(
                "bwl_inflate_blocks",
                launch.n_blocks,
                launch.n_threads,
                (blocks, order, n, counter, outcomes, launch.streams_per_warp),
                slot.stream,
                launch.shared_bytes,
            )
            check = bool((records["checks"][deflated] & BlockCheck.ADLER).any())
        if check:
            grid = min(-(-n // (_CHECK_THREADS // WARP)), _CHECK_BLOCKS)
            args = (blocks, order, n, outcomes)
            kernels.launch("bwl_check_adler", grid, _CHECK_THREADS, args, slot.stream)

    def _run_nvcomp(
        self,
        nvcomp: Nvcomp,
        records: npt.NDArray[Any],
        addresses: tuple[int, int, int],
        slot: Slot,
    ) -> None:
        blocks, order, outcomes = addresses
        with self._device.current():
            layout = nvcomp.layout(records["n_bytes"], records["capacity"])
        scratch = self._scratch.get(slot)
        if scratch is None:
            scratch = self._scratch[slot] = _NvcompScratch(self._device)
        place, address = scratch.put(layout.place, layout.n_bytes, slot)
        batch = NvcompBatch(blocks, order, place, address, outcomes)
        nvcomp.inflate(self._device, batch, layout, slot.stream)


class _NvcompScratch:
    """Memory that nvCOMP needs for the batches of one slot; it only grows."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._memory: DeviceMemory | None = None
        self._pinned: PinnedMemory | None = None

    def put(self, place: npt.NDArray[np.int64], n_bytes: int, slot: Slot) -> tuple[int, int]:
        """Queue the upload of `place`; its address, and that of `n_bytes` bytes of scratch.

        The batch that had the slot before is done, so what it used may be freed or overwritten.
        """
        total = n_bytes + place.nbytes
        if self._memory is None or self._memory.n_bytes < total:
            self._memory = None
            self._memory = self._device.memory(total + total // 4)
        if self._pinned is None or self._pinned.n_bytes < place.nbytes:
            self._pinned = None
            self._pinned = self._device.pinned(place.nbytes + place.nbytes // 4)
        self._pinned.array[: place.nbytes] = place.view(np.uint8)
        address = self._memory.address
        self._device.upload(address + n_bytes, self._pinned.address, place.nbytes, slot.stream)
        return address + n_bytes, address
