"""Packed genomes in device memory, 4 bits per base.

A contig goes there as a whole when a window of it is first asked for, and stays: the human genome
takes 1.55 GB in all (mouse 1.37 GB, yeast 6 MB). Memory that is taken for it is not given back
before the genome is dropped.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.cuda.device import Device, DeviceMemory
from bigwig_loader.backend.cuda.slots import Slot, aligned
from bigwig_loader.backend.cuda.work import send
from bigwig_loader.errors import LoaderError
from bigwig_loader.formats.genome import Genome

# Kernels load bases by 8 bytes, aligned.
_WORD_BYTES = 8


class DeviceGenomes:
    """The contigs of genomes that are on one device; thread-safe.

    Parameters
    ----------
    device : Device
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._contigs: weakref.WeakKeyDictionary[Genome, dict[str, DeviceMemory]] = (
            weakref.WeakKeyDictionary()
        )
        self._lock = threading.Lock()

    @property
    def n_bytes(self) -> int:
        """Memory that the contigs take now."""
        with self._lock:
            return sum(m.n_bytes for found in self._contigs.values() for m in found.values())

    def pointers(
        self, genome: Genome, names: Iterable[str | None], slot: Slot
    ) -> tuple[npt.NDArray[np.uint64], list[DeviceMemory]]:
        """Addresses of the packed bases of contigs, and what keeps them alive.

        Parameters
        ----------
        genome : Genome
        names : iterable of str or None
            None for a contig that is not needed: its address is 0.
        slot : Slot
            Its stream and page-locked memory are used for contigs that are not there yet.

        Raises
        ------
        NotFoundError
            If the genome lacks a contig.
        LoaderError
            If the device has no memory left.
        """
        with self._lock:
            found = self._contigs.setdefault(genome, {})
            kept = [
                None if name is None else found.get(name) or self._load(genome, name, slot)
                for name in names
            ]
            pointers = np.array([0 if m is None else m.address for m in kept], np.uint64)
            return pointers, [memory for memory in kept if memory is not None]

    def _load(self, genome: Genome, name: str, slot: Slot) -> DeviceMemory:
        packed = genome.packed(name)
        try:
            memory = self._device.memory(max(aligned(packed.nbytes, _WORD_BYTES), _WORD_BYTES))
        except LoaderError as error:
            raise LoaderError(
                f"contig {name!r} of {genome.path}: its bases stay on the device, "
                f"{packed.nbytes / 1e9:.3f} GB of them and {genome.nbytes_total / 1e9:.3f} GB for "
                f"the whole genome: {error}"
            ) from error
        send(self._device, packed, memory.address, slot)
        self._contigs[genome][name] = memory
        return memory
