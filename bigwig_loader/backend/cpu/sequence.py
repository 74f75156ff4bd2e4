"""One-hot sequence on the CPU: one call into the C library per batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.cpu.library import library
from bigwig_loader.backend.protocol import ALL_CODES
from bigwig_loader.errors import InvalidInputError
from bigwig_loader.formats.genome import Genome
from bigwig_loader.plan.sequence import SequenceOptions
from bigwig_loader.plan.windows import ContigTable, Windows
from bigwig_loader.types import numpy_dtype

# Up to so many windows of a contig, to ask for each costs less than to ask for all together.
_FEW_WINDOWS = 8


def encode_one_hot(
    genome: Genome,
    contigs: ContigTable,
    windows: Windows,
    options: SequenceOptions | None = None,
    out: npt.NDArray[Any] | None = None,
    n_threads: int = 1,
) -> npt.NDArray[Any]:
    """One-hot encode windows of a genome; letters A, C, G, T.

    Parameters
    ----------
    genome : Genome
        Its contigs are found by the names in `contigs`, and loaded where they are not yet.
    contigs : ContigTable
        What ``windows.contig_index`` counts. Lengths are the genome's own.
    windows : Windows
        B windows of L bases. Positions before a contig's first base or past its last are all
        zero; a reversed window is delivered as reverse complement.
    options : SequenceOptions, optional
        Dtype, layout and what unknown bases have.
    out : ndarray, optional
        Written and returned; of the result's shape and dtype, every window contiguous.
    n_threads : int

    Returns
    -------
    ndarray
        (B, L, 4), or (B, 4, L) with layout ``"BAL"``, of ``options.dtype``.

    Raises
    ------
    NotFoundError
        If the genome lacks a contig that a window lies on.
    InvalidInputError
        If a contig index is out of range or `out` does not fit.
    """
    options = options or SequenceOptions()
    shape = options.shape(len(windows), windows.length_bp)
    dtype = numpy_dtype(options.dtype)
    if out is None:
        out = np.empty(shape, dtype=dtype)
    else:
        _check_out(out, shape, dtype)
    addresses, lengths, _keep = _contig_arrays(genome, contigs, windows)
    table = one_hot_table(options)
    reverse = windows.reverse
    status = library().bwl_one_hot(
        len(windows),
        windows.length_bp,
        windows.contig_index.ctypes.data,
        windows.start.ctypes.data,
        None if reverse is None else reverse.ctypes.data,
        addresses.ctypes.data,
        lengths.ctypes.data,
        table.ctypes.data,
        dtype.itemsize,
        int(options.layout == "BAL"),
        out.ctypes.data,
        out.strides[0],
        n_threads,
    )
    if status != 0:
        raise MemoryError("no memory for the tables of the one-hot encoder")
    return out


def count_bases(
    genome: Genome, contigs: ContigTable, windows: Windows, codes: int, n_threads: int = 1
) -> npt.NDArray[np.int64]:
    """Bases of each window that are among some codes.

    Parameters
    ----------
    genome, contigs
        As in `encode_one_hot`.
    windows : Windows
        B windows of L bases; on which strand they are delivered does not matter.
    codes : int
        A set of the 16 codes of `Genome`, bit c for code c. A position outside the contig
        has code 0.
    n_threads : int

    Returns
    -------
    (B,) int64
        0 to ``windows.length_bp``.

    Raises
    ------
    NotFoundError
        If the genome lacks a contig that a window lies on.
    InvalidInputError
        If a contig index is out of range or `codes` has other bits than these 16.
    """
    check_codes(codes)
    addresses, lengths, _keep = _contig_arrays(genome, contigs, windows)
    counts = np.empty(len(windows), dtype=np.int64)
    library().bwl_count_bases(
        len(windows),
        windows.length_bp,
        windows.contig_index.ctypes.data,
        windows.start.ctypes.data,
        addresses.ctypes.data,
        lengths.ctypes.data,
        codes,
        counts.ctypes.data,
        n_threads,
    )
    return counts


def check_codes(codes: int) -> None:
    """Raise `InvalidInputError` unless `codes` is a set of 4-bit codes."""
    if not 0 <= codes <= ALL_CODES:
        raise InvalidInputError(
            f"argument codes: expected bits for codes 0 to 15, 0x0 to 0xffff; got {codes:#x}"
        )


def check_contigs(contigs: ContigTable, windows: Windows) -> None:
    """Raise `InvalidInputError` if a window lies on none of the contigs."""
    index = windows.contig_index
    if index.size and (index.min() < 0 or index.max() >= len(contigs)):
        raise InvalidInputError(
            f"windows: expected contig_index of 0 to {len(contigs) - 1}; "
            f"got {index.min() if index.min() < 0 else index.max()}"
        )


def one_hot_table(options: SequenceOptions) -> npt.NDArray[Any]:
    """Row of each 4-bit code, (16, 4) in the dtype of `options`, rounded to nearest even."""
    table = np.empty((16, 4), dtype=np.float32)
    library().bwl_one_hot_table(int(options.unknown == "fraction"), table.ctypes.data)
    return table.astype(numpy_dtype(options.dtype))


def _contig_arrays(
    genome: Genome, contigs: ContigTable, windows: Windows
) -> tuple[npt.NDArray[np.uintp], npt.NDArray[np.int64], list[npt.NDArray[np.uint8]]]:
    """Address and length of each contig that is needed, and the arrays to keep alive meanwhile.

    The bases of the windows are loaded where they are not yet.
    """
    check_contigs(contigs, windows)
    index, start = windows.contig_index, windows.start
    if (index[1:] < index[:-1]).any():
        order = index.argsort(kind="stable")
        index, start = index[order], start[order]
    bounds = index.searchsorted(np.arange(len(contigs) + 1))
    addresses = np.zeros(len(contigs), dtype=np.uintp)
    lengths = np.zeros(len(contigs), dtype=np.int64)
    arrays = []
    for i in (bounds[1:] > bounds[:-1]).nonzero()[0]:
        name = contigs.names[i]
        packed = _load_bases(genome, name, start[bounds[i] : bounds[i + 1]], windows.length_bp)
        addresses[i], lengths[i] = packed.ctypes.data, genome.contigs[name]
        arrays.append(packed)
    return addresses, lengths, arrays


def _load_bases(
    genome: Genome, name: str, starts: npt.NDArray[np.int64], length_bp: int
) -> npt.NDArray[np.uint8]:
    """Packed bases of a contig, those of some windows loaded."""
    if len(starts) <= _FEW_WINDOWS:
        for start in starts.tolist():
            packed = genome.ensure(name, start, start + length_bp)
        return packed
    low, high = int(starts.min()), int(starts.max()) + length_bp
    if len(starts) * length_bp >= (high - low) // 2:
        return genome.ensure(name, low, high)
    return genome.ensure_many(name, starts, starts + length_bp)


def _check_out(out: npt.NDArray[Any], shape: tuple[int, int, int], dtype: np.dtype[Any]) -> None:
    got = (getattr(out, "shape", None), getattr(out, "dtype", type(out).__name__))
    if got != (shape, dtype):
        raise InvalidInputError(
            f"argument out: expected an array {shape} {dtype}; got {got[0]} {got[1]}"
        )
    if not out.size:
        return
    row_bytes = shape[1] * shape[2] * dtype.itemsize
    inner = (shape[2] * dtype.itemsize, dtype.itemsize)
    apart = shape[0] < 2 or out.strides[0] >= row_bytes
    if not out.flags.writeable or not out.flags.aligned or out.strides[1:] != inner or not apart:
        raise InvalidInputError(
            "argument out: expected a writable array whose windows are contiguous; "
            f"got strides {out.strides}"
        )
