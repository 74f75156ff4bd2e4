"""Sequence on a GPU: one-hot windows and counts of bases, from a genome that stays there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.cpu.sequence import check_codes, check_contigs, one_hot_table
from bigwig_loader.backend.cuda.genomes import DeviceGenomes
from bigwig_loader.backend.cuda.slots import Slot, SlotRing
from bigwig_loader.backend.cuda.work import (
    MAX_GRID_Y,
    N_SLOTS,
    Owner,
    Stage,
    check_out,
    device_dtype,
    queue,
)
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.formats.genome import Genome
from bigwig_loader.plan.sequence import SequenceOptions
from bigwig_loader.plan.windows import ContigTable, Windows
from bigwig_loader.types import numpy_dtype

_MAX_THREADS = 256
_STORE_BYTES = 16
_RUN_BASES = 16
# Bases that one block of threads counts at least, where windows are long.
_COUNTED_BY_BLOCK = 1 << 16


class CudaSequence:
    """Encodes windows of genomes on one device.

    Parameters
    ----------
    owner : Owner
    genomes : DeviceGenomes
    """

    def __init__(self, owner: Owner, genomes: DeviceGenomes) -> None:
        self._owner, self._genomes = owner, genomes
        self._ring = SlotRing(owner.device, N_SLOTS)

    def encode_one_hot(
        self,
        genome: Genome,
        contigs: ContigTable,
        windows: Windows,
        options: SequenceOptions | None = None,
        out: Any = None,
        wait: bool = True,
    ) -> Any:
        """One-hot encode windows of a genome; letters A, C, G, T.

        Parameters
        ----------
        genome : Genome
            Contigs that windows lie on are put on the device where they are not yet.
        contigs : ContigTable
            What ``windows.contig_index`` counts. Lengths are the genome's own.
        windows : Windows
            B windows of L bases; what lies outside the contig is all zero.
        options : SequenceOptions, optional
        out : cupy.ndarray, optional
            Written and returned; of the result's shape and dtype, every window contiguous.
        wait : bool
            Return when it is done.

        Returns
        -------
        cupy.ndarray
            (B, L, 4), or (B, 4, L) with layout ``"BAL"``; bfloat16 as uint16.

        Raises
        ------
        NotFoundError
            If the genome lacks a contig that a window lies on.
        InvalidInputError
            If a contig index is out of range or `out` does not fit.
        LoaderError
            If the device has no memory left for a contig.
        """
        options = options or SequenceOptions()
        shape = options.shape(len(windows), windows.length_bp)
        dtype = device_dtype(numpy_dtype(options.dtype))
        check_contigs(contigs, windows)
        if out is None:
            out = self._owner.outputs.empty(shape, dtype)
        else:
            _check_out(out, shape, dtype, self._owner)
        kept: list[Any] = [out, genome]
        if len(windows) == 0:
            return out

        def start(slot: Slot) -> None:
            stage, of_windows = self._stage(genome, contigs, windows, slot, kept)
            table = stage.add(one_hot_table(options))
            at = slot.lay_out({"stage": stage.n_bytes})["stage"]
            stage.send(slot, at)
            self._owner.writing(out, slot.stream)
            planes = options.layout == "BAL"
            unit_bytes = dtype.itemsize * (1 if planes else 4)
            words = windows.length_bp // (_STORE_BYTES // unit_bytes) + 1
            threads = min(_MAX_THREADS, -(-words // 32) * 32)
            stripes = len(windows) * (4 if planes else 1)
            self._owner.device.kernels("sequence.cu").launch(
                f"bwl_one_hot_{dtype.itemsize}",
                (-(-words // threads), min(stripes, MAX_GRID_Y)),
                threads,
                [
                    *of_windows(at, True),
                    at + table,
                    np.int32(planes),
                    int(out.data.ptr),
                    int(out.strides[0]),
                ],
                slot.stream,
            )

        queue(self._owner, self._ring, start, kept, wait)
        return out

    def count_bases(
        self, genome: Genome, contigs: ContigTable, windows: Windows, codes: int
    ) -> npt.NDArray[np.int64]:
        """Bases of each window that are among some codes, in host memory; waits for the device.

        Parameters
        ----------
        genome, contigs, windows
            As in `encode_one_hot`; on which strand windows are delivered does not matter.
        codes : int
            A set of the 16 codes of `Genome`, bit c for code c. A position outside the contig
            has code 0.

        Raises
        ------
        NotFoundError
            If the genome lacks a contig that a window lies on.
        InvalidInputError
            If a contig index is out of range or `codes` has other bits than these 16.
        LoaderError
            If the device has no memory left for a contig.
        """
        check_codes(codes)
        check_contigs(contigs, windows)
        counts = np.zeros(len(windows), np.int64)
        kept: list[Any] = [genome]
        if len(windows) == 0:
            return counts

        def start(slot: Slot) -> Callable[[], None]:
            stage, of_windows = self._stage(genome, contigs, windows, slot, kept)
            slot.reserve(stage.n_bytes + counts.nbytes)
            at = slot.lay_out({"stage": stage.n_bytes, "counts": counts.nbytes})
            stage.send(slot, at["stage"])
            self._owner.device.fill(at["counts"], 0, counts.nbytes, slot.stream)
            words = -(-windows.length_bp // _RUN_BASES)
            threads = min(_MAX_THREADS, -(-words // 32) * 32)
            shares = max(1, windows.length_bp // _COUNTED_BY_BLOCK)
            self._owner.device.kernels("sequence.cu").launch(
                "bwl_count_bases",
                (min(shares, MAX_GRID_Y), min(len(windows), MAX_GRID_Y)),
                threads,
                [*of_windows(at["stage"], False), np.uint32(codes), at["counts"]],
                slot.stream,
            )
            found = slot.download(at["counts"], counts.nbytes, stage.n_bytes)

            def check() -> None:
                counts[:] = found.view(np.int64)

            return check

        queue(self._owner, self._ring, start, kept, wait=True)
        return counts

    @property
    def n_bytes(self) -> int:
        """Memory of the slots that are free now."""
        return self._ring.n_bytes

    def _names(self, genome: Genome, contigs: ContigTable, windows: Windows) -> list[str | None]:
        """Names of the contigs that windows lie on, None for the others."""
        used = np.zeros(len(contigs), np.bool_)
        used[windows.contig_index] = True
        return [name if needed else None for name, needed in zip(contigs.names, used, strict=True)]

    def _stage(
        self,
        genome: Genome,
        contigs: ContigTable,
        windows: Windows,
        slot: Slot,
        kept: list[Any],
    ) -> tuple[Stage, Callable[[int, bool], list[int]]]:
        """What the kernels need of windows, and how to name it once it has an address."""
        names = self._names(genome, contigs, windows)
        pointers, memory = self._genomes.pointers(genome, names, slot)
        kept += memory
        lengths = [0 if name is None else genome.contigs[name] for name in names]
        stage = Stage()
        contig_index, start = stage.add(windows.contig_index), stage.add(windows.start)
        reverse = None if windows.reverse is None else stage.add(windows.reverse)
        packed, contig_bp = stage.add(pointers), stage.add(np.array(lengths, np.int64))

        def arguments(at: int, with_strand: bool) -> list[int]:
            strand = [0 if reverse is None else at + reverse] if with_strand else []
            first = [len(windows), windows.length_bp, at + contig_index, at + start]
            return [*first, *strand, at + packed, at + contig_bp]

        return stage, arguments


def _check_out(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any], owner: Owner) -> None:
    check_out(out, shape, dtype, owner.device)
    if not out.size:
        return
    row_bytes = shape[1] * shape[2] * dtype.itemsize
    inner = (shape[2] * dtype.itemsize, dtype.itemsize)
    apart = shape[0] < 2 or out.strides[0] >= row_bytes
    is_aligned = out.data.ptr % dtype.itemsize == 0 and out.strides[0] % dtype.itemsize == 0
    if not is_aligned or tuple(out.strides[1:]) != inner or not apart:
        raise InvalidInputError(
            "argument out: expected an array whose windows are contiguous; "
            f"got strides {out.strides}"
        )
