"""Haplotypes on a GPU: variants and lists stay there, and so do the bases.

Host and device decide by the same functions (`cuda_kernels/haplotype.cuh`) on the same arrays, so
a window has the same segments on both. Lengths and ends are host arrays: the host measures them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from ctypes import Structure
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.cpu import haplotypes as cpu
from bigwig_loader.backend.cpu import library as native
from bigwig_loader.backend.cpu.encodings import encoding_tables
from bigwig_loader.backend.cuda.genomes import DeviceGenomes
from bigwig_loader.backend.cuda.slots import Slot, SlotRing
from bigwig_loader.backend.cuda.work import (
    BLOCK_THREADS,
    MAX_GRID_Y,
    N_SLOTS,
    Owner,
    Resident,
    Stage,
    check_contiguous,
    check_out,
    device_dtype,
    queue,
)
from bigwig_loader.backend.protocol import HaplotypeArrays
from bigwig_loader.formats.genome import Genome
from bigwig_loader.formats.variants.table import Genotypes, VariantTable
from bigwig_loader.plan.haplotypes import HaplotypeOptions, HaplotypeWindows, Overlap

# Longer rows are shared out among blocks of threads, so many bases each.
SHARE_BP = 16_384
_MAX_GRID_X = 2**31 - 1
# Arrays of `HaplotypeLists`, in the order of its fields.
_FIELDS = ("position", "ilen", "alt_offset", "alt", "list_offset", "carried", "keep", "free")


class CudaHaplotypeReader:
    """Sequence of the haplotypes of a data set, made on a device.

    The variants and all lists are put on the device when something is first encoded, and stay:
    about 21 bytes a variant and 4 for each one that a haplotype carries. So are the contigs that
    windows lie on, see `genomes`.

    Parameters
    ----------
    owner : Owner
    genomes : DeviceGenomes
    host : HaplotypeReader
        The CPU's reader of the same.
    ring : SlotRing, optional
        Slots to share with another reader.
    """

    def __init__(
        self,
        owner: Owner,
        genomes: DeviceGenomes,
        host: cpu.HaplotypeReader,
        ring: SlotRing | None = None,
    ) -> None:
        self._owner, self._genomes, self.host = owner, genomes, host
        self._ring = ring or SlotRing(owner.device, N_SLOTS)
        self._resident: Resident | None = None
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        host = self.host
        given = (host.genome, host.table, host.genotypes, host.overlap, host.keep)
        return _reopened, (repr(self._owner.device), host.n_threads, given)

    @property
    def genome(self) -> Genome:
        """Where the reference bases come from."""
        return self.host.genome

    @property
    def table(self) -> VariantTable:
        """The variants."""
        return self.host.table

    @property
    def genotypes(self) -> Genotypes:
        """Who carries them."""
        return self.host.genotypes

    @property
    def overlap(self) -> Overlap:
        """Which of the variants that overlap on one haplotype are applied."""
        return self.host.overlap

    @property
    def keep(self) -> npt.NDArray[np.bool_] | None:
        """Variants that count at all, (V,); None for all of them."""
        return self.host.keep

    @property
    def free(self) -> npt.NDArray[np.bool_]:
        """Whether no variant before each one reaches its position, (V,)."""
        return self.host.free

    @property
    def ploidy(self) -> int:
        """P: haplotypes of a sample."""
        return self.host.ploidy

    @property
    def resolved(self) -> Genotypes:
        """The lists of what is applied."""
        return self.host.resolved

    def with_variants(
        self,
        table: VariantTable,
        genotypes: Genotypes,
        overlap: Overlap,
        keep: npt.NDArray[np.bool_] | None = None,
    ) -> CudaHaplotypeReader:
        """A reader of other variants on the same genome."""
        host = self.host.with_variants(table, genotypes, overlap, keep)
        return CudaHaplotypeReader(self._owner, self._genomes, host, self._ring)

    def lengths(self, windows: HaplotypeWindows) -> npt.NDArray[np.int64]:
        """Natural lengths (B, P) of windows in haplotype bases, whatever their `length_bp`."""
        return self.host.lengths(windows)

    def ends(self, windows: HaplotypeWindows) -> npt.NDArray[np.int64]:
        """Reference base after the last that each window stands for, (B, P)."""
        return self.host.ends(windows)

    def encode(
        self,
        windows: HaplotypeWindows,
        options: HaplotypeOptions | None = None,
        annotate: bool = False,
        out: Any = None,
        wait: bool = True,
    ) -> HaplotypeArrays:
        """Bases of the haplotypes, in memory of the device.

        Parameters
        ----------
        windows : HaplotypeWindows
            B windows. Without `length_bp` their rows have their natural lengths.
        options : HaplotypeOptions, optional
            Letters (``encoding="bytes"``) are uint8 here, and bfloat16 is uint16: CuPy has
            neither.
        annotate : bool
            Also say where each base comes from.
        out : cupy.ndarray, optional
            Written and returned as ``data``: contiguous, of its shape and dtype.
        wait : bool
            Return when it is done.

        Raises
        ------
        InvalidInputError
            If a contig, sample or shift is out of range, or `out` does not fit.
        InvalidDataError
            If a list has an entry that is no variant.
        LoaderError
            If the device has no memory left.
        """
        options = options or HaplotypeOptions()
        tables = encoding_tables(options)
        self.host.request(windows)  # checks them
        offsets, places, shape = self.host.shape_of(windows, options)
        outputs, device = self._owner.outputs, self._owner.device
        dtype = device_dtype(tables.dtype)
        if out is None:
            out = outputs.empty(shape, dtype)
        else:
            check_out(out, shape, dtype, device)
            check_contiguous(out)
        marks = [outputs.empty(places, np.int32) for _ in range(2)] if annotate else []
        made = HaplotypeArrays(out, offsets, *marks)
        if out.size == 0:
            return made
        kept: list[Any] = [made, self]

        def start(slot: Slot) -> Callable[[], None]:
            lists = self.lists(slot)
            stage = Stage()
            request = native.HaplotypeRequest()
            at_request = stage.add(request)
            fill_request(stage, request, windows)
            pointers, lengths = self._contigs(windows, slot, kept)
            at_packed, at_lengths = stage.add(pointers), stage.add(lengths)
            at_tables = stage.add(tables)
            at_offsets = None if offsets is None else stage.add(offsets)
            slot.reserve(stage.n_bytes + 4)
            at = slot.lay_out({"stage": stage.n_bytes, "status": 4})
            base = at["stage"]
            stage.send(slot, base)
            device.fill(at["status"], 0, 4, slot.stream)
            for array in (out, *marks):
                self._owner.writing(array, slot.stream)
            length = int(np.diff(offsets).max()) if offsets is not None else places[-1]
            letters = options.letters
            by_planes = options.layout == "BPAL" and offsets is None and letters > 1
            name = f"bwl_haplotype_{'one_hot_' if letters > 1 else ''}{dtype.itemsize}"
            n_rows = len(windows) * self.ploidy
            device.kernels("haplotype.cu").launch(
                name,
                (min(n_rows, _MAX_GRID_X), shares_of(length)),
                BLOCK_THREADS,
                [
                    lists,
                    base + at_request,
                    base + at_packed,
                    base + at_lengths,
                    0 if at_offsets is None else base + at_offsets,
                    base + at_tables,
                    np.int32(by_planes),
                    int(out.data.ptr),
                    self._records,
                    *([int(mark.data.ptr) for mark in marks] or (0, 0)),
                    at["status"],
                ],
                slot.stream,
            )
            status = slot.download(at["status"], 4, stage.n_bytes)

            def check() -> None:
                if status.any():
                    raise self.host.bad_row()

            return check

        queue(self._owner, self._ring, start, kept, wait)
        return made

    def lists(self, slot: Slot) -> int:
        """Address of the structure of the variants that are applied; put there where it is not."""
        with self._lock:
            if self._resident is None:
                self._resident = self._upload(slot)
            return self._resident.addresses[-1]

    @property
    def _records(self) -> int:
        assert self._resident is not None
        return self._resident.addresses[-2]

    def _upload(self, slot: Slot) -> Resident:
        """The arrays of the lists, the records, and the structure that points at them."""
        host = self.host.lists
        given = dict(zip(_FIELDS, host.kept, strict=True))
        arrays = {name: array for name, array in given.items() if array is not None}
        structure: Any = native.HaplotypeLists.from_buffer_copy(bytes(host))
        packed = np.frombuffer(structure, np.uint8)

        def fill(addresses: list[int]) -> None:
            for name in given:
                setattr(structure, name, None)
            for name, address in zip(arrays, addresses, strict=False):
                setattr(structure, name, address)

        records = self.host.records
        return Resident(self._owner, [*arrays.values(), records, packed], slot, fill)

    def _contigs(
        self, windows: HaplotypeWindows, slot: Slot, kept: list[Any]
    ) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
        """Address of the bases of each contig that windows lie on, and lengths of all contigs."""
        used = np.zeros(len(self.table.contig_names), np.bool_)
        used[windows.contig_index] = True
        names = zip(self.table.contig_names, used.tolist(), strict=True)
        pointers, memory = self._genomes.pointers(
            self.genome, [name if needed else None for name, needed in names], slot
        )
        kept += memory
        return pointers, self.host.contig_lengths


def fill_request(stage: Stage, request: Structure, windows: HaplotypeWindows) -> None:
    """Fill the structure of some windows, and stage their arrays."""
    request.n_windows = len(windows)
    for name in ("contig_index", "start", "end", "sample", "reverse", "shift"):
        stage.point(request, name, getattr(windows, name))
    request.length_bp = -1 if windows.length_bp is None else windows.length_bp


def shares_of(length_bp: int) -> int:
    """Blocks of threads that share the bases of one row."""
    return min(-(-length_bp // SHARE_BP), MAX_GRID_Y)


def _reopened(device: str, n_threads: int, given: tuple[Any, ...]) -> Any:
    from bigwig_loader.backend.select import select_backend

    return select_backend(device, n_threads).open_haplotypes(*given)
