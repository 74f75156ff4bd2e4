"""One behaviour suite for every backend: calls whose results are NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np
from hypothesis import given, settings

from bigwig_loader.backend.protocol import HaplotypeArrays, HaplotypeReader, RealignedTracks
from bigwig_loader.backend.select import select_backend
from bigwig_loader.formats.genome import Genome
from bigwig_loader.plan.fills import Fill
from bigwig_loader.plan.haplotypes import HaplotypeOptions, HaplotypeWindows
from bigwig_loader.plan.realign import Draws, RealignOptions, Track
from bigwig_loader.plan.sequence import SequenceOptions
from bigwig_loader.plan.windows import ContigTable, Windows
from tests.helpers.gvl_cases import Case
from tests.helpers.haplotypes import World

# Emulated threads are a thousand times slower than those of a GPU.
_FAKE_SHARE = 6


class OnBackend:
    """A backend, and what it makes in host memory, in the dtypes that NumPy has.

    Parameters
    ----------
    name : {"cpu", "fake", "cuda"}
        ``"fake"`` is the CUDA backend on an emulated GPU.
    """

    def __init__(self, name: str, n_threads: int = 2) -> None:
        self.name = name
        self.is_cpu = name == "cpu"
        self.backend = select_backend("cuda:0" if name == "fake" else name, n_threads)

    def examples(self, n: int, **strategies: Any) -> Callable[[Callable[..., None]], None]:
        """Runs what is decorated with so many examples, or some of them on an emulated GPU."""
        n = max(n // _FAKE_SHARE, 5) if self.name == "fake" else n

        def run(check: Callable[..., None]) -> None:
            settings(max_examples=n, deadline=None)(given(**strategies)(check))()

        return run

    def host(self, array: Any, dtype: Any = None) -> Any:
        """An array of the backend in host memory; `dtype` is what it would be on the CPU."""
        if array is None:
            return None
        found = self.backend.to_host(array)
        return found if dtype is None or self.is_cpu else found.view(dtype)

    def device(self, array: np.ndarray) -> Any:
        """An array in the backend's memory."""
        return self.backend.to_device(array)

    def view(self, memory: Any, offset: int, like: np.ndarray, strides: tuple[int, ...]) -> Any:
        """An array in bytes of the backend's memory, with shape and dtype of another."""
        if self.is_cpu:
            return np.ndarray(like.shape, like.dtype, memory, offset, strides)
        import cupy

        dtype = np.uint16 if like.dtype == ml_dtypes.bfloat16 else like.dtype
        pointer = cupy.cuda.MemoryPointer(
            memory.data.mem, memory.data.ptr - memory.data.mem.ptr + offset
        )
        return cupy.ndarray(like.shape, dtype, memptr=pointer, strides=strides)

    def open(
        self, world: World | Case, policy: str = "first", keep: np.ndarray | None = None
    ) -> HaplotypeReader:
        return self.backend.open_haplotypes(world.genome(), *world.tables(), policy, keep)  # type: ignore[arg-type]

    def encode(
        self,
        reader: HaplotypeReader,
        windows: HaplotypeWindows,
        options: HaplotypeOptions | None = None,
        **more: Any,
    ) -> HaplotypeArrays:
        options = options or HaplotypeOptions()
        found = reader.encode(windows, options, **more)
        dtype = "S1" if options.encoding == "bytes" else _dtype(options.dtype)
        return replace(
            found,
            data=self.host(found.data, dtype),
            var_idxs=self.host(found.var_idxs),
            ref_coords=self.host(found.ref_coords),
        )

    def realign(
        self,
        reader: HaplotypeReader,
        windows: HaplotypeWindows,
        tracks: Sequence[Track],
        fills: Sequence[Fill],
        options: RealignOptions | None = None,
        draws: Draws | None = None,
        out: Any = None,
    ) -> RealignedTracks:
        found = self.backend.realign(reader, windows, tracks, fills, options, draws, out)
        return replace(found, data=self.host(found.data, _signal_dtype(options)))

    def along_reference(
        self,
        contigs: ContigTable,
        windows: HaplotypeWindows,
        tracks: Sequence[Track],
        options: RealignOptions | None = None,
        out: Any = None,
    ) -> RealignedTracks:
        found = self.backend.along_reference(contigs, windows, tracks, options, out)
        return replace(found, data=self.host(found.data, _signal_dtype(options)))

    def one_hot(
        self,
        genome: Genome,
        contigs: ContigTable,
        windows: Windows,
        options: SequenceOptions | None = None,
        out: Any = None,
    ) -> np.ndarray:
        options = options or SequenceOptions()
        found = self.backend.encode_one_hot(genome, contigs, windows, options, out)
        return self.host(found, _dtype(options.dtype))  # type: ignore[no-any-return]

    def empty_as(self, array: np.ndarray) -> Any:
        """An array of the backend with the shape and dtype of one in host memory, all zero."""
        zeros = np.zeros(array.shape, np.uint8 if array.dtype.kind == "S" else array.dtype)
        return zeros.view(array.dtype) if self.is_cpu else self.backend.to_device(zeros)


def _dtype(name: str | None) -> Any:
    return ml_dtypes.bfloat16 if name == "bfloat16" else name


def _signal_dtype(options: RealignOptions | None) -> Any:
    return _dtype("float32" if options is None else options.dtype)
