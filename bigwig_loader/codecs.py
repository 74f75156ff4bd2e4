"""Codecs of numcodecs that inflate zlib streams with what this library has: for Zarr arrays.

===========================  =============================================================
codec id                     what inflates
===========================  =============================================================
``bigwig_loader_libdeflate`` the CPU library on threads, with libdeflate where there is one
``bigwig_loader_kernel``     our kernel, on a GPU
``bigwig_loader_nvcomp``     nvCOMP, on a GPU
===========================  =============================================================

All of them write and read the same streams as numcodecs' own ``zlib``. They are registered where
numcodecs is installed, so an array that names one of them opens without importing this module; and
data that names ``zlib`` is decoded with them by passing its parts to `decode_batch`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

try:
    from numcodecs.abc import Codec
    from numcodecs.compat import ensure_contiguous_ndarray, ndarray_copy
    from numcodecs.registry import register_codec
except ImportError as error:
    raise ImportError(
        "bigwig_loader.codecs needs numcodecs; install it with pip install 'bigwig-loader[zarr]'"
    ) from error

from bigwig_loader.backend.protocol import Backend, InflatedStreams
from bigwig_loader.backend.select import select_backend
from bigwig_loader.backend.status import Status, stream_error
from bigwig_loader.config import Inflate
from bigwig_loader.errors import InvalidDataError, InvalidInputError

# Room for what a stream of unknown size holds, as a multiple of its own; four times that where it
# was too little, and so on up to what deflate can expand to.
_FIRST_EXPANSION = 4
_GROWTH = 4


class _Zlib(Codec):  # type: ignore[misc]
    """Zlib streams (RFC 1950).

    Parameters
    ----------
    level : int
        Of compression, 0 to 12; the CPU compresses, with libdeflate.
    """

    _device: ClassVar[str]
    _route: ClassVar[Inflate]
    # What a stream that does not fit its room ends with.
    _too_long: ClassVar[tuple[Status, ...]] = (Status.TOO_LONG,)

    def __init__(self, level: int = 6) -> None:
        if not 0 <= level <= 12:
            raise InvalidInputError(f"argument level: expected an integer 0 to 12; got {level!r}")
        self.level = level

    def encode(self, buf: Any) -> bytes:
        """Compress the bytes of anything with a buffer."""
        import deflate

        return bytes(deflate.zlib_compress(_bytes_of(buf).tobytes(), self.level))

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Inflate one stream; see `decode_batch`."""
        return self.decode_batch([buf], None if out is None else [out])[0]

    def decode_batch(self, bufs: Sequence[Any], out: Sequence[Any] | None = None) -> list[Any]:
        """Inflate many streams at once: on threads, or on a GPU.

        Parameters
        ----------
        bufs : sequence of n buffers
            Zlib streams.
        out : sequence of n buffers, optional
            Where each is to go, of exactly the size of what it holds.

        Returns
        -------
        list of n (M,) uint8 arrays
            In host memory; `out` where that is given.

        Raises
        ------
        InvalidDataError
            If a stream is damaged or does not have the size of its `out`: which one, what is
            wrong. Nothing is returned then; parts of `out` may have been written.
        BackendUnavailableError
            If what inflates cannot be used here.
        """
        streams = [_bytes_of(buf) for buf in bufs]
        if out is not None and len(out) != len(streams):
            raise InvalidInputError(
                f"argument out: expected {len(streams)} buffers; got {len(out)}"
            )
        sizes = None if out is None else [_bytes_of(part).size for part in out]
        backend = select_backend(self._device)
        found = [backend.to_host(array) for array in self._inflate(backend, streams, sizes)]
        if out is None:
            return found
        return [ndarray_copy(part, into) for part, into in zip(found, out, strict=True)]

    def decode_batch_on_device(
        self, bufs: Sequence[Any], n_bytes: Sequence[int] | None = None, device: str = "cuda"
    ) -> list[Any]:
        """Inflate many streams and leave what they hold in the device's memory.

        Parameters
        ----------
        bufs : sequence of n buffers
            Zlib streams.
        n_bytes : sequence of n int, optional
            What each holds, where that is known; saves another try.
        device : str
            As of `BigWigCollection`.

        Returns
        -------
        list of n (M,) uint8 arrays
            CuPy arrays; NumPy arrays from the codec that runs on the CPU.
        """
        streams = [_bytes_of(buf) for buf in bufs]
        backend = select_backend(device if self._device != "cpu" else "cpu")
        arrays = self._inflate(backend, streams, n_bytes)
        backend.hand_over(*arrays)
        return arrays

    def _inflate(
        self,
        backend: Backend,
        streams: Sequence[npt.NDArray[np.uint8]],
        n_bytes: Sequence[int] | None,
    ) -> list[Any]:
        """The streams' contents, in the backend's memory."""
        found: list[Any] = [None] * len(streams)
        size = np.array([stream.size for stream in streams], np.int64)
        # Deflate cannot expand by more.
        most = size * 1_032 + 64
        room = np.minimum(most, size * _FIRST_EXPANSION + 1_024)
        if n_bytes is not None:
            room = most = np.asarray(n_bytes, np.int64)
        left = np.arange(len(streams))
        while len(left):
            inflated = backend.inflate([streams[i] for i in left.tolist()], room[left], self._route)
            too_long = np.isin(inflated.status, self._too_long) & (room[left] < most[left])
            _check(inflated, too_long, left)
            for place, i in enumerate(left.tolist()):
                if too_long[place]:
                    continue
                found[i] = inflated[place]
                if n_bytes is not None and int(inflated.n_bytes[place]) != int(n_bytes[i]):
                    raise InvalidDataError(
                        f"stream {i} holds less than was expected",
                        expected=f"{n_bytes[i]} bytes",
                        got=f"{inflated.n_bytes[place]}",
                    )
            left = left[too_long]
            room = np.minimum(most, room * _GROWTH)
        return found


def _check(
    inflated: InflatedStreams, forgiven: npt.NDArray[np.bool_], number: npt.NDArray[np.int64]
) -> None:
    failed = np.flatnonzero((inflated.status != Status.OK) & ~forgiven)
    if len(failed):
        at = int(failed[0])
        detail = (int(inflated.detail[at, 0]), int(inflated.detail[at, 1]))
        raise stream_error(int(inflated.status[at]), detail, int(number[at]))


def _bytes_of(buf: Any) -> npt.NDArray[np.uint8]:
    array: npt.NDArray[Any] = ensure_contiguous_ndarray(buf)
    return array.reshape(-1).view(np.uint8)


class LibdeflateZlib(_Zlib):
    """Zlib streams, inflated by the CPU library on threads."""

    codec_id = "bigwig_loader_libdeflate"
    _device, _route = "cpu", "auto"


class KernelZlib(_Zlib):
    """Zlib streams, inflated on a GPU by our kernel."""

    codec_id = "bigwig_loader_kernel"
    _device, _route = "cuda", "kernel"


class NvcompZlib(_Zlib):
    """Zlib streams, inflated on a GPU by nvCOMP, for streams from a source that is trusted."""

    codec_id = "bigwig_loader_nvcomp"
    _device, _route = "cuda", "nvcomp"
    # nvCOMP does not say which of the two it was.
    _too_long = (Status.TOO_LONG, Status.BAD_DEFLATE)


for _codec in (LibdeflateZlib, KernelZlib, NvcompZlib):
    register_codec(_codec)
