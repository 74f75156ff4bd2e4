"""A stand-in for nvCOMP's C interface that inflates in the memory of the fake devices, with zlib.

Its functions are real C functions (closures made by ctypes) of the parameters that the headers of
versions 4.2, 5 and 6 give; what is called with other ones goes wrong here as it would there.
"""

from __future__ import annotations

import ctypes
import zlib
from collections.abc import Callable
from ctypes import CFUNCTYPE, POINTER, c_int, c_size_t, c_uint32, c_void_p
from typing import Any

import numpy as np

from tests.helpers.fake_cupy.machine import Machine, machine

SUCCESS, INVALID_VALUE, CANNOT_DECOMPRESS, CUDA_ERROR = 0, 10, 12, 1000
INPUT_ALIGN = 8  # of version 4; later ones want 4
MEANINGS = {INVALID_VALUE: b"One or more parameters are invalid", CUDA_ERROR: b"A CUDA error"}


class Options(ctypes.Structure):
    """nvcompBatchedDeflateDecompressOpts_t of versions 5 and 6: passed by value."""

    _fields_ = (("backend", c_int), ("sort", c_int), ("reserved", ctypes.c_uint8 * 56))


class FakeNvcomp:
    """A loaded library.

    Parameters
    ----------
    version : int
        E.g. 6000.
    cudart_version : int
    temp_bytes : int
        Temporary memory that it wants for each stream.
    answer : int
        What it returns for a call.

    Attributes
    ----------
    calls : list of int
        Streams of each call.
    """

    def __init__(
        self,
        version: int = 6000,
        *,
        cudart_version: int = 13_000,
        temp_bytes: int = 0,
        answer: int = SUCCESS,
    ) -> None:
        self.calls: list[int] = []
        self._version = version, cudart_version
        self._temp_bytes = temp_bytes
        self._answer = answer
        self._functions = self._make(version // 1000)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_functions"][name]
        except KeyError:
            raise AttributeError(f"undefined symbol: {name}") from None

    def _make(self, major: int) -> dict[str, Any]:
        prefix = "nvcompBatchedDeflateDecompress"
        size_out = POINTER(c_size_t)
        arrays = (*[c_void_p] * 4, c_size_t, c_void_p, c_size_t, c_void_p)
        functions: dict[str, tuple[tuple[Any, ...], Callable[..., int]]] = {
            "nvcompGetProperties": ((POINTER(c_uint32),), self._properties),
        }
        if major == 4:
            functions[prefix + "GetTempSizeEx"] = (
                (c_size_t, c_size_t, size_out, c_size_t),
                lambda n, largest, out, total: self._temp_size(n, largest, out, total),
            )
            functions[prefix + "Async"] = (
                (*arrays, c_void_p, c_void_p),
                lambda *given: self._decompress(*given),
            )
        else:
            functions[prefix + "Async"] = (
                (*arrays, Options, c_void_p, c_void_p),
                lambda *given: self._decompress(*given[:8], *given[9:], options=given[8]),
            )
            sizes = (c_size_t, c_size_t, Options, size_out, c_size_t)
            if major == 5:
                functions[prefix + "GetTempSizeAsync"] = (
                    sizes,
                    lambda n, largest, _, out, total: self._temp_size(n, largest, out, total),
                )
            else:
                functions[prefix + "GetTempSize"] = (
                    (*sizes, c_void_p),
                    lambda n, largest, _, out, total, stream: self._temp_size(
                        n, largest, out, total
                    ),
                )
        made = {
            name: CFUNCTYPE(c_int, *parameters)(function)
            for name, (parameters, function) in functions.items()
        }
        self._texts = {status: ctypes.create_string_buffer(t) for status, t in MEANINGS.items()}
        made["nvcompGetStatusString"] = CFUNCTYPE(c_void_p, c_int)(self._status_string)
        return made

    def _properties(self, out: Any) -> int:
        out[0], out[1] = self._version
        return SUCCESS

    def _status_string(self, status: int) -> int | None:
        text = self._texts.get(status)
        return ctypes.addressof(text) if text else None

    def _temp_size(self, n: int, largest: int, out: Any, total: int) -> int:
        if n * largest < total:
            return INVALID_VALUE
        out[0] = n * self._temp_bytes
        return SUCCESS

    def _decompress(
        self,
        inputs: int,
        input_bytes: int,
        capacities: int,
        produced: int,
        n: int,
        temp: int | None,
        temp_bytes: int,
        outputs: int,
        statuses: int,
        stream: int,
        options: Options | None = None,
    ) -> int:
        assert options is None or bytes(options) == bytes(64)
        assert temp_bytes == n * self._temp_bytes
        assert (temp is None) == (temp_bytes == 0)
        if self._answer != SUCCESS:
            return self._answer
        self.calls.append(n)

        now = machine()

        def work() -> None:
            if temp is not None:
                ctypes.memset(temp, 0x3C, temp_bytes)
            addresses = (inputs, input_bytes, capacities, produced, outputs)
            arrays = [_array(now, address, n) for address in addresses]
            found = _array(now, statuses, n, c_int)
            for i in range(n):
                made, found[i] = _inflate(now, *(int(arrays[k][i]) for k in (0, 1, 2, 4)))
                arrays[3][i] = made

        with now.lock:
            now.enqueue(stream, work)
        return SUCCESS


def _inflate(
    now: Machine, address: int, n_bytes: int, capacity: int, output: int
) -> tuple[int, int]:
    """Bytes made and status of one stream; where it is bad, anything may be in the output."""
    now.area_of(address, n_bytes, "nvCOMP input")
    now.area_of(output, capacity, "nvCOMP output")
    assert address % INPUT_ALIGN == 0
    assert n_bytes > 0
    inflater = zlib.decompressobj(-15)
    try:
        data = inflater.decompress(ctypes.string_at(address, n_bytes), capacity + 1)
    except zlib.error:
        ctypes.memset(output, 0x99, min(capacity, 5))
        return (1 << 63) + 5, CANNOT_DECOMPRESS  # a size that means nothing
    ctypes.memmove(output, data, min(len(data), capacity))
    if len(data) > capacity:
        return capacity, CANNOT_DECOMPRESS
    return len(data), SUCCESS if inflater.eof else CANNOT_DECOMPRESS


def _array(now: Machine, address: int, n: int, kind: Any = ctypes.c_uint64) -> Any:
    now.area_of(address, n * ctypes.sizeof(kind), "nvCOMP array")
    return np.ctypeslib.as_array((kind * n).from_address(address))
