"""Haplotypes on the CPU: which variants are applied, and one call into the C library per batch."""

from __future__ import annotations

import ctypes
import functools
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.cpu.addresses import address
from bigwig_loader.backend.cpu.encodings import encoding_tables
from bigwig_loader.backend.cpu.library import HaplotypeLists, HaplotypeRequest, library
from bigwig_loader.backend.cpu.pool import ArrayPool
from bigwig_loader.backend.cpu.variant_lists import check_lists, free_variants
from bigwig_loader.backend.protocol import HaplotypeArrays
from bigwig_loader.errors import InvalidDataError, InvalidInputError
from bigwig_loader.formats.genome import Genome
from bigwig_loader.formats.packed import CODES, PAGE_BP
from bigwig_loader.formats.variants.table import Genotypes, VariantTable
from bigwig_loader.plan.haplotypes import HaplotypeOptions, HaplotypeWindows, Overlap
from bigwig_loader.types import check_choice

_NOT_LOADED, _BAD_ROW = 3, 4
# Below all that an end may be; what the library gives for a list that is damaged.
_NO_END = -(1 << 61)
_RULES = {"window": 0, "first": 1, "bcftools": 2}


class HaplotypeReader:
    """Sequence of the haplotypes of a data set.

    Parameters
    ----------
    genome : Genome
        Has the contigs of `table`; their bases are loaded where they are needed.
    table : VariantTable
    genotypes : Genotypes
    overlap : {"first", "bcftools", "window"}
        Which of the carried variants that overlap on one haplotype are applied. ``"first"``: the
        one that comes first. ``"bcftools"``: as ``bcftools consensus``, which also applies an
        insertion or deletion whose anchor base an earlier substitution or deletion has already
        decided. Both are decided once, over the whole haplotype. ``"window"``: the first one
        within each window, as GenVarLoader; the same base may differ between windows.
    keep : (V,) bool, optional
        Variants that count at all; the others are as if nobody carried them.
    n_threads : int
        Threads per call.

    Raises
    ------
    NotFoundError
        If the genome lacks a contig of the table.
    InvalidInputError
        If genotypes and table do not belong together.
    """

    def __init__(
        self,
        genome: Genome,
        table: VariantTable,
        genotypes: Genotypes,
        *,
        overlap: Overlap = "first",
        keep: npt.NDArray[np.bool_] | None = None,
        n_threads: int = 1,
    ) -> None:
        check_choice("overlap", overlap, ("first", "bcftools", "window"))
        self.genome, self.table, self.genotypes = genome, table, genotypes
        self.overlap, self.n_threads = overlap, n_threads
        self.keep = check_lists(table, genotypes, keep)
        self._arrays = (
            np.ascontiguousarray(table.position, dtype=np.int32),
            np.ascontiguousarray(table.ilen, dtype=np.int32),
            np.ascontiguousarray(table.alt_offsets, dtype=np.int64),
            np.frombuffer(table.alt.tobytes().translate(CODES) or b"\0", dtype=np.uint8),
        )
        self.records = np.ascontiguousarray(table.record, dtype=np.int32)
        self.free = free_variants(table)
        longest = 1 - int(table.ilen.min(initial=0)) if overlap == "window" else 0
        self._lists = self._pack(genotypes, longest)
        self._pool = ArrayPool()
        self._lengths = np.array(
            [genome.contig(n).n_bases for n in table.contig_names], dtype=np.int64
        )
        self._find_contigs()

    def __reduce__(self) -> tuple[Any, ...]:
        return _open, (
            self.genome,
            self.table,
            self.genotypes,
            {"overlap": self.overlap, "keep": self.keep, "n_threads": self.n_threads},
        )

    @property
    def ploidy(self) -> int:
        """P: haplotypes of a sample."""
        return self.genotypes.ploidy

    @property
    def contig_lengths(self) -> npt.NDArray[np.int64]:
        """Length of each contig of the table in bp, (C,)."""
        return self._lengths

    @functools.cached_property
    def resolved(self) -> Genotypes:
        """The lists of what is applied; made from all carried variants when first asked for.

        An entry has the bit `plan.haplotypes.WITHOUT_ANCHOR` where all but the anchor is applied.
        With the policy ``"window"``, where each window decides, the lists have all that counts.
        """
        genotypes = self.genotypes
        n_lists = len(genotypes.offsets) - 1
        counts = np.empty(n_lists, dtype=np.int64)
        self._apply_variants(n_lists, counts)
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        applied = np.empty(int(offsets[-1]), dtype=np.int32)
        self._apply_variants(n_lists, counts, offsets, applied)
        return replace(genotypes, offsets=offsets, variants=applied)

    def with_variants(
        self,
        table: VariantTable,
        genotypes: Genotypes,
        overlap: Overlap,
        keep: npt.NDArray[np.bool_] | None = None,
    ) -> HaplotypeReader:
        """A reader of other variants on the same genome; shares the memory of its batches.

        With the policy ``"window"`` entries may have the bit `plan.haplotypes.WITHOUT_ANCHOR`.
        """
        made = HaplotypeReader(
            self.genome, table, genotypes, overlap=overlap, keep=keep, n_threads=self.n_threads
        )
        made._pool = self._pool
        return made

    def _apply_variants(
        self,
        n_lists: int,
        counts: npt.NDArray[np.int64],
        offsets: npt.NDArray[np.int64] | None = None,
        applied: npt.NDArray[np.int32] | None = None,
    ) -> None:
        library().bwl_apply_variants(
            ctypes.byref(self._lists),
            n_lists,
            counts.ctypes.data,
            _address(offsets),
            _address(applied),
            self.n_threads,
        )

    def _pack(self, genotypes: Genotypes, longest_bp: int) -> ctypes.Structure:
        """The C structure of some lists; their arrays are kept alive by it."""
        offsets = np.ascontiguousarray(genotypes.offsets, dtype=np.int64)
        carried = np.ascontiguousarray(genotypes.variants, dtype=np.int32)
        kept = (*self._arrays, offsets, carried, self.keep, self.free)
        lists = HaplotypeLists(
            *(_address(array) for array in kept),
            len(self.table),
            len(genotypes.samples),
            genotypes.ploidy,
            _RULES[self.overlap],
            longest_bp,
        )
        lists.kept = kept
        return lists

    def request(self, windows: HaplotypeWindows) -> ctypes.Structure:
        """The C structure of some windows, checked; valid as long as `windows` is.

        Raises
        ------
        InvalidInputError
            If a contig, sample or shift is out of range.
        """
        for_whom = (len(self.table.contig_names), len(self.genotypes.samples), self.ploidy)
        request = windows.made.get(for_whom)
        if not isinstance(request, HaplotypeRequest):
            if len(windows):
                self._check_windows(windows)
            request = HaplotypeRequest(
                len(windows),
                address(windows.contig_index),
                address(windows.start),
                address(windows.end),
                address(windows.sample),
                _address(windows.reverse),
                _address(windows.shift),
                -1 if windows.length_bp is None else windows.length_bp,
            )
            windows.made[for_whom] = request
        return request

    @property
    def lists(self) -> ctypes.Structure:
        """The C structure of the variants that are applied."""
        return self._lists

    def _check_windows(self, windows: HaplotypeWindows) -> None:
        n_contigs, n_samples = len(self.table.contig_names), len(self.genotypes.samples)
        for name, given, low, n in (
            ("contig_index", windows.contig_index, 0, n_contigs),
            ("sample", windows.sample, -1, n_samples),
        ):
            if given.min() < low or given.max() >= n:
                raise InvalidInputError(
                    f"haplotype windows: expected {name} of {low} to {n - 1}; "
                    f"got {given.min()} to {given.max()}"
                )
        shift = windows.shift
        if shift is not None and (
            shift.shape != (len(windows), self.ploidy) or shift.min(initial=0) < 0
        ):
            raise InvalidInputError(
                f"haplotype windows: expected shift ({len(windows)}, {self.ploidy}), none "
                f"negative; got {shift.shape} from {shift.min(initial=0)} on"
            )

    def lengths(self, windows: HaplotypeWindows) -> npt.NDArray[np.int64]:
        """Natural lengths (B, P) of windows in haplotype bases, whatever their `length_bp`."""
        return self._measure(replace(windows, length_bp=None), ends=False)

    def ends(self, windows: HaplotypeWindows) -> npt.NDArray[np.int64]:
        """Reference base after the last that each window stands for, (B, P).

        With a `length_bp` that is where its last haplotype base lies, which may be past the
        contig; a window without bases ends where it starts.
        """
        return self._measure(windows, ends=True)

    def _measure(self, windows: HaplotypeWindows, ends: bool) -> npt.NDArray[np.int64]:
        measured = np.empty((len(windows), self.ploidy), dtype=np.int64)
        library().bwl_measure_haplotypes(
            ctypes.byref(self._lists),
            ctypes.byref(self.request(windows)),
            int(ends),
            measured.ctypes.data,
            self.n_threads,
        )
        if measured.min(initial=0) < _NO_END or (not ends and measured.min(initial=0) < 0):
            raise self.bad_row()
        return measured

    def bad_row(self) -> InvalidDataError:
        """The error for a list that has an entry which is no variant."""
        return InvalidDataError(
            f"genotypes of {len(self.genotypes.samples)} samples: expected rows 0 to "
            f"{len(self.table) - 1} of the variants; got another number in a list. "
            "The file is damaged, or belongs to other variants: write it again"
        )

    def encode(
        self,
        windows: HaplotypeWindows,
        options: HaplotypeOptions | None = None,
        annotate: bool = False,
        out: npt.NDArray[Any] | None = None,
        wait: bool = True,
    ) -> HaplotypeArrays:
        """Bases of the haplotypes.

        Parameters
        ----------
        windows : HaplotypeWindows
            B windows. Without `length_bp` their rows have their natural lengths.
        options : HaplotypeOptions, optional
        annotate : bool
            Also say where each base comes from.
        out : ndarray, optional
            Written and returned as ``data``: contiguous, of its shape and dtype.
        wait : bool
            Done when the call returns in any case.

        Raises
        ------
        InvalidInputError
            If a contig, sample or shift is out of range, or `out` does not fit.
        """
        options = options or HaplotypeOptions()
        tables = encoding_tables(options)
        request = self.request(windows)
        offsets, places, shape = self.shape_of(windows, options)
        data = self._out(out, shape, tables.dtype, options.encoding == "bytes")
        marks = [self._pool.empty(places, np.dtype(np.int32)) for _ in range(2)] if annotate else []
        by_planes = options.layout == "BPAL" and offsets is None and options.letters > 1
        for attempt in range(2):
            status = library().bwl_encode_haplotypes(
                ctypes.byref(self._lists),
                ctypes.byref(request),
                self._contigs[0],
                self._contigs[1],
                PAGE_BP,
                self._contigs[2],
                _address(offsets),
                address(tables),
                tables.itemsize,
                options.letters,
                int(by_planes),
                address(data),
                self._contigs[3],
                *((mark.ctypes.data for mark in marks) if annotate else (None, None)),
                self.n_threads,
            )
            if status != _NOT_LOADED:
                break
            if attempt:
                raise InvalidDataError(f"{self.genome.path}: bases vanished while they were read")
            self._load(windows)
        if status == _BAD_ROW:
            raise self.bad_row()
        if status != 0:
            raise MemoryError("no memory for the tables of the encoder")
        return HaplotypeArrays(data, offsets, *marks)

    def shape_of(
        self, windows: HaplotypeWindows, options: HaplotypeOptions
    ) -> tuple[npt.NDArray[np.int64] | None, tuple[int, ...], tuple[int, ...]]:
        """Offsets of the rows, and shapes of what is one for each base and of the bases."""
        if windows.length_bp is not None:
            places = (len(windows), self.ploidy, windows.length_bp)
            return None, places, options.shape(*places)
        offsets = np.zeros(len(windows) * self.ploidy + 1, dtype=np.int64)
        np.cumsum(self._measure(windows, ends=False).reshape(-1), out=offsets[1:])
        n = int(offsets[-1])
        return offsets, (n,), (n, options.letters) if options.letters > 1 else (n,)

    def _out(
        self,
        out: npt.NDArray[Any] | None,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        as_letters: bool,
    ) -> npt.NDArray[Any]:
        wanted = np.dtype("S1") if as_letters else dtype
        if out is None:
            made = self._pool.empty(shape, dtype)
            return made.view(wanted) if as_letters else made
        got = (getattr(out, "shape", None), getattr(out, "dtype", type(out).__name__))
        if got != (shape, wanted) or not (out.flags.c_contiguous and out.flags.behaved):
            raise InvalidInputError(
                f"argument out: expected a writable contiguous array {shape} {wanted}; "
                f"got {got[0]} {got[1]}"
            )
        return out

    def _find_contigs(self) -> None:
        """Note where the bases of the contigs are, and which pages of them."""
        contigs = [self.genome.contig(name) for name in self.table.contig_names]
        self._kept = [(contig.bases, contig.loaded) for contig in contigs]
        self._packed = np.array([c.bases.ctypes.data for c in contigs], dtype=np.uintp)
        self._loaded = np.array(
            [0 if c.complete else c.loaded.ctypes.data for c in contigs], dtype=np.uintp
        )
        arrays = (self._packed, self._loaded, self._lengths, self.records)
        self._contigs = tuple(array.ctypes.data for array in arrays)

    def _load(self, windows: HaplotypeWindows) -> None:
        """Load the bases that windows reach."""
        ends = self.ends(windows)
        ends = np.maximum(ends.max(axis=1, initial=0), windows.end)
        for contig in np.unique(windows.contig_index).tolist():
            these = windows.contig_index == contig
            name = self.table.contig_names[contig]
            self.genome.ensure_many(name, windows.start[these], ends[these])
        self._find_contigs()


def _open(
    genome: Genome, table: VariantTable, genotypes: Genotypes, options: dict[str, Any]
) -> HaplotypeReader:
    return HaplotypeReader(genome, table, genotypes, **options)


def _address(array: npt.NDArray[Any] | None) -> int | None:
    return None if array is None else address(array)
