"""Inflating data blocks with nvCOMP's batched Deflate, through its C interface.

What nvCOMP does with corrupt input is undefined: it checks little, and not the checksum. What
protects: headers are looked at first, and a block without one is replaced by an empty stream; no
block is given room past its `capacity`; a status that is not success, or was never written, and a
size past the capacity are failures; and the checksum of every block is compared afterwards,
whatever `config.verify` says (`bwl_check_adler`, which the caller queues next). What nvCOMP itself
touches on the way cannot be bounded from outside: files from strangers are for our own kernel.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
from collections.abc import Callable, Iterator
from ctypes import c_int, c_size_t, c_void_p
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cupy
import numpy as np
import numpy.typing as npt

from bigwig_loader.backend.cuda.device import Device, Stream
from bigwig_loader.errors import LoaderError

# Versions 4 to 6 want Deflate input at a multiple of 4 or 8 bytes; more is said to be faster.
STREAM_ALIGN = 16
# Bytes around the deflate data of a zlib stream: two of header, four of checksum.
_WRAPPER_BYTES = 6
_SOURCE = "nvcomp.cu"
_BLOCK_THREADS = 128
_WARPS = _BLOCK_THREADS // 32
_MAX_GRID = 1 << 16
_ADDRESS_BYTES = 8
_STATUS_BYTES = 4
_PART_ALIGN = 256
_INSTALL = "install nvidia-nvcomp-cu12 or nvidia-nvcomp-cu13"

Int64Array = npt.NDArray[np.int64]


class _Properties(ctypes.Structure):
    """nvcompProperties_t."""

    _fields_ = (("version", ctypes.c_uint32), ("cudart_version", ctypes.c_uint32))


class _Options(ctypes.Structure):
    """nvcompBatchedDeflateDecompressOpts_t; all zero is the default: the library chooses between
    the decompression engine, where there is one, and its kernels."""

    _fields_ = (
        ("backend", c_int),
        ("sort_before_hw_decompress", c_int),
        ("reserved", ctypes.c_char * 56),
    )


# Arguments of nvcompBatchedDeflateDecompressAsync up to the options: addresses and sizes of the
# input, capacities, sizes made, streams, temporary memory and its size, addresses of the output.
_ARRAYS = [*[c_void_p] * 4, c_size_t, c_void_p, c_size_t, c_void_p]


@dataclass(frozen=True)
class NvcompLayout:
    """Where the memory of one call stands: offsets in bytes from the start of its scratch memory.

    Parameters
    ----------
    place : (n + 1,) int64
        Of the aligned streams, and the end of the last one.
    arrays : tuple of int
        Of nvCOMP's arrays: inputs, input_bytes, outputs, capacities, produced and statuses.
    temp, temp_bytes : int
        nvCOMP's temporary memory.
    n_bytes : int
        Of all scratch memory.
    """

    place: Int64Array
    arrays: tuple[int, ...]
    temp: int
    temp_bytes: int
    n_bytes: int


class NvcompBatch(NamedTuple):
    """What one call works on: device addresses.

    Parameters
    ----------
    blocks : int
        ``BwlBlock[]``; `checks` of those in `order` gets `BlockCheck.ADLER`.
    order : int
        ``int32[n]``: which blocks, all of them `BlockKind.DEFLATED`.
    place : int
        ``int64[n + 1]``: `NvcompLayout.place`, uploaded.
    scratch : int
        `NvcompLayout.n_bytes` bytes, at a multiple of 256.
    outcomes : int
        ``BwlOutcome[]``, by block.
    """

    blocks: int
    order: int
    place: int
    scratch: int
    outcomes: int


class Nvcomp:
    """A loaded nvCOMP library that can inflate; see `find`.

    Parameters
    ----------
    library : CDLL
    version, cudart_version : int
        As the library gives them, e.g. 6000 and 13040.
    """

    def __init__(self, library: Any, version: int, cudart_version: int) -> None:
        self.version = f"{version // 1000}.{version % 1000 // 100}.{version % 100}"
        self._library = library
        major = version // 1000
        self._has_options = major >= 5
        options = [_Options] if self._has_options else []
        self._decompress = library.nvcompBatchedDeflateDecompressAsync
        self._decompress.argtypes = [*_ARRAYS, *options, c_void_p, c_void_p]
        self._temp_size = _temp_size_function(library, major)
        self._status_string = library.nvcompGetStatusString
        self._status_string.argtypes, self._status_string.restype = [c_int], ctypes.c_char_p
        self.cuda_major = cudart_version // 1000

    @classmethod
    def find(cls) -> Nvcomp | str:
        """The library, or why it cannot be used; never raises."""
        try:
            return cls._find()
        except Exception as error:  # whatever a broken installation does, there is another route
            return f"nvCOMP cannot be used ({type(error).__name__}: {error})"

    @classmethod
    def _find(cls) -> Nvcomp | str:
        found = open_library()
        if isinstance(found, str):
            return found
        driver = cupy.cuda.runtime.driverGetVersion()
        if driver // 1000 < found.cuda_major:
            return (
                f"nvCOMP {found.version} is made for CUDA {found.cuda_major}, the driver supports "
                f"CUDA {driver // 1000}.{driver % 1000 // 10}: install nvidia-nvcomp-cu12, or a "
                "newer driver"
            )
        return found

    def layout(self, n_bytes: Int64Array, capacity: Int64Array) -> NvcompLayout:
        """Memory for a call.

        Parameters
        ----------
        n_bytes, capacity : (n,) int64
            Of the blocks, in the order of the call.
        """
        n = len(n_bytes)
        room = np.maximum(n_bytes - _WRAPPER_BYTES, 1) + STREAM_ALIGN - 1
        place = np.zeros(n + 1, np.int64)
        temp_bytes = 0
        if n:
            temp_bytes = self._temp_bytes(n, int(capacity.max()), int(capacity.sum()))
        sizes = [n * _ADDRESS_BYTES] * 5 + [n * _STATUS_BYTES, temp_bytes]
        ends = np.cumsum([-(-size // _PART_ALIGN) * _PART_ALIGN for size in sizes])
        begin = [0, *ends[:-1].tolist()]
        place[0] = ends[-1]
        np.cumsum(room // STREAM_ALIGN * STREAM_ALIGN, out=place[1:])
        place[1:] += place[0]
        return NvcompLayout(place, tuple(begin[:-1]), begin[-1], temp_bytes, int(place[-1]))

    def inflate(
        self, device: Device, batch: NvcompBatch, layout: NvcompLayout, stream: Stream
    ) -> None:
        """Queue the inflating of all blocks of a batch, each of them whole.

        Fills `produced`, `whole`, `status` and `detail` of the outcomes: BAD_ZLIB_HEADER and
        TRUNCATED_DEFLATE as the other routes; what nvCOMP refuses is BAD_DEFLATE with nvCOMP's own
        status and the bytes it says it made, since it tells no more. ``bwl_check_adler`` has to
        follow: see the module's text.

        Raises
        ------
        LoaderError
            If nvCOMP does not accept the call.
        """
        n = len(layout.place) - 1
        if n == 0:
            return
        kernels = device.kernels(_SOURCE)
        arrays = [batch.scratch + part for part in layout.arrays]
        inputs, input_bytes, outputs, capacities, produced, statuses = arrays
        grid = (min(-(-n // _WARPS), _MAX_GRID),)
        kernels.launch(
            "bwl_align_streams",
            grid,
            (_BLOCK_THREADS,),
            (batch.blocks, batch.order, n, batch.place, batch.scratch, *arrays, batch.outcomes),
            stream,
        )
        temp = batch.scratch + layout.temp if layout.temp_bytes else None
        options = (_Options(),) if self._has_options else ()
        with device.current():
            status = self._decompress(
                inputs, input_bytes, capacities, produced, n, temp, layout.temp_bytes, outputs,
                *options, statuses, stream.pointer,
            )  # fmt: skip
        if status != 0:
            raise LoaderError(
                f"nvCOMP {self.version} refused to inflate {n} data blocks: {self._say(status)}; "
                "set BIGWIG_LOADER_INFLATE=kernel to inflate without it"
            )
        kernels.launch(
            "bwl_nvcomp_outcomes",
            (min(-(-n // _BLOCK_THREADS), _MAX_GRID),),
            (_BLOCK_THREADS,),
            (batch.order, n, capacities, produced, statuses, batch.outcomes),
            stream,
        )

    def _temp_bytes(self, n: int, largest: int, total: int) -> int:
        temp_bytes = c_size_t()
        status = self._temp_size(n, largest, total, ctypes.byref(temp_bytes))
        if status != 0:
            raise LoaderError(
                f"nvCOMP {self.version} does not say how much memory {n} data blocks of up to "
                f"{largest} bytes take: {self._say(status)}; set BIGWIG_LOADER_INFLATE=kernel to "
                "inflate without it"
            )
        return temp_bytes.value

    def _say(self, status: int) -> str:
        text = self._status_string(status)
        return f"status {status} ({text.decode() if text else 'unknown'})"

    def __repr__(self) -> str:
        return f"Nvcomp({self.version}, CUDA {self.cuda_major})"


def open_library() -> Nvcomp | str:
    """The first nvCOMP library that loads, declared; or why none can be used."""
    library = next(_libraries(), None)
    if library is None:
        return f"nvCOMP is not installed: {_INSTALL}"
    properties = _Properties()
    library.nvcompGetProperties.argtypes = [c_void_p]
    status = library.nvcompGetProperties(ctypes.byref(properties))
    if status != 0:
        return f"nvCOMP does not tell its version (status {status})"
    major, version = properties.version // 1000, properties.version
    expected = {4: "GetTempSizeEx", 5: "GetTempSizeAsync", 6: "GetTempSize"}.get(major)
    name = f"nvcompBatchedDeflateDecompress{expected}"
    if expected is None or not hasattr(library, name):
        return (
            f"nvCOMP {major}.{version % 1000 // 100} has another interface than those known here "
            f"(versions 4 to 6): {_INSTALL}"
        )
    return Nvcomp(library, version, properties.cudart_version)


def _temp_size_function(library: Any, major: int) -> Callable[[int, int, int, Any], int]:
    """A function of (streams, largest output, all output, pointer to the answer)."""
    prefix = "nvcompBatchedDeflateDecompressGetTempSize"
    if major == 4:
        function = getattr(library, prefix + "Ex")
        function.argtypes = [c_size_t, c_size_t, c_void_p, c_size_t]
        return lambda n, largest, total, answer: int(function(n, largest, answer, total))
    async_only = major == 5
    function = getattr(library, prefix + ("Async" if async_only else ""))
    function.argtypes = [c_size_t, c_size_t, _Options, c_void_p, c_size_t]
    if async_only:
        return lambda n, largest, total, answer: int(
            function(n, largest, _Options(), answer, total)
        )
    function.argtypes = [*function.argtypes, c_void_p]
    return lambda n, largest, total, answer: int(
        function(n, largest, _Options(), answer, total, None)
    )


def _libraries() -> Iterator[Any]:
    """Libraries that load, those of Python packages first."""
    if _folders("nvidia.libnvcomp"):  # since version 5.1
        loaded = importlib.import_module("nvidia.libnvcomp").load_library()
        if loaded is not None:
            yield loaded
    names = [str(p) for f in _folders("nvidia.nvcomp") for p in Path(f).glob("libnvcomp.so.*")]
    for name in [*names, "libnvcomp.so.6", "libnvcomp.so.5", "libnvcomp.so.4"]:
        try:
            yield ctypes.CDLL(name)
        except OSError:
            continue


def _folders(package: str) -> list[str]:
    try:
        found = importlib.util.find_spec(package)
    except ModuleNotFoundError:  # no package `nvidia` at all
        return []
    return list(found.submodule_search_locations or []) if found else []
